"""One suite over the registry of ecosystems: what everything else takes from a record holds for each of them.

A new ecosystem is tested here without new test code.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import IO, TypeVar

import pytest

from stager import ecosystems
from stager.digest import sha256
from stager.ecosystems.graph import Graph
from stager.ecosystems.installed import Installed
from stager.ecosystems.record import Ecosystem, Laid, LockRequest, MakeRequest, WantedArtifact
from stager.errors import StagerError
from stager.facts import stacks
from stager.model import Artifact, Plan, Reason, Runtime
from stager.net.errors import NotFound
from stager.net.indexes import Indexes
from stager.planning import buildpacks
from stager.text.resources import is_input
from stager.tree import SourceTree

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
NAMES = list(ecosystems.ECOSYSTEMS)
every = pytest.mark.parametrize("one", ecosystems.ecosystems(), ids=lambda one: one.name)
STACK = stacks.load("debian-12", "amd64")
RUNTIMES = {"python": "3.11.2", "node": "20.1.0"}
INDEXES = Indexes(
    pypi_default="https://pypi.example/simple", npm_registry="https://npm.example", debian_mirror="https://deb.example",
    debian_security_mirror="https://sec.example", others={name: f"https://{name}.example" for name in NAMES},
)  # fmt: skip
GARBAGE: tuple[str | bytes, ...] = (
    "", "{", "[]", "{}", "null", "\0", b"\xff\xfe", "a: [", "= 1", "x" * 5000, '{"packages": 5}', "version = 1\n",
    "[" * 3000, '{"lockfileVersion": 3, "packages": {"": 7}}', "[[package]]\nname = 7\n", "# yarn lockfile v1\n\nx\n",
)  # fmt: skip
HEAVY = (
    "yaml",
    "packaging",
    "packageurl",
    "requests",
    "urllib3",
    "debian",
    "semantic_version",
    "subprocess",
    "tomllib",
)


class Silent:
    """Index pages that do not exist."""

    def get(self, url: str, *, accept: str = "") -> bytes:
        assert accept is not None
        raise NotFound(url)

    @contextmanager
    def opened(self, url: str, *, accept: str = "") -> Iterator[IO[bytes]]:
        self.get(url, accept=accept)
        yield from ()


def item(one: Ecosystem, layout: str = "x/1", data: bytes = b"x") -> Artifact:
    return Artifact(f"pkg:{one.name}/shop@1.0.0", "shop-1.0.0.x", sha256(data), layout, (".stager/shop",))


def plan(artifacts: Iterable[Artifact] = ()) -> Plan:
    runtimes = tuple(Runtime(name, version, "x", (0, 0), Reason("x")) for name, version in RUNTIMES.items())
    return Plan("debian-12", "amd64", "codec", (), (), runtimes, tuple(artifacts), (), (), (), ())


def request(tree: SourceTree, lock: str) -> LockRequest:
    return LockRequest(tree, lock, STACK, RUNTIMES, INDEXES)


def tried(ask: Callable[..., T], *given: object) -> T | None:
    """What is answered; None for an error of stager's own, and any other is a failure."""
    try:
        return ask(*given)
    except StagerError:
        return None


# --- the registry ----------------------------------------------------------------------------------------------


def test_what_buildpacks_are_of_is_an_ecosystem_with_locks() -> None:
    used = {pack.ecosystem for pack in buildpacks.load_all() if pack.ecosystem}
    assert used == {one.name for one in ecosystems.ecosystems() if one.read_lock}


def test_a_layout_is_one_ecosystems() -> None:
    layouts = [layout for one in ecosystems.ecosystems() for layout in one.layouts]
    assert len(layouts) == len(set(layouts)) == len(ecosystems.by_layout())
    assert all(re.fullmatch(r"[a-z-]+/[0-9]+", layout) for layout in layouts)


def test_a_section_of_stager_yml_is_one_ecosystems() -> None:
    sections = [one.section for one in ecosystems.ecosystems() if one.section]
    assert len(sections) == len(set(sections))


@pytest.mark.parametrize("name", NAMES)
def test_a_record_imports_nothing_heavy(name: str) -> None:
    code = f"import sys, {ecosystems.ECOSYSTEMS[name]}\nprint(*sorted({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split() == []


# --- one record ------------------------------------------------------------------------------------------------


@every
def test_it_is_what_the_registry_calls_it(one: Ecosystem) -> None:
    assert ecosystems.ecosystem(one.name) is one
    assert one.title
    assert one.gone.endswith(".")
    assert ecosystems.of_purl(item(one)) is one
    with pytest.raises(FrozenInstanceError):
        one.name = "other"  # type: ignore[misc]


@every
def test_versions_are_in_order(one: Ecosystem) -> None:
    mixed = ["10.0.0", "1.10.0", "2.0.1", "1.2.3", "0.9.0"]
    assert sorted(mixed, key=one.order) == ["0.9.0", "1.2.3", "1.10.0", "2.0.1", "10.0.0"]
    assert one.upstream("1.2.3") == "1.2.3"
    with pytest.raises((ValueError, TypeError)):
        one.order("no version at all!")


@every
def test_what_decides_the_plan_makes_a_lock_stale(one: Ecosystem) -> None:
    """Locks and manifests are inputs of the buildpacks of the ecosystem, so that an edit of one is noticed."""
    for pack in (pack for pack in buildpacks.load_all() if pack.ecosystem == one.name):
        assert [path for path in (*one.locks, *one.manifests, *one.workspaces) if not is_input(path, pack.inputs)] == []
    assert bool(one.locks) == bool(one.manifests) == bool(one.read_lock)
    assert one.layouts or not one.read_lock
    assert set(one.locks_with_urls) <= set(one.locks)
    assert bool(one.options) == bool(one.section)
    assert bool(one.starts_member) == bool(one.workspaces)


# --- locks -----------------------------------------------------------------------------------------------------


@every
def test_an_app_without_its_files_has_nothing_of_it(one: Ecosystem) -> None:
    tree = SourceTree.of({"README": "x"})
    assert (one.find_locks(tree), one.declared(tree), one.members(tree), one.manager(tree)) == ([], frozenset(), [], "")
    assert list(one.included(tree, "")) == []
    if one.read_lock:
        locked = one.read_lock(request(tree, ""))
        assert (locked.artifacts, locked.names, locked.hints) == ((), frozenset(), ())


@every
def test_a_lock_that_is_garbage_is_an_error_of_its_own(one: Ecosystem) -> None:
    """Never a traceback: a typed error or, where the format allows it, a lock of nothing."""
    for lock in one.locks:
        for data in GARBAGE:
            if tree := tried(SourceTree.of, {lock: data, "package.json": "{}"}):
                locked = tried(one.read_lock, request(tree, lock)) if one.read_lock else None
                assert locked is None or locked.artifacts == ()
                graph = tried(one.needs, tree, lock, plan()) if one.needs else None
                assert graph is None or not any(graph.edges.values())
                assert tried(one.find_locks, tree) in ([lock], [], None)
                assert set(tried(one.included, tree, lock) or ()) <= {lock}
                for ask in (one.check_drift, one.requires):
                    assert not tried(ask, tree, lock)
                tried(one.check_manager, tree, lock, {lock: "x"})


@every
def test_a_manifest_that_is_garbage_is_an_error_of_its_own(one: Ecosystem) -> None:
    for manifest in one.manifests:
        for data in GARBAGE:
            if tree := tried(SourceTree.of, {manifest: data}):
                for ask in (one.members, one.manager):
                    assert not tried(ask, tree)
                for fact in tried(one.facts, tree) or ():
                    assert fact[1] == ""
                tried(one.declared, tree)


@every
def test_who_needs_whom_is_one_kind_of_value(one: Ecosystem) -> None:
    graph = Graph("lock", {"a": "m:1"}, {"a": ["b"], "b": ["a"]}, {"a": ("a", "1"), "b": ("b", "2")})
    assert graph.path_to("b", "2") == ["a", "b"]
    assert one.needs is not None or not one.locks


@every
def test_a_lock_is_made_under_a_name_that_is_read(one: Ecosystem) -> None:
    assert (one.lock_name is None) == (one.make_lock is None)
    assert set(one.advice) <= set(one.locks)
    if one.lock_name is None:
        return
    tree = SourceTree.of(dict.fromkeys(one.manifests[:1], "{}" if one.manifests[0].endswith(".json") else ""))
    ask = MakeRequest(tree, INDEXES, "", {}, RUNTIMES.__getitem__, lambda place, *_: place)
    assert tried(one.lock_name, ask) in (*one.locks, None)


# --- artifacts -------------------------------------------------------------------------------------------------


@every
def test_damage_of_an_archive_is_an_error_of_its_own(one: Ecosystem, tmp_path: Path) -> None:
    for layout, recipe in one.layouts.items():
        for damage in (
            b"",
            b"no archive",
            b"\x1f\x8b\x08" + b"\0" * 40,
            b"PK\5\6" + b"\0" * 18,
            b"!<arch>\n" + b"x" * 200,
        ):
            (tmp_path / "blob").write_bytes(damage)
            with pytest.raises(StagerError):
                recipe(str(tmp_path / "blob"), item(one, layout, damage), "p")


@every
def test_where_an_artifact_may_be_is_on_its_own_index(one: Ecosystem) -> None:
    hosts = {"pypi.example", "npm.example", "deb.example", f"{one.name}.example"}
    hint = "https://files.example/shop"
    found = [url for url in one.locate(WantedArtifact(item(one), INDEXES, Silent, hint)) if url]
    assert hint in found or len(found) == 1
    assert all(re.match(r"https://([a-z.]+)/", url)[1] in {*hosts, "files.example"} for url in found)  # type: ignore[index]
    assert [url for url in one.locate(WantedArtifact(item(one), INDEXES, Silent)) if "files.example" in url] == []
    assert one.page is None or one.page(INDEXES).startswith("https://")


# --- packages in a droplet -------------------------------------------------------------------------------------


@every
def test_no_packages_want_nothing(one: Ecosystem) -> None:
    assert one.links((), ()) == {}
    assert one.notes(plan(), (), ()) == []
    one.check(plan(), ())
    if one.inventory:
        said = one.inventory(Installed(plan(), {}, frozenset(), {}, {}, {}))
        assert (said.licences, dict(said.needs), said.inner, said.asked) == ({}, {}, (), frozenset())


@every
def test_packages_that_say_nothing_are_taken_as_they_are(one: Ecosystem) -> None:
    for layout in one.layouts:
        artifact = item(one, layout)
        laid = [Laid(artifact, ".stager/shop", {})]
        assert (one.links(laid, ()), one.notes(plan([artifact]), laid, ())) == ({}, [])
        one.check(plan([artifact]), laid)
        if one.inventory:
            said = one.inventory(Installed(plan([artifact]), {0: artifact}, frozenset({0}), {}, {}, {}))
            assert (said.inner, [others for others in said.needs.values() if others]) == ((), [])


@every
def test_what_packages_leave_behind_may_be_garbage(one: Ecosystem) -> None:
    """Droplets come from anywhere: their files are looked into, and never believed beyond their own place."""
    artifact = item(one, next(iter(one.layouts), "x/1"))
    paths = (
        "p/shop-1.0.0.dist-info/RECORD",
        ".stager/shop/site-packages/shop-1.0.0.dist-info/RECORD",
        "x",
        "a/b/c.json",
    )
    for data in (b"", b"\xff" * 100, b'"', b"../../../../etc/passwd,,\n", b"[" * 5000, b'{"name": 7}', b"\0,\0,\0\n"):
        texts = dict.fromkeys((*paths, "node_modules/x/package.json", ".stager/shop/package.json"), data)
        if one.inventory:
            one.inventory(Installed(plan([artifact]), {0: artifact}, frozenset({0}), texts, {}, {}))
        if one.listing:
            lists = {path: data for path in texts if one.listing.is_list(path)}
            rows = [
                *((paths, below) for _, paths, below in one.listing.claims([(0, artifact)], lists)),
                *((paths, below) for _, paths, below in one.listing.unplanned(lists)),
            ]
            assert all(not path.startswith(("/", "..", "etc")) for claimed, _ in rows for path in claimed)
    assert not one.tells("main.py")
    assert not one.makes("main.py")
