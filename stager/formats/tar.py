"""Canonical tar headers, and the entries that become droplet bytes.

The droplet's tar is ustar (POSIX.1-1988), with a PAX extended header (POSIX.1-2001) only where ustar cannot hold a
value. Every entry is owned by uid 2000 and gid 0 without names, carries mtime 1980-01-01T00:00:01Z, and has one of two
modes; see `docs/droplet-format.md`. This module is on the warm path and imports nothing heavy.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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


class Parts:
    """Bytes that `read()` gives in parts of bounded size, `size` in all; it raises when they are not what was promised."""

    __slots__ = ("read", "size")

    def __init__(self, size: int, read: Callable[[], Iterable[bytes]]) -> None:
        self.size = size
        self.read = read


class PieceFile:
    """One regular file of a piece: droplet path without `./app/`, executable or not, and its content.

    `stated` is the hash that the artifact's own list of files has for it, `algorithm=base64` as a wheel's RECORD writes
    it; the content is untrusted until whoever copies it has compared them. Empty when there is none.
    """

    __slots__ = ("content", "executable", "path", "stated")

    def __init__(
        self, path: str, content: bytes | Span | Deflated | Parts, executable: bool = False, stated: str = ""
    ) -> None:
        self.path = path
        self.content = content
        self.executable = executable
        self.stated = stated

    @property
    def size(self) -> int:
        """The file's uncompressed size in bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size


class Unpacked:
    """What one artifact comes to at one place.

    `files` are its regular files (any order), `links` maps a droplet path to a relative symlink target, `meta` holds
    small JSON facts a later step needs (an npm package's `bin` table), `size` is how many bytes the artifact itself has.
    `close()` releases the archive's descriptors; the entries' contents are valid until then.
    """

    __slots__ = ("_closers", "files", "links", "meta", "size")

    def __init__(
        self,
        files: list[PieceFile],
        links: dict[str, str] | None = None,
        meta: dict[str, object] | None = None,
        closers: tuple[object, ...] = (),
    ) -> None:
        self.files = files
        self.links = links or {}
        self.meta = meta or {}
        self.size = 0
        self._closers = closers

    def close(self) -> None:
        """Close what the contents read from."""
        for thing in self._closers:
            thing.close()  # type: ignore[attr-defined]

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- headers ---------------------------------------------------------------------------------------------------

ROOT = "./app/"
"""Every droplet path begins with this."""
_FILE, _LINK, _FOLDER, _PAX = b"0", b"2", b"5", b"x"
_MODES = {False: b"0000664\0", True: b"0000775\0"}
_OWNER = b"%07o\0%07o\0" % (UID, GID)
_TAIL = b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
"""magic, version, no user and group names, device 0/0."""
_LARGEST = 0o77777777777


def header(name: bytes, size: int, executable: bool, kind: bytes = _FILE, target: bytes = b"") -> bytes:
    """One entry's header block(s): ustar, preceded by a PAX header only when ustar cannot hold name, target or size."""
    prefix = b""
    if len(name) > 100 or len(target) > 100 or size > _LARGEST or not (name.isascii() and target.isascii()):
        split = _split(name) if name.isascii() else None
        if split is None or len(target) > 100 or size > _LARGEST or not target.isascii():
            return _pax(name, size, target) + _block(
                name[:100], b"", min(size, _LARGEST), executable, kind, target[:100]
            )
        prefix, name = split
    return _block(name, prefix, size, executable, kind, target)


def _block(name: bytes, prefix: bytes, size: int, executable: bool, kind: bytes, target: bytes) -> bytes:
    front = name.ljust(100, b"\0") + _MODES[executable] + _OWNER + b"%011o\0%011o\0" % (size, MTIME)
    back = kind + target.ljust(100, b"\0") + _TAIL + prefix.ljust(155, b"\0") + bytes(12)
    return front + b"%06o\0 " % (sum(front) + sum(back) + 256) + back  # the sum counts its own field as 8 spaces


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Divide a name at the last slash that gives at most 155 + 100 bytes, as ustar wants it; None if there is none."""
    cut = name.rfind(b"/", 0, min(156, len(name) - 1))
    return (name[:cut], name[cut + 1 :]) if cut > 0 and len(name) - cut - 1 <= 100 else None


def _pax(name: bytes, size: int, target: bytes) -> bytes:
    records = _record(b"path", name) if len(name) > 100 or not name.isascii() else b""
    if len(target) > 100 or not target.isascii():
        records = _record(b"linkpath", target) + records
    if size > _LARGEST:
        records += _record(b"size", b"%d" % size)
    return _block(b"./@PaxHeader", b"", len(records), False, _PAX, b"") + records + padding(len(records))


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> key=value\\n` where length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def padding(size: int) -> bytes:
    """The zeros that fill the last block of `size` bytes of content."""
    return bytes(-size % BLOCK)


def file_header(path: str, size: int, executable: bool) -> bytes:
    """Header of a regular file at a droplet path (without `./app/`)."""
    return header((ROOT + path).encode(), size, executable)


def folder_header(path: str) -> bytes:
    """Header of a folder; the empty path is the app folder itself."""
    return header((ROOT + path + "/" if path else ROOT).encode(), 0, True, _FOLDER)


def link_header(path: str, target: str) -> bytes:
    """Header of a symbolic link, written with the executable mode (links have no mode of their own)."""
    return header((ROOT + path).encode(), 0, True, _LINK, target.encode())


def outside_folder_header(name: str) -> bytes:
    """Header of a folder beside `./app/`, which only the Cloud Foundry envelope has."""
    return header(f"./{name}/".encode(), 0, True, _FOLDER)


def outside_file_header(name: str, size: int) -> bytes:
    """Header of a file beside `./app/`, which only the Cloud Foundry envelope has."""
    return header(f"./{name}".encode(), size, False)
