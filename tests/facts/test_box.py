from __future__ import annotations

from pathlib import Path

import pysequoia
import pytest

from stager.errors import InvalidDefinition, UsageError
from stager.facts import stacks
from stager.model import Stack
from stager.text import resources

GOOD = """
summary: A test
distribution: debian
glibc: "2.36"
architectures: [amd64]
libraries: [libstdc++.so.6]
archive: {suite: bookworm, keyring: [a.gpg, b.gpg]}
python: {version: "3.11", glibc: "2.36", roots: [p], exclude: [libc6], packages: [z, p], data: [z]}
"""


KEYS = "architectures, archive, distribution, glibc, libraries, release, root, services, summary, vagrant"


@pytest.fixture
def keyrings(tmp_path: Path) -> str:
    (tmp_path / "a.gpg").write_bytes(b"AAA")
    (tmp_path / "b.gpg").write_bytes(b"BB")
    return str(tmp_path)


def test_the_shipped_stacks() -> None:
    assert stacks.names() == ["cflinuxfs4", "debian-12", "debian-13", "heroku-24", "ubi9"]
    assert stacks.load("debian-12") == Stack(
        "debian-12",
        "amd64",
        (2, 36),
        "debian",
        "bookworm",
        frozenset({"libstdc++.so.6", "libgcc_s.so.1", "libatomic.so.1"}),
    )
    glibc = {name: stacks.load(name).glibc for name in stacks.names()}
    assert glibc == {
        "cflinuxfs4": (2, 35),
        "debian-12": (2, 36),
        "debian-13": (2, 41),
        "heroku-24": (2, 39),
        "ubi9": (2, 34),
    }
    assert {name: stacks.load(name).suite for name in stacks.names() if stacks.load(name).suite} == {
        "debian-12": "bookworm",
        "debian-13": "trixie",
    }
    assert stacks.load("debian-13", "arm64").machine == "aarch64"


def test_a_runtime_may_be_built_from_the_sources_of_newer_suites(keyrings: str) -> None:
    text = GOOD.replace("suite: bookworm,", "suite: bookworm, sources: [sid, forky],")
    found = stacks.parse("x", text.replace("data: [z]}", "data: [z], built: [y, x]}"), keyrings)
    assert found.sources == ("sid", "forky")
    assert found.sets["python"].built == ("x", "y")
    without = stacks.parse("x", GOOD, keyrings)
    assert (without.sources, without.sets["python"].built) == ((), ())


@pytest.mark.parametrize("name", stacks.names())
def test_every_shipped_box_can_run_what_it_lists(name: str) -> None:
    own = stacks.read(name)
    for packages in own.sets.values():
        assert packages.glibc <= own.glibc
        assert packages.libraries <= own.libraries
        assert set(packages.data) <= set(packages.packages)
        assert set(packages.roots) <= set(packages.packages)
        assert not packages.exclude & set(packages.packages)


def test_keyrings_are_the_named_keys_and_every_file_is_used() -> None:
    shipped = {path.name: path.read_bytes() for path in Path(resources.folder("boxes"), "keyrings").glob("*.gpg")}
    used = b"".join(stacks.read(name).keyring for name in stacks.names())
    for data in shipped.values():
        assert data in used
        for certificate in pysequoia.Cert.split_bytes(data):
            assert not certificate.is_revoked
    readme = Path(resources.folder("boxes"), "keyrings", "README.md").read_text("utf-8")
    for name, data in shipped.items():
        fingerprint = pysequoia.Cert.from_bytes(data).fingerprint.upper()
        line = next(line for line in readme.splitlines() if f"`{name}`" in line)
        assert fingerprint in line


def test_a_box_is_read_in_full(keyrings: str) -> None:
    assert stacks.parse("demo", GOOD, keyrings) == stacks.StackFacts(
        "demo",
        "A test",
        "debian",
        (2, 36),
        ("amd64",),
        frozenset({"libstdc++.so.6"}),
        "bookworm",
        b"AAABB",
        {"python": stacks.PackageSet("3.11", (2, 36), ("p",), frozenset({"libc6"}), ("p", "z"), ("z",))},
    )


def test_only_debian_stacks_have_a_suite_of_their_own(keyrings: str) -> None:
    text = GOOD.replace("distribution: debian", "distribution: ubuntu")
    own = stacks.parse("demo", text, keyrings)
    assert own.suite == "bookworm"
    assert own.stack("amd64").suite == ""


def test_an_unknown_stack_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        stacks.load("../debian-12")
    assert caught.value.message == "there is no stack '../debian-12'"
    assert caught.value.hint == "Stacks: cflinuxfs4, debian-12, debian-13, heroku-24, ubi9."


def test_an_architecture_the_stack_does_not_come_in() -> None:
    with pytest.raises(UsageError) as caught:
        stacks.load("cflinuxfs4", "arm64")
    assert caught.value.message == "stack cflinuxfs4 does not come for arm64"
    assert caught.value.hint == "It comes for amd64."


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ('glibc: "2.36"\narch', "glibc: new\narch", "glibc: expected a version such as 2.36", 4),
        ("[amd64]", "[sparc]", "architectures: expected some of amd64, arm64", 5),
        ("[amd64]", "[]", "architectures: expected some of amd64, arm64", 5),
        ("summary: A test\n", "", "document: has no 'summary'", None),
        ("a.gpg", "missing.gpg", "archive.keyring: there is no boxes/keyrings/missing.gpg", 7),
        ("a.gpg", "../a.gpg", "archive.keyring: there is no boxes/keyrings/../a.gpg", 7),
        ("[a.gpg, b.gpg]", "[]", "archive: has no keyring; an archive without a signature is never read", 7),
        ("[z, p]", "[]", "python: needs packages, and an archive they come from", 8),
        ("libraries: [libstdc++.so.6]", "libraries: yes", "libraries: expected an array, found str", 6),
        ("summary: A", "vagrnt: {}\nsummary: A", f"vagrnt: is neither the packages of a runtime nor one of {KEYS}", 2),
        (
            "roots: [p]",
            "root: [p]",
            "python: does not know 'root'; it knows built, data, exclude, glibc, libraries, packages, roots, version",
            8,
        ),
    ],
)
def test_a_wrong_definition_names_its_line(keyrings: str, old: str, new: str, message: str, line: int | None) -> None:
    assert old in GOOD
    with pytest.raises(InvalidDefinition) as caught:
        stacks.parse("demo", GOOD.replace(old, new), keyrings)
    assert caught.value.message == message
    where = f"boxes/demo/box.yml:{line}" if line else "boxes/demo/box.yml"
    assert caught.value.where == where


def test_packages_need_an_archive(keyrings: str) -> None:
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith("archive"))
    with pytest.raises(InvalidDefinition) as caught:
        stacks.parse("demo", text, keyrings)
    assert caught.value.message == "python: needs packages, and an archive they come from"


@pytest.mark.parametrize("text", ["a: [", "\t", "- x", "a: b\na: c", "x: \0"])
def test_what_is_no_table_is_refused(keyrings: str, text: str) -> None:
    with pytest.raises(InvalidDefinition):
        stacks.parse("demo", text, keyrings)
