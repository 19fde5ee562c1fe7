"""The app's own projects: import path, commands, metadata, and those that must be compiled."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from stager.ecosystems.pypi import Target, launcher, read_lock
from stager.ecosystems.pypi.building import own_build
from stager.ecosystems.pypi.folders import import_roots
from stager.ecosystems.pypi.project import app_files
from stager.errors import BadLock, BadManifest, NeedsBuild
from stager.model import Reason, Stack
from stager.tree import SourceTree

TARGET = Target(Stack("debian-12", "amd64", (2, 36), "debian"), (3, 11), "3.11.2")
PTH = ".stager/pypi/site-packages/stager-app.pth"
UV = 'version = 1\n[[package]]\nname = "demo"\nversion = "1"\nsource = { editable = "." }\n'


@pytest.mark.parametrize(
    ("pyproject", "files", "roots"),
    [
        ("", ["app.py"], ["."]),
        ("", ["app.py", "src/main.js"], ["."]),
        ("", ["src/demo/__init__.py"], ["src"]),
        ("", ["src/demo/deep/x.py"], ["."]),
        ('[tool.setuptools]\npackage-dir = { "" = "lib" }\n', ["lib/demo.py"], ["lib"]),
        ('[tool.setuptools.packages.find]\nwhere = ["a", "b", "none"]\n', ["a/x.py", "b/y/z.py"], ["a", "b"]),
        ('[tool.poetry]\npackages = [{ include = "demo", from = "code" }, { include = "two" }]\n',
         ["code/demo/x.py", "two/x.py"], ["code", "."]),
        ('[tool.pdm.build]\npackage-dir = "py"\n', ["py/demo/x.py"], ["py"]),
        ('[tool.uv.build-backend]\nmodule-root = "mod"\n', ["mod/demo/x.py"], ["mod"]),
        ('[tool.uv.build-backend]\nmodule-root = ""\n', ["demo/x.py"], ["."]),
        ('[tool.hatch.build.targets.wheel]\npackages = ["source/demo"]\n', ["source/demo/x.py"], ["source"]),
        ('[tool.pdm.build]\npackage-dir = "../up"\n', ["demo.py"], ["."]),
        ('[tool.pdm.build]\npackage-dir = "/etc"\n', ["demo.py"], ["."]),
    ],
)  # fmt: skip
def test_the_folders_on_the_import_path(pyproject: str, files: list[str], roots: list[str]) -> None:
    tree = SourceTree.of({"pyproject.toml": pyproject, **dict.fromkeys(files, "")})
    assert import_roots(tree, "") == roots
    inner = SourceTree.of(
        {f"libs/one/{path}": text for path, text in {"pyproject.toml": pyproject, **dict.fromkeys(files, "")}.items()}
    )
    assert import_roots(inner, "libs/one") == [os.path.normpath(f"libs/one/{root}") for root in roots]


DYNAMIC = '[project]\nname = "my-demo"\ndynamic = ["version"]\n[project.entry-points."demo.plugins"]\np = "demo.p"\n'


@pytest.mark.parametrize(
    ("tool", "file", "text", "version"),
    [
        ('[tool.hatch.version]\npath = "src/demo/about.py"\n', "src/demo/about.py", "# v\n__version__ = '2.5.0'\n", "2.5.0"),
        ('[tool.hatch.version]\npath = "VERSION.py"\n', "VERSION.py", 'VERSION: str = "v1.2"\n', "1.2"),
        ('[tool.pdm.version]\nsource = "file"\npath = "demo.py"\n', "demo.py", '__version__ = "3.0rc1"\n', "3.0rc1"),
        ('[tool.setuptools.dynamic]\nversion = {file = "VERSION"}\n', "VERSION", "4.1\n", "4.1"),
        ('[tool.setuptools.dynamic]\nversion = {attr = "demo.meta.RELEASE"}\n', "src/demo/meta.py",
         'RELEASE = "5.0"\n', "5.0"),
        ('[tool.setuptools.dynamic]\nversion = {attr = "demo.__version__"}\n', "demo/__init__.py",
         '__version__ = "5.1"\n', "5.1"),
        ("", "src/my_demo/__init__.py", '"""Flit."""\n__version__ = "6.0"\n', "6.0"),
        ("", "my_demo.py", '__version__ = "6.1"\n', "6.1"),
        ("[tool.setuptools_scm]\n", "demo.py", "", "0"),
        ('[tool.hatch.version]\npath = "../up.py"\n', "demo.py", "", "0"),
        ('[tool.hatch.version]\npath = "demo.py"\n', "demo.py", '__version__ = "../../x"\n', ""),
    ],
)  # fmt: skip
def test_a_version_that_the_backend_would_read(tool: str, file: str, text: str, version: str) -> None:
    """Without it, `importlib.metadata.version` would not find the app, nor its plugins."""
    tree = SourceTree.of({"pyproject.toml": DYNAMIC + tool, file: text})
    inner = SourceTree.of({"libs/one/pyproject.toml": DYNAMIC + tool, f"libs/one/{file}": text})
    for files in (dict(app_files(tree, [("my-demo", "")])), dict(app_files(inner, [("my-demo", "libs/one")]))):
        made = {path.rpartition("/")[2]: body for path, body in files.items() if ".dist-info/" in path}
        assert set(made) == ({"METADATA", "entry_points.txt"} if version else set())
        assert not version or made["METADATA"] == f"Metadata-Version: 2.1\nName: my-demo\nVersion: {version}\n"


def test_commands_from_every_place_and_metadata_with_plugins() -> None:
    pyproject = (
        '[project]\nname = "My_Demo"\nversion = "1.2"\n[project.scripts]\none = "demo:main"\n'
        '[project.gui-scripts]\ntwo = "demo.gui:App.run"\n[project.entry-points."demo.plugins"]\np = "demo.p"\n'
        '[tool.poetry.scripts]\nthree = { reference = "demo:three", type = "console" }\n'
    )
    setup = "[options.entry_points]\nconsole_scripts =\n    four = demo:four\n"
    tree = SourceTree.of({"pyproject.toml": pyproject, "setup.cfg": setup, "demo.py": ""})
    files = dict(app_files(tree, [("my-demo", "")]))
    assert sorted(files) == [
        ".stager/pypi/bin/four",
        ".stager/pypi/bin/one",
        ".stager/pypi/bin/three",
        ".stager/pypi/bin/two",
        ".stager/pypi/site-packages/my_demo-1.2.dist-info/METADATA",
        ".stager/pypi/site-packages/my_demo-1.2.dist-info/entry_points.txt",
        PTH,
    ]
    assert "from demo.gui import App\n" in files[".stager/pypi/bin/two"]
    assert "sys.exit(App.run())" in files[".stager/pypi/bin/two"]
    assert files[".stager/pypi/site-packages/my_demo-1.2.dist-info/entry_points.txt"] == (
        "[console_scripts]\none = demo:main\n\n[demo.plugins]\np = demo.p\n\n[gui_scripts]\ntwo = demo.gui:App.run\n\n"
    )


@pytest.mark.parametrize(
    ("name", "reference"),
    [("../x", "a:b"), ("x", "a"), ("x", "a:b; import os"), ("x", "a:b\nimport os"), ("$(id)", "a:b"), ("x", "1a:b"),
     ("", "a:b")],
)  # fmt: skip
def test_a_command_that_cannot_be_made_is_refused(name: str, reference: str) -> None:
    import json

    tree = SourceTree.of({"pyproject.toml": f"[project.scripts]\n{json.dumps(name)} = {json.dumps(reference)}\n"})
    with pytest.raises(BadManifest) as caught:
        app_files(tree, [])
    assert caught.value.message == f"the command {name!r} = {reference!r} cannot be made"
    assert caught.value.where == "pyproject.toml"


def test_two_projects_with_one_command_are_refused_unless_it_is_the_same() -> None:
    one, two = '[project.scripts]\nx = "a:b"\n', '[project.scripts]\nx = "c:d"\n'
    tree = SourceTree.of({"pyproject.toml": one, "libs/pyproject.toml": two, "same/pyproject.toml": one})
    assert app_files(tree, [("same", "same")])
    with pytest.raises(BadManifest) as caught:
        app_files(tree, [("libs", "libs")])
    assert str(caught.value) == "libs/pyproject.toml: the command x is defined twice\n  Correct libs/pyproject.toml."


@pytest.mark.parametrize(
    ("pyproject", "setup", "why"),
    [
        ('[build-system]\nrequires = ["maturin>=1"]\nbuild-backend = "maturin"\n', "", "it is compiled by maturin"),
        ('[build-system]\nrequires = []\nbuild-backend = "mesonpy"\n', "", "it is compiled by mesonpy"),
        ('[build-system]\nrequires = ["setuptools", "Cython >= 3"]\n', "", "it is compiled with Cython"),
        ('[build-system]\nrequires = ["setuptools-rust==1"]\n', "", "it is compiled with setuptools-rust"),
        ('[[tool.setuptools.ext-modules]]\nname = "x"\nsources = ["x.c"]\n', "", "it has extension modules"),
        ("", "setup(ext_modules=[Extension('x', ['x.c'])])", "its setup.py compiles extension modules"),
        ("", "from Cython.Build import cythonize\n", "its setup.py compiles extension modules"),
    ],
)  # fmt: skip
def test_an_app_that_is_compiled_is_built_in_place(pyproject: str, setup: str, why: str) -> None:
    files = {
        "pyproject.toml": pyproject,
        "setup.py": setup,
        "demo/__init__.py": "",
        "native/x.c": "",
        "tests/test_x.py": "",
    }
    found = read_lock(SourceTree.of({"uv.lock": UV, **files}), "uv.lock", TARGET)
    (build,) = found.builds
    assert (build.name, build.kind, build.root, build.reason) == ("demo", "app", "python", Reason(why, "uv.lock"))
    assert build.inputs == ("*", "demo/**", "native/**")
    assert build.outputs == ("demo", "stager-built/demo")
    assert build.command == (
        "PYTHONPATH=/run/stager/own-package python3 /run/stager/own-package/pep517.py own /app/ /app/ /app/stager-built/demo"
    )
    assert dict(found.files)[PTH] == "../../..\n../../../stager-built/demo\n"


def test_a_compiled_project_with_its_sources_in_a_folder() -> None:
    lock = UV.replace('editable = "."', 'editable = "libs/demo"').replace("UV", "")
    pyproject = '[build-system]\nrequires = ["cython"]\n'
    files = {
        "libs/demo/pyproject.toml": pyproject,
        "libs/demo/src/demo/x.pyx": "",
        "libs/demo/src/demo/__init__.py": "",
    }
    (build,) = [own_build(SourceTree.of({"uv.lock": lock, **files}), "demo", "libs/demo", "why", "uv.lock")]
    assert build.folder == "libs/demo"
    assert build.inputs == ("libs/demo/*", "libs/demo/src/**", "libs/demo/src/demo/**")
    assert build.outputs == ("libs/demo/src/demo", "stager-built/demo")


def test_a_pure_app_and_one_that_is_not_installed_need_no_build() -> None:
    pure = SourceTree.of({"uv.lock": UV, "pyproject.toml": '[build-system]\nrequires = ["hatchling"]\n', "demo.py": ""})
    assert dict(read_lock(pure, "uv.lock", TARGET).files)[PTH] == "../../..\n"
    virtual = UV.replace("editable", "virtual")
    tree = SourceTree.of({"uv.lock": virtual, "pyproject.toml": '[build-system]\nrequires = ["cython"]\n'})
    assert read_lock(tree, "uv.lock", TARGET).artifacts == ()


def test_what_cannot_be_built_is_told_beside_what_is() -> None:
    lock = UV + 'dependencies = [{ name = "g" }]\n[[package]]\nname = "g"\nversion = "1"\nsource = { path = "x" }\n'
    tree = SourceTree.of({"uv.lock": lock, "pyproject.toml": '[build-system]\nrequires = ["cython"]\n', "demo.py": ""})
    with pytest.raises(NeedsBuild) as caught:
        read_lock(tree, "uv.lock", TARGET)
    assert caught.value.data["needs"] == {"g==1": "only an sdist"}


def test_a_path_that_would_leave_the_app_is_refused() -> None:
    for path in ("/etc", "a/../../b", "c:\\x", "..", "http://x.example/y"):
        lock = (
            UV + f'dependencies = [{{ name = "l" }}]\n[[package]]\nname = "l"\nsource = {{ editable = \'{path}\' }}\n'
        )
        with pytest.raises(BadLock, match="is outside the app"):
            read_lock(SourceTree.of({"uv.lock": lock}), "uv.lock", TARGET)


@pytest.fixture
def app(tmp_path: Path, python311: str) -> Path:
    """An app folder with a space in its name, a Python at its place, and the module that commands call."""
    home = tmp_path / "my app"
    (home / ".stager/python/bin").mkdir(parents=True)
    (home / ".stager/python/bin/python3").symlink_to(python311)
    (home / ".stager/pypi/bin").mkdir(parents=True)
    (home / ".stager/pypi/libexec").mkdir()
    (home / "mod.py").write_text(
        "import sys, json\nclass C:\n    @staticmethod\n    def f():\n"
        "        print(json.dumps([sys.argv, sys.prefix != '']))\n        return 7\n"
    )
    return home


@pytest.fixture
def python311() -> str:
    import sys

    return os.path.realpath(sys.executable)


def put(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def run(command: list[str], home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    paths = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(home), **env}
    return subprocess.run(command, capture_output=True, text=True, env=paths, cwd="/", check=False)


@pytest.mark.parametrize("way", ["path", "symlink", "PATH", "dash", "bash", "relative link"])
def test_a_command_finds_its_python_however_it_is_called(app: Path, tmp_path: Path, way: str) -> None:
    text = launcher.entry_point("mod:C.f [extra]")
    assert text is not None
    command = put(app / ".stager/pypi/bin/say-it", text)
    link = tmp_path / "link to it"
    link.symlink_to(command if way == "symlink" else os.path.relpath(command, tmp_path))
    calls: dict[str, list[str]] = {
        "path": [str(command)], "symlink": [str(link)], "relative link": [str(link)], "PATH": ["env", "say-it"],
        "dash": ["dash", str(command)], "bash": ["bash", str(command)],
    }  # fmt: skip
    done = run([*calls[way], "a b", "*"], app, PATH=f"{command.parent}:/usr/bin:/bin")
    assert (done.returncode, done.stderr) == (7, "")
    name = "link to it" if "link" in way else "say-it"
    assert f'{name}", "a b", "*"], true]' in done.stdout


def test_a_command_is_valid_python_without_warnings(app: Path, python311: str) -> None:
    text = launcher.entry_point("mod:C.f")
    assert text is not None
    command = put(app / ".stager/pypi/bin/say", text)
    done = run([python311, "-W", "error", str(command)], app)
    assert (done.returncode, done.stderr) == (7, "")


def test_a_script_keeps_its_docstring_future_imports_and_encoding(app: Path) -> None:
    body = '#!python\n# -*- coding: latin-1 -*-\n"""doc"""\nfrom __future__ import annotations\nimport sys\n'
    (app / ".stager/pypi/libexec/tool.py").write_bytes(body.encode() + b"print(__doc__, sys.argv[1:], len('\xe9'))\n")
    command = put(app / ".stager/pypi/bin/tool.py", launcher.script("tool.py"))
    done = run([str(command), "x y"], app)
    assert (done.stdout, done.stderr) == ("doc ['x y'] 1\n", "")


def test_without_an_interpreter_a_command_fails_as_a_missing_program(app: Path) -> None:
    (app / ".stager/python/bin/python3").unlink()
    text = launcher.entry_point("mod:C.f")
    assert text is not None
    assert run([str(put(app / ".stager/pypi/bin/x", text))], app).returncode == 127
