"""Making an ecosystem's own lock file for an app that has none, with that ecosystem's own resolver.

uv for Python (its wheel comes with stager), npm for Node.js (the pinned npm on the pinned Node, from the registry). The result
is the standard file, for the app's author to commit; stager itself never resolves.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from . import box, detection, fetching, planning, runtimes
from .archive import content_chunks
from .buildpack import load
from .detection import versions
from .ecosystems import layout
from .errors import LockFailed, NoRuntime
from .model import Artifact, Detection, Stack
from .restage import Folder
from .staging import Settings
from .store import Store
from .tree import SourceTree

_TIMEOUT = 900
"""Seconds a resolver may take."""
_OTHERS = {"pnpm": "pnpm install --lockfile-only", "yarn": "yarn install", "bun": "bun install"}


def lock_app(root: str, settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Make what is missing of the app's own locks; the names of the files made.

    Raises LockFailed with the resolver's own words, and what detection and fetching raise.
    """
    folder = Folder(root, settings.store)
    made = []
    for detected in detection.detect(folder.tree, only=settings.buildpacks).matched:
        if detected.lock:
            continue
        if detected.buildpack == "python" and planning.unlocked(folder.tree, detected):
            made.append(_lock_python(folder, detected, settings, environ))
        elif detected.buildpack == "nodejs" and planning.unlocked(folder.tree, detected):
            made.append(_lock_node(folder, detected, settings, environ))
    return made


# --- Python ----------------------------------------------------------------------------------------------------


def _lock_python(folder: Folder, detected: Detection, settings: Settings, environ: Mapping[str, str]) -> str:
    from uv import find_uv_bin

    variables = {**environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    if len(settings.indexes.pypi()) == 1 or "UV_DEFAULT_INDEX" not in variables:
        variables["UV_DEFAULT_INDEX"] = settings.indexes.pypi()[0]
    variables.pop("VIRTUAL_ENV", None)
    if settings.offline:
        variables["UV_OFFLINE"] = "1"
    name, command = _uv_command(folder.tree)
    if name == "pylock.toml":
        command += [
            "--python-version",
            _python_version(folder.tree, detected, planning.stack_of(folder.tree, settings.stack), settings),
        ]
    _resolve([find_uv_bin(), *command], folder.root, variables, name)
    return name


def _uv_command(tree: SourceTree) -> tuple[str, list[str]]:
    """The lock that fits the manifest, and how uv makes it. Poetry's and Pipenv's own manifests need their own tool."""
    if "pyproject.toml" in tree.files and "[project]" in tree.read_text("pyproject.toml"):
        return "uv.lock", ["lock", "--python", sys.executable]
    if "Pipfile" in tree.files:
        raise LockFailed("Pipfile.lock", "only Pipenv reads a Pipfile", "Run 'pipenv lock' and commit Pipfile.lock.")
    if "requirements.txt" not in tree.files:
        raise LockFailed(
            "poetry.lock", "pyproject.toml has no [project] table", "Run 'poetry lock' and commit poetry.lock."
        )
    command = ["pip", "compile", "requirements.txt", "--universal", "--format", "pylock.toml", "--no-header"]
    return "pylock.toml", [*command, "--python", sys.executable, "-o", "pylock.toml"]


def _python_version(tree: SourceTree, detected: Detection, stack: Stack, settings: Settings) -> str:
    """The Python that staging will choose, as `major.minor`: what a lock of plain requirements must be for."""
    sources = planning.Sources.online(settings.store, settings.indexes, tree, settings.offline)
    asked = [(wanted, why) for name, wanted, why in detected.versions if name == "python"]
    chosen = runtimes.choose_python(asked, stack, sources.web, sources.debian(stack.suite))
    return ".".join(chosen.runtime.version.split(".")[:2])


# --- Node.js ---------------------------------------------------------------------------------------------------


def _lock_node(folder: Folder, detected: Detection, settings: Settings, environ: Mapping[str, str]) -> str:
    manager = versions.manager(folder.tree, load("nodejs"), "")
    if manager in _OTHERS:
        hint = f"Run '{_OTHERS[manager]}' and commit its lock file."
        raise LockFailed("package.json", f"packageManager names {manager}, whose lock only it can make", hint)
    sources = planning.Sources.online(settings.store, settings.indexes, folder.tree, settings.offline)
    stack = _host_stack()
    asked = [(wanted, why) for name, wanted, why in detected.versions if name == "node"]
    node = runtimes.choose_node(asked, stack, sources.web, settings.indexes.npm())
    npm = runtimes.choose_npm(node.runtime.version, [], stack, sources.web, settings.indexes.npm())
    with tempfile.TemporaryDirectory(prefix="stager-lock-") as place:
        blobs = fetching.fetch(
            (*node.artifacts, *npm.artifacts), settings.store, indexes=settings.indexes, offline=settings.offline,
            progress=settings.progress,
        )  # fmt: skip
        for artifact in (*node.artifacts, *npm.artifacts):
            _unpack(artifact, blobs[str(artifact.digest)], settings.store, place)
        home = os.path.join(place, ".stager/node")
        variables = {**environ, "PATH": f"{home}/bin:{environ.get('PATH', os.defpath)}"}
        command = [f"{home}/bin/node", f"{home}/lib/node_modules/npm/bin/npm-cli.js", "install", "--package-lock-only"]
        _resolve([*command, "--ignore-scripts", "--no-audit", "--no-fund"], folder.root, variables, "package-lock.json")
    return "package-lock.json"


def _host_stack() -> Stack:
    """The default stack for this host's processor: the resolver runs here, its result is for every platform."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "")
    if platform.system() != "Linux" or not architecture:
        hint = "Run 'npm install --package-lock-only' and commit package-lock.json."
        raise NoRuntime("node", "to resolve with", f"this {platform.system()} {platform.machine()}", [], hint=hint)
    return box.load(planning.DEFAULT_STACK, architecture)


def _unpack(artifact: Artifact, blob: str, store: Store, place: str) -> None:
    for path in artifact.paths:
        with layout(artifact.layout)(store.path(blob), artifact, path) as unpacked:
            for entry in unpacked.files:
                _write(os.path.join(place, entry.path), entry)


def _write(path: str, entry: object) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    content = entry.content  # type: ignore[attr-defined]
    with open(path, "wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content_chunks(content))
    os.chmod(path, 0o755 if entry.executable else 0o644)  # type: ignore[attr-defined]


def _resolve(command: list[str], root: str, environ: Mapping[str, str], lock: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=dict(environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LockFailed(lock, f"the resolver did not finish within {_TIMEOUT} seconds", "Try again.") from None
    if done.returncode:
        raise LockFailed(
            lock, (done.stderr or done.stdout).strip()[-2000:], "Correct the manifest, then run 'stager lock' again."
        )
