"""One blob to a registry: found there, mounted from another repository, or uploaded; resumed where it was cut.

A blob that fits one request goes in one (POST, then PUT with the digest); a larger one in parts (PATCH, closed by PUT). When
a request fails, the registry is asked how far it came (GET at the upload's place, `Range`), and goes on there; one that has
forgotten the upload, as distribution 2.8 does when it was cut inside a request, gets a new one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ....net.addresses import AddressRefused
from ....net.patience import Again
from ....net.session import PIECE
from ....store.errors import DigestMismatch
from ..errors import RegistryDown, RegistryRefused
from ..image import Blob
from .client import query
from .descriptors import LIED, short

if TYPE_CHECKING:
    from .client import Client

_LEAST = 256 << 10
"""Bytes of a part below which a registry that finds it too large is given up."""


def upload(
    client: Client,
    repository: str,
    blob: Blob,
    sources: Sequence[str] = (),
    tell: Callable[[int], None] | None = None,
    *,
    known: bool = False,
) -> str:
    """Have a blob in the repository: `present`, `mounted` or `uploaded`.

    `sources` are repositories of the same registry that may have it. `tell` gets the bytes that count as done. With
    `known` it is known to be missing. Raises RegistryError, DigestMismatch, Cancelled.
    """
    client.will_push(repository, *sources)
    if not known and _has(client, repository, blob):
        return "present"
    begun = _Begun()
    for source in sources:
        begun = _begin(client, repository, blob, source)
        if begun.mounted:
            return "mounted"
    _Upload(client, repository, blob, tell or (lambda _: None), begun).run()
    return "uploaded"


@dataclass(frozen=True, slots=True)
class _Begun:
    """An upload that the registry has opened: where it goes on and the least bytes of its parts; or a mounted blob."""

    location: str = ""
    least: int = 0
    mounted: bool = False


def _has(client: Client, repository: str, blob: Blob) -> bool:
    """Whether the registry has it. One of another size is an error: no upload would replace it."""
    size = client.blob_size(repository, blob.digest)
    if size not in (None, -1, blob.size):
        what = f"{short(blob.digest)} of {client.host}/{repository}"
        raise DigestMismatch(what, f"{blob.size} bytes", f"{size} bytes", LIED)
    return size is not None


def _begin(client: Client, repository: str, blob: Blob, source: str = "") -> _Begun:
    """Begin an upload, or mount the blob from the repository `source`, which the registry may answer by an upload."""
    what = f"pushing {short(blob.digest)} to {client.host}/{repository}"
    path = f"/v2/{repository}/blobs/uploads/"
    where = query(path, mount=blob.digest, **{"from": source}) if source else path

    def ask() -> _Begun:
        with client.send("POST", where, repository, what) as response:
            client.expect(response, what, 202, *([201] if source else []))
            if response.status == 201:
                client.check_told(response.headers.get("Docker-Content-Digest"), blob.digest, what)
                return _Begun(mounted=True)
            least = response.headers.get("OCI-Chunk-Min-Length") or ""
            number = int(least) if re.fullmatch(r"[0-9]{1,10}", least) else 0
            return _Begun(client.absolute(response.headers.get("Location"), path), number)

    return client.persist(what, ask)


class _Upload:
    """An upload under way: where it goes on, and how many bytes the registry has."""

    def __init__(self, client: Client, repository: str, blob: Blob, tell: Callable[[int], None], begun: _Begun) -> None:
        self._client = client
        self._repository = repository
        self._blob = blob
        self._tell = tell
        self._what = f"pushing {short(blob.digest)} to {client.host}/{repository}"
        self._source = _Source(client, blob, tell)
        self._location = ""
        self._offset = 0
        self._chunk = client.access.chunk
        self._open(begun)

    def run(self) -> None:
        """Send it to its end."""
        tries, refusals, best = self._client.tries(), 0, 0
        while True:
            try:
                if self._step():
                    return
            except Again as problem:
                if self._offset > best:
                    tries.progress()
                best = max(best, self._offset)
                self._client.wait(self._what, tries, problem)
                if self._recover():
                    return
            except AddressRefused as refused:
                raise RegistryDown(self._what, str(refused), lasting=True) from None
            except RegistryRefused as refused:
                refusals += 1
                self._give_way(refused, refusals)

    def _open(self, begun: _Begun | None = None) -> None:
        """Begin, or begin again."""
        begun = begun if begun and begun.location else _begin(self._client, self._repository, self._blob)
        self._location, self._offset = begun.location, 0
        self._chunk = max(self._chunk, begun.least)

    def _step(self) -> bool:
        """Send the next part; whether that was the last."""
        left = self._blob.size - self._offset
        if left and (self._offset or left > self._chunk):
            self._patch(min(left, self._chunk))
            return False
        self._put(left)
        return True

    def _patch(self, count: int) -> None:
        start = self._offset
        headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{start}-{start + count - 1}"}
        with self._request("PATCH", self._location, headers, count) as response:
            self._client.expect(response, self._what, 202, 201, 204)
            self._goes_on(response)
            reached = _end_of(response.headers.get("Range"))
            self._offset = start + count if reached is None else reached
        if not start < self._offset <= start + count:
            raise RegistryRefused(self._what, 416, "it says that it has another number of bytes than it was sent")

    def _put(self, count: int) -> None:
        url = query(self._location, digest=self._blob.digest)
        headers = {"Content-Type": "application/octet-stream"}
        with self._request("PUT", url, headers, count) as response:
            self._client.expect(response, self._what, 201, 204)
            self._client.check_told(response.headers.get("Docker-Content-Digest"), self._blob.digest, self._what)
        self._tell(self._blob.size)

    def _request(self, method: str, url: str, headers: dict[str, str], count: int) -> Any:
        start = self._offset
        body = (lambda: self._source.read(start, count)) if count else None
        grace = self._client.access.commit if method == "PUT" else 0.0
        return self._client.send(
            method, url, self._repository, self._what, headers=headers, body=body, length=count, grace=grace
        )

    def _goes_on(self, response: Any) -> None:
        """Later requests go where the last answer says (distribution-spec, "Pushing a blob in chunks")."""
        location = response.headers.get("Location")
        if location:
            self._location = self._client.absolute(location, self._location)

    def _recover(self) -> bool:
        """After a failure: go on where the registry is, or begin again; whether the blob has arrived after all."""
        if self._ask_how_far():
            return False
        if _has(self._client, self._repository, self._blob):
            self._tell(self._blob.size)
            return True
        self._open()
        return False

    def _ask_how_far(self) -> bool:
        def ask() -> int | None:
            with self._client.send("GET", self._location, self._repository, self._what) as response:
                if response.status >= 500 or response.status == 429:
                    self._client.expect(response, self._what)
                if response.status not in (204, 202, 200):
                    return None
                self._goes_on(response)
                return _end_of(response.headers.get("Range"))

        reached = self._client.persist(self._what, ask)
        if reached is None or not 0 <= reached <= self._blob.size:
            return False
        self._offset = reached
        return True

    def _give_way(self, refused: RegistryRefused, failures: int) -> None:
        """What a refusal may be mended by: smaller parts (413), a new upload (404), or the whole in one request."""
        status = refused.data.get("status")
        if status == 413 and self._chunk > _LEAST:
            self._chunk = min(self._chunk, self._blob.size) // 4
        elif failures > 2 or not self._offset:
            raise refused
        elif status != 404:
            self._chunk = self._blob.size
        self._open()


class _Source:
    """The blob's bytes in requests of any cut: reads on where it was, or opens again."""

    def __init__(self, client: Client, blob: Blob, tell: Callable[[int], None]) -> None:
        self._client = client
        self._blob = blob
        self._tell = tell
        self._parts: Iterator[bytes] = iter(())
        self._rest = memoryview(b"")
        self._place = -1

    def read(self, start: int, count: int) -> Iterator[bytes]:
        """Exactly `count` bytes from `start`. Raises DigestMismatch when the blob ends before."""
        if start != self._place:
            self._parts, self._rest, self._place = iter(self._blob.behind(start)), memoryview(b""), start
        end = start + count
        while self._place < end:
            self._client.keep_going()
            if not self._rest:
                self._rest = memoryview(self._next())
            piece = self._rest[: min(PIECE, end - self._place)]
            self._rest = self._rest[len(piece) :]
            self._place += len(piece)
            yield bytes(piece)
            self._tell(self._place)

    def _next(self) -> bytes:
        for part in self._parts:
            if part:
                return part
        hint = "The file changed while it was pushed, or is damaged: make it again."
        raise DigestMismatch(short(self._blob.digest), f"{self._blob.size} bytes", f"{self._place} bytes", hint)


def _end_of(header: str | None) -> int | None:
    """The number of bytes that `Range: 0-N` says are there. `0-0` is what an empty upload says, too: then none are."""
    found = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", (header or "").strip())
    if not found:
        return None
    last = int(found[1])
    return last + 1 if last else 0
