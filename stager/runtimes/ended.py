"""What is said of runtimes whose release line has had its last security fixes."""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Runtime
from . import known


def remarks(runtimes: Iterable[Runtime]) -> list[str]:
    """A warning for each runtime whose line has ended: since when, and the version to try."""
    return [text for runtime in runtimes if (text := _remark(runtime))]


def _remark(runtime: Runtime) -> str:
    own = known(runtime.name)
    if own is None or own.releases is None:
        return ""
    table = own.releases()
    line = next((part for part in _lines(runtime.version) if part in table.ended), "")
    if not line:
        return ""
    other, why = table.next(line), runtime.reason
    place = f" ({why.file}:{why.line} asks for it)" if why.line else f" ({why.file} asks for it)" if why.file else ""
    return (
        f"{own.title} {line} has had no security fixes since {table.ended[line].ends}{place}; "
        f"try {own.title} {other}, which has them until {table.supported[other].ends}"
    )


def _lines(version: str) -> tuple[str, str]:
    """The lines that a version may be of: by its minor version, as Python's, and by its major one, as Node's."""
    major, _, rest = version.partition(".")
    return f"{major}.{rest.partition('.')[0]}", major
