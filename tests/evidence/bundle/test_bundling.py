"""Bundles: equal for equal plans, complete, refused when anything is not what it says, and enough without a network."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apps_fixture import materialise
from builders import TarEntry, make_tar, octal, pax
from command import in_process
from evidence_apps import SITUATIONS, Staged, settings, stage

from stager import staging
from stager.digest import canonical_json
from stager.droplet.incremental import Folder
from stager.errors import LockStale, StagerError
from stager.evidence.bundle.exporting import export
from stager.evidence.bundle.importing import load
from stager.evidence.errors import BadBundle
from stager.formats.tar import END, outside_file_header, padding
from stager.store import Store
from stager.store.errors import DigestMismatch, StoreCorrupt
from stager.tree import SourceTree

Members = dict[str, bytes]
REAL = ["flask-uv", "express-npm-v3", "static-plain"]


@pytest.fixture(scope="module", params=SITUATIONS)
def staged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return stage(SITUATIONS[request.param](), tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return stage(SITUATIONS["Python and Node"](), tmp_path_factory.mktemp("mixed"))


def bundle(made: Staged, out: Path) -> Path:
    export(str(made.app), str(out), made.settings())
    return out


def members(path: Path) -> Members:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def packed(parts: Members) -> bytes:
    """A tar with the headers that stager writes."""
    rows = [(name.removeprefix("./"), data) for name, data in parts.items()]
    return b"".join(outside_file_header(name, len(data)) + data + padding(len(data)) for name, data in rows) + END


def snapshot(folder: Path) -> dict[str, Any]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else "" for path in folder.rglob("*")
    }


# --- whole ones ------------------------------------------------------------------------------------------------


def test_an_empty_store_and_the_bundle_give_the_same_droplet(staged: Staged, tmp_path: Path) -> None:
    path = bundle(staged, tmp_path / "b.tar")
    app = tmp_path / "elsewhere"
    shutil.copytree(staged.app, app, symlinks=True)
    (app / "stager.lock").unlink()
    store = Store(str(tmp_path / "store"))
    done = load(str(path), store, str(app))
    assert (done.blobs, done.new) == (len(staged.plan.artifacts), len(staged.plan.artifacts))
    assert done.lock == str(app / "stager.lock")
    assert (app / "stager.lock").read_bytes() == (staged.app / "stager.lock").read_bytes()
    folder, wishes = Folder.read(str(app), store), settings(tmp_path, store)
    again = staging.stage_plan(*staging.current_plan(folder, wishes), str(tmp_path / "d.tgz"), wishes)
    assert again.digest == staged.digest
    assert load(str(path), store, str(app)).new == 0


def test_a_bundle_is_a_function_of_the_plan(staged: Staged, tmp_path: Path) -> None:
    one = bundle(staged, tmp_path / "1.tar")
    other = stage(staged.situation, tmp_path / "again")
    assert bundle(other, tmp_path / "2.tar").read_bytes() == one.read_bytes()


def test_its_layout_is_what_the_page_says(mixed: Staged, tmp_path: Path) -> None:
    path = bundle(mixed, tmp_path / "b.tar")
    found = members(path)
    index = json.loads(found["./bundle.json" if "./bundle.json" in found else "bundle.json"])
    names = [name.removeprefix("./") for name in found]
    blobs = sorted({row["blob"] for row in index["artifacts"].values()})
    assert names == ["bundle.json", "stager.lock", *(f"blobs/sha256/{name}" for name in blobs)]
    assert set(index["artifacts"]) == {str(one.digest) for one in mixed.plan.artifacts}
    for name, data in found.items():
        if "blobs/" in name:
            assert name.endswith(hashlib.sha256(data).hexdigest())
    with tarfile.open(path) as archive:
        assert {(m.mtime, m.uid, m.gid, m.mode, m.uname) for m in archive} == {(315532801, 2000, 0, 0o664, "")}


def test_a_damaged_blob_is_not_passed_on(tmp_path: Path) -> None:
    made = stage(SITUATIONS["two wheels"](), tmp_path)
    blob = Path(made.store.path(made.plan.artifacts[0].digest.hex))
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreCorrupt):
        bundle(made, tmp_path / "b.tar")
    assert not [path for path in tmp_path.iterdir() if "b.tar" in path.name]


def test_written_into_the_app_it_is_no_source(mixed: Staged) -> None:
    before = SourceTree.read(str(mixed.app))
    export(str(mixed.app), str(mixed.app / "inputs.bin"), mixed.settings())
    after = SourceTree.read(str(mixed.app))
    assert after == before
    assert after.left_out == (*before.left_out, ("inputs.bin", "written by stager: a bundle"))
    (mixed.app / "inputs.bin").unlink()


def test_a_buildpack_outside_the_app_is_refused(tmp_path: Path) -> None:
    app, own = tmp_path / "app", tmp_path / "own"
    app.mkdir()
    own.mkdir()
    (app / "serve").write_text("#!/bin/sh\n")
    (app / "serve").chmod(0o755)
    (app / "Procfile").write_text("web: ./serve\n")
    (own / "buildpack.yml").write_text(
        'name: own\nversion: "1"\nlooks_for: serve\ndetect:\n  - {file: serve, claim: manifest, why: it has serve}\n'
    )
    done = in_process(
        *("bundle", "export", app, "--buildpack", own, "--offline", "-o", tmp_path / "b.tar", "--json"),
        store=tmp_path / "store",
    )
    assert done.document["error"]["message"] == "the buildpack own lies outside the app, in ../own"


def test_another_app_is_refused_before_anything_is_stored(mixed: Staged, tmp_path: Path) -> None:
    path = bundle(mixed, tmp_path / "b.tar")
    other = tmp_path / "other"
    other.mkdir()
    (other / "Procfile").write_text("web: ./other\n")
    store = Store(str(tmp_path / "store"))
    with pytest.raises(LockStale):
        load(str(path), store, str(other))
    assert not list((tmp_path / "store/v1/blobs/sha256").iterdir())
    shutil.copytree(mixed.app, tmp_path / "same")
    (tmp_path / "same/stager.lock").write_bytes((mixed.app / "stager.lock").read_bytes() + b"# mine\n")
    with pytest.raises(BadBundle) as caught:
        load(str(path), store, str(tmp_path / "same"))
    assert caught.value.message == "pins another plan than the app's stager.lock"


def test_the_commands(mixed: Staged, tmp_path: Path) -> None:
    out, store = tmp_path / "b.tar", Path(mixed.store.root)
    done = (
        in_process("bundle", "export", mixed.app, "--offline", "-q", "-o", out, "--json", store=store).good().document
    )
    assert done["digest"] == "sha256:" + hashlib.sha256(out.read_bytes()).hexdigest()
    assert (done["size"], done["blobs"]) == (out.stat().st_size, len(mixed.plan.artifacts))
    there = tmp_path / "there"
    taken = in_process("bundle", "import", out, mixed.app, "--json", store=there).good().document
    assert taken == {"plan": done["plan"], "blobs": done["blobs"], "new": done["blobs"], "lock": "", "unbelieved": 0}
    droplet = tmp_path / "d.tgz"
    in_process("stage", mixed.app, "--locked", "--offline", "-o", droplet, store=there).good()
    assert "sha256:" + hashlib.sha256(droplet.read_bytes()).hexdigest() == mixed.digest


# --- hostile ones ----------------------------------------------------------------------------------------------


def changed(name: str, change: Callable[[bytes], bytes]) -> Callable[[Members], bytes]:
    """The bundle with one member's bytes changed; `name` is the end of its name."""

    def make(parts: Members) -> bytes:
        found = next(key for key in parts if key.endswith(name) or (name == "blob" and "blobs/" in key))
        return packed({**parts, found: change(parts[found])})

    return make


def indexed(change: Callable[[dict[str, Any]], object]) -> Callable[[Members], bytes]:
    """The bundle with its index changed."""

    def edit(data: bytes) -> bytes:
        index = json.loads(data)
        change(index)
        return canonical_json(index)

    return changed("bundle.json", edit)


def with_entry(entry: TarEntry) -> Callable[[Members], bytes]:
    """The bundle with one more member."""
    return lambda parts: packed(parts)[:-1024] + make_tar([entry])


def first_row(index: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = next(iter(index["artifacts"].values()))
    return row


def without(parts: Members, word: str) -> Members:
    gone = next(name for name in parts if word in name)
    return {name: data for name, data in parts.items() if name != gone}


def swapped(parts: Members) -> bytes:
    one, two = [name for name in parts if "blobs/" in name][:2]
    return packed({**parts, one: parts[two], two: parts[one]})


def lengthened(parts: Members) -> bytes:
    """One member that says it is larger than the whole file."""
    name = next(name for name in parts if "blobs/" in name)
    entries = [
        TarEntry(key, data, fields={"size": octal(1 << 32, 12)} if key == name else {}) for key, data in parts.items()
    ]
    return make_tar(entries)


def retimed(parts: Members) -> bytes:
    """A header of another time, with a right checksum."""
    return make_tar([TarEntry(name, data) for name, data in parts.items()])


def renamed(parts: Members) -> bytes:
    """One more member, whose real name stands in an extended header."""
    return packed(parts)[:-1024] + make_tar([pax({"path": "../x"}), TarEntry("x", b"")])


def again(data: bytes) -> bytes:
    """The first blob's size once more, before the right one."""
    return data.replace(b'"size":', b'"size":1,"size":', 1)


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


FORM = "is not laid out as stager lays out bundles"
FIRST = "sha256:" + "1" * 64
HOSTILE: dict[str, tuple[Callable[[Members], bytes], str, str]] = {
    "not a tar": (lambda _: b"hello", "BadBundle", "is no bundle: it is text"),
    "empty": (lambda _: b"", "BadBundle", "is no bundle: it is empty"),
    "only zeros": (lambda _: bytes(1024), "BadBundle", "is no bundle: it has no bundle.json"),
    "cut in a blob": (lambda parts: packed(parts)[:-3000], "BadArchive", "is cut short"),
    "cut before its end": (lambda parts: packed(parts)[:-1024], "BadBundle", FORM),
    "cut inside its end": (lambda parts: packed(parts)[:-512], "BadBundle", FORM),
    "another time in a header": (retimed, "BadBundle", FORM),
    "members in another order": (lambda parts: packed(dict(sorted(parts.items()))), "BadBundle", FORM),
    "an index with spaces": (changed("bundle.json", lambda data: json.dumps(json.loads(data)).encode()), "BadBundle", FORM),
    "bytes after its end": (lambda parts: packed(parts) + b"x" * 512, "BadArchive", "behind its end"),
    "a climbing name": (with_entry(TarEntry("../../evil", b"x")), "UnsafeEntry", "evil"),
    "an absolute name": (with_entry(TarEntry("/etc/evil", b"x")), "UnsafeEntry", "evil"),
    "a climbing blob": (with_entry(TarEntry("blobs/sha256/../../../evil", b"x")), "UnsafeEntry", "evil"),
    "a link": (with_entry(TarEntry("blobs/link", type=b"2", link="/etc/passwd")), "UnsafeEntry", "link"),
    "a link inside": (with_entry(TarEntry("link", type=b"2", link="stager.lock")), "BadBundle", "holds 'link'"),
    "a hard link": (with_entry(TarEntry("hard", type=b"1", link="stager.lock")), "BadBundle", "holds 'hard'"),
    "a device": (with_entry(TarEntry("dev", type=b"3")), "UnsafeEntry", "is a character device"),
    "a member twice": (with_entry(TarEntry("stager.lock", b"x")), "UnsafeEntry", "stager.lock"),
    "a stray file": (with_entry(TarEntry("readme", b"x")), "BadBundle", "holds 'readme', which its plan does not name"),
    "a stray blob": (with_entry(TarEntry(f"blobs/sha256/{'0' * 64}", b"x")), "BadBundle", "which its plan does not name"),
    "a name in a PAX header": (renamed, "UnsafeEntry", "../x"),
    "a size beyond the file": (lengthened, "BadArchive", "is cut short"),
    "a blob of another byte": (changed("blob", flipped), "DigestMismatch", "expected sha256:"),
    "a blob with a byte more": (changed("blob", lambda data: data + b"x"), "BadBundle", "but the blob has"),
    "two blobs swapped": (swapped, "", "" ),
    "a blob left out": (lambda parts: packed(without(parts, "blobs/")), "BadBundle", "lacks blobs/sha256/"),
    "no plan": (lambda parts: packed(without(parts, "stager.lock")), "BadBundle", "is no bundle: it has no stager.lock"),
    "no index": (lambda parts: packed(without(parts, "bundle.json")), "BadBundle", "is no bundle: it has no bundle.json"),
    "another plan": (changed("stager.lock", lambda data: data.replace(b"web", b"job")), "BadBundle", "is not the plan"),
    "a plan that is none": (changed("stager.lock", lambda _: b"x = 1\n"), "BadBundle", "stager.lock cannot be read"),
    "an index that is no JSON": (changed("bundle.json", lambda _: b"{"), "BadBundle", "is not valid JSON"),
    "an index that is a list": (changed("bundle.json", lambda _: b"[]"), "BadBundle", "expected a table, found list"),
    "a key twice": (changed("bundle.json", lambda data: b'{"bundle":1,' + data[1:]), "BadBundle", "a member is there twice"),
    "a key twice, deep": (changed("bundle.json", again), "BadBundle", "a member is there twice"),
    "a deep index": (changed("bundle.json", lambda _: b"[" * 100_000), "BadBundle", "is not valid JSON"),
    "another version": (indexed(lambda index: index.update(bundle=2)), "BadBundle", "is 2; this stager reads version 1"),
    "another plan's digest": (indexed(lambda index: index.update(plan="sha256:" + "0" * 64)), "BadBundle", "is not the plan"),
    "an artifact too many": (indexed(lambda i: i["artifacts"].update({FIRST: first_row(i)})), "BadBundle", "does not name"),
    "an artifact too few": (indexed(lambda index: index["artifacts"].popitem()), "BadBundle", "which its plan needs"),
    "a blob's name that climbs": (indexed(lambda index: first_row(index).update(blob="../../x")), "BadBundle", "holds"),
    "a size that lies": (indexed(lambda index: first_row(index).update(size=1)), "BadBundle", "is 1, but the blob has"),
    "a size that is none": (indexed(lambda index: first_row(index).update(size="1")), "BadBundle", "expected an integer"),
    "artifacts that are a list": (indexed(lambda i: i.update(artifacts=[])), "BadBundle", "expected a table, found list"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bundle_that_is_not_what_it_says_is_refused(name: str, mixed: Staged, tmp_path: Path) -> None:
    make, kind, words = HOSTILE[name]
    parts = members(bundle(mixed, tmp_path / "good.tar"))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "b.tar").write_bytes(make(parts))
    before = snapshot(tmp_path)
    with pytest.raises(StagerError) as caught:
        load(str(inside / "b.tar"), Store(str(inside / "store")))
    assert type(caught.value).__name__ == (kind or "DigestMismatch") or (
        not kind and isinstance(caught.value, BadBundle)
    )
    assert words in str(caught.value)
    assert caught.value.exit_code in (50, 60)
    after = {path: data for path, data in snapshot(tmp_path).items() if not path.startswith("inside/store")}
    assert after == before
    for blob in (inside / "store/v1/blobs/sha256").glob("*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name  # what was right before the damage may stay


def test_a_blob_pinned_by_another_digest_is_checked_by_that_one(tmp_path: Path) -> None:
    """npm pins by SHA-512: a bundle whose index points it to another blob must not poison the store's memory."""
    made = stage(SITUATIONS["nested npm packages"](), tmp_path)
    parts = members(bundle(made, tmp_path / "b.tar"))
    name = next(key for key in parts if key.endswith("bundle.json"))
    index = json.loads(parts[name])
    one, two = list(index["artifacts"])[:2]
    index["artifacts"][one], index["artifacts"][two] = index["artifacts"][two], index["artifacts"][one]
    (tmp_path / "b.tar").write_bytes(packed({**parts, name: canonical_json(index)}))
    store = Store(str(tmp_path / "another"))
    with pytest.raises(DigestMismatch) as caught:
        load(str(tmp_path / "b.tar"), store)
    assert str(caught.value.data["expected"]).startswith("sha512:")
    assert store.recall("artifact", one) is None
    assert store.recall("artifact", two) is None


def test_a_bundle_for_another_stager_says_so(mixed: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle(mixed, tmp_path / "b.tar")
    monkeypatch.setattr("stager.evidence.bundle.importing.CODEC", "deflate-1.0.0-level-6/1")
    with pytest.raises(BadBundle) as caught:
        load(str(path), Store(str(tmp_path / "store")))
    assert "the codec is another one here" in caught.value.message


def test_a_large_bundle_is_never_held_in_memory(tmp_path: Path) -> None:
    situation = SITUATIONS["nothing but a Procfile"]()
    from evidence_apps import wheel

    situation.packages.append(wheel("big", files={"big/__init__.py": b"", "big/data": os.urandom(24 << 20)}))
    made = stage(situation, tmp_path)
    path = bundle(made, tmp_path / "b.tar")
    tracemalloc.start()
    load(str(path), Store(str(tmp_path / "another")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 24 << 20
    assert peak < 12 << 20


# --- without a network -----------------------------------------------------------------------------------------

ISOLATED = (
    "import socket, sys\n"
    "names = sorted(line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:])\n"
    "print(names)\n"
    "try:\n    socket.create_connection(('192.0.2.1', 80), 2)\nexcept OSError as error:\n    print(error.errno)\n"
)


def isolated() -> list[str]:
    """A command prefix that runs a program in a network namespace of its own, which has no interface that is up."""
    tool = shutil.which("unshare")
    if tool is None:
        pytest.skip("unshare is not installed")
    prefix = [tool, "--net"] if os.geteuid() == 0 else [tool, "--user", "--map-root-user", "--net"]
    done = subprocess.run([*prefix, sys.executable, "-c", ISOLATED], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no network namespace: {done.stderr.strip()}")
    assert done.stdout == "['lo']\n101\n", "the namespace must have no way out"
    return prefix


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("name", REAL)
def test_without_any_network_the_bundle_gives_the_same_digest(name: str, tmp_path: Path, shared_store: Path) -> None:
    prefix = isolated()
    app = materialise(name, tmp_path / "here")
    online = (
        in_process("stage", app, "-o", tmp_path / "online.tgz", "--json", store=shared_store).good().document["digest"]
    )
    in_process("bundle", "export", app, "-o", tmp_path / "b.tar", store=shared_store).good()
    away = tmp_path / "there" / name
    shutil.copytree(app, away, symlinks=True)
    environment = {**os.environ, "STAGER_CACHE_DIR": str(tmp_path / "empty")}

    def alone(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [*prefix, sys.executable, "-m", "stager", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)

    refused = alone("stage", away, "--offline", "--locked", "-o", tmp_path / "x.tgz")
    if materials(app):
        assert refused.returncode == 40, refused.stderr
    taken = alone("bundle", "import", tmp_path / "b.tar", away, "--json")
    assert taken.returncode == 0, taken.stderr
    done = alone("stage", away, "--offline", "--locked", "-o", tmp_path / "offline.tgz", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == online
    assert (tmp_path / "offline.tgz").read_bytes() == (tmp_path / "online.tgz").read_bytes()


def materials(app: Path) -> bool:
    """Whether the app's plan has any artifact, so that an empty store cannot do."""
    return b"[[artifact]]" in (app / "stager.lock").read_bytes()


def test_reading_a_member_twice_is_not_needed(mixed: Staged, tmp_path: Path) -> None:
    """Other tools read a bundle, too: it is a plain tar."""
    path = bundle(mixed, tmp_path / "b.tar")
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes()), mode="r|") as archive:
        assert len(list(archive)) == 2 + len(mixed.plan.artifacts)
