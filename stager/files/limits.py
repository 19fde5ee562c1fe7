"""The most bytes of each kind of file that is read whole: what its purpose needs, with room, and no more.

Reading, parsing and searching cost time and memory by the byte, and whoever writes an app decides how many there are.
A larger file is a typed error that names the limit. What is streamed (archives, droplets) has limits of its own.
"""

from __future__ import annotations

LOCK = 32 << 20
"""A lock file, stager's or an ecosystem's; the largest known have less than 8 MiB."""
MANIFEST = 8 << 20
"""`package.json`, `pyproject.toml`, `Pipfile`, `requirements.txt` …; a generated one may be long."""
SETTINGS = 1 << 20
"""What a person writes: `stager.yml`, `Procfile`, `Staticfile`, `.npmrc`, `manifest.yml`, `pip.conf`, `box.yml` …"""
VERSION = 64 << 10
"""A file that names a version, such as `.python-version`."""
BUILDPACK = 16 << 20
"""All files of a user's own buildpack together."""
KEY = 64 << 10
"""A key in a PEM file."""
EVIDENCE = 256 << 20
"""A bill of materials, a statement, a receipt; it lists every file of a droplet."""
RECORD = 1 << 20
"""What stager itself wrote for itself: a machine's state."""

_LOCKS = frozenset({"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "pylock.toml"})
_VERSIONS = frozenset({".python-version", ".nvmrc", ".node-version", ".bun-version", "runtime.txt", ".tool-versions"})
_SETTINGS = frozenset(
    {"stager.yml", "Procfile", "Staticfile", ".npmrc", ".yarnrc.yml", "pnpm-workspace.yaml", "mise.toml", ".mise.toml"}
)


def most(path: str) -> int:
    """The most bytes of an app's file that is read whole, by its name."""
    name = path.rpartition("/")[2]
    if name in _LOCKS or name.endswith(".lock") or (name.startswith("pylock.") and name.endswith(".toml")):
        return LOCK
    if name.startswith("requirements") and name.endswith(".txt"):
        return LOCK
    return VERSION if name in _VERSIONS else SETTINGS if name in _SETTINGS else MANIFEST
