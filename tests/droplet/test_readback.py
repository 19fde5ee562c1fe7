"""Droplets are read by the archive readers the world uses, and all of them see the same files."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from apps_fixture import materialise
from command import stager

HERE = Path(__file__).parent
MTIME = 315_532_801
"""1980-01-01T00:00:01Z, the time of every member."""

APPS = [
    "procfile-perl",
    pytest.param("flask-poetry", marks=pytest.mark.network),
    pytest.param("express-npm-v3", marks=pytest.mark.network),
    pytest.param("express-pnpm-9", marks=pytest.mark.network),
]


@dataclass(frozen=True, order=True)
class Member:
    """One entry as a reader reports it; the digest is of a file's content, empty for the rest. A link has no mode."""

    name: str
    kind: str
    mode: int
    size: int
    link: str
    digest: str


@pytest.fixture(scope="module", params=APPS)
def droplet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("readback")
    out = folder / "droplet.tgz"
    stager("stage", materialise(request.param, folder), "-o", out, store=shared_store).good()
    return out


@pytest.fixture(scope="module")
def members(droplet: Path) -> list[Member]:
    """What Python's tarfile reads, sorted by name; the yardstick for the others."""
    with tarfile.open(droplet) as archive:
        return sorted(_member(archive, info) for info in archive)


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kind = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link", tarfile.REGTYPE: "file"}[info.type]
    content = archive.extractfile(info) if kind == "file" else None
    digest = hashlib.sha256(content.read()).hexdigest() if content else ""
    return Member(info.name.rstrip("/"), kind, 0 if kind == "link" else info.mode, info.size, info.linkname, digest)


def test_headers_are_as_the_format_says(droplet: Path) -> None:
    with tarfile.open(droplet) as archive:
        infos = list(archive)
    assert len({info.name for info in infos}) == len(infos)
    assert {info.uid for info in infos} == {2000}
    assert {info.gid for info in infos} == {0}
    assert {(info.uname, info.gname) for info in infos} == {("", "")}
    assert {info.mtime for info in infos} == {MTIME}
    assert {info.mode for info in infos if info.isdir()} == {0o775}
    assert {info.mode for info in infos if not info.isdir()} <= {0o775, 0o664}
    known = {info.name for info in infos if info.isdir()}
    orphans = [info.name for info in infos if info.name.count("/") > 1 and os.path.dirname(info.name) not in known]
    assert not orphans


def test_it_is_one_gzip_member(droplet: Path) -> None:
    data = droplet.read_bytes()
    assert data[:10] == bytes.fromhex("1f8b08000000000000ff")
    reader = zlib.decompressobj(31)
    plain = reader.decompress(data)
    assert reader.eof
    assert reader.unused_data == b""
    assert plain == gzip.decompress(data)
    assert plain.endswith(bytes(1024))


UNPACKERS = {
    "GNU tar": ["tar", "-xpzf"],
    "bsdtar": ["bsdtar", "-xpf"],
    "busybox": ["busybox", "tar", "-xpzf"],
}


@pytest.mark.tools
@pytest.mark.parametrize("unpacker", UNPACKERS)
def test_unpackers_leave_the_same_files(unpacker: str, droplet: Path, members: list[Member], tmp_path: Path) -> None:
    subprocess.run([*UNPACKERS[unpacker], str(droplet)], cwd=tmp_path, check=True, umask=0)
    assert _on_disk(tmp_path) == members


def _on_disk(root: Path) -> list[Member]:
    found = []
    for path in root.rglob("*"):
        name, status = f"./{path.relative_to(root)}", path.lstat()
        if path.is_symlink():
            found.append(Member(name, "link", 0, 0, str(path.readlink()), ""))
        elif path.is_dir():
            found.append(Member(name, "directory", status.st_mode & 0o7777, 0, "", ""))
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found.append(Member(name, "file", status.st_mode & 0o7777, status.st_size, "", digest))
    return sorted(found)


@pytest.mark.tools
def test_go_reads_the_same_members(droplet: Path, members: list[Member], tmp_path: Path) -> None:
    environment = {**os.environ, "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    command = ["go", "run", str(HERE / "list.go"), str(droplet)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = {"5": "directory", "2": "link", "0": "file"}
    read = sorted(
        Member(
            row["name"].rstrip("/"),
            kinds[row["type"]],
            0 if row["type"] == "2" else row["mode"],
            row["size"],
            row["link"],
            row["sha256"] if row["type"] == "0" else "",
        )
        for row in rows
    )
    assert read == members
    assert {(row["uid"], row["gid"], row["mtime"]) for row in rows} == {(2000, 0, MTIME)}


@pytest.mark.tools
def test_gnu_tar_finds_nothing_to_complain_about(droplet: Path, members: list[Member]) -> None:
    done = subprocess.run(["tar", "-tzf", str(droplet)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(members)


INFLATERS = {
    "gzip": ["gzip", "-dc"],
    "busybox": ["busybox", "gunzip", "-c"],
    "perl": ["perl", "-MIO::Uncompress::Gunzip=gunzip,$GunzipError", "-e", 'gunzip(shift, "-") or die $GunzipError'],
    "node": [
        "node",
        "-e",
        "process.stdout.write(require('zlib').gunzipSync(require('fs').readFileSync(process.argv[1])))",
    ],
    "python": [
        "python3",
        "-c",
        "import gzip,shutil,sys; shutil.copyfileobj(gzip.open(sys.argv[1]), sys.stdout.buffer)",
    ],
}


@pytest.mark.tools
@pytest.mark.parametrize("inflater", INFLATERS)
def test_inflaters_give_the_whole_tar(inflater: str, droplet: Path) -> None:
    done = subprocess.run([*INFLATERS[inflater], str(droplet)], stdout=subprocess.PIPE, check=True)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(gzip.decompress(droplet.read_bytes())).digest()
