"""Every way of starting, as process 1 of a namespace: SIGTERM reaches the app, which finishes its work and ends with 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from apps_fixture import materialise
from command import ask, free_port, stager
from draining import FLASK, NODE

pytestmark = [pytest.mark.network, pytest.mark.tools]

APPS: dict[str, dict[str, str]] = {
    "npm start": {"package.json": '{"name": "a", "scripts": {"start": "node server.js"}}'},
    "npm start with words before": {"package.json": '{"name": "a", "scripts": {"start": "A=1 B=2 node server.js"}}'},
    "npm run web": {
        "package.json": '{"name": "a", "scripts": {"web": "node server.js"}}',
        "Procfile": "web: npm run web\n",
    },
    "node": {"package.json": '{"name": "a", "main": "server.js"}'},
    "pnpm start": {
        "package.json": '{"name": "a", "scripts": {"start": "node server.js"}, "dependencies": {"pnpm": "9.15.9"}}',
        "Procfile": "web: pnpm start\n",
    },
}


def start(app: Path, command: str, store: Path, tmp_path: Path) -> tuple[int, str]:
    """Stage and unpack an app, start `web` as process 1, wait for an answer, end it: exit code and what it said."""
    staged = stager("stage", app, "-o", tmp_path / "droplet.tgz", "--json", store=store).good().document
    assert command in staged["processes"]["web"]
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "droplet.tgz", "-C", home, "--no-same-owner"], check=True)
    port = free_port()
    read, write = os.pipe()
    command_line = [
        *("bwrap", "--unshare-pid", "--as-pid-1", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"),
        *("--info-fd", str(write), str(home / "app/.stager/bin/launch")),
    ]
    environment = {"PATH": os.defpath, "PORT": str(port), "LANG": "C.UTF-8"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command_line, env=environment, stdout=log, stderr=log, pass_fds=[write])
    os.close(write)
    try:
        with os.fdopen(read) as info:
            first = json.load(info)["child-pid"]
        status, body = ask(port, "/", process)
        assert (status, "up" in body) == (200, True)
        os.kill(first, signal.SIGTERM)
        code = process.wait(30)
    except BaseException as failed:
        failed.add_note((tmp_path / "log").read_text("utf-8", "replace"))
        raise
    finally:
        process.kill()
        process.wait()
    return code, (tmp_path / "log").read_text("utf-8", "replace")


@pytest.mark.parametrize("name", APPS)
def test_node(name: str, shared_store: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    for path, text in {**APPS[name], "server.js": NODE}.items():
        (app / path).write_text(text)
    stager("lock", app, store=shared_store).good()
    code, said = start(app, name.split(" with")[0] if name != "node" else "node server.js", shared_store, tmp_path)
    assert (code, "draining" in said, "bye" in said) == (0, True, True), said


def test_yarn_passes_the_signal_on_and_does_not_wait(shared_store: Path, tmp_path: Path) -> None:
    """Yarn 1 ends itself with 1 as soon as it has told the script. stager never chooses it; here a Procfile does."""
    app = tmp_path / "app"
    app.mkdir()
    package = {"name": "a", "scripts": {"start": "node server.js"}, "dependencies": {"yarn": "1.22.22"}}
    (app / "package.json").write_text(json.dumps(package))
    (app / "server.js").write_text(NODE)
    (app / "Procfile").write_text("web: yarn start\n")
    stager("lock", app, store=shared_store).good()
    code, said = start(app, "yarn start", shared_store, tmp_path)
    assert (code, "draining" in said, "bye" in said) == (1, True, False), said


def test_bun(shared_store: Path, tmp_path: Path) -> None:
    app = materialise("hono-bun", tmp_path)
    (app / "server.ts").write_text(NODE)
    code, said = start(app, "bun run start", shared_store, tmp_path)
    assert (code, "draining" in said, "bye" in said) == (0, True, True), said


@pytest.mark.parametrize("command", ["", "gunicorn --bind 0.0.0.0:$PORT --workers 2 --threads 2 app:app"])
def test_gunicorn(command: str, shared_store: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text(FLASK)
    (app / "requirements.txt").write_text("flask==3.1.2\ngunicorn\n")
    if command:
        (app / "Procfile").write_text(f"web: {command}\n")
    stager("lock", app, store=shared_store).good()
    code, said = start(app, command or "gunicorn", shared_store, tmp_path)
    assert (code, "draining" in said, "bye" in said) == (0, True, True), said
    assert "[ERROR]" not in said
    assert "control socket" not in said.lower()
