"""An inventory as an SPDX 2.3 JSON document (ISO/IEC 5962 is its 2.2).

`created`, which SPDX demands, is the one time that every entry of a droplet has: the document says what is in the droplet,
not when somebody looked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .components import BUILD, STACK, Component, FileRow, Inventory

CREATED = "1980-01-01T00:00:01Z"
DOCUMENT, ROOT = "SPDXRef-DOCUMENT", "SPDXRef-droplet"
_ALGORITHMS = {"sha1": "SHA1", "sha256": "SHA256", "sha384": "SHA384", "sha512": "SHA512"}
_PURPOSES = {
    "application": "APPLICATION",
    "data": "OTHER",
    "library": "LIBRARY",
    "operating-system": "OPERATING_SYSTEM",
    "platform": "APPLICATION",
}
_SAYS_NOTHING = "NOASSERTION"


def document(found: Inventory, files: bool) -> dict[str, Any]:
    """The JSON value; with `files`, each package contains its files. SPDX 2.3 knows no links: they are not listed."""
    rows = [row for row in found.files if not row.target] if files else []
    owned = _by_owner(rows)
    value = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": found.name,
        "documentNamespace": f"urn:uuid:{found.serial}",
        "creationInfo": {"created": CREATED, "creators": ["Tool: stager"]},
        "packages": [_root(found), *(_package(one, owned.get(one.ref, [])) for one in found.components)],
        "relationships": list(_relationships(found, owned)),
    }
    value |= {"files": [_file(row) for row in rows]} if files else {}
    extracted = list(_extracted(found.components))
    return value | ({"hasExtractedLicensingInfos": extracted} if extracted else {})


def _by_owner(rows: Iterable[FileRow]) -> dict[str, list[FileRow]]:
    found: dict[str, list[FileRow]] = {}
    for row in rows:
        found.setdefault(row.owner, []).append(row)
    return found


def identifier(kind: str, name: str) -> str:
    """An SPDX identifier for a ref or path: readable, and unique by the beginning of a digest."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[-60:]
    return f"SPDXRef-{kind}-{plain}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _root(found: Inventory) -> dict[str, Any]:
    return {
        "SPDXID": ROOT,
        "name": found.name,
        "versionInfo": found.digest,
        "downloadLocation": _SAYS_NOTHING,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "ARCHIVE",
        "checksums": [_checksum(found.digest)],
        "licenseConcluded": _SAYS_NOTHING,
        "licenseDeclared": _SAYS_NOTHING,
        "copyrightText": _SAYS_NOTHING,
    }


def _checksum(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {"algorithm": _ALGORITHMS[algorithm], "checksumValue": value}


def _package(one: Component, files: list[FileRow]) -> dict[str, Any]:
    value: dict[str, Any] = {
        "SPDXID": identifier("Package", one.ref),
        "name": one.name,
        "downloadLocation": _SAYS_NOTHING,
        "filesAnalyzed": bool(files),
        "primaryPackagePurpose": _PURPOSES[one.kind],
        "licenseConcluded": _SAYS_NOTHING,
        "licenseDeclared": _licence(one),
        "copyrightText": _SAYS_NOTHING,
        "comment": "; ".join(f"{name}: {text}" for name, text in sorted(one.facts)),
    }
    value |= {"versionInfo": one.version} if one.version else {}
    value |= {"checksums": [_checksum(digest) for digest in one.digests]} if one.digests else {}
    if one.purl:
        row = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": one.purl}
        value |= {"externalRefs": [row]}
    if files:
        value |= {"packageVerificationCode": {"packageVerificationCodeValue": _verification(files)}}
        value |= {"licenseInfoFromFiles": [_SAYS_NOTHING]}
    return value


def _verification(files: Iterable[FileRow]) -> str:
    """SPDX 2.3, §7.9: SHA-1 over the sorted SHA-1 values of a package's files."""
    return hashlib.sha1("".join(sorted(row.sha1 for row in files)).encode(), usedforsecurity=False).hexdigest()


def _file(row: FileRow) -> dict[str, Any]:
    return {
        "SPDXID": identifier("File", row.path),
        "fileName": f"./{row.path}",
        "checksums": [_checksum(f"sha1:{row.sha1}"), _checksum(f"sha256:{row.sha256}")],
        "licenseConcluded": _SAYS_NOTHING,
        "licenseInfoInFiles": [_SAYS_NOTHING],
        "copyrightText": _SAYS_NOTHING,
    }


# --- licences that SPDX does not list --------------------------------------------------------------------------


def _licence(one: Component) -> str:
    if one.licence.expression:
        return one.licence.expression
    return " AND ".join(_reference(name) for name in one.licence.names) or _SAYS_NOTHING


def _reference(name: str) -> str:
    """A `LicenseRef-` for a name, unique by the beginning of a digest."""
    return "LicenseRef-" + identifier("", name).removeprefix("SPDXRef--")


def _extracted(components: Iterable[Component]) -> Iterator[dict[str, Any]]:
    for name in sorted({name for one in components if not one.licence.expression for name in one.licence.names}):
        yield {"licenseId": _reference(name), "name": name, "extractedText": f"What the package states: {name}"}


# --- relationships ---------------------------------------------------------------------------------------------


def _relationships(found: Inventory, owned: dict[str, list[FileRow]]) -> Iterator[dict[str, str]]:
    yield _relation(DOCUMENT, "DESCRIBES", ROOT)
    for one in found.components:
        me = identifier("Package", one.ref)
        if one.outside == BUILD:
            yield _relation(me, "BUILD_DEPENDENCY_OF", ROOT)
        else:
            outside = one.ref.partition(":")[0] == STACK
            yield _relation(ROOT, "DEPENDS_ON" if outside else "CONTAINS", me)
        for other in one.needs:
            yield _relation(me, "DEPENDS_ON", identifier("Package", other))
        for row in owned.get(one.ref, []):
            yield _relation(me, "CONTAINS", identifier("File", row.path))


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
