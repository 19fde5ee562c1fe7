"""The npm family: lock files of npm, pnpm, Yarn and Bun, and npm's tarballs.

Every lock comes to the same thing: artifacts with the places in `node_modules` they go to, and links. Nothing is
resolved again, and no code of a package is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stager.errors import BadLock
from stager.model import Locked, Stack

from .bins import bin_links
from .bundles import covered
from .collect import LAYOUT
from .manifest import Manifest, all_manifests, manifest, workspaces
from .names import from_purl
from .natives import needs_build
from .source import Lookup

if TYPE_CHECKING:
    from stager.archive import Held
    from stager.model import Artifact
    from stager.tar import Unpacked
    from stager.tree import SourceTree

__all__ = [
    "LAYOUT",
    "LOCKS",
    "Lookup",
    "Manifest",
    "bin_links",
    "check_drift",
    "covered",
    "declared",
    "find_locks",
    "from_purl",
    "manifest",
    "members",
    "needs_build",
    "read_lock",
    "unpack",
    "workspaces",
]

LOCKS = ("npm-shrinkwrap.json", "package-lock.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock")
"""Names of the locks that are understood; npm prefers the shrinkwrap when there are both."""
WORKSPACES = ("pnpm-workspace.yaml", "package.json")
"""The manifests that may name the members of a workspace, the one that wins first; each member has the last."""
STARTS_MEMBER = "web: cd {member} && npm start"
_BINARY = "bun.lockb"


def find_locks(tree: SourceTree) -> list[str]:
    """The locks at the app's root, in the order of `LOCKS`.

    Raises BadLock when there is only Bun's binary lock, which nobody but Bun can read.
    """
    found = [lock for lock in LOCKS if lock in tree]
    if not found and _BINARY in tree:
        raise _binary()
    return found


def _binary() -> BadLock:
    hint = "Run 'bun install --save-text-lockfile --frozen-lockfile --lockfile-only' and commit bun.lock."
    return BadLock(_BINARY, "this binary lock can be read by Bun alone", hint)


def read_lock(
    tree: SourceTree,
    lock: str,
    stack: Stack,
    *,
    dev: bool = False,
    registry_hosts: frozenset[str] = frozenset(),
    lookup: Lookup | None = None,
) -> Locked:
    """What the lock comes to on `stack`: the production packages of the app and its workspaces.

    `dev` adds development packages; `registry_hosts` are the hosts whose URLs a plan must not hold; `lookup` asks the
    registry for what version 1 locks (platforms) and Yarn 2+ locks (digests) do not say.
    Raises BadLock, BadManifest, Unpinned, NeedsBuild, DigestMismatch; NotCached when `lookup` is needed and None.
    """
    name = lock.rpartition("/")[2]
    if name in ("npm-shrinkwrap.json", "package-lock.json"):
        from . import package_lock  # each reader when it is needed: an app has one lock

        return package_lock.read(tree, lock, stack, dev, registry_hosts, lookup)
    if name == "pnpm-lock.yaml":
        from . import pnpm

        return pnpm.read(tree, lock, stack, dev, registry_hosts)
    if name == "bun.lock":
        from . import bun

        return bun.read(tree, lock, stack, dev, registry_hosts)
    if name == "yarn.lock":
        from . import berry, berry_lock, documents, yarn

        read = berry.read if berry_lock.is_berry(documents.text(tree, lock)) else yarn.read
        return read(tree, lock, stack, dev, registry_hosts, lookup)
    if name == _BINARY:
        raise _binary()
    raise BadLock(lock, "this is not a lock file of npm, pnpm, Yarn or Bun", f"Use one of {', '.join(LOCKS)}.")


def check_drift(tree: SourceTree, lock: str) -> None:
    """Raise LockStale when the lock is out of step with package.json, as its own tool would say."""
    from .drift import check_drift

    check_drift(tree, lock)


def members(tree: SourceTree) -> list[str]:
    """The folders of the workspace at the tree's root, by pnpm-workspace.yaml, else by package.json. Raises BadManifest."""
    from .pnpm_settings import packages

    patterns = packages(tree)
    if patterns is None:
        patterns = manifest(tree).workspaces if "package.json" in tree else ()
    return list(workspaces(tree, patterns))


def unpack(blob: str | Held, artifact: Artifact, path: str) -> Unpacked:
    """The files of a package's tarball at `path`; see `tarball`. Raises BadArchive, UnsafeEntry."""
    from .tarball import unpack

    return unpack(blob, artifact, path)


def declared(tree: SourceTree) -> frozenset[str]:
    """The names that the app and its workspaces depend on in production: also optionally, and as peers.

    Raises BadManifest.
    """
    from .pnpm_settings import packages

    return frozenset(
        name
        for item in all_manifests(tree, packages(tree)).values()
        for name in (*item.dependencies, *item.optional, *item.peer)
    )
