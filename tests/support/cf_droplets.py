"""Small real droplets for the tests of Cloud Foundry, staged in this process from apps that need no index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stager import library
from stager.model import Droplet
from stager.store import Store


def make_droplet(
    folder: Path, files: Mapping[str, str], stack: str = "cflinuxfs4", store: Store | None = None
) -> Droplet:
    """Stage an app of text files (those that begin with `#!` are executable) into `folder/droplet.tgz`."""
    app = folder / "app"
    for name, text in files.items():
        file = app / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
    out = str(folder / "droplet.tgz")
    environ = {"STAGER_CACHE_DIR": str(folder / "store"), "HOME": str(folder)}
    return library.stage(str(app), out=out, stack=stack, store=store, environ=environ)
