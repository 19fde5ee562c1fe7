"""One suite over the registry of runtimes: what everything else takes from a record holds for each of them.

A new runtime is tested here without new test code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stager import ecosystems, runtimes
from stager.digest import sha256
from stager.errors import StagerError
from stager.facts import stacks as box
from stager.model import Artifact, Reason, Runtime
from stager.net.errors import Unreachable
from stager.net.indexes import Indexes
from stager.planning import buildpacks, layouts
from stager.runtimes import ended
from stager.runtimes.chosen import ChosenRuntime
from stager.runtimes.errors import VersionError
from stager.runtimes.record import RuntimeKind, RuntimeRequest
from stager.runtimes.version_requests import VersionRequest
from stager.text.resources import is_input

WHY = Reason("a test", "asks.txt", 1)
PARTS = ("python", "node", "bun", "nginx")
"""Layers of droplets in their order: it is a part of every droplet's bytes."""
every = pytest.mark.parametrize("one", runtimes.kinds(), ids=lambda one: one.name)
stacks = pytest.mark.parametrize("stack", box.names())


@dataclass
class Silent:
    """Indexes that do not answer."""

    asked: list[str] = field(default_factory=list)

    def get(self, url: str, *, accept: str = "") -> bytes:
        self.asked.append(url)
        raise Unreachable(url, "a test")


class Asking:
    """An app without files, as readers ask for them: what is looked for is told."""

    def __init__(self) -> None:
        self.tree, self.looked_for = self, set[str]()

    def __contains__(self, path: str) -> bool:
        self.looked_for.add(path)
        return False


def packs(one: RuntimeKind) -> list[Any]:
    """The buildpacks that bring a runtime."""
    return [
        pack
        for pack in buildpacks.load_all()
        if one.name in (*pack.runtimes, *(name for _, names in (*pack.alternatives, *pack.building) for name in names))
    ]


def choose(one: RuntimeKind, stack: str, web: Silent) -> ChosenRuntime | StagerError:
    """What is chosen where no index answers, or why nothing is; beside a runtime that it may be a part of."""
    beside = {other: ChosenRuntime(Runtime(other, "1.2.3", "x", (0, 0), WHY), ()) for other in runtimes.MODULES}
    indexes = Indexes(npm_registry="https://npm.example", debian_mirror="https://deb.example")
    try:
        return one.choose(RuntimeRequest((), box.load(stack), web, indexes, beside=beside))
    except StagerError as error:
        return error


# --- the registry ----------------------------------------------------------------------------------------------


def test_what_buildpacks_and_stacks_bring_are_runtimes() -> None:
    brought = {name for pack in buildpacks.load_all() for name in pack.runtimes}
    more = [names for pack in buildpacks.load_all() for _, names in (*pack.alternatives, *pack.building)]
    brought |= {name for names in more for name in names}
    assert brought == set(runtimes.MODULES)
    assert {name for stack in box.names() for name in box.read(stack).sets} <= set(runtimes.MODULES)


def test_layers_and_buildpacks_keep_their_order() -> None:
    assert tuple(one.name for one in runtimes.places().values()) == PARTS
    assert [one.name for one in buildpacks.load_all()] == ["python", "nodejs", "static", "procfile"]


def test_a_layout_is_one_runtimes_or_one_ecosystems() -> None:
    all_of_them = [*ecosystems.by_layout(), *(layout for one in runtimes.kinds() for layout in one.layouts)]
    assert sorted(all_of_them) == sorted(layouts.names())


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(StagerError, match="no runtime is called 'perl'"):
        runtimes.kind("perl")
    assert runtimes.known("perl") is None


# --- one record ------------------------------------------------------------------------------------------------


@every
def test_it_is_what_the_registry_calls_it(one: RuntimeKind) -> None:
    assert runtimes.kind(one.name) is one
    assert one.title
    with pytest.raises(FrozenInstanceError):
        one.name = "other"  # type: ignore[misc]


@every
def test_its_place_is_its_own(one: RuntimeKind) -> None:
    assert one.place in ("", f".stager/{one.name}")
    assert one.programs in ("", f"{one.place}/bin")
    assert one.place or not one.programs


@every
def test_its_layouts_have_versions_and_name_their_package(one: RuntimeKind) -> None:
    assert one.layouts
    for name, layout in one.layouts.items():
        assert re.fullmatch(r"[a-z-]+/[0-9]+", name)
        assert layout.itself.startswith("pkg:")
        re.compile(layout.itself)
        assert layouts.recipe(name) is layout.unpack
        assert runtimes.of_layout(name) is one


@every
def test_damage_of_its_archives_is_an_error_of_its_own(one: RuntimeKind, tmp_path: Path) -> None:
    for name, layout in one.layouts.items():
        for damage in (b"", b"no archive", b"\x1f\x8b\x08" + b"\0" * 40, b"!<arch>\n" + b"x" * 200):
            (tmp_path / "blob").write_bytes(damage)
            item = Artifact("pkg:generic/other@1.0", "x", sha256(damage), name, ("p",))
            with pytest.raises(StagerError):
                layout.unpack(str(tmp_path / "blob"), item, "p")


# --- what asks for it ------------------------------------------------------------------------------------------


@every
def test_the_files_that_ask_for_it_determine_the_plan(one: RuntimeKind) -> None:
    """So that an edit of one makes the lock stale."""
    facts = Asking()
    for read in one.sources:
        assert list(read(facts)) == []  # type: ignore[arg-type]
    assert bool(facts.looked_for) == bool(one.sources)
    for pack in packs(one):
        assert [path for path in facts.looked_for if not is_input(path, pack.inputs)] == []


@every
def test_what_is_no_version_is_refused_or_read(one: RuntimeKind) -> None:
    for text in ("1.2", "1", ">=1", "latest", "~1.2", "", " ", "\0", "x" * 5000, "1.2.3.4.5", "lts/none", "pypy3"):
        found = read_or_refused(one, text)
        if isinstance(found, VersionError):
            assert found.where == "asks.txt:1"
        else:
            assert isinstance(found.accepts("1.2.3"), bool)
            assert found.reason == WHY


def read_or_refused(one: RuntimeKind, text: str) -> VersionRequest | VersionError:
    try:
        return one.parse(text, WHY)
    except VersionError as error:
        return error


@every
def test_a_version_is_what_asks_for_itself(one: RuntimeKind) -> None:
    for text in ("1.2.3", "1.2"):
        request = one.parse(text, WHY)
        assert request.accepts("1.2.3")
        assert not request.accepts("1.3.0")


@every
def test_versions_are_in_order(one: RuntimeKind) -> None:
    assert sorted(["10.0.0", "1.10.0", "2.0.1", "1.2.3", "0.9.0"], key=one.order) == [
        *("0.9.0", "1.2.3", "1.10.0", "2.0.1", "10.0.0")
    ]


# --- how it is chosen ------------------------------------------------------------------------------------------


@every
@stacks
def test_a_choice_is_whole_or_a_typed_error(one: RuntimeKind, stack: str) -> None:
    """Without an index: most need one, and say so; what is made without any is all there."""
    web = Silent()
    found = choose(one, stack, web)
    if isinstance(found, StagerError):
        assert found.hint
        assert web.asked or "for stack" in found.message
        return
    assert found.runtime.name == one.name
    assert found.runtime.glibc <= box.load(stack).glibc
    assert {item.layout for item in found.artifacts} <= set(one.layouts)
    for path in (*(path for item in found.artifacts for path in item.paths), *dict(found.links), *dict(found.files)):
        assert f"{path}/".startswith(f"{one.place}/")


@every
@stacks
def test_what_could_be_chosen_is_told_without_an_index(one: RuntimeKind, stack: str) -> None:
    table = one.releases() if one.releases else None
    assert one.rule.format(default=table.default if table else "")
    chosen = Runtime(one.name, "0.0.1", "nowhere", (0, 0), WHY)
    rows = list(one.candidates(chosen, box.load(stack)))
    assert not any(row.chosen for row in rows)
    assert all(row.text and row.version and (table is None or row.line in table.supported) for row in own(rows, stack))


def own(rows: list[Any], stack: str) -> Iterator[Any]:
    """Without what the stack brings itself, whose line may have ended."""
    lines = {packages.version for packages in box.read(stack).sets.values()}
    return (row for row in rows if row.line not in lines)


@every
def test_the_end_of_a_line_is_told_with_the_next(one: RuntimeKind) -> None:
    table = one.releases() if one.releases else None
    for line in table.ended if table else ():
        (said,) = ended.remarks([Runtime(one.name, f"{line}.9.9", "x", (0, 0), WHY)])
        assert said.startswith(f"{one.title} {line} has had no security fixes since {table.ended[line].ends}")  # type: ignore[union-attr]
    assert ended.remarks([Runtime(one.name, "9999.0.0", "x", (0, 0), WHY)]) == []
