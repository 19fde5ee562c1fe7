"""What was compiled has to find on the stack what it asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from builders import make_npm_tarball, make_wheel
from elf_builder import AARCH64, make_elf

from stager.builds import abi
from stager.digest import Digest
from stager.errors import NeedsBuild
from stager.model import Artifact, Plan
from stager.store import Store


def plan(stack: str = "debian-12") -> Plan:
    return Plan(stack, "amd64", "deflate-0.9.0-level-6/1", (), (), (), (), (), (), (), ())


def check(folder: Path, files: Mapping[str, bytes], stack: str = "debian-12", given: tuple[str, ...] = ()) -> None:
    store = Store(str(folder / "store"))
    data = make_npm_tarball("addon", files)
    blob = store.put(data)
    digest = Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
    made = Artifact("pkg:npm/addon@1.0.0", "addon-1.0.0.tgz", digest, "npm/1", ("node_modules/addon",))
    abi.check(plan(stack), made, blob, store, given)


GLIBC_2_36 = {"libc.so.6": ["GLIBC_2.36"]}


@pytest.mark.parametrize(
    "files",
    [
        {"x.js": b"x"},
        {"x.node": make_elf(needed=["libc.so.6", "libstdc++.so.6"], versions=GLIBC_2_36)},
        {"x.node": make_elf(needed=["libown.so.1"]), "lib/libown.so.1": make_elf()},
        {"x.node": make_elf(needed=["libown.so.1"]), "lib/own.so": make_elf(soname="libown.so.1")},
        {"arm.node": make_elf(machine=AARCH64, needed=["libnone.so"])},
        {"musl.node": make_elf(needed=["libc.musl-x86_64.so.1", "libnone.so"])},
        {"cut.node": b"\x7fELF"},
    ],
)
def test_what_the_stack_and_the_files_have_is_fine(tmp_path: Path, files: Mapping[str, bytes]) -> None:
    check(tmp_path, files)


@pytest.mark.parametrize(
    ("files", "stack", "why"),
    [
        (
            {"b/x.node": make_elf(needed=["libpq.so.5"])},
            "debian-12",
            "x.node needs libpq.so.5, which stack debian-12 lacks",
        ),
        ({"x.node": make_elf(versions=GLIBC_2_36)}, "cflinuxfs4", "needs glibc 2.36, which stack cflinuxfs4 lacks"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, files: Mapping[str, bytes], stack: str, why: str) -> None:
    with pytest.raises(NeedsBuild, match=r"addon@1\.0\.0") as refused:
        check(tmp_path, files, stack)
    assert why in str(refused.value)
    assert "packages" in refused.value.hint


def test_what_the_droplet_brings_counts(tmp_path: Path) -> None:
    check(tmp_path, {"x.node": make_elf(needed=["libpq.so.5"])}, given=("libpq.so.5",))


def test_a_wheel_is_looked_into_as_well_and_the_package_is_named(tmp_path: Path) -> None:
    """Its members are deflate streams."""
    store, filler = Store(str(tmp_path / "store")), bytes(range(256)) * 400
    data = make_wheel("addon", "1.0", {"addon/x.so": make_elf(needed=["libpq.so.5"]) + filler}, purelib=False)
    blob = store.put(data)
    digest = Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
    made = Artifact("pkg:pypi/addon@1.0", "addon-1.0-py3-none-any.whl", digest, "wheel/1", (".stager/pypi",))
    with pytest.raises(NeedsBuild, match=r"x\.so needs libpq\.so\.5") as refused:
        abi.check(plan(), made, blob, store, packages=["libc6", "libpq-dev", "libpq5"])
    assert refused.value.hint == "Write 'packages: [libpq5]' into stager.yml, which brings it into the droplet."
