"""Logging in: Basic, bearer tokens, identity tokens; and that no secret goes or shows where it must not."""

from __future__ import annotations

import io
import json
import logging
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from registry_contract import Asked, ContractRegistry, Request, on
from registry_images import HERE, access, image, logins_of
from registry_server import docker_config, noise

from stager.errors import StagerError
from stager.targets.oci.errors import AccessDenied, RegistryDown, RegistryRefused
from stager.targets.oci.image import Blob
from stager.targets.oci.layout import LayoutSink
from stager.targets.oci.registry.client import Client
from stager.targets.oci.registry.descriptors import digest_of
from stager.targets.oci.registry.pull import pull
from stager.targets.oci.registry.push import push
from stager.targets.oci.registry.reference import parse
from stager.targets.oci.registry.token import challenges
from stager.targets.oci.registry.upload import upload

USER, CANARY = "ada", "kanarien+vogel/42=geheim"
BASIC = "Basic " + b64encode(f"{USER}:{CANARY}".encode()).decode()
DATA = noise(300_000, 5)


def guarded(challenge: str, good: Callable[[str], bool]) -> Callable[[Asked, Request], bool]:
    """401 with a challenge for everybody whose Authorization is not good; the token server's path is open."""

    def spoil(asked: Asked, request: Request) -> bool:
        if asked.path.startswith("/token") or good(asked.headers.get("authorization", "")):
            return False
        request.close_connection = True
        request.say(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', WWW_Authenticate=challenge)
        return True

    return spoil


def tokens(lifetime: int = 60) -> tuple[Callable[[Request], None], list[str]]:
    """A token server's answer, and the tokens it has given."""
    given: list[str] = []

    def do(request: Request) -> None:
        if request.headers.get("Authorization") != BASIC:
            request.say(401, b"{}")
            return
        given.append(f"token-{len(given)}-abcdef")
        request.say(200, json.dumps({"token": given[-1], "expires_in": lifetime}).encode())

    return do, given


def bearer(registry: ContractRegistry) -> str:
    return f'Bearer realm="http://{registry.host}/token?x=1",service="the, registry"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://a.example/t",service="s"',
            [("bearer", {"realm": "https://a.example/t", "service": "s"})],
        ),
        ('Basic realm="a \\"b\\", c", Bearer realm=x', [("basic", {"realm": 'a "b", c'}), ("bearer", {"realm": "x"})]),
        ("Negotiate, basic", [("negotiate", {}), ("basic", {})]),
        ("", []),
        ('=="', []),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(one.scheme, one.parameters) for one in challenges(header)] == expected


def test_basic(tmp_path: Path) -> None:
    with ContractRegistry() as registry:
        registry.spoilers.append(guarded('Basic realm="r"', lambda sent: sent == BASIC))
        config = docker_config(tmp_path, registry.host, USER, CANARY)
        with Client(registry.host, access(config)) as client:
            assert upload(client, "team/app", Blob.of(DATA)) == "uploaded"
        refused = [asked for asked in registry.asked if asked.status == 401]
        assert [asked.headers.get("authorization") for asked in refused] == [None]


def test_a_token_is_fetched_once_for_all_requests_of_a_push(tmp_path: Path) -> None:
    answer, given = tokens()
    with ContractRegistry() as registry:
        registry.spoilers += [on("GET", "/token", answer), guarded(bearer(registry), lambda sent: sent[7:] in given)]
        config = docker_config(tmp_path, registry.host, USER, CANARY)
        with Client(registry.host, access(config, jobs=4)) as client:
            push(client, parse(f"{registry.host}/team/app:1"), image(DATA, b"2", b"3"), mount_from=["team/base"])
        asked = parse_qs(urlsplit(next(one.path for one in registry.asked if one.path.startswith("/token"))).query)
        assert asked == {
            "x": ["1"],
            "service": ["the, registry"],
            "scope": ["repository:team/app:pull,push", "repository:team/base:pull"],
            "account": [USER],
        }
        assert len(given) == 1


def test_a_token_that_runs_out_in_the_middle_is_renewed(tmp_path: Path) -> None:
    answer, given = tokens()
    with ContractRegistry() as registry:
        uses = {"count": 0}

        def good(sent: str) -> bool:
            uses["count"] += 1
            return bool(given) and sent[7:] == given[-1] and uses["count"] % 4 != 0  # every fourth use finds it stale

        registry.spoilers += [on("GET", "/token", answer), guarded(bearer(registry), good)]
        config = docker_config(tmp_path, registry.host, USER, CANARY)
        with Client(registry.host, access(config, chunk=50_000)) as client:
            assert upload(client, "team/app", Blob.of(DATA)) == "uploaded"
        assert registry.blobs["team/app", digest_of(DATA)] == DATA
        assert len(given) > 2


def test_an_identity_token_is_exchanged_and_never_follows_a_redirect(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("")
    with ContractRegistry() as registry, ContractRegistry() as elsewhere:
        forms: list[dict[str, list[str]]] = []

        def exchange(request: Request) -> None:
            forms.append(parse_qs(request.read().decode()))
            request.say(200, b'{"access_token": "exchanged", "refresh_token": "next"}')

        auths = {"auths": {registry.host: {"identitytoken": CANARY}}}
        logins = logins_of({"DOCKER_AUTH_CONFIG": json.dumps(auths), "DOCKER_CONFIG": str(tmp_path)})
        registry.spoilers += [
            on("POST", "/token", exchange, 1),
            guarded(bearer(registry), lambda sent: sent == "Bearer exchanged"),
        ]
        with Client(registry.host, access(logins=logins, indexes=HERE)) as client:
            assert client.manifest_digest("team/app", "1") == ""
        assert forms[0]["grant_type"] == ["refresh_token"]
        assert forms[0]["refresh_token"] == [CANARY]
        assert forms[0]["scope"] == ["repository:team/app:pull"]
        target = f"http://{elsewhere.host}/token"
        registry.spoilers.insert(0, on("POST", "/token", lambda request: request.say(307, Location=target)))
        with (
            pytest.raises(AccessDenied, match="redirect") as caught,
            Client(registry.host, access(logins=logins, indexes=HERE)) as client,
        ):
            client.manifest_digest("team/app", "1")
        assert elsewhere.asked == []
        assert CANARY not in str(caught.value)


def test_no_login_and_a_wrong_one(tmp_path: Path) -> None:
    answer, given = tokens()
    with ContractRegistry() as registry:
        registry.spoilers += [on("GET", "/token", answer), guarded(bearer(registry), lambda sent: sent[7:] in given)]
        with pytest.raises(AccessDenied, match="without a login") as caught, Client(registry.host, access()) as client:
            client.manifest_digest("team/app", "1")
        assert f"docker login {registry.host}" in caught.value.hint
        wrong = docker_config(tmp_path, registry.host, USER, "wrong" + CANARY)
        with (
            pytest.raises(AccessDenied, match="does not accept") as caught,
            Client(registry.host, access(wrong)) as client,
        ):
            client.manifest_digest("team/app", "1")
        assert CANARY not in repr(caught.value.as_json())


def test_a_token_without_the_right_to_push(tmp_path: Path) -> None:
    answer, given = tokens()
    with ContractRegistry() as registry:
        registry.spoilers += [on("GET", "/token", answer), guarded(bearer(registry), lambda sent: sent[7:] in given)]
        refuse = on(
            "POST", "/uploads/", lambda request: request.refuse(401, "DENIED", WWW_Authenticate=bearer(registry))
        )
        registry.spoilers.insert(0, refuse)
        config = docker_config(tmp_path, registry.host, USER, CANARY)
        with (
            pytest.raises(AccessDenied, match="with the login that there is"),
            Client(registry.host, access(config)) as client,
        ):
            upload(client, "team/app", Blob.of(DATA))


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"token": 5}', b'{"token": "two words"}', b'{"token": "line\\r\\nX-Evil: 1"}', b"{" * 9],
)
def test_a_token_server_that_answers_nonsense(tmp_path: Path, answer: bytes) -> None:
    with ContractRegistry() as registry:
        registry.spoilers += [
            on("GET", "/token", lambda request: request.say(200, answer)),
            guarded(bearer(registry), lambda sent: False),
        ]
        config = docker_config(tmp_path, registry.host, USER, CANARY)
        with pytest.raises(AccessDenied, match="no token"), Client(registry.host, access(config)) as client:
            client.manifest_digest("team/app", "1")


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="http://tokens.example/token"',
        'Bearer realm="ftp://127.0.0.1/"',
        "Bearer",
        'Bearer realm="http://u:p@127.0.0.1:1/"',
        "Digest realm=x",
        "",
    ],
)
def test_a_token_server_that_a_password_must_not_go_to(tmp_path: Path, challenge: str) -> None:
    with ContractRegistry() as registry:
        registry.spoilers.append(guarded(challenge, lambda sent: False))
        config = docker_config(tmp_path, registry.host, USER, CANARY)
        with pytest.raises(AccessDenied), Client(registry.host, access(config)) as client:
            client.manifest_digest("team/app", "1")


# --- where secrets go ---------------------------------------------------------------------------------------------------


def test_an_upload_to_another_host_gets_no_login(tmp_path: Path) -> None:
    """Both ways of being sent elsewhere: the upload's Location, and a redirect of the request with its body."""
    with ContractRegistry() as registry, ContractRegistry() as elsewhere:
        registry.spoilers.append(guarded("Basic realm=r", lambda sent: sent == BASIC))
        elsewhere.uploads["u1"] = bytearray()
        place = f"http://{elsewhere.host}/v2/team/app/blobs/uploads/u1"
        registry.spoilers.append(on("POST", "/uploads/", lambda request: request.say(202, Location=place), 1))
        config = docker_config(tmp_path, registry.host, USER, CANARY)
        with Client(registry.host, access(config, indexes=HERE)) as client:
            upload(client, "team/app", Blob.of(DATA))
            assert elsewhere.blobs["team/app", digest_of(DATA)] == DATA
            elsewhere.uploads["u2"] = bytearray()

            def send_on(request: Request) -> None:
                digest = request.path.partition("?")[2]
                request.close_connection = True
                request.say(307, Location=f"{place[:-1]}2?{digest}")

            registry.spoilers.append(on("PUT", "/uploads/", send_on))
            other = noise(100_000, 9)
            upload(client, "team/app", Blob.of(other))
        assert elsewhere.blobs["team/app", digest_of(other)] == other
        assert len(elsewhere.asked) >= 2
        assert not [asked for asked in elsewhere.asked if "authorization" in asked.headers]


def test_a_download_elsewhere_gets_no_login(tmp_path: Path) -> None:
    with ContractRegistry() as registry, ContractRegistry() as elsewhere:
        registry.spoilers.append(guarded("Basic realm=r", lambda sent: sent == BASIC))
        config = docker_config(tmp_path / "c", registry.host, USER, CANARY)
        made = image(DATA)
        with Client(registry.host, access(config, indexes=HERE)) as client:
            reference = parse(f"{registry.host}/team/app:1")
            push(client, reference, made)
            elsewhere.blobs.update(registry.blobs)
            there = f"http://{elsewhere.host}"
            registry.spoilers.append(
                on("GET", "/blobs/", lambda request: request.say(307, Location=there + request.path))
            )
            pull(client, reference, LayoutSink(str(tmp_path / "layout")))
        assert elsewhere.asked
        assert not [asked for asked in elsewhere.asked if "authorization" in asked.headers]


def spellings(secret: str) -> list[str]:
    raw = secret.encode()
    packed = (raw, raw[::-1], f"{USER}:{secret}".encode())
    plain = [secret, secret[::-1], raw.hex(), quote(secret, safe="")]
    return [*plain, *(b64encode(data).decode().rstrip("=") for data in packed)]


@pytest.mark.parametrize("spelling", range(8))
@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_no_secret_in_errors_events_or_logs(
    tmp_path: Path, scheme: str, spelling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry repeats what it was sent, in every spelling, in every answer that fails."""
    log, events = io.StringIO(), list[str]()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    answer, given = tokens()
    errors: list[StagerError] = []
    said = [*spellings(CANARY), BASIC][spelling]
    try:
        with ContractRegistry() as registry:
            challenge = "Basic realm=r" if scheme == "basic" else bearer(registry)
            good = (lambda sent: sent == BASIC) if scheme == "basic" else (lambda sent: sent[7:] in given)

            def echo(request: Request) -> None:
                request.read()
                sent = request.headers.get("Authorization", "") if spelling == 7 else said
                request.refuse(400, "DENIED", f"you sent {sent}!", Docker_Content_Digest=said)

            registry.spoilers += [on("GET", "/token", answer), guarded(challenge, good)]
            config = docker_config(tmp_path, registry.host, USER, CANARY)
            for method, part in (
                ("HEAD", "/blobs/"),
                ("POST", "/uploads/"),
                ("PUT", "/uploads/"),
                ("PUT", "/manifests/"),
            ):
                registry.spoilers.append(on(method, part, echo))
                how = access(config, progress=lambda event: events.append(repr(event)))
                with pytest.raises(RegistryRefused) as caught, Client(registry.host, how) as client:
                    push(client, parse(f"{registry.host}/team/app:1"), image(DATA))
                errors.append(caught.value)
                registry.spoilers.pop()
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(logging.WARNING)
    shown = "".join(
        [*(f"{error} {error.as_json()} {error.data} {error!r}" for error in errors), *events, log.getvalue()]
    )
    assert len(errors) == 4
    for secret in (CANARY, *given):
        for form in spellings(secret):
            assert form.lower() not in shown.lower()


def test_a_lie_that_holds_a_secret_is_not_repeated(tmp_path: Path) -> None:
    with ContractRegistry() as registry:
        registry.spoilers.append(guarded("Basic realm=r", lambda sent: sent == BASIC))

        def lie(request: Request) -> None:
            request.read()
            request.say(201, Docker_Content_Digest=CANARY)

        registry.spoilers.append(on("PUT", "/uploads/", lie))
        config = docker_config(tmp_path, registry.host, USER, CANARY)
        with pytest.raises(StagerError) as caught, Client(registry.host, access(config)) as client:
            upload(client, "team/app", Blob.of(DATA))
        assert CANARY not in f"{caught.value} {caught.value.as_json()} {caught.value.data}"


def test_a_refused_place_is_named_without_its_query(tmp_path: Path) -> None:
    with ContractRegistry() as registry:
        place = f"http://files.example/x?key={CANARY}"
        registry.spoilers.append(on("POST", "/uploads/", lambda request: request.say(202, Location=place)))
        with pytest.raises(RegistryDown) as caught, Client(registry.host, access()) as client:
            upload(client, "team/app", Blob.of(DATA))
        assert CANARY not in str(caught.value)
