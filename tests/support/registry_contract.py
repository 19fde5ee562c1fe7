"""A registry in memory, written from the OCI distribution specification 1.1, whose every answer a test can spoil.

It keeps what arrived of an upload that was cut, as the specification wants, and has the referrers API unless told not to.
Bodies are read piece by piece, so that a test can cut them anywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_PIECE = 1 << 16


@dataclass
class Asked:
    """One request: `body` counts the bytes that were read of it; `number` those of this method and path, from 1."""

    method: str
    path: str
    headers: dict[str, str]
    number: int
    body: int = 0
    status: int = 0


Spoil = Callable[[Asked, "Request"], bool]
"""Sees a request before its body is read; True when it has answered."""


class Request(BaseHTTPRequestHandler):
    """A request as spoilers see it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    asked: Asked

    def say(self, code: int, body: bytes = b"", **headers: str) -> None:
        """Answer; a connection that ends with it says so, as real servers do."""
        self.asked.status = code
        if self.close_connection:
            headers = {"Connection": "close", **headers}
        self.send_response(code)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str = "", **headers: str) -> None:
        """Answer with an error document. The body that was not read ends the connection."""
        self.close_connection = True
        self.say(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

    def read(self, count: int = -1) -> bytes:
        """The body, or at most `count` bytes more of it."""
        total = int(self.headers.get("Content-Length") or 0)
        left = total - self.asked.body if count < 0 else min(count, total - self.asked.body)
        data = self.rfile.read(left) if left else b""
        self.asked.body += len(data)
        return data

    def hang_up(self) -> None:
        """Cut the connection, whatever is still to come."""
        self.close_connection = True
        self.connection.close()

    def _handle(self) -> None:
        registry: ContractRegistry = self.server.registry  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        headers = {key.lower(): value for key, value in self.headers.items()}
        with registry.mutex:
            number = 1 + sum(
                one.method == self.command and one.path.partition("?")[0] == path for one in registry.asked
            )
            self.asked = Asked(self.command, self.path, headers, number)
            registry.asked.append(self.asked)
        try:
            if not any(spoil(self.asked, self) for spoil in registry.spoilers):
                registry.answer(self)
        except (BrokenPipeError, ConnectionResetError, ValueError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _handle  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


@dataclass
class ContractRegistry:
    """The registry; use it in a `with` block."""

    referrers: bool = True
    spoilers: list[Spoil] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    mutex: Any = field(default_factory=threading.RLock)

    def __enter__(self) -> Self:
        self._listener = _Listener(("127.0.0.1", 0), Request)
        self._listener.registry = self  # type: ignore[attr-defined]
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def host(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self._listener.server_port}"

    def methods(self) -> list[str]:
        """The methods of all requests, in order."""
        return [one.method for one in self.asked]

    def sent(self) -> int:
        """Bytes of all bodies that arrived at blobs."""
        return sum(one.body for one in self.asked if "/blobs/" in one.path)

    # --- the specification's end points ----------------------------------------------------------------------

    def answer(self, request: Request) -> None:
        """Do what the specification says."""
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        match = re.fullmatch(r"/v2/(.+)/(blobs|manifests|tags|referrers)/(.+?)/?", url.path)
        if not match:
            request.say(200 if url.path == "/v2/" else 404)
            return
        repository, kind, rest = match.groups()
        if kind == "blobs" and rest.startswith("uploads"):
            self._upload(request, repository, rest.partition("/")[2], query)
        elif kind == "blobs":
            self._blob(request, repository, rest)
        elif kind == "manifests":
            self._manifest(request, repository, rest)
        elif kind == "tags":
            self._tags(request, repository, query)
        else:
            self._referrers(request, repository, rest)

    def _blob(self, request: Request, repository: str, digest: str) -> None:
        data = self.blobs.get((repository, digest))
        if data is None:
            request.refuse(404, "BLOB_UNKNOWN")
            return
        start = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        extra = {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        length = {"Content_Length": str(len(data) - start)}
        request.say(206 if start else 200, data[start:], Docker_Content_Digest=digest, **length, **extra)

    def _upload(self, request: Request, repository: str, name: str, query: dict[str, str]) -> None:
        if request.command == "POST":
            data = self.blobs.get((query.get("from", ""), query.get("mount", "")))
            if data is not None:
                self.blobs[repository, query["mount"]] = data
                request.say(201, Location=f"/v2/{repository}/blobs/{query['mount']}")
                return
            with self.mutex:
                name = f"u{len(self.asked)}"
                self.uploads[name] = bytearray()
            request.say(202, Location=f"/v2/{repository}/blobs/uploads/{name}", Range="0-0")
            return
        held = self.uploads.get(name)
        if held is None:
            request.refuse(404, "BLOB_UPLOAD_UNKNOWN")
            return
        where = f"/v2/{repository}/blobs/uploads/{name}"
        start = request.headers.get("Content-Range")
        if start and int(start.partition("-")[0]) != len(held):
            request.refuse(416, "BLOB_UPLOAD_INVALID", Location=where, Range=f"0-{max(0, len(held) - 1)}")
            return
        while piece := request.read(_PIECE):
            held += piece
        if request.command == "PUT":
            self._close(request, repository, name, query["digest"])
            return
        code = 204 if request.command == "GET" else 202
        request.say(code, Location=where, Range=f"0-{max(0, len(held) - 1)}")

    def _close(self, request: Request, repository: str, name: str, digest: str) -> None:
        data = bytes(self.uploads.pop(name))
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            request.refuse(400, "DIGEST_INVALID")
            return
        self.blobs[repository, digest] = data
        request.say(201, Location=f"/v2/{repository}/blobs/{digest}", Docker_Content_Digest=digest)

    def _manifest(self, request: Request, repository: str, name: str) -> None:
        if request.command == "PUT":
            data = request.read()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            for key in (name, digest):
                self.manifests[repository, key] = (request.headers["Content-Type"], data)
            subject = json.loads(data).get("subject")
            extra = {"OCI_Subject": subject["digest"]} if subject and self.referrers else {}
            request.say(201, Docker_Content_Digest=digest, Location=f"/v2/{repository}/manifests/{digest}", **extra)
            return
        found = self.manifests.get((repository, name))
        if found is None:
            request.refuse(404, "MANIFEST_UNKNOWN")
            return
        digest = f"sha256:{hashlib.sha256(found[1]).hexdigest()}"
        request.say(200, found[1], Content_Type=found[0], Docker_Content_Digest=digest)

    def _tags(self, request: Request, repository: str, query: dict[str, str]) -> None:
        """Two to a page."""
        names = sorted(name for where, name in self.manifests if where == repository and ":" not in name)
        names = [name for name in names if name > query.get("last", "")]
        extra = {}
        if len(names) > 2:
            extra["Link"] = f'</v2/{repository}/tags/list?n=2&last={names[1]}>; rel="next"'
        request.say(200, json.dumps({"name": repository, "tags": names[:2]}).encode(), **extra)

    def _referrers(self, request: Request, repository: str, digest: str) -> None:
        if not self.referrers:
            request.say(404, b"404 page not found\n")
            return
        rows = []
        for (where, name), (kind, data) in sorted(self.manifests.items()):
            document = json.loads(data)
            if (
                where == repository
                and name.startswith("sha256:")
                and document.get("subject", {}).get("digest") == digest
            ):
                row = {"mediaType": kind, "digest": name, "size": len(data), "artifactType": document["artifactType"]}
                rows.append({**row, "annotations": document.get("annotations", {})})
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": rows}
        request.say(200, json.dumps(index).encode(), Content_Type=str(index["mediaType"]))


# --- spoilers ----------------------------------------------------------------------------------------------------------


def on(method: str, part: str, do: Callable[[Request], None], *numbers: int) -> Spoil:
    """Let `do` answer requests of a method whose path holds `part`: all of them, or the first, the second …"""
    count = 0
    mutex = threading.Lock()

    def spoil(asked: Asked, request: Request) -> bool:
        nonlocal count
        if asked.method != method or part not in asked.path:
            return False
        with mutex:
            count += 1
            mine = count
        if numbers and mine not in numbers:
            return False
        do(request)
        return True

    return spoil
