"""Ed25519 keys (RFC 8032) in PEM files: PKCS#8 for the private half (RFC 8410), SubjectPublicKeyInfo for the public one.

A private key file belongs to its owner alone (mode 0600), and one that others may read is refused. A key's id is the
SHA-256 of its public half in DER, so the same key has the same id wherever it lies.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import CannotWrite, Unreadable, UsageError
from ...files import limits, regular, writing
from ..errors import BadEvidence

if TYPE_CHECKING:
    from types import ModuleType

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ABOUT = b"stager: the public half of a signing key, for whoever checks signatures\n"
"""Stands before the key, where RFC 7468 (section 2) allows text; by it the file is known as no app's source."""
PUBLIC = ".pub"
"""What the file of the public half has after the name of the private one's."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with. Two are equal when their ids are."""

    id: str
    """`sha256:` and the hex digest of the DER SubjectPublicKeyInfo."""
    pem: bytes = field(compare=False, repr=False)
    _key: Ed25519PublicKey = field(compare=False, repr=False)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made the signature over exactly this message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs; only its public half is ever shown."""

    public: PublicKey
    _key: Ed25519PrivateKey = field(compare=False, repr=False)

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature over the message; equal for equal messages."""
        return self._key.sign(message)


def make(path: str) -> PublicKey:
    """Make a key: the private half in the new file `path` (0600), the public half in `path`.pub.

    Raises CannotWrite, also when either file is there already, and UsageError without the package cryptography.
    """
    serialization = _serialization()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = _public(key.public_key())
    writing.write(path, pem, 0o600, new=True)
    try:
        writing.write(path + PUBLIC, _ABOUT + public.pem, 0o644, new=True)
    except CannotWrite:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return public


def read_private(path: str) -> PrivateKey:
    """The private key in a PEM file. Raises BadEvidence for what is no such key, or open to others; Unreadable."""
    serialization = _serialization()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    data, mode = _read(path)
    if mode & 0o077:
        raise BadEvidence(
            path,
            f"others may read this private key: its mode is {mode:04o}",
            f"Run 'chmod 600 {path}'; if somebody else has read it, make a new key.",
        )
    if b"BEGIN ENCRYPTED" in data:
        raise BadEvidence(path, "is protected by a passphrase", "Use a key without one, kept where only you can read.")
    key = _parsed(serialization.load_pem_private_key, data, path, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise BadEvidence(path, "is not an Ed25519 private key", _MAKE)
    return PrivateKey(_public(key.public_key()), key)


def read_public(path: str) -> PublicKey:
    """The public key in a PEM file. Raises BadEvidence for what is no such key, Unreadable."""
    serialization = _serialization()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data, _ = _read(path)
    if b"PRIVATE KEY" in data:
        raise BadEvidence(path, "is a private key", f"Give the public half, {path}{PUBLIC}; never pass this file on.")
    key = _parsed(serialization.load_pem_public_key, data, path)
    if not isinstance(key, Ed25519PublicKey):
        raise BadEvidence(path, "is not an Ed25519 public key", _MAKE)
    return _public(key)


_MAKE = "Run 'stager attest --make-key FILE' to make one."


def _serialization() -> ModuleType:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise UsageError(
            "signatures need the package cryptography", "Install it beside stager: pip install cryptography"
        ) from None
    return serialization


def _parsed(load: Any, data: bytes, path: str, **options: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load(data, **options)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadEvidence(path, "is not a key in a PEM file", _MAKE) from None


def _public(key: Ed25519PublicKey) -> PublicKey:
    serialization = _serialization()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_bytes(serialization.Encoding.DER, form)
    return PublicKey(
        "sha256:" + hashlib.sha256(der).hexdigest(), key.public_bytes(serialization.Encoding.PEM, form), key
    )


def _read(path: str) -> tuple[bytes, int]:
    """A small regular file's bytes and permission bits."""
    try:
        return regular.read(path, limits.KEY), stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), "Name a key file that you can read.") from None
