"""Why no file of a package fits the target, and what helps: another version, another package, or a wheel of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from stager.errors import NeedsBuild, StagerError

from .target import Target, platforms, tag_ranks

if TYPE_CHECKING:
    from .lookup import DistributionLookup
    from .pins import DistributionFile, Pin

SIBLINGS = {
    "psycopg2": "psycopg2-binary",
    "psycopg-c": "psycopg-binary",
    "mysqlclient": "pymysql, and call pymysql.install_as_MySQLdb() first",
    "mysql-python": "pymysql, and call pymysql.install_as_MySQLdb() first",
    "mysql-connector": "mysql-connector-python",
    "uwsgi": "pyuwsgi",
    "pysqlite3": "pysqlite3-binary",
    "pycrypto": "pycryptodome",
    "cx-oracle": "oracledb",
    "docopt": "docopt-ng",
    "dlib": "dlib-bin",
    "fbprophet": "prophet",
    "sklearn": "scikit-learn",
    "pil": "pillow",
    "tensorflow-gpu": "tensorflow",
    "pytorch": "torch",
}
"""A package that is built where it is installed → one with wheels that takes its place, and what else that takes."""
_SYSTEMS = (("macosx", "macOS"), ("win", "Windows"), ("musllinux", "Linux with musl"), ("any", ""))
_NAMED = 5
"""Packages that a hint speaks of one by one."""


def why(files: Sequence[DistributionFile], target: Target) -> str:
    """Why no file of a package fits: it has no wheels, or these are for other Pythons or platforms."""
    names = [file.filename for file in files if file.filename.endswith(".whl")]
    if not names:
        return "only an sdist"
    here = [name for name in names if _runs_here(name, target)]
    return f"no wheel for {target.label}, only for {_listed(map(_python, here)) if here else _listed(map(_platform, names))}"


def _tags(filename: str) -> tuple[list[str], list[str], list[str]]:
    parts = ["", "", "", *filename.removesuffix(".whl").split("-")][-3:]
    pythons, abis, places = (part.lower().split(".") for part in parts)
    return pythons, abis, places


def _runs_here(filename: str, target: Target) -> bool:
    """Whether it is the Python alone that does not fit."""
    return not {*platforms(target.stack), "any"}.isdisjoint(_tags(filename)[2])


def _python(filename: str) -> str:
    pythons, abis, _ = _tags(filename)
    free = "free-threaded " if any(re.fullmatch(r"cp3\d+t", abi) for abi in abis) else ""
    found = re.fullmatch(r"(cp|pp|py)(\d)(\d*)(?:_pp\d+)?", pythons[0])
    kind = {"pp": "PyPy "}.get(found[1], "Python ") if found else ""
    return f"{free}{kind}{found[2]}{f'.{found[3]}' if found[3] else ''}" if found else pythons[0]


def _platform(filename: str) -> str:
    place = _tags(filename)[2][-1]
    system = next((title for start, title in _SYSTEMS if place.startswith(start)), "")
    if found := re.fullmatch(r"manylinux_(\d+)_(\d+)_(\w+)", place):
        return f"Linux {found[3]} with glibc {found[1]}.{found[2]} and newer"
    return system or (f"Linux {place.partition('_')[2]}" if "linux" in place else place)


def _listed(words: Iterable[str]) -> str:
    found = sorted(
        set(words), key=lambda word: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", word)]
    )
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


def refusal(
    pins: Sequence[Pin], others: Sequence[tuple[str, str]], target: Target, lock: str, lookup: DistributionLookup | None
) -> NeedsBuild:
    """The error for pins without a fitting file, and for `others` (package, why), which come from no index."""
    needs = [*others, *((str(pin), why(pin.files, target)) for pin in pins)]
    hints = [_advice(pin, target, lock, lookup) for pin in pins[:_NAMED]]
    if others:
        hints.append(
            f"In the place of {others[0][0]}, depend on a published version that has a wheel, or publish one {OWN}."
        )
    if len(pins) > _NAMED:
        hints.append("And so for the others.")
    return NeedsBuild(sorted(needs), " ".join(dict.fromkeys(hints)))


def better(pins: Sequence[Pin], target: Target, lock: str, lookup: DistributionLookup | None) -> Iterator[str]:
    """Of packages that are built: what is said where there is a wheel all the same, of another version or package."""
    for pin in pins[:_NAMED]:
        version, sibling = _newest(pin, target, lookup), SIBLINGS.get(pin.name, "")
        if version == pin.version:
            yield f"{pin} is built: it has a fitting wheel that is not in {lock}; make the lock again to have it"
        elif version:
            yield f"{pin} is built from its sources; {pin.name} {version} has a fitting wheel"
        elif sibling:
            yield f"{pin} is built from its sources; {sibling.partition(',')[0]} takes its place and has wheels"


OWN = "on an index of your own ('pip wheel --no-deps' makes one)"
_OWN_WHEEL = f"For {{}}, publish a wheel {OWN}, or do without it."


def _advice(pin: Pin, target: Target, lock: str, lookup: DistributionLookup | None) -> str:
    """What helps with one package. Its index is asked, if it can be; that makes no difference but to what is said."""
    sibling = SIBLINGS.get(pin.name, "")
    version = _newest(pin, target, lookup)
    if version == pin.version:
        return f"{pin} has a fitting wheel that is not in {lock}: make the lock again."
    if version:
        return f"{pin.name} {version} has a fitting wheel: ask for it, and make the lock again."
    if sibling:
        return f"In the place of {pin.name}, which is built where it is installed, depend on {sibling}."
    python = _other_python(pin.files, target)
    if python:
        return f"Ask for Python {python}, by that line in a file .python-version, or for another version of {pin.name}."
    if version is None:
        return f"Ask for a version of {pin.name} that has a fitting wheel. {_OWN_WHEEL.format('one that has none')}"
    return f"No version of {pin.name} has a fitting wheel. {_OWN_WHEEL.format('it')}"


def _newest(pin: Pin, target: Target, lookup: DistributionLookup | None) -> str | None:
    """The newest release with a wheel for the target, the pinned one before all; empty when there is none, None when nobody
    can be asked."""
    from packaging.version import InvalidVersion, Version

    from .lookup import runs
    from .pins import DistributionFile, best_wheel

    ranks = tag_ranks(target)
    found: dict[Version, str] = {}
    try:
        if lookup is None or pin.direct:
            return None
        for index in pin.indexes or ("",):
            for file in lookup.files(pin.name, index, lambda file: file.filename.endswith(".whl")):
                fits = (
                    best_wheel([DistributionFile(file.filename, "")], ranks) and runs(file, target) and not file.yanked
                )
                if fits and not (version := Version(file.filename.split("-")[1])).is_prerelease:
                    found[version] = str(version)
        return pin.version if Version(pin.version) in found else found[max(found)] if found else ""
    except (StagerError, InvalidVersion):
        return None


def _other_python(files: Sequence[DistributionFile], target: Target) -> str:
    """The newest Python for which there is a wheel that runs here but for its version."""
    names = [file.filename for file in files if file.filename.endswith(".whl") and _runs_here(file.filename, target)]
    found = [int(match[1]) for name in names if (match := re.fullmatch(r"Python 3\.(\d+)", _python(name)))]
    return f"3.{max(found)}" if found else ""
