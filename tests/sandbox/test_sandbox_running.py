"""Jobs in real sandboxes: what they find, how they end, and that the hostile ones reach and leave nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from isolated import OTHER_USER, as_other_user, need_bwrap, small_root
from jobs import NOTHING, SMALL, Jobs, root_in, running_in

from stager.errors import Cancelled, CannotWrite
from stager.sandbox import FIXED, Job, Limits, Surroundings, run, running
from stager.sandbox.job import FILES, MEMORY, OUTPUT, PROCESSES, TIME, USERS

pytestmark = pytest.mark.tools
PERL = "export LC_ALL=C; perl -MPOSIX -MSocket -e"

SCRIPT = (sys.executable, str(Path(__file__).parents[1] / "support" / "jobs_work.py"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    need_bwrap()
    place = tmp_path_factory.mktemp("jobs")
    return Jobs(place, root_in(place))


@pytest.fixture
def jobs(made: Jobs) -> Iterator[Jobs]:
    """The bench, with a check that every job leaves nothing that could not be removed, and runs nowhere any more."""
    yield made
    assert made.left() == NOTHING
    shutil.rmtree(made.place / "app")
    shutil.rmtree(made.place / "scratch")


# --- what is inside


def test_what_a_job_finds(jobs: Jobs) -> None:
    told = 'echo "$HOME" "$PATH" "$SOURCE_DATE_EPOCH" "$COLOUR"'
    command = f"pwd; id; {told}; cat /proc/sys/kernel/hostname; umask; ls -A / /sys"
    ended = jobs.run(command, env=(("COLOUR", "deep blue"),), folder="/tmp/home")
    assert (ended.status, ended.ended_by) == (0, "")
    path, epoch = (dict(FIXED)[name] for name in ("PATH", "SOURCE_DATE_EPOCH"))
    assert jobs.log.splitlines()[:6] == [
        *("/tmp/home", "uid=1000 gid=1000 groups=1000", f"/tmp/home {path} {epoch} deep blue", "build", "0022", "/:"),
    ]
    names = set(jobs.log.partition("/:\n")[2].partition("\n\n")[0].split())
    assert {"app", "dev", "proc", "sys", "tmp", "usr"} <= names
    assert jobs.log.endswith("/sys:\n")


def test_nothing_of_the_hosts_environment_reaches_it(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the host")
    jobs.run(f"{PERL} 'print map {{ qq($_\\n) }} sort keys %ENV'")
    assert set(jobs.log.split()) - {"PWD", "OLDPWD", "SHLVL", "_"} == {name for name, _ in FIXED}


def test_surroundings(jobs: Jobs) -> None:
    """What differs outside is another inside, and what must not be is the same."""
    look = "print time, qq(\\n); open F, q(</proc/self/status); print grep /^Cpus_allowed_list/, <F>"
    command = f"id -u; umask; {PERL} '{look}'"
    jobs.run(command, surroundings=Surroundings(umask=0o077, processors=1, later=86400 * 400))
    user, umask, clock, processors = jobs.log.splitlines()
    assert (user, umask) == ("1000", "0077")
    assert "," not in processors
    assert "-" not in processors
    ahead = int(clock) - time.time()
    here = bool(list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))
    assert abs(ahead - (86400 * 400 if here else 0)) < 100
    jobs.run(command, surroundings=Surroundings(later=86400 * 400), fake_clock=False)
    assert abs(int(jobs.log.splitlines()[2]) - time.time()) < 100


def test_users_and_groups_have_names(jobs: Jobs, tmp_path: Path) -> None:
    copy = tmp_path / "root"
    shutil.copytree(jobs.root.path, copy, symlinks=True)
    (copy / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n")
    (copy / "etc/group").write_text("root:x:0:\n")
    named = Jobs(jobs.place, replace(jobs.root, path=str(copy)))
    named.run("cat /etc/passwd /etc/group; id -un")
    assert named.log.splitlines() == [
        *("root:x:0:0::/root:/bin/sh", "build:x:1000:1000::/tmp/home:/bin/sh", "root:x:0:", "build:x:1000:", "build"),
    ]


def test_inputs_can_be_read_and_not_written(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("content")
    (tmp_path / "one").write_text("one")
    (tmp_path / "folder").chmod(0o755)
    given = ((str(tmp_path / "folder"), "/inputs/deep/folder"), (str(tmp_path / "one"), "/inputs/one"))
    ended = jobs.run(
        "cd /inputs; cat deep/folder/file one; ! echo x >deep/folder/new && ! echo x >one && ! mv one /tmp",
        inputs=given,
    )
    assert ended.status == 0
    assert jobs.log.startswith("contentone")
    assert (tmp_path / "one").read_text() == "one"
    assert os.listdir(tmp_path / "folder") == ["file"]


def test_what_it_writes_is_there(jobs: Jobs) -> None:
    job = jobs.job("cat given; echo made >made; echo more >/tmp/more; exit 7")
    Path(job.app, "given").write_text("given\n")
    jobs.told.clear()
    ended = run(job, stop=lambda: False, tell=jobs.told.append)
    assert (ended.status, ended.ended_by, ended.last) == (7, "", ("given",))
    assert Path(job.app, "made").read_text() == "made\n"
    assert Path(job.scratch, "more").read_text() == "more\n"
    assert jobs.told == ["given"]


def test_the_end_of_what_it_says(jobs: Jobs) -> None:
    ended = jobs.run("i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; done; printf 'no end'; echo err >&2")
    assert ended.last[-2:] == ("line 200", "no enderr")
    assert len(ended.last) == 60
    assert jobs.log.splitlines()[0] == "line 1"


def test_a_signals_end_is_told(jobs: Jobs) -> None:
    assert jobs.run("kill -9 $$").status == 137
    assert jobs.run("exit 3").status == 3


def test_a_log_that_cannot_be_made(jobs: Jobs) -> None:
    with pytest.raises(CannotWrite):
        run(replace(jobs.job("true"), log="/proc/none/log"), stop=lambda: False, tell=jobs.told.append)


# --- hostile ones: what they try fails


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the host has: a secret that all may read, listeners, a process with a variable."""
    secret = tmp_path / "secret"
    secret.write_text("a secret of the host")
    os.chmod(secret, 0o666)
    marker = f"marker{os.getpid()}"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", marker])
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        unix.bind(f"\0{marker}")
        unix.listen()
        try:
            yield {
                "secret": str(secret), "pid": str(process.pid), "tcp": str(tcp.getsockname()[1]),
                "udp": str(udp.getsockname()[1]), "abstract": marker,
            }  # fmt: skip
        finally:
            assert process.poll() is None
            process.kill()
            process.wait()
            assert secret.read_text() == "a secret of the host"


def perl(condition: str) -> str:
    """A command that says `yes` when a condition holds."""
    return f"{PERL} '{condition} and print q(yes)'"


def reached(family: str, kind: str, address: str, act: str = "connect(S, $a)") -> str:
    return f"{PERL} 'socket(S, {family}, {kind}, 0) or exit; $a = {address}; {act} and print q(yes)'"


def written(*paths: str) -> str:
    return f"for f in {' '.join(paths)}; do (echo 1 >>$f) 2>/dev/null && printf yes; done; :"


HOSTILE = {
    "tcp to the host": reached("PF_INET", "SOCK_STREAM", "sockaddr_in({tcp}, inet_aton(q(127.0.0.1)))"),
    "tcp to elsewhere": reached("PF_INET", "SOCK_STREAM", "sockaddr_in(80, inet_aton(q(192.0.2.1)))"),
    "udp": reached("PF_INET", "SOCK_DGRAM", "sockaddr_in(53, inet_aton(q(192.0.2.1)))", "send(S, q(x), 0, $a)"),
    "tcp 6": reached("PF_INET6", "SOCK_STREAM", "pack_sockaddr_in6(80, inet_pton(AF_INET6, q(2001:db8::1)))"),
    "abstract socket": reached("PF_UNIX", "SOCK_STREAM", r"pack(q(S a*), AF_UNIX, qq(\0{abstract}))"),
    "raw": perl("socket(S, PF_INET, SOCK_RAW, 1)"),
    "packets": perl("socket(S, 17, SOCK_RAW, 768)"),
    "sockets to the machine's host": perl("socket(S, 40, SOCK_STREAM, 0)"),
    "the kernel's algorithms": perl("socket(S, 38, SOCK_SEQPACKET, 0)"),
    "names of machines": perl("gethostbyname(q(example.com))"),
    "interfaces": "while read -r n _; do case $n in lo:*|Inter-*|face*) ;; *) printf yes ;; esac; done </proc/net/dev",
    "writing outside": written("/x", "/usr/x", "/etc/x", "/dev/x", "/run/x", "/home/x", "/sys/x", "/bin/sh", "/proc/x"),
    "settings of the kernel": written(
        "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches"
    ),
    "a file of the host": "cat {secret} /etc/shadow /proc/1/root{secret} /proc/1/cwd{secret} 2>/dev/null && printf yes; :",
    "killing a process of the host": "kill -9 {pid} 2>/dev/null && printf yes; :",
    "killing its parents": f"{PERL} 'kill(9, 1); kill(9, getppid()) if getppid() > 1; print q(no)'",
    "seeing a process of the host": (
        f"{PERL} 'for (glob q(/proc/[0-9]*/cmdline)) {{ open F, $_; <F> =~ /time.sleep\\(/ and print q(yes) }}'"
    ),
    "mounting": perl("syscall(165, q(none), q(/tmp), q(tmpfs), 0, 0) == 0"),
    "unmounting": perl("syscall(166, q(/app), 2) == 0"),
    "another root": perl("chroot(q(/tmp))"),
    "becoming root": f"{PERL} 'setuid(0); $> == 0 and print q(yes)'",
    "a user namespace": perl("syscall(272, 0x10000000) == 0"),
    "a user namespace by clone": perl("(my $p = syscall(56, 0x10000011, 0, 0, 0, 0)) >= 0"),
    "tracing a process of the host": perl("syscall(101, 16, {pid}, 0, 0) == 0"),
    "a device": perl("syscall(133, q(/tmp/disk), 0060666, 0x800) == 0"),
    "reading keys": perl("syscall(250, 0, -3, 0) >= 0"),
    "adding a key": f"{PERL} '($t, $d, $p) = qw(user name x); syscall(248, $t, $d, $p, 1, -3) >= 0 and print q(yes)'",
    "rings": f"{PERL} '$b = qq(\\0) x 256; syscall(425, 8, $b) >= 0 and print q(yes)'",
    "programs in the kernel": f"{PERL} '$b = qq(\\0) x 128; syscall(321, 0, $b, 128) >= 0 and print q(yes)'",
    "typing at the terminal": perl("open(T, q(+</dev/tty)) and ioctl(T, 0x5412, $c = q(x))"),
    "typing at what it was given": perl("(ioctl(STDIN, 0x5412, $c = q(x)) || ioctl(STDERR, 0x5412, $c))"),
    "another host name": f"{PERL} '$n = q(evil); syscall(170, $n, 4) == 0 and print q(yes)'",
    "the clock": f"{PERL} '$t = pack(q(qq), 0, 0); syscall(164, $t, 0) == 0 and print q(yes)'",
    "a module": f"{PERL} '$x = q(); syscall(175, $x, 0, $x) == 0 and print q(yes)'",
    "starting the machine again": perl("syscall(169, 0xfee1dead, 672274793, 0, 0) == 0"),
    "what its sandbox was handed": (
        "for f in /proc/self/fd/*; do case $(readlink $f) in /app|pipe:*|/dev/null|/proc/*|'') ;; *) printf yes ;; esac; done"
    ),
}  # fmt: skip
"""Each says `yes` if it gets what it wants. The numbers of calls are those of x86-64."""


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_hostile_job_tries_fails(jobs: Jobs, outside: dict[str, str], name: str) -> None:
    command = HOSTILE[name]
    for known, value in outside.items():
        command = command.replace("{" + known + "}", value)
    ended = jobs.run(command)
    assert ended.ended_by == ""
    assert "yes" not in jobs.log, jobs.log
    assert "syntax error" not in jobs.log
    assert "not found" not in jobs.log


# --- hostile ones: they meet a limit

ENDLESS = {
    "fork bomb": ("b() { b | b & }; b; sleep 60", PROCESSES),
    "forks for ever": (f"{PERL} 'while (1) {{ fork }}'", PROCESSES),
    "memory": (f"{PERL} '$x = q(A) x 500_000_000; sleep 60'", MEMORY),
    "memory of many": ("for i in 1 2 3 4 5 6; do " + PERL + " '$x = q(A) x 30_000_000; sleep 60' & done; wait", MEMORY),
    "shared memory": ("for i in 1 2 3 4 5 6; do cat /dev/zero >/dev/shm/$i; done; sleep 60", MEMORY),
    "says without end": (f"{PERL} '$x = q(word) x 20_000 . qq(\\n); print $x while 1'", OUTPUT),
    "a line without end": ("cat /dev/zero", OUTPUT),
    "a file without end": ("cat /dev/zero >file", OUTPUT),
    "files without end": (f"{PERL} 'for (;;) {{ open F, qq(>$n); $n++; print F q(A) x 1_000_000 }}'", OUTPUT),
    "a file with a hole": (f"{PERL} 'for (1..9) {{ open F, qq(>$_); truncate F, 20_000_000 }}; sleep 60'", OUTPUT),
    "files that have lost their names": (
        f"{PERL} 'for (1..9) {{ open $f[$_], q(>x); unlink q(x); print {{$f[$_]}} q(A) x 9_000_000 }}; sleep 60'",
        OUTPUT,
    ),
    "too many files": (f"{PERL} 'for (;;) {{ open F, qq(>/tmp/$n); $n++ }}'", FILES),
    "too many links": (f"{PERL} 'for (;;) {{ symlink q(x), $n++ }}'", FILES),
    "deep folders": (f"{PERL} 'for (1..2000) {{ mkdir q(d); chdir q(d) }}'", FILES),
    "deep folders, long names": (f"{PERL} '$n = q(n) x 255; for (1..40) {{ mkdir $n; chdir $n }}; sleep 60'", FILES),
    "hidden files": (f"{PERL} 'mkdir q(h); chdir q(h); for (1..4000) {{ open F, qq(>$_) }}; chmod 0, q(.)'", FILES),
    "does nothing": ("sleep 60", TIME),
    "hears no signal": ("trap '' TERM INT HUP; while :; do :; done", TIME),
    "stops the first process": (f"{PERL} 'syscall(101, 16, 1, 0, 0); sleep 60'", TIME),
    "has left the session": (f"{PERL} 'fork and exit; setsid; fork and exit; sleep 60' & sleep 60", TIME),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_job_without_end_meets_a_limit(jobs: Jobs, name: str) -> None:
    command, limit = ENDLESS[name]
    seconds = 1.0 if limit == TIME else SMALL.seconds
    limits = Limits(SMALL.memory, SMALL.processes, seconds, SMALL.output, SMALL.files)
    ended = jobs.run(command, limits=limits)
    assert ended.ended_by == limit
    assert limit != TIME or 1 <= ended.seconds < 30, "by itself it would take 60"


@pytest.mark.parametrize("name", ["forks for ever", "memory of many", "memory"])
def test_where_no_control_group_can_be_made(jobs: Jobs, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is met is then seen by counting, or told to the program by the kernel."""
    monkeypatch.setattr("stager.sandbox.groups._places", lambda: iter(()))
    command, limit = ENDLESS[name]
    ended = jobs.run(command)
    if name == "memory":
        assert (ended.ended_by, ended.status != 0) == ("", True)
        assert "Out of memory" in jobs.log
    else:
        assert ended.ended_by == limit
    assert jobs.told[0].endswith("no control group can be made here (none is mounted)")


def test_files_in_memory_are_no_more_than_its_memory(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing counts them; none of them is any process's own."""
    monkeypatch.setattr("stager.sandbox.groups._places", lambda: iter(()))
    ended = jobs.run("for i in 1 2 3 4 5 6 7; do cat /dev/zero >/dev/shm/$i; done 2>/dev/null; ls -l /dev/shm | cat")
    assert (ended.status, ended.ended_by) == (0, "")
    sizes = [int(line.split()[4]) for line in jobs.log.splitlines() if line.startswith("-")]
    assert 0.9 * SMALL.memory < sum(sizes) <= SMALL.memory


# --- other ways


def test_with_root_and_without_a_user_namespace(
    jobs: Jobs, outside: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("that is a way for root")
    monkeypatch.setattr(running, "ways", lambda *asked, ways=running.ways: ways(*asked)[1:])
    held = (
        "while read -r n v; do case $n in Cap*|NoNew*|Uid:) echo $n $v ;; esac; done </proc/self/status; echo x >made"
    )
    job = jobs.job(f"{held}; cat /inputs/one; {written('/x', '/usr/x', '/inputs/one', '/proc/sys/kernel/hostname')}")
    job = replace(job, inputs=((outside["secret"], "/inputs/one"),))
    ended = run(job, stop=lambda: False, tell=jobs.told.append)
    assert (ended.status, ended.ended_by) == (0, "")
    lines = jobs.log.splitlines()
    user = (Path(job.app) / "made").stat().st_uid
    assert user in USERS
    assert lines[:7] == ["Uid:" + 4 * f" {user}", *(f"Cap{x}: {'0' * 16}" for x in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
                         "NoNewPrivs: 1"]  # fmt: skip
    assert lines[7:] == ["a secret of the host"]


def as_somebody(place: Path, command: str, before: tuple[str, ...] = ()) -> dict[str, object]:
    """How a job ended that another user of this machine ran, or the error."""
    place.chmod(0o755)
    mine = place / "mine"
    mine.mkdir()
    os.chown(mine, OTHER_USER, OTHER_USER)
    shutil.copy(small_root(place), place / "given.tar")
    words = as_other_user([mine, place / "given.tar", command], folder=place, before=before, program=SCRIPT)
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd="/")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_as_an_ordinary_user(tmp_path: Path) -> None:
    hostile = "mkdir closed; echo x >closed/file; chmod 0 closed; kill -9 1; " + written("/x", "/usr/x", "/etc/x")
    found = as_somebody(tmp_path, f"id -u; echo made >made; {hostile}")
    assert (found["status"], found["ended_by"]) == (0, "")
    assert found["last"] == ["1000"]
    assert (found["app"], found["left"]) == (["closed", "made"], [])


def test_an_ordinary_user_s_limits(tmp_path: Path) -> None:
    assert as_somebody(tmp_path, f"{PERL} 'while (1) {{ fork }}'")["ended_by"] == PROCESSES


def test_as_root_of_a_namespace_with_one_user(tmp_path: Path) -> None:
    """As in a container that an ordinary user has started: there is nobody else to become."""
    found = as_somebody(tmp_path, "id -u; echo made >made", ("unshare", "--user", "--map-root-user"))
    assert (found["status"], found["ended_by"], found["last"]) == (0, "", ["1000"])
    assert (found["app"], found["left"]) == (["made"], [])


def test_where_there_is_no_sandbox(tmp_path: Path) -> None:
    """As where the kernel's limit is 0: the user namespace that this runs in has no room for another."""
    limit = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'
    unshare = ("unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", limit, "sh")
    found = as_somebody(tmp_path, "echo ran", unshare)
    assert (found["code"], found["left"]) == ("NoSandbox", [])
    assert "user.max_user_namespaces" in str(found["hint"])
    assert "in a user namespace: bwrap: " in str(found["message"])


# --- what is left


def test_what_it_leaves_running_ends_with_it(jobs: Jobs) -> None:
    daemon = f"{PERL} 'fork and exit; setsid; $SIG{{$_}} = q(IGNORE) for qw(TERM HUP INT); $0 = q(daemon); sleep 100'"
    began = time.monotonic()
    ended = jobs.run(f"{daemon}; sleep 100 & echo done")
    assert (ended.status, ended.last[-1]) == (0, "done")
    assert time.monotonic() - began < 60, "it was not waited for, though it held the output open"


def test_odd_things_among_what_it_wrote(jobs: Jobs, outside: dict[str, str]) -> None:
    """All of it is of kinds that can be told, and removed; nothing outside was touched by making it so."""
    command = f"""{PERL} '
      symlink q({outside["secret"]}), q(link); symlink q(/), q(top); symlink q(..), q(up);
      mkfifo(q(pipe), 0666); socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un(q(socket)));
      open F, q(>program); chmod 06777, q(program);
      mkdir q(closed); mkdir q(closed/in); open F, q(>closed/in/file); chmod 0, q(closed/in/file), q(closed/in), q(closed);
      mkdir qq(odd\\n\\xff); open F, qq(>odd\\n\\xff/\\xfe)'"""
    ended = jobs.run(command)
    assert (ended.status, ended.ended_by) == (0, "")
    app = jobs.place / "app"
    names = sorted(os.fsencode(name) for name in os.listdir(app))
    assert names == [b"closed", b"link", b"odd\n\xff", b"pipe", b"program", b"socket", b"top", b"up"]
    assert (app / "program").stat().st_mode & 0o7000 == 0
    assert os.listdir(app / "closed/in") == ["file"]


def test_cancelled_it_goes_at_once(jobs: Jobs) -> None:
    """It is asked twenty times a second; nobody asks again once it is to stop, and nothing hears of it before it has gone."""
    jobs.told.clear()
    job = jobs.job(f"{PERL} 'fork; setsid; $SIG{{TERM}} = q(IGNORE); sleep 60' & trap '' TERM; echo up; sleep 60")
    asked: list[float] = []

    def stop() -> bool:
        asked.extend([time.monotonic()] if jobs.told else [])
        return bool(asked)

    with pytest.raises(Cancelled):
        run(job, stop=stop, tell=jobs.told.append)
    assert time.monotonic() - asked[0] < 30
    assert (len(asked), jobs.told) == (1, ["up"])
    assert jobs.left() == NOTHING


def test_when_stager_is_killed_everything_goes(jobs: Jobs, tmp_path: Path) -> None:
    """What could only be left for the next one, an empty control group, that one removes."""
    tar = small_root(tmp_path)
    (tmp_path / "mine").mkdir()
    words = [*SCRIPT, str(tmp_path / "mine"), str(tar), "sleep 60 & sleep 60"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}
    ) as process:
        until(lambda: len(running_in(str(tmp_path))) >= 3)
        process.kill()

    def groups() -> list[Path]:
        return list(Path("/sys/fs/cgroup").glob(f"**/stager-{process.pid}-*"))

    # The last process leaves its group after its mounts, and the group cannot be removed before.
    until(lambda: running_in(str(tmp_path)) == [] and not any((one / "cgroup.procs").read_text() for one in groups()))
    jobs.run("true")
    assert groups() == []


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_at_once_in_one_root(jobs: Jobs, tmp_path: Path) -> None:
    ended: list[str] = []

    def one(number: int) -> None:
        own = Jobs(tmp_path / str(number), jobs.root)
        own.place.mkdir()
        own.run(f"sleep 0.3; echo {number} >/tmp/x; cat /tmp/x")
        ended.append(own.log)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == [f"{number}\n" for number in range(6)]
    jobs.folders()


@pytest.mark.parametrize("ways", [slice(0, 1), slice(1, 2)], ids=["namespace", "bare"])
def test_two_at_once_do_not_meet(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: slice) -> None:
    """One neither sees, ends, traces or reads the other, nor has fewer processes for the other's having many."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's jobs are that user's")
    monkeypatch.setattr("stager.sandbox.groups._places", lambda: iter(()))
    monkeypatch.setattr(running, "ways", lambda *asked, found=running.ways: found(*asked)[ways])
    one, other = Jobs(tmp_path / "one", jobs.root), Jobs(tmp_path / "other", jobs.root)
    limits = replace(SMALL, processes=40, seconds=60.0, memory=1 << 30)
    many = "i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i+1)); done"
    wait = "until [ -e go ]; do sleep 0.1; done"
    seen = "for p in /proc/[0-9]*; do case $(cat $p/cmdline) in *100) echo sleeper ;; esac; done 2>/dev/null"
    keep = "for f in own /dev/shm/own; do echo secret >$f; chmod 600 $f; done"
    victim = f"{keep}; {many}; touch up; {wait}; cat own /dev/shm/own; {seen}"
    ended: dict[str, int] = {}

    def run_one(bench: Jobs, name: str, job: Job) -> None:
        ended[name] = run(job, stop=lambda: False, tell=bench.told.append).status

    for bench in (one, other):
        bench.place.mkdir()
    first = one.job(victim, limits=limits)
    hostile = f"""touch up; {wait}; read -r pids <pids; ls /dev/shm; cat /app/own
      {seen}
      for p in $pids; do kill -9 $p && echo ended $p; cat /proc/$p/root/app/own && echo read $p; done
      {PERL} 'for (@ARGV) {{ syscall(101, 16, $_, 0, 0) == 0 and print qq(traced $_\n) }}' $pids
      {many}; touch all; kill -9 -1"""
    second = other.job(f"{{ {hostile}; }} 2>/dev/null", limits=limits)
    threads = [threading.Thread(target=run_one, args=row) for row in ((other, "second", second), (one, "first", first))]
    threads[0].start()  # what it may have is decided before the other has its many
    until(lambda: Path(second.app, "up").exists())
    threads[1].start()
    until(lambda: Path(first.app, "up").exists())
    theirs = processes_of(Path(first.app, "up").stat().st_uid)
    assert len(theirs) > 30
    Path(second.app, "pids").write_text(" ".join(theirs) + "\n")
    Path(second.app, "go").touch()
    threads[0].join()
    assert Path(second.app, "all").exists()
    assert other.log == ""
    Path(first.app, "go").touch()
    threads[1].join()
    assert ended["first"] == 0
    assert one.log.split() == ["secret", "secret", *["sleeper"] * 30]
    jobs.folders()


def processes_of(user: int) -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            found += [name] if os.stat(f"/proc/{name}").st_uid == user else []
    return found
