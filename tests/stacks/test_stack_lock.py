from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from debian_archive import MIRRORS, Pages, publish, stanza
from made import BOX, EPOCH, archive, definition, folder

from stager.digest import Digest
from stager.ecosystems.deb.relations import relations
from stager.ecosystems.errors import BadSignature
from stager.errors import BadLock, LockMissing, LockStale, UsageError
from stager.model import DebPin
from stager.net.errors import Unreachable
from stager.stacks import find, lock, resolve
from stager.stacks.errors import UnknownPackage
from stager.stacks.lock import StackLock, deb_artifact
from stager.stacks.root import stack_digest

A = DebPin("a", "1:2.0~rc1-1+b2", "amd64", 10, Digest("sha256:" + "a" * 64), "pool/main/a/a/a_2.0%7erc1-1+b2_amd64.deb")
B = DebPin("b", "1", "all", 20, Digest("sha256:" + "b" * 64), "pool/updates/main/b/b/b_1_all.deb")
LOCK = StackLock(
    "mine",
    Digest("sha256:" + "c" * 64),
    (("bookworm", "2026-11-21T02:10:46Z"), ("bookworm-updates", "2025-01-01T00:00:00Z")),
    (("root", "amd64", (A, B)), ("ssh", "amd64", ())),
)


# --- the file --------------------------------------------------------------------------------------------------


def test_a_lock_is_read_as_it_was_written() -> None:
    text = lock.dumps(LOCK)
    assert lock.loads(text.encode()) == LOCK
    assert '{ name = "a", version = "1:2.0~rc1-1+b2", architecture = "amd64", size = 10, digest = "sha256:aa' in text
    assert LOCK.epoch == EPOCH
    assert LOCK.pins(["root", "ssh"], "amd64") == (A, B)
    assert A.file == "a_1%3a2.0~rc1-1+b2_amd64.deb"
    assert deb_artifact(A).purl == "pkg:deb/debian/a@1:2.0~rc1-1%2Bb2?arch=amd64"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("version = 1\n", "version = 2\n", "its version is not one this stager reads"),
        ("# The packages", "#The packages", "its bytes are not what stager writes for what it says"),
        ("version = 1\n", "version = 1\nmore = 1\n", "its bytes are not what stager writes for what it says"),
        ("stack = ", "stack = =", "is not TOML"),
        ("pool/main/a/a/", "pool/../a/", "packages[0].path: path 'pool/../a/"),
        ("pool/main/a/a/", "https://x.example/", "packages[0].path: path 'https://x.example/"),
        ('"amd64", size', '"sparc", size', "packages[0].architecture: architecture 'sparc' is not allowed"),
        ("size = 10", 'size = "10"', "packages[0].size: expected an integer, found str"),
        ("sha256:" + "a" * 64, "sha256:" + "a" * 63, "is not a digest"),
        ("sha256:" + "a" * 64, "sha1:" + "a" * 40, "packages[0].digest: is not a SHA-256"),
        ('name = "b"', 'name = "a"', "packages: expected each package once, sorted by name"),
        ("2026-11-21T02:10:46Z", "yesterday", "date 'yesterday' is not allowed"),
    ],
)
def test_a_damaged_lock_is_refused(old: str, new: str, why: str) -> None:
    text = lock.dumps(LOCK)
    assert old in text
    with pytest.raises(BadLock) as caught:
        lock.loads(text.replace(old, new, 1).encode(), "mine/box.lock")
    assert why in caught.value.message
    assert caught.value.where.startswith("mine/box.lock")


def test_parts_that_a_lock_lacks_or_contradicts() -> None:
    with pytest.raises(BadLock, match="it pins no redis for amd64"):
        LOCK.pins(["redis"], "amd64")
    other = replace(LOCK, sets=(*LOCK.sets, ("redis", "amd64", (replace(A, version="9"),))))
    with pytest.raises(BadLock, match="it pins a in two versions"):
        other.pins(["root", "redis"], "amd64")


def test_a_lock_must_be_there_and_fit(tmp_path: Path) -> None:
    found = definition(tmp_path)
    with pytest.raises(LockMissing) as missing:
        lock.load(found)
    assert missing.value.hint == "Run 'stager box lock mine' and commit the file."
    Path(lock.path_of(found)).write_text(lock.dumps(LOCK))
    with pytest.raises(LockStale) as stale:
        lock.load(found)
    assert stale.value.message == f"{found.folder}/box.lock is out of step with {found.folder}/box.yml"
    Path(lock.path_of(found)).write_text(lock.dumps(replace(LOCK, wishes=found.wishes())))
    assert lock.load(found).sets == LOCK.sets


def test_changes_are_told_package_by_package() -> None:
    after = (replace(A, version="2"), replace(B, name="c"))
    assert lock.changes((A, B), after) == ["a 1:2.0~rc1-1+b2 -> 2", "b 1 -> (gone)", "c (new) -> 1"]


@pytest.mark.parametrize("name", ["debian-12", "debian-13"])
def test_the_shipped_locks_pin_what_the_shipped_stacks_ask_for(name: str) -> None:
    found = find.load(name)
    pinned = lock.load(found)
    assert pinned.stack == name
    assert [(part, arch) for part, arch, _ in pinned.sets] == [
        (part.name, arch) for part in (found.root, *found.sets) for arch in ("amd64", "arm64")
    ]
    for arch in ("amd64", "arm64"):
        for part in (found.root, *found.sets):
            names = {
                pin.name for pin in pinned.pins([p.name for p in found.chosen([part.name][: part != found.root])], arch)
            }
            assert set(part.packages_for(arch)) <= names
            assert {"libc6", "dpkg", "bash"} <= names
            assert not names & set(part.exclude)
    glibc = next(pin for pin in pinned.pins(["root"], "amd64") if pin.name == "libc6")
    assert glibc.version.startswith(".".join(map(str, found.box.glibc)) + "-")


# --- pinning ---------------------------------------------------------------------------------------------------


def pin(web: Pages, place: Path, text: str = BOX, name: str = "mine") -> StackLock:
    return resolve.pin(definition(place, text, name), web, MIRRORS)[0]


def test_a_lock_is_the_closure_of_what_is_asked_for(tmp_path: Path) -> None:
    found = pin(archive(), tmp_path)
    root = [(p.name, p.version) for p in found.pins(["root"], "amd64")]
    assert root == [("base", "1.0-1"), ("libc", "2.36-1"), ("mawk", "1.0-1"), ("shell", "1.0-1")]
    assert found.sets[1][0] == "ssh"
    assert [p.name for p in found.sets[1][2]] == ["crypt", "server"]
    assert found.indexes == tuple((f"bookworm{more}", "2026-11-21T02:10:46Z") for more in ("", "-updates", "-security"))
    assert found.wishes == find.load(str(tmp_path / "mine")).wishes()
    assert lock.loads(lock.dumps(found).encode()) == found


def test_security_updates_win_and_keep_their_path(tmp_path: Path) -> None:
    web = archive()
    publish(web, MIRRORS.security, "bookworm-security", [stanza("libc", "2.36-1+deb12u1", pool="pool/updates/main")],
            Date="Sun, 22 Nov 2026 00:00:00 UTC")  # fmt: skip
    found = {p.name: p for p in pin(web, tmp_path).pins(["root"], "amd64")}
    assert found["libc"].version == "2.36-1+deb12u1"
    assert found["libc"].path.startswith("pool/updates/")


def test_a_package_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownPackage) as caught:
        pin(archive(), tmp_path, BOX.replace("[shell]", "[shell, shel1]"))
    assert caught.value.message == "the signed index of bookworm for amd64 has no shel1"
    assert caught.value.where == str(tmp_path / "mine" / "box.yml")
    assert caught.value.exit_code == 30


@pytest.mark.parametrize(
    ("depends", "needed"),
    [
        ("libc (>= 3)", "libc (>= 3)"),
        ("nothing", "nothing"),
        ("awk (>= 1)", "awk (>= 1)"),
        ("a | b (<< 2)", "a | b (<< 2)"),
    ],
)
def test_a_dependency_that_cannot_be_met(tmp_path: Path, depends: str, needed: str) -> None:
    web = archive(
        {"bookworm": [stanza("shell", Depends=depends), stanza("libc", "2.36-1"), stanza("mawk", Provides="awk")]}
    )
    with pytest.raises(UnknownPackage) as caught:
        pin(web, tmp_path, BOX.replace("vagrant:\n  ssh: {packages: [server]}\n", ""))
    why = f"has no {needed} that could serve shell, which depends on it"
    assert caught.value.message == f"the signed index of bookworm for amd64 {why}"


def test_what_is_excluded_needs_something_in_its_place(tmp_path: Path) -> None:
    stanzas = [stanza("shell", Depends="merge | merged"), stanza("merge"), stanza("merged")]
    text = BOX.replace("vagrant:\n  ssh: {packages: [server]}\n", "").replace("  locale: C\n", "  exclude: [merge]\n")
    with pytest.raises(UnknownPackage, match=r"has no merge \| merged that could serve shell"):
        pin(archive({"bookworm": stanzas}), tmp_path, text)
    found = pin(archive({"bookworm": stanzas}), tmp_path, text.replace("[shell]", "[shell, merged]"), "second")
    assert [p.name for p in found.pins(["root"], "amd64")] == ["merged", "shell"]


def test_an_index_without_the_archives_signature(tmp_path: Path) -> None:
    with pytest.raises(BadSignature):
        pin(archive(by="somebody"), tmp_path)


def test_an_index_without_a_date(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="the index of bookworm could not be fetched: it states no date"):
        pin(archive(date=""), tmp_path)


def test_a_stack_that_is_its_platforms_own() -> None:
    with pytest.raises(UsageError, match="stack ubi9 is not built by stager"):
        resolve.pin(find.load("ubi9"), Pages(), MIRRORS)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("a", "a"),
        ("a:any (>= 1:2), b", "a (>= 1:2); b"),
        ("a | b (= 1), ", "a | b (= 1)"),
        ("", ""),
    ],
)
def test_relations_are_read(field: str, expected: str) -> None:
    assert "; ".join(" | ".join(map(str, group)) for group in relations(field)) == expected


# --- identity --------------------------------------------------------------------------------------------------


def test_the_stacks_digest_is_a_function_of_definition_and_lock(tmp_path: Path) -> None:
    variants: dict[str, Any] = {
        "plain": BOX,
        "file": BOX.replace("  locale: C\n", "  files: {/etc/motd: x}\n  locale: C\n"),
        "locale": BOX.replace("locale: C", "locale: POSIX"),
        "glibc": BOX.replace('"2.36"', '"2.35"'),
    }
    web = archive()
    found = {}
    for name, text in variants.items():
        mine = definition(tmp_path / name, text)
        pinned = resolve.pin(mine, web, MIRRORS)[0]
        found[name] = stack_digest(mine, pinned, "amd64")
        assert stack_digest(find.load(str(folder(tmp_path / f"{name}2", text))), pinned, "amd64") == found[name]
        found[f"{name} with ssh"] = stack_digest(mine, pinned, "amd64", ["ssh"])
        moved = replace(pinned, indexes=(("bookworm", "2030-01-01T00:00:00Z"),))
        found[f"{name} later"] = stack_digest(mine, moved, "amd64")
    assert len(set(found.values())) == 12
