"""What bubblewrap is told, word by word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stager.sandbox import namespaces
from stager.sandbox.namespaces import Sandbox, Top, top

RUN = Sandbox(
    "/roots/1",
    (Top("app"), Top("bin", "usr/bin"), Top("etc"), Top("home"), Top("proc"), Top("tmp"), Top("usr")),
    (("/run/1/app", "/app"),),
    (("/here/droplet.tgz", "/run/stager/droplet.tgz"),),
    (("/etc/hosts", b"127.0.0.1 localhost\n"),),
    (("/home/vcap/app", "/app"),),
    (("HOME", "/app"), ("PORT", "8080")),
    "/app",
    user=2000,
    network=True,
    first=True,
)
BUILD = Sandbox(
    "/roots/1",
    (Top("usr"),),
    (("/b/app", "/app"), ("/b/tmp", "/tmp")),
    (("/s/headers", "/inputs/node/include"),),
    folder="/app/web",
    hostname="build",
    user=1000,
    group=1000,
)


def test_every_word_of_a_run() -> None:
    assert namespaces.arguments(RUN, [7]) == (
        *("--unshare-user", "--uid", "2000", "--gid", "0"),
        *("--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
        *("--hostname", "stager", "--cap-drop", "ALL", "--new-session", "--die-with-parent"),
        *("--clearenv", "--setenv", "HOME", "/app", "--setenv", "PORT", "8080"),
        *("--symlink", "usr/bin", "/bin", "--ro-bind", "/roots/1/etc", "/etc", "--ro-bind", "/roots/1/usr", "/usr"),
        *("--proc", "/proc", "--dir", "/sys", "--perms", "1777", "--tmpfs", "/tmp"),
        *("--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"),
        *("--perms", "0755", "--dir", "/home", "--perms", "0755", "--dir", "/home/vcap"),
        *("--symlink", "/app", "/home/vcap/app", "--bind", "/run/1/app", "/app"),
        *("--perms", "0755", "--dir", "/run", "--perms", "0755", "--dir", "/run/stager"),
        *("--ro-bind", "/here/droplet.tgz", "/run/stager/droplet.tgz"),
        *("--perms", "0644", "--ro-bind-data", "7", "/etc/hosts"),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/app"),
    )


def test_every_word_of_a_build() -> None:
    assert namespaces.arguments(BUILD, []) == (
        *("--unshare-user", "--uid", "1000", "--gid", "1000"),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--unshare-net"),
        *("--hostname", "build", "--cap-drop", "ALL", "--new-session", "--die-with-parent"),
        *("--clearenv", "--ro-bind", "/roots/1/usr", "/usr"),
        *("--proc", "/proc", "--dir", "/sys", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"),
        *("--bind", "/b/app", "/app", "--bind", "/b/tmp", "/tmp"),
        *("--perms", "0755", "--dir", "/inputs", "--perms", "0755", "--dir", "/inputs/node"),
        *("--ro-bind", "/s/headers", "/inputs/node/include"),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/app/web"),
    )


def test_without_a_user_namespace() -> None:
    bare = namespaces.arguments(replace(BUILD, owned=False, keeps=("CAP_SETUID",)), [])
    assert "--unshare-user" not in bare
    assert "--uid" not in bare
    assert bare[bare.index("--cap-drop") :][:4] == ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID")


def test_a_network_is_said_to_be_there() -> None:
    assert set(namespaces.arguments(BUILD, [])) - set(namespaces.arguments(replace(BUILD, network=True), [])) == {
        "--unshare-net"
    }


def test_a_data_file_without_a_descriptor_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        namespaces.arguments(RUN, [])


def test_a_roots_first_folder(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "bin").symlink_to("usr/bin")
    assert top(str(tmp_path)) == (Top("bin", "usr/bin"), Top("usr"))
