"""Real git repositories, and git's own server for them behind HTTP on the loopback interface."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

ENVIRON = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z",
    **{f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(place: Path, *words: str, data: bytes | None = None) -> str:
    """Run git in a folder; what it says."""
    done = subprocess.run(["git", *words], cwd=place, env=ENVIRON, input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def commit(place: Path, files: Mapping[str, str | bytes], message: str = "a state") -> str:
    """Write files of a repository, which is made when it is not there, and commit them all: the commit's id."""
    if not (place / ".git").exists():
        place.mkdir(parents=True, exist_ok=True)
        git(place, "init", "-q", "-b", "main")
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    git(place, "add", "-A", "-f")
    git(place, "commit", "-q", "--allow-empty", "-m", message)
    return git(place, "rev-parse", "HEAD")


Answer = Callable[["GitRequest"], None]


class GitRequest(BaseHTTPRequestHandler):
    """One request: answered by git's own program (git-http-backend(1)), unless a route says otherwise."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer it."""
        server = self.server
        assert isinstance(server, _Listener)
        with server.mutex:
            server.seen.append((self.command, self.path, dict(self.headers.items())))
        route = next(
            (route for start, route in server.routes.items() if self.path.startswith(start)), GitRequest.served
        )
        try:
            route(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_POST(self) -> None:
        """Answer it."""
        self.do_GET()

    def served(self) -> None:
        """What git's own program answers."""
        server = self.server
        assert isinstance(server, _Listener)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            env={
                **ENVIRON,
                "GIT_PROJECT_ROOT": str(server.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(len(body)),
                **({"GIT_PROTOCOL": said} if (said := self.headers.get("Git-Protocol")) and server.modern else {}),
            },
            input=body, capture_output=True, check=False,
        )  # fmt: skip
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.answer(int(fields.pop("Status", "200").split()[0]), fields, data)

    def answer(self, code: int, headers: Mapping[str, str], data: bytes = b"") -> None:
        """Send an answer."""
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), GitRequest)
        self.folder, self.modern = folder, True
        self.routes: dict[str, Answer] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.mutex = threading.Lock()


class GitServer:
    """Serves the repositories in a folder. `modern` is whether it speaks version 2 of the protocol."""

    def __init__(self, folder: Path) -> None:
        self._listener = _Listener(folder)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"
        self.routes, self.seen = self._listener.routes, self._listener.seen

    def old(self) -> None:
        """Speak the older protocol alone."""
        self._listener.modern = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
