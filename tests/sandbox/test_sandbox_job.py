"""What every job is given, and the ways to a sandbox in their order."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stager.formats.tar import MTIME
from stager.sandbox import FIXED, Job, Limits, entering, groups, inside, running
from stager.sandbox.inside import environment, sandbox
from stager.sandbox.roots import RootFolder


def job(**how: object) -> Job:
    return Job(("true",), RootFolder("/"), "/outside/app", "/outside/tmp", "/outside/log", **how)  # type: ignore[arg-type]


def test_the_variables_of_every_job() -> None:
    """In the order of their names; the time is that of a droplet's files."""
    assert [name for name, _ in FIXED] == sorted(name for name, _ in FIXED)
    assert dict(FIXED)["SOURCE_DATE_EPOCH"] == str(MTIME)
    assert environment(job(env=(("HOME", "/app"), ("NODE_ENV", "production")))) == {
        **dict(FIXED), "HOME": "/app", "NODE_ENV": "production",
    }  # fmt: skip


def test_its_sandbox() -> None:
    made = sandbox(job(folder="/app/web", inputs=(("/store/x", "/inputs/x"),)))
    assert made.writable == (("/outside/app", "/app"), ("/outside/tmp", "/tmp"))
    assert (made.readable, made.folder, made.network) == ((("/store/x", "/inputs/x"),), "/app/web", False)
    assert (made.hostname, made.user, made.group, made.owned, made.keeps) == ("build", 1000, 1000, True, ())
    bare = sandbox(job(), 70_001)
    assert (bare.owned, bare.keeps) == (False, ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"))


def test_limits_that_nobody_chose() -> None:
    assert Limits() == Limits(4 << 30, 2048, 3600.0, 8 << 30, 1_000_000)


def test_the_ways_in_their_order() -> None:
    assert [way.name for way in running.ways(False, 7, False)] == ["in a user namespace"]
    assert [way.name for way in running.ways(True, 7, True)] == [
        "as user 7, in a user namespace",
        "in a user namespace",
    ]
    names = ["as user 7, in a user namespace", "with root, without a user namespace"]
    assert [way.name for way in running.ways(True, 7, False)] == names


def test_processes_are_counted_with_all_that_descend_from_them() -> None:
    code = "import os, time; os.fork(); os.fork(); x = b'x' * 20_000_000; print(len(x), flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        for _ in range(4):
            process.stdout.readline()
        memory, count = groups.used(process.pid, 1 << 40)
        shared, _ = groups.used(process.pid, 0)
        os.killpg(process.pid, 9)
    assert count == 4
    assert 4 * 20_000_000 < shared <= memory
    assert groups.used(process.pid, 0) == (0, 0)


def test_a_machine_that_gives_no_sandbox_can_stage_all_the_same() -> None:
    """What only Linux has is imported by what runs there; the rest of stager imports the sandbox's values."""
    code = """import sys
for name in ("fcntl", "termios", "pty", "tty", "resource", "pwd", "grp"):
    sys.modules[name] = None
import stager.sandbox, stager.builds.running, stager.local.doctor"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_limits_are_no_higher_than_this_process_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user could not set them."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (1000, 1000))
    (way,) = running.ways(False, 0, False)
    words = running._before(job(), groups.ControlGroups(), way)
    assert words[1:] == ("--fsize=1000", "--core=0", "--nproc=1000", "--data=1000", "--")
    monkeypatch.setattr("resource.getrlimit", lambda _: (1000, -1))
    words = running._before(job(), groups.ControlGroups(limits=frozenset({"memory", "pids"})), way)
    assert words[1:] == (f"--fsize={8 << 30}", "--core=0", "--")


def test_who_has_many_processes_may_have_those_of_a_build_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's limit is of a user, not of a sandbox; a desktop's programs have thousands of threads."""
    assert groups.tasks_of(os.getuid()) >= len(os.listdir("/proc/self/task"))
    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))
    monkeypatch.setattr(groups, "tasks_of", lambda user: {os.getuid(): 3000, 7: 20}[user])
    own, other = running.ways(True, 7, True)[1], running.ways(True, 7, True)[0]
    found = [running._before(job(), groups.ControlGroups(), way) for way in (own, other)]
    assert ["--nproc=5048" in found[0], "--nproc=2068" in found[1]] == [True, True]


def test_whoever_runs_first_with_roots_powers_gets_no_variable_of_the_job() -> None:
    root = RootFolder("/")
    made = Job(("true",), root, "/a", "/s", "/l", env=(("LD_PRELOAD", "/app/x.so"), ("PATH", "/app/bin")))
    assert dict(inside.sandbox(made, 70_001).env) == {"PATH": dict(FIXED)["PATH"]}
    words = inside.become(made, 70_001)
    assert words[0] == "/usr/bin/setpriv"
    after = words[words.index("--") + 1 :]
    assert after[:2] == ("/bin/sh", "-c")
    assert {"LD_PRELOAD=/app/x.so", "PATH=/app/bin"} <= set(after[3:])
    told = subprocess.run((*after, "/bin/sh", "-c", 'echo "$LD_PRELOAD $PATH"'), env={}, capture_output=True, text=True)
    assert told.stdout == "/app/x.so /app/bin\n"
    assert dict(inside.sandbox(made).env)["LD_PRELOAD"] == "/app/x.so"


def test_no_word_can_become_two() -> None:
    made = Job(("true",), RootFolder("/"), "/a", "/s", "/l", env=(("A\0--bind\0/\0/app/host", "x"),))
    with pytest.raises(ValueError, match=r"."), entering.described(inside.sandbox(made)):
        pass


def test_a_user_is_one_jobs_at_a_time() -> None:
    users = range(1_234_567_000, 1_234_567_003)
    with running.nobody(users) as one, running.nobody(users) as two, running.nobody(users) as three:
        assert {one, two, three} == {*users}
        with running.nobody(users) as again:
            assert again in users  # where all are taken one is shared
    with running.nobody(range(users.start, users.start + 1)) as free:
        assert free == users.start
