"""Python's bytecode in a droplet: which files have some, where it lies, and which archives of it are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stager.digest import sha256
from stager.formats import tar
from stager.formats.errors import BadArchive
from stager.model import Artifact
from stager.planning import layouts
from stager.runtimes import compiled_of, kind
from stager.runtimes.python_bytecode import LAYOUT

SITE = ".stager/pypi/site-packages"
LIB = ".stager/python/lib/python3.11"
PURL = "pkg:pypi/flask@3.1.2"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (f"{SITE}/flask/__pycache__/app.cpython-311.pyc", f"{SITE}/flask/app.py"),
        (f"{SITE}/__pycache__/six.cpython-314.pyc", f"{SITE}/six.py"),
        (f"{LIB}/__pycache__/os.cpython-311.pyc", f"{LIB}/os.py"),
        (f"{SITE}/a/__pycache__/b.c.cpython-311.pyc", f"{SITE}/a/b.c.py"),
        (f"{SITE}/flask/__pycache__/app.cpython-311.opt-1.pyc", ""),
        (f"{SITE}/flask/app.pyc", ""),
        (f"{SITE}/flask/app.py", ""),
        ("__pycache__/main.cpython-311.pyc", ""),
        (".stager/pypi/bin/__pycache__/x.cpython-311.pyc", ""),
        (".stager/node/lib/__pycache__/x.cpython-311.pyc", ""),
    ],
)
def test_whose_bytecode_a_file_is(path: str, source: str) -> None:
    assert compiled_of(path) == source


def test_which_files_are_compiled() -> None:
    made = kind("python").bytecode
    assert made is not None
    paths = [
        f"{SITE}/a.py", f"{SITE}/a/b.py", f"{LIB}/os.py", f"{LIB}/lib-dynload/x.so", "main.py", ".stager/pypi/bin/a.py",
        f"{SITE}/a.pyi", f"{SITE}/a.py-tpl", ".stager/pypi/libexec/a.py", f"{SITE}/a.pyc",
    ]  # fmt: skip
    assert [path for path in paths if made.is_source(path)] == paths[:3]


def test_no_lock_may_have_an_archive_of_it() -> None:
    """It is made here; one from elsewhere would be code that nobody holds against its source."""
    assert LAYOUT not in layouts.names()


def archive(*paths: str) -> bytes:
    parts = [tar.file_header(path, 3, False) + b"abc" + tar.padding(3) for path in paths]
    return b"".join(parts) + tar.END


def unpacked(place: Path, *paths: str) -> list[str]:
    data = archive(*paths)
    blob = place / "blob"
    blob.write_bytes(data)
    artifact = Artifact(PURL, "x", sha256(data), LAYOUT, (".stager/pypi",))
    with layouts.recipe(LAYOUT)(str(blob), artifact, ".stager/pypi") as found:
        return [file.path for file in found.files]


def test_an_archive_of_it(tmp_path: Path) -> None:
    paths = (f"{SITE}/flask/__pycache__/app.cpython-311.pyc", f"{SITE}/__pycache__/six.cpython-311.pyc")
    assert unpacked(tmp_path, *paths) == sorted(paths)
    assert unpacked(tmp_path) == []


@pytest.mark.parametrize(
    "path",
    ["main.py", f"{SITE}/flask/app.py", f"{LIB}/__pycache__/os.cpython-311.pyc", "__pycache__/a.cpython-311.pyc"],
)
def test_an_archive_with_something_else(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadArchive) as caught:
        unpacked(tmp_path, path)
    assert caught.value.message.endswith(f"holds {path}, which is no bytecode of it")
