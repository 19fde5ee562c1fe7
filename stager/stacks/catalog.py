"""The catalog that offers a stack's boxes to `vagrant box add`: a JSON file that can be served by anything, or by nothing.

Vagrant downloads the box that fits, compares its SHA-256, and refuses another. It needs no registry of boxes for that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..digest import canonical_json, sha256
from ..errors import UsageError
from .boxes import PROVIDERS, file_name


@dataclass(frozen=True, slots=True)
class BoxOffer:
    """A box as the catalog offers it: for which provider, where, and the SHA-256 (hex) that Vagrant must find."""

    provider: str
    architecture: str
    url: str
    sha256: str


def version(epoch: int, offers: Iterable[BoxOffer]) -> str:
    """A version that Vagrant can order and that no other content has: the index's date and a number of the boxes' digests.

    vagrant-libvirt never uploads an image again whose box has the same name and version, so other bytes need another.
    """
    from datetime import UTC, datetime

    rows = sorted([offer.provider, offer.architecture, offer.sha256] for offer in offers)
    day = datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%d")
    return f"{day}.{int(sha256(canonical_json(rows)).hex[:12], 16)}"


def document(name: str, description: str, epoch: int, offers: Sequence[BoxOffer]) -> bytes:
    """The catalog for `vagrant box add`: JSON with one version of the box `stager/NAME`. Raises UsageError without any box.

    `architecture` and `default_architecture` are read by Vagrant 2.4 and later, and ignored by those before.
    """
    if not offers:
        raise UsageError("a catalog needs boxes", "Build some: stager box build STACK --format all --output DIR.")
    rows = [
        {
            "architecture": offer.architecture,
            "checksum": offer.sha256,
            "checksum_type": "sha256",
            "default_architecture": offer.architecture == "amd64",
            "name": offer.provider,
            "url": offer.url,
        }
        for offer in sorted(offers, key=lambda offer: (offer.provider, offer.architecture))
    ]
    versions = [{"providers": rows, "version": version(epoch, offers)}]
    return canonical_json({"description": description, "name": f"stager/{name}", "versions": versions})


def offers_in(folder: str, name: str, architectures: Iterable[str], base: str = "") -> list[BoxOffer]:
    """The boxes of a stack among the files of a folder, each hashed now.

    `base` is the address they are served under; without it the catalog names the files where they are.
    """
    found = []
    for architecture in architectures:
        for provider in PROVIDERS.values():
            file = file_name(name, architecture, provider)
            path = os.path.join(os.path.abspath(folder), file)
            if os.path.isfile(path):
                url = f"{base.rstrip('/')}/{file}" if base else f"file://{_escaped(path)}"
                found.append(BoxOffer(provider, architecture, url, _hash(path)))
    return found


def _escaped(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def _hash(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
