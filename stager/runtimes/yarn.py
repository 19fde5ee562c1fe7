"""Yarn 1, for scripts that call it. Later ones run nothing where they have not installed; to start an app, 1 stands in."""

from __future__ import annotations

from .package_managers import record
from .published import line_of


def _program(version: str) -> str:
    return "bin/yarn.js" if line_of(version) == "1" else ""


RUNTIME = record(
    "yarn",
    "Yarn",
    _program,
    "the newest release 1 that every request allows, where scripts call it",
    (("SKIP_YARN_COREPACK_CHECK", "1", "so that Yarn 1 runs the scripts of apps that are installed with a later one"),),
)
