"""Relations between Debian packages: what a Depends field asks for, and whether packages meet it (Debian Policy, 7.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .index import Stanza

_RELATION = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(\s*(<<|<=|=|>=|>>)\s*([^)\s]+)\s*\))?\s*")


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a dependency: a name, and a condition on its version where there is one."""

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name


def relations(field: str) -> list[list[Relation]]:
    """A Depends field: groups of alternatives (Debian Policy, 7.1)."""
    groups = ([_RELATION.fullmatch(part) for part in group.split("|")] for group in field.split(",") if group.strip())
    return [[Relation(m[1], m[2] or "", m[3] or "") for m in group if m] for group in groups]


def unmet(stanzas: Iterable[Stanza]) -> Iterator[tuple[Stanza, list[Relation]]]:
    """Dependencies that nothing among these packages satisfies, version conditions included."""
    packages = list(stanzas)
    offered: dict[str, list[str]] = {}
    for stanza in packages:
        offered.setdefault(stanza.name, []).append(stanza.version)
        for group in relations(stanza.field("Provides")):
            for one in group:
                offered.setdefault(one.name, []).append(one.version)
    for stanza in packages:
        for group in relations(stanza.field("Pre-Depends")) + relations(stanza.field("Depends")):
            if not any(met(one, offered.get(one.name, ())) for one in group):
                yield stanza, group


def met(wanted: Relation, versions: Iterable[str]) -> bool:
    """Whether one of the versions fits; a package provided without a version satisfies no condition."""
    return any(not wanted.operator or (version and _fits(version, wanted)) for version in versions)


def _fits(version: str, wanted: Relation) -> bool:
    from debian.debian_support import version_compare

    order: int = version_compare(version, wanted.version)
    return {"<<": order < 0, "<=": order <= 0, "=": order == 0, ">=": order >= 0, ">>": order > 0}[wanted.operator]
