"""The locked packages as files: fetched into the store, checked again, and laid out as the archive that apt reads."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import fetching
from ..errors import BadLock, CannotWrite
from ..formats.errors import BadArchive
from ..model import DebPin
from ..net.errors import Gone
from ..store.disk import why
from . import sandbox
from .lock import NAME, deb_artifact

if TYPE_CHECKING:
    from ..store import Store
    from .build_context import Making
    from .definition import Definition

SPARE = 192 << 20
"""Bytes that installing takes beside packages and installed files: indexes, logs, what scripts make."""


def fetched(definition: Definition, pins: Sequence[DebPin], making: Making) -> dict[DebPin, str]:
    """Every package in the store, its bytes checked against its pin just now; pin → SHA-256 hex of its blob.

    One that is damaged is fetched again. Raises Gone for a package that the mirror has replaced, DamagedArtifact when it
    cannot be fetched without a connection, and what fetching raises.
    """
    artifacts = [deb_artifact(pin) for pin in pins]
    try:
        fetching.fetch(
            artifacts, making.store, indexes=making.indexes, offline=making.offline, jobs=making.jobs,
            progress=making.progress, cancel=making.cancel, prove=True,
        )  # fmt: skip
    except Gone as gone:
        what = gone.message.partition(" is pinned")[0]
        hint = f"The mirror has replaced it by a newer build: run 'stager box lock {definition.name} --upgrade'."
        raise Gone(what, hint) from None
    return {pin: pin.digest.hex for pin in pins}


@contextmanager
def repository(definition: Definition, files: dict[DebPin, str], store: Store) -> Iterator[tuple[str, int]]:
    """A folder that holds the packages and their index, and the bytes that installing them takes; gone afterwards.

    The index is made of the packages' own control files and of the pins, so nothing in it is taken from a network.
    Raises BadLock when a package calls itself otherwise than its pin, BadArchive, CannotWrite.
    """
    with store.lease():
        folder = store.temp()
        try:
            os.mkdir(folder, 0o700)
            for pin, name in files.items():
                _place(store.path(name), os.path.join(folder, pin.file))
            with ThreadPoolExecutor(4) as pool:
                controls = list(pool.map(lambda item: _control(store, *item), files.items()))
            installed = _index(folder, list(files), controls, definition)
            yield folder, int(installed * 1.7) + sum(pin.size for pin in files) + SPARE
        except OSError as error:
            raise CannotWrite(store.root, why(error)) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _place(blob: str, path: str) -> None:
    try:
        os.link(blob, path)
    except OSError:  # a file system without hard links
        shutil.copyfile(blob, path)


def _control(store: Store, pin: DebPin, name: str) -> str:
    """The package's control file, which is asked for once per package."""
    known = store.recall("deb-control", name)
    if isinstance(known, str):
        return known
    command = [sandbox.program("dpkg-deb", "read Debian packages"), "--field", store.path(name)]
    done = subprocess.run(command, env={"PATH": sandbox.PATH, "LC_ALL": "C.UTF-8"}, capture_output=True, check=False)
    if done.returncode:
        raise BadArchive(pin.file, f"dpkg-deb cannot read it: {done.stderr.decode(errors='replace').strip()[:200]}")
    text = done.stdout.decode("utf-8", "replace").rstrip("\n") + "\n"
    store.remember("deb-control", name, text)
    return text


def _index(folder: str, pins: list[DebPin], controls: list[str], definition: Definition) -> int:
    """Write `Packages`; the bytes that all packages say they take once installed."""
    installed = 0
    with open(os.path.join(folder, "Packages"), "w", encoding="utf-8") as file:
        for pin, control in zip(pins, controls, strict=True):
            fields = dict(
                row.split(":", 1) for row in control.splitlines() if row[:1] not in (" ", "\t") and ":" in row
            )
            for key, wanted in (("Package", pin.name), ("Version", pin.version), ("Architecture", pin.architecture)):
                if fields.get(key, "").strip() != wanted:
                    why = f"{pin.file} states {key} {fields.get(key, '').strip()!r}, not {wanted!r}"
                    raise BadLock(os.path.join(definition.folder, NAME), why)
            size = fields.get("Installed-Size", "0").strip()
            installed += int(size) * 1024 if size.isdecimal() else 0
            file.write(f"{control}Filename: ./{pin.file}\nSize: {pin.size}\nSHA256: {pin.digest.hex}\n\n")
    return installed
