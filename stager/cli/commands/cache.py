"""`stager cache info|verify|gc`: look at, check and clean the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import shared
from .values import disk_size

if TYPE_CHECKING:
    import argparse

    from ...store import Store


def _info(arguments: argparse.Namespace) -> int:
    return _act(arguments, lambda store: store.info())


def _verify(arguments: argparse.Namespace) -> int:
    return _act(arguments, lambda store: store.verify())


def _gc(arguments: argparse.Namespace) -> int:
    return _act(arguments, lambda store: store.gc(arguments.max_size, dry_run=arguments.dry_run))


def _act(arguments: argparse.Namespace, act: Callable[[Store], Any]) -> int:
    from ..text import report_text

    found = act(shared.store(arguments))
    if arguments.json:
        shared.print_json(found)
    else:
        print(report_text(found))
    return 50 if found.get("damaged") else 0


def _gc_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-size",
        type=disk_size,
        metavar="SIZE",
        help="keep at most this much, e.g. 5G; without it only leftovers go",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


COMMANDS: dict[str, shared.Row] = {
    "cache info": (_info, shared.add_nothing),
    "cache verify": (_verify, shared.add_nothing),
    "cache gc": (_gc, _gc_arguments),
}
