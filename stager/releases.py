"""Which release lines of Python and Node there are, from `buildpacks/<name>/releases.yml`.

A line is a minor version of Python (`3.11`) or a major one of Node (`24`). The tables are data that a stager release
brings along, so that no clock decides whether a line is still supported.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from . import resources, yamltext
from .checked import Node
from .errors import InvalidDefinition, StagerError


@dataclass(frozen=True, slots=True)
class Line:
    """One supported release line: when it ends (`2027-04`), and what its files need of the stack."""

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

    supported: dict[str, Line]
    ended: dict[str, str]
    """Line → the month it ended."""
    default: str = ""
    codenames: dict[str, str] = field(default_factory=dict)
    """Lower-case name of a long-term support line → line."""
    extra: dict[str, tuple[int, int]] = field(default_factory=dict)
    """glibc floors of what is built beside it: `standalone`, `bun`."""


def python() -> Releases:
    """CPython's lines. Raises InvalidDefinition when the shipped table is wrong."""
    return _read("python")


def node() -> Releases:
    """Node's lines. Raises InvalidDefinition when the shipped table is wrong."""
    return _read("nodejs")


def _read(buildpack: str) -> Releases:
    with open(os.path.join(resources.folder("buildpacks"), buildpack, "releases.yml"), encoding="utf-8") as file:
        return parse(file.read(), f"buildpacks/{buildpack}/releases.yml")


def parse(text: str, file: str) -> Releases:
    """The table that the YAML `text` holds; `file` names it in errors. Raises InvalidDefinition."""
    top = yamltext.parse(text, file, _invalid).root
    lines = {name: _line(top.at("supported"), name) for name in top.table("supported")}
    found = Releases(
        {name: lines[name] for name in sorted(lines, key=_number, reverse=True)},
        {name: top.at("ended").str(name) for name in sorted(top.table("ended"), key=_number, reverse=True)},
        top.str("default", ""),
        {name: top.at("codenames").str(name) for name in top.table("codenames")},
        {name: _glibc(top.at(name)) for name in ("standalone", "bun") if top.get(name)},
    )
    if not found.supported or (found.default and found.default not in found.supported):
        top.fail("the default must be one of the supported lines")
    return found


def _line(table: Node, name: str) -> Line:
    node = table.at(name)
    if isinstance(node.value, str):
        return Line(node.value)
    return Line(
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
