"""Finds files whose names look like slips of the pen for names that mean something, such as `requirments.txt`."""

from __future__ import annotations

from collections.abc import Iterable

_MEANT = frozenset(
    {
        ".npmrc",
        ".profile",
        ".yarnrc",
        "Project.toml",
        "package.js",
        "profile",
        "project.toml",
        "requirements.in",
        "setup.sh",
    }
    | {"stage.yml"}
)
"""Names of their own that are close to known ones: `project.toml` is Cloud Native Buildpacks', `package.js` Meteor's."""


def similar(names: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """(name found, name probably meant) for names of the app's top folder, sorted by bytes.

    A name that is right, or whose right form is there as well, is left alone.
    """
    present, right = set(names), sorted(set(known), key=str.encode)
    unknown = sorted(present - set(right) - _MEANT, key=str.encode)
    pairs = (
        (name, next((want for want in right if want not in present and _close(name, want)), "")) for name in unknown
    )
    return [(name, want) for name, want in pairs if want]


def _close(name: str, want: str) -> bool:
    if _folded(name) == _folded(want):
        return True
    allowed = 2 if len(want) >= 12 else 1
    return len(want) >= 7 and abs(len(name) - len(want)) <= allowed and _distance(name.lower(), want.lower()) <= allowed


def _folded(name: str) -> str:
    """A name without what people get wrong about it: case, separators, a needless `.txt`."""
    plain = name.lower()
    while plain.endswith(".txt"):
        plain = plain.removesuffix(".txt")
    return plain.replace("-", "").replace("_", "").replace(".", "").replace(" ", "")


def _distance(first: str, second: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours between two names (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for index, sign in enumerate(first, 1):
        above, before = before, row
        row = [index]
        for at, other in enumerate(second, 1):
            cost = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (sign != other))
            swapped = at > 1 and index > 1 and sign == second[at - 2] and first[index - 2] == other
            row.append(min(cost, above[at - 2] + 1) if swapped else cost)
    return row[-1]
