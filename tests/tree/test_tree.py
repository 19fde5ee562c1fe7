"""The source tree: what is in it, what is left out and said, what is refused, its content and its identity."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from trees import KEY, Files, aged, environment, git, lay_out, read, refusal, sha256, tree_of

from stager.errors import BadManifest, ChangedWhileRead, Unreadable
from stager.tree import Executable, File, Link, SourceTree, walk
from stager.tree.errors import AppTooLarge, UnsafePath

CHANGED = "the file changed while it was being staged"
STOP = "Stop what is writing to it and stage again, or add it to .stagerignore."

# --- files, modes, folders, order ------------------------------------------------------------------------------


def test_files_have_size_digest_and_one_mode_bit(tmp_path: Path) -> None:
    found = tree_of(tmp_path, {"main.py": "print()\n", "bin/run": Executable("#!/bin/sh\n"), "empty": b""})
    assert found.files == {
        "bin/run": File(True, 10, sha256(b"#!/bin/sh\n")),
        "empty": File(False, 0, sha256(b"")),
        "main.py": File(False, 8, sha256(b"print()\n")),
    }
    assert (found.links, found.left_out, found.vendored, found.environments, found.notes) == ({}, (), (), (), ())
    assert found.root == str(tmp_path)


@pytest.mark.parametrize(
    ("mode", "executable"),
    [(0o755, True), (0o500, True), (0o744, True), (0o644, False), (0o655, False), (0o4644, False)],
)
def test_only_the_owners_bit_makes_a_file_executable(mode: int, executable: bool, tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": "x"})
    (tmp_path / "a").chmod(mode)
    assert read(tmp_path).files["a"].executable is executable


def test_order_is_that_of_utf8_bytes(tmp_path: Path) -> None:
    names = ["B", "a", "a-b/x", "a.b", "a0", "é", "ab/x", "ﬀ", "😀", "Z/😀", "Z/ﬀ"]
    found = list(tree_of(tmp_path, dict.fromkeys(names, "x")).files)
    assert found == sorted(names, key=str.encode)
    assert found.index("ﬀ") < found.index("😀")  # not so in UTF-16


def test_a_large_file_is_hashed_whole(tmp_path: Path) -> None:
    data = os.urandom(3 * (1 << 20) + 17)
    assert tree_of(tmp_path, {"a": data}).files["a"] == File(False, len(data), sha256(data))


def test_hard_links_and_sparse_files_are_plain_files(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a": "x"})
    os.link(tmp_path / "a", tmp_path / "b")
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(100_000)
    found = read(tmp_path)
    assert found.files["a"] == found.files["b"] == File(False, 1, sha256(b"x"))
    assert found.files["holes"] == File(False, 100_000, sha256(bytes(100_000)))


def test_empty_folders_vanish(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a/b/c": "x", "d/e.log": "x", "f/link": Link("../a"), ".gitignore": "*.log\n"})
    (tmp_path / "empty" / "too").mkdir(parents=True)
    assert read(tmp_path).folders() == ["a", "a/b", "f"]


# --- ignore files ----------------------------------------------------------------------------------------------


def test_the_first_own_ignore_file_counts_and_none_is_source(tmp_path: Path) -> None:
    lay_out(tmp_path, {".stagerignore": "a\n", ".cfignore": "b\n", ".slugignore": "c\n"} | dict.fromkeys("abcd", "x"))
    assert list(read(tmp_path).files) == ["b", "c", "d"]
    (tmp_path / ".stagerignore").unlink()
    assert list(read(tmp_path).files) == ["a", "c", "d"]
    (tmp_path / ".cfignore").unlink()
    assert list(read(tmp_path).files) == ["a", "b", "d"]


def test_the_own_file_overrules_gitignore_in_every_folder(tmp_path: Path) -> None:
    rules = {
        ".gitignore": "dist/\n*.js\n",
        "dist/.gitignore": "*.map\n",
        ".stagerignore": "!dist/\n!dist/*.js\n/docs\n",
    }
    files = dict.fromkeys(["dist/app.js", "dist/app.map", "dist/app.css", "src/app.js", "docs/a", "src/docs/a"], "x")
    assert list(tree_of(tmp_path, rules | files).files) == [
        "dist/.gitignore",
        "dist/app.css",
        "dist/app.js",
        "src/docs/a",
    ]


def test_slugignore_knows_no_negation(tmp_path: Path) -> None:
    files = {".slugignore": "*.psd\n!logo.psd\n", "logo.psd": "x", "main.py": "x"}
    assert list(tree_of(tmp_path, files).files) == ["main.py"]


def test_ignore_files_of_the_machine_do_not_count(tmp_path: Path) -> None:
    lay_out(tmp_path, {".gitignore": "b\n", "app/.git/info/exclude": "a\n", "app/a": "x", "app/b": "x"})
    assert list(read(tmp_path / "app").files) == ["a", "b"]


def test_own_ignore_files_count_at_the_root_only(tmp_path: Path) -> None:
    found = tree_of(tmp_path, {"sub/.stagerignore": "*\n", "sub/.cfignore": "*\n", "sub/a": "x"})
    assert list(found.files) == ["sub/.cfignore", "sub/.stagerignore", "sub/a"]


def test_nothing_overrules_what_is_never_source(tmp_path: Path) -> None:
    rules = {".stagerignore": "!.git\n!__pycache__\n!*.pyc\n!node_modules\n!stager.lock\n!.stager\n"}
    never = [".git/HEAD", "__pycache__/a.pyc", "b.pyc", "node_modules/x/index.js", "stager.lock", ".stager/launch.json"]
    assert list(tree_of(tmp_path, rules | dict.fromkeys([*never, "a"], "x")).files) == ["a"]


def test_an_ignore_file_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    found = tree_of(tmp_path, {"rules": "a\n", "sub/.gitignore": Link("../rules"), "sub/a": "x", "a": "x"})
    assert list(found.files) == ["a", "rules", "sub/a"]
    assert found.links == {"sub/.gitignore": "../rules"}


@pytest.mark.parametrize("name", [".stagerignore", ".cfignore", ".slugignore"])
def test_an_own_ignore_file_that_is_a_link_is_refused(name: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {"rules": "secret\n", name: Link("rules"), "secret": "x"})
    assert refusal(lambda: read(tmp_path), UnsafePath) == (
        name,
        "ignore rules are read from a regular file",
        f"Make {name} a regular file.",
    )


def test_an_ignore_file_without_measure_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, {"sub/.gitignore": b"#" * 262145})
    assert refusal(lambda: read(tmp_path), BadManifest) == (
        "sub/.gitignore",
        "an ignore file of more than 262144 bytes",
        "Ignore whole folders, or use wildcards.",
    )


# --- environments and installed packages -----------------------------------------------------------------------


def test_environments_are_left_out_wherever_they_are_and_named(tmp_path: Path) -> None:
    found = tree_of(tmp_path, {"a.py": "x"} | environment("env") | environment("tools/my env") | environment(".venv"))
    assert list(found.files) == ["a.py"]
    assert found.environments == (".venv", "env", "tools/my env")


def test_an_ignored_environment_is_not_worth_a_word(tmp_path: Path) -> None:
    files = environment("env") | environment("env2") | {".gitignore": "env/\n", "env2/.gitignore": "*\n", "a": "x"}
    found = tree_of(tmp_path, files)
    assert list(found.files) == ["a"]
    assert found.environments == ()


def test_a_folder_named_like_an_environment_is_source(tmp_path: Path) -> None:
    assert list(tree_of(tmp_path, {"venv/a.py": "x", ".venv/b.py": "x"}).files) == [".venv/b.py", "venv/a.py"]


def test_a_root_that_is_an_environment_stays(tmp_path: Path) -> None:
    found = tree_of(tmp_path, {"pyvenv.cfg": "x", "main.py": "x"})
    assert list(found.files) == ["main.py", "pyvenv.cfg"]
    assert found.environments == ()


def test_installed_packages_are_left_out_and_named_unless_ignored(tmp_path: Path) -> None:
    files = dict.fromkeys(["node_modules/a/i.js", "packages/b/node_modules/c/i.js", "x/node_modules/i.js", "i.js"], "x")
    found = tree_of(tmp_path, files | {"x/.gitignore": "node_modules/\n"})
    assert list(found.files) == ["i.js", "x/.gitignore"]
    assert found.vendored == ("node_modules", "packages/b/node_modules")


# --- secrets ---------------------------------------------------------------------------------------------------

BY_NAME = "likely a secret, by its name"


def test_likely_secrets_are_left_out_and_said(tmp_path: Path) -> None:
    found = tree_of(
        tmp_path,
        {
            ".env": "A=1",
            ".env.example": "A=",
            ".npmrc": "//index.example/:_authToken=t\n",
            "conf/.npmrc": "save-exact=true\n",
            "conf/tls.key": "x",
            "ca.pem": "-----BEGIN CERTIFICATE-----\n",
            "key.pem": KEY,
            "late.pem": "x" * 60_000 + KEY,
            "deploy/id_rsa": "x",
        },
    )
    assert list(found.files) == [".env.example", "ca.pem", "conf/.npmrc"]
    assert found.left_out == (
        (".env", BY_NAME),
        (".npmrc", "likely a secret: it holds a credential"),
        ("conf/tls.key", BY_NAME),
        ("deploy/id_rsa", BY_NAME),
        ("key.pem", "likely a secret: it holds a private key"),
        ("late.pem", "likely a secret: it holds a private key"),
    )
    assert found.notes == ()


def test_a_secret_that_is_ignored_is_not_worth_a_word(tmp_path: Path) -> None:
    found = tree_of(tmp_path, {".gitignore": ".env\n*.pem\n", ".env": "x", "key.pem": KEY, "a": "x"})
    assert (list(found.files), found.left_out) == (["a"], ())


def test_a_secret_that_is_asked_for_is_kept_and_said(tmp_path: Path) -> None:
    found = tree_of(
        tmp_path,
        {".stagerignore": "!test/*.key\n!dev.pem\n!.env\n!certs/**\n", "test/a.key": "x", "dev.pem": KEY}
        | {".env": "x", "certs/b.key": "x"},
    )
    assert list(found.files) == [".env", "dev.pem", "test/a.key"]
    kept = "likely a secret, kept because the ignore file asks for it"
    assert found.notes == ((".env", kept), ("dev.pem", kept), ("test/a.key", kept))
    assert found.left_out == (("certs/b.key", BY_NAME),)


# --- links -----------------------------------------------------------------------------------------------------

LINK_HINT = "Make it a relative link that stays inside the app, or add it to .stagerignore."


def test_links_inside_are_kept_as_they_are_and_not_followed(tmp_path: Path) -> None:
    links = {
        "cfg": Link("conf"),
        "conf/self": Link("."),
        "conf/up": Link("../main.py"),
        "conf/deep/er": Link("../.././conf//a.yml"),
        "dangling": Link("nowhere/at/all"),
        "root": Link("./"),
        "round": Link("about"),
        "about": Link("round"),
        "back": Link("conf/../main.py"),
    }
    found = tree_of(tmp_path, links | {"main.py": "x", "conf/a.yml": "y"})
    assert list(found.files) == ["conf/a.yml", "main.py"]
    assert found.links == {path: str(links[path]) for path in sorted(links)}
    assert found.left_out == ()
    assert len(found) == 11


@pytest.mark.parametrize(
    ("links", "where", "message"),
    [
        ({"a": "/etc/passwd"}, "a", "it is a symbolic link to the absolute path /etc/passwd"),
        ({"a/b": "../../x"}, "a/b", "it is a symbolic link that leads outside the app: ../../x"),
        ({"a": "x/../../x"}, "a", "it is a symbolic link that leads outside the app: x/../../x"),
        ({"a": ".."}, "a", "it is a symbolic link that leads outside the app: .."),
        (
            {"d/root": "..", "out": "d/root/../x"},
            "out",
            "it is a symbolic link that leads outside the app: d/root/../x",
        ),
        ({"a": "x\ny"}, "a", "the target of this symbolic link has a control character: x\\ny"),
        ({"a": b"caf\xe9"}, "a", "the target of this symbolic link is not valid UTF-8: caf\\xe9"),
    ],
)
def test_links_that_lead_outside_are_refused(
    links: dict[str, str | bytes], where: str, message: str, tmp_path: Path
) -> None:
    for path, target in links.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        os.symlink(os.fsencode(target), os.fsencode(tmp_path / path))
    assert refusal(lambda: read(tmp_path), UnsafePath) == (where, message, LINK_HINT)
    lay_out(tmp_path, {".stagerignore": where + "\n"})
    assert where not in read(tmp_path).links


def test_links_into_what_is_left_out_are_left_out_and_said(tmp_path: Path) -> None:
    links = {
        "l/build": Link("../build/x"),
        "l/git": Link("../.git/config"),
        "l/log": Link("../a.log"),
        "l/chain": Link("log"),
        "l/secret": Link("../.env"),
        "l/key": Link("../key.pem"),
        "l/python": Link("../env/bin/python"),
        "l/modules": Link("../node_modules/.bin/tool"),
        "l/runtime": Link("../.stager/python/bin/python3"),
    }
    files = {".gitignore": "build/\n*.log\n", "build/x": "x", "a.log": "x", ".env": "x", "key.pem": KEY}
    found = tree_of(tmp_path, links | files | environment("env") | {"node_modules/.bin/tool": "x", ".git/config": "x"})
    assert list(found.links) == ["l/key", "l/modules", "l/python", "l/runtime"]
    gone = [entry for entry in found.left_out if entry[0].startswith("l/")]
    out = ["build", "chain", "git", "log", "secret"]
    assert gone == [(f"l/{n}", f"a symbolic link to {links[f'l/{n}']}, which is left out") for n in out]


def test_links_are_judged_by_rules_and_not_by_what_happens_to_exist(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        {".gitignore": "build/\nout\n", "a": Link("build"), "b": Link("build/x/y"), "c": Link("out/z"), "d": "x"},
    )
    fresh = read(tmp_path)
    lay_out(tmp_path, {"build/x/y": "x", "out/z": "x"})
    assert read(tmp_path) == fresh
    assert read(tmp_path).left_out == fresh.left_out
    assert (list(fresh.files), fresh.links) == (["d"], {})


def test_a_link_to_what_is_left_out_for_its_content_stays_as_it_does_in_a_clone_without_it(tmp_path: Path) -> None:
    lay_out(tmp_path, {"key": Link("own.pem"), "python": Link("env/bin/python"), "env-link": Link("env"), "d": "x"})
    fresh = read(tmp_path)
    lay_out(tmp_path, {"own.pem": KEY, ".npmrc": "_authToken=x\n"} | environment("env"))
    used = read(tmp_path)
    assert used == fresh
    assert list(used.links) == ["env-link", "key", "python"]
    assert SourceTree.read(str(tmp_path), index=used.index) == fresh


def test_a_link_named_like_a_secret_or_clutter_is_left_out(tmp_path: Path) -> None:
    found = tree_of(tmp_path, {".env": Link("env"), "env": "x", ".#a": Link("me@host.1"), "node_modules": Link("x")})
    assert (list(found.files), found.links) == (["env"], {})
    assert found.left_out == ((".env", BY_NAME),)
    assert found.vendored == ("node_modules",)


# --- what is refused -------------------------------------------------------------------------------------------

NO_FILE = "it is neither a file, a folder nor a symbolic link"
RENAME = "Rename or remove it, or add it to .stagerignore."


def test_pipes_and_sockets_are_refused_unless_ignored(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "pipe")
    assert refusal(lambda: read(tmp_path), UnsafePath) == ("run/pipe", NO_FILE, RENAME)
    lay_out(tmp_path, {".gitignore": "pipe\n"})
    assert list(read(tmp_path).files) == []
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's path is short
        try:
            server.bind("app.sock")
        finally:
            os.chdir(here)
    assert refusal(lambda: read(tmp_path), UnsafePath) == ("app.sock", NO_FILE, RENAME)


@pytest.mark.parametrize(
    ("name", "where", "why"),
    [
        (b"caf\xe9", "sub/caf\\xe9", "its name is not valid UTF-8"),
        (b"two\nlines", "sub/two\\nlines", "its name has a control character"),
        (b"bell\x07", "sub/bell\\x07", "its name has a control character"),
    ],
)
def test_names_that_not_every_platform_holds_are_refused_unless_ignored(
    name: bytes, where: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/sub/" + name)).write_text("x")
    assert refusal(lambda: read(tmp_path), UnsafePath) == (where, why, RENAME)
    lay_out(tmp_path, {"sub/.gitignore": "*\n"})
    first = aged(tmp_path)
    assert first.files == {}
    assert aged(tmp_path, first.index).files == {}


def test_names_of_all_other_signs_are_source(tmp_path: Path) -> None:
    names = [
        "back\\slash",
        "quote\"'",
        "dollar$(x)",
        "-dash",
        "space ",
        "#hash",
        "!bang",
        "tilde~x",
        "ünï",
        "[set]",
        "*",
    ]
    assert sorted(tree_of(tmp_path, dict.fromkeys(names, "x")).files) == sorted(names)


def test_too_long_a_path_is_refused(tmp_path: Path) -> None:
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(20):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
    finally:
        os.chdir(here)
    where, why, hint = refusal(lambda: read(tmp_path), UnsafePath)
    assert where.count("/") in (15, 16)
    assert why in ("its path is longer than 4096 bytes", "its path is too long for this machine")
    assert hint == RENAME
    subprocess.run(["rm", "-rf", str(tmp_path / ("d" * 250))], check=True)


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, {"a/1": "x", "a/2": "x", "b/3": "x", "link": Link("a")})
    monkeypatch.setattr(walk, "MOST_ENTRIES", 6)
    assert len(read(tmp_path)) == 4
    monkeypatch.setattr(walk, "MOST_ENTRIES", 5)
    assert refusal(lambda: read(tmp_path), UnsafePath) == (
        "b",
        "there are more than 5 files and folders",
        "Leave folders out with .stagerignore.",
    )


@contextmanager
def somebody_else() -> Generator[None]:
    """Be a user without special rights: to root, nothing is unreadable."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_folder() -> Generator[Path]:
    """A folder that everybody may enter, which pytest's own are not."""
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize("path", ["sub/file", "sub/folder"])
def test_what_cannot_be_read_is_refused(path: str, open_folder: Path) -> None:
    lay_out(open_folder, {"sub/file": "x", "sub/folder/a": "x"})
    (open_folder / path).chmod(0)
    with somebody_else():
        found = refusal(lambda: read(open_folder), Unreadable)
    (open_folder / path).chmod(0o755)
    assert found == (path, "cannot be read: Permission denied", "Correct its permissions, or add it to .stagerignore.")


@pytest.mark.parametrize(
    ("name", "cause"),
    [("missing", "No such file or directory"), ("file", "Not a directory"), ("a\0b", "its path has a NUL character")],
)
def test_a_root_that_is_no_folder(name: str, cause: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {"file": "x"})
    root = os.path.join(tmp_path, name)
    assert refusal(lambda: SourceTree.read(root), Unreadable) == (
        root,
        f"cannot be read: {cause}",
        "Give the folder that holds the app.",
    )


def test_a_root_may_be_a_link_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, {"app/a": "x", "here": Link("app")})
    monkeypatch.chdir(tmp_path)
    found = SourceTree.read("here")
    monkeypatch.chdir("/")
    assert found.root == str(tmp_path / "here")
    assert found.read_bytes("a") == b"x"


# --- content ---------------------------------------------------------------------------------------------------


@pytest.fixture
def app(tmp_path: Path) -> SourceTree:
    files: Files = {"conf/a.yml": "a: é\n", "main.py": b"\xef\xbb\xbfx\n", "bad.txt": b"one\ntwo\n\xff\n"}
    return tree_of(tmp_path, files | {"cfg": Link("conf"), "link": Link("cfg/a.yml"), "dangling": Link("none")})


def test_content(app: SourceTree) -> None:
    assert app.read_bytes("main.py") == b"\xef\xbb\xbfx\n"
    assert app.read_text("main.py") == "x\n"
    assert app.read_text("conf/a.yml") == app.read_text("cfg/a.yml") == app.read_text("link") == "a: é\n"
    with app.open("link") as file:
        assert (file.read(2), os.fstat(file.fileno()).st_size) == (b"a:", 6)


def test_text_that_is_not_utf8(app: SourceTree) -> None:
    with pytest.raises(BadManifest) as caught:
        app.read_text("bad.txt")
    assert str(caught.value) == "bad.txt:3: this file is not UTF-8 text\n  Save bad.txt as UTF-8."


@pytest.mark.parametrize(
    "path", ["none", "dangling", "conf", "cfg", "", "../x", "conf/../main.py", "./main.py", "/main.py"]
)
def test_what_the_tree_does_not_have(path: str, app: SourceTree) -> None:
    assert path not in app
    assert path not in SourceTree.of({"main.py": "x"})
    assert refusal(lambda: app.read_bytes(path), Unreadable) == (
        path,
        "cannot be read: the app has no such file",
        "Add it, or correct what names it.",
    )


@pytest.mark.parametrize(
    "change", ["same size", "longer", "shorter", "gone", "link", "folder", "pipe", "parent is a link"]
)
def test_content_that_changed_since_is_not_given_out(change: str, app: SourceTree) -> None:
    root = Path(app.root)
    place = root / "conf/a.yml"
    place.unlink()
    if change in ("same size", "longer", "shorter"):
        place.write_bytes({"same size": b"b: \xc3\xa9\n", "longer": b"a: \xc3\xa9\nb\n", "shorter": b"a"}[change])
    elif change == "link":
        (root / "other").write_text("a: é\n")
        place.symlink_to("../other")
    elif change == "folder":
        place.mkdir()
    elif change == "pipe":
        os.mkfifo(place)
    elif change == "parent is a link":
        (root / "conf").rmdir()
        lay_out(root, {"other/a.yml": "a: é\n"})
        (root / "conf").symlink_to("other")
    assert refusal(lambda: app.read_bytes("conf/a.yml"), ChangedWhileRead) == ("conf/a.yml", CHANGED, STOP)


# --- in memory -------------------------------------------------------------------------------------------------


def test_a_tree_in_memory_equals_the_same_folder(tmp_path: Path) -> None:
    files: Files = {
        "b/run": Executable("#!/bin/sh\n"),
        "a.py": "é",
        "c": b"\0",
        "l": Link("b/run"),
        "d": Link("none"),
    }
    memory, disk = SourceTree.of(files), tree_of(tmp_path, files)
    assert memory == disk
    assert memory.digest == disk.digest
    assert hash(memory) == hash(disk)
    assert (memory.root, memory.index) == ("", {})
    assert memory.read_text("a.py") == "é"
    assert memory.read_bytes("l") == b"#!/bin/sh\n"
    with memory.open("c") as file:
        assert file.read() == b"\0"
    assert repr(memory) == "<SourceTree in memory: 3 files, 2 links>"
    assert repr(disk) == f"<SourceTree {tmp_path}: 3 files, 2 links>"


def test_a_tree_in_memory_leaves_nothing_out() -> None:
    files = {".env": "x", "node_modules/a": "x", ".gitignore": "*\n", "a.pyc": "x"}
    found = SourceTree.of(files)
    assert sorted(found.files) == sorted(files)
    assert (found.left_out, found.vendored) == ((), ())


@pytest.mark.parametrize(
    ("files", "where", "message", "hint"),
    [
        ({"": "x"}, "", "it is not a plain relative path", "Name files relative to the app's folder."),
        ({"/a": "x"}, "/a", "it is not a plain relative path", "Name files relative to the app's folder."),
        ({"a/../b": "x"}, "a/../b", "it is not a plain relative path", "Name files relative to the app's folder."),
        ({"./a": "x"}, "./a", "it is not a plain relative path", "Name files relative to the app's folder."),
        ({"a/": "x"}, "a/", "it is not a plain relative path", "Name files relative to the app's folder."),
        ({"a\n/b": "x"}, "a\\n", "its name has a control character", RENAME),
        ({"a/b\udcff": "x"}, "a/b\\xff", "its name is not valid UTF-8", RENAME),
        ({"a" * 256: "x"}, "a" * 256, "its name is longer than 255 bytes", RENAME),
        ({"a": "x", "a/b": "x"}, "a", "it is a file and a folder at once", "Rename one of the two."),
        ({"a": Link("b"), "a/b": "x"}, "a", "it is a file and a folder at once", "Rename one of the two."),
        ({"a": Link("/b")}, "a", "it is a symbolic link to the absolute path /b", LINK_HINT),
        ({"a": Link("")}, "a", "the target of this symbolic link is empty: ", LINK_HINT),
        (
            {"a": Link("b/" * 2049)},
            "a",
            "the target of this symbolic link is longer than 4096 bytes: " + "b/" * 100,
            LINK_HINT,
        ),
    ],
)
def test_a_tree_in_memory_is_as_strict(files: Files, where: str, message: str, hint: str) -> None:
    assert refusal(lambda: SourceTree.of(files), UnsafePath) == (where, message, hint)


# --- names, patterns, identity ---------------------------------------------------------------------------------


def test_what_is_in_the_tree(app: SourceTree) -> None:
    asked = ["main.py", "conf/a.yml", "cfg/a.yml", "link", "cfg", "conf", "dangling", "none"]
    assert [path in app for path in asked] == [True, True, True, True, False, False, False, False]
    assert (app.resolve("link"), app.resolve("cfg"), app.resolve("none")) == ("conf/a.yml", "conf", "none")
    assert len(app) == 6


GLOBBED = SourceTree.of(
    dict.fromkeys(
        ["a.py", "b.txt", "src/a.py", "src/x/a.py", "src/x/y/b.py", ".hidden", "src/.h.py", "x/src/a.py"], "x"
    )
    | {"to-file": Link("a.py"), "to-folder": Link("src"), "dangling": Link("none")}
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.py", ["a.py"]),
        ("none", []),
        ("*.py", ["a.py"]),
        ("*", [".hidden", "a.py", "b.txt", "to-file"]),
        ("**", sorted([*GLOBBED.files, "to-file"])),
        ("**/a.py", ["a.py", "src/a.py", "src/x/a.py", "x/src/a.py"]),
        ("src/*.py", ["src/.h.py", "src/a.py"]),
        ("src/**", ["src/.h.py", "src/a.py", "src/x/a.py", "src/x/y/b.py"]),
        ("src/**/*.py", ["src/.h.py", "src/a.py", "src/x/a.py", "src/x/y/b.py"]),
        ("**/src/*.py", ["src/.h.py", "src/a.py", "x/src/a.py"]),
        ("**/x/**/b.py", ["src/x/y/b.py"]),
        ("*/a.py", ["src/a.py"]),
        ("*/*/a.py", ["src/x/a.py", "x/src/a.py"]),
        ("s*c/a.py", ["src/a.py"]),
        ("**/x/**", ["src/x/a.py", "src/x/y/b.py", "x/src/a.py"]),
        ("a.p*y", ["a.py"]),
        ("a.py*y", []),
        ("a*a.py", []),
        ("to-*", ["to-file"]),
        ("/a.py", []),
        ("src/", []),
        ("", []),
    ],
)
def test_patterns(pattern: str, found: list[str]) -> None:
    assert GLOBBED.glob(pattern) == found


def test_a_hostile_pattern_costs_no_more_than_another() -> None:
    deep = SourceTree.of({"a/" * 200 + "a" * 250: "x"})
    started = time.perf_counter()
    assert deep.glob("**/a/" * 100 + "b/" + "*a" * 100 + "*b") == []
    assert deep.glob("**/a/" * 100 + "b/**") == []
    assert deep.glob("**/" + "*a" * 100) == list(deep.files)
    assert time.perf_counter() - started < 2


def test_the_digest_is_that_of_the_canonical_list() -> None:
    found = SourceTree.of({"b/run": Executable("x"), "a": "y", "l": Link("a")})
    text = f"f{sha256(b'y')}\0a\0x{sha256(b'x')}\0b/run\0la\0l\0"
    assert found.digest == sha256(text.encode())
    assert found.digest == "sha256:1a5ad698f0342d7dfd02440c5d2554dea5b8422ed60049623429f356ab8612b5"
    assert SourceTree.of({}).digest == sha256(b"")


def test_every_part_of_the_tree_is_in_the_digest() -> None:
    trees: list[Files] = [
        {"a": "x"},
        {"a": "y"},
        {"b": "x"},
        {"a": Executable("x")},
        {"a": Link("x")},
        {"a": Link("y")},
        {"a": "x", "b": ""},
        {"a/b": "x"},
        {},
    ]
    assert len({SourceTree.of(files).digest for files in trees}) == len(trees)
    assert len({SourceTree.of(files) for files in trees}) == len(trees)
    assert SourceTree.of({"a": "x"}) != "a"


# --- a clone and a used folder ---------------------------------------------------------------------------------


def test_a_used_folder_and_a_fresh_clone_are_one_tree(tmp_path: Path) -> None:
    used = lay_out(
        tmp_path / "used",
        {
            ".gitignore": "*.log\n/build/\n.env\nvenv/\n.coverage\n",
            "web/.gitignore": "dist/\n!keep.log\n",
            "web/keep.log": "x",
            "web/src/app.js": "x",
            "main.py": "x",
            "bin/run": Executable("#!/bin/sh\n"),
            "pkg/__init__.py": "",
            "latest": Link("build/out"),
            "conf": Link("web/src"),
            "missing": Link("not/yet"),
        },
    )
    git(used, "init", "-q")
    git(used, "add", "-A")
    git(used, "commit", "-q", "-m", "x")
    git(tmp_path, "clone", "-q", "used", "clone")
    lay_out(used, dict.fromkeys(CLUTTER, "x") | environment("venv") | environment("web/.venv2"))
    (used / "web/.venv2/.gitignore").write_text("*\n")
    (used / "empty/folder").mkdir(parents=True)
    os.utime(used / "main.py", (1, 1))
    (used / "main.py").chmod(0o600)
    (used / "bin/run").chmod(0o700)
    clone = tmp_path / "clone"
    assert read(used) == read(clone)
    assert read(used).digest == read(clone).digest
    assert list(read(clone).files) == [
        "bin/run",
        "main.py",
        "pkg/__init__.py",
        "web/.gitignore",
        "web/keep.log",
        "web/src/app.js",
    ]
    assert read(clone).links == {"conf": "web/src", "missing": "not/yet"}


CLUTTER = [
    *(
        ".DS_Store",
        "pkg/__pycache__/__init__.cpython-311.pyc",
        "pkg/old.pyc",
        ".pytest_cache/v/x",
        ".mypy_cache/3.11/a",
    ),
    *(
        ".ruff_cache/x",
        ".tox/py/x",
        ".hypothesis/x",
        "node_modules/a/index.js",
        "web/node_modules/b/index.js",
        "debug.log",
    ),
    *("build/out", "build/lib/x", "web/dist/app.js", ".env", ".coverage", ".idea/x.xml", ".vscode/settings.json"),
    *("main.py~", ".main.py.swp", "#main.py#", ".vagrant/machines/x", "Thumbs.db", "web/._app", "stager.lock"),
    *("droplet.tgz", ".stager/x", ".terraform/x", ".svn/x", "web/.yarn/cache/x.zip", ".ipynb_checkpoints/a.ipynb"),
]


# --- sizes -----------------------------------------------------------------------------------------------------

LARGE = "Add it to .stagerignore, and fetch such data when the app starts or mount it."


def test_a_sparse_file_of_a_tebibyte_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    lay_out(tmp_path, {"main.py": "x"})
    with (tmp_path / "disk.img").open("wb") as file:
        file.truncate(1 << 40)
    begun = time.monotonic()
    assert refusal(lambda: read(tmp_path), AppTooLarge) == (
        "disk.img",
        "it has 1,099,511,627,776 bytes; the most is 2,147,483,648",
        LARGE,
    )
    assert time.monotonic() - begun < 2
    (tmp_path / ".stagerignore").write_text("disk.img\n")
    assert list(read(tmp_path).files) == ["main.py"]


def test_a_file_that_is_known_and_has_grown_is_refused_as_well(tmp_path: Path) -> None:
    lay_out(tmp_path, {"main.py": "x", "disk.img": "x"})
    aged(tmp_path)
    index = SourceTree.read(str(tmp_path)).index
    os.truncate(tmp_path / "disk.img", (2 << 30) + 1)
    where, why, _ = refusal(lambda: SourceTree.read(str(tmp_path), index=index), AppTooLarge)
    assert (where, why) == ("disk.img", "it has 2,147,483,649 bytes; the most is 2,147,483,648")


@pytest.mark.parametrize("names", [["a/1", "a/2", "b/3"], ["1", "2", "3"]])
def test_all_files_together_have_a_limit(names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, dict.fromkeys(names, bytes(100_000)))
    aged(tmp_path)
    index = SourceTree.read(str(tmp_path)).index
    monkeypatch.setattr(walk, "LARGEST_TREE", 250_000)
    for known in (None, index):
        with pytest.raises(AppTooLarge, match=r"app has 300,000 bytes; the most is 250,000"):
            SourceTree.read(str(tmp_path), index=known)
    (tmp_path / names[1]).write_bytes(bytes(50_000))
    for known in (None, index):
        assert len(SourceTree.read(str(tmp_path), index=known)) == 3


def test_a_large_file_is_given_in_parts_and_checked(tmp_path: Path) -> None:
    data = os.urandom((3 << 20) + 17)
    tree = tree_of(tmp_path, {"a": data})
    parts = list(tree.chunks("a"))
    assert b"".join(parts) == data
    assert max(map(len, parts)) <= 1 << 20
    for other in (data[:-1], data + b"x", bytes(len(data))):
        (tmp_path / "a").write_bytes(other)
        given: list[bytes] = []
        with pytest.raises(ChangedWhileRead):
            given.extend(tree.chunks("a"))
        assert len(b"".join(given)) <= len(data)


# --- a folder of it --------------------------------------------------------------------------------------------


def test_a_folder_is_a_tree_of_its_own(tmp_path: Path) -> None:
    files: Files = {
        "a.txt": "above",
        "web/b.txt": "below",
        "web/src/c.txt": "deep",
        "web/in": Link("src/c.txt"),
        "web/src/up": Link("../b.txt"),
        "web/out": Link("../a.txt"),
        "website/d.txt": "beside",
    }
    for tree in (tree_of(tmp_path, files), SourceTree.of(files)):
        found = tree.below("web")
        assert list(found.files) == ["b.txt", "src/c.txt"]
        assert found.links == {"in": "src/c.txt", "src/up": "../b.txt"}
        assert (found.read_text("in"), found.read_text("src/up")) == ("deep", "below")
        assert found.files["b.txt"] is tree.files["web/b.txt"]


def test_a_folder_keeps_what_is_in_memory_only(tmp_path: Path) -> None:
    found = tree_of(tmp_path, {"web/b.txt": "below"}).with_files({"web/c.txt": b"more", "d.txt": b""}).below("web")
    assert (found.read_text("b.txt"), found.read_text("c.txt")) == ("below", "more")
    assert len(found) == 2
