"""Pinning a stack: which packages a definition comes to today, from the signed index of its archive.

The only place where a stack's dependencies are resolved. The result is written down in `box.lock`, reviewed and committed;
building never resolves anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..ecosystems.deb import index as deb_index
from ..ecosystems.deb.relations import unmet
from ..errors import UsageError
from ..model import DebPin
from .errors import UnknownPackage
from .lock import StackLock

if TYPE_CHECKING:
    from ..ecosystems.deb.index import DebianMirrors, Index, Stanza
    from ..ecosystems.record import IndexPages
    from .definition import Definition, StackPart


def pin(
    definition: Definition, web: IndexPages, mirrors: DebianMirrors, now: int | None = None
) -> tuple[StackLock, tuple[str, ...]]:
    """The lock of a definition, and remarks. `now` (seconds since 1970) lets an index past its Valid-Until be remarked on.

    Raises UsageError for a stack without a root of stager's making, UnknownPackage, BadSignature, DigestMismatch, and
    Unreachable or another FetchError.
    """
    box = definition.box
    if not definition.root.packages or not box.suite:
        what = f"stack {definition.name} is not built by stager: its root filesystem is its platform's own"
        raise UsageError(what, "Lock a stack whose box.yml has a section root.")
    dates: dict[str, str] = {}
    notes: list[str] = []
    sets: list[tuple[str, str, tuple[DebPin, ...]]] = []
    for architecture in box.architectures:
        index = _index(definition, web, mirrors, architecture, now, dates)
        notes += index.notes
        sets += [(part.name, architecture, pins) for part, pins in _parts(definition, index, architecture)]
    order = {part.name: place for place, part in enumerate((definition.root, *definition.sets))}
    sets.sort(key=lambda row: (order[row[0]], row[1]))
    return StackLock(definition.name, definition.wishes(), tuple(dates.items()), tuple(sets)), tuple(
        dict.fromkeys(notes)
    )


def pin_root(
    definition: Definition, web: IndexPages, mirrors: DebianMirrors, architecture: str, now: int | None = None
) -> tuple[tuple[DebPin, ...], str, tuple[str, ...]]:
    """The packages of a definition's root alone for one architecture, its index's date, and remarks. Raises as `pin`."""
    dates: dict[str, str] = {}
    index = _index(definition, web, mirrors, architecture, now, dates)
    found = _complete(definition, index, (definition.root,), architecture, _essential(index))
    return _pins(found), max(dates.values()), index.notes


def _essential(index: Index) -> list[str]:
    return [stanza.name for stanza in index.values() if stanza.field("Essential") == "yes"]


def _index(
    definition: Definition,
    web: IndexPages,
    mirrors: DebianMirrors,
    architecture: str,
    now: int | None,
    dates: dict[str, str],
) -> Index:
    """The suite, its -updates and its -security, as `deb_index.merged`; with the date that each signed index states."""
    suite, keyring = definition.box.suite, definition.box.keyring
    whole = deb_index.Index()
    places = ((mirrors.archive, suite), (mirrors.archive, f"{suite}-updates"), (mirrors.security, f"{suite}-security"))
    for mirror, name in places:
        found = deb_index.packages(web, mirror, name, "main", architecture, keyring, now)
        whole.add(found.values())
        whole.notes += found.notes
        release = deb_index.verify(web.get(f"{mirror.rstrip('/')}/dists/{name}/InRelease"), keyring, name)
        dates.setdefault(name, _date(release, name))
    return whole


def _date(release: str, suite: str) -> str:
    """The index's own date as ISO 8601; it is signed, so no clock of this machine takes part."""
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    from ..net.errors import Unreachable

    found = re.search(r"^Date:[ \t]*(.*)$", release, re.MULTILINE)
    try:
        date = parsedate_to_datetime(found[1] if found else "")
    except (ValueError, OverflowError, TypeError):
        raise Unreachable(f"the index of {suite}", "it states no date") from None
    return date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parts(definition: Definition, index: Index, architecture: str) -> Iterator[tuple[StackPart, tuple[DebPin, ...]]]:
    essential = _essential(index)
    # One walk over the whole index; the walks for each part then only see what that one found.
    small = deb_index.Index(_closure(definition, index, (definition.root, *definition.sets), architecture, essential))
    root = {stanza.name for stanza in _complete(definition, small, (definition.root,), architecture, essential)}
    for part in (definition.root, *definition.sets):
        chosen = definition.chosen(() if part is definition.root else (part.name,))
        whole = _complete(definition, small, chosen, architecture, essential)
        yield part, _pins(stanza for stanza in whole if part is definition.root or stanza.name not in root)


def _complete(
    definition: Definition, index: Index, parts: Sequence[StackPart], architecture: str, essential: Sequence[str]
) -> list[Stanza]:
    """The closure of these parts, checked to need nothing more. Raises UnknownPackage."""
    found = _closure(definition, index, parts, architecture, essential, [n for part in parts for n in part.exclude])
    for stanza, group in unmet(found):
        names = [" | ".join(map(str, group))]
        why = f" that could serve {stanza.name}, which depends on it"
        raise UnknownPackage(definition.where, f"{definition.box.suite} for {architecture}", names, why)
    return found


def _closure(
    definition: Definition,
    index: Index,
    parts: Sequence[StackPart],
    architecture: str,
    essential: Sequence[str],
    barred: Iterable[str] | None = None,
) -> list[Stanza]:
    """Debian's essential packages, what the parts ask for, and all they depend on; without `barred`, or the root's."""
    asked = [name for part in parts for name in part.packages_for(architecture)]
    if missing := sorted({name for name in asked if name not in index}):
        raise UnknownPackage(definition.where, f"{definition.box.suite} for {architecture}", missing)
    return deb_index.closure(index, [*essential, *asked], definition.root.exclude if barred is None else barred)


def _pins(stanzas: Iterable[Stanza]) -> tuple[DebPin, ...]:
    rows = (DebPin(s.name, s.version, s.architecture, s.size, s.digest, s.filename) for s in stanzas)
    return tuple(sorted(rows, key=lambda row: row.name))
