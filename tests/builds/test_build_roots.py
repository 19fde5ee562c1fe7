"""Build roots: which packages they are pinned to, and real ones, made by mmdebstrap from the archive's packages."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from build_roots import ARCHITECTURE, COMPILERS, STACK, making

from stager.builds import roots
from stager.digest import Digest
from stager.errors import BadLock, StagerError, UsageError
from stager.facts import stacks
from stager.model import BuildRoot, DebPin, Event
from stager.net.errors import Gone
from stager.sandbox.roots import RootFolder
from stager.stacks import find, lock
from stager.stacks import root as stack_root
from stager.stacks.build_context import Making
from stager.stacks.errors import UnknownPackage
from stager.store import Store

PLAIN = BuildRoot("stack", STACK, "")
real = [pytest.mark.tools, pytest.mark.network]


def test_the_stack_whose_root_serves_builds() -> None:
    served = {name: stacks.for_builds(name) for name in stacks.names()}
    assert served == {
        "cflinuxfs4": "debian-12",
        "debian-12": "debian-12",
        "debian-13": "debian-13",
        "heroku-24": "debian-12",
        "ubi9": "debian-12",
    }
    with pytest.raises(UsageError):
        stacks.for_builds("nowhere")


def shipped() -> BuildRoot:
    known = lock.load(find.load(STACK))
    return replace(PLAIN, packages=known.pins(["root"], ARCHITECTURE), epoch=max(date for _, date in known.indexes))


def test_what_a_lock_pins_stays(tmp_path: Path) -> None:
    previous, asked = replace(shipped(), wants=("make",)), BuildRoot("user", STACK, "", (), ("make",))
    kept = roots.pinned(asked, ARCHITECTURE, making(tmp_path, offline=True), previous=previous)
    assert kept == replace(previous, name="user")


@pytest.mark.parametrize("other", ["debian-13 make", "debian-12 gcc", "debian-12"])
def test_what_is_another_root_does_not(tmp_path: Path, other: str) -> None:
    stack, *wants = other.split()
    previous = replace(shipped(), stack=stack, wants=tuple(wants))
    with pytest.raises(StagerError, match="offline"):
        roots.pinned(
            BuildRoot("user", STACK, "", (), ("make",)), ARCHITECTURE, making(tmp_path, offline=True), previous=previous
        )


def test_the_pins_of_another_architecture_do_not_stay(tmp_path: Path) -> None:
    with pytest.raises(StagerError, match="offline"):
        roots.pinned(PLAIN, "arm64", making(tmp_path, offline=True), previous=shipped())


def test_a_wish_is_not_barred() -> None:
    """debian-12 has mawk for awk, and bars the others: who wants one gets it beside."""
    assert "gawk" in find.load(STACK).root.exclude
    assert "gawk" not in roots.definition_of(BuildRoot("user", STACK, "", (), ("gawk",))).root.exclude


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda rows: rows[1:], "lacks base-files, which it is to have"),
        (lambda rows: (*rows, rows[0]), "does not have each package once, sorted by name"),
        (lambda rows: (replace(rows[0], architecture="arm64"), *rows[1:]), "has base-files for another architecture"),
    ],
)
def test_pins_that_are_no_root(tmp_path: Path, broken: object, why: str) -> None:
    root = shipped()
    assert callable(broken)
    wants = ("base-files",)
    with pytest.raises(BadLock) as caught:
        roots.made(
            replace(root, packages=broken(root.packages), wants=wants), ARCHITECTURE, making(tmp_path, offline=True)
        )
    assert why in caught.value.message
    assert caught.value.where == "stager.lock"
    assert caught.value.hint == "Run 'stager lock --upgrade' and commit the result."


def test_a_stack_that_others_make(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cflinuxfs4 is not built by stager"):
        roots.made(replace(shipped(), stack="cflinuxfs4"), ARCHITECTURE, making(tmp_path, offline=True))


# --- real ones -------------------------------------------------------------------------------------------------


class TestReal:
    pytestmark = real

    def test_the_plain_root_is_the_stacks_own(
        self, plain_root: RootFolder, plain_pins: BuildRoot, shared_store: Path
    ) -> None:
        definition = find.load(STACK)
        same = lock.StackLock(
            STACK, definition.wishes(), (("", plain_pins.epoch),), (("root", ARCHITECTURE, plain_pins.packages),)
        )
        found = stack_root.find(definition, same, ARCHITECTURE, Store(str(shared_store)))
        assert (found.digest, found.name) == (plain_root.digest, STACK)
        assert dict(plain_root.env)["LANG"] == "C.UTF-8"
        assert [pin.name for pin in plain_pins.packages if pin.name in ("gcc", "python3")] == []

    def test_the_compilers_compile(self, compiler_root: RootFolder, tmp_path: Path) -> None:
        (tmp_path / "one.cc").write_text(
            "#include <Python.h>\n#include <vector>\nint main() { return std::vector<int>(7).size(); }"
        )
        asked = "g++ $(pkg-config --cflags python3) -o /mnt/one /mnt/one.cc && /mnt/one"
        done = subprocess.run(
            ["bwrap", "--ro-bind", compiler_root.path, "/", "--tmpfs", "/tmp", "--bind", tmp_path, "/mnt",
             "--proc", "/proc", "--dev", "/dev", "--unshare-all", "/bin/sh", "-c", asked],
            capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (7, b"")

    def test_another_machine_makes_the_same_root_once(
        self, plain_root: RootFolder, plain_pins: BuildRoot, shared_store: Path, tmp_path: Path
    ) -> None:
        """From the same packages without a network; of two that want it at once one makes it, and the other waits."""
        store = Store(str(tmp_path / "store"))
        for artifact in roots.artifacts(plain_pins):
            data = Path(Store(str(shared_store)).path(artifact.digest.hex)).read_bytes()
            assert store.put(data, durable=False) == artifact.digest.hex
        told: list[list[Event]] = [[], []]

        def make(number: int) -> RootFolder:
            own = Making(Store(store.root), making(tmp_path).indexes, offline=True, progress=told[number].append)
            return roots.made(plain_pins, ARCHITECTURE, own)

        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(make, (0, 1))
        assert one == other
        assert one.digest == plain_root.digest
        assert one.path.startswith(store.root)
        assert sum(1 for events in told if any("installing" in event.what for event in events)) == 1

    def test_a_package_that_is_nowhere(self, shared_store: Path) -> None:
        asked = BuildRoot("user", STACK, "", (), ("make", "no-such-package"))
        with pytest.raises(UnknownPackage) as caught:
            roots.pinned(asked, ARCHITECTURE, making(shared_store))
        assert caught.value.message == "the signed index of bookworm for amd64 has no no-such-package"
        assert caught.value.where == "stager.yml"

    def test_a_package_that_the_archive_has_replaced(self, plain_pins: BuildRoot, shared_store: Path) -> None:
        pin = DebPin("zz", "1-1", "amd64", 7, Digest("sha256:" + "7" * 64), "pool/main/z/zz/zz_1-1_amd64.deb")
        with pytest.raises(Gone) as caught:
            roots.made(replace(plain_pins, packages=(*plain_pins.packages, pin)), ARCHITECTURE, making(shared_store))
        assert caught.value.message == "debian/zz@1-1 is pinned, but its index no longer has it"
        assert "'stack' of stager.lock" in caught.value.hint
        assert "stager lock --upgrade" in caught.value.hint

    def test_a_package_that_is_another_than_the_lock_says(self, plain_pins: BuildRoot, shared_store: Path) -> None:
        first, *rest = plain_pins.packages
        lying = replace(plain_pins, packages=(replace(first, version="0.1-1"), *rest))
        with pytest.raises(BadLock, match=f"the root 'stack': {first.name}_0.1-1_amd64.deb states Version"):
            roots.made(lying, ARCHITECTURE, making(shared_store))

    def test_a_released_root_that_is_no_longer_to_be_had(
        self, shared_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The index decides then, as it does on --upgrade."""
        known = lock.load(find.load(STACK))
        name, architecture, pins = known.sets[0]
        gone = replace(pins[0], digest=Digest("sha256:" + "7" * 64), path="pool/main/z/zz/zz_1-1_amd64.deb")
        old = replace(known, sets=((name, architecture, (gone, *pins[1:])), *known.sets[1:]))
        monkeypatch.setattr(lock, "load", lambda _: old)
        found = roots.pinned(PLAIN, architecture, making(shared_store))
        assert found == roots.pinned(PLAIN, architecture, making(shared_store), upgrade=True)
        assert [pin.name for pin in found.packages] == [pin.name for pin in pins]

    def test_what_is_wanted_comes_with_all_that_it_needs(self, compiler_pins: BuildRoot) -> None:
        names = {pin.name for pin in compiler_pins.packages}
        assert {*COMPILERS, "libc6", "gcc-12", "libstdc++-12-dev", "python3.11", "base-files"} <= names
