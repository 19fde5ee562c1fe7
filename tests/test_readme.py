"""Digests in the documentation are those that anybody gets: what is printed there is printed by a test."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from command import PROGRAM

ROOT = Path(__file__).parent.parent
HEADING = "this is printed on every machine:\n"
DIGEST = re.compile(r"sha256[:=-][0-9a-f]{4,}|\b[0-9a-f]{64}\b")


def block() -> list[str]:
    """The lines of the README's example whose digest can never drift: no package of anybody's is in it."""
    text = (ROOT / "README.md").read_text("utf-8").partition(HEADING)[2]
    return text.partition("```console\n")[2].partition("\n```")[0].splitlines()


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_digest_of_the_readme_is_printed_on_this_machine(umask: int, tmp_path: Path) -> None:
    """Every command as a shell runs it, in one folder; what is shown of the output is what is printed, line by line."""
    program = tmp_path / "bin" / "stager"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec '{PROGRAM[0]}' -m stager \"$@\"\n")
    program.chmod(0o755)
    lines = block()
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "STAGER_CACHE_DIR": str(tmp_path / "store"),
    }
    done = subprocess.run(
        ["sh", "-ec", "\n".join(commands)],
        cwd=tmp_path,
        env=environment,
        umask=umask,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    told = [line for line in done.stdout.splitlines() if not line.startswith("stager: ")]
    assert told[-1].startswith("sha256:")
    assert sorted(told) == sorted(line for line in lines if not line.startswith("$ "))


def test_no_page_has_a_digest_that_nothing_holds() -> None:
    """Every other one would be of the day on which it was written down; a page says `sha256:…`."""
    held = {line for line in block() if line.startswith("sha256:")}
    assert len(held) == 1
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    stale = {
        f"{page.relative_to(ROOT)}: {found}"
        for page in pages
        for found in DIGEST.findall(page.read_text("utf-8"))
        if found not in held
    }
    assert not stale
