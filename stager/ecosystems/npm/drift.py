"""Is an npm-family lock still the one that its package.json files ask for?

As strict as the tool's own frozen install: npm and Yarn look whether each declared range is answered, pnpm and Bun
compare the ranges as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from stager.errors import LockStale
from stager.text.typed import Node

from . import berry_lock, bun, documents, pnpm, yarn
from .berry_lock import Table, catalogs
from .manifest import PackageJson, all_manifests, manifest
from .names import base_name, folder
from .semver import satisfies

if TYPE_CHECKING:
    from stager.tree import SourceTree

Changed = Iterator[str]
"""Paths of the package.json files that the lock does not fit."""


def npm(tree: SourceTree, lock: str) -> Changed:
    """Each declared name is in the lock, in a version that the range allows; each name in the lock is declared.

    Raises BadLock for a link that leads out of the app: no command would make it fit.
    """
    root = documents.parse_json(documents.text(tree, lock), lock)
    manifests = all_manifests(tree)
    if "packages" not in root.value:
        for item in manifests.values():
            if not all(_v1_answers(root, name, wanted) for name, wanted in item.all().items()):
                yield item.path
        return
    packages = root.table("packages")
    for path, node in packages.items():
        if node.bool("link", False):
            folder(node.str("resolved"), lock, base_name(path))
    for path, item in manifests.items():
        if path not in packages or not _entry_fits(item, packages[path], path, packages):
            yield item.path
    yield from ("package.json" for path in _gone(packages, manifests))


def _v1_answers(root: Node, name: str, wanted: str) -> bool:
    entry = root.table("dependencies").get(name)
    if entry is None:
        return False
    version = entry.str("version")
    plain = wanted.rpartition("@")[2] if wanted.startswith("npm:") else wanted
    return satisfies(version.rpartition("@")[2] if version.startswith("npm:") else version, plain) is not False


def _entry_fits(item: PackageJson, entry: Node, path: str, packages: Mapping[str, Node]) -> bool:
    for key, wanted in (
        ("dependencies", item.production),
        ("devDependencies", {name: text for name, text in item.dev.items() if name not in item.optional}),
        ("optionalDependencies", item.optional),
        ("peerDependencies", item.peer),
    ):
        locked = {name: str(node.value) for name, node in entry.table(key).items()}
        if key in ("dependencies", "devDependencies"):
            locked = {name: text for name, text in locked.items() if name not in item.optional}
        if locked.keys() != wanted.keys():
            return False
        if not all(locked[name] == text or _answered(path, name, text, packages) for name, text in wanted.items()):
            return False
    return True


def _answered(path: str, name: str, wanted: str, packages: Mapping[str, Node]) -> bool:
    """Whether what Node finds under `name` is in the range, though the lock was made for another text."""
    while True:
        entry = packages.get(f"{path}/node_modules/{name}".lstrip("/"))
        if entry is not None:
            return satisfies(entry.str("version", ""), wanted) is True
        if not path:
            return False
        path = path.rpartition("/")[0]


def _gone(packages: Mapping[str, Node], manifests: Mapping[str, PackageJson]) -> Iterator[str]:
    """Workspaces of the lock that package.json no longer names."""
    linked = {node.str("resolved", "") for node in packages.values() if node.bool("link", False)}
    local = {
        wanted.removeprefix("file:").removeprefix("./")
        for item in manifests.values()
        for wanted in item.all().values()
        if wanted.startswith("file:")
    }
    for path in linked:
        if path not in manifests and not any(path.endswith(place.lstrip("./")) for place in local):
            yield path


def pnpm_lock(tree: SourceTree, lock: str) -> Changed:
    """Each importer's specifiers are those of its package.json, as `--frozen-lockfile` demands."""
    root = pnpm.document(tree, lock)
    settings = root.table("settings")
    peers = _is_true(settings, "autoInstallPeers")
    no_links = _is_true(settings, "excludeLinksFromLockfile")
    rules = [*map(str, root.table("overrides")), *root.strings("ignoredOptionalDependencies")]
    targets = {rule.rpartition(">")[2].strip() for rule in rules}
    free = targets | {target.rpartition("@")[0] for target in targets}
    for path, node in pnpm.importers(root).items():
        item = manifest(tree, f"{path}/package.json".lstrip("/"))
        wanted = {name: text for name, text in item.all().items() if not (no_links and text.startswith("link:"))}
        locked = pnpm.declared(node)
        extra = item.peer if peers else {}
        if any(name not in free and locked.get(name) != text for name, text in wanted.items()) or any(
            name not in wanted and name not in extra and name not in free for name in locked
        ):
            yield item.path


def _is_true(settings: Mapping[str, Node], key: str) -> bool:
    return key in settings and settings[key].value == "true"


def yarn_lock(tree: SourceTree, lock: str) -> Changed:
    """Each declared `name@range` has an entry."""
    text = documents.text(tree, lock)
    if berry_lock.is_berry(text):
        yield from _berry(tree, lock)
        return
    entries = yarn.parse(text, lock)
    manifests = all_manifests(tree)
    forced = {key.rpartition("/")[2] for key in manifests[""].resolutions}
    for item in manifests.values():
        for name, wanted in item.all().items():
            here = f"{name}@{wanted}" in entries or name in forced or yarn.workspace(name, wanted, manifests)
            if not here and not wanted.startswith("link:"):
                yield item.path


def _berry(tree: SourceTree, lock: str) -> Changed:
    root = manifest(tree)
    table = Table(berry_lock.entries(tree, lock), root, catalogs(tree), lock)
    found = table.workspaces
    for path, item in all_manifests(tree).items():
        wanted = item.all()
        if path not in found or not _berry_fits(wanted, found[path].needs):
            yield item.path


def _berry_fits(wanted: Mapping[str, str], locked: Mapping[str, str]) -> bool:
    plain = {name: text.removeprefix("npm:") for name, text in locked.items()}
    return plain == {name: text.removeprefix("npm:") for name, text in wanted.items()}


def bun_lock(tree: SourceTree, lock: str) -> Changed:
    """Each workspace's ranges are those of its package.json."""
    spaces = bun.document(tree, lock).table("workspaces")
    for path, item in all_manifests(tree).items():
        node = spaces.get(path)
        if node is None or not _bun_fits(item, node):
            yield item.path


def _bun_fits(item: PackageJson, node: Node) -> bool:
    locked: dict[str, str] = {}
    for key in ("devDependencies", "dependencies", "optionalDependencies"):
        locked |= {name: str(entry.value) for name, entry in node.table(key).items()}
    return locked == dict(item.all())


_CHECKS: Mapping[str, tuple[Callable[[SourceTree, str], Changed], str]] = {
    "npm-shrinkwrap.json": (npm, "npm install"),
    "package-lock.json": (npm, "npm install"),
    "pnpm-lock.yaml": (pnpm_lock, "pnpm install --lockfile-only"),
    "yarn.lock": (yarn_lock, "yarn install"),
    "bun.lock": (bun_lock, "bun install"),
}


def check_drift(tree: SourceTree, lock: str) -> None:
    """Raises LockStale with the package.json files that the lock does not fit and the command that mends it.

    Raises BadLock and BadManifest for files that cannot be read.
    """
    check, command = _CHECKS[lock.rpartition("/")[2]]
    changed = list(dict.fromkeys(check(tree, lock)))
    if changed:
        raise LockStale(lock, changed, command)
