"""What a build leaves, where only the app's own code knows it: asked when the app is locked, in the sandbox, and remembered.

The answer stands in the lock as the build's outputs, so nothing is asked when the app is staged.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING

from ..droplet import built as known
from ..files import below
from ..model import APP, Build
from ..names import path_fault
from ..planning import surroundings
from ..records import AppBuild
from ..sandbox.job import APP as PLACE
from ..store import rules
from . import apps, recipes, running
from .compare import FIRST
from .errors import BuildFailed

if TYPE_CHECKING:
    from ..droplet.incremental import Folder
    from ..model import Plan
    from ..settings import Settings

_ANSWER = "answer"
"""The file in the sandbox's `/tmp` that the question's output goes to."""


def answered(plan: Plan, folder: Folder, settings: Settings) -> Plan:
    """The plan, whose roots are pinned, with the outputs of the builds that had to be asked, and without those that leave
    nothing in the app.

    Raises BuildFailed, BuildTooBig, NoSandbox, Cancelled, and what making roots and fetching raise.
    """
    questions, builds, notes = dict(plan.asks), list[Build](), list[str]()
    for build in plan.builds:
        if build.outputs or build.kind != APP:
            builds.append(build)
            continue
        told = _answer(plan, build, questions[build.name], folder, settings)
        path = posixpath.normpath(posixpath.join(PLACE, build.folder, told)) if told else ""
        if path.startswith(f"{PLACE}/"):
            inside = path.removeprefix(f"{PLACE}/")
            if (
                wrong := "is one that stager makes itself"
                if f"{inside}/".startswith(".stager/")
                else path_fault(inside)
            ):
                raise BuildFailed(build.name, f"says that it leaves {inside[:200]!r}, which {wrong}")
            builds.append(replace(build, outputs=(path.removeprefix(f"{PLACE}/"),)))
        else:
            what = (
                f"it would leave {path}, which is not in the app"
                if told
                else "nothing says where it would leave what it makes"
            )
            notes.append(f"the build {build.name} is left out: {what} ({build.reason})")
    left = replace(plan, builds=tuple(builds), asks=(), notes=(*plan.notes, *notes))
    return replace(left, roots=surroundings.used_roots(left))


def _answer(plan: Plan, build: Build, question: str, folder: Folder, settings: Settings) -> str:
    """What a question printed, its first line."""
    record = AppBuild(
        build.name, rules.key(settings.store, "ask", surroundings.text(plan, build), question), build.inputs, ()
    )
    key = known.key(record, folder.tree)
    remembered = settings.store.recall("asked", key)
    if isinstance(remembered, str):
        return remembered
    ready = apps.ready(plan, folder, settings)
    env = recipes.joined([dict(build.env)])
    log = running.log_path(settings.store, key)
    command = f"{{ {question}; }} > /tmp/{_ANSWER}"
    settings.tell("build", f"{build.name}: asking what it leaves")

    def fill(app: str, reverse: bool) -> None:
        apps.lay(folder.tree, record, app, reverse)

    place = f"{PLACE}/{build.folder}" if build.folder else PLACE
    with (
        running.place(plan, build, folder, settings, ready) as where,
        running.once(
            build, where, command, running.Turn(FIRST, log, settings.stop), settings, fill=fill, env=env, folder=place
        ) as run,
    ):
        told = _first_line(build, run.temporary)
    settings.store.remember("asked", key, told)
    return told


def _first_line(build: Build, folder: str) -> str:
    try:
        with below.reading(folder, _ANSWER) as file:
            text = file.read(1 << 16).decode("utf-8", "replace")
    except OSError as error:
        raise BuildFailed(build.name, f"left no answer to what it leaves: {error.strerror}") from None
    line = next(iter(text.splitlines()), "").strip()
    if not line.isprintable():
        raise BuildFailed(build.name, f"says that it leaves {line[:200]!r}")
    return line
