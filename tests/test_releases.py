from __future__ import annotations

import pytest

from stager import releases
from stager.errors import InvalidDefinition


def test_python_lines_are_newest_first() -> None:
    table = releases.python()
    assert list(table.supported)[:2] == ["3.15", "3.14"]
    assert table.default in table.supported
    assert list(table.ended)[:2] == ["3.10", "3.9"]
    assert table.ended["3.9"] == "2025-10"
    assert not table.supported.keys() & table.ended.keys()
    assert table.extra == {"standalone": (2, 17)}


def test_node_lines_say_what_they_need() -> None:
    table = releases.node()
    assert list(table.supported) == ["26", "24", "22"]
    assert table.supported["24"] == releases.Line(
        "2028-04", "2025-10", "11", (2, 28), frozenset({"libstdc++.so.6", "libgcc_s.so.1"})
    )
    assert not table.supported.keys() & table.ended.keys()
    assert set(table.codenames.values()) <= table.supported.keys() | table.ended.keys()
    assert table.extra == {"bun": (2, 17)}


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("supported: {}", "document: the default must be one of the supported lines", None),
        ("default: '1'\nsupported: {'2': '2030-01'}", "document: the default must be one of the supported lines", None),
        ("supported:\n  '2': {npm: '3'}", "supported.2: has no 'ends'", 2),
        ("supported:\n  '2': {ends: x, glibc: y}", "supported.2.glibc: expected a version such as 2.28", 2),
        ("supported: {'2': '2030-01'}\nended: []", "ended: expected a table, found list", 2),
    ],
)
def test_a_wrong_table_names_its_line(text: str, message: str, line: int | None) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        releases.parse(text, "buildpacks/x/releases.yml")
    assert caught.value.message == message
    where = f"buildpacks/x/releases.yml:{line}" if line else "buildpacks/x/releases.yml"
    assert caught.value.where == where
