"""What a comparison finds: one difference, the word for its cause, where it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MOST = 200
"""So many findings are kept; all are counted."""
LEVELS = ("plan", "artifact", "layer", "entry", "field", "byte")
"""From what decides most to what decides least. The first cause is the one with the lowest level, but what lies in how the
archive was written comes after changed content (see `causes`)."""

HINTS = {
    "mtime": "Whatever writes the archive must set one fixed time (1980-01-01T00:00:01Z), not the file's or the clock's.",
    "order": "Sort by the bytes of the path before writing: the order of a folder's entries, of a set or of a hash table "
    "is the machine's.",
    "mode": "Set modes from the executable bit alone; the umask and a file's own mode are the machine's.",
    "owner": "Write uid 2000 and gid 0 without names; who stages must not show.",
    "compressor": "The content is the same. Compress with the codec that the plan names, and with nothing else.",
    "bytecode": "Leave bytecode out, or compile it with unchecked hashes, the runtime's own Python and the path at run time.",
    "embedded path": "Something wrote where it was built into the file; make it refer to $HOME or to its own place.",
    "environment": "Something wrote a fact of the machine into the file; leave it out, or take it from the plan.",
    "timestamp": "Something wrote the time into the file; leave it out, or use SOURCE_DATE_EPOCH.",
    "random value": "Something wrote a random value into the file; derive it from the content instead.",
    "different input": "The droplet was not made from this. Check out the commit it was made from, or stage again.",
    "missing entry": "The droplet lacks it: it was removed, or the droplet was made from another source.",
    "extra entry": "The source does not give it: it was added, or the droplet was made from another source.",
    "duplicate entry": "Readers disagree about which of the two counts; a droplet has every path once.",
    "kind": "A file, a folder and a link cannot stand for each other; stage again.",
    "link target": "Links are made from the plan and the source alone; stage again.",
    "header": "The entry means the same, but another program wrote it; a droplet has exactly one way to write each.",
    "trailing bytes": "Something was appended to the file; whoever hashes it sees another droplet.",
    "truncated": "The file is not whole; copy or download it again.",
    "damaged": "The file cannot be read to its end; copy or download it again, and compare its digest.",
    "unknown": "Get the file itself and run 'stager verify FILE', which names what differs.",
}
"""Cause → what to do. These are all the words for causes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `droplet` and `rebuilt` are the two values as text, empty where there is none.

    `path` is the entry's name in the archive (`./app/x`), in brackets for what is no entry (`[gzip header]`).
    """

    level: str
    cause: str
    path: str
    what: str
    field: str = ""
    droplet: str = ""
    rebuilt: str = ""
    layer: str = ""
    package: str = ""
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding as `--json` prints it."""
        return {name: getattr(self, name) for name in self.__slots__} | {"hint": self.advice}

    @property
    def advice(self) -> str:
        """What to do: the finding's own hint, else the cause's."""
        return self.hint or HINTS[self.cause]

    def __str__(self) -> str:
        owner = f" ({self.package})" if self.package else ""
        return f"{self.cause}: {self.path}{owner}: {self.what}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two files: their digests, the findings (the first cause first, at most `MOST`), and how many there are of each."""

    droplet: str
    rebuilt: str
    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether the files are the same, byte for byte."""
        return self.droplet == self.rebuilt
