"""Writing outputs: whole or not at all, through links, into devices; and what a killed writer left."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stager.errors import Cancelled, CannotWrite, UsageError
from stager.files import writing
from stager.files.filling import FolderOutput
from stager.files.temporary import folder, tidy

LEFT = ".out.0123456789ab.part"


def refusal(path: object, **options: bool) -> tuple[str, str]:
    with pytest.raises(CannotWrite) as caught:
        writing.write(str(path), b"new", **options)
    return caught.value.message.removeprefix("cannot be written: "), caught.value.hint


# --- files -----------------------------------------------------------------------------------------------------


def half(path: Path) -> None:
    with writing.Output(str(path)) as output:
        output.write(b"half")
        raise ZeroDivisionError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        half(out)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out": b"old"}
    with writing.Output(str(out)) as output:
        output.write(b"ne")
        output.write(memoryview(b"w"))
        assert out.read_bytes() == b"old"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out": b"new"}


@pytest.mark.parametrize("target", ["real", "sub/real", "../{name}/real", "{path}/real"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_last_target_is_written(tmp_path: Path, target: str, exists: bool) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "out").symlink_to("second")
    (tmp_path / "second").symlink_to(target.format(name=tmp_path.name, path=tmp_path))
    real = tmp_path / ("sub/real" if target.startswith("sub") else "real")
    if exists:
        real.write_bytes(b"old")
    before = {path.name for path in tmp_path.iterdir()} | {"real"} - {"sub"}
    writing.write(str(tmp_path / "out"), b"new")
    assert (tmp_path / "out").readlink() == Path("second")
    assert (tmp_path / "second").is_symlink()
    assert real.read_bytes() == b"new"
    assert {path.name for path in tmp_path.iterdir()} <= before


def test_permissions_are_the_umasks_or_those_of_the_file_before(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        writing.write(str(tmp_path / "new"), b"")
        (tmp_path / "kept").touch(0o600)
        (tmp_path / "kept").chmod(0o604)
        writing.write(str(tmp_path / "kept"), b"")
        writing.write(str(tmp_path / "exact"), b"", 0o755, exact=True)
        with FolderOutput(str(tmp_path / "folder")):
            pass
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"new": 0o640, "kept": 0o604, "exact": 0o755, "folder": 0o750}


@pytest.mark.tools  # root makes devices
def test_a_device_is_written_into(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(tmp_path / "full", 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    (tmp_path / "link").symlink_to("null")
    for name in ("null", "link"):
        writing.write(str(tmp_path / name), b"x" * 5000)
    assert refusal(tmp_path / "full") == ("No space left on device", "Free some space or choose another place.")
    assert stat.S_ISCHR((tmp_path / "null").lstat().st_mode)
    assert stat.S_ISCHR((tmp_path / "full").lstat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["full", "link", "null"]


def test_the_null_device_takes_what_is_written() -> None:
    """Of a caller who may not replace it in any case."""
    before = os.stat(os.devnull)
    writing.write(os.devnull, b"x")
    assert os.stat(os.devnull).st_ino == before.st_ino


def test_a_fifo_is_written_into_once_somebody_reads_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    got: list[bytes] = []
    reader = threading.Timer(0.2, lambda: got.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    writing.write(str(tmp_path / "fifo"), b"x" * 200_000)
    reader.join()
    assert got == [b"x" * 200_000]
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_waiting_for_a_fifos_reader_can_be_cancelled(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    asked = iter([False, False, True])
    with pytest.raises(Cancelled), writing.Output(str(tmp_path / "fifo"), stop=lambda: next(asked)):
        pass


@pytest.mark.parametrize("form", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/{pid}/fd/{}", "link", "/dev/stdout"])
def test_a_descriptor_of_this_process_is_written_into_where_it_is(tmp_path: Path, form: str) -> None:
    """A file that the caller has open keeps what is in it: a rename would write beside the caller's descriptor."""
    (tmp_path / "log").write_bytes(b"before ")
    code = f"""
import os, sys
from stager.files import writing
number = 1 if {form!r} == "/dev/stdout" else os.open({str(tmp_path / "log")!r}, os.O_WRONLY | os.O_APPEND)
path = {form!r}.format(number, pid=os.getpid())
if path == "link":
    os.symlink(f"/dev/fd/{{number}}", {str(tmp_path / "link")!r})
    path = {str(tmp_path / "link")!r}
assert writing.final(path) == ""
assert writing.is_stdout(path) == (number == 1)
writing.write(path, b"one ")
writing.write(path, b"two ")
os.write(number, b"end")
"""
    with open(tmp_path / "log", "ab") as log:
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True)
    assert (tmp_path / "log").read_bytes() == b"before one two end"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_a_descriptor_that_does_not_block_takes_all(tmp_path: Path) -> None:
    reading, writer = os.pipe()
    os.set_blocking(writer, False)
    got: list[bytes] = []

    def read() -> None:
        time.sleep(0.1)
        with os.fdopen(reading, "rb") as stream:
            got.append(stream.read())

    thread = threading.Thread(target=read)
    thread.start()
    writing.write(f"/dev/fd/{writer}", b"x" * 1_000_000)
    os.close(writer)
    thread.join()
    assert len(got[0]) == 1_000_000


# --- refusals --------------------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_said_with_how_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "nowhere").symlink_to("gone/file")
    folder = ("a file is to be written, and this is a folder", "Name a file in it.")
    circle = ("its symbolic links lead in a circle", "Remove the links, or choose another place.")
    gone = tmp_path / "gone"
    missing = (f"there is no folder {gone}", f"Make it (mkdir -p {gone}), or choose another place.")
    assert refusal(tmp_path / "folder") == folder
    assert refusal(tmp_path / "to-folder") == folder
    assert refusal(f"{tmp_path}/new/") == folder
    assert refusal(f"{tmp_path}/.") == folder
    assert refusal("") == folder
    assert refusal(tmp_path / "a") == circle
    assert refusal(tmp_path / "a/x") == circle
    assert refusal(gone / "file") == missing
    assert refusal(tmp_path / "nowhere") == missing
    assert refusal(tmp_path / "file/x") == (f"{tmp_path / 'file'} is no folder", "Choose another place.")
    assert refusal("a\0b") == ("embedded null byte", "Choose another place.")
    assert refusal("x" * 300) == ("File name too long", "Choose another place.")
    assert refusal("/dev/fd/987654") == ("Bad file descriptor", "Open that descriptor, or name a file.")
    assert refusal(tmp_path / "file", new=True) == ("it is there already", "Choose another place.")
    assert refusal(tmp_path / "nowhere", new=True) == ("it is there already", "Choose another place.")
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


def test_a_name_as_long_as_a_name_may_be_is_written(tmp_path: Path) -> None:
    for name in ("x" * 255, "ü" * 127):
        writing.write(str(tmp_path / name), b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(os.listdir(tmp_path)) == 2


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    """Root may write everywhere, so it becomes somebody else for this."""
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                for path in (tmp_path, *tmp_path.parents[:-2]):
                    path.chmod(0o755)
                os.setuid(65534)
            _denied(tmp_path)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def _denied(folder: Path) -> None:
    if os.geteuid() == folder.stat().st_uid:
        folder.chmod(0o555)
    cause, hint = refusal(folder / "file")
    assert cause == f"the folder {folder} may not be written to: Permission denied"
    assert hint == writing._BESIDE


@pytest.mark.tools  # root becomes another user
def test_another_users_link_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    """As the kernel refuses to (`fs.protected_symlinks`): it may have been put there for whoever comes."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "victim").write_bytes(b"precious")
    (shared / "out").symlink_to(tmp_path / "victim")
    os.lchown(shared / "out", 12345, 12345)
    cause, _ = refusal(shared / "out")
    assert cause == f"{shared / 'out'} is another user's symbolic link, in a folder that everybody may write to"
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_an_output_is_kept_apart_from_what_it_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "droplet").touch()
    (tmp_path / "link").symlink_to("droplet")
    (tmp_path / "other").touch()
    for out in ("droplet", "link", "./droplet"):
        with pytest.raises(UsageError, match="is what is read, and would be replaced"):
            writing.keep_apart(f"{tmp_path}/{out}", str(tmp_path / "droplet"))
    writing.keep_apart(str(tmp_path / "other"), str(tmp_path / "droplet"), "")
    writing.keep_apart(str(tmp_path / "new"), str(tmp_path / "droplet"), str(tmp_path / "missing"))


# --- folders ---------------------------------------------------------------------------------------------------


def fill(path: Path | str, marker: str = "mark", text: str = "new") -> None:
    with FolderOutput(str(path), marker, "something else is there") as part:
        Path(part, marker).write_text(text)


def test_a_folder_appears_whole_and_replaces_its_like(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(out, text="old")
    with pytest.raises(ZeroDivisionError), FolderOutput(str(out), "mark") as part:
        Path(part, "half").write_text(str(1 // 0))
    assert (out / "mark").read_text() == "old"
    fill(f"{out}/")
    assert (out / "mark").read_text() == "new"
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty")
    (tmp_path / "link").symlink_to("out")
    fill(tmp_path / "link", text="through")
    assert (out / "mark").read_text() == "through"
    (tmp_path / "dangling").symlink_to("made")
    fill(tmp_path / "dangling")
    assert (tmp_path / "made/mark").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["dangling", "empty", "link", "made", "out"]


def test_a_folder_of_somebody_elses_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/theirs").touch()
    (tmp_path / "file").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    theirs, current = "something else is there", "it is the current folder, or above it"
    gone = f"there is no folder {tmp_path / 'gone'}"
    for name, why in {"full": theirs, "file": theirs, "here": current, ".": current, "gone/x": gone}.items():
        with pytest.raises(CannotWrite) as caught:
            fill(tmp_path / name)
        assert caught.value.message == f"cannot be written: {why}"
    for path in (os.devnull, "/dev/stdout", "."):
        with pytest.raises(CannotWrite):
            fill(path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "here", "theirs"]


# --- what killed writers left ----------------------------------------------------------------------------------


def killed(code: str) -> None:
    """Run Python code that waits, and kill it once it says that it does."""
    child = subprocess.Popen([sys.executable, "-c", f"{code}\nprint('waits', flush=True)\nimport time; time.sleep(60)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"waits\n"
    child.kill()
    child.wait()
    child.stdout.close()


@pytest.mark.parametrize("kind", [writing.Output, FolderOutput])
def test_a_killed_writers_part_goes_with_the_next_of_that_name(tmp_path: Path, kind: type) -> None:
    killed(f"from {kind.__module__} import {kind.__name__} as kind\nkind({str(tmp_path / 'out')!r}).__enter__()")
    (left,) = os.listdir(tmp_path)
    assert writing.is_part(left, "out")
    writing.write(str(tmp_path / "other"), b"")
    assert left in os.listdir(tmp_path)
    writing.write(str(tmp_path / "out"), b"")
    assert sorted(os.listdir(tmp_path)) == ["other", "out"]


@pytest.mark.parametrize("kind", [writing.Output, FolderOutput])
def test_a_living_writers_part_stays(tmp_path: Path, kind: type) -> None:
    first, second = (kind(str(tmp_path / "out")) for _ in range(2))
    with first:
        writing.sweep(str(tmp_path / "out"))
        with second:
            assert len(os.listdir(tmp_path)) == 2
        assert len(os.listdir(tmp_path)) == 2
    assert os.listdir(tmp_path) == ["out"]


def test_only_what_stager_makes_is_ever_swept(tmp_path: Path) -> None:
    ours = [".other.0123456789ab.part", ".out.tgz.0123456789ab.part", "..out.0123456789ab.part"]
    names = [*ours, ".out.part", ".out.0123456789ab.parts", ".out.0123456789AB.part", ".out.0123456789abc.part"]
    names += ["out.0123456789ab.part", "..0123456789ab.part", ".0123456789ab.part", ".out.0123456789ab.part~"]
    names += [".out.0123456789a.part"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / ".out.aaaaaaaaaaaa.part").symlink_to("out")
    os.mkfifo(tmp_path / ".out.bbbbbbbbbbbb.part")
    if os.geteuid() == 0:
        (tmp_path / ".out.cccccccccccc.part").touch()
        os.chown(tmp_path / ".out.cccccccccccc.part", 12345, 12345)
    (tmp_path / LEFT).touch()
    before = set(os.listdir(tmp_path))
    writing.write(str(tmp_path / "out"), b"")
    assert before - set(os.listdir(tmp_path)) == {LEFT}
    assert [name for name in names if writing.is_part(name)] == ours


def test_a_part_that_is_swept_before_its_writer_holds_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, swept = writing.hold, [False]

    def late(handle: int, path: str) -> bool:
        if not swept[0]:
            swept[0] = True
            assert writing.remove_left(path)
        return plain(handle, path)

    monkeypatch.setattr(writing, "hold", late)
    writing.write(str(tmp_path / "out"), b"new")
    assert swept[0]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out": b"new"}


def test_where_files_cannot_be_locked_nothing_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (tmp_path / LEFT).touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    writing.write(str(tmp_path / "out"), b"new")
    assert sorted(os.listdir(tmp_path)) == [LEFT, "out"]


def test_many_writers_of_one_output_do_not_meet(tmp_path: Path) -> None:
    """Sixteen at once, each sweeping: one of them is there at last, whole, and nothing else."""
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                writing.write(str(tmp_path / "out"), bytes([number]) * 100_000)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = (tmp_path / "out").read_bytes()
    assert (failed, os.listdir(tmp_path)) == ([], ["out"])
    assert data == data[:1] * 100_000


# --- temporary folders -----------------------------------------------------------------------------------------


def test_a_temporary_folder_goes_with_its_owner_or_with_the_next(tmp_path: Path) -> None:
    killed(
        "from stager.files.temporary import folder\n"
        f"from pathlib import Path\nmade = folder('app', {str(tmp_path)!r})\nPath(made.__enter__(), 'x').touch()"
    )
    (left,) = os.listdir(tmp_path)
    for name in ("stager-app-mine", "stager-0123456789abcdef", "stager-app-0123456789abcdef0"):
        (tmp_path / name).mkdir()
    with folder("app", str(tmp_path)) as first, folder("verify", str(tmp_path)) as second:
        assert stat.S_IMODE(os.stat(first).st_mode) == 0o700
        tidy(str(tmp_path)).join()
        assert {os.path.basename(first), os.path.basename(second)} < set(os.listdir(tmp_path))
        assert left not in os.listdir(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [
        "stager-0123456789abcdef",
        "stager-app-0123456789abcdef0",
        "stager-app-mine",
    ]


def test_no_room_for_a_temporary_folder_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite), folder("app", str(tmp_path / "gone")):
        pass


def test_many_owners_of_temporary_folders_do_not_meet(tmp_path: Path) -> None:
    """Each looks for what others left; one that has been made and is not held yet may go, and is made again."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(40):
                with folder("app", str(tmp_path)) as place:
                    assert os.path.isdir(place)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_folder_that_is_swept_before_it_is_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, swept = writing.hold_folder, [False]

    def late(path: str) -> int:
        if not swept[0]:
            swept[0] = True
            assert writing.remove_left(path)
        return plain(path)

    monkeypatch.setattr(writing, "hold_folder", late)
    with folder("app", str(tmp_path)) as place:
        assert os.listdir(tmp_path) == [os.path.basename(place)]
    swept[0] = False
    fill(tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]
