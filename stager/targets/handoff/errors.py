"""Errors of taking over other tools' files."""

from __future__ import annotations

from ...errors import SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class NotImportable(SourceError):
    """Another platform's file with things that stager cannot honour.

    Each row is its line (0: unknown), its key, and why.
    """

    code = "NotImportable"

    def __init__(self, file: str, rows: Sequence[tuple[int, str, str]]) -> None:
        lines = [f"{f'line {line}: ' if line else ''}{key}: {why}" for line, key, why in rows]
        super().__init__(
            "cannot be honoured: " + "; ".join(lines),
            "Remove these keys, after giving what they did another place, and import again.",
            where=f"{file}:{rows[0][0]}" if rows and rows[0][0] else file,
            rows=[list(row) for row in rows],
        )
