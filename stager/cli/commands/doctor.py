"""`stager doctor`: what this machine can do, and what to install for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import shared

if TYPE_CHECKING:
    import argparse

_MARKS = {"ok": "ok     ", "missing": "missing", "broken": "broken "}


def _doctor(arguments: argparse.Namespace) -> int:
    from ...local.doctor import examine
    from ...net.indexes import Indexes

    indexes = None if arguments.offline else Indexes.from_environment(shared.environ(), home=shared.home())
    found = examine(shared.store(arguments), shared.environ(), indexes)
    if arguments.json:
        shared.print_json([finding.as_json() for finding in found])
        return 0
    for finding in found:
        print(f"{_MARKS[finding.state]}  {finding.name:<20} {finding.detail}")
        if finding.state != "ok":
            print(f"{'':<9}{'':<20} for {finding.gives}. {finding.hint}")
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_offline(parser, "do not ask the package indexes")


COMMANDS: dict[str, shared.Row] = {"doctor": (_doctor, _arguments)}
