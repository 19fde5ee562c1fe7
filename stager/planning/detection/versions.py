"""Which runtime versions an app asks for: every request with its file and line, the most specific first.

The runtimes read and understand them, and know which of
their lines have ended (a shipped table, never a clock). What comes out is free of contradictions; which exact version
is taken is decided by planning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...ecosystems import ecosystem
from ...errors import Ambiguous
from ...model import Reason
from ...runtimes import kind, version_requests
from ...runtimes.errors import VersionError
from ...runtimes.releases import Releases
from ...runtimes.version_files import Asked, no_version
from ...runtimes.version_requests import place
from ..buildpacks.vocabulary import Buildpack
from . import appconfig, procfile
from .matching import AppFacts
from .modules import MANIFEST
from .steps import started

if TYPE_CHECKING:
    from ...tree import SourceTree

Request = tuple[str, str, Reason]
"""(runtime, wanted, where it is asked for), as `Detection.versions` holds it."""
_NUMBERS = re.compile(r"\d+(?:\.\d+){0,2}")
_EXACTNESS = re.compile(r"v?=?\s*\d+(?:\.\d+)?(\.\d+)?\Z")


def requested(tree: SourceTree, runtime: str) -> tuple[Request, ...]:
    """Every request for `runtime` in the app, the most specific first, then by the precedence of its file.

    A request is a version, its beginning, or a range, worded as `version_requests` accepts it; all can be met together. Raises
    BadManifest for a file that cannot be read, VersionError for a version that is malformed, unknown or at its end of
    life where `stager.yml` refuses those, and Ambiguous when files contradict each other.
    """
    table, refuses = _table(runtime), appconfig.read(tree).refuses_ended
    requests = [_understood(runtime, one) for one in _asked(tree, runtime) if not no_version(one)]
    for request in requests:
        _check_life(runtime, request, table, refuses)
    _check_agreement(runtime, requests, table)
    found = [(runtime, request.text, request.reason) for request in requests]
    return tuple(sorted(found, key=lambda request: _breadth(request[1])))


def passed_over(tree: SourceTree, runtime: str) -> tuple[str, ...]:
    """What is to be said of files that name something else than a version, and so decide nothing."""
    return tuple(
        f"{one.file}:{one.line} names {what} ({one.text[:80]}), which says no version of {kind(runtime).title}; "
        "the app's other files decide"
        for one in _asked(tree, runtime)
        if (what := no_version(one))
    )


def _asked(tree: SourceTree, runtime: str) -> list[Asked]:
    facts = AppFacts(tree)
    return [one for read in kind(runtime).sources for one in read(facts)]


def satisfies(runtime: str, text: str, version: str) -> bool:
    """Whether an exact `version` (`3.12.4`) meets the request `text`. Raises VersionError for a malformed request."""
    return bool(_understood(runtime, Asked(text, "", None)).accepts(version))


def newest(runtime: str, requests: Sequence[Request]) -> str:
    """The newest version of a supported line that all requests allow, 99 for what they leave open; empty when none."""
    table = _table(runtime)
    understood = [_understood(name, Asked(text, "", None)) for name, text, _ in requests if name == runtime]
    supported = tuple(table.supported) if table else ()
    joint = _joint(understood, supported)
    return _dotted(joint[-1]) if joint and supported else ""


def runtimes(tree: SourceTree, buildpack: Buildpack, lock: str) -> tuple[str, ...]:
    """The runtimes that an app of this buildpack with this lock file (empty for none) is staged with."""
    return dict(buildpack.alternatives).get(manager(tree, buildpack, lock), buildpack.runtimes)


def called(tree: SourceTree, buildpack: Buildpack) -> tuple[str, ...]:
    """The runtimes that it has besides, since its start commands call them."""
    return tuple(dict.fromkeys(one for program, names in buildpack.starting if _starts(tree, program) for one in names))


def _starts(tree: SourceTree, program: str) -> bool:
    """Whether a start command calls a program that is not among the app's own packages."""
    facts = AppFacts(tree)
    if any(facts.member(MANIFEST, f"{key}.{program}") for key in _PACKAGES if MANIFEST in tree):
        return False
    call = re.compile(rf"(?<![\w./@:=-]){re.escape(program)}\s+[\w./-]")
    return any(call.search(line) for line in started(facts, (*procfile.read(tree), *appconfig.read(tree).processes)))


_PACKAGES = ("dependencies", "optionalDependencies")


def manager(tree: SourceTree, buildpack: Buildpack, lock: str) -> str:
    """The package manager: the one that writes the lock, else the one that the app names, else the usual one."""
    known = dict(buildpack.managers)
    named = known.get(lock.rpartition("/")[2], "")
    if not named and known and buildpack.ecosystem:
        named = ecosystem(buildpack.ecosystem).manager(tree)
    return named if named in known.values() else next(iter(known.values()), "")


def _table(runtime: str) -> Releases | None:
    read = kind(runtime).releases
    return read() if read else None


def _understood(runtime: str, asked: Asked) -> version_requests.VersionRequest:
    reason = Reason(f"{asked.file} asks for {kind(runtime).title} {asked.text[:80]}", asked.file, asked.line)
    return kind(runtime).parse(asked.text, reason)


def _breadth(text: str) -> int:
    """How much a request leaves open: 0 for an exact version, 1 for a line, 2 for a range or a word."""
    found = _EXACTNESS.match(text)
    return 2 if found is None else (0 if found[1] else 1)


def _check_life(runtime: str, request: version_requests.VersionRequest, table: Releases | None, refuses: bool) -> None:
    """Refuse a request that no known line could meet; and, if the app `refuses` them, one that only ended lines could."""
    if table is None or any(_joint([request], [line], only=True) for line in table.supported):
        return
    ended = next((line for line in table.ended if _joint([request], [line], only=True)), "")
    if ended and not refuses:
        return
    title = kind(runtime).title
    why = f"{title} {ended} has had no security fixes since {table.ended[ended].ends}" if ended else _UNKNOWN
    hint = f"Ask for one of {', '.join(table.supported)}."
    hint += f" Or let {appconfig.NAME} say 'end_of_life: warn'." if ended else ""
    raise VersionError(title, request.text, why, hint, request.where)


_UNKNOWN = "there is no such version that is still supported"


def _check_agreement(runtime: str, requests: Sequence[version_requests.VersionRequest], table: Releases | None) -> None:
    lines = (*table.supported, *table.ended) if table else ()
    if len(requests) < 2 or _joint(requests, lines):
        return
    what = f"these ask for {kind(runtime).title} versions that exclude each other"
    places = [f"{place(request.reason)} ({request.text})" for request in requests]
    raise Ambiguous(what, places, "Change them to agree, or delete all but one.")


Numbers = tuple[int, int, int]


def _joint(
    requests: Sequence[version_requests.VersionRequest], lines: Sequence[str], only: bool = False
) -> list[Numbers]:
    """Versions that meet all requests, ascending, out of those at and around every bound that they or the lines name.

    The bounds of a range are among the versions it names, so a range that allows anything allows one of these. With
    `only`, versions outside the lines do not count.
    """
    named = [
        _padded(text) for item in (*(request.text for request in requests), *lines) for text in _NUMBERS.findall(item)
    ]
    around = {near for numbers, digits in named for near in _around(numbers, digits)}
    inside = [numbers for numbers in sorted(around) if not only or any(_in_line(numbers, line) for line in lines)]
    return [numbers for numbers in inside if all(request.accepts(_dotted(numbers)) for request in requests)]


def _padded(text: str) -> tuple[Numbers, int]:
    parts = [min(int(part), 10**6) for part in text.split(".")]
    major, minor, patch = [*parts, 0, 0][:3]
    return (major, minor, patch), len(parts)


def _around(numbers: Numbers, digits: int) -> list[Numbers]:
    major, minor, patch = numbers
    after = (major, minor, patch + 1) if digits == 3 else (major, minor + 1, 0)
    top = (major, 99, 99) if digits == 1 else (major, minor, 99)
    before = (major, minor, patch - 1) if patch else (major, max(minor - 1, 0), 99)
    return [numbers, after, top, before]


def _in_line(numbers: Numbers, line: str) -> bool:
    return _dotted(numbers).startswith(line + ".")


def _dotted(numbers: Numbers) -> str:
    return ".".join(map(str, numbers))
