"""Droplets as Cloud Foundry's launcher wants them: what is checked and refused, and real apps under the launcher's rules."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import shutil
import signal
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from all_built import SAYS, AllBuilt
from apps_fixture import materialise
from cf_droplets import make_droplet
from cf_launcher import Container, LauncherExit, launcher_environment
from command import free_port, in_process
from unpacking import unpack

from stager.droplet.reader import DropletFile, open_droplet
from stager.errors import CannotWrite, StagerError, Unreadable
from stager.fetching.errors import TooLarge
from stager.model import Droplet
from stager.store import Store
from stager.targets.cloudfoundry import export, preflight
from stager.targets.errors import Unfit

FILES = {"Procfile": "web: ./serve\nworker: ./work\n", "serve": "#!/bin/sh\n", "work": "#!/bin/sh\n"}


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Droplet:
    return make_droplet(tmp_path_factory.mktemp("staged"), FILES)


@pytest.fixture
def droplet(staged: Droplet) -> Iterator[DropletFile]:
    with open_droplet(staged.path) as opened:
        yield opened


# --- the export ------------------------------------------------------------------------------------------------


def test_the_export_is_the_droplet_and_holds_its_layers(droplet: DropletFile, staged: Droplet, tmp_path: Path) -> None:
    out = tmp_path / "cf.tgz"
    made = export.export(droplet, str(out))
    ids = tuple(layer.diff_id for layer in staged.layers)
    assert out.read_bytes() == Path(staged.path).read_bytes()
    assert (made.target, made.path, made.digest, made.size) == ("cloudfoundry", str(out), staged.digest, staged.size)
    assert made.layers == export.layers(str(out)) == ids
    assert os.listdir(tmp_path) == ["cf.tgz"]


def test_what_is_found(droplet: DropletFile) -> None:
    found = preflight.check(droplet)
    assert (found.stack, found.start_command) == ("cflinuxfs4", "./serve")
    assert found.process_types == {"web": "./serve", "worker": "./work"}
    assert found.unpacked % 4096 == 0
    assert found.unpacked > 4096


def test_the_store_remembers(staged: Droplet, tmp_path: Path) -> None:
    """What it knows it does not read again: the file is gone by then."""
    store, path = Store(str(tmp_path / "store")), str(shutil.copy(staged.path, tmp_path))
    with open_droplet(path) as droplet:
        first = preflight.check(droplet, store=store)
        os.unlink(path)
        assert preflight.check(droplet, store=store) == first
        with pytest.raises(Unreadable):
            preflight.check(droplet)


def test_what_the_store_assembled_itself_is_not_inflated_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    made = make_droplet(tmp_path, FILES, store=store)
    with open_droplet(made.path) as opened:
        looked = preflight.check(opened)
        os.unlink(made.path)
        known = preflight.check(opened, store=store)
    assert (known.start_command, known.process_types) == (looked.start_command, looked.process_types)
    assert 0 < known.unpacked <= looked.unpacked


def test_an_export_that_cannot_be_written(droplet: DropletFile, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        export.export(droplet, str(tmp_path / "no" / "cf.tgz"))
    with pytest.raises(TooLarge):
        export.export(droplet, str(tmp_path / "cf.tgz"), export.CloudFoundryOptions(limit=10))
    assert not os.listdir(tmp_path)


# --- what would not run ----------------------------------------------------------------------------------------


class Copy:
    """A droplet whose archive was changed by somebody; its facts are those of the original."""

    def __init__(self, original: DropletFile, path: Path) -> None:
        self.path, self.name, self.size = str(path), path.name, path.stat().st_size
        self.digest, self.launch, self.layers = original.digest, original.launch, original.layers


Change = Callable[[tarfile.TarInfo, bytes], "tuple[tarfile.TarInfo, bytes] | None"]


def changed(original: DropletFile, folder: Path, change: Change, *more: tarfile.TarInfo) -> Any:
    """The droplet with its entries changed (None leaves one out) and further ones at the end."""
    out = folder / "changed.tgz"
    made = io.BytesIO()
    with (
        tarfile.open(original.path) as source,
        tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as target,
    ):
        for member in source:
            data = source.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            result = change(member, data)
            if result:
                result[0].size = len(result[1])
                target.addfile(result[0], io.BytesIO(result[1]))
        for member in more:
            target.addfile(member)
    out.write_bytes(gzip.compress(made.getvalue()))
    return Copy(original, out)


def without(name: str) -> Change:
    return lambda member, data: None if member.name == name else (member, data)


def replaced(name: str, text: bytes) -> Change:
    return lambda member, data: (member, text if member.name == name else data)


def same(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return member, data


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, target, mode
    return made


def refusal(found: Any) -> str:
    with pytest.raises(StagerError) as caught:
        preflight.check(found)
    return caught.value.message


FOLDERS = ("./app", "./deps", "./logs", "./profile.d", "./tmp")


@pytest.mark.parametrize("name", [*FOLDERS, "./staging_info.yml", "./app/.stager/bin/launch"])
def test_everything_the_launcher_needs_must_be_there(droplet: DropletFile, tmp_path: Path, name: str) -> None:
    assert refusal(changed(droplet, tmp_path, without(name))) == (
        f"changed.tgz would not run on Cloud Foundry: it has no {name}{'/' if name in FOLDERS else ''}"
    )


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (entry("/etc/passwd"), "'/etc/passwd' does not begin with './', or leaves the droplet"),
        (entry("app/x"), "'app/x' does not begin with './', or leaves the droplet"),
        (entry("./app/../../x"), "'./app/../../x' does not begin with './', or leaves the droplet"),
        (entry("./app/x", tarfile.LNKTYPE, "./app/serve"), "'./app/x' is neither a file, a folder nor a symbolic link"),
        (entry("./app/x", tarfile.CHRTYPE), "'./app/x' is neither a file, a folder nor a symbolic link"),
        (entry("./app/x", tarfile.SYMTYPE, "/etc"), "'./app/x' is a link that leads out of the app"),
        (entry("./app/a/x", tarfile.SYMTYPE, "../../deps"), "'./app/a/x' is a link that leads out of the app"),
        (entry("./", tarfile.DIRTYPE, mode=0o700), "'./' would make the home folder unreadable"),
    ],
)
def test_entries_that_must_not_be(droplet: DropletFile, tmp_path: Path, member: tarfile.TarInfo, why: str) -> None:
    assert refusal(changed(droplet, tmp_path, same, member)) == f"changed.tgz would not run on Cloud Foundry: {why}"


@pytest.mark.parametrize(
    "member",
    [
        entry("./app/x", tarfile.SYMTYPE, "serve"),
        entry("./app/a/b/x", tarfile.SYMTYPE, "../../serve"),
        entry("./", tarfile.DIRTYPE, mode=0o755),
    ],
)
def test_entries_that_may_be(droplet: DropletFile, tmp_path: Path, member: tarfile.TarInfo) -> None:
    assert preflight.check(changed(droplet, tmp_path, same, member)).start_command == "./serve"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "its staging_info.yml is not the one line of JSON that the launcher reads"),
        (b'{"detected_buildpack":"x"}\n', "its staging_info.yml is not the one line of JSON that the launcher reads"),
        (b"start_command: ./serve\n", "its staging_info.yml is not the one line of JSON that the launcher reads"),
        (b"\xff\n", "its staging_info.yml is not the one line of JSON that the launcher reads"),
        (
            b'{"detected_buildpack":"x","start_command":"./x"}\n',
            "its staging_info.yml and launch.json name different commands",
        ),
    ],
)
def test_staging_info_that_is_none(droplet: DropletFile, tmp_path: Path, text: bytes, why: str) -> None:
    wrong = changed(droplet, tmp_path, replaced("./staging_info.yml", text))
    assert refusal(wrong) == f"changed.tgz would not run on Cloud Foundry: {why}"


def test_launch_must_be_executable(droplet: DropletFile, tmp_path: Path) -> None:
    def dull(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        member.mode = 0o664
        return member, data

    assert refusal(changed(droplet, tmp_path, dull)).endswith("'./app/.stager/bin/launch' is not executable")


@pytest.mark.parametrize("cut", [5, 300, 1000])
def test_a_file_that_is_cut(droplet: DropletFile, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.tgz"
    path.write_bytes(Path(droplet.path).read_bytes()[:-cut])
    assert refusal(Copy(droplet, path)).startswith("cut.tgz: ")


def test_a_droplet_without_web(tmp_path: Path) -> None:
    made = make_droplet(tmp_path, {"Procfile": "worker: ./work\n", "work": "#!/bin/sh\n"})
    with open_droplet(made.path) as opened:
        found = preflight.check(opened)
    assert found.notes
    with pytest.raises(Unfit, match="it has no process web, and the platform starts one"):
        found.require_web({})


# --- stacks ----------------------------------------------------------------------------------------------------


def checked(stack: str, glibc: tuple[int, int]) -> preflight.PreflightResult:
    return preflight.PreflightResult("d.tgz", stack, glibc, {"web": "x"}, "x", 0)


def test_stacks() -> None:
    assert preflight.check_stack(checked("cflinuxfs4", (2, 35)), "cflinuxfs4") == ""
    with pytest.raises(Unfit) as caught:
        preflight.check_stack(checked("debian-12", (2, 36)), "cflinuxfs4", accept=True)
    assert str(caught.value) == (
        "d.tgz would not run on Cloud Foundry: it needs glibc 2.36, and cflinuxfs4 has 2.35\n"
        "  Run 'stager stage --for cloudfoundry' in the app's folder."
    )
    with pytest.raises(Unfit, match="it was staged for debian-12, and the app is on cflinuxfs5"):
        preflight.check_stack(checked("debian-12", (2, 36)), "cflinuxfs5")
    said = preflight.check_stack(checked("debian-12", (2, 36)), "cflinuxfs5", accept=True)
    assert said == "staged for debian-12, pushed to cflinuxfs5"
    assert preflight.check_stack(checked("debian-12", (2, 36)), "my-own", accept=True)


# --- the launcher's rules, point by point ----------------------------------------------------------------------

SHOW = """#!/bin/sh
id -u; id -g; id -G; pwd
env | sort
"""
PROBE = {
    "Procfile": 'web: ./show\nworker: echo "worker & <done>"\nfails: exit 26\n',
    "show": SHOW,
    ".profile.d/b.sh": 'SEEN="$SEEN app-b"\n',
    ".profile.d/a.sh": 'SEEN="$SEEN app-a"\n',
    ".profile": 'SEEN="$SEEN profile"; export SEEN\n',
}


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Droplet:
    """A droplet that shows how it was started."""
    return make_droplet(tmp_path_factory.mktemp("probe"), PROBE)


@pytest.fixture
def container(tmp_path: Path, probe: Droplet) -> Container:
    """The probe, unpacked in a container."""
    needs_container()
    made = Container(tmp_path / "container")
    made.unpack(Path(probe.path))
    return made


def needs_container() -> None:
    if os.geteuid() != 0 or not shutil.which("bwrap") or not shutil.which("setpriv"):
        pytest.skip("needs root, bubblewrap and setpriv")


def shown(output: str) -> tuple[list[str], dict[str, str]]:
    """(the lines before the environment, the environment)."""
    lines = output.splitlines()
    return lines[:6], dict(line.partition("=")[::2] for line in lines[6:])


@pytest.mark.tools
def test_user_folders_and_variables(container: Container) -> None:
    code, output = container.run()
    head, env = shown(output)
    assert code == 0
    assert head == ["Invoking pre-start scripts.", "Invoking start command.", "2000", "2000", "2000", "/home/vcap/app"]
    assert (env["HOME"], env["TMPDIR"], env["DEPS_DIR"]) == ("/home/vcap/app", "/home/vcap/tmp", "/home/vcap/deps")
    assert (env["PORT"], env["LANG"], env["MEMORY_LIMIT"]) == ("8080", "en_US.UTF-8", "1024m")
    assert json.loads(env["VCAP_APPLICATION"]) == {
        "application_name": "app", "version": "1", "limits": {"mem": 1024, "disk": 1024, "fds": 16384},
        "host": "0.0.0.0", "instance_id": "instance-1", "port": 8080, "instance_index": 0,
    }  # fmt: skip
    assert "VCAP_PLATFORM_OPTIONS" not in env
    names = sorted(path.name for path in container.vcap.iterdir())
    assert names == ["app", "deps", "logs", "profile.d", "staging_info.yml", "tmp"]
    assert {path.stat().st_uid for path in container.vcap.rglob("*")} == {2000}


@pytest.mark.tools
def test_scripts_run_in_the_platforms_order(container: Container) -> None:
    for name in ("10_second.sh", "0_first.sh"):
        (container.vcap / "profile.d" / name).write_text(f'SEEN="$SEEN {name}"\n')
    _, output = container.run()
    assert shown(output)[1]["SEEN"] == " 0_first.sh 10_second.sh app-a app-b profile"


@pytest.mark.tools
def test_commands_and_exit_codes(container: Container) -> None:
    web, worker, fails = json.loads((container.vcap / "app/.stager/launch.json").read_text())["processes"].items()
    assert {web[0], worker[0], fails[0]} == {"web", "worker", "fails"}
    commands = dict((web, worker, fails))
    assert container.run(commands["worker"]) == (
        0,
        "Invoking pre-start scripts.\nInvoking start command.\nworker & <done>\n",
    )
    assert container.run(commands["fails"])[0] == 26
    assert container.run("no-such-program")[0] == 127
    assert container.run("kill -9 $$")[0] in (137, -9)


@pytest.mark.tools
def test_stagers_own_launch_works_there_too(container: Container) -> None:
    """A manifest may name it as the command of a process: it finds the same home."""
    code, output = container.run("/home/vcap/app/.stager/bin/launch worker")
    assert (code, output.splitlines()[-1]) == (0, "worker & <done>")
    assert container.run("/app/.stager/bin/launch nothing")[0] == 64


@pytest.mark.tools
def test_without_a_start_command(tmp_path: Path) -> None:
    needs_container()
    made = make_droplet(tmp_path, {"Procfile": "worker: echo done\n"})
    container = Container(tmp_path / "container")
    container.unpack(Path(made.path))
    with pytest.raises(LauncherExit, match="no start command specified or detected in droplet") as caught:
        container.run()
    assert caught.value.code == 1
    assert container.run("echo done")[1].endswith("done\n")


@pytest.mark.tools
def test_staging_info_is_read_as_yaml(container: Container) -> None:
    info = container.vcap / "staging_info.yml"
    info.write_text(json.dumps({"start_command": "x", "config": {"entrypoint_prefix": "echo prefix:"}}))
    assert container.run()[1].endswith("prefix: x\n")
    info.write_text("a: [")
    with pytest.raises(LauncherExit, match="Invalid staging info"):
        container.run()
    info.unlink()
    with pytest.raises(LauncherExit, match="no start command"):
        container.run()


@pytest.mark.tools
def test_services_and_database_url(container: Container) -> None:
    services = {"db": [{"name": "one", "credentials": {"uri": "postgresql://user:pass@host:5432/db?x=1"}}]}
    _, output = container.run(services=services, variables={"DATABASE_URL": "sqlite://mine"})
    env = shown(output)[1]
    assert env["DATABASE_URL"] == "postgres://user:pass@host:5432/db?x=1"
    assert json.loads(env["VCAP_SERVICES"]) == services


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("mysql://a/b", "mysql2://a/b"),
        ("mysql2://a/b", "mysql2://a/b"),
        ("postgres://a/b", "postgres://a/b"),
        ("amqp://a", ""),
    ],
)
def test_which_services_are_databases(uri: str, url: str) -> None:
    services = json.dumps({"x": [{"credentials": {}}, {"credentials": {"uri": uri}}]})
    assert launcher_environment({"VCAP_SERVICES": services}).get("DATABASE_URL", "") == url
    with pytest.raises(LauncherExit) as caught:
        launcher_environment({"VCAP_PLATFORM_OPTIONS": "{"})
    assert caught.value.code == 3


@pytest.mark.tools
def test_as_a_layer_of_the_cell_owners_are_real(tmp_path: Path, probe: Droplet) -> None:
    """Newer cells mount the tar instead of unpacking it as vcap: its owners and modes must do as they are."""
    needs_container()
    container = Container(tmp_path / "container")
    with tarfile.open(probe.path) as archive:
        unpack(archive, container.vcap, numeric_owner=True)
    assert (container.vcap / "app").stat().st_uid == 2000
    code, output = container.run("touch new ../tmp/new && ./show")
    assert (code, shown(output)[0][2:4]) == (0, ["2000", "2000"])


# --- real apps -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(container: Container, path: str) -> Iterator[tuple[int, str]]:
    """Start the app as the platform does, on a free port; its first answer."""
    port = free_port()
    process = container.launch(variables={"PORT": str(port), "VCAP_APP_PORT": str(port)})
    try:
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                    yield answer.status, answer.read().decode()
                    return
            except urllib.error.URLError:
                if process.poll() is not None or time.monotonic() > until:
                    assert process.stdout
                    pytest.fail(f"no answer; ended with {process.poll()}: {process.stdout.read1(8000)!r}")  # type: ignore[attr-defined]
                time.sleep(0.1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)


def host_stack() -> str:
    """The stack that this machine's own system can stand in for."""
    text = Path("/etc/os-release").read_text()
    found = re.search(r'^VERSION_ID="?(\d+)', text, re.MULTILINE)
    assert found
    return f"debian-{found[1]}" if "ID=debian" in text else "debian-12"


@pytest.mark.tools
@pytest.mark.parametrize(
    "name",
    [
        "procfile-perl",
        pytest.param("flask-uv", marks=pytest.mark.network),
        pytest.param("express-npm-v3", marks=pytest.mark.network),
    ],
)
def test_real_apps_answer_under_the_launcher(name: str, tmp_path: Path, shared_store: Path) -> None:
    needs_container()
    app = materialise(name, tmp_path)
    droplet = tmp_path / "droplet.tgz"
    in_process("stage", app, "-o", droplet, "--stack", host_stack(), store=shared_store).good()
    with open_droplet(str(droplet)) as opened:
        assert preflight.check(opened).start_command
    container = Container(tmp_path / "container")
    container.unpack(droplet)
    expected = json.loads((Path(__file__).parents[1] / "apps" / name / "expect.json").read_text())["http"]
    with answering(container, expected["path"]) as (status, body):
        assert status == expected["status"]
        assert expected["body"] in body


@pytest.mark.tools
@pytest.mark.network
def test_what_was_built_answers_under_the_launcher(all_built: AllBuilt, tmp_path: Path) -> None:
    needs_container()
    with open_droplet(str(all_built.droplet)) as opened:
        assert preflight.check(opened).start_command
    container = Container(tmp_path / "container")
    container.unpack(all_built.droplet)
    with answering(container, "/") as (status, body):
        assert (status, SAYS in body) == (200, True), body
