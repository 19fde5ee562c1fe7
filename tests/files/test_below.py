"""Files below a folder that others have filled: whatever they have put there, nothing outside is read or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from stager.files import below


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that others may have filled, and what lies beside it."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    return inside, outside


def test_files_are_made_and_read_with_the_folders_above(folders: tuple[Path, Path]) -> None:
    inside, _ = folders
    with below.writing(str(inside), "a/b/é", 0o755) as file:
        file.write(b"content")
    below.link(str(inside), "a/link", "b/é")
    assert (inside / "a/link").read_bytes() == b"content"
    assert (inside / "a/b/é").stat().st_mode & 0o777 == 0o755
    with below.reading(str(inside), "a/b/é") as read:
        assert read.read() == b"content"


def test_what_is_there_stays_unless_it_is_to_go(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    (inside / "x").symlink_to(outside / "secret")
    with pytest.raises(FileExistsError):
        below.writing(str(inside), "x", 0o644)
    with below.writing(str(inside), "x", 0o644, instead=True) as file:
        file.write(b"mine")
    assert (outside / "secret").read_text() == "secret"
    assert (inside / "x").read_text() == "mine"


@pytest.mark.parametrize("where", ["d/secret", "d/../outside/secret", "a/d/secret"])
def test_no_link_on_the_way_is_followed(where: str, folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    (inside / "a").mkdir()
    (inside / "d").symlink_to(outside)
    (inside / "a/d").symlink_to("../../outside")
    with pytest.raises(OSError, match=r"."):
        below.reading(str(inside), where)
    for name in ("new", "secret"):
        with pytest.raises(OSError, match=r"."):
            below.writing(str(inside), f"{where.rpartition('/')[0]}/{name}", 0o644, instead=True)
    with pytest.raises(OSError, match=r"."):
        below.link(str(inside), f"{where.rpartition('/')[0]}/link", "x")
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_link_at_the_end_is_not_read(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    (inside / "x").symlink_to(outside / "secret")
    with pytest.raises(OSError, match=r"."):
        below.reading(str(inside), "x")
