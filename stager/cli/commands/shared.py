"""What commands share: arguments, the store, settings, and how they speak.

People read standard error; standard output carries results: one line, or with `--json` one document.
"""

from __future__ import annotations

import os
import stat
import sys
from functools import cache, partial

from ...files import writing
from ...names import visible_json
from ...store.location import cache_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TextIO

    from ...droplet.incremental import Folder
    from ...model import Plan, Progress, Stack
    from ...net.indexes import Indexes
    from ...settings import Settings
    from ...store import Store

    Row = tuple[Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]
    """What a command does, and what declares its arguments."""


# --- speaking --------------------------------------------------------------------------------------------------


def result(arguments: argparse.Namespace, text: str) -> None:
    """Print a command's one line of result on standard output; to people when its output goes there."""
    if _to_stdout(arguments):
        say(text)
    else:
        print(text)


def _to_stdout(arguments: argparse.Namespace) -> bool:
    return any(writing.is_stdout(getattr(arguments, name, "")) for name in _OUTPUTS)


def where(path: str) -> str:
    """An output for people: as seen from the current folder or the one above it, else in full, whichever is shorter."""
    if writing.is_stdout(path):
        return "standard output"
    near, full = os.path.relpath(path), os.path.abspath(path)
    return full if near.startswith("../../") or len(full) < len(near) else near


def print_json(document: object) -> None:
    """Print the one document of a command with `--json` on standard output."""
    import json

    print(visible_json(json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True)))


def print_plain(text: str) -> None:
    """Print a text on standard output as it is: another program's bytes, or a machine's own log."""
    plain = getattr(sys.stdout, "plain", sys.stdout.write)  # see `cli`
    plain(text)


def say(text: str) -> None:
    """Tell people something, on standard error."""
    print(text, file=sys.stderr)


def beneath(stream: TextIO) -> TextIO:
    """The stream itself, for bars and for a machine's own log: what is written to it is not spelled out (see `cli`)."""
    found: TextIO = getattr(stream, "beneath", stream)
    return found


def warn(notes: Sequence[str]) -> None:
    """Tell people each remark on a line of its own."""
    for note in notes:
        say(f"note: {note}")


# --- arguments -------------------------------------------------------------------------------------------------


_OUTPUTS = ("output", "junit", "keep")


def output(text: str) -> str:
    """The place that an argument names; `-` is standard output."""
    return writing.STDOUT if text == "-" else text


def add_output(parser: argparse.ArgumentParser, default: str, help_: str, metavar: str = "FILE") -> None:
    """Declare `-o`, the place of what a command writes."""
    parser.add_argument("-o", "--output", type=output, default=default, metavar=metavar, help=help_)


def check_output(arguments: argparse.Namespace) -> None:
    """Raise UsageError when standard output is to take both a document and an output."""
    if _to_stdout(arguments):
        from ...errors import UsageError

        raise UsageError("--json and the output both go to standard output", "Leave --json out, or name a file.")


def check_places(arguments: argparse.Namespace) -> None:
    """Raise, before any work, when an output cannot be made where it is to be, or would replace what is not stager's."""
    from ...droplet.incremental import keep_foreign

    kept = {getattr(arguments, "image", "")}  # rebase writes over what it reads
    for name in _OUTPUTS:
        place = getattr(arguments, name, "")
        if place and place not in kept and not getattr(arguments, "sees_to_outputs", False):
            keep_foreign(place)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Declare what every command takes; `arguments.configure` does."""
    option = parser.add_argument_group("every command takes").add_argument
    option("--json", action="store_true", help="print one JSON document on standard output")
    option("-q", "--quiet", action="store_true", help="no progress")
    option("-v", "--verbose", action="store_true", help="say what is fetched from where, and which rule decided what")
    option("--cache-dir", default="", metavar="DIR", help="the store ($STAGER_CACHE_DIR, else the user's cache folder)")


def add_nothing(parser: argparse.ArgumentParser) -> None:
    """Declare nothing beside what every command takes."""


def add_folder(parser: argparse.ArgumentParser, metavar: str = "DIR", help_: str = "the app's folder (.)") -> None:
    """Declare the app's folder."""
    parser.add_argument("dir", nargs="?", default=".", metavar=metavar, help=help_)


def add_droplet(parser: argparse.ArgumentParser) -> None:
    """Declare the droplet file."""
    parser.add_argument(
        "droplet", nargs="?", default="droplet.tgz", metavar="DROPLET", help="the droplet file (droplet.tgz)"
    )


def add_planning(parser: argparse.ArgumentParser, metavar: str = "DIR", help_: str = "the app's folder (.)") -> None:
    """Declare what decides a plan, and the folder."""
    add_folder(parser, metavar, help_)
    add_choices(parser)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Declare what decides a plan."""
    parser.add_argument("--stack", default="", metavar="STACK", help="the stack to stage for (debian-12)")
    parser.add_argument("--arch", default="", choices=["amd64", "arm64"], help="the architecture (amd64)")
    help_ = "choose the stack that all these targets take, such as heroku,cloudfoundry,oci; may be repeated"
    parser.add_argument("--for", dest="targets", action="append", default=[], metavar="TARGETS", help=help_)
    add_any_stack(parser, "for these targets, prefer the app's own stack to one that is called as theirs")
    parser.add_argument(
        "--buildpack", action="append", default=[], metavar="NAME", help="use this buildpack; may be repeated"
    )
    add_offline(parser)
    parser.add_argument("--locked", action="store_true", help="fail when stager.lock is missing or stale")


def add_offline(
    parser: argparse.ArgumentParser, help_: str = "open no connection; what is not in the store is an error"
) -> None:
    """Declare `--offline`."""
    parser.add_argument("--offline", action="store_true", help=help_)


def add_plain_http(parser: argparse.ArgumentParser) -> None:
    """Declare `--plain-http`, for commands that speak with a registry."""
    parser.add_argument("--plain-http", action="store_true", help="speak http with a registry elsewhere")


def add_any_stack(parser: argparse.ArgumentParser, help_: str = "") -> None:
    """Declare `--any-stack`. Every command about a target takes it, so that one set of options serves them all."""
    help_ = help_ or "accepted as everywhere; no stack's name is compared here, only what the droplet needs"
    parser.add_argument("--any-stack", action="store_true", help=help_)


COMPARED = "accept a stack that the droplet was not staged for; the C library it needs is compared all the same"
"""What `--any-stack` means to those platforms whose stacks have names."""


# --- what arguments stand for ----------------------------------------------------------------------------------


def environ() -> Mapping[str, str]:
    """The process's environment; only the command line and the library read it."""
    return os.environ


def home() -> str:
    """The user's home folder."""
    return os.path.expanduser("~")


def store(arguments: argparse.Namespace) -> Store:
    """The store that the arguments or the environment name."""
    from ...store import Store

    return Store(arguments.cache_dir or cache_folder(os.environ, sys.platform))


def settings(arguments: argparse.Namespace, store: Store, *, save_lock: bool = True, **wishes: Any) -> Settings:
    """What staging needs, from whichever of these arguments a command declared; `wishes` are fields that it sets itself."""
    from ...settings import Settings

    told = {name: getattr(arguments, word) for name, word in _WISHES.items() if hasattr(arguments, word)}
    return Settings(
        store,
        cache(_indexes),
        targets=targets(arguments),
        buildpacks=tuple(getattr(arguments, "buildpack", ())),
        save_lock=save_lock,
        reporter=cache(partial(progress, arguments)),
        engine=os.environ,
        printed=printed(),
        make_locks=_make_locks if save_lock else None,
        bytecode=_bytecode,
        **{**told, **wishes},
    )


_WISHES = {name: name for name in ("stack", "any_stack", "locked", "offline", "upgrade", "jobs")} | {
    "architecture": "arch"
}
"""Field of `Settings` → argument."""


def _indexes() -> Indexes:
    from ...net.indexes import Indexes

    return Indexes.from_environment(os.environ, home=home())


def targets(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The names that `--for` gives; `Folder.aim` refuses those that are no targets."""
    return tuple(name for text in getattr(arguments, "targets", ()) for name in text.split(","))


def _make_locks(folder: Folder, settings: Settings) -> dict[str, bytes]:
    from ...locking import make_locks  # here, since most apps have a lock

    return make_locks(folder, settings, environ(), say)


def _bytecode(stack: Stack) -> tuple[str, str]:
    from ...builds import bytecode  # here, since most apps have a lock

    return bytecode.usual(stack, environ())


def progress(arguments: argparse.Namespace) -> Progress | None:
    """What shows progress to people; None with `--quiet`."""
    if arguments.quiet:
        return None
    from ..progress import reporter

    return reporter(beneath(sys.stderr), sources=arguments.verbose)


def tell_rules(arguments: argparse.Namespace, plan: Plan) -> None:
    """With `--verbose`, say which rule decided each thing of the plan."""
    if arguments.verbose:
        from ..text import rules_text

        say(rules_text(plan))


def folder(arguments: argparse.Namespace, store: Store) -> Folder:
    """The app's folder as it is now."""
    from ...droplet.incremental import Folder

    return Folder.read(arguments.dir, store, printed=printed())


def printed() -> frozenset[tuple[int, int]]:
    """The regular files (device, inode) that this process prints to: they are being written, so they are no source."""
    found = set()
    for descriptor in (1, 2):
        try:
            status = os.fstat(descriptor)
        except OSError:
            continue  # it is closed
        if stat.S_ISREG(status.st_mode):
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)
