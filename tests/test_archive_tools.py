"""Every tar and zip that is accepted means the same to other programs: names and contents."""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
from pathlib import Path

import pytest
from test_archive_tar import ACCEPTED as TARS
from test_archive_zip import ACCEPTED as ZIPS

pytestmark = pytest.mark.tools
Found = dict[str, bytes | str]

COMMANDS = {
    "tar": ["tar", "--extract", "--no-same-owner", "--file"],
    "bsdtar": ["bsdtar", "-x", "--no-same-owner", "-f"],
    "unzip": ["unzip", "-q", "-o"],
}
DIFFERENT = {
    # GNU tar asks for a number where space-filled fields are empty, and warns; bsdtar alike.
    ("tar", "nothing"),
}


def extracted(program: str, data: bytes, folder: Path) -> Found:
    """What a program leaves on disk: relative path to bytes, or a link's target."""
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    (folder / "blob").write_bytes(data)
    (folder / "out").mkdir()
    command = [*COMMANDS[program], str(folder / "blob")]
    done = subprocess.run(command, cwd=folder / "out", capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    found: Found = {}
    for place, folders, files in os.walk(folder / "out"):
        for name in files + [name for name in folders if os.path.islink(os.path.join(place, name))]:
            path = os.path.join(place, name)
            relative = posixpath.normpath(os.path.relpath(path, folder / "out"))
            found[relative] = os.readlink(path) if os.path.islink(path) else Path(path).read_bytes()
    assert done.returncode in (0, 1, 2), done.stderr
    return found


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
@pytest.mark.parametrize("name", TARS)
def test_other_readers_of_tars_agree(program: str, name: str, tmp_path: Path) -> None:
    data, expected = TARS[name]
    assert extracted(program, data, tmp_path) == expected


@pytest.mark.parametrize("program", ["unzip", "bsdtar"])
@pytest.mark.parametrize("name", ZIPS)
def test_other_readers_of_zips_agree(program: str, name: str, tmp_path: Path) -> None:
    data, expected = ZIPS[name]
    assert extracted(program, data, tmp_path) == expected
