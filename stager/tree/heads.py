"""Opening what lies in an app's folder, and what the first bytes of a file say of it. On the warm path."""

from __future__ import annotations

import os

FOLDER_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
FILE_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Without O_NONBLOCK, opening a pipe that took a file's place would wait for a writer."""
HEAD = 64 * 1024
"""Bytes of a file that are searched for credentials, and by which stager's own outputs are told."""
_STARTS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"-----BEGIN PRIVATE KEY-----", b"stager: ")
_TEXTS = (b"<!DOCTYPE html>", b"<?xml ", b"apiVersion: ", b"# ")
_DOCUMENTS = (
    b'{"artifacts":[', b'{"$schema":"http://cyclonedx.org/', b'{"SPDXID":', b'{"description":', b'{"_type":', b'{"payload":',
    b'{"mediaType":"application/vnd.dev.sigstore.', b'{"architecture":"', b'{"against":"',
)  # fmt: skip


def likely(head: bytes) -> bool:
    """Whether a file with these first bytes may be an output of stager, so that `outputs` has to be asked."""
    if head[:1] == b"{":
        return squeezed(head[:400]).startswith(_DOCUMENTS)
    if head.startswith(_TEXTS):
        return b"stager" in head[:4096] or b"Capistrano 3" in head[:100]
    return head.startswith(_STARTS) or head[257:262] == b"ustar"


def squeezed(text: bytes) -> bytes:
    """A JSON text without white space, so that it does not matter how it was printed."""
    return text.translate(None, b" \t\r\n")
