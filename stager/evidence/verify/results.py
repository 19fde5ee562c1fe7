"""What a verification found, for people, as JSON, and as JUnit XML for CI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import NotReproducible
from ...text.wording import shown
from .conditions import ChangedCondition, NotTried
from .findings import Finding

_SHOWN = 12
"""So many findings are printed; JSON has up to 200."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether staging again gave the same. `against` names what it was compared with, `digest` and `rebuilt` are the two.

    `findings` begin with the first cause; `counts` says how many there are of each cause. `notes` are remarks for people.
    """

    against: str
    digest: str
    rebuilt: str
    changes: tuple[ChangedCondition, ...]
    not_tried: tuple[NotTried, ...]
    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether the droplet is what its source says."""
        return not self.findings

    @property
    def cause(self) -> Finding | None:
        """The first cause; None when equal."""
        return self.findings[0] if self.findings else None

    def error(self) -> NotReproducible:
        """The error of a verdict that is not equal."""
        assert self.cause is not None
        return NotReproducible(self.digest, self.rebuilt, f"{self.cause}. {self.cause.advice}")


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The document of `stager verify --json`."""
    return {
        "equal": verdict.equal,
        "against": verdict.against,
        "digest": verdict.digest,
        "rebuilt": verdict.rebuilt,
        "conditions": {
            "tried": [{"name": one.name, "here": one.here, "there": one.there} for one in verdict.changes],
            "not_tried": [{"name": one.name, "why": one.why} for one in verdict.not_tried],
        },
        "cause": verdict.cause.as_json() if verdict.cause else None,
        "findings": [one.as_json() for one in verdict.findings],
        "counts": dict(sorted(verdict.counts.items())),
        "notes": list(verdict.notes),
    }


def as_text(verdict: Verdict) -> Iterator[str]:
    """The lines that people read, without the digest, which is the command's one line on standard output."""
    yield from (f"note: {note}" for note in verdict.notes)
    yield "tried: " + "; ".join(f"{one.name}: {one.there}" for one in verdict.changes)
    yield from (f"not tried: {one.name}: {one.why}" for one in verdict.not_tried)
    if verdict.equal:
        yield f"equal: staging again gave the same as {verdict.against}"
        return
    yield f"different: {verdict.against} is not what staging again gave"
    for number, one in enumerate(verdict.findings[:_SHOWN]):
        yield from _finding(one, "first cause: " if not number else "  and ")
    total = sum(verdict.counts.values())
    if total > min(len(verdict.findings), _SHOWN):
        counted = ", ".join(f"{count} × {cause}" for cause, count in sorted(verdict.counts.items()))
        yield f"  {total} differences in all: {counted}"


def _finding(one: Finding, label: str) -> Iterator[str]:
    layer = f" in layer {one.layer}" if one.layer else ""
    where = f" at {one.field}" if one.field and one.level == "byte" else ""
    yield f"{label}{one}{where}{layer}"
    if label.startswith("first"):
        if one.droplet or one.rebuilt:
            yield f"    droplet: {one.droplet or '(nothing)'}"
            yield f"    rebuilt: {one.rebuilt or '(nothing)'}"
        yield f"    {one.advice}"


# --- JUnit -----------------------------------------------------------------------------------------------------


def as_junit(verdict: Verdict) -> str:
    """A JUnit report: one case for the droplet, one for each condition; those that were not tried are skipped.

    It names no time and no host, so it is equal for equal findings.
    """
    failures = 0 if verdict.equal else 1
    total, skipped = 1 + len(verdict.changes) + len(verdict.not_tried), len(verdict.not_tried)
    head = f'name="stager verify" tests="{total}" failures="{failures}" errors="0" skipped="{skipped}"'
    cases = [_case("droplet", f"is what its source says: {verdict.against}", _failure(verdict))]
    cases += [_case("condition", f"{one.name}: {one.there}", "") for one in verdict.changes]
    cases += [_case("condition", one.name, f"<skipped message={_quoted(one.why)}/>") for one in verdict.not_tried]
    body = "".join(cases)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n<testsuite {head}>\n{body}</testsuite>\n</testsuites>\n'
    )


def _case(kind: str, name: str, inside: str) -> str:
    start = f"<testcase classname={_quoted('stager.verify.' + kind)} name={_quoted(name)}"
    return f"{start}>{inside}</testcase>\n" if inside else f"{start}/>\n"


def _failure(verdict: Verdict) -> str:
    if verdict.cause is None:
        return ""
    text = _escaped("\n".join(_lines(verdict)))
    return f"<failure type={_quoted(verdict.cause.cause)} message={_quoted(verdict.cause)}>{text}</failure>"


def _lines(verdict: Verdict) -> list[str]:
    lines = [f"expected {verdict.digest}", f"got {verdict.rebuilt}"]
    return lines + [shown(line, 2000) for number, one in enumerate(verdict.findings) for line in _row(one, number)]


def _row(one: Finding, number: int) -> Iterator[str]:
    yield from _finding(one, "" if number else "first cause: ")


def _quoted(value: object) -> str:
    """An attribute; what XML 1.0 cannot hold is shown by its escape."""
    return '"' + _escaped(shown(value, 2000)).replace('"', "&quot;") + '"'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
