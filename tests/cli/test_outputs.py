"""Every command that writes a file or a folder, against every kind of place that `-o` can name."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Done
from small_droplets import PROCFILE, small_droplet

from stager import cli
from stager.cli.commands import MODULES
from stager.cli.commands.arguments import parser_of

FILES: dict[str, list[str]] = {
    "stage": ["APP", "--offline"],
    "bundle export": ["APP", "--offline"],
    "export oci": ["DROPLET", "--base", "scratch", "--format", "archive"],
    "export cloudfoundry": ["DROPLET"],
    "export heroku": ["DROPLET"],
    "export bosh": ["DROPLET"],
    "export tar": ["DROPLET"],
    "export systemd": ["DROPLET"],
    "export chef": ["DROPLET", "--url", "https://example.org/droplet.tgz"],
    "export capistrano": ["DROPLET"],
    "report": ["DROPLET"],
    "sbom": ["DROPLET", "--offline"],
    "receipt": ["DROPLET"],
    "attest": ["DROPLET", "--source", "APP", "--key", "KEY", "--offline", "-q"],
    "rebase": ["IMAGE", "--onto-root", "ROOT"],
    "box catalog": ["debian-12", "--boxes", "BOXES"],
    "verify": ["DROPLET", "--source", "APP", "--conditions", "path", "--offline", "-q"],
}
"""Commands that write one file, with what else they need. The place is given with `-o`, or as `OPTION` says."""
OPTION = {"verify": "--junit"}
FOLDERS: dict[str, list[str]] = {
    "export oci": ["DROPLET", "--base", "scratch"],
    "export openshift": ["DROPLET", "--base", "scratch", "--image", "host/team/app"],
    "export openshift --s2i-builder": [],
}
ELSEWHERE = {"box lock", "box build"}
"""They write what a network or a build gives; their writers are those of `box catalog` and `export oci`."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files that commands start from. Tests leave them as they are."""
    from stager.evidence.provenance import keys
    from stager.formats.tar import END

    folder = tmp_path_factory.mktemp("outputs")
    droplet = small_droplet(folder, {"Procfile": PROCFILE})
    store = folder / "store"
    assert cli.main(["lock", str(folder / "app"), "--cache-dir", str(store), "--offline"]) == 0
    assert cli.main(["stage", str(folder / "app"), "--cache-dir", str(store), "-o", str(droplet)]) == 0
    keys.make(str(folder / "key"))
    (folder / "root.tar").write_bytes(END)
    (folder / "boxes").mkdir()
    (folder / "boxes/debian-12-amd64-docker.box").write_bytes(b"a box")
    image = folder / "image.tar"
    command = ["export", "oci", str(droplet), "--base-root", str(folder / "root.tar"), "-o", str(image)]
    assert cli.main([*command, "--cache-dir", str(store)]) == 0
    names = {"APP": "app", "DROPLET": "droplet.tgz", "KEY": "key", "IMAGE": "image.tar", "ROOT": "root.tar"}
    return {**{word: folder / name for word, name in names.items()}, "BOXES": folder / "boxes", "STORE": store}


@pytest.fixture
def run(made: dict[str, Path], capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Done]:
    """Run a command of the tables here, in this process, with its output at a place."""

    def command(words: str, place: object, table: dict[str, list[str]] = FILES, *more: str) -> Done:
        name, _, option = words.partition(" --")
        arguments = [str(made.get(word, word)) for word in table[words]]
        where = f"--{option}" if option else OPTION.get(words, "-o")
        capfdbinary.readouterr()
        code = cli.main([*name.split(), *arguments, where, str(place), "--cache-dir", str(made["STORE"]), *more])
        return Done(code, *(text.decode() for text in capfdbinary.readouterr()))

    return command


def test_the_tables_know_every_command_that_has_an_output() -> None:
    found = set()
    for words in MODULES:
        if {"output", "junit", "keep"} & {action.dest for action in parser_of(words)._actions}:
            found.add(words)
    assert found == {*FILES, *(words.partition(" --")[0] for words in FOLDERS), *ELSEWHERE}


def wanted(run: Callable[..., Done], words: str, folder: Path) -> bytes:
    """What a command writes into a new file."""
    assert run(words, folder / "plain").code == 0
    data = (folder / "plain").read_bytes()
    (folder / "plain").unlink()
    assert data
    return data


def same(words: str, found: bytes, expected: bytes) -> bool:
    """Whether a command wrote the same again; only a report of verifying says how long that took."""
    return found == expected or (
        words == "verify" and found[:40] == expected[:40] and found.endswith(b"</testsuites>\n")
    )


@pytest.mark.parametrize("words", FILES)
def test_every_command_writes_through_links_and_into_what_is_no_file(
    words: str, run: Callable[..., Done], tmp_path: Path
) -> None:
    expected = wanted(run, words, tmp_path)
    (tmp_path / "real").write_bytes(expected[: len(expected) // 2])  # an earlier one, of which half is lost
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("made")
    os.mkfifo(tmp_path / "fifo")
    names = ["dangling", "fifo", "link", "made", "real"]
    assert run(words, tmp_path / "link").code == 0
    assert (tmp_path / "link").readlink() == Path("real")
    assert same(words, (tmp_path / "real").read_bytes(), expected)
    assert run(words, tmp_path / "dangling").code == 0
    assert same(words, (tmp_path / "made").read_bytes(), expected)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    assert run(words, tmp_path / "fifo").code == 0
    reader.join()
    assert same(words, got[0], expected)
    if os.geteuid() == 0:
        names += ["null"]
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        for _ in range(2):
            assert run(words, tmp_path / "null").code == 0
            assert stat.S_ISCHR((tmp_path / "null").lstat().st_mode)
    assert sorted(os.listdir(tmp_path)) == sorted(names)


@pytest.mark.parametrize("words", FILES)
def test_a_dash_is_standard_output_which_then_holds_nothing_else(
    words: str,
    made: dict[str, Path],
    run: Callable[..., Done],
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    expected = wanted(run, words, tmp_path)
    arguments = [str(made.get(word, word)) for word in FILES[words]]
    command = [*words.split(), *arguments, OPTION.get(words, "-o"), "-", "--cache-dir", str(made["STORE"])]
    capfdbinary.readouterr()
    assert cli.main(command) == 0
    assert same(words, capfdbinary.readouterr().out, expected)
    assert cli.main([*command, "--json"]) == 2
    document = json.loads(capfdbinary.readouterr().out)
    assert document["error"]["message"] == "--json and the output both go to standard output"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("words", FILES)
def test_every_command_refuses_what_it_cannot_write_and_says_why(
    words: str, run: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    whys = {
        tmp_path / "folder": "a file is to be written, and this is a folder",
        tmp_path / "a": "its symbolic links lead in a circle",
        tmp_path / "gone/file": f"there is no folder {tmp_path / 'gone'} [CannotWrite]\n",
        Path("/dev/full"): "No space left on device",
    }
    for place, why in whys.items():
        done = run(words, place)
        assert done.code == 70, done.err
        assert f"cannot be written: {why}" in done.err
        assert "Traceback" not in done.err
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "folder"]


@pytest.mark.parametrize(
    "words", [words for words in FILES if {"DROPLET", "IMAGE"} & {*FILES[words]} and words != "rebase"]
)
def test_what_a_command_reads_is_not_what_it_writes(
    words: str, made: dict[str, Path], run: Callable[..., Done], tmp_path: Path
) -> None:
    before = hashlib.sha256(made["DROPLET"].read_bytes()).digest()
    (tmp_path / "link").symlink_to(made["DROPLET"])
    for place in (made["DROPLET"], tmp_path / "link"):
        done = run(words, place)
        assert done.code == 2
        assert "is what is read, and would be replaced" in done.err
    assert hashlib.sha256(made["DROPLET"].read_bytes()).digest() == before


@pytest.mark.parametrize("words", FILES)
def test_no_command_replaces_what_stager_did_not_write(
    words: str, made: dict[str, Path], run: Callable[..., Done], tmp_path: Path
) -> None:
    app = shutil.copytree(made["APP"], tmp_path / "app")
    (app / "app.py").write_bytes(b"print('mine')\n")
    (app / "data.json").write_bytes(b'{"mine": true}')
    (app / "data.tgz").write_bytes(gzip.compress(b"mine" * 400))
    (app / "link").symlink_to("app.py")
    (tmp_path / "notes").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for place in (
        app / "app.py",
        app / "data.json",
        app / "data.tgz",
        app / "link",
        tmp_path / "notes",
        app / "Procfile",
    ):
        done = run(words, place)
        assert done.code == 2, f"{place}: {done.err}"
        assert "would be replaced" in done.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    (app / "empty").touch()
    for _ in range(2):  # what it wrote itself, it replaces
        assert run(words, app / "empty").code == 0
        assert run(words, tmp_path / "new").code == 0


@pytest.mark.parametrize("words", sorted({*FILES} - {"stage"}))
def test_a_missing_folder_is_told_before_any_work(words: str, run: Callable[..., Done], tmp_path: Path) -> None:
    """An input that is not there would be told first otherwise."""
    for place in (tmp_path / "gone/file", tmp_path / "gone/deeper/file"):
        done = run(words, place, {words: ["NOWHERE" if word.isupper() else word for word in FILES[words]]})
        assert done.code == 70, done.err
        assert (
            f"cannot be written: there is no folder {place.parent} [CannotWrite]\n  Make it (mkdir -p {place.parent})"
            in done.err
        )
        assert "space" not in done.err


@pytest.mark.parametrize("words", FOLDERS)
def test_every_folder_is_whole_and_replaces_only_its_like(words: str, run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/theirs").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("real")
    for name in ("new", "empty", "link", "new/"):
        assert run(words, f"{tmp_path}/{name}", FOLDERS).code == 0
    assert (tmp_path / "link").is_symlink()
    contents = [
        sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*")) for n in ("new", "empty", "real")
    ]
    assert contents[0] == contents[1] == contents[2] != []
    for place in (tmp_path / "full", tmp_path / "file", tmp_path / "gone/x"):
        done = run(words, place, FOLDERS)
        assert (done.code, "cannot be written" in done.err) == (70, True), done.err
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "full", "link", "new", "real"]
    assert os.listdir(tmp_path / "full") == ["theirs"]


PRINTS = [
    "detect APP", "plan APP --offline", "inspect DROPLET", "diff DROPLET APP", "diff DROPLET APP --markdown",
    "verify DROPLET --source APP --conditions umask --offline", "verify --conditions list", "explain -C APP",
    "sbom DROPLET --offline", "receipt DROPLET", "attest DROPLET --source APP --key KEY --offline",
    "bundle export APP --offline -o OUT", "export oci DROPLET --base scratch -o OUT", "export heroku DROPLET -o OUT",
    "export openshift DROPLET --base scratch --image host/team/app -o OUT", "export capistrano DROPLET -o OUT",
    "rebase IMAGE --onto scratch -o OUT", "deploy DROPLET --to plain=OUT", "stage APP -o OUT --offline", "status APP",
    "check APP", "box list", "box catalog debian-12 --boxes BOXES -o OUT", "cache info", "cache verify", "cache gc", "--help",
    "box --help",
]  # fmt: skip
"""Commands that print a result, with `--json` or without."""


@pytest.mark.parametrize("buffering", [1, -1])
@pytest.mark.parametrize("line", PRINTS)
def test_a_full_standard_output_is_called_that(
    line: str, buffering: int, made: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = {**made, "OUT": tmp_path / "out", "plain=OUT": f"plain={tmp_path / 'out'}"}
    words = [str(given.get(word, word)) for word in line.split()]
    store = [] if words[-1] == "--help" else ["--cache-dir", str(made["STORE"])]
    with open("/dev/full", "w", buffering) as full, contextlib.redirect_stdout(full):
        assert cli.main([*words, *store]) == 70
    err = capfd.readouterr().err
    assert "stager: standard output: cannot be written: No space left on device [CannotWrite]\n" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("place", [os.devnull, "-"])
@pytest.mark.parametrize("words", [words for words in FOLDERS if words != "export oci"])
def test_no_folder_goes_into_a_device(words: str, place: str, run: Callable[..., Done]) -> None:
    done = run(words, place, FOLDERS)
    assert (done.code, done.out, "cannot be written" in done.err) == (70, "", True)


def test_an_image_goes_into_a_device_as_an_archive(run: Callable[..., Done], tmp_path: Path) -> None:
    assert run("export oci", tmp_path / "a.tar").code == 0
    done = run("export oci", os.devnull, FOLDERS)
    assert done.code == 0
    assert os.stat(os.devnull).st_size == 0


@pytest.mark.parametrize("name", ["serve", "./link", "stager.lock", ".gitignore", "Procfile"])
def test_no_staging_replaces_a_file_of_the_app(
    name: str, made: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made["APP"], tmp_path / "app")
    (tmp_path / "app/link").symlink_to("serve")
    (tmp_path / "app/.gitignore").write_text("x\n")
    before = {path.name: path.read_bytes() for path in (tmp_path / "app").iterdir() if path.is_file()}
    for command in ("stage", "bundle export"):
        words = [*command.split(), str(tmp_path / "app"), "-o", f"{tmp_path}/app/{name}", "--offline", "--cache-dir"]
        assert cli.main([*words, str(made["STORE"])]) == 2
        assert "of the app" in capfd.readouterr().err or command != "stage"
    assert {path.name: path.read_bytes() for path in (tmp_path / "app").iterdir() if path.is_file()} == before


def test_a_staging_replaces_the_droplet_of_another(made: dict[str, Path], tmp_path: Path) -> None:
    """Whatever store made it, and under whatever name: it is no file of the app."""
    shutil.copytree(made["APP"], tmp_path / "app")
    shutil.copy(made["DROPLET"], tmp_path / "app/old.bin")
    words = ["stage", str(tmp_path / "app"), "-o", str(tmp_path / "app/old.bin"), "--offline", "--cache-dir"]
    assert cli.main([*words, str(tmp_path / "store")]) == 0


def test_a_staging_that_changes_nothing_still_fills_a_pipe(run: Callable[..., Done], tmp_path: Path) -> None:
    """Only a regular file can be as it was left."""
    for _ in range(2):
        with (tmp_path / "out").open("wb") as file:
            assert run("stage", f"/dev/fd/{file.fileno()}").code == 0
        assert (tmp_path / "out").read_bytes()[:2] == b"\x1f\x8b"


@pytest.mark.parametrize("place", [os.devnull, "-"])
def test_a_stack_is_not_built_into_what_is_no_folder(
    place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["box", "build", "debian-12", "-o", place, "--offline", "--cache-dir", str(tmp_path)]) == 70
    assert "cannot be written: it is no folder" in capfd.readouterr().err


@pytest.mark.parametrize("buffering", [1, -1])
def test_a_run_that_can_tell_nobody_where_it_listens_ends(
    buffering: int, made: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", buffering) as full, contextlib.redirect_stdout(full):
        assert cli.main(["run", str(made["DROPLET"]), "--json", "--cache-dir", str(made["STORE"])]) == 70
    err = capfd.readouterr().err
    assert "stager: standard output: cannot be written: No space left on device [CannotWrite]\n" in err
    assert "Traceback" not in err


def test_a_place_is_said_as_shortly_as_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stager.cli.commands.shared import where

    deep = tmp_path / "a/b/c"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert where("d.tgz") == "d.tgz"
    assert where(str(deep / "x/d.tgz")) == "x/d.tgz"
    assert where(str(tmp_path / "a/b/d.tgz")) == "../d.tgz"
    assert where("../../d.tgz") == str(tmp_path / "a/d.tgz")
    assert where(str(tmp_path / "d.tgz")) == str(tmp_path / "d.tgz")
    assert where("/d.tgz") == "/d.tgz"
    assert where("-") == "-"
    assert where("/dev/stdout") == "standard output"
    monkeypatch.chdir("/")
    assert where("/usr/d.tgz") == "usr/d.tgz"
    monkeypatch.chdir("/usr")
    assert where("/d.tgz") == "/d.tgz"
