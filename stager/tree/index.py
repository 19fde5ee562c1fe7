"""The index of a tree, which one reading of a folder leaves for the next; `walk` writes it, and here it is read.

For every folder that is in it has a table from the names in it to a short record. A record's first letter is the kind
(`d` folder, `f` file, `l` symbolic link, `o` other), its second the decision (see `ignore.judge`), then for hashed files
their stamp and digest:

    f+<inode> <size> <mtime, ns> <ctime, ns> sha256:<hex>

It carries a checksum, and is ignored when anything about it is unexpected. On the warm path.
"""

from __future__ import annotations

import hashlib

from .fingerprint import DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .decide import Records

_IN = "+?kK"
"""Decisions by which a file or a link is in the tree."""


def checksum(folders: dict[str, Records], places: dict[str, str], root: str) -> str:
    """Detects a damaged index. Raises AttributeError, TypeError or ValueError when it has another shape."""
    state = hashlib.sha256(root.encode("utf-8", "surrogatepass"))
    for path, records in folders.items():
        state.update("\n".join(["", path, *records, *records.values()]).encode())
    state.update("\n".join(["", *places, *places.values()]).encode("utf-8", "surrogatepass"))
    return state.hexdigest()


def usable(index: Any, root: str) -> bool:
    """Whether `index` is one of ours, whole, and of this root. The same rules made it: its memo's key says so."""
    try:
        found: bool = index["root"] == root and index["checksum"] == checksum(index["folders"], index["places"], root)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return found


def files(index: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The path and the digest of each file that was in the tree."""
    for folder, records in index.get("folders", {}).items():
        for name, record in records.items():
            if record[0] == "f" and (content := _content(record)):
                yield f"{folder}/{name}".lstrip("/"), content


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Path → `came`, `went` or `changed`, of the files that differ between two trees; of links, whether they are there."""
    before, after = old.get("folders", {}), new.get("folders", {})
    found = {}
    for folder in {*before, *after}:
        was, now = before.get(folder, {}), after.get(folder, {})
        for name in {*was, *now} if was != now else ():
            had, has = _content(was.get(name, "o-")), _content(now.get(name, "o-"))
            if had != has:
                found[f"{folder}/{name}".lstrip("/")] = "came" if not had else "went" if not has else "changed"
    return found


def _content(record: str) -> str:
    """The digest of a file that is in the tree, or the kind of a link that is; empty for all else."""
    if record[1] not in _IN or record[0] not in "fl":
        return ""
    return record[-DIGEST:] if record[0] == "f" else record[:1]
