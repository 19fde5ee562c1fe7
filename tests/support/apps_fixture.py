"""Sample apps as a developer has them: copied out, with the index addresses of this machine filled in.

Locks that hold URLs are kept as `<lock>.in` with placeholders, so that no registry's host is written down here; the
addresses come from the clients' own configuration, else from the defaults their libraries carry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

APPS = Path(__file__).parent.parent / "apps"


def names() -> list[str]:
    """Every situation under `tests/apps/`, sorted."""
    return sorted(path.parent.name for path in APPS.glob("*/expect.json"))


def expectation(name: str) -> dict[str, Any]:
    """What `expect.json` says of a situation."""
    loaded: dict[str, Any] = json.loads((APPS / name / "expect.json").read_text("utf-8"))
    return loaded


@cache
def pypi_index() -> str:
    """The index in use: the environment's, else pip's default; without a final slash."""
    from pip._internal.models.index import PyPI

    configured = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    return (configured or PyPI.simple_url).rstrip("/")


@cache
def pypi_files() -> str:
    """Where the default index keeps its files, as locks made against it say."""
    from pip._internal.models.index import PyPI

    return f"https://{PyPI.file_storage_domain}"


@cache
def npm_registry() -> str:
    """The registry npm is configured for, else the library's default; without a final slash."""
    from packageurl.contrib.purl2url import get_download_url

    npm = shutil.which("npm")
    if npm:
        asked = [npm, "config", "get", "registry"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd="/", timeout=60)
        if done.returncode == 0 and done.stdout.startswith("http"):
            return done.stdout.strip().rstrip("/")
    found = get_download_url("pkg:npm/a@1")  # type: ignore[no-untyped-call]
    return str(found or "").partition("/a/-/")[0]


def _filled(text: str) -> str:
    for name, address in (("@PYPI_INDEX@", pypi_index), ("@PYPI_FILES@", pypi_files), ("@NPM_REGISTRY@", npm_registry)):
        if name in text:
            text = text.replace(name, address())
    return text


def fill(app: Path) -> None:
    """Put this machine's addresses into what a sample app keeps as templates."""
    for template in sorted(app.rglob("*.in")):
        text = template.read_text("utf-8")
        if (filled := _filled(text)) != text:
            template.with_suffix("").write_text(filled, "utf-8")
            template.unlink()


def materialise(name: str, into: Path) -> Path:
    """Copy the situation `name` to `into/name` as a user would have it, and return the app's folder in it."""
    app = into / name
    shutil.copytree(APPS / name, app, symlinks=True, ignore=shutil.ignore_patterns("expect.json", "__pycache__"))
    fill(app)
    if name == "venv-committed":
        _virtual_environment(app / "venv")
    return app / str(expectation(name).get("folder", ""))


def _virtual_environment(folder: Path) -> None:
    """What `python -m venv` leaves; made here because no checkout keeps one."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\n")
    (folder / "bin" / "python").symlink_to("/usr/bin/python3")
