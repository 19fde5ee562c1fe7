"""What a job says: the log has all of it as it came, people see lines without colours."""

from __future__ import annotations

import os
from pathlib import Path

from stager.sandbox.saying import Saying


def said(tmp_path: Path, data: bytes) -> tuple[tuple[str, ...], list[str], bytes]:
    told: list[str] = []
    saying = Saying(str(tmp_path / "log"), told.append)
    writer = os.dup(saying.pipe)
    saying.start()
    os.write(writer, data)
    os.close(writer)
    saying.close()
    return saying.last, told, (tmp_path / "log").read_bytes()


def test_lines_come_without_colours_and_the_log_as_it_came(tmp_path: Path) -> None:
    data = b"\x1b[32m\xe2\x9c\x93\x1b[39m 40 modules\n\x1b[2Kdone\nno end"
    last, told, log = said(tmp_path, data)
    assert last == ("✓ 40 modules", "done", "no end")
    assert told[0] == "✓ 40 modules"
    assert log == data


def test_what_is_no_text_is_shown_as_it_can_be(tmp_path: Path) -> None:
    assert said(tmp_path, b"\xff\n")[0] == ("\ufffd",)
