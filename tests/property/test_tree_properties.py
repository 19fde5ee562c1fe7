"""Properties of the source tree: the index never shows in the result, patterns mean what git means, names round-trip."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from trees import Content, aged, git, lay_out, read, result

from stager.tree import Executable, Link, SourceTree
from stager.tree.errors import UnsafePath
from stager.tree.gitignore import Patterns

LOOSE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

# --- random edits ----------------------------------------------------------------------------------------------

FOLDERS = ["", "a/", "b/", "a/c/", "env/", "node_modules/"]
NAMES = ["x.py", "y.log", "key.pem", ".gitignore", ".npmrc", "pyvenv.cfg", "é", ".stagerignore", "run"]
PATHS = st.sampled_from([folder + name for folder in FOLDERS for name in NAMES] + ["a", "b", "a/c"])
RULES = ["*.log\n", "!y.log", "!.npmrc", "a/c/\n!/a", "x.py\n", "*\n!.gitignore\n", "env", "!*\n!key.pem\n"]
CREDENTIALS = ["_auth=1", "-----BEGIN PRIVATE KEY", "-----BEGIN CERTIFICATE-"]
CONTENTS = st.sampled_from(["", "1", "2", *RULES, *CREDENTIALS])
TARGETS = st.sampled_from(["x.py", "a", "a/x.py", "b/c", "../x.py", "a/c/y.log", "none", ".", "env/x.py"])
EDITS = st.one_of(
    st.tuples(st.just("write"), PATHS, CONTENTS),
    st.tuples(st.just("write and put the time back"), PATHS, CONTENTS),
    st.tuples(st.just("rename over"), PATHS, CONTENTS),
    st.tuples(st.just("swap"), PATHS, PATHS),
    st.tuples(st.just("move"), PATHS, PATHS),
    st.tuples(st.just("link"), PATHS, TARGETS),
    st.tuples(st.just("chmod"), PATHS, st.sampled_from(["755", "644", "700"])),
    st.tuples(st.just("remove"), PATHS, st.just("")),
    st.tuples(st.just("touch"), PATHS, st.just("")),
)


def apply(root: Path, edit: tuple[str, str, str]) -> None:
    """Do one edit; one that the folder does not allow is left undone."""
    act, name, other = edit
    path = root / name
    with suppress(OSError):
        times = path.lstat() if os.path.lexists(path) else None
        if act in ("write", "write and put the time back", "rename over", "link"):
            path.parent.mkdir(parents=True, exist_ok=True)
            new = root / "new" if act == "rename over" else path
            new.symlink_to(other) if act == "link" else new.write_text(other)
            if times and act in ("write and put the time back", "rename over"):
                os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
            new.rename(path)
        elif act == "swap":
            path.rename(root / "between")
            (root / other).rename(path)
            (root / "between").rename(root / other)
        elif act == "move":
            path.rename(root / other)
        elif act == "chmod":
            path.chmod(int(other, 8), follow_symlinks=True)
        elif act == "remove":
            path.unlink()
        else:
            os.utime(path)
    for left in ("new", "between"):
        with suppress(OSError):
            (root / left).unlink()


def outcome(root: Path, index: object = None) -> tuple[object, object]:
    """What a reading gives, and its index; or its error."""
    try:
        found = aged(root, index)  # type: ignore[arg-type]
    except UnsafePath as error:
        return (type(error), error.where, error.message), index
    return result(found), json.loads(json.dumps(found.index))


@LOOSE
@given(st.lists(st.lists(EDITS, max_size=4), max_size=6))
def test_the_index_never_changes_the_result(rounds: list[list[tuple[str, str, str]]]) -> None:
    with TemporaryDirectory() as folder:
        root = lay_out(
            Path(folder), {"x.py": "1", "a/x.py": "1", "a/c/y.log": "1", "b/run": "1", ".gitignore": "*.log\n"}
        )
        index: object = None
        for edits in rounds:
            for edit in edits:
                apply(root, edit)
            warm, index = outcome(root, index)
            assert warm == outcome(root)[0]


@LOOSE
@given(st.lists(CONTENTS, min_size=2, max_size=6))
def test_edits_within_one_tick_of_the_clock_are_seen(contents: list[str]) -> None:
    """With the true clock, a file that was just written is never believed to be unchanged."""
    with TemporaryDirectory() as folder:
        index = None
        for content in contents:
            Path(folder, "x").write_text(content)
            found = SourceTree.read(folder, index=index)
            assert found.read_bytes("x") == content.encode()
            index = found.index


# --- patterns --------------------------------------------------------------------------------------------------

PARTS = ["a", "b", "ab", "foo", "foo.c", "x y", "é", "-", "]", "a\\b", "!a", "#a", "*", "A", "x "]
TREE = sorted(
    {"/".join(parts) for count in (1, 2, 3) for parts in itertools.product(PARTS[: 16 // count], repeat=count)}
)
LITERALS = ["a", "b", "foo", "c", ".", "x", "é", "-", " ", "#", "!", "\t", "\r", "/", "/", "\\", "\\ ", "\\*"]
STARS = ["*", "**", "***", "?", "**/", "/**"]
BRACKETS = ["[ab]", "[!a]", "[^a]", "[a-z]", "[]]", "[]-a]", "[[:alpha:]]", "[[:no:]]", "[[:a]", "[a-", "[", "]", "[é]"]
ATOMS = st.sampled_from([*LITERALS, *STARS, *BRACKETS, "[a\\]]", "[/]"])
LINES = st.lists(ATOMS, min_size=1, max_size=6).map("".join)


@contextmanager
def repository() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        git(Path(folder), "init", "-q")
        yield Path(folder)


def by_git(root: Path, rules: bytes) -> dict[str, bool | None]:
    """What git's own matcher says of every path of TREE: ignored, taken in again, or no pattern."""
    (root / ".gitignore").write_bytes(rules)
    asked = "".join(f"{path}\0" for path in TREE).encode()
    told = git(root, "check-ignore", "-v", "-n", "-z", "--no-index", "--stdin", text=asked, check=False).split(b"\0")
    rows = zip(told[2::4], told[3::4], strict=False)
    return {path.decode(): not pattern.startswith(b"!") if pattern else None for pattern, path in rows}


@LOOSE
@given(st.lists(LINES, min_size=1, max_size=3))
def test_patterns_mean_what_git_means(lines: list[str]) -> None:
    rules = "\n".join(lines).encode()
    patterns = Patterns(rules, ".gitignore")
    out: set[str] = set()
    with repository() as root:
        expected = by_git(root, rules)
    assert expected.keys() == set(TREE)
    for path in TREE:  # nothing of it exists, so git takes every path for a file, and what is above for folders
        parent = path.rpartition("/")[0]
        above = ["/".join(parent.split("/")[:n]) for n in range(1, parent.count("/") + 2)] if parent else []
        first = next((p for p in above if patterns.verdict(p.encode(), True)), None)
        out.add(first or "")
        verdict = True if first else patterns.verdict(path.encode(), False)
        assert (path, verdict) == (path, expected[path])


@LOOSE
@given(st.binary(max_size=80), st.binary(max_size=40).filter(lambda path: b"/" not in path))
def test_any_bytes_are_a_pattern(rules: bytes, name: bytes) -> None:
    assert Patterns(rules, ".gitignore").verdict(name, False) in (True, False, None)


@LOOSE
@given(st.text("*?a/[]!-\\", min_size=1, max_size=60))
def test_no_pattern_explodes(pattern: str) -> None:
    started = time.perf_counter()
    patterns = Patterns(pattern.encode(), ".gitignore")
    patterns.verdict(b"a" * 250, False)
    patterns.verdict(b"a/" * 100 + b"a", True)
    assert time.perf_counter() - started < 1


# --- trees in memory and on disk -------------------------------------------------------------------------------

SAFE = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..") and len(part.encode()) < 200
)
FILES = st.dictionaries(
    st.lists(SAFE, min_size=1, max_size=3).map(lambda parts: "src/" + "/".join(f"p{part}" for part in parts)),
    st.one_of(st.binary(max_size=20), st.binary(max_size=20).map(Executable), st.just(Link("x"))),
    max_size=8,
)


@LOOSE
@given(FILES)
def test_a_folder_and_its_tree_in_memory_are_equal(files: dict[str, Content]) -> None:
    assume(not any(f"{path}/" == other[: len(path) + 1] for path in files for other in files))
    memory = SourceTree.of(files)
    with TemporaryDirectory() as folder:
        disk = read(lay_out(Path(folder), files))
        kept = {path for path, _ in disk.left_out}
        clutter = {path for path in files if path not in disk.files and path not in disk.links and path not in kept}
        rest = {path: content for path, content in files.items() if path in disk.files or path in disk.links}
        assert all(path.rpartition("/")[2].endswith(("~", ".pyc", ".pyo", "$py.class")) for path in clutter)
        assert disk == SourceTree.of(rest)
        assert disk.digest == SourceTree.of(rest).digest
        assert all(disk.read_bytes(path) == memory.read_bytes(path) for path in disk.files)
        assert list(disk.files) == sorted(disk.files, key=str.encode)
        assert disk.glob("**") == sorted(disk.files, key=str.encode)


@pytest.mark.parametrize("path", ["a/b", "b/a", "ab", "a/ab/b", "x/a/y/b/z"])
@given(pattern=st.lists(st.sampled_from(["a", "b", "*", "**", "a*", "*b"]), min_size=1, max_size=5).map("/".join))
@LOOSE
def test_globs_agree_with_the_plain_definition(path: str, pattern: str) -> None:
    assert (SourceTree.of({path: "x"}).glob(pattern) == [path]) is matches(pattern.split("/"), path.split("/"))


def matches(patterns: list[str], parts: list[str]) -> bool:
    """The definition, spelled out: slow and plain."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        least = 1 if len(patterns) == 1 else 0  # a final ** is at least the file's own name
        return any(matches(patterns[1:], parts[n:]) for n in range(least, len(parts) + 1))
    return bool(parts) and fits(patterns[0], parts[0]) and matches(patterns[1:], parts[1:])


def fits(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(fits(pattern[1:], name[n:]) for n in range(len(name) + 1))
    return bool(name) and name[0] == pattern[0] and fits(pattern[1:], name[1:])
