"""Commits of real repositories, fetched from git's own server: their files and no others, whatever a server does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from git_server import ENVIRON, GitRequest, GitServer, commit, git
from servers import Server

from stager import fetching
from stager.digest import Digest
from stager.ecosystems.repository import Repository
from stager.errors import BadLock, Cancelled, StagerError
from stager.fetching import repositories
from stager.fetching.errors import UnusableRepository
from stager.formats import commits
from stager.formats.errors import BadArchive, UnsafeEntry
from stager.formats.packs import Pack
from stager.model import Artifact
from stager.net.errors import NotCached, NotFound, Unreachable
from stager.net.indexes import Indexes
from stager.net.patience import Patience
from stager.store import Store
from stager.store.errors import DigestMismatch

QUICK = Patience(connect=5.0, read=5.0, waits=(0.01,), grace=10.0, enough=10.0)
FILES: dict[str, str | bytes] = {
    "pyproject.toml": "[project]\n",
    "pkg/__init__.py": "x = 1\n",
    "run.sh": "#!/bin/sh\n",
    "crlf.txt": b"a\r\nb\n",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "cache"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "repos").mkdir()
    with GitServer(tmp_path / "repos") as one:
        yield one


def repo(tmp_path: Path) -> Path:
    return tmp_path / "repos" / "demo"


def indexes_of(server: GitServer, **more: str) -> Indexes:
    return Indexes.from_environment(
        {"STAGER_INDEX_GIT": server.url, **more}, home="/nonexistent", apt="/nonexistent", system="/nonexistent"
    )


def wanted(server: GitServer, name: str, path: str = "/demo/.git") -> Artifact:
    one = Repository(server.url + path, name)
    return Artifact("pkg:pypi/demo@1.0", "demo-1.0.tar", one.digest, "sdist/1", (".stager/pypi",), url=str(one))


def fetch(
    artifact: Artifact, store: Store, server: GitServer, indexes: Indexes | None = None, offline: bool = False
) -> str:
    found = fetching.fetch([artifact], store, indexes=indexes or indexes_of(server), patience=QUICK, offline=offline)
    return found[artifact.digest]


def contents(store: Store, blob: str) -> dict[str, tuple[bytes | str, bool]]:
    found: dict[str, tuple[bytes | str, bool]] = {}
    with tarfile.open(store.path(blob)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            found[member.name] = (file.read() if file else member.linkname, bool(member.mode & 0o100))
    return found


def nothing_kept(store: Store) -> bool:
    return os.listdir(f"{store.root}/v1/tmp") == [] and os.listdir(f"{store.root}/v1/blobs/sha256") == []


# --- what works --------------------------------------------------------------------------------------------------


def test_a_commit_s_own_files_whatever_git_would_make_of_them(tmp_path: Path, store: Store, server: GitServer) -> None:
    place = repo(tmp_path)
    commit(place, FILES)
    (place / "run.sh").chmod(0o755)
    (place / "link").symlink_to("pkg/__init__.py")
    attributes = "*.txt text eol=crlf filter=evil\npkg export-ignore\nid export-subst\n"
    first = commit(place, {".gitattributes": attributes, "id": "$Format:%H$\n"})
    commit(place, {"pkg/__init__.py": "x = 2\n"}, "later")
    blob = fetch(wanted(server, first), store, server)
    assert contents(store, blob) == {
        "source/.gitattributes": (attributes.encode(), False),
        "source/crlf.txt": (b"a\nb\n", False),
        "source/id": (b"$Format:%H$\n", False),
        "source/link": ("pkg/__init__.py", True),
        "source/pkg/__init__.py": (b"x = 1\n", False),
        "source/pyproject.toml": (b"[project]\n", False),
        "source/run.sh": (b"#!/bin/sh\n", True),
    }
    assert [(how, path.partition("?")[0]) for how, path, _ in server.seen] == [
        ("GET", "/demo/.git/info/refs"),
        ("POST", "/demo/.git/git-upload-pack"),
    ]


def test_the_archive_is_a_function_of_the_commit(tmp_path: Path, store: Store, server: GitServer) -> None:
    """Packed otherwise, with deltas, and by the older protocol, alone or with all its history: the same bytes."""
    place = repo(tmp_path)
    lines = [f"line {number}\n" for number in range(3000)]
    for number in range(6):
        first = commit(place, {**FILES, "big.txt": "".join([*lines[:number], "new\n", *lines[number:]])}, f"{number}")
    blob = fetch(wanted(server, first), store, server)
    commit(place, {"big.txt": "".join(lines)}, "on top")
    git(place, "repack", "-adf", "--depth=50", "--window=50")
    server.old()
    git(place, "config", "uploadpack.allowReachableSHA1InWant", "true")
    other = Store(str(tmp_path / "other"))
    assert fetch(wanted(server, first), other, server) == blob
    git(place, "config", "uploadpack.allowReachableSHA1InWant", "false")
    third = Store(str(tmp_path / "third"))
    assert fetch(wanted(server, first), third, server) == blob


def test_what_is_in_the_store_is_not_asked_for(tmp_path: Path, store: Store, server: GitServer) -> None:
    artifact = wanted(server, commit(repo(tmp_path), FILES))
    blob = fetch(artifact, store, server)
    server.seen.clear()
    pinned = replace(artifact, digest=Digest(f"sha256:{blob}"))
    assert fetch(artifact, store, server, offline=True) == fetch(pinned, store, server) == blob
    assert not server.seen
    with pytest.raises(NotCached):
        fetch(artifact, Store(str(tmp_path / "other")), server, offline=True)
    assert not server.seen


def test_a_server_without_commits_by_id_gives_branches_and_tags(
    tmp_path: Path, store: Store, server: GitServer
) -> None:
    place = repo(tmp_path)
    first = commit(place, FILES)
    commit(place, {"later": "1"})
    asked: list[bytes] = []

    def refuse(request: GitRequest) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        asked.append(body)
        if f"want {first}".encode() in body:
            words = b"ERR upload-pack: not our ref " + first.encode()
            request.answer(
                200, {"Content-Type": "application/x-git-upload-pack-result"}, b"%04x" % (len(words) + 4) + words
            )
        else:
            request.rfile = BytesIO(body)
            request.served()

    server.routes["/demo/.git/git-upload-pack"] = refuse
    assert "source/later" not in contents(store, fetch(wanted(server, first), store, server))
    assert [b"deepen" in body for body in asked] == [True, False, False]


def test_a_repository_that_moved_on_its_host_is_followed(tmp_path: Path, store: Store, server: GitServer) -> None:
    artifact = wanted(server, commit(repo(tmp_path), FILES), "/old")
    server.routes["/old"] = lambda request: request.answer(
        301, {"Location": "/demo/.git" + request.path.removeprefix("/old")}
    )
    assert contents(store, fetch(artifact, store, server))


# --- who is asked, and with what ---------------------------------------------------------------------------------


def test_a_login_goes_to_its_host_alone(tmp_path: Path, store: Store, server: GitServer) -> None:
    artifact = wanted(server, commit(repo(tmp_path), FILES))
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\nmachine other.example login you password hidden\n")
    server.routes["/demo"] = lambda request: (
        request.served() if request.headers.get("Authorization") else request.answer(401, {})
    )
    with pytest.raises(Unreachable) as none:
        fetch(artifact, store, server)
    assert "access denied" in str(none.value)
    assert "netrc" in none.value.hint
    assert "STAGER_GIT_HOSTS" in none.value.hint
    index = server.url.replace("//", "//you:hidden@")
    for elsewhere in ("", f"{server.url}/other", "http://127.0.0.1:1/demo"):
        with pytest.raises(Unreachable):  # an entry of netrc, or an index's login, is none for any repository there
            fetch(
                artifact, store, server,
                indexes_of(server, NETRC=str(netrc), PIP_INDEX_URL=index, STAGER_GIT_HOSTS=elsewhere),
            )  # fmt: skip
    assert {headers.get("Authorization") for _, _, headers in server.seen} == {None}
    server.seen.clear()
    fetch(artifact, store, server, indexes_of(server, NETRC=str(netrc), STAGER_GIT_HOSTS=f"{server.url}/demo"))
    sent = {headers.get("Authorization") for _, _, headers in server.seen}
    assert sent == {"Basic " + b64encode(b"me:secret").decode()}


def test_another_host_is_not_asked(tmp_path: Path, store: Store, server: GitServer) -> None:
    artifact = wanted(server, commit(repo(tmp_path), FILES))
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    with Server() as other:
        server.routes["/demo"] = lambda request: request.answer(302, {"Location": other.url + request.path})
        hosts = f"{server.url},{other.url}"
        indexes = indexes_of(server, NETRC=str(netrc), PIP_INDEX_URL=other.url, STAGER_GIT_HOSTS=hosts)
        with pytest.raises(Unreachable) as refused:
            fetch(artifact, store, server, indexes)
        assert "redirects to another host" in str(refused.value)
        assert not other.seen


@pytest.mark.parametrize(
    "address",
    ["https://user:secret@127.0.0.1/x", "ext::sh -c id", "file:///etc", "https://-oProxyCommand=id/x", "https://h/-x"],
)
def test_a_lock_s_url_is_no_way_elsewhere(store: Store, server: GitServer, address: str) -> None:
    artifact = replace(wanted(server, "0" * 40), url=f"git+{address}@{'0' * 40}")
    with pytest.raises(BadLock):
        fetch(artifact, store, server)
    assert nothing_kept(store)


def test_a_private_address_is_not_asked(store: Store, server: GitServer) -> None:
    with pytest.raises(BadLock) as refused:
        fetch(wanted(server, "0" * 40), store, server, Indexes())
    assert "not encrypted" in str(refused.value)
    assert not server.seen


# --- servers that do wrong ---------------------------------------------------------------------------------------


def pack_of(*objects: tuple[int, bytes, int | None]) -> bytes:
    """A pack of these (kind, content, stated size if another one)."""
    body = b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big")
    for kind, content, stated in objects:
        size = len(content) if stated is None else stated
        head, rest = kind << 4 | size & 15, size >> 4
        body += bytes([head | (0x80 if rest else 0)])
        while rest:
            body += bytes([rest & 0x7F | (0x80 if rest > 0x7F else 0)])
            rest >>= 7
        body += zlib.compress(content)
    return body + hashlib.sha1(body).digest()


def sends(pack: bytes) -> Callable[[GitRequest], None]:
    """A server that sends this pack, whatever it is asked for."""

    def answer(request: GitRequest) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        parts = [b"\x01" + pack[at : at + 60000] for at in range(0, len(pack), 60000)]
        rows = b"".join(b"%04x" % (len(one) + 4) + one for one in [b"packfile\n", *parts])
        request.answer(200, {"Content-Type": "application/x-git-upload-pack-result"}, rows + b"0000")

    return answer


def id_of(kind: bytes, content: bytes) -> str:
    return hashlib.sha1(b"%s %d\0" % (kind, len(content)) + content).hexdigest()


def tree(*rows: tuple[bytes, bytes, str]) -> bytes:
    return b"".join(mode + b" " + name + b"\0" + bytes.fromhex(one) for mode, name, one in rows)


def commit_of(one: str) -> bytes:
    return f"tree {one}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n".encode()


def test_another_content_for_a_commit_is_found(tmp_path: Path, store: Store, server: GitServer) -> None:
    first = commit(repo(tmp_path), FILES)
    blob, evil = b"x = 1\n", b"import evil\n"
    lies = tree((b"100644", b"a.py", id_of(b"blob", evil)))
    server.routes["/demo/.git/git-upload-pack"] = sends(
        pack_of((1, commit_of(id_of(b"tree", lies)), None), (2, lies, None), (3, evil, None), (3, blob, None))
    )
    with pytest.raises(DigestMismatch) as lie:
        fetch(wanted(server, first), store, server)
    assert f"commit {first}" in str(lie.value)
    assert nothing_kept(store)


def test_another_content_of_one_file_is_found(tmp_path: Path, store: Store, server: GitServer) -> None:
    """The commit and its tree are true, a file is not: its id is not what the tree names."""
    commit(repo(tmp_path), FILES)
    true = tree((b"100644", b"a.py", id_of(b"blob", b"x = 1\n")))
    top = commit_of(id_of(b"tree", true))
    server.routes["/demo/.git/git-upload-pack"] = sends(pack_of((1, top, None), (2, true, None), (3, b"x = 2\n", None)))
    with pytest.raises(DigestMismatch) as lie:
        fetch(wanted(server, id_of(b"commit", top)), store, server)
    assert "lacks the object" in str(lie.value)


def test_another_archive_than_the_pinned_one_is_found(tmp_path: Path, store: Store, server: GitServer) -> None:
    artifact = replace(wanted(server, commit(repo(tmp_path), FILES)), digest=Digest(f"sha256:{'0' * 64}"))
    with pytest.raises(DigestMismatch):
        fetch(artifact, store, server)
    assert nothing_kept(store)


def test_an_endless_server_is_left(
    tmp_path: Path, store: Store, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repositories, "LARGEST", 1 << 20)
    artifact = wanted(server, commit(repo(tmp_path), FILES))
    ended = threading.Event()

    def endless(request: GitRequest) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        request.send_response(200)
        request.send_header("Content-Type", "application/x-git-upload-pack-result")
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(b"000dpackfile\n")
        row = b"\x02" + b"." * 60000
        try:
            while True:
                request.wfile.write(b"%04x" % (len(row) + 4) + row)
        finally:
            ended.set()

    server.routes["/demo/.git/git-upload-pack"] = endless
    with pytest.raises(Unreachable) as refused:
        fetch(artifact, store, server)
    assert "sends more than" in str(refused.value)
    assert ended.wait(10)
    assert nothing_kept(store)


def test_a_fetch_can_be_stopped(tmp_path: Path, store: Store, server: GitServer) -> None:
    artifact = wanted(server, commit(repo(tmp_path), FILES))
    stop, asked = threading.Event(), threading.Event()

    def hanging(request: GitRequest) -> None:
        asked.set()
        stop.wait(20)
        time.sleep(0.5)
        request.close_connection = True

    server.routes["/demo"] = hanging

    def cancel() -> None:
        asked.wait(20)
        stop.set()

    threading.Thread(target=cancel, daemon=True).start()
    with pytest.raises(Cancelled):
        fetching.fetch([artifact], store, indexes=indexes_of(server), patience=QUICK, cancel=stop)


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_greets_and_gives_nothing_is_left(
    tmp_path: Path, store: Store, server: GitServer, code: int
) -> None:
    """As often as patience has it: a greeting is no progress."""
    artifact = wanted(server, commit(repo(tmp_path), FILES))
    server.routes["/demo/.git/git-upload-pack"] = lambda request: (
        request.answer(code, {"Connection": "close"}) if len(server.seen) < 40 else request.served()
    )
    with pytest.raises(Unreachable) as refused:
        fetch(artifact, store, server)
    assert str(code) in str(refused.value)
    assert [how for how, *_ in server.seen] == ["GET", "POST"] * (1 + len(QUICK.waits))


def test_packets_of_nothing_are_not_read_for_ever(
    tmp_path: Path, store: Store, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repositories, "_PACKETS", 1000)
    artifact = wanted(server, commit(repo(tmp_path), FILES))
    kind = {"Content-Type": "application/x-git-upload-pack-result"}
    server.routes["/demo/.git/git-upload-pack"] = lambda request: request.answer(
        200, kind, b"000dpackfile\n" + b"0005\x02" * 2000
    )
    with pytest.raises(Unreachable) as refused:
        fetch(artifact, store, server)
    assert "1000 packets" in str(refused.value)


def test_small_packets_are_read_once() -> None:
    """Whatever the parts are that they come in: a packet is not paid for with all that is behind it."""

    class Answer:
        url = "https://git.example/"

        def parts(self) -> Iterator[bytes]:
            yield b"0005\x02" * 200_000

    answer: Any = Answer()
    begun = time.thread_time()
    assert sum(1 for _ in repositories._packets(answer, lambda: False)) == 200_000
    assert time.thread_time() - begun < 10  # of the processor; a fraction of a second, and half a minute otherwise


def says(kind: str, data: bytes = b"", code: int = 200) -> Callable[[GitRequest], None]:
    return lambda request: request.answer(code, {"Content-Type": kind}, data)


GREETING = "application/x-git-upload-pack-advertisement"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says("", code=404), NotFound),
        (says("text/plain", b"0" * 40 + b"\trefs/heads/main\n"), Unreachable),
        (says(GREETING, b"zzzz"), Unreachable),
        (says(GREETING, b"0000"), Unreachable),
        (says(GREETING, b"00ffab"), Unreachable),
    ],
)
def test_what_is_no_repository(
    store: Store, server: GitServer, answer: Callable[[GitRequest], None], kind: type[StagerError]
) -> None:
    server.routes["/demo"] = answer
    with pytest.raises(StagerError) as refused:
        fetch(wanted(server, "0" * 40), store, server)
    assert isinstance(refused.value, kind) or refused.value.code == "Gone"
    assert nothing_kept(store)


def test_a_commit_that_is_not_there(tmp_path: Path, store: Store, server: GitServer) -> None:
    commit(repo(tmp_path), FILES)
    with pytest.raises(StagerError) as refused:
        fetch(wanted(server, "1" * 40), store, server)
    assert "1" * 40 in str(refused.value)


# --- booby-trapped repositories ----------------------------------------------------------------------------------

EMPTY = id_of(b"blob", b"")
BOMB = b"\0" * (80 << 20)


def hostile(*rows: tuple[bytes, bytes, str], blobs: tuple[bytes, ...] = (b"",)) -> tuple[str, bytes]:
    """A commit with a tree that git itself would not make, and its pack."""
    top = tree(*rows)
    whole = commit_of(id_of(b"tree", top))
    return id_of(b"commit", whole), pack_of((1, whole, None), (2, top, None), *((3, blob, None) for blob in blobs))


TRAPS: dict[str, tuple[tuple[str, bytes], type[StagerError]]] = {
    "up": (hostile((b"100644", b"..", EMPTY)), UnsafeEntry),
    "git's own folder": (hostile((b"100644", b".GIT", EMPTY)), UnsafeEntry),
    "git's own folder, for Windows": (hostile((b"100644", b"git~1", EMPTY)), UnsafeEntry),
    "a path of other systems": (hostile((b"100644", b"a\\..\\b", EMPTY)), UnsafeEntry),
    "no text": (hostile((b"100644", b"\xff", EMPTY)), UnsafeEntry),
    "twice": (hostile((b"100644", b"a", EMPTY), (b"120000", b"a", EMPTY)), UnsafeEntry),
    "a name of a megabyte": (hostile((b"100644", b"n" * (1 << 20), EMPTY)), UnsafeEntry),
    "a link of a megabyte": (
        hostile((b"120000", b"a", id_of(b"blob", b"x" * (1 << 20))), blobs=(b"x" * (1 << 20),)), UnsafeEntry),
    "a device": (hostile((b"060000", b"a", EMPTY)), UnsafeEntry),
    "a link to nothing": (hostile((b"120000", b"a", EMPTY)), UnsafeEntry),
    "a submodule": (hostile((b"160000", b"a", EMPTY)), UnusableRepository),
    "large files elsewhere": (
        hostile((b"100644", b"a", id_of(b"blob", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
                blobs=(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",)), UnusableRepository),
    "a bomb": (("0" * 40, pack_of((3, BOMB, 10))), BadArchive),
    "a bomb that says so": (("0" * 40, pack_of((3, BOMB, None))), BadArchive),
    "too many objects": (("0" * 40, b"PACK" + (2).to_bytes(4, "big") + b"\x7f\xff\xff\xff" + bytes(20)), BadArchive),
    "less than promised": (("0" * 40, pack_of((3, b"abc", 10))), BadArchive),
    "a delta on nothing": (("0" * 40, pack_of((3, b"abc", None), (6, b"abc", None))), BadArchive),
    "no pack": (("0" * 40, b"GIF89a" + bytes(30)), BadArchive),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_booby_trapped_repositories(tmp_path: Path, store: Store, server: GitServer, trap: str) -> None:
    commit(repo(tmp_path), FILES)
    (name, pack), kind = TRAPS[trap]
    server.routes["/demo/.git/git-upload-pack"] = sends(pack)
    with pytest.raises(kind):
        fetch(wanted(server, name), store, server)
    assert nothing_kept(store)


def test_trees_that_share_trees_do_not_grow_without_end(
    tmp_path: Path, store: Store, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "_MOST", 2000)
    commit(repo(tmp_path), FILES)
    objects: list[tuple[int, bytes, int | None]] = [(3, b"", None)]
    inner = tree(*((b"100644", b"f%d" % number, EMPTY) for number in range(10)))
    for _ in range(12):  # 10 to the 12th files
        objects.append((2, inner, None))
        inner = tree(*((b"40000", b"d%d" % number, id_of(b"tree", inner)) for number in range(10)))
    objects += [(2, inner, None), (1, top := commit_of(id_of(b"tree", inner)), None)]
    server.routes["/demo/.git/git-upload-pack"] = sends(pack_of(*objects))
    with pytest.raises(BadArchive) as refused:
        fetch(wanted(server, id_of(b"commit", top)), store, server)
    assert "more than" in str(refused.value)


def nested(names: int, deep: int, files: int, name: bytes = b"n") -> tuple[str, bytes]:
    """Folders of long names in one another, and files in the innermost."""
    inner = tree(*((b"100644", b"%d" % number, EMPTY) for number in range(files)))
    objects: list[tuple[int, bytes, int | None]] = [(3, b"", None)]
    for _ in range(deep):
        objects.append((2, inner, None))
        inner = tree((b"40000", name * names, id_of(b"tree", inner)))
    objects += [(2, inner, None), (1, top := commit_of(id_of(b"tree", inner)), None)]
    return id_of(b"commit", top), pack_of(*objects)


def archived(name: str, pack: bytes) -> bytes:
    made = BytesIO()
    commits.archive(Pack(BytesIO(pack), "demo"), name, "demo", made.write)
    return made.getvalue()


def test_paths_that_no_system_has_are_refused() -> None:
    assert len(archived(*nested(250, 16, 1))) > 4000
    with pytest.raises(UnsafeEntry) as refused:
        archived(*nested(250, 17, 1))
    assert len(str(refused.value)) < 400


def test_long_paths_are_held_and_written_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_PATHS", 100_000)
    with pytest.raises(BadArchive) as refused:
        archived(*nested(250, 10, 200))
    assert "paths" in str(refused.value)
    monkeypatch.undo()
    monkeypatch.setattr(commits, "_BYTES", 100_000)
    with pytest.raises(BadArchive) as refused:
        archived(*nested(250, 10, 200))
    assert "100000 bytes" in str(refused.value)


def test_nothing_of_a_repository_is_run(
    tmp_path: Path, store: Store, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters, a submodule's update command, hooks in its files: there is no git that could heed them."""
    place, canary = repo(tmp_path), tmp_path / "canary"
    command = f"touch {canary}"
    name = commit(
        place,
        {
            ".gitattributes": "* filter=evil diff=evil merge=evil\n",
            ".gitconfig": f'[filter "evil"]\n\tsmudge = {command}\n[core]\n\tfsmonitor = {command}\n',
            "hooks/post-checkout": f"#!/bin/sh\n{command}\n",
            ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ext::{command}\n\tupdate = !{command}\n',
        },
    )
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[filter "evil"]\n\tsmudge = {command}\n[credential]\n\thelper = !{command}\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", "/nonexistent")
    server.routes["/demo"] = GitRequest.served
    assert contents(store, fetch(wanted(server, name), store, server))
    assert not canary.exists()


def test_a_tag_is_no_commit(tmp_path: Path, store: Store, server: GitServer) -> None:
    place = repo(tmp_path)
    commit(place, FILES)
    git(place, "tag", "-a", "v1", "-m", "one")
    with pytest.raises(UnusableRepository) as refused:
        fetch(wanted(server, git(place, "rev-parse", "v1")), store, server)
    assert "is a tag" in str(refused.value)


def test_a_real_submodule(tmp_path: Path, store: Store, server: GitServer) -> None:
    inner, place = tmp_path / "repos" / "inner", repo(tmp_path)
    commit(inner, {"a": "1"})
    commit(place, FILES)
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "vendored"],
        cwd=place, env=ENVIRON, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name = commit(place, {})
    with pytest.raises(UnusableRepository) as refused:
        fetch(wanted(server, name), store, server)
    assert "vendored is a submodule" in str(refused.value)
