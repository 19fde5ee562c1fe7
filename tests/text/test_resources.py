"""Shipped data is found in a checkout and in a wheel, and input patterns mean what they say."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stager.text import resources

CHECKOUT = Path(resources.__file__).parents[2]


def test_a_checkouts_folders() -> None:
    assert resources.folder("buildpacks") == os.fspath(CHECKOUT / "buildpacks")
    assert resources.folder("boxes") == os.fspath(CHECKOUT / "boxes")


def test_a_wheels_folders_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stager" / "_data" / "boxes").mkdir(parents=True)
    (tmp_path / "buildpacks").mkdir()
    monkeypatch.setattr(resources, "PACKAGE", os.fspath(tmp_path / "stager"))
    assert resources.folder("boxes") == os.fspath(tmp_path / "stager" / "_data" / "boxes")
    assert resources.folder("buildpacks") == os.fspath(tmp_path / "buildpacks")


def test_names() -> None:
    assert resources.names("buildpacks") == ["nodejs", "procfile", "python", "static"]
    assert "debian-12" in resources.names("boxes")


def test_a_missing_folder_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "PACKAGE", os.fspath(tmp_path / "stager"))
    assert resources.names("boxes") == []


def test_patterns_of_all_buildpacks() -> None:
    found = resources.input_patterns()
    assert list(found) == sorted(set(found), key=str.encode)
    assert {"Procfile", "stager.yml", "uv.lock", "requirements*.txt", "package.json", "Staticfile", ".nvmrc"} <= set(
        found
    )
    assert resources.input_patterns("static") == ("Staticfile",)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("requirements.txt", True),
        ("requirements-prod.txt", True),
        ("backend/requirements.txt", True),
        ("requirements/base.txt", True),
        ("deploy/requirements/base.txt", True),
        ("packages/a/package.json", True),
        ("Procfile", True),
        ("stager.yml", True),
        ("pylock.dev.toml", True),
        ("main.py", False),
        ("package.json.bak", False),
        ("requirements", False),
        ("base.txt", False),
        ("node_modules/a/package.json", False),
        ("packages/a/node_modules/b/package.json", False),
        ("uv.lock/a", False),
    ],
)
def test_inputs(path: str, expected: bool) -> None:
    assert resources.is_input(path, resources.input_patterns()) is expected


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("a", "a", True),
        ("a", "*", True),
        ("", "*", True),
        ("ab", "a*b", True),
        ("a", "a*a", False),
        ("aba", "a*b*a", True),
        ("aa", "a*a", True),
        ("axbxc", "a*b*c", True),
        ("axbxcx", "a*b*c", False),
        ("ab", "b*", False),
        ("[a]", "[a]", True),
        ("a", "?", False),
        ("abab", "*ab", True),
        ("abc", "**", True),
        ("xay", "*b*", False),
    ],
)
def test_stars(name: str, pattern: str, expected: bool) -> None:
    assert resources.fits(name, pattern) is expected


def test_hostile_patterns_take_no_time() -> None:
    start = time.process_time()
    assert not resources.fits("a" * 20_000 + "c", "a*" * 40 + "b")
    assert time.process_time() - start < 1
