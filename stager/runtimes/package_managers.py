"""Package managers that scripts call, as programs of Node: bundles from the npm registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..model import Runtime
from . import node
from .archives import recipe
from .chosen import ChosenRuntime, all_accept, asked_text, first_place, kept, reason
from .errors import VersionError
from .npm import runs_on
from .published import check_package, npm_request, packument, pinned, semver
from .record import Layout, RuntimeKind, RuntimeRequest
from .version_files import member, package_manager

if TYPE_CHECKING:
    from ..model import Artifact
    from .version_requests import VersionRequest


def record(
    name: str, title: str, program: Callable[[str], str], rule: str, env: tuple[tuple[str, str, str], ...]
) -> RuntimeKind:
    """The record of a package manager; `program` gives the file of a version that Node runs, empty for one that has none."""
    place, layout = f"{node.PLACE}/lib/node_modules/{name}", f"{name}-cli/1"

    def chosen(
        version: str, requests: list[VersionRequest], files: tuple[Artifact, ...], notes: tuple[str, ...] = ()
    ) -> ChosenRuntime:
        link = (f"{node.PLACE}/bin/{name}", f"../lib/node_modules/{name}/{program(version)}")
        found = Runtime(name, version, "npm", (0, 0), reason(f"the {name} that scripts call", requests))
        return ChosenRuntime(found, files, (link,), notes=notes)

    def choose(ask: RuntimeRequest) -> ChosenRuntime:
        """The newest release that every request allows, that runs on the Node beside it, and that is a program of Node.

        It runs scripts alone, so that another one stands in where what is asked for is no such program.
        Raises VersionError, FetchError.
        """
        requests = [npm_request(name, text, why, {}) for text, why in ask.asked]
        if found := kept(ask, name, requests, layout):
            return chosen(found[0].version, requests, found[1])
        beside = ask.beside[node.NAME].runtime.version if node.NAME in ask.beside else ""
        published = packument(ask.web, ask.registry, name)
        able = [one for one in published if program(one) and runs_on(published[one].engines, beside)]
        fitting = [version for version in able if all_accept(requests, version)]
        notes: tuple[str, ...] = ()
        if not fitting and (usual := [version for version in able if "-" not in version]):
            instead = f"{title} {max(usual, key=semver)} runs scripts in place of {asked_text(requests)}"
            notes = (f"{instead}, which is no program of Node by itself: commands that only that one has fail",)
            requests, fitting = [], usual
        if not fitting:
            what = f"no release fits and is a program of Node {beside}"
            hint = f"Name another one by packageManager in package.json, or call 'npm run' instead of {name}."
            raise VersionError(name, asked_text(requests), what, hint, first_place(requests))
        version = max(fitting, key=semver)
        return chosen(version, requests, (pinned(name, version, published[version].digest, layout, place),), notes)

    unpack = recipe(
        rf"bin/{name}\.(?:c?js|mjs)", bool, check_package, executable=rf"bin/{name}(?:x|\.js)?(?:\.c?js|\.mjs)?"
    )
    return RuntimeKind(
        name=name,
        title=title,
        layouts={layout: Layout(unpack, rf"pkg:npm/{name}")},
        choose=choose,
        rule=rule,
        env=env,
        parse=lambda text, why: npm_request(name, text, why, {}),
        sources=(package_manager(name), member("package.json", f"engines.{name}", "range")),
        order=semver,
    )
