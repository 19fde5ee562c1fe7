"""What is said of packages without a fitting wheel: for which Pythons and platforms they have some, and what helps."""

from __future__ import annotations

import pytest

from stager.ecosystems.pypi import IndexFile, Target
from stager.ecosystems.pypi.lookup import Keep
from stager.ecosystems.pypi.pins import DistributionFile, Pin, Reading
from stager.ecosystems.pypi.selection import Selection, select
from stager.ecosystems.pypi.unbuilt import SIBLINGS, why
from stager.errors import BadLock, NeedsBuild
from stager.facts import stacks
from stager.model import Build, Reason
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


FOREIGN = "{}-{}-cp311-cp311-win_amd64.whl"


def hint(name: str, *files: str, index: Index | None = None, version: str = "1.0") -> str:
    pin = Pin(name, version, tuple(DistributionFile(file, HASH) for file in files or (FOREIGN.format(name, version),)))
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


def built(name: str, *files: str, index: Index | None = None) -> Selection:
    pin = Pin(name, "1.0", tuple(DistributionFile(file, HASH) for file in files), line=7)
    return select(Reading((pin,)), TARGET, "poetry.lock", lookup=index)


def test_where_no_wheel_fits_the_sdist_is_built() -> None:
    found = built("a-b", "a_b-1.0-cp312-cp312-win_amd64.whl", "a-b-1.0.zip", "a-b-1.0.tar.bz2", "a_b-1.0.tar.gz")
    assert [(one.purl, one.filename, one.layout, one.paths) for one in found.artifacts] == [
        ("pkg:pypi/a-b@1.0", "a_b-1.0.tar.gz", "sdist/1", (".stager/pypi",))
    ]
    why = "no wheel for cp311 manylinux_2_36 x86_64, only for Windows"
    reason, purl = Reason(why, "poetry.lock", 7), "pkg:pypi/a-b@1.0"
    assert found.builds == (Build("a-b", "artifact", "stack", "stager:pep517/1", reason, of=purl, on="runtimes"),)
    assert found.notes == ()


def test_a_wheel_that_fits_wins_over_the_sdist() -> None:
    found = built("p", "p-1.0.tar.gz", "p-1.0-py3-none-any.whl")
    assert ([one.layout for one in found.artifacts], found.builds) == (["wheel/1"], ())


def test_a_source_archive_without_hash_builds_nothing() -> None:
    files = (DistributionFile("p-1.0.tar.gz", ""), DistributionFile(FOREIGN.format("p", "1.0"), HASH))
    with pytest.raises(NeedsBuild):
        select(Reading((Pin("p", "1.0", files),)), TARGET, "uv.lock")


@pytest.mark.parametrize("file", ["q-1.0.tar.gz", "p-2.0.tar.gz", "p-.tar.gz", "p.tar.gz", "p-1.0-src.zip"])
def test_a_source_archive_of_another_package_is_refused(file: str) -> None:
    with pytest.raises(BadLock) as caught:
        built("p", file)
    assert caught.value.where == "poetry.lock:7"


BETTER = {
    "p-2.0-py3-none-any.whl": ("p==1.0 is built from its sources; p 2.0 has a fitting wheel",),
    "p-1.0-py3-none-any.whl": (
        "p==1.0 is built: it has a fitting wheel that is not in poetry.lock; make the lock again to have it",
    ),
    "p-2.0-cp312-cp312-win_amd64.whl": (),
}


@pytest.mark.parametrize("page", BETTER)
def test_where_there_is_a_wheel_all_the_same_it_is_named(page: str) -> None:
    assert built("p", "p-1.0.tar.gz", index=Index(p=page)).notes == BETTER[page]


def test_a_package_with_wheels_that_takes_its_place_is_named() -> None:
    told = "mysqlclient==1.0 is built from its sources; pymysql takes its place and has wheels"
    assert built("mysqlclient", "mysqlclient-1.0.tar.gz").notes == (told,)
