"""What a droplet's ELF files need and a base offers: read from real and hand-made libraries, refused by name and file."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from elf_builder import AARCH64 as ARM
from elf_builder import make_elf
from image_files import LIBC, LOADER, X86_64, glibc, layer, make_library
from small_droplets import small_droplet

from stager.droplet.reader import open_droplet
from stager.errors import StagerError
from stager.store import Store
from stager.targets.oci import abi, export
from stager.targets.oci.compose import LAYER
from stager.targets.oci.errors import WrongBase
from stager.targets.oci.image import Blob


def blob(files: Mapping[str, bytes | str]) -> Blob:
    data = layer(files)
    from image_files import digest

    return Blob(digest(data), len(data), LAYER, lambda: iter((data,)), digest(data))


def missing(own: Mapping[str, bytes | str], base: Mapping[str, bytes | str]) -> abi.Missing:
    return abi.missing((blob(own),), "amd64", abi.offer((blob(base),), None), None)


def needs(*needed: str, **kw: object) -> bytes:
    return make_elf(needed=needed, **kw)  # type: ignore[arg-type]


def test_what_glibc_offers_is_read_from_its_own_definitions() -> None:
    given = abi.offer((blob(glibc(36)),), None)
    assert given.libraries == {"libc.so.6", "ld-linux-x86-64.so.2"}
    assert {"GLIBC_2.17", "GLIBC_2.36"} <= given.versions
    assert "libc.so.6" not in given.versions
    assert (given.glibc, given.architecture) == ("2.36", "amd64")


@pytest.mark.tools
def test_the_definitions_of_real_libraries_are_those_that_objdump_prints() -> None:
    import re
    import subprocess

    for name in ("libc.so.6", "libstdc++.so.6", "libm.so.6"):
        path = f"/usr/lib/{platform.machine()}-linux-gnu/{name}"
        done = subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=True)
        section = done.stdout.partition("Version definitions:")[2].partition("Version References:")[0]
        rows = re.findall(r"^\d+ 0x([0-9a-f]+) 0x[0-9a-f]+ (\S+)", section, re.MULTILINE)
        wanted = sorted(version for flags, version in rows if flags == "00")
        assert sorted(abi.defined_versions(Path(path).read_bytes(), name)) == wanted
        assert len(wanted) > 5


def test_a_newer_symbol_version_is_missing_and_named_with_its_file() -> None:
    own = {"app/x.so": needs("libc.so.6", versions={"libc.so.6": ["GLIBC_2.17", "GLIBC_2.38"]})}
    assert missing(own, glibc(38)) == []
    assert missing(own, glibc(37)) == [("GLIBC_2.38", ["app/x.so"])]


def test_a_weak_version_is_no_need() -> None:
    own = {"app/x": needs("libc.so.6", versions={"libc.so.6": ["GLIBC_2.38"]}, weak=["GLIBC_2.38"])}
    assert missing(own, glibc(36)) == []


def test_a_library_is_found_in_the_droplet_in_the_base_or_nowhere() -> None:
    own: dict[str, bytes | str] = {
        "app/lib/libown.so.1.2": make_library("libown.so.1", ["OWN_1"]),
        "app/a": needs("libown.so.1", "libbase.so.3", "libabsent.so.9", versions={"libown.so.1": ["OWN_1", "OWN_2"]}),
        "app/b": needs("libabsent.so.9"),
    }
    base = {**glibc(), "usr/lib/x86_64-linux-gnu/libbase.so.3.1": make_library("libbase.so.3")}
    assert missing(own, base) == [("OWN_2", ["app/a"]), ("libabsent.so.9", ["app/a", "app/b"])]


def test_a_library_elsewhere_in_the_base_is_not_found_by_the_loader() -> None:
    own = {"app/a": needs("libdeep.so.1")}
    base = {**glibc(), "opt/deep/libdeep.so.1": make_library("libdeep.so.1")}
    assert missing(own, base) == [("libdeep.so.1", ["app/a"])]


def test_a_link_in_the_base_is_a_name_of_the_library() -> None:
    own = {"app/a": needs("libalias.so")}
    files: dict[str, bytes | str] = {**glibc(), "usr/lib64/libreal.so.1": make_library("libreal.so.1")}
    assert missing(own, {**files, "usr/lib64/libalias.so": "libreal.so.1"}) == []
    assert missing(own, {**files, "usr/lib64/libalias.so": "libgone.so.1"}) == [("libalias.so", ["app/a"])]


def test_the_program_interpreter_is_needed_too() -> None:
    own = {"app/a": needs("libc.so.6", interpreter="/lib64/ld-linux-x86-64.so.2")}
    assert missing(own, glibc()) == []
    assert missing(own, {LIBC: glibc()[LIBC]}) == [("ld-linux-x86-64.so.2", ["app/a"])]


def test_files_that_no_process_can_load_need_nothing() -> None:
    own: dict[str, bytes | str] = {
        "app/arm.node": make_elf(machine=ARM, needed=["libabsent.so.1"]),
        "app/musl.node": needs("libc.musl-x86_64.so.1", "libabsent.so.1"),
        "app/broken.so": needs("libabsent.so.1")[:200],
        "app/text": b"\x7fELF is only the beginning of this text",
    }
    assert missing(own, glibc()) == []


def test_upper_layers_of_a_base_replace_and_remove_what_lies_below() -> None:
    upper = blob(
        {LIBC: glibc(31)[LIBC], "usr/lib/x86_64-linux-gnu/.wh.libold.so.1": b"", "usr/lib64/.wh..wh..opq": b""}
    )
    lower = {**glibc(36), "usr/lib64/libhidden.so.1": make_library("libhidden.so.1")}
    lower["usr/lib/x86_64-linux-gnu/libold.so.1"] = make_library("libold.so.1")
    both = abi.offer((blob(lower), upper), None)
    assert both.glibc == "2.31"
    assert both.libraries == {"libc.so.6", "ld-linux-x86-64.so.2"}


def test_a_layers_facts_are_remembered_by_its_diff_id(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first = blob(glibc())
    facts = abi.of_layer(first, store)
    gone = Blob(first.digest, first.size, first.media_type, lambda: iter((b"not read",)), first.diff_id)
    assert abi.of_layer(gone, store) == facts
    assert sorted(facts.files) == sorted([LIBC, LOADER])


def refused(droplet: Path, tmp_path: Path, base: Mapping[str, bytes | str], **options: Any) -> StagerError:
    root = tmp_path / "root.tar"
    root.write_bytes(layer(base))
    with open_droplet(str(droplet)) as opened, pytest.raises(StagerError) as caught:
        export.export(opened, str(tmp_path / "image"), export.OciOptions(base_root=str(root), **options))
    assert not (tmp_path / "image").exists()
    return caught.value


def test_an_export_onto_a_base_that_is_too_old_is_refused(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "native.so").write_bytes(needs("libc.so.6", "libz.so.1", versions={"libc.so.6": ["GLIBC_2.36"]}))
    droplet = small_droplet(tmp_path)
    problem = refused(droplet, tmp_path, glibc(31))
    assert isinstance(problem, WrongBase)
    assert problem.message == (
        "the droplet needs what this base does not have: GLIBC_2.36 (for app/native.so); libz.so.1 (for app/native.so)"
    )
    assert problem.data["missing"] == {"GLIBC_2.36": ["app/native.so"], "libz.so.1": ["app/native.so"]}
    assert isinstance(refused(droplet, tmp_path, glibc(31), allow_missing=("libz.so.1",)), WrongBase)
    (tmp_path / "root.tar").write_bytes(layer(glibc(36)))
    with open_droplet(str(droplet)) as opened:
        wishes = export.OciOptions(base_root=f"{tmp_path}/root.tar", allow_missing=("libz.so.1",))
        assert export.export(opened, str(tmp_path / "image"), wishes).layers


def test_a_root_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path)
    (tmp_path / "root.tar").write_bytes(b"no tar at all" * 100)
    with open_droplet(str(droplet)) as opened, pytest.raises(StagerError) as caught:
        export.export(opened, str(tmp_path / "image"), export.OciOptions(base_root=f"{tmp_path}/root.tar"))
    assert caught.value.code == "BadImage"
    assert caught.value.where == f"{tmp_path}/root.tar"


def test_machines_have_debians_names() -> None:
    assert abi.offer((blob(glibc(36, 183)),), None).architecture == "arm64"
    assert abi.offer((blob({**glibc(36, 183), **glibc(36, X86_64)}),), None).architecture == ""
