"""Of what another tool said, the lines that tell why it failed: from its first error on, without the frames of a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERROR = re.compile(
    r"\s*(?:(?:npm|yarn|pnpm)\s+(?:error|ERR!)|(?:error|fatal|panic|failed)\b|E:|×|✖|[\w.]*(?:Error|Exception)\b)",
    re.IGNORECASE,
)
_FRAME = re.compile(r'\s*File "[^"\n]*", line \d+|\s+at .*(?:[:(]\d+|<anonymous>|node:)')
_NOISE = re.compile(
    r"Traceback \(most recent call last\):|(?:During handling of|The above exception was) .*exception|"
    r"npm (?:error|ERR!)\s*(?:$|(?:A complete log of|Log files were not|\s*/\S*\.log$))|npm warn Could not write error message"
)


def telling(lines: Iterable[str], most: int = 10) -> list[str]:
    """At most so many lines, the first error's first; the last ones where nothing calls itself an error.

    Of a traceback the exceptions are left. What is cut off at the end is counted.
    """
    kept = [_cut(line) for line in _without_frames(_COLOUR.sub("", line).rstrip() for line in lines)]
    found = next((at for at, line in enumerate(kept) if _ERROR.match(line)), max(len(kept) - most, 0))
    rest = len(kept) - found - most
    return kept[found : found + most] + ([f"… and {rest} more line{'s' if rest > 1 else ''}"] if rest > 0 else [])


def sentence(lines: Iterable[str], most: int = 10) -> str:
    """The same in one line, without what only says that it is an error."""
    return "; ".join(filter(None, (_LABEL.sub("", line).strip() for line in telling(lines, most))))


_LABEL = re.compile(r"\s*(?:(?:npm|yarn|pnpm)\s+(?:error|ERR!)|error:|fatal:|cause:|×|E:)\s*(?:code\s+)?")
_LONGEST = 600


def _cut(line: str) -> str:
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} … {line[-half:]}"


def _without_frames(lines: Iterable[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        frame = _FRAME.match(line) is not None
        inside = frame or (inside and line.startswith("    "))  # the source line of a frame, and its underlining
        if line.strip() and not inside and not _NOISE.match(line):
            yield line
