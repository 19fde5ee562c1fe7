"""Which release lines of a runtime there are, from `buildpacks/<name>/releases.yml`.

A line is a minor version of Python (`3.11`) or a major one of Node (`24`). The tables are data that a stager release
brings along, so that no clock decides whether a line is still supported.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from ..errors import InvalidDefinition, StagerError
from ..text import resources
from ..text.typed import Node

_KEYS = ("supported", "ended", "default", "codenames")


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """One release line: when it ends or ended (`2027-04`), and what its files need of the stack."""

    ends: str
    lts: str = ""
    """The month it became a long-term support line, or empty."""
    npm: str = ""
    """The major version of npm it is shipped with."""
    glibc: tuple[int, int] = (0, 0)
    libraries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Releases:
    """One runtime's lines by name, newest first."""

    supported: dict[str, ReleaseLine]
    ended: dict[str, ReleaseLine]
    default: str = ""
    codenames: dict[str, str] = field(default_factory=dict)
    """Lower-case name of a long-term support line → line."""
    extra: dict[str, tuple[int, int]] = field(default_factory=dict)
    """glibc floors of what is built beside it, by its name: the table's other members."""

    def facts(self, line: str) -> ReleaseLine:
        """What is known of a line, supported or ended. Raises KeyError for an unknown one."""
        return self.supported.get(line) or self.ended[line]

    def longest_kept(self) -> list[str]:
        """The ended lines, that which had fixes the longest first."""
        return sorted(self.ended, key=lambda line: (self.ended[line].ends, _number(line)), reverse=True)

    def next(self, line: str) -> str:
        """The supported line nearest above an ended one, to which the way is shortest; the newest when there is none."""
        above = [name for name in self.supported if _number(name) > _number(line)]
        return above[-1] if above else next(iter(self.supported))


def read(buildpack: str) -> Releases:
    """The table that is shipped with a buildpack. Raises InvalidDefinition when it is wrong."""
    with open(os.path.join(resources.folder("buildpacks"), buildpack, "releases.yml"), encoding="utf-8") as file:
        return parse(file.read(), f"buildpacks/{buildpack}/releases.yml")


def parse(text: str, file: str) -> Releases:
    """The table that the YAML `text` holds; `file` names it in errors. Raises InvalidDefinition."""
    from ..text import yamltext  # here, since most commands read no definition

    top = yamltext.parse(text, file, _invalid).root
    lines = {name: _line(top.at("supported"), name) for name in top.table("supported")}
    found = Releases(
        {name: lines[name] for name in sorted(lines, key=_number, reverse=True)},
        {name: _line(top.at("ended"), name) for name in sorted(top.table("ended"), key=_number, reverse=True)},
        top.str("default", ""),
        {name: top.at("codenames").str(name) for name in top.table("codenames")},
        {name: _glibc(top.at(name)) for name in top.value if name not in _KEYS},
    )
    if not found.supported or (found.default and found.default not in found.supported):
        top.fail("the default must be one of the supported lines")
    return found


def _line(table: Node, name: str) -> ReleaseLine:
    node = table.at(name)
    if isinstance(node.value, str):
        return ReleaseLine(node.value)
    return ReleaseLine(
        node.str("ends"), node.str("lts", ""), node.str("npm", ""), _glibc(node), frozenset(node.strings("libraries"))
    )


def _glibc(node: Node) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", node.str("glibc"))
    if not found:
        node.at("glibc").fail("expected a version such as 2.28")
    return int(found[1]), int(found[2])


def _number(line: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in line.split("."))


def _invalid(file: str, why: str, line: int | None) -> StagerError:
    return InvalidDefinition(f"{file}:{line}" if line else file, "", why)
