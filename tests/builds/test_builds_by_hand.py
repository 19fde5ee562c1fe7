"""`stager build` and `stager log`: builds run by hand, their logs, their sandbox on a terminal, why they ran."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest
from building import build, planned, stage
from command import PROGRAM, stager

from stager.model import BuildRoot
from stager.store import Store

FILES = {"src/a.txt": "one\n", "README": "a text\n"}
JOIN = "echo joining; mkdir -p static && cat src/*.txt > static/out.txt"


def test_an_app_without_builds(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/index.html").write_text("hello")
    (tmp_path / "app/Staticfile").write_text("")
    done = stager("log", "own", tmp_path / "app", store=tmp_path / "store")
    assert done.code == 2
    assert "the build own has not run for this app" in done.err


def test_a_shell_needs_a_terminal_and_a_name(tmp_path: Path) -> None:
    assert "--shell is for one build" in stager("build", "--shell", tmp_path, store=tmp_path / "store").err
    assert "--shell needs a terminal" in stager("build", "own", "--shell", store=tmp_path / "store", cwd=tmp_path).err


@pytest.fixture
def store(shared_store: Path) -> Store:
    return Store(str(shared_store))


@pytest.fixture
def app(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> Path:
    unique = f"app-{time.time_ns()}"  # the store knows of earlier runs in the same place
    own = build(JOIN, inputs=("src/**",))
    loud = build("tr a-z A-Z < static/out.txt > loud.txt", "loud.txt", name="loud")
    planned(tmp_path / unique, FILES | {"src/b.txt": unique}, plain_pins, own, loud, store=store)
    return tmp_path / unique


@pytest.mark.tools
@pytest.mark.network
def test_a_build_runs_by_hand_and_is_remembered(app: Path, shared_store: Path) -> None:
    first = stager("build", "./", "--json", store=shared_store, cwd=app).good().document["builds"]
    assert [(one["name"], one["ran"], one["checked"]) for one in first] == [("own", True, True), ("loud", True, True)]
    assert Path(first[0]["log"]).read_text() == "joining\n"
    again = stager("build", "own", app, store=shared_store).good()
    assert again.out == "own: remembered\n"
    forced = stager("build", "own", app, "--again", store=shared_store).good()
    assert forced.out.startswith("own: ran in ")
    assert "stager: building own …" in forced.err
    log = stager("log", "own", app, store=shared_store).good()
    assert log.out == "joining\njoining\n"
    staged = stager("stage", app, "-o", app.parent / "droplet.tgz", "--json", store=shared_store).good().document
    assert [(one["name"], one["ran"], one["key"]) for one in staged["builds"]] == [
        ("own", False, first[0]["key"]), ("loud", False, first[1]["key"])
    ]  # fmt: skip
    unknown = stager("build", "other", app, store=shared_store)
    assert "the app has no build other" in unknown.err
    assert "own, loud" in unknown.err


@pytest.mark.tools
@pytest.mark.network
def test_its_folder_is_left_when_that_is_wished(app: Path, shared_store: Path) -> None:
    kept = stager("build", "own", app, "--keep", "--json", store=shared_store).good().document["builds"][-1]["kept"]
    assert (Path(kept) / "app/static/out.txt").read_text().startswith("one\n")
    subprocess.run(["rm", "-rf", kept], check=True)


@pytest.mark.tools
@pytest.mark.network
def test_one_that_fails(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    planned(tmp_path / "app", FILES, plain_pins, build("echo no such thing; touch there; exit 3"), store=store)
    failed = stager("stage", tmp_path / "app", "-o", tmp_path / "out.tgz", "--json", store=Path(store.root))
    assert failed.code == 60
    assert Path(failed.document["error"]["log"]).read_text() == "no such thing\n"
    assert "'stager log own' prints all that it said" in failed.err
    assert stager("log", "own", tmp_path / "app", store=Path(store.root)).good().out == "no such thing\n"
    kept = stager("build", "own", tmp_path / "app", "--keep", "--json", store=Path(store.root))
    folder = kept.document["error"]["kept"]
    assert (Path(folder) / "app/there").exists()
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.mark.tools
@pytest.mark.network
def test_why_it_ran(app: Path, store: Store) -> None:
    def why(*more: str) -> dict[str, dict[str, object]]:
        done = stager("explain", "build", *more, "-C", app, "--json", store=Path(store.root)).good()
        return {one["subject"]: one for one in done.document["topics"]["build"]}

    assert why()["own"]["answer"] == "own will run: it has not run for this folder."
    assert why()["loud"]["answer"] == "loud comes after a build that has to run: what goes in is not known before."
    stage(app, store)
    assert why()["own"]["because"][0] == "it had not run for this folder before"  # type: ignore[index]
    (app / "src/a.txt").write_text(str(time.time_ns()))
    assert why("own")["own"]["because"][0] == "src/a.txt changed"  # type: ignore[index]
    stage(app, store)
    assert why("own")["own"]["answer"] == "own ran, and is remembered since."
    assert why("own")["own"]["because"][0] == "src/a.txt changed"  # type: ignore[index]
    assert why()["loud"]["because"][:2] == ["src/a.txt changed", "static/out.txt changed"]  # type: ignore[index]
    lock = (app / "stager.lock").read_text()
    (app / "stager.lock").write_text(lock.replace("echo joining", "echo other"))
    assert why("own")["own"]["because"][0] == "its command changed"  # type: ignore[index]


@pytest.mark.tools
@pytest.mark.network
def test_a_shell_where_it_runs(app: Path, shared_store: Path) -> None:
    stager("build", "own", app, store=shared_store).good()
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*PROGRAM, "build", "loud", str(app), "--shell", "-q"], stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"STAGER_CACHE_DIR": str(shared_store)},
    )  # fmt: skip
    os.close(theirs)
    said = until(ours, b"/app $ ")
    assert b"tr a-z A-Z" in said
    os.write(ours, b"cat static/out.txt; echo; id -un; sh -c 'echo wai''ting; exec sleep 100'\n")
    said = until(ours, b"waiting\r\n")
    os.write(ours, b"\x03")
    until(ours, b"/app $ ")
    os.write(ours, b"exit 3\n")
    said += rest(ours)
    os.close(ours)
    assert child.wait(120) == 3
    assert b"one\r\n" in said
    assert b"build\r\n" in said


def until(ours: int, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said:
        assert select.select([ours], [], [], 120)[0], said
        said += os.read(ours, 1 << 16)
    return said


def rest(ours: int) -> bytes:
    said = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:
            return said
        if not part:
            return said
        said += part
