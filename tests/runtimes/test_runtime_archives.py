from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from apps_fixture import npm_registry
from builders import TarEntry, compress, make_tar
from choosing import choose_bun, choose_node, choose_npm
from debian_archive import live
from elf_builder import make_elf

from stager.digest import sha256
from stager.ecosystems.errors import Mislabelled
from stager.facts import stacks
from stager.formats import elf
from stager.formats.archive import content_bytes
from stager.formats.errors import BadArchive
from stager.model import Artifact, Reason
from stager.planning.layouts import recipe
from stager.runtimes import releases
from stager.runtimes.chosen import ChosenRuntime

PROGRAM = make_elf(needed=["libc.so.6"], interpreter="/lib64/ld-linux-x86-64.so.2")
MANIFEST = b'{"name": "demo", "version": "1.0.0"}'
HEADER = b'#define PY_MINOR_VERSION\t12\n/* Version as a string */\n#define PY_VERSION      \t"%s"\n'
Kept = dict[str, tuple[bytes, bool]]


def tarball(files: dict[str, bytes], links: dict[str, str] | None = None, executables: tuple[str, ...] = ()) -> bytes:
    entries = [TarEntry(name, data, mode=0o755 if name in executables else 0o644) for name, data in files.items()]
    entries += [TarEntry(name, type=b"2", link=target) for name, target in (links or {}).items()]
    return compress(make_tar(entries), "gz")


def unpacked(folder: Path, layout: str, data: bytes) -> tuple[Kept, dict[str, str], dict[str, object]]:
    """(path → (bytes, executable), links, meta) at the place `p`."""
    (folder / "x.tgz").write_bytes(data)
    purl = "pkg:generic/cpython@3.12.4%2B20240713?arch=amd64" if layout.startswith("pbs") else "pkg:npm/demo@1.0.0"
    item = Artifact(purl, "demo-1.0.0.tgz", sha256(data), layout, ("p",))
    with recipe(item.layout)(str(folder / "x.tgz"), item, "p") as found:
        contents = {entry.path: (content_bytes(entry.content), entry.executable) for entry in found.files}
        return contents, found.links, found.meta


def test_node_keeps_the_program_and_its_licence(tmp_path: Path) -> None:
    files = {
        "package/bin/node": PROGRAM,
        "package/LICENSE": b"MIT",
        "package/README.md": b"x",
        "package/include/node/node.h": b"x",
        "package/share/man/man1/node.1": b"x",
        "package/package.json": MANIFEST,
    }
    assert unpacked(tmp_path, "node/1", tarball(files)) == (
        {"p/bin/node": (PROGRAM, True), "p/LICENSE": (b"MIT", False)},
        {},
        {},
    )
    built, _, _ = unpacked(tmp_path, "node-build/1", tarball(files))
    assert built.keys() == {"p/bin/node", "p/LICENSE", "p/include/node/node.h"}


def test_the_top_folder_may_have_any_name(tmp_path: Path) -> None:
    contents, _, _ = unpacked(
        tmp_path, "bun/1", tarball({"bun-linux/bin/bun": PROGRAM, "bun-linux/package.json": MANIFEST})
    )
    assert contents == {"p/bin/bun": (PROGRAM, True)}


def test_npm_is_kept_without_manuals(tmp_path: Path) -> None:
    files = {
        "package/bin/npm-cli.js": b"#!/usr/bin/env node\n",
        "package/bin/npx-cli.js": b"#!/usr/bin/env node\n",
        "package/bin/npm.cmd": b"x",
        "package/bin/npm.ps1": b"x",
        "package/lib/npm.js": b"x",
        "package/docs/content/x.md": b"x",
        "package/man/man1/npm.1": b"x",
        "package/node_modules/dep/docs/index.js": b"kept: only npm's own manuals are known to be unused",
        "package/package.json": MANIFEST,
    }
    contents, links, meta = unpacked(tmp_path, "npm-cli/1", tarball(files))
    assert {path: executable for path, (_, executable) in contents.items()} == {
        "p/bin/npm-cli.js": True,
        "p/bin/npx-cli.js": True,
        "p/lib/npm.js": False,
        "p/node_modules/dep/docs/index.js": False,
        "p/package.json": False,
    }
    assert (links, meta) == ({}, {})


def test_python_build_standalone_is_kept_without_what_builds_or_tests(tmp_path: Path) -> None:
    lib = "python/lib/python3.12"
    files = {
        "python/bin/python3.12": PROGRAM,
        "python/bin/pip3": b"#!/install/bin/python3.12\n",
        "python/bin/2to3-3.12": b"x",
        "python/include/python3.12/Python.h": b"x",
        "python/include/python3.12/patchlevel.h": HEADER % b"3.12.4",
        "python/share/man/man1/python3.1": b"x",
        "python/lib/libpython3.12.so.1.0": PROGRAM,
        "python/lib/libpython3.so": b"x",
        "python/lib/pkgconfig/python3.pc": b"x",
        "python/lib/tcl8.6/init.tcl": b"x",
        f"{lib}/os.py": b"x",
        f"{lib}/LICENSE.txt": b"x",
        f"{lib}/test/test_os.py": b"x",
        f"{lib}/unittest/case.py": b"x",
        f"{lib}/ensurepip/__init__.py": b"x",
        f"{lib}/tkinter/__init__.py": b"x",
        f"{lib}/config-3.12-x86_64-linux-gnu/Makefile": b"x",
        f"{lib}/site-packages/pip/__init__.py": b"x",
        f"{lib}/lib-dynload/_crypt.cpython-312-x86_64-linux-gnu.so": PROGRAM,
        f"{lib}/lib-dynload/_tkinter.cpython-312-x86_64-linux-gnu.so": PROGRAM,
        f"{lib}/json/__pycache__/x.cpython-312.pyc": b"x",
        f"{lib}/EXTERNALLY-MANAGED": b"x",
    }
    links = {
        "python/bin/python3": "python3.12",
        "python/bin/python": "python3.12",
        "python/lib/libpython3.12.so": "libpython3.12.so.1.0",
        f"{lib}/kept.py": "os.py",
        f"{lib}/gone.py": "test/test_os.py",
    }
    contents, kept, meta = unpacked(tmp_path, "pbs/1", tarball(files, links, executables=("python/bin/python3.12",)))
    assert {path: executable for path, (_, executable) in contents.items()} == {
        "p/bin/python3.12": True,
        "p/lib/libpython3.12.so.1.0": False,
        "p/lib/python3.12/os.py": False,
        "p/lib/python3.12/LICENSE.txt": False,
        "p/lib/python3.12/unittest/case.py": False,
        "p/lib/python3.12/lib-dynload/_crypt.cpython-312-x86_64-linux-gnu.so": False,
    }
    assert kept == {"p/lib/python3.12/kept.py": "os.py"}
    assert meta == {"dropped": ["lib/python3.12/gone.py -> test/test_os.py"]}


def test_python_for_building_keeps_its_headers_as_well(tmp_path: Path) -> None:
    header = "python/include/python3.12/Python.h"
    data = tarball({"python/bin/python3.12": PROGRAM, header: b"x"})
    assert set(unpacked(tmp_path, "pbs-build/1", data)[0]) == {"p/bin/python3.12", "p/include/python3.12/Python.h"}
    assert set(unpacked(tmp_path, "pbs/1", data)[0]) == {"p/bin/python3.12"}


def test_a_python_that_was_built_finds_the_libraries_beside_it_and_has_its_headers(tmp_path: Path) -> None:
    header, code = "python/include/python3.12/patchlevel.h", "python/lib/python3.12/os.py"
    program = Path(os.path.realpath("/proc/self/exe")).read_bytes() if sys.platform == "linux" else PROGRAM
    data = tarball({"python/bin/python3.12": program, header: HEADER % b"3.12.4", code: b"x", "python/share/x": b"x"})
    (tmp_path / "x.tgz").write_bytes(data)
    item = Artifact("pkg:generic/cpython@3.12.4?variant=source", "c.tar.gz", sha256(data), "cpython/1", ("p",))
    with recipe("cpython/1")(str(tmp_path / "x.tgz"), item, "p") as found:
        contents = {entry.path: (content_bytes(entry.content), entry.executable) for entry in found.files}
    assert set(contents) == {"p/bin/python3.12", "p/include/python3.12/patchlevel.h", "p/lib/python3.12/os.py"}
    patched, executable = contents["p/bin/python3.12"]
    assert executable
    assert b"$ORIGIN/../lib/x86_64-linux-gnu\0" in patched or b"$ORIGIN/../lib/aarch64-linux-gnu\0" in patched
    other = Artifact("pkg:generic/cpython@3.12.5?variant=source", "c.tar.gz", sha256(data), "cpython/1", ("p",))
    with pytest.raises(Mislabelled):
        recipe("cpython/1")(str(tmp_path / "x.tgz"), other, "p")


@pytest.mark.parametrize(
    ("layout", "program"),
    [
        ("node/1", "bin/node"),
        ("bun/1", "bin/bun"),
        ("npm-cli/1", "bin/npm-cli.js"),
        ("pbs/1", "bin/python3.*"),
    ],
)
def test_an_archive_without_its_program_is_refused(tmp_path: Path, layout: str, program: str) -> None:
    with pytest.raises(BadArchive) as caught:
        unpacked(tmp_path, layout, tarball({"package/package.json": MANIFEST}, {"package/bin/node": "package.json"}))
    name = "cpython@3.12.4+20240713" if layout == "pbs/1" else "demo@1.0.0"
    assert caught.value.message == f"{name}: holds no program {program}"


@pytest.mark.parametrize(
    ("layout", "files", "message"),
    [
        ("node/1", {"p/bin/node": PROGRAM}, "demo@1.0.0: has no package.json"),
        ("node/1", {"p/bin/node": PROGRAM, "p/package.json": b"{"}, "demo@1.0.0: its package.json is not valid JSON"),
        (
            "node/1", {"p/bin/node": PROGRAM, "p/package.json": b'{"name": "demo", "version": "1.0.1"}'},
            "demo@1.0.0: its package.json says demo@1.0.1, but demo@1.0.0 was asked for",
        ),
        (
            "npm-cli/1", {"p/bin/npm-cli.js": b"", "p/package.json": b'{"name": "Demo", "version": "1.0.0"}'},
            "demo@1.0.0: its package.json says Demo@1.0.0, but demo@1.0.0 was asked for",
        ),
        (
            "pbs/1", {"python/bin/python3.11": PROGRAM},
            "cpython@3.12.4+20240713: the archive says it holds bin/python3.11, but Python 3.12.4 was asked for",
        ),
        (
            "pbs/1", {"python/bin/python3.12": PROGRAM, "python/include/python3.12/patchlevel.h": HEADER % b"3.12.3"},
            "cpython@3.12.4+20240713: include/python3.12/patchlevel.h says 3.12.3, but 3.12.4 was asked for",
        ),
        (
            "pbs/1", {"python/bin/python3.12": PROGRAM, "python/include/python3.12/patchlevel.h": b""},
            "cpython@3.12.4+20240713: include/python3.12/patchlevel.h says no version, but 3.12.4 was asked for",
        ),
    ],
)  # fmt: skip
def test_a_runtime_must_be_the_one_that_the_plan_names(
    tmp_path: Path, layout: str, files: dict[str, bytes], message: str
) -> None:
    with pytest.raises((BadArchive, Mislabelled)) as caught:
        unpacked(tmp_path, layout, tarball(files))
    assert caught.value.message.startswith(message)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive):
        unpacked(tmp_path, "node/1", b"no gzip")


# --- the real packages -----------------------------------------------------------------------------------------

STACK = stacks.load("debian-12")


def install(chosen: ChosenRuntime, root: Path) -> None:
    """Fetch, check and unpack a chosen runtime with its links."""
    import hashlib

    for item in chosen.artifacts:
        package = item.purl.removeprefix("pkg:npm/").replace("%40", "@").rpartition("@")[0]
        data = live().get(f"{npm_registry()}/{package}/-/{item.filename}")
        assert f"sha512:{hashlib.sha512(data).hexdigest()}" == item.digest
        blob = root.parent / item.filename
        blob.write_bytes(data)
        with recipe(item.layout)(str(blob), item, item.paths[0]) as found:
            assert found.meta == {}
            for entry in found.files:
                path = root / entry.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content_bytes(entry.content))
                path.chmod(0o755 if entry.executable else 0o644)
    for link, target in chosen.links:
        (root / link).symlink_to(target)


@pytest.mark.network
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="starts a Linux program")
@pytest.mark.parametrize("line", sorted(releases.read("nodejs").supported))
def test_every_node_line_runs_and_needs_what_the_table_says(line: str, tmp_path: Path) -> None:
    root = tmp_path / "app folder"
    node = choose_node([(line, Reason("test"))], STACK, live(), npm_registry())
    npm = choose_npm(node.runtime.version, [], STACK, live(), npm_registry())
    install(node, root)
    install(npm, root)
    facts, table = (
        elf.read((root / ".stager/node/bin/node").read_bytes(), "node"),
        releases.read("nodejs").supported[line],
    )
    assert facts is not None
    assert facts.glibc == table.glibc
    assert set(facts.needed) - elf.GLIBC == table.libraries
    environment = {"PATH": f"{root}/.stager/node/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    for command, version in (("node", f"v{node.runtime.version}"), ("npm", npm.runtime.version)):
        program = [str(root / ".stager/node/bin" / command), "--version"]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stdout.strip() == version
    assert npm.runtime.version.partition(".")[0] == table.npm


@pytest.mark.network
@pytest.mark.parametrize("line", ["4", "12", "16", "18", "25"])
def test_ended_node_lines_need_no_more_than_the_table_says(line: str, tmp_path: Path) -> None:
    node = choose_node([(line, Reason("test"))], STACK, live(), npm_registry())
    npm = choose_npm(node.runtime.version, [], STACK, live(), npm_registry())
    install(node, tmp_path)
    facts, table = (
        elf.read((tmp_path / ".stager/node/bin/node").read_bytes(), "node"),
        releases.read("nodejs").ended[line],
    )
    assert facts is not None
    assert facts.glibc <= table.glibc
    assert set(facts.needed) - elf.GLIBC == table.libraries
    assert npm.runtime.version.partition(".")[0] == table.npm


@pytest.mark.network
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_bun_needs_what_the_table_says(architecture: str, tmp_path: Path) -> None:
    chosen = choose_bun([], stacks.load("debian-12", architecture), live(), npm_registry())
    install(chosen, tmp_path / "app")
    program = tmp_path / "app/.stager/bun/bin/bun"
    facts = elf.read(program.read_bytes(), "bun")
    assert facts is not None
    assert facts.glibc == releases.read("nodejs").extra["bun"]
    assert set(facts.needed) <= elf.GLIBC
    if sys.platform.startswith("linux") and os.uname().machine == facts.machine:
        done = subprocess.run([str(program), "--version"], env={}, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == chosen.runtime.version
