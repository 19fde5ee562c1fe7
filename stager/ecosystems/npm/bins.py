"""Commands: a package's `bin` table made safe, and the `.bin` links of every `node_modules` folder.

npm's rules (npm-normalize-package-bin, bin-links): a command is a base name, its target stays inside the package, and
of two packages that offer one command the first by name wins. pnpm writes shell scripts in place of links; the links
made here find the same modules, because Node resolves a script's real path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from posixpath import basename, normpath, relpath
from typing import TYPE_CHECKING

from .names import base_name, owner

if TYPE_CHECKING:
    from .said import PackageSaid

_VIRTUAL = re.compile(r"(?:.*/)?node_modules/\.pnpm/[^/]+/node_modules")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def tidy(table: object, name: str = "") -> dict[str, str]:
    """Command to file, from a `bin` value of any shape; a bare string is the command named like the package `name`."""
    if isinstance(table, str):
        table = {name: table}
    elif isinstance(table, list):
        table = {basename(item): item for item in table if isinstance(item, str)}
    found: dict[str, str] = {}
    for command, target in table.items() if isinstance(table, Mapping) else ():
        base, file = _command(str(command)), _inside(target) if isinstance(target, str) else ""
        if base and file:
            found[base] = file
    return found


def _command(text: str) -> str:
    base = basename(text.replace("\\", "/").replace(":", "/"))
    return "" if base in (".", "..") or _CONTROL.search(base) else base


def _inside(text: str) -> str:
    """The target with every `..` stopped at the package's own folder."""
    return "" if _CONTROL.search(text) else normpath("/" + text.replace("\\", "/")).lstrip("/")


def bin_links(placed: Sequence[tuple[str, PackageSaid]], links: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """The `.bin` links (path → relative target) for packages at `placed` paths.

    `links` are the plan's own links: a link to a package makes its commands available beside the link, as pnpm's
    layout needs it; `.bin` links among them are kept as they are and win.
    """
    tables = {path: said.bin for path, said in placed}
    for path, said in placed:
        for folder, table in said.bundled.items():
            tables.setdefault(f"{path}/{folder}", table)
    given = dict(links)
    owners = {owner(path): path for path in tables if _VIRTUAL.fullmatch(owner(path))}
    made: dict[str, str] = {}
    seats = [(path, path) for path in tables] + [(path, _target(path, given[path])) for path in given]
    for seat, place in sorted(seats, key=_order):
        for command, file in tables.get(place, {}).items():
            home = _home(seat, place, owners)
            link = f"{home}/.bin/{command}"
            if home and link not in given:
                made.setdefault(link, relpath(f"/{seat}/{file}", f"/{home}/.bin"))
    return dict(sorted(made.items(), key=lambda item: item[0].encode()))


def _home(seat: str, place: str, owners: Mapping[str, str]) -> str:
    """The `node_modules` whose `.bin` gets the commands: in pnpm's store, that of the package that needs them."""
    folder = owner(seat)
    if folder not in owners:
        return folder
    return "" if seat == place else f"{owners[folder]}/node_modules"


def _target(path: str, target: str) -> str:
    return normpath(f"{path.rpartition('/')[0]}/{target}")


def _order(seat: tuple[str, str]) -> tuple[bytes, str, bytes]:
    name = base_name(seat[0])
    return owner(seat[0]).encode(), name.casefold(), name.encode()
