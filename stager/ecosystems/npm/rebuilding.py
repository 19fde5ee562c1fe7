"""How an npm package is built: its install scripts run by npm in the sandbox, and its folder is packed again.

What runs there is `inside/rebuild.cjs`. The surroundings are those in which node-gyp needs no network: the headers are Node's
own (`node-build/1`), and tools that would download an add-on are told to compile it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from stager.ecosystems.record import BuildRecipe

from .names import LAYOUT

RECIPE = "stager:npm-scripts/1"
"""The command of such a build."""
_HOME = "/app/.stager/node"
"""Where Node is; the search path is that of the root, since no buildpack has set another."""
_FLAGS = "-g0 -ffile-prefix-map=/app=."
"""Without debug symbols, which hold paths; where `__FILE__` is used, the path is the same wherever the folder is."""
_ENV = (
    ("CFLAGS", _FLAGS),
    ("CXXFLAGS", _FLAGS),
    ("npm_config_audit", "false"),
    ("npm_config_build_from_source", "true"),
    ("npm_config_cache", "/tmp/npm"),  # noqa: S108  the sandbox's own
    ("npm_config_fund", "false"),
    ("npm_config_jobs", "max"),
    ("npm_config_nodedir", _HOME),
    ("npm_config_offline", "true"),
    ("npm_config_update_notifier", "false"),
)
WAYS = {
    "argon2": "argon2 0.41 and newer ship binaries",
    "bcrypt": "bcrypt 6 and newer ship binaries",
    "canvas": "depend on @napi-rs/canvas, which has packages with the binary",
    "cypress": "set CYPRESS_INSTALL_BINARY=0; it is for tests, so it belongs to devDependencies",
    "electron": "it is for desktops: move it to devDependencies",
    "grpc": "depend on @grpc/grpc-js, which needs no add-on",
    "node-sass": "depend on sass, which needs no add-on",
    "sharp": "sharp 0.33 and newer have packages with the binary for each platform",
    "sqlite3": "better-sqlite3 is compiled from what its package has; node:sqlite comes with Node 22.5 and newer",
}
"""How to do without a build, for packages that are often met: most download what takes long to compile, or cannot be."""


def _programs() -> Mapping[str, bytes]:
    """The files that run in the sandbox, by name."""
    with open(os.path.join(os.path.dirname(__file__), "inside", "rebuild.cjs"), "rb") as file:
        return {"rebuild.cjs": file.read(), "ways.json": json.dumps(WAYS, indent=0, sort_keys=True).encode()}


RECIPES = {
    RECIPE: BuildRecipe(
        takes=LAYOUT,
        gives=LAYOUT,
        programs=_programs,
        line=f"{_HOME}/bin/node {{programs}}/rebuild.cjs {{out}}",
        env=_ENV,
    )
}


def project(name: str, version: str, inner: list[str]) -> str:
    """The package.json of the project that a package is built in."""
    document: dict[str, object] = {"name": "build", "private": True, "dependencies": {name: version or "*"}}
    return json.dumps({**document, **({"inner": inner} if inner else {})}, separators=(",", ":")) + "\n"
