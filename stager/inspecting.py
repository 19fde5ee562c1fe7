"""Looking inside a droplet file: what it runs, what it carries, how big each part is.

Everything comes from the file itself: its `launch.json`, the plan it carries, and the lengths of its layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .droplets import open_droplet
from .model import Plan
from .store import Store
from .tar import ROOT

_SHOWN = ("plan", "stack", "architecture", "buildpacks", "runtimes", "processes", "env")


def inspect(path: str, store: Store | None = None) -> dict[str, Any]:
    """What a droplet file is and holds, as JSON-able facts. Raises Unreadable, BadArchive, BadLock.

    With a `store`, what it remembers of this very file spares inflating it to learn its layers' digests.
    """
    with open_droplet(path, store) as droplet:
        owner = _owners(droplet.plan)
        files, totals = 0, dict[str, int]()
        for entry in droplet.entries(contents=False):  # one at a time: there may be 200,000
            if entry.kind == "file" and entry.name.startswith(ROOT):
                name = owner(entry.name.removeprefix(ROOT))
                totals[name] = totals.get(name, 0) + entry.size
                files += 1
        facts = {key: droplet.facts.get(key) for key in _SHOWN}
        return {
            "digest": droplet.digest,
            "size": droplet.size,
            "unpacked": sum(totals.values()),
            "files": files,
            **facts,
            "layers": [
                {"name": one.name, "digest": one.digest, "diff_id": one.diff_id, "size": one.size}
                for one in droplet.layers
            ],
            "packages": [
                {"name": name, "unpacked": size}
                for name, size in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
            ],
        }


def _owners(plan: Plan) -> Callable[[str], str]:
    """Which package a file counts for: the one with the longest path above it.

    All Python packages share one folder, so there a file counts for its top-level name.
    """
    homes = {path: artifact.name for artifact in plan.artifacts for path in artifact.paths}
    return lambda path: _owner(path, homes)


def _owner(path: str, homes: dict[str, str]) -> str:
    for runtime in ("python", "node", "bun", "nginx"):
        if path.startswith(f".stager/{runtime}/"):
            return f"{runtime} (runtime)"
    if path.startswith(".stager/pypi/site-packages/"):
        return "python: " + path.split("/")[3].partition("-")[0].partition(".")[0]
    above = path
    while above := above.rpartition("/")[0]:
        if above in homes:
            return homes[above]
    return "stager" if path.startswith(".stager/") else "the app"
