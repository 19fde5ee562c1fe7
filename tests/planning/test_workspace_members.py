"""A member of a workspace, given as the app's folder: the right folder is named, and nothing is written above."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import in_process

from stager.droplet.incremental import Folder
from stager.ecosystems.errors import LockFailed
from stager.ecosystems.npm import resolver as npm
from stager.ecosystems.pypi import declared
from stager.ecosystems.pypi import resolver as python
from stager.errors import BadManifest
from stager.locking import make_locks
from stager.net.indexes import Indexes
from stager.planning.above import refuse_member
from stager.planning.errors import WorkspaceMember
from stager.settings import Settings
from stager.store import Store
from stager.tree import SourceTree

UV = '[tool.uv.workspace]\nmembers = ["apps/*", "./libs/**"]\nexclude = ["apps/old"]\n'
PY = '[project]\nname = "api"\nversion = "1"\ndependencies = ["core", "flask"]\n'
PY += "[tool.uv.sources]\ncore = { workspace = true }\n"
JS = json.dumps({"name": "web", "version": "1.0.0", "dependencies": {"ms": "^2.1.3"}})
ROOTS = {
    "uv": ({"pyproject.toml": UV}, "pypi", "pyproject.toml"),
    "pdm": ({"pyproject.toml": '[tool.pdm.workspace]\nmembers = ["apps/*"]\n'}, "pypi", "pyproject.toml"),
    "rye": ({"pyproject.toml": '[tool.rye.workspace]\nmembers = ["apps/api"]\n'}, "pypi", "pyproject.toml"),
    "npm, Yarn, Bun": ({"package.json": '{"workspaces": ["./apps/*"]}'}, "npm", "package.json"),
    "Yarn 1": ({"package.json": '{"workspaces": {"packages": ["apps/**"]}}'}, "npm", "package.json"),
    "pnpm": ({"package.json": "{}", "pnpm-workspace.yaml": "packages: ['apps/*']\n"}, "npm", "pnpm-workspace.yaml"),
}


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def manifest(ecosystem: str) -> tuple[str, str]:
    return ("pyproject.toml", PY) if ecosystem == "pypi" else ("package.json", JS)


@pytest.mark.parametrize("tool", ROOTS)
def test_a_member_is_told_which_folder_to_stage(tool: str, tmp_path: Path) -> None:
    files, ecosystem, named = ROOTS[tool]
    name, text = manifest(ecosystem)
    root = lay(tmp_path / "repository", {**files, f"apps/api/{name}": text})
    with pytest.raises(WorkspaceMember) as caught:
        refuse_member(str(root / "apps/api"), ecosystem)
    assert caught.value.where == f"../../{named}"
    assert caught.value.message == "this folder is apps/api of the workspace in ../.., and is locked and staged with it"
    assert "which is ../.. from here" in caught.value.hint
    assert "'web: cd apps/api && " in caught.value.hint


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        ({"pyproject.toml": UV, "tools/api/pyproject.toml": PY}, "tools/api"),
        ({"pyproject.toml": UV, "apps/old/pyproject.toml": PY}, "apps/old"),
        ({"pyproject.toml": UV, "apps/api/.git/HEAD": "", "apps/api/pyproject.toml": PY}, "apps/api"),
        ({"pyproject.toml": UV, "apps/.git/HEAD": "", "apps/api/pyproject.toml": PY}, "apps/api"),
        ({"pyproject.toml": '[project]\nname = "a"\n', "apps/api/pyproject.toml": PY}, "apps/api"),
        ({"pyproject.toml": "[tool.uv.workspace\n", "apps/api/pyproject.toml": PY}, "apps/api"),
        ({"pyproject.toml": "[tool.uv]\nworkspace = 5\n", "apps/api/pyproject.toml": PY}, "apps/api"),
        ({"pyproject.toml": UV, "apps/api/pyproject.toml": PY}, ""),
    ],
)  # fmt: skip
def test_what_is_no_member_is_left_alone(files: dict[str, str], folder: str, tmp_path: Path) -> None:
    refuse_member(str(lay(tmp_path / "repository", files) / folder), "pypi")


@pytest.mark.parametrize("files", ["{", "[]", '{"workspaces": 5}', '{"name": 7, "workspaces": ["apps/*"]}'])
def test_a_broken_manifest_above_is_not_the_apps(files: str, tmp_path: Path) -> None:
    root = lay(tmp_path, {"package.json": files, "apps/web/package.json": JS})
    refuse_member(str(root / "apps/web"), "npm")


@pytest.mark.parametrize("command", ["stage", "lock", "plan"])
@pytest.mark.parametrize("tool", ["uv", "pnpm"])
def test_no_command_writes_above_the_folder(tool: str, command: str, tmp_path: Path) -> None:
    files, ecosystem, named = ROOTS[tool]
    name, text = manifest(ecosystem)
    root = lay(
        tmp_path / "repository", {**files, f"apps/api/{name}": text, "apps/api/main.py": "", "apps/api/server.js": ""}
    )
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    more = ["-o", tmp_path / "droplet.tgz"] if command == "stage" else []
    done = in_process(command, root / "apps/api", *more, "--json", store=tmp_path / "store")
    assert (done.code, done.document["error"]["code"]) == (20, "WorkspaceMember")
    assert done.document["error"]["where"] == f"../../{named}"
    assert sorted(path.relative_to(root) for path in root.rglob("*")) == before


def test_a_member_with_a_lock_of_its_own_or_without_packages_is_an_app(tmp_path: Path) -> None:
    alone = '{"name": "web", "version": "1.0.0"}'
    own = '{"name": "web", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "web", "version": "1.0.0"}}}'
    files = {"package.json": '{"workspaces": ["apps/*"]}', "apps/web/package.json": alone, "apps/web/server.js": "0\n"}
    for more in ({}, {"apps/web/package-lock.json": own}):
        root = lay(tmp_path, {**files, **more})
        assert in_process("detect", root / "apps/web", "--json", store=tmp_path / "store").good().document["matched"]
        folder = Folder.read(str(root / "apps/web"))
        assert make_locks(folder, settings(tmp_path), {}) == {}


def settings(tmp_path: Path) -> Settings:
    return Settings(store=Store(str(tmp_path / "store")), configured=lambda: indexes(tmp_path), offline=True)


def indexes(tmp_path: Path) -> Indexes:
    return Indexes.from_environment({}, home=str(tmp_path), apt=str(tmp_path), system=str(tmp_path))


# --- a member without its workspace ----------------------------------------------------------------------------


def test_a_member_that_was_copied_out_of_its_workspace(tmp_path: Path) -> None:
    with pytest.raises(BadManifest) as caught:
        python.projects(SourceTree.of({"pyproject.toml": PY}), indexes(tmp_path), lambda: "3.11.2")
    assert caught.value.where == "pyproject.toml:6"
    assert caught.value.message == "core is to come from a workspace, and this folder is none"
    assert caught.value.hint == "Stage the folder whose pyproject.toml has [tool.uv.workspace]."
    manifest = json.dumps({"name": "web", "dependencies": {"@mono/util": "workspace:^"}}, indent=1)
    with pytest.raises(BadManifest) as caught:
        npm.manifests(SourceTree.of({"package.json": manifest}), indexes(tmp_path))
    assert caught.value.where == "package.json:4"
    assert caught.value.message == "@mono/util is asked for as 'workspace:^', which npm does not understand"
    assert caught.value.hint == "Stage the workspace's own folder, with the lock that pnpm, Yarn or Bun makes there."


# --- the workspace's own folder --------------------------------------------------------------------------------


def test_the_root_of_a_workspace_needs_what_its_members_need(tmp_path: Path) -> None:
    root = lay(tmp_path / "uv", {"pyproject.toml": UV, "apps/api/pyproject.toml": PY, "main.py": ""})
    assert declared(SourceTree.read(str(root))) == {"core", "flask"}
    files = {
        "package.json": "{}",
        "pnpm-workspace.yaml": "packages: [web]\n",
        "web/package.json": JS,
        "server.js": "0\n",
    }
    with pytest.raises(LockFailed) as caught:
        make_locks(Folder.read(str(lay(tmp_path / "pnpm", files))), settings(tmp_path), {})
    assert caught.value.hint == "Run 'pnpm install --lockfile-only' and commit pnpm-lock.yaml."
    assert "pnpm-workspace.yaml names the members of a workspace, and only pnpm reads it" in caught.value.message
