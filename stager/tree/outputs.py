"""What stager has written: no output of stager is ever source, whatever it is called and wherever it lies.

Told by how a file begins, so that a copy, another name, another compressor's gzip and a file that was cut short or
appended to are told alike; see docs/source.md for each format. The rule is a function of the bytes: no store, no memo, and
not the command that runs has a say. Imported only for files whose first bytes are `likely` (see `heads`).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ..formats import tar
from .heads import FILE_FLAGS, FOLDER_FLAGS, squeezed

WRITTEN = "written by stager: "
PRINTED = "what this very command prints goes there"
SECRET = "likely a secret: it holds a private key"  # noqa: S105 - a remark
LAYOUT = {"oci-layout", "index.json"}
"""The files that an OCI image layout has at its top (image-spec 1.1, image-layout.md)."""
BUILDER = "Dockerfile"
STORE = {"blobs", "locks", "memo", "tmp", "trash"}
"""The folders of a store's `v1` (see `store`)."""

_HEAD = 1 << 20
"""Bytes at the start of a file that decide (as in `heads`)."""
_INFLATED = 256 * 1024
"""Bytes at the start of what a compressed file holds that are looked at."""
_DEEP = 3
"""How often an output may have been compressed, one way over the other."""
_MEMORY = 80 << 20
"""Bytes that unpacking xz may take: enough for its highest level."""
_MEMBERS = 64
"""Entries of a tar that are looked at."""
_LARGEST = 4 << 20
"""Bytes of a layout's JSON document beyond which it is nobody's we know (image-spec suggests this limit)."""


def output(head: bytes) -> str:
    """What the file with these first bytes is, if stager wrote it, for people; else an empty string.

    Raises ImportError where Python was built without what a compressed file takes (bzip2, xz).
    """
    head = _unpacked(head)
    if head[257:262] == b"ustar":
        found = _archive(list(_members(head)))
    elif head[:1] == b"{":
        found = _document(squeezed(head))
    elif _KEY.match(head):
        return SECRET
    else:
        found = next((name for name, start in _TEXTS.items() if start.match(head)), "")
    return found and WRITTEN + found


def wrote(path: str) -> bool:
    """Whether stager wrote the file at `path`, as its beginning says; no one is asked to show what cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return bool(output(file.read(_HEAD)))
    except (OSError, ImportError):
        return False


# --- texts and JSON documents ----------------------------------------------------------------------------------

_KEY = re.compile(rb"-----BEGIN PRIVATE KEY-----\r?\nMC4CAQAwBQYDK2VwBCIEI")
"""An Ed25519 private key in PKCS#8 (RFC 8410), as `attest --make-key` writes it: a secret whoever made it."""

_TEXTS = {
    "a report": re.compile(
        rb'<!DOCTYPE html>\n<html lang="en">\n<head>.{0,2000}?<meta name="generator" content="stager [^"]*">\n'
        rb"<title>[^<]* \xc2\xb7 stager report</title>",
        re.DOTALL,
    ),
    "a report of verify": re.compile(rb'<\?xml [^>]*>\n<testsuites>\n<testsuite name="stager verify" '),
    "a manifest that names a droplet": re.compile(
        rb"apiVersion: .{0,65536}?\n    stager\.droplet\.digest: sha256:[0-9a-f]{64}\n", re.DOTALL
    ),
    "a Capistrano task": re.compile(
        rb"# Deploys a droplet by its digest with Capistrano 3: .{0,2000}?'[0-9a-f]{64}'", re.DOTALL
    ),
    "a lock": re.compile(
        rb"# What this app is staged from, pinned\. Made by stager; |"
        rb"# The packages of a stack, pinned\. Made by 'stager box lock'; "
    ),
    "a public key": re.compile(rb"stager: [^\n]*\r?\n-----BEGIN PUBLIC KEY-----"),
}  # fmt: skip

_STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"buildDefinition":{"buildType":"urn:stager:'
_TEXT = rb'"(?:[^"\\]|\\.)*"'
_SHA256 = rb'"sha256:[0-9a-f]{64}"'
_DOCUMENTS = {
    "a receipt": re.compile(
        rb'\{"artifacts":\[(?:\{"digest":"[a-z0-9]+:[0-9a-f]+","file":%b,"layout":"|\],"buildpacks":\[\{"digest":%b)'
        % (_TEXT, _SHA256)
    ),
    "a CycloneDX SBOM": re.compile(
        rb'\{"\$schema":"http://cyclonedx\.org/schema/bom-[0-9.]+\.schema\.json","bomFormat":"CycloneDX",'
        rb'"components":\[\{"bom-ref":"app",(?:"components":\[\{"bom-ref":"file:app/|"name":"app","properties":\[\{"name":"stager:)'
    ),
    "an SPDX SBOM": re.compile(
        rb'\{"SPDXID":"SPDXRef-DOCUMENT","creationInfo":\{"created":"[^"]*","creators":\["Tool:stager"\]\}'
    ),
    "a catalog of boxes": re.compile(
        rb'\{"description":%b,"name":"stager/[^"]+","versions":\[\{"providers":\[\{"architecture":"' % _TEXT
    ),
    "what stage or inspect printed": re.compile(
        rb'\{"architecture":"[a-z0-9]+","buildpacks":\[(?:"[^"]*",?)*\],(?:"builds":\[.{0,65536}?\],)?"digest":%b,"env":\{'
        % _SHA256
    ),
    "what verify printed": re.compile(
        rb'\{"against":%b,"cause":(?:null,"conditions":\{"(?:not_)?tried":|\{"cause":"[^"]*","droplet":)' % _TEXT
    ),
    "a statement": re.compile(re.escape(_STATEMENT)),
}
_PAYLOAD = re.compile(rb'"payload":"([A-Za-z0-9+/]{%d,})' % ((len(_STATEMENT) // 3 + 2) * 4))


def _document(text: bytes) -> str:
    """What a JSON document is; `text` is its beginning without white space."""
    if text.startswith((b'{"payload":', b'{"mediaType":')):
        payload = _PAYLOAD.search(text)
        return "an attestation" if payload and _decoded(payload[1]).startswith(_STATEMENT) else ""
    return next((name for name, start in _DOCUMENTS.items() if start.match(text)), "")


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text[: (len(_STATEMENT) // 3 + 2) * 4])
    except binascii.Error:
        return b""


# --- archives --------------------------------------------------------------------------------------------------


class _Member(NamedTuple):
    """An entry at the beginning of a tar: its name, its header block, and what is there of its content."""

    name: bytes
    block: bytes
    content: bytes

    @property
    def own(self) -> bool:
        """Whether this is a header as stager writes them into droplets and around them (see `tar`)."""
        return self.block[108:124] == _OWNER and self.block[136:148] == _MTIME and self.block[257:345] == _TAIL


_OWNER = b"%07o\0%07o\0" % (tar.UID, tar.GID)
_MTIME = b"%011o\0" % tar.MTIME
_TAIL = b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
_BOX = b"# The defaults of this box; a project's own Vagrantfile goes before them.\n"


def _unpacked(head: bytes) -> bytes:
    """What is inside of a compressed file, and of one in it, at the start."""
    for _ in range(_DEEP):
        unpack = _unpacker(head)
        if not unpack:
            break
        inner = unpack(head, _INFLATED)
        head = unpack(head, len(head)) if _unpacker(inner) else inner  # a block of bzip2 is all or nothing
    return head


def _unpacker(head: bytes) -> Callable[[bytes, int], bytes] | None:
    return next((unpack for magic, unpack in _PACKED.items() if head.startswith(magic)), None)


# The first bytes that a compressed file holds; none when it is damaged there, or would take too much memory.


def _gzip(head: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, most)
    except zlib.error:
        return b""


def _bzip2(head: bytes, most: int) -> bytes:
    import bz2

    try:
        return bz2.BZ2Decompressor().decompress(head, most)
    except (OSError, ValueError):
        return b""


def _xz(head: bytes, most: int) -> bytes:
    import lzma

    try:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY).decompress(head, most)
    except lzma.LZMAError:
        return b""


def _zstd(head: bytes, most: int) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from backports import zstd

    try:
        return bytes(zstd.ZstdDecompressor().decompress(head, most))
    except zstd.ZstdError:
        return b""


_PACKED = {b"\x1f\x8b": _gzip, b"BZh": _bzip2, b"\xfd7zXZ\0": _xz, b"\x28\xb5\x2f\xfd": _zstd}
"""How a compressed file begins (RFC 1952, RFC 8878, the bzip2 and xz formats) → what it holds at its start."""


def _members(data: bytes) -> Iterator[_Member]:
    """The first entries of a ustar archive, as far as their headers are in `data`; PAX headers are passed over."""
    at = 0
    for _ in range(_MEMBERS):
        block = data[at : at + tar.BLOCK]
        size = block[124:136].rstrip(b"\0 ")
        if len(block) < tar.BLOCK or block[257:263] != b"ustar\0" or size.strip(b"01234567"):
            return
        end = at + tar.BLOCK + int(size or b"0", 8)
        if block[156:157] not in b"xg":
            prefix, name = block[345:500].rstrip(b"\0"), block[:100].rstrip(b"\0")
            yield _Member(prefix + b"/" + name if prefix else name, block, data[at + tar.BLOCK : end])
        at = end + -end % tar.BLOCK


def _archive(members: list[_Member]) -> str:
    """What a tar is that begins with these entries."""
    if not members:
        return ""
    first, names = members[0], [member.name for member in members]
    if first.own:
        return _enveloped(first, names)
    if any(m.name == b"Vagrantfile" and m.content.startswith(_BOX) for m in members):
        return "a Vagrant box"
    home = members[1:2]
    times = {member.block[136:148] for member in members}
    if names[:2] == [b"./", b"./app/"] and home[0].block[108:124] == _OWNER and len(times) == 1:
        return "a stack's root" if first.block[257:345] == _TAIL else ""
    return ""


def _enveloped(first: _Member, names: list[bytes]) -> str:
    """What an archive is whose first header is stager's own."""
    if first.name == b"./app/":
        return "a droplet" if b"./app/.stager/" in names else ""
    if first.name in _FIRST:
        return _FIRST[first.name] if first.name != b"index.json" or names[1:2] == [b"manifest.json"] else ""
    inside = names[1].removeprefix(first.name) if len(names) > 1 else b""
    if re.fullmatch(rb"\./[a-z0-9-]+-[0-9a-f]{12}/", first.name) and inside == b"install":
        return "an installable archive"
    return "a cookbook" if first.name.endswith(b"-chef/") and inside == b"cookbooks/" else ""


_FIRST = {b"index.json": "an image archive", b"./bundle.json": "a bundle", b"./release.MF": "a BOSH release"}
"""The first entry's name → what the archive is."""


# --- folders ---------------------------------------------------------------------------------------------------


def folder_mark(path: str, kinds: Mapping[str, str]) -> str:
    """The entry that tells whether the folder `path` with these names (and kinds) is stager's; empty: it is not."""
    if path.rpartition("/")[2] == "v1" and all(kinds.get(name) == "d" for name in STORE):
        return "blobs"
    if all(kinds.get(name) == "f" for name in LAYOUT):
        return "index.json"
    return BUILDER if kinds.get(BUILDER) == "f" and kinds.get("s2i") == "d" else ""


def folder_output(fd: int, mark: str) -> str:
    """What the open folder is, if stager wrote it, told by the entry `mark` and what it names; else an empty string."""
    if mark == "blobs":
        return WRITTEN + "a store"
    data = _read(fd, mark)
    if mark == BUILDER:
        return WRITTEN + "an s2i builder" if data.startswith(b"# The s2i builder of the stack ") else ""
    rows = _list(_json(data), "manifests")
    return WRITTEN + "an image" if rows and all(_own_image(fd, row) for row in rows) else ""


def _own_image(fd: int, row: Any, depth: int = 0) -> bool:
    """Whether a descriptor leads to an image that stager made: by its manifest, or as a stack's root by its history."""
    document = _blob(fd, row)
    rows = _list(document, "manifests")
    if rows and not depth:
        return all(_own_image(fd, one, 1) for one in rows)
    if "stager.droplet.digest" in _dict(document, "annotations"):
        return True
    history = _list(_blob(fd, document.get("config")), "history")
    return len(history) == 1 and str(_dict({"": history[0]}, "").get("created_by")).startswith("stager box build ")


def _blob(fd: int, descriptor: Any) -> dict[str, Any]:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    shape = re.fullmatch(r"sha256:([0-9a-f]{64})", digest) if isinstance(digest, str) else None
    return _json(_read(fd, "blobs", "sha256", shape[1])) if shape else {}


def _read(fd: int, *path: str) -> bytes:
    """A small file below an open folder, no link followed; empty when it is not there or too large."""
    held: list[int] = []
    try:
        for name in path[:-1]:
            held.append(os.open(name, FOLDER_FLAGS, dir_fd=held[-1] if held else fd))
        held.append(os.open(path[-1], FILE_FLAGS, dir_fd=held[-1] if held else fd))
        data = b""
        while len(data) <= _LARGEST and (part := os.read(held[-1], _LARGEST + 1)):
            data += part
        return data if len(data) <= _LARGEST else b""
    except OSError:
        return b""
    finally:
        for one in held:
            os.close(one)


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _list(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []


def _dict(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}
