"""Two outputs of one build, compared: the first file that differs, what differs in it, and why.

A difference alone tells little: the same file may hold the time, a random number, or names in the order in which a folder gave
them. So the build is run again as it was: what is then the same depends on the surroundings, and each of them is tried by
itself; what is not, comes by itself, and its content tells the rest (`differing`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..sandbox.job import Surroundings
from .differing import Why, explain
from .errors import BuildDiffers
from .outputs import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .outputs import Left

FIRST = Surroundings()
_YEAR = 400 * 24 * 3600
SECOND = Surroundings(umask=0o077, processors=1, later=_YEAR, reverse=True, older=_YEAR)
"""Another umask and number of processors, a clock that is a year ahead, files that are a year older, folders in another order;
also another path and user, as in any two runs."""
AXES = (
    ("clock", replace(FIRST, later=SECOND.later), "It depends on the clock"),
    ("file times", replace(FIRST, older=SECOND.older), "It depends on the times of the files that it finds"),
    ("processors", replace(FIRST, processors=SECOND.processors), "It depends on the number of processors"),
    ("order", replace(FIRST, reverse=True), "It depends on the order in which a folder gives its names"),
    ("umask", replace(FIRST, umask=SECOND.umask), "It depends on the umask"),
)
"""What may make a difference: its name, the surroundings that have it alone, and a sentence."""
_BY_ITSELF = {
    "timestamp": "It holds the time of the build",
    "random value": "It holds a random value",
    "order": "What it holds comes in another order each time, as if several tasks raced for it",
    "embedded path": "It holds the path of a folder that is another each time",
}
_SAME = {"timestamp": "clock"}
"""What comes by itself in a word, where it is the same as what depends on one of the surroundings."""
_ADVICE = {
    "clock": "Have the tool take its time from SOURCE_DATE_EPOCH, or leave times out.",
    "file times": "Have the tool look at what files hold, not at their times.",
    "random value": "Give the tool a fixed value or a seed, such as a build id of your own.",
    "processors": "Have the tool run one task at a time, or sort what it gathers.",
    "order": "Have the tool sort the names before it uses them.",
    "umask": "Set the modes of what is left at the end, by chmod.",
    "embedded path": "Have the tool use paths from the app's folder on.",
}
_CONTENTS = 16 << 20
"""A file of more bytes is not looked into."""

Content = tuple[bytes | None, bytes]
"""What a file is beside its content (its mode, a link's target), and its content; None for a file that is not there."""


def same(
    name: str, first: Left, second: Left, again: Callable[[Surroundings, str], Content], known: Mapping[str, str]
) -> None:
    """Raise BuildDiffers unless both have the same files, links, contents and executable bits.

    `again` runs the build in these surroundings and gives what is then at a path; `known` are texts of the machine.
    """
    one, other = ({str(row[0]): row[1:] for row in left.rows()} for left in (first, second))
    differing = sorted((path for path in {*one, *other} if one.get(path) != other.get(path)), key=str.encode)
    if differing:
        path = differing[0]
        shown = first.archive.filename if first.archive and path == WHOLE else path
        raise _error(name, shown, path, differing[1:], content(first, path), content(second, path), again, known)


def content(left: Left, path: str) -> Content:
    """What is at a path of what was left."""
    row = next((row for row in left.rows() if row[0] == path), None)
    if row is None:
        return None, b""
    if path in left.links:
        return b"a link", left.links[path].encode(errors="surrogateescape")
    data = b"".join(left.chunks(path)) if left.files[path][2] <= _CONTENTS else left.files[path][1].encode()
    return b"an executable file" if left.files[path][0] else b"a file", data


def _error(
    name: str,
    shown: str,
    path: str,
    others: Sequence[str],
    first: Content,
    second: Content,
    again: Callable[[Surroundings, str], Content],
    known: Mapping[str, str],
) -> BuildDiffers:
    why = _why(path, first, second, known)
    cause, sentence = _SAME.get(why.cause, why.cause), _BY_ITSELF.get(why.cause, "Its content is another each time")
    if again(FIRST, path) == first:
        changes = ((axis, text) for axis, around, text in AXES if again(around, path) != first)
        together = ("surroundings", "It depends on several of its surroundings together")
        cause, sentence = next(changes, together)
    values = f": {why.droplet} and {why.rebuilt}" if why.droplet or why.rebuilt else ""
    place = f", {why.place}" if why.place else ""
    mend = _ADVICE.get(cause, "See what differs in both outputs.")
    text = f"{sentence} ({why.what}{place}{values}). {mend} 'twice: no' for this build in stager.yml takes it as it is."
    return BuildDiffers(name, shown, cause, text, others)


def _why(path: str, first: Content, second: Content, known: Mapping[str, str]) -> Why:
    if first[0] is None or second[0] is None:
        return Why("presence", "it is there only once")
    if first[1] == second[1]:
        return Why("mode", f"it is once {first[0].decode()} and once {second[0].decode()}")
    return explain(path, first[1], second[1], known)
