"""One droplet to several targets at once, and proof that all of them hold the same layers.

An aim is `TARGET=WHERE`: a registry's image name, an app of a platform, or a file or folder for a format that is only written.
Every target is asked afterwards what it holds, and that is compared with the droplet; an answer that cannot be compared counts
as a failure. One target's failure stops no other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from .. import targets
from ..droplet.reader import DropletFile, open_droplet
from ..errors import Cancelled, StagerError, UsageError
from ..store.errors import DigestMismatch
from .record import DeployRequest, HeldDroplet, Options, Platform


@dataclass(frozen=True, slots=True)
class Aim:
    """A target and where in it: an image's name, an app, or a path."""

    target: str
    where: str

    @classmethod
    def read(cls, text: str) -> Aim:
        """From `TARGET=WHERE`. Raises UsageError."""
        target, equals, where = text.partition("=")
        if not equals or not where or target not in targets.TARGETS:
            known = ", ".join(targets.TARGETS)
            raise UsageError(f"{text!r} is no aim", f"Write TARGET=WHERE, where TARGET is one of {known}.")
        return cls(target, where)

    def __str__(self) -> str:
        return f"{self.target}={self.where}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one aim. `held` are the diffIDs that the target was found to hold, `proof` how that was found out."""

    aim: Aim
    seconds: float
    reference: str = ""
    """What names the result there: an image by digest, a release, a file's digest."""
    held: tuple[str, ...] = ()
    proof: str = ""
    error: StagerError | None = None

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "target": self.aim.target,
            "where": self.aim.where,
            "seconds": round(self.seconds, 3),
            "reference": self.reference,
            "layers": list(self.held),
            "proof": self.proof,
            "error": self.error.as_json() if self.error else None,
        }


def prepared(aims: Sequence[Aim], context: DeployRequest) -> DeployRequest:
    """The deployment to these aims. Raises UsageError, before any work, for what could not succeed at one of them."""
    if len(set(aims)) < len(aims):
        raise UsageError("an aim is given twice", "Give each once.")
    for aim in aims:
        if check := targets.load(aim.target).check:
            check(aim.where)
    context = replace(
        context, image=context.image or _repository(aims), targets=tuple(dict.fromkeys(aim.target for aim in aims))
    )
    for aim in aims:
        _options(targets.load(aim.target), context)
    return context


def deploy(path: str, aims: Sequence[Aim], context: DeployRequest) -> list[Outcome]:
    """Bring the droplet file to every aim, at the same time; one outcome an aim, in their order.

    `context` is what `prepared` gave. Raises what opening the droplet raises; what a target raises is its outcome.
    """
    with open_droplet(path, context.store):
        pass  # so that what is no droplet is said once, and its digests are remembered for all
    with ThreadPoolExecutor(len(aims) or 1, "deploy") as pool:
        return list(pool.map(lambda aim: _one(path, aim, context), aims))


def _one(path: str, aim: Aim, context: DeployRequest) -> Outcome:
    began = time.monotonic()
    try:
        if context.cancel is not None and context.cancel.is_set():
            raise Cancelled
        with open_droplet(path, context.store) as droplet:
            platform = targets.load(aim.target)
            bring = platform.deploy or partial(_written, platform)
            reference, held, proof = bring(droplet, aim.where, context)
            own = tuple(layer.diff_id for layer in droplet.layers)
            if held != own:
                raise DigestMismatch(str(aim), _short(own), _short(held))
    except StagerError as error:
        return Outcome(aim, time.monotonic() - began, error=error)
    return Outcome(aim, time.monotonic() - began, reference, held, proof)


def _short(layers: Sequence[str]) -> str:
    return f"{len(layers)} layers " + " ".join(layer[7:15] for layer in layers)


def _written(platform: Platform[Any], droplet: DropletFile, where: str, context: DeployRequest) -> HeldDroplet:
    """A format that is a file or folder here."""
    made = platform.export(droplet, where, _options(platform, context), store=context.store)
    return HeldDroplet(made.digest, platform.layers(made.path), "read back from what was written")


def _options(platform: Platform[Any], context: DeployRequest) -> Options:
    """A target's options: those of the deployment that it knows."""
    known = {field.name for field in fields(platform.options)} & {field.name for field in fields(context)}
    found: Options = platform.options(**{name: getattr(context, name) for name in known})
    return found


def _repository(aims: Sequence[Aim]) -> str:
    """The repository that the same deployment pushes to, for manifests to name."""
    from .oci.registry.reference import parse

    for aim in aims:
        if aim.target == "oci":
            found = parse(aim.where)
            return f"{found.host}/{found.repository}"
    return ""
