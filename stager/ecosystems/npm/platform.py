"""Which packages are for the target: npm's `os`, `cpu` and `libc` lists, for Linux with glibc."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stager.model import Stack

_CPU = {"amd64": "x64", "arm64": "arm64"}
_TERM = re.compile(r"\s*(?:\(([^()]*)\)|([^()&]*))\s*(?:&|$)")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a package says it runs on; an empty list means anywhere."""

    os: Sequence[str] = ()
    cpu: Sequence[str] = ()
    libc: Sequence[str] = ()

    def fit(self, stack: Stack) -> bool:
        """Whether it runs on `stack`."""
        return allows(self.os, "linux") and allows(self.cpu, cpu(stack)) and allows(self.libc, "glibc")

    def __str__(self) -> str:
        return " ".join(word for words in (self.os, self.cpu, self.libc) for word in words)


def cpu(stack: Stack) -> str:
    """Node's word for the architecture: `x64` or `arm64`."""
    return _CPU[stack.architecture]


def allows(words: Sequence[str], value: str) -> bool:
    """npm's rule (npm-install-checks): no negated word is `value`, and one is, unless all are negated."""
    if not words or list(words) == ["any"]:
        return True
    refused = [word[1:] for word in words if word.startswith("!")]
    return value not in refused and (value in words or len(refused) == len(words))


def conditions(text: str) -> Needs | None:
    """Yarn's `conditions`, such as `os=linux & (cpu=x64 | cpu=arm64) & libc=glibc`; None when it has another form."""
    found: dict[str, list[str]] = {"os": [], "cpu": [], "libc": []}
    at = 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None or match.end() == at or not _collect(match[1] or match[2] or "", found):
            return None
        at = match.end()
    return Needs(found["os"], found["cpu"], found["libc"])


def _collect(alternatives: str, found: dict[str, list[str]]) -> bool:
    for term in alternatives.split("|"):
        key, equals, value = term.strip().partition("=")
        if not equals or key not in found:
            return False
        found[key].append(value)
    return True
