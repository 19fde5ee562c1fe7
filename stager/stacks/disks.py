"""A bootable disk from a root filesystem, raw and as qcow2, without root, loop devices, mounts or a virtual machine.

The disk has an MBR with one partition at 1 MiB, which holds the ext4 file system; GRUB's core image (for a BIOS) lies in the
gap before it. GRUB's boot sector and core image find each other by their default places: sectors 0 and 1. Every identifier
(file system's UUID, hash seed, disk signature) is a function of the stack's digest, of `boxes/guest` and of this recipe.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..digest import Digest, canonical_json, sha256
from ..errors import CannotWrite, UsageError
from ..files.errors import ProgramMissing
from ..store.disk import why
from . import ext4, guest, tools, tree
from .errors import NoRoom, StackFailed

if TYPE_CHECKING:
    from ..store import Store
    from .build_context import Making
    from .root import Root

RECIPE = "disk/1"
"""The version of everything that decides a disk's bytes, the programs of the system aside."""
SIZE = 10 << 30
"""What a guest sees, in bytes; the files themselves take what the root takes."""
START = 1 << 20
"""Where the partition begins: 1 MiB, the alignment that every partitioning program chooses since 2009."""
SECTOR = 512
_GRUB = "/usr/lib/grub/i386-pc"
_MODULES = ("biosdisk", "configfile", "ext2", "linux", "normal", "part_msdos", "search", "search_fs_uuid", "serial")
_MACHINE = ("amd64",)
"""Architectures whose firmware this boot loader is for."""


def identity(made: Root) -> Digest:
    """What all identifiers on a root's disk are derived from."""
    return sha256(canonical_json([RECIPE, made.stack, made.digest, guest.digest()]))


def uuid_of(name: Digest, purpose: str) -> str:
    """A UUID of version 8 (RFC 9562, section 5.8: custom) that is a function of a digest and a purpose."""
    text = sha256(canonical_json([name, purpose])).hex
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:32]}"


def check(architecture: str) -> None:
    """Raise UsageError for an architecture without disks, and ProgramMissing, before any work is done."""
    if architecture not in _MACHINE:
        what = f"there are no disk images for {architecture}: only for {', '.join(_MACHINE)}"
        raise UsageError(what, "Build its root, OCI image or docker box.")
    for name in tools.PACKAGES:
        tools.find(name)
    if not os.path.isfile(f"{_GRUB}/boot.img"):
        raise ProgramMissing("GRUB for a BIOS", "make disk images boot", "grub-pc-bin")


@contextmanager
def raw(made: Root, making: Making) -> Iterator[str]:
    """The path of a root's disk as a sparse raw image in a folder that other files may be made in; gone afterwards.

    Raises UsageError, ProgramMissing, NoRoom, StackFailed, CannotWrite, Cancelled.
    """
    check(made.architecture)
    store = making.store
    with store.lease():
        folder = store.temp()
        try:
            os.mkdir(folder, 0o700)
            _check_room(folder, made)
            image = os.path.join(folder, "disk.raw")
            _write(made, making, folder, image)
            yield image
        except OSError as error:
            raise CannotWrite(store.root, why(error)) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _check_room(folder: str, made: Root) -> None:
    """A root is there three times at most: as files, in the file system, and in an image of another format."""
    needed, free = 3 * made.size + (256 << 20), shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(f"making a disk of {made.name}", needed, free, "disk")


def _write(made: Root, making: Making, folder: str, image: str) -> None:
    name = identity(made)
    uuid = uuid_of(name, "file system")
    work = os.path.join(folder, "work")
    os.mkdir(work, 0o700)
    with making.store.prove(made.digest.hex) as descriptor:
        root = tree.read(descriptor, f"the root filesystem of {made.name}")
        guest.for_disk(root, made.name, uuid)
        with open(image, "xb") as file:
            file.truncate(SIZE)
        ext4.write(root, image, START, SIZE - START, uuid, made.epoch, work, made.name, making.cancel)
    front = _front(made, making, name, uuid, work)
    shutil.rmtree(work)
    with open(image, "r+b") as file:
        file.write(front)


def _front(made: Root, making: Making, name: Digest, uuid: str, work: str) -> bytes:
    """Everything before the partition: MBR and boot loader."""
    settings = os.path.join(work, "boot.cfg")
    with open(settings, "w", encoding="utf-8", newline="\n") as file:
        file.write(guest.boot(uuid))
    core = os.path.join(work, "core.img")
    command = ["grub-mkimage", "-O", "i386-pc", "-d", _GRUB, "-p", "/boot/grub", "-c", settings, "-o", core, *_MODULES]
    tools.run(made.name, "making the boot loader", command, work, cancel=making.cancel)
    with open(core, "rb") as file:
        loader = file.read()
    if len(loader) > START - SECTOR:
        raise StackFailed(made.name, "making the boot loader", f"it takes {len(loader)} bytes")
    with open(f"{_GRUB}/boot.img", "rb") as file:
        return mbr(file.read(SECTOR), bytes.fromhex(name.hex[:8])) + loader


def mbr(boot: bytes, signature: bytes) -> bytes:
    """The first sector: boot code, disk signature, and one active Linux partition from `START` to the end.

    Cylinders, heads and sectors are the largest that the table can say, as usual where they do not fit.
    """
    entry = b"\x80\xfe\xff\xff\x83\xfe\xff\xff" + (START // SECTOR).to_bytes(4, "little")
    entry += ((SIZE - START) // SECTOR).to_bytes(4, "little")
    return boot[:440].ljust(440, b"\0") + signature + bytes(2) + entry + bytes(48) + b"\x55\xaa"


def qcow2(image: str, out: str, made: Root, making: Making) -> None:
    """The raw image as a compressed qcow2 file. Raises StackFailed, CannotWrite, Cancelled.

    Clusters are written in order (never `-W`), and compressed with zlib's own format, which every QEMU since 1.1 reads.
    """
    options = "compat=1.1,compression_type=zlib,cluster_size=65536,lazy_refcounts=off"
    command = ["qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", "-o", options, image, out]
    tools.run(made.name, "making the qcow2 image", command, os.path.dirname(out), cancel=making.cancel)


def memo_key(made: Root) -> str:
    """What decides a disk's bytes, the versions of the system's programs included."""
    return f"{identity(made)} {sha256(canonical_json(list(tools.versions())))}"


def in_store(store: Store, digest: str) -> bool:
    """Whether a result of before is still there."""
    return store.has(Digest(digest).hex)
