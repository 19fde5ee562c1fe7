"""One droplet to several targets at once, and proof that all of them hold the same layers.

An aim is `TARGET=WHERE`: a registry's image name, an app of a platform, or a file or folder for a format that is only written.
Every target is asked afterwards what it holds, and that is compared with the droplet; an answer that cannot be compared counts
as a failure. One target's failure stops no other.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import targets
from ..droplet.reader import DropletFile, open_droplet
from ..errors import Cancelled, StagerError, UsageError
from ..files import temporary
from ..store.errors import DigestMismatch

if TYPE_CHECKING:
    from ..model import Progress
    from ..store import Store


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
class Context:
    """What the caller decides and what the user has set up. `options` are the targets' own, by their names."""

    environ: Mapping[str, str]
    home: str
    store: Store
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    cancel: threading.Event | None = None


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


Found = tuple[str, tuple[str, ...], str]
"""(reference, diffIDs held, proof)."""


def deploy(path: str, aims: Sequence[Aim], context: Context) -> list[Outcome]:
    """Bring the droplet file to every aim, at the same time; one outcome an aim, in their order.

    Raises UsageError when an aim is given twice, and what opening the droplet raises; what a target raises is its outcome.
    """
    if len(set(aims)) < len(aims):
        raise UsageError("an aim is given twice", "Give each once.")
    with open_droplet(path, context.store):
        pass  # so that what is no droplet is said once, and its digests are remembered for all
    with ThreadPoolExecutor(len(aims) or 1, "deploy") as pool:
        return list(pool.map(lambda aim: _one(path, aim, aims, context), aims))


def _one(path: str, aim: Aim, aims: Sequence[Aim], context: Context) -> Outcome:
    began = time.monotonic()
    try:
        if context.cancel is not None and context.cancel.is_set():
            raise Cancelled
        with open_droplet(path, context.store) as droplet:
            reference, held, proof = _HANDLERS.get(aim.target, _written)(droplet, aim, aims, context)
            own = tuple(layer.diff_id for layer in droplet.layers)
            if held != own:
                raise DigestMismatch(str(aim), _short(own), _short(held))
    except StagerError as error:
        return Outcome(aim, time.monotonic() - began, error=error)
    return Outcome(aim, time.monotonic() - began, reference, held, proof)


def _short(layers: Sequence[str]) -> str:
    return f"{len(layers)} layers " + " ".join(layer[7:15] for layer in layers)


def _written(droplet: DropletFile, aim: Aim, aims: Sequence[Aim], context: Context) -> Found:
    """A format that is a file or folder here."""
    options = {**context.options, "store": context.store}
    if aim.target == "openshift" and not options.get("image"):
        options["image"] = _repository(aims)
    made = targets.load(aim.target).export(droplet, aim.where, options)
    return made.digest, targets.load(aim.target).layers(made.path), "read back from what was written"


def _repository(aims: Sequence[Aim]) -> str:
    """The repository that the same deployment pushes to, for manifests to name."""
    from .oci.registry.reference import parse

    for aim in aims:
        if aim.target == "oci":
            found = parse(aim.where)
            return f"{found.host}/{found.repository}"
    return ""


def _oci(droplet: DropletFile, aim: Aim, aims: Sequence[Aim], context: Context) -> Found:  # noqa: ARG001
    """An image in a registry; its manifest is read back and must name the droplet's own blobs, in an image's order."""
    from .oci.export import build, transferable
    from .oci.labels import droplet_order
    from .oci.registry.access import Access
    from .oci.registry.client import connect
    from .oci.registry.push import push
    from .oci.registry.reference import parse

    reference = parse(aim.where)
    wishes = {"plain_http": bool(context.options.get("plain_http")), "cancel": context.cancel}
    access = Access.from_environment(context.environ, context.home, progress=context.progress, **wishes)
    with ExitStack() as keep:
        shipped, _ = build((droplet,), {**context.options, "store": context.store}, keep)
        client = keep.enter_context(connect(reference, access))
        pushed = push(client, reference, transferable(shipped))
        blobs = [blob.digest for blob in client.manifest(reference.repository, pushed.digest).blobs]
    ids: dict[str, str] = {layer.digest: layer.diff_id for layer in droplet.layers}
    there = [str(ids[digest]) for digest in blobs if digest in ids]
    held = droplet_order(there, [layer.name for layer in droplet.layers], [str(one) for one in ids.values()])
    return pushed.reference, held, "the registry's manifest names the droplet's own blobs"


def _cloudfoundry(droplet: DropletFile, aim: Aim, aims: Sequence[Aim], context: Context) -> Found:
    """An app; the platform states the SHA-256 of the droplet it runs, or it is downloaded and hashed."""
    from ..net.indexes import Indexes
    from .cloudfoundry import manifest
    from .cloudfoundry.current_droplet import compare_deployed
    from .cloudfoundry.deployments import How
    from .cloudfoundry.login import find_login
    from .cloudfoundry.push import Wishes, push_all
    from .cloudfoundry.settings import Settings

    network = Indexes.from_environment(context.environ, home=context.home)
    login = find_login(context.environ, context.home, "", "")
    settings = Settings(login, network, progress=context.progress, cancel=context.cancel)
    file = str(context.options.get("manifest") or "")
    apps = manifest.choose(manifest.load(file, (), ()) if file else (), [aim.where], file)
    wishes = Wishes(How(), any_stack=bool(context.options.get("any_stack")), targets=_all(aims))
    push_all(settings, droplet, apps, wishes, store=context.store, secrets=manifest.secrets((), (), apps))
    found = compare_deployed(settings, aim.where, droplet.path)
    if not found.same:
        raise DigestMismatch(str(aim), found.staged, found.deployed)
    held = tuple(layer.diff_id for layer in droplet.layers)
    return found.deployed, held, f"the app's droplet has this very digest ({found.how})"


def _heroku(droplet: DropletFile, aim: Aim, aims: Sequence[Aim], context: Context) -> Found:
    """An app; the slug it runs states its SHA-256, and that slug's layers are read back from the file."""
    from ..net.indexes import Indexes
    from .heroku import apps as heroku_apps
    from .heroku import export
    from .heroku.api import Api
    from .heroku.login import find
    from .heroku.push import Offer, Waiting, push

    network = Indexes.from_environment(context.environ, home=context.home)
    stopping = context.cancel.is_set if context.cancel is not None else lambda: False
    api = Api(find(context.environ, context.home), network, stopping=stopping)
    with temporary.folder("slug") as folder:
        made = export.export(droplet, os.path.join(folder, "slug.tgz"), {})
        offer = Offer.of(made.path, made.size, made.digest, droplet.digest, droplet.facts)
        accept = bool(context.options.get("any_stack"))
        live = push(api, aim.where, offer, Waiting(), any_stack=accept, targets=_all(aims))
        running = heroku_apps.slug(api, aim.where, live.slug)
        if running.checksum != offer.checksum:
            raise DigestMismatch(str(aim), offer.checksum, running.checksum or "no checksum")
        held = export.layers(made.path)
    return f"{live.app} v{live.version}", held, "the app's slug has the checksum of the one with these layers"


def _all(aims: Sequence[Aim]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(aim.target for aim in aims))


_HANDLERS: dict[str, Callable[[DropletFile, Aim, Sequence[Aim], Context], Found]] = {
    "oci": _oci,
    "cloudfoundry": _cloudfoundry,
    "heroku": _heroku,
}
"""Targets that are a running system; every other one is a format that is written."""
