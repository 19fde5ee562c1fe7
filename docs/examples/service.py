"""A small service that stages apps for others: each request in a thread of its own, all on one store.

    python docs/examples/service.py APPS DROPLETS [PORT]

`POST /stage/<name>` stages the folder `APPS/<name>` and answers with the droplet's digest, size and processes, or with
stager's error and a fitting status. `GET /droplets/<name>.tgz` hands the droplet out.
Two requests at once share the store: what both apps need is fetched and compressed once.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import stager

STATUS = {20: HTTPStatus.UNPROCESSABLE_ENTITY, 40: HTTPStatus.BAD_GATEWAY, 60: HTTPStatus.UNPROCESSABLE_ENTITY}
"""What stager's exit codes mean to a web client; the rest is this server's own trouble."""


class Service(ThreadingHTTPServer):
    """Where the apps are, where droplets go, and the store that all requests share."""

    def __init__(self, address: tuple[str, int], apps: str, droplets: str) -> None:
        super().__init__(address, Handler)
        self.apps = apps
        self.droplets = droplets
        self.store = stager.Store(os.path.join(droplets, "store"))


class Handler(BaseHTTPRequestHandler):
    """One request. stager's functions hold no state, so a thread needs nothing of its own."""

    server: Service

    def do_POST(self) -> None:
        verb, _, name = self.path.strip("/").partition("/")
        if verb != "stage" or name not in os.listdir(self.server.apps):
            self.answer(HTTPStatus.NOT_FOUND, {"error": "no such app"})
            return
        out = os.path.join(self.server.droplets, f"{name}.tgz")
        try:
            droplet = stager.stage(os.path.join(self.server.apps, name), out=out, store=self.server.store)
        except stager.StagerError as error:
            status = STATUS.get(error.exit_code, HTTPStatus.INTERNAL_SERVER_ERROR)
            self.answer(status, {"error": error.as_json()})
            return
        self.answer(HTTPStatus.OK, {"digest": droplet.digest, "size": droplet.size, "processes": droplet.processes})

    def do_GET(self) -> None:
        folder, _, name = self.path.strip("/").partition("/")
        if folder != "droplets" or name not in os.listdir(self.server.droplets) or not name.endswith(".tgz"):
            self.answer(HTTPStatus.NOT_FOUND, {"error": "no such droplet"})
            return
        with open(os.path.join(self.server.droplets, name), "rb") as file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/gzip")
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile)

    def answer(self, status: HTTPStatus, document: dict[str, object]) -> None:
        """Send one JSON document."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    apps, droplets, *port = sys.argv[1:]
    os.makedirs(droplets, exist_ok=True)
    with Service(("127.0.0.1", int(port[0]) if port else 8000), apps, droplets) as service:
        service.serve_forever()
