"""Droplets changed in one place each, by a seed: what `verify` and `diff` must find, and what they must call it.

`mutations(data, seed)` gives hundreds of files made from one real droplet. The archive is taken apart and put together
here by hand, independently of stager's own readers and writers. Whatever keeps the archive's bytes (another compressor,
another gzip header) is made from the same tar; whatever changes them is compressed with the droplet's own codec.
"""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import deflate  # type: ignore[import-untyped, unused-ignore]
from builders import BLOCK, octal, pax_record

LOCK, LAYERS = "./app/.stager/stager.lock", "./app/.stager/layers.json"
HEADER = bytes.fromhex("1f8b08000000000000ff")
INPUT = frozenset({"different input"})
CONTENT = frozenset({"different input", "timestamp", "random value", "embedded path", "environment", "order"})
"""What a byte changed by chance in a generated file may look like."""
BROKEN = frozenset({"damaged", "truncated"})


@dataclass(frozen=True)
class Mutation:
    """One changed droplet: its bytes, the causes that are right for it, and the entries of which the first must be one."""

    name: str
    data: bytes = field(repr=False)
    causes: frozenset[str]
    paths: frozenset[str]
    levels: frozenset[str]


@dataclass(frozen=True)
class Part:
    """One entry as it lies in the tar: extended headers before it, its header block, its content, its padding."""

    front: bytes
    header: bytes
    content: bytes
    padding: bytes

    @property
    def name(self) -> str:
        """Its name, by its extended header if there is one."""
        found = re.search(rb"\d+ path=([^\n]*)\n", self.front)
        prefix = self.header[345:500].rstrip(b"\0")
        short = self.header[:100].rstrip(b"\0")
        return (found[1] if found else prefix + b"/" + short if prefix else short).decode()

    @property
    def kind(self) -> str:
        """Its type flag."""
        return self.header[156:157].decode()

    def put(self, start: int, value: bytes, checksum: bool = True) -> Part:
        """With other bytes in its header, the checksum made right again."""
        header = self.header[:start] + value + self.header[start + len(value) :]
        if checksum:
            header = header[:148] + b" " * 8 + header[156:]
            header = header[:148] + b"%06o\0 " % sum(header) + header[156:]
        return replace(self, header=header)

    def fill(self, content: bytes) -> Part:
        """With another content, its size told."""
        made = replace(self, content=content, padding=bytes(-len(content) % BLOCK))
        return made.put(124, b"%011o\0" % len(content))

    def raw(self) -> bytes:
        """Its bytes."""
        return self.front + self.header + self.content + self.padding


def take_apart(tar: bytes) -> tuple[list[Part], bytes]:
    """The entries of a tar, and what follows the last one."""
    parts, at, start = [], 0, 0
    while tar[at : at + BLOCK].strip(b"\0"):
        header = tar[at : at + BLOCK]
        size = int(header[124:136].strip(b"\0 ") or b"0", 8)
        after = at + BLOCK + size + -size % BLOCK
        if header[156:157] not in b"xg":
            body = tar[at + BLOCK : after]
            parts.append(Part(tar[start:at], header, body[:size], body[size:]))
            start = after
        at = after
    return parts, tar[at:]


def join(parts: Iterable[Part], end: bytes = bytes(2 * BLOCK)) -> bytes:
    """A tar."""
    return b"".join(part.raw() for part in parts) + end


def gzip(tar: bytes, header: bytes = HEADER, body: bytes | None = None) -> bytes:
    """A gzip file, compressed as droplets are unless `body` is its deflate stream."""
    packed = bytes(deflate.deflate_compress(tar, 6)) if body is None else body
    return header + packed + struct.pack("<LL", zlib.crc32(tar), len(tar) & 0xFFFFFFFF)


def gunzip(data: bytes) -> bytes:
    """What a gzip file holds."""
    return zlib.decompress(data, 31)


class Maker:
    """Makes mutations of one droplet; every choice comes from the seed."""

    def __init__(self, data: bytes, seed: int) -> None:
        self.data = data
        self.tar = gunzip(data)
        self.parts, self.end = take_apart(self.tar)
        self.choose = random.Random(seed)
        self.files = [i for i, part in enumerate(self.parts) if part.kind == "0" and part.content]
        self.generated = {LOCK, LAYERS} | {
            part.name
            for part in self.parts
            if re.search(r"/\.stager/(bin|launch|processes)|/\.profile\.d/000-", part.name)
        }

    def copied(self) -> list[int]:
        """Files whose content is a copy of the source's or of a package's."""
        made = re.compile(r"^\./(?!app/)|/(RECORD|INSTALLER)$|/pypi/bin/")
        return [
            i for i in self.files if self.parts[i].name not in self.generated and not made.search(self.parts[i].name)
        ]

    def some(self, count: int, among: Iterable[int] | None = None) -> list[int]:
        """Some entries, each at most once."""
        pool = list(range(len(self.parts)) if among is None else among)
        return self.choose.sample(pool, min(count, len(pool)))

    def change(self, index: int, part: Part | None, *more: Part) -> bytes:
        """The droplet with one entry replaced (None: left out), and others put after it."""
        parts = [*self.parts[:index], *([part] if part else []), *more, *self.parts[index + 1 :]]
        return gzip(join(parts, self.end))

    def one(self, name: str, data: bytes, causes: str | frozenset[str], paths: Iterable[str], levels: str) -> Mutation:
        """A mutation, which must be one."""
        assert data != self.data, name
        found = frozenset({causes}) if isinstance(causes, str) else causes
        return Mutation(name, data, found, frozenset(paths), frozenset(levels.split()))


def mutations(data: bytes, seed: int = 1) -> Iterator[Mutation]:
    """Every mutation of one droplet, the same for the same seed."""
    maker = Maker(data, seed)
    for make in FAMILIES:
        yield from make(maker)


Family = Callable[[Maker], Iterator[Mutation]]

# --- contents --------------------------------------------------------------------------------------------------


def bytes_of_files(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(30, maker.copied()):
        part = maker.parts[index]
        at = maker.choose.randrange(len(part.content))
        content = bytearray(part.content)
        content[at] ^= maker.choose.randrange(1, 256)
        yield maker.one(
            f"byte {at} of {part.name}", maker.change(index, part.fill(bytes(content))), INPUT, [part.name], "byte"
        )


def bytes_of_generated_files(maker: Maker) -> Iterator[Mutation]:
    names = maker.generated - {LOCK, LAYERS}
    for index in [i for i in maker.files if maker.parts[i].name in names]:
        part = maker.parts[index]
        for at in sorted(maker.choose.sample(range(len(part.content)), min(4, len(part.content)))):
            content = part.content[:at] + bytes([part.content[at] ^ 1]) + part.content[at + 1 :]
            data = maker.change(index, part.fill(content))
            yield maker.one(f"byte {at} of generated {part.name}", data, CONTENT, [part.name], "byte")


def lengths(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(8, maker.copied()):
        part = maker.parts[index]
        for label, content in (("cut", part.content[:-1]), ("longer", part.content + b"\n"), ("emptied", b"")):
            data = maker.change(index, part.fill(content))
            yield maker.one(f"{label} {part.name}", data, INPUT, [part.name], "byte")


def described_layers(maker: Maker) -> Iterator[Mutation]:
    index = next(i for i in maker.files if maker.parts[i].name == LAYERS)
    part = maker.parts[index]
    for old, new in (
        (b'"entries":', b'"entries":1'),
        (b'"crc":', b'"crc":1'),
        (b'"name":"', b'"name":"x'),
        (b"{", b"["),
    ):
        data = maker.change(index, part.fill(part.content.replace(old, new, 1)))
        yield maker.one(f"{old!r} in layers.json", data, INPUT, [LAYERS], "layer")


# --- fields ----------------------------------------------------------------------------------------------------


def modes(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(20):
        part = maker.parts[index]
        mode = maker.choose.choice(
            [m for m in (0o644, 0o755, 0o600, 0o777, 0o4775, 0) if part.header[100:107] != b"%07o" % m]
        )
        yield _fields(maker, index, 100, octal(mode, 8), "mode", f"{mode:o}")


def times(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(20):
        time = maker.choose.choice([0, 1, 315532800, 315532802, 1_700_000_000, 2**33 - 1])
        yield _fields(maker, index, 136, octal(time, 12), "mtime", str(time))


def owners(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(24):
        start, value = maker.choose.choice(
            [(108, octal(0, 8)), (108, octal(1000, 8)), (116, octal(2000, 8)), (265, b"root\0"), (297, b"vcap\0")]
        )
        yield _fields(maker, index, start, value, "owner", repr(value))


def _fields(maker: Maker, index: int, start: int, value: bytes, cause: str, label: str) -> Mutation:
    part = maker.parts[index]
    data = maker.change(index, part.put(start, value))
    return maker.one(f"{cause} {label} of {part.name}", data, cause, [part.name], "field")


def link_targets(maker: Maker) -> Iterator[Mutation]:
    for index in [i for i, part in enumerate(maker.parts) if part.kind == "2"]:
        for target in (b"elsewhere", b"../../../../etc/passwd", b"/etc/passwd"):
            data = maker.change(index, maker.parts[index].put(157, target.ljust(100, b"\0")))
            name = maker.parts[index].name
            yield maker.one(f"target {target!r} of {name}", data, "link target", [name], "field")


def kinds(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(4, maker.copied()):
        part = maker.parts[index]
        for flag, body in ((b"2", b""), (b"1", b""), (b"6", b""), (b"5", b"")):
            made = part.fill(body).put(156, flag)
            yield maker.one(f"kind {flag!r} of {part.name}", maker.change(index, made), "kind", [part.name], "field")


def header_spellings(maker: Maker) -> Iterator[Mutation]:
    spellings = (
        ("GNU magic", 257, b"ustar  \0"),
        ("device", 329, octal(7, 8)),
        ("unused bytes", 500, b"x"),
        ("mode with spaces", 100, None),
        ("old type flag", 156, b"\0"),
        ("base-256 mtime", 136, b"\x80" + (315532801).to_bytes(11, "big")),
        ("bytes after the name", 98, b"z"),
    )
    for label, start, value in spellings:
        for index in maker.some(3, maker.copied()):
            part = maker.parts[index]
            if part.header[97:98] != b"\0" or part.header[345:346] != b"\0":
                continue
            made = part.put(start, b" %5o \0" % int(part.header[100:107], 8) if value is None else value)
            yield maker.one(f"{label} of {part.name}", maker.change(index, made), "header", [part.name], "field")


def checksum_spelling(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(3):
        part = maker.parts[index]
        made = part.put(148, b"%07o\0" % int(part.header[148:154], 8), checksum=False)
        yield maker.one(f"checksum of {part.name}", maker.change(index, made), "header", [part.name], "field")


def wrong_checksums(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(5):
        part = maker.parts[index]
        made = part.put(100, b"0000000\0", checksum=False)
        yield maker.one(f"wrong checksum of {part.name}", maker.change(index, made), BROKEN, [part.name], "byte")


def extended_headers(maker: Maker) -> Iterator[Mutation]:
    records = (
        ("mtime", "1700000000.5", "mtime"),
        ("atime", "1", "mtime"),
        ("uid", "0", "owner"),
        ("uname", "root", "owner"),
        ("comment", "hello", "header"),
        ("SCHILY.xattr.user.x", "y", "header"),
    )
    for key, value, cause in records:
        for index in maker.some(2, _plain(maker)):
            part = maker.parts[index]
            made = replace(part, front=_extended(pax_record(key, value)))
            yield maker.one(f"PAX {key} of {part.name}", maker.change(index, made), cause, [part.name], "field")


def _extended(records: bytes, name: bytes = b"./@PaxHeader") -> bytes:
    empty = Part(b"", bytes(BLOCK), b"", b"")
    fields = (
        name.ljust(100, b"\0") + octal(0o664, 8) + octal(2000, 8) + octal(0, 8) + octal(0, 12) + octal(315532801, 12)
    )
    made = empty.put(0, fields).put(156, b"x").put(257, b"ustar\x0000").put(329, octal(0, 8) * 2)
    return made.fill(records).raw()


def _plain(maker: Maker) -> list[int]:
    """Copied files without an extended header."""
    return [index for index in maker.copied() if not maker.parts[index].front]


def superfluous_extended_headers(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(3, _plain(maker)):
        part = maker.parts[index]
        made = replace(part, front=_extended(pax_record("path", part.name)))
        yield maker.one(f"needless PAX path of {part.name}", maker.change(index, made), "header", [part.name], "field")


def other_extended_names(maker: Maker) -> Iterator[Mutation]:
    for index in [i for i, part in enumerate(maker.parts) if part.front]:
        part = maker.parts[index]
        made = replace(part, front=_extended(part.front[BLOCK:].rstrip(b"\0"), b"PaxHeaders.4711/x"))
        data = maker.change(index, made)
        yield maker.one(f"name of the PAX header of {part.name}", data, "header", [part.name], "field")


# --- entries ---------------------------------------------------------------------------------------------------


def missing(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(15):
        name = maker.parts[index].name
        causes, levels = ("missing entry", "entry") if name != LOCK else ("missing entry", "plan entry")
        yield maker.one(f"without {name}", maker.change(index, None), causes, [name], levels)


def extra(maker: Maker) -> Iterator[Mutation]:
    for number, index in enumerate(maker.some(15, maker.copied())):
        part = maker.parts[index]
        name = f"./app/added {number}" if number % 2 else f"./app/zz-{number}.pth"
        added = replace(part, front=b"").put(0, name.encode().ljust(100, b"\0")).put(345, bytes(155))
        if number % 3 == 1:
            added = added.fill(b"").put(156, b"5")
        if number % 3 == 2:
            added = added.fill(b"").put(156, b"2").put(157, b"serve")
        yield maker.one(f"added {name}", maker.change(index, part, added), "extra entry", [name], "entry")


def repeated(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(10):
        part = maker.parts[index]
        data = gzip(join([*maker.parts, part], maker.end))
        yield maker.one(f"{part.name} twice", data, "duplicate entry", [part.name], "entry")


def renamed(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(8, maker.copied()):
        part = maker.parts[index]
        if part.front or part.header[99:100] != b"\0":
            continue
        name = part.header[:100].rstrip(b"\0") + b"~"
        data = maker.change(index, part.put(0, name.ljust(100, b"\0")))
        yield maker.one(f"renamed {part.name}", data, frozenset({"missing entry", "extra entry"}), [part.name], "entry")


def orders(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(12, range(len(maker.parts) - 1)):
        parts = list(maker.parts)
        parts[index], parts[index + 1] = parts[index + 1], parts[index]
        names = [part.name for part in parts[index : index + 2]]
        yield maker.one(f"{names[0]} before {names[1]}", gzip(join(parts, maker.end)), "order", names, "entry")
    for index in maker.some(3):
        parts = [*maker.parts[:index], *maker.parts[index + 1 :], maker.parts[index]]
        if index < len(maker.parts) - 1:
            names = [maker.parts[index].name, maker.parts[index + 1].name]
            yield maker.one(f"{names[0]} last", gzip(join(parts, maker.end)), "order", names, "entry")


# --- between the entries, and the end --------------------------------------------------------------------------


def paddings(maker: Maker) -> Iterator[Mutation]:
    for index in maker.some(6, [i for i in maker.files if maker.parts[i].padding]):
        part = maker.parts[index]
        made = replace(part, padding=part.padding[:-1] + b"\x01")
        yield maker.one(f"padding of {part.name}", maker.change(index, made), "header", [part.name], "byte")


def ends(maker: Maker) -> Iterator[Mutation]:
    other = {
        "one block of zeros": bytes(BLOCK),
        "GNU's record of zeros": bytes(20 * BLOCK),
        "no end": b"",
        "something after the end": bytes(2 * BLOCK) + b"x" * BLOCK,
        "half a block more": bytes(2 * BLOCK + 100),
    }
    for label, end in other.items():
        data = gzip(join(maker.parts, end))
        yield maker.one(label, data, "trailing bytes", ["[end of the archive]"], "byte")


# --- the gzip file ---------------------------------------------------------------------------------------------


def gzip_headers(maker: Maker) -> Iterator[Mutation]:
    rest = maker.data[10:]
    for time in (1, 315532801, 1_700_000_000):
        data = HEADER[:4] + struct.pack("<L", time) + HEADER[8:] + rest
        yield maker.one(f"gzip time {time}", data, "mtime", ["[gzip header]"], "field")
    heads = {
        "OS 3": HEADER[:9] + b"\x03",
        "OS 0": HEADER[:9] + b"\x00",
        "XFL 2": HEADER[:8] + b"\x02\xff",
        "XFL 4": HEADER[:8] + b"\x04\xff",
        "a name": HEADER[:3] + b"\x08" + HEADER[4:] + b"droplet.tar\0",
        "a comment": HEADER[:3] + b"\x10" + HEADER[4:] + b"made by me\0",
        "an extra field": HEADER[:3] + b"\x04" + HEADER[4:] + b"\x04\x00AAAA",
        "the text flag": HEADER[:3] + b"\x01" + HEADER[4:],
        "a header CRC": HEADER[:3]
        + b"\x02"
        + HEADER[4:]
        + struct.pack("<H", zlib.crc32(HEADER[:3] + b"\x02" + HEADER[4:]) & 0xFFFF),
    }
    for label, head in heads.items():
        yield maker.one(f"gzip header with {label}", head + rest, "header", ["[gzip header]"], "field")


def compressors(maker: Maker) -> Iterator[Mutation]:
    def zlib_body(level: int, memory: int = 8, strategy: int = 0) -> bytes:
        state = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
        return state.compress(maker.tar) + state.flush()

    bodies = {f"zlib level {level}": zlib_body(level) for level in range(10)}
    bodies |= {f"zlib memory {memory}": zlib_body(6, memory) for memory in (1, 4, 9)}
    bodies |= {f"zlib strategy {number}": zlib_body(6, 8, number) for number in (1, 2, 3, 4)}
    bodies |= {f"libdeflate level {n}": bytes(deflate.deflate_compress(maker.tar, n)) for n in (1, 3, 6, 9, 12)}
    names = [part.name for part in maker.parts]
    for label, body in bodies.items():
        yield maker.one(label, gzip(maker.tar, body=body), "compressor", names, "byte")


def members(maker: Maker) -> Iterator[Mutation]:
    for cut in (512, len(maker.tar) // 2 // 512 * 512, len(maker.tar) - 512):
        data = gzip(maker.tar[:cut]) + gzip(maker.tar[cut:])
        yield maker.one(f"two gzip members, cut at {cut}", data, "compressor", ["[gzip]"], "byte")


def trailing(maker: Maker) -> Iterator[Mutation]:
    for tail in (b"\0", b"\0" * 512, b"#!/bin/sh\n", b"x"):
        yield maker.one(f"followed by {tail[:9]!r}", maker.data + tail, "trailing bytes", ["[end of the file]"], "byte")


def truncations(maker: Maker) -> Iterator[Mutation]:
    for size in sorted(maker.choose.sample(range(20, len(maker.data) - 12), 10)):
        yield maker.one(f"cut to {size} bytes", maker.data[:size], "truncated", _near(maker, size), "byte")
    for size in (0, 1, 5, 9):
        yield maker.one(f"cut to {size} bytes", maker.data[:size], BROKEN, ["[gzip header]"], "byte")
    for less in (1, 4, 8):
        names = [maker.parts[-1].name, "[end of the file]", "[end of the archive]"]
        yield maker.one(f"without its last {less}", maker.data[:-less], "truncated", names, "byte")


def flips(maker: Maker) -> Iterator[Mutation]:
    for at in sorted(maker.choose.sample(range(10, len(maker.data) - 10), 25)):
        flipped = maker.data[at] ^ (1 << maker.choose.randrange(8))
        data = maker.data[:at] + bytes([flipped]) + maker.data[at + 1 :]
        causes = BROKEN | {"compressor"}
        yield maker.one(f"a bit of byte {at} of the file", data, causes, _near(maker, at), "byte")
    for at, label in ((-8, "CRC-32"), (-4, "length")):
        wrong = bytearray(maker.data)
        wrong[at] ^= 1
        yield maker.one(f"wrong {label}", bytes(wrong), "damaged", ["[end of the file]"], "byte")


def _near(maker: Maker, at: int) -> set[str]:
    """The entries that byte `at` of the file may concern: a deflate symbol may stand for bytes of two of them."""
    names: set[str] = set()
    decoder, done, start = zlib.decompressobj(31), 0, 0
    done = len(decoder.decompress(maker.data[: max(at - 1, 0)]))
    until = done + len(decoder.decompress(maker.data[max(at - 1, 0) : at + 8])) + 1
    for part in maker.parts:
        end = start + len(part.raw())
        if start <= until and end >= done:
            names.add(part.name)
        start = end
    return names | ({"[end of the file]"} if until >= start else set())


def no_droplets(maker: Maker) -> Iterator[Mutation]:
    yield maker.one("an empty tar", gzip(bytes(1024)), "missing entry", [LOCK], "plan")
    yield maker.one("no gzip at all", b"PK\3\4" + maker.data, "damaged", ["[gzip header]"], "byte")
    yield maker.one("the bare tar", maker.tar, "damaged", ["[gzip header]"], "byte")


# --- plans -----------------------------------------------------------------------------------------------------


def plans(maker: Maker) -> Iterator[Mutation]:
    """The droplet with another plan in it: what the plan says is looked at before anything else."""
    index = next(i for i in maker.files if maker.parts[i].name == LOCK)
    text = maker.parts[index].content.decode()
    for label, changed, cause, level in plan_texts(text):
        data = maker.change(index, maker.parts[index].fill(changed.encode()))
        yield maker.one(f"plan with {label}", data, cause, [LOCK], level)


def plan_texts(text: str) -> Iterator[tuple[str, str, str, str]]:
    """(what was changed, the lock's text, the cause, the level): valid locks that are not the droplet's."""

    def once(
        label: str, pattern: str, new: str, cause: str = "different input", level: str = "plan"
    ) -> Iterator[tuple[str, str, str, str]]:
        for number, match in enumerate(re.finditer(pattern, text, re.MULTILINE)):
            made = text[: match.start()] + match.expand(new) + text[match.end() :]
            if made != text:
                yield f"{label} {number}", made, cause, level

    yield from once("another stack", r'^stack = ".*"$', 'stack = "debian-13"')
    yield from once("another architecture", r'^architecture = ".*"$', 'architecture = "arm64"')
    yield from once("another codec", r'^codec = ".*"$', 'codec = "zlib-1.3.1-level-6/1"', "compressor")
    yield from once("another command", r'^command = "(.*)"$', r'command = "\1 --debug"')
    yield from once("another value", r'^value = "(.*)"$', r'value = "\1x"')
    yield from once(
        "another buildpack digest", r'(\[\[buildpack\]\]\nname = ".*"\ndigest = "sha256:)(.)', r"\g<1>" + "f"
    )
    yield from once("another reason", r'^reason = "(.*)"$', r'reason = "because \1"')
    yield from once("another input", r'^(".*" = "sha256:)(....)', r"\g<1>" + "0000")
    yield from once("a swapped artifact", r'^(file = .*\ndigest = "sha256:)(....)', r"\g<1>" + "beef", level="artifact")
    yield from once("another size", r"^size = (\d+)$", r"size = 1\1", level="artifact")
    yield from once("another place", r'^paths = \["(.*)"\]$', r'paths = ["\1x"]', level="artifact")
    yield from once("another version", r'^purl = "(.*)@(.*)"$', r'purl = "\1@\2.1"', level="artifact")
    artifacts = list(re.finditer(r"\[\[artifact\]\]\n(?:.+\n)+\n?", text))
    for number, match in enumerate(artifacts):
        rest = (text[: match.start()] + text[match.end() :]).rstrip("\n") + "\n"
        yield f"artifact {number} left out", rest, "different input", "artifact"


FAMILIES: tuple[Family, ...] = (
    bytes_of_files,
    bytes_of_generated_files,
    lengths,
    described_layers,
    modes,
    times,
    owners,
    link_targets,
    kinds,
    header_spellings,
    checksum_spelling,
    wrong_checksums,
    extended_headers,
    superfluous_extended_headers,
    other_extended_names,
    missing,
    extra,
    repeated,
    renamed,
    orders,
    paddings,
    ends,
    gzip_headers,
    compressors,
    members,
    trailing,
    truncations,
    flips,
    no_droplets,
    plans,
)
