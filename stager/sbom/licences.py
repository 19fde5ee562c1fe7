"""What packages say of their licences, brought to SPDX expressions where that is what they say.

Nothing is guessed from licence texts: a name that is no SPDX licence stays a name, and silence stays silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.message import Message
from typing import Any

from .components import Licence

_LONGEST = 120
"""Signs of a licence's name; some packages put the whole text there."""
_PROSE = "License :: "
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}
"""Trove classifiers that mean exactly one SPDX licence; `BSD License` and its like mean several."""
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


def expression(text: str) -> str:
    """The text as a canonical SPDX expression; empty when it is none."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(text))
    except (InvalidLicenseExpression, ValueError, IndexError, SyntaxError):
        return ""


def of_python(metadata: Message) -> Licence:
    """From a wheel's core metadata: License-Expression (PEP 639), else License, else the classifiers."""
    stated = expression(metadata.get("License-Expression", ""))
    if stated:
        return Licence(stated)
    text = str(metadata.get("License", "") or "").strip()
    plain = expression(text) if text and len(text) < _LONGEST else ""
    if plain:
        return Licence(plain)
    names = [row.rpartition(" :: ")[2] for row in metadata.get_all("Classifier", []) if row.startswith(_PROSE)]
    known = sorted({_CLASSIFIERS[name] for name in names if name in _CLASSIFIERS})
    if len(known) == 1 and len(names) == 1:
        return Licence(known[0])
    return _named(names or [text])


def of_npm(manifest: Mapping[str, Any]) -> Licence:
    """From a package.json: `license` as npm documents it, or the older tables."""
    found = manifest.get("license", manifest.get("licenses"))
    rows = found if isinstance(found, list) else [found]
    names = [row.get("type") or row.get("name") if isinstance(row, dict) else row for row in rows]
    words = [name for name in names if isinstance(name, str) and name.strip()]
    known = [expression(word) for word in words]
    if known and all(known):
        return Licence(" OR ".join(known))  # several licences in the older table are a choice
    return _named(words)


def of_debian(text: str) -> Licence:
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
    return _named(names)


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


def _named(names: Iterable[str]) -> Licence:
    """Names that are no SPDX expressions, each on one line and cut."""
    short = (" ".join(name.split())[:_LONGEST] for name in names)
    return Licence(names=tuple(sorted({name for name in short if name})))
