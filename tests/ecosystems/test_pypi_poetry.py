"""Reading `poetry.lock`: packages with groups and markers (2.1), and the plain graph of older locks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stager.ecosystems.pypi import IndexFile, Target, read_lock, requires_python
from stager.ecosystems.pypi.constraints import accepts, alternatives
from stager.ecosystems.pypi.lookup import Keep
from stager.errors import BadLock, BadManifest, Unpinned
from stager.model import Locked, Stack
from stager.net.errors import NotCached
from stager.tree import SourceTree

TARGET = Target(Stack("debian-12", "amd64", (2, 36), "debian"), (3, 11), "3.11.2")
A = "sha256:" + "a" * 64
PROJECT = '[tool.poetry]\nname = "demo"\nversion = "1.0"\n'


def meta(version: str, more: str = "") -> str:
    return f'\n[metadata]\nlock-version = "{version}"\npython-versions = "^3.11"\ncontent-hash = "x"\n{more}'


def package(name: str, version: str = "1.0", more: str = "", files: bool = True, wheel: str = "py3-none-any") -> str:
    entry = f'{{file = "{name}-{version}-{wheel}.whl", hash = "{A}"}}'
    listed = f"files = [{entry}]\n" if files else ""
    return (
        f'\n[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\npython-versions = ">=3.8"\n'
        f"{listed}{more}"
    )


def read(lock: str, manifest: str = PROJECT, groups: Sequence[str] = (), extras: Sequence[str] = ()) -> Locked:
    tree = SourceTree.of({"poetry.lock": lock, "pyproject.toml": manifest, "demo/__init__.py": ""})
    return read_lock(tree, "poetry.lock", TARGET, groups=groups, extras=extras)


def purls(found: Locked) -> list[str]:
    return [artifact.purl.removeprefix("pkg:pypi/") for artifact in found.artifacts]


def test_2_1_groups_markers_and_extras() -> None:
    lock = package("a", more='groups = ["main"]\n') + package("d", more='groups = ["dev"]\n')
    lock += package("w", more='groups = ["main"]\nmarkers = "sys_platform == \'win32\'"\n')
    lock += package("e", more="groups = [\"main\"]\nmarkers = \"extra == 'web' and python_version >= '3.11'\"\n")
    both = "markers = {main = \"sys_platform == 'win32'\", dev = \"python_version > '3'\"}\n"
    lock += package("b", more='groups = ["main", "dev"]\n' + both) + '[extras]\nweb = ["e"]\n' + meta("2.1")
    assert purls(read(lock)) == ["a@1.0"]
    assert purls(read(lock, extras=["web"])) == ["a@1.0", "e@1.0"]
    assert purls(read(lock, groups=["dev"])) == ["a@1.0", "b@1.0", "d@1.0"]


def test_the_project_itself_is_installed_with_its_commands_unless_package_mode_is_off() -> None:
    scripts = '[tool.poetry.scripts]\ngo = "demo:go"\nfile = {reference = "x.sh", type = "file"}\n'
    found = dict(read(meta("2.1"), PROJECT + scripts).files)
    assert sorted(found) == [
        ".stager/pypi/bin/go",
        ".stager/pypi/site-packages/demo-1.0.dist-info/METADATA",
        ".stager/pypi/site-packages/stager-app.pth",
    ]
    off = dict(read(meta("2.1"), PROJECT + "package-mode = false\n").files)
    assert sorted(off) == [".stager/pypi/site-packages/stager-app.pth"]


OLD = (
    package("flask", "2.0", more='[package.dependencies]\nclick = ">=8"\n'
            'win = {version = "*", markers = "os_name == \'nt\'"}\n'
            'async = {version = "*", optional = true, markers = "extra == \'async\'"}\n'
            '[package.extras]\nasync = ["async (>=1)"]\n')
    + package("click", "7.0") + package("click", "8.1") + package("win") + package("async") + package("pytest")
    + package("redis") + package("unused")
)  # fmt: skip
OLD_PROJECT = PROJECT + (
    '[tool.poetry.dependencies]\npython = "^3.11"\nFlask = "^2.0"\nredis = {version = "*", optional = true}\n'
    '[tool.poetry.extras]\ncache = ["redis"]\n[tool.poetry.group.test.dependencies]\npytest = "*"\n'
)


@pytest.mark.parametrize("version", ["2.0", "1.1"])
def test_older_locks_are_walked_from_the_manifest(version: str) -> None:
    lock = OLD + '[extras]\ncache = ["redis"]\n' + meta(version)
    assert purls(read(lock, OLD_PROJECT)) == ["click@8.1", "flask@2.0"]
    assert purls(read(lock, OLD_PROJECT, extras=["cache"])) == ["click@8.1", "flask@2.0", "redis@1.0"]
    assert purls(read(lock, OLD_PROJECT, groups=["test"])) == ["click@8.1", "flask@2.0", "pytest@1.0"]
    with_async = OLD_PROJECT.replace('Flask = "^2.0"', 'Flask = {version = "^2.0", extras = ["async"]}')
    assert purls(read(lock, with_async)) == ["async@1.0", "click@8.1", "flask@2.0"]


def test_versions_for_different_pythons_are_told_apart() -> None:
    lock = package("n", "1.0").replace(">=3.8", ">=3.8,<3.12") + package("n", "2.0").replace(">=3.8", ">=3.12")
    project = (
        PROJECT
        + '[tool.poetry.dependencies]\nn = [{version = "1.*", python = "<3.12"}, {version = "^2", python = ">=3.12"}]\n'
    )
    assert purls(read(lock + meta("2.0"), project)) == ["n@1.0"]
    open_ended = PROJECT + '[tool.poetry.dependencies]\nn = "*"\n'
    assert purls(read(lock + meta("2.0"), open_ended)) == ["n@1.0"]


def test_the_oldest_locks_list_files_under_metadata() -> None:
    files = f'[metadata.files]\nn = [{{file = "n-1.0-py3-none-any.whl", hash = "{A}"}},'
    files += f' {{file = "n-0.9-py3-none-any.whl", hash = "{A}"}}, {{file = "n-1.0.tar.gz", hash = "{A}"}}]\n'
    project = PROJECT + '[tool.poetry.dependencies]\nn = "*"\n'
    found = read(package("n", files=False) + meta("1.1", files), project)
    assert [artifact.filename for artifact in found.artifacts] == ["n-1.0-py3-none-any.whl"]


class Index:
    """A simple page for one project."""

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        url = f"https://files.example/{name}-1.0-py3-none-any.whl"
        return [IndexFile(f"{name}-1.0-py3-none-any.whl", f"{url}#{index}", {"sha256": "a" * 64}, 5)]


def test_files_of_a_private_index_are_looked_up_for_their_url() -> None:
    source = (
        '[package.source]\ntype = "legacy"\nurl = "https://user:pw@private.example/simple"\nreference = "private"\n'
    )
    lock = package("n", more='groups = ["main"]\n' + source) + meta("2.1")
    tree = SourceTree.of({"poetry.lock": lock, "pyproject.toml": PROJECT})
    with pytest.raises(NotCached) as caught:
        read_lock(tree, "poetry.lock", TARGET)
    assert caught.value.message == "not in the store, and --offline is set: index page of n"
    found = read_lock(tree, "poetry.lock", TARGET, lookup=Index())
    assert [(item.url, item.size) for item in found.artifacts] == [("https://files.example/n-1.0-py3-none-any.whl", 5)]
    trusted = frozenset({"https://private.example/simple"})
    assert [item.url for item in read_lock(tree, "poetry.lock", TARGET, default_indexes=trusted).artifacts] == [""]


def test_other_sources() -> None:
    main = 'groups = ["main"]\n'
    url = '[package.source]\ntype = "url"\nurl = "https://files.example/u-1.0-py3-none-any.whl"\n'
    folder = '[package.source]\ntype = "directory"\nurl = "libs/own"\n'
    lock = package("u", more=main + url) + package("own", more=main + folder, files=False) + meta("2.1")
    tree = SourceTree.of({"poetry.lock": lock, "pyproject.toml": PROJECT, "libs/own/own.py": ""})
    found = read_lock(tree, "poetry.lock", TARGET)
    assert [artifact.url for artifact in found.artifacts] == ["https://files.example/u-1.0-py3-none-any.whl"]
    assert found.names == {"u", "own"}
    git = f'[package.source]\ntype = "git"\nurl = "git@git.example:own/g.git"\nresolved_reference = "{"a" * 40}"\n'
    found = read(package("g", more=main + git, files=False) + meta("2.1"))
    assert found.artifacts[0].url == f"git+https://git.example/own/g.git@{'a' * 40}"
    assert dict(found.builds[0].env)["SETUPTOOLS_SCM_PRETEND_VERSION"] == "1.0"


def test_a_package_without_files_is_unpinned() -> None:
    with pytest.raises(Unpinned) as caught:
        read(package("n", more='groups = ["main"]\nfiles = []\n', files=False) + meta("2.1"))
    assert caught.value.message == "not pinned by version and digest: n==1.0"


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        (meta("3.0"), "is of lock-version 3.0; this stager reads 1 and 2"),
        (package("n"), "document: has no 'metadata'"),
        (package("n", more="groups = 1\n") + meta("2.1"), "package[0].groups: expected an array, found int"),
        (meta("2.0"), "no package for the dependency n *"),
        (
            package("n", more='groups = ["main"]\n[package.source]\ntype = "warp"\nurl = "x"\n') + meta("2.1"),
            "n has an unknown kind of source: 'warp'",
        ),
    ],
)
def test_a_bad_lock_is_refused(lock: str, message: str) -> None:
    with pytest.raises(BadLock) as caught:
        read(lock, PROJECT + '[tool.poetry.dependencies]\nn = "*"\n')
    assert caught.value.message == message


def test_unknown_groups_and_extras_are_refused() -> None:
    new, old = package("a", more='groups = ["main", "dev"]\n') + meta("2.1"), package("a") + meta("2.0")
    with pytest.raises(BadLock, match="has no group 'x'") as caught:
        read(new, groups=["x"])
    assert caught.value.hint == "It has: dev, main. Correct python.groups in stager.yml, or run 'poetry lock'."
    with pytest.raises(BadManifest, match="has no group 'x'"):
        read(old, groups=["x"])
    with pytest.raises(BadLock, match="has no extra 'x'"):
        read(new, extras=["x"])


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        ("^1.2.3", ["1.2.3", "1.9"], ["1.2.2", "2.0"]),
        ("^0.2", ["0.2", "0.2.9"], ["0.3", "1.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0", ["0.9"], ["1.0"]),
        ("~1.2.3", ["1.2.9"], ["1.3"]),
        ("~1", ["1.9"], ["2.0"]),
        ("~=1.4", ["1.9"], ["2.0"]),
        ("1.2", ["1.2", "1.2.0"], ["1.2.1"]),
        ("1.*", ["1.9"], ["2.0"]),
        ("*", ["0", "99"], []),
        (">=1, <2 || ==3.0", ["1.5", "3.0"], ["2.5"]),
        (">= 1.0 < 2.0 | !=2.5,>2", ["1.5", "2.6"], ["2.5"]),
        ("^1.0a1", ["1.0b1", "1.0"], ["2.0"]),
    ],
)
def test_poetry_constraints(constraint: str, inside: list[str], outside: list[str]) -> None:
    assert [version for version in inside if not accepts(constraint, version)] == []
    assert [version for version in outside if accepts(constraint, version)] == []


@pytest.mark.parametrize("text", ["nonsense", ">=", "^", "^x", "1 $ 2"])
def test_what_is_no_constraint(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        alternatives(text)


def test_requires_python_is_translated() -> None:
    tree = SourceTree.of({"poetry.lock": meta("2.1")})
    found = requires_python(tree, "poetry.lock")
    assert found is not None
    assert (found[0], str(found[1])) == ("<4,>=3.11", "poetry.lock was made for Python <4,>=3.11 (poetry.lock:2)")
