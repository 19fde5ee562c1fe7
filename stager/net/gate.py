"""The only way out for a program that resolves: a forward proxy on loopback that asks for every connection whether it may be.

A resolver brings its own HTTP client. It runs where there is no network (see `resolving.confined`) and is told of this proxy,
so one policy holds for every client: `Indexes.refusal` for what is written, `Indexes.policy` for the address that it leads
to, when the connection is made. TLS goes through untouched; plain HTTP only to origins that the operator configured. Behind
the operator's own proxy only that one can resolve names, and is left to.

The listening socket is made by the program's side (`LAUNCH`), in the network namespace it is in, and handed over.
"""

from __future__ import annotations

import base64
import hmac
import os
import select
import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from .addresses import AddressRefused, glance, open_connection
from .session import proxy_parts, tls_context

if TYPE_CHECKING:
    from .indexes import Indexes

LAUNCH = """\
import os, socket, sys
key, told = os.environ.pop("STAGER_GATE").split(":")
with socket.socket(fileno=int(told)) as line, socket.create_server(("127.0.0.1", 0)) as door:
    socket.send_fds(line, [b"."], [door.fileno()])
    where = f"http://stager:{key}@127.0.0.1:{door.getsockname()[1]}"
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ[name] = os.environ[name.lower()] = where
"""
"""What the program's side runs first, in Python."""
_HEAD = 64 << 10
_CONNECT, _IDLE, _TICK = 20.0, 120.0, 0.5
"""Seconds: for a connection to be made, that one may say nothing, between two looks at whether all is over."""
_MOST = 64
"""Connections at a time."""


class Gate:
    """The proxy, for the time of a `with` block. `refused` holds what was asked for and not allowed, with reasons."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes
        self._key = os.urandom(18).hex()
        self._over = threading.Event()
        self._free = threading.BoundedSemaphore(_MOST)
        self.refused: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._here, self._there = socket.socketpair()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        self._there.close()
        with suppress(OSError):
            self._here.shutdown(socket.SHUT_RDWR)

    @property
    def descriptor(self) -> int:
        """What the program's side must inherit."""
        return self._there.fileno()

    @property
    def variable(self) -> str:
        """The value of `STAGER_GATE` for `LAUNCH`."""
        return f"{self._key}:{self.descriptor}"

    def _serve(self) -> None:
        with self._here:
            fds = socket.recv_fds(self._here, 1, 1)[1]
        if not fds:
            return
        with socket.socket(fileno=fds[0]) as door:
            door.settimeout(_TICK)
            while not self._over.is_set():
                with suppress(TimeoutError):
                    client = door.accept()[0]
                    threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client: socket.socket) -> None:
        with client, self._free, suppress(OSError, ValueError):
            client.settimeout(_IDLE)
            try:
                self._answer(client)
            except AddressRefused as refused:
                client.sendall(_status("403 Forbidden", str(refused)))

    def _answer(self, client: socket.socket) -> None:
        head, rest = _head(client)
        (method, target, _), fields = head[0].split(" "), [line.partition(":") for line in head[1:]]
        known = {name.strip().lower(): value.strip() for name, _, value in fields}
        wanted = "Basic " + base64.b64encode(f"stager:{self._key}".encode()).decode()
        if not hmac.compare_digest(known.get("proxy-authorization", "").encode(), wanted.encode()):
            client.sendall(
                _status("407 Proxy Authentication Required", "", 'Proxy-Authenticate: Basic realm="stager"\r\n')
            )
            return
        url = f"https://{target}/" if method == "CONNECT" else target
        with ExitStack() as opened:
            server, way = self._reach(url, opened)
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(rest)
            else:
                server.sendall(_plain(method, url, way, head[1:]) + rest)
            self._relay(client, server)

    def _reach(self, url: str, opened: ExitStack) -> tuple[socket.socket, str | None]:
        """A connection to a URL's origin, and what `_through` says of it. Raises Refused."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
            why = self._indexes.refusal(f"{parts.scheme}://{parts.netloc}/")
            if why:
                raise AddressRefused(why)
            proxy = self._indexes.proxy(url)
            if proxy:
                glance(host, port, self._indexes.policy(), scheme=parts.scheme)
                return self._through(proxy, url, f"{host}:{port}", opened)
            return opened.enter_context(self._direct(host, port, parts.scheme)), None
        except AddressRefused as refused:
            self.refused.setdefault(parts.netloc, str(refused))
            raise

    def _direct(self, host: str, port: int, scheme: str) -> socket.socket:
        """A connection to an address of a host that may be reached. Raises Refused."""
        try:
            return open_connection(host, port, self._indexes.policy(), scheme=scheme, timeout=_CONNECT)
        except socket.gaierror:
            raise AddressRefused("its name cannot be resolved") from None
        except OSError:
            raise AddressRefused("no connection to it") from None

    def _through(self, proxy: str, url: str, place: str, opened: ExitStack) -> tuple[socket.socket, str]:
        """A connection by way of the operator's own proxy, and the fields that it must be sent. Raises Refused."""
        address, secret = proxy_parts(proxy)
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https"):
            raise AddressRefused("the configured proxy is no http or https proxy")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            server = opened.enter_context(socket.create_connection((parts.hostname or "", port), _CONNECT))
            if parts.scheme == "https":
                server = opened.enter_context(
                    tls_context(self._indexes).wrap_socket(server, server_hostname=parts.hostname)
                )
        except OSError:
            raise AddressRefused("no connection to the configured proxy") from None
        fields = "".join(f"{name}: {value}\r\n" for name, value in secret.items())
        if url[:5].lower() == "http:":
            return server, fields
        server.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{fields}\r\n".encode("latin-1"))
        answer = _head(server, 1)[0][0]  # what comes after it is the tunnel's
        if answer.split(" ")[1:2] != ["200"]:
            raise AddressRefused(f"the configured proxy answered {answer[:80]!r}")
        return server, fields

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        """Bytes both ways until one side ends, both are silent for too long, or all is over."""
        other, silent = {client: server, server: client}, 0.0
        for end in other:
            end.settimeout(_IDLE)
        while silent < _IDLE and not self._over.is_set():
            held = [end for end in other if isinstance(end, ssl.SSLSocket) and end.pending()]
            ready = held or select.select([*other], [], [], _TICK)[0]
            silent = 0.0 if ready else silent + _TICK
            for end in ready:
                part = end.recv(64 << 10)
                if not part:
                    return
                other[end].sendall(part)


def _head(stream: socket.socket, size: int = 4096) -> tuple[list[str], bytes]:
    """The lines of a message's head, and what came with it. Raises ValueError for one without measure."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = stream.recv(size)
        data += part
        if not part or len(data) > _HEAD:
            raise ValueError("no head")
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n"), rest


def _plain(method: str, url: str, way: str | None, fields: list[str]) -> bytes:
    """A request of plain HTTP as it goes on: one a connection, without what was meant for this proxy.

    The operator's proxy gets the whole URL and its own fields (`way`), a server (None) the path.
    """
    parts = urlsplit(url)
    if method not in ("GET", "HEAD"):
        raise AddressRefused("a resolver only reads")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in fields if line.partition(":")[0].strip().lower() not in _HOPS]
    lines = [f"{method} {path if way is None else url} HTTP/1.1", *kept, "Connection: close"]
    return ("\r\n".join(lines) + "\r\n" + (way or "") + "\r\n").encode("latin-1")


_HOPS = ("connection", "proxy-connection", "proxy-authorization", "keep-alive", "te", "upgrade")


def _status(status: str, text: str, fields: str = "") -> bytes:
    body = text.encode()
    return f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
