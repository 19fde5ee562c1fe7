"""Real droplets in a moment, without an index: an app of a few files, a plan with wheels made in memory, one staging."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from builders import make_wheel

from stager import library
from stager.digest import Digest, sha256
from stager.formats.codec import CODEC
from stager.model import Artifact, BuildpackPin, EnvVar, Plan, Process, Reason
from stager.planning import lockfile
from stager.planning.buildpacks import load
from stager.planning.inputs import inputs_of
from stager.store import Store
from stager.tree import SourceTree

WHY = Reason("a test says so", "Procfile", 1)
Wheels = Mapping[str, tuple[str, Mapping[str, bytes]]]
"""Name → version and files."""


def stage(
    place: Path,
    files: Mapping[str, str | bytes] | None = None,
    wheels: Wheels | None = None,
    *,
    web: str = "./serve",
    env: Mapping[str, str] | None = None,
    name: str = "droplet.tgz",
    store: Path | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write an app to `place/app`, save a plan with these wheels, stage it, and return the droplet `place/name`.

    `metadata` are lines of wheels' METADATA, by name.
    """
    app = place / "app"
    contents = {"Procfile": f"web: {web}\n", "serve": "#!/bin/sh\nexec cat\n", **(files or {})}
    for path, data in contents.items():
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).write_bytes(data if isinstance(data, bytes) else data.encode())
    (app / "serve").chmod(0o755)
    kept = Store(str(store or place / "store"))
    plan = plan_of(app, wheels or {}, kept, web, env or {}, metadata or {})
    (app / "stager.lock").write_text(lockfile.dumps(plan), "utf-8")
    library.stage(str(app), out=str(place / name), store=kept, offline=True, environ={})
    return place / name


def plan_of(
    app: Path,
    wheels: Wheels,
    store: Store,
    web: str = "./serve",
    env: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of such an app; its wheels are put into the store."""
    artifacts = []
    for name, (version, files) in wheels.items():
        data = make_wheel(name, version, files, metadata=(metadata or {}).get(name, ""))
        digest = sha256(data)
        blob = store.put(data)
        assert blob == hashlib.sha256(data).hexdigest()
        filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        purl = f"pkg:pypi/{name}@{version}"
        artifacts.append(Artifact(purl, filename, digest, "wheel/1", (".stager/pypi",), len(data)))
    tree = SourceTree.read(str(app))
    return Plan(
        stack="debian-12",
        architecture="amd64",
        codec=CODEC,
        buildpacks=(BuildpackPin("procfile", load("procfile").digest, WHY),),
        inputs=tuple((path, Digest(digest)) for path, digest in inputs_of(tree).items()),
        runtimes=(),
        artifacts=tuple(sorted(artifacts, key=lambda one: one.purl)),
        links=(),
        files=(),
        processes=(Process("web", web, WHY),),
        env=tuple(EnvVar(key, value, WHY) for key, value in sorted((env or {}).items())),
    )
