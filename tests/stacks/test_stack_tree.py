from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from elf_builder import make_elf
from made import BOX, EPOCH, definition

from stager.formats.errors import BadArchive
from stager.stacks import guarantees, normalise, tree
from stager.stacks.errors import StackFailed
from stager.stacks.tree import RootItem, Tree

LONG = "a" * 90 + "/" + "b" * 150 + "/" + "c" * 40


def packed(*members: tuple[str, dict[str, Any]], order: int = 1, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar as another program might write it; a member is its name and fields of TarInfo, `data` being its bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, fields in members[::order]:
            info = tarfile.TarInfo(name)
            data = fields.get("data", b"")
            for key, value in fields.items():
                if key != "data":
                    setattr(info, key, value)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def opened(data: bytes, path: Path) -> Tree:
    path.write_bytes(data)
    return tree.read(os.open(path, os.O_RDONLY), "the test's root")


def written(made: Tree, epoch: int = EPOCH) -> bytes:
    parts: list[bytes] = []
    tree.write(made, epoch, parts.append)
    return b"".join(parts)


DIRECTORY = {"type": tarfile.DIRTYPE, "mode": 0o755}
MEMBERS = (
    ("./", DIRECTORY),
    ("./etc", {**DIRECTORY, "mtime": 5}),
    ("./etc/passwd", {"data": b"root:x:0:0::/root:/bin/sh\n", "mode": 0o644, "uname": "root", "mtime": 99}),
    ("./b", {"data": b"one file", "mode": 0o4755, "uid": 7, "gid": 8, "mtime": 1234.5}),
    ("./a", {"type": tarfile.LNKTYPE, "linkname": "./b"}),
    ("./bin", {"type": tarfile.SYMTYPE, "linkname": "usr/bin", "mode": 0o777}),
    ("./dev", DIRECTORY),
    ("./dev/null", {"type": tarfile.CHRTYPE, "mode": 0o666, "devmajor": 1, "devminor": 3}),
    ("./pipe", {"type": tarfile.FIFOTYPE}),
    (f"./{LONG}", {"data": b"long", "mode": 0o600}),
    ("./Raíz", {"data": b"not ASCII", "pax_headers": {"SCHILY.xattr.security.capability": "x"}}),
    ("./to", {"type": tarfile.SYMTYPE, "linkname": "/" + LONG}),
)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_the_canonical_tar_holds_the_same_files(tmp_path: Path, form: int) -> None:
    data = written(opened(packed(*MEMBERS, form=form), tmp_path / "in"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = archive.getmembers()
        names = [member.name for member in found]
        assert names == sorted(names, key=str.encode)
        assert names == [".", "./Raíz", "./a", f"./{LONG}", "./b", "./bin", "./dev", "./etc", "./etc/passwd", "./to"]
        by = {member.name: member for member in found}
        assert {member.mtime for member in found} == {EPOCH}
        assert {member.uname + member.gname for member in found} == {""}
        assert not any(key.startswith("SCHILY") for member in found for key in member.pax_headers)
        assert (by["./a"].mode, by["./a"].uid, by["./a"].gid, by["./a"].type) == (0o4755, 7, 8, tarfile.REGTYPE)
        assert (by["./b"].type, by["./b"].linkname) == (tarfile.LNKTYPE, "./a")
        assert by["./to"].linkname == "/" + LONG
        content = archive.extractfile(f"./{LONG}")
        assert content is not None
        assert content.read() == b"long"


def test_the_order_and_format_of_the_given_tar_do_not_matter(tmp_path: Path) -> None:
    wanted = written(opened(packed(*MEMBERS), tmp_path / "1"))
    gnu = packed(*MEMBERS, form=tarfile.GNU_FORMAT)
    assert written(opened(gnu, tmp_path / "2")) == wanted
    others = [member for member in MEMBERS if member[1].get("type") != tarfile.LNKTYPE]
    turned = packed(*reversed(others), MEMBERS[4])
    assert written(opened(turned, tmp_path / "3")) == wanted
    assert written(opened(wanted, tmp_path / "4")) == wanted


@pytest.mark.tools
def test_gnu_tar_and_bsdtar_read_it(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(written(opened(packed(*MEMBERS), tmp_path / "in")))
    for program in ("tar", "bsdtar"):
        assert shutil.which(program)
        place = tmp_path / program
        place.mkdir()
        subprocess.run([program, "-xf", str(tmp_path / "root.tar"), "-C", str(place)], check=True)
        assert (place / LONG).read_bytes() == b"long"
        assert (place / "a").stat().st_ino == (place / "b").stat().st_ino
        assert os.readlink(place / "to") == "/" + LONG


def test_what_is_no_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=r"has the entry '\.\./x', which leads out of it"):
        opened(packed(("../x", {"data": b""})), tmp_path / "1")
    with pytest.raises(BadArchive, match="has a hard link 'x' to something that is not there"):
        opened(packed(("x", {"type": tarfile.LNKTYPE, "linkname": "y"})), tmp_path / "2")
    with pytest.raises(BadArchive):
        opened(packed(("x", {"data": bytes(2000)}))[:1000], tmp_path / "3")


# --- what is taken away ----------------------------------------------------------------------------------------

FIRST = {
    "etc/machine-id": b"1234\n", "etc/hostname": b"one\n", "etc/resolv.conf": b"nameserver 1\n",
    "var/log/dpkg.log": b"now\n", "var/log/apt/term.log": b"now\n", "var/cache/ldconfig/aux-cache": b"inodes",
    "var/cache/debconf/templates.dat-old": b"x", "var/lib/dpkg/status-old": b"x", "var/lib/dpkg/lock": b"",
    "var/lib/systemd/random-seed": b"random", "etc/ssh/ssh_host_rsa_key": b"secret", "etc/passwd-": b"x",
    "usr/lib/python3/__pycache__/x.pyc": b"time", "tmp/left": b"x", "run/utmp": b"x", "root/.bash_history": b"x",
    "etc/apt/sources.list": b"where", "var/lib/apt/lists/x": b"x", "etc/ssl/private/ssl-cert-snakeoil.key": b"x",
}  # fmt: skip
KEPT = {"etc/os-release": b"x", "var/cache/debconf/templates.dat": b"x", "var/lib/dpkg/status": b"x", "usr/bin/x": b"x"}


def of(files: dict[str, bytes]) -> Tree:
    made = Tree()
    for path, data in files.items():
        made.put(path, RootItem("file", 0o600, data=data))
    return made


def test_what_depends_on_machine_and_time_is_gone() -> None:
    one, other = of({**KEPT, **FIRST}), of({**KEPT, "etc/hostname": b"two", "etc/machine-id": b"5", "var/log/z": b""})
    for made in (one, other):
        normalise.clean(made)
    files = {path: made for path, made in one.items.items() if made.kind == "file"}
    assert set(files) == {*KEPT, "etc/machine-id", "etc/hostname", "etc/hosts", "etc/resolv.conf"}
    assert files["etc/machine-id"].data == files["etc/resolv.conf"].data == b""
    assert files["etc/hostname"].data == b"localhost\n"
    assert {p: i for p, i in other.items.items() if i.kind == "file"} == files
    assert "var/log/apt" in one.items
    assert {"dev", "proc", "run", "sys"} <= set(one.items)
    assert "usr/lib/python3/__pycache__" not in one.items


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b/c", "a/b", False),
        ("a/bc", "a/b*", True),
        ("a/b/c", "a/*", False),
        ("a/b/c", "a/**", True),
        ("a", "a/**", False),
        ("a/x/c/d", "a/*/c/**", True),
        ("b/x/c/d", "a/*/c/**", False),
    ],
)
def test_patterns(path: str, pattern: str, expected: bool) -> None:
    assert normalise.fits(path, [pattern]) is expected


PASSWD = b"root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/x\nsshd:x:101:65534::/:/x\nman:x:6:12::/:/x\n"
SHADOW = b"nobody:*:1:0:99999:7:::\nroot:*:20779:0:99999:7:::\nman:*:20779:0:99999:7:::\nsshd:!:20779::::::\n"


def test_a_definition_is_laid_over_the_root(tmp_path: Path) -> None:
    text = BOX.replace(
        "  locale: C\n",
        "  locale: C\n  remove: [usr/share/doc/**]\n  keep: [usr/share/doc/*/copyright]\n"
        '  folders: {/app: {mode: "0775", uid: "2000", gid: "0"}}\n  links: {/home/vcap/app: /app}\n'
        "  files: {/bin/tool: x, /etc/os-release: mine}\n",
    )
    made = of({**KEPT, "etc/passwd": PASSWD, "etc/shadow": SHADOW, "etc/group": b"b:x:9:\nroot:x:0:\n",
               "etc/gshadow": b"b:*::\nroot:*::\n", "usr/share/doc/a/copyright": b"c", "usr/share/doc/a/NEWS": b"n",
               "usr/share/doc/b/NEWS": b"n"})  # fmt: skip
    made.put("bin", RootItem("link", 0o777, target="usr/bin"))
    found = definition(tmp_path, text)
    normalise.apply(made, found, found.chosen(()), EPOCH)
    day = EPOCH // 86400
    assert made.bytes_of("etc/passwd").decode().splitlines() == [
        "root:x:0:0:root:/root:/bin/bash", "man:x:6:12::/:/x", "sshd:x:101:65534::/:/x",
        "vcap:x:2000:2000::/home/vcap:/bin/sh", "nobody:x:65534:65534::/:/x",
    ]  # fmt: skip
    assert made.bytes_of("etc/shadow").decode().splitlines() == [
        f"root:*:{day}:0:99999:7:::", f"man:*:{day}:0:99999:7:::", f"sshd:!:{day}::::::",
        f"vcap:*:{day}:0:99999:7:::", f"nobody:*:{day}:0:99999:7:::",
    ]  # fmt: skip
    assert made.bytes_of("etc/group") == b"root:x:0:\nb:x:9:\nvcap:x:2000:\n"
    assert made.bytes_of("etc/gshadow") == b"root:*::\nb:*::\nvcap:*::\n"
    assert made.items["etc/shadow"].mode == 0o600
    assert made.items["home/vcap"] == RootItem("folder", 0o755, 2000, 2000)
    assert made.items["app"] == RootItem("folder", 0o775, 2000, 0)
    assert made.items["home/vcap/app"].target == "/app"
    assert "bin/tool" not in made.items
    assert made.items["usr/bin/tool"].data == b"x"
    assert made.bytes_of("etc/os-release") == b"mine"
    assert made.bytes_of("etc/default/locale") == b"LANG=C\n"
    assert {path for path in made.items if path.startswith("usr/share/doc/")} == {
        "usr/share/doc/a", "usr/share/doc/a/copyright",
    }  # fmt: skip


def test_links_are_followed_inside_the_root() -> None:
    made = of({"usr/lib/x/real": b"x"})
    for path, target in (
        ("lib", "usr/lib"),
        ("usr/lib/so", "/lib/x/../x/real"),
        ("round", "round"),
        ("up", "../../usr"),
    ):
        made.put(path, RootItem("link", 0o777, target=target))
    assert made.resolve("lib/so") == "usr/lib/x/real"
    assert made.resolve("up/lib") == "usr/lib"
    assert made.resolve("round/x") == ""


# --- what a stack promises -------------------------------------------------------------------------------------


def libc(version: str = "2.36") -> bytes:
    text = f"GNU C Library (Debian GLIBC {version}-9) stable release version {version}.\n".encode()
    return make_elf(soname="libc.so.6") + text


def promised(tmp_path: Path, files: dict[str, bytes]) -> None:
    text = BOX.replace("libraries: []", "libraries: [libz.so.1]").replace("locale: C\n", "locale: C.UTF-8\n")
    found = definition(tmp_path, text)
    made = of({"etc/passwd": b"vcap:x:2000:2000::/home/vcap:/bin/sh\n", **files})
    made.put("usr/lib/locale/C.utf8/LC_CTYPE", RootItem("file", 0o644, data=b""))
    made.put("lib", RootItem("link", 0o777, target="usr/lib"))
    guarantees.check(found, made, "amd64")


BASE = "usr/lib/x86_64-linux-gnu"


def test_a_root_that_keeps_its_promises(tmp_path: Path) -> None:
    promised(tmp_path, {f"{BASE}/libc.so.6": libc(), f"{BASE}/libz.so.1": make_elf(soname="libz.so.1")})


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({f"{BASE}/libc.so.6": libc("2.35")}, "its glibc is 2.35, not 2.36"),
        ({f"{BASE}/libc.so.6": b""}, "it has no libc.so.6 for x86_64"),
        ({f"{BASE}/libz.so.1": b"#!/bin/sh"}, "it has no libz.so.1 for x86_64"),
        ({f"{BASE}/libz.so.1": make_elf(soname="other.so")}, "it has no libz.so.1 for x86_64"),
        ({f"{BASE}/libz.so.1": make_elf(soname="libz.so.1", machine=183)}, "it has no libz.so.1 for x86_64"),
        ({"etc/passwd": b"vcap:x:1000:1000::/:/x\n"}, "its user vcap has the number 1000, not 2000"),
        ({"etc/passwd": b""}, "its user vcap has the number of nobody, not 2000"),
    ],
)
def test_a_broken_promise_is_named(tmp_path: Path, files: dict[str, bytes], why: str) -> None:
    good = {f"{BASE}/libc.so.6": libc(), f"{BASE}/libz.so.1": make_elf(soname="libz.so.1")}
    with pytest.raises(StackFailed) as caught:
        promised(tmp_path, {**good, **files})
    assert caught.value.message == f"stack mine: checking the root filesystem failed: {why}"


def test_a_locale_that_is_not_there(tmp_path: Path) -> None:
    found = definition(tmp_path, BOX.replace("locale: C\n", "locale: de_DE.UTF-8\n"))
    made = of({"etc/passwd": b"vcap:x:2000:2000::/:/x\n", f"{BASE}/libc.so.6": libc()})
    with pytest.raises(StackFailed, match=r"it has no locale de_DE\.UTF-8"):
        guarantees.check(found, made, "amd64")
    made.put("usr/lib/locale/locale-archive", RootItem("file", 0o644, data=b"...de_DE.utf8..."))
    guarantees.check(found, made, "amd64")
