"""Apps of real size: the parts that are alike are multiplied when a test runs, so that nobody keeps hundreds of files."""

from __future__ import annotations

import shutil
from pathlib import Path

from apps_fixture import fill

APPS = Path(__file__).parent.parent / "builds" / "apps"


def copied(name: str, app: Path) -> Path:
    """A copy of an app of `tests/builds/apps/` as a user has it, with the addresses of this machine's indexes."""
    shutil.copytree(APPS / name, app)
    fill(app)
    return app


def multiplied(folder: Path, number: int) -> int:
    """Put as many copies of a folder beside it, each with names of its own: how many files there are in all."""
    name = folder.name
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for count in range(1, number):
        other = f"{name}{count}"
        for path in files:
            there = folder.with_name(other) / path.relative_to(folder)
            there.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text("utf-8").replace(name, other).replace(name.capitalize(), other.capitalize())
            there.write_text(text, "utf-8")
    return number * len(files)
