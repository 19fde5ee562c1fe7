"""One droplet file in several places: the host, bubblewrap on its stack's root, a container of its stack; real apps."""

from __future__ import annotations

import json
import platform
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps_fixture import expectation, materialise
from command import ask, running, stager
from engine import Engine, private_engine
from isolated import bridge, logged, need_bwrap, stack_in

from stager.digest import sha256

pytestmark = [pytest.mark.tools, pytest.mark.network, pytest.mark.slow]
PLACES = ("host", "stack", "docker")
TOLD = (
    "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum; sha256sum <{droplet}; "
    "exec .stager/bin/launch"
)
"""Digests of every file of the app where it has been unpacked, with its path, and of the droplet file; then the app itself."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with private_engine() as started:
        yield started


@pytest.fixture(scope="module")
def network(engine: Engine) -> Iterator[str]:
    with bridge(engine) as name:
        yield name


def options(place: str, network: str) -> tuple[str, ...]:
    """How to run there; the tests' engine has no network of its own to join."""
    return {"host": (), "stack": ("--in", "stack"), "docker": ("--in", "docker", "--network", network)}[place]


@pytest.mark.parametrize("name", ["flask-requirements", "express-npm-v3"])
def test_the_same_droplet_answers_everywhere(
    name: str, tmp_path: Path, shared_store: Path, engine: Engine, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_bwrap()
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    stack_in(shared_store, "debian-12")
    droplet = tmp_path / "droplet.tgz"
    staged = stager("stage", materialise(name, tmp_path), "-o", droplet, "--json", "--quiet", store=shared_store).good()
    expected = expectation(name)["http"]
    digests, contents = {}, {}
    for place in PLACES:
        inside = str(droplet) if place == "host" else "/run/stager/droplet.tgz"
        chosen = (*options(place, network), "--command", TOLD.format(droplet=inside))
        log = tmp_path / place
        with running(droplet, log, *chosen, store=shared_store) as (port, process):
            code, body = ask(port, expected["path"], process)
            assert (code, expected["body"] in body) == (expected["status"], True), body
        lines = [line.split()[0] for line in log.read_text("utf-8").splitlines() if line.endswith("  -")]
        contents[place], digests[place] = lines
    digest = sha256(droplet.read_bytes())
    assert staged.document["digest"] == digest
    assert digests == dict.fromkeys(PLACES, digest.partition(":")[2])
    assert contents == dict.fromkeys(PLACES, contents["host"])
    assert engine.client.containers.list(all=True) == engine.client.volumes.list() == []


def test_a_newer_stack_than_the_host(tmp_path: Path, shared_store: Path) -> None:
    """Debian 13's own Python needs glibc 2.38. A host without it says where to run it; there it answers."""
    need_bwrap()
    stack_in(shared_store, "debian-13")
    app, droplet = materialise("flask-pylock", tmp_path), tmp_path / "droplet.tgz"
    stager("stage", app, "-o", droplet, "--stack", "debian-13", "--quiet", store=shared_store).good()
    host = tuple(map(int, platform.libc_ver()[1].split(".")[:2]))
    if host < (2, 38):
        refused = stager("run", droplet, "--json", store=shared_store)
        assert (refused.code, refused.document["error"]["code"]) == (70, "LaunchFailed")
        assert (
            f"'stager run {droplet} --in stack' or 'stager run {droplet} --in docker'"
            in refused.document["error"]["hint"]
        )
    expected = expectation("flask-pylock")["http"]
    with running(droplet, tmp_path / "log", "--in", "stack", "--json", store=shared_store) as (port, process):
        code, body = ask(port, expected["path"], process)
        assert (code, expected["body"] in body) == (expected["status"], True), body
        logged(tmp_path / "log", f'"url": "http://127.0.0.1:{port}"')
        process.send_signal(signal.SIGINT)
        process.wait(120)
    line = next(line for line in (tmp_path / "log").read_text("utf-8").splitlines() if line.startswith("{"))
    said = json.loads(line)
    assert (said["digest"], said["in"]) == (sha256(droplet.read_bytes()), "stack")
    command = ("--command", "cat /etc/debian_version; id -un")
    inside = stager("run", droplet, "--in", "stack", *command, store=shared_store).good().out.split()
    assert (inside[0].split(".")[0], inside[1]) == ("13", "vcap")
