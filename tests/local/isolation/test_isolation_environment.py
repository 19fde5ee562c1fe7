"""A process's variables, and what the commands of `run` refuse."""

from __future__ import annotations

import platform
import shlex
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from command import in_process

from stager.cli.commands import values
from stager.local.isolation import environment


def test_variables() -> None:
    found = environment.environment((("LANG", "de"), ("PATH", "/bin")), 81, {"PATH": "/mine", "HOME": "/x"})
    assert found == {"LANG": "de", "PATH": "/mine", "HOME": "/x", "PORT": "81"}


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("1g", 1 << 30), ("5000000", 5000000), ("8192K", 8 << 20)]
)
def test_sizes_of_memory(text: str, size: int) -> None:
    assert values.memory_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "1", "4095K", "-1G", "1T", "1.5G", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no size of 4M or more"):
        values.memory_size(text)


def test_what_was_typed_is_repeated_in_hints(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/Procfile").write_text("web: true\nworker: true\n")
    foreign = "arm64" if platform.machine() == "x86_64" else "amd64"
    store, droplet = tmp_path / "store", "my droplet.tgz"
    in_process("stage", "app", "--arch", foreign, "-o", droplet, "--offline", store=store, cwd=tmp_path).good()
    for options in ([], ["--process", "worker", "--port", "81"]):
        done = in_process("run", droplet, *options, store=store, cwd=tmp_path)
        assert done.code != 0
        assert f"'{shlex.join(['stager', 'run', droplet, *options])} --in docker'" in done.err


def test_places_and_their_options(tmp_path: Path) -> None:
    def refusal(*options: str) -> str:
        done = in_process("run", tmp_path, *options, store=tmp_path / "store")
        assert done.code == 2
        return done.err

    assert "exclude one another" in refusal("--in", "docker", "--no-network", "--network", "x")
    assert "--network is not for --in stack" in refusal("--in", "stack", "--network", "x")
