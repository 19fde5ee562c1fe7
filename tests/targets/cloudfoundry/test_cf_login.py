"""Logins from variables and from what the `cf` client keeps; tokens; certificates; what is never shown."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cf_server import CloudFoundry, Handler
from cf_state import Refusal
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stager.net.indexes import Indexes
from stager.targets.cloudfoundry.api import CloudController
from stager.targets.cloudfoundry.login import CfLogin, find_login, refusal
from stager.targets.cloudfoundry.session import CfSession
from stager.targets.cloudfoundry.settings import CfSettings, CfWaiting
from stager.targets.errors import LoginFailed, PlatformUnavailable, Rejected

Made = Callable[..., CfSettings]
FILE = {
    "ConfigVersion": 4, "Target": "https://api.example.org", "AccessToken": "bearer access-t", "RefreshToken": "refresh-t",
    "OrganizationFields": {"GUID": "org-guid", "Name": "acme"}, "SpaceFields": {"GUID": "space-guid", "Name": "dev"},
    "SSLDisabled": False, "UaaEndpoint": "https://uaa.example.org", "UAAOAuthClient": "cf", "UAAOAuthClientSecret": "",
    "UAAGrantType": "", "AsyncTimeout": 0,
}  # fmt: skip


def keep(home: Path, **fields: Any) -> str:
    """What `cf login` leaves in a home folder."""
    (home / ".cf").mkdir(exist_ok=True)
    file = home / ".cf" / "config.json"
    file.write_text(json.dumps({**FILE, **fields}))
    return str(file)


def test_the_clients_own_file(tmp_path: Path) -> None:
    place = keep(tmp_path)
    expected = CfLogin(
        "https://api.example.org", "acme", "dev", "org-guid", "space-guid", access_token="bearer access-t",
        refresh_token="refresh-t", uaa="https://uaa.example.org", place=place,
    )  # fmt: skip
    assert find_login({}, str(tmp_path)) == expected
    assert find_login({"CF_HOME": str(tmp_path)}, "/nonexistent") == expected


def test_org_and_space_can_be_overruled(tmp_path: Path) -> None:
    keep(tmp_path)
    found = find_login({}, str(tmp_path), space="prod")
    assert (found.org_guid, found.space, found.space_guid) == ("org-guid", "prod", "")
    found = find_login({"CF_ORG": "other", "CF_SPACE": "dev"}, str(tmp_path))
    assert (found.org, found.org_guid, found.space, found.space_guid) == ("other", "", "dev", "")


def test_variables_win_and_borrow_the_target(tmp_path: Path) -> None:
    keep(tmp_path, SSLDisabled=True)
    found = find_login({"CF_USERNAME": "u", "CF_PASSWORD": "p"}, str(tmp_path))
    assert (found.api, found.username, found.password, found.verify) == ("https://api.example.org", "u", "p", False)
    assert not found.access_token, "a token of somebody else"
    variables = {"CF_USERNAME": "u", "CF_PASSWORD": "p", "CF_API": "https://b.example", "CF_ORG": "o", "CF_SPACE": "s"}
    found = find_login(variables, str(tmp_path))
    assert (found.api, found.org, found.uaa, found.verify) == ("https://b.example", "o", "", True)


def test_client_credentials(tmp_path: Path) -> None:
    variables = {
        "CF_API": "https://a.example",
        "CF_CLIENT_ID": "ci",
        "CF_CLIENT_SECRET": "s",
        "CF_ORG": "o",
        "CF_SPACE": "s",
    }
    found = find_login(variables, str(tmp_path))
    assert (found.client, found.client_secret, found.grant) == ("ci", "s", "client_credentials")
    keep(tmp_path, UAAGrantType="client_credentials", UAAOAuthClient="ci", UAAOAuthClientSecret="s", RefreshToken="")
    found = find_login({}, str(tmp_path))
    assert (found.client, found.client_secret, found.grant) == ("ci", "s", "client_credentials")


@pytest.mark.parametrize(
    ("variables", "fields", "text"),
    [
        ({}, None, "there is no login"),
        ({}, {"AccessToken": "", "RefreshToken": ""}, "the cf client is not logged in"),
        ({}, {"SpaceFields": {"GUID": "", "Name": ""}}, "no space is targeted"),
        ({}, {"OrganizationFields": {"GUID": "", "Name": ""}}, "no org is targeted"),
        ({}, {"Target": "http://api.example.org"}, "the API's address is not encrypted (http)"),
        ({}, {"UaaEndpoint": "http://uaa.example.org"}, "the API's address is not encrypted (http)"),
        ({}, {"Target": "https://user:x@api.example.org"}, "the API's address holds more than a host and a path"),
        ({}, {"Target": ["x"]}, "Target: expected a string, found list"),
        ({}, {"SSLDisabled": "no"}, "SSLDisabled: expected true or false, found str"),
        ({"CF_API": "https://other.example"}, {}, "CF_API is not the API that 'cf' is logged in to"),
        ({"CF_USERNAME": "u"}, {}, "CF_USERNAME is set and CF_PASSWORD is not"),
        ({"CF_CLIENT_ID": "u"}, {}, "CF_CLIENT_ID is set and CF_CLIENT_SECRET is not"),
        ({"CF_USERNAME": "u", "CF_PASSWORD": "p"}, None, "CF_USERNAME is set and CF_API is not"),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path, variables: dict[str, str], fields: dict[str, Any] | None, text: str
) -> None:
    if fields is not None:
        keep(tmp_path, **fields)
    with pytest.raises(LoginFailed) as caught:
        find_login(variables, str(tmp_path))
    assert text in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b" " * (2 << 20)])
def test_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    keep(tmp_path)
    (tmp_path / ".cf" / "config.json").write_bytes(content)
    with pytest.raises(LoginFailed) as caught:
        find_login({}, str(tmp_path))
    assert caught.value.where == str(tmp_path / ".cf" / "config.json")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://api.example.org", ""),
        ("https://api.example.org:8443/cf", ""),
        ("http://127.0.0.1:8080", ""),
        ("http://[::1]:8080", ""),
        ("http://localhost", ""),
        ("http://127.0.0.1.example.org", "is not encrypted (http)"),
        ("http://10.0.0.1", "is not encrypted (http)"),
        ("ftp://example.org", "is no http URL"),
        ("api.example.org", "is no http URL"),
        ("https://", "is no http URL"),
        ("https://a:99999", "is no URL"),
        ("https://[", "is no URL"),
        ("https://a?x=1", "holds more than a host and a path"),
    ],
)
def test_where_credentials_may_go(url: str, why: str) -> None:
    assert refusal(url) == why


def test_nothing_secret_shows(tmp_path: Path) -> None:
    keep(tmp_path, UAAOAuthClientSecret="hidden-s")
    shown = repr(find_login({}, str(tmp_path))) + repr(
        find_login({"CF_USERNAME": "u", "CF_PASSWORD": "hidden-p"}, str(tmp_path))
    )
    for secret in ("access-t", "refresh-t", "hidden-s", "hidden-p"):
        assert secret not in shown


# --- tokens ----------------------------------------------------------------------------------------------------


def grants(platform: CloudFoundry) -> int:
    return platform.calls("POST", "^/oauth/token$")


def test_a_kept_token_is_used_and_renewed(platform: CloudFoundry, settings: Made) -> None:
    platform.listener.tokens.add("kept")
    platform.listener.refreshes.add("refresh-kept")
    login = replace(
        settings().login, password="", access_token="bearer kept", refresh_token="refresh-kept", uaa=platform.url
    )
    with CfSession(settings(login=login)) as session:
        assert CloudController(session).space("acme", "dev") == platform.dev
        assert grants(platform) == 0
        platform.expire_tokens()
        assert CloudController(session).space("acme", "dev") == platform.dev
        assert grants(platform) == 1


def test_a_refresh_token_that_expired(platform: CloudFoundry, settings: Made) -> None:
    login = replace(
        settings().login, password="", access_token="", refresh_token="refresh-expired", place="config.json"
    )
    with CfSession(settings(login=login)) as session, pytest.raises(LoginFailed) as caught:
        CloudController(session).stacks()
    assert str(caught.value) == (
        "config.json: no login to Cloud Foundry: Invalid refresh token (expired): ***\n"
        "  Run 'cf login' again, or correct the variables."
    )


def test_an_expired_refresh_token_falls_back_to_the_password(platform: CloudFoundry, settings: Made) -> None:
    login = replace(settings().login, refresh_token="refresh-expired")
    with CfSession(settings(login=login)) as session:
        assert CloudController(session).stacks() == ["cflinuxfs4"]
    assert grants(platform) == 2


def test_client_credentials_get_a_token(platform: CloudFoundry, settings: Made) -> None:
    login = replace(
        settings().login, client="deployer", client_secret="client-secret", grant="client_credentials", password=""
    )
    with CfSession(settings(login=login)) as session:
        assert CloudController(session).stacks() == ["cflinuxfs4"]
        platform.expire_tokens()
        assert CloudController(session).stacks() == ["cflinuxfs4"]


def test_a_token_that_is_refused_twice_is_the_end(platform: CloudFoundry, settings: Made) -> None:
    def never(handler: Handler) -> None:
        raise Refusal(401, 1000, "InvalidAuthToken", "Invalid Auth Token")

    platform.listener.check_token = never  # type: ignore[method-assign]
    with CfSession(settings()) as session, pytest.raises(LoginFailed, match="Invalid Auth Token"):
        CloudController(session).stacks()
    assert grants(platform) == 2


def test_an_api_that_is_none(platform: CloudFoundry, settings: Made) -> None:
    platform.listener.root = dict  # type: ignore[method-assign]
    with CfSession(settings()) as session, pytest.raises(LoginFailed, match=r"127.0.0.1 does not say where its UAA is"):
        CloudController(session).stacks()


def test_a_uaa_that_is_not_encrypted_gets_no_password(platform: CloudFoundry, settings: Made) -> None:
    platform.listener.root = lambda: {"links": {"uaa": {"href": "http://uaa.example.org"}}}  # type: ignore[method-assign]
    with CfSession(settings()) as session, pytest.raises(LoginFailed, match="does not say where its UAA is"):
        CloudController(session).stacks()


# --- answers that are wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {}, [], None, {"pagination": {"next": None}, "resources": {}}, {"pagination": [], "resources": [{"name": "x"}]},
        {"pagination": {"next": {"href": "https://elsewhere.example/x"}}, "resources": []},
        {"pagination": {"next": None}, "resources": [{"name": 7}]},
    ],
)  # fmt: skip
def test_answers_of_another_shape(platform: CloudFoundry, settings: Made, answer: object) -> None:
    platform.listener.get_stacks = lambda *_: (200, answer, {})  # type: ignore[method-assign]
    with CfSession(settings()) as session, pytest.raises(Rejected) as caught:
        CloudController(session).stacks()
    assert "the list of stacks" in str(caught.value)


def test_a_list_without_an_end(platform: CloudFoundry, settings: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"pagination": {"next": {"href": f"{platform.url}/v3/stacks?page=1"}}, "resources": []}
    platform.listener.get_stacks = lambda *_: (200, page, {})  # type: ignore[method-assign]
    monkeypatch.setattr("stager.targets.cloudfoundry.api._PAGES", 3)
    with CfSession(settings()) as session, pytest.raises(Rejected, match="its list has no end"):
        CloudController(session).stacks()


def test_the_token_never_follows_a_link(platform: CloudFoundry, settings: Made) -> None:
    """A next page on another host is asked of the API itself: only path and query count."""
    href = "https://elsewhere.example/v3/stacks?page=2"
    pages = [
        {"pagination": {"next": {"href": href}}, "resources": [{"name": "a"}]},
        {"pagination": {"next": None}, "resources": [{"name": "b"}]},
    ]
    platform.listener.get_stacks = lambda *_: (200, pages.pop(0), {})  # type: ignore[method-assign]
    with CfSession(settings()) as session:
        assert CloudController(session).stacks() == ["a", "b"]


def test_names_with_commas_are_one_name(platform: CloudFoundry, settings: Made) -> None:
    guid = platform.state.add_space("acme, inc", "dev & co")
    with CfSession(settings()) as session:
        assert CloudController(session).space("acme, inc", "dev & co") == guid


def test_guids_that_are_none(platform: CloudFoundry, settings: Made) -> None:
    next(iter(platform.state.orgs.values()))["guid"] = "../../etc"
    with CfSession(settings()) as session, pytest.raises(Rejected, match="it is no GUID"):
        CloudController(session).space("acme", "dev")


# --- certificates ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A key and a certificate for 127.0.0.1 that nobody has signed, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "platform")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "platform.pem"
    file.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return str(file)


def test_certificates_are_checked(certificate: str) -> None:
    with CloudFoundry(certificate) as platform:
        login = find_login(platform.variables(), "/nonexistent")
        quick = CfWaiting(connect=2, read=2, waits=())
        with CfSession(CfSettings(login, waiting=quick)) as session, pytest.raises(PlatformUnavailable) as caught:
            CloudController(session).stacks()
        assert caught.value.message.startswith("the connection to 127.0.0.1 failed: no trusted TLS connection")
        assert not platform.seen, "no password goes to a server that nobody vouches for"
        trusting = CfSettings(login, Indexes(ca_files=(certificate,)), quick)
        with CfSession(trusting) as session:
            assert CloudController(session).stacks() == ["cflinuxfs4"]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_the_user_may_have_told_cf_not_to_check(certificate: str) -> None:
    with CloudFoundry(certificate) as platform:
        login = replace(find_login(platform.variables(), "/nonexistent"), verify=False)
        with CfSession(CfSettings(login)) as session:
            assert CloudController(session).stacks() == ["cflinuxfs4"]
