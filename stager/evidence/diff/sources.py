"""What kind of thing a path is, and reading it: the file's own bytes decide, never its name."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from ...digest import Digest
from ...droplet import contents_reader as cutting
from ...droplet import mistaken
from ...droplet.contents import Contents, Item, LayerPart, Look, of_plan
from ...errors import BadLock, Unreadable, UsageError
from ...files import limits, regular
from ...formats.tar import BLOCK
from ...formats.tar_reader import read_entries
from ...planning import lockfile
from ...tree import SourceTree
from . import images

_GZIP = b"\x1f\x8b"
_MODES = {False: 0o664, True: 0o775}
_HINT = (
    "Give a droplet, a slug, an OCI image (a layout folder, its tar, or what 'docker save' wrote), a Vagrant box, "
    "a stager.lock, or an app's folder."
)
_BOX, _LAYOUT, _SAVED = "metadata.json", "oci-layout", "manifest.json"


Damaged = Literal["refuse", "as far as possible"]


def read(path: str, damaged: Damaged = "refuse") -> Contents:
    """What `path` holds, be it a droplet, slug, image, box, plan or folder; files are hashed only where they must be.

    What should be a droplet may also be read `as far as possible`: then nothing but Unreadable is raised.

    Raises UsageError for what is none of these, Unreadable, BadArchive, BadLock, and for a folder what `SourceTree.read`
    raises.
    """
    if damaged != "refuse":
        return cutting.as_far_as_possible(path)
    path = os.path.abspath(path)
    label = os.path.basename(path)
    if os.path.isdir(path):
        return _folder(path, label)
    try:
        with regular.opened(path) as file:
            start = file.read(BLOCK)
            file.seek(0)
            digest = Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise mistaken.unopened(path, error) from None
    if start[:2] == _GZIP:
        return _gzip(path, label, digest)
    if start[257:262] == b"ustar":
        return _tar(path, label, digest)
    return _plan(path, label, digest)


def read_both(a: str, b: str) -> tuple[Contents, Contents]:
    """Two of them at once, in two threads: hashing and inflating release the interpreter's lock. Raises as `read`."""
    with ThreadPoolExecutor(2, "read") as pool:
        first, second = pool.map(read, (a, b))
    return first, second


# --- folders ---------------------------------------------------------------------------------------------------


def _folder(path: str, label: str) -> Contents:
    if os.path.isfile(os.path.join(path, _LAYOUT)):
        layout = (file for names in (_LAYOUT, "index.json", "blobs/*/*") for file in Path(path).glob(names))
        size = sum(file.stat().st_size for file in layout if file.is_file() and not file.is_symlink())
        return images.image(path, label, None, size)
    tree = SourceTree.read(path)
    looks = {mode: Look("file", mode, layer="app") for mode in _MODES.values()}
    items = [
        Item(name, looks[_MODES[file.executable]], file.size, bytes.fromhex(file.digest.partition(":")[2]))
        for name, file in tree.files.items()
    ]
    link = Look("link", _MODES[True], layer="app")
    items += [Item(name, link, link=target) for name, target in tree.links.items()]
    part = LayerPart("app", lambda _: items, size=sum(item.size for item in items))
    found = Contents("folder", label, tree.digest, part.size, rest=part, whole=False)
    found.fetch = lambda paths, most: (
        (name, tree.read_bytes(name)) for name in tree.files if name in paths and tree.files[name].size <= most
    )
    lock = os.path.join(path, lockfile.NAME)
    if not os.path.lexists(lock):
        found.notes = ("it has no stager.lock: packages and runtimes are not known",)
        return found
    plan = lockfile.loads(_lock(lock).replace(b"\r\n", b"\n")).plan
    for name, value in of_plan(plan).items():
        setattr(found, name, value)
    return found


def _lock(path: str) -> bytes:
    try:
        return regular.read(path, limits.LOCK)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), "Check its name and permissions.") from None


# --- files -----------------------------------------------------------------------------------------------------


def _plan(path: str, label: str, digest: Digest) -> Contents:
    data = _lock(path)
    try:
        plan = lockfile.loads(data.replace(b"\r\n", b"\n"), label).plan
    except BadLock:
        if b"[[buildpack]]" in data[:4096] or label == lockfile.NAME:
            raise
        found = mistaken.kind(data)
        message = f"{label} is nothing that stager can look into{f': it is {found}' if found else ''}"
        raise UsageError(message, _HINT) from None
    return Contents("plan", label, digest, len(data), **of_plan(plan))


def _first_names(path: str, label: str, compressed: bool) -> list[str]:
    """The first few names of a tar, which tell what it is."""
    found = []
    parts = cutting.gunzipped(path, label) if compressed else images.plain(path)
    for entry in read_entries(parts, label, contents=False):
        found.append(entry.name.removeprefix("./").rstrip("/"))
        if len(found) == 64 or found[-1] == "app" or found[-1].startswith("app/"):
            break
    return found


def _gzip(path: str, label: str, digest: Digest) -> Contents:
    if mistaken.what_is(path) == mistaken.NO_TAR:
        raise UsageError(f"{label} is nothing that stager can look into: it is {mistaken.NO_TAR}", _HINT)
    names = _first_names(path, label, compressed=True)
    if any(name == "app" or name.startswith("app/") for name in names):
        return cutting.droplet(path, digest)
    if _BOX in names and _LAYOUT not in names:
        return images.box(cutting.gunzipped(path, label), label, digest, os.path.getsize(path))
    if _LAYOUT in names or _SAVED in names:
        hint = f"Decompress it first: gunzip --keep {label}"
        raise UsageError(f"{label} is an image inside a gzip file", hint)
    raise UsageError(f"{label} is an archive, but nothing that stager knows", _HINT)


def _tar(path: str, label: str, digest: Digest) -> Contents:
    names = {entry.name.removeprefix("./") for entry in read_entries(images.plain(path), label, contents=False)}
    size = os.path.getsize(path)
    if _LAYOUT in names or _SAVED in names:
        return images.image(path, label, digest, size)
    if _BOX in names:
        return images.box(images.plain(path), label, digest, size)
    if any(name.startswith("app/") for name in names):
        raise UsageError(f"{label} is a tar of an app's folder that is not compressed", _HINT)
    raise UsageError(f"{label} is an archive, but nothing that stager knows", _HINT)
