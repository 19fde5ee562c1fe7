"""The lists of their files that wheels leave behind (RECORD, PEP 376): which wheel's a list is, and what it says."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .pins import PLACE

if TYPE_CHECKING:
    from stager.model import Artifact


def claims(
    artifacts: Sequence[tuple[int, Artifact]], lists: Mapping[str, bytes]
) -> Iterator[tuple[int, Iterator[str], str]]:
    """Number of each wheel that has a RECORD among the lists, in their order; what it lists; and its folder of modules."""
    for number, place, folder in wheels(artifacts, lists):
        yield number, _rows(place, lists[f"{folder}/RECORD"]), f"{_site(place)}/"


def unplanned(lists: Mapping[str, bytes]) -> Iterator[tuple[str, Iterator[str], str]]:
    """As `claims`, of the wheels that there seem to be; they are called as their folders."""
    for path in sorted(lists):
        folder, _, file = path.rpartition("/")
        site, _, name = folder.rpartition("/")
        if site == _site(PLACE) and file == "RECORD":
            label = name.removesuffix(".dist-info").replace("-", "@", 1)
            yield label, _rows(PLACE, lists[path]), f"{site}/"


def wheels(artifacts: Sequence[tuple[int, Artifact]], files: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Number, place and `.dist-info` folder of each wheel that has a RECORD among `files`, in the order of `artifacts`.

    Only a folder beside the modules themselves is a wheel's: packages carry others' inside, as data.
    """
    folders: dict[tuple[str, str], str] = {}
    for path in sorted(files):
        folder, _, file = path.rpartition("/")
        if file == "RECORD" and folder.endswith(".dist-info"):
            site, _, name = folder.removesuffix(".dist-info").rpartition("/")
            project, _, version = name.rpartition("-")
            folders[site, f"{normal(project)}@{version}"] = folders[site, normal(project)] = folder
    for number, one in artifacts:
        project, _, version = one.name.rpartition("@")
        exact = f"{normal(project)}@{version}"  # a plan may hold two versions
        for place in one.paths:
            found = folders.get((_site(place), exact)) or folders.get((_site(place), normal(project)))
            if found:
                yield number, place, found


def normal(project: str) -> str:
    """A Python project's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", project).lower()


def _site(place: str) -> str:
    """The folder of modules of wheels that are placed there."""
    return f"{place}/site-packages"


def _rows(place: str, record: bytes) -> Iterator[str]:
    """The paths in the app folder that a RECORD lists, without what cannot be read and what leads out of the place."""
    site = _site(place)
    try:
        for row in csv.reader(io.StringIO(record.decode("utf-8", "surrogateescape"), newline="")):
            path, above = row[0] if row else "", site
            while path.startswith("../"):
                path, above = path[3:], above.rpartition("/")[0]
            if path and len(above) >= len(place):
                yield f"{above}/{path}"
    except csv.Error:
        return
