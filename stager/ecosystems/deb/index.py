"""Debian's package index: signed `InRelease`, verified `Packages.xz`, and the stanzas in it.

Trust starts at a box's keyring: the `InRelease` must carry a valid signature by one of its keys and be of the suite
asked for; it names size and SHA-256 of each `Packages.xz` (Debian's repository format; apt-secure(8)).
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packageurl import PackageURL

from ...digest import Digest, sha256
from ...errors import FetchError
from ...model import Artifact
from ...net.errors import NotCached, Unreachable
from ...store.errors import DigestMismatch
from ..errors import BadSignature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..record import IndexPages

LARGEST = 1 << 29
"""Uncompressed bytes of an index beyond which it is refused; Debian's main is a tenth of that."""


@dataclass(frozen=True, slots=True)
class DebianMirrors:
    """Base URLs that hold `dists/` and `pool/`: of the archive, and of its security archive."""

    archive: str
    security: str

    def url(self, filename: str) -> str:
        """Where the pool file `filename` (as the index states it) is fetched from."""
        base = self.security if filename.startswith("pool/updates/") else self.archive
        return f"{base.rstrip('/')}/{filename}"


class Stanza:
    """One package of an index; fields are read from its text when asked for."""

    __slots__ = ("_data", "_end", "_start", "name", "where")

    def __init__(self, name: str, data: bytes, start: int, end: int, where: str) -> None:
        self.name = name
        self.where = where
        self._data, self._start, self._end = data, start, end

    def field(self, key: str) -> str:
        """A one-line field's value, empty when absent."""
        found = re.compile(rf"^{re.escape(key)}:[ \t]*(.*)$".encode(), re.MULTILINE).search(
            self._data, self._start, self._end
        )
        return found[1].decode("utf-8", "replace").strip() if found else ""

    def rows(self, key: str) -> list[list[str]]:
        """The words of each further line of a field, empty when it is absent."""
        found = re.compile(rf"^{re.escape(key)}:[^\n]*\n((?:[ \t][^\n]*(?:\n|\Z))*)".encode(), re.MULTILINE).search(
            self._data, self._start, self._end
        )
        return [line.split() for line in found[1].decode("utf-8", "replace").splitlines()] if found else []

    def _need(self, key: str, pattern: str) -> str:
        value = self.field(key)
        if not re.fullmatch(pattern, value):
            raise Unreachable(f"the entry {self.name} of {self.where}", f"its {key} is {value[:80]!r}")
        return value

    @property
    def version(self) -> str:
        """Debian's version: `[epoch:]upstream[-revision]`. Raises Unreachable when it is malformed."""
        return self._need("Version", r"[0-9A-Za-z.+~:-]{1,200}")

    @property
    def upstream(self) -> str:
        """The version without epoch, revision and repacking mark: `3.11.2`."""
        bare = self.version.rpartition("-")[0] or self.version
        return re.split(r"[+~]", bare.rpartition(":")[2])[0]

    @property
    def architecture(self) -> str:
        """`amd64`, `arm64`, `all` …"""
        return self._need("Architecture", r"[a-z0-9-]{1,40}")

    @property
    def filename(self) -> str:
        """The file's path below the archive's base. Raises Unreachable for a path that is not plain."""
        return self._need("Filename", r"pool/(?:(?!\.\.)[0-9A-Za-z.+~_%:-]+/)+(?!\.)[0-9A-Za-z.+~_%:-]+\.deb")

    @property
    def digest(self) -> Digest:
        """The file's SHA-256."""
        return Digest("sha256:" + self._need("SHA256", r"[0-9a-f]{64}"))

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return int(self._need("Size", r"[0-9]{1,12}"))

    @property
    def provides(self) -> list[str]:
        """Virtual package names."""
        return [names[0] for names in _relations(self.field("Provides"))]

    @property
    def depends(self) -> list[list[str]]:
        """Needed packages: each a list of alternatives, without their version conditions."""
        return _relations(self.field("Pre-Depends")) + _relations(self.field("Depends"))


class Index(dict[str, Stanza]):
    """Stanzas by package name, of the highest version each; `notes` are remarks for people."""

    def __init__(self, stanzas: Iterable[Stanza] = (), notes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.notes = notes
        self.add(stanzas)

    def add(self, stanzas: Iterable[Stanza]) -> None:
        """Take these in; where a name is known already, the higher version stays, the first one of equals."""
        newer = _newer()
        for stanza in stanzas:
            known = self.get(stanza.name)
            if known is None or newer(stanza.version, known.version):
                self[stanza.name] = stanza


def merged(
    web: IndexPages, mirrors: DebianMirrors, suite: str, architecture: str, keyring: bytes, now: int | None = None
) -> Index:
    """Everything of a suite's `main`: the suite, its `-updates` and its `-security`, by highest version.

    `now` is seconds since 1970; given, an index past its Valid-Until is remarked on in `notes`. Raises BadSignature,
    DigestMismatch, and Unreachable or another FetchError.
    """
    places = ((mirrors.archive, suite), (mirrors.archive, f"{suite}-updates"), (mirrors.security, f"{suite}-security"))
    whole = Index()
    for mirror, name in places:
        found = packages(web, mirror, name, "main", architecture, keyring, now)
        whole.add(found.values())
        whole.notes += found.notes
    return whole


def packages(
    web: IndexPages, mirror: str, suite: str, component: str, architecture: str, keyring: bytes, now: int | None = None
) -> Index:
    """One verified index: `dists/<suite>/<component>/binary-<architecture>` below `mirror`. Raises as `merged`."""
    label = f"the index of {suite}"
    data, release = listed(web, mirror, suite, f"{component}/binary-{architecture}/Packages.xz", keyring)
    return Index(stanzas(data, label), _expiry(release, suite, now))


def listed(web: IndexPages, mirror: str, suite: str, name: str, keyring: bytes) -> tuple[bytes, str]:
    """A file `dists/<suite>/<name>`, which ends in `.xz`, unpacked; and the signed Release text that lists it.

    Raises as `merged`.
    """
    base = f"{mirror.rstrip('/')}/dists/{suite}"
    label = f"the index of {suite}"
    release = verify(web.get(f"{base}/InRelease"), keyring, label)
    _check_suite(release, suite, label)
    digest, size = _entry(release, name, label)
    packed = _packages(web, base, name, digest, by_hash="Acquire-By-Hash: yes" in release.splitlines())
    if sha256(packed) != digest or len(packed) != size:
        raise DigestMismatch(
            f"{name} of {suite}",
            f"{digest} ({size} bytes)",
            f"{sha256(packed)} ({len(packed)} bytes)",
            "The mirror is being updated or is damaged: try again later, or set another mirror.",
        )
    return _unxz(packed, label, name), release


def verify(signed: bytes, keyring: bytes, label: str) -> str:
    """The text under an inline OpenPGP signature, if one of the keyring's keys made it; nothing around it is kept.

    Raises BadSignature.
    """
    import pysequoia

    try:
        certificates = pysequoia.Cert.split_bytes(keyring)
        checked = pysequoia.verify(bytes=signed, store=lambda _ids: certificates)
        text = bytes(checked.bytes or b"").decode()
    except (RuntimeError, ValueError, TypeError, OSError) as problem:
        raise BadSignature(label, (str(problem).splitlines() or ["it cannot be read"])[0].rstrip(".")) from None
    if not checked.valid_sigs:
        raise BadSignature(label, "it has no valid signature")
    return text.replace("\r\n", "\n")


def closure(index: Index, roots: Iterable[str], exclude: Iterable[str]) -> list[Stanza]:
    """The packages that `roots` depend on, themselves included, sorted by name; `exclude` is never entered.

    Of alternatives the first that exists counts, a real package before one that provides the name. For maintainers,
    who write the result into a box; staging never resolves. Raises Unreachable for a root the index does not have.
    """
    provided: dict[str, str] = {}
    for stanza in index.values():
        for virtual in stanza.provides:
            provided[virtual] = min(stanza.name, provided.get(virtual, stanza.name))
    barred, found, waiting = set(exclude), {}, list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in barred:
            found[name] = select(index, [name])[0]
            waiting += _chosen(found[name], index, provided)
    return [found[name] for name in sorted(found)]


def select(index: Index, names: Sequence[str]) -> list[Stanza]:
    """The stanzas of these names, in that order. Raises Unreachable when one is missing."""
    missing = [name for name in names if name not in index]
    if missing:
        raise Unreachable("the package index", f"it has no {', '.join(missing)}", "The mirror may hold another suite.")
    return [index[name] for name in names]


def debs(stanzas: Iterable[Stanza], layout: str, path: str) -> tuple[Artifact, ...]:
    """Packages of an index as artifacts at one place, in the given order."""
    return tuple(
        Artifact(
            PackageURL("deb", "debian", stanza.name, stanza.version, {"arch": stanza.architecture}).to_string(),
            stanza.filename,
            stanza.digest,
            layout,
            (path,),
            stanza.size,
        )
        for stanza in stanzas
    )


def _chosen(stanza: Stanza, index: Index, provided: dict[str, str]) -> Iterator[str]:
    for group in stanza.depends:
        real = [name for name in group if name in index] or [provided[name] for name in group if name in provided]
        yield from real[:1]


def _relations(field: str) -> list[list[str]]:
    groups = ([re.match(r"\s*([a-z0-9][a-z0-9+.-]*)", part) for part in group.split("|")] for group in field.split(","))
    return [names for group in groups if (names := [found[1] for found in group if found])]


def _newer() -> Callable[[str, str], bool]:
    from debian.debian_support import Version

    def newer(left: str, right: str) -> bool:
        try:
            return left != right and bool(Version(left) > Version(right))
        except ValueError as problem:
            raise Unreachable("the package index", f"it has a malformed version: {problem}") from None

    return newer


def _packages(web: IndexPages, base: str, name: str, digest: Digest, by_hash: bool) -> bytes:
    """The compressed index; by its digest where the archive offers that, so that an update in between does no harm."""
    if by_hash:
        try:
            return web.get(f"{base}/{name.rpartition('/')[0]}/by-hash/SHA256/{digest.hex}")
        except NotCached:
            raise
        except FetchError:  # some mirrors do not carry the by-hash folders
            pass
    return web.get(f"{base}/{name}")


def _check_suite(release: str, suite: str, label: str) -> None:
    """A signature proves who, not what: another suite's index must not pass for this one."""
    named = {value for key in ("Codename", "Suite") if (value := _field(release, key))}
    if suite not in named:
        raise BadSignature(label, f"it is the signed index of {' / '.join(sorted(named)) or 'an unnamed suite'}")


def _field(release: str, key: str) -> str:
    found = re.search(rf"^{key}:[ \t]*(.*)$", release, re.MULTILINE)
    return found[1].strip() if found else ""


def _entry(release: str, name: str, label: str) -> tuple[Digest, int]:
    """Digest and size of a file from the SHA256 section of a Release text."""
    section = re.search(r"^SHA256:[ \t]*\n((?:[ \t].*(?:\n|\Z))*)", release, re.MULTILINE)
    line = re.compile(rf"^[ \t]+([0-9a-f]{{64}})[ \t]+(\d{{1,12}})[ \t]+{re.escape(name)}[ \t]*$", re.MULTILINE)
    found = line.search(section[1]) if section else None
    if not found:
        raise Unreachable(label, f"it lists no {name}", "The mirror may not carry this architecture.")
    return Digest("sha256:" + found[1]), int(found[2])


def _unxz(packed: bytes, label: str, name: str) -> bytes:
    file = name.rpartition("/")[2]
    try:
        state: Any = lzma.LZMADecompressor()
        data: bytes = state.decompress(packed, LARGEST)
    except lzma.LZMAError as problem:
        raise Unreachable(label, f"its {file} is damaged: {problem}") from None
    if not state.eof or state.unused_data:
        raise Unreachable(label, f"its {file} is cut short, too large, or has data behind its end")
    return data


def stanzas(data: bytes, where: str) -> Iterator[Stanza]:
    """The paragraphs that name a package; bytes are shared, not copied."""
    start = 0
    while start < len(data):
        end = data.find(b"\n\n", start)
        end = len(data) if end < 0 else end
        at = start if data.startswith(b"Package:", start) else data.find(b"\nPackage:", start, end) + 1
        if at > start or data.startswith(b"Package:", start):
            line = data.find(b"\n", at, end)
            name = data[at + 8 : line if line >= 0 else end].decode("utf-8", "replace").strip()
            yield Stanza(name, data, start, end, where)
        start = end + 2


def _expiry(release: str, suite: str, now: int | None) -> tuple[str, ...]:
    """A remark when the index is older than its publisher wants it used; replayed old indexes look like that."""
    from email.utils import parsedate_to_datetime

    until = _field(release, "Valid-Until")
    if now is None or not until:
        return ()
    try:
        over = parsedate_to_datetime(until).timestamp() < now
    except (ValueError, OverflowError):
        return (f"the index of {suite} has an unreadable Valid-Until: {until[:40]}",)
    return (f"the index of {suite} was valid until {until}; newer security updates may be missing",) if over else ()
