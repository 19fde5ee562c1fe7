"""The profile script that leads Debian's programs to their files, run by the shells that source it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from stager.ecosystems.deb.environment import profile

TRIPLET = "x86_64-linux-gnu"


def sourced(home: Path, names: list[str], shell: str, **variables: str) -> dict[str, str]:
    """The variables after the script, without those of before."""
    (home / "profile.sh").write_text(profile(names, TRIPLET, ".stager/system"), "utf-8")
    before = {"HOME": str(home), "PATH": os.defpath, **variables}
    done = subprocess.run(
        [shell, "-euc", '. "$HOME/profile.sh"; env'], env=before, capture_output=True, check=True, text=True
    )
    assert done.stderr == ""
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    return {
        key: value.replace(str(home), "~")
        for key, value in found.items()
        if key not in ("_", "HOME", "PWD", "SHLVL", "OLDPWD")
    }


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_programs_libraries_and_data_are_found(tmp_path: Path, shell: str) -> None:
    home = tmp_path / "a home"
    system = home / ".stager/system"
    for folder in (
        "usr/bin",
        f"usr/lib/{TRIPLET}",
        "usr/share/tesseract-ocr/5/tessdata",
        "usr/share/perl5",
        "usr/lib/file",
    ):
        (system / folder).mkdir(parents=True)
    (system / "usr/lib/file/magic.mgc").touch()
    names = ["libmagic-mgc", "tesseract-ocr-eng", "libfoo-perl", "proj-data", "jq"]
    assert sourced(home, names, shell) == {
        "PATH": f"~/.stager/system/usr/bin:{os.defpath}",
        "LD_LIBRARY_PATH": f"~/.stager/system/usr/lib/{TRIPLET}:~/.stager/system/usr/lib",
        "XDG_DATA_DIRS": "~/.stager/system/usr/share:/usr/local/share:/usr/share",
        "PERL5LIB": "~/.stager/system/usr/share/perl5",
        "MAGIC": "~/.stager/system/usr/lib/file/magic.mgc",
        "TESSDATA_PREFIX": "~/.stager/system/usr/share/tesseract-ocr/5/tessdata",
    }


def test_what_is_set_already_stays(tmp_path: Path) -> None:
    system = tmp_path / ".stager/system"
    (system / "usr/lib/file").mkdir(parents=True)
    (system / "usr/lib/file/magic.mgc").touch()
    found = sourced(tmp_path, ["libmagic-mgc"], "sh", MAGIC="/own", LD_LIBRARY_PATH="/lib/own", XDG_DATA_DIRS="/data")
    assert found == {
        "PATH": os.defpath,
        "LD_LIBRARY_PATH": "~/.stager/system/usr/lib:/lib/own",
        "XDG_DATA_DIRS": "/data",
        "MAGIC": "/own",
    }


def test_what_installing_makes_is_made_once_where_it_may(tmp_path: Path) -> None:
    folder = tmp_path / f".stager/system/usr/lib/{TRIPLET}/graphviz"
    folder.mkdir(parents=True)
    tool = tmp_path / ".stager/system/usr/bin/dot"
    tool.parent.mkdir(parents=True)
    tool.write_text('#!/bin/sh\necho "$GVBINDIR $*" >>"$GVBINDIR/config6a"; echo noise; echo noise >&2; exit 1\n')
    tool.chmod(0o755)
    for _ in range(2):
        assert sourced(tmp_path, ["libgvc6"], "sh")["GVBINDIR"].endswith("/graphviz")
    assert (folder / "config6a").read_text() == f"{folder} -c\n"
