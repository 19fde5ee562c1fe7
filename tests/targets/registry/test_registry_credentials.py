"""Docker's configuration: files as Docker writes them, and real helper programs."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from registry_images import logins_of

from stager.net.errors import BadSettings
from stager.targets.oci.registry.credentials import RegistryLogin

HOST = "registry.example:5000"
SECRET = "s3cret:with/colon"


def packed(user: str = "ada", password: str = SECRET) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


def find(folder: Path, document: Any, key: str = HOST, repository: str = "", **variables: str) -> RegistryLogin | None:
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / "config.json").write_text(text)
    return logins_of({"DOCKER_CONFIG": str(folder), **variables}).find(key, repository)


@pytest.mark.parametrize(
    "key", [HOST, f"https://{HOST}", f"https://{HOST}/v1/", f"https://{HOST}/v2/", f"http://{HOST}"]
)
def test_a_login_under_every_spelling_of_its_key(tmp_path: Path, key: str) -> None:
    assert find(tmp_path, {"auths": {key: {"auth": packed()}}}) == RegistryLogin("ada", SECRET)


def test_other_hosts_and_ports_get_nothing(tmp_path: Path) -> None:
    auths = {"registry.example": {"auth": packed()}, "x.registry.example:5000": {"auth": packed()}}
    assert find(tmp_path, {"auths": auths}) is None


def test_fields_tokens_and_empty_entries(tmp_path: Path) -> None:
    assert find(tmp_path, {"auths": {HOST: {"username": "u", "password": "p"}}}) == RegistryLogin("u", "p")
    assert find(tmp_path, {"auths": {HOST: {"identitytoken": "i", "auth": packed()}}}) == RegistryLogin(
        "ada", SECRET, "i"
    )
    assert find(tmp_path, {"auths": {HOST: {"registrytoken": "t"}}}) == RegistryLogin(bearer="t")
    assert find(tmp_path, {"auths": {HOST: {}}}) is None


def test_the_longest_path_above_the_repository_wins(tmp_path: Path) -> None:
    auths = {
        HOST: {"auth": packed("all")},
        f"{HOST}/team": {"auth": packed("team")},
        f"{HOST}/te": {"auth": packed("no")},
    }
    users = {name: find(tmp_path, {"auths": auths}, HOST, name) for name in ("team/app", "tea", "te/x")}
    assert {name: login and login.user for name, login in users.items()} == {
        "team/app": "team",
        "tea": "all",
        "te/x": "no",
    }


def test_no_file_is_no_login(tmp_path: Path) -> None:
    assert logins_of({"DOCKER_CONFIG": str(tmp_path / "none")}).find(HOST) is None


def test_the_variable_comes_first(tmp_path: Path) -> None:
    given = json.dumps({"auths": {HOST: {"auth": packed("env")}}})
    found = find(tmp_path, {"auths": {HOST: {"auth": packed()}}}, DOCKER_AUTH_CONFIG=given)
    assert found == RegistryLogin("env", SECRET)


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        '{"auths": []}',
        {"auths": {HOST: {"auth": "%%%"}}},
        {"auths": {HOST: {"auth": b64encode(b"nocolon").decode()}}},
        {"auths": {HOST: {"auth": 7}}},
        {"auths": {HOST: "x"}},
        {"credHelpers": {HOST: 5}},
        {"credsStore": "../../bin/evil"},
        {"credsStore": "missing-helper"},
        "[" * 100_000,
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, document: Any) -> None:
    with pytest.raises(BadSettings) as caught:
        find(tmp_path, document, PATH=str(tmp_path))
    assert "config.json" in caught.value.where
    assert caught.value.hint


# --- helpers ----------------------------------------------------------------------------------------------------------


def helper(folder: Path, name: str, script: str) -> None:
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def answer(user: str, secret: str) -> str:
    said = json.dumps({"Username": user, "Secret": secret})
    return f"read server; printf '%s' \"$1 $server\" >> \"$0.asked\"; echo '{said}'"


def test_a_helper_is_asked_by_the_protocol(tmp_path: Path) -> None:
    helper(tmp_path, "one", answer("ada", "from-helper"))
    document = {"credsStore": "one", "auths": {HOST: {}}}
    assert find(tmp_path, document, PATH=f"{tmp_path}:/bin:/usr/bin") == RegistryLogin("ada", "from-helper")
    assert (tmp_path / "docker-credential-one.asked").read_text() == f"get {HOST}"


def test_the_registrys_own_helper_comes_before_the_store(tmp_path: Path) -> None:
    helper(tmp_path, "all", answer("all", "x"))
    helper(tmp_path, "own", answer("<token>", "identity"))
    document = {"credsStore": "all", "credHelpers": {HOST: "own"}}
    assert find(tmp_path, document, PATH=f"{tmp_path}:/bin:/usr/bin") == RegistryLogin(identity="identity")
    assert find(tmp_path, document, "other.example", PATH=f"{tmp_path}:/bin:/usr/bin") == RegistryLogin("all", "x")


def test_a_helper_that_knows_nothing_leaves_the_file(tmp_path: Path) -> None:
    helper(tmp_path, "one", "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1")
    document = {"credsStore": "one", "auths": {HOST: {"auth": packed()}}}
    assert find(tmp_path, document, PATH=f"{tmp_path}:/bin:/usr/bin") == RegistryLogin("ada", SECRET)


@pytest.mark.parametrize(
    "script", [f"echo 'locked: {SECRET}'; echo {SECRET} >&2; exit 2", f"echo '{SECRET}'", "echo '[]'", "kill -9 $$"]
)
def test_a_helper_that_fails_is_an_error_without_its_words(tmp_path: Path, script: str) -> None:
    helper(tmp_path, "one", script)
    with pytest.raises(BadSettings) as caught:
        find(tmp_path, {"credsStore": "one"}, PATH=f"{tmp_path}:/bin:/usr/bin")
    assert "docker-credential-one" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    login = find(tmp_path, {"auths": {HOST: {"auth": packed(), "identitytoken": "idt", "registrytoken": "rgt"}}})
    assert not any(secret in repr(login) for secret in (SECRET, "idt", "rgt"))
    environ = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {HOST: {"auth": packed()}}})}
    assert packed() not in repr(logins_of(environ))
