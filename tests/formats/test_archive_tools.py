"""Every tar and zip that is accepted means the same to other programs: names and contents."""

from __future__ import annotations

import json
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
NODE_TAR = """
const [library, ...files] = process.argv.slice(1)
const tar = require(library)
const all = {}
for (const file of files) {
  const found = all[file] = []
  tar.list({ file, sync: true, onReadEntry, onentry: onReadEntry })
  function onReadEntry(entry) {
    const parts = { path: entry.path, type: entry.type, link: entry.linkpath, text: '' }
    found.push(parts)
    entry.on('data', chunk => { parts.text += chunk.toString('latin1') })
  }
}
console.log(JSON.stringify(all))
"""


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


@pytest.mark.skipif(shutil.which("npm") is None, reason="node-tar comes with npm")
def test_node_tar_agrees(tmp_path: Path) -> None:
    """npm's own reader; it lists, because it would not create symlinks and hard links."""
    for name, (data, _) in TARS.items():
        (tmp_path / name).write_bytes(data)
    modules = subprocess.run(["npm", "root", "--global"], capture_output=True, check=True, text=True).stdout.strip()
    command = ["node", "-e", NODE_TAR, f"{modules}/npm/node_modules/tar", *TARS]
    table = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True).stdout)
    assert {name: by_node(table[name]) for name in TARS} == {name: found for name, (_, found) in TARS.items()}


def by_node(listed: list[dict[str, str]]) -> Found:
    found: Found = {}
    for entry in listed:
        name = posixpath.normpath(entry["path"])
        if entry["type"] == "SymbolicLink":
            found[name] = entry["link"]
        elif entry["type"] == "Link":
            found[name] = found[posixpath.normpath(entry["link"])]
        elif entry["type"] != "Directory":
            found[name] = entry["text"].encode("latin1")
    return found
