"""Debian packages that an app needs while it runs: which ones its wishes come to, from the signed index, beside its stack.

A droplet gets the wanted packages and all they depend on, without what the stack has and without what only serves installing.
No maintainer script is run, so what lives by one (a user of its own, a service) is refused where it is wished for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .relations import Relation, met, relations

if TYPE_CHECKING:
    from .index import Index, Stanza

INSTALLING = frozenset(
    {
        *(
            "adduser",
            "cdebconf",
            "debconf",
            "debconf-2.0",
            "dpkg",
            "install-info",
            "multiarch-support",
            "sensible-utils",
            "ucf",
        ),
        *("dbus", "dbus-session-bus", "dbus-user-session", "default-dbus-session-bus", "default-logind", "logind"),
        *("init-system-helpers", "libpam-systemd", "lsb-base", "systemd", "systemd-sysusers", "systemd-sysv"),
        *("libc-bin", "libc6", "sysvinit-utils", "udev"),
    }
)
"""Packages that set up a machine, or are glibc, which every stack has: nothing of them is of use in a droplet."""
_USERS = frozenset({"adduser", "systemd-sysusers", "sysuser-helper"})
"""What makes a user of the system."""
_SERVICES = frozenset({"init-system-helpers", "lsb-base", "systemd", "sysvinit-utils"})
"""What starts a service of the system."""
_NOT_RUN = ("libdevel", "doc")
"""Sections of the archive whose packages have no file that runs; what they depend on may."""


def real(index: Index, name: str) -> str:
    """The package that a name means: itself, else the first one that provides it; empty when nothing does."""
    if name in index:
        return name
    return min((stanza.name for stanza in index.values() if name in stanza.provides), default="")


def is_service(index: Index, name: str) -> bool:
    """Whether a package is a service of the system with a user of its own, by what it and those of its source depend on."""
    needed = {one.name for group in _groups(index[name]) for one in group}
    source = _source(index[name])
    beside = [index[other] for other in needed if other in index and _source(index[other]) == source]
    users = {one.name for stanza in beside for group in _groups(stanza) for one in group}
    starts = not needed.isdisjoint(_SERVICES) and not name.endswith("-client")
    return starts and not (needed | users).isdisjoint(_USERS)


def _source(stanza: Stanza) -> str:
    return stanza.field("Source").partition(" ")[0] or stanza.name


def closure(index: Index, names: Iterable[str], there: Mapping[str, str]) -> tuple[list[Stanza], list[str]]:
    """The packages to bring for these names, sorted by name; and what of their needs the archive cannot meet, as sentences.

    `there` are the stack's packages with their versions: a need they meet brings nothing, a name does. Of alternatives the
    one that is there counts, then the first of the archive that fits, a real package before one that provides the name.
    """
    offered = _offered(index, there)
    found: dict[str, Stanza] = {}
    missing: list[str] = []
    waiting = sorted(names, reverse=True)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = index[name]
        for group in _groups(index[name]):
            if any(one.name in INSTALLING or met(one, offered.get(one.name, ())) for one in group):
                continue
            chosen = next(_fitting(index, group, found), "")
            if chosen:
                waiting.append(chosen)
            else:
                missing.append(f"{name} depends on {' | '.join(map(str, group))}")
    return [found[name] for name in sorted(found) if found[name].field("Section") not in _NOT_RUN], missing


def _groups(stanza: Stanza) -> list[list[Relation]]:
    return relations(stanza.field("Pre-Depends")) + relations(stanza.field("Depends"))


def _offered(index: Index, there: Mapping[str, str]) -> dict[str, list[str]]:
    """Name → the versions of it that the stack has, names that its packages provide included."""
    offered = {name: [version] for name, version in there.items()}
    for name in there:
        for group in relations(index[name].field("Provides")) if name in index else ():
            for one in group:
                offered.setdefault(one.name, []).append(one.version)
    return offered


def _fitting(index: Index, group: Sequence[Relation], found: Mapping[str, Stanza]) -> Iterator[str]:
    known = [one for one in group if one.name in index and met(one, [index[one.name].version])]
    yield from (one.name for one in known if one.name in found)
    yield from (one.name for one in known)
    for one in group:
        yield from sorted(
            stanza.name
            for stanza in index.values()
            for provided in relations(stanza.field("Provides"))
            for other in provided
            if other.name == one.name and met(one, [other.version])
        )
