"""Bringing artifacts into the store: the only step of a staging that opens a socket for artifacts.

Many at once, the biggest first, each fetched once on this machine however many processes want it. Stopping (a cancel
event, Ctrl-C, the first failure) takes half a second at most and leaves no unfinished file. What is in the store
already is found without importing anything of the network.
"""

from __future__ import annotations

from ..net.errors import NotCached
from ..store.errors import DamagedArtifact, StoreCorrupt
from ..store.stored import distrust, resolve, search

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from ..model import Artifact, Progress
    from ..net.indexes import Indexes
    from ..net.patience import Patience
    from ..store import Store

__all__ = ["distrust", "fetch", "resolve"]


def fetch(
    artifacts: Sequence[Artifact],
    store: Store,
    *,
    indexes: Indexes,
    offline: bool = False,
    jobs: int = 8,
    hints: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    ready: Callable[[Artifact, str], None] | None = None,
    patience: Patience | None = None,
    prove: bool = False,
) -> dict[str, str]:
    """Have every artifact in the store; digest → SHA-256 hex of its blob.

    `hints` maps a digest to a URL the app's own lock names. `ready` is called once per artifact, from any thread, as
    soon as it is there. With `prove` what was in the store is hashed first, and fetched again when it is damaged;
    without, whoever reads a blob has to prove it. Progress: `what` names an artifact with its bytes, or is empty with the
    count of artifacts. Raises DamagedArtifact (with `prove` and `offline`), NotCached (with `offline`, naming all that are
    missing), Gone, Unreachable, DigestMismatch, BadLock, BadSettings, CannotWrite, StoreBusy and Cancelled.
    """
    with store.lease():
        known = resolve(store, artifacts)
        if prove and _unproved(store, artifacts, known, offline):
            known = resolve(store, artifacts)
        missing = [artifact for artifact in artifacts if artifact.digest not in known]
        if missing and offline:
            search(store, missing)
            known = resolve(store, artifacts)
            missing = [artifact for artifact in artifacts if artifact.digest not in known]
        if missing and offline:
            raise NotCached(sorted({artifact.name for artifact in missing}))
        for artifact in artifacts:
            if ready and artifact.digest in known:
                ready(artifact, known[artifact.digest])
        if not missing:
            return known
        from .download_pool import Crew

        return {**known, **Crew(missing, store, indexes, jobs, hints or {}, progress, cancel, ready, patience).work()}


def _unproved(store: Store, artifacts: Sequence[Artifact], known: Mapping[str, str], offline: bool) -> bool:
    """Set aside the blobs that are not what they are pinned by; whether there were any. Raises StoreCorrupt with `offline`."""
    damaged = []
    for artifact in {artifact.digest: artifact for artifact in artifacts if artifact.digest in known}.values():
        blob = known[artifact.digest]
        try:
            with store.prove(blob, artifact.digest):
                continue
        except StoreCorrupt as error:
            if offline:
                raise DamagedArtifact(artifact.name, error, store.path(blob)) from None
            store.set_aside(blob)
            damaged.append(str(artifact.digest))
    distrust(store, artifacts, damaged)
    return bool(damaged)
