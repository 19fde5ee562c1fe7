"""Reading zip files (APPNOTE 6.3.10) so strictly that no two honest readers could disagree about them.

A zip says everything twice: in the central directory at its end and in a local header in front of each member.
Readers that trust different halves see different files (CVE-2025-54368). Here both must say the same, and members,
directory and end record must cover the file without gap or overlap: nothing is in front, between or behind.
"""

from __future__ import annotations

import stat
import struct
from contextlib import ExitStack
from typing import NoReturn

from ..errors import BadArchive, UnsafeEntry
from ..tar import Deflated, Span
from .content import content_bytes, crc32, read_at, read_up_to
from .members import LIMITS, Archive, HeldArchive, Limits, Member, open_blob
from .names import clean, clean_file, settle, text

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s2xBxHH4x3L4H2x2L")  # without: writing system, times, internal attributes
_LOCAL = struct.Struct("<4sBxHH4x3L2H")  # without: times

_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _HAS_DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
_ALLOWED_FLAGS = 0x2 | 0x4 | _HAS_DESCRIPTOR | _UTF8  # bits 1 and 2 only tell how hard deflate tried
_NEWEST = 63  # APPNOTE 4.4.3.2 defines versions up to 6.3; later ones could mean anything
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_FULL, _FULL_SHORT = 0xFFFFFFFF, 0xFFFF
_DOS_FOLDER = 0x10
_DESCRIPTOR_SIGNATURE = b"PK\7\10"
_KIND = 0o170000
_FILE_KINDS = (0, stat.S_IFREG, stat.S_IFLNK)


_Extent = tuple[int, int, bytes]
"""Where a member's local header begins, where its data end, and the data descriptor behind them (empty: none)."""


def read_zip(path: str | HeldArchive, label: str, limits: Limits = LIMITS) -> Archive:
    """Check the zip file `path` and list its members.

    Deflated members stay compressed (`Deflated`; whoever reads one checks it), stored ones are `Span`s whose CRC-32 has
    been checked. `label` is what errors call the archive. Raises BadArchive and UnsafeEntry.
    """
    with ExitStack() as opened:
        fd, size = open_blob(path, label, opened)
        members = _Zip(fd, size, label, limits).read()
        return Archive(label, members, opened.pop_all())


class _Zip:
    __slots__ = ("extents", "fd", "folders", "label", "limits", "members", "open", "size")

    def __init__(self, fd: int, size: int, label: str, limits: Limits) -> None:
        self.fd = fd
        self.size = size
        self.label = label
        self.limits = limits
        self.members: dict[str, Member] = {}
        self.folders: dict[str, Member] = {}
        self.extents: list[_Extent] = []
        self.open: list[tuple[Member, int, bool]] = []
        """Members whose data must be looked at now, with their CRC-32 and whether they are symlinks."""

    def fail(self, why: str, name: str = "") -> NoReturn:
        raise BadArchive(self.label, f"member {name!r} {why}" if name else why)

    def read(self) -> list[Member]:
        directory, start, count = self._directory()
        at = 0
        for _ in range(count):
            at = self._record(directory, at)
        if at != len(directory):
            self.fail("has more in its zip directory than it counts")
        self._check_cover(start)
        self._check_total()
        for member, crc, is_link in self.open:
            self._check_content(member, crc, is_link)
        return settle(self.label, self.members, self.folders, self.limits, absolute=False)

    # --- the end of the file ---

    def _directory(self) -> tuple[bytes, int, int]:
        """The central directory's bytes, where it starts, and how many records it must hold."""
        tail_start = max(0, self.size - _END.size - _FULL_SHORT)
        tail = read_at(self.fd, tail_start, self.size - tail_start, self.label)
        at = tail.rfind(b"PK\5\6")
        if at < 0 or at + _END.size > len(tail):
            self.fail("has no zip directory at its end")
        _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(tail, at)
        end = tail_start + at
        if end + _END.size + comment != self.size or b"PK" in tail[at + _END.size :]:
            self.fail("has data behind its zip directory")
        if disk or first_disk or here != count:
            self.fail("is one part of a zip split over several files")
        end, count, length, start = self._widen(end, count, length, start)
        if start + length != end:
            self.fail("has a zip directory that does not end where it must")
        if count > self.limits.entries:
            self.fail(f"has more than {self.limits.entries} members")
        if length > self.limits.entries * 512:
            self.fail("has a zip directory that is too large")
        return read_at(self.fd, start, length, self.label), start, count

    def _widen(self, end: int, count: int, length: int, start: int) -> tuple[int, int, int, int]:
        """Follow a zip64 locator in front of the end record; both must agree about everything."""
        locator = end - _END64_LOCATOR.size
        found = read_up_to(self.fd, locator, _END64_LOCATOR.size, self.label) if locator >= 0 else b""
        if found[:4] != b"PK\6\7":
            return end, count, length, start
        _, disk, end64, disks = _END64_LOCATOR.unpack(found)
        if disk or disks != 1 or end64 + _END64.size != locator:
            self.fail("has a damaged zip64 directory")
        fields = _END64.unpack(read_at(self.fd, end64, _END64.size, self.label))
        signature, size, _, need, disk, first_disk, here, *wide = fields
        if (
            signature != b"PK\6\6"
            or size != _END64.size - 12
            or disk
            or first_disk
            or here != wide[0]
            or need > _NEWEST
        ):
            self.fail("has a damaged zip64 directory")
        for narrow, full, value in zip((count, length, start), (_FULL_SHORT, _FULL, _FULL), wide, strict=True):
            if narrow not in (full, value):
                self.fail("has a zip64 directory that contradicts the plain one")
        return end64, wide[0], wide[1], wide[2]

    # --- one member ---

    def _record(self, directory: bytes, at: int) -> int:
        """Take in the member whose central record begins at `at`; where the next record does."""
        if at + _CENTRAL.size > len(directory):
            self.fail("has a zip directory that is cut short")
        fields = _CENTRAL.unpack_from(directory, at)
        signature, need, flags, method, crc, length, size, name_length, extra_length = fields[:9]
        comment_length, disk, attributes, offset = fields[9:]
        extra_at = at + _CENTRAL.size + name_length
        end: int = extra_at + extra_length + comment_length
        if signature != b"PK\1\2" or end > len(directory):
            self.fail("has a damaged zip directory")
        raw = directory[extra_at - name_length : extra_at]
        name = raw.decode("ascii") if raw.isascii() else self._name(raw, flags)
        if flags & ~_ALLOWED_FLAGS or need > _NEWEST or disk or method not in (_STORED, _DEFLATED):
            self._refuse(name, flags, method)
        if extra_length:
            extra = self._zip64(directory[extra_at : extra_at + extra_length], name, raw)
            size, length, offset = self._widen_record(extra, name, size, length, offset)
        if offset + length > self.size:
            self.fail("lies outside the file", name)
        data = offset + _LOCAL.size + name_length
        head = read_up_to(self.fd, offset, data - offset, self.label)
        descriptor = b""
        # The central record repeats the local header, nearly always byte for byte and without extra fields.
        if extra_length or head != b"PK\3\4" + directory[at + 6 : at + 30] + b"\0\0" + raw or flags & _HAS_DESCRIPTOR:
            data, descriptor = self._check_local(head, offset, name, raw, (flags, method, crc, length, size))
        self.extents.append((offset, data + length, descriptor))
        self._add(name, attributes, method, data, length, size, crc)
        return end

    def _name(self, raw: bytes, flags: int) -> str:
        if not flags & _UTF8:
            shown = raw.decode("utf-8", "backslashreplace")
            raise UnsafeEntry(self.label, shown, "has a name that is neither ASCII nor marked as UTF-8")
        return text(self.label, raw)

    def _refuse(self, name: str, flags: int, method: int) -> NoReturn:
        if flags & _ENCRYPTED:
            self.fail("is encrypted", name)
        if method not in (_STORED, _DEFLATED):
            self.fail(f"is compressed by method {method}; only deflate is read", name)
        self.fail("uses features of zip that no package needs", name)

    def _zip64(self, extra: bytes, name: str, raw: bytes) -> bytes | None:
        """The zip64 field of an extra block, None when there is none. Fields such as times do not matter here."""
        found, at = None, 0
        while at < len(extra):
            if at + 4 > len(extra):
                self.fail("has a damaged extra field", name)
            kind, length = struct.unpack_from("<2H", extra, at)
            value = extra[at + 4 : at + 4 + length]
            if len(value) < length or (kind == _ZIP64 and found is not None):
                self.fail("has a damaged extra field", name)
            if kind == _ZIP64:
                found = value
            if kind == _UNICODE_PATH and value[5:] != raw:
                self.fail("has a second, different name in an extra field", name)
            at += 4 + length
        return found

    def _widen_record(self, wide: bytes | None, name: str, size: int, length: int, offset: int) -> tuple[int, int, int]:
        """APPNOTE 4.5.3: the 64-bit value of each field that is full, in this order, and nothing else."""
        if wide is None:
            return size, length, offset
        fields = [size, length, offset]
        full = [index for index, value in enumerate(fields) if value == _FULL]
        if len(wide) != 8 * len(full):
            self.fail("has a zip64 field that does not fit its header", name)
        for index, value in zip(full, struct.unpack(f"<{len(full)}Q", wide), strict=True):
            fields[index] = value
        return fields[0], fields[1], fields[2]

    def _check_local(
        self, head: bytes, offset: int, name: str, raw: bytes, stated: tuple[int, int, int, int, int]
    ) -> tuple[int, bytes]:
        """Where the member's data begin, and the data descriptor that must follow them.

        `stated` are flags, method, CRC-32, compressed and uncompressed size of the central record.
        """
        fixed = _LOCAL.size + len(raw)
        if len(head) < fixed or head[:4] != b"PK\3\4":
            self.fail("has no header where the zip directory says", name)
        _, need, flags, method, crc, length, size, name_length, extra_length = _LOCAL.unpack_from(head)
        if head[_LOCAL.size :] != raw or name_length != len(raw):
            self.fail("has another name in its own header", name)
        wide = None
        if extra_length:
            wide = self._zip64(read_at(self.fd, offset + fixed, extra_length, self.label), name, raw)
            size, length = self._widen_local(wide, name, flags, size, length)
        # A member written to a pipe has zeros here, and its CRC and sizes behind its data.
        left_open = flags & _HAS_DESCRIPTOR and (flags, method, crc, length, size) == (*stated[:2], 0, 0, 0)
        if need > _NEWEST or not (left_open or (flags, method, crc, length, size) == stated):
            self.fail("is described differently in its own header", name)
        data = offset + fixed + extra_length
        if not flags & _HAS_DESCRIPTOR:
            return data, b""
        if method == _STORED and stated[3]:
            self.fail("is stored with its size behind it, so that its end can only be guessed", name)
        return data, struct.pack("<L2Q" if wide is not None else "<3L", *stated[2:])

    def _widen_local(self, wide: bytes | None, name: str, flags: int, size: int, length: int) -> tuple[int, int]:
        """APPNOTE 4.5.3: in a local header both sizes must be in the zip64 field.

        Some packers (protobuf's wheels) fill it although the sizes fit; then it must repeat them.
        """
        if wide is None:
            return size, length
        values = struct.unpack("<2Q", wide) if len(wide) == 16 else ()
        repeated = values == (size, length) and not flags & _HAS_DESCRIPTOR
        if not values or not (repeated or size == length == _FULL):
            self.fail("has a zip64 field that does not fit its header", name)
        return values[0], values[1]

    # --- what the members are ---

    def _add(self, name: str, attributes: int, method: int, data: int, length: int, size: int, crc: int) -> None:
        mode = attributes >> 16
        kind = mode & _KIND
        if method == _DEFLATED:
            content: Span | Deflated = Deflated(self.fd, data, length, size, crc)
        else:
            content = Span(self.fd, data, length)
            if length != size:
                self.fail("is stored with two sizes", name)
        is_folder = name.endswith("/")
        member = Member((clean if is_folder else clean_file)(self.label, name, self.limits), content, mode & 0o111 != 0)
        if is_folder and (kind not in (0, stat.S_IFDIR) or size or crc):
            raise UnsafeEntry(self.label, name, "is named like a folder but is none")
        if not is_folder and (kind not in _FILE_KINDS or (not kind and attributes & _DOS_FOLDER)):
            raise UnsafeEntry(self.label, name, "is neither a file nor a symlink")
        if is_folder or method == _STORED or kind == stat.S_IFLNK:
            self.open.append((member, crc, kind == stat.S_IFLNK))
        table = self.folders if is_folder else self.members
        if member.name in table:
            raise UnsafeEntry(self.label, name, "is in the archive twice")
        table[member.name] = member

    def _check_content(self, member: Member, crc: int, is_link: bool) -> None:
        """Look at data that nobody will look at later: stored files, symlink targets, what hides in a folder."""
        if is_link and not 0 < member.size <= self.limits.path:
            raise UnsafeEntry(self.label, member.name, "is a symlink with a malformed target")
        if crc32(member.content, self.label) != crc:
            self.fail("does not have the CRC-32 it states", member.name)
        if is_link:
            member.target = text(self.label, content_bytes(member.content, self.label), member.name)
            member.content, member.executable = b"", False

    # --- all together ---

    def _check_cover(self, end: int) -> None:
        """Each member, in file order, must begin where the one before it ended; the directory behind the last."""
        self.extents.sort()
        expected = 0
        for offset, data_end, descriptor in self.extents:
            if offset != expected:
                self.fail("has a gap in front of a member, or members that overlap")
            expected = data_end + (self._descriptor_length(data_end, descriptor) if descriptor else 0)
        if expected != end:
            self.fail("has a gap in front of its zip directory, or a member that overlaps it")

    def _descriptor_length(self, at: int, descriptor: bytes) -> int:
        """APPNOTE 4.3.9: a data descriptor may begin with a signature, which then cannot be its CRC-32."""
        found = read_up_to(self.fd, at, len(descriptor) + 4, self.label)
        if found == _DESCRIPTOR_SIGNATURE + descriptor:
            return len(found)
        if not found.startswith(descriptor) or descriptor.startswith(_DESCRIPTOR_SIGNATURE):
            self.fail("has a member whose sizes in front and behind differ")
        return len(descriptor)

    def _check_total(self) -> None:
        total = sum(member.size for member in self.members.values())
        cap = self.limits.cap(self.size)
        if total > cap:
            self.fail(f"unpacks to {total} bytes; the limit for its size is {cap}")
