"""A lock belongs to a stack and an architecture: staging for one never touches what is pinned for another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command import in_process

from stager.droplet import incremental
from stager.tree import SourceTree

OTHER = "stager.debian-13.lock"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app that needs no index for its plan."""
    place = tmp_path / "app"
    place.mkdir()
    (place / "Procfile").write_text("web: ./serve\n")
    (place / "serve").write_text("#!/bin/sh\nexec sleep 1\n")
    (place / "serve").chmod(0o755)
    return place


def stage(app: Path, *options: str) -> dict[str, Any]:
    out, store = app.parent / "droplet.tgz", app.parent / "store"
    found: dict[str, Any] = in_process("stage", app, *options, "-o", out, "--json", "--offline", store=store).document
    return found


def locks(app: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in app.glob("stager*.lock")}


def test_another_stack_has_its_lock_beside_the_apps_own(app: Path) -> None:
    own = stage(app)
    first = locks(app)
    assert list(first) == ["stager.lock"]
    other = stage(app, "--stack", "debian-13")
    assert f"wrote {OTHER}, which pins what this droplet is made from; commit it" in other["notes"]
    both = locks(app)
    assert both == {**first, OTHER: both[OTHER]}
    assert incremental.pinned(both[OTHER]) == ("debian-13", "amd64")
    assert (own["stack"], other["stack"]) == ("debian-12", "debian-13")
    for options, digest in ((("--locked",), own), (("--stack", "debian-13", "--locked"), other)):
        again = stage(app, *options)
        assert (again["digest"], again["stack"]) == (digest["digest"], digest["stack"])
    assert stage(app)["stack"] == "debian-12", "the other stack does not stick"
    assert locks(app) == both


def test_a_stack_asked_for_first_does_not_become_the_apps_own(app: Path) -> None:
    assert stage(app, "--stack", "heroku-24")["stack"] == "heroku-24"
    assert list(locks(app)) == ["stager.heroku-24.lock"]
    assert stage(app)["stack"] == "debian-12"
    assert sorted(locks(app)) == ["stager.heroku-24.lock", "stager.lock"]


def test_another_architecture_has_its_lock_too(app: Path) -> None:
    stage(app)
    first = locks(app)
    assert stage(app, "--arch", "arm64")["architecture"] == "arm64"
    assert stage(app, "--arch", "arm64", "--stack", "debian-13")["stack"] == "debian-13"
    found = locks(app)
    assert sorted(found) == ["stager.debian-12.arm64.lock", "stager.debian-13.arm64.lock", "stager.lock"]
    assert found["stager.lock"] == first["stager.lock"]


def test_the_app_says_which_stack_is_its_own(app: Path) -> None:
    (app / "stager.yml").write_text("stack: heroku-24\n")
    assert stage(app, "--stack", "heroku-24")["stack"] == "heroku-24"
    assert list(locks(app)) == ["stager.lock"]
    stage(app, "--stack", "debian-12")
    assert sorted(locks(app)) == ["stager.debian-12.lock", "stager.lock"]
    assert stage(app, "--locked")["stack"] == "heroku-24"


def test_a_lock_made_for_another_stack_keeps_being_the_apps_own(app: Path) -> None:
    """As earlier versions wrote it, and 'stager lock' with stager.yml's stack taken out again."""
    stage(app, "--stack", "debian-13")
    (app / OTHER).rename(app / "stager.lock")
    kept = locks(app)
    assert stage(app, "--stack", "debian-13", "--locked")["stack"] == "debian-13"
    assert stage(app)["stack"] == "debian-13"
    assert locks(app) == kept


def test_the_lock_command_and_hints_name_the_stacks_own(app: Path) -> None:
    store = app.parent / "store"
    stage(app)
    error = stage(app, "--stack", "debian-13", "--locked")["error"]
    hint = "Run 'stager lock --stack debian-13' and commit the file."
    assert (error["message"], error["hint"], error["where"]) == (f"there is no {OTHER}", hint, OTHER)
    before = locks(app)["stager.lock"]
    made = in_process("lock", app, "--stack", "debian-13", "--offline", store=store).good()
    assert f"{OTHER}: debian-13/amd64, no runtime, 0 artifacts" in made.err
    assert locks(app)["stager.lock"] == before
    (app / "Procfile").write_text("web: ./serve --more\n")
    for options, name, command in (
        ((), "stager.lock", "stager lock"),
        (("--stack", "debian-13"), OTHER, "stager lock --stack debian-13"),
    ):
        error = stage(app, *options, "--locked")["error"]
        assert error["where"] == name
        assert error["hint"] == f"Run '{command}' and commit the result."
    (app / OTHER).write_bytes(b"version = 1\n<<<<<<< ours\n")
    error = stage(app, "--stack", "debian-13")["error"]
    assert (error["code"], error["where"].partition(":")[0]) == ("BadLock", OTHER)
    assert error["hint"] == "Run 'stager lock --stack debian-13', or restore the file from version control."


def test_no_lock_of_any_stack_is_source(app: Path) -> None:
    without = SourceTree.read(str(app))
    for name in ("stager.lock", OTHER, "stager.debian-12.arm64.lock", "stager.mine.lock"):
        (app / name).write_text("x")
    assert SourceTree.read(str(app)) == without
    (app / "stagerXlock").write_text("x")
    (app / "sub").mkdir()
    (app / "sub" / "stager.lock").write_text("x")
    assert set(SourceTree.read(str(app)).files) - set(without.files) == {"stagerXlock", "sub/stager.lock"}


def test_no_output_replaces_a_lock(app: Path) -> None:
    store = app.parent / "store"
    for name in ("stager.lock", OTHER):
        done = in_process("stage", app, "-o", app / name, "--json", "--offline", store=store)
        assert done.document["error"]["message"] == f"{name} is a file of the app, and would be replaced"


@pytest.mark.parametrize("name", ["../../x", "a/b", "/etc/x", "..", "no-such"])
def test_what_is_no_stack_names_no_file(name: str, app: Path) -> None:
    assert stage(app, "--stack", name)["error"]["message"] == f"there is no stack {name!r}"
    assert not locks(app)


def test_verify_takes_the_lock_of_the_droplets_stack(app: Path) -> None:
    store, out = app.parent / "store", app.parent / "droplet.tgz"
    stage(app)
    stage(app, "--stack", "debian-13")
    in_process("verify", out, "--source", app, store=store).good()
    (app / OTHER).unlink()
    error = in_process("verify", out, "--source", app, "--json", store=store).document["error"]
    assert (error["code"], error["where"]) == ("LockMissing", OTHER)
