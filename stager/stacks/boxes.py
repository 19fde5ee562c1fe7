"""Vagrant boxes of one root filesystem: for docker, libvirt, VirtualBox and VMware; each byte for byte the same again.

A box is a tar with all its files at the top: `metadata.json`, `info.json`, a `Vagrantfile` of defaults, and what the provider
needs. Every header is fixed (owner 0, mode 0644, the root's one time, names in order of their bytes). Images that are
compressed in themselves go into a plain tar; VMware's disk is not, so its tar is compressed by stager's own codec.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..digest import Digest, canonical_json, sha256
from ..errors import CannotWrite
from ..files.writing import Output, folder_above
from ..formats import codec
from ..formats.tar import BLOCK, END
from ..store.disk import why
from ..text import resources, templates
from ..text.templates import fill
from . import disks, guest, tree, vmdk
from .tree import RootItem

if TYPE_CHECKING:
    from ..store import Store
    from .build_context import Making
    from .definition import Definition
    from .root import Root

RECIPE = "box/1"
PROVIDERS = {"docker": "docker", "libvirt": "libvirt", "virtualbox": "virtualbox", "vmware": "vmware_desktop"}
"""Formats as `stager box build --format` knows them, and what Vagrant calls their providers."""
SETS = {"docker": "ssh", "libvirt": "machine", "virtualbox": "machine", "vmware": "machine"}
"""The set that a root must have for a format."""
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class BoxFile:
    """A box in the store: its format, Vagrant's name of its provider, the SHA-256 and size in bytes of its file."""

    stack: str
    architecture: str
    format: str
    provider: str
    digest: Digest
    size: int

    @property
    def file(self) -> str:
        """What it is called as a file."""
        return file_name(self.stack, self.architecture, self.provider)


def file_name(stack: str, architecture: str, provider: str) -> str:
    """What a box is called as a file."""
    return f"{stack}-{architecture}-{provider}.box"


def build(
    definition: Definition, made: Root, formats: Sequence[str], making: Making, *, again: bool = False
) -> list[BoxFile]:
    """The boxes of a root in these formats, from the store where they are there, unless `again`.

    The root must have the set that `SETS` names; the disk is made once for all formats that need one. Raises UsageError,
    ProgramMissing, NoRoom, StackFailed, CannotWrite, StoreCorrupt, Cancelled.
    """
    found: dict[str, BoxFile] = {}
    with making.store.lease(), ExitStack() as opened:
        if set(formats) - {"docker"}:
            disks.check(made.architecture)
        work = opened.enter_context(_work(making.store))
        image = ""
        for step, wanted in enumerate(formats):
            making.tell(f"{wanted} box", step, len(formats))
            key = _key(definition, made, wanted)
            box = None if again else _recalled(made, wanted, key, making.store)
            if box is None:
                if wanted != "docker" and not image:
                    image = opened.enter_context(disks.raw(made, making))
                box = _pack(_Order(definition, made, wanted, image, work, making))
                making.store.remember("stack-box", key, {"digest": box.digest, "size": box.size})
            found[wanted] = box
        making.tell("", len(formats), len(formats))
    return [found[wanted] for wanted in formats]


@contextmanager
def _work(store: Store) -> Iterator[str]:
    """A folder of the store's file system for what goes into boxes; gone afterwards. Raises CannotWrite."""
    folder = store.temp()
    try:
        os.mkdir(folder, 0o700)
        yield folder
    except OSError as error:
        raise CannotWrite(store.root, why(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _key(definition: Definition, made: Root, wanted: str) -> str:
    shapes = resources.folder_digest(resources.contents(templates.folder(__file__)))
    tools = "" if wanted == "docker" else disks.memo_key(made)
    rows = [RECIPE, codec.CODEC, wanted, made.digest, made.stack, guest.digest(), shapes, _env(definition), tools]
    return str(sha256(canonical_json(rows)))


def _recalled(made: Root, wanted: str, key: str, store: Store) -> BoxFile | None:
    known = store.recall("stack-box", key)
    if isinstance(known, dict) and disks.in_store(store, known["digest"]):
        return BoxFile(made.name, made.architecture, wanted, PROVIDERS[wanted], Digest(known["digest"]), known["size"])
    return None


# --- what is in a box ------------------------------------------------------------------------------------------

Content = bytes | str
"""A file's bytes, or the path of a file that holds them."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What one box is made of: `image` is the raw disk (empty for docker), `work` the folder for its parts."""

    definition: Definition
    made: Root
    format: str
    image: str
    work: str
    making: Making

    @property
    def title(self) -> str:
        return f"{self.made.name}-{self.made.architecture}"


def _pack(order: _Order) -> BoxFile:
    made, provider = order.made, PROVIDERS[order.format]
    files, metadata = _OWN[order.format](order)
    metadata = {**metadata, "architecture": made.architecture, "provider": provider}
    values = {"mac": "080027" + disks.identity(made).hex[:6].upper()}
    files["Vagrantfile"] = fill(__file__, f"Vagrantfile-{provider}.j2", values).encode()
    files["info.json"] = _json(_about(made))
    files["metadata.json"] = _json(metadata)
    with order.making.store.writer() as writer:
        if order.format == "vmware":
            compressed = Compressed(writer.write)
            write_tar(files, made.epoch, compressed.write)
            compressed.close()
        else:
            write_tar(files, made.epoch, writer.write)
        digest, size = Digest("sha256:" + writer.commit()), writer.size
    for path in files.values():
        if isinstance(path, str):
            os.unlink(path)
    return BoxFile(made.name, made.architecture, order.format, provider, digest, size)


def _about(made: Root) -> dict[str, str]:
    """What `vagrant box list -i` shows."""
    return {
        "built by": "stager",
        "root": str(made.digest),
        "sets": " ".join(made.sets),
        "stack": f"{made.name} {made.architecture} {made.stack}",
    }


def _docker(order: _Order) -> tuple[dict[str, Content], dict[str, Any]]:
    """A Dockerfile and the root: the engine makes the image from them, without any registry."""
    made, out = order.made, os.path.join(order.work, "root.tar.gz")
    with order.making.store.prove(made.digest.hex) as descriptor:
        root = tree.read(descriptor, f"the root filesystem of {made.name}")
        guest.for_container(root, made.name)
        with open(out, "xb") as file:
            compressed = Compressed(file.write)
            tree.write(root, made.epoch, compressed.write)
            compressed.close()
    return {
        "Dockerfile": fill(__file__, "Dockerfile.j2", {"env": _env(order.definition)}).encode(),
        "root.tar.gz": out,
    }, {}


def _env(definition: Definition) -> list[list[str]]:
    return [[name, value] for name, value in sorted({**dict(definition.env), "LANG": definition.locale}.items())]


def _libvirt(order: _Order) -> tuple[dict[str, Content], dict[str, Any]]:
    """vagrant-libvirt's first format: `box.img`, and its size in whole GiB, rounded up."""
    out = os.path.join(order.work, "box.img")
    disks.qcow2(order.image, out, order.made, order.making)
    return {"box.img": out}, {"format": "qcow2", "virtual_size": -(-disks.SIZE // (1 << 30))}


def _virtualbox(order: _Order) -> tuple[dict[str, Content], dict[str, Any]]:
    disk = "box-disk001.vmdk"
    out, size = _vmdk(order, "streamOptimized", disk)
    values = {"name": order.title, "disk": disk, "size": size, "capacity": disks.SIZE}
    return {disk: out, "box.ovf": fill(__file__, "box.ovf.j2", values).encode()}, {}


def _vmware(order: _Order) -> tuple[dict[str, Content], dict[str, Any]]:
    disk = "disk.vmdk"
    out, _ = _vmdk(order, "monolithicSparse", disk)
    return {disk: out, "box.vmx": fill(__file__, "box.vmx.j2", {"name": order.title}).encode()}, {}


def _vmdk(order: _Order, kind: str, name: str) -> tuple[str, int]:
    """A VMDK of the raw image, called `name` in its own descriptor: its path, and its size in bytes."""
    cid = sha256(canonical_json([disks.identity(order.made), kind])).hex[:8]
    stream = kind == "streamOptimized"
    text = vmdk.descriptor(kind, name, disks.SIZE, cid, "ide" if stream else "lsilogic")
    out = os.path.join(order.work, name)
    descriptor = os.open(order.image, os.O_RDONLY)
    try:
        with open(out, "xb") as file:
            return out, (vmdk.stream_optimized if stream else vmdk.sparse)(descriptor, disks.SIZE, text, file.write)
    finally:
        os.close(descriptor)


def _json(value: object) -> bytes:
    return canonical_json(value)


_OWN = {"docker": _docker, "libvirt": _libvirt, "virtualbox": _virtualbox, "vmware": _vmware}
"""Each format's own files and metadata."""


def write_file(box: BoxFile, path: str, store: Store) -> None:
    """The box as a new file, made beside its place. Raises CannotWrite, also when it is there, and StoreCorrupt."""
    folder_above(path)
    with Output(path, new=True) as output:
        for part in store.parts(box.digest.hex):
            output.write(part)


# --- the archive -----------------------------------------------------------------------------------------------


class Compressed:
    """Compresses what is written to it as one gzip member of stager's codec; `close` ends the member."""

    __slots__ = ("_crc", "_held", "_length", "_write")

    def __init__(self, write: Callable[[bytes], object]) -> None:
        codec.check_known_answer()
        self._write, self._held, self._crc, self._length = write, bytearray(), 0, 0
        write(codec.HEADER)

    def write(self, data: bytes) -> None:
        """Take bytes; they are compressed in chunks cut by offset, so how they arrive does not show."""
        self._held += data
        while len(self._held) >= codec.CHUNK:
            self._chunk(bytes(self._held[: codec.CHUNK]))
            del self._held[: codec.CHUNK]

    def _chunk(self, data: bytes) -> None:
        self._crc, self._length = codec.crc32(data, self._crc), self._length + len(data)
        for run in codec.compress(data):
            self._write(run)

    def close(self) -> None:
        """Write what is left, and the member's end."""
        if self._held:
            self._chunk(bytes(self._held))
        self._write(codec.trailer(self._crc, self._length))


def write_tar(files: dict[str, Content], epoch: int, write: Callable[[bytes], object]) -> None:
    """Give a tar of these files to `write`, in the order of their names' bytes, with fixed headers."""
    for name in sorted(files, key=str.encode):
        content = files[name]
        size = len(content) if isinstance(content, bytes) else os.stat(content).st_size
        write(tree.header(name, "file", RootItem("file", 0o644), size, "", epoch))
        for part in _parts(content):
            write(part)
        write(bytes(-size % BLOCK))
    write(END)


def _parts(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with open(content, "rb") as file:
        while part := file.read(_BUFFER):
            yield part
