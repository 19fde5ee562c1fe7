"""Which artifacts are in the store already; on the offline path, so nothing of the network is imported."""

from __future__ import annotations

from ..digest import key_of
from .errors import StoreCorrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model import Artifact
    from . import Store


def resolve(store: Store, artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Digest → SHA-256 hex of the blob, for those artifacts that are in the store."""
    found: dict[str, str] = {}
    other = _others(artifacts)
    names = _names(store, other) if other else {}
    for artifact in artifacts:
        digest = artifact.digest
        if digest in found:
            continue
        if digest in names:
            found[str(digest)] = names[digest]
        elif digest.algorithm == "sha256" and store.has(digest.hex):
            found[str(digest)] = digest.hex
    return found


def search(store: Store, artifacts: Iterable[Artifact]) -> None:
    """Look at every blob for those artifacts whose digest is no SHA-256, and note which they are.

    For the case that notes are lost and there is no connection: a gigabyte takes a second or two. Raises CannotRead.
    """
    from .disk import hash_of

    wanted = {str(artifact.digest) for artifact in artifacts if artifact.digest.algorithm != "sha256"}
    algorithms = sorted({digest.partition(":")[0] for digest in wanted})
    for name in store.names() if wanted else ():
        try:
            with store.prove(name, f"sha256:{name}") as descriptor:
                found = {f"{algorithm}:{hash_of(descriptor, algorithm)}" for algorithm in algorithms}
        except StoreCorrupt:
            continue
        for digest in found & wanted:
            store.remember("artifact", digest, name)


def distrust(store: Store, artifacts: Iterable[Artifact], digests: Iterable[str]) -> None:
    """Forget which blobs are said to be those of these digests: their bytes say otherwise."""
    other = _others(artifacts)
    for digest in {*other}.intersection(digests):
        store.remember("artifact", digest, None)
        store.remember("artifacts", key_of(*other), None)


def _others(artifacts: Iterable[Artifact]) -> list[str]:
    return sorted({artifact.digest for artifact in artifacts if artifact.digest.algorithm != "sha256"})


def _names(store: Store, digests: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of artifacts pinned by another digest; one memo for all of them saves opening hundreds.

    A memo only says where to look: the bytes are compared with the pinned digest when they are used.
    """
    key = key_of(*digests) if len(digests) > 1 else ""
    known = store.recall("artifacts", key) if key else None
    if isinstance(known, dict) and known.keys() == {*digests} and all(_there(store, name) for name in known.values()):
        return known
    names = {}
    for digest in digests:
        if _there(store, name := store.recall("artifact", digest)):
            names[digest] = str(name)
    if key and len(names) == len(digests):
        store.remember("artifacts", key, names)
    return names


def _there(store: Store, name: object) -> bool:
    return isinstance(name, str) and len(name) == 64 and not name.strip("0123456789abcdef") and store.has(name)
