"""`stager stage`: the one command that is kept free of every import it can do without."""

from __future__ import annotations

import os

from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from ...droplet.incremental import Folder
    from ...store import Store


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
    store = shared.store(arguments)
    with store.lease():
        folder = shared.folder(arguments, store)
        result = staged(folder, arguments, store)
        if arguments.json:
            shared.print_json(_as_json(folder, result, store))
        else:
            _report(folder, result)
            shared.result(arguments, result["digest"])
    return 0


def staged(folder: Folder, arguments: argparse.Namespace, store: Store) -> dict[str, Any]:
    """Stage the folder into `arguments.output`: the short way when that is possible, else the long one."""
    from ...droplet import incremental

    if not incremental.is_last(folder, arguments.output):
        incremental.keep_source(folder, arguments.output)
        shared.keep_foreign(arguments.output)
    result = None
    if not arguments.buildpack:
        wishes = {"targets": shared.targets(arguments), "any_stack": arguments.any_stack}
        result = incremental.warm(folder, store, arguments.output, arguments.stack, arguments.arch, **wishes)
    if result is None:
        from ...staging import stage_folder

        result = stage_folder(folder, arguments.output, shared.settings(arguments, store))
    if arguments.verbose:
        from ...staging import current_plan

        shared.tell_rules(arguments, current_plan(folder, shared.settings(arguments, store, save_lock=False)))
    return result


def droplet_of(arguments: argparse.Namespace, scratch: str) -> str:
    """The droplet file that `arguments.dir` names; a folder is staged into `scratch` first and reported."""
    if os.path.isfile(arguments.dir):
        return str(arguments.dir)
    if not os.path.exists(arguments.dir):
        from ...errors import NoDroplet

        hint = "Give an app's folder, or a droplet; 'stager stage' makes one."
        raise NoDroplet(arguments.dir, hint)
    arguments.output = os.path.join(scratch, "droplet.tgz")
    store = shared.store(arguments)
    with store.lease():
        folder = shared.folder(arguments, store)
        _report(folder, staged(folder, arguments, store))
    return str(arguments.output)


def _as_json(folder: Folder, result: dict[str, Any], store: Store) -> dict[str, Any]:
    from ...droplet.incremental import layers_of

    base = result["base"]
    kept = ("plan", "stack", "architecture", "buildpacks", "processes", "env", "runtimes")
    return {
        **{key: base[key] for key in kept},
        **{key: result[key] for key in ("digest", "size", "path", "written")},
        "layers": layers_of(base, result["app"], store),
        "left_out": [{"path": path, "reason": why} for path, why in folder.tree.left_out],
        "notes": [*result.get("notes", ()), *base["notes"], *result["remarks"]],
    }


def _report(folder: Folder, result: dict[str, Any]) -> None:
    base = result["base"]
    shared.warn([*result.get("notes", ()), *base["notes"], *result["remarks"]])
    for path, why in folder.tree.left_out:
        shared.say(f"left out: {path} ({why})")
    runtimes = ", ".join(f"{name} {version}" for name, version in base["runtimes"].items())
    shared.say(
        f"{', '.join(base['buildpacks'])} on {base['stack']}/{base['architecture']}"
        + (f" with {runtimes}" if runtimes else "")
    )
    for kind, command in base["processes"].items():
        shared.say(f"  {kind}: {command}")
    shared.say(
        f"{shared.size_text(result['size'])} in {shared.where(result['path'])}"
        + ("" if result["written"] else ", unchanged")
    )


COMMANDS: dict[str, shared.Row] = {"stage": (run, configure)}
