"""A stager of one's own, as a checkout has it, and what a plug adds to one: a line in a registry, and a buildpack."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copied(place: Path) -> Path:
    """A copy of the program and its data in the folder `place`."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("stager", "buildpacks", "boxes"):
        shutil.copytree(ROOT / name, place / name, ignore=ignored)
    return place


def plugged(place: Path, registry: str, last: str, buildpack: Mapping[str, str]) -> None:
    """Give a copy the line of `toy` in a registry (a package of `stager`), behind that of `last`, and the buildpack `toy`."""
    file = place / "stager" / registry / "__init__.py"
    line, text = f'    "{last}": "stager.{registry}.{last}",\n', file.read_text("utf-8")
    assert line in text
    file.write_text(text.replace(line, line + line.replace(last, "toy")), "utf-8")
    for name, content in buildpack.items():
        (place / "buildpacks" / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "buildpacks" / "toy" / name).write_text(content)
