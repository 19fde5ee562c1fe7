"""Run as a program: every client of stager against every forbidden place, with each connect() of the process written down.

Prints one JSON document: how many places and attempts there were, which connects were made, and which attempts passed.
With the argument `allowed` an operator allows all addresses: then there are connects, or the recorder sees nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any

from places import HOSTS, Resolver

from stager import fetching
from stager.digest import Digest
from stager.errors import StagerError
from stager.evidence.verify.reference import download
from stager.fetching.web import Web
from stager.model import Artifact
from stager.net.indexes import Indexes
from stager.net.indexes.origins import Origin
from stager.net.patience import Patience
from stager.store import Store
from stager.targets.cloudfoundry.login import CfLogin as CfLogin
from stager.targets.cloudfoundry.session import CfSession as CfSession
from stager.targets.cloudfoundry.settings import CfSettings, CfWaiting
from stager.targets.heroku.api import HerokuApi as Heroku
from stager.targets.heroku.login import HerokuLogin as HerokuLogin
from stager.targets.oci.image import Blob
from stager.targets.oci.registry.access import Access
from stager.targets.oci.registry.client import Client
from stager.targets.oci.registry.upload import upload

ZERO = "0" * 64
SHORT = {"connect": 0.5, "read": 0.5, "waits": (0.0, 0.0), "grace": 5.0}
connects: list[list[Any]] = []
target = {"location": ""}
STATUSES = cycle((301, 302, 303, 307, 308))


def heard(event: str, arguments: tuple[Any, ...]) -> None:
    """Write a connect down; one that would leave this machine is not made."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        connects.append([str(arguments[1][0]), arguments[1][1]])
        if not str(arguments[1][0]).startswith("127."):
            raise ConnectionRefusedError


class Answers(BaseHTTPRequestHandler):
    """The operator's own server: sends everybody on to the place that is tried."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """One answer; the path says in which way it points elsewhere."""
        to = target["location"]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        way = self.path.split("/")[1]
        if way.isdigit():
            self.say(int(way), Location=to)
        elif way == "simple":
            page = {
                "meta": {"api-version": "1.0"},
                "name": "x",
                "files": [{"filename": "x.whl", "url": to, "hashes": {}}],
            }
            self.say(200, json.dumps(page), Content_Type="application/vnd.pypi.simple.v1+json")
        elif "/tagged/" in self.path:
            self.say(401, WWW_Authenticate=f'Bearer realm="{to}",service="x"')
        elif "/uploads/" in self.path:
            self.say(202, Location=to)
        elif self.command == "HEAD":
            self.say(404)
        elif "/blobs/" in self.path or self.path.endswith("/download"):
            self.say(307, Location=to)
        elif self.path == "/":
            self.say(200, json.dumps({"links": {"uaa": {"href": to}}}))
        else:
            self.say(404)

    do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815

    def say(self, status: int, body: str = "", **headers: str) -> None:
        """Send it; header values go out as they are, as an attacker's would."""
        data = body.encode("utf-8", "surrogatepass")
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.wfile.write(
            "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + data * (self.command != "HEAD")
        )

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def artifact(url: str = "", purl: str = "pkg:pypi/x@1.0") -> Artifact:
    return Artifact(purl, "x-1.0-py3-none-any.whl", Digest(f"sha256:{ZERO}"), "wheel/1", ("x",), None, url)


class Clients:
    """Each way in which an address that others chose reaches a client: name → what asks it."""

    def __init__(self, own: str, folder: str, allowed: tuple[str, ...]) -> None:
        origin = Origin.of(own)
        self.own = own
        self.folder = folder
        self.outside = Indexes(allowed=allowed, ca_files=(os.environ["CERTIFICATE"],))  # one is read faster than all
        trusted = frozenset({origin})
        self.network = replace(self.outside, pypi_default=f"{own}/simple", npm_registry=own, trusted=trusted)
        self.store = Store(f"{folder}/store")
        self.patience = Patience(**SHORT)  # type: ignore[arg-type]
        self.web = Web(self.network, self.store, patience=self.patience)
        self.slug = f"{folder}/slug"
        with open(self.slug, "wb") as file:
            file.write(b"slug")

    def ways(self) -> Iterator[tuple[str, Callable[[str], object]]]:
        """All of them."""
        yield "page", self.web.get
        yield "artifact", lambda url: self.fetch(artifact(url), {})
        yield "hint", lambda url: self.fetch(artifact(), {f"sha256:{ZERO}": url})
        yield "index page", lambda _: self.fetch(artifact(), {})
        yield "app's npmrc", lambda url: Web(self.network.with_app_npmrc(f"registry={url}"), self.store).get(url)
        yield "verify", lambda url: download(url, f"{self.folder}/droplet", self.network, lambda: False)
        status = next(STATUSES)
        yield f"page {status}", lambda _: self.web.get(f"{self.own}/{status}/{len(connects)}")
        yield f"artifact {status}", lambda _: self.fetch(artifact(f"{self.own}/{status}/x"), {})
        yield "pull", lambda _: self.registry(lambda client: list(client.blob("a/b", f"sha256:{ZERO}", 4)))
        yield "push", lambda _: self.registry(lambda client: upload(client, "a/b", Blob.of(b"blob")))
        yield "token", lambda _: self.registry(lambda client: client.manifest("a/tagged/b", "1"))
        yield "uaa", lambda _: self.platform(CfLogin(self.own, "o", "s", username="u", password="p"), "/v3/x")
        yield (
            "blob store",
            lambda _: self.platform(CfLogin(self.own, "o", "s", access_token="bearer x"), "/v3/x/download"),
        )
        yield "slug", lambda url: self.heroku(lambda api: api.upload("the slug", url, self.slug))
        yield "output", lambda url: self.heroku(lambda api: list(api.stream(url, 2.0)))

    def fetch(self, one: Artifact, hints: dict[str, str]) -> None:
        fetching.fetch([one], self.store, indexes=self.network, hints=hints, patience=self.patience)

    def registry(self, act: Callable[[Client], object]) -> None:
        with Client(self.own.partition("://")[2], Access(indexes=self.outside, patience=self.patience)) as client:
            act(client)

    def platform(self, login: CfLogin, path: str) -> None:
        with CfSession(CfSettings(login, self.outside, CfWaiting(**SHORT))) as session:  # type: ignore[arg-type]
            session.download(path, what="it", take=lambda _: None, limit=9)

    def heroku(self, act: Callable[[Heroku], object]) -> None:
        api = Heroku(HerokuLogin(self.own, "token"), self.outside, self.patience)
        try:
            act(api)
        finally:
            api.close()


@contextlib.contextmanager
def listening() -> Iterator[tuple[str, int]]:
    """The operator's server, and the port of one that must never be reached."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server, socket.create_server(("0.0.0.0", 0)) as forbidden:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=turn_away, args=(forbidden,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", forbidden.getsockname()[1]
        server.shutdown()


def turn_away(forbidden: socket.socket) -> None:
    """Take connections and end them."""
    with contextlib.suppress(OSError):
        while True:
            forbidden.accept()[0].close()


def main() -> None:
    """Try every way with every place."""
    allowed = ("0.0.0.0/0", "::/0") if "allowed" in sys.argv else ()
    hosts = os.environ.get("ONLY", "").split() or HOSTS
    resolver = Resolver()
    socket.getaddrinfo = resolver
    sys.addaudithook(heard)
    passed, attempts = [], 0
    with listening() as (own, port), tempfile.TemporaryDirectory() as folder:
        clients = Clients(own, folder, allowed)
        for host in hosts:
            for scheme in ("https", "http") if len(host) % 3 == 0 else ("https",):
                target["location"] = f"{scheme}://{host}:{port}/x"
                for way, ask in clients.ways():
                    resolver.forget()
                    attempts += 1
                    try:
                        ask(target["location"])
                        passed += [[way, target["location"]]] if way != "output" else []
                    except StagerError:
                        pass
        reached = [one for one in connects if one != ["127.0.0.1", int(own.rpartition(":")[2])]]
    print(
        json.dumps(
            {"places": len(hosts), "attempts": attempts, "connects": reached, "passed": passed, "all": len(connects)}
        )
    )


main()
