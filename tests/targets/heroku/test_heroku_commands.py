"""The commands for Heroku as users type them, against the contract server; no secret comes out on any way."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from command import Done, in_process
from heroku_server import App, Fault, Heroku
from small_droplets import PROCFILE, small_droplet

TOKEN = "HRKU-c4n4ry+t0ken/=ab"


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_droplet(tmp_path_factory.mktemp("heroku"), {"Procfile": PROCFILE + "release: echo migrated\n"})


@pytest.fixture
def heroku() -> Iterator[Heroku]:
    with Heroku(TOKEN, {"shop": App(), "shop-production": App(), "theirs": App(forbidden=True)}) as server:
        yield server


def run(heroku: Heroku, folder: Path, *arguments: object, **variables: str) -> Done:
    """A command with a home of its own whose netrc holds the token, and no key in the environment."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / ".netrc").write_text(f"machine 127.0.0.1\n  login a@b.example\n  password {TOKEN}\n")
    (home / ".netrc").chmod(0o600)
    settings = {"HOME": str(home), "HEROKU_HOST": heroku.url, "HEROKU_API_KEY": "", **variables}
    done = in_process(*arguments, store=folder / "store", cwd=folder, **settings)
    assert_no_secret(done.out + done.err, TOKEN)
    return done


def assert_no_secret(text: str, secret: str) -> None:
    """No form of a secret, nor of a handed-out address, is in what people or programs see."""
    raw = secret.encode()
    forms = {secret, quote(secret, safe=""), raw.hex(), base64.b64encode(raw).decode().rstrip("=")}
    forms |= {base64.urlsafe_b64encode(raw).decode().rstrip("="), base64.b64encode(b":" + raw).decode().rstrip("=")}
    found = [form for form in [*forms, repr(raw)[2:-1], "SECRET-"] if form in text]
    assert not found


def test_push_and_promote(heroku: Heroku, droplet: Path, tmp_path: Path) -> None:
    pushed = run(heroku, tmp_path, "push", "heroku", droplet, "--app", "shop", "--json").good()
    document = pushed.document
    (slug,) = heroku.apps["shop"].slugs.values()
    data = heroku.blobs[slug["key"]]
    assert document == {
        "app": "shop",
        "slug": slug["id"],
        "release": "v1",
        "changed": True,
        "digest": "sha256:" + hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "droplet": "sha256:" + hashlib.sha256(droplet.read_bytes()).hexdigest(),
    }
    assert "migrating\ndone\n" in pushed.err
    assert slug["process_types"] == {"web": "./serve", "worker": "sleep 600", "release": "echo migrated"}
    again = run(heroku, tmp_path, "push", "heroku", droplet, "--app", "shop").good()
    assert again.out == f"{slug['id']}\n"
    assert "shop runs this as v1, as before" in again.err
    promoted = run(heroku, tmp_path, "promote", "heroku", "--from", "shop", "--app", "shop-production", "--json").good()
    assert promoted.document["slug"] == heroku.apps["shop-production"].running() == slug["id"]


def test_what_is_pushed_is_what_export_writes(heroku: Heroku, droplet: Path, tmp_path: Path) -> None:
    exported = run(heroku, tmp_path, "export", "heroku", droplet, "-o", "slug.tgz").good()
    run(heroku, tmp_path, "push", "heroku", droplet, "--app", "shop", HEROKU_API_KEY=TOKEN).good()
    (blob,) = heroku.blobs.values()
    assert (tmp_path / "slug.tgz").read_bytes() == blob
    assert exported.out == "sha256:" + hashlib.sha256(blob).hexdigest() + "\n"
    with tarfile.open(tmp_path / "slug.tgz") as archive:
        assert {name.split("/")[1] for name in archive.getnames() if name != "./app"} == {"app"}


FAILURES = {
    "wrong token": (["shop"], {"HEROKU_API_KEY": "w" + TOKEN}, [], "the token was not accepted"),
    "no app": (["nobodys"], {}, [], "not_found: Couldn't find that app."),
    "another's app": (["theirs"], {}, [], "forbidden"),
    "echo": (["shop"], {}, [Fault("GET /apps", "status", 1, 422, body=f'{{"id":"x","message":"{TOKEN}"}}')], "***"),
    "upload refused": (["shop"], {}, [Fault("PUT", "status", 1, 400)], "it answered 400"),
    "expired": (["shop"], {}, [Fault("PUT", "status", 99, 403)], "expired too early"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_tell_no_secret(case: str, heroku: Heroku, droplet: Path, tmp_path: Path) -> None:
    app, variables, faults, text = FAILURES[case]
    heroku.faults += [replace(fault) for fault in faults]
    done = run(heroku, tmp_path, "push", "heroku", droplet, "--app", *app, "--json", **variables)
    assert done.code == 70
    assert text in done.document["error"]["message"]
    assert text in done.err


def test_a_slug_holds_no_secret_of_who_exported_it(heroku: Heroku, droplet: Path, tmp_path: Path) -> None:
    run(heroku, tmp_path, "export", "heroku", droplet, "-o", "slug.tgz", HEROKU_API_KEY=TOKEN).good()
    with tarfile.open(tmp_path / "slug.tgz") as archive:
        text = b"".join(archive.extractfile(m).read() for m in archive if m.isfile())  # type: ignore[union-attr]
    assert_no_secret(text.decode("utf-8", "replace"), TOKEN)


def test_nothing_is_left_in_the_temporary_folder(heroku: Heroku, droplet: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run(heroku, tmp_path, "push", "heroku", droplet, "--app", "nobodys", TMPDIR=str(scratch))
    assert list(scratch.iterdir()) == []


def test_help_asks_nobody(tmp_path: Path) -> None:
    done = in_process("push", "heroku", "--help", store=tmp_path, HEROKU_HOST="http://nowhere.example").good()
    assert "--app" in done.out


def test_a_droplet_that_is_none(heroku: Heroku, tmp_path: Path) -> None:
    (tmp_path / "droplet.tgz").write_bytes(b"no droplet")
    done = run(heroku, tmp_path, "push", "heroku", "droplet.tgz", "--app", "shop")
    assert done.code == 60
    assert heroku.seen == []


@pytest.mark.tools
def test_push_reads_the_netrc_that_curl_reads(heroku: Heroku, droplet: Path, tmp_path: Path) -> None:
    """The file that the commands above use is one that another client of netrc takes the same token from."""
    run(heroku, tmp_path, "push", "heroku", droplet, "--app", "shop").good()
    command = ["curl", "-s", "--netrc-file", str(tmp_path / "home" / ".netrc"), f"{heroku.url}/apps/shop"]
    subprocess.run(command, check=True, capture_output=True)
    sent = heroku.seen[-1][2]["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")).decode() == f"a@b.example:{TOKEN}"
