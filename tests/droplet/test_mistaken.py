"""What is given in a droplet's place and is none: every command that takes one says what it is, and how to get a droplet."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Done
from small_droplets import PROCFILE, small_droplet

from stager import cli
from stager.cli.commands import MODULES
from stager.cli.commands.arguments import parser_of

TAKES: dict[str, list[str]] = {
    "inspect": ["GIVEN"],
    "verify": ["GIVEN", "--source", "APP", "--conditions", "umask", "--offline"],
    "run": ["GIVEN"],
    "export oci": ["GIVEN", "--base", "scratch", "-o", "OUT"],
    "export openshift": ["GIVEN", "--base", "scratch", "--image", "host/team/app", "-o", "OUT"],
    "export cloudfoundry": ["GIVEN", "-o", "OUT"],
    "export heroku": ["GIVEN", "-o", "OUT"],
    "export bosh": ["GIVEN", "-o", "OUT"],
    "export tar": ["GIVEN", "-o", "OUT"],
    "export systemd": ["GIVEN", "-o", "OUT"],
    "export chef": ["GIVEN", "-o", "OUT", "--url", "https://example.org/d"],
    "export capistrano": ["GIVEN", "-o", "OUT"],
    "push oci": ["GIVEN", "localhost:1/shop"],
    "push cloudfoundry": ["GIVEN", "--app", "shop"],
    "push heroku": ["GIVEN", "--app", "shop"],
    "report": ["GIVEN", "-o", "OUT"],
    "sbom": ["GIVEN", "--offline"],
    "diff": ["GIVEN", "DROPLET"],
    "explain": ["layer", "-C", "APP", "--droplet", "GIVEN"],
    "receipt": ["GIVEN"],
    "attest": ["GIVEN", "--source", "APP", "--key", "KEY", "--offline"],
    "deploy": ["GIVEN", "--to", "heroku=shop"],
}
"""Every command that takes a droplet, with what else it needs."""
OTHERS = {
    "verify --against": ["verify", "--source", "APP", "--conditions", "umask", "--offline", "--against", "GIVEN"],
    "diff, second": ["diff", "DROPLET", "GIVEN"],
    "report, second": ["report", "DROPLET", "GIVEN", "-o", "OUT"],
}
LOOKS = {"report", "diff", "explain", "diff, second", "report, second"}
"""They look into many kinds of things, and name those when they refuse one."""
FOLDERS = {"run", "deploy", "diff", "explain", "diff, second"}
"""They take an app's folder, too."""
COMMANDS = [*TAKES, *OTHERS]
TEXT = b"root:x:0:0:root:/root:/bin/bash\n" * 40


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x", "y")
    return out.getvalue()


def tarred(mode: str, name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo(name)
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT))
    found: bytes = out.getvalue()
    return found


KINDS: dict[str, tuple[bytes, str]] = {
    "text": (TEXT, "text"),
    "empty": (b"", "empty"),
    "zip": (zipped(), "a zip archive"),
    "other.tgz": (tarred("w:gz", "home/x"), "a compressed tar of other files"),
    "other.tar": (tarred("w", "home/x"), "a tar that is not compressed"),
    "plain.gz": (gzip.compress(TEXT), "a compressed file, but no tar"),
    "xz": (b"\xfd7zXZ\0" + b"\xff" * 40, "compressed with xz"),
    "program": (b"\x7fELF" + bytes(100), "a program"),
    "key": (b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIxxxx\n", "a private key"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The real things that commands need beside what is given."""
    folder = tmp_path_factory.mktemp("mistaken")
    droplet = small_droplet(folder, {"Procfile": PROCFILE})
    for words in (
        ["lock", folder / "app", "--offline"],
        ["attest", "--make-key", folder / "key"],
        ["export", "oci", droplet, "--base", "scratch", "-o", folder / "image"],
        ["export", "oci", droplet, "--base", "scratch", "-o", folder / "image.tar"],
    ):
        assert cli.main([*map(str, words), "--cache-dir", str(folder / "store")]) == 0
    names = {"APP": "app", "DROPLET": "droplet.tgz", "KEY": "key", "OUT": "out", "STORE": "store"}
    return {word: folder / name for word, name in names.items()} | {"FOLDER": folder}


@pytest.fixture
def run(
    made: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run one of the commands here with something in the droplet's place; no platform is ever reached."""
    monkeypatch.setenv("CF_API", "https://127.0.0.1:1")
    monkeypatch.setenv("CF_USERNAME", "somebody")
    monkeypatch.setenv("CF_PASSWORD", "secret")
    monkeypatch.setenv("HEROKU_API_KEY", "key")

    def command(words: str, given: object, *more: str) -> Done:
        line = OTHERS.get(words) or [*words.split(), *TAKES[words]]
        line = [str(given) if word == "GIVEN" else str(made.get(word, word)) for word in line]
        capfd.readouterr()
        code = cli.main([*line, "--cache-dir", str(made["STORE"]), *more])
        return Done(code, *capfd.readouterr())

    return command


def test_the_table_knows_every_command_that_takes_a_droplet() -> None:
    found = set()
    for words in MODULES:
        if any("droplet" in f"{one.dest} {one.help}" and one.type is None for one in parser_of(words)._actions):
            found.add(words)
    found -= {"rebase", "push cloudfoundry", "promote cloudfoundry", "rollback cloudfoundry"}
    assert found <= {*TAKES, "promote heroku", "bundle import", "up", "provision"}
    assert {*TAKES} <= found | {"run", "push cloudfoundry"}


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("name", ["droplet.tgz", "no/such/droplet.tgz", "Procfile/droplet.tgz"])
def test_no_droplet_yet(words: str, name: str, made: dict[str, Path], run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "Procfile").touch()
    done = run(words, tmp_path / name)
    assert done.code == 20, done.err
    assert f"{tmp_path / name}: cannot be read: there is no such file [NoDroplet]\n" in done.err
    assert "'stager stage'" in done.err
    assert "permissions" not in done.err
    assert not made["OUT"].exists()


@pytest.mark.parametrize("words", COMMANDS)
def test_what_is_no_droplet_is_called_what_it_is(
    words: str, made: dict[str, Path], run: Callable[..., Done], tmp_path: Path
) -> None:
    for name, (data, what) in KINDS.items():
        (tmp_path / name).write_bytes(data)
        done = run(words, tmp_path / name)
        assert "hostile" not in done.err, f"{name}: {done.err}"
        assert "malformed" not in done.err, f"{name}: {done.err}"
        if name == "other.tar" and words == "verify --against":
            continue  # it may be a plain tar that was exported, and is compared
        if words in LOOKS:
            assert done.code == 2, f"{name}: {done.err}"
            assert "Give a droplet" in done.err
        elif name == "other.tar" and words == "push oci":
            assert (done.code, "it is no image" in done.err) == (70, True), done.err
        else:
            assert done.code in (60, 70 if words == "push oci" else 60), f"{name}: {done.err}"
            assert what in done.err, f"{name}: {done.err}"
        assert not made["OUT"].exists()


@pytest.mark.parametrize("words", sorted({*COMMANDS} - FOLDERS))
def test_a_folder_is_no_droplet(words: str, made: dict[str, Path], run: Callable[..., Done], tmp_path: Path) -> None:
    done = run(words, made["APP"])
    assert done.code in (2, 60, 70)
    assert "Correct its permissions" not in done.err
    assert "a folder" in done.err or "no image" in done.err


@pytest.mark.parametrize("words", sorted({*TAKES} - LOOKS - {"push oci", "run", "deploy"}))
@pytest.mark.parametrize("image", ["image", "image.tar"])
def test_an_image_is_no_droplet(words: str, image: str, made: dict[str, Path], run: Callable[..., Done]) -> None:
    done = run(words, made["FOLDER"] / image)
    assert done.code == 60
    what = "a folder with an image in it (an OCI layout)" if image == "image" else "an image archive"
    assert f"{image}: is no droplet: it is {what} [NotADroplet]\n" in done.err


@pytest.mark.parametrize("words", COMMANDS)
def test_a_lock_is_no_droplet(words: str, made: dict[str, Path], run: Callable[..., Done]) -> None:
    if words.startswith("diff"):
        return  # it compares plans, too
    done = run(words, made["APP"] / "stager.lock")
    assert done.code in (2, 60, 70)
    assert "a lock" in done.err or "a plan" in done.err or "the plan" in done.err
    assert "hostile" not in done.err


def test_a_droplet_that_was_cut_short_or_changed_is_no_attack(
    made: dict[str, Path], run: Callable[..., Done], tmp_path: Path
) -> None:
    whole = made["DROPLET"].read_bytes()
    for name, data in {"cut": whole[: len(whole) // 2], "changed": whole[:300] + b"####" + whole[304:]}.items():
        (tmp_path / name).write_bytes(data)
        for words in ("inspect", "export heroku", "sbom"):
            done = run(words, tmp_path / name)
            assert done.code == 60
            assert "It was changed or cut short after it was made" in done.err


@pytest.mark.parametrize("name", ["gone.tar", "text", "empty", "zip", "plain.gz", "folder"])
def test_what_is_no_bundle_is_called_what_it_is(
    name: str, made: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif name in KINDS:
        (tmp_path / name).write_bytes(KINDS[name][0])
    code = cli.main(["bundle", "import", str(tmp_path / name), "--cache-dir", str(made["STORE"])])
    err = capfd.readouterr().err
    assert code == (20 if name == "gone.tar" else 50)
    assert "Name the file that 'stager bundle export' wrote." in err
    what = "a folder" if name == "folder" else "there is no such file" if name == "gone.tar" else KINDS[name][1]
    assert what in err
