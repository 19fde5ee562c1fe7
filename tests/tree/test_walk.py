"""Reading a folder: files that change meanwhile, and an index that never changes the result."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from trees import KEY, Files, aged, environment, lay_out, looks, read, refusal, result, sha256

from stager import tree
from stager.errors import ChangedWhileRead
from stager.tree import Executable, File, Link, SourceTree

PACKAGE = Path(tree.__file__).parent.parent

# --- files that change -----------------------------------------------------------------------------------------

CHANGED = "the file changed while it was being staged"
STOP = "Stop what is writing to it and stage again, or add it to .stagerignore."


def at(moments: Sequence[int], act: Callable[[], object]) -> Callable[[], bool]:
    """A `stop` that never says so, and acts at these moments: it is asked at every folder, hashed file and 1 MiB of one."""
    asked = count(1)

    def stop() -> bool:
        if next(asked) in moments:
            act()
        return False

    return stop


LARGE = b"x" * (3 << 19)
"""A file of two pieces: to hash it takes a moment at its start, and one at each of its two next reads while it holds still."""


def written_to(path: Path, tries: int) -> SourceTree:
    """The tree, while its one file gets another byte in each of so many readings of it."""
    return SourceTree.read(str(path.parent), stop=at(range(3, 3 + tries), lambda: append(path)))


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"+")


def test_a_file_that_comes_to_rest_is_read_again(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": LARGE})
    assert written_to(tmp_path / "a", 2).files == {"a": File(False, len(LARGE) + 2, sha256(LARGE + b"++"))}


def test_a_file_that_does_not_come_to_rest_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": LARGE})
    assert refusal(lambda: written_to(tmp_path / "a", 3), ChangedWhileRead) == ("a", CHANGED, STOP)


def test_a_file_that_is_being_written_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, {"log": bytes(40_000_000)})
    done = threading.Event()

    def write() -> None:
        with (tmp_path / "log").open("ab", buffering=0) as file:
            while not done.is_set():
                file.write(b"x")
                time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert refusal(lambda: read(tmp_path), ChangedWhileRead) == ("log", CHANGED, STOP)
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize("other", ["link", "folder", "nothing"])
def test_a_folder_that_is_swapped_during_the_walk_is_not_followed(other: str, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "app", {"sub/deep/a": "x", "z": "x"})
    lay_out(tmp_path / "outside", {"deep/a": "stolen"})

    def swap() -> None:
        (root / "sub").rename(tmp_path / "gone")
        if other == "link":
            (root / "sub").symlink_to("../outside")
        elif other == "folder":
            lay_out(root, {"sub/deep/a": "other"})

    after_sub = at([4], swap)  # the folder itself, z, sub, sub/deep
    refused = refusal(lambda: SourceTree.read(str(root), stop=after_sub), ChangedWhileRead)
    assert refused == ("sub/deep", CHANGED, STOP)


# --- the index -------------------------------------------------------------------------------------------------


def through_json(index: dict[str, Any], sort_keys: bool = False) -> Any:
    return json.loads(json.dumps(index, sort_keys=sort_keys))


BUSY: Files = {
    ".gitignore": "*.log\nbuild/\n",
    "sub/.gitignore": "!keep.log\n",
    "sub/keep.log": "x",
    "sub/x.log": "x",
    "sub/deep/a.py": "x",
    "a.py": "x",
    "run": Executable("x"),
    "build/x": "x",
    "key.pem": KEY,
    "ca.pem": "x",
    ".env": "x",
    ".npmrc": "a=b\n",
    "node_modules/x": "x",
    "link": Link("a.py"),
    "dangling": Link("none"),
    "into": Link("build/x"),
    **environment("env"),
}


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "busy", BUSY)


@pytest.mark.parametrize("sort_keys", [False, True])
def test_an_unchanged_folder_gives_the_same_result_and_the_same_index(busy: Path, sort_keys: bool) -> None:
    first = aged(busy)
    index = through_json(first.index, sort_keys)
    again = aged(busy, index)
    assert again.index is index
    assert result(again) == result(first) == result(aged(busy))


def test_nothing_is_read_or_decided_twice(busy: Path) -> None:
    """A folder is listed once and its files are not opened; to decide, it is listed again and its ignore files are read."""
    index = aged(busy).index
    with looks() as seen:
        assert aged(busy, index).index is index
    listed = [of for event, of in seen if event == "os.scandir"]
    opened = [os.path.join(os.fsencode(busy), os.fsencode(of)) for event, of in seen if event == "open"]
    assert len(listed) == len(index["folders"])
    assert opened
    assert [name for name in opened if not os.path.isdir(name)] == []


def edit(path: str, content: str) -> Callable[[Path], object]:
    return lambda root: lay_out(root, {path: content})


def restamp(path: str, content: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        status = (root / path).stat()
        (root / path).write_text(content)
        os.utime(root / path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return act


def replace(path: str, content: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        status = (root / path).stat()
        (root / "new").write_text(content)
        os.utime(root / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
        (root / "new").rename(root / path)

    return act


def swap(one: str, two: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        (root / one).rename(root / "between")
        (root / two).rename(root / one)
        (root / "between").rename(root / two)

    return act


def relink(path: str, target: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        (root / path).unlink()
        (root / path).symlink_to(target)

    return act


def remove(*paths: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        for path in paths:
            (root / path).unlink()

    return act


def folder_for_file(path: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        (root / path).unlink()
        lay_out(root, {f"{path}/inside": "x"})

    return act


CHANGES: dict[str, Callable[[Path], object]] = {
    "same size": edit("a.py", "y"),
    "longer": edit("sub/deep/a.py", "yy"),
    "same size, time put back": restamp("a.py", "y"),
    "renamed over": replace("a.py", "y"),
    "mode": lambda root: (root / "a.py").chmod(0o755),
    "mode of a folder": lambda root: (root / "sub").chmod(0o700),
    "touched": lambda root: os.utime(root / "a.py"),
    "added": edit("sub/deep/b.py", "x"),
    "added ignored": edit("sub/deep/b.log", "x"),
    "added folder": edit("new/b.py", "x"),
    "removed": remove("a.py"),
    "removed ignored": remove("sub/x.log"),
    "two files swapped": swap("a.py", "run"),
    "file and folder swapped": swap("a.py", "sub"),
    "folder for a file": folder_for_file("a.py"),
    "folder for an ignored file": folder_for_file("sub/x.log"),
    "link for a file": relink("a.py", "run"),
    "link target": relink("link", "run"),
    "link into nothing": relink("link", "b.py"),
    "link into ignored": relink("dangling", "x.log"),
    "link out of ignored": relink("into", "sub/deep"),
    "place of a link appears": edit("none", "x"),
    "root rules": edit(".gitignore", "*.py\n!build/\n"),
    "rules speak of a dangling link's place": edit(".gitignore", "*.log\nbuild/\nnone\n"),
    "root rules, same size": restamp(".gitignore", "*.py\nbuild/\n\n"),
    "root rules touched": lambda root: os.utime(root / ".gitignore"),
    "root rules gone": remove(".gitignore"),
    "nested rules": edit("sub/.gitignore", "deep\n"),
    "nested rules gone": remove("sub/.gitignore"),
    "new nested rules": edit("sub/deep/.gitignore", "*.py\n"),
    "own rules appear": edit(".stagerignore", "!.env\n!key.pem\nrun\n"),
    "own rules of another platform appear": edit(".cfignore", "a.py\n"),
    "a key becomes a certificate": edit("key.pem", "-----BEGIN CERTIFICATE-----"),
    "a certificate becomes a key": edit("ca.pem", KEY),
    "a credential comes in, time put back": restamp(".npmrc", "_auth=x\n"),
    "a folder becomes an environment": edit("sub/pyvenv.cfg", "x"),
    "an environment becomes a folder": remove("env/pyvenv.cfg", "env/bin/python"),
    "an environment is ignored": edit("env/.gitignore", "*\n"),
    "the packages go": lambda root: (root / "node_modules").rename(root / "modules"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_index_never_changes_the_result(change: str, busy: Path) -> None:
    index = through_json(aged(busy).index)
    CHANGES[change](busy)
    warm, cold = aged(busy, index), aged(busy)
    assert result(warm) == result(cold)
    assert warm.index == cold.index
    again = through_json(warm.index)
    assert aged(busy, again).index is again


@pytest.mark.parametrize("name", [".stagerignore", ".cfignore", ".slugignore"])
def test_unchanged_rules_still_decide_on_new_files(name: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {name: "*.psd\n!logo.psd\n", "sub/a": "x", ".gitignore": "sub/b\n"})
    index = aged(tmp_path).index
    lay_out(tmp_path, {"sub/b": "x", "sub/c.psd": "x", "sub/logo.psd": "x", "sub/d": "x"})
    warm = aged(tmp_path, index)
    assert result(warm) == result(aged(tmp_path))
    assert sorted(warm.files) == ["sub/a", "sub/d", *(["sub/logo.psd"] if name != ".slugignore" else [])]


def test_ignore_rules_that_change_between_two_looks_are_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, {".gitignore": "a\n", "sub/x": "x"})
    index = aged(tmp_path).index
    lay_out(tmp_path, {"sub/y": "x"})
    before_sub = at([2], lambda: lay_out(tmp_path, {".gitignore": "b\n"}))
    found = refusal(lambda: aged(tmp_path, index, before_sub), ChangedWhileRead)
    assert found == (".gitignore", CHANGED, STOP)


def test_a_young_file_is_hashed_again(tmp_path: Path) -> None:
    """Two edits of equal length within one tick of the file system's clock can leave equal stamps."""
    lay_out(tmp_path, {"a": "x"})
    first = SourceTree.read(str(tmp_path))
    status = (tmp_path / "a").stat()
    assert str(status.st_mtime_ns) not in json.dumps(first.index)
    assert str(status.st_mtime_ns) in json.dumps(aged(tmp_path).index)
    forged = through_json(first.index)
    (tmp_path / "a").write_text("y")
    assert SourceTree.read(str(tmp_path), index=forged).files["a"].digest == sha256(b"y")
    (tmp_path / "b").write_text("so that the folder is decided anew")
    assert SourceTree.read(str(tmp_path), index=forged).files["a"].digest == sha256(b"y")


def test_a_file_from_the_future_is_hashed_again(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": "x"})
    future = time.time_ns() + 3600 * 10**9
    os.utime(tmp_path / "a", ns=(future, future))
    assert str(future) not in json.dumps(aged(tmp_path).index)


def test_an_index_is_only_of_its_own_root(busy: Path, tmp_path: Path) -> None:
    index = aged(busy).index
    subprocess.run(["cp", "-a", str(busy), str(tmp_path / "copy")], check=True)
    copied = aged(tmp_path / "copy", index)
    assert result(copied) == result(aged(busy))
    assert copied.index["root"] != index["root"]
    busy.rename(tmp_path / "moved")
    assert aged(tmp_path / "moved", index).index is index


def forge(path: tuple[str, ...], value: object) -> Callable[[dict[str, Any]], object]:
    def act(index: dict[str, Any]) -> None:
        at: Any = index
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return act


OTHER = "f+1 1 1 1 " + sha256(b"forged")
DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "other root": forge(("root",), "1 2"),
    "checksum": forge(("checksum",), "0" * 64),
    "checksum gone": lambda index: index.pop("checksum"),
    "a digest": forge(("folders", "", "a.py"), OTHER),
    "a decision": forge(("folders", "", "a.py"), "f-"),
    "a record that is no text": forge(("folders", "", "a.py"), 5),
    "a name gone": lambda index: index["folders"][""].pop("a.py"),
    "a folder gone": lambda index: index["folders"].pop("sub"),
    "a folder that is no table": forge(("folders", "sub"), ["a"]),
    "folders that are no table": forge(("folders",), 7),
    "places that are no table": forge(("places",), None),
    "a verdict": forge(("places", "none"), "out"),
    "a lone surrogate": forge(("folders", "", "\ud800"), "f-"),
    "empty": lambda index: index.clear(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_ignored(damage: str, busy: Path) -> None:
    whole = aged(busy)
    index = copy.deepcopy(whole.index)
    DAMAGES[damage](index)
    found = aged(busy, index)
    assert result(found) == result(whole)
    assert found.index == whole.index


@pytest.mark.parametrize("index", [[], "x", 3, [1, 2], {"a": 1}])
def test_what_is_no_index_is_ignored(index: Any, tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": "x"})
    assert list(SourceTree.read(str(tmp_path), index=index).files) == ["a"]


# --- the process around it -------------------------------------------------------------------------------------

HEAVY = {
    "re", "dataclasses", "typing", "pathlib", "tomllib", "concurrent.futures", "logging", "tempfile", "subprocess",
    "shutil", "stager.tree.ignore", "stager.tree.gitignore", "stager.tree.decide",
}  # fmt: skip


def python(code: str, *arguments: str, **env: str) -> str:
    command = [
        sys.executable,
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n" + code,
        *arguments,
    ]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]} | env, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


def test_a_warm_reading_imports_nothing_heavy(busy: Path, tmp_path: Path) -> None:
    """`json`, which whoever keeps the index needs anyway, is there before; the package's own `__init__` is not asked."""
    (tmp_path / "index.json").write_text(json.dumps(aged(busy).index))
    code = f"""
import json, types
package = sys.modules["stager"] = types.ModuleType("stager")
package.__path__ = [{str(PACKAGE)!r}]
before = set(sys.modules)
from stager.tree import SourceTree
index = json.load(open(sys.argv[2]))
found = SourceTree.read(sys.argv[1], index=index)
assert found.index is index and found.files
found.digest, found.glob("**/*.py"), found.notes, found.folders()
print(*sorted(set(sys.modules) - before))
"""
    loaded = set(python(code, str(busy), str(tmp_path / "index.json")).split())
    assert "stager.tree.walk" in loaded
    assert loaded & HEAVY == set()


def test_neither_locale_nor_hash_seed_nor_place_matters(tmp_path: Path) -> None:
    files: Files = {
        "ü/é😀.py": "x",
        "ü/link": Link("é😀.py"),
        "b": "y",
        ".gitignore": "ü/*.log\n",
        "ü/ß.log": "x",
        "key.pem": KEY,
    }
    lay_out(tmp_path / "one", files)
    lay_out(tmp_path / "two" / "ünder", dict(reversed(files.items())))
    code = "from stager.tree import SourceTree; print(SourceTree.read(sys.argv[1]).digest)"
    plain = str(read(tmp_path / "one").digest)
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    assert python(code, str(tmp_path / "one"), PYTHONHASHSEED="1", **ascii_only) == plain
    assert python(code, str(tmp_path / "two" / "ünder"), PYTHONHASHSEED="2", **ascii_only) == plain
    assert python(code, str(tmp_path / "two" / "ünder"), LC_ALL="C.UTF-8", PYTHONHASHSEED="3") == plain
