"""The npm family: lock files of npm, pnpm, Yarn and Bun, and npm's tarballs.

Every lock comes to the same thing: artifacts with the places in `node_modules` they go to, and links. Nothing is
resolved again, and no code of a package is run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from stager.ecosystems.record import (
    BuildRequest,
    Ecosystem,
    Laid,
    LockRequest,
    LookRequest,
    MakeRequest,
    WantedArtifact,
    WantedBuilds,
    Workplace,
)
from stager.errors import BadLock
from stager.model import Locked, Stack

from .names import COMMIT, LAYOUT
from .names import LOCKS as LOCKS
from .rebuilding import RECIPES

if TYPE_CHECKING:
    from stager.ecosystems.graph import Graph
    from stager.ecosystems.installed import Installed, Said
    from stager.formats.archive import HeldArchive
    from stager.formats.tar import Unpacked
    from stager.model import Artifact, Plan, Reason
    from stager.net.indexes import Indexes
    from stager.tree import SourceTree

    from .source import PackumentLookup

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
    lookup: PackumentLookup | None = None,
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
    from .manifest import manifest, workspaces
    from .pnpm_settings import packages

    patterns = packages(tree)
    if patterns is None:
        patterns = manifest(tree).workspaces if "package.json" in tree else ()
    return list(workspaces(tree, patterns))


def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    """The files of a package's tarball at `path`; see `tarball`. Raises BadArchive, UnsafeEntry."""
    from .tarball import unpack

    return unpack(blob, artifact, path)


def _unpack_commit(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    from .tarball import unpack_commit

    return unpack_commit(blob, artifact, path)


def declared(tree: SourceTree) -> frozenset[str]:
    """The names that the app and its workspaces depend on in production: also optionally, and as peers.

    Raises BadManifest.
    """
    from .manifest import all_manifests
    from .pnpm_settings import packages

    return frozenset(
        name
        for item in all_manifests(tree, packages(tree)).values()
        for name in (*item.dependencies, *item.optional, *item.peer)
    )


def developed(tree: SourceTree) -> frozenset[str]:
    """The names that they depend on in development. Raises BadManifest."""
    from .manifest import all_manifests
    from .pnpm_settings import packages

    return frozenset(name for item in all_manifests(tree, packages(tree)).values() for name in item.dev)


# --- the record ------------------------------------------------------------------------------------------------


def _read(request: LockRequest) -> Locked:
    from stager.net.indexes import default_npm

    from .packuments import NpmLookup

    if not request.lock:
        return Locked(())
    indexes = request.indexes
    registries = {default_npm(), indexes.npm(), *indexes.npm_scopes.values()}
    hosts = frozenset(host for url in registries if (host := urlsplit(url).hostname))
    lookup = NpmLookup(request.pages, indexes) if request.pages else None
    dev = request.development
    return read_lock(request.tree, request.lock, request.stack, dev=dev, registry_hosts=hosts, lookup=lookup)


def _manager(tree: SourceTree) -> str:
    from .managers import manager

    return manager(tree)


def _check_manager(tree: SourceTree, lock: str, managers: Mapping[str, str]) -> None:
    from .managers import check

    check(tree, lock, managers)


def _requires(tree: SourceTree, lock: str) -> list[tuple[str, str, Reason]]:
    from .managers import made_with

    return made_with(tree, lock)


def _facts(tree: SourceTree) -> list[tuple[str, str]]:
    from .direct import DIRECT
    from .manifest import firm

    return [(DIRECT, " ".join(sorted(firm(tree))))]


def _order(version: str) -> Any:
    from semantic_version import Version

    return Version(version.partition("+")[0])  # clause 10: build metadata has no part in the order


def _locate(wanted: WantedArtifact) -> Iterator[str]:
    """`<registry>/<name>/-/<base>-<version>.tgz`; the lock's own URL first only when it is of that registry."""
    from stager.net.indexes import joined
    from stager.net.indexes.origins import Origin

    words = wanted.artifact.purl.removeprefix("pkg:npm/").partition("?")[0].partition("@")
    name, version = unquote(words[0]), unquote(words[2])
    registry = wanted.indexes.npm(name)
    usual = joined(registry, f"{name}/-/{name.rpartition('/')[2]}-{version}.tgz")
    same = bool(wanted.hint) and Origin.of(wanted.hint) == Origin.of(registry)
    yield from (wanted.hint, usual) if same else (usual, wanted.hint)


def _page(indexes: Indexes) -> str:
    from stager.net.indexes import joined

    return joined(indexes.npm(), "npm")


def _needs(tree: SourceTree, lock: str, _: Plan) -> Graph:
    from .needs import graph

    return graph(tree, lock)


def _builds(request: LookRequest) -> WantedBuilds:
    from .compiling import wanted

    return wanted(request)


def _wants(request: BuildRequest) -> tuple[str, tuple[str, ...]]:
    from .compiling import wants
    from .names import from_purl

    return request.build.root, wants(from_purl(request.build.of)[0])


def _lock_name(request: MakeRequest) -> str:
    from .resolver import lock_name

    return lock_name(request.tree, request.manager)


def _make_lock(request: MakeRequest, place: Workplace) -> bytes:
    from .resolver import resolve

    def install(folder: str) -> str:
        return f"{request.install(folder, ('node', 'npm'), ('node',))}/node"

    return resolve(request.tree, install, place)


def _links(laid: Sequence[Laid], links: Sequence[tuple[str, str]]) -> dict[str, str]:
    from .bins import bin_links
    from .said import PackageSaid

    return bin_links([(one.path, PackageSaid.from_json(one.meta)) for one in laid], links)


def _check(plan: Plan, laid: Sequence[Laid]) -> None:
    from .vetting import check

    check(plan, laid)


def _notes(plan: Plan, laid: Sequence[Laid], _: Collection[str]) -> list[str]:
    from .vetting import notes

    return notes(plan, laid)


def _tells(path: str) -> bool:
    folder, _, file = path.rpartition("/")
    return file == "package.json" and _is_package(folder)


def _is_package(folder: str) -> bool:
    """Whether a folder's path is that of a package: below `node_modules`, with its scope."""
    above, _, name = folder.rpartition("/")
    if name.startswith("@"):
        return False
    scope = above.rpartition("/")[2]
    above = above.rpartition("/")[0] if scope.startswith("@") and len(scope) > 1 else above
    return above.rpartition("/")[2] == "node_modules" and bool(name)


def _inventory(installed: Installed) -> Said:
    from .inventory import inventory

    return inventory(installed)


_ADVICE = {
    "package-lock.json": {
        "manifest": "package.json",
        "command": "npm install --package-lock-only",
        "settings": ".npmrc (//HOST/:_authToken=…)",
        "cafile": "cafile in .npmrc",
        "listed": "npm view NAME versions",
    }
}

ECOSYSTEM = Ecosystem(
    name="npm",
    title="npm",
    order=_order,
    locate=_locate,
    gone="It was unpublished. Pin another version, or configure a registry that still has it.",
    scoped=True,
    page=_page,
    locks=LOCKS,
    manifests=("package.json",),
    workspaces=("pnpm-workspace.yaml", "package.json"),
    starts_member="web: cd {member} && npm start",
    vendored="node_modules",
    find_locks=find_locks,
    read_lock=_read,
    check_drift=check_drift,
    manager=_manager,
    check_manager=_check_manager,
    declared=declared,
    developed=developed,
    members=members,
    requires=_requires,
    facts=_facts,
    needs=_needs,
    builds=_builds,
    lock_name=_lock_name,
    make_lock=_make_lock,
    advice=_ADVICE,
    recipes=RECIPES,
    wants=_wants,
    layouts={LAYOUT: unpack, COMMIT: _unpack_commit},
    links=_links,
    check=_check,
    notes=_notes,
    tells=_tells,
    inventory=_inventory,
)
