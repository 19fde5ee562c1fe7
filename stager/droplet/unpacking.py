"""A droplet's files on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import CannotWrite
from ..formats.archive.content import content_chunks
from ..tree.fingerprint import encoded

if TYPE_CHECKING:
    from ..formats.archive import Member


def place(members: Iterable[Member], into: str) -> None:
    """Write files and links below the folder `into`, with the same modes whatever the umask is. Raises CannotWrite."""
    made = {os.fsencode(into)}
    try:
        os.makedirs(into, exist_ok=True)
        for member in members:
            _place(os.path.join(os.fsencode(into), encoded(member.name)), member, made)
    except OSError as error:
        raise CannotWrite(into, error.strerror or str(error)) from None


def _place(path: bytes, member: Member, made: set[bytes]) -> None:
    """A path is of UTF-8, whatever the locale."""
    _folder(os.path.dirname(path), made)
    if member.is_link:
        os.symlink(encoded(member.target), path)
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o775 if member.executable else 0o664)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o775 if member.executable else 0o664)
        for part in content_chunks(member.content):
            file.write(part)


def _folder(path: bytes, made: set[bytes]) -> None:
    if path in made:
        return
    _folder(os.path.dirname(path), made)
    with suppress(FileExistsError):
        os.mkdir(path)
        os.chmod(path, 0o755)  # noqa: S103  as a droplet has it
    made.add(path)
