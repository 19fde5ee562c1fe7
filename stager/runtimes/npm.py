"""Which npm command an app gets: of the major version that its Node is shipped with, unless it asks otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..ecosystems import npmrange
from ..errors import UsageError
from ..model import Artifact, Runtime
from . import node
from .archives import recipe
from .chosen import ChosenRuntime, all_accept, asked_text, first_place, kept, reason
from .errors import VersionError
from .published import check_package, line_of, newest_of, npm_request, packument, pinned, semver
from .record import Layout, RuntimeKind, RuntimeRequest
from .version_files import member, package_manager
from .version_requests import VersionRequest

NAME = "npm"
PLACE = f"{node.PLACE}/lib/node_modules/npm"
_LINKS = tuple((f"{node.PLACE}/bin/{name}", f"../lib/node_modules/npm/bin/{name}-cli.js") for name in ("npm", "npx"))


def choose(ask: RuntimeRequest) -> ChosenRuntime:
    """The npm command for an app on the Node beside it: of the major that Node is shipped with unless asked otherwise.

    Raises VersionError when no version satisfies the requests and runs on that Node, FetchError for the registry.
    """
    if node.NAME not in ask.beside:
        message = "npm runs on Node, and the buildpack names no runtime 'node' before it"
        raise UsageError(message, "Write 'runtimes: [node, npm]' in its buildpack.yml.")
    node_version, previous = ask.beside[node.NAME].runtime.version, ask.previous
    requests = [npm_request(NAME, text, why, {}) for text, why in ask.asked]
    found = kept(ask, NAME, requests, "npm-cli/1")
    if found and previous and any((r.name, r.version) == (node.NAME, node_version) for r in previous.runtimes):
        return _npm(found[0].version, requests, found[1])
    published = packument(ask.web, ask.registry, "npm")
    fitting = [v for v in published if all_accept(requests, v) and runs_on(published[v].engines, node_version)]
    table, line = node.release_table(), line_of(node_version)
    known = line in table.supported or line in table.ended
    shipped = [v for v in fitting if known and line_of(v) == table.facts(line).npm]
    newest = any(request.prefers for request in requests)
    version = newest_of(fitting if newest else shipped or fitting)
    if not version:
        hint = "Ask for another npm (engines.npm) or another Node (engines.node)."
        raise VersionError(
            NAME, asked_text(requests), f"no release fits and runs on Node {node_version}", hint, first_place(requests)
        )
    return _npm(version, requests, (pinned("npm", version, published[version].digest, "npm-cli/1", PLACE),))


def _npm(version: str, requests: Sequence[VersionRequest], files: tuple[Artifact, ...]) -> ChosenRuntime:
    return ChosenRuntime(
        Runtime(NAME, version, "npm", (0, 0), reason("the npm for this Node", requests)), files, _LINKS
    )


def runs_on(engines: str, node_version: str) -> bool:
    """Whether a version of Node is one that a package's `engines.node` names."""
    try:
        return npmrange.parse(engines)(npmrange.version(node_version))
    except ValueError:
        return False


_DROPPED = re.compile(r"(?:docs|man|html|test|tap-snapshots)/.*|bin/[^/]*\.(?:cmd|ps1)")
_unpack = recipe(
    r"bin/npm-cli\.js",
    lambda where: bool(where) and not _DROPPED.fullmatch(where),
    check_package,
    executable=r"bin/np[mx]-cli\.js",
)
"""`npm-cli/1`: the package without manuals and tests."""
RUNTIME = RuntimeKind(
    name=NAME,
    title="npm",
    layouts={"npm-cli/1": Layout(_unpack, r"pkg:npm/npm")},
    choose=choose,
    rule="of the major version that the chosen Node is shipped with, unless engines.npm asks otherwise",
    commands=node.MANAGERS,
    instead="Write it with 'npm run', which the droplet has, or give what the script runs.",
    parse=lambda text, reason: npm_request(NAME, text, reason, {}),
    sources=(package_manager(NAME), member("package.json", "engines.npm", "range")),
    order=semver,
)
