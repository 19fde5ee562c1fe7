"""A BOSH release: read back by an independent reader, rendered as a director does, started as an agent does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from all_built import SAYS, AllBuilt
from bosh_reader import Read, read_file
from command import ask, free_port, in_process
from small_droplets import PROCFILE, small_droplet

from stager.droplet.reader import open_droplet
from stager.errors import UsageError
from stager.facts.platforms import STEMCELLS
from stager.formats.errors import BadArchive
from stager.targets import load
from stager.targets.bosh import export
from stager.targets.bosh.release import stemcell_for
from stager.targets.errors import Unfit

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    noise = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(9000))
    return small_droplet(
        tmp_path_factory.mktemp("bosh"), {"noise.txt": noise, "Procfile": PROCFILE + "release: true\n"}
    )


def exported(droplet: Path, out: Path, **options: str) -> Path:
    with open_droplet(str(droplet)) as opened:
        made = export.export(opened, str(out), export.BoshOptions(name="shop", **options))
        assert made.layers == tuple(layer.diff_id for layer in opened.layers)
    assert made.digest == "sha256:" + hashlib.sha256(out.read_bytes()).hexdigest()
    return out


@pytest.fixture(scope="module", params=["bpm", "monit"])
def supervisor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def release(droplet: Path, supervisor: str) -> Path:
    return exported(droplet, droplet.parent / f"{supervisor}.tgz", supervisor=supervisor)


@pytest.fixture(scope="module")
def read(release: Path) -> Read:
    return read_file(release)


def test_its_package_is_the_droplet(read: Read, droplet: Path) -> None:
    data = droplet.read_bytes()
    assert read.package == data
    assert len(data) > 200_000, "more than a stored block"
    assert read.manifest["compiled_packages"][0]["sha1"] == "sha256:" + hashlib.sha256(data).hexdigest()


def test_its_manifest(read: Read, droplet: Path) -> None:
    digest = hashlib.sha256(droplet.read_bytes()).hexdigest()
    assert read.manifest["name"] == read.manifest["jobs"][0]["name"] == "shop"
    assert read.manifest["commit_hash"] == digest[:12]
    job = read.manifest["jobs"][0]["fingerprint"]
    assert read.manifest["version"] == f"1.0.0+droplet.{digest[:12]}.job.{job[:8]}"
    assert read.job["description"] == f"Runs the droplet sha256:{digest}"
    assert {key: value["default"] for key, value in read.job["properties"].items()} == {
        "port": 8080,
        "env": {},
        "processes": ["web", "worker"],
    }


def test_its_packages_fingerprint_is_that_of_the_source_it_stands_for(read: Read, droplet: Path) -> None:
    """A source package of the droplet and this script would be the same package to a director."""
    script = b'set -e\ntar -xzf droplet.tgz -C "$BOSH_INSTALL_TARGET" --no-same-owner\n'
    chunks = "v2droplet.tgzsha256:" + hashlib.sha256(droplet.read_bytes()).hexdigest() + "100644"
    chunks += "packagingsha256:" + hashlib.sha256(script).hexdigest()
    assert read.manifest["compiled_packages"][0]["fingerprint"] == hashlib.sha256(chunks.encode()).hexdigest()


def test_the_layers_can_be_read_back(release: Path, droplet: Path) -> None:
    with open_droplet(str(droplet)) as opened:
        assert load("bosh").layers(str(release)) == tuple(layer.diff_id for layer in opened.layers)


def test_the_command_elsewhere_writes_the_same(release: Path, supervisor: str, droplet: Path, tmp_path: Path) -> None:
    """Another process, umask, time zone, folder, locale and hash seed."""
    before = os.umask(0o077)
    try:
        done = in_process(
            "export", "bosh", droplet, "-o", "again.tgz", "--name", "shop", "--supervisor", supervisor, "--json",
            store=tmp_path / "store", cwd=tmp_path, TZ="Asia/Kathmandu", LC_ALL="C", PYTHONHASHSEED="7",
        )  # fmt: skip
    finally:
        os.umask(before)
    assert done.good().document["target"] == "bosh"
    assert (tmp_path / "again.tgz").read_bytes() == release.read_bytes()


def test_the_inner_archives_are_canonical(release: Path) -> None:
    with tarfile.open(release) as archive:
        assert {(info.uid, info.gid, info.mtime, info.uname) for info in archive} == {(2000, 0, 315532801, "")}
        job = archive.extractfile("./jobs/shop.tgz")
        assert job is not None
        with tarfile.open(fileobj=job) as inner:
            assert {(info.uid, info.gid, info.mtime, info.mode) for info in inner if info.isfile()} == {
                (2000, 0, 315532801, 0o664)
            }


def test_another_supervisor_is_another_version(droplet: Path, tmp_path: Path) -> None:
    """A director refuses one version with two contents."""
    bpm = read_file(exported(droplet, tmp_path / "a.tgz", supervisor="bpm"))
    monit = read_file(exported(droplet, tmp_path / "b.tgz", supervisor="monit"))
    jammy = read_file(exported(droplet, tmp_path / "c.tgz", stemcell="ubuntu-noble/1.77"))
    assert bpm.manifest["version"] != monit.manifest["version"]
    assert bpm.manifest["version"] == jammy.manifest["version"], "the same contents, compiled for another stemcell"
    assert jammy.manifest["compiled_packages"][0]["stemcell"] == "ubuntu-noble/1.77"


# --- stemcells and what cannot be -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glibc", "asked", "stemcell"),
    [
        ((0, 0), "", "ubuntu-jammy/1"),
        ((2, 35), "", "ubuntu-jammy/1"),
        ((2, 36), "", "ubuntu-noble/1"),
        ((2, 36), "ubuntu-noble/1.5", "ubuntu-noble/1.5"),
        ((2, 36), "suse-next/9", "suse-next/9"),
    ],
)
def test_the_oldest_stemcell_that_fits(glibc: tuple[int, int], asked: str, stemcell: str) -> None:
    assert stemcell_for(glibc, asked) == stemcell


@pytest.mark.parametrize(
    ("glibc", "asked", "again"),
    [(36, "ubuntu-jammy/1.199", "stager stage --stack cflinuxfs4"), (99, "", "stager stage --for bosh")],
)
def test_a_stemcell_that_is_too_old(glibc: int, asked: str, again: str) -> None:
    with pytest.raises(Unfit, match=f"it needs glibc 2.{glibc}") as caught:
        stemcell_for((2, glibc), asked)
    assert caught.value.hint == f"Name a newer stemcell with --stemcell, or run '{again}' in the app's folder."


def test_known_stemcells_are_in_order() -> None:
    assert list(STEMCELLS.values()) == sorted(STEMCELLS.values())


@pytest.mark.parametrize(
    "options",
    [
        {"name": "Shop"},
        {"name": "../x"},
        {"name": "a b"},
        {"supervisor": "runit"},
        {"stemcell": "ubuntu"},
        {"name": "-x"},
    ],
)
def test_options_that_cannot_be(options: dict[str, str], droplet: Path, tmp_path: Path) -> None:
    with open_droplet(str(droplet)) as opened, pytest.raises(UsageError):
        export.export(opened, str(tmp_path / "x.tgz"), export.BoshOptions(**options))
    assert list(tmp_path.iterdir()) == []


def test_archives_that_are_no_release(release: Path, droplet: Path, tmp_path: Path) -> None:
    data = release.read_bytes()
    for name, damaged in {"cut": data[:-20], "flipped": data[:5000] + b"\xff" + data[5001:], "none": b"x"}.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(BadArchive):
            export.layers(str(tmp_path / name))
    with pytest.raises(BadArchive):
        export.layers(str(droplet))


# --- as a director renders it -----------------------------------------------------------------------------------------


def rendered(template: bytes, folder: Path, **properties: Any) -> str:
    """One template with the job's defaults and these properties, by Ruby's ERB. Raises when it raises."""
    given = {"port": 8080, "env": {}, "processes": ["web", "worker"], **properties}
    (folder / "template").write_bytes(template)
    (folder / "properties.json").write_text(json.dumps(given))
    command = [
        "ruby",
        str(HERE / "bosh" / "render.rb"),
        str(folder / "template"),
        str(folder / "properties.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


@pytest.mark.tools
def test_monit_takes_the_rendered_file(read: Read, supervisor: str, tmp_path: Path) -> None:
    text = rendered(read.files["monit"], tmp_path)
    assert text.count("check process") == 2
    assert "check process shop-web\n" in text
    # monit wants the programs it starts to be there
    for path in ("/var/vcap/jobs/bpm/bin/bpm", "/var/vcap/jobs/shop/bin/ctl"):
        text = text.replace(path, "/bin/true")
    control = tmp_path / "monitrc"
    control.write_text("set daemon 10\n" + text)
    control.chmod(0o600)
    done = subprocess.run(["monit", "-t", "-c", str(control)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Control file syntax OK" in done.stdout + done.stderr


@pytest.mark.tools
def test_the_processes_of_an_instance_can_be_chosen(read: Read, supervisor: str, tmp_path: Path) -> None:
    text = rendered(read.files["monit"], tmp_path, processes=["worker"])
    assert "shop-worker" in text
    assert "shop-web" not in text


@pytest.mark.tools
def test_bpm_gets_its_processes(droplet: Path, tmp_path: Path) -> None:
    read = read_file(exported(droplet, tmp_path / "x.tgz"))
    config = yaml.safe_load(rendered(read.files["templates/bpm.yml.erb"], tmp_path))
    start = "/var/vcap/jobs/shop/bin/start"
    volume = {"path": "/var/vcap/data/shop/droplets", "writable": True, "allow_executions": True}
    rest = {"executable": start, "ephemeral_disk": True, "additional_volumes": [volume]}
    assert config == {
        "processes": [{"name": "web", "args": ["web"], **rest}, {"name": "worker", "args": ["worker"], **rest}]
    }


@pytest.mark.tools
def test_the_environment_is_quoted(read: Read, tmp_path: Path) -> None:
    hard = {"A": 'it\'s $HOME `x` "y"\nand\\more', "EMPTY": "", "NUMBER": 7, "NONE": None, "UML": "ü;rm"}
    (tmp_path / "env.sh").write_text(rendered(read.files["templates/env.sh.erb"], tmp_path, port=9000, env=hard))
    code = f'. {tmp_path}/env.sh; printf "%s|" "$PORT" "$A" "$EMPTY" "$NUMBER" "$NONE" "$UML"'
    done = subprocess.run(["env", "-i", "/bin/sh", "-euc", code], capture_output=True, text=True, check=True)
    assert done.stdout == '9000|it\'s $HOME `x` "y"\nand\\more||7||ü;rm|'


@pytest.mark.tools
@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"env": {"A B": "x"}}, "cannot be the name of a variable"),
        ({"env": {"A\nB": "x"}}, "cannot be the name of a variable"),
        ({"processes": ["nothing"]}, "is not in the droplet; it has: web, worker"),
    ],
)
def test_properties_that_cannot_be_fail_when_rendered(
    properties: dict[str, Any], text: str, read: Read, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=text):
        rendered(read.files["templates/env.sh.erb"], tmp_path, **properties)


@pytest.mark.tools
def test_the_scripts_are_shell(read: Read, supervisor: str, tmp_path: Path) -> None:
    scripts = {
        name: read.files[f"templates/{name}"] for name, target in read.job["templates"].items() if "bin/" in target
    }
    assert {"start", "pre-start"} <= set(scripts)
    for text in [rendered(script, tmp_path) for script in scripts.values()]:
        assert text.startswith("#!/bin/sh\n")
        for shell in (["sh", "-n"], ["bash", "--posix", "-n"]):
            assert subprocess.run(shell, input=text, text=True, check=True, capture_output=True).stderr == ""


# --- as an agent runs it ----------------------------------------------------------------------------------------------


class Machine:
    """`/var/vcap` as an agent lays it out, in a root of its own; commands run in one mount namespace, as root or as vcap."""

    def __init__(self, folder: Path, read: Read, port: int, **properties: Any) -> None:
        if os.geteuid() != 0:
            pytest.skip("files of another user's need root")
        self.vcap = folder / "vcap"
        job, package = self.vcap / "jobs/shop", self.vcap / "packages/shop"
        for path in (package, self.vcap / "data", self.vcap / "sys"):
            path.mkdir(parents=True)
        (folder / "package.tgz").write_bytes(read.package)
        command = ["tar", "-xzf", str(folder / "package.tgz"), "-C", str(package), "--no-same-owner"]
        subprocess.run(command, check=True)
        given = {"port": port, "env": {"COLOUR": "green"}, **properties}
        for source, target in read.job["templates"].items():
            path = job / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rendered(read.files[f"templates/{source}"], folder, **given))
            path.chmod(0o755 if target.startswith("bin/") else 0o644)
        passwd = Path("/etc/passwd").read_text().replace("vcap:", "other:") + "vcap:x:2000:2000::/home/vcap:/bin/sh\n"
        (folder / "passwd").write_text(passwd)
        (folder / "group").write_text(Path("/etc/group").read_text().replace("vcap:", "other:") + "vcap:x:2000:\n")
        self.folder = folder
        folder.chmod(0o755)

    def command(self, *words: str) -> list[str]:
        mounts = [
            "--dir",
            "/var",
            "--ro-bind",
            "/usr",
            "/usr",
            "--ro-bind",
            "/etc",
            "/etc",
            "--bind",
            str(self.vcap),
            "/var/vcap",
        ]
        for name in ("bin", "sbin", "lib", "lib64"):
            mounts += ["--symlink", f"usr/{name}", f"/{name}"]
        mounts += ["--ro-bind", str(self.folder / "passwd"), "/etc/passwd", "--proc", "/proc", "--dev", "/dev"]
        mounts += ["--ro-bind", str(self.folder / "group"), "/etc/group", "--tmpfs", "/tmp"]
        mounts += ["--ro-bind", str(self.vcap / "packages"), "/var/vcap/packages"]
        return ["bwrap", *mounts, "--clearenv", "--setenv", "PATH", "/usr/sbin:/usr/bin:/sbin:/bin", *words]

    def run(self, *words: str) -> None:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def started(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    except BaseException as failed:
        failed.add_note(log.read_text("utf-8", "replace"))
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.mark.tools
def test_start_runs_a_process_as_vcap_from_the_ephemeral_disk(read: Read, tmp_path: Path) -> None:
    """What bpm runs, as bpm runs it: by vcap, with the package read-only and the data folder writable."""
    port = free_port()
    machine = Machine(tmp_path, read, port)
    data = machine.vcap / "data/shop"
    data.mkdir()
    old = data / "droplets" / ("0" * 64)
    old.mkdir(parents=True)
    (data / "part.abcdef").mkdir()  # of an earlier release
    (data / "droplets" / "part.abcdef").mkdir()
    machine.run("/var/vcap/jobs/shop/bin/pre-start")
    assert list(data.glob("*/*")) == []
    subprocess.run(["chown", "-R", "2000:2000", str(data)], check=True)
    as_vcap = ["setpriv", "--reuid=2000", "--regid=2000", "--clear-groups", "/var/vcap/jobs/shop/bin/start"]
    digest = hashlib.sha256(read.package).hexdigest()
    with started(machine.command(*as_vcap, "web"), tmp_path / "log") as process:
        status, body = ask(port, "/", process)
    assert status == 200
    assert body == f"home /var/vcap/data/shop/droplets/{digest}/app\ncolour green\ndyno \nuser 2000\n"
    machine.run("/var/vcap/jobs/shop/bin/pre-start")
    assert [path.name for path in (data / "droplets").iterdir()] == [digest]


def under_bpm(machine: Machine, process: dict[str, Any]) -> list[str]:
    """The start of a command line that makes the mounts that bpm makes for a process, and leaves its namespace to the rest.

    The rules are bpm's (bpm/runc/adapter, `boshMounts` and `userProvidedIdentityMounts`): the job's data is bound without
    the right to run programs, additional volumes with what each allows, shallow ones first; the folders are vcap's.
    """
    data = str(machine.vcap / "data/shop")
    binds = {data: "rw,nosuid,nodev,noexec"} if process["ephemeral_disk"] else {}
    for volume in process["additional_volumes"]:
        place = str(machine.vcap / os.path.relpath(volume["path"], "/var/vcap"))
        rights = ("rw" if volume["writable"] else "ro", "exec" if volume["allow_executions"] else "noexec")
        binds[place] = f"{rights[0]},nosuid,nodev,{rights[1]}"
    lines = ["set -e"]
    for place in sorted(binds, key=lambda path: path.count("/")):
        Path(place).mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(place, 2000, 2000)
        lines.append(f"mount --rbind {place} {place}; mount -o remount,bind,{binds[place]} {place}")
    return ["unshare", "--mount", "sh", "-c", "\n".join([*lines, 'exec "$@"']), "sh"]


@pytest.mark.tools
def test_a_process_starts_where_bpm_allows_programs(droplet: Path, tmp_path: Path) -> None:
    read = read_file(exported(droplet, tmp_path / "x.tgz"))
    port = free_port()
    machine = Machine(tmp_path, read, port)
    (process, _) = yaml.safe_load((machine.vcap / "jobs/shop/config/bpm.yml").read_text())["processes"]
    as_vcap = ["setpriv", "--reuid=2000", "--regid=2000", "--clear-groups"]
    command = [*under_bpm(machine, process), *machine.command(*as_vcap, process["executable"], *process["args"])]
    with started(command, tmp_path / "log") as running:
        status, body = ask(port, "/", running)
    assert (status, "user 2000\n" in body) == (200, True)
    bare = under_bpm(machine, {**process, "additional_volumes": []})
    ran = subprocess.run(
        [*bare, *machine.command(*as_vcap, process["executable"], "web")], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, "Permission denied" in ran.stderr) == (126, True), "so the rules of bpm are in force here"


@pytest.mark.tools
def test_two_first_starts_at_once_agree(read: Read, tmp_path: Path) -> None:
    machine = Machine(tmp_path, read, free_port())
    data = machine.vcap / "data/shop"
    data.mkdir()
    digest = hashlib.sha256(read.package).hexdigest()
    code = "for n in 1 2 3 4 5 6; do (/var/vcap/jobs/shop/bin/start -- || kill $$) & done; wait"
    script = (machine.vcap / "jobs/shop/bin/start").read_text().replace('launch" "$1"', 'launch" -- true')
    (machine.vcap / "jobs/shop/bin/start").write_text(script)
    machine.run("sh", "-c", code)
    assert [path.name for path in data.iterdir()] == ["droplets"]
    assert [path.name for path in (data / "droplets").iterdir()] == [digest]
    assert (data / "droplets" / digest / "app/noise.txt").stat().st_size > 500_000


@pytest.mark.tools
@pytest.mark.network
def test_what_was_built_answers_where_monit_starts_it(all_built: AllBuilt, tmp_path: Path) -> None:
    read = read_file(exported(all_built.droplet, tmp_path / "x.tgz", supervisor="monit"))
    port, ctl = free_port(), "/var/vcap/jobs/shop/bin/ctl"
    command = Machine(tmp_path, read, port, processes=["web"]).command(
        "sh", "-c", f"{ctl} start web && cat && {ctl} stop web"
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        status, body = ask(port, "/", shell)
        shell.stdin.close()
    assert (status, SAYS in body) == (200, True), body


@pytest.mark.tools
def test_ctl_starts_and_stops_what_monit_asks_for(droplet: Path, tmp_path: Path) -> None:
    read = read_file(exported(droplet, tmp_path / "x.tgz", supervisor="monit"))
    port = free_port()
    machine = Machine(tmp_path, read, port)
    ctl = "/var/vcap/jobs/shop/bin/ctl"
    # one namespace of processes for start and stop, as on a machine
    code = f"{ctl} start web && {ctl} start web && cat && {ctl} stop web && {ctl} stop web && echo stopped"
    with subprocess.Popen(machine.command("sh", "-c", code), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        status, body = ask(port, "/", shell)
        assert status == 200
        assert "user 2000\n" in body
        assert (machine.vcap / "sys/run/shop/web.pid").read_text().strip().isdigit()
        began = time.monotonic()
        shell.stdin.close()
        assert shell.stdout.read() == b"stopped\n"
    assert time.monotonic() - began < 8
    assert not (machine.vcap / "sys/run/shop/web.pid").exists()
    assert {path.name for path in (machine.vcap / "sys/log/shop").iterdir()} == {"web.stdout.log", "web.stderr.log"}
