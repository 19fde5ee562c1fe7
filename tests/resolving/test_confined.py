"""What a resolver finds around it, in the sandbox and without."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from servers import Server, serve

from stager.ecosystems.errors import LockFailed
from stager.errors import Cancelled
from stager.files.errors import NoSandbox
from stager.net.indexes import Indexes
from stager.net.indexes.origins import Origin
from stager.resolving import confined
from stager.resolving.confined import ConfinedRun, Scratch, base_python

LOOK = """\
import json, os, socket, urllib.request
def tried(what, *arguments):
    try:
        return str(what(*arguments))
    except Exception as error:
        return type(error).__name__
print(json.dumps({
    "env": dict(os.environ), "here": os.getcwd(), "files": os.listdir("."), "tops": sorted(os.listdir("/")),
    "secret": tried(open, SECRET), "direct": tried(socket.create_connection, ("127.0.0.1", PORT), 3),
    "written": [name for name in PLACES if tried(open, f"{os.environ['HOME']}/../{name}", "ab").startswith("<")],
    "gate": tried(lambda: urllib.request.urlopen("http://127.0.0.1:%d/page" % PORT, timeout=10).read().decode()),
}))
"""
OPEN = ("app/new", "cache/new", "home/new", "tmp/new")
CLOSED = ("new", "ca.pem", "bin/new")
"""Places in a scratch folder that a program may write to and may not: it must not change what runs next."""
VARIABLES = {
    *(
        "PATH",
        "HOME",
        "XDG_CONFIG_HOME",
        "TMPDIR",
        "LC_ALL",
        "NO_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
    ),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "UV_OWN"),
}


def look(scratch: Scratch, secret: Path, port: int) -> dict[str, object]:
    code = f"SECRET, PORT, PLACES = {str(secret)!r}, {port}, {[*OPEN, *CLOSED]!r}\n{LOOK}"
    done = scratch.run("x.lock", [base_python(), "-I", "-c", code], {"UV_OWN": "1"})
    assert done.code == 0, done.said
    found: dict[str, object] = json.loads(done.said.splitlines()[-1])
    return found


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the caller, who has tokens in the environment."""
    for name in ("AWS_SECRET_ACCESS_KEY", "NPM_TOKEN", "UV_INDEX_X_PASSWORD", "PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "secret")
    file = tmp_path / "store" / "blob"
    file.parent.mkdir()
    file.write_text("secret")
    return file


@pytest.mark.tools
def test_in_the_sandbox(secret: Path) -> None:
    told: list[str] = []
    with Server({"/page": serve(b"the page")}) as server:
        indexes = Indexes(trusted=frozenset({Origin.of(server.url)}))
        with confined.scratch(indexes, told.append) as scratch:
            scratch.write({"app/given": b""})
            found = look(scratch, secret, int(server.url.rpartition(":")[2]))
            assert found["here"] == "."  # what is said has no paths of the scratch folder
    assert set(found["env"]) - {"PWD", "LC_CTYPE"} == VARIABLES  # type: ignore[call-overload]
    assert "secret" not in json.dumps(found["env"])
    assert found["files"] == ["given"]
    assert found["secret"] == "FileNotFoundError"
    assert found["direct"] == "ConnectionRefusedError"
    assert found["written"] == [*OPEN]
    assert found["gate"] == "the page"
    own = {Path(sys.base_prefix).parts[1]}
    assert not ({"home", "root", "var", "srv", "mnt", "run"} - own) & set(found["tops"])  # type: ignore[call-overload]
    assert told == []


def test_without_a_sandbox(secret: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(confined, "PATH", str(tmp_path))
    told: list[str] = []
    with Server({"/page": serve(b"the page")}) as server:
        indexes = Indexes(trusted=frozenset({Origin.of(server.url)}))
        with confined.scratch(indexes, told.append) as scratch:
            found = look(scratch, secret, int(server.url.rpartition(":")[2]))
    assert set(found["env"]) - {"PWD", "LC_CTYPE"} == VARIABLES  # type: ignore[call-overload]
    assert found["gate"] == "the page"
    assert told == ["the resolver runs without a sandbox: bubblewrap is not here, or may make no namespaces"]


def test_code_of_a_package_never_runs_without_a_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(confined, "PATH", str(tmp_path))
    with confined.scratch(Indexes()) as scratch, pytest.raises(NoSandbox) as caught:
        scratch.run("x.lock", [base_python(), "-c", f"open({str(tmp_path / 'sprung')!r}, 'w')"], {}, foreign=True)
    assert caught.value.message == "no namespaces to run code of a package for x.lock: bubblewrap: it is not installed"
    assert not (tmp_path / "sprung").exists()


def run(code: str, cancel: threading.Event | None = None) -> ConfinedRun:
    with confined.scratch(Indexes(), cancel=cancel) as scratch:
        return scratch.run("x.lock", [base_python(), "-I", "-c", code], {})


def test_only_the_end_of_what_is_said_is_kept() -> None:
    done = run(
        "import sys\nfor _ in range(64): sys.stdout.write('x' * (1 << 20))\nsys.stderr.write('the end')\nsys.exit(3)"
    )
    assert done.code == 3
    assert len(done.said) == 256 << 10
    error = done.failure("x.lock")
    assert isinstance(error, LockFailed)
    assert error.message.endswith("the end")
    assert len(error.message) < 2100


def test_what_the_gate_refused_comes_first() -> None:
    code = "import urllib.request as r\ntry: r.urlopen('http://127.0.0.1:9/', timeout=5)\nexcept OSError: exit('sorry')"
    error = run(code).failure("uv.lock")
    why = "it is not encrypted (http), and its host is not among the configured indexes"
    assert error.message == f"uv.lock could not be made: 127.0.0.1:9 may not be asked: {why}; sorry"


def test_an_endless_run_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(confined, "LIMIT", 1.0)
    monkeypatch.setattr(confined, "PATH", str(tmp_path))
    mark = tmp_path / "alive"
    code = (
        "import os, time\n"
        f"if not os.fork():\n  while True:\n    open({str(mark)!r}, 'w').write(str(time.time()))\n    time.sleep(0.05)\n"
        "time.sleep(600)"
    )
    with pytest.raises(LockFailed, match=r"the resolver did not finish within 1 seconds"):
        run(code)
    time.sleep(0.2)
    last = mark.read_text()
    time.sleep(0.3)
    assert mark.read_text() == last


def test_a_run_can_be_cancelled() -> None:
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run("import time; time.sleep(600)", cancel)
    assert time.monotonic() - began < 30


def test_a_lock_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with confined.scratch(Indexes()) as scratch:
        os.symlink(tmp_path / "secret", f"{scratch.root}/app/uv.lock")
        os.mkfifo(f"{scratch.root}/app/pylock.toml")
        with pytest.raises(LockFailed, match="the resolver wrote none: it is a symbolic link"):
            scratch.read("uv.lock")
        with pytest.raises(LockFailed, match="the resolver wrote none: it is a FIFO"):
            scratch.read("pylock.toml")


def test_the_scratch_folder_is_gone_afterwards() -> None:
    with confined.scratch(Indexes()) as scratch:
        root = Path(scratch.root)
        assert root.stat().st_mode & 0o777 == 0o700
    assert not root.exists()
    assert base_python() == os.path.realpath(getattr(sys, "_base_executable", sys.executable))
