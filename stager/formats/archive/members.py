"""The result of reading an archive: `Member`s in an `Archive`, and the `Limits` that reading obeys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

from ...files import regular
from ..errors import BadArchive
from ..tar import Deflated, Span


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one archive may ask for before it is refused."""

    bytes: int = 8 << 30
    """Uncompressed bytes, headers and padding included."""
    entries: int = 200_000
    """Members and extended headers."""
    path: int = 4096
    """Bytes of a whole name or link target, as UTF-8 (Linux: PATH_MAX)."""
    component: int = 255
    """Bytes of one part of a name (Linux: NAME_MAX)."""
    depth: int = 64
    """Parts of a name."""
    pax: int = 1 << 20
    """Bytes of one extended header."""
    ratio: int = 200
    """Uncompressed bytes for each compressed one …"""
    ratio_from: int = 64 << 20
    """… counted only for archives of more uncompressed bytes than this."""

    def cap(self, packed: int) -> int:
        """The most uncompressed bytes that an archive of `packed` bytes may come to."""
        return min(self.bytes, max(self.ratio_from, self.ratio * packed))


LIMITS = Limits()


class Member:
    """A regular file or symlink of an archive.

    `name` is a normalised relative POSIX path, `executable` whether any x bit was set, `content` the uncompressed
    bytes or where to find them, `target` a symlink's target exactly as stored (empty for a regular file); `privileged` is
    whether a set-id bit was set, which a droplet never has.
    """

    __slots__ = ("content", "executable", "name", "privileged", "target")

    def __init__(
        self,
        name: str,
        content: bytes | Span | Deflated,
        executable: bool = False,
        target: str = "",
        privileged: bool = False,
    ) -> None:
        self.name = name
        self.content = content
        self.executable = executable
        self.target = target
        self.privileged = privileged

    @property
    def size(self) -> int:
        """The uncompressed size in bytes; 0 for a symlink."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size

    @property
    def is_link(self) -> bool:
        """Whether this is a symlink."""
        return self.target != ""

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {self.target!r})" if self.target else f"Member({self.name!r}, {self.size} bytes)"


class Archive:
    """A checked archive: regular files and symlinks, sorted by the UTF-8 bytes of their names.

    A context manager: members' contents are valid until `close()`. `archive[name]` raises BadArchive when there is no
    such member, `get` returns None.
    """

    __slots__ = ("_index", "_opened", "label", "members")

    def __init__(self, label: str, members: list[Member], opened: ExitStack) -> None:
        self.label = label
        self.members = members
        self._opened = opened
        self._index: dict[str, Member] | None = None

    def get(self, name: str) -> Member | None:
        """The member of this name, or None."""
        if self._index is None:
            self._index = {member.name: member for member in self.members}
        return self._index.get(name)

    def __getitem__(self, name: str) -> Member:
        found = self.get(name)
        if found is None:
            raise BadArchive(self.label, f"has no member {name!r}")
        return found

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def close(self) -> None:
        """Release the descriptors; twice does no harm."""
        self._opened.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class HeldArchive(NamedTuple):
    """An archive as an open file whose bytes somebody has checked, and a folder with room for what it unpacks to."""

    fd: int
    folder: str


def open_blob(source: str | HeldArchive, label: str, opened: ExitStack) -> tuple[int, int]:
    """Descriptor and size of the regular file `source`; `opened` will close it. Raises BadArchive."""
    try:
        fd = os.dup(source.fd) if isinstance(source, HeldArchive) else regular.descriptor(source)
    except OSError as error:
        raise BadArchive(label, f"cannot be opened: {error.strerror}") from error
    opened.callback(os.close, fd)
    return fd, os.fstat(fd).st_size
