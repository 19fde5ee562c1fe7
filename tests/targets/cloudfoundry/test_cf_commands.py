"""The commands as users type them, against the contract server; and that no secret ever leaves them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cf_server import CloudFoundry
from cf_state import current
from command import PROGRAM, Done, in_process
from spelled import encodings

from stager.droplet.reader import DropletFile
from stager.model import Droplet
from stager.targets.cloudfoundry import manifest, variables
from stager.targets.cloudfoundry.push import PushOptions, push_all
from stager.targets.cloudfoundry.settings import CfSettings
from stager.targets.errors import Rejected

CANARY = 'cAn4ry/"pa+ss w=rd&ü\\'
OTHER = "0ther-Canary-4711"


def run(platform: CloudFoundry, tmp_path: Path, *arguments: object, **variables: str) -> Done:
    return in_process(*arguments, store=tmp_path / "store", cwd=tmp_path, **{**platform.variables(), **variables})


def test_export_writes_the_droplet_itself(platform: CloudFoundry, tmp_path: Path, staged: Droplet) -> None:
    done = run(platform, tmp_path, "export", "cloudfoundry", staged.path, "-o", tmp_path / "cf.tgz").good()
    assert done.out == f"{staged.digest}\n"
    assert (tmp_path / "cf.tgz").read_bytes() == Path(staged.path).read_bytes()


def test_push_promote_and_rollback(platform: CloudFoundry, tmp_path: Path, staged: Droplet, newer: Droplet) -> None:
    (tmp_path / "manifest.yml").write_text("applications:\n- name: ((name))\n  path: .\n")
    done = run(platform, tmp_path, "push", "cloudfoundry", staged.path, "--var", "name=shop").good()
    assert done.out == f"{staged.digest}\n"
    assert done.err.splitlines() == [
        "stager: looking up shop …", "stager: applying the manifest …", f"stager: uploading {staged.size / 1000:.1f} kB …",
        "stager: waiting for the platform to check the upload …", "stager: setting the droplet …", "stager: starting shop …",
        "note: manifest.yml:3: 'path' is not used: what is pushed is staged already",
        "note: without an instance: worker; give them 'instances' in the manifest, or use 'cf scale --process'",
        "shop: the droplet uploaded, started on cflinuxfs4 (web, worker)",
    ]  # fmt: skip
    second = run(
        platform, tmp_path, "push", "cloudfoundry", newer.path, "--app", "shop", "--no-manifest", "--json", "-q"
    ).good()
    (row,) = second.document["pushed"]
    assert (row["action"], row["uploaded"], row["digest"]) == ("rolling", True, newer.digest)
    space = {"space": {"data": {"guid": platform.prod}}}
    platform.state.create_app({"name": "shop", "relationships": space})
    moved = run(
        platform, tmp_path, "promote", "cloudfoundry", "shop", "prod/shop", "--digest", staged.digest, "--no-start"
    )
    assert moved.good().out == f"{staged.digest}\n"
    assert moved.err.splitlines()[-1] == "shop: the droplet of shop copied, not started"
    back = run(platform, tmp_path, "rollback", "cloudfoundry", "shop", "--json").good().document
    assert (back["digest"], back["revision"]) == (staged.digest, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["push", "cloudfoundry", "DROPLET"], 2, "there is no manifest.yml, and no app is named"),
        (
            ["push", "cloudfoundry", "nothing.tgz", "--app", "a"],
            20,
            "nothing.tgz: cannot be read: there is no such file",
        ),
        (["push", "cloudfoundry", "DROPLET", "-f", "no.yml"], 20, "no.yml: cannot be read: No such file or directory"),
        (["push", "cloudfoundry", "DROPLET", "--app", "a", "--max-in-flight", "0"], 2, "is no whole number"),
        (["push", "cloudfoundry", "DROPLET", "--app", "a", "--space", "nowhere"], 70, "org acme has none of that name"),
        (["promote", "cloudfoundry", "a", "b", "--digest", "12"], 2, "'12' is no SHA-256 digest"),
        (["rollback", "cloudfoundry", "nothing"], 70, "acme/dev has none of that name"),
    ],
)
def test_errors(
    platform: CloudFoundry, tmp_path: Path, staged: Droplet, arguments: list[str], code: int, text: str
) -> None:
    words = [staged.path if word == "DROPLET" else word for word in arguments]
    done = run(platform, tmp_path, *words)
    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert "Traceback" not in done.err


def test_no_login(platform: CloudFoundry, tmp_path: Path, staged: Droplet) -> None:
    done = run(
        platform,
        tmp_path,
        "push",
        "cloudfoundry",
        staged.path,
        "--app",
        "a",
        CF_USERNAME="",
        CF_API="",
        HOME=str(tmp_path),
    )
    assert done.code == 70
    assert "no login to Cloud Foundry: there is no login [LoginFailed]\n  Run 'cf login'" in done.err


def test_the_clients_own_login(platform: CloudFoundry, tmp_path: Path, staged: Droplet) -> None:
    platform.listener.tokens.add("kept")
    (tmp_path / ".cf").mkdir()
    kept = {
        "Target": platform.url, "AccessToken": "bearer kept", "RefreshToken": "r", "UaaEndpoint": platform.url,
        "OrganizationFields": {"GUID": "", "Name": "acme"}, "SpaceFields": {"GUID": platform.dev, "Name": "dev"},
    }  # fmt: skip
    (tmp_path / ".cf" / "config.json").write_text(json.dumps(kept))
    before = (tmp_path / ".cf" / "config.json").read_bytes()
    variables = {
        "CF_USERNAME": "",
        "CF_PASSWORD": "",
        "CF_ORG": "",
        "CF_SPACE": "",
        "CF_API": "",
        "CF_HOME": str(tmp_path),
    }
    run(platform, tmp_path, "push", "cloudfoundry", staged.path, "--app", "a", "--no-start", **variables).good()
    assert platform.calls("POST", "/oauth/token") == 0
    assert (tmp_path / ".cf" / "config.json").read_bytes() == before


def test_interrupting_leaves_nothing_current(platform: CloudFoundry, tmp_path: Path, staged: Droplet) -> None:
    platform.state.pace.jobs = 10**9
    environment = {**os.environ, **platform.variables(), "STAGER_CACHE_DIR": str(tmp_path / "store")}
    command = [*PROGRAM, "push", "cloudfoundry", staged.path, "--app", "shop"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not platform.calls("GET", "/v3/jobs/"):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, b"")
    assert b"stager: stopped as asked" in err
    assert b"Traceback" not in err
    assert current(platform.app("shop")) is None


# --- secrets ---------------------------------------------------------------------------------------------------


MANIFEST = """applications:
- name: shop
  env: {KEY: ((key)), PLAIN: plain-in-env}
  services: [{name: db, parameters: {token: from-parameters}}]
"""
SENT = (CANARY, OTHER, "plain-in-env", "from-parameters", "refresh-1-r", "eyJhbGciOi.access-1.signature")


def nothing_shows(shown: str) -> None:
    """No secret, in no encoding."""
    for secret in SENT:
        for name, text in encodings(secret).items():
            assert text not in shown, (secret, name)


@pytest.mark.parametrize("spelling", list(encodings(CANARY)))
def test_a_server_that_repeats_secrets(
    platform: CloudFoundry, settings: Callable[..., CfSettings], droplet: DropletFile, spelling: str
) -> None:
    """The platform answers with what it was sent; the error does not pass that on."""
    platform.listener.users["dev@example.org"] = CANARY
    given = variables.collect([f"key={OTHER}"], [])
    apps = manifest.parse(MANIFEST, "manifest.yml", given)
    hidden = [*variables.texts(given), *variables.texts(apps[0].values)]
    login = replace(settings().login, password=CANARY)
    for secret in SENT:
        platform.listener.count = 0
        platform.listener.echo = f"cannot accept {encodings(secret)[spelling]}"
        with pytest.raises(Rejected) as caught:
            push_all(settings(login=login), droplet, apps, PushOptions(), secrets=hidden)
        shown = str(caught.value) + repr(caught.value) + json.dumps(caught.value.as_json()) + str(caught.value.data)
        assert "cannot accept" in shown
        assert "***" in shown, secret
        nothing_shows(shown)


def test_the_command_hides_what_a_server_repeats(platform: CloudFoundry, tmp_path: Path, staged: Droplet) -> None:
    platform.listener.users["dev@example.org"] = CANARY
    (tmp_path / "manifest.yml").write_text(MANIFEST)
    (tmp_path / "vars.yml").write_text(f"key: {OTHER}\n")
    platform.listener.echo = "no: " + " ".join(SENT)
    arguments = ["push", "cloudfoundry", staged.path, "--vars-file", "vars.yml", "--json"]
    done = run(platform, tmp_path, *arguments, CF_PASSWORD=CANARY)
    assert done.code == 70
    assert "no: *** *** *** *** *** ***" in done.err
    assert done.document["error"]["message"].endswith("no: *** *** *** *** *** ***")
    nothing_shows(done.out + done.err)


def test_a_good_push_says_no_secret(platform: CloudFoundry, tmp_path: Path, staged: Droplet) -> None:
    platform.listener.users["dev@example.org"] = CANARY
    (tmp_path / "manifest.yml").write_text("applications:\n- name: shop\n  env: {KEY: ((key))}\n")
    done = run(
        platform, tmp_path, "push", "cloudfoundry", staged.path, "--var", f"key={OTHER}", CF_PASSWORD=CANARY
    ).good()
    again = run(
        platform, tmp_path, "push", "cloudfoundry", staged.path, "--var", f"key={OTHER}", "--json", CF_PASSWORD=CANARY
    ).good()
    assert platform.app("shop")["_"]["env"] == {"KEY": OTHER}
    kept = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    for secret in (CANARY, OTHER, "access-1", "refresh-1"):
        for text in encodings(secret).values():
            assert text not in done.out + done.err + again.out + again.err
            assert text.encode() not in kept


def test_login_errors_say_no_secret(platform: CloudFoundry, tmp_path: Path, staged: Droplet) -> None:
    done = run(platform, tmp_path, "push", "cloudfoundry", staged.path, "--app", "a", CF_PASSWORD=CANARY)
    assert done.code == 70
    assert all(text not in done.out + done.err for text in encodings(CANARY).values())
