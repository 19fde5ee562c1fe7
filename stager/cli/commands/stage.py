"""`stager stage`: the one command that is kept free of every import it can do without."""

from __future__ import annotations

import os

from ...entry import stage
from ...text.wording import size_text
from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from ...records import Staged
    from ...settings import Settings


def plain(argv: Sequence[str]) -> argparse.Namespace | None:
    """The arguments of a plainly written `stage`, or None for argparse to see to."""
    from .fast import FastParser

    def declare(parser: Any) -> None:
        configure(parser)
        shared.add_common(parser)
        parser.set_defaults(run=run)

    return FastParser(declare).read(argv[1:])  # type: ignore[return-value]  # as good as a Namespace


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `stage`."""
    from .values import number

    shared.add_planning(parser)
    parser.set_defaults(sees_to_outputs=True)
    shared.add_output(
        parser,
        "droplet.tgz",
        "the droplet file (droplet.tgz)",
    )
    parser.add_argument("--jobs", type=number(1, 1024), default=0, metavar="N", help="worker threads (one a processor)")


def run(arguments: argparse.Namespace) -> int:
    """Make the droplet and say what it is."""
    settings = shared.settings(arguments, shared.store(arguments), keep_foreign=True)
    staged = stage(arguments.dir, arguments.output, settings, measure=arguments.json)
    _tell_rules(arguments, staged, settings)
    if arguments.json:
        shared.print_json(staged.droplet().as_json())
    else:
        _report(staged)
        shared.result(arguments, staged.digest)
    return 0


def droplet_of(arguments: argparse.Namespace, scratch: str) -> str:
    """The droplet file that `arguments.dir` names; a folder is staged into `scratch` first and reported."""
    if os.path.isfile(arguments.dir):
        return str(arguments.dir)
    if not os.path.exists(arguments.dir):
        from ...droplet.errors import NoDroplet

        hint = "Give an app's folder, or a droplet; 'stager stage' makes one."
        raise NoDroplet(arguments.dir, hint)
    arguments.output = os.path.join(scratch, "droplet.tgz")
    settings = shared.settings(arguments, shared.store(arguments))
    staged = stage(arguments.dir, arguments.output, settings)
    _tell_rules(arguments, staged, settings)
    _report(staged)
    return staged.path


def _tell_rules(arguments: argparse.Namespace, staged: Staged, settings: Settings) -> None:
    """With `--verbose`, say which rules decided the plan; the store has it since it was staged from."""
    text = settings.store.recall("plan", staged.base.plan) if arguments.verbose else None
    if text is not None:
        from ...planning.lockfile import loads

        shared.tell_rules(arguments, loads(text.encode()).plan)


def _report(staged: Staged) -> None:
    base = staged.base
    shared.warn(staged.notes)
    for build in staged.builds:
        if build.ran:
            shared.say(f"built {build.name} in {build.seconds:.1f} s")
    for path, why in staged.left_out:
        shared.say(f"left out: {path} ({why})")
    runtimes = ", ".join(f"{name} {version}" for name, version in base.runtimes.items())
    shared.say(
        f"{', '.join(base.buildpacks)} on {base.stack}/{base.architecture}" + (f" with {runtimes}" if runtimes else "")
    )
    for kind, command in base.processes.items():
        shared.say(f"  {kind}: {command}")
    shared.say(f"{size_text(staged.size)} in {shared.where(staged.path)}" + ("" if staged.written else ", unchanged"))


COMMANDS: dict[str, shared.Row] = {"stage": (run, configure)}
