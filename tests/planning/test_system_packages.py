"""Debian packages that an app needs while it runs: what its files ask for; and real ones, that answer in the app's stack."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from apps_fixture import expectation, materialise
from command import ask, in_process, running, stager
from debian_archive import Pages

from stager.digest import Digest
from stager.ecosystems.deb.place import LAYOUT, PLACE
from stager.errors import BadManifest
from stager.facts import stacks
from stager.model import Artifact, Build, Plan, Reason
from stager.net.errors import Unreachable
from stager.net.indexes import Indexes
from stager.planning import system_packages as packages
from stager.tree import SourceTree


def asked(files: dict[str, str]) -> tuple[list[tuple[str, str, int | None]], tuple[str, ...]]:
    found, notes = packages.wishes(SourceTree.of(dict(files)))
    return [tuple(wish) for wish in found], notes  # type: ignore[misc]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("stager.yml", "packages:\n  - jq\n  - ffmpeg\n", [("ffmpeg", 3), ("jq", 2)]),
        ("Aptfile", "# sound\nlibsndfile1 ffmpeg # two\n\n\njq\r\n", [("ffmpeg", 2), ("jq", 5), ("libsndfile1", 2)]),
        ("apt.yml", "---\ncleancache: true\npackages:\n- jq\n- g++\n", [("g++", 5), ("jq", 4)]),
        ("railpack.json", '{"deploy": {\n"aptPackages": ["...", "jq"]}}', [("jq", 2)]),
        ("nixpacks.toml", '[phases.setup]\naptPkgs = ["...", "jq"]\n', [("jq", 2)]),
        ("nixpacks.toml", "[phases\n", []),
        ("stager.yml", "packages: []\n", []),
    ],
)
def test_what_is_asked_for_and_where(file: str, text: str, expected: list[tuple[str, int]]) -> None:
    assert asked({file: text}) == ([(name, file, line) for name, line in expected], ())


def test_stager_yml_decides_alone() -> None:
    assert asked({"stager.yml": "packages: [jq]\n", "Aptfile": ":repo:deb x\n"}) == ([("jq", "stager.yml", 1)], ())
    assert asked({"stager.yml": "packages: []\n", "Aptfile": "ffmpeg\n"}) == ([], ())
    assert asked({"stager.yml": "stack: debian-12\n", "Aptfile": "ffmpeg\n"}) == ([("ffmpeg", "Aptfile", 1)], ())


def test_what_is_built_brings_what_it_is_linked_with_where_there_is_an_archive() -> None:
    reason = Reason("no wheel", "pylock.toml")
    build = Build("psycopg2", "artifact", "python", "stager:pep517/1", reason, of="pkg:pypi/psycopg2@2.9.13")
    builds = [("pypi", build), ("npm", replace(build, of="pkg:npm/psycopg2@1"))]
    assert packages.linked(builds, stacks.load("debian-12", "amd64")) == (("libpq5", "pylock.toml", None),)
    assert packages.linked(builds, stacks.load("ubi9", "amd64")) == ()


def test_what_is_not_read_is_told_with_the_line_to_write() -> None:
    nix = '[phases.setup]\nnixPkgs = ["...", "ffmpeg", "python311"]\n'
    line = "Write the names of Debian packages into stager.yml, which then decides alone: packages: [ffmpeg, python311]"
    assert asked({"nixpacks.toml": nix}) == ([], (f"nixpacks.toml: nixPkgs are not read; {line}",))
    building = "buildAptPackages are for building; name them as 'packages' of a build in stager.yml"
    assert asked({"railpack.json": '{"buildAptPackages": ["gcc"]}'}) == ([], (f"railpack.json: {building}",))


@pytest.mark.parametrize(
    ("files", "where", "message"),
    [
        ({"Aptfile": "jq\n:repo:deb https://x y z\n"}, "Aptfile:2", "names an archive of its own"),
        ({"apt.yml": "packages: [jq]\nkeys: [https://x]\n"}, "apt.yml:2", "names an archive of its own"),
        ({"Aptfile": "jq=1.6\n"}, "Aptfile:1", "'jq=1.6' names a version or a suite"),
        ({"Aptfile": "jq/bookworm\n"}, "Aptfile:1", "'jq/bookworm' names a version or a suite"),
        ({"Aptfile": "jq\nhttps://x.example/a_1_amd64.deb\n"}, "Aptfile:2", "is a file of its own"),
        ({"apt.yml": "packages: [./a.deb]\n"}, "apt.yml:1", "is a file of its own"),
        ({"stager.yml": "packages: [JQ]\n"}, "stager.yml:1", "'JQ' is not the name of a Debian package"),
    ],
)
def test_what_no_archive_vouches_for_is_refused(files: dict[str, str], where: str, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        asked(files)
    assert caught.value.where == where
    assert message in caught.value.message
    assert "into stager.yml, which then decides alone: packages: [" in caught.value.hint


def test_a_stack_without_an_archive() -> None:
    with pytest.raises(BadManifest) as caught:
        choose({"stager.yml": "packages: [jq]\n"}, "ubi9", None)
    assert caught.value.message == "the stack ubi9 has no archive that jq could come from"
    assert caught.value.hint == "Choose one that has: cflinuxfs4, debian-12, debian-13, heroku-24."


def choose(files: dict[str, str], stack: str, previous: Plan | None) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    tree = SourceTree.of(dict(files))
    found, facts = packages.choose(
        tree, stacks.load(stack), Pages(), Indexes(debian_mirror="https://deb.example"), previous
    )
    return [one.name for one in found.artifacts], facts


def test_what_a_lock_pins_stays_while_the_same_is_asked_for() -> None:
    pinned = Artifact("pkg:deb/debian/jq@1.6-2?arch=amd64", "x", Digest("sha256:" + "a" * 64), LAYOUT, (PLACE,))
    runtime = replace(pinned, purl="pkg:deb/debian/libssl3@3?arch=amd64", layout="deb-python/1")
    facts = (("packages", "jq"),)
    plan = Plan("debian-12", "amd64", "c", (), (), (), (pinned, runtime), (), (), (), (), facts)
    assert choose({"stager.yml": "packages: [jq]\n"}, "debian-12", plan) == (["debian/jq@1.6-2"], facts)
    for files, stack in (({"Aptfile": "jq\nfile\n"}, "debian-12"), ({"Aptfile": "jq\n"}, "debian-13")):
        with pytest.raises(Unreachable):
            choose(files, stack, plan)


def test_without_wishes_nothing_is_added() -> None:
    assert choose({"Aptfile": "# nothing\n"}, "debian-12", None) == ([], ())


# --- real ones -------------------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.tools
@pytest.mark.parametrize("name", ["packages-stager-yml", "packages-aptfile"])
def test_they_answer_in_the_apps_stack(name: str, tmp_path: Path, shared_store: Path) -> None:
    """Whose root has nothing of them: a program, a library loaded by its name, data in a place of its own."""
    out = tmp_path / "droplet.tgz"
    stager("stage", materialise(name, tmp_path), "-o", out, store=shared_store).good()
    with running(out, tmp_path / "log", "--in", "stack", store=shared_store) as (port, process):
        status, body = ask(port, "/", process)
        assert (status, body.strip()) == (200, expectation(name)["http"]["body"])


@pytest.mark.network
def test_who_tells_whose_a_file_is_knows_them(tmp_path: Path, shared_store: Path) -> None:
    out = tmp_path / "droplet.tgz"
    stager("stage", materialise("packages-stager-yml", tmp_path), "-o", out, store=shared_store).good()
    app = tmp_path / "packages-stager-yml"
    for name, why in (("jq", r"is in the droplet because the app asks for it \(its list of Debian packages\)"),
                      ("libonig5", r"is pinned by stager\.lock, since packages that the app asks for need it")):  # fmt: skip
        told = in_process("explain", "package", name, store=shared_store, cwd=app).good().out
        assert re.fullmatch(rf"{name} \S+ {why}\.\n", told)
    sbom = in_process("sbom", out, "--format", "spdx", "--files", store=shared_store, cwd=tmp_path).good()
    document = json.loads(sbom.out)
    ids = {one["SPDXID"]: one["name"] for one in document["packages"]}
    names = {one["SPDXID"]: one["fileName"] for one in document["files"]}
    owners = {
        names[one["relatedSpdxElement"]]: ids[one["spdxElementId"]]
        for one in document["relationships"]
        if one["relationshipType"] == "CONTAINS" and one["relatedSpdxElement"] in names
    }
    system = {path: owner for path, owner in owners.items() if f"/{PLACE}/" in path}
    assert set(system.values()) == {"jq", "libjq1", "libonig5"}
    assert system[f"./app/{PLACE}/usr/bin/jq"] == "jq"
    assert system[f"./app/{PLACE}/var/lib/dpkg/status.d/libonig5"] == "libonig5"
    needs = {
        (ids.get(one["spdxElementId"]), ids.get(one["relatedSpdxElement"]))
        for one in document["relationships"]
        if one["relationshipType"] == "DEPENDS_ON"
    }
    assert {("jq", "libjq1"), ("libjq1", "libonig5")} <= needs
    licences = {one["name"]: one["licenseDeclared"] for one in document["packages"]}
    assert "MIT" in licences["jq"]
