"""The public verbs, with the defaults a caller expects: the user's own store and index configuration.

Each is a function over values. None prints; all may be called from many threads at once; all raise only `StagerError`s,
but for a TypeError where an argument is of another kind than its parameter. `progress` is called from any thread with an
`Event`; what it raises ends the call as `cancel` does, and comes back as it is. Setting `cancel` makes a call stop within
moments with `Cancelled`, and nothing half-made is published. What nobody foresaw comes as `InternalError`, its cause in
`__cause__`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from . import entry, staging
from . import targets as formats
from .calls import CallerFailed, relayed
from .droplet import incremental
from .droplet.reader import open_droplet
from .facts import platforms
from .files import writing
from .model import Detections, Droplet, Plan, Progress, Stack
from .net.indexes import Indexes
from .planning import detection, lockfile
from .planning import plan as planning
from .records import FolderMemo
from .settings import Settings
from .store import Store
from .store.location import cache_folder
from .targets.record import Platform
from .tree import SourceTree
from .unexpected import netted


@netted
def stage(
    app: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] = "droplet.tgz",
    plan: Plan | None = None,
    stack: str = "",
    architecture: str = "",
    targets: Sequence[str] = (),
    any_stack: bool = False,
    buildpacks: Sequence[str] = (),
    locked: bool = False,
    save_lock: bool = False,
    offline: bool = False,
    store: Store | None = None,
    environ: Mapping[str, str] | None = None,
    jobs: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Droplet:
    """Stage the app in the folder `app` into the droplet file `out`.

    With a `plan`, exactly that is staged; otherwise the folder's `stager.lock` if it fits (with `locked`, it must), else a
    new plan, which `save_lock` writes to the folder. With `save_lock`, an app without a lock of its packages gets one, too
    (`uv.lock`, `pylock.toml`, `package-lock.json`), as by `stager lock`; without it such an app is Unpinned, since a
    droplet's source would otherwise be nowhere. For `targets`, such as `("heroku", "oci")`, the stack is one that all of them
    take, the app's own if they do; a `stack` or `plan` that is given is only checked. `any_stack` says that a platform's stack
    may have another name. `environ` stands in for the process's environment, from which store and index settings come.
    Raises a StagerError.
    """
    app, out = os.fspath(app), os.fspath(out)
    settings = _settings(
        store, environ, offline, jobs, progress, cancel, stack=stack, architecture=architecture,
        targets=platforms.read(targets), any_stack=any_stack, buildpacks=tuple(buildpacks), locked=locked,
        save_lock=save_lock, make_locks=partial(_make_locks, environ=_variables(environ)) if save_lock else None,
    )  # fmt: skip
    if plan is not None and settings.targets:
        platforms.choose(settings.targets, plan.stack, plan.architecture, asked=plan.stack, app=app)
    given = None if plan is None else lockfile.locked(plan)
    return entry.stage(app, out, settings, plan=given, measure=True).droplet()


@netted
def detect(tree: SourceTree, buildpacks: Sequence[str] = ()) -> Detections:
    """Which buildpacks recognise the tree, and why the others do not. Raises a SourceError."""
    return detection.detect(tree, only=tuple(buildpacks))


@netted
def plan(
    tree: SourceTree,
    *,
    stack: str = "",
    architecture: str = "",
    buildpacks: Sequence[str] = (),
    previous: Plan | None = None,
    offline: bool = False,
    store: Store | None = None,
    environ: Mapping[str, str] | None = None,
) -> Plan:
    """Pin everything the tree needs. Runtimes that `previous` pins stay while they fit. May ask indexes for their pages."""
    settings = _settings(store, environ, offline)
    planned = planning.plan(
        tree,
        sources=planning.Sources.online(settings.store, settings.indexes, tree, offline, settings.stop),
        stack=stack,
        architecture=architecture,
        only=tuple(buildpacks),
        previous=previous,
        usual=settings.bytecode,
    )
    folder = incremental.Folder(tree.root, tree.root, tree, FolderMemo(), settings.store)
    return staging.with_builds(planned, folder, previous, settings)


@netted
def fetch(
    plan: Plan,
    *,
    offline: bool = False,
    store: Store | None = None,
    environ: Mapping[str, str] | None = None,
    jobs: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> dict[str, str]:
    """Bring every artifact of the plan into the store, checked by its digest; artifact digest → blob's hex SHA-256."""
    settings = _settings(store, environ, offline, jobs, progress, cancel)
    with settings.store.lease():
        return staging.fetch(plan, settings, prove=True)


@netted
def assemble(
    app: str | os.PathLike[str], plan: Plan, *, out: str | os.PathLike[str] = "droplet.tgz", store: Store | None = None
) -> Droplet:
    """Make the droplet of the app's folder and a plan whose artifacts are in the store. Opens no connection."""
    settings = _settings(store, None, offline=True)
    return entry.stage(os.fspath(app), os.fspath(out), settings, plan=lockfile.locked(plan), measure=True).droplet()


@netted
def export(
    droplet: Droplet | str | os.PathLike[str],
    target: str,
    out: str | os.PathLike[str],
    *,
    options: formats.Options | None = None,
    store: Store | None = None,
    cancel: threading.Event | None = None,
    **named: Any,
) -> formats.Exported:
    """Write a droplet, or a droplet file, in a target's format (`stager.targets.TARGETS`) to `out`.

    `options` are the target's own, such as `targets.bosh.export.BoshOptions(supervisor="monit")`; or name them one by one
    (`supervisor="monit"`). What a `store` remembers spares inflating the droplet. Raises UsageError for an unknown target or
    option, TypeError for options of another kind, BadArchive for what is no droplet, a TargetError, Cancelled.
    """
    platform = formats.load(target)
    options = _options(platform, options, named)
    out, path = os.fspath(out), droplet.path if isinstance(droplet, Droplet) else os.fspath(droplet)
    writing.keep_apart(out, path)
    with open_droplet(path, store) as opened:
        return platform.export(opened, out, options, store=store, stop=cancel.is_set if cancel else writing.never)


def _options(platform: Platform[Any], given: formats.Options | None, named: Mapping[str, object]) -> formats.Options:
    """The options of a call. Raises UsageError, and a TypeError that reaches the caller as it is."""
    if given is not None and (named or not isinstance(given, platform.options)):
        message = f"export(): options must be {platform.options.__name__}, and no other is named beside them"
        raise CallerFailed(TypeError(message))
    try:
        found: formats.Options = given or platform.options.read(named, platform.name)
    except TypeError as error:
        raise CallerFailed(error) from None
    return found


def _make_locks(folder: incremental.Folder, settings: Settings, environ: Mapping[str, str]) -> dict[str, bytes]:
    from .locking import make_locks  # here, since most apps have a lock

    return make_locks(folder, settings, environ)


def _bytecode(stack: Stack, environ: Mapping[str, str]) -> tuple[str, str]:
    from .builds import bytecode  # here, since most apps have a lock

    return bytecode.usual(stack, environ)


def _variables(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _settings(
    store: Store | None,
    environ: Mapping[str, str] | None,
    offline: bool,
    jobs: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    **wishes: Any,
) -> Settings:
    variables, show = _variables(environ), relayed(progress) if progress else None
    return Settings(
        store or Store(cache_folder(variables, sys.platform)),
        cache(partial(Indexes.from_environment, variables, home=os.path.expanduser("~"))),
        offline=offline,
        jobs=jobs,
        reporter=lambda: show,
        cancel=cancel,
        engine=variables,
        bytecode=partial(_bytecode, environ=variables),
        **wishes,
    )
