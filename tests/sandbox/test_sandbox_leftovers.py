"""What a job has written: counted, and made fit to be removed by the plainest remover."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from stager.sandbox.leftovers import Amount, measure, settle


def test_what_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"12345")
    (tmp_path / "a/link").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "a/pipe")
    found, settled = Amount(), Amount()
    measure(str(tmp_path), found, 100)
    settle(str(tmp_path), settled)
    assert found == settled == Amount(size=5 + len("/nowhere"), count=5)


def test_counting_ends_when_there_is_too_much(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).touch()
    found = Amount()
    measure(str(tmp_path), found, 10)
    assert found.count == 11


def test_a_folder_that_goes_while_it_is_counted_is_nothing(tmp_path: Path) -> None:
    found = Amount()
    measure(str(tmp_path / "gone"), found, 10)
    assert found == Amount()


def test_what_is_too_deep_is_seen_and_can_be_removed(tmp_path: Path) -> None:
    place, here = tmp_path / "place", os.open(tmp_path, os.O_RDONLY)
    place.mkdir()
    above = os.open(place, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("below", dir_fd=above)
        below = os.open("below", os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)
    os.close(here)
    found, settled = Amount(), Amount()
    measure(str(place), found, 10_000)
    settle(str(place), settled)
    assert (found.deep, settled.deep, settled.count) == (True, True, 3000)
    shutil.rmtree(place)


def test_long_names_in_one_another(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    above = os.open(place, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("n" * 255, dir_fd=above)
        below = os.open("n" * 255, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)
    settled = Amount()
    settle(str(place), settled)
    assert (settled.deep, settled.count) == (True, 40)
    shutil.rmtree(place)


def test_closed_folders_are_opened_and_bits_that_set_ids_taken_off(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    (closed / "inside/file").touch()
    (tmp_path / "program").touch()
    (tmp_path / "program").chmod(0o6755)
    (closed / "inside").chmod(0o000)
    closed.chmod(0o111)
    settled = Amount()
    settle(str(tmp_path), settled)
    assert settled.count == 4
    modes = [path.stat().st_mode & 0o7777 for path in (closed, closed / "inside", tmp_path / "program")]
    assert modes == [0o711, 0o700, 0o755]


def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (tmp_path / "place").mkdir()
    (tmp_path / "place/link").symlink_to(outside)
    settled = Amount()
    settle(str(tmp_path / "place"), settled)
    assert settled.count == 1
    assert outside.stat().st_mode & 0o777 == 0o500
