"""Comparing what two things hold: droplets, slugs, images, boxes, plans and folders, in any combination.

`sources.read` turns each into `contents.Contents`, the one model of what is inside; `difference.compare` says how two of
them differ and whether that is in the content or only in the envelope; `rendering` shows it as text, JSON or Markdown.

A droplet of 300 MB is compared without being inflated: its `layers.json` says where its layers lie in the file, layers
whose compressed bytes are equal in both files hold equal entries and are skipped, and only the others are inflated, each by
itself (docs/droplet-format.md §5: every piece is a run of deflate blocks of its own). Where a file is not cut like that, or
its own record of layers does not fit its bytes, the whole file is inflated from its start instead.
"""

from ...droplet.contents import Contents, Item, LayerPart, Package
from .difference import Difference, FileChange, compare
from .planned import Change
from .sources import read, read_both

__all__ = [
    "Change",
    "Contents",
    "Difference",
    "FileChange",
    "Item",
    "LayerPart",
    "Package",
    "compare",
    "read",
    "read_both",
]
