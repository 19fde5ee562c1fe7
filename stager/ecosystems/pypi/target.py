"""What wheels and markers a target accepts: decided from the stack and Python version alone, never from the host.

Wheel tags follow PEP 425 and PEP 600; the three legacy manylinux names are the aliases of PEP 600. Markers follow the
dependency specifiers specification. Free-threaded and debug builds are not targets, so the ABI is always `cp3XX`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from stager.errors import BadLock
from stager.facts import stacks
from stager.model import Stack

if TYPE_CHECKING:
    from stager.model import Plan

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_EXTRA = re.compile(r"""(?<![\w.])extra\s*(==|!=)\s*("[^"]*"|'[^']*')""")
_EXTRA_REVERSED = re.compile(r"""("[^"]*"|'[^']*')\s*(==|!=)\s*extra(?![\w.])""")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the packages will run: a stack and a CPython version.

    `python_full` is the whole version (`3.11.2`); when it is not known, the first release of `python` is assumed.
    """

    stack: Stack
    python: tuple[int, int]
    python_full: str = ""

    @property
    def full(self) -> str:
        """The version that markers see as `python_full_version`."""
        return self.python_full or f"{self.python[0]}.{self.python[1]}.0"

    @property
    def label(self) -> str:
        """The target in the words of wheel file names, for messages: `cp311 manylinux_2_36 x86_64`."""
        return f"cp{self.python[0]}{self.python[1]} {self.platform} {self.stack.machine}"

    @property
    def platform(self) -> str:
        """The stack's newest platform tag, without its machine: `manylinux_2_36`."""
        major, minor = self.stack.glibc
        return f"manylinux_{major}_{minor}"

    @property
    def words(self) -> str:
        """The target in the words of markers, for messages: `Python 3.11.2 on Linux x86_64`."""
        return f"Python {self.full} on Linux {self.stack.machine}"


def target_of(plan: Plan) -> Target:
    """The target of a plan with a Python."""
    version = next(one.version for one in plan.runtimes if one.name == "python")
    major, minor = (int(part) for part in version.split(".")[:2])
    return Target(stacks.load(plan.stack, plan.architecture), (major, minor), version)


def platforms(stack: Stack) -> list[str]:
    """The platform tags a stack can load, best first: every manylinux up to its glibc, then plain Linux."""
    major, newest = stack.glibc
    oldest = 5 if stack.machine == "x86_64" else 17
    found = []
    for minor in range(newest, oldest - 1, -1):
        found.append(f"manylinux_{major}_{minor}_{stack.machine}")
        if minor in _LEGACY:
            found.append(f"{_LEGACY[minor]}_{stack.machine}")
    return [*found, f"linux_{stack.machine}"]


def tag_ranks(target: Target) -> dict[str, int]:
    """Every wheel tag (`cp311-cp311-manylinux_2_36_x86_64`) the target accepts, with its rank; 0 is the best."""
    from packaging import tags

    names = platforms(target.stack)
    interpreter = f"cp{target.python[0]}{target.python[1]}"
    # The ABI is given because its default is read from the running interpreter.
    accepted: Iterable[tags.Tag] = tags.cpython_tags(target.python, abis=[interpreter], platforms=names)
    pure = tags.compatible_tags(target.python, interpreter=interpreter, platforms=names)
    ranks: dict[str, int] = {}
    for tag in (*accepted, *pure):
        ranks.setdefault(str(tag), len(ranks))
    return ranks


def marker_environment(target: Target) -> dict[str, str]:
    """All eleven marker variables of the target. Kernel release and version are host facts, hence empty."""
    return {
        "implementation_name": "cpython",
        "implementation_version": target.full,
        "os_name": "posix",
        "platform_machine": target.stack.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": target.full,
        "python_version": f"{target.python[0]}.{target.python[1]}",
        "sys_platform": "linux",
    }


class Markers:
    """Evaluates marker expressions for one target, remembering each answer: locks repeat few markers many times.

    `extra == "x"` is read as "x is among the extras", which is what lock files mean by it.
    """

    def __init__(self, target: Target, file: str) -> None:
        self._environment = marker_environment(target)
        self._file = file
        self._known: dict[tuple[str, frozenset[str], frozenset[str]], bool] = {}

    def __call__(
        self, text: str, extras: frozenset[str] = frozenset(), groups: frozenset[str] = frozenset(), what: str = ""
    ) -> bool:
        """Whether the marker `text` holds; an empty one does. Raises BadLock for one that cannot be evaluated."""
        if not text:
            return True
        key = (text, extras, groups)
        if key not in self._known:
            self._known[key] = self._evaluate(text, extras, groups, what)
        return self._known[key]

    def _evaluate(self, text: str, extras: frozenset[str], groups: frozenset[str], what: str) -> bool:
        from packaging.markers import Marker

        environment: Mapping[str, Any] = {**self._environment, "extras": extras, "dependency_groups": groups}
        try:
            return Marker(with_extras_set(text)).evaluate(cast("dict[str, str]", environment), context="lock_file")
        except (ValueError, RecursionError, AssertionError) as error:
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadLock(self._file, f"{what + ': ' if what else ''}marker {text[:200]!r}: {cause}") from None


def with_extras_set(text: str) -> str:
    """A marker with comparisons of `extra` written as membership in `extras` (PEP 751)."""
    if "extra" not in text:
        return text
    words = {"==": "in", "!=": "not in"}
    text = _EXTRA.sub(lambda found: f"{found[2]} {words[found[1]]} extras", text)
    return _EXTRA_REVERSED.sub(lambda found: f"{found[1]} {words[found[2]]} extras", text)
