"""Where a runtime version is asked for: what is read, from which line, and every way it can be wrong."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from stager.errors import Ambiguous, BadManifest, StagerError
from stager.planning import detection
from stager.planning.buildpacks import load
from stager.planning.detection import versions
from stager.runtimes.errors import VersionError
from stager.tree import SourceTree

Files = dict[str, str | bytes]
PYTHON = ("python", "3.15, 3.14, 3.13, 3.12, 3.11")


def requested(files: Files, runtime: str) -> list[tuple[str, str, int | None]]:
    found = versions.requested(SourceTree.of(files), runtime)
    assert {name for name, _, _ in found} <= {runtime}
    return [(wanted, reason.file, reason.line) for _, wanted, reason in found]


ASKED: dict[str, tuple[str, Files, list[tuple[str, str, int | None]]]] = {
    "nothing": ("python", {"main.py": ""}, []),
    ".python-version": ("python", {".python-version": "3.12\n"}, [("3.12", ".python-version", 1)]),
    ".python-version with comments": (
        "python",
        {".python-version": "# the version\n\n3.12.4  # exactly\n"},
        [("3.12.4", ".python-version", 3)],
    ),
    ".python-version with CRLF and mark": (
        "python",
        {".python-version": b"\xef\xbb\xbf3.12\r\n"},
        [("3.12", ".python-version", 1)],
    ),
    "runtime.txt": ("python", {"runtime.txt": "python-3.11.9\n"}, [("3.11.9", "runtime.txt", 1)]),
    "runtime.txt, any patch": ("python", {"runtime.txt": "python-3.11.x"}, [("3.11.x", "runtime.txt", 1)]),
    ".tool-versions": (
        "python",
        {".tool-versions": "nodejs 22.1.0\npython 3.12.1 3.11.0\n"},
        [("3.12.1", ".tool-versions", 2)],
    ),
    "mise.toml": ("python", {"mise.toml": '[tools]\nnode = "22"\npython = "3.13"\n'}, [("3.13", "mise.toml", 3)]),
    "mise.toml, a list": (
        "python",
        {".mise.toml": '[tools]\npython = ["3.13", "3.12"]\n'},
        [("3.13", ".mise.toml", 2)],
    ),
    "mise.toml, a table": (
        "python",
        {"mise.toml": '[tools]\npython = {version = "3.13"}\n'},
        [("3.13", "mise.toml", 2)],
    ),
    "Pipfile": (
        "python",
        {"Pipfile": '[packages]\nflask = "*"\n\n[requires]\npython_version = "3.12"\n'},
        [("3.12", "Pipfile", 5)],
    ),
    "Pipfile, full": (
        "python",
        {"Pipfile": '[requires]\npython_version = "3.12"\npython_full_version = "3.12.4"\n'},
        [("3.12.4", "Pipfile", 3), ("3.12", "Pipfile", 2)],
    ),
    "pyproject.toml": (
        "python",
        {"pyproject.toml": '[project]\nname = "a"\nrequires-python = ">=3.12"\n'},
        [(">=3.12", "pyproject.toml", 3)],
    ),
    "poetry": (
        "python",
        {"pyproject.toml": '[tool.poetry.dependencies]\nflask = "3"\npython = "^3.12"\n'},
        [("^3.12", "pyproject.toml", 3)],
    ),
    "uv.lock": ("python", {"uv.lock": 'version = 1\nrequires-python = ">=3.12"\n'}, [(">=3.12", "uv.lock", 2)]),
    "uv.lock repeats its manifest": (
        "python",
        {"uv.lock": 'requires-python = ">=3.12"\n', "pyproject.toml": '[project]\nrequires-python = ">=3.12"\n'},
        [(">=3.12", "pyproject.toml", 2)],
    ),
    "the most specific first": (
        "python",
        {
            ".python-version": "3.12",
            "pyproject.toml": '[project]\nrequires-python = ">=3.11"\n',
            "runtime.txt": "python-3.12.4",
        },
        [("3.12.4", "runtime.txt", 1), ("3.12", ".python-version", 1), (">=3.11", "pyproject.toml", 2)],
    ),
    "a range that ends before it begins to matter": (
        "python",
        {".python-version": "3.11", "pyproject.toml": '[project]\nrequires-python = ">=3.8,<3.12"\n'},
        [("3.11", ".python-version", 1), (">=3.8,<3.12", "pyproject.toml", 2)],
    ),
    "engines": ("node", {"package.json": '{\n "engines": {\n  "node": "22.x"\n }\n}'}, [("22.x", "package.json", 3)]),
    "engines with spaces": (
        "node",
        {"package.json": '{"engines": {"node": ">= 20 < 25"}}'},
        [(">= 20 < 25", "package.json", 1)],
    ),
    ".nvmrc": ("node", {".nvmrc": "v24\n"}, [("v24", ".nvmrc", 1)]),
    ".nvmrc lts/*": ("node", {".nvmrc": "lts/*"}, [("lts/*", ".nvmrc", 1)]),
    ".nvmrc lts/jod": ("node", {".nvmrc": "lts/jod"}, [("lts/jod", ".nvmrc", 1)]),
    ".nvmrc node": ("node", {".nvmrc": "node"}, [("node", ".nvmrc", 1)]),
    ".node-version": ("node", {".node-version": "22.23.3"}, [("22.23.3", ".node-version", 1)]),
    "volta": ("node", {"package.json": '{"volta": {"node": "22.1.0"}}'}, [("22.1.0", "package.json", 1)]),
    "asdf's nodejs": ("node", {".tool-versions": "nodejs 22.1.0\n"}, [("22.1.0", ".tool-versions", 1)]),
    ".nvmrc within engines": (
        "node",
        {"package.json": '{"engines": {"node": ">=20"}}', ".nvmrc": "22"},
        [("22", ".nvmrc", 1), (">=20", "package.json", 1)],
    ),
    "engines within .nvmrc": (
        "node",
        {"package.json": '{"engines": {"node": "22.23.3"}}', ".nvmrc": "22"},
        [("22.23.3", "package.json", 1), ("22", ".nvmrc", 1)],
    ),
    "bun": (
        "bun",
        {".bun-version": "1.3.1", "package.json": '{"packageManager": "bun@1.3.1", "engines": {"bun": ">=1"}}'},
        [("1.3.1", ".bun-version", 1), ("1.3.1", "package.json", 1), (">=1", "package.json", 1)],
    ),
    "npm from corepack": (
        "npm",
        {"package.json": '{"packageManager": "npm@10.9.0+sha512.ab"}'},
        [("10.9.0", "package.json", 1)],
    ),
    "corepack for another": ("npm", {"package.json": '{"packageManager": "pnpm@9.1.0"}'}, []),
}


@pytest.mark.parametrize("name", ASKED)
def test_requests(name: str) -> None:
    runtime, files, expected = ASKED[name]
    assert requested(files, runtime) == expected


SUPPORTED = "Ask for one of 3.15, 3.14, 3.13, 3.12, 3.11."
NODES = "Ask for one of 26, 24, 22."
OR_WARN = " Or let stager.yml say 'end_of_life: warn'."
REFUSE: Files = {"stager.yml": "end_of_life: refuse\n"}
WRONG: dict[str, tuple[str, Files, type[StagerError], str, str, str]] = {
    "empty": (
        "python",
        {".python-version": "\n# nothing\n"},
        BadManifest,
        "the file names no version",
        "Write one line such as 3.13, or delete the file.",
        ".python-version",
    ),
    "empty runtime.txt": (
        "python",
        {"runtime.txt": ""},
        BadManifest,
        "the file names no version",
        "Write one line such as python-3.13, or delete the file.",
        "runtime.txt",
    ),
    "several": (
        "python",
        {".python-version": "3.12\n3.11\n"},
        BadManifest,
        "2 versions where one is expected: 3.12, 3.11",
        "Keep the one that the app runs on.",
        ".python-version:2",
    ),
    "not UTF-8": (
        "python",
        {".python-version": b"# ok\n3.1\xe9\n"},
        BadManifest,
        "the file is not UTF-8",
        "Save it as UTF-8 text: one line such as 3.13.",
        ".python-version:2",
    ),
    "UTF-16": (
        "python",
        {".python-version": "3.12\n".encode("utf-16")},
        BadManifest,
        "the file is UTF-16",
        "Save it as UTF-8 text: one line such as 3.13.",
        ".python-version:1",
    ),
    "ended": (
        "python",
        REFUSE | {".python-version": "3.9\n"},
        VersionError,
        "Python 3.9: Python 3.9 has had no security fixes since 2025-10",
        SUPPORTED + OR_WARN,
        ".python-version:1",
    ),
    "ended lately": (
        "python",
        REFUSE | {"runtime.txt": "python-3.10.14\n"},
        VersionError,
        "Python 3.10.14: Python 3.10 has had no security fixes since 2026-10",
        SUPPORTED + OR_WARN,
        "runtime.txt:1",
    ),
    "Python 2": (
        "python",
        REFUSE | {"runtime.txt": "python-2.7.18\n"},
        VersionError,
        "Python 2.7.18: Python 2.7 has had no security fixes since 2020-01",
        SUPPORTED + OR_WARN,
        "runtime.txt:1",
    ),
    "a range of ended ones": (
        "python",
        REFUSE | {"pyproject.toml": '[project]\nrequires-python = ">=3.8,<3.11"\n'},
        VersionError,
        "Python >=3.8,<3.11: Python 3.10 has had no security fixes since 2026-10",
        SUPPORTED + OR_WARN,
        "pyproject.toml:2",
    ),
    "unknown": (
        "python",
        {".python-version": "3.99\n"},
        VersionError,
        "Python 3.99: there is no such version that is still supported",
        SUPPORTED,
        ".python-version:1",
    ),
    "another implementation": (
        "python",
        {".python-version": "pypy3.10\n"},
        VersionError,
        "python pypy3.10: only CPython is carried",
        "Write a version such as 3.11 or 3.11.2, or a range such as >=3.11,<3.14.",
        ".python-version:1",
    ),
    "contradiction": (
        "python",
        {".python-version": "3.12\n", "runtime.txt": "\npython-3.11.9\n"},
        Ambiguous,
        "these ask for Python versions that exclude each other: .python-version:1 (3.12), runtime.txt:2 (3.11.9)",
        "Change them to agree, or delete all but one.",
        "",
    ),
    "contradiction with the manifest": (
        "python",
        {".python-version": "3.12\n", "pyproject.toml": '[project]\nrequires-python = ">=3.13"\n'},
        Ambiguous,
        "these ask for Python versions that exclude each other: .python-version:1 (3.12), pyproject.toml:2 (>=3.13)",
        "Change them to agree, or delete all but one.",
        "",
    ),
    "no semver": (
        "node",
        {"package.json": '{"engines": {"node": "latest-ish"}}'},
        VersionError,
        "node latest-ish: not a version or range",
        "Write a version such as 22 or 22.14.0, a range such as >=22 <25, or lts/*.",
        "package.json:1",
    ),
    "an ended Node.js": (
        "node",
        REFUSE | {"package.json": '{\n"engines": {"node": "18.x"}}'},
        VersionError,
        "Node.js 18.x: Node.js 18 has had no security fixes since 2025-04",
        NODES + OR_WARN,
        "package.json:2",
    ),
    "an odd Node.js": (
        "node",
        REFUSE | {".nvmrc": "v23.5.0"},
        VersionError,
        "Node.js v23.5.0: Node.js 23 has had no security fixes since 2025-06",
        NODES + OR_WARN,
        ".nvmrc:1",
    ),
    "an ended line by name": (
        "node",
        REFUSE | {".nvmrc": "lts/iron"},
        VersionError,
        "Node.js lts/iron: Node.js 20 has had no security fixes since 2026-04",
        NODES + OR_WARN,
        ".nvmrc:1",
    ),
    "a contradiction of Node.js": (
        "node",
        {"package.json": '{"engines": {"node": "24.x"}}', ".nvmrc": "22"},
        Ambiguous,
        "these ask for Node.js versions that exclude each other: package.json:1 (24.x), .nvmrc:1 (22)",
        "Change them to agree, or delete all but one.",
        "",
    ),
    "mise.toml that is no TOML": (
        "node",
        {"mise.toml": "[tools\n"},
        BadManifest,
        "not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 7)",
        "Correct mise.toml.",
        "mise.toml:1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(name: str) -> None:
    runtime, files, kind, message, hint, where = WRONG[name]
    with pytest.raises(StagerError) as caught:
        requested(files, runtime)
    error = caught.value
    assert (type(error), error.message, error.hint, error.where) == (kind, message, hint, where)


@pytest.mark.parametrize("name", [name for name, row in WRONG.items() if "stager.yml" in row[1]])
def test_an_ended_line_may_be_asked_for_unless_the_app_refuses_it(name: str) -> None:
    runtime, files, *_ = WRONG[name]
    assert len(requested({**files, "stager.yml": "end_of_life: warn\n"}, runtime)) == 1
    assert len(requested({path: data for path, data in files.items() if path != "stager.yml"}, runtime)) == 1


PASSED_OVER = {
    "a virtualenv": (
        {".python-version": "shop\n", "pyproject.toml": '[project]\nrequires-python = ">=3.12"\n'},
        [(">=3.12", "pyproject.toml", 2)],
        ".python-version:1 names a virtual environment (shop)",
    ),
    "a virtualenv with a number": (
        {".python-version": "# mine\nmy-shop-3.11\n"},
        [],
        ".python-version:2 names a virtual environment (my-shop-3.11)",
    ),
    "pyenv's own word": (
        {".python-version": "system\n", "runtime.txt": "python-3.12.1"},
        [("3.12.1", "runtime.txt", 1)],
        ".python-version:1 names what a machine happens to have (system)",
    ),
    "asdf's system": (
        {".tool-versions": "python system\n"},
        [],
        ".tool-versions:1 names what a machine happens to have (system)",
    ),
    "mise's path": (
        {"mise.toml": '[tools]\npython = "path:~/python"\n'},
        [],
        "mise.toml:2 names what a machine happens to have (path:~/python)",
    ),
}


@pytest.mark.parametrize("name", PASSED_OVER)
def test_what_is_no_version_is_passed_over_and_said(name: str) -> None:
    files, expected, said = PASSED_OVER[name]
    assert requested(dict(files), "python") == expected
    note = f"{said}, which says no version of Python; the app's other files decide"
    assert versions.passed_over(SourceTree.of(files), "python") == (note,)
    assert note in detection.detect(SourceTree.of({**files, "main.py": ""})).notes


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".python-version", "latest"),
        (".tool-versions", "python latest"),
        (".tool-versions", "python latest:3.12"),
        ("mise.toml", '[tools]\npython = "latest"'),
        ("mise.toml", '[tools]\npython = ["latest", "3.11"]'),
        (".python-version", "3.12.4/envs/shop"),
    ],
)
def test_words_of_version_managers(file: str, text: str) -> None:
    assert len(requested({file: text}, "python")) == 1
    assert not versions.passed_over(SourceTree.of({file: text}), "python")


@pytest.mark.parametrize(
    "text", [">=22  <25", ">=22\t<25", "\t>= 22", "~>22", "~> 22.9", " 22.x ", ">=22.x", "22 -  24"]
)
def test_engines_with_any_white_space(text: str) -> None:
    assert versions.satisfies("node", text, "22.9.0")
    assert requested({"package.json": json.dumps({"engines": {"node": text, "npm": "~>10\t"}})}, "node")


@pytest.mark.parametrize("name", ["python", "node", "bun", "npm"])
@pytest.mark.parametrize(
    "text", ["x" * 5000, "9" * 5000, "1." * 3000, "\x00", ">=" * 400, "^", "||", "😀", "3.12\u202e"]
)
def test_hostile_requests_are_typed_errors_or_nothing(name: str, text: str) -> None:
    """Whatever stands in a version file, nothing but a StagerError comes out."""
    files: Files = {
        ".python-version": text,
        "pyproject.toml": "[project]\nrequires-python = " + json.dumps(text.replace("\x00", "")) + "\n",
        "package.json": json.dumps(
            {"engines": {"node": text, "npm": text, "bun": text}, "packageManager": f"{name}@{text}"}
        ),
    }
    with suppress(StagerError):
        found = requested(files, name)
        assert all(len(wanted) <= 400 for wanted, _, _ in found)


def test_exact_versions_are_compared() -> None:
    assert versions.satisfies("python", "3.12", "3.12.4")
    assert not versions.satisfies("python", "3.12", "3.13.0")
    assert versions.satisfies("python", "^3.12", "3.14.1")
    assert versions.satisfies("node", ">= 22 <25", "24.1.0")
    assert not versions.satisfies("node", "lts/jod", "24.1.0")
    assert versions.satisfies("bun", "1.x", "1.3.1")


def test_the_newest_that_requests_allow() -> None:
    def newest(files: Files, runtime: str = "node") -> str:
        return versions.newest(runtime, versions.requested(SourceTree.of(files), runtime))

    assert newest({".nvmrc": "22.10.0"}) == "22.10.0"
    assert newest({".nvmrc": "22"}) == "22.99.99"
    assert newest({}) == "26.99.99"
    assert newest({"package.json": '{"engines": {"node": ">=22 <22.12"}}'}) == "22.11.99"
    assert newest({}, "bun") == ""


@pytest.mark.parametrize(
    ("files", "lock", "expected"),
    [
        ({}, "package-lock.json", ("npm", ("node", "npm"))),
        ({}, "npm-shrinkwrap.json", ("npm", ("node", "npm"))),
        ({}, "pnpm-lock.yaml", ("pnpm", ("node", "npm"))),
        ({}, "yarn.lock", ("yarn", ("node", "npm"))),
        ({}, "bun.lock", ("bun", ("bun",))),
        ({}, "", ("npm", ("node", "npm"))),
        ({"package.json": '{"packageManager": "bun@1.3.1"}'}, "", ("bun", ("bun",))),
        ({"package.json": '{"packageManager": "cargo@1"}'}, "", ("npm", ("node", "npm"))),
    ],
)
def test_managers_and_runtimes(files: Files, lock: str, expected: tuple[str, tuple[str, ...]]) -> None:
    tree, nodejs = SourceTree.of(files), load("nodejs")
    assert (versions.manager(tree, nodejs, lock), versions.runtimes(tree, nodejs, lock)) == expected


@pytest.mark.parametrize(
    ("manifest", "commands", "expected"),
    [
        ('{"scripts": {"start": "bun app.js"}}', "", ("bun",)),
        ('{"scripts": {"start": "npm run serve", "serve": "PORT=80 bunx serve"}}', "", ("bun", "node", "npm")),
        ("{}", "web: yarn start\nclock: pnpm --filter=clock start\n", ("node", "pnpm", "yarn")),
        ('{"scripts": {"start": "yarn serve"}}', "web: node app.js", ("node",)),
        ('{"scripts": {"prestart": "node a.js", "start": "./app"}}', "", ("node",)),
        ('{"scripts": {"start": "bun app.js"}, "dependencies": {"bun": "1.3.1"}}', "", ()),
        ('{"scripts": {"start": "python3 bin/bun.js && ./node --import=bun x"}}', "", ()),
        ('{"scripts": {"build": "yarn tsc"}}', "", ()),
        ("{}", "", ()),
    ],
)
def test_what_start_commands_call_is_there_besides(manifest: str, commands: str, expected: tuple[str, ...]) -> None:
    files = {"package.json": manifest, **({"Procfile": commands} if commands else {})}
    assert versions.called(SourceTree.of(files), load("nodejs")) == expected


def test_other_buildpacks_have_no_manager() -> None:
    assert versions.runtimes(SourceTree.of({}), load("python"), "uv.lock") == ("python",)
    assert versions.runtimes(SourceTree.of({}), load("static"), "") == ("nginx",)
    assert versions.manager(SourceTree.of({}), load("static"), "") == ""
