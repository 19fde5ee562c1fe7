"""One registry over the OCI distribution API 1.1 (and Docker's V2, which it grew out of): blobs, manifests, tags.

Whatever the registry says about bytes is checked: a digest it reports must be the one asked for, and what it serves must
have it. Requests are tried again when that can help and is safe; every wait ends (see `wire`).
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

from ....errors import Cancelled
from ....net.addresses import AddressRefused
from ....net.indexes.origins import Origin
from ....net.patience import Again, Tries, host_of, number
from ....net.session import Request, Response
from ....store.errors import DigestMismatch
from ....text.redaction import Secrets
from ..errors import RegistryDown
from . import descriptors
from .access import Access
from .answers import denied, problem
from .descriptors import IMAGES, INDEXES, LIED, ImageManifest, short
from .reference import Reference
from .token import Authority
from .wire import RegistryWire, is_loopback

T = TypeVar("T")
_ACCEPT = ", ".join((*IMAGES, *INDEXES))
_ANSWER = 4 << 20
"""Bytes of an answer that is neither blob nor manifest."""
_PAGES = 1000


class Client:
    """One registry by its host (`localhost:5000`). Safe to share between threads; use as a context manager.

    `login` is the registry's name in Docker's configuration, where that is not the host.
    """

    def __init__(self, host: str, access: Access | None = None, *, login: str = "") -> None:
        self.host = host
        self.access = access or Access()
        self.secrets = Secrets()
        self._wire = RegistryWire(_base(host, plain=self.access.plain_http), self.access)
        self._login = login or host
        self._repository = ""
        self._authority = Authority(self._wire, host, self._find_login, self.secrets)
        self._mutex = threading.Lock()
        self._scopes: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections."""
        self._wire.close()

    def _find_login(self) -> Any:
        logins = self.access.logins
        return logins.find(self._login, self._repository) if logins else None

    def will_push(self, repository: str, *sources: str) -> None:
        """Ask for the right to push at once, and to read the repositories that blobs may be mounted from.

        Without this a token for reading is fetched first and another one for writing later.
        """
        scopes = [
            f"repository:{repository}:pull,push",
            *(f"repository:{source}:pull" for source in sorted(set(sources))),
        ]
        with self._mutex:
            self._scopes[repository] = " ".join(scopes)

    # --- blobs -------------------------------------------------------------------------------------------------

    def blob_size(self, repository: str, digest: str) -> int | None:
        """The size of a blob in bytes; None when the repository does not have it. -1 when the registry does not say."""
        what = f"looking for {short(digest)} in {repository}"

        def ask() -> int | None:
            with self.send("HEAD", f"/v2/{repository}/blobs/{digest}", repository, what) as response:
                if response.status == 404:
                    return None
                self.expect(response, what, 200)
                told = number(response.headers.get("Content-Length"))
                return -1 if told is None else told

        return self.persist(what, ask)

    def blob(
        self, repository: str, digest: str, size: int, tell: Callable[[int], None] | None = None
    ) -> Iterator[bytes]:
        """A blob as it arrives, checked while it does; a connection that is cut is resumed where it was.

        The last part comes only when size and digest are right. Raises DigestMismatch, NotFound, RegistryDown.
        """
        from .download import download

        return download(self, repository, digest, size, tell)

    # --- manifests ---------------------------------------------------------------------------------------------

    def manifest(self, repository: str, wanted: str) -> ImageManifest:
        """A manifest or index by tag or digest. Raises NotFound, DigestMismatch, BadArchive for what is none."""
        what = f"{self.host}/{repository}{'@' if ':' in wanted else ':'}{wanted}"

        def ask() -> tuple[bytes, str, str]:
            path = f"/v2/{repository}/manifests/{wanted}"
            with self.send("GET", path, repository, what, headers={"Accept": _ACCEPT}) as response:
                self.expect(response, what, 200, wanted=True)
                told = response.headers.get("Docker-Content-Digest") or ""
                return self._body(response), response.headers.get("Content-Type") or "", told

        raw, kind, told = self.persist(what, ask)
        if ":" in wanted:
            descriptors.check(raw, wanted, what, LIED)
        elif re.fullmatch(r"sha(256|512):[0-9a-f]+", told):
            descriptors.check(raw, told, what, LIED)
        found = descriptors.read_manifest(raw, kind, what)
        return replace(found, digest=wanted) if ":" in wanted else found

    def manifest_digest(self, repository: str, wanted: str) -> str:
        """The digest of what a tag or digest stands for, empty when there is none."""
        what = f"looking for {wanted} in {repository}"

        def ask() -> str | None:
            path = f"/v2/{repository}/manifests/{wanted}"
            with self.send("HEAD", path, repository, what, headers={"Accept": _ACCEPT}) as response:
                if response.status == 404:
                    return ""
                self.expect(response, what, 200)
                found = response.headers.get("Docker-Content-Digest")
                return found if found is None else str(found)

        told = self.persist(what, ask)
        return self.manifest(repository, wanted).digest if told is None else told

    def put_manifest(self, repository: str, name: str, raw: bytes, media_type: str) -> Mapping[str, str]:
        """Store a manifest under a tag or its digest; the answer's headers. Raises DigestMismatch if the registry
        says it stored something else."""
        what = f"storing the manifest {self.host}/{repository}:{name[:70]}"
        self._need_push(repository)

        def ask() -> Mapping[str, str]:
            path = f"/v2/{repository}/manifests/{name}"
            headers = {"Content-Type": media_type}
            with self.send(
                "PUT", path, repository, what, headers=headers, body=lambda: [raw], length=len(raw)
            ) as response:
                self.expect(response, what, 201, 200, 202)
                return {key.lower(): value for key, value in response.headers.items()}

        answer = self.persist(what, ask)
        self.check_told(answer.get("docker-content-digest"), descriptors.digest_of(raw), what)
        return answer

    def tags(self, repository: str) -> tuple[str, ...]:
        """The tags of a repository, sorted as the registry does; none for one that does not exist."""
        return tuple(tag for page in self.pages(f"/v2/{repository}/tags/list", repository) for tag in _tags(page))

    # --- requests ----------------------------------------------------------------------------------------------

    def pages(self, path: str, repository: str, headers: Mapping[str, str] | None = None) -> Iterator[Any]:
        """The JSON documents of a list, page by page (`Link` with `rel="next"`); nothing when there is no such list."""
        what = f"listing {host_of(self._wire.base)}{path.partition('?')[0]}"
        for _ in range(_PAGES):
            document, path = self.persist(what, partial(self._page, path, repository, what, headers))
            if document is None:
                return
            yield document
            if not path:
                return

    def _page(self, path: str, repository: str, what: str, headers: Mapping[str, str] | None) -> tuple[Any, str]:
        with self.send("GET", path, repository, what, headers=headers) as response:
            if response.status == 404:
                return None, ""
            self.expect(response, what, 200)
            try:
                document = json.loads(self._body(response))
            except (ValueError, RecursionError):
                raise RegistryDown(what, "its answer is no JSON") from None
            return document, self._next(path, response.headers.get("Link") or "")

    def _next(self, path: str, link: str) -> str:
        """The path of the next page; a link to another host is not followed, lists have no reason for one."""
        match = re.search(r'<([^<>\s]+)>\s*;\s*rel="?next"?', link)
        if not match:
            return ""
        try:
            url = urljoin(self._wire.base + path, match[1])
            if Origin.of(url) != self._wire.origin:
                return ""
        except ValueError:
            return ""
        return "/" + str(url).partition("://")[2].partition("/")[2]

    @contextmanager
    def send(
        self,
        method: str,
        where: str,
        repository: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] | None = None,
        length: int = 0,
        grace: float = 0.0,
    ) -> Iterator[Response]:
        """One request (a path or URL) with the rights it needs, and its answer inside a `with` block.

        A 401 is answered once. Raises AccessDenied, Again, Refused, Cancelled.
        """
        url = where if "://" in where else self._wire.base + where
        scopes = self._scope(repository)
        for attempt in range(3):
            used = self._authority.header(scopes)
            request = Request(method, url, headers or {}, body, length, grace)
            with self._wire.exchange(request, authorization=used) as response:
                if response.status != 401 or attempt == 2:
                    yield response
                    return
                challenge = ", ".join(response.headers.getlist("WWW-Authenticate"))
            self._renew(challenge, used, scopes, repository, what, attempt)

    def _renew(self, challenge: str, used: str, scopes: str, repository: str, what: str, attempt: int) -> None:
        """Log in, or again: a token may have run out. Twice refused with a new token means that its rights are missing."""
        if attempt == 1 and used:
            raise denied(what, self.host)
        self._repository = repository
        self._authority.answer(challenge, used, scopes, what)

    def _scope(self, repository: str) -> str:
        with self._mutex:
            return self._scopes.get(repository, f"repository:{repository}:pull")

    def _need_push(self, repository: str) -> None:
        if "push" not in self._scope(repository):
            self.will_push(repository)

    def persist(self, what: str, step: Callable[[], T]) -> T:
        """Do a step, again when it failed for a reason that may pass. Raises RegistryDown when it does not."""
        tries = self.tries()
        while True:
            self.keep_going()
            try:
                return step()
            except Again as problem:
                self.wait(what, tries, problem)
            except AddressRefused as refused:
                raise RegistryDown(what, str(refused), lasting=True) from None

    def tries(self) -> Tries:
        """The patience for one thing."""
        return Tries(self.access.patience, self.access.stopping)

    def wait(self, what: str, tries: Tries, problem: Again) -> None:
        """Wait before the next try. Raises RegistryDown when there is none."""
        why = tries.another(problem)
        if why:
            raise RegistryDown(what, why) from None

    def keep_going(self) -> None:
        """Raise Cancelled when the caller asked to stop."""
        if self.access.stopping():
            raise Cancelled

    def _body(self, response: Response) -> bytes:
        return response.all(_ANSWER)

    # --- answers -----------------------------------------------------------------------------------------------

    def expect(self, response: Any, what: str, *statuses: int, wanted: bool = False) -> None:
        """Raise what a status other than these means; 404 is NotFound when `what` is something that was `wanted`.

        An overload is Again. What the registry says is repeated, but never with a secret in it.
        """
        if response.status not in statuses:
            raise problem(response, what, self.host, self.secrets, wanted=wanted)

    def check_told(self, told: str | None, digest: str, what: str) -> None:
        """Raise DigestMismatch when the registry says it stored something else than what was sent."""
        if told and told != digest:
            raise DigestMismatch(what, digest, self.secrets.withhold(told) or "another digest", LIED)

    def absolute(self, location: str | None, base: str) -> str:
        """The URL that an upload goes on at. Raises Refused when the answer names none, or a forbidden one."""
        if not location:
            raise AddressRefused("it does not say where the upload goes on")
        try:
            url = urljoin(base if "://" in base else self._wire.base + base, location)
        except ValueError:
            raise AddressRefused("it sends the upload to a place that is no URL") from None
        why = self._wire.refusal(url)
        if why:
            raise AddressRefused(f"it sends the upload to a place that is refused: {why}")
        return url


def connect(reference: Reference, access: Access) -> Client:
    """The client of an image's registry, with the certificates that Docker keeps for it."""
    extra = certificates(access.certificates, reference.server)
    if extra:
        indexes = replace(access.indexes, extra_ca_files=(*access.indexes.extra_ca_files, *extra))
        access = replace(access, indexes=indexes)
    return Client(reference.server, access, login=reference.login)


def certificates(folder: str, host: str) -> tuple[str, ...]:
    """The authorities that Docker trusts for a registry: `*.crt` in a folder of its name (Docker's "certs.d")."""
    place = os.path.join(folder, host)
    try:
        names = sorted(os.listdir(place)) if folder else []
    except OSError:
        return ()
    return tuple(os.path.join(place, name) for name in names if name.endswith(".crt"))


def query(url: str, **parameters: str) -> str:
    """A URL with further parameters; those that it has stay as they are."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(parameters, quote_via=quote, safe=':/')}"


def _base(host: str, *, plain: bool) -> str:
    name = Origin.of(f"http://{host}").host
    return f"http://{host}" if plain or is_loopback(name) else f"https://{host}"


def _tags(page: Any) -> list[str]:
    found = page.get("tags") if isinstance(page, dict) else None
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []
