"""A registry of the tests' own (Debian's docker-registry) and a proxy that counts, delays, and cuts what goes to it.

    with private_registry(tmp_path) as registry, Proxy(registry.host) as proxy: …

The registry's folder, configuration and port are private; it is ended by its process id. `TokenServer` hands out the JSON Web
Tokens that a registry with token authentication trusts.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import yaml
from command import free_port

PROGRAM = "docker-registry"
START_LIMIT = 20.0
USER, PASSWORD = "ada", "correct-horse/battery+staple="
HTPASSWD = "ada:$2b$05$5MSzvVZu9vaBhMUT1qqcheuprYk/ggt9ln1L4c.Ad0iINWVv9UxMy\n"
"""The two above; bcrypt is all that the registry takes."""


@dataclass(frozen=True)
class Registry:
    """A running registry: `host` is `127.0.0.1:port`, `storage` the folder of its bytes."""

    host: str
    storage: Path
    log: Path

    def blobs(self) -> set[str]:
        """The digests of everything it has stored."""
        return {f"sha256:{path.parent.name}" for path in self.storage.rglob("blobs/sha256/*/*/data")}


@contextlib.contextmanager
def private_registry(
    folder: Path, *, auth: Mapping[str, Any] | None = None, storage: Path | None = None
) -> Iterator[Registry]:
    """Run a registry in `folder`; `auth` is its configuration's member of that name."""
    if not shutil.which(PROGRAM):
        pytest.skip(f"{PROGRAM} is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    port, place = free_port(), storage or folder / "storage"
    configuration: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(place)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "only-for-tests"},
    }
    if auth:
        configuration["auth"] = dict(auth)
    (folder / "config.yml").write_text(yaml.safe_dump(configuration))
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen([PROGRAM, "serve", str(folder / "config.yml")], stdout=stream, stderr=stream)
    try:
        _wait(f"http://127.0.0.1:{port}/v2/", process, log)
        yield Registry(f"127.0.0.1:{port}", place, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def basic_auth(folder: Path) -> dict[str, Any]:
    """The configuration of a registry that knows `USER` with `PASSWORD`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(HTPASSWD)
    return {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}


def docker_config(folder: Path, host: str, user: str = USER, password: str = PASSWORD) -> Path:
    """A `DOCKER_CONFIG` folder with one login."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": packed}}}))
    return folder


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError as answered:
            if answered.code == 401:
                return
        except OSError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


# --- the proxy ---------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """One request: how many bytes of its body arrived, and the status it got (0: the connection was cut)."""

    method: str
    path: str
    headers: dict[str, str]
    body: int = 0
    status: int = 0


Fault = Callable[["Seen", BaseHTTPRequestHandler], bool]
"""Looks at a request before its body is read; True when it has dealt with it."""


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        proxy = self.server.proxy  # type: ignore[attr-defined]
        seen = Seen(self.command, self.path, {key.lower(): value for key, value in self.headers.items()})
        with proxy.mutex:
            proxy.seen.append(seen)
        length = int(self.headers.get("Content-Length") or 0)
        try:
            if proxy.fault and proxy.fault(seen, self):
                self.close_connection = True
                return
            body = self.rfile.read(length)
            seen.body += len(body)
            self._forward(proxy.target, seen, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _forward(self, target: str, seen: Seen, body: bytes) -> None:
        upstream = http.client.HTTPConnection(target, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            data = answer.read()
            seen.status = answer.status
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("date", "server", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            if self.command != "HEAD" and answer.getheader("Content-Length") is None and answer.status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
        finally:
            upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class Proxy:
    """Hands requests on whole, as reverse proxies that buffer do, unless `fault` deals with them."""

    def __init__(self, target: str, fault: Fault | None = None) -> None:
        self.target = target
        self.fault = fault
        self.seen: list[Seen] = []
        self.mutex = threading.Lock()
        self._listener = _Listener(("127.0.0.1", 0), _Relay)
        self._listener.proxy = self  # type: ignore[attr-defined]

    @property
    def host(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self._listener.server_port}"

    def methods(self) -> list[str]:
        """The methods of all requests, in order."""
        return [seen.method for seen in self.seen]

    def sent(self, part: str = "") -> int:
        """Bytes of bodies received in requests whose path holds `part`."""
        return sum(seen.body for seen in self.seen if part in seen.path)

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.shutdown()
        self._listener.server_close()


# --- tokens ------------------------------------------------------------------------------------------------------------


@dataclass
class TokenServer:
    """Signs tokens for a registry: for `USER` with `PASSWORD`, or for whoever brings the identity token."""

    folder: Path
    lifetime: int = 60
    identity: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Parameters of every request, with the `Authorization` header."""
    given: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._key, self._certificate = _key_pair(self.folder)
        server = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qsl(urlsplit(self.path).query)
                scopes = [value for name, value in query if name == "scope"]
                sent = self.headers.get("Authorization") or ""
                server.asked.append({**dict(query), "scope": scopes, "authorization": sent, "method": "GET"})
                good = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                self._say(server.token(scopes) if sent == good else None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                server.asked.append({**form, "method": "POST"})
                right = bool(server.identity) and form.get("refresh_token") == server.identity
                self._say(server.token(form["scope"].split()) if right else None, name="access_token")

            def _say(self, token: str | None, name: str = "token") -> None:
                document = {name: token, "expires_in": server.lifetime} if token else {"details": "no"}
                data = json.dumps(document).encode()
                self.send_response(200 if token else 401)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._listener = _Listener(("127.0.0.1", 0), Answer)
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def auth(self) -> dict[str, Any]:
        """The configuration of a registry that trusts these tokens."""
        realm = f"http://127.0.0.1:{self._listener.server_port}/token"
        bundle = str(self.folder / "certificate.pem")
        return {"token": {"realm": realm, "service": "tests", "issuer": "tests", "rootcertbundle": bundle}}

    def token(self, scopes: list[str]) -> str:
        """A signed token (distribution's "Token Authentication Implementation") for these scopes."""
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {"iss": "tests", "aud": "tests", "sub": USER, "iat": now, "nbf": now - 5, "jti": str(len(self.given)),
                  "exp": now + self.lifetime, "access": access}  # fmt: skip
        token = _signed(claims, self._key, self._certificate)
        self.given.append(token)
        return token


def _key_pair(folder: Path) -> tuple[Any, Any]:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _signed(claims: Mapping[str, Any], key: Any, certificate: Any) -> str:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    der = certificate.public_bytes(serialization.Encoding.DER)
    header = {"alg": "ES256", "typ": "JWT", "x5c": [base64.b64encode(der).decode()]}
    body = b".".join(_packed(json.dumps(part).encode()) for part in (header, claims))
    r, s = decode_dss_signature(key.sign(body, ec.ECDSA(hashes.SHA256())))
    return (body + b"." + _packed(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()


def _packed(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


# --- images ------------------------------------------------------------------------------------------------------------


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, a function of the seed."""
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(size)
