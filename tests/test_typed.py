"""Programs that use stager are checked by its types: the package says that it has them (PEP 561)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import stager

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
WRONG = """\
import stager

droplet = stager.stage("app", out="droplet.tgz")
names: list[str] = [layer.name for layer in droplet.layers]
stager.stage(1)
stager.stage("app", buildpack=("python",))
stager.export(droplet, "heroku", out=None)
"""


def mypy(folder: Path, *files: Path) -> list[str]:
    """What mypy finds in programs beside which stager is installed."""
    (folder / "site").mkdir()
    (folder / "site" / "stager").symlink_to(Path(stager.__file__).parent)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(folder / "cache")]
    environ = {**os.environ, "PYTHONPATH": str(folder / "site")}
    done = subprocess.run([*command, *map(str, files)], cwd=folder, env=environ, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_example_service_is_typed(tmp_path: Path) -> None:
    assert mypy(tmp_path, EXAMPLES / "service.py") == []


def test_a_wrong_call_is_found_before_it_runs(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    found = [line.split(" error: ")[0] for line in mypy(tmp_path, tmp_path / "wrong.py") if " error: " in line]
    assert found == ["wrong.py:5:", "wrong.py:6:", "wrong.py:7:"]
