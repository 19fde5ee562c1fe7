"""npm's ranges by node-semver's own documentation, and against the node-semver that comes with npm."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stager.ecosystems import npmrange

OLD = [
    "0.0.0",
    "0.0.1",
    "0.0.2",
    "0.1.0",
    "0.1.5",
    "0.2.0",
    "1.0.0",
    "1.0.1",
    "1.2.3",
    "1.2.9",
    "1.3.0",
    "2.0.0",
    "2.1.0",
]
NEW = ["3.0.0", "18.19.0", "22.0.0", "22.14.1", "25.0.0"]
PRE = [
    "0.0.1-a",
    "1.0.0-0",
    "1.2.0-x",
    "1.2.3-alpha",
    "1.2.3-beta.2",
    "1.2.3-beta.10",
    "2.0.0-0",
    "2.0.0-rc.1",
    "22.0.0-a",
]
VERSIONS = [*OLD, *NEW, *PRE]


def admitted(text: str, versions: list[str]) -> list[str]:
    fits = npmrange.parse(text)
    return [version for version in versions if fits(npmrange.version(version))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~>22", ["22.0.0", "22.14.1"]),
        ("~> 22.14", ["22.14.1"]),
        (">=22  <25", ["22.0.0", "22.14.1"]),
        (">=\t22\t<\t25", ["22.0.0", "22.14.1"]),
        (">=18.x", ["18.19.0", "22.0.0", "22.14.1", "25.0.0"]),
        (">v18", ["22.0.0", "22.14.1", "25.0.0"]),
        ("= v22.0.0", ["22.0.0"]),
        ("18.x||22", ["18.19.0", "22.0.0", "22.14.1"]),
        ("18  -  22", ["18.19.0", "22.0.0", "22.14.1"]),
        ("2.1 - *", ["2.1.0", "3.0.0", "18.19.0", "22.0.0", "22.14.1", "25.0.0"]),
        ("^0.0", ["0.0.0", "0.0.1", "0.0.2"]),
        ("^0.1", ["0.1.0", "0.1.5"]),
        ("^0.0.1", ["0.0.1"]),
        ("1.2.3-beta.2 - 1.2.3", ["1.2.3", "1.2.3-beta.2", "1.2.3-beta.10"]),
        ("<0.0.1 ||", [*OLD, *NEW]),
        ("<*", []),
    ],
)
def test_ranges(text: str, expected: list[str]) -> None:
    assert admitted(text, VERSIONS) == expected


@pytest.mark.parametrize("text", ["", " ", "*", "x", "X", "||", "v*", ">=*", ">=0"])
def test_any_release(text: str) -> None:
    assert admitted(text, VERSIONS) == [*OLD, *NEW]


@pytest.mark.parametrize(
    "text",
    ["latest", "1.2.3.4", "1.", "1..2", "01.2", "1.2.3-01", "^", ">=", "!1", "1,2", "git+https://x", "1" * 17, "١"],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        npmrange.parse(text)


@given(st.text("0123456789.*xv^~<>=|, -\t+abc", max_size=40))
def test_any_text_is_a_range_or_none(text: str) -> None:
    try:
        fits = npmrange.parse(text)
    except ValueError:
        return
    assert fits(npmrange.version("1.2.3")) in (True, False)


SIGNS = ["", "~>", "~", "^", "=", ">", "<", ">=", "<=", ">=v", "v", "^v", "~> ", "^ ", "= ", ">= ", "< ", "<=\t"]
PARTS = ["", "*", "1", "1.2", "1.2.3", "1.x", "1.2.x", "1.*", "0", "0.0", "0.0.1", "0.1", "0.x", "22", "22.14", "18.x"]
PARTS += ["1.2.3-beta.2", "2.0.0-rc.1", "1.2-beta", "1.2.3+b", "01.2", "1.2.3.4", "latest", "2.0.0-0", "1.2.3-01", "1."]
JUDGE = """
const semver = require(process.argv[1]); const [ranges, versions] = JSON.parse(require("fs").readFileSync(0));
const judge = r => semver.validRange(r) === null ? null : versions.filter(v => semver.satisfies(v, r));
console.log(JSON.stringify(ranges.map(judge)));
"""


@pytest.mark.tools
def test_as_node_semver_reads_them() -> None:
    """Every range that node-semver reads is read alike; what it refuses may be understood (`1.X.3`)."""
    modules = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=True).stdout.strip()
    found = [
        place for place in (f"{modules}/npm/node_modules/semver", "/usr/share/nodejs/semver") if Path(place).is_dir()
    ]
    ranges = [sign + part for sign in SIGNS for part in PARTS]
    ranges += [f"{low}{dash}{high}" for low in PARTS for high in PARTS for dash in (" - ", "  -\t")]
    dice = random.Random(1)
    joints = ["  ", " ", "\t", " || ", "||", " |  ", ", "]
    ranges += [
        dice.choice(joints).join(dice.choice(ranges) for _ in range(dice.choice([2, 2, 3]))) for _ in range(3000)
    ]
    asked = json.dumps([ranges, VERSIONS])
    done = subprocess.run(["node", "-e", JUDGE, found[0]], input=asked, capture_output=True, text=True, check=True)
    judged = dict(zip(ranges, json.loads(done.stdout), strict=True))
    read = [text for text, versions in judged.items() if versions is not None]
    assert len(read) > 1000
    assert {text: admitted(text, VERSIONS) for text in read} == {text: judged[text] for text in read}
