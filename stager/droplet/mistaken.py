"""What a file is that was given in another's place: told by its first bytes, so that a slip is no sign of damage or attack.

`inspect /etc/passwd` is a slip: it should hear that this is text, not that an archive is hostile. A file that may be what
was asked for, however damaged it is, is none of this module's business. Only errors ask here.
"""

from __future__ import annotations

import codecs
import errno
import os
import zlib

from ..errors import StagerError, Unreadable
from ..files import regular
from ..tree import outputs
from .errors import NoDroplet, NotADroplet

_HEAD = 1 << 18
"""Bytes at a file's start that are looked at."""
_MAGIC = {
    b"PK\3\4": "a zip archive", b"PK\5\6": "a zip archive", b"\x7fELF": "a program", b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\0": "compressed with xz", b"\x28\xb5\x2f\xfd": "compressed with zstd", b"%PDF-": "a PDF document",
    b"\x89PNG": "a picture",
}  # fmt: skip
TAR = "a tar that is not compressed"
NO_TAR = "a compressed file, but no tar"
_OWN = (b"app/", b"./app/", b"app\0", b"./app\0", b"./\0")
"""How the first name begins in a tar that may be a droplet's, whoever packed it."""
_OWN_KINDS = {outputs.SECRET: "a private key", f"{outputs.WRITTEN}a droplet": ""}
"""What `outputs` says otherwise than people in front of a wrong file are to be told; a slug begins as a droplet does."""


def what_is(path: str) -> str:
    """What the file or folder at `path` plainly is, in words after "it is"; empty for what may be a droplet, or is unknown.

    Raises OSError when it cannot be read.
    """
    if os.path.isdir(path):
        layout = os.path.isfile(os.path.join(path, "oci-layout"))
        return "a folder with an image in it (an OCI layout)" if layout else "a folder"
    with regular.opened(path) as file:
        return kind(file.read(_HEAD))


def kind(head: bytes) -> str:
    """What a file that begins so plainly is; see `what_is`."""
    if not head:
        return "empty"
    try:
        own = outputs.output(head)
    except ImportError:  # this Python cannot read such a file
        own = ""
    if own:
        return _OWN_KINDS.get(own, own.removeprefix(outputs.WRITTEN))
    if head.startswith(b"\x1f\x8b"):
        return _inside(head)
    if head[257:262] == b"ustar":
        return TAR
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
    return found or ("text" if _is_text(head) else "")


def _inside(head: bytes) -> str:
    """What a gzip file holds; empty where its own data is damaged at the start."""
    try:
        data = zlib.decompressobj(31).decompress(head, _HEAD)
    except zlib.error:
        return ""
    if data[257:262] == b"ustar":
        return "" if data.startswith(_OWN) else "a compressed tar of other files"
    return NO_TAR if data else ""


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return "\0" not in text


# --- in a droplet's place --------------------------------------------------------------------------------------


def check_droplet(path: str) -> None:
    """Raise NoDroplet, NotADroplet or Unreadable when the file at `path` plainly is no droplet."""
    try:
        found = what_is(path)
    except OSError as error:
        raise unopened(path, error) from None
    if found:
        raise NotADroplet(path, f"it is {found}")


def unopened(path: str, error: OSError) -> StagerError:
    """Why a droplet file cannot be opened, as an error."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NoDroplet(path)
    if error.errno == errno.EISDIR:
        return NotADroplet(path, f"it is {what_is(path)}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unreadable(path, error.strerror or str(error), "Correct its permissions.")
    return Unreadable(path, error.strerror or str(error), "Name the file that 'stager stage' wrote.")
