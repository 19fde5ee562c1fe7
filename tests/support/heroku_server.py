"""A contract server: Heroku's Platform API, version 3, as its reference documents it, for one account.

It is a state machine over apps, slugs, releases and blobs, with the documented statuses and error ids. It is strict where the
platform is: a blob's address is signed for a PUT without content type and expires, carries no credentials, and wants a length.
`faults` makes it fail in chosen ways. Nothing here was compared with the live service.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

STACKS = ("heroku-22", "heroku-24", "heroku-26", "debian-12")
"""The last one is no stack of Heroku's: it lets a droplet of the quick tests be pushed."""
SLUG_KEYS = {"buildpack_provided_description", "checksum", "commit", "commit_description", "process_types", "stack"}
ERRORS = {
    "bad_request": (400, "Invalid request, verify usage and try again."),
    "unauthorized": (401, "Invalid credentials provided."),
    "forbidden": (403, "You do not have access to the app."),
    "not_found": (404, "The requested API endpoint was not found."),
    "rate_limit": (
        429,
        "Your account reached the API rate limit. Please wait a few minutes before making new requests.",
    ),
}


@dataclass
class App:
    """An app of the account, or one it may not touch."""

    stack: str = "debian-12"
    generation: str = "cedar"
    forbidden: bool = False
    release_phase: str = "succeeded"
    """How release phases end."""
    looks: int = 1
    """How many times a release is pending when it is looked at, before its phase ends."""
    output: str = "migrating\ndone\n"
    slugs: dict[str, dict[str, Any]] = field(default_factory=dict)
    releases: list[dict[str, Any]] = field(default_factory=list)

    def running(self) -> str:
        """The id of the slug that runs."""
        good = [release for release in self.releases if release["status"] == "succeeded" and release["slug"]]
        return str(good[-1]["slug"]["id"]) if good else ""


@dataclass
class Fault:
    """What goes wrong for a request whose `METHOD /path` fits `pattern`, so many `times`.

    `status` answers with it; `cut` does what is asked and hangs up before the answer; `drop` hangs up at once; `stall`
    sends nothing for a second; `drip` promises an answer and sends a byte of it now and then.
    """

    pattern: str
    kind: str
    times: int = 1
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, kind: str, message: str = "", status: int = 0) -> None:
        super().__init__(kind)
        known = ERRORS.get(kind, (422, ""))
        self.kind, self.status, self.message = kind, status or known[0], message or known[1]


class Heroku:
    """The platform, in a thread of its own for the time of a `with` block."""

    def __init__(self, token: str, apps: Mapping[str, App]) -> None:
        self.token = token
        self.apps = dict(apps)
        self.blobs: dict[str, bytes] = {}
        self.expired: set[str] = set()
        self.expire_next = 0
        """How many of the next blob addresses have expired already."""
        self.faults: list[Fault] = []
        self.remaining = 4500
        self.refusals = 0
        """Requests refused by the rate limit; two of them refill it."""
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        """Method, path with query, headers of every request."""
        self.mutex = threading.Lock()
        self._server = _Listener(self)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def requests(self) -> list[str]:
        """`METHOD /path` of every request, in order, without queries; ids are shown as `*`."""
        return [f"{method} {_anonymous(path)}" for method, path, _ in self.seen]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    # --- what the API does -----------------------------------------------------------------------------------

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """The API proper: everything but blobs and output streams."""
        if self.remaining <= 0:
            self.refusals += 1
            self.remaining = 100 if self.refusals % 2 == 0 else 0
            raise Refusal("rate_limit")
        self.remaining -= 1
        if "version=3" not in headers.get("Accept", ""):
            raise Refusal("bad_request", "Unsupported version of the API.")
        if headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal("unauthorized")
        for pattern, routed, act in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and routed == method:
                return act(self, self._app(found["app"]), headers, *found.groups()[1:], *_json(method, headers, body))
        raise Refusal("not_found")

    def _app(self, name: str) -> App:
        if name not in self.apps:
            raise Refusal("not_found", "Couldn't find that app.")
        if self.apps[name].forbidden:
            raise Refusal("forbidden", f"You do not have access to the app {name}.")
        return self.apps[name]

    def show_app(self, app: App, _: Mapping[str, str]) -> tuple[int, Any]:
        stack = {"id": "1", "name": app.stack}
        generation = {"id": "2", "name": app.generation}
        return 200, {"build_stack": stack, "stack": stack, "generation": generation, "maintenance": False}

    def make_slug(self, app: App, _: Mapping[str, str], given: dict[str, Any]) -> tuple[int, Any]:
        types = given.get("process_types")
        if not isinstance(types, dict) or not all(isinstance(one, str) for one in types.values()):
            raise Refusal("invalid_params", "Require params: process_types.")
        if unknown := sorted(set(given) - SLUG_KEYS):
            raise Refusal("invalid_params", f"Unknown params: {', '.join(unknown)}.")
        if given.get("stack", app.stack) not in STACKS:
            raise Refusal("invalid_params", "Stack does not exist.")
        if not re.fullmatch(r"SHA256:[0-9a-f]{64}", given.get("checksum", "SHA256:" + "0" * 64)):
            raise Refusal("invalid_params", "Checksum is not of the form SHA256:<hex>.")
        slug_id = str(uuid.uuid4())
        key = hashlib.sha256(slug_id.encode()).hexdigest()[:20]
        if self.expire_next:
            self.expire_next -= 1
            self.expired.add(key)
        slug = {
            "id": slug_id,
            "blob": {"method": "put", "url": f"{self.url}/blobs/{key}?Signature=SECRET-{key}&Expires=1"},
            "size": None,
            "stack": {"id": "1", "name": given.get("stack", app.stack)},
            **{name: given.get(name) for name in SLUG_KEYS - {"stack"}},
        }
        app.slugs[slug_id] = {**slug, "key": key}
        return 201, slug

    def show_slug(self, app: App, _: Mapping[str, str], slug_id: str) -> tuple[int, Any]:
        if slug_id not in app.slugs:
            raise Refusal("not_found", "Couldn't find that slug.")
        slug = app.slugs[slug_id]
        data = self.blobs.get(slug["key"])
        return 200, {**{k: v for k, v in slug.items() if k != "key"}, "size": len(data) if data is not None else None}

    def make_release(self, app: App, _: Mapping[str, str], given: dict[str, Any]) -> tuple[int, Any]:
        slug_id = given.get("slug", "")
        owner = next((one for one in self.apps.values() if slug_id in one.slugs), None)
        if owner is None:
            raise Refusal("not_found", "Couldn't find that slug.")
        if owner.forbidden:
            raise Refusal("forbidden", "You do not have access to the slug.")
        slug = owner.slugs[slug_id]
        if slug["key"] not in self.blobs:
            raise Refusal("invalid_params", "The slug has not been uploaded.")
        app.slugs.setdefault(slug_id, slug)
        phase = "release" in slug["process_types"]
        release = {
            "id": str(uuid.uuid4()),
            "version": len(app.releases) + 1,
            "status": "pending" if phase else "succeeded",
            "slug": {"id": slug_id},
            "description": given.get("description", ""),
            "output_stream_url": f"{self.url}/streams/{slug['key']}?token=SECRET-{slug['key']}" if phase else None,
        }
        app.releases.append({**release, "looks": app.looks})
        return 201, self.public(app, app.releases[-1])

    def list_releases(self, app: App, headers: Mapping[str, str]) -> tuple[int, Any]:
        asked = headers.get("Range", "")
        rows = app.releases[::-1] if "order=desc" in asked else list(app.releases)
        count = int(found[1]) if (found := re.search(r"max=(\d+)", asked)) else 200
        return (206 if len(rows) > count else 200), [self.public(app, row) for row in rows[:count]]

    def show_release(self, app: App, _: Mapping[str, str], release_id: str) -> tuple[int, Any]:
        for release in app.releases:
            if release["id"] == release_id:
                if release["status"] == "pending":
                    release["looks"] -= 1
                    if release["looks"] < 0:
                        release["status"] = app.release_phase
                return 200, self.public(app, release)
        raise Refusal("not_found", "Couldn't find that release.")

    def public(self, app: App, release: dict[str, Any]) -> dict[str, Any]:
        """A release as the API shows it."""
        shown = {key: value for key, value in release.items() if key != "looks"}
        return {**shown, "current": bool(app.releases) and release is app.releases[-1]}

    # --- blobs and streams -----------------------------------------------------------------------------------

    def put_blob(self, path: str, query: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """As an object store with a signed address does it."""
        key = path.rpartition("/")[2]
        if "Authorization" in headers:
            return 400, "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>"
        if "Content-Length" not in headers:
            return 411, "<Error><Code>MissingContentLength</Code></Error>"
        if headers.get("Content-Type", "") or parse_qs(query).get("Signature") != [f"SECRET-{key}"]:
            return 403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"
        if key in self.expired:
            return 403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        self.blobs[key] = body
        return 200, ""


Act = Callable[..., tuple[int, Any]]
_APP = r"/apps/(?P<app>[^/]+)"
_ROUTES: list[tuple[str, str, Act]] = [
    (_APP, "GET", Heroku.show_app),
    (f"{_APP}/slugs", "POST", Heroku.make_slug),
    (f"{_APP}/slugs/([^/]+)", "GET", Heroku.show_slug),
    (f"{_APP}/releases", "GET", Heroku.list_releases),
    (f"{_APP}/releases", "POST", Heroku.make_release),
    (f"{_APP}/releases/([^/]+)", "GET", Heroku.show_release),
]


def _json(method: str, headers: Mapping[str, str], body: bytes) -> tuple[dict[str, Any], ...]:
    if method != "POST":
        return ()
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or headers.get("Content-Type") != "application/json":
        raise Refusal("bad_request")
    return (found,)


def _anonymous(path: str) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)[0-9a-f]{20}", "*", urlsplit(path).path)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, heroku: Heroku) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.heroku = heroku

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        assert isinstance(self.server, _Listener)
        heroku = self.server.heroku
        parts = urlsplit(self.path)
        headers = dict(self.headers.items())
        body = self.rfile.read(int(headers.get("Content-Length") or 0))
        with heroku.mutex:
            heroku.seen.append((self.command, self.path, headers))
            fault = self._fault(heroku, f"{self.command} {parts.path}")
        if fault and fault.kind in ("stall", "drip"):
            self._slowly(fault.kind)
            return
        with heroku.mutex:
            if fault and fault.kind == "drop":
                self.close_connection = True
                return
            if fault and fault.kind == "status":
                self._send(fault.status, fault.body.encode(), fault.headers)
                return
            if parts.path.startswith("/streams/") and self.command == "GET":
                self._stream(heroku, parts.path, headers)
                return
            status, data = self._act(heroku, parts.path, parts.query, headers, body)
            if fault:  # cut: done, but nobody hears of it
                self.close_connection = True
                return
            self._send(status, data, {"RateLimit-Remaining": str(heroku.remaining), "Request-Id": str(uuid.uuid4())})

    def _slowly(self, kind: str) -> None:
        self.close_connection = True
        if kind == "stall":
            time.sleep(1.0)
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        with suppress(OSError):
            for _ in range(100):
                self.wfile.write(b" ")
                time.sleep(0.05)

    def _fault(self, heroku: Heroku, line: str) -> Fault | None:
        for fault in heroku.faults:
            if fault.times > 0 and re.search(fault.pattern, line):
                fault.times -= 1
                return fault
        return None

    def _act(self, heroku: Heroku, path: str, query: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        if path.startswith("/blobs/") and self.command == "PUT":
            status, text = heroku.put_blob(path, query, headers, body)
            return status, text.encode()
        try:
            status, found = heroku.answer(self.command, path, headers, body)
        except Refusal as refusal:
            status, found = refusal.status, {"id": refusal.kind, "message": refusal.message}
        return status, json.dumps(found).encode()

    def _stream(self, heroku: Heroku, path: str, headers: Mapping[str, str]) -> None:
        key = path.rpartition("/")[2]
        owner = next((app for app in heroku.apps.values() if any(s["key"] == key for s in app.slugs.values())), None)
        if owner is None or "Authorization" in headers:
            self._send(403, b"", {})
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in owner.output.splitlines(keepends=True):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line.encode()), line.encode()))
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Answer."""
        self._handle()

    def do_POST(self) -> None:
        """Answer."""
        self._handle()

    def do_PUT(self) -> None:
        """Answer."""
        self._handle()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
