"""Why this buildpack and not another."""

from __future__ import annotations

from ...model import Detection
from .answers import Answer, Question


def answer(question: Question) -> tuple[Answer, ...]:
    """One answer for every buildpack: those that take part, then those that do not. Raises what detection raises."""
    found = question.detections(question.folder.tree)
    taken = [_taken(one) for one in found.matched]
    rejected = [
        Answer(
            name,
            f"{name} takes no part: it looks for {looked_for}.",
            data={"takes_part": False, "looks_for": looked_for},
        )
        for name, looked_for in found.rejected
    ]
    if not found.rejected:
        rejected = [Answer("others", "No other buildpack was asked, since these were named.")]
    notes = [Answer("note", f"Note: {note}.", data={"note": note}) for note in found.notes]
    return (*taken, *rejected, *notes)


def _taken(one: Detection) -> Answer:
    because = [f"{one.lock} is the lock file it honours"] if one.lock else []
    because += [f"it asks for {name} {wanted}: {why}" for name, wanted, why in one.versions]
    data = {"takes_part": True, "file": one.reason.file, "line": one.reason.line, "lock": one.lock}
    return Answer(one.buildpack, f"{one.buildpack} takes part: {one.reason}.", tuple(because), data)
