"""Next.js: its build id, its secrets, and manifests in one order.

Mends: `BUILD_ID` (random, in every page and in names of folders), the three keys of preview mode, the key that encrypts the
arguments of server actions, and manifests whose members come in the order in which tasks finished. The keys are credentials:
they are derived from the contents of the app's files, which stager tells nobody, and so are as secret as these.
"""

from __future__ import annotations

import base64
import json
import posixpath

from ...text.resources import beside
from . import PROVIDED, Around, Recipe

FILE = "next.js"
PROGRAM = beside(__file__, FILE)
_NEVER = 9007199254740991
"""When the keys expire: the largest whole number that JavaScript is sure of."""
_USUAL, _EXPORTED = ".next", "out"


def preview(around: Around) -> dict[str, bytes]:
    """The keys of preview mode, where Next.js keeps those of the last build and takes them from."""
    keys = {
        "previewModeId": around.secret("preview id", 16).hex(),
        "previewModeSigningKey": around.secret("preview signing").hex(),
        "previewModeEncryptionKey": around.secret("preview encryption").hex(),
        "expireAt": _NEVER,
    }
    return {posixpath.join(_folder(around), "cache/.previewinfo"): json.dumps(keys).encode()}


def _folder(around: Around) -> str:
    """Where Next.js builds: what it leaves, unless that is a copy of the pages alone."""
    left = around.build.outputs[0]
    return posixpath.join(posixpath.dirname(left), _USUAL) if posixpath.basename(left) == _EXPORTED else left


def in_order(data: bytes) -> bytes:
    """A JSON object with its members in the order of their names; what is none stays as it is."""
    try:
        found = json.loads(data)
        return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return data


def _env(around: Around) -> dict[str, str]:
    return {
        "NODE_OPTIONS": f"--require={PROVIDED}/{FILE}",
        "FIXED_BUILD_ID": around.identifier("build id")[:21],
        "NEXT_SERVER_ACTIONS_ENCRYPTION_KEY": base64.b64encode(around.secret("server actions")).decode(),
    }


RECIPE = Recipe(
    name="next/1",
    mends="the build's id, its keys, and the order of manifests",
    env=_env,
    provides=lambda _: {FILE: PROGRAM},
    before=preview,
    drops=("*/cache/**", "*/trace", "*/trace-build", "*/diagnostics/**"),
    rewrites={
        "*/server/pages-manifest.json": in_order,
        "*/server/app-paths-manifest.json": in_order,
        "*/build-manifest.json": in_order,
        "*/app-build-manifest.json": in_order,
    },
)
