"""Bases: an image file named by digest, a plain root filesystem, the stack's own image, or nothing at all."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from ...digest import key_of
from ...errors import CannotWrite, LockMissing, Unreadable, UsageError
from ...files import regular, temporary
from ...formats import codec
from ...stacks.errors import BadImage, NotBuilt
from ...store import Store
from ..record import Options, option
from . import abi
from .compose import LAYER, ImageBase
from .errors import WrongArchitecture
from .image import Blob
from .inflating import gunzip
from .labels import CREATED
from .source import Found, Source, document, images

SCRATCH = "scratch"
NOTE = (
    "there is no base: the image holds the droplet alone, and runs only with a root filesystem below it. "
    "Choose one with --base or --base-root."
)
_BUFFER = 1 << 20
_MEMO = "root/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseOptions(Options):
    """What lies below a droplet's layers. With neither `base` nor `base_root`, the stack's own image is taken when
    `stager box build` has put it into the store."""

    base: str = option("", "FILE@sha256:… (a layout or archive), a stack's name, or scratch", "BASE")
    base_root: str = option("", "a root filesystem's tar as the base", "FILE")
    base_name: str = option(
        "", "the base's name in its registry, so that a lifecycle's rebaser swaps it without force", "NAME"
    )
    allow_missing: Sequence[str] = option((), "a library or symbol version that the app does without", "NAME")

    def __post_init__(self) -> None:
        if self.base and self.base_root:
            raise UsageError("--base and --base-root exclude each other", "Give one of them.")


def choose(
    stack: str, architecture: str, options: BaseOptions, keep: ExitStack, store: Store | None
) -> tuple[ImageBase, tuple[str, ...]]:
    """The base that `options` name, for an architecture, and remarks about it; `keep` closes what it is read from.

    Raises UsageError, NotBuilt, BadImage, DigestMismatch, WrongArchitecture.
    """
    found, notes = _chosen(stack, architecture, options.base, options.base_root, keep, store)
    if options.base_name and not found.layers:
        raise UsageError("--base-name names a base, and there is none", "Choose one with --base or --base-root.")
    return replace(found, published=options.base_name), notes


def _chosen(
    stack: str, architecture: str, wanted: str, root: str, keep: ExitStack, store: Store | None
) -> tuple[ImageBase, tuple[str, ...]]:
    if root:
        return of_root(root, keep, store), ()
    if wanted == SCRATCH:
        return ImageBase(SCRATCH, ""), (NOTE,)
    if "@" in wanted:
        path, _, digest = wanted.rpartition("@")
        return of_image(path, digest, architecture, keep), ()
    if wanted:
        from ...facts import stacks as box  # reads YAML, which nobody else here needs

        if wanted not in box.names():
            raise _unnamed(wanted, box.names(), architecture, keep)
        return of_stack(wanted, architecture, store), ()
    try:
        return of_stack(stack, architecture, store), ()
    except (NotBuilt, LockMissing, UsageError):  # nobody asked for it: the image just goes without
        return ImageBase(SCRATCH, ""), (NOTE,)


def _unnamed(path: str, stacks: Sequence[str], architecture: str, keep: ExitStack) -> UsageError:
    """The error for a base without a digest: it says which one to write."""
    if not os.path.exists(path):
        return UsageError(f"--base {path}: there is no such file and no such stack", f"Stacks: {', '.join(stacks)}.")
    found = images(keep.enter_context(Source(path)))
    fitting = [one for one in found if one.architecture == architecture] or found
    return UsageError(f"--base {path} is not named by digest", f"Write {path}@{fitting[0].reference}")


# --- images ----------------------------------------------------------------------------------------------------


def of_image(path: str, digest: str, architecture: str, keep: ExitStack) -> ImageBase:
    """A base from a layout folder, its archive, or an archive of `docker save`. Raises BadImage, DigestMismatch."""
    if not digest.startswith("sha256:") or len(digest) != 71 or digest[7:].strip("0123456789abcdef"):
        raise UsageError(f"{digest!r} is no digest", "Write FILE@sha256: and 64 hexadecimal digits.")
    found = images(keep.enter_context(Source(path)), digest)
    fitting = [one for one in found if one.architecture == architecture]
    if not fitting:
        raise WrongArchitecture(path, architecture, ", ".join(sorted({one.architecture for one in found})))
    return _base(path, fitting[0])


def of_stack(stack: str, architecture: str, store: Store | None) -> ImageBase:
    """The stack's own base image in the store. Raises NotBuilt, and whatever its definition or lock is refused for."""
    from ...stacks.image import base_image

    if store is None:
        raise NotBuilt(stack, architecture)
    made = base_image(stack, architecture, store)
    layers = tuple(_kept(store, layer.digest.hex, layer.size, layer.diff_id) for layer in made.layers)
    config = document(made.read(made.config), f"the base image of {stack}")
    return _base(stack, Found(made.manifest, config, layers, {}))


def _base(path: str, found: Found) -> ImageBase:
    return ImageBase(
        path,
        found.architecture,
        found.reference,
        found.layers,
        tuple(found.env),
        found.labels,
        tuple(_history(found)),
        str(found.config.str("variant", "")),
    )


def _history(found: Found) -> Iterator[Mapping[str, Any]]:
    """The base's own history when it has one entry for each layer, as readers demand; one made up otherwise."""
    rows = [row.value for row in found.config.list("history") if isinstance(row.value, dict)]
    if sum(not row.get("empty_layer") for row in rows) == len(found.layers):
        yield from rows
        return
    for _ in found.layers:
        yield {"created": CREATED, "created_by": "base"}


# --- plain roots -----------------------------------------------------------------------------------------------


def of_root(path: str, keep: ExitStack, store: Store | None = None) -> ImageBase:
    """A base from the tar of a root filesystem: its very bytes, compressed as everything of stager is.

    The compressed layer is kept in the store, so that it is made once. Raises BadImage for what is no tar, Unreadable.
    """
    place = store or Store(keep.enter_context(temporary.folder("root")))
    diff_id = _diff_id(path)
    memo = place.recall("root", key_of(_MEMO, codec.CODEC, diff_id))
    if memo is None or not place.has(str(memo[0])):
        memo = _pack(path, place)
        with suppress(CannotWrite):  # a memo may always be missing
            place.remember("root", key_of(_MEMO, codec.CODEC, diff_id), memo)
    digest, size = str(memo[0]), int(memo[1])
    layer = _kept(place, digest, size, diff_id)
    try:
        architecture = abi.offer((layer,), store).architecture
    except BadImage as problem:
        raise BadImage(
            path, f"it is no root filesystem: {problem.message}", "Give the tar of a root, as mmdebstrap writes it."
        ) from None
    history = ({"created": CREATED, "created_by": "stager: root filesystem"},)
    return ImageBase(path, architecture, layers=(layer,), history=history)


def _tar(path: str) -> Iterator[bytes]:
    """The tar's bytes; a gzip file is unpacked."""
    parts = _file(path)
    first = next(parts, b"")

    def whole() -> Iterator[bytes]:
        yield first
        yield from parts

    return gunzip(whole(), path) if first[:2] == b"\x1f\x8b" else whole()


def _file(path: str) -> Iterator[bytes]:
    try:
        with regular.opened(path) as stream:
            while part := stream.read(_BUFFER):
                yield part
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), "Check the name and its permissions.") from None


def _diff_id(path: str) -> str:
    state = hashlib.sha256()
    for part in _tar(path):
        state.update(part)
    return f"sha256:{state.hexdigest()}"


def _pack(path: str, store: Store) -> list[Any]:
    """Compress the root into the store: [SHA-256, size] of the blob."""
    crc = length = 0
    size = len(codec.HEADER)
    with store.writer(durable=False) as writer:
        writer.write(codec.HEADER)
        for chunk in _chunks(path):
            crc, length = zlib.crc32(chunk, crc), length + len(chunk)
            for run in codec.compress(chunk):
                size += len(run)
                writer.write(run)
        end = codec.trailer(crc, length)
        writer.write(end)
        return [writer.commit(), size + len(end)]


def _chunks(path: str) -> Iterator[bytes]:
    """The tar cut at multiples of the codec's chunk, whatever the size of reads."""
    held = bytearray()
    for part in _tar(path):
        held += part
        while len(held) >= codec.CHUNK:
            yield bytes(held[: codec.CHUNK])
            del held[: codec.CHUNK]
    if held:
        yield bytes(held)


def _kept(store: Store, digest: str, size: int, diff_id: str) -> Blob:
    """A layer that the store keeps."""
    return Blob(f"sha256:{digest}", size, LAYER + "+gzip", lambda: store.parts(digest), diff_id)
