"""Real artifacts of each ecosystem, through this machine's own configuration of indexes."""

from __future__ import annotations

import lzma
import os
import re
from pathlib import Path

import pytest

from stager import fetching
from stager.digest import Digest
from stager.ecosystems.npm.packuments import NpmLookup
from stager.ecosystems.pypi.pages import PypiLookup
from stager.fetching.web import Web
from stager.model import Artifact
from stager.net.indexes import Indexes
from stager.store import Store

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def indexes() -> Indexes:
    return Indexes.from_environment(os.environ, home=os.path.expanduser("~"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "cache"))


def check(artifact: Artifact, store: Store, indexes: Indexes) -> None:
    found = fetching.fetch([artifact], store, indexes=indexes)
    assert fetching.fetch([artifact], store, indexes=indexes, offline=True) == found
    assert store.verify()["damaged"] == []


def test_a_wheel(store: Store, indexes: Indexes) -> None:
    files = PypiLookup(Web(indexes, store), indexes).files("six")
    assert files == PypiLookup(Web(indexes, store, offline=True), indexes).files("six")
    (wheel,) = [file for file in files if file.filename == "six-1.16.0-py2.py3-none-any.whl"]
    digest = Digest(f"sha256:{wheel.hashes['sha256']}")
    check(Artifact("pkg:pypi/six@1.16.0", wheel.filename, digest, "wheel/1", ("x",)), store, indexes)


def test_npm_packages_plain_and_scoped(store: Store, indexes: Indexes) -> None:
    lookup = NpmLookup(Web(indexes, store), indexes)
    for name, version in (("is-number", "7.0.0"), ("@types/json5", "0.0.29")):
        dist = lookup.version(name, version)["dist"]
        purl = f"pkg:npm/{name.replace('@', '%40')}@{version}"
        digest = Digest(f"sha1:{dist['shasum']}")
        check(Artifact(purl, f"{name.rpartition('/')[2]}-{version}.tgz", digest, "npm/1", ("x",)), store, indexes)


def test_debian_packages_plain_and_security(store: Store, indexes: Indexes) -> None:
    web = Web(indexes, store)
    for base, suite in zip(indexes.debian("bookworm"), ("bookworm", "bookworm-security"), strict=True):
        packed = web.get(f"{base}/dists/{suite}/main/binary-amd64/Packages.xz")
        stanzas = lzma.decompress(packed).decode().split("\n\n")
        sizes = ((int(_field(stanza, "Size")), stanza) for stanza in stanzas if stanza.strip())
        size, stanza = min((pair for pair in sizes if pair[0] > 10_000), key=lambda pair: pair[0])
        digest = Digest(f"sha256:{_field(stanza, 'SHA256')}")
        purl = f"pkg:deb/debian/{_field(stanza, 'Package')}@1"
        check(Artifact(purl, _field(stanza, "Filename"), digest, "deb-python/1", ("x",), size), store, indexes)


def _field(stanza: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*)$", stanza, re.MULTILINE)
    assert found
    return found[1]
