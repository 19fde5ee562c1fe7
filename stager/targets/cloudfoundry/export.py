"""Cloud Foundry: the droplet file, checked, as the platform's launcher and `cf push --droplet` take it.

A droplet of `stager stage` carries the platform's envelope already; the export is therefore the file itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...droplet.cutting import layer_ids
from ...droplet.reader import DropletFile
from ...files import whole
from ...files.writing import never
from ...formats.gunzip import gunzipped
from ...store.errors import DigestMismatch
from ..envelopes import publishing
from ..record import DeployRequest, Exported, HeldDroplet, Options, Platform
from .preflight import LARGEST, check

if TYPE_CHECKING:
    from ...store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudFoundryOptions(Options):
    """`limit` is the largest size in bytes that the platform takes."""

    limit: int = LARGEST


def export(
    droplet: DropletFile,
    out: str,
    options: CloudFoundryOptions = CloudFoundryOptions(),
    *,
    store: Store | None = None,
    stop: Callable[[], bool] = never,
) -> Exported:
    """Check a droplet and write it to `out` as `cf push --droplet` and the API take it.

    `store` remembers checks. Raises Unfit, TooLarge, CannotWrite, and DigestMismatch when the droplet changed meanwhile.
    """
    found = check(droplet, limit=options.limit, store=store)
    with publishing(out, stop) as sink:
        for part in whole.parts(droplet.path):
            sink.write(part)
        if sink.digest != droplet.digest:
            hint = "It changed while it was read; export again."
            raise DigestMismatch(f"droplet {droplet.name}", droplet.digest, sink.digest, hint)
    ids = tuple(layer.diff_id for layer in droplet.layers)
    return Exported("cloudfoundry", os.path.abspath(out), droplet.digest, droplet.size, ids, found.notes)


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the droplet's layers in an exported file. Raises Unreadable, BadArchive."""
    return layer_ids(gunzipped(whole.parts(path), path), path)


def deploy(droplet: DropletFile, where: str, context: DeployRequest) -> HeldDroplet:
    """Run it as an app; the platform states the SHA-256 of the droplet it runs, or it is downloaded and hashed."""
    from ...net.indexes import Indexes
    from . import manifest
    from .current_droplet import compare_deployed
    from .deployments import RolloutOptions
    from .login import find_login
    from .push import PushOptions, push_all
    from .settings import CfSettings

    network = Indexes.from_environment(context.environ, home=context.home)
    login = find_login(context.environ, context.home, "", "")
    settings = CfSettings(login, network, progress=context.progress, cancel=context.cancel)
    apps = manifest.load(context.manifest, (), ()) if context.manifest else ()
    chosen = manifest.choose(apps, [where], context.manifest)
    wishes = PushOptions(RolloutOptions(), any_stack=context.any_stack, targets=context.targets)
    push_all(settings, droplet, chosen, wishes, store=context.store, secrets=manifest.secrets((), (), chosen))
    found = compare_deployed(settings, where, droplet.path)
    if not found.same:
        raise DigestMismatch(f"cloudfoundry={where}", found.staged, found.deployed)
    held = tuple(layer.diff_id for layer in droplet.layers)
    return HeldDroplet(found.deployed, held, f"the app's droplet has this very digest ({found.how})")


CLOUDFOUNDRY = Platform(
    "cloudfoundry",
    "write the droplet as Cloud Foundry wants it",
    CloudFoundryOptions,
    export,
    layers,
    "cloudfoundry.tgz",
    deploy,
)
