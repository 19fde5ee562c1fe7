"""What is asked and what is answered, as values, and how answers look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...model import Detections, LockedPlan, Plan, Reason

if TYPE_CHECKING:
    from ...droplet.incremental import Folder
    from ...planning.buildpacks.vocabulary import Buildpack
    from ...store import Store
    from ...tree import SourceTree


@dataclass(frozen=True, slots=True)
class Answer:
    """One decision: what it is about, the decision as a sentence, and the facts it rests on, a sentence each.

    `data` are the same facts for programs.
    """

    subject: str
    sentence: str
    because: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What topics may look at. `detections` and `planned` detect and plan when they are asked; they raise what that raises."""

    folder: Folder
    """The app's folder as it is."""
    store: Store
    detections: Callable[[SourceTree], Detections]
    planned: Callable[[], tuple[Folder, LockedPlan]]
    """The folder with the locks that planning makes where it has none, and its plan."""
    plan_from_lock: Callable[[], bool]
    """Whether that plan is the one in the folder's `stager.lock`."""
    name: str = ""
    """The package or build asked about."""
    droplet: str = ""
    """A droplet file to look into, or to compare with."""

    def plan(self) -> Plan:
        """The plan in force."""
        return self.planned()[1].plan

    @property
    def tree(self) -> SourceTree:
        """The files that the plan is of."""
        return self.planned()[0].tree

    def buildpacks(self) -> dict[str, Buildpack]:
        """The buildpacks that the plan pins, by name, as they are now."""
        from ...planning.buildpacks import load_pinned

        return {pin.name: load_pinned(pin, self.folder.root) for pin in self.plan().buildpacks}


def where(reason: Reason) -> str:
    """`file:line` of a reason, or `file`, or nothing."""
    return f"{reason.file}:{reason.line}" if reason.line else reason.file


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Names for a sentence: `a, b and 3 more`."""
    found = list(names)
    rest = len(found) - limit
    return ", ".join(found[:limit]) + (f" and {rest} more" if rest > 0 else "")


def as_text(answers: Iterable[Answer]) -> str:
    """Answers for people: the sentence, then its facts below it."""
    lines = []
    for one in answers:
        lines.append(one.sentence)
        lines += [f"  {fact}" for fact in one.because]
    return "\n".join(lines)


def as_json(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """Answers as members of a JSON document."""
    return [
        {
            "subject": one.subject,
            "answer": one.sentence,
            "because": list(one.because),
            **({"data": one.data} if one.data else {}),
        }
        for one in answers
    ]
