"""Lists of Python packages in every form that repositories keep them in: what is read, what is refused, what is an input."""

from __future__ import annotations

from pathlib import Path

import pytest

from stager.ecosystems.errors import LockFailed
from stager.ecosystems.pypi import check_drift, included
from stager.ecosystems.pypi import resolver as python
from stager.errors import BadManifest, LockStale
from stager.model import Detection, Reason
from stager.net.indexes import Indexes
from stager.planning import detection, inputs, packages
from stager.planning.buildpacks import load
from stager.planning.detection.matching import AppFacts
from stager.runtimes import kind
from stager.tree import Link, SourceTree

RUN = "what it depends on is known only by running it"
STATIC = "List the dependencies under [project] in a pyproject.toml, run 'stager lock', and commit both files."


def unlocked(files: dict[str, str]) -> list[str]:
    return packages.unlocked(SourceTree.of(files), Detection("python", Reason("")), load("python"))


SETUP_CFG = "[options]\npython_requires = >=3.12\n" + (
    "install_requires =\n    # why\n    Flask>=3  # web\n    redis ; os_name == 'posix'\n"
)


@pytest.mark.parametrize(
    ("files", "names", "lock", "source"),
    [
        ({"requirements.in": "flask\n"}, ["flask"], "pylock.toml", "requirements.in"),
        ({"requirements.in": "flask\n", "requirements.txt": "flask==3\n"}, ["flask"], "pylock.toml", "requirements.txt"),
        ({"setup.cfg": SETUP_CFG, "setup.py": "setup()\n"}, ["flask", "redis"], "pylock.toml", "setup.cfg"),
        ({"setup.cfg": "[options]\ninstall_requires = flask; redis>=5\n"}, ["flask", "redis"], "pylock.toml", "setup.cfg"),
        (
            {"setup.cfg": "[options]\ninstall_requires = file: deps.txt\n", "deps.txt": "flask\n-c c\n", "c": "x==1\n"},
            ["flask"], "pylock.toml", "setup.cfg",
        ),
        ({"pyproject.toml": "[tool.black]\nline-length = 9\n", "requirements.txt": "flask\n"}, ["flask"], "pylock.toml",
         "requirements.txt"),
        ({"pyproject.toml": '[project]\nname = "a"\ndependencies = ["flask"]\n', "requirements.in": "x\n"}, ["flask", "x"],
         "uv.lock", "requirements.in"),
        ({"pyproject.toml": "[tool.black]\nline-length = 9\n", "setup.cfg": "[flake8]\nmax = 1\n"}, [], None, ""),
        ({"setup.py": "setup(install_requires=[])\n"}, [], None, ""),
        ({"setup.py": "# install_requires is in setup.cfg\nsetup()\n"}, [], None, ""),
    ],
)  # fmt: skip
def test_what_lists_the_packages(files: dict[str, str], names: list[str], lock: str | None, source: str) -> None:
    tree = SourceTree.of(files)
    assert unlocked(files) == names
    assert python.listing(tree) == source
    if lock:
        assert python.lock_name(tree) == lock


def test_poetrys_table_alone_is_for_poetry() -> None:
    with pytest.raises(LockFailed) as caught:
        python.lock_name(SourceTree.of({"pyproject.toml": '[tool.poetry.dependencies]\nflask = "*"\n'}))
    assert caught.value.hint == "Run 'poetry lock' and commit poetry.lock."


@pytest.mark.parametrize(
    ("files", "where", "why"),
    [
        ({"setup.py": "setup(\n  install_requires=['flask'])\n"}, "setup.py:2", RUN),
        ({"setup.py": "deps = read()\nsetup(install_requires=deps)\n", "setup.cfg": "[flake8]\n"}, "setup.py:2",
         RUN),
        ({"setup.py": "setup(install_requires=deps)\n", "pyproject.toml": "[build-system]\nrequires = ['setuptools']\n"},
         "setup.py:1", RUN),
        ({"pyproject.toml": '[project]\nname = "a"\ndynamic = ["version", "dependencies"]\n'}, "pyproject.toml:3",
         "only its build backend knows what it depends on"),
        ({"pyproject.toml": '[build-system]\nrequires = ["flit"]\n[tool.flit.metadata]\nrequires = ["flask"]\n'},
         "pyproject.toml:4", "what it depends on is in flit's own table, which only flit reads"),
    ],
)  # fmt: skip
def test_what_only_a_build_knows_is_not_passed_over(files: dict[str, str], where: str, why: str) -> None:
    with pytest.raises(BadManifest) as caught:
        unlocked(files)
    assert (caught.value.where, caught.value.message, caught.value.hint) == (where, why, STATIC)


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"environment-prod.yml": "name: a\ndependencies:\n- flask\n"}, "environment-prod.yml:2"),
        ({"conda.yaml": "dependencies: [flask]\n"}, "conda.yaml:1"),
        ({"env.yml": "dependencies: [flask]\n"}, "env.yml:1"),
        ({"conda-lock.yml": "version: 1\npackage:\n- name: flask\n"}, "conda-lock.yml:2"),
        ({"conda-linux-64.lock": "@EXPLICIT\n"}, "conda-linux-64.lock"),
        ({"pixi.toml": "[dependencies]\nflask = '*'\n"}, "pixi.toml"),
        ({"pixi.lock": "version: 6\n"}, "pixi.lock"),
        ({"pyproject.toml": '[project]\nname = "a"\n[tool.pixi.dependencies]\nflask = "*"\n'}, "pyproject.toml:3"),
    ],
)
def test_condas_files_in_every_spelling(files: dict[str, str], where: str) -> None:
    with pytest.raises(BadManifest) as caught:
        detection.detect(SourceTree.of({"main.py": "print(1)\n", **files}))
    assert (caught.value.where, caught.value.message) == (
        where,
        "its packages are conda's, which stager does not install",
    )


@pytest.mark.parametrize("name", ["requirements/dev.txt", "requirements-test.txt", "requirements/docs.txt", "env.yml"])
def test_what_is_no_list_of_the_apps_packages_is_no_reason(name: str) -> None:
    found = detection.detect(SourceTree.of({"main.py": "print(1)\n", name: "pytest\n"}))
    assert [one.buildpack for one in found.matched] == ["python"]


def test_lists_in_a_folder_are_pointed_to() -> None:
    with pytest.raises(BadManifest) as caught:
        detection.detect(
            SourceTree.of({"main.py": "", "requirements/base.txt": "x\n", "requirements/production.txt": "x\n"})
        )
    assert caught.value.where == "requirements/production.txt"
    assert "'-r requirements/production.txt'" in caught.value.hint


def test_the_python_that_setup_cfg_asks_for() -> None:
    def asked(**files: str) -> list[str]:
        tree = SourceTree.of({name.replace("_", "."): text for name, text in files.items()})
        return [one.text for read in kind("python").sources for one in read(AppFacts(tree))]

    assert asked(setup_cfg=SETUP_CFG) == [">=3.12"]
    assert asked(setup_cfg=SETUP_CFG, pyproject_toml='[project]\nrequires-python = ">=3.11"\n') == [">=3.11"]


# --- inputs ----------------------------------------------------------------------------------------------------


def test_a_link_to_an_input_makes_what_it_leads_to_one() -> None:
    files = {
        "requirements.txt": Link("deploy/list"),
        "deploy/list": "flask\n",
        "deploy/other": "flask\n",
        "main.py": "",
    }
    tree = SourceTree.of(files)
    recorded = inputs.inputs_of(tree)
    assert list(recorded) == ["deploy/list"]
    assert inputs.changed_inputs(recorded, tree) == []
    edited = SourceTree.of({**files, "deploy/list": "redis\n"})
    assert inputs.changed_inputs(recorded, edited) == ["deploy/list"]
    turned = SourceTree.of({**files, "requirements.txt": Link("deploy/other")})
    assert inputs.changed_inputs(recorded, turned) == ["deploy/other"]


def test_what_a_list_includes_is_an_input_whatever_its_name() -> None:
    files = {"requirements.txt": "-r deploy/base\n-c deploy/pins\n", "deploy/base": "flask\n", "deploy/pins": "x==1\n"}
    tree = SourceTree.of(files)
    assert included(tree, "") == ["deploy/base", "deploy/pins", "requirements.txt"]
    assert included(tree, "uv.lock") == []
    recorded = inputs.inputs_of(tree) | {path: tree.files[path].digest for path in included(tree, "")}
    assert inputs.changed_inputs(recorded, tree) == []
    edited = SourceTree.of({**files, "deploy/base": "redis\n"})
    assert inputs.changed_inputs(recorded, edited) == ["deploy/base"]
    del files["deploy/pins"]
    assert inputs.changed_inputs(recorded, SourceTree.of(files)) == ["deploy/pins"]


# --- steps that fell behind ------------------------------------------------------------------------------------

PYLOCK = 'lock-version = "1.0"\ncreated-by = "uv"\n[[packages]]\nname = "flask"\nversion = "3.0"\n'


@pytest.mark.parametrize(
    ("files", "manifest", "command"),
    [
        ({"requirements.txt": "flask==3.1\n"}, "requirements.txt", "rm pylock.toml && stager lock"),
        ({"requirements.txt": "flask\nredis\n"}, "requirements.txt", "rm pylock.toml && stager lock"),
        ({"setup.cfg": "[options]\ninstall_requires =\n  redis\n"}, "setup.cfg", "rm pylock.toml && stager lock"),
        ({"requirements.in": "redis\n"}, "requirements.in", "uv pip compile requirements.in --output-file pylock.toml"),
    ],
)
def test_a_standard_lock_that_its_list_left_behind(files: dict[str, str], manifest: str, command: str) -> None:
    check_drift(
        SourceTree.of({"pylock.toml": PYLOCK, manifest: "flask\n" if "cfg" not in manifest else ""}), "pylock.toml"
    )
    with pytest.raises(LockStale) as caught:
        check_drift(SourceTree.of({"pylock.toml": PYLOCK, **files}), "pylock.toml")
    assert caught.value.message == f"pylock.toml is out of step with {manifest}"
    assert caught.value.hint == f"Run '{command}' and commit the result."


@pytest.mark.parametrize("pinned", ["flask==3.0\n", "flask==2.0\nredis==5\n"])
def test_a_compiled_list_that_its_input_left_behind_is_not_locked(pinned: str, tmp_path: Path) -> None:
    tree = SourceTree.of({"requirements.in": "flask>=3\nredis\nwinloop; os_name == 'nt'\n", "requirements.txt": pinned})
    indexes = Indexes.from_environment({}, home=str(tmp_path), apt=str(tmp_path), system=str(tmp_path))
    with pytest.raises(LockStale) as caught:
        python.requirements(tree, "requirements.txt", indexes)
    assert caught.value.hint == (
        "Run 'uv pip compile requirements.in --output-file requirements.txt' and commit the result."
    )
    good = SourceTree.of({"requirements.in": "flask>=3\nredis\n", "requirements.txt": "flask==3.0\nredis==5\n"})
    assert python.requirements(good, "requirements.txt", indexes).files["requirements.txt"] == b"flask==3.0\nredis==5\n"
