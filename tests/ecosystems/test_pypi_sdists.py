"""What an sdist's own files say of how it is built: pure or compiled, by which backend, with what in its root."""

from __future__ import annotations

import hashlib
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import TarEntry, ZipEntry, compress, make_tar, make_zip

from stager.digest import Digest
from stager.ecosystems.pypi import building, sdists
from stager.ecosystems.record import BuildRequest
from stager.errors import NeedsBuild
from stager.formats.errors import BadArchive
from stager.model import Artifact, Build, Plan, Reason, Runtime
from stager.net.indexes import Indexes
from stager.tree import SourceTree

SYSTEM = '[build-system]\nrequires = [{}]\nbuild-backend = "{}"\n'
Files = dict[str, str]


def sdist(files: Files, name: str = "p", end: str = "gz") -> bytes:
    rows = {f"{name}-1.0/{path}": text.encode() for path, text in {"PKG-INFO": "", **files}.items()}
    if end == "zip":
        return make_zip([ZipEntry(path, data) for path, data in rows.items()])
    return compress(make_tar([TarEntry(path, data) for path, data in rows.items()]), end)


def request(
    tmp_path: Path,
    files: Files,
    name: str = "p",
    stack: str = "debian-12",
    source: str = "debian",
    end: str = "gz",
    **more: Any,
) -> BuildRequest:
    data = sdist(files, name, end)
    file = tmp_path / "blob"
    file.write_bytes(data)
    filename = f"{name}-1.0.{'zip' if end == 'zip' else f'tar.{end}'}"
    artifact = Artifact(
        f"pkg:pypi/{name}@1.0",
        filename,
        Digest(f"sha256:{hashlib.sha256(data).hexdigest()}"),
        "sdist/1",
        (".stager/pypi",),
    )
    runtime = Runtime("python", "3.11.2", source, (2, 36), Reason(""))
    plan = Plan(stack, "amd64", "", (), (), (runtime,), (artifact,), (), (), (), ())
    build = Build(name, "artifact", "stack", "stager:pep517/1", Reason(""), of=artifact.purl, on="runtimes")
    usual: dict[str, Any] = {
        "tree": SourceTree.of({}), "indexes": Indexes(), "previous": None, "workplace": nullcontext,
        "ask": lambda _: [],
    }  # fmt: skip
    return BuildRequest(plan=plan, build=build, artifact=artifact, file=os.fspath(file), **{**usual, **more})


def look(asked: BuildRequest) -> sdists.Sources:
    assert asked.artifact
    return sdists.look(asked.file, asked.artifact)


SETUP = "from setuptools import setup, Extension\nsetup(ext_modules=[Extension('m', ['m.c'])])\n"
COMPILED: dict[str, tuple[Files, str]] = {
    "no pyproject": ({"setup.py": "from setuptools import setup\nsetup()\n"}, ""),
    "pure, with sources of its tests": (
        {"setup.py": "setup()  # Extension", "tests/data/x.c": "", "docs/m.pyx": ""},
        "",
    ),
    "flit": ({"pyproject.toml": SYSTEM.format("'flit_core'", "flit_core.buildapi"), "a.c": ""}, ""),
    "hatchling": ({"pyproject.toml": SYSTEM.format("'hatchling'", "hatchling.build")}, ""),
    "setup.py": ({"setup.py": SETUP, "m.c": ""}, "its setup.py compiles extension modules"),
    "a class of its own": (
        {"setup.py": "setup(ext_modules=[CMakeExtension('x')])", "src/m.cpp": ""},
        "its setup.py compiles extension modules",
    ),
    "mypyc": ({"setup.py": "setup(ext_modules=mypycify(files))"}, "its setup.py compiles extension modules"),
    "cython": ({"pyproject.toml": SYSTEM.format("'Cython>=3'", "setuptools.build_meta")}, "it is built with cython"),
    "setuptools' table": (
        {"pyproject.toml": SYSTEM.format("'setuptools'", "setuptools.build_meta") + "[tool.setuptools]\next-modules = []\n"},
        "its pyproject.toml names extension modules",
    ),
    "meson": ({"pyproject.toml": SYSTEM.format("'meson-python'", "mesonpy")}, "its backend is mesonpy"),
    "scikit-build": (
        {"pyproject.toml": SYSTEM.format("'scikit-build-core'", "scikit_build_core.build")},
        "its backend is scikit_build_core",
    ),
    "poetry's build script": (
        {"pyproject.toml": SYSTEM.format("'poetry-core'", "poetry.core.masonry.api"), "p/fast.pyx": ""},
        "it has fast.pyx",
    ),
    "maturin": ({"pyproject.toml": SYSTEM.format("'maturin>=1'", "maturin")}, "Rust"),
    "setuptools-rust": ({"pyproject.toml": SYSTEM.format("'setuptools', 'setuptools_rust'", "setuptools.build_meta")}, "Rust"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_compiled_is_known_by_the_files(name: str, tmp_path: Path) -> None:
    files, why = COMPILED[name]
    asked = request(tmp_path, files)
    assert look(asked).compiled == why


@pytest.mark.parametrize("end", ["gz", "bz2", "xz", "zip"])
def test_every_kind_of_archive_is_read(end: str, tmp_path: Path) -> None:
    asked = request(tmp_path, {"pyproject.toml": SYSTEM.format("'flit_core <4'", "flit_core.buildapi")}, end=end)
    said = look(asked)
    assert (said.backend, said.requires, said.own_backend) == ("flit_core.buildapi", ("flit_core <4",), False)


def test_without_a_build_system_it_is_setuptools(tmp_path: Path) -> None:
    asked = request(tmp_path, {"pyproject.toml": "[tool.x]\n"})
    said = look(asked)
    assert (said.backend, said.requires) == ("setuptools.build_meta:__legacy__", ("setuptools>=40.8.0",))


def test_pure_python_is_built_in_the_stack_s_own_root(tmp_path: Path) -> None:
    assert sdists.wants(request(tmp_path, {"setup.py": "setup()"})) == ("stack", ())


def test_what_is_compiled_wants_a_compiler_headers_and_its_libraries(tmp_path: Path) -> None:
    usual = ("g++", "gcc", "libc6-dev", "make", "pkg-config")
    files = {"setup.py": SETUP, "m.c": ""}
    assert sdists.wants(request(tmp_path, files)) == ("python", (*usual, "python3.11-dev"))
    assert sdists.wants(request(tmp_path, files, source="python-build-standalone")) == ("python", usual)
    wanted = sorted((*usual, "python3.11-dev", "libpq-dev"))
    assert sdists.wants(request(tmp_path, files, "psycopg2")) == ("python", tuple(wanted))


def test_what_is_linked_with_a_well_known_library_brings_it(tmp_path: Path) -> None:
    build = request(tmp_path, {"setup.py": SETUP}).build
    of = {name: sdists.linked(replace(build, of=f"pkg:pypi/{name}@1.0")) for name in ("psycopg2-binary", "markupsafe")}
    assert of == {"psycopg2-binary": ("libpq5",), "markupsafe": ()}
    assert {*sdists.LINKED} <= {*sdists.LIBRARIES}


def test_rust_without_its_crates_is_refused(tmp_path: Path) -> None:
    files = {"pyproject.toml": SYSTEM.format("'maturin'", "maturin"), "Cargo.lock": ""}
    with pytest.raises(NeedsBuild) as caught:
        sdists.wants(request(tmp_path, files, "bcrypt"))
    assert caught.value.data["needs"] == {
        "bcrypt@1.0": "it is written in Rust, and the crates that it is compiled with are not among its files"
    }
    vendored = {**files, ".cargo/config.toml": ""}
    assert {"cargo-web", "rustc-web", "gcc"} <= {*sdists.wants(request(tmp_path, vendored))[1]}
    assert {"cargo", "rustc", "gcc"} <= {*sdists.wants(request(tmp_path, vendored, stack="debian-13"))[1]}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ({"p-1.0/setup.py": b"", "other/x": b""}, "has 2 folders at its top instead of one"),
        ({"p-1.0/pyproject.toml": b"[build-system\n"}, "cannot be read: "),
    ],
)
def test_an_archive_that_is_no_sdist_is_refused(rows: dict[str, bytes], why: str, tmp_path: Path) -> None:
    asked = request(tmp_path, {})
    Path(asked.file).write_bytes(compress(make_tar([TarEntry(path, data) for path, data in rows.items()]), "gz"))
    with pytest.raises(BadArchive) as caught:
        look(asked)
    assert why in caught.value.message


# --- what the backend asks for ---------------------------------------------------------------------------------


def test_the_backend_is_asked_until_it_wants_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answers = list[list[str]](), [["cython"], ["cython", "numpy"], ["cython", "numpy"]]

    def resolved(_: BuildRequest, wanted: list[str], __: object) -> tuple[Artifact, ...]:
        asked.append(list(wanted))
        return ()

    monkeypatch.setattr(sdists, "requirements", resolved)
    files = {"pyproject.toml": SYSTEM.format("'setuptools'", "setuptools.build_meta")}
    sdists.pinned(request(tmp_path, files, ask=lambda _: answers.pop(0)))
    assert asked == [["setuptools"], ["setuptools", "cython"], ["setuptools", "cython", "numpy"]]
    endless = iter(range(99))
    with pytest.raises(NeedsBuild) as caught:
        sdists.pinned(request(tmp_path, files, ask=lambda _: [f"one-{next(endless)}"]))
    assert caught.value.data["needs"] == {"p@1.0": "its build backend wants more each time it is asked, 'one-2' last"}
    with pytest.raises(NeedsBuild):
        sdists.pinned(request(tmp_path, files, ask=lambda _: {"not": "a list"}))


def test_a_backend_that_never_wants_more_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdists, "requirements", lambda *_: ())

    def ask(_: Build) -> list[str]:
        raise AssertionError

    usual = SYSTEM.format("'flit_core'", "flit_core.buildapi")
    sdists.pinned(request(tmp_path, {"pyproject.toml": usual}, ask=ask))
    with pytest.raises(AssertionError):
        sdists.pinned(request(tmp_path, {"pyproject.toml": f'{usual}backend-path = ["."]\n'}, ask=ask))


def test_an_interpreter_that_is_no_package_brings_its_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdists, "requirements", lambda *_: ())
    own = Artifact("pkg:generic/cpython@3.12.4", "c.tar.gz", Digest("sha256:" + "1" * 64), "pbs/1", (".stager/python",))
    for files, found in (
        (({"setup.py": SETUP, "m.c": ""}), (replace(own, layout="pbs-build/1"),)),
        ({"setup.py": ""}, ()),
    ):
        asked = request(tmp_path, files, source="python-build-standalone")
        asked = replace(asked, plan=replace(asked.plan, artifacts=(*asked.plan.artifacts, own)))
        assert sdists.pinned(asked).artifacts == found


@pytest.mark.parametrize(
    ("tags", "python", "wrong"),
    [
        ("py3-none-any", "3.11.2", ""),
        ("py2.py3-none-any", "3.11.2", ""),
        ("cp311-cp311-linux_x86_64", "3.11.2", ""),
        ("cp311-cp311-manylinux_2_36_x86_64", "3.11.2", ""),
        ("cp38-abi3-linux_x86_64", "3.13.1", ""),
        ("1build-cp311-cp311-linux_x86_64", "3.11.2", ""),
        ("cp311-cp311-linux_x86_64", "3.13.1", "cp313"),
        ("cp313-cp313t-linux_x86_64", "3.13.1", "cp313"),
        ("py2-none-any", "3.11.2", "cp311"),
        ("cp311-cp311-musllinux_1_2_x86_64", "3.11.2", "cp311"),
        ("cp311-cp311-manylinux_2_39_x86_64", "3.11.2", "cp311"),
        ("cp311-cp311-linux_aarch64", "3.11.2", "cp311"),
        ("none", "3.11.2", "cp311"),
    ],
)
def test_the_tags_of_a_built_wheel_are_those_of_the_target(tags: str, python: str, wrong: str, tmp_path: Path) -> None:
    plan = request(tmp_path, {}).plan
    plan = replace(plan, runtimes=(replace(plan.runtimes[0], version=python),))
    said = f"{wrong} manylinux_2_36 x86_64" if wrong else ""
    assert building.misfit(plan, f"p-1.0-{tags}.whl").partition("what is wanted is for ")[2] == said
