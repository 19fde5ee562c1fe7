"""What only the Debian package itself can say: which of the droplet's files are its, and under which licence.

A droplet holds the files that run; which package each came from is a function of the package and its layout, so it
is read from the pinned package, and remembered.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..archive import Archive, Held, content_bytes, read_deb
from ..digest import key_of
from ..errors import DamagedArtifact, StoreCorrupt
from ..layouts import recipe

if TYPE_CHECKING:
    from ..model import Artifact
    from ..store import Store

_FORMAT = 2
_LARGEST = 8 << 20
_DOC = re.compile(r"usr/share/doc/([^/]+)(?:/copyright)?")


def is_deb(artifact: Artifact) -> bool:
    """Whether an artifact is a Debian package, whose facts are not all in the droplet."""
    return artifact.layout.startswith("deb-")


def package(artifact: Artifact) -> str:
    """The Debian package's name."""
    return unquote(artifact.purl.partition("?")[0].rpartition("/")[2].partition("@")[0])


def facts(artifact: Artifact, blob: str, store: Store) -> dict[str, Any]:
    """`files` (place → its files and links in the app folder) and `copyright` (a text) or `like` (the package that has it).

    Raises BadArchive and UnsafeEntry.
    """
    key = key_of(_FORMAT, artifact.digest, artifact.layout, artifact.purl, artifact.paths)
    found: dict[str, Any] | None = store.recall("sbom-deb", key)
    if found is None:
        try:
            with store.prove(blob, artifact.digest) as descriptor:
                found = _read(artifact, Held(descriptor, ""))
        except StoreCorrupt as error:
            raise DamagedArtifact(artifact.name, error, store.path(blob)) from None
        store.remember("sbom-deb", key, found)
    return found


def _read(artifact: Artifact, held: Held) -> dict[str, Any]:
    files = {place: _files(held, artifact, place) for place in artifact.paths}
    with read_deb(held, artifact.name) as archive:
        return {"files": files, **_copyright(archive, package(artifact))}


def _files(path: Held, artifact: Artifact, place: str) -> list[str]:
    with recipe(artifact.layout)(path, artifact, place) as unpacked:
        return sorted([*(entry.path for entry in unpacked.files), *unpacked.links])


def _copyright(archive: Archive, name: str) -> dict[str, str]:
    """Debian policy §12.5: `/usr/share/doc/<package>/copyright`, or a link to a package of the same source."""
    folder = archive.get(f"usr/share/doc/{name}")
    member = archive.get(f"usr/share/doc/{name}/copyright")
    for link in (folder, member):
        if link is not None and link.is_link:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(link.name), link.target)).lstrip("/")
            other = _DOC.fullmatch(target)
            return {"like": other[1]} if other else {}
    if member is None or member.size > _LARGEST:
        return {}
    return {"copyright": content_bytes(member.content, archive.label).decode("utf-8", "replace")}


def copyright_of(name: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    """The copyright file of a package among those in a droplet, links followed; empty when none is there."""
    for _ in range(4):
        found = known.get(name, {})
        if "copyright" in found:
            return str(found["copyright"])
        name = str(found.get("like", ""))
    return ""
