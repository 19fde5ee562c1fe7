"""One commit of a git repository into the store, as an archive of its files: by git's smart protocol over HTTP, read only.

gitprotocol-http(5), gitprotocol-v2(5) and the older gitprotocol-pack(5). It goes through the session of all other fetching, so
who may be asked, proxies, certificates, limits and patience are the same; no program, configuration, hook or helper of git's
takes part. Asked is the host that the lock names and no other, with its own credential. What comes is believed only as far as
its ids go, which `formats.packs` computes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count as count_from
from itertools import islice
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from ..ecosystems import repository
from ..errors import BadLock, Cancelled
from ..files import temporary
from ..formats import commits
from ..formats.packs import TAG, Missing, Pack
from ..net.addresses import AddressRefused
from ..net.errors import Unreachable
from ..net.indexes.origins import Origin
from ..net.patience import Again, Tries, host_of
from ..net.session import Request, Response, Session
from ..store.errors import DigestMismatch
from .downloading import FinallyUnreachable, check_status
from .errors import UnusableRepository
from .transport import headers_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model import Artifact
    from ..net.indexes import Indexes
    from ..store import Store

LARGEST = 1 << 29
"""Bytes of one answer: a commit alone, or the whole history of a repository whose server gives no commit alone."""
_REFS = 20_000
_SERVICE = "git-upload-pack"
_TAIL = f"/info/refs?service={_SERVICE}"
_LONGEST = 65520
"""Bytes of one packet (gitprotocol-common(5))."""
_FLUSH, _DELIMITER = 0, 1
_DATA, _NOISE, _FAULT = 1, 2, 3
"""Bands of a pack's packets (gitprotocol-pack(5), "Packfile Data")."""
_BY_ID = {"allow-reachable-sha1-in-want", "allow-any-sha1-in-want"}
"""What a server says in the older protocol that gives any commit by its id (gitprotocol-capabilities(5))."""
_PACKETS = 1 << 20
"""Packets of one answer; a server fills them, or sends a line in each."""
_ACCESS = (
    "Name this host, or a folder of repositories on it, in STAGER_GIT_HOSTS (https://HOST/FOLDER), "
    "and give its login in ~/.netrc."
)
_REPORT = 1 << 20


class _Unwilling(Exception):
    """A server that does not give what it was asked for, in its own words."""


class Clone:
    """The work of fetching one artifact that comes from a repository; as `downloading.Download` is of a file."""

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
        self._store, self._indexes, self._session = store, indexes, session
        self._tries, self._stopping, self._tell = tries, stopping, tell
        self.temporary = ""
        """The path of the unfinished archive while there is one."""
        self.received = 0
        """Bytes that came."""

    def from_(self, url: str) -> str:
        """Fetch the commit that a plan's URL names; the SHA-256 hex of the archive of its files.

        Raises NotFound, DigestMismatch, Unreachable, UnusableRepository, BadArchive, UnsafeEntry, Cancelled, CannotWrite.
        """
        try:
            wanted = repository.of(url)
        except ValueError:
            raise BadLock(
                "stager.lock", f"{self.artifact.name} has a URL that names no commit of a repository"
            ) from None
        with temporary.file() as file:
            self._persist(wanted, file)
            self.received = file.tell()
            return self._archived(wanted, Pack(file, self.artifact.name, stopping=self._stopping))

    def _archived(self, wanted: repository.Repository, pack: Pack) -> str:
        name, pinned = self.artifact.name, self.artifact.digest
        if pack.kind(wanted.commit) == TAG:
            hint = "Pin the commit that it points to: 'git ls-remote' prints it after the tag's name and '^{}'."
            raise UnusableRepository(name, wanted.url, f"{wanted.commit} is a tag, not a commit", hint)
        with self._store.writer() as writer:
            self.temporary = writer.path
            try:
                commits.archive(pack, wanted.commit, name, writer.write)
                got = f"sha256:{writer.hexdigest()}"
                if pinned not in (got, wanted.digest):
                    raise DigestMismatch(f"{name}, the files of commit {wanted.commit}", pinned, got)
                made = writer.commit()
            except Missing as missing:
                what = "that commit" if str(missing) == wanted.commit else f"the object {missing} of that commit"
                raise DigestMismatch(
                    name, f"commit {wanted.commit}", f"what lacks {what}, from {host_of(wanted.url)}"
                ) from None
            except commits.Incomplete as found:
                raise UnusableRepository(name, wanted.url, found.why) from None
            finally:
                self.temporary = ""
        self._store.remember("artifact", wanted.digest, made)
        return made

    # --- the protocol --------------------------------------------------------------------------------------------

    def _persist(self, wanted: repository.Repository, file: IO[bytes]) -> None:
        """Try until the pack is in the file."""
        self._tries.anew()
        while True:
            try:
                return self._fetch(wanted, file)
            except Again as problem:
                if why := self._tries.another(problem):
                    raise Unreachable(self.artifact.name, why) from None
            except AddressRefused as refused:
                raise FinallyUnreachable(self.artifact.name, str(refused)) from None
            except _Unwilling as said:
                why = f"{host_of(wanted.url)} does not give commit {wanted.commit}: {said}"
                hint = (
                    "Look whether the commit is still in the repository, and pin one that a branch or a tag leads to."
                )
                raise FinallyUnreachable(self.artifact.name, why, hint) from None

    def _fetch(self, wanted: repository.Repository, file: IO[bytes]) -> None:
        """That commit alone; where the server gives none by its id, everything that its branches and tags lead to."""
        base, version, refs, able = self._greeting(wanted.url)
        if version == 2 or wanted.commit in refs.values() or able & _BY_ID:
            try:
                self._pack(base, version, [wanted.commit], file, able)
            except _Unwilling:
                pass
            else:
                return
        if version == 2:
            refs = self._refs(base)
        tips = sorted({one for name, one in refs.items() if name.startswith(("refs/heads/", "refs/tags/"))})
        if not tips:
            raise _Unwilling("it has no branches and tags")
        self._pack(base, version, tips, file, able, whole=True)

    def _greeting(self, url: str) -> tuple[str, int, dict[str, str], set[str]]:
        """(where the repository is, version of the protocol, references, what the server can)."""
        with self._asked(Request("GET", url + _TAIL, {"Git-Protocol": "version=2"})) as (response, packets):
            kind = str(response.headers.get("Content-Type") or "").partition(";")[0].strip()
            if kind != f"application/x-{_SERVICE}-advertisement":
                raise AddressRefused(f"{host_of(url)} has no repository there that speaks git's smart protocol")
            if not response.url.endswith(_TAIL):
                raise AddressRefused("it redirects to what is no repository")
            lines = list(islice((one for one in packets if isinstance(one, bytes)), _REFS))
            base = response.url.removesuffix(_TAIL)
        if lines and lines[0].startswith(b"# service="):
            lines = lines[1:]
        if lines and lines[0].strip() == b"version 2":
            return base, 2, {}, set()
        refs, able = dict[str, str](), set[str]()
        for line in lines:
            row, _, more = line.partition(b"\0")
            able |= {*more.decode("ascii", "replace").split()}
            name, one = _ref(row)
            if name:
                refs[name] = one
        return base, 0, refs, able

    def _refs(self, base: str) -> dict[str, str]:
        """The branches and tags (version 2)."""
        body: list[bytes | int] = [
            b"command=ls-refs\n",
            _DELIMITER,
            b"ref-prefix refs/heads/\n",
            b"ref-prefix refs/tags/\n",
            _FLUSH,
        ]
        with self._asked(self._post(base, 2, body)) as (_, packets):
            found = dict(_ref(data) for data in islice((one for one in packets if isinstance(one, bytes)), _REFS))
            found.pop("", None)
            return found

    def _pack(
        self, base: str, version: int, wants: Sequence[str], file: IO[bytes], able: set[str], *, whole: bool = False
    ) -> None:
        """Have a pack with these written to the file, without what came before them unless `whole`."""
        file.seek(0)
        file.truncate()
        body: list[bytes | int]
        asked = [f"want {one}".encode() for one in wants]
        if version == 2:
            depth = [] if whole else [b"deepen 1\n"]
            wanted = [one + b"\n" for one in asked]
            body = [
                b"command=fetch\n",
                _DELIMITER,
                b"no-progress\n",
                b"ofs-delta\n",
                *depth,
                *wanted,
                b"done\n",
                _FLUSH,
            ]
        else:
            if "side-band-64k" not in able:
                raise AddressRefused("its git is too old: it has no side-band-64k")
            shallow = not whole and "shallow" in able
            words = b" side-band-64k no-progress ofs-delta" + (b" shallow" if shallow else b"")
            lines = [asked[0] + words + b"\n", *(one + b"\n" for one in asked[1:])]
            body = [*lines, *([b"deepen 1\n"] if shallow else []), _FLUSH, b"done\n"]
        with self._asked(self._post(base, version, body)) as (_, packets):
            begun = version == 0
            for data in packets:
                if not isinstance(data, bytes):
                    continue
                if not begun:
                    begun = data.strip() == b"packfile"
                elif data.startswith((b"shallow ", b"unshallow ", b"NAK", b"ACK ")) and not file.tell():
                    continue
                elif data[0] == _DATA:
                    file.write(data[1:])
                    self._progress(file.tell())
                elif data[0] == _FAULT:
                    raise _Unwilling(_words(data[1:]))
                elif data[0] != _NOISE:
                    raise AddressRefused("it does not keep to git's protocol")
        if not file.tell():
            raise _Unwilling("it sends no pack")

    def _post(self, base: str, version: int, body: Sequence[bytes | int]) -> Request:
        data = b"".join(b"%04x" % one if isinstance(one, int) else b"%04x" % (len(one) + 4) + one for one in body)
        headers = {
            "Content-Type": f"application/x-{_SERVICE}-request",
            "Accept": f"application/x-{_SERVICE}-result",
            **({"Git-Protocol": "version=2"} if version == 2 else {}),
        }
        return Request("POST", f"{base}/{_SERVICE}", headers, lambda: data, len(data))

    @contextmanager
    def _asked(self, request: Request) -> Iterator[tuple[Response, Iterator[bytes | int]]]:
        """An answer and its packets. Raises NotFound, Unreachable, Again, AddressRefused."""
        with self._session.exchange(request, self._step, self._tries.left) as response:
            check_status(response, request.url, self.artifact.name, _ACCESS)
            yield response, _packets(response, self._stopping)

    def _step(self, url: str, first: str) -> Mapping[str, str]:
        """A repository that has moved is followed on its own host, and nowhere else."""
        headers = headers_for(self._indexes, url, first, {})
        if Origin.of(url) != Origin.of(first):
            host = urlsplit(url).hostname or "nowhere"
            raise AddressRefused(f"it redirects to another host, {host}, which the lock does not name")
        headers.pop("Authorization", None)  # an index's, which is not for whatever repository of its host an app names
        login = self._indexes.login(url)
        return headers | ({"Authorization": login} if login else {})

    def _progress(self, size: int) -> None:
        if size - self.received >= _REPORT:
            self.received = size
            self._tell(size)


def _packets(response: Response, stopping: Callable[[], bool]) -> Iterator[bytes | int]:
    """The packets of an answer: their content, or the number of a special one. A fault ends it with _Unwilling."""
    parts, data, at, size = response.parts(), b"", 0, 0

    def read(wanted: int) -> bytes:
        nonlocal data, at, size
        if at + wanted <= len(data):
            at += wanted
            return data[at - wanted : at]
        found = [data[at:]]
        have = len(found[0])
        while have < wanted:
            if stopping():
                raise Cancelled
            part = next(parts, b"")
            size += len(part)
            if size > LARGEST:
                raise AddressRefused(f"it sends more than {LARGEST} bytes")
            if not part:
                break
            found.append(part)
            have += len(part)
        data, at = b"".join(found), min(wanted, have)
        return data[:at]

    for count in count_from(1):
        if not (head := read(4)):
            return
        if count > _PACKETS:
            raise AddressRefused(f"it sends more than {_PACKETS} packets")
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", head):
            raise AddressRefused("it does not keep to git's protocol")
        length = int(head, 16)
        if length < 4:
            yield length
            continue
        if not 4 < length <= _LONGEST:
            raise AddressRefused("it does not keep to git's protocol")
        line = read(length - 4)
        if len(line) < length - 4:
            raise Again(f"{host_of(response.url)} sent less than it promised")
        if line.startswith(b"ERR "):
            raise _Unwilling(_words(line[4:]))
        yield line


def _ref(line: bytes) -> tuple[str, str]:
    """(name, id) of a line that names a reference; empty for another line."""
    found = re.match(rb"([0-9a-f]{40}) ([^\s\0]+)", line)
    return (found[2].decode("utf-8", "replace"), found[1].decode()) if found else ("", "")


def _words(data: bytes) -> str:
    """What a server says of a fault, fit to be shown."""
    text = "".join(sign if sign.isprintable() else " " for sign in data.decode("utf-8", "replace"))
    return " ".join(text.split())[:200] or "without a reason"
