"""Every situation of `tests/apps/`: what is detected, planned, staged and answered, or the error in full.

The quick half needs no index. The `network` half plans and stages with the real indexes, launches each droplet and
asks it over HTTP, and stages it a second time with a store of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from apps_fixture import APPS, expectation, materialise, names
from command import Done, ask, in_process, running, stager, with_port

EXPECTED = {name: expectation(name) for name in names()}
HAPPY = [name for name, expected in EXPECTED.items() if "error" not in expected]
WRONG = [name for name, expected in EXPECTED.items() if "error" in expected]
LAUNCHED = [name for name in HAPPY if "http" in EXPECTED[name]]
WITHOUT_RUNTIME = [name for name in HAPPY if not EXPECTED[name]["runtimes"]]
KEYS = {
    "happy": {"about", "buildpacks", "reasons", "locks", "runtimes", "processes", "artifacts"},
    "wrong": {"about", "at", "error"},
}
OPTIONAL = {"http", "droplet", "network", "notes", "folder", "builds"}


def online(name: str) -> Any:
    """A parameter whose test needs the indexes when the situation says so."""
    marks = [pytest.mark.network] if EXPECTED[name].get("network") else []
    return pytest.param(name, marks=marks)


@pytest.fixture(scope="session")
def other_store(shared_store: Path) -> Path:
    """The store of a second machine: nothing in it comes from the first."""
    store = shared_store.with_name(shared_store.name + "-of-another-machine")
    store.mkdir(exist_ok=True)
    return store


def test_every_situation_says_what_it_expects() -> None:
    assert sorted(path.name for path in APPS.iterdir()) == list(EXPECTED)
    assert len(EXPECTED) >= 90
    for name, expected in EXPECTED.items():
        kind = "wrong" if "error" in expected else "happy"
        assert KEYS[kind] <= set(expected) <= KEYS[kind] | OPTIONAL, name


# --- without an index ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HAPPY)
def test_detection(name: str, tmp_path: Path) -> None:
    expected = EXPECTED[name]
    done = in_process("detect", materialise(name, tmp_path), "--json", store=tmp_path / "store").good()
    matched = {match["buildpack"]: match for match in done.document["matched"]}
    assert list(matched) == expected["buildpacks"]
    assert {name: match["reason"]["file"] for name, match in matched.items()} == expected["reasons"]
    assert {name: match["lock"] for name, match in matched.items() if match["lock"]} == expected["locks"]
    assert {row["buildpack"] for row in done.document["rejected"]} == SHIPPED - set(matched)


SHIPPED = {"python", "nodejs", "static", "procfile"}


@pytest.mark.parametrize("name", [online(name) for name in WRONG])
def test_errors_in_full(name: str, tmp_path: Path, shared_store: Path) -> None:
    expected = EXPECTED[name]
    app = materialise(name, tmp_path)
    options = ["-o", tmp_path / "droplet.tgz"] if expected["at"] == "stage" else []
    options += [] if expected.get("network") or expected["at"] == "detect" else ["--offline"]
    store = shared_store if expected.get("network") else tmp_path / "store"
    before = snapshot(app)
    done = in_process(expected["at"], app, *options, "--json", store=store)
    assert done.document == {"error": expected["error"]}
    assert done.code == expected["error"]["exit"]
    assert "Traceback" not in done.err
    assert not (tmp_path / "droplet.tgz").exists()
    assert snapshot(app) == before
    assert_for_people(in_process(expected["at"], app, *options, store=store), expected["error"])


def assert_for_people(done: Done, error: dict[str, Any]) -> None:
    """Without --json the same is said on standard error, and nothing on standard output."""
    assert done.code == error["exit"]
    assert done.out == ""
    said = " ".join(done.err.split())
    for part in (error["message"], error["hint"], error["where"]):
        assert " ".join(part.split()) in said


def snapshot(folder: Path) -> dict[str, bytes]:
    """The files of a folder with their contents. `stager.lock` is written when the droplet is made, so not by what fails."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", WITHOUT_RUNTIME)
def test_without_a_runtime_the_droplet_never_drifts(name: str, tmp_path: Path) -> None:
    expected, store, out = EXPECTED[name], tmp_path / "store", tmp_path / "droplet.tgz"
    app = materialise(name, tmp_path)
    staged = stager("stage", app, "-o", out, "--json", "--offline", store=store).good().document
    if os.environ.get("STAGER_UPDATE_GOLDEN"):
        update_golden(name, staged["digest"])
    assert staged["digest"] == expected["droplet"] == digest(out)
    assert staged["processes"] == expected["processes"]
    with running(out, tmp_path / "log", store=store) as (port, process):
        status, body = ask(port, expected["http"]["path"], process)
    assert (status, body) == (expected["http"]["status"], expected["http"]["body"])


def update_golden(name: str, droplet: str) -> None:
    """Write the digest that this version makes into `expect.json`; git then shows the difference."""
    EXPECTED[name]["droplet"] = droplet
    text = json.dumps(EXPECTED[name], indent=2, ensure_ascii=False)
    (APPS / name / "expect.json").write_text(text + "\n", "utf-8")


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


# --- with the real indexes -------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("name", HAPPY)
def test_plan(name: str, tmp_path: Path, shared_store: Path) -> None:
    expected = EXPECTED[name]
    app = materialise(name, tmp_path)
    plan = stager("plan", app, "--json", store=shared_store).good().document
    runtimes = {row["name"]: row["version"] for row in plan["runtimes"] if row["name"] != "npm"}
    assert set(runtimes) == set(expected["runtimes"])
    assert all(runtimes[key].startswith(start) for key, start in expected["runtimes"].items()), runtimes
    assert {row["type"]: row["command"] for row in plan["processes"]} == expected["processes"]
    assert all(row["reason"]["text"] for row in (*plan["processes"], *plan["runtimes"], *plan["buildpacks"]))
    files = [row["reason"]["file"] for row in (*plan["processes"], *plan["buildpacks"])]
    assert all((app / file).is_file() or file in MADE for file in files if file), "such a plan is never in step"
    check_artifacts(plan["artifacts"], expected["artifacts"])
    app_builds = {row["name"]: row["outputs"] for row in plan["builds"] if row["kind"] == "app"}
    assert app_builds == expected.get("builds", {})


MADE = ("pylock.toml", "uv.lock", "package-lock.json")
"""What is made before staging where an app has no lock of its own."""


def check_artifacts(rows: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    """The packages of a plan: how many, which must be there, which must not; each pinned, none with an address."""
    packages = [row for row in rows if row["layout"] in ("wheel/1", "sdist/1", "npm/1")]
    counts = {layout: sum(row["layout"] == layout for row in packages) for layout in expected["count"]}
    assert counts == expected["count"]
    pinned = {purl_name(row["purl"]) for row in packages}
    assert set(expected["includes"]) <= pinned
    assert not {
        name for name in pinned if name in expected["excludes"] or name.rpartition("@")[0] in expected["excludes"]
    }
    assert all(row["digest"].partition(":")[0] in ("sha256", "sha512") for row in packages)
    assert not any(row.get("url") for row in packages)


def purl_name(purl: str) -> str:
    """`name@version` of a package URL, scopes included."""
    return purl.partition("/")[2].partition("?")[0].replace("%40", "@")


@pytest.mark.network
@pytest.mark.parametrize("name", LAUNCHED)
def test_the_droplet_answers(name: str, tmp_path: Path, shared_store: Path) -> None:
    expected, out = EXPECTED[name], tmp_path / "droplet.tgz"
    app = materialise(name, tmp_path)
    staged = stager("stage", app, "-o", out, "--json", store=shared_store).good().document
    assert staged["digest"] == digest(out)
    assert staged["size"] == out.stat().st_size
    assert staged["processes"] == expected["processes"]
    assert staged["buildpacks"] == expected["buildpacks"]
    assert set(expected.get("notes", ())) <= set(staged["notes"])
    with running(out, tmp_path / "log", store=shared_store) as (port, process):
        status, body = ask(port, expected["http"]["path"], process)
    assert status == expected["http"]["status"]
    assert expected["http"]["body"] in body


@pytest.mark.network
@pytest.mark.parametrize("name", LAUNCHED)
def test_two_machines_make_one_droplet(name: str, tmp_path: Path, shared_store: Path, other_store: Path) -> None:
    app = materialise(name, tmp_path / "here")
    stager("lock", app, store=shared_store).good()
    stager("stage", app, "--locked", "-o", tmp_path / "a.tgz", store=shared_store).good()
    other = materialise(name, tmp_path / "elsewhere")
    for lock in ("stager.lock", *MADE):
        if (app / lock).is_file():
            (other / lock).write_bytes((app / lock).read_bytes())
    stager("stage", other, "--locked", "-o", tmp_path / "b.tgz", store=other_store, TZ="Asia/Kathmandu").good()
    assert digest(tmp_path / "a.tgz") == digest(tmp_path / "b.tgz")
    stager("stage", other, "--locked", "--offline", "-o", tmp_path / "c.tgz", store=other_store).good()
    assert digest(tmp_path / "a.tgz") == digest(tmp_path / "c.tgz")


MADE = ("uv.lock", "pylock.toml", "package-lock.json")
"""Locks that `stager lock` makes where an app has none, to be committed."""


@pytest.mark.parametrize("name", LAUNCHED)
def test_start_commands_listen_where_the_platform_says(name: str) -> None:
    command = EXPECTED[name]["processes"]["web"]
    reads_port_itself = EXPECTED[name]["buildpacks"] != ["python"] or "greeter" in command or "main.py" in command
    assert with_port(command) or reads_port_itself


UNLOCKED = {
    "python": ("requirements.txt", "blinker>=1.9\n", "main.py", "print('started', flush=True)\n", "pylock.toml"),
    "nodejs": (
        "package.json",
        json.dumps({"name": "unlocked", "version": "1.0.0", "main": "server.js", "dependencies": {"ms": "^2.1.0"}}),
        "server.js",
        "console.log(require('ms')(1000));\n",
        "package-lock.json",
    ),
}


@pytest.mark.network
@pytest.mark.parametrize("language", UNLOCKED)
def test_lock_makes_the_standard_lock_where_there_is_none(language: str, tmp_path: Path, shared_store: Path) -> None:
    manifest, wanted, program, code, lock = UNLOCKED[language]
    app = tmp_path / "app"
    app.mkdir()
    (app / manifest).write_text(wanted)
    (app / program).write_text(code)
    stager("lock", app, store=shared_store).good()
    assert (app / lock).is_file()
    assert (app / "stager.lock").is_file()
    out = tmp_path / "droplet.tgz"
    stager("stage", app, "--locked", "-o", out, store=shared_store).good()
    assert out.is_file()
