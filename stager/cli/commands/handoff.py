"""`stager export tar`, `systemd`, `chef`, `capistrano`, and `stager import stackato`."""

from __future__ import annotations

from ...files import writing
from . import shared
from .exporting import add_export, add_name, export

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any


def _tar_arguments(parser: argparse.ArgumentParser) -> None:
    add_export(parser, "app.tar")


def _tar(arguments: argparse.Namespace) -> int:
    return export("plain", arguments, {"form": "tar"})


def _systemd_arguments(parser: argparse.ArgumentParser) -> None:
    add_export(parser, "systemd.tgz")
    add_name(parser)


def _systemd(arguments: argparse.Namespace) -> int:
    return export("plain", arguments, {"form": "systemd", "name": arguments.name})


def _chef_arguments(parser: argparse.ArgumentParser) -> None:
    add_export(parser, "chef.tgz")
    add_name(parser)
    parser.add_argument("--url", required=True, metavar="URL", help="where machines fetch the droplet from")


def _chef(arguments: argparse.Namespace) -> int:
    from ...targets.envelopes import name_of, packed
    from ...targets.handoff.deployers import cookbook

    with _droplet(arguments) as droplet:
        name = name_of({"name": arguments.name})
        files = cookbook(name, droplet.digest, droplet.facts, arguments.url)
        data = packed({f"./{name}-chef/{path}": (text, False) for path, text in files.items()})
        return _publish(arguments, data, droplet.digest)


def _capistrano_arguments(parser: argparse.ArgumentParser) -> None:
    add_export(parser, "stager.rake")
    add_name(parser)


def _capistrano(arguments: argparse.Namespace) -> int:
    from ...targets.envelopes import name_of
    from ...targets.handoff.deployers import capistrano

    with _droplet(arguments) as droplet:
        text = capistrano(name_of({"name": arguments.name}), droplet.digest)
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
        shared.say(f"{shared.size_text(sink.size)} in {shared.where(arguments.output)}, for {droplet}")
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
    "export tar": (_tar, _tar_arguments),
    "export systemd": (_systemd, _systemd_arguments),
    "export chef": (_chef, _chef_arguments),
    "export capistrano": (_capistrano, _capistrano_arguments),
    "import stackato": (_import, shared.add_folder),
}
