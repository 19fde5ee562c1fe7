from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stager.model import Reason
from stager.runtimes.errors import VersionError
from stager.runtimes.published import npm_request
from stager.runtimes.specifiers import parse

WHY = Reason("asked for", ".python-version", 3)
PYTHONS = ["2.7.18", "3.10.4", "3.11.0", "3.11.2", "3.11.9", "3.12.1", "3.13.0", "4.0.0"]
NODES = ["18.1.0", "20.0.0", "22.1.0", "22.23.3", "23.0.1", "24.1.9", "26.10.0"]
CODENAMES = {"jod": "22", "krypton": "24"}
PYTHON_HINT = "Write a version such as 3.11 or 3.11.2, or a range such as >=3.11,<3.14."
NODE_HINT = "Write a version such as 22 or 22.14.0, a range such as >=22 <25, or lts/*."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.11", ["3.11.0", "3.11.2", "3.11.9"]),
        ("3.11.2", ["3.11.2"]),
        ("3", PYTHONS[1:7]),
        ("python-3.11.9", ["3.11.9"]),
        ("cpython@3.12", ["3.12.1"]),
        ("3.11.*", ["3.11.0", "3.11.2", "3.11.9"]),
        ("3.x", PYTHONS[1:7]),
        ("==3.11.*", ["3.11.0", "3.11.2", "3.11.9"]),
        ("==3.11", ["3.11.0"]),
        ("=3.11.2", ["3.11.2"]),
        (">=3.10,<3.13", PYTHONS[1:6]),
        (">=3.10 <3.13", PYTHONS[1:6]),
        (">= 3.10, < 3.13", PYTHONS[1:6]),
        ("~=3.11", PYTHONS[2:7]),
        ("~=3.11.2", ["3.11.2", "3.11.9"]),
        ("^3.11", PYTHONS[2:7]),
        ("^3.11.2", PYTHONS[3:7]),
        ("~3.11", ["3.11.0", "3.11.2", "3.11.9"]),
        ("~3.11.2", ["3.11.2", "3.11.9"]),
        ("~3", PYTHONS[1:7]),
        ("~2.7 || ^3.12", ["2.7.18", "3.12.1", "3.13.0"]),
        (">=3.11,!=3.12.*", ["3.11.0", "3.11.2", "3.11.9", "3.13.0", "4.0.0"]),
        ("*", PYTHONS),
        ("", PYTHONS),
        (" 3.12 ", ["3.12.1"]),
    ],
)
def test_python_requests(text: str, expected: list[str]) -> None:
    request = parse(text, WHY)
    assert [version for version in PYTHONS if request.accepts(version)] == expected
    assert (request.text, request.where, request.prefers) == (text.strip(), ".python-version:3", "")


@pytest.mark.parametrize(
    ("text", "shown", "why"),
    [
        ("pypy3.10", "pypy3.10", "only CPython is carried"),
        ("system", "system", "only CPython is carried"),
        ("3.11-dev", "3.11-dev", "not a version: Invalid specifier: '3.11-dev'"),
        ("^", "^", "not a version: ''"),
        ("^3.x", "^3.x", "not a version: '3.x'"),
        (">=3.11,<", ">=3.11,<", "not a version: Invalid specifier: '<'"),
        ("3.13t", "3.13t", "not a version: Invalid specifier: '3.13t'"),
        ("3.11\n3.12", "'3.11\\n3.12'", "too long, or not on one line"),
        ("9" * 300, f"'{'9' * 40}'", "too long, or not on one line"),
    ],
)
def test_malformed_python_requests(text: str, shown: str, why: str) -> None:
    with pytest.raises(VersionError) as caught:
        parse(text, WHY)
    assert caught.value.message == f"python {shown}: {why}"
    assert (caught.value.hint, caught.value.where) == (PYTHON_HINT, ".python-version:3")


@pytest.mark.parametrize(
    ("text", "expected", "prefers"),
    [
        ("22", ["22.1.0", "22.23.3"], ""),
        ("v22.1.0", ["22.1.0"], ""),
        ("22.x", ["22.1.0", "22.23.3"], ""),
        (">=22", NODES[2:], ""),
        (">= 20 < 23", NODES[1:4], ""),
        ("^20 || ^24", ["20.0.0", "24.1.9"], ""),
        ("20 - 22", NODES[1:4], ""),
        ("<=22", NODES[:4], ""),
        ("~24.1", ["24.1.9"], ""),
        ("*", NODES, ""),
        ("", NODES, ""),
        ("lts/jod", ["22.1.0", "22.23.3"], ""),
        ("lts/Krypton", ["24.1.9"], ""),
        ("lts/*", NODES, "lts"),
        ("node", NODES, "newest"),
        ("latest", NODES, "newest"),
    ],
)
def test_node_requests(text: str, expected: list[str], prefers: str) -> None:
    request = npm_request("node", text, WHY, CODENAMES)
    assert [version for version in NODES if request.accepts(version)] == expected
    assert request.prefers == prefers


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("lts/nope", "no such line", "Known here: lts/*, lts/jod, lts/krypton."),
        ("node-22", "not a version or range", NODE_HINT),
        ("^", "not a version or range", NODE_HINT),
        ("22.", "not a version or range", NODE_HINT),
    ],
)
def test_malformed_node_requests(text: str, why: str, hint: str) -> None:
    with pytest.raises(VersionError) as caught:
        npm_request("node", text, Reason("x", "package.json", 9), CODENAMES)
    assert caught.value.message == f"node {text}: {why}"
    assert (caught.value.hint, caught.value.where) == (hint, "package.json:9")


@given(st.text(max_size=40) | st.text("0123456789.*x^~<>=!|, -v", max_size=24))
def test_any_text_is_a_request_or_a_version_error(text: str) -> None:
    for read in (parse, lambda text, why: npm_request("node", text, why, CODENAMES)):
        try:
            request = read(text, WHY)
        except VersionError as problem:
            assert problem.where == ".python-version:3"  # noqa: PT017 - one of two outcomes
        else:
            assert request.accepts("3.11.2") in (True, False)


@pytest.mark.parametrize(
    ("text", "fits", "not_"),
    [
        ("22 -  24", "24.1.0", "25.0.0"),
        ("22  - 24", "22.0.0", "21.9.9"),
        ("1.2 - 2.3.4 || 9", "9.1.0", "2.3.5"),
        ("22 - x", "30.0.0", "21.0.0"),
        ("x - 22", "1.0.0", "23.0.0"),
        ("v22 - v24", "24.9.9", "25.0.0"),
    ],
)
def test_hyphen_ranges_as_node_semver_reads_them(text: str, fits: str, not_: str) -> None:
    asked = npm_request("node", text, Reason("a test"), {})
    assert asked.accepts(fits)
    assert not asked.accepts(not_)


@pytest.mark.parametrize(
    "text", ["22 - x y", "22 - 23 - 24", ">=22 - 24", "22 - >24", " - 24", "22 -", "²", "22 - ²", "٢٢ - ٢٤"]
)
def test_what_is_no_range_is_told(text: str) -> None:
    with pytest.raises(VersionError):
        npm_request("node", text, Reason("a test", "package.json", 1), {})
