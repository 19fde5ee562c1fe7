"""An app with a build of its own, planned without any index: its lock is written, and it is staged in a real build root."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from trees import lay_out

from stager import entry
from stager.model import APP, Build, BuildRoot, Event, Plan, Reason
from stager.net.indexes import Indexes
from stager.planning import lockfile
from stager.planning import plan as planning
from stager.records import Staged
from stager.settings import Settings
from stager.store import Store
from stager.tree import SourceTree

WHY = Reason("a test")


def settings(store: Store, told: list[str] | None = None) -> Settings:
    """How to stage with this store; what builds tell goes to `told`."""

    def show(event: Event) -> None:
        if told is not None and event.verb == "build":
            told.append(event.what)

    return Settings(
        store, lambda: Indexes.from_environment(os.environ, home=os.path.expanduser("~")), reporter=lambda: show
    )


def planned(app: Path, files: Mapping[str, str], root: BuildRoot, *builds: Build, store: Store) -> Plan:
    """Write an app with a Procfile and these files, and the lock of its plan with these builds."""
    lay_out(app, {"Procfile": "web: cat static/out.txt\n", **files})
    wanted = settings(store)
    sources = planning.Sources.online(store, wanted.indexes, SourceTree.read(str(app)), offline=True)
    plan = planning.plan(SourceTree.read(str(app)), sources=sources)
    plan = replace(plan, builds=builds, roots=(root,) if builds else ())
    (app / "stager.lock").write_text(lockfile.dumps(plan))
    return plan


def build(command: str, *outputs: str, name: str = "own", inputs: tuple[str, ...] = ("**",), **more: object) -> Build:
    """A build of the app in the stack's own root."""
    return replace(Build(name, APP, "stack", command, WHY, inputs=inputs, outputs=outputs or ("static",)), **more)  # type: ignore[arg-type]


def stage(app: Path, store: Store, told: list[str] | None = None) -> Staged:
    """Stage the app beside its folder."""
    return entry.stage(str(app), str(app.parent / "droplet.tgz"), settings(store, told))
