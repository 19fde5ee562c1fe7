"""`stager export PLATFORM` for every platform whose format is one file, made of one droplet."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial

from ...files import writing
from ...targets import load
from ...text.wording import size_text
from . import MODULES, shared
from .options import add_options, options_of


def _configure(name: str, parser: argparse.ArgumentParser) -> None:
    platform = load(name)
    add_export(parser, platform.output)
    add_options(parser, platform.options)


def _run(name: str, arguments: argparse.Namespace) -> int:
    """Export the droplet that the arguments name; its digest on standard output, or all facts with `--json`."""
    from ...droplet.reader import open_droplet

    platform = load(name)
    options = options_of(arguments, platform.options)
    writing.keep_apart(arguments.output, arguments.droplet)
    store = shared.store(arguments)
    with open_droplet(arguments.droplet, store) as droplet:
        made = platform.export(droplet, arguments.output, options, store=store)
    if arguments.json:
        shared.print_json(dataclasses.asdict(made))
    else:
        shared.warn(made.notes)
        shared.say(f"{size_text(made.size)} in {shared.where(made.path)}")
        shared.result(arguments, made.digest)
    return 0


def add_export(parser: argparse.ArgumentParser, output: str) -> None:
    """Declare the droplet file, the output and what every such command takes."""
    shared.add_droplet(parser)
    shared.add_output(parser, output, f"what to write ({output})")
    shared.add_any_stack(parser)


COMMANDS: dict[str, shared.Row] = {
    words: (partial(_run, words.partition(" ")[2]), partial(_configure, words.partition(" ")[2]))
    for words, (module, _) in MODULES.items()
    if module == "export"
}
