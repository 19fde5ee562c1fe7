"""A slug is the droplet's layers and nothing else, read by other readers, and it starts as Heroku starts one."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import signal
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import ask, free_port, in_process
from small_droplets import small_droplet

from stager.droplet.reader import open_droplet
from stager.errors import CannotWrite, Unreadable
from stager.formats.errors import BadArchive
from stager.targets import load
from stager.targets.heroku import export

CONFIG = "env: {COLOUR: green}\n"


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = "".join(f"{n} {hashlib.sha256(str(n).encode()).hexdigest()}\n" for n in range(5000))
    files = {"stager.yml": CONFIG, "data/big.txt": lines, "data/deep/er/x": "x", "über.txt": "ü"}
    return small_droplet(tmp_path_factory.mktemp("slug"), files)


@pytest.fixture(scope="module")
def slug(droplet: Path) -> Path:
    out = droplet.parent / "slug.tgz"
    with open_droplet(str(droplet)) as opened:
        made = export.export(opened, str(out))
        assert made.layers == tuple(layer.diff_id for layer in opened.layers)
    assert made.digest == "sha256:" + hashlib.sha256(out.read_bytes()).hexdigest()
    assert made.size == out.stat().st_size
    return out


def contents(archive: Path) -> dict[str, tuple[bytes, int, bytes]]:
    """Type, mode, and content or target of every entry by its name, as Python's tarfile reads it."""
    found = {}
    with tarfile.open(archive) as opened:
        for info in opened:
            content = opened.extractfile(info)
            found[info.name] = (info.type, info.mode, content.read() if content else info.linkname.encode())
    return found


def test_a_slug_is_the_app_and_nothing_beside_it(droplet: Path, slug: Path) -> None:
    app = {name: row for name, row in contents(droplet).items() if name == "./app" or name.startswith("./app/")}
    assert contents(slug) == app
    assert len(app) < len(contents(droplet)), "the droplet has an envelope"


def test_its_compressed_bytes_are_the_droplets(droplet: Path, slug: Path) -> None:
    """Nothing is compressed again: up to the envelope the two files are equal."""
    with open_droplet(str(droplet)) as opened:
        last = opened.parts[opened.layers[-1].name]
        end = last.offset + last.size
    assert slug.read_bytes()[:end] == droplet.read_bytes()[:end]


def test_it_is_one_gzip_member(slug: Path) -> None:
    reader = zlib.decompressobj(31)
    plain = reader.decompress(slug.read_bytes())
    assert (reader.eof, reader.unused_data) == (True, b"")
    assert plain == gzip.decompress(slug.read_bytes())
    assert plain.endswith(bytes(1024))
    assert not plain.endswith(bytes(512 * 8)), "no padding to a record, only the end marker"


def test_the_layers_can_be_read_back(droplet: Path, slug: Path) -> None:
    with open_droplet(str(droplet)) as opened:
        assert load("heroku").layers(str(slug)) == tuple(layer.diff_id for layer in opened.layers)


def test_a_second_export_elsewhere_is_equal(droplet: Path, slug: Path, tmp_path: Path) -> None:
    """Another process, umask, time zone, folder, locale and hash seed."""
    before = os.umask(0o077)
    try:
        done = in_process(
            "export", "heroku", droplet, "-o", "again.tgz",
            store=tmp_path / "store", cwd=tmp_path, TZ="Asia/Kathmandu", LC_ALL="C", PYTHONHASHSEED="7",
        )  # fmt: skip
    finally:
        os.umask(before)
    done.good()
    assert (tmp_path / "again.tgz").read_bytes() == slug.read_bytes()


# --- what is damaged --------------------------------------------------------------------------------------------------


def test_damage_is_seen(slug: Path, tmp_path: Path) -> None:
    data = slug.read_bytes()
    cases = {
        "cut": data[:-9],
        "flipped": data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :],
        "more": data + b"x",
        "twice": data + data,
        "plain": gzip.decompress(data),
        "empty": b"",
        "no tar": gzip.compress(b"x" * 5000),
        "end marker lost": gzip.compress(gzip.decompress(data)[:-1024]),
        "only the skeleton": gzip.compress(gzip.decompress(data)[:2048]),
    }
    for name, damaged in cases.items():
        path = tmp_path / f"{name}.tgz"
        path.write_bytes(damaged)
        with pytest.raises(BadArchive):
            export.layers(str(path))


def test_another_byte_is_another_layer(slug: Path, tmp_path: Path) -> None:
    plain = gzip.decompress(slug.read_bytes()).replace(b"colour ", b"color: ")
    (tmp_path / "other.tgz").write_bytes(gzip.compress(plain))
    ours, other = export.layers(str(slug)), export.layers(str(tmp_path / "other.tgz"))
    assert ours[:-1] == other[:-1]
    assert ours[-1] != other[-1]


def test_places_that_cannot_be_written(droplet: Path, tmp_path: Path) -> None:
    with open_droplet(str(droplet)) as opened, pytest.raises(CannotWrite):
        export.export(opened, str(tmp_path / "none" / "slug.tgz"))
    (tmp_path / "slug.tgz").mkdir()
    with open_droplet(str(droplet)) as opened, pytest.raises(CannotWrite):
        export.export(opened, str(tmp_path / "slug.tgz"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slug.tgz"]
    with pytest.raises(Unreadable):
        export.layers(str(tmp_path / "none"))


# --- other programs ---------------------------------------------------------------------------------------------------


@pytest.mark.tools
@pytest.mark.parametrize("unpack", [["tar", "-xpzf"], ["bsdtar", "-xpf"], ["busybox", "tar", "-xpzf"]])
def test_unpackers_leave_the_apps_files(unpack: list[str], slug: Path, tmp_path: Path) -> None:
    subprocess.run([*unpack, str(slug)], cwd=tmp_path, check=True, umask=0)
    for name, (kind, mode, data) in contents(slug).items():
        path = tmp_path / name
        if kind == tarfile.REGTYPE:
            assert (path.read_bytes(), path.stat().st_mode & 0o777) == (data, mode)
        elif kind == tarfile.SYMTYPE:
            assert os.readlink(path) == data.decode()
        else:
            assert path.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["app"]


LAUNCHER = """\
cd "$HOME" || exit 1
for file in "$HOME"/.profile.d/*.sh; do [ -f "$file" ] && . "$file"; done
[ -f "$HOME/.profile" ] && . "$HOME/.profile"
eval "exec $1"
"""
"""How a dyno starts a process: profile scripts sourced by bash, then the app's .profile, then the command line."""


@contextlib.contextmanager
def dyno(slug: Path, folder: Path, command: str, port: int, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """The slug at /app in a root of its own, run by a user of no name, with the documented environment."""
    if os.geteuid() != 0:
        pytest.skip("files of another user's need root")
    subprocess.run(["tar", "-xzf", str(slug)], cwd=folder, check=True)
    subprocess.run(["chown", "-R", "20123:20123", str(folder / "app")], check=True)
    environment = {"HOME": "/app", "DYNO": "web.1", "PORT": str(port), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    roots = [
        ["--ro-bind", "/usr", "/usr"],
        *(["--symlink", f"usr/{name}", f"/{name}"] for name in ("bin", "lib", "lib64")),
    ]
    command_line = [
        "bwrap", *(word for root in roots for word in root), "--bind", str(folder / "app"), "/app",
        "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--clearenv", "--die-with-parent",
        *(word for pair in {**environment, **variables}.items() for word in ("--setenv", *pair)),
        "setpriv", "--reuid=20123", "--regid=20123", "--clear-groups", "--no-new-privs",
        "bash", "-c", LAUNCHER, "launcher", command,
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command_line, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    except BaseException as failed:
        failed.add_note((folder / "log").read_text("utf-8", "replace"))
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.mark.tools
def test_it_starts_as_a_dyno_does(droplet: Path, slug: Path, tmp_path: Path) -> None:
    with open_droplet(str(droplet)) as opened:
        command = opened.launch.processes["web"]
    port = free_port()
    with dyno(slug, tmp_path, command, port) as process:
        status, body = ask(port, "/", process)
    assert status == 200
    assert body == "home /app\ncolour green\ndyno web.1\nuser 20123\n"


@pytest.mark.tools
def test_config_vars_win_over_the_plans_environment(droplet: Path, slug: Path, tmp_path: Path) -> None:
    port = free_port()
    with dyno(slug, tmp_path, "./serve", port, COLOUR="blue") as process:
        assert "colour blue\n" in ask(port, "/", process)[1]


@pytest.mark.network
def test_a_python_app_starts_from_its_slug(tmp_path: Path, shared_store: Path) -> None:
    """A real app with a runtime and packages, staged through the index, its slug unpacked at /app."""
    from apps_fixture import expectation, materialise

    out = tmp_path / "droplet.tgz"
    staged = in_process(
        "stage", materialise("flask-requirements", tmp_path), "-o", out, "--json", store=shared_store
    ).good()
    in_process("export", "heroku", out, "-o", tmp_path / "slug.tgz", store=shared_store).good()
    layers = tuple(layer["diff_id"] for layer in staged.document["layers"])
    assert export.layers(str(tmp_path / "slug.tgz")) == layers
    http, port = expectation("flask-requirements")["http"], free_port()
    with dyno(tmp_path / "slug.tgz", tmp_path, staged.document["processes"]["web"], port) as process:
        status, body = ask(port, http["path"], process)
    assert status == http["status"]
    assert http["body"] in body
