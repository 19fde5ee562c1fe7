"""Two outputs that differ: the first file, and the cause, which running again under one change at a time finds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from stager.builds import compare
from stager.builds.compare import FIRST, SECOND, Content
from stager.builds.errors import BuildDiffers
from stager.builds.outputs import Left
from stager.sandbox.job import Surroundings


def left(links: dict[str, str] | None = None, executable: bool = False, **files: str) -> Left:
    rows = {
        path: (executable, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", len(text))
        for path, text in files.items()
    }
    return Left("", rows, links or {}, {path: text.encode() for path, text in files.items()})


def differs(one: Left, other: Left, again: Callable[[Surroundings], str]) -> BuildDiffers:
    def run(around: Surroundings, path: str) -> Content:
        return b"a file", again(around).encode()

    with pytest.raises(BuildDiffers) as caught:
        compare.same("own", one, other, run, {"stager-build-": "embedded path"})
    return caught.value


def never(_: Surroundings) -> str:
    raise AssertionError


def test_equal_outputs_are_not_looked_into() -> None:
    compare.same("own", left(a="a"), left(a="a"), lambda *_: (b"", b""), {})


def test_the_first_file_is_told_and_how_many_more() -> None:
    error = differs(left(a="a", b="b", c="c"), left(a="a", b="B", d="d"), lambda _: "b")
    assert (error.data["file"], error.data["others"]) == ("b", ["c", "d"])
    assert "expected the build own to leave the same twice, got another b and 2 more" in error.message


@pytest.mark.parametrize(
    ("axis", "changes"),
    [
        ("clock", lambda one: one.later),
        ("file times", lambda one: one.older),
        ("processors", lambda one: one.processors),
        ("order", lambda one: one.reverse),
        ("umask", lambda one: one.umask != 0o022),
        ("surroundings", lambda one: one.later and one.reverse),
    ],
)
def test_what_depends_on_one_of_the_surroundings(axis: str, changes: Callable[[Surroundings], object]) -> None:
    def text(one: Surroundings) -> str:
        return "y" if changes(one) else "x"

    error = differs(left(a=text(FIRST)), left(a=text(SECOND)), text)
    assert error.data["cause"] == axis
    assert "It depends on" in error.hint


@pytest.mark.parametrize(
    ("one", "other", "third", "cause"),
    [
        ("at 2026-11-22T14:33:58Z", "at 2027-12-27T14:33:58Z", "at 2026-11-22T14:34:09Z", "clock"),
        ("key=9f86d081884c7d65", "key=60303ae22b998861", "key=1b4f0e9851971998", "random value"),
        ("a\nb\nc\n", "b\na\nc\n", "c\na\nb\n", "order"),
        ("/x/stager-build-11/y", "/x/stager-build-22/y", "/x/stager-build-33/y", "embedded path"),
    ],
)
def test_what_is_another_each_time(one: str, other: str, third: str, cause: str) -> None:
    assert differs(left(a=one), left(a=other), lambda _: third).data["cause"] == cause


def test_modes_links_and_files_that_are_there_once() -> None:
    assert (
        "once a file and once an executable file"
        in differs(left(a="a"), left(a="a", executable=True), lambda _: "b").hint
    )
    assert "there only once" in differs(left(a="a"), left(a="a", b="b"), lambda _: "x").hint
    error = differs(left({"l": "a"}), left({"l": "b"}), lambda _: "x")
    assert error.data["file"] == "l"
