"""Canonical tar headers, and the entries that become droplet bytes.

The droplet's tar is ustar (POSIX.1-1988), with a PAX extended header (POSIX.1-2001) only where ustar cannot hold a
value. Every entry is owned by uid 2000 and gid 0 without names, carries mtime 1980-01-01T00:00:01Z, and has one of two
modes; see `docs/droplet-format.md`. This module is on the warm path and imports nothing heavy.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
UID, GID = 2000, 0
MTIME = 315532801
"""1980-01-01T00:00:01Z, the earliest second that ZIP, too, can hold; the value Cloud Native Buildpacks use."""
END = bytes(2 * BLOCK)
"""The end-of-archive marker: two blocks of zeros."""


class Span:
    """Uncompressed bytes inside an open file: `size` bytes at `offset` of descriptor `fd`."""

    __slots__ = ("fd", "offset", "size")

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self.fd = fd
        self.offset = offset
        self.size = size


class Deflated:
    """A raw deflate stream inside an open file, as a ZIP member holds it.

    `length` compressed bytes at `offset` of descriptor `fd`, which inflate to `size` bytes with CRC-32 `crc`. The
    claim is untrusted: whoever copies the stream must inflate it once and check size, CRC and exact end.
    """

    __slots__ = ("crc", "fd", "length", "offset", "size")

    def __init__(self, fd: int, offset: int, length: int, size: int, crc: int) -> None:
        self.fd = fd
        self.offset = offset
        self.length = length
        self.size = size
        self.crc = crc


class Entry:
    """One regular file of a piece: droplet path without `./app/`, executable or not, and its content."""

    __slots__ = ("content", "executable", "path")

    def __init__(self, path: str, content: bytes | Span | Deflated, executable: bool = False) -> None:
        self.path = path
        self.content = content
        self.executable = executable

    @property
    def size(self) -> int:
        """The file's uncompressed size in bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size


class Unpacked:
    """What one artifact comes to at one place.

    `files` are its regular files (any order), `links` maps a droplet path to a relative symlink target, `meta` holds
    small JSON facts a later step needs (an npm package's `bin` table). `close()` releases the archive's descriptors; the
    entries' contents are valid until then.
    """

    __slots__ = ("_closers", "files", "links", "meta")

    def __init__(
        self,
        files: list[Entry],
        links: dict[str, str] | None = None,
        meta: dict[str, object] | None = None,
        closers: tuple[object, ...] = (),
    ) -> None:
        self.files = files
        self.links = links or {}
        self.meta = meta or {}
        self._closers = closers

    def close(self) -> None:
        """Close what the contents read from."""
        for thing in self._closers:
            thing.close()  # type: ignore[attr-defined]

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
