"""What of a machine needs no machine: what is written for it, what is decided, and how commands are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import in_process
from machine_bench import make_shop

from stager.cli import main
from stager.errors import CannotWrite, UsageError
from stager.local.errors import (
    BadMachine,
    MachineBusy,
    MachineFailed,
    NoMachine,
    NoProvider,
    NotReady,
    PortInUse,
    Refused,
)
from stager.local.machine import (
    boxes,
    checking,
    dev,
    driver,
    environment,
    guest_files,
    logs,
    lookout,
    ports,
    providers,
    ssh,
    vagrantfile,
)
from stager.local.machine import state as folder
from stager.local.machine.state import State
from stager.planning.detection.appconfig import Health
from stager.stacks.tree import read
from stager.tree import Link, SourceTree

STATE = State(
    "docker",
    "debian-12",
    "debian-12",
    5000,
    image="stager/debian-12:0123456789abcdef",
    droplet="sha256:" + "ab" * 32,
    source="sha256:" + "cd" * 32,
    files="sha256:" + "cd" * 32,
    processes=(("web.1", 8080), ("worker.1", 8180)),
    services=("postgresql", "redis"),
    scale={"worker": 1},
    env={"NAME": "it's"},
    secrets={"postgresql": "pgsecret", "redis": "redissecret"},
    drain="gelf://10.0.0.1:12201",
    health=Health("/health", "", 5),
)

# --- the folder ------------------------------------------------------------------------------------------------


def test_a_state_is_read_as_it_was_saved(tmp_path: Path) -> None:
    where = folder.place(str(tmp_path))
    with pytest.raises(NoMachine):
        folder.load(where)
    folder.prepare(where)
    folder.save(where, STATE)
    assert folder.load(where) == STATE
    assert (os.stat(where.folder).st_mode & 0o777, os.stat(where.file("state.json")).st_mode & 0o777) == (0o700, 0o600)
    assert SourceTree.read(str(tmp_path)).files == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', '{"version": 1, "health": 3}'])
def test_a_damaged_state_is_an_error_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    where = folder.place(str(tmp_path))
    folder.prepare(where)
    Path(where.file("state.json")).write_text(text)
    with pytest.raises(BadMachine) as error:
        folder.load(where)
    assert error.value.where == where.file("state.json")


def test_every_key_of_a_state_is_checked(tmp_path: Path) -> None:
    where = folder.place(str(tmp_path))
    folder.prepare(where)
    folder.save(where, STATE)
    whole = json.loads(Path(where.file("state.json")).read_text())
    for key in whole:
        Path(where.file("state.json")).write_text(json.dumps({**whole, key: 1.5}))
        with pytest.raises(BadMachine):
            folder.load(where)


def test_a_folder_that_came_with_the_app_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone or copy may hold a Vagrantfile, which is a program, and an ssh configuration that names one."""
    (tmp_path / "app").mkdir()
    where = folder.place(str(tmp_path / "app"))
    folder.prepare(where)
    folder.save(where, STATE)
    shutil.copytree(tmp_path / "app", tmp_path / "clone", symlinks=True)
    sprung = tmp_path / "sprung"
    Path(folder.place(str(tmp_path / "clone")).file("ssh_config")).write_text(
        f"Host machine\n  ProxyCommand mkdir {sprung}\n"
    )
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/.stager").symlink_to("../app/.stager")
    monkeypatch.setenv("STAGER_CACHE_DIR", str(tmp_path / "store"))
    for name in ("clone", "linked"):
        for command in (["up"], ["status"], ["ssh", "--", "true"], ["logs"], ["provision"], ["halt"], ["destroy"]):
            assert main([command[0], str(tmp_path / name), *command[1:]]) == 70, command
        assert main(["check", str(tmp_path / name)]) == 3
        with pytest.raises(BadMachine, match="came with the app or was copied"):
            folder.prepare(folder.place(str(tmp_path / name)))
    assert folder.load(where) == STATE
    assert not sprung.exists()


def test_a_folder_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    where = folder.place(str(tmp_path))
    os.makedirs(where.folder)
    folder.prepare(where)
    os.unlink(where.file("seal"))
    os.unlink(where.file("made"))
    folder.prepare(where)
    folder.check(where)


def test_the_apps_own_vagrantfile_is_in_force_only_when_it_is_taken_over(tmp_path: Path) -> None:
    where, found = folder.place(str(tmp_path)), boxes.definition("debian-12")
    Path(where.ejected).write_text("abort")
    folder.prepare(where)
    assert vagrantfile.write(where, found, STATE) == where.file("Vagrantfile")
    assert not where.is_ejected()
    assert not vagrantfile.eject(where, found, STATE)
    assert where.is_ejected()
    assert vagrantfile.write(where, found, STATE) == where.ejected
    assert Path(where.ejected).read_text() == "abort"


def test_one_stager_at_a_time_and_nothing_left(tmp_path: Path) -> None:
    where = folder.place(str(tmp_path))
    folder.prepare(where)
    with folder.alone(where), pytest.raises(MachineBusy), folder.alone(where):
        pass
    folder.remove(where)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / ".stager").write_text("a file")
    with pytest.raises(CannotWrite):
        folder.prepare(folder.place(str(tmp_path)))


# --- the Vagrantfile -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", ["debian-12", "debian-13"])
@pytest.mark.parametrize("provider", providers.PROVIDERS)
def test_each_stack_has_a_vagrantfile_for_each_provider(stack: str, provider: str) -> None:
    found = boxes.definition(stack)
    state = State(provider, stack, stack, 5000, driver="qemu", image="box")
    text = vagrantfile.text(found, state, ejected=False)
    assert f"the stack {stack}, with {provider}" in text
    assert ('docker.image = ENV.fetch("STAGER_IMAGE", "box")' in text) is (provider == "docker")
    assert ('machine.driver = ENV.fetch("STAGER_DRIVER", "qemu")' in text) is (provider == "libvirt")
    assert 'host: Integer(ENV.fetch("STAGER_PORT", "5000")), host_ip: "127.0.0.1"' in text
    assert 'File.expand_path(".", __dir__)' in text
    assert 'File.expand_path(".stager/machine", __dir__)' in vagrantfile.text(found, state, ejected=True)
    assert text.count("\nend\n") == 1


@pytest.mark.tools
@pytest.mark.parametrize("provider", ["docker", "libvirt", "virtualbox", "vmware_desktop"])
def test_ruby_accepts_the_vagrantfile(tmp_path: Path, provider: str) -> None:
    text = vagrantfile.text(boxes.definition("debian-12"), State(provider, "debian-12", "", 1), ejected=True)
    (tmp_path / "Vagrantfile").write_text(text)
    done = subprocess.run(["ruby", "-wc", tmp_path / "Vagrantfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "Syntax OK", "")


def test_an_ejected_vagrantfile_is_never_written_again(tmp_path: Path) -> None:
    where, found = folder.place(str(tmp_path)), boxes.definition("debian-12")
    folder.prepare(where)
    assert vagrantfile.write(where, found, STATE) == where.file("Vagrantfile")
    assert vagrantfile.eject(where, found, STATE)
    Path(where.ejected).write_text("mine")
    assert not vagrantfile.eject(where, found, STATE)
    assert vagrantfile.write(where, found, STATE) == where.ejected
    assert Path(where.ejected).read_text() == "mine"


def test_an_own_stack_uses_the_template_of_the_one_it_extends(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "box.yml").write_text("extends: debian-13\n")
    assert "the stack mine, with docker" in vagrantfile.text(boxes.definition(f"{mine}/"), STATE, ejected=False)


# --- environment -----------------------------------------------------------------------------------------------


def test_processes_get_ports_of_their_own_and_release_is_none() -> None:
    types = ["web", "worker", "release", "clock"]
    assert environment.processes(types, {"worker": 2, "clock": 0}) == (
        ("web.1", 8080),
        ("worker.1", 8280),
        ("worker.2", 8281),
    )
    assert environment.processes(["worker"], {}) == (("worker.1", 8180),)
    for scale in ({"cron": 1}, {"web": 100}):
        with pytest.raises(UsageError):
            environment.processes(types, scale)


def test_variables_are_those_of_the_platform() -> None:
    services = {"postgresql": "a", "redis": "b"}
    plain = environment.variables("web.1", 8080, "plain", "shop", services, {"X": "1"})
    assert plain == {
        "DATABASE_URL": "postgres://app:a@127.0.0.1:5432/app",
        "HOME": "/app",
        "LANG": "C.UTF-8",
        "PATH": environment.PATH,
        "PORT": "8080",
        "REDIS_URL": "redis://:b@127.0.0.1:6379/0",
        "TMPDIR": "/home/vcap/tmp",
        "USER": "vcap",
        "X": "1",
    }
    assert environment.variables("worker.2", 8181, "heroku", "shop", {}, {})["DYNO"] == "worker.2"
    found = environment.variables("worker.2", 8181, "cloudfoundry", "shop", services, {})
    about = json.loads(found["VCAP_APPLICATION"])
    assert (about["application_name"], about["instance_index"], about["port"], about["process_type"]) == (
        "shop",
        1,
        8181,
        "worker",
    )
    assert found["CF_INSTANCE_INDEX"] == "1"
    bound = json.loads(found["VCAP_SERVICES"])
    assert set(bound) == {"postgresql", "redis"}
    assert bound["postgresql"][0]["credentials"]["uri"] == plain["DATABASE_URL"]


def test_exports_survive_a_shell() -> None:
    nasty = {"A": 'it\'s "$HOME" `x` \\ é', "B": "two\nlines"}
    text = environment.exports(nasty) + 'printf "%s|%s" "$A" "$B"'
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == f"{nasty['A']}|{nasty['B']}"


@pytest.mark.parametrize("good", ["", "syslog://logs:514", "syslog+tcp://10.0.0.1:601", "gelf://[::1]:12201"])
def test_drains(good: str) -> None:
    assert environment.drain(good) == good


@pytest.mark.parametrize("bad", ["http://x:1", "syslog://x", "syslog://x:1; rm", "gelf://x:1\n"])
def test_what_is_no_drain(bad: str) -> None:
    with pytest.raises(UsageError):
        environment.drain(bad)


def test_the_guest_s_files_are_a_function_of_the_state(tmp_path: Path) -> None:
    data = guest_files.archive(STATE, "shop")
    assert data == guest_files.archive(STATE, "shop")
    path = tmp_path / "guest.tar"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        tree = read(descriptor, "guest.tar")
        assert tree.bytes_of("droplet.sha256") == b"ab" * 32 + b"\n"
        assert tree.bytes_of("etc/processes") == b"web.1\nworker.1\n"
        assert tree.bytes_of("etc/services") == b"postgresql\nredis\n"
        assert tree.bytes_of("etc/drain") == b"gelf://10.0.0.1:12201\n"
        assert b"export NAME='it'\"'\"'s'\n" in tree.bytes_of("etc/env.d/worker.1")
        private = [name for name in tree.items if name.startswith(("etc/env.d/", "etc/secrets/"))]
        assert {tree.items[name].mode for name in private} == {0o600}
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "name", ["init", "provision", *guest_files._SCRIPTS, "services/redis/run", "services/postgresql/run"]
)
def test_scripts_are_plain_shell(name: str) -> None:
    done = subprocess.run(["sh", "-n"], input=guest_files.script(name), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


# --- providers, ports ------------------------------------------------------------------------------------------


def test_without_anything_installed_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(NoProvider) as error:
        providers.choose("", {"PATH": str(tmp_path)})
    assert error.value.exit_code == 70
    assert "apt-get install vagrant" in error.value.hint


def test_an_unknown_provider() -> None:
    with pytest.raises(UsageError):
        providers.choose("parallels", {})


def test_a_machine_without_a_hypervisor_is_told_by_the_command(tmp_path: Path) -> None:
    app = make_shop(tmp_path / "shop")
    done = in_process("up", app, "--json", store=tmp_path / "store", PATH=str(tmp_path))
    assert (done.code, done.document["error"]["code"]) == (70, "NoProvider")
    assert not (app / ".stager").exists()


def test_each_provider_says_what_it_lacks(tmp_path: Path) -> None:
    vagrant = tmp_path / "vagrant"
    vagrant.write_text("#!/bin/sh\n")
    vagrant.chmod(0o755)
    with pytest.raises(NoProvider) as error:
        providers.choose("", {"PATH": str(tmp_path)})
    tried: list[list[str]] = error.value.data["attempts"]  # type: ignore[assignment]
    assert [name for name, _ in tried] == list(providers.PROVIDERS)
    assert "VBoxManage is not installed" in error.value.message


@pytest.mark.parametrize(("missing", "extra"), [("docker", "stager[docker]"), ("vagrant", "stager[vagrant]"), ("", "")])
def test_what_is_there_is_not_to_be_installed(
    missing: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the Python packages that drive them, the programs Vagrant and Docker are of no use; they are there, though."""
    for name in ("vagrant", "docker"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    environ = {"PATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    with pytest.raises(UsageError if missing == "vagrant" else NoProvider) as error:
        providers.choose("", environ)
    assert "nstall Vagrant" not in error.value.hint
    assert (
        f"Install stager with its extra: {extra}" if extra else "Vagrant is there; it needs one of its providers"
    ) in error.value.hint


def test_a_port_in_use() -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortInUse):
            ports.choose(other.getsockname()[1])
    assert 0 < ports.choose(0) < 65536
    with pytest.raises(UsageError):
        ports.choose(70000)


# --- running commands ------------------------------------------------------------------------------------------


def test_a_command_s_lines_reach_the_user_as_they_come(tmp_path: Path) -> None:
    told: list[str] = []
    out = driver.run(["sh", "-c", "echo one; echo two >&2; echo three"], str(tmp_path), os.environ, 10, told.append)
    assert out == "one\nthree\n"
    assert sorted(told) == ["one", "three", "two"]


def test_a_command_that_fails_says_its_last_lines(tmp_path: Path) -> None:
    script = "echo '==> default: Booting'; echo '    default: E: no such thing' >&2; exit 3"
    with pytest.raises(MachineFailed) as error:
        driver.run(["sh", "-c", script], str(tmp_path), os.environ, 10, None)
    assert "E: no such thing" in error.value.said


def test_a_command_without_end_is_ended_with_its_children(tmp_path: Path) -> None:
    script = "sleep 987 & echo $! >child; trap '' TERM; wait"
    began = time.monotonic()
    with pytest.raises(MachineFailed) as error:
        driver.run(["sh", "-c", script], str(tmp_path), os.environ, 0.5, None)
    assert "was not done after 0.5 s" in error.value.message
    assert time.monotonic() - began < 10
    child = int((tmp_path / "child").read_text())
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_an_interrupt_ends_the_command_too(tmp_path: Path) -> None:
    code = (
        "import signal, sys, os\n"
        "from stager.local.machine import driver\n"
        "signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.5)\n"
        "try:\n    driver.run(['sh', '-c', 'echo $$ >pid; exec sleep 987'], sys.argv[1], os.environ, 60, None)\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "interrupted\n", done.stderr
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_refusals_are_told_apart() -> None:
    refused = driver.failure("vagrant up", ["    default: stager: refused: the droplet's sha256 is 1 in here, not 2"])
    assert isinstance(refused, Refused)
    assert refused.exit_code == 50
    assert isinstance(driver.failure("vagrant box", ["The checksum of the downloaded box did not match"]), Refused)
    assert isinstance(driver.failure("vagrant up", ["No such file"]), MachineFailed)


@pytest.mark.tools
def test_a_box_with_another_checksum_is_refused(tmp_path: Path) -> None:
    box = tmp_path / "x.box"
    (tmp_path / "metadata.json").write_text('{"provider":"docker"}')
    subprocess.run(["tar", "-cf", box, "-C", tmp_path, "metadata.json"], check=True)
    where = folder.place(str(tmp_path))
    folder.prepare(where)
    environ = {**os.environ, "VAGRANT_HOME": str(tmp_path / "home")}
    vagrant = driver.make(where, "docker", environ, {}, lambda _: None)
    with pytest.raises(Refused) as error:
        boxes.add(vagrant, "stager-x", "docker", str(box), "0" * 64)
    assert error.value.exit_code == 50
    assert vagrant.box_list() == []
    import hashlib

    boxes.add(vagrant, "stager-x", "docker", str(box), hashlib.sha256(box.read_bytes()).hexdigest())
    assert [known.name for known in vagrant.box_list()] == ["stager-x"]


# --- looking ---------------------------------------------------------------------------------------------------


def test_states_and_lines_are_parsed() -> None:
    row = checking.parse("web.1 run 12 345 2 1\n")[0]
    assert (row.name, row.state, row.seconds, row.pid, row.ends, row.recent) == ("web.1", "run", 12, 345, 2, 1)
    with pytest.raises(BadMachine) as error:
        checking.parse("web.1 run 12 345 2\n")  # of an earlier version's script
    assert "stager up" in error.value.hint
    line = logs.parse('{"instance":1,"message":"a","process":"web","time":"2026-01-02T03:04:05.678901Z"}')
    assert line is not None
    assert line.text() == "2026-01-02T03:04:05.678 web.1 | a"
    assert logs.parse('{"instance":1,"mess') is None


@pytest.mark.parametrize(
    ("told", "steady", "crashes"),
    [
        ("run 2 9 0 0", True, False),
        ("run 1 9 0 0", False, False),
        ("run 5 9 40 0", True, False),  # long ago
        ("run 3 9 1 1", False, False),
        ("run 5 9 1 1", True, False),
        ("run 9 9 2 2", False, True),
        ("run 10 9 2 2", True, False),  # it had to wait for something
        ("run 8 9 50 7", False, True),  # every eight seconds
        ("finish 0 0 3 3", False, True),
        ("down 70 0 0 0", False, False),
    ],
)
def test_what_goes_on_and_what_crashes(told: str, steady: bool, crashes: bool) -> None:
    row = checking.parse(f"web.1 {told}\n")[0]
    assert (row.steady, row.crashes) == (steady, crashes)


class Played(ssh.Guest):
    """A machine that tells what a test wants it to: its processes' states, then the same lines of a log."""

    states: tuple[str, ...] = ()

    def ask(self, words: Sequence[str], given: bytes = b"", limit: float = 0.0) -> str:
        if words[0] == "/bin/sh":
            return '{"instance":1,"message":"no database","process":"web","time":"2026-01-02T03:04:05.678901Z"}\n'
        Played.states, told = Played.states[1:], Played.states[0]
        return told


def test_dev_mode_tells_once_of_each_turn_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "PAUSE", 0.0)
    told: list[str] = []
    watch = lookout.Lookout(Played("/f"), told.append)
    log = "    2026-01-02T03:04:05.678 web.1 | no database"
    turns = {
        "web.1 run 50 9 1 0": "",  # what was before is of no interest
        "web.1 finish 0 0 2 1": f"web.1 has ended, and is started again:\n{log}",
        "web.1 run 0 9 2 1": "",
        "web.1 run 0 9 3 2": f"web.1 crashes: it has ended 2 times in the last minute:\n{log}",
        "web.1 run 0 9 4 3": "",
        "web.1 run 15 9 4 3": "web.1 runs again",
        "web.1 run 17 9 4 3": "",
        "web.1 run 0 9 9 8": f"web.1 crashes: it has ended 8 times in the last minute:\n{log}",
    }
    for states, says in turns.items():
        Played.states = (states,)
        told.clear()
        watch.look()
        assert told == ([says] if says else []), states
    with pytest.raises(NotReady) as error:
        watch.check()
    assert error.value.message == "the app is not ready: web.1 crashes: it has ended 8 times in the last minute"
    assert "no database" in error.value.hint
    watch.anew()
    watch.check()


def test_without_a_machine_everything_says_so(tmp_path: Path) -> None:
    store = tmp_path / "store"
    check = in_process("check", tmp_path, store=store)
    assert (check.code, check.out) == (3, "STAGER UNKNOWN - this app's machine does not exist | time=0.000s;;;0\n")
    assert in_process("status", tmp_path, "--json", store=store).good().document == {"machine": "not_created"}
    for command in ("halt", "provision", "logs"):
        done = in_process(command, tmp_path, "--json", store=store)
        assert (done.code, done.document["error"]["code"]) == (70, "NoMachine")
    assert in_process("destroy", tmp_path, "--json", store=store).good().document == {"destroyed": False}


@pytest.mark.parametrize("command", ["up", "status", "logs", "provision", "halt", "destroy"])
def test_a_folder_that_is_not_there_has_no_machine_to_tell_of(command: str, tmp_path: Path) -> None:
    done = in_process(command, tmp_path / "gone", "--json", store=tmp_path / "store")
    assert (done.code, done.document["error"]["code"]) == (20, "Unreadable")
    assert in_process("check", tmp_path / "gone", store=tmp_path / "store").code == 3


def test_only_how_to_reach_the_machine_is_kept_of_an_ssh_configuration() -> None:
    text = "Host default\n  HostName 127.0.0.1\n  User vagrant\n  Port 2222\n  IdentityFile /a b/key\n  Z y\n"
    found = ssh.config(text).decode()
    assert found.startswith(
        "Host machine\n  HostName 127.0.0.1\n  User vagrant\n  Port 2222\n  IdentityFile /a b/key\n"
    )
    assert "Z y" not in found


def test_words_reach_the_machine_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a program in ssh's place that does with its last word what a machine does: hands it to a shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "ssh").write_text("#!/bin/sh\nfor last; do :; done\neval \"printf '%s\\\\0' $last\"\n")
    (tmp_path / "ssh").chmod(0o755)
    words = ["sh", "-c", 'echo "$1"; it\'s', "*"]
    shown = subprocess.run(ssh.Guest("/f").command(words, root=False), capture_output=True, check=True).stdout
    assert shown.decode().split("\0")[:-1] == words


# --- dev mode --------------------------------------------------------------------------------------------------


def test_what_has_to_go_and_come() -> None:
    old = SourceTree.of({"a": "1", "b/c": "2", "b/d": "3", "e": "4", "link": Link("a"), "x/y": "5"})
    new = SourceTree.of({"a": "1", "b/c": "two", "e": Link("a"), "link": "4", "new/deep/f": "6"})
    found = dev.difference(old, new)
    assert set(found.gone) == {"x", "b/d", "e", "link"}
    assert found.come == ("b/c", "e", "link", "new/deep/f") or set(found.come) == {"b/c", "e", "link", "new/deep/f"}
    assert dev.difference(old, old).empty


def test_an_executable_bit_is_a_change() -> None:
    from stager.tree import Executable

    found = dev.difference(SourceTree.of({"a": "1"}), SourceTree.of({"a": Executable("1")}))
    assert (found.gone, found.come) == ((), ("a",))


def test_the_tar_of_changes_is_what_tar_reads(tmp_path: Path) -> None:
    tree = SourceTree.of({"b/c.txt": "two", "b/l": Link("c.txt"), "top": "1"})
    parts = [*dev.changed_files(tree, ["b/c.txt", "b/l", "top"], 1_700_000_000), bytes(1024)]
    subprocess.run(["tar", "-x", "-C", tmp_path], input=b"".join(parts), check=True)
    assert (tmp_path / "app/b/l").read_text() == "two"
    assert os.stat(tmp_path / "app/top").st_uid in (2000, os.getuid())
    assert os.stat(tmp_path / "app/top").st_mtime == 1_700_000_000
