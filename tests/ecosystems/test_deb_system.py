"""Debian packages in a droplet: where files lie, what is linked, what cannot run, and whose files are whose."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_deb
from elf_builder import make_elf

from stager.digest import Digest, sha256
from stager.ecosystems.deb import ECOSYSTEM
from stager.ecosystems.deb.place import LAYOUT, PLACE
from stager.ecosystems.deb.system import needs, placed
from stager.ecosystems.errors import Mislabelled
from stager.ecosystems.record import Laid
from stager.errors import NeedsBuild
from stager.formats.archive import content_bytes
from stager.model import Artifact, Plan
from stager.planning.layouts import recipe

TRIPLET = "x86_64-linux-gnu"
STATUS = f"{PLACE}/var/lib/dpkg/status.d"


def artifact(data: bytes, package: str = "demo") -> Artifact:
    return Artifact(
        f"pkg:deb/debian/{package}@1.0-1?arch=amd64", "pool/main/d/demo.deb", sha256(data), LAYOUT, (PLACE,)
    )


def laid(tmp_path: Path, data: bytes, package: str = "demo") -> tuple[dict[str, bytes], dict[str, str], Laid]:
    """(path → bytes, links, the package as those beside it see it)."""
    (tmp_path / "demo.deb").write_bytes(data)
    one = artifact(data, package)
    with recipe(LAYOUT)(str(tmp_path / "demo.deb"), one, PLACE) as found:
        contents = {entry.path: content_bytes(entry.content) for entry in found.files}
        return contents, found.links, Laid(one, PLACE, found.meta)


# --- files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("usr/bin/jq", None),
        ("bin/ed", "usr/bin/ed"),
        ("sbin/mkfs", "usr/sbin/mkfs"),
        (f"lib/{TRIPLET}/libz.so.1", f"usr/lib/{TRIPLET}/libz.so.1"),
        (f"usr/lib/{TRIPLET}/ImageMagick-6/coders/png.la", None),
        (f"usr/lib/{TRIPLET}/libz.la", ""),
        (f"usr/lib/{TRIPLET}/libz.a", ""),
        (f"usr/lib/{TRIPLET}/pkgconfig/zlib.pc", ""),
        ("usr/games/cowsay", None),
        ("usr/share/doc/jq/copyright", None),
        ("usr/share/doc/jq/README", ""),
        ("usr/share/man/man1/jq.1.gz", ""),
        ("usr/share/misc/magic.mgc", None),
        ("usr/share/zoneinfo/Europe/Berlin", None),
        ("usr/include/jq.h", ""),
        ("etc/fonts/fonts.conf", None),
        ("etc/init.d/redis-server", ""),
        ("etc/cron.daily/x", ""),
        ("lib/systemd/system/redis-server.service", ""),
        ("var/lib/x/data", None),
        ("var/cache/x/data", ""),
        ("dev/null", ""),
    ],
)
def test_where_a_file_lies(name: str, place: str | None) -> None:
    assert placed(name) == (name if place is None else place)


def test_a_package_is_placed_with_its_paragraph_and_its_list(tmp_path: Path) -> None:
    sums = f"{'a' * 32}  usr/bin/demo\n{'b' * 32}  usr/share/man/man1/demo.1\nrubbish\n"
    data = make_deb(
        {"usr/bin/demo": b"#!/bin/sh\n", "etc/demo.conf": b"x = 1\n", "usr/share/man/man1/demo.1": b"-"},
        {"usr/bin/other": "demo", "bin/absolute": "/usr/bin/demo", "usr/bin/alt": "/etc/alternatives/alt"},
        executables=["usr/bin/demo"],
        control_files={"md5sums": sums.encode(), "postinst": b"#!/bin/sh\nexit 1\n"},
    )
    contents, links, one = laid(tmp_path, data)
    md5 = hashlib.md5(b"x = 1\n", usedforsecurity=False).hexdigest()
    target = hashlib.md5(b"demo", usedforsecurity=False).hexdigest()
    rows = [(md5, "etc/demo.conf"), (target, "usr/bin/absolute"), ("a" * 32, "usr/bin/demo"), (target, "usr/bin/other")]
    assert contents == {
        f"{PLACE}/etc/demo.conf": b"x = 1\n",
        f"{PLACE}/usr/bin/demo": b"#!/bin/sh\n",
        f"{STATUS}/demo": b"Package: demo\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: x\nDescription: x\n"
        b"Status: install ok installed\n",
        f"{STATUS}/demo.md5sums": "".join(f"{digest}  {path}\n" for digest, path in rows).encode(),
    }
    assert links == {f"{PLACE}/usr/bin/other": "demo", f"{PLACE}/usr/bin/absolute": "demo"}
    assert one.meta["dropped"] == ["usr/bin/alt -> /etc/alternatives/alt"]


def test_another_package_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(Mislabelled):
        laid(tmp_path, make_deb({"usr/bin/demo": b""}, package="other"))


def test_what_a_package_is_told_to_have(tmp_path: Path) -> None:
    library = make_elf(soname="libd.so.1", needed=["libz.so.1", "libc.so.6"], versions={"libc.so.6": ["GLIBC_2.34"]})
    data = make_deb(
        {f"usr/lib/{TRIPLET}/libd.so.1": library, "usr/bin/s": b"x", "lib/systemd/system/demo.service": b"[Unit]"},
        modes={"usr/bin/s": 0o4755},
    )
    assert laid(tmp_path, data)[2].meta == {
        "sonames": {"libd.so.1": f"usr/lib/{TRIPLET}/libd.so.1"},
        "needed": ["libc.so.6", "libz.so.1"],
        "glibc": [2, 34],
        "privileged": ["usr/bin/s"],
        "services": ["demo"],
    }


# --- links that no package brings ------------------------------------------------------------------------------


def test_alternatives_are_read_from_scripts(tmp_path: Path) -> None:
    script = r"""
set -e
tool=demo-tool
update-alternatives --install /usr/bin/tool tool /usr/bin/$tool 20 \
    --slave /usr/bin/tool-helper tool-helper /usr/bin/demo-helper
for name in one two; do
    update-alternatives --install /usr/bin/$name $name /usr/bin/$name-demo 10
done
for name in $(ls); do
    update-alternatives --install /usr/bin/$name $name /usr/bin/demo-tool 99
done
update-alternatives --install /usr/bin/gone gone /usr/bin/not-there 5
update-alternatives --install /usr/bin/demo-tool x /usr/bin/demo-helper 5
"""
    files = {f"usr/bin/{name}": b"" for name in ("demo-tool", "demo-helper", "one-demo", "two-demo")}
    first = laid(tmp_path, make_deb(files, control_files={"postinst": script.encode()}))[2]
    better = b"update-alternatives --install /usr/bin/tool tool /usr/bin/better 30\n"
    second = laid(tmp_path, make_deb({"usr/bin/better": b""}, control_files={"postinst": better}))[2]
    expected = {"one": "one-demo", "tool": "better", "tool-helper": "demo-helper", "two": "two-demo"}
    assert ECOSYSTEM.links([first, second], ()) == {f"{PLACE}/usr/bin/{k}": v for k, v in expected.items()}
    assert ECOSYSTEM.links([second, first], ()) == ECOSYSTEM.links([first, second], ())


def test_libraries_in_folders_of_their_own_are_found(tmp_path: Path) -> None:
    """As ld.so.conf.d and absolute search paths would: those that something needs, and those with a version."""
    names = ("libprivate.so", "libplugin.so", "libblas.so.3")
    inner = {f"usr/lib/{TRIPLET}/inner/{name}": make_elf(soname=name) for name in names}
    data = make_deb({**inner, f"usr/lib/{TRIPLET}/libd.so.1": make_elf(soname="libd.so.1", needed=["libprivate.so"])})
    assert ECOSYSTEM.links([laid(tmp_path, data)[2]], ()) == {
        f"{PLACE}/usr/lib/{TRIPLET}/libblas.so.3": "inner/libblas.so.3",
        f"{PLACE}/usr/lib/{TRIPLET}/libprivate.so": "inner/libprivate.so",
    }


# --- what cannot run -------------------------------------------------------------------------------------------

PLAN = Plan("debian-12", "amd64", "c", (), (), (), (), (), (), (), (), (("packages", "demo"),))


def refusal(plan: Plan, one: Laid) -> str:
    with pytest.raises(NeedsBuild) as caught:
        ECOSYSTEM.check(plan, [one])
    return caught.value.message


def test_what_a_stack_lacks_is_refused(tmp_path: Path) -> None:
    library = make_elf(soname="libd.so.1", needed=["libz.so.1"], versions={"libc.so.6": ["GLIBC_2.38"]})
    one = laid(tmp_path, make_deb({f"usr/lib/{TRIPLET}/libd.so.1": library}))[2]
    assert refusal(PLAN, one) == "must be built first: debian/demo@1.0-1 (needs glibc 2.38)"
    ECOSYSTEM.check(replace(PLAN, stack="debian-13"), [one])  # libz is in its root
    assert refusal(replace(PLAN, stack="heroku-24"), one) == "must be built first: debian/demo@1.0-1 (needs libz.so.1)"


def test_rights_of_root_are_refused_where_they_are_asked_for(tmp_path: Path) -> None:
    one = laid(tmp_path, make_deb({"usr/bin/sudo": b"x"}, modes={"usr/bin/sudo": 0o4755}))[2]
    assert refusal(PLAN, one) == "must be built first: debian/demo@1.0-1 (its usr/bin/sudo needs the rights of root)"
    ECOSYSTEM.check(replace(PLAN, facts=(("packages", "other"),)), [one])


def test_a_service_is_told_of(tmp_path: Path) -> None:
    one = laid(tmp_path, make_deb({"lib/systemd/system/demo.service": b"", "usr/bin/demo": b""}))[2]
    note = "demo: its service demo is not started; a process of the Procfile can start its program"
    assert ECOSYSTEM.notes(PLAN, [one], ()) == [note]
    assert ECOSYSTEM.notes(replace(PLAN, facts=()), [one], ()) == []


def test_who_needs_whom_among_those_in_a_droplet() -> None:
    texts = {
        f"{STATUS}/tool": b"Package: tool\nDepends: libtool (>= 1), libc6, gl | awk\nDescription: x\n Depends: no\n",
        f"{STATUS}/libtool": b"Package: libtool\nPre-Depends: tool\n",
        f"{STATUS}/mesa": b"Package: mesa\nProvides: gl (= 1)\n",
    }
    found = needs({"tool": 3, "libtool": 5, "mesa": 8}, texts)
    assert found == {3: frozenset({5, 8}), 5: frozenset({3}), 8: frozenset()}


# --- whose files are whose -------------------------------------------------------------------------------------


def test_lists_say_whose_files_are_whose() -> None:
    assert ECOSYSTEM.listing is not None
    lists = {f"{STATUS}/demo.md5sums": f"{'a' * 32}  usr/bin/demo\n{'b' * 32}  etc/a b\n".encode()}
    paths = [f"{STATUS}/demo", f"{STATUS}/demo.md5sums", f"{PLACE}/usr/bin/demo", f"{PLACE}/etc/a b"]
    one = Artifact("pkg:deb/debian/demo@1.0-1?arch=amd64", "x", Digest("sha256:" + "a" * 64), LAYOUT, (PLACE,))
    other = replace(one, purl="pkg:deb/debian/other@1.0-1?arch=amd64")
    assert [(n, list(rows)) for n, rows, _ in ECOSYSTEM.listing.claims([(3, other), (7, one)], lists)] == [(7, paths)]
    assert [(name, list(rows)) for name, rows, _ in ECOSYSTEM.listing.unplanned(lists)] == [("demo", paths)]
    assert ECOSYSTEM.listing.is_list(f"{STATUS}/demo.md5sums")
    assert not ECOSYSTEM.listing.is_list(f"{STATUS}/demo")
