"""`stager box catalog`, and what `box build` does about Vagrant boxes."""

from __future__ import annotations

import os

from . import shared
from .stacks import definition_of, stack_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ...stacks.boxes import BoxFile
    from ...stacks.build_context import Making
    from ...stacks.definition import Definition
    from ...stacks.lock import StackLock
    from ...store import Store


def build(
    definition: Definition, pinned: StackLock, making: Making, arguments: argparse.Namespace, wanted: list[str]
) -> list[BoxFile]:
    """The boxes among the wanted formats, each from the root with the set that its provider needs."""
    from ...stacks import boxes, root

    made: list[BoxFile] = []
    for needed in dict.fromkeys(boxes.SETS.values()):
        formats = [name for name in wanted if boxes.SETS.get(name) == needed]
        if formats:
            made_of = root.build(
                definition, pinned, arguments.arch, making, [*arguments.set, needed], again=arguments.again
            )
            made += boxes.build(definition, made_of, formats, making, again=arguments.again)
    return made


def check(arguments: argparse.Namespace, wanted: list[str]) -> None:
    """Raise UsageError or ProgramMissing for boxes that cannot be built here, before any work is done."""
    from ...stacks import boxes, disks

    if any(boxes.SETS.get(name) == "machine" for name in wanted):
        disks.check(arguments.arch)


def write(made: list[BoxFile], folder: str, store: Store) -> None:
    """Write boxes as files into a folder. Raises CannotWrite, also when one is there."""
    from ...stacks import boxes

    for box in made:
        boxes.write_file(box, os.path.join(folder, box.file), store)


def _catalog_arguments(parser: argparse.ArgumentParser) -> None:
    stack_arguments(parser)
    parser.add_argument(
        "--boxes", required=True, metavar="DIR", help="the folder that 'box build --output' wrote boxes to"
    )
    parser.add_argument("--url", default="", metavar="URL", help="where that folder is served (without: where it is)")
    parser.add_argument("--lock", default="", metavar="FILE", help="the lock file (box.lock beside box.yml)")
    shared.add_output(parser, "", "the catalog (catalog.json in DIR)")


def run_catalog(arguments: argparse.Namespace) -> int:
    """Write the catalog of a stack's boxes in a folder, for `vagrant box add`."""
    from ...droplet.incremental import keep_foreign
    from ...files import writing
    from ...stacks import catalog, lock

    definition = definition_of(arguments)
    epoch = lock.load(definition, arguments.lock).epoch
    found = catalog.offers_in(arguments.boxes, definition.name, definition.box.architectures, arguments.url)
    data = catalog.document(definition.name, definition.box.summary, epoch, found)
    path = arguments.output or os.path.join(arguments.boxes, "catalog.json")
    keep_foreign(path)
    writing.write(path, data)
    version = catalog.version(epoch, found)
    if arguments.json:
        rows = [{"provider": offer.provider, "url": offer.url, "sha256": offer.sha256} for offer in found]
        shared.print_json({"path": path, "name": f"stager/{definition.name}", "version": version, "boxes": rows})
    else:
        shared.say(
            f"{shared.where(path)}: stager/{definition.name} {version} for {', '.join(offer.provider for offer in found)}"
        )
        shared.result(arguments, version)
    return 0


COMMANDS: dict[str, shared.Row] = {
    "box catalog": (run_catalog, _catalog_arguments),
}
