from __future__ import annotations

import lzma
import re

import pytest
from debian_archive import MIRRORS, Pages, keyring, live, publish, real_mirrors, signed, stanza

from stager.ecosystems.deb.index import Index, Stanza, closure, merged, packages, select, verify
from stager.ecosystems.errors import BadSignature
from stager.errors import StagerError
from stager.facts import stacks
from stager.net.errors import NotCached, Unreachable
from stager.store.errors import DigestMismatch

MIRROR = "https://deb.example/debian"
RELEASE = f"{MIRROR}/dists/bookworm/InRelease"
PACKED = f"{MIRROR}/dists/bookworm/main/binary-amd64/Packages.xz"
UNSIGNED = "Do not use this mirror until that is explained. If the archive has new keys, a newer stager has them."


def read(web: Pages, by: str = "archive", now: int | None = None) -> Index:
    return packages(web, MIRROR, "bookworm", "main", "amd64", keyring(by), now)


def failure(web: Pages, kind: type[StagerError], by: str = "archive") -> tuple[str, str]:
    with pytest.raises(kind) as caught:
        read(web, by)
    assert type(caught.value) is kind
    return caught.value.message, caught.value.hint


@pytest.fixture
def web() -> Pages:
    served = Pages()
    publish(served, MIRROR, "bookworm", [stanza("libz", "1:1.2.13.dfsg-1"), stanza("python3.11", "3.11.2-6+deb12u9")])
    return served


def test_a_signed_index_gives_its_packages(web: Pages) -> None:
    found = read(web)
    assert sorted(found) == ["libz", "python3.11"]
    assert found.notes == ()
    python = found["python3.11"]
    assert (python.version, python.upstream, python.architecture) == ("3.11.2-6+deb12u9", "3.11.2", "amd64")
    assert python.filename == "pool/main/p/python3.11/python3.11_3.11.2-6+deb12u9_amd64.deb"
    assert python.size == 1234
    assert python.digest.startswith("sha256:")
    assert found["libz"].filename == "pool/main/l/libz/libz_1%3a1.2.13.dfsg-1_amd64.deb"
    assert python.field("Homepage") == ""


@pytest.mark.parametrize(
    ("version", "upstream"),
    [
        ("3.11.2-6+deb12u9", "3.11.2"),
        ("1.22.1-9", "1.22.1"),
        ("1:1.3.dfsg+really1.3.1-1", "1.3.dfsg"),
        ("3.0.22-1~deb12u2", "3.0.22"),
        ("2026f", "2026f"),
        ("20250419~deb12u2", "20250419"),
    ],
)
def test_the_upstream_version_is_what_lies_between(version: str, upstream: str) -> None:
    text = stanza("x", version).encode()
    assert Stanza("x", text, 0, len(text), "here").upstream == upstream


def test_the_index_is_asked_for_by_its_digest(web: Pages) -> None:
    read(web)
    assert [url for url, _ in web.asked] == [RELEASE, next(url for url in web.pages if "by-hash" in url)]


def test_a_mirror_without_by_hash_folders_still_serves(web: Pages) -> None:
    web.pages = {url: body for url, body in web.pages.items() if "by-hash" not in url}
    assert sorted(read(web)) == ["libz", "python3.11"]
    assert web.asked[-1] == (PACKED, "")


def test_an_archive_without_by_hash_is_asked_by_name() -> None:
    served = Pages()
    publish(served, MIRROR, "bookworm", [stanza("libz")], by_hash=False)
    assert sorted(read(served)) == ["libz"]
    assert [url for url, _ in served.asked] == [RELEASE, PACKED]


def test_offline_is_not_taken_for_a_missing_folder(web: Pages) -> None:
    class Offline(Pages):
        def get(self, url: str, *, accept: str = "") -> bytes:
            if "by-hash" in url:
                raise NotCached([url])
            return super().get(url, accept=accept)

    with pytest.raises(NotCached):
        read(Offline(web.pages))


# --- signatures ------------------------------------------------------------------------------------------------


def test_another_keys_signature_is_refused(web: Pages) -> None:
    assert failure(web, BadSignature, by="stranger") == (
        "the index of bookworm is not signed by its archive's keys: "
        "Signature verification failed: no valid signatures found",
        UNSIGNED,
    )
    assert [url for url, _ in web.asked] == [RELEASE]


def test_one_good_signature_of_the_keyring_is_enough(web: Pages) -> None:
    found = packages(web, MIRROR, "bookworm", "main", "amd64", keyring("stranger", "archive"))
    assert "libz" in found


@pytest.mark.parametrize("damage", ["unsigned", "edited", "cut", "empty", "armour only"])
def test_what_is_not_signed_is_refused(web: Pages, damage: str) -> None:
    whole = web.pages[RELEASE]
    text = whole.split(b"\n\n", 1)[1].partition(b"-----BEGIN PGP SIG")[0]
    web.pages[RELEASE] = {
        "unsigned": text,
        "edited": whole.replace(b"Origin: Debian", b"Origin: Debiam"),
        "cut": whole[: len(whole) - 200],
        "empty": b"",
        "armour only": whole[whole.index(b"-----BEGIN PGP SIGNATURE") :],
    }[damage]
    message, hint = failure(web, BadSignature)
    assert message.startswith("the index of bookworm is not signed by its archive's keys: ")
    assert "\n" not in message
    assert hint == UNSIGNED


def test_text_around_the_signature_is_never_believed() -> None:
    text, evil = "Codename: bookworm\n- dashed\n", b"Codename: evil\n\n"
    whole = signed(text)
    for page in (evil + whole, whole + evil, whole + signed("Codename: evil\n", by="stranger")):
        assert verify(page, keyring("archive"), "it") == text


def test_no_keyring_trusts_nobody(web: Pages) -> None:
    with pytest.raises(BadSignature):
        packages(web, MIRROR, "bookworm", "main", "amd64", b"")


def test_another_suites_index_does_not_pass_for_this_one(web: Pages) -> None:
    other = Pages()
    publish(other, MIRROR, "buster", [stanza("libz", "0.1")], Suite="oldoldstable")
    web.pages[RELEASE] = other.pages[f"{MIRROR}/dists/buster/InRelease"]
    assert failure(web, BadSignature) == (
        "the index of bookworm is not signed by its archive's keys: it is the signed index of buster / oldoldstable",
        UNSIGNED,
    )


# --- what the signature covers ---------------------------------------------------------------------------------


def test_a_tampered_index_is_refused(web: Pages) -> None:
    good = next(body for url, body in web.pages.items() if "by-hash" in url)
    bad = lzma.compress(b"Package: evil\n")
    web.pages = {url: bad if body == good else body for url, body in web.pages.items()}
    message, hint = failure(web, DigestMismatch)
    assert re.fullmatch(
        r"main/binary-amd64/Packages\.xz of bookworm: expected sha256:[0-9a-f]{64} \(\d+ bytes\),"
        r" got sha256:[0-9a-f]{64} \(\d+ bytes\)",
        message,
    )
    assert hint == "The mirror is being updated or is damaged: try again later, or set another mirror."


def test_a_missing_suite_is_unreachable() -> None:
    assert failure(Pages(), Unreachable) == (
        f"{RELEASE} could not be fetched: 404 Not Found",
        "Check the network, the proxy and the index settings, then run the same command again.",
    )


def test_a_missing_architecture_is_named(web: Pages) -> None:
    with pytest.raises(Unreachable) as caught:
        packages(web, MIRROR, "bookworm", "main", "arm64", keyring("archive"))
    assert (
        caught.value.message == "the index of bookworm could not be fetched: it lists no main/binary-arm64/Packages.xz"
    )
    assert caught.value.hint == "The mirror may not carry this architecture."


@pytest.mark.parametrize("packed", [b"", b"no xz", lzma.compress(b"x")[:-9], lzma.compress(b"x") + b"more"])
def test_a_damaged_index_is_refused_even_when_signed(packed: bytes) -> None:
    served = Pages()
    publish(served, MIRROR, "bookworm", packed=packed)
    message, _ = failure(served, Unreachable)
    assert message.startswith("the index of bookworm could not be fetched: its Packages.xz is ")


@pytest.mark.parametrize(
    ("field", "value", "attribute"),
    [
        ("Filename", "../../etc/passwd.deb", "filename"),
        ("Filename", "pool/../../x.deb", "filename"),
        ("Filename", "/pool/x/x.deb", "filename"),
        ("Filename", "https://evil.example/x.deb", "filename"),
        ("Filename", "", "filename"),
        ("SHA256", "abc", "digest"),
        ("SHA256", "", "digest"),
        ("Size", "-1", "size"),
        ("Size", "9" * 40, "size"),
        ("Version", "1.0 evil", "version"),
        ("Architecture", "a/b", "architecture"),
    ],
)
def test_malformed_fields_are_refused(field: str, value: str, attribute: str) -> None:
    served = Pages()
    publish(served, MIRROR, "bookworm", [stanza("libz", **{field: value})])
    with pytest.raises(Unreachable) as caught:
        getattr(read(served)["libz"], attribute)
    shown = f"the entry libz of the index of bookworm could not be fetched: its {field} is {value!r}"
    assert caught.value.message == shown


def test_odd_paragraphs_do_no_harm() -> None:
    served = Pages()
    late = "Version: 2\nPackage: late\n"
    publish(served, MIRROR, "bookworm", ["", "Nothing: here\n", late, "Package: bare\n", stanza("libz")])
    assert sorted(read(served)) == ["bare", "late", "libz"]
    assert read(served)["late"].version == "2"


# --- validity --------------------------------------------------------------------------------------------------

UNTIL = "Sat, 28 Nov 2026 00:53:02 UTC"
MOMENT = 1795827182


@pytest.mark.parametrize(("now", "remarked"), [(None, False), (MOMENT - 60, False), (MOMENT + 60, True)])
def test_an_outdated_index_is_remarked_on(now: int | None, remarked: bool) -> None:
    served = Pages()
    publish(served, MIRROR, "bookworm", [stanza("libz")], Valid_Until=UNTIL)
    note = f"the index of bookworm was valid until {UNTIL}; newer security updates may be missing"
    assert read(served, now=now).notes == ((note,) if remarked else ())


def test_an_unreadable_date_is_remarked_on() -> None:
    served = Pages()
    publish(served, MIRROR, "bookworm", [stanza("libz")], Valid_Until="tomorrow")
    assert read(served, now=MOMENT).notes == ("the index of bookworm has an unreadable Valid-Until: tomorrow",)


# --- several suites --------------------------------------------------------------------------------------------


def three_suites() -> Pages:
    served = Pages()
    publish(served, MIRRORS.archive, "bookworm", [stanza("a", "1-1"), stanza("b", "1-10"), stanza("c", "1-1")])
    publish(served, MIRRORS.archive, "bookworm-updates", [stanza("b", "1-9"), stanza("d", "1~rc1-1")])
    fixed = [stanza("a", "1-1+deb12u1", pool="pool/updates/main"), stanza("c", "1-1", pool="pool/updates/main")]
    publish(served, MIRRORS.security, "bookworm-security", fixed, Valid_Until=UNTIL)
    return served


def test_the_highest_version_of_all_suites_counts() -> None:
    found = merged(three_suites(), MIRRORS, "bookworm", "amd64", keyring("archive"), MOMENT + 1)
    assert {name: stanza.version for name, stanza in found.items()} == {
        "a": "1-1+deb12u1",
        "b": "1-10",
        "c": "1-1",
        "d": "1~rc1-1",
    }
    assert found["c"].filename.startswith("pool/main/")
    assert len(found.notes) == 1


def test_every_suite_must_be_signed() -> None:
    served = three_suites()
    url = "https://deb.example/security/dists/bookworm-security/InRelease"
    served.pages[url] = signed("Codename: bookworm-security\n", by="stranger")
    with pytest.raises(BadSignature):
        merged(served, MIRRORS, "bookworm", "amd64", keyring("archive"))


def test_files_come_from_the_archive_that_lists_them() -> None:
    assert MIRRORS.url("pool/main/a/a.deb") == "https://deb.example/debian/pool/main/a/a.deb"
    assert MIRRORS.url("pool/updates/main/a/a.deb") == "https://deb.example/security/pool/updates/main/a/a.deb"


# --- dependencies ----------------------------------------------------------------------------------------------


def index(*stanzas: str) -> Index:
    served = Pages()
    publish(served, MIRROR, "bookworm", stanzas)
    return read(served)


def test_a_closure_follows_dependencies_but_not_the_excluded() -> None:
    found = index(
        stanza("app", Depends="liba (>= 1.0), nothere | libb:any | libc6, mta", Pre_Depends="pre"),
        stanza("liba", Depends="app, libc6 (>= 2.36)"),
        stanza("libb", Depends="big"),
        stanza("libc6"),
        stanza("pre"),
        stanza("big"),
        stanza("postfix", Provides="mta (= 1), other"),
        stanza("exim", Provides="mta"),
    )
    names = [stanza.name for stanza in closure(found, ["app"], ["libc6", "big"])]
    assert names == ["app", "exim", "liba", "libb", "pre"]


def test_missing_packages_are_named() -> None:
    with pytest.raises(Unreachable) as caught:
        select(index(stanza("a")), ["a", "b", "c"])
    assert caught.value.message == "the package index could not be fetched: it has no b, c"
    assert caught.value.hint == "The mirror may hold another suite."
    with pytest.raises(Unreachable):
        closure(index(stanza("a")), ["b"], [])


# --- the real archive ------------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "architecture"), [(name, word) for name in stacks.names() for word in stacks.read(name).architectures]
)
def test_each_box_lists_the_closure_of_its_roots(name: str, architecture: str) -> None:
    """The boxes' keys verify the real archive, and their lists are what Debian's dependencies come to."""
    own = stacks.read(name)
    if not own.suite:
        assert not own.sets
        return
    found = merged(live(), real_mirrors(own.suite), own.suite, architecture, own.keyring)
    assert len(found) > 50_000
    for wanted in own.sets.values():
        names = [stanza.name for stanza in closure(found, wanted.roots, wanted.exclude)]
        assert names == list(wanted.packages)
        lead = select(found, [root for root in wanted.roots if root in ("nginx", f"python{wanted.version}-minimal")])
        assert lead[0].upstream.startswith(wanted.version + ".")
