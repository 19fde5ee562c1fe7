"""Pushing a droplet: the calls in their order, each safe to meet half-done work of an earlier try.

An app that already holds a droplet of the same digest and process types gets no second upload. Nothing is made current
before the platform has confirmed the digest of what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ...droplet.reader import DropletFile
from ...errors import StagerError
from ...facts.platforms import PLATFORMS, command
from ...fetching.errors import TooLarge
from ...store import Store
from ..errors import Rejected, Unfit
from . import rules
from .api import App, CloudController, RemoteDroplet
from .deployments import RolloutOptions, idle, run_droplet
from .login import PLATFORM
from .manifest import AppManifest, render
from .preflight import LARGEST, PreflightResult, best_of, check, check_stack
from .session import CfSession
from .settings import CfSettings
from .upload import upload

LABELS = {"droplet": "stager-droplet", "plan": "stager-plan"}
"""Labels hold the first 32 hex digits (labels are at most 63 characters), so that `cf apps --labels` selects by them."""
ANNOTATIONS = {"droplet": "stager-droplet-digest", "plan": "stager-plan-digest", "stack": "stager-stack"}


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What the caller decides about a push."""

    how: RolloutOptions = field(default_factory=RolloutOptions)
    stack: str = ""
    """The platform's stack; empty means the manifest's, the app's, or the droplet's own."""
    any_stack: bool = False
    """Accept a stack that the droplet was not staged for, as long as its glibc is new enough."""
    targets: tuple[str, ...] = ("cloudfoundry",)
    """All that the droplet is brought to, for hints."""


@dataclass(frozen=True, slots=True)
class PushedApp:
    """What a push did: `action` is `rolling`, `restart`, `start` or `no-start`; `uploaded` False when it was there already."""

    app: str
    guid: str
    droplet: str
    digest: str
    stack: str
    action: str
    uploaded: bool
    processes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def push_all(
    settings: CfSettings,
    droplet: DropletFile,
    apps: Sequence[AppManifest],
    wishes: PushOptions,
    *,
    limit: int = LARGEST,
    store: Store | None = None,
    secrets: Sequence[str] = (),
) -> tuple[PushedApp, ...]:
    """Push one droplet to each app in turn. `secrets` are texts that a server may repeat and nobody may see.

    Everything that can be checked without the platform is checked for all apps first. Raises what `push` raises.
    """
    checked = check(droplet, limit=limit, store=store)
    for app in apps:
        check_app(checked, app)
    with CfSession(settings) as session:
        session.secrets.add(*secrets)
        return tuple(push(CloudController(session), droplet, checked, app, wishes) for app in apps)


def push(
    api: CloudController, droplet: DropletFile, checked: PreflightResult, manifest: AppManifest, wishes: PushOptions
) -> PushedApp:
    """Push one droplet to one app. Raises Unfit, TooLarge, BadManifest, Rejected, DigestMismatch, DeployFailed and others."""
    session, notes = api.session, [*checked.notes, *manifest.notes]
    check_app(checked, manifest)
    session.tell(f"looking up {manifest.name}")
    space = api.space(session.login.org, session.login.space)
    app = api.app(manifest.name, space)
    stack = _stack(api, app, checked, manifest, wishes, notes)
    made = None if app else _created(api, manifest.name, space, stack)
    app = app or made or _found(api, manifest.name, space)
    _refuse_other_lifecycle(app)
    session.tell("applying the manifest")
    _apply(api, space, render(manifest, stack), made)
    found, uploaded = _on_platform(api, app, droplet, checked)
    said = description(droplet.digest, droplet.launch.plan, droplet.launch.stack)
    api.describe("droplets", found.guid, *said)
    action = run_droplet(api, app, found.guid, wishes.how)
    api.describe("apps", app.guid, *said)
    notes += _remarks(api, app, wishes.how)
    types = tuple(sorted(checked.process_types))
    return PushedApp(app.name, app.guid, found.guid, droplet.digest, stack, action, uploaded, types, tuple(notes))


def check_app(checked: PreflightResult, manifest: AppManifest) -> None:
    """What can be known before anything is asked: every process has a command, the disk holds the droplet.

    Raises Unfit, TooLarge.
    """
    processes = manifest.processes()
    wrong = rules.wrong_process(processes, checked.process_types)
    if wrong:
        has = ", ".join(sorted(checked.process_types))
        hint = f"Give the process a 'command' in {manifest.file}, or add '{wrong}: …' to the Procfile and stage again."
        raise Unfit(checked.name, PLATFORM, f"{manifest.file} has a process {wrong}; the droplet has: {has}", hint)
    if "web" not in checked.process_types and not manifest.text("command"):
        checked.require_web(processes)
    for kind, row in processes.items():
        quota = row.get("disk_quota") or row.get("disk-quota")
        limit = rules.size(quota) if quota is not None else None
        if limit is not None and limit < checked.unpacked:
            where = f"{manifest.file}:{quota.line}" if quota else manifest.file
            raise TooLarge(f"the unpacked droplet (disk_quota of {kind}, {where})", limit, checked.unpacked)


def _stack(
    api: CloudController,
    app: App | None,
    checked: PreflightResult,
    manifest: AppManifest,
    wishes: PushOptions,
    notes: list[str],
) -> str:
    """The stack the app will run on, set explicitly because the platform runs a droplet on its app's stack."""
    known = api.stacks()
    asked = wishes.stack or manifest.text("stack") or (app.stack if app and app.stack in known else "")
    stack = asked or (checked.stack if checked.stack in known else "")
    if not stack and len(known) == 1:
        stack = known[0]
    if not stack and wishes.any_stack:
        stack = best_of(known, checked)
    if stack not in known:
        raise _no_stack(stack or checked.stack, known, wishes)
    note = check_stack(checked, stack, accept=wishes.any_stack, targets=wishes.targets)
    notes += [note] if note else []
    return stack


def _no_stack(stack: str, known: Sequence[str], wishes: PushOptions) -> Rejected:
    own = PLATFORMS["cloudfoundry"].stack
    ways = [f"Run '{command(wishes.targets)}' in the app's folder, or name"] if own in known else ["Name"]
    hint = f"The platform has: {', '.join(sorted(known))}. {ways[0]} one with --stack and accept it with --any-stack."
    return Rejected(f"the stack {stack}", PLATFORM, "it has no such stack", hint)


def _created(api: CloudController, name: str, space: str, stack: str) -> App | None:
    """The new app; None when an earlier try, or somebody else, has just made one of this name."""
    try:
        return api.create_app(name, space, stack)
    except Rejected:
        if api.app(name, space) is None:
            raise
        return None


def _found(api: CloudController, name: str, space: str) -> App:
    app = api.app(name, space)
    if app is None:
        raise Rejected(f"the app {name}", PLATFORM, "it was deleted meanwhile", "Push it again.")
    return app


def _apply(api: CloudController, space: str, text: bytes, made: App | None) -> None:
    """Apply the manifest; an app that was `made` for it does not stay behind, empty, when the platform refuses it."""
    try:
        api.apply_manifest(space, text)
    except Rejected:
        if made is not None:
            with suppress(StagerError):  # the refusal is what matters
                api.delete_app(made)
        raise


def _refuse_other_lifecycle(app: App) -> None:
    if app.lifecycle != "buildpack":
        hint = "Push to another app, or delete this one first."
        raise Rejected(f"a droplet for {app.name}", PLATFORM, f"the app's lifecycle is {app.lifecycle}", hint)


def _on_platform(
    api: CloudController, app: App, droplet: DropletFile, checked: PreflightResult
) -> tuple[RemoteDroplet, bool]:
    """The droplet on the platform, and whether it had to be uploaded."""
    for listed in api.droplets(app):
        if listed.digest == droplet.digest:
            held = api.droplet(listed.guid)  # lists hide process types
            if held.process_types == checked.process_types:
                return held, False
    return upload(api, app, droplet.path, droplet.digest, checked.process_types), True


def description(digest: str, plan: str, stack: str) -> tuple[dict[str, str], dict[str, str]]:
    """(labels, annotations) that say on the platform what a droplet is."""
    facts: Mapping[str, str] = {"droplet": digest, "plan": plan, "stack": stack}
    labels = {LABELS[key]: facts[key].rpartition(":")[2][:32] for key in LABELS if facts[key]}
    return labels, {ANNOTATIONS[key]: facts[key] for key in ANNOTATIONS if facts[key]}


def _remarks(api: CloudController, app: App, how: RolloutOptions) -> list[str]:
    if not how.start:
        return [f"{app.name} is not started; start it with 'cf start {app.name}'"]
    asleep = idle(api, app)
    hint = "give them 'instances' in the manifest, or use 'cf scale --process'"
    return [f"without an instance: {', '.join(asleep)}; {hint}"] if asleep else []
