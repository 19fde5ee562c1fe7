"""No file is opened before it is known to be regular: what is special stands at every name that stager reads.

A FIFO that is opened waits for ever, a link to `/dev/zero` never ends; so each kind has a process of its own
that is killed when one command takes long, and says which it was.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stager.ecosystems import ECOSYSTEMS, ecosystem
from stager.files import regular
from stager.targets.cloudfoundry.manifest import NAMES as MANIFESTS
from stager.text import resources
from stager.tree.ignore import OWN_FILES


def pipe(path: Path) -> None:
    os.mkfifo(path)


def plug(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has room for 107 bytes
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def outside(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def looping(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: dict[str, Callable[[Path], None]] = {
    "fifo": pipe, "socket": plug, "device": device, "folder": Path.mkdir,
    "dangling": dangling, "endless": endless, "outside": outside, "loop": looping,
}  # fmt: skip


def names() -> Iterator[str]:
    """Every name in an app's folder that some part of stager opens, as its own registries say."""
    yield from (pattern.replace("*", "x") for pattern in resources.input_patterns())
    for name in ECOSYSTEMS:
        yield from ecosystem(name).locks
    yield from OWN_FILES
    yield from MANIFESTS
    yield from (".gitignore", "sub/.gitignore", "stager.lock", "droplet.tgz", "stackato.yml", "Vagrantfile")
    yield from (".stager/machine/state.json", "pack/buildpack.yml", "pack/inputs.txt", "pack/templates/x.j2")


COMMANDS = (
    "detect", "plan --offline", "lock --offline", "stage --offline -o {out}", "verify --offline {out}", "explain --offline",
    "status", "run {app}/{name}", "inspect {app}/{name}", "diff {app}/{name} {app}/{name}", "sbom {app}/{name}",
    "deploy --offline --to cloudfoundry=shop --manifest {app}/{name} {out}", "export heroku {app}/{name} -o {out}.slug",
    "bundle import {app}/{name}", "import stackato", "attest {app}/{name} --key {app}/{name}",
    "detect --buildpack pack", "stage --offline --buildpack pack -o {out}",
)  # fmt: skip

DRIVER = """
import os, shutil, signal, sys
sys.path[:0] = [{tests!r}, {tests!r} + "/support"]
from pathlib import Path
from test_special_files import COMMANDS, KINDS
from stager import cli
out = os.fdopen(os.dup(1), "w", buffering=1)
sys.stdout = sys.stderr = open(os.devnull, "w")
os.dup2(sys.stdout.fileno(), 1), os.dup2(sys.stdout.fileno(), 2)
os.environ["STAGER_CACHE_DIR"] = os.path.abspath("store")
app = Path("app")
for name in {names!r}:
    shutil.rmtree(app, ignore_errors=True)
    (app / name).parent.mkdir(parents=True)
    (app / "Procfile").write_text("web: ./run\\n")
    (app / "run").write_text("#!/bin/sh\\n")
    (app / "run").chmod(0o755)
    (app / name).unlink(missing_ok=True)
    KINDS[{kind!r}](app / name)
    os.chdir(app)
    for command in COMMANDS:
        print(name, "|", command, end=" ", file=out)
        out.flush()
        signal.alarm(30)
        words = command.format(app=os.getcwd(), name=name, out=os.path.abspath("../d.tgz")).split()
        try:
            code = cli.main(words)
        except SystemExit as error:
            code = error.code
        print(code, file=out)
    os.chdir("..")
signal.alarm(0)
"""
TYPED = {0, 1, 2, 20, 30, 40, 50, 60, 70, 80}


def drive(kind: str, which: list[str], place: Path) -> list[str]:
    """The lines `name | command code` of a process that tried everything; the last one shows where it was killed."""
    code = DRIVER.format(tests=str(Path(__file__).parent), names=which, kind=kind)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{done.returncode} at {done.stdout.splitlines()[-1:]}{done.stderr[-2000:]}"
    return done.stdout.splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_that_are_not_part_of_the_tree(kind: str, tmp_path: Path) -> None:
    lines = drive(kind, ["stager.lock", ".stager/machine/state.json", "droplet.tgz", "pack/templates/x.j2"], tmp_path)
    assert [line for line in lines if int(line.rpartition(" ")[2]) not in TYPED] == []
    assert len(lines) == 4 * len(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_name_for_every_command(kind: str, tmp_path: Path) -> None:
    which = sorted(set(names()))
    lines = drive(kind, which, tmp_path)
    assert [line for line in lines if int(line.rpartition(" ")[2]) not in TYPED] == []
    assert len(lines) == len(which) * len(COMMANDS)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"folder", "dangling", "loop", "outside"}))
@pytest.mark.parametrize("follow", [True, False])
def test_the_helper_opens_nothing_but_files(kind: str, follow: bool, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / "x")
    with pytest.raises(OSError, match="not a regular file"):
        regular.read(str(tmp_path / "x"), 100, follow=follow)


def test_the_helper_follows_the_links_of_users_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert regular.read(str(tmp_path / "link"), 3) == b"abc"
    with pytest.raises(OSError, match="it is a symbolic link, not a regular file"):
        regular.read(str(tmp_path / "link"), 3, follow=False)
    with pytest.raises(OSError, match="it has more than 2 bytes"):
        regular.read(str(tmp_path / "file"), 2)


def test_what_the_shell_hands_over_and_the_empty_device_are_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"handed")
    os.close(writing)
    assert regular.read(f"/dev/fd/{reading}", 100) == b"handed"
    os.close(reading)
    (tmp_path / "none").symlink_to(os.devnull)
    assert regular.read(str(tmp_path / "none"), 100) == b""
