"""The nouns of an SBOM: components, the files they own, who needs whom; and the identifiers made from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from ...digest import Digest
from ...droplet.contents import Item, name_of
from ...ecosystems.licence import UNSTATED, Licence

APP, GENERATED, STACK = "app", "generated", "stack"
"""Refs of what is there once in every droplet: the app's own files, what stager generates, the stack it is for."""
BUILD = "build"
"""What refs begin with (before a `:`) of what is in no droplet, but was there when something in it was built."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file or link of a droplet, the ref of its owner, and a file's SHA-1, only because SPDX 2.3 demands it."""

    item: Item
    owner: str
    digest1: bytes = b""

    @property
    def path(self) -> str:
        """The path in the archive without `./` (`app/server.js`)."""
        return name_of(self.item).removeprefix("./")

    @property
    def sha256(self) -> str:
        """The hex digest of a file; empty for a link."""
        return self.item.sha256

    @property
    def sha1(self) -> str:
        """The hex SHA-1 of a file; empty for a link."""
        return self.digest1.hex()

    @property
    def target(self) -> str:
        """Where a symbolic link leads; empty for a file."""
        return self.item.link


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a droplet. `ref` is unique in it; `kind` is a CycloneDX component type (1.6, `component.type`)."""

    ref: str
    kind: str
    name: str
    version: str = ""
    purl: str = ""
    digests: tuple[Digest, ...] = ()
    """Of the pinned upstream file, where there is one."""
    licence: Licence = UNSTATED
    needs: tuple[str, ...] = ()
    """Refs of the components that it depends on, sorted."""
    facts: tuple[tuple[str, str], ...] = ()
    """(name, value) of what no field of the formats holds."""

    @property
    def outside(self) -> str:
        """`stack` or `build` for what is in no droplet, else nothing."""
        first, colon, _ = self.ref.partition(":")
        return first if colon and first in (STACK, BUILD) else ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything in a droplet: components sorted by ref, files sorted by path, each with an owner among the components."""

    digest: Digest
    size: int
    components: tuple[Component, ...]
    files: tuple[FileRow, ...] = field(repr=False)
    name: str = "droplet"

    @property
    def serial(self) -> str:
        """The document's own identity: a UUID of the droplet's digest (RFC 9562, §5.5), the same whenever it is written."""
        return uuid5(_SPACE, self.digest)


def uuid5(space: bytes, name: str) -> str:
    """A name-based UUID, version 5 (RFC 9562, §5.5): of the 16 bytes of a namespace and a name."""
    data = bytearray(hashlib.sha1(space + name.encode(), usedforsecurity=False).digest()[:16])
    data[6] = data[6] & 0x0F | 0x50
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


_SPACE = bytes.fromhex("6ba7b8149dad11d180b400c04fd430c8")
"""The namespace of names in X.500 and other schemes (RFC 9562, §6.6); a digest with its algorithm is such a name."""
