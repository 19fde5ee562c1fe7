from __future__ import annotations

import re
from dataclasses import replace

import pytest
from debian_archive import MIRRORS, Pages, description, keyring, publish, source, stanza

from stager.digest import sha256
from stager.ecosystems.deb.sources import SourceFile, carried, sources
from stager.ecosystems.errors import BadSignature
from stager.net.errors import NotFound, Unreachable

ALL, DEMO = re.compile(".*"), re.compile("demo")
DSC, ORIGINAL = "demo_1.2.3-4+deb12u1.dsc", "demo_1.2.3.orig.tar.xz"


def web(*stanzas: str, by: str = "archive") -> Pages:
    pages = Pages()
    publish(pages, MIRRORS.archive, "sid", stanzas, architecture="source", by=by)
    return pages


def test_a_source_package_is_its_description_and_upstreams_archive() -> None:
    pages = web(source("demo", "1:1.2.3-4+deb12u1"), source("other", "2.0-1"))
    (found,) = sources(pages, MIRRORS.archive, "sid", DEMO, keyring("archive"))
    assert (found.name, found.upstream) == ("demo", "1.2.3")
    places = [(DSC, found.description), (ORIGINAL, found.original)]
    for name, file in places:
        data = description(name)
        assert file == SourceFile(f"pool/main/d/demo/{name}", len(data), sha256(data))


def test_an_archive_may_have_several_versions_of_one() -> None:
    pages = web(source("demo", "1.0-1"), source("demo", "1.1-1"))
    assert [one.upstream for one in sources(pages, MIRRORS.archive, "sid", DEMO, keyring("archive"))] == ["1.0", "1.1"]


@pytest.mark.parametrize(
    "left_out",
    [
        source("demo", "1.2~rc1-1"),
        source("demo", "1.2"),
        source("demo", "1.2-1", files=["demo_1.2.orig.tar.gz", "demo_1.2-1.dsc"]),
        source("demo", "1.2-1", files=["demo_1.2.orig.tar.xz"]),
    ],
)
def test_what_is_not_released_or_not_in_one_archive_is_left_out(left_out: str) -> None:
    pages = web(left_out, source("demo", "1.0-1"))
    assert [one.upstream for one in sources(pages, MIRRORS.archive, "sid", ALL, keyring("archive"))] == ["1.0"]


@pytest.mark.parametrize("folder", ["/etc", "pool/../../etc", "pool/main/d/..", "http://x/pool", "pool/a b"])
def test_a_folder_elsewhere_is_refused(folder: str) -> None:
    with pytest.raises(Unreachable, match="its Directory is"):
        sources(web(source("demo", "1.0-1", folder=folder)), MIRRORS.archive, "sid", ALL, keyring("archive"))


@pytest.mark.parametrize("file", ["../demo_1.0.orig.tar.xz", ".hidden.dsc", "a/b.dsc", "two words.dsc"])
def test_a_file_name_that_is_not_plain_is_refused(file: str) -> None:
    with pytest.raises(Unreachable, match="is malformed"):
        sources(web(source("demo", "1.0-1", files=[file])), MIRRORS.archive, "sid", ALL, keyring("archive"))


def test_an_index_signed_by_others_is_refused() -> None:
    with pytest.raises(BadSignature):
        sources(web(source("demo", "1.0-1"), by="somebody"), MIRRORS.archive, "sid", ALL, keyring("archive"))


def test_a_suite_without_sources_cannot_be_read() -> None:
    pages = Pages()
    publish(pages, MIRRORS.archive, "sid", [stanza("demo")])
    with pytest.raises(Unreachable, match=r"it lists no main/source/Sources\.xz"):
        sources(pages, MIRRORS.archive, "sid", ALL, keyring("archive"))


class Partial(Pages):
    """A mirror that has not all that its index lists."""

    def get(self, url: str, *, accept: str = "") -> bytes:
        if url not in self.pages:
            raise NotFound(url)
        return super().get(url, accept=accept)


def test_a_mirror_is_asked_whether_it_has_what_its_index_lists() -> None:
    pages = web(source("demo", "1.2.3-4+deb12u1"))
    (found,) = sources(pages, MIRRORS.archive, "sid", ALL, keyring("archive"))
    partial = Partial()
    assert not carried(partial, MIRRORS.archive, found)
    partial.pages[f"https://deb.example/debian/pool/main/d/demo/{DSC}"] = description(DSC)
    assert carried(partial, MIRRORS.archive, found)
    assert not carried(partial, MIRRORS.archive, replace(found, description=found.original)), "another file's"
    with pytest.raises(Unreachable):
        carried(Pages(), MIRRORS.archive, found)
