"""A contract server for Cloud Foundry: `cf_state` behind HTTP, with UAA, tokens that expire, rate limits and faults.

It answers as the v3 API and UAA documentation say, status codes and error texts included. It is no Cloud Foundry: what it
proves is that stager keeps to the documented contract.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from cf_state import Controller, Json, Refusal, current, listed, not_found, space_of, unprocessable, update_metadata


@dataclass
class Fault:
    """Something that goes wrong `times` times, for requests that match."""

    method: str
    path: str
    times: int
    status: int = 0
    """0 cuts the connection."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after: bool = False
    """Cut only after the request has been carried out."""
    delay: float = 0.0


def rate_limited(times: int, seconds: int = 0, path: str = "/v3") -> Fault:
    """429 CF-RateLimitExceeded, with the headers that go with it."""
    document = {"errors": [{"detail": "Rate Limit Exceeded", "title": "CF-RateLimitExceeded", "code": 10013}]}
    headers = (
        ("Retry-After", str(seconds)), ("X-RateLimit-Limit", "20000"),
        ("X-RateLimit-Reset", "1800000000"), ("X-RateLimit-Remaining", "0"),
    )  # fmt: skip
    return Fault("", path, times, 429, headers, json.dumps(document).encode())


def unavailable(times: int, path: str = "/v3", method: str = "") -> Fault:
    """503 CF-ServiceUnavailable."""
    document = {"errors": [{"detail": "Database connection failure", "title": "CF-ServiceUnavailable", "code": 10015}]}
    return Fault(method, path, times, 503, (), json.dumps(document).encode())


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        """Any method."""
        parts = urlsplit(self.path)
        with self.server.mutex:
            self.server.seen.append((self.command, self.path, dict(self.headers.items())))
        fault = self.server.fault(self.command, parts.path)
        if fault is not None and not fault.after:
            self.fail(fault)
            return
        body = self.body(parts.path)
        if body is None:
            return
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            with self.server.mutex:
                status, document, headers = self.server.route(self, parts.path, query, body)
        except Refusal as refused:
            status, document, headers = refused.status, refused.document, {}
        if fault is not None:
            self.fail(fault)
            return
        self.answer(status, document, headers)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815 - the base class's names

    def body(self, path: str) -> bytes | None:
        """The request's body; None when it was refused for its form."""
        if self.headers.get("Transfer-Encoding"):
            self.answer(411, {"description": "Length Required"}, {"Connection": "close"})
            self.close_connection = True
            return None
        length = int(self.headers.get("Content-Length") or 0)
        if length > self.server.largest:
            self.answer(413, b"<html>413 Request Entity Too Large</html>", {"Connection": "close"})
            self.close_connection = True
            return None
        parts = bytearray()
        while len(parts) < length:
            part = self.rfile.read(min(1 << 20, length - len(parts)))
            if not part:
                self.close_connection = True
                return None
            parts += part
        return bytes(parts)

    def fail(self, fault: Fault) -> None:
        if fault.delay:
            time.sleep(fault.delay)
        if fault.status and not fault.after:
            self.body("")
            self.answer(fault.status, fault.body, dict(fault.headers))
            return
        self.close_connection = True
        self.connection.close()

    def answer(self, status: int, document: object, headers: Json) -> None:
        """Send an answer; documents as JSON, bytes as they are."""
        data = document if isinstance(document, bytes) else (b"" if document is None else json.dumps(document).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("X-VCAP-Request-ID", "request-1")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Routed = tuple[int, Any, Json]


class Listener(ThreadingHTTPServer):
    """The socket, and everything shared by requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mutex = threading.RLock()
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.faults: list[Fault] = []
        self.largest = 1536 << 20
        self.state = Controller(f"http://127.0.0.1:{self.server_port}")
        self.users = {"dev@example.org": "pass-word"}
        self.clients = {"cf": "", "deployer": "client-secret"}
        self.tokens: set[str] = set()
        self.refreshes: set[str] = set()
        self.count = 0
        self.role = "space_developer"
        self.blobstore = ""
        self.echo = ""
        self.before: dict[tuple[str, str], Callable[[], object]] = {}
        """What happens, once, right before a request (method, path) is carried out."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    def fault(self, method: str, path: str) -> Fault | None:
        with self.mutex:
            for fault in self.faults:
                if fault.times and fault.method in ("", method) and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    # --- UAA ---------------------------------------------------------------------------------------------------

    def token(self, handler: Handler, body: bytes) -> Routed:
        """POST /oauth/token: the grants password, refresh_token and client_credentials."""
        form = dict(parse_qsl(body.decode()))
        scheme, _, encoded = handler.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(encoded or "").decode().partition(":") if scheme == "Basic" else ("", "", "")
        if self.clients.get(name) != secret:
            return 401, {"error": "unauthorized", "error_description": "Bad credentials"}, {}
        grant = form.get("grant_type")
        if grant == "password" and self.users.get(form.get("username", "")) != form.get("password"):
            return 401, {"error": "unauthorized", "error_description": "Bad credentials"}, {}
        if grant == "refresh_token" and form.get("refresh_token") not in self.refreshes:
            said = f"Invalid refresh token (expired): {form.get('refresh_token')}"
            return 401, {"error": "invalid_token", "error_description": said}, {}
        self.count += 1
        access, refresh = f"eyJhbGciOi.access-{self.count}.signature", f"refresh-{self.count}-r"
        self.tokens.add(access)
        found: Json = {"access_token": access, "token_type": "bearer", "expires_in": 599, "scope": "", "jti": "1"}
        if grant != "client_credentials":
            self.refreshes.add(refresh)
            found["refresh_token"] = refresh
        return 200, found, {}

    def check_token(self, handler: Handler) -> None:
        header = handler.headers.get("Authorization", "")
        if not header:
            raise Refusal(401, 10002, "NotAuthenticated", "Authentication error")
        if header.partition(" ")[2] not in self.tokens:
            raise Refusal(401, 1000, "InvalidAuthToken", "Invalid Auth Token")

    # --- the API -----------------------------------------------------------------------------------------------

    def route(self, handler: Handler, path: str, query: Json, body: bytes) -> Routed:
        """Find and do what a request asks for."""
        if path == "/oauth/token":
            return self.token(handler, body)
        if path == "/":
            return 200, self.root(), {}
        if path.startswith("/blobs/"):
            if handler.headers.get("Authorization"):
                return 400, b"the blob store wants no token", {}
            return 200, self.state.bits[path.removeprefix("/blobs/")], {}
        self.check_token(handler)
        self.before.pop((handler.command, path), lambda: None)()
        if self.echo and handler.command != "GET":
            raise unprocessable(self.echo)
        for method, pattern, act in self.routes():
            found = re.fullmatch(pattern, path)
            if found and method == handler.command:
                if method != "GET" and self.role != "space_developer":
                    raise Refusal(403, 10003, "NotAuthorized", "You are not authorized to perform the requested action")
                return act(handler, found.groups(), query, body)
        raise Refusal(404, 10000, "NotFound", "Unknown request")

    def root(self) -> Json:
        url = self.state.url
        links: Json = {"self": {"href": url}, "cloud_controller_v2": None, "login": {"href": url}, "uaa": {"href": url}}
        links["cloud_controller_v3"] = {"href": f"{url}/v3", "meta": {"version": "3.200.0"}}
        return {"links": links}

    def routes(self) -> list[tuple[str, str, Callable[..., Routed]]]:
        """Method, path, what is done with (handler, groups, query, body)."""
        guid = "([^/]+)"
        return [
            ("GET", "/v3/organizations", self.filtered("orgs")),
            ("GET", "/v3/spaces", self.filtered("spaces")),
            ("GET", "/v3/stacks", self.get_stacks),
            ("GET", "/v3/apps", self.filtered("apps")),
            (
                "POST",
                "/v3/apps",
                lambda h, g, q, b: (201, self.state.shown_app(self.state.create_app(json.loads(b))), {}),
            ),
            ("GET", f"/v3/apps/{guid}", lambda h, g, q, b: (200, self.state.shown_app(self.app(g)), {})),
            ("PATCH", f"/v3/apps/{guid}", self.patch_app),
            ("DELETE", f"/v3/apps/{guid}", self.delete_app),
            ("POST", f"/v3/apps/{guid}/actions/(start|stop|restart)", self.act),
            ("GET", f"/v3/apps/{guid}/processes", self.get_processes),
            ("GET", f"/v3/apps/{guid}/droplets", self.get_droplets),
            ("GET", f"/v3/apps/{guid}/droplets/current", self.get_current),
            ("GET", f"/v3/apps/{guid}/revisions", self.get_revisions),
            ("PATCH", f"/v3/apps/{guid}/relationships/current_droplet", self.set_current),
            ("GET", f"/v3/processes/{guid}/stats", lambda h, g, q, b: (200, self.state.stats(g[0]), {})),
            ("POST", f"/v3/spaces/{guid}/actions/apply_manifest", self.apply),
            ("GET", f"/v3/jobs/{guid}", lambda h, g, q, b: (200, self.state.looked_at_job(g[0]), {})),
            ("POST", "/v3/droplets", self.create_droplet),
            ("GET", f"/v3/droplets/{guid}", lambda h, g, q, b: (200, self.droplet(g), {})),
            ("PATCH", f"/v3/droplets/{guid}", self.patch_droplet),
            ("POST", f"/v3/droplets/{guid}/upload", self.upload),
            ("GET", f"/v3/droplets/{guid}/download", self.download),
            ("GET", "/v3/deployments", self.get_deployments),
            ("POST", "/v3/deployments", self.create_deployment),
            ("GET", f"/v3/deployments/{guid}", lambda h, g, q, b: (200, self.state.looked_at_deployment(g[0]), {})),
            ("POST", f"/v3/deployments/{guid}/actions/cancel", self.cancel),
            ("GET", "/v3/audit_events", self.get_events),
        ]

    def app(self, groups: tuple[str, ...]) -> Json:
        if groups[0] not in self.state.apps:
            raise not_found("App")
        return self.state.apps[groups[0]]

    def droplet(self, groups: tuple[str, ...]) -> Json:
        return self.state.shown_droplet(self.state.found_droplet(groups[0]))

    def filtered(self, kind: str) -> Callable[..., Routed]:
        def act(handler: Handler, groups: object, query: Json, body: bytes) -> Routed:
            found = [self.state.shown_app(one) for one in getattr(self.state, kind).values()]
            if "names" in query:
                found = [one for one in found if one["name"] in listed(query["names"])]
            if "organization_guids" in query:
                wanted = listed(query["organization_guids"])
                found = [one for one in found if one["relationships"]["organization"]["data"]["guid"] in wanted]
            if "space_guids" in query:
                found = [one for one in found if space_of(one) in listed(query["space_guids"])]
            return 200, self.state.page(urlsplit(handler.path).path, found, query), {}

        return act

    def get_stacks(self, handler: Handler, groups: object, query: Json, body: bytes) -> Routed:
        found = [{"guid": f"stack-{name}", "name": name, "created_at": name} for name in self.state.stacks]
        return 200, self.state.page("/v3/stacks", found, query), {}

    def delete_app(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        app = self.app(groups)
        job = self.state.job("app.delete", lambda: self.state.apps.pop(app["guid"]))
        return 202, None, {"Location": f"{self.state.url}/v3/jobs/{job}"}

    def patch_app(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        update_metadata(self.app(groups), json.loads(body).get("metadata") or {})
        return 200, self.state.shown_app(self.app(groups)), {}

    def patch_droplet(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        update_metadata(self.state.found_droplet(groups[0]), json.loads(body).get("metadata") or {})
        return 200, self.droplet(groups), {}

    def act(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        app = self.app(groups)
        done = self.state.stop(app) if groups[1] == "stop" else self.state.start(app, groups[1])
        return 200, self.state.shown_app(done), {}

    def get_processes(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        app = self.app(groups)
        found = [self.state.shown_process(app, one) for one in app["_"]["processes"]]
        return 200, self.state.page(f"/v3/apps/{groups[0]}/processes", found, query), {}

    def get_droplets(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        self.app(groups)
        found = [self.state.shown_droplet(one) for one in self.state.droplets.values()]
        found = [one for one in found if one["relationships"]["app"]["data"]["guid"] == groups[0]]
        if "states" in query:
            found = [one for one in found if one["state"] in listed(query["states"])]
        hidden = {"redacted_message": "[PRIVATE DATA HIDDEN IN LISTS]"}
        found = [{**one, "process_types": hidden, "execution_metadata": hidden["redacted_message"]} for one in found]
        return 200, self.state.page(f"/v3/apps/{groups[0]}/droplets", found, query), {}

    def get_current(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        guid = current(self.app(groups))
        if guid is None:
            raise not_found("Droplet")
        return 200, self.droplet((guid,)), {}

    def get_revisions(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        self.app(groups)
        found = [self.state.shown_revision(one) for one in self.state.revisions.values()]
        found = [one for one in found if one["relationships"]["app"]["data"]["guid"] == groups[0]]
        return 200, self.state.page(f"/v3/apps/{groups[0]}/revisions", found, query), {}

    def set_current(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        guid = (json.loads(body).get("data") or {}).get("guid")
        if guid is None:
            raise unprocessable("Current droplet cannot be removed. Replace it with a preferred droplet.")
        self.state.set_current(self.app(groups), guid)
        return 200, {"data": {"guid": guid}, "links": {}}, {}

    def apply(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        if groups[0] not in self.state.spaces:
            raise not_found("Space")
        job = self.state.apply_manifest(groups[0], handler.headers.get("Content-Type", ""), body)
        return 202, None, {"Location": f"{self.state.url}/v3/jobs/{job}"}

    def create_droplet(self, handler: Handler, groups: object, query: Json, body: bytes) -> Routed:
        given = json.loads(body)
        source = query.get("source_guid")
        made = self.state.copy_droplet(source, given) if source else self.state.create_droplet(given)
        return 201, self.state.shown_droplet(made), {}

    def upload(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        kind = handler.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            raise unprocessable("Uploaded droplet file is invalid: A droplet tgz file must be uploaded as 'bits'")
        name, bits = _part(kind, body, "bits")
        droplet, job = self.state.upload(groups[0], name, bits)
        return 202, self.state.shown_droplet(droplet), {"Location": f"{self.state.url}/v3/jobs/{job}"}

    def download(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        droplet = self.state.found_droplet(groups[0])
        if droplet["state"] != "STAGED":
            raise unprocessable("Only staged droplets can be downloaded.")
        return 302, None, {"Location": f"{self.blobstore or self.state.url}/blobs/{groups[0]}"}

    def get_deployments(self, handler: Handler, groups: object, query: Json, body: bytes) -> Routed:
        found = [{k: v for k, v in one.items() if k != "_"} for one in self.state.deployments.values()]
        if "app_guids" in query:
            found = [one for one in found if one["relationships"]["app"]["data"]["guid"] in listed(query["app_guids"])]
        if "status_values" in query:
            found = [one for one in found if one["status"]["value"] in listed(query["status_values"])]
        return 200, self.state.page("/v3/deployments", found, query), {}

    def create_deployment(self, handler: Handler, groups: object, query: Json, body: bytes) -> Routed:
        made = self.state.create_deployment(json.loads(body))
        return 201, {key: value for key, value in made.items() if key != "_"}, {}

    def cancel(self, handler: Handler, groups: tuple[str, ...], query: Json, body: bytes) -> Routed:
        self.state.cancel(groups[0])
        return 200, None, {}

    def get_events(self, handler: Handler, groups: object, query: Json, body: bytes) -> Routed:
        found = self.state.events
        if "types" in query:
            found = [one for one in found if one["type"] in listed(query["types"])]
        if "target_guids" in query:
            found = [one for one in found if one["target"]["guid"] in listed(query["target_guids"])]
        return 200, self.state.page("/v3/audit_events", found, query), {}


def _part(kind: str, body: bytes, name: str) -> tuple[str | None, bytes | None]:
    """(file name, content) of a part of a multipart form, read by the standard library's parser of MIME."""
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == name:
            content = part.get_payload(decode=True)
            return part.get_filename(), content if isinstance(content, bytes) else None
    return None, None


class CloudFoundry:
    """A platform with one org `acme` and the spaces `dev` and `prod`, for the time of a `with` block."""

    def __init__(self, certificate: str = "") -> None:
        self.listener = Listener()
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.listener.socket = context.wrap_socket(self.listener.socket, server_side=True)
            self.state.url = self.state.url.replace("http:", "https:")
        self.dev = self.state.add_space("acme", "dev")
        self.prod = self.state.add_space("acme", "prod")

    @property
    def url(self) -> str:
        """The API's and UAA's address."""
        return self.state.url

    @property
    def state(self) -> Controller:
        """What the platform holds."""
        return self.listener.state

    @property
    def seen(self) -> list[tuple[str, str, dict[str, str]]]:
        """(method, path with query, headers) of every request so far."""
        return self.listener.seen

    def calls(self, method: str, pattern: str) -> int:
        """How many requests matched."""
        return sum(m == method and re.search(pattern, p) is not None for m, p, _ in self.seen)

    def fault(self, *faults: Fault) -> None:
        """Let things go wrong."""
        self.listener.faults += faults

    def expire_tokens(self) -> None:
        """No access token holds any more; refresh tokens do."""
        self.listener.tokens.clear()

    def variables(self) -> dict[str, str]:
        """The environment that names this platform."""
        return {
            "CF_API": self.url, "CF_USERNAME": "dev@example.org", "CF_PASSWORD": "pass-word",
            "CF_ORG": "acme", "CF_SPACE": "dev", "CF_HOME": "/nonexistent",
        }  # fmt: skip

    def app(self, name: str, space: str = "") -> Json:
        """An app's record; KeyError when there is none."""
        found = self.state.named_app(name, space or self.dev)
        if found is None:
            raise KeyError(name)
        return found

    def __enter__(self) -> Self:
        threading.Thread(target=self.listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.listener.shutdown()
        self.listener.server_close()
