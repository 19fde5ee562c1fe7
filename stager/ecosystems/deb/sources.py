"""Source packages of a Debian archive: `Sources.xz`, verified as the index of binary packages is (`index`).

Signature, suite and digests are; that it is past its Valid-Until is not remarked on, as `index.merged` does where it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...digest import Digest, sha256
from ...net.errors import NotFound, Unreachable
from .index import listed, stanzas

if TYPE_CHECKING:
    from ..record import IndexPages
    from .index import Stanza


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source package: its path below the archive's base, size in bytes, and digest."""

    path: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class SourcePackage:
    """A source package: its name, the version that upstream gave it, its description (`.dsc`) and upstream's archive."""

    name: str
    upstream: str
    description: SourceFile
    original: SourceFile


def sources(web: IndexPages, mirror: str, suite: str, names: re.Pattern[str], keyring: bytes) -> list[SourcePackage]:
    """The source packages of a suite's `main` with these names; an archive keeps several versions of one for a while.

    Those without a plain `.orig.tar.xz`, and those of a version that is not released yet (`~`), are left out. Raises as
    `index.merged` does, and Unreachable for an entry that is malformed.
    """
    data, _ = listed(web, mirror, suite, "main/source/Sources.xz", keyring)
    where = f"the index of {suite}"
    return [one for found in stanzas(data, where) if names.fullmatch(found.name) for one in _package(found)]


def carried(web: IndexPages, mirror: str, one: SourcePackage) -> bool:
    """Whether a mirror has a source package that its index lists: some have the sources of a part of it.

    Its small description tells. Raises what asking does, but for a page that is not there.
    """
    from ...net.indexes import joined

    try:
        return sha256(web.get(joined(mirror, one.description.path))) == one.description.digest
    except NotFound:
        return False


def _package(stanza: Stanza) -> Iterator[SourcePackage]:
    folder = stanza.field("Directory")
    version = stanza.version.rpartition(":")[2].rpartition("-")[0]
    if not version or "~" in version:
        return
    if not re.fullmatch(r"pool/(?:(?!\.\.)[0-9A-Za-z.+~_-]+/)*(?!\.\.)[0-9A-Za-z.+~_-]+", folder):
        raise Unreachable(f"the entry {stanza.name} of {stanza.where}", f"its Directory is {folder[:80]!r}")
    found = {}
    for row in stanza.rows("Checksums-Sha256"):
        if len(row) != 3 or not re.fullmatch(r"[0-9a-f]{64} [0-9]{1,12} (?!\.)[0-9A-Za-z.+~_-]+", " ".join(row)):
            raise Unreachable(
                f"the entry {stanza.name} of {stanza.where}", f"its file {' '.join(row)[:120]!r} is malformed"
            )
        digest, size, name = row
        found[name] = SourceFile(f"{folder}/{name}", int(size), Digest(f"sha256:{digest}"))
    original = found.get(f"{stanza.name}_{version}.orig.tar.xz")
    description = next((file for name, file in found.items() if name.endswith(".dsc")), None)
    if original and description:
        yield SourcePackage(stanza.name, version, description, original)
