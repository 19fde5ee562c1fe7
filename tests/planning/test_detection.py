"""Situations: a few files, and which buildpacks they come to and why, or the error in full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from stager.errors import Ambiguous, BadManifest, StagerError, UsageError
from stager.model import Detections, Reason
from stager.planning import detection
from stager.planning.buildpacks import load, load_all, load_folder
from stager.planning.errors import CommittedFiles, NotDetected
from stager.runtimes.errors import VersionError
from stager.tree import Executable, Link, SourceTree

Files = dict[str, str | Link | Executable]
BUILDPACKS = load_all()
LOCK = '{"lockfileVersion": 3, "packages": {}}'
UV = 'version = 1\nrequires-python = ">=3.12"\n'
EXPRESS = json.dumps(
    {"name": "shop", "dependencies": {"express": "4"}, "scripts": {"start": "node server.js"}}, indent=2
)
VITE = json.dumps({"devDependencies": {"vite": "5"}, "scripts": {"dev": "vite", "build": "vite build"}}, indent=2)
TOOLING = json.dumps({"devDependencies": {"prettier": "3"}, "scripts": {"format": "prettier ."}}, indent=2)


def detect(files: Mapping[str, str | bytes], only: tuple[str, ...] = ()) -> Detections:
    return detection.detect(SourceTree.of(dict(files)), BUILDPACKS, only=only)


MATCHED: dict[str, tuple[Files, list[tuple[str, str]]]] = {
    "requirements": (
        {"requirements.txt": "flask\n"},
        [("python", "requirements.txt lists its Python packages (requirements.txt)")],
    ),
    "lock before manifest": (
        {"pyproject.toml": "[project]\nname = 'a'\n", "uv.lock": UV},
        [("python", "uv.lock locks its Python packages (uv.lock)")],
    ),
    "pyproject": (
        {"README.md": "", "pyproject.toml": "\n[project]\nname = 'a'\n"},
        [("python", "pyproject.toml describes a Python project (pyproject.toml:2)")],
    ),
    "poetry": (
        {"pyproject.toml": "[tool.poetry]\nname = 'a'\n"},
        [("python", "pyproject.toml describes a Python project (pyproject.toml:1)")],
    ),
    "Pipfile.lock": (
        {"Pipfile": "[packages]\n", "Pipfile.lock": "{}"},
        [("python", "Pipfile.lock locks its Python packages (Pipfile.lock)")],
    ),
    "main.py alone": ({"main.py": ""}, [("python", "main.py is a Python program (main.py)")]),
    "src/main.py alone": ({"src/main.py": ""}, [("python", "src/main.py is a Python program (src/main.py)")]),
    "manage.py alone": ({"manage.py": ""}, [("python", "manage.py is a Python program (manage.py)")]),
    "streamlit page": (
        {"streamlit_app.py": ""},
        [("python", "streamlit_app.py is a Python program (streamlit_app.py)")],
    ),
    "a linked requirements file": (
        {"requirements.txt": Link("deploy/pinned.txt"), "deploy/pinned.txt": "flask\n"},
        [("python", "requirements.txt lists its Python packages (requirements.txt)")],
    ),
    "node dependencies": ({"package.json": EXPRESS}, [("nodejs", "package.json has dependencies (package.json:3)")]),
    "node start only": (
        {"package.json": '{\n "scripts": {\n  "start": "node a.js"\n }\n}', "a.js": ""},
        [("nodejs", "package.json has scripts.start (package.json:3)")],
    ),
    "node workspaces": (
        {"package.json": '{"workspaces": ["packages/*"]}'},
        [("nodejs", "package.json has workspaces (package.json:1)")],
    ),
    "server.js alone": ({"server.js": ""}, [("nodejs", "server.js is a JavaScript program (server.js)")]),
    "index.mjs alone": ({"index.mjs": ""}, [("nodejs", "index.mjs is a JavaScript program (index.mjs)")]),
    "dev tooling alone": ({"package.json": TOOLING}, [("nodejs", "there is a package.json (package.json)")]),
    "bun": (
        {"package.json": '{"dependencies": {"hono": "4"}}', "bun.lock": '{"lockfileVersion": 1}'},
        [("nodejs", "package.json has dependencies (package.json:1)")],
    ),
    "python and node": (
        {"requirements.txt": "django\n", "package.json": VITE},
        [
            ("python", "requirements.txt lists its Python packages (requirements.txt)"),
            ("nodejs", "package.json has scripts.build (package.json:7)"),
        ],
    ),
    "a program with client scripts": (
        {"main.py": "", "scripts/app.js": "", "static/index.html": ""},
        [("python", "main.py is a Python program (main.py)")],
    ),
    "python with dev tooling": (
        {"requirements.txt": "", "package.json": TOOLING},
        [("python", "requirements.txt lists its Python packages (requirements.txt)")],
    ),
    "node with tool settings in pyproject.toml": (
        {"package.json": EXPRESS, "pyproject.toml": "[tool.ruff]\nline-length = 120\n"},
        [("nodejs", "package.json has dependencies (package.json:3)")],
    ),
    "node with a helper in Python": (
        {"package.json": EXPRESS, "main.py": ""},
        [("nodejs", "package.json has dependencies (package.json:3)")],
    ),
    "index.html": ({"index.html": ""}, [("static", "index.html is the site's first page (index.html)")]),
    "public/index.html": (
        {"public/index.html": ""},
        [("static", "public/index.html is the site's first page (public/index.html)")],
    ),
    "index.html with scripts": (
        {"index.html": "", "app.js": "", "main.js": ""},
        [("static", "index.html is the site's first page (index.html)")],
    ),
    "index.html with dev tooling": (
        {"index.html": "", "package.json": TOOLING},
        [("static", "index.html is the site's first page (index.html)")],
    ),
    "Staticfile": ({"Staticfile": "", "a/b.html": ""}, [("static", "there is a Staticfile (Staticfile)")]),
    "server.js with a page": (
        {"index.html": "", "server.js": ""},
        [("nodejs", "server.js is a JavaScript program (server.js)")],
    ),
    "a built front end": (
        {"package.json": VITE, "index.html": "", "dist/index.html": ""},
        [("static", "dist/index.html is the output of the front end's build (dist/index.html)")],
    ),
    "a built front end with a development server": (
        {
            "package.json": '{"dependencies": {"react": "18"}, "scripts": {"start": "react-scripts start", "build": "b"}}',
            "public/index.html": "",
            "build/index.html": "",
        },
        [("static", "build/index.html is the output of the front end's build (build/index.html)")],
    ),
    "a built front end with a server": (
        {"package.json": EXPRESS, "server.js": "", "dist/index.html": ""},
        [("nodejs", "package.json has dependencies (package.json:3)")],
    ),
    "a built front end beside Python": (
        {"requirements.txt": "flask\n", "package.json": VITE, "dist/index.html": ""},
        [
            ("python", "requirements.txt lists its Python packages (requirements.txt)"),
            ("nodejs", "package.json has scripts.build (package.json:7)"),
        ],
    ),
    "a front end that is not built": (
        {"package.json": VITE},
        [("nodejs", "package.json has scripts.build (package.json:7)")],
    ),
    "Procfile alone": (
        {"Procfile": "# run it\nweb: ./server\n", "server": Executable("")},
        [("procfile", "Procfile names the processes (Procfile:2)")],
    ),
    "Procfile with a page": (
        {"Procfile": "web: ./server\n", "index.html": ""},
        [("procfile", "Procfile names the processes (Procfile:1)")],
    ),
    "Procfile beside Python": (
        {"Procfile": "web: python a.py\n", "requirements.txt": ""},
        [("python", "requirements.txt lists its Python packages (requirements.txt)")],
    ),
    "stager.yml": (
        {"stager.yml": "buildpacks:\n  - static\n", "requirements.txt": "", "index.html": ""},
        [("static", "stager.yml says so (stager.yml:2)")],
    ),
    "stager.yml names two": (
        {"stager.yml": "buildpacks: [nodejs, python]\n"},
        [("python", "stager.yml says so (stager.yml:1)"), ("nodejs", "stager.yml says so (stager.yml:1)")],
    ),
}


@pytest.mark.parametrize("name", MATCHED)
def test_matches(name: str) -> None:
    files, expected = MATCHED[name]
    found = detect(dict(files))
    assert [(one.buildpack, str(one.reason)) for one in found.matched] == expected


def test_what_the_others_looked_for_is_told() -> None:
    found = detect({"main.py": ""})
    assert found.rejected == tuple((name, load(name).looks_for) for name in ("nodejs", "static", "procfile"))
    assert found.rejected[0][1] == "package.json, or a program such as server.js or index.js"


def test_naming_a_buildpack_forces_it() -> None:
    found = detect({"hello.py": ""}, only=("python",))
    assert [(one.buildpack, one.reason) for one in found.matched] == [("python", Reason("asked for with --buildpack"))]
    assert found.rejected == ()


def test_the_command_line_wins_over_stager_yml() -> None:
    found = detect({"stager.yml": "buildpacks: [static]\n", "index.html": ""}, only=("procfile",))
    assert [one.buildpack for one in found.matched] == ["procfile"]


def test_a_users_own_buildpack(tmp_path: Path) -> None:
    (tmp_path / "perl").mkdir()
    (tmp_path / "perl" / "buildpack.yml").write_text(
        'name: perl\nversion: "1"\nlooks_for: app.pl\n'
        'detect: [{file: app.pl, claim: code, why: "{file} is Perl"}]\n'
        "start: [{for: app.pl, when: [{file: app.pl}], run: perl app.pl, why: it is there}]\n"
    )
    own = load_folder(str(tmp_path / "perl"))
    found = detection.detect(SourceTree.of({"app.pl": ""}), (*BUILDPACKS, own))
    assert [(one.buildpack, str(one.reason)) for one in found.matched] == [("perl", "app.pl is Perl (app.pl)")]


LOCKS: dict[str, tuple[Files, str]] = {
    "uv": ({"pyproject.toml": "[project]\n", "uv.lock": UV}, "uv.lock"),
    "hashed requirements": ({"requirements.txt": "a==1 --hash=sha256:" + "0" * 64 + "\n"}, "requirements.txt"),
    "loose requirements": ({"requirements.txt": "flask\n"}, ""),
    "a lock beside loose requirements": ({"requirements.txt": "flask\n", "uv.lock": UV}, "uv.lock"),
    "npm": ({"package.json": EXPRESS, "package-lock.json": LOCK}, "package-lock.json"),
    "pnpm": ({"package.json": EXPRESS, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm-lock.yaml"),
    "a manifest without a lock": ({"package.json": EXPRESS}, ""),
    "engines that name another manager, too": (
        {
            "package.json": '{"dependencies": {"a": "1"}, "engines": {"npm": ">=9", "yarn": ">=1"}}',
            "package-lock.json": LOCK,
        },
        "package-lock.json",
    ),
    "engines.npm beside yarn": (
        {"package.json": '{"dependencies": {"a": "1"}, "engines": {"npm": "please-use-yarn"}}', "yarn.lock": ""},
        "yarn.lock",
    ),
    "static": ({"index.html": ""}, ""),
}


@pytest.mark.parametrize("name", LOCKS)
def test_locks(name: str) -> None:
    files, lock = LOCKS[name]
    (match,) = detect(dict(files)).matched
    assert match.lock == lock


NOTES: dict[str, tuple[Files, list[str]]] = {
    "a slip of the pen": (
        {"main.py": "", "requirments.txt": "flask\n"},
        ["is requirments.txt meant to be requirements.txt? Then rename it"],
    ),
    "Procfile.txt": ({"main.py": "", "Procfile.txt": ""}, ["is Procfile.txt meant to be Procfile? Then rename it"]),
    "lower case": ({"main.py": "", "procfile": ""}, ["is procfile meant to be Procfile? Then rename it"]),
    "underscore": (
        {"main.py": "", ".python_version": ""},
        ["is .python_version meant to be .python-version? Then rename it"],
    ),
    "no dot": (
        {"main.py": "", "python-version": ""},
        ["is python-version meant to be .python-version? Then rename it"],
    ),
    "Windows' ending": (
        {"main.py": "", "runtime.txt.txt": ""},
        ["is runtime.txt.txt meant to be runtime.txt? Then rename it"],
    ),
    "names of their own": ({"main.py": "", ".npmrc": "", ".profile": "", "requirements.in": "", "api.py": ""}, []),
    "the right name is there, too": ({"Procfile": "web: a", "procfile": "", "main.py": ""}, []),
    "dev tooling": (
        {"requirements.txt": "", "package.json": TOOLING},
        [
            "nodejs takes no part: there is a package.json (package.json), which alone is no reason beside other manifests",
        ],
    ),
    "a helper": (
        {"package.json": EXPRESS, "main.py": ""},
        [
            "python takes no part: main.py is a Python program (main.py), which alone is no reason beside other manifests"
        ],
    ),
    "conda": (
        {"main.py": "", "environment.yml": ""},
        ["environment.yml is not read: list the packages in requirements.txt or pyproject.toml instead"],
    ),
    "served as it is": (
        {"package.json": VITE, "dist/index.html": ""},
        [
            "dist/index.html is the output of the front end's build, which is served as it is (static); "
            "to run the app with nodejs, name it with --buildpack or in stager.yml"
        ],
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_notes(name: str) -> None:
    files, expected = NOTES[name]
    assert list(detect(dict(files)).notes) == expected


ERRORS: dict[str, tuple[dict[str, str | bytes], type[StagerError], str, str, str]] = {
    "two Python locks": (
        {"uv.lock": UV, "poetry.lock": ""},
        Ambiguous,
        "2 lock files say what the app's Python packages are: uv.lock, poetry.lock",
        "Keep the one that your tool writes, and delete the other.",
        "",
    ),
    "four Python locks": (
        {"uv.lock": UV, "poetry.lock": "", "Pipfile.lock": "", "requirements.txt": "a==1 --hash=sha256:" + "0" * 64},
        Ambiguous,
        "4 lock files say what the app's Python packages are: uv.lock, poetry.lock, Pipfile.lock, requirements.txt",
        "Keep the one that your tool writes, and delete the others.",
        "",
    ),
    "two npm locks": (
        {"package.json": EXPRESS, "package-lock.json": LOCK, "yarn.lock": ""},
        Ambiguous,
        "2 lock files say what the app's npm packages are: package-lock.json, yarn.lock",
        "Keep the one that your tool writes, and delete the other.",
        "",
    ),
    "a lock of another manager": (
        {
            "package.json": '{\n "packageManager": "pnpm@9.1.0",\n "dependencies": {"a": "1"}\n}',
            "package-lock.json": LOCK,
        },
        Ambiguous,
        "package.json asks for pnpm, but the lock file is npm's: package.json:2 (packageManager), package-lock.json",
        "Make the lock with pnpm and delete package-lock.json, or change packageManager in package.json.",
        "",
    ),
    "engines of another manager": (
        {"package.json": '{"dependencies": {"a": "1"}, "engines": {"pnpm": ">=8"}}', "yarn.lock": ""},
        Ambiguous,
        "package.json asks for pnpm, but the lock file is yarn's: package.json:1 (engines.pnpm), yarn.lock",
        "Make the lock with pnpm and delete yarn.lock, or change engines.pnpm in package.json.",
        "",
    ),
    "two languages without a manifest": (
        {"main.py": "", "server.js": ""},
        Ambiguous,
        "programs of several languages: main.py, server.js",
        "Say whose app it is: write 'buildpacks: [python]' or 'buildpacks: [nodejs]' into stager.yml.",
        "",
    ),
    "Pipfile without lock": (
        {"Pipfile": "[packages]\nflask = '*'\n", "app.py": ""},
        BadManifest,
        "there is no Pipfile.lock beside it",
        "Run 'pipenv lock' and commit Pipfile.lock.",
        "Pipfile",
    ),
    "setup.py only": (
        {"setup.py": "from setuptools import setup\nsetup()\n", "app.py": ""},
        BadManifest,
        "what it depends on is known only by running it",
        "List the dependencies under [project] in a pyproject.toml, run 'stager lock', and commit both files.",
        "setup.py",
    ),
    "lock without package.json": (
        {"package-lock.json": LOCK},
        BadManifest,
        "there is no package.json beside it",
        "Restore package.json, or delete package-lock.json.",
        "package-lock.json",
    ),
    "package.json that is no JSON": (
        {"package.json": '{\n  "name": "a"\n  "version": "1"\n}'},
        BadManifest,
        "not valid JSON: Expecting ',' delimiter (column 3)",
        "Correct package.json.",
        "package.json:3",
    ),
    "package.json that is a list": (
        {"package.json": "[]"},
        BadManifest,
        "its top must be a table of names and values",
        "Correct package.json.",
        "package.json",
    ),
    "package.json that is not UTF-8": (
        {"package.json": b'{\n"name": "\xff"}'},
        BadManifest,
        "the file is not UTF-8",
        "Save it as UTF-8.",
        "package.json:2",
    ),
    "package.json without bottom": (
        {"package.json": '{"a":' * 100_000},
        BadManifest,
        "not readable: nested too deeply",
        "Correct package.json.",
        "package.json",
    ),
    "pyproject.toml that is no TOML": (
        {"pyproject.toml": "[project]\nname = \n"},
        BadManifest,
        "not valid TOML: Invalid value (at line 2, column 8)",
        "Correct pyproject.toml.",
        "pyproject.toml:2",
    ),
    "a browser extension": (
        {"index.html": "", "manifest.json": '{\n  "manifest_version": 3\n}'},
        BadManifest,
        "it is a browser extension's, and its pages are shown by the browser that loads it",
        "Load it in a browser, or write 'root: .' in a file Staticfile to serve its files all the same.",
        "manifest.json:2",
    ),
    "a Procfile with a slip": (
        {"main.py": "", "Procfile": "web python main.py\n"},
        BadManifest,
        "there is no colon in 'web python main.py'",
        "A line is a process type, a colon and a command, such as 'web: python main.py'.",
        "Procfile:1",
    ),
    "an unknown buildpack in stager.yml": (
        {"main.py": "", "stager.yml": "stack: debian-12\nbuildpacks:\n  - pyhton\n"},
        BadManifest,
        "buildpacks[0]: there is no buildpack 'pyhton'; did you mean 'python'?",
        "Correct stager.yml.",
        "stager.yml:3",
    ),
    "an ended Python": (
        {"main.py": "", ".python-version": "3.9\n", "stager.yml": "end_of_life: refuse\n"},
        VersionError,
        "Python 3.9: Python 3.9 has had no security fixes since 2025-10",
        "Ask for one of 3.15, 3.14, 3.13, 3.12, 3.11. Or let stager.yml say 'end_of_life: warn'.",
        ".python-version:1",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    files, kind, message, hint, where = ERRORS[name]
    with pytest.raises(StagerError) as caught:
        detect(files)
    error = caught.value
    assert (type(error), error.message, error.hint, error.where) == (kind, message, hint, where)


def test_nothing_fits() -> None:
    with pytest.raises(NotDetected) as caught:
        detect({"README.md": "", "requirement.txt": "flask\n"})
    assert caught.value.message == "no buildpack recognises this folder"
    assert caught.value.hint == (
        "Is requirement.txt meant to be requirements.txt? Then rename it. "
        "python looks for requirements.txt, pyproject.toml, Pipfile, uv.lock, poetry.lock, pdm.lock, pylock.toml, setup.py, "
        "manage.py or a program such as main.py or app.py; "
        "nodejs looks for package.json, or a program such as server.js or index.js; "
        "static looks for index.html in the top folder, public/, dist/, build/, out/ or _site/, or a Staticfile; "
        "procfile looks for a Procfile with a line such as 'web: ./server'. "
        "Add one of these, or a Procfile with a web process."
    )


def test_engines_that_name_bun_say_nothing_of_the_lock() -> None:
    found = detect(
        {"package.json": '{"dependencies": {"a": "1"}, "engines": {"bun": ">=1"}}', "package-lock.json": "{}"}
    )
    assert [one.lock for one in found.matched] == ["package-lock.json"]


@pytest.mark.parametrize("name", ["start.sh", "docker-entrypoint.sh"])
def test_a_script_that_may_start_the_app_is_asked_after(name: str) -> None:
    with pytest.raises(NotDetected, match="no buildpack recognises this folder") as caught:
        detect({name: "echo hello\n", "lib.sh": ""})
    assert caught.value.hint.startswith(
        f"Does {name} start the app? Then write 'web: bash {name}' in a file Procfile. python"
    )


def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        detect({"main.py": ""}, only=("node",))
    assert caught.value.message == "there is no buildpack 'node'; did you mean 'nodejs'?"


def app(folder: Path, files: Mapping[str, str]) -> SourceTree:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return SourceTree.read(os.fspath(folder))


def test_a_committed_environment(tmp_path: Path) -> None:
    tree = app(tmp_path, {"main.py": "", ".venv/pyvenv.cfg": "home = /usr/bin\n", ".venv/lib/a.py": ""})
    with pytest.raises(CommittedFiles) as caught:
        detection.detect(tree, BUILDPACKS)
    assert caught.value.message == "a virtual environment is among the app's files"
    assert caught.value.hint == (
        "Add the line '.venv/' to .gitignore; if it was committed, run 'git rm -r --cached .venv' as well."
    )
    assert caught.value.where == ".venv"


def test_an_ignored_environment_is_nobodys_business(tmp_path: Path) -> None:
    tree = app(tmp_path, {"main.py": "", ".venv/pyvenv.cfg": "home = /usr/bin\n", ".gitignore": ".venv/\n"})
    assert detection.detect(tree, BUILDPACKS).notes == ()


def test_node_modules_without_a_manifest(tmp_path: Path) -> None:
    tree = app(tmp_path, {"server.js": "", "node_modules/a/package.json": "{}"})
    with pytest.raises(CommittedFiles) as caught:
        detection.detect(tree, BUILDPACKS)
    assert caught.value.message == "npm packages are among the app's files, but no package.json says which belong there"
    assert caught.value.hint == "Add a package.json with its dependencies and a lock file, or delete node_modules."
    assert caught.value.where == "node_modules"


def test_node_modules_with_a_manifest_are_left_out_with_a_remark(tmp_path: Path) -> None:
    tree = app(tmp_path, {"package.json": EXPRESS, "node_modules/a/package.json": "{}"})
    assert detection.detect(tree, BUILDPACKS).notes == (
        "node_modules is left out: what the lock file pins is installed instead. Add it to .gitignore",
    )


def test_nothing_depends_on_hash_seed_or_order() -> None:
    """The same detections, byte for byte, in processes with other hash seeds."""
    code = (
        "from stager.planning import detection; from stager.tree import SourceTree; "
        "print(detection.detect(SourceTree.of({'requirements.txt': '', 'package.json': "
        '\'{"dependencies": {"a": "1"}, "engines": {"node": ">=22"}}\', ".nvmrc": "24", "requirments.txt": ""})))'
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(seen) == 1


RAILS: Files = {"Gemfile": "", "config.ru": "", "public/index.html": "", "app/models/a.rb": ""}
HELPER = json.dumps({"dependencies": {"bootstrap": "5"}, "scripts": {"build": "vite build"}, "main": "index.js"})
FOREIGN: dict[str, tuple[Files, str, str]] = {
    "Rails with a page": (RAILS, "Gemfile is for Ruby", "public/index.html alone does not make it static's; "),
    "Rails with packages": (
        {"Gemfile": "", "package.json": HELPER},
        "Gemfile is for Ruby",
        "package.json alone does not make it nodejs's; ",
    ),
    "Laravel": (
        {"composer.json": "{}", "package.json": HELPER, "public/index.php": "", "vite.config.js": ""},
        "composer.json is for PHP",
        "package.json alone does not make it nodejs's; ",
    ),
    "PHP with gulp": (
        {
            "index.php": "",
            "package.json": json.dumps({"scripts": {"start": "gulp watch"}, "main": "gulpfile.js"}),
            "gulpfile.js": "",
        },
        "index.php is for PHP",
        "package.json alone does not make it nodejs's; ",
    ),
    "PHP with a script of its pages": (
        {"composer.json": "{}", "app.js": ""},
        "composer.json is for PHP",
        "app.js alone does not make it nodejs's; ",
    ),
    "Go with a built front end": (
        {"go.mod": "module a\n", "package.json": HELPER, "dist/index.html": ""},
        "go.mod is for Go",
        "dist/index.html alone does not make it static's; ",
    ),
    "Java": ({"pom.xml": "", "src/main/java/A.java": ""}, "pom.xml is for Java", ""),
    "Gradle": ({"build.gradle.kts": ""}, "build.gradle.kts is for Java", ""),
    "Rust": ({"Cargo.toml": "", "src/main.rs": ""}, "Cargo.toml is for Rust", ""),
    ".NET": ({"Shop/Shop.csproj": "", "Shop.sln": ""}, "Shop.sln is for .NET", ""),
    "Deno": ({"deno.json": "{}", "mod.ts": ""}, "deno.json is for Deno", ""),
    "Elixir": ({"mix.exs": "", "assets/package.json": "{}"}, "mix.exs is for Elixir", ""),
    "Swift": ({"Package.swift": ""}, "Package.swift is for Swift", ""),
    "conda": ({"environment.yml": "dependencies: [flask]\n", "shop/web.py": ""}, "environment.yml is for conda", ""),
    "two of them": ({"go.mod": "", "Gemfile": ""}, "Gemfile is for Ruby and go.mod is for Go", ""),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_another_languages_app_is_named(name: str) -> None:
    files, whose, alone = FOREIGN[name]
    with pytest.raises(NotDetected) as caught:
        detect(files)
    error = caught.value
    assert error.message == f"no buildpack recognises this folder: {whose}, which stager has no buildpack for"
    assert error.where == whose.partition(" ")[0]
    assert error.hint.startswith(alone or "python looks for")


BESIDE: dict[str, tuple[Files, list[str]]] = {
    "a Rust extension of a Python app": ({"requirements.txt": "", "Cargo.toml": ""}, ["python"]),
    "a Gemfile for the pages of a Node.js app": ({"package.json": EXPRESS, "server.js": "", "Gemfile": ""}, ["nodejs"]),
    "a main program": ({"package.json": '{"main": "lib/run.js"}', "lib/run.js": "", "go.mod": ""}, ["nodejs"]),
    "Jekyll's output with a Staticfile": (
        {"Staticfile": "root: _site\n", "Gemfile": "", "_site/index.html": ""},
        ["static"],
    ),
    "named in stager.yml": ({**RAILS, "stager.yml": "buildpacks: [static]\n"}, ["static"]),
    "a program that was built before": (
        {"go.mod": "", "Procfile": "web: ./shop\n", "shop": Executable("")},
        ["procfile"],
    ),
    "a program and packages": ({"go.mod": "", "package.json": HELPER, "Procfile": "web: ./shop\n"}, ["nodejs"]),
    "conda beside a site": ({"environment.yml": "", "index.html": ""}, ["static"]),
    "conda beside requirements": ({"environment.yml": "dependencies: [a]\n", "requirements.txt": ""}, ["python"]),
}


@pytest.mark.parametrize("name", BESIDE)
def test_another_languages_manifest_beside_an_app(name: str) -> None:
    files, names = BESIDE[name]
    assert [one.buildpack for one in detect(files).matched] == names


def test_conda_s_packages_are_not_passed_over() -> None:
    with pytest.raises(BadManifest) as caught:
        detect({"app.py": "import flask\n", "environment.yml": "name: a\ndependencies:\n  - flask\n"})
    assert (caught.value.where, caught.value.message) == (
        "environment.yml:2",
        "its packages are conda's, which stager does not install",
    )


@pytest.mark.parametrize("name", ["project.toml", "Project.toml", "package.js", "stage.yml", "profile"])
def test_files_of_other_tools_are_no_slips_of_the_pen(name: str) -> None:
    with pytest.raises(NotDetected) as caught:
        detect({name: "", "notes.txt": ""})
    assert "rename" not in caught.value.hint
