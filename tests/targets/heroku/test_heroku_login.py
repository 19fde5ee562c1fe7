"""The login comes from where the heroku client keeps it, and no part of it ever comes out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stager.targets.errors import LoginFailed
from stager.targets.heroku.login import HerokuLogin, address, find

CANARY = "HRKU-c4n4ry-5ecret"


def home(folder: Path, text: str) -> str:
    path = folder / ".netrc"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return str(folder)


def test_the_environment_comes_before_netrc(tmp_path: Path) -> None:
    where = home(tmp_path, "machine api.heroku.com login a@b.example password other\n")
    assert find({"HEROKU_API_KEY": f" {CANARY}\n"}, where) == HerokuLogin(
        "https://api.heroku.com", CANARY, "HEROKU_API_KEY"
    )


def test_netrc_as_the_client_writes_it(tmp_path: Path) -> None:
    text = f"machine api.heroku.com\n  login a@b.example\n  password {CANARY}\nmachine git.heroku.com\n  password x\n"
    found = find({}, home(tmp_path, text))
    assert (found.api, found.token, found.source) == ("https://api.heroku.com", CANARY, f"{tmp_path}/.netrc")


def test_the_token_is_not_in_its_representation() -> None:
    assert CANARY not in repr(HerokuLogin("https://api.heroku.com", CANARY))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file has no password for api.heroku.com"),
        (f"default login a password {CANARY}\n", "the file has no password for api.heroku.com"),
        (f"machine evil.example login a password {CANARY}\n", "the file has no password for api.heroku.com"),
        (f"machine api.heroku.com {CANARY} {CANARY}\n", "it is not what netrc(5) describes, or cannot be read"),
        (f"{CANARY}\n", "it is not what netrc(5) describes, or cannot be read"),
    ],
)
def test_unusable_netrc_files_are_named_and_not_quoted(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(LoginFailed) as caught:
        find({}, home(tmp_path, text))
    assert caught.value.message == f"no login to Heroku: {why}"
    assert caught.value.where == f"{tmp_path}/.netrc"
    assert CANARY not in f"{caught.value!r}{caught.value}{caught.value.__cause__}"


def test_no_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(LoginFailed, match="there is no HEROKU_API_KEY and no netrc file") as caught:
        find({}, str(tmp_path))
    assert "heroku login" in caught.value.hint


@pytest.mark.parametrize("token", [f"{CANARY}\r\nX-Injected: 1", f"{CANARY} x", f"{CANARY}\u00e9"])
def test_a_token_that_would_break_a_header_is_refused(token: str) -> None:
    with pytest.raises(LoginFailed) as caught:
        find({"HEROKU_API_KEY": token}, "/nowhere")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "https://api.heroku.com"),
        ("staging.example", "https://api.staging.example"),
        ("https://api.example/", "https://api.example"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_where_the_api_is(host: str, url: str) -> None:
    assert address(host) == url


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("http://api.example", "would send the token unencrypted"),
        ("http://localhost.evil.example", "would send the token unencrypted"),
        ("ftp://127.0.0.1", "would send the token unencrypted"),
        ("https://user:pass@api.example", "is no host"),
        ("https://api.example/v3", "is no host"),
        ("https://", "is no host"),
        ("a b", "is no host"),
        ("https://[::1", "is no host"),
    ],
)
def test_hosts_that_no_token_is_sent_to(host: str, why: str) -> None:
    with pytest.raises(LoginFailed, match=why):
        address(host)
