"""Going back: to an earlier revision (droplet, environment, commands) or, without revisions, to an earlier droplet."""

from __future__ import annotations

from dataclasses import dataclass

from ...text.typed import Node
from ..errors import Rejected
from .api import App, CloudController, RemoteDroplet
from .deployments import RolloutOptions, run_droplet
from .login import PLATFORM
from .promote import AppPlace, find_app, with_revision
from .push import ANNOTATIONS, description

_NOTHING = "There is nothing to go back to: push the droplet you want."


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback did: `revision` is the version gone back to, 0 when it was by droplet alone."""

    app: str
    droplet: str
    digest: str
    revision: int
    action: str


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision as the API describes it."""

    guid: str
    version: int
    droplet: str
    deployable: bool


def rollback(
    api: CloudController, place: AppPlace, how: RolloutOptions, *, version: int = 0, digest: str = ""
) -> RolledBack:
    """Let an app run what it ran before: revision `version`, the droplet `digest`, or whatever came before the present one.

    Raises Rejected when there is no such thing, DeployFailed and what calls raise.
    """
    app = find_app(api, place)
    history = [] if digest else revisions(api, app)
    if version and not history:
        raise Rejected(f"revision {version}", PLATFORM, "the app has no revisions", "Give --digest instead.")
    if history and app.started and how.strategy == "rolling":
        return _to_revision(api, app, _wanted(history, app, version), how)
    held = _wanted_droplet(api, app, digest, _wanted(history, app, version).droplet if history else "")
    return _run(api, app, held, how, 0)


def _to_revision(api: CloudController, app: App, revision: Revision, how: RolloutOptions) -> RolledBack:
    return _run(api, app, api.droplet(revision.droplet), with_revision(how, revision.guid), revision.version)


def _run(api: CloudController, app: App, held: RemoteDroplet, how: RolloutOptions, version: int) -> RolledBack:
    action = run_droplet(api, app, held.guid, how)
    digest, noted = str(held.digest or ""), held.annotations
    said = description(digest, noted.get(ANNOTATIONS["plan"], ""), noted.get(ANNOTATIONS["stack"], ""))
    api.describe("apps", app.guid, *said)
    return RolledBack(app.name, held.guid, digest, version, action)


def revisions(api: CloudController, app: App) -> list[Revision]:
    """The app's revisions, the newest first; empty when the app keeps none."""
    found = [_revision(node) for node in api.pages(f"/v3/apps/{app.guid}/revisions", f"the revisions of {app.name}")]
    return sorted(found, key=lambda one: one.version, reverse=True)


def _revision(node: Node) -> Revision:
    droplet = node.value.get("droplet") or {}
    return Revision(
        node.str("guid"), node.int("version"), str(droplet.get("guid") or ""), node.bool("deployable", True)
    )


def _wanted(history: list[Revision], app: App, version: int) -> Revision:
    """The revision asked for, else the newest deployable one with another droplet than now."""
    if version:
        found = next((one for one in history if one.version == version), None)
        if found is None or not found.deployable:
            why = "the app has no such revision" if found is None else "its droplet is no longer there"
            able = ", ".join(str(one.version) for one in history if one.deployable) or "none"
            raise Rejected(f"revision {version}", PLATFORM, why, f"Revisions that can be deployed: {able}.")
        return found
    earlier = [one for one in history if one.deployable and one.droplet != app.droplet]
    if not earlier:
        raise Rejected("the rollback", PLATFORM, f"{app.name} has no earlier revision with another droplet", _NOTHING)
    return earlier[0]


def _wanted_droplet(api: CloudController, app: App, digest: str, guid: str) -> RemoteDroplet:
    """The droplet of a digest or GUID, else the newest one older than the current."""
    held = api.droplets(app)
    if digest or guid:
        found = next((one for one in held if one.digest == digest or one.guid == guid), None)
        if found is None:
            known = ", ".join(str(one.digest) for one in held[:5]) or "none"
            raise Rejected(f"droplet {digest or guid}", PLATFORM, f"{app.name} does not hold it", f"It holds: {known}.")
        return found
    current = next((one for one in held if one.guid == app.droplet), None)
    older = [one for one in held if current and one.created < current.created and one.digest != current.digest]
    if not older:
        raise Rejected("the rollback", PLATFORM, f"{app.name} holds no earlier droplet", _NOTHING)
    return older[0]
