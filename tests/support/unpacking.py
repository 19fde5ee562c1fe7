"""Unpacking tars that the tests made themselves, with every Python 3.11."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any


def unpack(archive: tarfile.TarFile, into: Path, **named: Any) -> None:
    """Extract everything as it is; Pythons before 3.11.4 know no filters, later ones want one named."""
    if hasattr(tarfile, "fully_trusted_filter"):
        named["filter"] = "fully_trusted"
    archive.extractall(into, **named)
