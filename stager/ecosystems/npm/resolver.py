"""What npm is shown of an app in place of its files: manifests with nothing to run, and settings that name no program.

npm reads the `.npmrc` of the folder it works in, which may name the git program, a shell, node's options and certificates; a
dependency on a repository is cloned and prepared. So npm never sees the app: each `package.json` that takes part is written
anew with what a lock is made from, settings are those of this machine and a few of the app's that only say how to resolve.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from stager.ecosystems.errors import LockFailed
from stager.ecosystems.record import APP, HOME
from stager.errors import BadManifest, NeedsBuild
from stager.net.indexes import Indexes
from stager.net.indexes.configured import NPM_AGES, npm_options, npmrc
from stager.net.indexes.origins import PORTS, Origin
from stager.text.source_lines import line_of
from stager.text.typed import Node

from . import cures, documents, pnpm_settings
from .manifest import all_manifests
from .source import is_git, is_local_tarball, is_web

if TYPE_CHECKING:
    from stager.ecosystems.record import Workplace
    from stager.tree import SourceTree

_OPTIONS = (
    *("--ignore-scripts", "--allow-git=none", "--allow-remote=all", "--no-audit", "--no-fund", "--no-update-notifier"),
    *("--no-progress", "--logs-max=0"),
)
"""Not `--allow-remote=root`: npm 11 takes it for a package from elsewhere when it opens one of the registry's that bundles
others, to list these. `check_places` keeps that rule in its place."""
_DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "overrides")
_KEPT = (
    *("name", "version", "private", "license", "engines", "os", "cpu", "libc", "bin", "funding", "workspaces"),
    *(*_DEPENDENCIES, "peerDependenciesMeta", "bundleDependencies", "bundledDependencies"),
)
_SHORT = re.compile(r"[^@./~\s:][^/\s:]*/[^/\s#:]+(?:#.*)?")
"""`owner/repository`, which npm takes from a code host."""
_HOSTED = re.compile(
    r"https?://(?:www\.)?(?:github\.com|gitlab\.com|bitbucket\.org|gist\.github\.com)/[^/]+/[^/#]+/?(?:#.*)?"
)
_FAILED = re.compile(r"npm (?:error|ERR!)[^\n]*?(?:git dep|allow-git|EALLOWGIT|spawn [^\n]*no-git)", re.IGNORECASE)
_PACKAGE = re.compile(r"((?:@[\w.-]+/)?[\w.-]+)@(?:git|ssh|github|gitlab|bitbucket|gist|https?)[+:]\S+")
_LOCKED = (
    "A lock that names its commit is all it takes: run 'npm install --package-lock-only' and commit package-lock.json, or "
    "depend on a published version."
)
HINT = (
    "A resolver runs nothing: depend on versions of a registry; for what another package asks for, name one by 'overrides' in "
    "package.json."
)


_ELSEWHERE = "Ask for another version, or name one of a registry by 'overrides' in package.json."
_MODULES = "node_modules/"
LOCK = "package-lock.json"
_OTHERS = {
    "pnpm": ("pnpm-lock.yaml", "pnpm install --lockfile-only"),
    "yarn": ("yarn.lock", "yarn install"),
    "bun": ("bun.lock", "bun install"),
}
"""Package managers whose locks only they can make: the lock's name, and the command."""


def lock_name(tree: SourceTree, manager: str) -> str:
    """The lock that npm makes. Raises LockFailed when the app asks for another package manager."""
    why = f"package.json's packageManager names {manager}, whose lock only it can make"
    if manager not in _OTHERS and pnpm_settings.packages(tree):
        manager, why = "pnpm", f"{pnpm_settings.WORKSPACE} names the members of a workspace, and only pnpm reads it"
    if manager in _OTHERS:
        lock, command = _OTHERS[manager]
        raise LockFailed(lock, why, f"Run '{command}' and commit {lock}.")
    return LOCK


def resolve(tree: SourceTree, install: Callable[[str], str], scratch: Workplace) -> bytes:
    """The `package-lock.json` that npm makes of an app. `install` lays Node and npm out in a folder and says where they are.

    Raises what `manifests` and `settings` raise, NeedsBuild, LockFailed with npm's own words.
    """
    root, lock = scratch.root, LOCK
    scratch.write({f"{APP}/{path}": text for path, text in manifests(tree, scratch.indexes).items()})
    scratch.write({f"{HOME}/.npmrc": settings(tree, scratch.indexes)})
    home = install(f"{root}/node")
    os.symlink(f"{home}/bin/node", f"{root}/bin/node")
    command = [
        f"{home}/bin/node",
        f"{home}/lib/node_modules/npm/bin/npm-cli.js",
        "install",
        "--package-lock-only",
        *_OPTIONS,
    ]
    command += [
        f"--git={root}/bin/no-git",
        f"--prefix={root}/{APP}",
        f"--cache={root}/cache",
        f"--cafile={root}/ca.pem",
    ]
    files = {"npm_config_userconfig": f"{root}/{HOME}/.npmrc", "npm_config_globalconfig": f"{root}/{HOME}/none"}
    done = scratch.run(lock, command, files)
    if done.code:
        raise failed(done.said) or done.failure(lock)
    made = scratch.read(lock)
    check_places(made)
    return made


def manifests(tree: SourceTree, indexes: Indexes) -> dict[str, bytes]:
    """The app's package.json, its workspaces' and those of folders it depends on, and tarballs of the app, by path.

    Raises NeedsBuild for repositories, BadManifest for what leads out of the app, may not be fetched, or is not npm's.
    """
    reader = _Reader(tree, indexes)
    for folder in all_manifests(tree):
        reader.add(folder)
    if reader.needs:
        raise cures.needs_build(list(dict.fromkeys(reader.needs)))
    return reader.files


def settings(tree: SourceTree, indexes: Indexes) -> bytes:
    """npm's settings as a `.npmrc`: registries, the operator's credentials for just these, and how to resolve.

    `indexes` are with the app's own registries. Raises BadManifest.
    """
    own = npm_options(npmrc(tree.read_text(".npmrc"), {})) if ".npmrc" in tree.files else {}
    ages = {key: value for key, value in indexes.npm_options.items() if key in NPM_AGES}
    rows = {**indexes.npm_options, **own, **ages, "registry": indexes.npm()}
    rows |= {f"{scope}:registry": url for scope, url in indexes.npm_scopes.items()}
    origins = {Origin.of(url) for key, url in rows.items() if key.endswith("registry")}
    for one in indexes.credentials:
        kind, _, secret = one.header.partition(" ")
        if one.origin in origins:
            key = "_authToken" if kind == "Bearer" else "_auth"
            port = "" if one.origin.port == PORTS[one.origin.scheme] else f":{one.origin.port}"
            rows[f"//{one.origin.host}{port}{one.path}:{key}"] = secret
    if odd := next((key for key, value in rows.items() if "${" in value or "\n" in value), ""):
        hint = "Take it out of the app's .npmrc, and set it in this machine's own."
        raise BadManifest(".npmrc", f"{odd} names a variable of the environment, which is not read here", hint)
    return "".join(f"{key}={value}\n" for key, value in rows.items()).encode()


def failed(said: str) -> NeedsBuild | None:
    """What npm says it needed a repository for; None when that is not why it failed."""
    if not _FAILED.search(said):
        return None
    names = dict.fromkeys(_PACKAGE.findall(said)) or {"a dependency of a dependency": None}
    return NeedsBuild([(name, "it comes from a git repository") for name in names], HINT)


def check_places(lock: bytes) -> None:
    """Raise LockFailed where a package of a registry brings another one from a URL: only the app itself may name those."""
    packages = Node(json.loads(lock), LOCK, fail_with=documents.bad_lock).table("packages")
    for at, one in packages.items():
        asked = [row for key in _DEPENDENCIES[:4] for row in _asked(one.value.get(key))] if _MODULES in at else ()
        for name, spec in asked:
            if is_web(spec.lower()) and spec in _found(packages, at, name):
                label = f"{at.rpartition(_MODULES)[2]}@{one.str('version', '')}"
                raise LockFailed(LOCK, f"{label} asks for {name} at {spec[:200]}, and not of a registry", _ELSEWHERE)


def _found(packages: Mapping[str, Node], at: str, name: str) -> set[str]:
    """Where what a package at a place finds under a name is from."""
    while at:
        if found := packages.get(f"{at}/{_MODULES}{name}"):
            return {found.str("resolved", "")}
        at = at.rpartition(f"/{_MODULES}")[0]
    found = packages.get(_MODULES + name)
    return {found.str("resolved", "")} if found else set()


class _Reader:
    """Goes from manifest to manifest by their `file:` dependencies."""

    def __init__(self, tree: SourceTree, indexes: Indexes) -> None:
        self.tree, self.indexes = tree, indexes
        self.files: dict[str, bytes] = {}
        self.needs: list[tuple[str, str, str]] = []

    def add(self, folder: str) -> None:
        path = posixpath.join(folder, "package.json")
        if path in self.files:
            return
        text = documents.text(self.tree, path, documents.bad_manifest)
        document = documents.package_json(self.tree, path)
        self.files[path] = _written(document)
        for key in _DEPENDENCIES:
            for name, spec in _asked(document.value.get(key)):
                self._check(folder, name, spec.strip(), path, line_of(text, rf'"{re.escape(name)}"\s*:') or 1)

    def _check(self, folder: str, name: str, spec: str, path: str, line: int) -> None:
        if is_git(spec.lower()) or _SHORT.fullmatch(spec) or _HOSTED.fullmatch(spec.lower()):
            why = f"a git repository, asked for by {path}:{line}"
            self.needs.append((name, why, _LOCKED))
        elif spec.startswith("workspace:"):
            why = f"{name} is asked for as {spec[:80]!r}, which npm does not understand"
            hint = "Stage the workspace's own folder, with the lock that pnpm, Yarn or Bun makes there."
            raise BadManifest(path, why, hint, line)
        elif is_web(spec.lower()):
            if why := self.indexes.refusal(spec.partition("#")[0]):
                hint = "Depend on a version of a registry, or put the tarball into the app and depend on it by 'file:'."
                raise BadManifest(path, f"the URL of {name} is not fetched: {why}", hint, line)
        elif spec.startswith(("file:", "link:", ".", "/", "~/")) or is_local_tarball(spec):
            self._place(folder, name, unquote(spec.partition(":")[2] if ":" in spec else spec), path, line)

    def _place(self, folder: str, name: str, place: str, path: str, line: int) -> None:
        inside = posixpath.normpath(posixpath.join(folder, place.removeprefix("//")))
        if place.startswith(("/", "~")) or "\\" in place or inside.split("/")[0] == "..":
            raise BadManifest(path, f"{name} is at {place[:200]!r}, outside the app", "Put it into the app.", line)
        if inside in self.tree.files:
            self.files[inside] = self.tree.read_bytes(inside)
        elif posixpath.join(inside, "package.json") in self.tree.files:
            self.add("" if inside == "." else inside)
        else:
            raise BadManifest(path, f"{name} is at {place[:200]!r}, and there is no package", "Add it.", line)


def _written(document: Node) -> bytes:
    """A manifest with what a lock is made from; scripts keep their names, of which the lock takes note, and do nothing."""
    kept: dict[str, Any] = {key: document.value[key] for key in _KEPT if key in document.value}
    if scripts := document.table("scripts"):
        kept["scripts"] = dict.fromkeys(scripts, ":")
    return json.dumps(kept).encode()


def _asked(value: object) -> Iterator[tuple[str, str]]:
    """(name, what is asked for) of a table, nested ones (`overrides`) included."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if isinstance(one, str):
                yield str(name), one
            else:
                yield from _asked(one)
