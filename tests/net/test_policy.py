"""No client connects to a forbidden address, however it is spelled, resolved or pointed to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import certifi
from places import ANSWERS, HOSTS

HERE = Path(__file__).parent


def record(tmp_path: Path, *arguments: str, **environ: str) -> dict[str, Any]:
    """What a process that tried everything wrote down."""
    text = Path(certifi.where()).read_text()
    begin = text.index("-----BEGIN")
    (tmp_path / "one.pem").write_text(text[begin : text.index("-----END", begin)] + "-----END CERTIFICATE-----\n")
    own = {"PYTHONPATH": f"{HERE.parent.parent}:{HERE}", "CERTIFICATE": str(tmp_path / "one.pem"), **environ}
    done = subprocess.run(
        [sys.executable, HERE / "recorder.py", *arguments],
        env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_no_spelling_and_no_name_leads_any_client_to_a_forbidden_address(tmp_path: Path) -> None:
    found = record(tmp_path)
    assert len(set(HOSTS)) == len(HOSTS) == found["places"] >= 183
    assert found["attempts"] > 15 * found["places"]
    own = {"8.8.8.8"}  # the first answer of names that turn: public, and refused by the recorder before it leaves
    assert {address for address, _ in found["connects"]} <= own
    assert len(found["connects"]) <= found["attempts"] // 10
    assert found["passed"] == []
    assert found["all"] > 1000  # the operator's own server was asked all the time


def test_the_recorder_sees_what_is_allowed(tmp_path: Path) -> None:
    found = record(tmp_path, "allowed", ONLY="127.9.9.9")
    assert {address for address, _ in found["connects"]} == {"127.9.9.9"}


def test_names_are_tried_that_turn_from_public_to_private() -> None:
    assert ANSWERS["rebinding.example"] == [["8.8.8.8"], ["127.0.0.1"]]
