"""Where the symbolic links of a source tree lead, worked out from names alone: nothing here touches a disk.

A droplet may hold only relative links that stay inside the app, because it is unpacked at another place on every
platform and a link that leads out would show what happens to be there.
"""

from __future__ import annotations

from ..names import LONGEST_PATH, characters_fault, printable
from .errors import UnsafePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_HOPS = 40
"""Linux follows as many links in one path."""
_ODD = frozenset({"", ".", ".."})
LOOP = "\0"
"""The place of links that lead to each other; no file has this name."""
_HINT = "Make it a relative link that stays inside the app, or add it to .stagerignore."


class _Outside(Exception):
    """The path climbs above the root."""


def follow(links: Mapping[str, str], path: str) -> str:
    """The path that `path` comes to when every link on the way is followed; `""` is the root, `LOOP` leads nowhere.

    `links` have passed `check_link`. A path that is not plain (`a//b`, `./a`, `../a`) leads nowhere.
    """
    parts = path.split("/")
    return _walk(parts, links) if not _ODD.intersection(parts) else LOOP


def check_link(path: str, target: str, links: Mapping[str, str]) -> str:
    """The place where the link `path` leads, among all `links` of the tree (see `follow`).

    Raises UnsafePath when `target` is absolute or climbs above the root, by its letters or through other links, or is
    no name that every platform can hold.
    """
    wrong = characters_fault(target) or (
        f"is longer than {LONGEST_PATH} bytes" if len(target.encode()) > LONGEST_PATH else ""
    )
    if wrong or not target:
        raise UnsafePath(
            path, f"the target of this symbolic link {wrong or 'is empty'}: {printable(target[:200])}", _HINT
        )
    if target.startswith("/"):
        raise UnsafePath(path, f"it is a symbolic link to the absolute path {target}", _HINT)
    try:
        _walk([*path.split("/")[:-1], *target.split("/")], {})
        return _walk(path.split("/"), links)
    except _Outside:
        raise UnsafePath(path, f"it is a symbolic link that leads outside the app: {target}", _HINT) from None


def _walk(parts: list[str], links: Mapping[str, str]) -> str:
    """Take one step after the other, as the kernel does."""
    todo = parts[::-1]
    done: list[str] = []
    hops = 0
    while todo:
        part = todo.pop()
        if part == "..":
            if not done:
                raise _Outside
            done.pop()
        elif part not in ("", "."):
            done.append(part)
            target = links.get("/".join(done)) if links else None
            if target is not None:
                hops += 1
                if hops > _HOPS:
                    return LOOP
                done.pop()
                todo.extend(reversed(target.split("/")))
    return "/".join(done)
