"""Real sdists of several build backends, built in real roots: their files are those of pip's own wheels.

One root of each kind serves all of it (`build_roots`), with the packages that it had when it was made.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from booby_traps import SECRET, Canary
from builders import TarEntry, compress, make_tar, make_wheel
from command import ask, in_process, running
from package_index import put_files
from servers import Server

from stager.builds import roots
from stager.model import BuildRoot

pytestmark = [pytest.mark.network, pytest.mark.tools]

SITE = "./app/.stager/pypi/site-packages/"
PURE = {  # of five backends
    "docopt==0.6.2": "49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491",
    "attrs==25.3.0": "75d7cefc7fb576747b2c81b4442d4d4a1ce0900973527c011d1030fd3bf4af1b",
    "findpython==0.7.0": "8b31647c76352779a3c1a0806699b68e6a7bdc0b5c2ddd9af2a07a0d40c673dc",
    "itsdangerous==2.2.0": "e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173",
    "tomlkit==0.13.2": "fff5fe59a87295b278abd31bec92c15d9bc4a06885ab12bcea52c71119392e79",
}


@pytest.fixture(autouse=True)
def shared_roots(plain_pins: BuildRoot, compiler_pins: BuildRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roots are pinned as they were when the run's roots were made, so that none but these is."""

    def pinned(root: BuildRoot, *_: object, **__: object) -> BuildRoot:
        known = compiler_pins if root.wants else plain_pins
        assert {*root.wants} - {"python3.11-dev"} <= {*known.wants}
        return replace(known, name=root.name)

    monkeypatch.setattr(roots, "pinned", pinned)


def contents(droplet: Path) -> dict[str, bytes]:
    """The files of the droplet's packages."""
    with tarfile.open(droplet) as archive:
        rows = ((member.name, archive.extractfile(member)) for member in archive if member.name.startswith(SITE))
        return {name.removeprefix(SITE): file.read() for name, file in rows if file is not None}


def test_pure_sdists_have_the_files_of_pip_s_wheels(tmp_path: Path, shared_store: Path) -> None:
    app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
    app.mkdir()
    lines = [f"{name} --hash=sha256:{digest}\n" for name, digest in PURE.items()]
    (app / "requirements.txt").write_text("".join(lines))
    (app / "main.py").write_text("print('hello')\n")
    in_process("lock", app, store=shared_store).good()
    lock = tomllib.loads((app / "stager.lock").read_text())
    assert {
        build["of"].partition("/")[2].replace("@", "=="): build["root"] for build in lock["build"]
    } == dict.fromkeys(PURE, "stack")
    in_process("stage", app, "--locked", "-o", droplet, store=shared_store).good()
    pins = {
        one["purl"].partition("/")[2].replace("@", "==") for build in lock["build"] for one in build.get("artifact", ())
    }
    assert staged_like(contents(droplet), pip_wheels(tmp_path, app / "requirements.txt", pins))


def pip_wheels(tmp_path: Path, requirements: Path, pins: set[str]) -> dict[str, bytes]:
    """The files of the wheels that pip builds of these, with the same versions of what they are built with."""
    pins = {pin for pin in pins if pin.partition("==")[0] not in requirements.read_text()}
    (tmp_path / "pins.txt").write_text("".join(f"{pin}\n" for pin in sorted(pins)))
    variables = {"PIP_CONSTRAINT": f"{tmp_path}/pins.txt", "SOURCE_DATE_EPOCH": "315532801", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-binary", ":all:", "--no-cache-dir", "--quiet"]
    done = subprocess.run(
        [*command, "--only-binary", ",".join(pin.partition("==")[0] for pin in sorted(pins)), "-r", requirements,
         "--require-hashes", "-w", tmp_path / "wheels"],
        env={**os.environ, **variables}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = dict[str, bytes]()
    for path in (tmp_path / "wheels").iterdir():
        with zipfile.ZipFile(path) as wheel:
            found |= {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    return found


def staged_like(ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> bool:
    """Whether files are the same but for what an installer writes: lists of files, its name, import paths, launchers."""
    made = ("/RECORD", "/INSTALLER")
    left = {name: data for name, data in ours.items() if not name.endswith(made) and name != "stager-app.pth"}
    right = {name: data for name, data in theirs.items() if not name.endswith(made)}
    assert sorted(left) == sorted(right)
    assert [name for name in left if left[name] != right[name]] == []
    return True


# --- compiled --------------------------------------------------------------------------------------------------

C = """\
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) {{ return PyLong_FromLong({number}); }}
static PyMethodDef methods[] = {{{{"answer", answer, METH_NOARGS, ""}}, {{NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""
PROJECT = '[project]\nname = "{name}"\nversion = "1.0"\n[build-system]\nrequires = [{requires}]\nbuild-backend = "{backend}"\n'


def sources(name: str, requires: str, backend: str, number: int, files: Mapping[str, str]) -> dict[str, str]:
    """The files of an sdist with one extension module."""
    text = PROJECT.format(name=name, requires=requires, backend=backend)
    usual = {"pyproject.toml": text, "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}
    return {**usual, f"{name}.c": C.format(name=name, number=number), **files}


SETUP = "from setuptools import Extension, setup\nsetup(ext_modules=[Extension('{name}', ['{file}'])])\n"
COMPILED = {
    "with_setuptools": sources(
        "with_setuptools", "'setuptools'", "setuptools.build_meta", 1,
        {"setup.py": SETUP.format(name="with_setuptools", file="with_setuptools.c")},
    ),
    "with_cython": sources(
        "with_cython", "'setuptools', 'cython'", "setuptools.build_meta", 2,
        {"setup.py": SETUP.format(name="with_cython", file="fast.pyx"), "fast.pyx": "def answer():\n    return 2\n"},
    ),
    "with_meson": sources(
        "with_meson", "'meson-python'", "mesonpy", 3,
        {"meson.build": "project('with_meson', 'c', version: '1.0')\npy = import('python').find_installation(pure: false)\n"
         "py.extension_module('with_meson', 'with_meson.c', install: true)\n"},
    ),
    "with_cmake": sources(
        "with_cmake", "'scikit-build-core'", "scikit_build_core.build", 4,
        {"CMakeLists.txt": "cmake_minimum_required(VERSION 3.18)\nproject(with_cmake C)\n"
         "find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)\n"
         "Python_add_library(with_cmake MODULE WITH_SOABI with_cmake.c)\ninstall(TARGETS with_cmake DESTINATION .)\n"},
    ),
}  # fmt: skip
SERVER = """\
import hashlib
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

import with_cmake, with_cython, with_meson, with_setuptools

SAID = " ".join(str(one.answer()) for one in (with_setuptools, with_cython, with_meson, with_cmake))


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(SAID.encode())


HTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
"""


@pytest.fixture
def own_index() -> Iterator[Callable[[Mapping[str, Mapping[str, str]]], tuple[str, list[str]]]]:
    """Puts sdists on an index of this machine: its URL, and lines that pin them."""
    with Server() as server:

        def put(packages: Mapping[str, Mapping[str, str]]) -> tuple[str, list[str]]:
            lines = []
            for name, files in packages.items():
                rows = [TarEntry(f"{name}-1.0/{path}", text.encode()) for path, text in files.items()]
                data = compress(make_tar(rows), "gz")
                put_files(server, name.replace("_", "-"), (f"{name}-1.0.tar.gz", data))
                lines.append(f"{name}==1.0 --hash=sha256:{hashlib.sha256(data).hexdigest()}\n")
            return f"{server.url}/simple", lines

        yield put


def test_compiled_sdists_of_four_backends_answer(
    tmp_path: Path, shared_store: Path, own_index: Callable[[Mapping[str, Mapping[str, str]]], tuple[str, list[str]]]
) -> None:
    url, lines = own_index(COMPILED)
    app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
    app.mkdir()
    (app / "requirements.txt").write_text("".join(lines))
    (app / "main.py").write_text(SERVER)
    (app / "stager.yml").write_text("builds:\n  with-meson: {packages: [make], env: {ANSWER: '3'}, twice: no}\n")
    in_process("lock", app, store=shared_store, PIP_EXTRA_INDEX_URL=url).good()
    text = (app / "stager.lock").read_text()
    in_process("lock", app, store=shared_store, PIP_EXTRA_INDEX_URL=url).good()
    assert (app / "stager.lock").read_text() == text
    lock = tomllib.loads(text)
    told = {build["name"]: (build.get("env"), build.get("twice", True)) for build in lock["build"]}
    assert told.pop("with-meson") == ({"ANSWER": "3"}, False)
    assert set(map(str, told.values())) == {"(None, True)"}
    assert [build["root"] for build in lock["build"]] == ["python"] * 4
    added = {one["purl"].partition("@")[0] for build in lock["build"] for one in build["artifact"]}
    assert {
        "pkg:pypi/ninja",
        "pkg:pypi/cmake",
        "pkg:pypi/meson",
        "pkg:pypi/cython",
    } <= added  # two are asked for by hooks
    in_process("stage", app, "--locked", "-o", droplet, store=shared_store, PIP_EXTRA_INDEX_URL=url).good()
    assert sum(name.endswith(".cpython-311-x86_64-linux-gnu.so") for name in contents(droplet)) == 4
    with running(droplet, tmp_path / "log", store=shared_store) as (port, process):
        assert ask(port, "/", process) == (200, "1 2 3 4")


LABELLED = """\
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "labelled-1.0-cp39-cp39-linux_x86_64.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        info = "labelled-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: labelled\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: cp39-cp39-linux_x86_64\\n")
        wheel.writestr(f"{info}/RECORD", f"{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n")
    return name
"""


def test_a_wheel_for_another_python_is_refused(
    tmp_path: Path, shared_store: Path, own_index: Callable[[Mapping[str, Mapping[str, str]]], tuple[str, list[str]]]
) -> None:
    project = PROJECT.format(name="labelled", requires="", backend="own") + 'backend-path = ["."]\n'
    url, lines = own_index({"labelled": {"pyproject.toml": project, "PKG-INFO": "", "own.py": LABELLED}})
    app = tmp_path / "app"
    app.mkdir()
    (app / "requirements.txt").write_text("".join(lines))
    (app / "main.py").write_text("print('hello')\n")
    for _ in range(2):  # it is remembered, and refused all the same
        done = in_process(
            "stage", app, "-o", tmp_path / "droplet.tgz", "--json", store=shared_store, PIP_EXTRA_INDEX_URL=url
        )
        assert done.document["error"]["code"] == "BuildFailed"
        assert done.document["error"]["message"] == (
            "the build labelled left labelled-1.0-cp39-cp39-linux_x86_64.whl, which is for cp39-cp39-linux_x86_64, and what "
            "is wanted is for cp311 manylinux_2_36 x86_64"
        )


TOLD = """\
import base64, hashlib, os, zipfile

def row(path, text):
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(text)}\\n"

def build_wheel(folder, config_settings=None, metadata_directory=None):
    import wanted
    files = {
        "told.py": f"SAID = {[config_settings, wanted.SAID, os.environ['JOBS']]!r}\\n",
        "told-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: told\\nVersion: 1.0\\n",
        "told-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files["told-1.0.dist-info/RECORD"] = "".join(map(row, files, files.values())) + "told-1.0.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(f"{folder}/told-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return "told-1.0-py3-none-any.whl"
"""
SETTINGS = """\
[project]
name = "app"
version = "1"
dependencies = ["told"]
[tool.uv]
config-settings-package = {told = {mode = "fast"}}
extra-build-dependencies = {told = ["wanted==1.0"]}
extra-build-variables = {told = {JOBS = "2"}}
"""


def test_what_an_app_has_passed_to_a_build(
    tmp_path: Path, shared_store: Path, own_index: Callable[[Mapping[str, Mapping[str, str]]], tuple[str, list[str]]]
) -> None:
    project = PROJECT.format(name="told", requires="", backend="own") + 'backend-path = ["."]\n'
    url, lines = own_index({"told": {"pyproject.toml": project, "PKG-INFO": "", "own.py": TOLD}})
    with Server() as server:
        wheel = ("wanted-1.0-py3-none-any.whl", make_wheel("wanted", "1.0", {"wanted.py": b"SAID = 1\n"}))
        put_files(server, "wanted", wheel)
        urls = f"{url} {server.url}/simple"
        app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
        app.mkdir()
        (app / "pyproject.toml").write_text(SETTINGS)
        digest = lines[0].partition("sha256:")[2].strip()
        place = f"{url}/told/told-1.0.tar.gz"
        (app / "pylock.toml").write_text(PYLOCK.format(digest=digest, place=place))
        (app / "main.py").write_text("print('hello')\n")
        in_process("stage", app, "-o", droplet, store=shared_store, PIP_EXTRA_INDEX_URL=urls).good()
    assert contents(droplet)["told.py"] == b"SAID = [{'mode': 'fast'}, 1, '2']\n"


PYLOCK = """\
lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "told"
version = "1.0"
[packages.sdist]
url = "{place}"
hashes = {{sha256 = "{digest}"}}
"""
OWN = {
    "pyproject.toml": PROJECT.format(name="shop", requires="'setuptools'", backend="setuptools.build_meta").replace(
        "[build-system]", 'requires-python = ">=3.11"\n[tool.setuptools]\npackages = ["shop"]\n[build-system]'
    ),
    "uv.lock": 'version = 1\nrequires-python = ">=3.11"\n[[package]]\nname = "shop"\nversion = "1.0"\n'
    'source = { editable = "." }\n',
    "setup.py": SETUP.format(name="shop.fast", file="native/fast.c"),
    "native/fast.c": C.format(name="fast", number=42),
    "shop/__init__.py": "",
    "main.py": SERVER.replace("with_cmake, with_cython, with_meson, with_setuptools", "shop.fast").replace(
        "(with_setuptools, with_cython, with_meson, with_cmake)", "(shop.fast,)"
    ),
}


def test_a_package_of_the_app_s_own_is_compiled_in_place(tmp_path: Path, shared_store: Path) -> None:
    app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
    for name, text in OWN.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    in_process("lock", app, store=shared_store).good()
    (build,) = tomllib.loads((app / "stager.lock").read_text())["build"]
    assert (build["kind"], build["root"], build["outputs"]) == ("app", "python", ["shop", "stager-built/shop"])
    in_process("stage", app, "--locked", "-o", droplet, store=shared_store).good()
    with tarfile.open(droplet) as archive:
        names = [name for name in archive.getnames() if name.startswith("./app/shop/")]
    assert names == ["./app/shop/__init__.py", "./app/shop/fast.cpython-311-x86_64-linux-gnu.so"]
    with running(droplet, tmp_path / "log", store=shared_store) as (port, process):
        assert ask(port, "/", process) == (200, "42")


# --- traps -----------------------------------------------------------------------------------------------------

SETUP_TRAP = """\
SPRING
open("{name}.py", "w").write("SAID = " + repr(os.environ.get("CANARY_SECRET")))
from setuptools import setup
setup(name="{name}", version=VERSION, py_modules=["{name}"])
"""


def trap_packages(canary: Canary) -> dict[str, dict[str, str]]:
    """Sdists that spring wherever a tool may load something of theirs, and then make a module of what they could read."""
    code, pth = canary.code, f"import os; {canary.code.splitlines()[1]}\n"
    version = '__import__("evil").version'
    traps = {
        "trap_setup": {},
        "trap_attribute": {
            "setup.cfg": "[metadata]\nversion = attr: evil.version\n",
            "evil.py": f"{code}version = '1.0'\n",
        },
        "trap_shadow": dict.fromkeys(("site.py", "pip.py", "numpy.py", "Cython/__init__.py"), code),
        "trap_site": {"sitecustomize.py": code, "usercustomize.py": code, "conftest.py": code},
        "trap_pth": {"evil.pth": pth, "distutils-precedence.pth": pth, "src/evil.pth": pth},
    }
    found = {}
    for name, files in traps.items():
        stated = version if name == "trap_attribute" else "'1.0'"
        setup = SETUP_TRAP.replace("SPRING", code).replace("VERSION", stated).format(name=name)
        info = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        found[name] = {**files, "setup.py": setup, "PKG-INFO": info}
    found["trap_backend"] = {
        "pyproject.toml": PROJECT.format(name="trap_backend", requires="'setuptools'", backend="evil")
        + 'backend-path = ["."]\n[tool.setuptools]\npy-modules = ["trap_backend"]\n',
        "evil.py": f"{code}from setuptools.build_meta import *\n",
        "trap_backend.py": "SAID = None\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: trap_backend\nVersion: 1.0\n",
    }
    return found


def trap_files(canary: Canary) -> dict[str, str]:
    """Files of an app that spring wherever a tool may load something of it."""
    code, programs = (
        canary.code,
        ("python", "python3", "pip", "uv", "git", "gcc", "bwrap", "bin/python3", ".venv/bin/python"),
    )
    return {
        **dict.fromkeys(
            ("sitecustomize.py", "usercustomize.py", "conftest.py", "setup.py", "hatch_build.py", "noxfile.py"), code
        ),
        **dict.fromkeys(("setuptools/__init__.py", "packaging/__init__.py", "pyproject_hooks.py"), code),
        **dict.fromkeys(programs, canary.shell),
        "evil.pth": f"import os; {code.splitlines()[1]}\n",
        "pip.conf": f"[global]\nindex-url = {canary.server.url}/\n",
        "setup.cfg": "[easy_install]\nindex_url = http://127.0.0.1:1/\n",
        ".env": "PYTHONSTARTUP=./conftest.py\nPYTHONPATH=.\n",
        "main.py": "print('hello')\n",
    }


def test_no_trap_springs_outside_the_sandbox(
    tmp_path: Path,
    shared_store: Path,
    own_index: Callable[[Mapping[str, Mapping[str, str]]], tuple[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six packages and twenty files of the app, while it is looked at, planned, locked and staged."""
    app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
    with Server() as server:
        canary = Canary(tmp_path / "canary", server)
        url, lines = own_index(trap_packages(canary))
        for name, text in {**trap_files(canary), "requirements.txt": "".join(lines)}.items():
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            (app / name).write_text(text)
            (app / name).chmod(0o755 if text.startswith("#!") else 0o644)
        monkeypatch.chdir(app)
        careless = {
            "CANARY_SECRET": SECRET, "PATH": f"{app}:{app}/bin:{os.environ['PATH']}", "PIP_EXTRA_INDEX_URL": url,
            "PYTHONPATH": f"{app}:{os.environ.get('PYTHONPATH', '')}",
        }  # fmt: skip
        for words in (["detect"], ["plan"], ["lock"], ["stage", "--locked", "-o", str(droplet)]):
            done = in_process(words[0], ".", *words[1:], "--json", store=shared_store, cwd=app, **careless).good()
            assert canary.sprung() == [], words
            assert SECRET not in done.out + done.err
    said = {name: data for name, data in contents(droplet).items() if name.startswith("trap_") and name.endswith(".py")}
    assert len(said) == 6
    assert {data.strip() for data in said.values()} == {b"SAID = None"}  # the code ran, and found no secret
