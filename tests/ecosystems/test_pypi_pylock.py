"""Reading `pylock.toml` (PEP 751)."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

import pytest
from packaging.pylock import Pylock
from packaging.tags import parse_tag

from stager.ecosystems.pypi import Target, normalise_index, read_lock
from stager.ecosystems.pypi.target import marker_environment, tag_ranks
from stager.errors import BadLock, NeedsBuild
from stager.model import Locked, Stack
from stager.tree import SourceTree

INDEX = "https://index.example/simple"
TARGET = Target(Stack("debian-12", "amd64", (2, 36), "debian"), (3, 11), "3.11.2")
HEAD = 'lock-version = "1.0"\ncreated-by = "test"\n'
A = "a" * 64


def wheel(name: str, version: str, tag: str = "py3-none-any", hashes: str = f'sha256 = "{A}"') -> str:
    file = f"{name}-{version}-{tag}.whl"
    return f'{{ name = "{file}", url = "https://files.example/{file}", size = 7, hashes = {{ {hashes} }} }}'


def package(name: str, version: str = "1.0", *wheels: str, more: str = "", index: str = INDEX) -> str:
    text = f'\n[[packages]]\nname = "{name}"\nversion = "{version}"\n' + (f'index = "{index}"\n' if index else "")
    return text + f"wheels = [{', '.join(wheels or (wheel(name, version),))}]\n" + more


def read(lock: str, groups: Sequence[str] = (), extras: Sequence[str] = (), **files: str) -> Locked:
    tree = SourceTree.of({"pylock.toml": lock, **files})
    indexes = frozenset({normalise_index(INDEX)})
    return read_lock(tree, "pylock.toml", TARGET, groups=groups, extras=extras, default_indexes=indexes)


def rows(found: Locked) -> list[tuple[str, str, int | None, str]]:
    return [(item.filename, item.digest, item.size, item.url) for item in found.artifacts]


def test_the_best_wheel_of_each_package_whose_marker_holds() -> None:
    lock = HEAD + package("n", "1.0", wheel("n", "1.0"), wheel("n", "1.0", "cp311-cp311-manylinux_2_28_x86_64"))
    lock += package("w", more="marker = \"sys_platform == 'win32'\"\n")
    assert rows(read(lock)) == [("n-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", f"sha256:{A}", 7, "")]


def test_the_choice_is_that_of_packaging() -> None:
    tags = ["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp38-abi3-manylinux_2_28_x86_64",
            "cp311-cp311-manylinux_2_39_x86_64", "cp312-cp312-manylinux_2_17_x86_64"]  # fmt: skip
    lock = HEAD + package("n", "1.0", *(wheel("n", "1.0", tag) for tag in tags))
    lock += package("m", "1.0", *(wheel("m", "1.0", tag) for tag in tags[2:]))
    parsed = Pylock.from_dict(tomllib.loads(lock))
    ordered = [tag for text in tag_ranks(TARGET) for tag in parse_tag(text)]
    theirs = parsed.select(environment=marker_environment(TARGET), tags=ordered)  # type: ignore[arg-type]
    assert {item.filename for item in read(lock).artifacts} == {file.filename for _, file in theirs}  # type: ignore[union-attr]


def test_extras_and_groups() -> None:
    lock = HEAD + 'extras = ["web"]\ndependency-groups = ["dev"]\ndefault-groups = ["main"]\n'
    lock += package("a", more="marker = \"'main' in dependency_groups\"\n")
    lock += package("b", more="marker = \"'web' in extras\"\n")
    lock += package("c", more="marker = \"'dev' in dependency_groups\"\n")
    assert read(lock).names == {"a"}
    assert read(lock, extras=["Web"]).names == {"a", "b"}
    assert read(lock, groups=["dev"]).names == {"a", "c"}


def test_directories_are_folders_of_the_app() -> None:
    lock = HEAD + '[[packages]]\nname = "demo"\ndirectory = { path = ".", editable = true }\n'
    lock += '[[packages]]\nname = "lib"\ndirectory = { path = "libs", subdirectory = "one" }\n'
    found = read(lock, **{"libs/one/lib.py": "", "src/demo/__init__.py": ""})
    assert found.names == {"lib"}
    assert dict(found.files)[".stager/pypi/site-packages/stager-app.pth"] == (
        "../../..\n../../../src\n../../../libs/one\n"
    )


def test_archives_keep_their_url_and_other_indexes_too() -> None:
    lock = HEAD + '[[packages]]\nname = "d"\narchive = { url = "https://u:p@files.example/d-2.0-py3-none-any.whl#x", '
    lock += f'hashes = {{ md5 = "00", sha512 = "{A}{A}", sha256 = "{A}" }} }}\n'
    lock += package("o", index="https://other.example/simple") + package("p", index="")
    assert rows(read(lock)) == [
        ("d-2.0-py3-none-any.whl", f"sha256:{A}", None, "https://files.example/d-2.0-py3-none-any.whl"),
        ("o-1.0-py3-none-any.whl", f"sha256:{A}", 7, "https://files.example/o-1.0-py3-none-any.whl"),
        ("p-1.0-py3-none-any.whl", f"sha256:{A}", 7, ""),
    ]


def test_the_index_is_compared_without_regard_to_spelling() -> None:
    lock = HEAD + package("p", index="https://USER:pw@Index.Example:443/simple/")
    assert rows(read(lock)) == [("p-1.0-py3-none-any.whl", f"sha256:{A}", 7, "")]


def test_a_commit_of_a_git_repository() -> None:
    lock = HEAD + '[[packages]]\nname = "v"\nversion = "1"\nvcs = { type = "git", url = "https://git.example/v", '
    (source,) = read(f'{lock}subdirectory = "py", commit-id = "{"a" * 40}" }}\n').artifacts
    assert source.url == f"git+https://git.example/v@{'a' * 40}#subdirectory=py"


def test_what_must_be_built_is_collected() -> None:
    lock = HEAD + '[[packages]]\nname = "v"\nversion = "1"\nvcs = { type = "hg", url = "https://hg.example/v", '
    lock += 'commit-id = "abc" }\n'
    lock += '[[packages]]\nname = "s"\nversion = "1"\nsdist = { url = "https://files.example/s-1.tar.gz", '
    lock += f'hashes = {{ sha256 = "{A}" }} }}\n' + package("w", "1.0", wheel("w", "1.0", "cp39-cp39-win_amd64"))
    with pytest.raises(NeedsBuild) as caught:
        read(lock)
    assert caught.value.data["needs"] == {
        "v==1": "a hg repository",
        "w==1.0": "no wheel for cp311 manylinux_2_36 x86_64, only for Windows",
    }


@pytest.mark.parametrize(
    ("lock", "message", "where"),
    [
        ('lock-version = "1.1"\n', "is of lock-version 1.1; this stager reads 1.0", "pylock.toml"),
        ('created-by = "x"\n', "document: has no 'lock-version'", "pylock.toml"),
        (HEAD, "Missing required value in 'packages'", "pylock.toml"),
        (HEAD + package("N"), "Name 'N' is not normalized in 'packages[0].name'", "pylock.toml"),
        (
            HEAD + package("n", "1.0", wheel("n", "1.0", hashes='md5 = "00"')),
            "n-1.0-py3-none-any.whl has only a md5 hash, which proves nothing",
            "pylock.toml:4",
        ),
        (HEAD + package("n") + package("n", "2.0"), "n==1.0 and n==2.0 would both be installed", "pylock.toml:10"),
        (HEAD + package("n") + package("n"), "n==1.0 and n==1.0 would both be installed", "pylock.toml:10"),
        (
            HEAD + package("n", more='requires-python = ">=3.12"\n'),
            "n==1.0 needs Python >=3.12, not 3.11.2",
            "pylock.toml:4",
        ),
        (
            HEAD + "environments = [\"sys_platform == 'darwin'\"]\n" + package("n"),
            "was not made for cp311 manylinux_2_36 x86_64: its environments are sys_platform == \"darwin\"",
            "pylock.toml",
        ),
        (
            HEAD + '[[packages]]\nname = "n"\n'
            f'wheels = [{{ path = "n-1-py3-none-any.whl", hashes = {{ sha256 = "{A}" }} }}]\n',
            "the file n-1-py3-none-any.whl is not in the app",
            "pylock.toml:3",
        ),
    ],
)  # fmt: skip
def test_a_bad_lock_is_refused_with_its_place(lock: str, message: str, where: str) -> None:
    with pytest.raises(BadLock) as caught:
        read(lock)
    assert (caught.value.message, caught.value.where) == (message, where)


def test_what_the_lock_was_not_made_with_is_refused() -> None:
    with pytest.raises(BadLock) as caught:
        read(HEAD + 'extras = ["web"]\n' + package("a"), extras=["x"])
    assert caught.value.message == "has no extra 'x'"
    assert caught.value.hint == "It has: web. Correct python.extras in stager.yml, or make the lock with it."
