"""`stager box`: list the stacks, pin their packages, build their root filesystems and images."""

from __future__ import annotations

import contextlib
import os

from ...files import writing
from ...text.wording import size_text
from . import shared
from .stacks import definition_of, stack_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from ...stacks.boxes import BoxFile
    from ...stacks.build_context import Making
    from ...stacks.definition import Definition
    from ...stacks.image import BaseImage
    from ...stacks.lock import StackLock
    from ...stacks.root import Root
    from ...store import Store

FORMATS = ("all", "root", "oci", "docker", "libvirt", "virtualbox", "vmware")
"""What `box build --format` knows; `root` and `oci` are built without it."""


def _lock_arguments(parser: argparse.ArgumentParser) -> None:
    stack_arguments(parser)
    parser.add_argument("--upgrade", action="store_true", help="move every package to the newest of the index")
    shared.add_output(parser, "", "the lock file (box.lock beside box.yml)")


def _build_arguments(parser: argparse.ArgumentParser) -> None:
    from .values import number

    stack_arguments(parser)
    parser.add_argument("--arch", default="amd64", choices=["amd64", "arm64"], help="the architecture (amd64)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME", help="a set on top; may be repeated")
    parser.add_argument("--lock", default="", metavar="FILE", help="the lock file (box.lock beside box.yml)")
    parser.add_argument(
        "--format", action="append", default=[], metavar="FORMAT", choices=list(FORMATS),
        help=f"what to build of it: {', '.join(FORMATS)}; may be repeated (root and oci)",
    )  # fmt: skip
    shared.add_output(parser, "", "also write root.tar, image/ and boxes into DIR", metavar="DIR")
    parser.set_defaults(sees_to_outputs=True)
    parser.add_argument("--again", action="store_true", help="build even when the store has the result")
    parser.add_argument("--fetch-only", action="store_true", help="only bring the packages into the store")
    parser.add_argument("--jobs", type=number(1, 1024), default=8, metavar="N", help="packages fetched at once (8)")


# --- list ------------------------------------------------------------------------------------------------------


def run_list(arguments: argparse.Namespace) -> int:
    """Say which stacks there are, what they promise, and what has been built of them."""
    from ...facts import stacks as box

    rows = [_row(name, shared.store(arguments)) for name in box.names()]
    if arguments.json:
        shared.print_json({"stacks": rows})
        return 0
    for row in rows:
        built = ", ".join(f"{key} {value['root'][:19]}…" for key, value in row["built"].items())
        about = f"{row['packages']} packages, built: {built or 'nothing'}" if row["locked"] else "the platform's own"
        print(f"{row['name']:<12} {row['summary']}; glibc {row['glibc']}; {about}")
    return 0


def _row(name: str, store: Store) -> dict[str, Any]:
    from ...errors import StagerError
    from ...stacks import find, lock, root
    from ...stacks.errors import NotBuilt

    definition = find.load(name)
    found, built, packages = definition.box, {}, 0
    if definition.root.packages and os.path.isfile(lock.path_of(definition)):
        pinned = lock.load(definition)
        packages = len(pinned.pins(["root"], found.architectures[0]))
        for architecture in found.architectures:
            try:
                made = root.find(definition, pinned, architecture, store)
            except (NotBuilt, StagerError):
                continue
            built[architecture] = {"stack": made.stack, "root": made.digest, "size": made.size}
    return {
        "name": name,
        "summary": found.summary,
        "glibc": f"{found.glibc[0]}.{found.glibc[1]}",
        "architectures": list(found.architectures),
        "sets": [part.name for part in definition.sets],
        "locked": bool(packages),
        "packages": packages,
        "built": built,
    }


# --- lock ------------------------------------------------------------------------------------------------------


def run_lock(arguments: argparse.Namespace) -> int:
    """Pin every package of a stack, unless its lock still pins what `box.yml` asks for."""
    from ...errors import LockMissing, LockStale
    from ...stacks import lock

    definition = definition_of(arguments)
    path = arguments.output or lock.path_of(definition)
    before = None
    with contextlib.suppress(LockMissing, LockStale):
        before = lock.load(definition, path)
    pinned = before if before and not arguments.upgrade else _pin(definition, arguments)
    written = pinned != before
    if written:
        writing.write(path, lock.dumps(pinned).encode())
    _tell_lock(arguments, path, before, pinned, written)
    return 0


def _pin(definition: Definition, arguments: argparse.Namespace) -> StackLock:
    import time

    from ...ecosystems.deb.index import DebianMirrors
    from ...fetching.web import Web
    from ...net.indexes import Indexes
    from ...stacks import resolve

    store = shared.store(arguments)
    indexes = Indexes.from_environment(shared.environ(), home=shared.home())
    mirrors = DebianMirrors(*indexes.debian(definition.box.suite))
    if not arguments.quiet:
        shared.say(f"stager: reading the index of {definition.box.suite} …")
    web = Web(indexes, store, offline=arguments.offline)
    pinned, notes = resolve.pin(definition, web, mirrors, int(time.time()))
    shared.warn(notes)
    return pinned


def _tell_lock(
    arguments: argparse.Namespace, path: str, before: StackLock | None, pinned: StackLock, written: bool
) -> None:
    from ...stacks.lock import changes

    architecture = pinned.sets[0][1]
    names = [name for name, arch, _ in pinned.sets if arch == architecture]
    moved = changes(*((lock.pins(names, architecture) if lock else ()) for lock in (before, pinned)))
    if arguments.json:
        sets = [{"name": name, "architecture": arch, "packages": len(pins)} for name, arch, pins in pinned.sets]
        indexes = [{"suite": suite, "date": date} for suite, date in pinned.indexes]
        shared.print_json({"path": path, "written": written, "indexes": indexes, "sets": sets, "changes": moved})
        return
    for line in moved if before else ():
        shared.say(f"  {line}")
    count = len(pinned.pins(["root"], architecture))
    shared.say(
        f"{shared.where(path)}: {count} packages in the root, index of {pinned.indexes[-1][1]}"
        + ("" if written else "; unchanged")
    )


# --- build -----------------------------------------------------------------------------------------------------


def run_build(arguments: argparse.Namespace) -> int:
    """Build a stack's root filesystem and its image from exactly what is locked."""
    from ...net.indexes import Indexes
    from ...stacks import image, lock, root
    from ...stacks.build_context import Making
    from ...targets.oci import layout
    from . import boxes

    definition = definition_of(arguments)
    pinned = lock.load(definition, arguments.lock)
    wanted = _wanted(arguments)
    boxes.check(arguments, wanted)
    _check_output(arguments.output, _outputs(definition, arguments, wanted))
    store = shared.store(arguments)
    indexes = Indexes.from_environment(shared.environ(), home=shared.home())
    making = Making(store, indexes, arguments.offline, arguments.jobs, shared.progress(arguments))
    if arguments.fetch_only:
        return _fetch(definition, pinned, making, arguments)
    with store.lease(), _stoppable():
        made = None
        if {"root", "oci"} & {*wanted}:
            made = root.build(definition, pinned, arguments.arch, making, arguments.set, again=arguments.again)
        wrapped = image.of(definition, made, store) if made and "oci" in wanted else None
        packed = boxes.build(definition, pinned, making, arguments, wanted)
        if arguments.output:
            if made and "root" in wanted:
                image.write_root(made, os.path.join(arguments.output, "root.tar"), store)
            if wrapped:
                layout.write_base(wrapped, os.path.join(arguments.output, "image"))
            boxes.write(packed, arguments.output, store)
    _tell_build(arguments, definition, made, wrapped, packed)
    return 0


def _fetch(definition: Definition, pinned: StackLock, making: Making, arguments: argparse.Namespace) -> int:
    from ...stacks import debs, root

    parts = root.chosen(definition, arguments.set)
    pins = pinned.pins([part.name for part in parts], arguments.arch)
    debs.fetched(definition, pins, making)
    if arguments.json:
        shared.print_json({"packages": len(pins), "size": sum(pin.size for pin in pins)})
    else:
        shared.say(f"{len(pins)} packages are in the store ({size_text(sum(pin.size for pin in pins))})")
    return 0


def _outputs(definition: Definition, arguments: argparse.Namespace, wanted: list[str]) -> list[str]:
    """The names of what is written below `--output`."""
    from ...stacks import boxes

    named = {"root": "root.tar", "oci": "image"}
    for name, provider in boxes.PROVIDERS.items():
        named[name] = boxes.file_name(definition.name, arguments.arch, provider)
    return [named[name] for name in wanted]


def _check_output(folder: str, names: list[str]) -> None:
    from ...errors import CannotWrite

    if folder and os.path.lexists(folder) and not os.path.isdir(folder):
        raise CannotWrite(folder, "it is no folder", "Name a folder.")
    for name in names if folder else ():
        if os.path.lexists(os.path.join(folder, name)):
            raise CannotWrite(os.path.join(folder, name), "it exists")


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let a SIGTERM clean up like a Ctrl-C."""
    import signal

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _tell_build(
    arguments: argparse.Namespace,
    definition: Definition,
    made: Root | None,
    wrapped: BaseImage | None,
    packed: list[BoxFile],
) -> None:
    if arguments.json:
        shared.print_json(_facts(arguments, definition, made, wrapped, packed))
        return
    name = f"{definition.name}/{arguments.arch}{''.join(f' + {name}' for name in arguments.set)}"
    shared.say(f"{name}: {made.packages} packages" if made else name)
    if made:
        shared.say(f"  stack {made.stack}")
        shared.say(f"  root  {made.digest} ({size_text(made.size)}, {made.entries} entries)")
    if wrapped:
        shared.say(f"  image {wrapped.manifest} ({size_text(wrapped.layers[0].size)} compressed)")
    for box in packed:
        shared.say(f"  box   {box.digest} ({size_text(box.size)}, {box.provider})")
    print(made.digest if made else packed[0].digest)


def _facts(
    arguments: argparse.Namespace,
    definition: Definition,
    made: Root | None,
    wrapped: BaseImage | None,
    packed: list[BoxFile],
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": definition.name, "architecture": arguments.arch, "output": arguments.output}
    if made:
        found |= {"sets": list(made.sets), "stack": made.stack, "packages": made.packages}
        found["root"] = {"digest": made.digest, "size": made.size, "entries": made.entries}
    if wrapped:
        layer = wrapped.layers[0]
        found["image"] = {
            "manifest": wrapped.manifest,
            "config": wrapped.config,
            "layer": layer.digest,
            "size": layer.size,
        }
    if packed:
        found["boxes"] = [
            {"provider": box.provider, "file": box.file, "digest": box.digest, "size": box.size} for box in packed
        ]
    return found


def _wanted(arguments: argparse.Namespace) -> list[str]:
    """The formats asked for, each once, in their own order."""
    asked = set(FORMATS[1:] if "all" in arguments.format else arguments.format or ("root", "oci"))
    return [name for name in FORMATS if name in asked]


COMMANDS: dict[str, shared.Row] = {
    "box list": (run_list, shared.add_nothing),
    "box lock": (run_lock, _lock_arguments),
    "box build": (run_build, _build_arguments),
}
