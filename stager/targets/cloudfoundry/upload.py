"""Uploading a droplet file: streamed, of known length, tried again without ever uploading twice.

The API takes a droplet's bits once, as the part `bits` of a multipart form (RFC 7578) whose file name ends with `.tgz`,
and wants a Content-Length. It then only hashes them; what it computed is compared with what was sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ...digest import Digest
from ...errors import Unreadable
from ...store.errors import DigestMismatch
from ..errors import PlatformUnavailable, Rejected
from .api import App, CloudController, RemoteDroplet
from .login import PLATFORM
from .wire import ApiAnswer

_BOUNDARY = "----------------stager-droplet-f2a9c1d07b5e4836"
_NAME = "droplet.tgz"
_TRIES = 3
_HEAD = (
    f"--{_BOUNDARY}\r\n"
    f'Content-Disposition: form-data; name="bits"; filename="{_NAME}"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
_TAIL = f"\r\n--{_BOUNDARY}--\r\n".encode()


class Form:
    """The multipart body over an open file: read in parts, so that memory stays flat. `requests` asks its length."""

    def __init__(self, path: str, size: int, tell: Callable[[int], None]) -> None:
        self._size = size
        self._tell = tell
        self._place = 0
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed when the body has been read, or by `close`
        except OSError as error:
            raise Unreadable(path, error.strerror or str(error)) from None

    def __len__(self) -> int:
        return len(_HEAD) + self._size + len(_TAIL)

    def read(self, limit: int = -1) -> bytes:
        """The next bytes of the body; `_tell` hears how many of the file are sent, and may raise to stop."""
        limit = 1 << 18 if limit < 0 else max(limit, 1 << 16)
        if self._place < len(_HEAD):
            part = _HEAD[self._place :]
        elif self._place < len(_HEAD) + self._size:
            part = self._file.read(min(limit, len(_HEAD) + self._size - self._place))
            if not part:
                raise OSError("the droplet file became shorter while it was sent")
        else:
            part = _TAIL[self._place - len(_HEAD) - self._size :]
        self._place += len(part)
        self._tell(min(max(0, self._place - len(_HEAD)), self._size))
        return part

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def upload(
    api: CloudController, app: App, path: str, digest: Digest, process_types: Mapping[str, str]
) -> RemoteDroplet:
    """Create a droplet of the app, upload the file, wait until it is STAGED, and compare the platform's SHA-256 with ours.

    Raises Rejected, PlatformUnavailable, TookTooLong, Cancelled, and DigestMismatch when the platform holds other bytes.
    """
    for left in reversed(range(_TRIES)):
        droplet = api.create_droplet(app, process_types)
        try:
            _send(api, droplet, path)
            found = api.settled(droplet.guid, "the uploaded droplet")
        except (PlatformUnavailable, Rejected) as error:
            if not left or not _lost(api, droplet, error):
                raise
            continue
        return _same(found, digest)
    raise PlatformUnavailable("the upload", "it kept failing")


def _lost(api: CloudController, droplet: RemoteDroplet, error: Exception) -> bool:
    """Whether an attempt is lost, but another droplet may do: its bits expired, or never arrived."""
    if isinstance(error, Rejected) and error.data.get("status") == 404:
        return True
    try:
        state = api.droplet(droplet.guid).state
    except Rejected as gone:
        return gone.data.get("status") == 404
    return state == "EXPIRED" or (state == "AWAITING_UPLOAD" and isinstance(error, PlatformUnavailable))


def _send(api: CloudController, droplet: RemoteDroplet, path: str) -> None:
    session = api.session
    size = os.stat(path).st_size
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}

    def tell(done: int) -> None:
        session.check_cancelled()
        session.tell("uploading", done, size)

    def body() -> Form:
        tell(0)
        return Form(path, size, tell)

    try:
        url = f"/v3/droplets/{droplet.guid}/upload"
        answer = session.call("POST", url, what="the upload", body=body, headers=headers, safe=False)
    except PlatformUnavailable:
        # The answer was lost, perhaps not the bits: the droplet's own state says which.
        if api.droplet(droplet.guid).state == "AWAITING_UPLOAD":
            raise
        return
    _wait(api, answer)


def _wait(api: CloudController, answer: ApiAnswer) -> None:
    api.session.tell("waiting for the platform to check the upload")
    api.wait_for_job(answer, "the uploaded droplet")


def _same(found: RemoteDroplet, digest: Digest) -> RemoteDroplet:
    if found.digest is None:
        raise Rejected("the upload", PLATFORM, "it does not say which bytes it holds (no sha256 checksum)")
    if found.digest != digest:
        hint = "Nothing was started. Something between here and the platform changed the bytes; push again."
        raise DigestMismatch("the droplet that the platform holds", digest, found.digest, hint)
    return found
