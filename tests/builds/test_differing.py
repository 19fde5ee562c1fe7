"""Why two contents differ: every cause by example, the place, and no false names."""

from __future__ import annotations

import importlib.util
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from stager.builds.differing import Why, difference, explain
from stager.evidence.verify.findings import HINTS
from stager.names import printable

KNOWN = {"/tmp/stager-verify-abc/copy": "path", "/tmp/stager-verify-abc": "path", "stager-verify-host": "host name"}
PYC = importlib.util.MAGIC_NUMBER


@pytest.mark.parametrize(
    ("droplet", "rebuilt", "cause"),
    [
        ("built 1732285000\n", "built 1766845001\n", "timestamp"),
        ("t=1732285000.25\n", "t=1766845001.5\n", "timestamp"),
        ("ms: 1732285000123\n", "ms: 1766845000123\n", "timestamp"),
        ("2026-11-22\n", "2027-12-27\n", "timestamp"),
        ("at 2026-11-22T14:33:58Z.\n", "at 2027-12-27T14:33:58Z.\n", "timestamp"),
        ("at 2026-11-22 14:33:58\n", "at 2026-11-22 14:33:59\n", "timestamp"),
        ("Date: Sun, 22 Nov 2026 14:33:58 GMT\n", "Date: Mon, 27 Dec 2027 14:33:58 GMT\n", "timestamp"),
        ("# Sun Nov 22 14:33:58 2026\n", "# Mon Dec 27 14:33:58 2027\n", "timestamp"),
        ("Nov 22, 2026\n", "Dec 27, 2027\n", "timestamp"),
        ("11/22/2026\n", "12/27/2027\n", "timestamp"),
        ("v20261122143358\n", "v20261122143358\nstamp 20271227143358\n", "timestamp"),
        ("14:33:58\n", "14:34:00\n", "timestamp"),
        ("id 3f2504e0-4f89-41d3-9a0c-0305e82c3301\n", "id 9b2504e0-4f89-41d3-9a0c-0305e82c3302\n", "random value"),
        ("key=9f86d081884c7d65\n", "key=60303ae22b998861\n", "random value"),
        ("0x7f3a2c10deadbeef\n", "0x55d0c0ffee123456\n", "random value"),
        ("token Zm9vYmFyYmF6MQ==\n", "token cXV4cXV1eDEyMw==\n", "random value"),
        ("0.8444218515250481\n", "0.7579544029403025\n", "random value"),
        ("#!/srv/me/venv/bin/python3\n", "#!/builds/7/venv/bin/python3\n", "embedded path"),
        ("prefix = '/srv/build/app'\n", "prefix = '/tmp/stager-verify-abc/copy/x'\n", "embedded path"),
        ("cd C:\\Users\\me\\app\n", "cd C:\\Users\\you\\app\n", "embedded path"),
        ("host buildbox7\n", "host stager-verify-host\n", "environment"),
        ("a\nb\nc\n", "c\na\nb\n", "order"),
        ("names: a b c\n", "names: c b a\n", "order"),
        ("import: {x, y}\n", "import: {y, x}\n", "different input"),
        ("hello\n", "goodbye\n", "different input"),
        ("version 1.2.3\n", "version 1.2.4\n", "different input"),
        ("https://example.org/a/b\n", "https://example.org/a/c\n", "different input"),
        ("$HOME/.stager/bin/x\n", "$HOME/.stager/bin/y\n", "different input"),
        ("", "more\n", "different input"),
        ("#!/usr/bin/python3\n", "#!/usr/bin/python4\n", "different input"),
        ("a\n", "a\nexec /bin/sh -c x\n", "different input"),
        ("one\ntwo\nthree\nat 2026-11-22\n", "eins\nzwei\ndrei\nam 2027-01-02\n", "different input"),
        ("# made 2026-11-22\nPREFIX=/srv/a/b\n", "# made 2027-01-02\nPREFIX=/srv/c/d\n", "timestamp"),
    ],
)
def test_text(droplet: str, rebuilt: str, cause: str) -> None:
    assert explain("./app/x", droplet.encode(), rebuilt.encode(), KNOWN).cause == cause
    assert explain("./app/x", rebuilt.encode(), droplet.encode(), KNOWN).cause == cause


@pytest.mark.parametrize(
    ("droplet", "rebuilt", "cause"),
    [
        (
            b"\0abc" + struct.pack("<L", 1732285000) + b"\0z",
            b"\0abc" + struct.pack("<L", 1766845000) + b"\0z",
            "timestamp",
        ),
        (
            b"\0abc" + struct.pack(">L", 1732285000) + b"\0z",
            b"\0abc" + struct.pack(">L", 1766845000) + b"\0z",
            "timestamp",
        ),
        (b"\0\1/srv/me/src/x.c\0", b"\0\1/builds/77/src/x.c\0", "embedded path"),
        (b"\0" + bytes(range(7, 200, 3)), b"\0" + bytes(range(200, 7, -3)), "random value"),
        (b"\0\1\2\3", b"\0\1\2\4", "different input"),
        (b"\0" * 9, b"\0" * 8, "different input"),
    ],
)
def test_bytes(droplet: bytes, rebuilt: bytes, cause: str) -> None:
    assert explain("./app/x", droplet, rebuilt, KNOWN).cause == cause


def test_the_place_and_values_are_told() -> None:
    why = explain("./app/x", b"one\nbuilt 1732285000 here\n", b"one\nbuilt 1766845001 here\n", {})
    assert why == Why("timestamp", "it holds a time", "line 2", "1732285000", "1766845001")
    known = explain("./app/x", b"cd /srv/a\n", b"cd /tmp/stager-verify-abc/copy/deeper\n", KNOWN)
    assert (known.what, known.rebuilt) == ("it holds the path of where it was built", "/tmp/stager-verify-abc/copy")


@pytest.mark.parametrize(
    ("droplet", "rebuilt", "place", "what"),
    [
        (b"\1\2\r\n" + bytes(12) + b"c", PYC + bytes(12) + b"c", "magic number", "bytecode of another Python"),
        (PYC + bytes(12) + b"c", PYC + b"\1" + bytes(11) + b"c", "flags", "bytecode that is checked in another way"),
        (
            PYC + bytes(12) + b"c",
            PYC + bytes(8) + b"abcd" + b"c",
            "source stamp",
            "bytecode stamped with another time, size or hash of its source",
        ),
        (
            PYC + bytes(12) + b"c",
            PYC + bytes(12) + b"d",
            "code",
            "bytecode compiled in another way, or with another path in it",
        ),
    ],
)
def test_bytecode(droplet: bytes, rebuilt: bytes, place: str, what: str) -> None:
    why = explain("./app/__pycache__/x.cpython-311.pyc", droplet, rebuilt, {})
    assert (why.cause, why.place, why.what) == ("bytecode", place, what)


def test_a_copy_can_only_differ_by_its_input() -> None:
    for droplet, rebuilt in ((b"at 2026-11-22\n", b"at 2027-12-27\n"), (b"/srv/me/x\n", b"/srv/you/x\n")):
        assert explain("./app/x", droplet, rebuilt, KNOWN, verbatim=True).cause == "different input"


@settings(max_examples=300, deadline=None)
@given(some.binary(max_size=300), some.binary(max_size=300))
def test_any_two_contents_have_a_cause(droplet: bytes, rebuilt: bytes) -> None:
    why = explain("./app/x", droplet, rebuilt, KNOWN)
    assert why.cause in HINTS
    said = why.droplet + why.rebuilt + why.what
    assert printable(said) == said


@given(some.binary(max_size=60), some.binary(max_size=60))
def test_the_first_difference(one: bytes, other: bytes) -> None:
    at = difference(one, other)
    assert one[:at] == other[:at]
    assert at == min(len(one), len(other)) or one[at] != other[at]


def test_long_lines_cost_little() -> None:
    line = b"x" * 4_000_000
    assert explain("./app/x", line + b"1", line + b"2", {}).cause == "different input"
