"""An app without a lock of its packages: `stage` makes it as `stager lock` would; nothing else does so unasked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import in_process

import stager as library
from stager.droplet.incremental import Folder
from stager.ecosystems.errors import LockFailed
from stager.errors import Unpinned
from stager.net.indexes import Indexes
from stager.settings import Settings
from stager.staging import put_locks
from stager.store import Store

APPS: dict[str, tuple[str, dict[str, str]]] = {
    "uv": (
        "uv.lock",
        {
            "pyproject.toml": '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["blinker"]\n',
            "main.py": "import blinker\n",
        },
    ),
    "requirements": ("pylock.toml", {"requirements.txt": "blinker<2\n", "main.py": "import blinker\n"}),
    "npm": (
        "package-lock.json",
        {
            "package.json": '{"name": "a", "version": "1.0.0", "dependencies": {"ms": "^2.1.0"}}\n',
            "server.js": "require('ms')\n",
        },
    ),
}
MADE = "made {}, as the app has no lock of its packages; commit it"
OFFLINE = "Run 'stager lock' to make a lock file, and commit it. That asks indexes, and --offline is set."
WOULD = "the app has no lock of its packages; 'stager stage' makes {}, as it was made for this"


def app_of(name: str, place: Path) -> Path:
    place.mkdir()
    for path, text in APPS[name][1].items():
        (place / path).write_text(text)
    return place


@pytest.mark.network
@pytest.mark.parametrize("name", APPS)
def test_stage_makes_what_lock_makes(name: str, tmp_path: Path, shared_store: Path) -> None:
    lock, app, other = APPS[name][0], app_of(name, tmp_path / "app"), app_of(name, tmp_path / "other")
    before = sorted(path.name for path in app.iterdir())
    planned = in_process("plan", app, store=shared_store).good()
    assert f"note: {WOULD.format(lock)}" in planned.err
    assert sorted(path.name for path in app.iterdir()) == before
    staged = in_process("stage", app, "-o", tmp_path / "a.tgz", "--json", store=shared_store).good().document
    assert MADE.format(lock) in staged["notes"]
    assert sorted(path.name for path in app.iterdir()) == sorted([*before, lock, "stager.lock"])
    assert planned.out.encode() == (app / "stager.lock").read_bytes()
    in_process("lock", other, store=shared_store).good()
    assert (other / lock).read_bytes() == (app / lock).read_bytes()
    again = (
        in_process("stage", other, "--locked", "-o", tmp_path / "b.tgz", "--json", store=shared_store).good().document
    )
    assert again["digest"] == staged["digest"]
    assert MADE.format(lock) not in again["notes"]


@pytest.mark.network
def test_the_library_makes_a_lock_only_where_it_saves_one(tmp_path: Path, shared_store: Path) -> None:
    app, store = app_of("uv", tmp_path / "app"), library.Store(str(shared_store))
    with pytest.raises(Unpinned):
        library.stage(str(app), out=str(tmp_path / "a.tgz"), store=store)
    assert not (app / "uv.lock").exists()
    droplet = library.stage(str(app), out=str(tmp_path / "a.tgz"), store=store, save_lock=True)
    assert MADE.format("uv.lock") in droplet.notes
    assert (app / "uv.lock").exists()


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize(
    ("option", "code", "hint"),
    [
        ("--offline", "Unpinned", OFFLINE),
        ("--locked", "LockMissing", "Run 'stager lock' and commit the file."),
    ],
)
def test_neither_offline_nor_locked_makes_one(name: str, option: str, code: str, hint: str, tmp_path: Path) -> None:
    app = app_of(name, tmp_path / "app")
    for command in ("stage", "plan"):
        out = ["-o", tmp_path / "a.tgz"] if command == "stage" else []
        error = in_process(command, app, option, *out, "--json", store=tmp_path / "store").document["error"]
        assert (error["code"], error["hint"]) == (code, hint)
    assert sorted(path.name for path in app.iterdir()) == sorted(APPS[name][1])
    shutil.rmtree(tmp_path / "store", ignore_errors=True)


@pytest.mark.parametrize(
    ("manager", "lock", "command"),
    [
        ("pnpm@9.1.0", "pnpm-lock.yaml", "pnpm install --lockfile-only"),
        ("yarn@1.22.22", "yarn.lock", "yarn install"),
        ("bun@1.3.1", "bun.lock", "bun install"),
    ],
)
def test_a_lock_that_only_its_own_tool_makes_is_named(manager: str, lock: str, command: str, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "package.json").write_text(
        f'{{"packageManager": "{manager}", "dependencies": {{"ms": "2"}}, "scripts": {{"start": "node x"}}}}'
    )
    (app / ".nvmrc").write_text("24\n")
    error = in_process("lock", app, "--json", "--offline", store=tmp_path / "store").document["error"]
    assert (error["code"], error["where"]) == ("LockFailed", lock)
    assert error["hint"] == f"Run '{command}' and commit {lock}."
    assert sorted(path.name for path in app.iterdir()) == [".nvmrc", "package.json"]


def no_indexes() -> Indexes:
    raise AssertionError("nothing is asked of an index")


MINE = "build/\npackage-lock.json\n"


@pytest.mark.parametrize(
    ("ignores", "own"),
    [
        ({".gitignore": MINE}, (".stagerignore", "!/package-lock.json\n")),
        ({".gitignore": MINE, ".cfignore": "docs"}, (".cfignore", "docs\n!/package-lock.json\n")),
    ],
    ids=["git", "cf"],
)
def test_a_lock_that_is_made_is_source_whatever_git_ignores(
    ignores: dict[str, str], own: tuple[str, str], tmp_path: Path
) -> None:
    app, store = app_of("npm", tmp_path / "app"), Store(str(tmp_path / "store"))
    for path, text in ignores.items():
        (app / path).write_text(text)
    made = {"package-lock.json": b"{}\n"}
    folder, remarks = put_locks(Folder.read(str(app), store), made, Settings(store, no_indexes))
    assert "package-lock.json" in folder.tree.files
    assert (app / own[0]).read_text() == own[1]
    taken = f"an ignore file leaves package-lock.json out, so {own[0]} takes it in; commit both"
    assert [remark.startswith(taken) for remark in remarks] == [True]


def test_a_lock_that_is_there_and_no_source_is_not_overwritten(tmp_path: Path) -> None:
    app = app_of("npm", tmp_path / "app")
    (app / ".gitignore").write_text(MINE)
    (app / "package-lock.json").write_text("{}")
    error = in_process("lock", app, "--json", store=tmp_path / "store").document["error"]
    assert (error["code"], error["where"]) == ("LockFailed", "package-lock.json")
    assert error["hint"].startswith("Write '!/package-lock.json' into .stagerignore to use it")


@pytest.mark.parametrize(
    ("own", "hint"),
    [
        (".cfignore", "Write '!/package-lock.json' into .cfignore to use it"),
        (".slugignore", "Take package-lock.json out of the ignore files to use it"),
    ],
)
def test_the_app_s_own_ignore_file_stays_the_one_that_is_used(own: str, hint: str, tmp_path: Path) -> None:
    app = app_of("npm", tmp_path / "app")
    (app / ".gitignore").write_text(MINE)
    (app / own).write_text("private.csv\n")
    (app / "package-lock.json").write_text("{}")
    error = in_process("lock", app, "--json", store=tmp_path / "store").document["error"]
    assert error["hint"].startswith(hint)


@pytest.mark.parametrize("by", [".slugignore", ".gitignore"])
def test_an_ignore_file_without_negation_can_take_in_no_lock(by: str, tmp_path: Path) -> None:
    app, store = app_of("npm", tmp_path / "app"), Store(str(tmp_path / "store"))
    (app / ".slugignore").write_text(MINE if by == ".slugignore" else "docs\n")
    (app / by).write_text(MINE)
    with pytest.raises(LockFailed) as refused:
        put_locks(Folder.read(str(app), store), {"package-lock.json": b"{}\n"}, Settings(store, no_indexes))
    assert (app / by).read_text() == MINE
    assert not (app / "package-lock.json").exists()
    assert str(refused.value).startswith("package-lock.json could not be made: an ignore file leaves it out\n")
