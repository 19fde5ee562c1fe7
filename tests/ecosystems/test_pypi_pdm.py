"""Reading `pdm.lock`: packages with groups, and the plain graph of older strategies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stager.ecosystems.pypi import Target, read_lock
from stager.errors import BadLock, NeedsBuild
from stager.model import Locked, Stack
from stager.tree import SourceTree

TARGET = Target(Stack("debian-12", "amd64", (2, 36), "debian"), (3, 11), "3.11.2")
A = "sha256:" + "a" * 64
PROJECT = '[project]\nname = "demo"\nversion = "1.0"\ndependencies = ["u[standard]>=0.1"]\n'


def head(strategy: str = "inherit_metadata", groups: str = '"default", "dev", "web"', version: str = "4.5.0") -> str:
    return (
        f'[metadata]\ngroups = [{groups}]\nstrategy = ["{strategy}"]\nlock_version = "{version}"\n'
        'content_hash = "sha256:x"\n'
    )


def package(name: str, version: str = "1.0", more: str = "", static: bool = False) -> str:
    file = f"{name}-{version}-py3-none-any.whl"
    entry = (
        f'{{url = "https://files.example/{file}", hash = "{A}"}}' if static else f'{{file = "{file}", hash = "{A}"}}'
    )
    return f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n{more}files = [{entry}]\n'


def read(lock: str, groups: Sequence[str] = (), extras: Sequence[str] = (), **files: str) -> Locked:
    tree = SourceTree.of({"pdm.lock": lock, "pyproject.toml": PROJECT, "demo.py": "", **files})
    return read_lock(tree, "pdm.lock", TARGET, groups=groups, extras=extras)


def purls(found: Locked) -> list[str]:
    return [artifact.purl.removeprefix("pkg:pypi/") for artifact in found.artifacts]


def test_groups_and_markers() -> None:
    lock = head() + package("a", more='groups = ["default"]\n') + package("d", more='groups = ["dev"]\n')
    lock += package("w", more='groups = ["default"]\nmarker = "sys_platform == \'win32\'"\n')
    lock += package("e", more='groups = ["web"]\n')
    assert purls(read(lock)) == ["a@1.0"]
    assert purls(read(lock, groups=["dev"])) == ["a@1.0", "d@1.0"]
    assert purls(read(lock, extras=["web"])) == ["a@1.0", "e@1.0"]


def test_a_package_listed_again_for_its_extras_is_one() -> None:
    lock = head() + package("u", more='groups = ["default"]\n')
    lock += package("u", more='extras = ["standard"]\ngroups = ["default"]\ndependencies = ["u==1.0", "h"]\n')
    assert purls(read(lock)) == ["u@1.0"]


def test_static_urls_are_only_a_hint() -> None:
    found = read(head("static_urls") + package("a", more='groups = ["default"]\n', static=True))
    assert [(item.filename, item.url) for item in found.artifacts] == [("a-1.0-py3-none-any.whl", "")]
    assert found.hints == ((A, "https://files.example/a-1.0-py3-none-any.whl"),)


def test_without_groups_the_graph_is_walked() -> None:
    lock = head("cross_platform", version="4.4") + package(
        "u", "0.2", 'dependencies = ["h>=1", "win; os_name == \'nt\'"]\n'
    )
    lock += package("u", "0.2", 'extras = ["standard"]\ndependencies = ["u==0.2", "fast"]\n')
    lock += package("h") + package("fast", more='dependencies = ["u"]\n') + package("unused") + package("win")
    assert purls(read(lock)) == ["fast@1.0", "h@1.0", "u@0.2"]


def test_files_of_4_2_and_before_are_under_metadata() -> None:
    entry = f'"a 1.0" = [{{url = "https://files.example/a-1.0-py3-none-any.whl", hash = "{A}"}}]\n'
    lock = '[metadata]\nlock_version = "4.2"\n[[package]]\nname = "u"\nversion = "1.0"\nextras = ["standard"]\n'
    lock += f"[metadata.files]\n{entry.replace('a', 'u', 1).replace('a-1', 'u-1')}"
    assert purls(read(lock)) == ["u@1.0"]


def test_folders_urls_and_repositories() -> None:
    lock = (
        head()
        + '[[package]]\nname = "own"\nversion = "1"\npath = "./libs/own"\neditable = true\ngroups = ["default"]\n'
    )
    lock += package(
        "direct", more='groups = ["default"]\nurl = "https://u:p@files.example/direct-1.0-py3-none-any.whl"\n'
    )
    found = read(lock, **{"libs/own/own.py": ""})
    assert found.names == {"direct", "own"}
    assert [item.url for item in found.artifacts] == ["https://files.example/direct-1.0-py3-none-any.whl"]
    git = '[[package]]\nname = "g"\nversion = "1"\ngroups = ["default"]\n'
    git += f'git = "ssh://git@git.example/g"\nsubdirectory = "py"\nrevision = "{"a" * 40}"\n'
    (source,) = read(head() + git).artifacts
    assert source.url == f"git+https://git.example/g@{'a' * 40}#subdirectory=py"
    with pytest.raises(NeedsBuild) as caught:
        read(head() + git.replace("git = ", "hg = "))
    assert caught.value.data["needs"] == {"g==1": "a version control repository"}


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        (head(version="5.0"), "is of lock_version 5.0; this stager reads 4"),
        ("", "document: has no 'metadata'"),
        (head("cross_platform"), "no package for the dependency u >=0.1"),
        (head() + '[[package]]\nversion = "1"\ngroups = ["default"]\n', "package[0]: has no 'name'"),
    ],
)
def test_a_bad_lock_is_refused(lock: str, message: str) -> None:
    with pytest.raises(BadLock) as caught:
        read(lock)
    assert (caught.value.message, caught.value.where) == (message, "pdm.lock")


def test_a_group_the_lock_was_made_without_is_refused() -> None:
    with pytest.raises(BadLock, match="has no group 'docs'") as caught:
        read(head(), groups=["docs"])
    assert caught.value.hint == (
        "It has: default, dev, web. Correct python.groups in stager.yml, or run 'pdm lock -G docs'."
    )
