"""The last net: whatever is raised becomes a typed error with its own exit code, and nothing private is told."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import PROGRAM, in_process

from stager import SourceTree, Store, cli, library
from stager.errors import BadLock, CannotWrite, InternalError, OutOfMemory, StagerError, Unreadable
from stager.store.errors import CannotRead
from stager.unexpected import netted, typed

SECRET = "hunter2-in-a-message"


def app(place: Path) -> Path:
    place.mkdir()
    (place / "Procfile").write_text("web: ./run\n")
    (place / "run").write_text("#!/bin/sh\n")
    (place / "run").chmod(0o755)
    return place


def raised(error: Exception) -> Exception:
    """The error as it is after it has passed through a line of stager's."""
    try:
        netted(lambda: (_ for _ in ()).throw(error))()
    except Exception as found:
        return found.__cause__ if isinstance(found.__cause__, Exception) else found
    raise AssertionError


FOUND = {
    "type": (TypeError(SECRET), InternalError, 100),
    "recursion": (RecursionError(SECRET), InternalError, 100),
    "surrogate": (UnicodeEncodeError("utf-8", "\ud800", 0, 1, SECRET), InternalError, 100),
    "memory": (MemoryError(), OutOfMemory, 70),
    "no-memory": (OSError(errno.ENOMEM, "Cannot allocate memory"), OutOfMemory, 70),
    "full": (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), CannotWrite, 70),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), CannotWrite, 70),
    "files": (OSError(errno.EMFILE, "Too many open files", b"/tmp/x"), CannotRead, 70),
    "other": (PermissionError(errno.EACCES, "Permission denied", "/home/" + SECRET), InternalError, 100),
    "typed": (BadLock("stager.lock", "is not TOML"), BadLock, 20),
}


@pytest.mark.parametrize("name", FOUND)
def test_any_exception_has_a_typed_error(name: str) -> None:
    error, kind, code = FOUND[name]
    found = typed(error, "stager plan")
    assert (type(found), found.exit_code) == (kind, code)
    assert SECRET not in str(found) + json.dumps(found.as_json())


def test_the_report_has_all_that_is_needed() -> None:
    found = typed(raised(KeyError(SECRET)), "stager plan")
    report = found.as_json()["report"]
    assert isinstance(report, dict)
    assert set(report) == {"error", "place", "stager", "python", "system", "command"}
    assert report["error"] == "KeyError"
    assert report["command"] == "stager plan"
    assert report["place"].startswith("stager/unexpected.py:")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    def run(*_: object, **__: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr("stager.planning.detection.detect", run)
    return ValueError


def test_the_command_line(broken: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["detect", str(app(tmp_path / SECRET)), "--json", "--cache-dir", str(tmp_path / "store")]
    assert cli.main(words) == 100
    out, err = capsys.readouterr()
    found = json.loads(out)["error"]
    assert (found["code"], found["exit"], found["report"]["command"]) == ("InternalError", 100, "stager detect")
    assert err.startswith("stager: an error in stager itself: ValueError")
    assert "Traceback" not in err
    assert SECRET not in out + err


def test_the_traceback_on_request(
    broken: object, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGER_DEBUG", "1")
    assert cli.main(["detect", str(app(tmp_path / "app")), "--cache-dir", str(tmp_path / "store")]) == 100
    assert f"ValueError: {SECRET}" in capsys.readouterr().err


def test_the_library(broken: type[Exception]) -> None:
    from stager.tree import SourceTree

    with pytest.raises(InternalError, match="an error in stager itself: ValueError") as caught:
        library.detect(SourceTree.of({"Procfile": "web: ./run\n"}))
    assert isinstance(caught.value.__cause__, broken)
    with pytest.raises(TypeError):  # the caller's own mistake is told as Python tells it
        library.detect()  # type: ignore[call-arg]


def test_every_public_verb_is_netted() -> None:
    verbs = ("stage", "detect", "plan", "fetch", "assemble", "export")
    assert [verb for verb in verbs if not hasattr(getattr(library, verb), "__wrapped__")] == []


FULL = ["detect {app} --json", "--help", "doctor", "stage {app} -o {out} --json", "export --help", "stage --help"]


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        *((words, "") for words in FULL),
        *((words, more) for words in ("detect {app}", "stage {app} -o -") for more in ("", "1")),
    ],
)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has it")
def test_a_full_standard_output(words: str, unbuffered: str, tmp_path: Path) -> None:
    command = words.format(app=app(tmp_path / "app"), out=tmp_path / "d.tgz").split()
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "STAGER_CACHE_DIR": str(tmp_path / "store"), "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 70
    assert (
        "standard output: cannot be written: No space left on device [CannotWrite]\n  See that there is room"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_no_standard_streams_at_all(tmp_path: Path) -> None:
    command = f"{sys.executable} -m stager detect {app(tmp_path / 'app')} --cache-dir {tmp_path / 's'} >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


@pytest.mark.parametrize("words", ["verify --source {app} {droplet}", "run {droplet}", "run {app}"])
def test_no_place_for_temporary_files(words: str, tmp_path: Path) -> None:
    """Python looks at TMPDIR, /tmp, /var/tmp and the working folder; here none of them can be written to."""
    store, droplet = tmp_path / "store", tmp_path / "d.tgz"
    in_process("lock", app(tmp_path / "app"), store=store).good()
    in_process("stage", tmp_path / "app", "-o", droplet, store=store).good()
    code = (
        "import sys, tempfile, os\n"
        "def none(): raise FileNotFoundError(2, 'No usable temporary directory found')\n"
        "tempfile.gettempdir = none\n"
        "from stager.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = words.format(app=tmp_path / "app", droplet=droplet).split()
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--cache-dir", str(store)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 70, done.stderr
    assert "TMPDIR: cannot be written: No usable temporary directory found" in done.stderr


def test_room_that_runs_out_in_a_temporary_folder() -> None:
    from stager.files import temporary

    with pytest.raises(CannotWrite, match="No space left on device"), temporary.folder("x") as place:
        raise OSError(errno.ENOSPC, "No space left on device", os.path.join(place, "file"))
    assert not os.path.exists(place)


def test_exit_codes_are_distinct_and_documented() -> None:
    text = (Path(__file__).parent.parent / "docs" / "library.md").read_text("utf-8")
    families = {kind.exit_code for kind in StagerError.__subclasses__()}
    assert InternalError.exit_code == 100
    assert 100 in families
    assert "`InternalError`" in text


@pytest.mark.parametrize("command", ["plan {app}", "stage {app} -o {out} --json"])
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_missing_standard_stream_is_an_empty_one(command: str, closed: str, tmp_path: Path) -> None:
    out = tmp_path / "d.tgz"
    words = command.format(app=app(tmp_path / "app"), out=out)
    line = f"{sys.executable} -m stager {words} --cache-dir {tmp_path / 's'} {closed}"
    done = subprocess.run(["sh", "-c", line], check=False, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
    if "-o" in command:
        in_process("stage", tmp_path / "app", "-o", tmp_path / "e.tgz", store=tmp_path / "other").good()
        assert out.read_bytes() == (tmp_path / "e.tgz").read_bytes()


def test_an_output_for_a_closed_standard_output_is_not_lost_in_silence(tmp_path: Path) -> None:
    place = app(tmp_path / "app")
    line = f"{sys.executable} -m stager stage {place} -o - --cache-dir {tmp_path / 's'} >&-"
    done = subprocess.run(["sh", "-c", line], check=False, capture_output=True, text=True)
    assert done.returncode == 70
    assert "cannot be written: Bad file descriptor" in done.stderr
    assert "Free some space" not in done.stderr


@pytest.mark.parametrize("words", ["stage", "status", "stage ../app"])
def test_the_working_folder_was_removed(words: str, tmp_path: Path) -> None:
    app(tmp_path / "app")
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m stager {words} --cache-dir {tmp_path / 's'}"
    if words == "status":
        line = line.partition(" --cache-dir")[0]
    environ = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    done = subprocess.run(["sh", "-c", line], check=False, capture_output=True, text=True, env=environ)
    assert done.returncode in {20, 70}, done.stderr
    assert "Traceback" not in done.stderr
    assert "removed" in done.stderr or "no such file" in done.stderr


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    """Only the names in a droplet must be UTF-8: those of the folder, the store and the output are the machine's."""
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    place.mkdir()
    store, out, oci = place / "store", place / "d.tgz", place / "i.oci"
    app(place / "app")
    in_process("plan", place / "app", "--json", store=store).good()
    in_process("stage", place / "app", "-o", out, store=store).good()
    in_process("stage", place / "app", "-o", out, "--json", "--locked", store=store).good()
    in_process("receipt", out, "-o", place / "r.json", store=store).good()
    in_process("sbom", out, "-o", place / "s.json", store=store).good()
    in_process("export", "oci", out, "-o", oci, store=store).good()
    in_process("export", "tar", out, "-o", place / "t.tar", store=store).good()
    in_process("bundle", "export", place / "app", "-o", place / "b.tar", store=store).good()
    in_process("cache", "gc", store=store).good()
    app(tmp_path / "app")
    in_process("stage", tmp_path / "app", "-o", tmp_path / "d.tgz", store=tmp_path / "s").good()
    assert out.read_bytes() == (tmp_path / "d.tgz").read_bytes()


def test_a_quoted_value_fills_no_screen(tmp_path: Path) -> None:
    in_process("lock", app(tmp_path / "app"), store=tmp_path / "s").good()
    lock = tmp_path / "app" / "stager.lock"
    lock.write_text(lock.read_text().replace('stack = "debian-12"', f'stack = "{"a" * 300_000}"'))
    done = in_process("stage", tmp_path / "app", "--locked", store=tmp_path / "s")
    assert done.code == 20
    assert "is not allowed" in done.err
    assert len(done.err) < 5_000


@pytest.mark.parametrize("place", ["\0", "a\0b", "\ud800x"])
def test_what_is_no_path_at_all_is_typed(place: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="its path"):
        library.stage(place, out=str(tmp_path / "d.tgz"), store=Store(str(tmp_path / "s")))
    with pytest.raises(Unreadable, match="its path"):
        SourceTree.read(place)
    with pytest.raises(CannotRead, match="its path"):
        Store(place)
