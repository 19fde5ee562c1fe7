"""What only a Debian package itself can say: which of the droplet's files are its, and under which licence.

A droplet holds the files that run; which package each came from is a function of the package and its layout.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from stager.formats.archive import Archive, HeldArchive, content_bytes, read_deb

from ..installed import Said
from ..licence import Licence, expression, named

if TYPE_CHECKING:
    from stager.model import Artifact

    from ..installed import Installed
    from ..record import Unpack

_LARGEST = 8 << 20
_DOC = re.compile(r"usr/share/doc/([^/]+)(?:/copyright)?")
_DEBIAN = {
    "expat": "MIT",
    "mit": "MIT",
    "zlib": "Zlib",
    "isc": "ISC",
    "apache-2.0": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "mpl-2.0": "MPL-2.0",
    "cc0-1.0": "CC0-1.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
}
_FORMAT = re.compile(r"^Format:[ \t]*https?://\S*copyright-format/1\.0/?[ \t]*$", re.MULTILINE)
_DEP5 = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
"""How the format is named today; packages still have older spellings, over which the parser would print a warning."""
_GNU = re.compile(r"(a?gpl|lgpl|gfdl)-(\d)(?:\.(\d))?(?:\.0)?(\+?)")


def look(artifact: Artifact, held: HeldArchive, recipe: Unpack) -> dict[str, Any]:
    """`files` (place → its files and links in the app folder) and `copyright` (a text) or `like` (the package that has it).

    Raises BadArchive and UnsafeEntry.
    """
    files = {place: _files(held, artifact, place, recipe) for place in artifact.paths}
    with read_deb(held, artifact.name) as archive:
        return {"files": files, **_copyright(archive, _package(artifact))}


def inventory(installed: Installed) -> Said:
    """The licences, by the packages' own copyright files; who needs whom, by the paragraphs in a droplet."""
    from .system import asked, needs

    known = {_package(installed.artifacts[index]): facts for index, facts in installed.looked.items()}
    licences = {index: licence(copyright_of(_package(one), known)) for index, one in installed.artifacts.items()}
    names = {_package(installed.artifacts[index]): index for index in installed.packages}
    wanted = frozenset(names[name] for name in asked(installed.plan) if name in names)
    return Said(licences, needs(names, installed.texts), asked=wanted)


def _package(artifact: Artifact) -> str:
    """The Debian package's name."""
    return unquote(artifact.purl.partition("?")[0].rpartition("/")[2].partition("@")[0])


def _files(path: HeldArchive, artifact: Artifact, place: str, recipe: Unpack) -> list[str]:
    with recipe(path, artifact, place) as unpacked:
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


def licence(text: str) -> Licence:
    """From a machine-readable debian/copyright (DEP-5); nothing for the other kind."""
    from debian.copyright import Copyright, Error

    try:
        parsed = Copyright(_FORMAT.sub(_DEP5, text, count=1).splitlines(), strict=False)
        files = list(parsed.all_files_paragraphs())
    except (Error, ValueError, UnicodeError):
        return Licence()
    stated: list[Any] = [part.license for part in files if part.license]
    names = sorted({str(one.synopsis).strip() for one in stated} - {""})
    known = [_debian_expression(name) for name in names]
    if known and all(known):
        return Licence(expression(" AND ".join(f"({one})" if " OR " in one else one for one in known)))
    return named(names)


def _debian_expression(name: str) -> str:
    """A licence synopsis of DEP-5 in SPDX's words: `GPL-2+ or Artistic` → `GPL-2.0-or-later OR Artistic-1.0-Perl`."""
    words = [_debian_word(word) for word in re.split(r",?\s+(?=or\s|and\s)|\s+(?:or|and)\s+", name.strip()) if word]
    if " and " in name.lower() and " or " in name.lower():
        return ""
    return (" OR " if " or " in name.lower() else " AND ").join(words) if all(words) else ""


def _debian_word(word: str) -> str:
    word = re.sub(r"^(?:or|and)\s+", "", word.strip(), flags=re.IGNORECASE).lower()
    gnu = _GNU.fullmatch(word)
    if gnu:
        name = f"{gnu[1].upper()}-{gnu[2]}.{gnu[3] or 0}"
        return expression(f"{name}-{'or-later' if gnu[4] else 'only'}")
    return _DEBIAN.get(word, "")
