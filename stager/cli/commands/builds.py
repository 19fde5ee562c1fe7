"""`stager build` and `stager log`: builds by hand, and what they said."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from ...errors import StagerError, UsageError
from ...files import regular
from . import shared

if TYPE_CHECKING:
    import argparse

    from ...records import BuildNote

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_LOG = 128 << 20
"""Bytes of a log that are printed at most."""


def _build_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="the build to run (all of them, in order)")
    shared.add_planning(parser)
    parser.add_argument("--again", action="store_true", help="run it though what it left is remembered")
    parser.add_argument(
        "--shell", action="store_true", help="open a shell in its sandbox instead, as it is before it runs"
    )
    parser.add_argument(
        "--keep", dest="kept", action="store_true", help="run it, leave its folder, and say where that is"
    )


def _settle(arguments: argparse.Namespace) -> None:
    """What is no build's name is the app's folder: `stager build ./shop`."""
    if arguments.name and arguments.dir == "." and not _NAME.fullmatch(arguments.name):
        arguments.name, arguments.dir = "", arguments.name


def _build(arguments: argparse.Namespace) -> int:
    from ...builds import asked
    from ...staging import current_plan, save_lock, take_in

    _settle(arguments)
    _check(arguments)
    store = shared.store(arguments)
    settings = shared.settings(arguments, store)
    with store.lease():
        folder, locked = current_plan(shared.folder(arguments, store), settings)
        if folder.lock_bytes() != locked.text.encode():
            save_lock(folder, locked)
        take_in(locked.plan, folder.tree, store)
        if arguments.shell:
            build = asked.named(locked.plan, arguments.name)
            shared.say(f"the build's command is: {build.command}")
            shared.say("This is where it runs. What you change here is thrown away; 'exit' ends it.")
            return asked.shell(locked.plan, folder, settings, build.name)
        try:
            notes = asked.run(locked.plan, folder, settings, arguments.name, arguments.again, arguments.kept)
        except StagerError as error:
            if kept := error.data.get("kept"):
                shared.say(f"what there is of it is in {kept}")
            raise
    if arguments.json:
        shared.print_json({"builds": [note.as_json() for note in notes]})
        return 0
    for note in notes:
        print(f"{note.name}: {_told(note)}")
    if not notes:
        shared.say("the app has nothing that must be built")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if not arguments.shell:
        return
    from ...sandbox import terminal

    if not arguments.name:
        raise UsageError("--shell is for one build", "Name it: stager build NAME --shell.")
    if arguments.again or arguments.kept or arguments.json:
        raise UsageError("--shell runs no build", "Leave --again, --keep and --json out.")
    if not terminal.is_there():
        raise UsageError(
            "--shell needs a terminal", "Run it where you can type; 'stager build NAME --keep' needs none."
        )


def _told(note: BuildNote) -> str:
    """What a build did, for people."""
    how = f"ran in {note.seconds:.1f} s" if note.ran else "remembered"
    twice = (
        ", twice with the same result" if note.checked and note.ran else "" if note.checked else ", not checked twice"
    )
    return how + twice + (f"; its folder is {note.kept}" if note.kept else "")


# --- log -------------------------------------------------------------------------------------------------------


def _log_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the build")
    shared.add_folder(parser)


def _log(arguments: argparse.Namespace) -> int:
    from ...builds import history
    from ...droplet import built
    from ...names import printable_lines
    from ...sandbox.saying import without_controls

    store = shared.store(arguments)
    folder = shared.folder(arguments, store)
    run = history.last(folder.root, arguments.name, store)
    path = "" if run is None else built.log_path(store, run.key)
    there = [one for one in (path, f"{path}.2") if run is not None and os.path.isfile(one)]
    if not there:
        why = "has not run for this app" if run is None else "has no log any more"
        hint = f"'stager build {arguments.name} --again' runs it; 'stager explain build' says which builds there are."
        raise UsageError(f"the build {arguments.name} {why}", hint)
    if arguments.json:
        shared.print_json(
            {"name": arguments.name, "ended_well": run is not None and run.ended == "well", "logs": there}
        )
        return 0
    for number, one in enumerate(there):
        if number:
            shared.say("--- again, in other surroundings ---")
            sys.stderr.flush()
        text = regular.read(one, _LOG).decode("utf-8", "replace")
        sys.stdout.write(printable_lines(without_controls(text)) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    return 0


COMMANDS: dict[str, shared.Row] = {
    "build": (_build, _build_arguments),
    "log": (_log, _log_arguments),
}
