"""An inventory as a CycloneDX 1.6 JSON document (ECMA-424): plain values, since the format is JSON with a published schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .components import APP, GENERATED, STACK, Component, FileRow, Inventory

ROOT = "droplet"
"""The ref of the document's subject."""
_ALGORITHMS = {"sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


def document(found: Inventory, files: bool) -> dict[str, Any]:
    """The JSON value; with `files`, each component lists its files as components of their own."""
    rows = _by_owner(found.files) if files else {}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{found.serial}",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "post-build"}],
            "component": {
                "type": "application",
                "bom-ref": ROOT,
                "name": found.name,
                "version": found.digest,
                "hashes": [_hash(found.digest)],
            },
        },
        "components": [_component(one, rows.get(one.ref, [])) for one in found.components],
        "dependencies": list(_dependencies(found)),
        "compositions": [
            {
                "aggregate": "complete",
                "assemblies": [ROOT],
                "dependencies": [ROOT],
            }
        ],
    }


def _by_owner(files: tuple[FileRow, ...]) -> dict[str, list[FileRow]]:
    found: dict[str, list[FileRow]] = {}
    for row in files:
        found.setdefault(row.owner, []).append(row)
    return found


def _hash(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {"alg": _ALGORITHMS[algorithm], "content": value}


def _component(one: Component, files: list[FileRow]) -> dict[str, Any]:
    value: dict[str, Any] = {"type": one.kind, "bom-ref": one.ref, "name": one.name}
    group, _, base = one.name.rpartition("/")
    if group.startswith("@"):
        value |= {"group": group, "name": base}
    value |= {"version": one.version} if one.version else {}
    value |= {"scope": "excluded"} if one.outside else {}
    value |= {"hashes": [_hash(digest) for digest in one.digests]} if one.digests else {}
    value |= {"licenses": list(_licences(one))} if one.licence.expression or one.licence.names else {}
    value |= {"purl": one.purl} if one.purl else {}
    value |= {"properties": [{"name": f"stager:{name}", "value": text} for name, text in sorted(one.facts)]}
    value |= {"components": [_file(row) for row in files]} if files else {}
    return value


def _licences(one: Component) -> Iterator[Mapping[str, Any]]:
    if one.licence.expression:
        yield {"expression": one.licence.expression, "acknowledgement": "declared"}
    else:
        for name in one.licence.names:
            yield {"license": {"name": name, "acknowledgement": "declared"}}


def _file(row: FileRow) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "file", "bom-ref": f"file:{row.path}", "name": row.path}
    if row.target:
        return value | {"properties": [{"name": "stager:link", "value": row.target}]}
    return value | {"hashes": [_hash(f"sha256:{row.sha256}")]}


def _dependencies(found: Inventory) -> Iterator[dict[str, Any]]:
    runtimes = [one.ref for one in found.components if one.kind == "platform"]
    yield {"ref": ROOT, "dependsOn": sorted([APP, GENERATED, STACK, *runtimes])}
    for one in found.components:
        yield {"ref": one.ref, "dependsOn": list(one.needs)}
