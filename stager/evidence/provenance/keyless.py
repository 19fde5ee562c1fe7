"""Signing with an identity instead of a key, through sigstore (the extra `sigstore`).

A sigstore bundle holds the same statement in a DSSE envelope, a short-lived certificate for the signer's identity, and its
entry in a public log. Making one needs the network and an identity token; the droplet and the statement are unchanged.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...errors import UsageError
from ...net.errors import Unreachable
from ...net.patience import Patience, within
from ..errors import BadEvidence
from .dsse import IN_TOTO

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def sign(statement: bytes, token: str = "") -> bytes:
    """A sigstore bundle of the statement, as JSON.

    `token` is an OpenID Connect identity token; without one, that of the CI system this runs on is asked for. Raises
    UsageError without the package or an identity, Unreachable when the services do not answer.
    """
    oidc, signing, models, dsse = (_module(name) for name in ("oidc", "sign", "models", "dsse"))

    def act() -> bytes:
        identity = token or _ambient(oidc)
        context = signing.SigningContext.from_trust_config(models.ClientTrustConfig.production())
        with context.signer(oidc.IdentityToken(identity)) as signer:
            return str(signer.sign_dsse(dsse.Statement(statement)).to_json()).encode()

    try:
        return within(Patience().enough, act)
    except UsageError:
        raise
    except Exception as error:  # the package raises errors of many libraries
        raise Unreachable("sigstore's signing service", _shown(error)) from None


def verify(bundle: bytes, identity: str, issuer: str, file: str) -> bytes:
    """The statement in a bundle that `identity` signed, as `issuer` vouches for it. Raises BadEvidence, UsageError."""
    models, verifying, policy = (_module(name) for name in ("models", "verify.verifier", "verify.policy"))
    try:
        found = models.Bundle.from_json(bundle)
        verifier = verifying.Verifier.production(offline=True)
        kind, payload = verifier.verify_dsse(found, policy.Identity(identity=identity, issuer=issuer))
    except Exception as error:
        raise BadEvidence(file, f"sigstore refuses it: {_shown(error)}") from None
    if kind != IN_TOTO:
        raise BadEvidence(file, f"holds {kind[:80]}, not a statement")
    return bytes(payload)


def _ambient(oidc: Any) -> str:
    try:
        token = oidc.detect_credential()
    except Exception as error:
        raise UsageError(f"no identity to sign with: {_shown(error)}", _IDENTITY) from None
    if not token:
        message = "no identity to sign with"
        raise UsageError(message, _IDENTITY)
    return str(token)


_IDENTITY = "Run it in a CI system that gives identity tokens, name a file with --identity-token, or use --key."


def _shown(error: Exception) -> str:
    """Another package's error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _module(name: str) -> Any:
    try:
        return import_module(f"sigstore.{name}")
    except ImportError:
        raise UsageError(
            "signing without a key needs the package sigstore", "Install it beside stager: pip install sigstore"
        ) from None
