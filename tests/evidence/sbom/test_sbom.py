"""SBOMs: complete against the droplet's own bytes, equal whenever they are made, valid by two libraries each."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import uuid
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from apps_fixture import materialise
from builders import TarEntry
from command import in_process
from evidence_apps import SITUATIONS, Situation, Staged, stage

from stager.digest import Digest
from stager.droplet.reader import open_droplet
from stager.ecosystems.deb import copyright as deb_copyright
from stager.ecosystems.licence import Licence
from stager.ecosystems.npm import inventory as npm_packages
from stager.evidence import receipt, sbom
from stager.evidence.sbom import contents, inventory, owners
from stager.evidence.sbom.components import Component, Inventory, uuid5
from stager.formats import codec
from stager.formats.errors import BadArchive
from stager.model import DebPin
from stager.net.errors import NotCached
from stager.stacks import find, lock
from stager.store import Store
from stager.text import resources

REAL = [
    *("flask-uv", "fastapi-uv", "django-uv", "flask-poetry", "workspace-uv", "python-node"),
    *("express-npm-v3", "express-pnpm-9", "express-yarn-1", "hono-bun", "static-plain", "procfile-perl"),
]
"""Real apps: six of Python, four of Node, a static site, and one that brings everything itself."""


@pytest.fixture(scope="module", params=SITUATIONS)
def staged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return stage(SITUATIONS[request.param](), tmp_path_factory.mktemp("sbom"))


DIGEST = Digest("sha256:" + "ab" * 32)


def take(path: Path, store: Store) -> Inventory:
    with open_droplet(str(path), store) as droplet:
        return inventory.take(droplet, store)


def in_archive(path: Path) -> dict[str, tuple[str, str]]:
    """Path → (SHA-256, link target) of every file and link in a droplet, by Python's own reader."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.issym():
                found[name] = ("", member.linkname)
            elif member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                found[name] = (hashlib.sha256(content.read()).hexdigest(), "")
            else:
                assert member.isdir(), name
    return found


def check_complete(path: Path, found: Inventory) -> None:
    """Every file and link of the archive is listed with its digest, once, and belongs to a component."""
    there = in_archive(path)
    assert {row.path: (row.sha256, row.target) for row in found.files} == there
    assert len(found.files) == len(there)
    refs = [one.ref for one in found.components]
    assert len(set(refs)) == len(refs)
    assert {row.owner for row in found.files} <= set(refs)
    assert {need for one in found.components for need in one.needs} <= set(refs)


# --- by hand ---------------------------------------------------------------------------------------------------


def test_every_file_has_the_owner_it_was_made_with(staged: Staged) -> None:
    found = take(staged.path, staged.store)
    check_complete(staged.path, found)
    owner = {row.path.removeprefix("app/"): row.owner for row in found.files}
    expected = {path: one.artifact.purl for one in staged.situation.packages for path in one.owns}
    app = {"Procfile", "serve", *staged.situation.files, *staged.situation.own_links}
    expected |= dict.fromkeys(app, "app")
    for place, ref in staged.situation.bundled.items():
        expected |= {path: ref for path in owner if path.startswith(f"{place}/")}
    assert {path: owner[path] for path in expected} == expected
    rest = {path: ref for path, ref in owner.items() if path not in expected}
    assert set(rest.values()) == {"generated"}
    assert not any(path.startswith((".stager/pypi", "node_modules/.pnpm/node")) for path in rest)


@pytest.mark.slow
def test_the_sha1_of_a_file_of_any_size_is_that_of_its_bytes(tmp_path: Path) -> None:
    sizes = {"none.txt": 0, "one.txt": 1, "at.txt": 64 << 20, "beyond.txt": (64 << 20) + 1}
    texts = {name: "x" * size for name, size in sizes.items()}
    made = stage(Situation(files=texts), tmp_path)
    found = {row.path: row.sha1 for row in take(made.path, made.store).files}
    expected = {f"app/{name}": hashlib.sha1(text.encode()).hexdigest() for name, text in texts.items()}
    assert {path: found[path] for path in expected} == expected


@pytest.mark.parametrize("name", ["Debian packages", "Python and Node", "unusual names and links"])
def test_two_processes_with_other_hash_seeds_write_equal_documents(name: str, tmp_path: Path) -> None:
    staged = stage(SITUATIONS[name](), tmp_path)
    code = (
        "import sys\nfrom stager.evidence import sbom\nfrom stager.droplet.reader import open_droplet\n"
        "from stager.evidence.sbom import inventory\nfrom stager.store import Store\n"
        "store = Store(sys.argv[2])\n"
        "with open_droplet(sys.argv[1]) as droplet:\n    found = inventory.take(droplet, store)\n"
        "for kind in sbom.FORMATS:\n    sys.stdout.buffer.write(sbom.dumps(found, kind, files=True))\n"
    )
    made = set()
    for seed, zone in (("1", "Asia/Kathmandu"), ("77", "America/Lima")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}
        command = [sys.executable, "-c", code, str(staged.path), staged.store.root]
        made.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    own = take(staged.path, staged.store)
    assert made == {b"".join(sbom.dumps(own, kind, files=True) for kind in sbom.FORMATS)}


def test_both_formats_are_valid_by_two_libraries_each(staged: Staged, tmp_path: Path) -> None:
    found = take(staged.path, staged.store)
    for files in (False, True):
        check_cyclonedx(sbom.dumps(found, "cyclonedx", files=files), tmp_path)
        check_spdx(sbom.dumps(found, "spdx", files=files), tmp_path)


def check_cyclonedx(data: bytes, place: Path, *, second: bool = False) -> None:
    """The strict validator of CycloneDX's own library; `second` is another engine over its own copy of the schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    if second:
        from lib4sbom.cyclonedx.cyclonedx_validator import CycloneDXValidator

        (place / "x.cdx.json").write_bytes(data)
        found = CycloneDXValidator(cyclonedx_version="1.6").validate(str(place / "x.cdx.json"))
        assert found == {"CycloneDX": "1.6"}


def check_spdx(data: bytes, place: Path, *, whole: bool = True) -> None:
    """SPDX's JSON schema by one library, the whole of the specification by the other."""
    from lib4sbom.spdx.spdx_validator import SPDXValidator
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    path = place / "x.spdx.json"
    path.write_bytes(data)
    assert SPDXValidator(spdx_version="2.3").validate(str(path)) == {"SPDX": "2.3"}
    if whole:
        problems = validate_full_spdx_document(parse_file(str(path)))
        assert [problem.validation_message for problem in problems] == []


def test_a_second_library_finds_the_richest_cyclonedx_documents_valid(tmp_path: Path) -> None:
    made = stage(SITUATIONS["Debian packages"](), tmp_path)
    check_cyclonedx(sbom.dumps(take(made.path, made.store), "cyclonedx", files=True), tmp_path, second=True)


def test_the_validators_refuse_what_is_wrong(tmp_path: Path) -> None:
    found = Inventory(DIGEST, 1, (Component("a", "library", "a"),), ())
    wrong = json.loads(sbom.dumps(found, "cyclonedx"))
    wrong["components"][0]["type"] = "thing"
    for second in (False, True):
        with pytest.raises(AssertionError):
            check_cyclonedx(json.dumps(wrong).encode(), tmp_path, second=second)
    wrong = json.loads(sbom.dumps(found, "spdx"))
    wrong["packages"][0]["checksums"][0]["checksumValue"] = "x"
    with pytest.raises(AssertionError):
        check_spdx(json.dumps(wrong).encode(), tmp_path)


def test_the_order_in_which_things_are_found_does_not_show(staged: Staged) -> None:
    found = take(staged.path, staged.store)
    components, files = list(found.components), list(found.files)
    assert components == sorted(components, key=lambda one: one.ref.encode())
    assert files == sorted(files, key=lambda row: row.path.encode())
    with open_droplet(str(staged.path)) as droplet:
        held = contents.read(droplet)
        shuffled = list(held.items)
        random.Random(7).shuffle(shuffled)
        texts = dict(sorted(held.texts.items(), reverse=True))
        mixed = contents.HashedFiles(tuple(shuffled), held.sha1, texts)
        plan = droplet.plan
        looked = inventory.look(plan, staged.store)
        said = inventory.ask(plan, held.texts, held.links, looked)
        assert inventory.ask(plan, texts, mixed.links, looked) == said
        whose = owners.assign(held, plan, looked, said.inner, "x")
        assert owners.assign(mixed, plan, looked, said.inner, "x") == whose


def test_a_file_that_nothing_accounts_for_is_an_error(tmp_path: Path) -> None:
    made = stage(SITUATIONS["two wheels"](), tmp_path)
    with open_droplet(str(made.path)) as droplet:
        held, plan = contents.read(droplet), droplet.plan
    stray = replace(held.items[-2].within("pypi-01"), path=".stager/pypi/site-packages/stray.py")
    with pytest.raises(BadArchive) as caught:
        owners.assign(
            contents.HashedFiles((*held.items, stray), (*held.sha1, b""), held.texts), plan, {}, [], "droplet.tgz"
        )
    where = ".stager/pypi/site-packages/stray.py"
    assert caught.value.message == f"droplet.tgz: holds {where}, which nothing in its plan accounts for"


def test_without_its_debian_packages_there_is_no_sbom(tmp_path: Path) -> None:
    made = stage(SITUATIONS["Debian packages"](), tmp_path)
    with pytest.raises(NotCached) as caught:
        take(made.path, Store(str(tmp_path / "another")))
    assert caught.value.data["names"] == ["debian/libone@1.0-1", "debian/libtwo@1.0-1"]


# --- hostile droplets ------------------------------------------------------------------------------------------


def with_extra(made: Staged, extra: bytes, out: Path) -> Path:
    """The droplet with more tar bytes at the end of its app layer, joined and summed as stager does it."""
    data = made.path.read_bytes()
    with open_droplet(str(made.path)) as droplet:
        part = droplet.parts["app"]
        length = sum(droplet.parts[layer.name].length for layer in droplet.layers)
    tar, cut = gzip.decompress(data), part.offset + part.size
    whole = tar[:length] + extra + tar[length:]
    end = codec.trailer(zlib.crc32(whole), len(whole))
    out.write_bytes(data[:cut] + b"".join(codec.compress(extra)) + data[cut : -len(end)] + end)
    return out


HOSTILE = {
    "a path twice": (TarEntry("./app/serve", b"x"), "has ./app/serve twice"),
    "a device": (
        TarEntry("./app/dev", type=b"3"),
        "holds './app/dev', which is neither a file nor a link nor a folder",
    ),
    "a hard link": (
        TarEntry("./app/hard", type=b"1", link="./app/serve"),
        "which is neither a file nor a link nor a folder",
    ),
    "a name that is no text": (TarEntry(b"./app/\xff", b"x"), "has a name that is not UTF-8"),
    "a link to what is no text": (TarEntry("./app/l", type=b"2", link=b"\xff"), "has a name that is not UTF-8"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_droplet_is_a_typed_error(name: str, tmp_path: Path) -> None:
    entry, why = HOSTILE[name]
    made = stage(SITUATIONS["nothing but a Procfile"](), tmp_path)
    path = with_extra(made, entry.to_bytes(), tmp_path / "evil.tgz")
    with pytest.raises(BadArchive) as caught:
        take(path, made.store)
    assert why in caught.value.message


def test_what_lies_outside_the_app_folder_is_no_source(tmp_path: Path) -> None:
    made = stage(SITUATIONS["nothing but a Procfile"](), tmp_path)
    path = with_extra(made, TarEntry("./etc/passwd", b"x").to_bytes(), tmp_path / "evil.tgz")
    with open_droplet(str(path)) as droplet, pytest.raises(BadArchive) as caught:
        receipt.make(droplet)
    assert "has './etc/passwd' in its layer of app files" in caught.value.message


def test_the_hostile_droplets_are_else_in_order(tmp_path: Path) -> None:
    made = stage(SITUATIONS["nothing but a Procfile"](), tmp_path)
    path = with_extra(made, TarEntry("./app/extra", b"x").to_bytes(), tmp_path / "good.tgz")
    check_complete(path, take(path, made.store))


# --- the graph -------------------------------------------------------------------------------------------------


def needs(name: str, place: Path) -> dict[str, tuple[str, ...]]:
    made = stage(SITUATIONS[name](), place)
    return {one.ref: one.needs for one in take(made.path, made.store).components}


def test_python_requirements_follow_markers_and_extras(tmp_path: Path) -> None:
    found = needs("extras and markers", tmp_path)
    assert found["pkg:pypi/web@1.0"] == ("pkg:pypi/auth-kit@1.0",)
    assert found["pkg:pypi/auth-kit@1.0"] == ("pkg:pypi/jose@1.0",)
    assert found["app"] == ("generated", "pkg:pypi/web@1.0", "pkg:pypi/win@1.0")


def test_node_requirements_are_found_as_node_finds_them(tmp_path: Path) -> None:
    nested = needs("nested npm packages", tmp_path / "1")
    assert nested["pkg:npm/top@1.0.0"] == ("pkg:npm/low@2.0.0",)
    assert nested["app"] == ("generated", "pkg:npm/low@1.0.0", "pkg:npm/top@1.0.0")
    assert needs("pnpm's links", tmp_path / "2")["pkg:npm/one@1.0.0"] == ("pkg:npm/%40s/two@1.0.0",)
    inside = "pkg:npm/inside@3.0.0#node_modules/carrier/node_modules/inside"
    assert needs("an npm package inside another", tmp_path / "3")["pkg:npm/carrier@1.0.0"] == (inside,)
    assert needs("one npm package at two places", tmp_path / "4")["pkg:npm/host@1.0.0"] == ("pkg:npm/dup@1.0.0",)


def test_a_runtime_needs_its_debian_packages(tmp_path: Path) -> None:
    found = needs("Debian packages", tmp_path)
    both = tuple(f"pkg:deb/debian/{name}@1.0-1?arch=amd64" for name in ("libone", "libtwo"))
    assert found["runtime:python"] == both
    assert found["app"] == ("generated", "pkg:pypi/shop@1.0", "runtime:python")


def test_the_stacks_own_packages_are_listed_when_they_are_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage(SITUATIONS["two wheels"](), tmp_path / "made")
    boxes, real = tmp_path / "boxes", resources.folder
    shutil.copytree(real("boxes"), boxes, ignore=shutil.ignore_patterns("box.lock"))
    monkeypatch.setattr("stager.text.resources.folder", lambda kind: str(boxes) if kind == "boxes" else real(kind))
    assert component(take(made.path, made.store), "stack").needs == ()
    definition = find.load("debian-12")
    pins = tuple(DebPin(name, "1:2-3", "amd64", 7, DIGEST, f"pool/main/x/{name}.deb") for name in ("bash", "libc6"))
    found = lock.StackLock(
        "debian-12", definition.wishes(), (("bookworm", "2026-01-01T00:00:00Z"),), (("root", "amd64", pins),)
    )
    (boxes / "debian-12" / "box.lock").write_text(lock.dumps(found))
    listed = take(made.path, made.store)
    refs = ("stack:pkg:deb/debian/bash@1:2-3?arch=amd64", "stack:pkg:deb/debian/libc6@1:2-3?arch=amd64")
    assert component(listed, "stack").needs == refs
    assert component(listed, refs[0]).digests == (DIGEST,)
    check_complete(made.path, listed)
    check_cyclonedx(sbom.dumps(listed, "cyclonedx"), tmp_path)
    check_spdx(sbom.dumps(listed, "spdx"), tmp_path)
    rows = {row["bom-ref"]: row.get("scope") for row in json.loads(sbom.dumps(listed, "cyclonedx"))["components"]}
    assert {ref for ref, scope in rows.items() if scope == "excluded"} == set(refs)  # they are not in the droplet


def component(found: Inventory, ref: str) -> Component:
    return next(one for one in found.components if one.ref == ref)


# --- licences --------------------------------------------------------------------------------------------------


def licence(name: str, place: Path) -> dict[str, Licence]:
    made = stage(SITUATIONS[name](), place)
    return {one.ref: one.licence for one in take(made.path, made.store).components}


def test_licences_are_what_the_packages_say(tmp_path: Path) -> None:
    found = licence("two wheels", tmp_path / "1") | licence("extras and markers", tmp_path / "2")
    found |= licence("nested npm packages", tmp_path / "3") | licence("pnpm's links", tmp_path / "4")
    found |= licence("an npm package inside another", tmp_path / "5") | licence("Debian packages", tmp_path / "6")
    debian = Licence("MIT AND (GPL-2.0-or-later OR Artistic-1.0-Perl)")
    inside = "pkg:npm/inside@3.0.0#node_modules/carrier/node_modules/inside"
    expected = {
        "pkg:pypi/cart@1.0": Licence(names=("BSD",)),
        "pkg:pypi/jose@1.0": Licence("Apache-2.0"),
        "pkg:pypi/win@1.0": Licence("MIT OR Apache-2.0"),
        "pkg:npm/top@1.0.0": Licence("MIT"),
        "pkg:npm/low@2.0.0": Licence("ISC"),
        "pkg:npm/%40s/two@1.0.0": Licence(names=("SEE LICENSE IN x",)),
        inside: Licence("MIT OR Apache-2.0"),
        "pkg:deb/debian/libone@1.0-1?arch=amd64": debian,
        "pkg:deb/debian/libtwo@1.0-1?arch=amd64": debian,
    }
    assert {ref: found[ref] for ref in expected} == expected


FORMAT = "Format: https://www.debian.org/x/copyright-format/1.0/\n\nFiles: *\nCopyright: X\nLicense:"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Licence()),
        ("This package was debianized by X.\n", Licence()),
        (f"{FORMAT} BSD-variant\n", Licence(names=("BSD-variant",))),
        (f"{FORMAT} LGPL-2.1+\n", Licence("LGPL-2.1-or-later")),
        (f"{FORMAT}\n", Licence()),
        ("\0\0: :\n\n \n", Licence()),
    ],
)
def test_debian_copyright(text: str, expected: Licence) -> None:
    assert deb_copyright.licence(text) == expected


@pytest.mark.parametrize("value", [None, 7, [], {}, {"type": 3}, "", ["", None], "UNLICENSED" * 1000])
def test_a_strange_npm_licence_is_no_expression(value: Any) -> None:
    found = npm_packages.licence({"license": value})
    assert found.expression == ""
    assert all(len(name) <= 120 for name in found.names)


# --- identity --------------------------------------------------------------------------------------------------


def test_the_serial_is_the_uuid_of_the_digest() -> None:
    assert uuid5(uuid.NAMESPACE_X500.bytes, "x") == str(uuid.uuid5(uuid.NAMESPACE_X500, "x"))
    found = Inventory(DIGEST, 1, (), ())
    assert found.serial == str(uuid.uuid5(uuid.NAMESPACE_X500, DIGEST))


def test_the_documents_hold_no_clock_and_no_path_of_this_machine(staged: Staged) -> None:
    found = take(staged.path, staged.store)
    for kind in sbom.FORMATS:
        text = sbom.dumps(found, kind, files=True).decode()
        assert str(staged.path.parent) not in text
        assert "timestamp" not in json.loads(text).get("metadata", {})
    spdx = json.loads(sbom.dumps(found, "spdx"))
    assert spdx["creationInfo"] == {"created": "1980-01-01T00:00:01Z", "creators": ["Tool: stager"]}


# --- the command -----------------------------------------------------------------------------------------------


def test_the_command_prints_the_document_or_writes_it(tmp_path: Path) -> None:
    made = stage(SITUATIONS["Python and Node"](), tmp_path)
    printed = in_process("sbom", made.path, "--offline", store=Path(made.store.root)).good()
    assert printed.document["serialNumber"] == f"urn:uuid:{take(made.path, made.store).serial}"
    out = tmp_path / "x.json"
    written = in_process(
        "sbom", made.path, "--format", "spdx", "--files", "-o", out, "--json", store=Path(made.store.root)
    ).good()
    assert out.read_bytes() == sbom.dumps(take(made.path, made.store), "spdx", files=True)
    assert (written.document["digest"], written.document["size"]) == (made.digest, out.stat().st_size)


# --- real apps -------------------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("name", REAL)
def test_real_apps_are_complete_and_valid(name: str, tmp_path: Path, shared_store: Path) -> None:
    app, out = materialise(name, tmp_path), tmp_path / "droplet.tgz"
    in_process("stage", app, "-o", out, store=shared_store).good()
    found = take(out, Store(str(shared_store)))
    check_complete(out, found)
    source = {row.path.removeprefix("app/") for row in found.files if row.owner == "app"}
    assert source == {path.relative_to(app).as_posix() for path in app.rglob("*") if not path.is_dir()} - {
        "stager.lock"
    }
    check_cyclonedx(sbom.dumps(found, "cyclonedx"), tmp_path, second=name in REAL[::5])
    check_spdx(sbom.dumps(found, "spdx"), tmp_path, whole=name in REAL[::5])
    plan = json.loads(in_process("plan", app, "--json", store=shared_store).good().out)
    assert {row["purl"] for row in plan["artifacts"]} <= {one.purl for one in found.components}
