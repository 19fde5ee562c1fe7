"""pnpm, for scripts that call it. Its packages are laid out by stager itself."""

from __future__ import annotations

from .package_managers import record
from .published import line_of


def _program(version: str) -> str:
    """From version 12 on it is a program of its own, for each system another one."""
    line = int(line_of(version))
    return "" if line > 11 else ("bin/pnpm.mjs" if line == 11 else "bin/pnpm.cjs")


RUNTIME = record(
    "pnpm",
    "pnpm",
    _program,
    "the newest release that every request and the lock allow, where scripts call it",
    (
        (
            "pnpm_config_verify_deps_before_run",
            "false",
            "so that pnpm, which has not installed them, leaves packages alone",
        ),
        (
            "pnpm_config_pm_on_fail",
            "ignore",
            "so that this pnpm runs scripts, whichever the app names, and fetches none",
        ),
    ),
)
