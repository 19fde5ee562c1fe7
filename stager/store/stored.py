"""Which artifacts are in the store already; on the offline path, so nothing of the network is imported."""

from __future__ import annotations

from ..digest import key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model import Artifact
    from . import Store


def resolve(store: Store, artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Digest → SHA-256 hex of the blob, for those artifacts that are in the store."""
    found: dict[str, str] = {}
    other = sorted({artifact.digest for artifact in artifacts if artifact.digest.algorithm != "sha256"})
    names = _names(store, other) if other else {}
    for artifact in artifacts:
        digest = artifact.digest
        name = digest.hex if digest.algorithm == "sha256" else names.get(digest, "")
        if digest not in found and name and store.has(name):
            found[str(digest)] = name
    return found


def _names(store: Store, digests: Sequence[str]) -> dict[str, str]:
    """The verified SHA-256 of artifacts pinned by another digest; one memo for all of them saves opening hundreds."""
    key = key_of(*digests) if len(digests) > 1 else ""
    known = store.recall("artifacts", key) if key else None
    if isinstance(known, dict) and len(known) == len(digests):
        return known
    single = {digest: store.recall("artifact", digest) for digest in digests}
    names = {digest: name for digest, name in single.items() if isinstance(name, str)}
    if key and len(names) == len(digests):
        store.remember("artifacts", key, names)
    return names
