"""Promoting: the same bytes in another app or space, copied by the platform and proven by digest.

Nothing is restaged and nothing is uploaded. The copy is refused unless the source holds exactly the digest that was asked
for, and is made current only when the platform says that the copy holds it, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...digest import Digest
from ...store.errors import DigestMismatch
from ..errors import Rejected, Unfit
from .api import App, CloudController, RemoteDroplet
from .deployments import RolloutOptions, run_droplet
from .login import PLATFORM
from .push import ANNOTATIONS, description


@dataclass(frozen=True, slots=True)
class AppPlace:
    """An app by its names; empty org and space mean the login's."""

    app: str
    org: str = ""
    space: str = ""

    @classmethod
    def read(cls, text: str) -> AppPlace:
        """`APP`, `SPACE/APP` or `ORG/SPACE/APP`."""
        parts = text.split("/")
        org, space, app = ["", "", *parts][-3:]
        return cls(app, org, space)


@dataclass(frozen=True, slots=True)
class Promoted:
    """What a promotion did; `copied` is False when the target held the droplet already."""

    source: str
    target: str
    droplet: str
    digest: str
    action: str
    copied: bool


def promote(
    api: CloudController,
    source: AppPlace,
    target: AppPlace,
    digest: str,
    how: RolloutOptions,
    *,
    any_stack: bool = False,
) -> Promoted:
    """Bring the source app's droplet to the target app, which must exist. `digest` guards which one; empty means the current.

    Raises Rejected, DigestMismatch, Unfit, DeployFailed and what calls raise.
    """
    origin, goal = find_app(api, source), find_app(api, target)
    held = _held(api, origin, digest)
    known = _digest_of(held)
    _check(origin, goal, held, any_stack=any_stack)
    copy = next((one for one in api.droplets(goal) if one.digest == known), None)
    found = copy or _copied(api, held, goal, known)
    plan = held.annotations.get(ANNOTATIONS["plan"], "")
    said = description(known, plan, held.annotations.get(ANNOTATIONS["stack"], ""))
    api.describe("droplets", found.guid, *said)
    action = run_droplet(api, goal, found.guid, how)
    api.describe("apps", goal.guid, *said)
    return Promoted(origin.name, goal.name, found.guid, known, action, copy is None)


def find_app(api: CloudController, place: AppPlace) -> App:
    """The app at a place. Raises Rejected when there is none."""
    login = api.session.login
    org, space = place.org or login.org, place.space or login.space
    found = api.app(place.app, api.space(org, space))
    if found is None:
        hint = "Create it first: its routes, services and environment are not part of a droplet."
        raise Rejected(f"the app {place.app}", PLATFORM, f"{org}/{space} has none of that name", hint)
    return found


def _held(api: CloudController, app: App, digest: str) -> RemoteDroplet:
    """The source's droplet of the digest asked for, else its current one."""
    if digest:
        found = next((one for one in api.droplets(app) if one.digest == digest), None)
        if found is None:
            held = ", ".join(str(one.digest) for one in api.droplets(app)[:5]) or "none"
            raise Rejected(
                f"droplet {digest}", PLATFORM, f"{app.name} does not hold it; it holds: {held}", "Push it first."
            )
        return found
    if not app.droplet:
        raise Rejected(f"the droplet of {app.name}", PLATFORM, "the app has none", "Push one first.")
    return api.droplet(app.droplet)


def _digest_of(droplet: RemoteDroplet) -> Digest:
    if droplet.state != "STAGED":
        raise Rejected("the promotion", PLATFORM, f"the source droplet is {droplet.state}", "Push it again.")
    if droplet.digest is None:
        raise Rejected("the promotion", PLATFORM, "it has no sha256 checksum of the droplet", "Push it again.")
    return droplet.digest


def _check(origin: App, goal: App, held: RemoteDroplet, *, any_stack: bool) -> None:
    if goal.lifecycle != "buildpack":
        raise Rejected(
            f"a droplet for {goal.name}", PLATFORM, f"the app's lifecycle is {goal.lifecycle}", "Use another app."
        )
    if goal.stack != origin.stack and not any_stack:
        why = f"it ran on stack {origin.stack}, and {goal.name} is on {goal.stack}"
        hint = f"Set the target's stack to {origin.stack} in its manifest, or accept it with --any-stack."
        raise Unfit(f"droplet {held.digest}", PLATFORM, why, hint)


def _copied(api: CloudController, held: RemoteDroplet, goal: App, digest: Digest) -> RemoteDroplet:
    api.session.tell(f"copying to {goal.name}")
    made = api.copy_droplet(held.guid, goal)
    found = api.settled(made.guid, f"the copy for {goal.name}")
    if found.digest != digest:
        raise DigestMismatch("the copy that the platform made", digest, str(found.digest), "Nothing was started.")
    return found


def with_revision(how: RolloutOptions, revision: str) -> RolloutOptions:
    """The same, but going back to a revision."""
    return replace(how, revision=revision)
