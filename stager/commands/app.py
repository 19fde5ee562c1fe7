"""The commands about one app beside `stage`: detect, plan, lock, run and inspect."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import UsageError
from . import shared

if TYPE_CHECKING:
    import argparse

    from ..model import Plan


def _detect(arguments: argparse.Namespace) -> int:
    from ..detection import detect
    from ..report import detections_json, detections_text
    from ..tree import SourceTree

    found = detect(SourceTree.read(arguments.dir))
    if arguments.json:
        shared.print_json(detections_json(found))
    else:
        print(detections_text(found))
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from ..lockfile import dumps
    from ..report import plan_json
    from ..staging import current_plan

    store = shared.store(arguments)
    plan = current_plan(shared.folder(arguments, store), shared.settings(arguments, store, save_lock=False))
    if arguments.json:
        shared.print_json(plan_json(plan))
    else:
        sys.stdout.write(dumps(plan))
        shared.warn(plan.notes)
    return 0


def _lock(arguments: argparse.Namespace) -> int:
    from ..locking import lock_app
    from ..report import plan_json
    from ..staging import make_plan, previous_plan, save_lock

    store = shared.store(arguments)
    settings = shared.settings(arguments, store)
    for made in lock_app(arguments.dir, settings, shared.environ()):
        shared.say(f"made {made}")
    folder = shared.folder(arguments, store)
    plan = make_plan(folder, previous_plan(folder, forgiving=True), settings)
    save_lock(folder, plan)
    if arguments.json:
        shared.print_json(plan_json(plan))
    else:
        _report_lock(plan)
    return 0


def _report_lock(plan: Plan) -> None:
    shared.warn(plan.notes)
    runtimes = ", ".join(f"{runtime.name} {runtime.version}" for runtime in plan.runtimes)
    what = f"{plan.stack}/{plan.architecture}, {runtimes or 'no runtime'}, {len(plan.artifacts)} artifacts"
    shared.say(f"stager.lock: {what}")


def _run(arguments: argparse.Namespace) -> int:
    import tempfile

    from .stage import droplet_of

    with tempfile.TemporaryDirectory(prefix="stager-droplet-") as scratch:
        return _launch(droplet_of(arguments, scratch), arguments)


def _launch(droplet: str, arguments: argparse.Namespace) -> int:
    from ..running import run

    def ready(port: int) -> None:
        if arguments.json:
            import json

            print(json.dumps({"process": arguments.process, "url": f"http://127.0.0.1:{port}"}), flush=True)
        shared.say(f"{arguments.process} listens on http://127.0.0.1:{port}")

    return run(droplet, arguments.process, port=arguments.port, extra=pairs(arguments.env), ready=ready)


def pairs(items: list[str]) -> dict[str, str]:
    """`NAME=VALUE` arguments as a table. Raises UsageError for one without a value."""
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise UsageError(f"--env {name!r} has no value", "Write --env NAME=VALUE.")
        found[name] = value
    return found


def _inspect(arguments: argparse.Namespace) -> int:
    from ..inspecting import inspect
    from ..report import inspection_text

    found = inspect(arguments.dir, shared.store(arguments))
    if arguments.json:
        shared.print_json(found)
    else:
        print(inspection_text(found))
    return 0


def _lock_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_planning(parser)
    parser.add_argument("--upgrade", action="store_true", help="move pinned runtimes to the newest that fit")


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_planning(parser)
    parser.add_argument("--process", default="web", metavar="TYPE", help="the process type (web)")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (a free one)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable for the process")


def _inspect_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_common(parser, "droplet.tgz")


COMMANDS: dict[str, shared.Row] = {
    "detect": ("say which buildpacks recognise the app, and why", _detect, shared.add_common),
    "plan": ("show what the app would be staged from", _plan, shared.add_planning),
    "lock": ("pin everything in stager.lock, and make the app's own lock if it has none", _lock, _lock_arguments),
    "run": ("launch the app, or a droplet file, on this host", _run, _run_arguments),
    "inspect": ("show what is inside a droplet file", _inspect, _inspect_arguments),
}
