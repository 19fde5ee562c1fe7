"""How much of a droplet comes with its bytecode: what the app says, else what its lock has, else what is usual here.

A plan says it as a fact, and names the root in which it is made; so a droplet never depends on the machine that stages it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import runtimes
from ..ecosystems.record import AMOUNTS, NO_BYTECODE
from ..errors import BadLock
from ..model import Plan, Runtime, Stack

if TYPE_CHECKING:
    from ..runtimes.record import Bytecode
    from .detection.appconfig import AppConfig

KEY = "bytecode"
"""Of an ecosystem's section of `stager.yml`."""
ROOT = "stack"
"""The root in which it is made: the stack's own."""

Usual = Callable[[Stack], tuple[str, str]]
"""Of a stack to stage for: how much of it (one of `AMOUNTS`), and what there is to say of that, if anything."""


@dataclass(frozen=True, slots=True)
class ChosenBytecode:
    """What it adds to a plan."""

    facts: tuple[tuple[str, str], ...] = ()
    roots: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def choose(
    used: Sequence[Runtime], config: AppConfig, stack: Stack, previous: Plan | None, usual: Usual | None
) -> ChosenBytecode:
    """How much of it a plan with these runtimes has.

    The `previous` plan's stays, as its runtimes do, so that no staging moves it by itself.
    """
    facts, notes = list[tuple[str, str]](), list[str]()
    for made in kinds(used):
        said = config.words.get(made.ecosystem, {}).get(KEY, "") or _kept(made, previous)
        amount, note = (said, "") if said else usual(stack) if usual else (NO_BYTECODE, "")
        facts += [(made.fact, amount)] if amount != NO_BYTECODE else []
        notes += [note] if note else []
    return ChosenBytecode(tuple(facts), (ROOT,) if facts else (), tuple(notes))


def kinds(used: Sequence[Runtime] | None = None) -> list[Bytecode]:
    """How those among these runtimes, or of all, that have bytecode make it."""
    known = runtimes.kinds() if used is None else [runtimes.known(one.name) for one in used]
    return [kind.bytecode for kind in known if kind is not None and kind.bytecode is not None]


def asked(plan: Plan) -> list[tuple[Bytecode, str]]:
    """What a plan asks for: how it is made, and how much of it (one of `AMOUNTS`, never nothing). Raises BadLock."""
    facts = dict(plan.facts)
    found = [(made, facts[made.fact]) for made in kinds(plan.runtimes) if made.fact in facts]
    for made, amount in found:
        if amount not in AMOUNTS[1:]:
            raise BadLock("stager.lock", f"{amount[:80]!r} is no value of the fact {made.fact}")
    return found


def without(facts: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The facts of a plan that has no bytecode."""
    names = {made.fact for made in kinds()}
    return tuple(fact for fact in facts if fact[0] not in names)


def _kept(made: Bytecode, previous: Plan | None) -> str:
    if previous is None or made not in kinds(previous.runtimes):
        return ""
    return dict(previous.facts).get(made.fact, NO_BYTECODE)
