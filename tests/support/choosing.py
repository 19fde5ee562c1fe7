"""Runtimes as planning chooses them, for tests that say which mirrors and registry there are."""

from __future__ import annotations

from stager import runtimes
from stager.ecosystems.deb.index import DebianMirrors
from stager.ecosystems.record import IndexPages
from stager.model import Plan, Reason, Runtime, Stack
from stager.net.indexes import Indexes
from stager.runtimes.chosen import Asked, ChosenRuntime
from stager.runtimes.record import RuntimeRequest


def choose_python(
    asked: Asked,
    stack: Stack,
    web: IndexPages,
    debian: DebianMirrors,
    previous: Plan | None = None,
    *,
    ended: bool = True,
) -> ChosenRuntime:
    """The Python for an app."""
    return runtimes.kind("python").choose(RuntimeRequest(asked, stack, web, _at(debian), previous, ended=ended))


def choose_nginx(stack: Stack, web: IndexPages, debian: DebianMirrors, previous: Plan | None = None) -> ChosenRuntime:
    """The nginx for an app."""
    return runtimes.kind("nginx").choose(RuntimeRequest((), stack, web, _at(debian), previous))


def choose_node(
    asked: Asked, stack: Stack, web: IndexPages, registry: str, previous: Plan | None = None, *, ended: bool = True
) -> ChosenRuntime:
    """The Node for an app."""
    indexes = Indexes(npm_registry=registry)
    return runtimes.kind("node").choose(RuntimeRequest(asked, stack, web, indexes, previous, ended=ended))


def choose_npm(
    node: str, asked: Asked, stack: Stack, web: IndexPages, registry: str, previous: Plan | None = None
) -> ChosenRuntime:
    """The npm for an app on a version of Node."""
    beside = {"node": ChosenRuntime(Runtime("node", node, "npm", (0, 0), Reason("a test")), ())}
    indexes = Indexes(npm_registry=registry)
    return runtimes.kind("npm").choose(RuntimeRequest(asked, stack, web, indexes, previous, beside))


def choose_bun(
    asked: Asked, stack: Stack, web: IndexPages, registry: str, previous: Plan | None = None
) -> ChosenRuntime:
    """The bun for an app."""
    return runtimes.kind("bun").choose(RuntimeRequest(asked, stack, web, Indexes(npm_registry=registry), previous))


def _at(debian: DebianMirrors) -> Indexes:
    return Indexes(debian_mirror=debian.archive, debian_security_mirror=debian.security)
