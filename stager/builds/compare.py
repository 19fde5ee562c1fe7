"""Two outputs of one build, compared: the first file that differs, and why it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import BuildDiffers

if TYPE_CHECKING:
    from .outputs import Archive, Left


def same(name: str, first: Left, second: Left) -> None:
    """Raise BuildDiffers unless both have the same files, links, contents and executable bits."""
    one, other = ({str(row[0]): row[1:] for row in left.rows()} for left in (first, second))
    differing = sorted((path for path in {*one, *other} if one.get(path) != other.get(path)), key=str.encode)
    if differing:
        raise BuildDiffers(name, differing[0], "Its content differs.", differing[1:])


def same_archive(name: str, first: Archive, second: Archive) -> None:
    """The same for two archives, which have to be equal byte for byte."""
    if first != second:
        raise BuildDiffers(name, first.filename, "Its content differs.")
