"""`stager export chef` and `capistrano`, and `stager import stackato`."""

from __future__ import annotations

from ...files import writing
from ...targets.envelopes import NamedOptions
from ...text.wording import size_text
from . import shared
from .export import add_export
from .options import add_options, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any


def _chef_arguments(parser: argparse.ArgumentParser) -> None:
    add_export(parser, "chef.tgz")
    add_options(parser, NamedOptions)
    parser.add_argument("--url", required=True, metavar="URL", help="where machines fetch the droplet from")


def _chef(arguments: argparse.Namespace) -> int:
    from ...targets.envelopes import packed
    from ...targets.handoff.deployers import check_url, cookbook

    check_url(arguments.url)
    name = options_of(arguments, NamedOptions).name
    with _droplet(arguments) as droplet:
        files = cookbook(name, droplet.digest, droplet.launch, arguments.url)
        data = packed({f"./{name}-chef/{path}": (text, False) for path, text in files.items()})
        return _publish(arguments, data, droplet.digest)


def _capistrano_arguments(parser: argparse.ArgumentParser) -> None:
    add_export(parser, "stager.rake")
    add_options(parser, NamedOptions)


def _capistrano(arguments: argparse.Namespace) -> int:
    from ...targets.handoff.deployers import capistrano

    name = options_of(arguments, NamedOptions).name
    with _droplet(arguments) as droplet:
        text = capistrano(name, droplet.digest)
        return _publish(arguments, text.encode(), droplet.digest)


def _droplet(arguments: argparse.Namespace) -> Any:
    from ...droplet.reader import open_droplet

    writing.keep_apart(arguments.output, arguments.droplet)
    return open_droplet(arguments.droplet, shared.store(arguments))


def _publish(arguments: argparse.Namespace, data: bytes, droplet: str) -> int:
    from ...targets.envelopes import publishing

    with publishing(arguments.output) as sink:
        sink.write(data)
    if arguments.json:
        shared.print_json({"path": arguments.output, "digest": sink.digest, "size": sink.size, "droplet": droplet})
    else:
        shared.say(f"{size_text(sink.size)} in {shared.where(arguments.output)}, for {droplet}")
        shared.result(arguments, sink.digest)
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from ...targets.handoff.stackato import import_app

    found = import_app(arguments.dir)
    if arguments.json:
        shared.print_json({"written": sorted(found.files), "notes": list(found.notes)})
        return 0
    shared.warn(found.notes)
    for name in sorted(found.files):
        print(name)
    return 0


COMMANDS: dict[str, shared.Row] = {
    "export chef": (_chef, _chef_arguments),
    "export capistrano": (_capistrano, _capistrano_arguments),
    "import stackato": (_import, shared.add_folder),
}
