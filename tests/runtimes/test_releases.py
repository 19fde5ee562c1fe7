from __future__ import annotations

import pytest

from stager.errors import InvalidDefinition
from stager.model import Reason, Runtime
from stager.runtimes import ended, releases


def test_python_lines_are_newest_first() -> None:
    table = releases.read("python")
    assert list(table.supported)[:2] == ["3.15", "3.14"]
    assert table.default in table.supported
    assert list(table.ended)[:2] == ["3.10", "3.9"]
    assert table.ended["3.9"].ends == "2025-10"
    assert not table.supported.keys() & table.ended.keys()
    assert table.extra == {"standalone": (2, 17)}


def test_node_lines_say_what_they_need() -> None:
    table = releases.read("nodejs")
    assert list(table.supported) == ["26", "24", "22"]
    assert table.supported["24"] == releases.ReleaseLine(
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


WHERE = Reason("asked for", "package.json", 6)


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        (
            Runtime("node", "14.21.3", "npm", (2, 17), WHERE),
            [
                "Node.js 14 has had no security fixes since 2023-04 (package.json:6 asks for it); "
                "try Node.js 22, which has them until 2027-04"
            ],
        ),
        (
            Runtime("python", "3.9.25", "python-build-standalone", (2, 17), Reason("asked for", ".python-version")),
            [
                "Python 3.9 has had no security fixes since 2025-10 (.python-version asks for it); "
                "try Python 3.11, which has them until 2027-10"
            ],
        ),
        (
            Runtime("node", "25.9.0", "npm", (2, 28), Reason("kept")),
            ["Node.js 25 has had no security fixes since 2026-06; try Node.js 26, which has them until 2029-04"],
        ),
        (Runtime("node", "24.1.0", "npm", (2, 28), WHERE), []),
        (Runtime("npm", "6.14.0", "npm", (0, 0), WHERE), []),
        (Runtime("nginx", "1.22.1", "debian", (2, 36), WHERE), []),
    ],
)
def test_a_line_past_its_end_is_told_with_the_version_to_try(runtime: Runtime, said: list[str]) -> None:
    assert ended.remarks([runtime]) == said
