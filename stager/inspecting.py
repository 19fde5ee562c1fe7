"""Looking inside a droplet file: what it runs, what it carries, how big each part is.

Everything comes from the file itself: its `launch.json` and the plan it carries. Where the store remembers how the
droplet was assembled, its layers are shown as well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Any

from . import assembly, lockfile, restage
from .archive import content_bytes, read_tar
from .errors import BadArchive, Unreadable
from .model import Plan
from .running import droplet_facts
from .store import Store


def inspect(path: str, store: Store | None = None) -> dict[str, Any]:
    """What a droplet file is and holds, as JSON-able facts. Raises Unreadable, BadArchive, UnsafeEntry."""
    digest = _digest(path)
    with read_tar(path, os.path.basename(path), "gz") as archive:
        facts = droplet_facts(archive, path)
        sizes = [(member.name.removeprefix("app/"), member.size) for member in archive.members if not member.is_link]
        lock = archive.get("app/.stager/stager.lock")
        plan = lockfile.loads(content_bytes(lock.content)) if lock and not lock.is_link else None
    if plan is None:
        raise BadArchive(os.path.basename(path), "carries no plan")
    return {
        "digest": f"sha256:{digest}",
        "size": os.path.getsize(path),
        "unpacked": sum(size for _, size in sizes),
        "files": len(sizes),
        **{key: facts[key] for key in ("plan", "stack", "architecture", "buildpacks", "runtimes", "processes", "env")},
        "layers": _layers(digest, store),
        "packages": _packages(plan, sizes),
    }


def _digest(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from None


def _layers(digest: str, store: Store | None) -> list[dict[str, Any]]:
    """The layers of a droplet that this store assembled; none when it did not, or has forgotten."""
    memo = store.recall("droplet", digest) if store else None
    base = store.recall("base", restage.base_key(memo["plan"])) if store and memo else None
    if store is None or memo is None or base is None:
        return []
    try:
        return restage.layers_of(base, memo["app"], store)
    except assembly.Damaged:
        return []


def _packages(plan: Plan, sizes: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Each package's unpacked size, biggest first: files count for the package with the longest path above them.

    All Python packages share one folder, so there a file counts for its top-level name.
    """
    homes = {path: artifact.name for artifact in plan.artifacts for path in artifact.paths}
    totals: dict[str, int] = {}
    for path, size in sizes:
        owner = _owner(path, homes)
        totals[owner] = totals.get(owner, 0) + size
    rows = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "unpacked": size} for name, size in rows]


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
