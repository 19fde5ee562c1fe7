"""What is said of packages without a fitting wheel: for which Pythons and platforms they have some, and what helps."""

from __future__ import annotations

import pytest

from stager.ecosystems.pypi import IndexFile, Target
from stager.ecosystems.pypi.lookup import Keep
from stager.ecosystems.pypi.pins import DistributionFile, Pin, Reading
from stager.ecosystems.pypi.selection import select
from stager.ecosystems.pypi.unbuilt import SIBLINGS, why
from stager.errors import NeedsBuild
from stager.facts import stacks
from stager.net.errors import Unreachable

TARGET = Target(stacks.load("debian-12", "amd64"), (3, 11), "3.11.2")
HASH = "sha256:" + "a" * 64
NONE = "no wheel for cp311 manylinux_2_36 x86_64, only for "
WHYS = {
    "p-1.0.tar.gz": "only an sdist",
    "p-1.0-cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64.whl p-1.0-cp310-cp310-manylinux2014_x86_64.whl": NONE
    + "Python 3.9, Python 3.10",
    "p-1.0-cp312-cp312-manylinux_2_28_x86_64.whl p-1.0-cp311-cp311-win_amd64.whl": NONE + "Python 3.12",
    "p-1.0-pp310-pypy310_pp73-manylinux_2_28_x86_64.whl": NONE + "PyPy 3.10",
    "p-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl": NONE + "free-threaded Python 3.13",
    "p-1.0-py2-none-any.whl": NONE + "Python 2",
    "p-1.0-cp311-cp311-win_amd64.whl p-1.0-cp311-cp311-macosx_11_0_arm64.whl": NONE + "Windows, macOS",
    "p-1.0-cp311-cp311-musllinux_1_2_x86_64.whl": NONE + "Linux with musl",
    "p-1.0-cp311-cp311-manylinux2014_aarch64.whl": NONE + "Linux aarch64",
    "p-1.0-cp311-cp311-manylinux_2_39_x86_64.whl": NONE + "Linux x86_64 with glibc 2.39 and newer",
}


@pytest.mark.parametrize("names", WHYS)
def test_for_what_there_are_wheels_is_said(names: str) -> None:
    assert why([DistributionFile(name, HASH) for name in names.split()], TARGET) == WHYS[names]


class Index:
    """A page of file names for each package; no page when it cannot be reached."""

    def __init__(self, **pages: str) -> None:
        self.pages = pages

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        if name not in self.pages:
            raise Unreachable(name, "no answer")
        words = [word.partition("!") for word in self.pages[name].split()]
        return [
            IndexFile(file, "", {}, yanked=mark == "yanked", requires_python=mark.removeprefix("yanked"))
            for file, _, mark in words
        ]


def hint(name: str, *files: str, index: Index | None = None, version: str = "1.0") -> str:
    pin = Pin(name, version, tuple(DistributionFile(file, HASH) for file in files or (f"{name}-{version}.tar.gz",)))
    with pytest.raises(NeedsBuild) as caught:
        select(Reading((pin,)), TARGET, "poetry.lock", lookup=index)
    return caught.value.hint


OWN = "publish a wheel on an index of your own ('pip wheel --no-deps' makes one), or do without it."


def test_a_version_is_named_when_the_index_has_one_that_fits() -> None:
    page = (
        "p-1.1-py3-none-any.whl p-2.0-cp311-cp311-manylinux_2_28_x86_64.whl p-2.1-cp312-cp312-manylinux_2_28_x86_64.whl "
        "p-3.0-py3-none-any.whl!>=3.12 p-2.5-py3-none-any.whl!yanked p-4.0rc1-py3-none-any.whl"
    )
    assert hint("p", index=Index(p=page)) == "p 2.0 has a fitting wheel: ask for it, and make the lock again."


def test_a_wheel_that_the_lock_has_not_taken_in_is_told() -> None:
    page = "p-1.0-cp311-cp311-manylinux_2_28_x86_64.whl p-2.0-py3-none-any.whl"
    told = "p==1.0 has a fitting wheel that is not in poetry.lock: make the lock again."
    assert hint("p", index=Index(p=page)) == told


@pytest.mark.parametrize("name", SIBLINGS)
def test_the_package_that_takes_its_place_is_named_where_no_version_has_a_wheel(name: str) -> None:
    told = f"In the place of {name}, which is built where it is installed, depend on {SIBLINGS[name]}."
    assert hint(name) == told
    assert hint(name, index=Index(**{name: f"{name.replace('-', '_')}-1.0-cp312-cp312-win_amd64.whl"})) == told
    better = f"{name} 2.0 has a fitting wheel: ask for it, and make the lock again."
    assert hint(name, index=Index(**{name: f"{name.replace('-', '_')}-2.0-py3-none-any.whl"})) == better


def test_without_any_wheel_one_s_own_is_the_way() -> None:
    assert (
        hint("p", index=Index(p="p-2.0-cp312-cp312-win_amd64.whl"))
        == f"No version of p has a fitting wheel. For it, {OWN}"
    )
    for index in (None, Index()):
        assert (
            hint("p", index=index) == f"Ask for a version of p that has a fitting wheel. For one that has none, {OWN}"
        )


def test_another_python_is_named_when_there_is_a_wheel_for_it() -> None:
    files = ("p-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", "p-1.0-cp313-cp313-win_amd64.whl")
    assert (
        hint("p", *files) == "Ask for Python 3.12, by that line in a file .python-version, or for another version of p."
    )
