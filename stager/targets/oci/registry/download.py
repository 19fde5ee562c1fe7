"""One blob from a registry: streamed, resumed where it was cut, never passed on unless size and digest are right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ....net.addresses import AddressRefused
from ....net.patience import Again
from ....store.errors import DigestMismatch
from ..errors import RegistryDown
from .descriptors import LIED, hasher, short

if TYPE_CHECKING:
    from .client import Client


def download(
    client: Client, repository: str, digest: str, size: int, tell: Callable[[int], None] | None
) -> Iterator[bytes]:
    """The blob's bytes. What has been passed on is known to be wrong when this raises; see `Client.blob`."""
    what = f"{short(digest)} of {client.host}/{repository}"
    state, done, tries = hasher(digest), 0, client.tries()
    held = b""
    while done < size or not size:
        client.keep_going()
        begun = done
        try:
            for part in _parts(client, repository, digest, done, what):
                done += len(part)
                if done > size:
                    raise _wrong(what, f"{digest} ({size} bytes)", f"more than {size} bytes")
                state.update(part)
                if held:
                    yield held
                held = part
                client.keep_going()
                if tell:
                    tell(done)
            if done < size:
                raise Again(f"{client.host} sent {done} of {size} bytes")
            break
        except Again as problem:
            if done > begun:
                tries.progress()
            client.wait(what, tries, problem)
        except AddressRefused as refused:
            raise RegistryDown(what, str(refused), lasting=True) from None
    got = f"{digest.partition(':')[0]}:{state.hexdigest()}"
    if got != digest:
        raise _wrong(what, digest, got)
    yield held


def _parts(client: Client, repository: str, digest: str, start: int, what: str) -> Iterator[bytes]:
    """The rest from `start` on; a server that ignores the range sends what we have again, which is skipped."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    path = f"/v2/{repository}/blobs/{digest}"
    with client.send("GET", path, repository, what, headers=headers) as response:
        client.expect(response, what, 200, *([206] if start else []), wanted=True)
        skip = 0 if response.status == 206 else start
        if response.status == 206:
            _check_range(response, start)
        for part in response.parts():
            yield from _after(part, skip)
            skip = max(0, skip - len(part))


def _after(part: bytes, skip: int) -> list[bytes]:
    return [part[skip:]] if len(part) > skip else []


def _check_range(response: Any, start: int) -> None:
    found = re.fullmatch(
        r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:[0-9]{1,18}|\*)", response.headers.get("Content-Range") or ""
    )
    if not found or int(found[1]) != start:
        raise AddressRefused("it resumed at another place")


def _wrong(what: str, expected: str, got: str) -> DigestMismatch:
    return DigestMismatch(what, expected, got, LIED)
