"""Errors of foreign bytes: archives that are damaged, ambiguous or dangerous."""

from __future__ import annotations

from ..errors import AssemblyError, IntegrityError


class CodecChanged(IntegrityError):
    """The compressor on this machine does not produce the bytes this version of stager promises."""

    code = "CodecChanged"

    def __init__(self, codec: str, expected: str, got: str) -> None:
        super().__init__(
            f"{codec} on this machine gives {got} for the known answer, not {expected}",
            "Install stager's pinned dependencies again, from where you installed stager (pip install --force-reinstall).",
        )


class UnsafeEntry(AssemblyError):
    """An archive with a member that must not be unpacked."""

    code = "UnsafeEntry"

    def __init__(self, archive: str, member: str, why: str) -> None:
        super().__init__(
            f"{archive}: member {member!r} {why}",
            "The archive is malformed or hostile; report it to its publisher and pin another version.",
            archive=archive,
            member=member,
        )


class BadArchive(AssemblyError):
    """An archive whose structure contradicts itself or that cannot be read to its end."""

    code = "BadArchive"

    def __init__(self, archive: str, why: str) -> None:
        super().__init__(
            f"{archive}: {why}",
            "The archive is malformed or hostile; report it to its publisher and pin another version.",
            archive=archive,
        )
