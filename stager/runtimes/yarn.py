"""Yarn 1, for scripts of a build that call it. Later ones run nothing where they have not installed."""

from __future__ import annotations

from .package_managers import record
from .published import line_of


def _program(version: str) -> str:
    return "bin/yarn.js" if line_of(version) == "1" else ""


RUNTIME = record("yarn", "Yarn", _program, "the newest release 1 that every request allows, for builds alone")
