"""The commands about one app beside `stage`: detect, plan, lock, run and inspect."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from ...errors import StagerError, UsageError
from ...names import visible_json
from . import shared
from .values import memory_size, tcp_port, variable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ...local.isolation.environment import RunOptions
    from ...model import Plan
    from ...stacks.build_context import Making


def _detect(arguments: argparse.Namespace) -> int:
    from ...planning.detection import detect
    from ...tree import SourceTree
    from ..text import detections_json, detections_text

    found = detect(SourceTree.read(arguments.dir))
    if arguments.json:
        shared.print_json(detections_json(found))
    else:
        print(detections_text(found))
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from ...staging import current_plan
    from ..text import plan_json

    store = shared.store(arguments)
    settings = shared.settings(arguments, store).replace(save_lock=False)
    folder = shared.folder(arguments, store)
    folder, locked = current_plan(folder, settings)
    shared.tell_rules(arguments, locked.plan)
    if arguments.json:
        shared.print_json(plan_json(locked))
    else:
        sys.stdout.write(visible_json(locked.text))
        shared.warn([*folder.lock.notes, *locked.plan.notes])
    return 0


def _lock(arguments: argparse.Namespace) -> int:
    from ...droplet.incremental import aim
    from ...locking import lock_app
    from ...staging import make_plan, previous_plan, save_lock
    from ..text import plan_json

    store = shared.store(arguments)
    settings = shared.settings(arguments, store)
    for made in lock_app(arguments.dir, settings, shared.environ(), shared.say):
        shared.say(f"made {made}")
    folder = aim(shared.folder(arguments, store), settings)
    folder, locked = make_plan(folder, previous_plan(folder, forgiving=True), settings)
    save_lock(folder, locked)
    shared.tell_rules(arguments, locked.plan)
    if arguments.json:
        shared.print_json(plan_json(locked))
    else:
        shared.warn([*folder.lock.notes, *locked.plan.notes])
        _report_lock(locked.plan, folder.lock.name)
    return 0


def _report_lock(plan: Plan, name: str) -> None:
    runtimes = ", ".join(f"{runtime.name} {runtime.version}" for runtime in plan.runtimes)
    what = f"{plan.stack}/{plan.architecture}, {runtimes or 'no runtime'}, {len(plan.artifacts)} artifacts"
    shared.say(f"{name}: {what}")


def _run(arguments: argparse.Namespace) -> int:
    from ...files.temporary import folder as temporary
    from .stage import droplet_of

    where = _where(arguments)
    arguments.untold = []
    with temporary("app") as scratch:
        code = _PLACES[where](droplet_of(arguments, scratch), arguments)
    for error in arguments.untold:
        raise error
    return code


def _where(arguments: argparse.Namespace) -> str:
    """Where to run. Raises UsageError for options that have no meaning there."""
    where = str(arguments.where)
    allowed = {
        "host": (),
        "stack": ("no_network", "root", "memory"),
        "docker": ("no_network", "root", "memory", "network"),
    }
    for name in ("no_network", "root", "memory", "network"):
        if getattr(arguments, name) and name not in allowed[where]:
            places = " or ".join(f"--in {place}" for place, names in allowed.items() if name in names)
            raise UsageError(f"--{name.replace('_', '-')} is not for --in {where}", f"Use it with {places}.")
    if arguments.root and not os.path.exists(arguments.root):
        raise UsageError(f"--root {arguments.root}: there is no such file", "Name a root filesystem's tar or folder.")
    if arguments.no_network and arguments.network:
        raise UsageError("--network and --no-network exclude one another", "Leave one out.")
    return where


def _typed(arguments: argparse.Namespace) -> str:
    """The command without `--in`, for hints to repeat."""
    import shlex

    words = ["stager", "run", *([] if arguments.dir == "." else [arguments.dir])]
    words += ["--process", arguments.process] if arguments.process != "web" else []
    words += ["--port", str(arguments.port)] if arguments.port else []
    return shlex.join(words)


def _ready(arguments: argparse.Namespace, digest: str = "") -> Callable[[int], None]:
    def ready(port: int) -> None:
        if arguments.json:
            import json

            told = {"digest": digest, "in": arguments.where} if digest else {}
            try:
                print(json.dumps({**told, "process": arguments.process, "url": f"http://127.0.0.1:{port}"}), flush=True)
            except (StagerError, OSError) as error:  # a thread has nobody to tell: the app is ended, then `_run` tells
                arguments.untold.append(error)
                os.kill(os.getpid(), signal.SIGTERM)
        shared.say(f"{arguments.process} listens on http://127.0.0.1:{port}")

    return ready


def _astray(arguments: argparse.Namespace) -> Callable[[list[int]], None] | None:
    """The remark on a web process that listens elsewhere; others may listen where they like."""
    if arguments.process != "web":
        return None

    def astray(ports: list[int]) -> None:
        if not ports:
            advice = "have it listen on 0.0.0.0; for many servers the variable HOST says so"
            shared.say(f"web listens on $PORT of the name localhost alone, where no platform reaches it: {advice}")
            return
        where = f"port{'s' if len(ports) > 1 else ''} {' and '.join(map(str, ports))}"
        advice = "where platforms send requests: have it read PORT from its environment"
        shared.say(f"web listens on {where}, not on $PORT, {advice}")

    return astray


def _on_host(droplet: str, arguments: argparse.Namespace) -> int:
    from ...local.running import run

    return run(
        droplet, arguments.process, port=arguments.port, extra=dict(arguments.env), shell=arguments.command,
        ready=_ready(arguments), astray=_astray(arguments), again=_typed(arguments),
    )  # fmt: skip


def _in_stack(droplet: str, arguments: argparse.Namespace) -> int:
    from ...droplet.reader import open_droplet
    from ...local.isolation import root_choice, stack

    making = _making(arguments)
    with open_droplet(droplet, making.store) as opened:
        root = root_choice.folder(root_choice.wanted(opened, making, shared.say), arguments.root)
        return stack.run(opened, root, _how(arguments, opened.digest))


def _in_docker(droplet: str, arguments: argparse.Namespace) -> int:
    from ...droplet.reader import open_droplet
    from ...local.isolation import engine, root_choice

    making = _making(arguments)
    with open_droplet(droplet, making.store) as opened, engine.connected(shared.environ()) as client:
        with root_choice.layers(root_choice.wanted(opened, making, shared.say), arguments.root) as layers:
            image = engine.loaded(client, layers)
        return engine.run(client, opened, image, _how(arguments, opened.digest), arguments.network)


_PLACES = {"host": _on_host, "stack": _in_stack, "docker": _in_docker}


def _how(arguments: argparse.Namespace, digest: str) -> RunOptions:
    from ...local.isolation.environment import RunOptions

    if arguments.no_network:
        shared.say("without a network: the process has a loopback of its own, and its port cannot be reached from here")
    return RunOptions(
        process=arguments.process,
        shell=arguments.command,
        port=arguments.port,
        env=dict(arguments.env),
        network=not arguments.no_network,
        memory=arguments.memory,
        ready=_ready(arguments, digest),
        astray=_astray(arguments),
        tell=shared.say,
    )


def _making(arguments: argparse.Namespace) -> Making:
    from ...net.indexes import Indexes
    from ...stacks.build_context import Making

    indexes = Indexes.from_environment(shared.environ(), home=shared.home())
    return Making(shared.store(arguments), indexes, arguments.offline, progress=shared.progress(arguments))


def _inspect(arguments: argparse.Namespace) -> int:
    from ...droplet.inspecting import inspect
    from ..text import inspection_text

    found = inspect(arguments.droplet, shared.store(arguments))
    if arguments.json:
        shared.print_json(found.as_json())
    else:
        print(inspection_text(found))
    return 0


def _lock_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_planning(parser)
    parser.add_argument("--upgrade", action="store_true", help="move pinned runtimes to the newest that fit")


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_planning(parser, "DIR|DROPLET", "the app's folder, or a droplet file (.)")
    parser.add_argument("--process", default="web", metavar="TYPE", help="the process type (web)")
    parser.add_argument("--port", type=tcp_port, default=0, metavar="N", help="the port to listen on (a free one)")
    help_ = "a variable for the process; may be repeated"
    parser.add_argument("--env", action="append", type=variable, default=[], metavar="NAME=VALUE", help=help_)
    parser.add_argument("--command", default="", metavar="TEXT", help="a shell command in the process's place")
    parser.add_argument(
        "--in", dest="where", default="host", choices=["host", "stack", "docker"],
        help="on this host, in the stack's root filesystem (bubblewrap), or in a container of it (host)",
    )  # fmt: skip
    parser.add_argument("--no-network", action="store_true", help="only a loopback of its own (stack, docker)")
    parser.add_argument("--root", default="", metavar="FILE|DIR", help="a root filesystem in place of the stack's")
    parser.add_argument(
        "--memory", type=memory_size, default=0, metavar="SIZE", help="a limit such as 512M (stack, docker)"
    )
    parser.add_argument("--network", default="", metavar="NAME", help="the engine's network to join (docker)")


COMMANDS: dict[str, shared.Row] = {
    "detect": (_detect, shared.add_folder),
    "plan": (_plan, shared.add_planning),
    "lock": (_lock, _lock_arguments),
    "run": (_run, _run_arguments),
    "inspect": (_inspect, shared.add_droplet),
}
