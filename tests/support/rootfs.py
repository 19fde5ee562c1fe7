"""A small real Debian root filesystem, made once by mmdebstrap from the package sources of this machine's apt.

`debian_root()` gives its tar. It is kept beside `STAGER_TEST_STORE` when that is set, so that it outlives a run; every
worker of a run shares it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

INCLUDED = ("libstdc++6", "libgcc-s1", "libatomic1")
"""What `boxes/debian-12/box.yml` promises beyond Debian's essential packages."""
LEFT_OUT = ("doc", "info", "locale", "man")
LIMIT = 300.0
"""Seconds that mmdebstrap may take."""


def codename() -> str:
    """The suite this machine runs, such as `bookworm`."""
    text = Path("/etc/os-release").read_text("utf-8")
    found = re.search(r"^VERSION_CODENAME=\"?([a-z]+)", text, re.MULTILINE)
    if not found:
        pytest.skip("this is no Debian: /etc/os-release names no suite")
    return found[1]


def sources() -> list[str]:
    """The stanzas and lines of apt's configuration that name Debian's own archive, as mmdebstrap takes them."""
    folder = Path("/etc/apt")
    suite = codename()
    found = []
    for path in sorted([folder / "sources.list", *(folder / "sources.list.d").glob("*")]):
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        cut = r"\n[ \t]*\n" if path.suffix == ".sources" else r"\n"
        plain = "\n".join(line for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))
        pieces = [piece.strip("\n") for piece in re.split(cut, plain)]
        found += [piece for piece in pieces if re.search(rf"(^|\s){suite}(-\w+)?\s", piece)]
    return found


def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for what is costly to make: beside the kept store, or one that the workers of this run share."""
    kept = os.environ.get("STAGER_TEST_STORE")
    base = tmp_path_factory.getbasetemp()
    folder = (
        Path(kept).absolute().parent / f"{Path(kept).name}-shelf"
        if kept
        else (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shelf"
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def debian_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of a Debian root: essential packages, a C++ library, no documentation (about 90 MB).

    Skips when not root or without mmdebstrap. The file's bytes differ between runs; nothing may depend on them.
    """
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("making a root filesystem needs root and mmdebstrap")
    folder = shelf(tmp_path_factory)
    tar = folder / f"debian-{codename()}.tar"
    with (folder / "debian-root.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            _make(tar)
    return tar


def _make(tar: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="root-", dir="/tmp") as scratch:
        listing = Path(scratch, "debian.list" if not any("URIs:" in s for s in sources()) else "debian.sources")
        listing.write_text("\n\n".join(sources()) + "\n", "utf-8")
        part = tar.with_name(f".{tar.name}.{os.getpid()}.tar")
        command = ["mmdebstrap", "--quiet", "--variant=essential", "--mode=root", f"--include={','.join(INCLUDED)}"]
        command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
        command += ['--aptopt=Acquire::Languages "none"', codename(), str(part), str(listing)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, "TMPDIR": scratch}
        )
        assert done.returncode == 0, done.stderr[-4000:]
        part.rename(tar)
