"""`stager cache info|verify|gc`: look at, check and clean the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..checked import whole
from ..errors import UsageError
from . import shared

if TYPE_CHECKING:
    import argparse

    from ..store import Store


def _info(arguments: argparse.Namespace) -> int:
    return _act(arguments, lambda store: store.info())


def _verify(arguments: argparse.Namespace) -> int:
    return _act(arguments, lambda store: store.verify())


def _gc(arguments: argparse.Namespace) -> int:
    limit = _bytes(arguments.max_size) if arguments.max_size else None
    return _act(arguments, lambda store: store.gc(limit, dry_run=arguments.dry_run))


def _act(arguments: argparse.Namespace, act: Callable[[Store], Any]) -> int:
    from ..report import report_text

    found = act(shared.store(arguments))
    if arguments.json:
        shared.print_json(found)
    else:
        print(report_text(found))
    return 50 if found.get("damaged") else 0


def _bytes(text: str) -> int:
    factor = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}.get(text[-1:].upper(), 1)
    number = whole(text[:-1] if factor > 1 else text)
    if number is None:
        raise UsageError(f"{text!r} is no size", "Write bytes, or a number with K, M, G or T, such as 5G.")
    return number * factor


def _gc_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_json(parser)
    parser.add_argument(
        "--max-size", metavar="SIZE", help="keep at most this much, e.g. 5G; without it only leftovers go"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


COMMANDS: dict[str, shared.Row] = {
    "cache info": ("say where the store is and what it holds", _info, shared.add_json),
    "cache verify": ("check every blob and set damaged ones aside", _verify, shared.add_json),
    "cache gc": ("remove what is unused, the least used first", _gc, _gc_arguments),
}
