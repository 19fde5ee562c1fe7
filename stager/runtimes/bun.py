"""Which bun an app gets: the `baseline` build on amd64, so that a droplet runs on every processor of its platform."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Artifact, Runtime
from . import node
from .archives import recipe
from .chosen import ChosenRuntime, all_accept, asked_text, check_needs, first_place, kept, reason
from .errors import NoRuntime
from .published import check_package, newest_of, npm_request, packument, pinned, semver
from .record import Layout, RuntimeKind, RuntimeRequest
from .version_files import member, mise, package_manager, plain, tool_versions
from .version_requests import VersionRequest

NAME, PLACE = "bun", ".stager/bun"
PACKAGES = {"amd64": "@oven/bun-linux-x64-baseline", "arm64": "@oven/bun-linux-aarch64"}


def choose(ask: RuntimeRequest) -> ChosenRuntime:
    """The newest bun that satisfies the requests. Raises VersionError, NoRuntime, FetchError."""
    stack = ask.stack
    requests = [npm_request(NAME, text, why, {}) for text, why in ask.asked]
    glibc = node.release_table().extra[NAME]
    check_needs(NAME, asked_text(requests), stack, glibc, frozenset())
    if found := kept(ask, NAME, requests, "bun/1"):
        return _bun(found[0].version, glibc, requests, found[1])
    package = PACKAGES[stack.architecture]
    published = packument(ask.web, ask.registry, package)
    version = newest_of(version for version in published if all_accept(requests, version))
    if not version:
        raise NoRuntime(NAME, asked_text(requests), stack.name, [newest_of(published) or "none"], first_place(requests))
    return _bun(version, glibc, requests, (pinned(package, version, published[version].digest, "bun/1", PLACE),))


def _bun(
    version: str, glibc: tuple[int, int], requests: Sequence[VersionRequest], files: tuple[Artifact, ...]
) -> ChosenRuntime:
    return ChosenRuntime(Runtime(NAME, version, "npm", glibc, reason("bun's own build", requests)), files)


_unpack = recipe("bin/bun", lambda where: where == "bin/bun" or where.startswith("LICENSE"), check_package)
"""`bun/1`: `bin/bun` and the licences."""
RUNTIME = RuntimeKind(
    name=NAME,
    title="Bun",
    place=PLACE,
    programs=f"{PLACE}/bin",
    layouts={"bun/1": Layout(_unpack, r"pkg:npm/.+", "MIT")},
    choose=choose,
    rule="the newest release that every request allows",
    example="bun run server.ts",
    signs=("bun.lock", "bun.lockb"),
    parse=lambda text, reason: npm_request(NAME, text, reason, {}),
    sources=(
        plain(".bun-version", "1.3"),
        package_manager(NAME),
        member("package.json", "engines.bun", "range"),
        tool_versions(NAME),
        mise(NAME),
    ),
    order=semver,
)
