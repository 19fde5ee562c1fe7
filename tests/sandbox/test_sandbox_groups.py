"""Where control groups may be made, by what the kernel says of this process and of what is mounted."""

from __future__ import annotations

import os

from stager.sandbox.groups import limited, places

SYSTEMD = "0::/user.slice/user-0.slice/session-1.scope\n"
BOTH = frozenset({"memory", "pids"})


def test_version_2_and_all_above() -> None:
    mounts = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,memory_recursiveprot 0 0\n"
    place = "/sys/fs/cgroup"
    assert list(places(SYSTEMD, mounts)) == [
        (f"{place}/user.slice/user-0.slice/session-1.scope", 2, BOTH),
        (f"{place}/user.slice/user-0.slice", 2, BOTH),
        (f"{place}/user.slice", 2, BOTH),
        (place, 2, BOTH),
    ]
    assert list(places("0::/\n", mounts)) == [(place, 2, BOTH)]


def test_version_1_beside_an_empty_version_2() -> None:
    mounts = """cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""
    own = "12:pids:/x\n4:memory:/x/y\n2:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n"
    assert list(places(own, mounts)) == [
        ("/sys/fs/cgroup/pids/x", 1, frozenset({"pids"})),
        ("/sys/fs/cgroup/memory/x/y", 1, frozenset({"memory"})),
        ("/sys/fs/cgroup/cpu,cpuacct", 1, frozenset({"cpu", "cpuacct"})),
        ("/sys/fs/cgroup/unified", 2, BOTH),
    ]


def test_none() -> None:
    assert list(places("", "proc /proc proc rw 0 0\n")) == []
    assert list(places(SYSTEMD, "proc /proc proc rw 0 0\n")) == []


def test_without_limits_nothing_is_made() -> None:
    with limited() as made:
        assert (made.paths, made.members, made.killed, made.refused) == ((), (), 0, 0)


def test_what_is_made_goes() -> None:
    """Where this user may make one, and where not."""
    with limited(memory=64 << 20, processes=10) as made:
        assert len(made.members) == len(made.paths) == len(set(made.paths))
        assert all(os.path.isdir(path) for path in made.paths)
        assert made.limits or made.tried or not made.paths
    assert not [path for path in made.paths if os.path.exists(path)]
