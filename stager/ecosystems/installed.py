"""What a droplet holds of one ecosystem, as its inventory looks at it, and what the packages say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .licence import Licence

if TYPE_CHECKING:
    from stager.model import Artifact, Plan

Node = int | str
"""A package: an artifact's index in the plan, or the place of one that lies inside another."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The part of a droplet that one ecosystem is asked about."""

    plan: Plan
    artifacts: Mapping[int, Artifact]
    """Those whose package URLs are of the ecosystem, runtimes' included, by index in the plan."""
    packages: frozenset[int]
    """Those among them that are packages, not parts of a runtime."""
    texts: Mapping[str, bytes]
    """The files in which packages say what they are (`Ecosystem.tells`), by path in the app folder."""
    links: Mapping[str, str]
    """Symbolic links: path in the app folder → where they lead."""
    looked: Mapping[int, Mapping[str, Any]]
    """What `Ecosystem.look` said of the artifacts."""


@dataclass(frozen=True, slots=True)
class Inner:
    """A package inside another one's archive, which no lock names: its package URL, its place, and who carries it."""

    purl: str
    place: str
    carrier: int
    licence: Licence


@dataclass(frozen=True, slots=True)
class Said:
    """What the packages say of themselves."""

    licences: Mapping[int, Licence] = field(default_factory=dict)
    needs: Mapping[Node, frozenset[Node]] = field(default_factory=dict)
    """Who needs whom, among what is really there, as it is found when the app runs."""
    inner: tuple[Inner, ...] = ()
    asked: frozenset[int] = frozenset()
    """What the app itself asks for, as far as the plan says it."""
