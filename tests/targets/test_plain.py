"""The plain tar and the installable archive: equal everywhere, and the install script does what it says on a real root."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from command import ask, free_port, in_process
from small_droplets import PROCFILE, small_droplet

from stager.droplet.reader import open_droplet
from stager.errors import UsageError
from stager.formats.errors import BadArchive
from stager.targets import load
from stager.targets.plain import export

FORMS = ["tar", "systemd"]


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"Procfile": PROCFILE + "release: echo migrated\n", "stager.yml": "env: {COLOUR: green}\n"}
    return small_droplet(tmp_path_factory.mktemp("plain"), files)


def exported(droplet: Path, form: str) -> Path:
    out = droplet.parent / f"shop.{form}"
    with open_droplet(str(droplet)) as opened:
        made = export.export(opened, str(out), export.PlainOptions(form=form, name="shop"))
        assert made.layers == tuple(layer.diff_id for layer in opened.layers)
    data = out.read_bytes()
    assert (made.digest, made.size) == ("sha256:" + hashlib.sha256(data).hexdigest(), len(data))
    return out


@pytest.fixture(scope="module")
def tar(droplet: Path) -> Path:
    return exported(droplet, "tar")


@pytest.fixture(scope="module")
def systemd(droplet: Path) -> Path:
    return exported(droplet, "systemd")


def test_the_tar_is_the_layers_and_an_end(droplet: Path, tar: Path) -> None:
    with open_droplet(str(droplet)) as opened:
        plain_bytes = b"".join(part for layer in opened.layers for part in opened.tar(layer))
    assert tar.read_bytes() == plain_bytes + bytes(1024)
    assert gzip.decompress(droplet.read_bytes()).startswith(plain_bytes)


def test_both_forms_give_the_layers_back(droplet: Path, tar: Path, systemd: Path) -> None:
    with open_droplet(str(droplet)) as opened:
        layers = tuple(layer.diff_id for layer in opened.layers)
    assert load("plain").layers(str(tar)) == load("plain").layers(str(systemd)) == layers


@pytest.mark.parametrize("form", FORMS)
def test_the_commands_elsewhere_write_the_same(form: str, droplet: Path, tmp_path: Path) -> None:
    """Another process, umask, time zone, folder, locale and hash seed."""
    name = ["--name", "shop"] if form == "systemd" else []
    before = os.umask(0o077)
    try:
        done = in_process(
            "export", form, droplet, "-o", "again", *name,
            store=tmp_path / "store", cwd=tmp_path, TZ="Asia/Kathmandu", LC_ALL="C", PYTHONHASHSEED="7",
        )  # fmt: skip
    finally:
        os.umask(before)
    assert done.good().out == "sha256:" + hashlib.sha256((tmp_path / "again").read_bytes()).hexdigest() + "\n"
    assert (tmp_path / "again").read_bytes() == exported(droplet, form).read_bytes()


def test_the_archive_holds_the_droplet_as_it_is(droplet: Path, systemd: Path) -> None:
    digest = hashlib.sha256(droplet.read_bytes()).hexdigest()
    folder = f"./shop-{digest[:12]}"
    with tarfile.open(systemd) as archive:
        files = {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}  # type: ignore[union-attr]
        assert [info.name for info in archive if info.isfile() and info.mode & 0o111] == [f"{folder}/install"]
    units = {"shop-release.service", "shop-web.service", "shop-worker.service", "shop.target"}
    assert set(files) == {f"{folder}/{name}" for name in units | {"install", "droplet.tgz"}}
    assert files[f"{folder}/droplet.tgz"] == droplet.read_bytes()
    assert f"digest={digest}\n".encode() in files[f"{folder}/install"]
    assert b"shop-release" not in files[f"{folder}/shop.target"], "what runs once is not kept running"


def test_what_cannot_be(droplet: Path, tar: Path, systemd: Path, tmp_path: Path) -> None:
    with open_droplet(str(droplet)) as opened:
        for options in ({"form": "rpm"}, {"name": "a/b"}, {"name": "x" * 49}):
            with pytest.raises(UsageError):
                export.export(opened, str(tmp_path / "x"), export.PlainOptions(**options))
    cases = {
        "cut tar": tar.read_bytes()[:-512],
        "cut": systemd.read_bytes()[:-4],
        "none": b"",
        "gzip": gzip.compress(b""),
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadArchive):
            export.layers(str(tmp_path / name))


# --- installing -------------------------------------------------------------------------------------------------------


def unpacked(archive: Path, into: Path) -> Path:
    """The archive's one folder."""
    into.mkdir(exist_ok=True)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(into)], check=True)
    (folder,) = into.iterdir()
    return folder


def install(folder: Path, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DESTDIR": str(root)}
    command = [str(folder / "install")]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)


@pytest.mark.tools
def test_it_installs_below_a_folder_again_and_again(systemd: Path, droplet: Path, tmp_path: Path) -> None:
    folder, root = unpacked(systemd, tmp_path / "in"), tmp_path / "root"
    digest = hashlib.sha256(droplet.read_bytes()).hexdigest()
    for _ in range(2):
        done = install(folder, root)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"install: shop is sha256:{digest}\n"
        base = root / "opt/shop"
        assert os.readlink(base / "current") == f"droplets/{digest}"
        assert sorted(path.name for path in base.iterdir()) == ["current", "droplets"]
        assert [path.name for path in (base / "droplets").iterdir()] == [digest]
        assert [path.name for path in (base / "current").iterdir()] == ["app"]
    assert (root / "etc/systemd/system/shop-web.service").stat().st_mode & 0o777 == 0o644


@pytest.mark.tools
def test_another_droplet_is_not_installed(systemd: Path, tmp_path: Path) -> None:
    folder, root = unpacked(systemd, tmp_path / "in"), tmp_path / "root"
    data = bytearray((folder / "droplet.tgz").read_bytes())
    data[-1] ^= 1
    (folder / "droplet.tgz").write_bytes(data)
    done = install(folder, root)
    assert done.returncode == 65
    assert "nothing was changed" in done.stderr
    assert list((root / "opt/shop").iterdir()) == [root / "opt/shop/droplets"]
    assert list((root / "opt/shop/droplets").iterdir()) == []
    assert not (root / "etc").exists()


@pytest.mark.tools
def test_going_back_is_installing_again(systemd: Path, droplet: Path, tmp_path: Path) -> None:
    other = small_droplet(tmp_path / "other", {"more.txt": "more"})
    root = tmp_path / "root"
    first, second = unpacked(systemd, tmp_path / "a"), unpacked(exported(other, "systemd"), tmp_path / "b")
    for folder, file in ((first, droplet), (second, other), (first, droplet)):
        assert install(folder, root).returncode == 0
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert os.readlink(root / "opt/shop/current") == f"droplets/{digest}"
    assert len(list((root / "opt/shop/droplets").iterdir())) == 2


@pytest.mark.tools
def test_systemd_accepts_the_units(systemd: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert install(unpacked(systemd, tmp_path / "in"), root).returncode == 0
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    command = ["systemd-analyze", "verify", "--man=no", f"--root={root}"]
    units = ["shop.target", "shop-web.service", "shop-worker.service", "shop-release.service"]
    done = subprocess.run([*command, *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    unit = root / "etc/systemd/system/shop-web.service"
    unit.write_text(unit.read_text().replace("Restart=always", "Restart=sometimes"))
    done = subprocess.run([*command, *units], capture_output=True, text=True, check=False)
    assert "restart specifier" in done.stderr, "the check can fail"


@pytest.mark.tools
def test_systemd_finds_little_exposed(systemd: Path, tmp_path: Path) -> None:
    """`systemd-analyze security` adds up what a service could still do: from 0 (nothing) to 10."""
    folder = unpacked(systemd, tmp_path / "in")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    for unit in sorted(folder.glob("*.service")):
        done = subprocess.run([*command, "--threshold=25", unit], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-300:]
    bare = tmp_path / "bare.service"
    bare.write_text(
        re.sub(r"^(?:Protect|Restrict|Private|SystemCall|Capab)\w+=.*\n", "", unit.read_text(), flags=re.MULTILINE)
    )
    assert subprocess.run([*command, "--threshold=25", bare], capture_output=True, check=False).returncode != 0


@pytest.mark.tools
def test_as_root_on_a_machine_it_makes_the_user_and_starts_the_target(systemd: Path, tmp_path: Path) -> None:
    """The whole script, in a root of its own with Debian's own useradd; systemctl alone is a record of what it is told."""
    if os.geteuid() != 0:
        pytest.skip("it makes a user, which needs root")
    folder = unpacked(systemd, tmp_path / "in")
    for name in ("etc", "opt", "bin"):
        (tmp_path / name).mkdir()
    for name, text in {
        "passwd": "root:x:0:0::/root:/bin/sh\n",
        "group": "root:x:0:\n",
        "shadow": "root:*:1::::::\n",
    }.items():
        (tmp_path / "etc" / name).write_text(text)
    for name in ("login.defs", "nsswitch.conf"):
        (tmp_path / "etc" / name).write_text(Path("/etc", name).read_text() if Path("/etc", name).exists() else "")
    (tmp_path / "etc/gshadow").write_text("root:*::\n")
    systemctl = tmp_path / "bin/systemctl"
    systemctl.write_text('#!/bin/sh\necho "$@" >>/opt/told\n')
    systemctl.chmod(0o755)
    mounts = ["--dir", "/var", "--ro-bind", "/usr", "/usr", "--bind", str(tmp_path / "etc"), "/etc"]
    for name in ("bin", "sbin", "lib", "lib64"):
        mounts += ["--symlink", f"usr/{name}", f"/{name}"]
    mounts += [
        "--bind",
        str(tmp_path / "opt"),
        "/opt",
        "--ro-bind",
        str(folder),
        "/in",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
    ]
    mounts += ["--ro-bind", str(tmp_path / "bin"), "/told", "--tmpfs", "/tmp", "--clearenv"]
    path = ["--setenv", "PATH", "/told:/usr/sbin:/usr/bin:/sbin:/bin"]
    done = subprocess.run(["bwrap", *mounts, *path, "/in/install"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "opt/told").read_text().splitlines() == [
        "daemon-reload",
        "enable --quiet shop.target",
        "restart shop.target",
    ]
    (user,) = [line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("shop:")]
    assert user.endswith(":/opt/shop:/usr/sbin/nologin")
    uid = int(user.split(":")[2])
    app = tmp_path / "opt/shop/current/app"
    assert {path.stat().st_uid for path in (app, app / "serve", app / ".stager/bin/launch")} == {uid}

    port = free_port()
    unit = (tmp_path / "etc/systemd/system/shop-web.service").read_text()
    (line,) = [line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart=")]
    variables = ["--setenv", "PORT", str(port), "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    with subprocess.Popen(
        ["bwrap", *mounts, *path, "--unshare-pid", "--die-with-parent", *variables, *line.split()]
    ) as process:
        try:
            status, body = ask(port, "/", process)
        finally:
            process.kill()
    assert status == 200
    assert f"user {uid}\n" in body
    assert "colour green\n" in body
