"""Attesting and checking: "I built this digest from this source and this plan", said by many, believed when k agree.

Whoever attests has built: the droplet is staged again from the source and the plan it carries, and nothing is signed
unless the whole file is equal. Whoever checks trusts keys, not files: an attestation counts for the keys that
signed it, and a key counts once. A rebuild that agrees shows that the build was honest, not what the source does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import entry, staging
from ..builds import roots
from ..digest import Digest
from ..droplet import incremental
from ..droplet.reader import DropletFile
from ..errors import NotReproducible, UsageError
from ..files import temporary
from . import receipt
from .errors import BadEvidence, NotAttested
from .provenance import dsse, statement
from .provenance.statement import BUILDER, Claim
from .verify.restaging import second_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..settings import Settings
    from .provenance.dsse import Envelope
    from .provenance.keys import PrivateKey, PublicKey


@dataclass(frozen=True, slots=True)
class Signer:
    """A trusted key that signed the agreed claim: its id, the file with its attestation, the builder it names."""

    key: str
    file: str
    builder: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """What enough signers agree on. `rejected` are (file, why) of attestations that did not count."""

    digest: Digest
    source: Digest
    plan: Digest
    signers: tuple[Signer, ...]
    rejected: tuple[tuple[str, str], ...]


def rebuild(droplet: DropletFile, source: str, settings: Settings) -> Digest:
    """Stage the folder `source` by the plan that the droplet carries; the digest, which is the droplet's.

    The source is read anew, and of the store only artifacts are used, each proved by its digest. Raises LockStale when the
    folder is not what the plan was made from, NotReproducible when the bytes differ, and what staging raises.
    """
    locked = droplet.locked
    plan = locked.plan
    with temporary.folder("attest") as place, ThreadPoolExecutor(4, "attest") as pool:
        out = os.path.join(place, "droplet.tgz")
        folder = incremental.Folder.read(source, stop=settings.stop, printed=settings.printed)
        folder = folder.aim(plan.stack, plan.architecture)
        incremental.check_locked(folder, plan)
        with settings.store.lease():
            staging.take_in(plan, folder.tree, settings.store)
            blobs = staging.fetch(plan, settings, roots.needed(plan), tree=folder.tree, prove=True)
            store = second_store(plan, blobs, settings, place, pool)
        found = entry.stage(source, out, settings.replace(store=store, save_lock=False), plan=locked).digest
    if found != droplet.digest:
        raise NotReproducible(
            droplet.digest,
            found,
            f"Nothing was signed. Run 'stager verify {droplet.name} --source {source}' to see why.",
        )
    return found


def attest(
    droplet: DropletFile,
    keys: Iterable[PrivateKey],
    builder: str = BUILDER,
    *,
    name: str = "droplet.tgz",
    also: Mapping[str, Digest] | None = None,
) -> Envelope:
    """Sign what the droplet's receipt says. `builder` is a URI for who built it; call `rebuild` first.

    Raises BadArchive, and UsageError for a builder that is no URI.
    """
    return dsse.sign(statement_of(droplet, builder, name=name, also=also), keys)


def statement_of(
    droplet: DropletFile,
    builder: str = BUILDER,
    *,
    name: str = "droplet.tgz",
    also: Mapping[str, Digest] | None = None,
) -> bytes:
    """What `attest` signs."""
    if ":" not in builder or not builder.isprintable() or " " in builder:
        message = f"{builder!r} is no URI"
        raise UsageError(message, "Name the builder by one, such as https://ci.example/shop or urn:uuid:….")
    return statement.dumps(receipt.dumps(receipt.make(droplet)), name, builder, also)


def check(
    digest: str,
    attestations: Sequence[tuple[str, bytes]],
    trusted: Sequence[PublicKey],
    k: int,
    *,
    plan: str = "",
    source: str = "",
) -> Agreement:
    """Make sure that `k` different trusted keys have signed that the droplet `digest` comes from one source and plan.

    `attestations` are (file name, bytes). `plan` and `source`, where given, are what they must name. Malformed and foreign
    attestations do not count, and never spoil those that do. Raises NotAttested with the reason for each, UsageError
    when `k` can never be reached.
    """
    known = {key.id: key for key in trusted}
    if not 1 <= k <= len(known):
        message = f"{k} signers are demanded, and {len(known)} keys are trusted"
        raise UsageError(message, "Name at least as many different keys with --trusted-key as --k-of-n demands.")
    expected = {"digest": digest, "plan": plan, "source": source}
    rejected: list[tuple[str, str]] = []
    groups: dict[tuple[Digest, Digest], dict[str, Signer]] = {}
    for file, data in attestations:
        try:
            claim, keys = _read(file, data, list(known.values()))
            _compare(claim, expected, file)
        except BadEvidence as error:
            rejected.append((file, error.message))
            continue
        agreed = groups.setdefault((claim.source, claim.plan), {})
        for key in keys:
            agreed.setdefault(key.id, Signer(key.id, file, claim.builder))
    (of, agreed) = max(groups.items(), key=lambda item: (len(item[1]), item[0]), default=(None, {}))
    rejected += _dissent(groups, of)
    if of is None or len(agreed) < k:
        raise NotAttested(digest, len(agreed), k, rejected)
    signers = tuple(agreed[name] for name in sorted(agreed))
    return Agreement(Digest(digest), of[0], of[1], signers, tuple(rejected))


def _read(file: str, data: bytes, trusted: Sequence[PublicKey]) -> tuple[Claim, tuple[PublicKey, ...]]:
    """An attestation's claim and the trusted keys behind it; the signature is checked before anything is read."""
    envelope = dsse.loads(data, file)
    keys = dsse.verify(envelope, trusted, file)
    if envelope.kind != dsse.IN_TOTO:
        raise BadEvidence(file, f"holds {envelope.kind[:80]!r}, not an in-toto statement")
    return statement.read(envelope.payload, file), keys


def _compare(claim: Claim, expected: Mapping[str, str], file: str) -> None:
    for name, value in expected.items():
        found = getattr(claim, name)
        if value and found != value:
            raise BadEvidence(file, f"its signer has the {_WORDS[name]} {found}, not {value}")


_WORDS = {"digest": "droplet", "plan": "plan", "source": "source"}


def _dissent(
    groups: Mapping[tuple[Digest, Digest], Mapping[str, Signer]], agreed: tuple[Digest, Digest] | None
) -> list[tuple[str, str]]:
    """Signers of the same droplet who name another source or plan than most."""
    return [
        (signer.file, f"says that it comes from source {of[0]} and plan {of[1]}")
        for of in sorted(groups)
        if of != agreed
        for signer in groups[of].values()
    ]
