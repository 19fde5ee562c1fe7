"""What runs: the digest of the droplet an app uses now, compared with what was staged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ...digest import Digest
from ...droplet.reader import open_droplet
from ..errors import Rejected
from .api import App, CloudController, RemoteDroplet
from .login import PLATFORM
from .promote import AppPlace, find_app
from .session import CfSession
from .settings import CfSettings

_LARGEST = 64 << 30
"""Bytes of a droplet that is downloaded."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """The droplet an app uses: `how` says where the digest comes from, `checksum` (the platform's) or `bytes` (downloaded)."""

    app: str
    guid: str
    droplet: str
    digest: str
    how: str
    state: str
    stack: str
    process_types: tuple[str, ...]
    """Empty when the login may not see them."""
    plan: str
    """The plan's digest as the push noted it; empty when something else pushed."""
    started: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether what runs is what was staged. `different` names what differs, in words."""

    app: str
    staged: str
    deployed: str
    how: str
    same: bool
    different: tuple[str, ...]


def deployed(api: CloudController, place: AppPlace, *, download: bool = False) -> Deployed:
    """The facts of an app's current droplet. It is downloaded and hashed when asked, or when the platform states no SHA-256.

    Raises Rejected when the app or its droplet is not there, and what calls raise.
    """
    app = find_app(api, place)
    if not app.droplet:
        raise Rejected(f"the droplet of {app.name}", PLATFORM, "the app has none", "Push one first.")
    found = api.droplet(app.droplet)
    stated = None if download else found.digest
    digest = stated or _hashed(api, app, found)
    plan = found.annotations.get("stager-plan-digest", "")
    types = tuple(sorted(found.process_types))
    how = "checksum" if stated else "bytes"
    return Deployed(app.name, app.guid, found.guid, digest, how, found.state, app.stack, types, plan, app.started)


def _hashed(api: CloudController, app: App, droplet: RemoteDroplet) -> Digest:
    state = hashlib.sha256()
    path, what = f"/v3/droplets/{droplet.guid}/download", f"the droplet of {app.name}"
    api.droplet(droplet.guid)  # a token that has expired is renewed here
    api.session.download(path, what=what, take=state.update, limit=_LARGEST)
    return Digest("sha256:" + state.hexdigest())


def compare_deployed(settings: CfSettings, app: str, droplet_path: str, *, download: bool = False) -> Compared:
    """Compare a droplet file with what an app (`APP`, `SPACE/APP` or `ORG/SPACE/APP`) uses now.

    Raises BadArchive or Unreadable for the file, Rejected and what calls raise for the platform.
    """
    with open_droplet(droplet_path) as droplet, CfSession(settings) as session:
        found = deployed(CloudController(session), AppPlace.read(app), download=download)
        different = []
        if found.digest != droplet.digest:
            different.append(f"the droplet is {found.digest}")
        types = tuple(sorted(droplet.launch.processes))
        if found.process_types and found.process_types != types:
            different.append(
                f"the process types are {', '.join(found.process_types) or 'none'}, not {', '.join(types)}"
            )
        if found.plan and found.plan != droplet.launch.plan:
            different.append(f"the plan is {found.plan}")
        return Compared(found.app, droplet.digest, found.digest, found.how, not different, tuple(different))
