"""Which programs of the search path are taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stager.files import programs


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app with a program of its own, as the folder one is in; the same program is installed elsewhere."""
    for folder in ("app", "app/bin", "system"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "vagrant").write_text("#!/bin/sh\n")
        (tmp_path / folder / "vagrant").chmod(0o755)
    monkeypatch.chdir(tmp_path / "app")
    return tmp_path / "app"


@pytest.mark.parametrize("before", ["", ".", "bin", "./bin", "..", "../app"])
def test_relative_folders_are_not_searched(app: Path, before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{before}:{app.parent}/system"
    assert programs.find("vagrant", {"PATH": path}) == f"{app.parent}/system/vagrant"
    assert programs.find("vagrant", {"PATH": before}) == ""
    monkeypatch.setenv("PATH", path)
    assert programs.find("vagrant") == f"{app.parent}/system/vagrant"


def test_what_is_not_there_is_empty(app: Path) -> None:
    assert programs.find("no-such-program", {"PATH": f"{app}:/usr/bin"}) == ""
    assert programs.find("no-such-program", {}) == ""
    assert programs.find("sh", {}) in {os.path.join(folder, "sh") for folder in os.defpath.split(":")}
