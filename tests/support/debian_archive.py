"""A small signed Debian archive made in memory, and a `Web` that serves pages and remembers what was asked."""

from __future__ import annotations

import hashlib
import lzma
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import pysequoia
import requests

from stager.ecosystems.deb.index import DebianMirrors
from stager.net.errors import Unreachable
from stager.net.indexes import Indexes

MIRRORS = DebianMirrors("https://deb.example/debian/", "https://deb.example/security")


@dataclass
class Pages:
    """Pages by URL; anything else is Unreachable, as a 404 is."""

    pages: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def get(self, url: str, *, accept: str = "") -> bytes:
        self.asked.append((url, accept))
        if url not in self.pages:
            raise Unreachable(url, "404 Not Found")
        return self.pages[url]


@cache
def key(name: str) -> pysequoia.Tsk:
    """One key pair a name and test run."""
    return pysequoia.Tsk.generate(user_id=f"{name} <{name}@deb.example>")


def keyring(*names: str) -> bytes:
    """The public halves, one after the other, as a keyring file holds them."""
    return b"".join(bytes(key(name).extract_certificate()) for name in names)


def signed(text: str, by: str = "archive") -> bytes:
    """A cleartext-signed document (RFC 9580, 7)."""
    return bytes(pysequoia.sign(key(by).signer(), text.encode(), mode=pysequoia.SignatureMode.CLEAR))


def stanza(name: str, version: str = "1.0-1", *, pool: str = "pool/main", **fields: str) -> str:
    """A package's paragraph; `fields` add to or override the usual ones, with `_` for `-`."""
    facts = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Filename": f"{pool}/{name[0]}/{name}/{name}_{version.replace(':', '%3a')}_amd64.deb",
        "Size": "1234",
        "SHA256": hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
    }
    facts |= {name.replace("_", "-"): value for name, value in fields.items()}
    return "".join(f"{name}: {value}\n" for name, value in facts.items() if value)


def publish(
    web: Pages,
    mirror: str,
    suite: str,
    stanzas: Iterable[str] = (),
    *,
    by: str = "archive",
    architecture: str = "amd64",
    by_hash: bool = True,
    packed: bytes | None = None,
    **fields: str,
) -> None:
    """Put a suite's InRelease and main index onto `web`; `fields` add to or override those of the Release.

    With the architecture `source` the index is that of source packages.
    """
    body = lzma.compress("\n".join(stanzas).encode(), preset=0) if packed is None else packed
    digest = hashlib.sha256(body).hexdigest()
    facts = {"Origin": "Debian", "Suite": "stable", "Codename": suite}
    facts |= {"Acquire-By-Hash": "yes"} if by_hash else {}
    facts |= {name.replace("_", "-"): value for name, value in fields.items()}
    name = "main/source/Sources.xz" if architecture == "source" else f"main/binary-{architecture}/Packages.xz"
    text = "".join(f"{name}: {value}\n" for name, value in facts.items() if value)
    text += f"MD5Sum:\n {'0' * 32} {len(body)} {name}\nSHA256:\n {digest} {len(body)} {name}\n {digest} 7 other\n"
    base = f"{mirror.rstrip('/')}/dists/{suite}"
    web.pages[f"{base}/InRelease"] = signed(text, by)
    web.pages[f"{base}/{name}"] = body
    if by_hash:
        web.pages[f"{base}/{os.path.dirname(name)}/by-hash/SHA256/{digest}"] = body


def source(name: str, version: str, *, folder: str = "", files: Iterable[str] | None = None) -> str:
    """A source package's paragraph, with upstream's archive and the description that `description` gives."""
    plain = version.rpartition(":")[2]
    upstream = plain.rpartition("-")[0]
    names = [f"{name}_{upstream}.orig.tar.xz", f"{name}_{plain}.dsc"] if files is None else files
    rows = "".join(f" {hashlib.sha256(description(one)).hexdigest()} {len(description(one))} {one}\n" for one in names)
    where = folder or f"pool/main/{name[0]}/{name}"
    head = f"Package: {name}\nBinary: {name}, {name}-dev\nVersion: {version}\nFiles:\n {'0' * 32} 7 x.dsc\n"
    return f"{head}Checksums-Sha256:\n{rows}Directory: {where}\n"


def description(file: str) -> bytes:
    """The content of a source package's file of this name."""
    return f"what {file} holds".encode()


class Live(Pages):
    """The real indexes of this machine's configuration; each page and file is fetched once a test process."""

    def get(self, url: str, *, accept: str = "") -> bytes:
        if url not in self.pages:
            answer = requests.get(url, headers={"Accept": accept} if accept else {}, timeout=120)
            if answer.status_code != 200:
                raise Unreachable(url, f"{answer.status_code} {answer.reason}")
            self.pages[url] = answer.content
        return self.pages[url]


@cache
def live() -> Live:
    """The one `Live` of this test process."""
    return Live()


def real_mirrors(suite: str) -> DebianMirrors:
    """The mirrors that this machine's configuration names for a suite, else the library's default."""
    return DebianMirrors(*Indexes.from_environment(os.environ, home=os.path.expanduser("~")).debian(suite))
