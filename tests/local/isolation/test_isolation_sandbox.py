"""What bubblewrap is told, word by word, and what the commands of `run` refuse."""

from __future__ import annotations

import platform
import shlex
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from command import in_process

from stager.cli.commands import values
from stager.local.isolation import environment, sandbox
from stager.local.isolation.sandbox import Sandbox, Top
from stager.local.isolation.stack import top

SANDBOX = Sandbox(
    "/roots/1",
    (Top("app"), Top("bin", "usr/bin"), Top("etc"), Top("home"), Top("proc"), Top("tmp"), Top("usr")),
    "/run/1/app",
    (("/here/droplet.tgz", "/run/stager/droplet.tgz"),),
    (("/etc/hosts", b"127.0.0.1 localhost\n"),),
    (("HOME", "/app"), ("PORT", "8080")),
)


def test_every_word() -> None:
    assert sandbox.arguments(SANDBOX, [7]) == (
        *("--unshare-user", "--uid", "2000", "--gid", "0"),
        *("--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
        *("--hostname", "stager", "--cap-drop", "ALL", "--new-session", "--die-with-parent"),
        *("--clearenv", "--setenv", "HOME", "/app", "--setenv", "PORT", "8080"),
        *("--symlink", "usr/bin", "/bin", "--ro-bind", "/roots/1/etc", "/etc", "--ro-bind", "/roots/1/usr", "/usr"),
        *("--proc", "/proc", "--dir", "/sys", "--perms", "1777", "--tmpfs", "/tmp"),
        *("--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"),
        *("--dir", "/home/vcap", "--symlink", "/app", "/home/vcap/app", "--bind", "/run/1/app", "/app"),
        *("--ro-bind", "/here/droplet.tgz", "/run/stager/droplet.tgz"),
        *("--perms", "0644", "--ro-bind-data", "7", "/etc/hosts"),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/app"),
    )


def test_without_a_network() -> None:
    from dataclasses import replace

    words = sandbox.arguments(replace(SANDBOX, network=False), [7])
    assert set(words) - set(sandbox.arguments(SANDBOX, [7])) == {"--unshare-net"}


def test_only_the_app_can_be_written_to() -> None:
    words = sandbox.arguments(SANDBOX, [7])
    assert [words[place + 2] for place, word in enumerate(words) if word == "--bind"] == ["/app"]


def test_a_data_file_without_a_descriptor_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        sandbox.arguments(SANDBOX, [])


def test_a_roots_first_folder(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "bin").symlink_to("usr/bin")
    assert top(str(tmp_path)) == (Top("bin", "usr/bin"), Top("usr"))


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
