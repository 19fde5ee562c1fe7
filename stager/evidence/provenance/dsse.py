"""DSSE v1.0.2 envelopes: what is signed is the payload with its type, so no signature can be taken for another kind's.

The envelope's JSON says nothing that counts: key ids in it only choose which trusted key is tried (DSSE protocol, §2).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...digest import canonical_json
from ...errors import StagerError
from ...text import parsing
from ...text.typed import Node
from ..errors import BadEvidence

if TYPE_CHECKING:
    from .keys import PrivateKey, PublicKey

IN_TOTO = "application/vnd.in-toto+json"
"""The payload type of an in-toto statement (in-toto attestation framework, "Envelope")."""
LARGEST = 64 << 20
"""Bytes of an envelope beyond which it is refused."""
_MOST = 100
"""Signatures in one envelope."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature; `key` is what the envelope says of its key, unproven and perhaps empty."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload of a kind (its media type), and who signed it."""

    kind: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def dumps(self) -> bytes:
        """The envelope as canonical JSON; equal envelopes are equal bytes."""
        rows = [{"keyid": one.key, "sig": base64.b64encode(one.value).decode()} for one in self.signatures]
        payload = base64.b64encode(self.payload).decode()
        return canonical_json({"payload": payload, "payloadType": self.kind, "signatures": rows})


def pae(kind: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding, `DSSEv1 SP len(type) SP type SP len(body) SP body`."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def sign(payload: bytes, keys: Iterable[PrivateKey], kind: str = IN_TOTO) -> Envelope:
    """The payload signed by every key, in the order of their ids. Ed25519 is deterministic: equal inputs, equal bytes."""
    ordered = sorted({key.public.id: key for key in keys}.items())
    return Envelope(kind, payload, tuple(Signature(name, key.sign(pae(kind, payload))) for name, key in ordered))


def loads(data: bytes, file: str) -> Envelope:
    """Read an envelope; members that DSSE does not know are ignored, as it demands. Raises BadEvidence."""
    node = document(data, file)
    rows = node.list("signatures")
    if not rows or len(rows) > _MOST:
        node.at("signatures").fail(f"has {len(rows)} signatures; 1 to {_MOST} are read")
    signatures = tuple(Signature(row.str("keyid", ""), _decoded(row, "sig")) for row in rows)
    return Envelope(node.str("payloadType"), _decoded(node, "payload"), signatures)


def verify(envelope: Envelope, trusted: Sequence[PublicKey], file: str) -> tuple[PublicKey, ...]:
    """The trusted keys that signed the envelope, each once, in the order of their ids.

    Raises BadEvidence when none of them did, or when a signature that is said to be by one of them is not.
    """
    message = pae(envelope.kind, envelope.payload)
    found: dict[str, PublicKey] = {}
    for signature in envelope.signatures:
        named = [key for key in trusted if key.id == signature.key]
        right = [key for key in (named if signature.key else trusted) if key.verifies(signature.value, message)]
        if named and not right:
            raise BadEvidence(file, f"the signature by {signature.key} does not fit what it stands under")
        found.update({key.id: key for key in right})
    if not found:
        names = ", ".join(one.key[:80] or "an unnamed key" for one in envelope.signatures[:5])
        raise BadEvidence(file, f"is signed by {names}, which is not trusted", "Name its signer with --trusted-key.")
    return tuple(found[name] for name in sorted(found))


def document(data: bytes, file: str) -> Node:
    """A JSON object in which no member is there twice, as a checked node. Raises BadEvidence for anything else."""
    if len(data) > LARGEST:
        raise BadEvidence(file, f"is {len(data)} bytes; the limit is {LARGEST}")
    try:
        value = parsing.json(data, parsing.unique)
    except (ValueError, RecursionError) as error:
        raise BadEvidence(file, f"is not valid JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise BadEvidence(file, "is not a JSON object")
    return Node(value, file, fail_with=_bad)


def _bad(file: str, why: str) -> StagerError:
    return BadEvidence(file, why)


def _decoded(node: Node, key: str) -> bytes:
    """A base64 member; the standard alphabet or the URL-safe one, as DSSE allows."""
    text = node.str(key)
    try:
        return base64.b64decode(text.encode("ascii").translate(_STANDARD), validate=True)
    except (binascii.Error, ValueError):
        node.at(key).fail("is not base64")


_STANDARD = bytes.maketrans(b"-_", b"+/")
