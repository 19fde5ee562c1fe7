"""Apps with npm packages that are compiled: their tarballs lie in the app, and their locks name a build root that is there."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from builders import make_npm_tarball
from building import settings
from trees import lay_out

from stager import staging
from stager.droplet.incremental import Folder
from stager.model import BuildRoot, Plan
from stager.planning import lockfile
from stager.store import Store

SERVER = "require('http').createServer((_, answer) => answer.end('ok')).listen(process.env.PORT)\n"


def integrity(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


def app(name: str, tarballs: Mapping[str, bytes], **more: object) -> dict[str, str | bytes]:
    """An app that depends on packages, all of version 1.0.0, whose tarballs it holds; npm's lock says no more of them."""
    wanted = {one: f"file:vendor/{one}.tgz" for one in tarballs}
    manifest = {
        "name": name,
        "version": "1.0.0",
        "dependencies": wanted,
        "scripts": {"start": "node server.js"},
        **more,
    }
    rows: dict[str, object] = {"": {key: manifest[key] for key in ("name", "version", "dependencies")}}
    for one, data in tarballs.items():
        rows[f"node_modules/{one}"] = {"version": "1.0.0", "resolved": wanted[one], "integrity": integrity(data)}
    lock = {"name": name, "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": rows}
    files: dict[str, str | bytes] = {f"vendor/{one}.tgz": data for one, data in tarballs.items()}
    return {
        "package.json": json.dumps(manifest), "package-lock.json": json.dumps(lock), "server.js": SERVER, **files,
    }  # fmt: skip


def addon(name: str, script: str, files: Mapping[str, bytes] | None = None, **more: object) -> bytes:
    """A package with a binding.gyp and an install script."""
    manifest = {"name": name, "version": "1.0.0", "scripts": {"install": script}, **more}
    return make_npm_tarball(manifest, {"binding.gyp": b'{"targets": []}', **(files or {})})


def locked(folder: Path, files: Mapping[str, str | bytes], root: BuildRoot, store: Store) -> Plan:
    """Write an app, plan it, and write its lock, with `root` in the place of the one that is planned: tests share it."""
    lay_out(folder, files)
    wanted = settings(store)
    _, found = staging.make_plan(Folder.read(str(folder), store), None, wanted)
    roots = tuple(replace(root, name=one.name) if one.wants else one for one in found.plan.roots)
    plan = replace(found.plan, roots=roots)
    (folder / "stager.lock").write_text(lockfile.dumps(plan))
    return plan
