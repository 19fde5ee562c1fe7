"""A chosen runtime, what may be kept of an earlier choice, and how a request that cannot be met is explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packageurl import PackageURL

from ..errors import StagerError, UsageError
from ..facts import stacks
from ..model import Artifact, Build, Reason, Runtime, Stack
from .errors import NoRuntime, VersionError
from .releases import Releases
from .version_requests import VersionRequest

if TYPE_CHECKING:
    from .record import RuntimeRequest

Asked = Sequence[tuple[str, Reason]]
"""What the app asks for, highest precedence first: version or range, and where it says so."""


@dataclass(frozen=True, slots=True)
class ChosenRuntime:
    """A runtime, and all that a plan must hold for it."""

    runtime: Runtime
    artifacts: tuple[Artifact, ...]
    links: tuple[tuple[str, str], ...] = ()
    """(path, relative target) symlinks beyond those in the artifacts."""
    files: tuple[tuple[str, str], ...] = ()
    """(path, text) generated files."""
    notes: tuple[str, ...] = ()
    builds: tuple[Build, ...] = ()
    """Those of its artifacts that are built, each in a root of its own."""
    wants: tuple[str, ...] = ()
    """The packages that these want in their roots beyond the stack's."""


def all_accept(requests: Sequence[VersionRequest], version: str) -> bool:
    """Whether a version satisfies every request."""
    return all(request.accepts(version) for request in requests)


def reason(what: str, requests: Sequence[VersionRequest]) -> Reason:
    """Why this runtime: `what` it is, and the foremost request it satisfies. Equal for a fresh and a kept choice."""
    if not requests:
        return Reason(f"{what}; the app asks for no version")
    first = requests[0].reason
    return Reason(f"{what}, which satisfies '{requests[0].text}'", first.file, first.line)


def asked_text(requests: Sequence[VersionRequest]) -> str:
    """All requests as errors name them."""
    return " and ".join(dict.fromkeys(request.text for request in requests)) or "at all"


def kept(
    ask: RuntimeRequest, name: str, requests: Sequence[VersionRequest], *layouts: str
) -> tuple[Runtime, tuple[Artifact, ...]] | None:
    """The runtime of an earlier plan with its artifacts, if it is for this stack and satisfies every request."""
    previous, stack = ask.previous, ask.stack
    if previous is None or (previous.stack, previous.architecture) != (stack.name, stack.architecture):
        return None
    artifacts = tuple(artifact for artifact in previous.artifacts if artifact.layout in layouts)
    for runtime in previous.runtimes:
        if runtime.name == name and artifacts and all_accept(requests, runtime.version):
            return runtime, artifacts
    return None


def lacks(stack: Stack, glibc: tuple[int, int], libraries: frozenset[str]) -> str:
    """What the stack lacks of a runtime's needs, as a sentence; empty when it lacks nothing."""
    if glibc > stack.glibc:
        needed, there = (".".join(map(str, version)) for version in (glibc, stack.glibc))
        return f"It needs glibc {needed}; the stack has {there}."
    missing = sorted(libraries - stack.libraries)
    return f"It needs {', '.join(missing)}, which the stack does not have." if missing else ""


def check_needs(
    runtime: str, version: str, stack: Stack, glibc: tuple[int, int], libraries: frozenset[str], where: str = ""
) -> None:
    """Raise NoRuntime when the stack lacks what a runtime needs."""
    if lacks(stack, glibc, libraries):
        raise unmet(runtime, version, stack, glibc, libraries, where)


def unmet(
    runtime: str, version: str, stack: Stack, glibc: tuple[int, int], libraries: frozenset[str], where: str
) -> NoRuntime:
    """The error for needs the stack does not meet, with the stacks that do."""
    able = [name for name in stacks.names() if _able(name, stack.architecture, glibc, libraries)]
    hint = f"{lacks(stack, glibc, libraries)} Stacks that have it: {', '.join(able) or 'none'}."
    return NoRuntime(runtime, version, stack.name, able, where, hint)


def _able(name: str, architecture: str, glibc: tuple[int, int], libraries: frozenset[str]) -> bool:
    try:
        return not lacks(stacks.load(name, architecture), glibc, libraries)
    except UsageError:
        return False


def refusal(
    runtime: str,
    requests: Sequence[VersionRequest],
    table: Releases,
    accepts: Callable[[VersionRequest, str], bool],
    stack: Stack,
    available: Sequence[str],
    hint: str = "",
) -> StagerError:
    """Why no version could be chosen: a request is hopeless, some disagree, or this stack has none that fits.

    `accepts(request, line)` tells whether a request admits any version of a release line. A VersionError for the
    first two, NoRuntime for the last.
    """
    lines = list(table.supported)
    for request in requests:
        if not any(accepts(request, line) for line in lines):
            dead = next((line for line in table.ended if accepts(request, line)), "")
            gone = f"support for {dead} ended in {table.ended[dead].ends}, and there is no build of it" if dead else ""
            why = gone or "there is no such release"
            return VersionError(runtime, request.text, why, f"Ask for one of: {', '.join(available)}.", request.where)
    if not any(all(accepts(request, line) for request in requests) for line in lines):
        places = ", ".join(f"'{request.text}' in {request.where or 'the settings'}" for request in requests)
        why = "no supported version satisfies all of these"
        return VersionError(runtime, asked_text(requests), why, f"Make them agree: {places}.", first_place(requests))
    return NoRuntime(runtime, asked_text(requests), stack.name, available, first_place(requests), hint)


def first_place(requests: Sequence[VersionRequest]) -> str:
    """`file:line` of the foremost request, empty without one."""
    return requests[0].where if requests else ""


def package_name(artifact: Artifact) -> str:
    """The name in an artifact's purl, without namespace and version."""
    return PackageURL.from_string(artifact.purl).name
