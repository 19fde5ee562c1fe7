"""Real HTTP servers on the loopback interface, well-behaved and otherwise.

A `Server` answers each path with a function of the request; the makers below give the usual faults. Sockets are real,
nothing is patched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Request(BaseHTTPRequestHandler):
    """One request as an answer sees it: `number` counts those of this path from 1."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    number = 0

    def do_GET(self) -> None:
        """Answer by the route."""
        server = self.server
        assert isinstance(server, _Listener)
        path = self.path.partition("?")[0]
        with server.mutex:
            server.seen.append((self.path, dict(self.headers.items())))
            self.number = sum(seen.partition("?")[0] == path for seen, _ in server.seen)
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        try:
            server.routes.get(path, status(404))(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with server.mutex:
                server.busy -= 1

    def do_HEAD(self) -> None:
        """Answer by the route, without the body."""
        self.wfile = _HeadOnly(self.wfile)
        self.do_GET()
        self.wfile = self.wfile.stream

    def begin(self, code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send the status line and headers."""
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _HeadOnly(BufferedIOBase):
    """A stream that passes on what is written first: a response's head."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self.stream, self._begun = stream, False

    def write(self, data: Buffer, /) -> int:
        """Write the head; drop everything else."""
        if not self._begun:
            self.stream.write(data)
        self._begun = True
        return len(memoryview(data))


Answer = Callable[[Request], None]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.routes: dict[str, Answer] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.mutex = threading.Lock()
        self.busy = self.most_busy = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class Server:
    """A server in a thread of its own, for the time of a `with` block."""

    def __init__(self, routes: Mapping[str, Answer] | None = None) -> None:
        self._listener = _Listener()
        self._listener.routes.update(routes or {})

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`."""
        return f"http://127.0.0.1:{self._listener.server_port}"

    @property
    def routes(self) -> dict[str, Answer]:
        """Path → answer; may be changed at any time."""
        return self._listener.routes

    @property
    def seen(self) -> list[tuple[str, dict[str, str]]]:
        """Every request so far: path with query, headers."""
        return self._listener.seen

    @property
    def most_busy(self) -> int:
        """How many requests were being answered at one time, at most."""
        return self._listener.most_busy

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [path for path, _ in self.seen]

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.shutdown()
        self._listener.server_close()


# --- answers ----------------------------------------------------------------------------------------------------------


def serve(body: bytes, kind: str = "application/octet-stream", **headers: str) -> Answer:
    """The whole body with its length; keyword `Content_Type` becomes the header `Content-Type`."""

    def answer(request: Request) -> None:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request.begin(200, {"Content-Type": kind, "Content-Length": str(len(body)), **given})
        request.wfile.write(body)

    return answer


def status(code: int, **headers: str) -> Answer:
    """A status without a body."""

    def answer(request: Request) -> None:
        request.begin(code, {"Content-Length": "0", **{key.replace("_", "-"): value for key, value in headers.items()}})

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first answer for the first request, and so on; the last one from then on."""

    def answer(request: Request) -> None:
        answers[min(request.number, len(answers)) - 1](request)

    return answer


def cut(body: bytes, after: int, etag: str = "") -> Answer:
    """Promise everything, send `after` bytes from where the client asked for (see `resumable`), hang up."""

    def answer(request: Request) -> None:
        start = _start(request, etag)
        request.begin(206 if start else 200, _range_headers(body, start, etag))
        request.wfile.write(body[start : start + after])
        request.close_connection = True

    return answer


def resumable(body: bytes, etag: str) -> Answer:
    """Serve the body, honouring Range when If-Range has this entity tag."""

    def answer(request: Request) -> None:
        start = _start(request, etag)
        request.begin(206 if start else 200, _range_headers(body, start, etag))
        request.wfile.write(body[start:])

    return answer


def _start(request: Request, etag: str) -> int:
    wanted = request.headers.get("Range", "")
    if not wanted or not etag or request.headers.get("If-Range") != etag:
        return 0
    return int(wanted.removeprefix("bytes=").partition("-")[0])


def _range_headers(body: bytes, start: int, etag: str) -> dict[str, str]:
    headers = {"Content-Length": str(len(body) - start)}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return {**headers, "ETag": etag} if etag else headers


def claims(body: bytes, length: int) -> Answer:
    """Claim a length the body does not have, send the body, hang up."""

    def answer(request: Request) -> None:
        request.begin(200, {"Content-Length": str(length)})
        request.wfile.write(body)
        request.close_connection = True

    return answer


def endless(chunk: bytes = b"x" * 65536) -> Answer:
    """A chunked body without an end."""

    def answer(request: Request) -> None:
        request.begin(200, {"Transfer-Encoding": "chunked"})
        while True:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    return answer


def chunked(body: bytes, size: int = 1000, whole: bool = True) -> Answer:
    """A chunked body; not `whole`: the connection ends before the last chunk."""

    def answer(request: Request) -> None:
        request.begin(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(body), size):
            part = body[start : start + size]
            request.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if whole:
            request.wfile.write(b"0\r\n\r\n")
        request.close_connection = not whole

    return answer


def until_closed(body: bytes) -> Answer:
    """A body whose end is the end of the connection."""

    def answer(request: Request) -> None:
        request.begin(200, {"Connection": "close"})
        request.wfile.write(body)
        request.close_connection = True

    return answer


def drip(body: bytes, pause: float) -> Answer:
    """A byte, a pause, a byte …"""

    def answer(request: Request) -> None:
        request.begin(200, {"Content-Length": str(len(body))})
        for byte in body:
            request.wfile.write(bytes([byte]))
            time.sleep(pause)

    return answer


def stall(seconds: float, sent: bytes = b"", length: int = 1000) -> Answer:
    """Headers, some bytes, then silence."""

    def answer(request: Request) -> None:
        request.begin(200, {"Content-Length": str(length)})
        request.wfile.write(sent)
        time.sleep(seconds)
        request.close_connection = True

    return answer


def silent(seconds: float) -> Answer:
    """Not even headers."""

    def answer(request: Request) -> None:
        time.sleep(seconds)
        request.close_connection = True

    return answer


def redirect(location: str, code: int = 302) -> Answer:
    """Send the client elsewhere."""
    return status(code, Location=location)


def guarded(authorization: str, answer: Answer) -> Answer:
    """`answer` for whoever brings this Authorization, 401 for others."""

    def check(request: Request) -> None:
        (answer if request.headers.get("Authorization") == authorization else status(401))(request)

    return check
