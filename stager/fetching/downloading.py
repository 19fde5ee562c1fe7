"""One artifact from one place into the store: streamed, hashed while it arrives, resumed when cut, never trusted.

The bytes are compared with the pinned digest before they get a name. Everything a server can do wrong ends in a typed
error that names the artifact: a cut is resumed (RFC 9110 §14, only with a strong validator), an overload is waited for,
another length or digest ends it at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, FetchError
from ..net.addresses import AddressRefused
from ..net.errors import NotFound, Unreachable
from ..net.patience import Again, Tries, again, host_of, number
from ..net.session import Request, Response, Session
from ..store.errors import DigestMismatch
from .transport import ACCESS, step

if TYPE_CHECKING:
    from ..model import Artifact
    from ..net.indexes import Indexes
    from ..store import BlobWriter, Store

CHUNK = 1 << 18
LARGEST = 4 << 30
"""Bytes of an artifact whose lock states no size."""
_REPORT = 1 << 20


class Download:
    """The work of fetching one artifact."""

    def __init__(
        self,
        artifact: Artifact,
        store: Store,
        indexes: Indexes,
        session: Session,
        tries: Tries,
        stopping: Callable[[], bool],
        tell: Callable[[int], None],
    ) -> None:
        self.artifact = artifact
        self._store = store
        self._indexes = indexes
        self._session = session
        self._tries = tries
        self._stopping = stopping
        self._tell = tell
        self.temporary = ""
        """The path of the unfinished file while there is one."""
        self.received = 0
        """Bytes of the whole file."""

    def from_(self, url: str) -> str:
        """Fetch it from this URL and return its SHA-256 hex.

        Raises NotFound, DigestMismatch, Unreachable, Cancelled, and CannotWrite.
        """
        size = self.artifact.size
        with self._store.writer(size=size if size and size > _REPORT else None) as writer:
            self.temporary = writer.path
            body = _Body(self.artifact, writer)
            try:
                self._persist(url, body)
                self.received = body.size
                return body.finish(self._store)
            finally:
                self.temporary = ""

    def _persist(self, url: str, body: _Body) -> None:
        self._tries.anew()
        before = 0
        while True:
            try:
                return self._receive(url, body)
            except Again as problem:
                if body.size - before >= CHUNK:
                    self._tries.progress()
                before = body.size
                why = self._tries.another(problem)
                if why:
                    raise Unreachable(self.artifact.name, why) from None
            except AddressRefused as refused:
                raise FinallyUnreachable(self.artifact.name, str(refused)) from None

    def _receive(self, url: str, body: _Body) -> None:
        request = Request("GET", url)
        with self._session.exchange(request, step(self._indexes, body.range_headers()), self._tries.left) as response:
            check_status(response, url, self.artifact.name)
            if response.encoding:
                how = f"the Content-Encoding {response.encoding[:20]!r}, unasked"
                raise FinallyUnreachable(self.artifact.name, f"{host_of(url)} sends it with {how}")
            body.begin(response)
            self._copy(response, body)
            body.check_whole(host_of(url))
            self._tries.progress()

    def _copy(self, response: Response, body: _Body) -> None:
        reported = body.size
        while chunk := response.read(CHUNK):
            if self._stopping():
                raise Cancelled
            body.add(chunk)
            if body.size - reported >= _REPORT:
                reported = body.size
                self._tell(body.size)
        self._tell(body.size)


class FinallyUnreachable(Unreachable):
    """An Unreachable that trying again would not mend."""

    retryable = False


def check_status(response: Response, url: str, name: str, access: str = ACCESS) -> None:
    """Raise NotFound, Unreachable or Again for an answer that is not what was asked for; `access` mends a lack of rights."""
    status = response.status
    if status in (404, 410):
        raise NotFound(name)
    if later := again(status, response.headers, url):
        raise later
    if status in (401, 403, 407):
        raise FinallyUnreachable(name, f"{host_of(url)} answered {status}: access denied", access)
    if status not in (200, 206, 416):
        raise FinallyUnreachable(name, f"{host_of(url)} answered {status}")


class _Body:
    """The bytes so far, their hashes, and what the server says about the rest."""

    def __init__(self, artifact: Artifact, writer: BlobWriter) -> None:
        self._artifact = artifact
        self._writer = writer
        self._pinned = _state(artifact)
        self._validator = ""
        self._expected: int | None = None

    @property
    def size(self) -> int:
        return self._writer.size

    def range_headers(self) -> dict[str, str]:
        """Ask for the rest, if what we have can be tied to it by a strong entity tag."""
        if not self.size or not self._validator:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator}

    def begin(self, response: Any) -> None:
        """Look at an answer's headers: go on where we were, or start again."""
        length = number(response.headers.get("Content-Length"))
        if response.status == 416:  # there is nothing after what we have, and that is not the whole
            self._restart()
            raise Again("the server has no such range")
        if response.status == 206:
            told = response.headers.get("Content-Range", "")
            found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", told)
            if not found or int(found[1]) != self.size:
                self._restart()
                raise Again("the server resumed at another place")
            total = None if found[2] == "*" else int(found[2])
        else:
            self._restart()
            etag = response.headers.get("ETag", "").strip()
            self._validator = etag if re.fullmatch(r'"[^"\s]*"', etag) else ""
            total = length
        self._expected = total
        if total is not None and self._artifact.size not in (None, total):
            raise self._mismatch(f"{total} bytes")
        if total is not None and total > LARGEST:
            raise self._mismatch(f"{total} bytes, more than is fetched without a stated size")

    def _restart(self) -> None:
        if self.size:
            self._writer.restart()
            self._pinned = _state(self._artifact)
        self._validator, self._expected = "", None

    def add(self, chunk: bytes) -> None:
        """Take bytes in. Raises DigestMismatch as soon as there are too many."""
        limit = LARGEST if self._artifact.size is None else self._artifact.size
        if self.size + len(chunk) > limit:
            raise self._mismatch(f"more than {limit} bytes")
        self._writer.write(chunk)
        if self._pinned is not None:
            self._pinned.update(chunk)

    def check_whole(self, host: str) -> None:
        """Raise Again when the answer ended early."""
        expected = self._expected if self._artifact.size is None else self._artifact.size
        if expected is not None and self.size < expected:
            raise Again(f"{host} sent {self.size} of {expected} bytes")

    def finish(self, store: Store) -> str:
        """Compare with the pin and give the blob its name. Raises DigestMismatch."""
        pinned = self._artifact.digest
        got = self._pinned.hexdigest() if self._pinned is not None else self._writer.hexdigest()
        if got != pinned.hex:
            raise self._mismatch(f"{pinned.algorithm}:{got}")
        name = self._writer.commit()
        if self._pinned is not None:
            store.remember("artifact", pinned, name)
        return name

    def _mismatch(self, got: str) -> DigestMismatch:
        size = "" if self._artifact.size is None else f" ({self._artifact.size} bytes)"
        return DigestMismatch(self._artifact.name, f"{self._artifact.digest}{size}", got)


def _state(artifact: Artifact) -> Any:
    """A hash for a pin that is not SHA-256; that one the writer computes anyway."""
    if artifact.digest.algorithm == "sha256":
        return None
    return hashlib.new(artifact.digest.algorithm, usedforsecurity=False)


def worst(problems: list[FetchError | DigestMismatch]) -> FetchError | DigestMismatch:
    """What to report of several places' failures: wrong bytes before silence, silence before absence."""
    rank = {DigestMismatch: 0, NotFound: 2}
    return min(problems, key=lambda problem: rank.get(type(problem), 1))
