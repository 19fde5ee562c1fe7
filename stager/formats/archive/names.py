"""Which member names and symlink targets are safe: one place for zip, tar and deb.

The rules are decided on the list of members alone; nothing on disk is looked at, so no race or realpath trick can
change them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...names import WHITEOUT, characters_fault
from ..errors import UnsafeEntry
from .members import Limits, Member

_DRIVE = re.compile("[A-Za-z]:")
_LINK_HOPS = 40  # Linux follows no more symlinks than this for one path


def text(label: str, raw: bytes, link: str = "") -> str:
    """A name, or the target of `link`, as text. Raises UnsafeEntry when it is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        member = link or raw.decode("utf-8", "backslashreplace")
        what = "is a link to a name" if link else "has a name"
        raise UnsafeEntry(label, member, f"{what} that is not UTF-8") from None


def clean(label: str, name: str, limits: Limits) -> str:
    """`name` without `.` parts and doubled slashes; empty for the archive's root. Raises UnsafeEntry."""
    framed = f"/{name}/"
    if (
        name.isascii()
        and name.isprintable()  # for ASCII: no control characters
        and "//" not in framed  # nor absolute, nor empty
        and "/." not in framed
        and "\\" not in name
        and name[1:2] != ":"
        and len(name) <= limits.component
        and len(name) < 2 * limits.depth  # so it has no more parts than `depth`
    ):
        return name
    return _clean(label, name, limits)


def _malformed(name: str) -> bool:
    """Whether a name or target has what `stager.names` refuses, or a backslash, which is a separator elsewhere."""
    return "\\" in name or characters_fault(name) != ""


def _clean(label: str, name: str, limits: Limits) -> str:
    if _malformed(name):
        raise UnsafeEntry(label, name, "has a backslash or a control character in its name")
    if name.startswith("/"):
        raise UnsafeEntry(label, name, "has an absolute name")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if any(part.startswith(WHITEOUT) for part in parts):
        raise UnsafeEntry(label, name, f"has a name that begins with {WHITEOUT!r}, by which image layers remove files")
    if ".." in parts:
        raise UnsafeEntry(label, name, "has '..' in its name")
    if parts and _DRIVE.match(parts[0]):
        raise UnsafeEntry(label, name, "has a drive letter in its name")
    if len(parts) > limits.depth:
        raise UnsafeEntry(label, name[:120], f"lies more than {limits.depth} folders deep")
    if any(len(part.encode()) > limits.component for part in parts) or len(name.encode()) > limits.path:
        raise UnsafeEntry(label, name[:120], "has a name that is too long")
    return "/".join(parts)


def clean_file(label: str, name: str, limits: Limits) -> str:
    """As `clean`, for what must have a name. Raises UnsafeEntry."""
    found = clean(label, name, limits)
    if not found:
        raise UnsafeEntry(label, name, "has no name")
    return found


def settle(
    label: str, members: dict[str, Member], folders: Iterable[str], limits: Limits, absolute: bool
) -> list[Member]:
    """The members sorted, after checking them against each other and against explicit `folders`.

    Raises UnsafeEntry for a file that is also a folder, a member below a symlink, and a symlink that leads outside.
    """
    parents: set[str] = set()
    for name in members:
        _add_folder(name.rpartition("/")[0], parents)
    for name in folders:
        _add_folder(name, parents)
    clash = parents & members.keys()
    if clash:
        name = min(clash)
        why = "is a symlink with members below it" if members[name].target else "is both a file and a folder"
        raise UnsafeEntry(label, name, why)
    links = {name: member.target for name, member in members.items() if member.target}
    if links:
        _check_links(label, links, limits, absolute)
    # Python compares text by code point, which for valid text is the order of its UTF-8 bytes.
    return [members[name] for name in sorted(members)]


def _add_folder(name: str, parents: set[str]) -> None:
    while name and name not in parents:
        parents.add(name)
        name = name.rpartition("/")[0]


def _check_links(label: str, links: dict[str, str], limits: Limits, absolute: bool) -> None:
    for name in sorted(links):
        target = links[name]
        if _malformed(target) or len(target.encode()) > limits.path or target.count("/") > 2 * limits.depth:
            raise UnsafeEntry(label, name, f"is a symlink with the malformed target {target[:120]!r}")
        if target.startswith("/") and not absolute:
            raise UnsafeEntry(label, name, f"is a symlink to the absolute path {target!r}")
        if _leads_out(name, target):
            raise UnsafeEntry(label, name, f"is a symlink that leads outside, to {target!r}")
    resolved: dict[str, str] = {}
    for name in sorted(links):
        _resolve(label, name, links, resolved, limits)


def _start(name: str, target: str) -> str:
    """The folder a target is relative to. An absolute one counts from the archive's root."""
    return "" if target.startswith("/") else name.rpartition("/")[0]


def _leads_out(name: str, target: str) -> bool:
    """Whether the target, read as text, climbs above the archive's root at any point."""
    start = _start(name, target)
    depth = start.count("/") + 1 if start else 0
    for part in target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def _resolve(
    label: str, name: str, links: dict[str, str], resolved: dict[str, str], limits: Limits, hops: int = 0
) -> str:
    """Where a link leads when the archive's other links are followed on the way, as the kernel would."""
    if name in resolved:
        return resolved[name]
    if hops >= _LINK_HOPS:
        raise UnsafeEntry(label, name, "is a symlink in a loop or in too long a chain")
    place = _start(name, links[name])
    for part in links[name].split("/"):
        if part == "..":
            if not place:
                raise UnsafeEntry(label, name, f"is a symlink that leads outside, to {links[name]!r}")
            place = place.rpartition("/")[0]
        elif part not in ("", "."):
            place = f"{place}/{part}" if place else part
            if place in links:
                place = _resolve(label, place, links, resolved, limits, hops + 1)
    if len(place) > 2 * limits.path:
        raise UnsafeEntry(label, name, "is a symlink in a loop or in too long a chain")
    resolved[name] = place
    return place
