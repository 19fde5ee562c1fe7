"""The HTML report: what it holds, that nothing untrusted gets through, and that equal droplets give equal pages."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import shutil
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import pytest
from builders import TarEntry, make_tar
from command import in_process
from made_droplets import stage

from stager.droplet.reader import open_droplet
from stager.evidence.diff import compare, read
from stager.evidence.report import render_page
from stager.evidence.report.packages import listed
from stager.evidence.report.reading import look_into
from stager.evidence.report.treemap import Tile, TreemapNode, room, tiles
from stager.evidence.sbom.inventory import take
from stager.store import Store

WHEELS = {
    "alpha": ("1.9.0", {"alpha/__init__.py": b"A" * 40_000, "alpha/data/x.bin": bytes(90_000)}),
    "beta-tools": ("2.0", {"beta_tools/__init__.py": b"B" * 9_000}),
}
NEWER = {**WHEELS, "alpha": ("1.10.0", {"alpha/__init__.py": b"A" * 50_000})}


@pytest.fixture(scope="module")
def droplets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("report")
    first = stage(place / "a", {"main.py": "1\n" * 3000}, WHEELS, env={"MODE": "slow"})
    second = stage(place / "b", {"main.py": "2\n" * 3000}, NEWER, env={"MODE": "fast"}, web="./serve --fast")
    return first, second


def page_of(*paths: Path) -> str:
    sides = [read(str(path)) for path in paths]
    return render_page(sides[-1], compare(*sides) if len(sides) == 2 else None)


DESCRIBED = {
    **WHEELS,
    "gamma": ("1", {"gamma.py": b"G" * 500}),
    "delta": ("3.1", {"delta.py": b"D" * 200_000}),
    "omega": ("1", {"omega.py": b"O"}),
}
METADATA = {
    "alpha": "License-Expression: MIT\nRequires-Dist: beta-tools\n",
    "beta-tools": "Classifier: License :: OSI Approved :: BSD License\n",
    "gamma": "License: apache-2.0\nRequires-Dist: delta\n",
    "omega": "License-Expression: MIT\nRequires-Dist: omega\nRequires-Dist: delta ; extra == 'x'\n",
}
LOCKED = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = [\n  "alpha",\n]\n',
    "uv.lock": """version = 1
[[package]]
name = "shop"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "alpha" }]
[[package]]
name = "alpha"
version = "1.9.0"
dependencies = [{ name = "beta-tools" }]
[[package]]
name = "beta-tools"
version = "2.0"
""",
}
"""An app whose lock says why two of its packages are there; of the others only they themselves say it."""
WHY = {
    "alpha": "alpha 1.9.0 is in the droplet because the app asks for it (pyproject.toml:5).",
    "beta-tools": "beta-tools 2.0 is in the droplet because the app asks for alpha 1.9.0 (pyproject.toml:5), which needs it.",
    "gamma": "gamma 1 is in the droplet because the app asks for it (no other package needs it).",
    "delta": "delta 3.1 is in the droplet because the app asks for gamma 1 (no other package needs it), which needs it.",
}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage(tmp_path_factory.mktemp("described"), LOCKED, DESCRIBED, metadata=METADATA)


class Reader(HTMLParser):
    """Tags, attributes and text, and whether every element is closed in its turn."""

    VOID = frozenset(("meta", "link", "input", "rect", "br", "img", "hr"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append((self.open[-1] if self.open else "", data))

    def words(self) -> str:
        return " ".join(" ".join(data.split()) for tag, data in self.text if tag not in ("style", "script"))


def test_what_is_inside(droplets: tuple[Path, Path]) -> None:
    found = read(str(droplets[0]))
    page = Reader(page_of(droplets[0]))
    words = page.words()
    for text in (str(found.digest), "debian-12/amd64", "alpha", "1.9.0", "beta-tools", "MODE", "slow", "./serve"):
        assert text in words
    for reason in ("a test says so", "Procfile:1"):
        assert reason in words
    assert "What changed" not in words
    for layer in found.layers or ():
        assert layer.digest in words
    rows = [attributes for tag, attributes in page.tags if tag == "tr"]
    assert len(rows) > 8


def test_two_droplets_show_what_changed(droplets: tuple[Path, Path]) -> None:
    words = Reader(page_of(*droplets)).words()
    assert "Different in content." in words
    assert re.search(r"alpha\s+pypi\s+1\.9\.0\s+→\s+1\.10\.0", words)
    assert re.search(r"web\s+\./serve\s+→\s+\./serve --fast", words)
    assert re.search(r"MODE\s+slow\s+→\s+fast", words)
    assert "layers shared" in words
    assert "shared" in words
    same = Reader(page_of(droplets[0], droplets[0])).words()
    assert "Equal, byte for byte." in same


def test_packages_are_told_as_explain_and_sbom_tell_them(described: Path) -> None:
    found = read(str(described))
    rows = {row["name"]: row for row in listed(found, look_into(found)) or ()}
    assert {name: row["why"] for name, row in rows.items() if name != "omega"} == WHY
    assert {name: (row["reason"], row["short"], row["depth"]) for name, row in rows.items()} == {
        "alpha": ("asked", "the app asks for it", 1),
        "beta-tools": ("needed", "alpha 1.9.0 needs it", 2),
        "gamma": ("asked", "the app asks for it", 1),
        "delta": ("needed", "gamma 1 needs it", 2),
        "omega": ("asked", "the app asks for it", 1),
    }
    assert {name: row["needed_by"] for name, row in rows.items() if row["needed_by"]} == {
        "beta-tools": ["alpha 1.9.0"],
        "delta": ["gamma 1"],
    }
    for name in ("alpha", "beta-tools"):
        app, store = described.parent / "app", described.parent / "store"
        assert (
            in_process("explain", "package", name, "-C", app, "-q", "--offline", store=store)
            .good()
            .out.startswith(WHY[name])
        )
    with open_droplet(str(described)) as droplet:
        listing = take(droplet, Store(str(described.parent / "store")))
    said = {one.purl: one.licence.expression or ", ".join(one.licence.names) for one in listing.components}
    assert {row["purl"]: row["licence"] for row in rows.values()} == {
        row["purl"]: said[row["purl"]] for row in rows.values()
    }
    assert {name: row["licence"] for name, row in rows.items()} == {
        "alpha": "MIT",
        "beta-tools": "BSD License",
        "gamma": "Apache-2.0",
        "delta": "",
        "omega": "MIT",
    }
    words = Reader(page_of(described)).words()
    assert all(sentence in words for sentence in WHY.values())
    for text in ("MIT (2)", "not stated (1)", "the app asks for it (3)", "another package needs it (2)", "pypi (5)"):
        assert text in words


def test_a_lock_that_cannot_be_read_costs_no_report(tmp_path: Path) -> None:
    """Anybody's slug may say anything where a lock should be; then the packages themselves are asked."""
    files = {**LOCKED, "uv.lock": "version = [[["}
    found = read(str(stage(tmp_path, files, DESCRIBED, metadata=METADATA)))
    rows = {row["name"]: row["why"] for row in listed(found, look_into(found)) or ()}
    assert rows["alpha"] == "alpha 1.9.0 is in the droplet because the app asks for it (no other package needs it)."


def test_structure_and_accessibility(droplets: tuple[Path, Path]) -> None:
    page = Reader(page_of(*droplets))
    names = [tag for tag, _ in page.tags]
    assert {"header", "nav", "main", "footer"} <= set(names)
    assert all(names.count(tag) == 1 for tag in ("h1", "main", "header", "nav"))
    assert ("html", {"lang": "en"}) in page.tags
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        for key in ("aria-labelledby", "aria-controls", "for"):
            if key in attributes:
                assert attributes[key] in ids
        if tag == "a":
            assert attributes["href"].removeprefix("#") in ids
        if tag == "table":
            assert "caption" in names
        if tag == "svg" and attributes.get("role") == "img":
            assert attributes["aria-label"]
        assert not any(key.startswith("on") or key == "style" for key in attributes)
        assert not any(attributes.get(key, "").startswith(("http", "//")) for key in ("src", "href"))
    assert names.count("th") == sum("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_the_policy_allows_exactly_its_own_style_and_script(droplets: tuple[Path, Path]) -> None:
    text = page_of(droplets[0])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = policy[1].replace("&#39;", "'")
    assert "default-src 'none'" in rules
    assert "unsafe" not in rules
    for tag in ("style", "script"):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(inside) == 1
        hashed = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{hashed}'" in rules


HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "</style><b>bold",
    "{{ 7*7 }}",
    "\u202egpj.exe",
    "\u05e2\u05d1\u05e8\u05d9\u05ea",
    "n" * 90,
    "&amp;&lt;",
    "tab\tnew\nline",
)


def hostile(place: Path) -> Path:
    names = [f"./app/{name}" for name in HOSTILE]
    data = make_tar(TarEntry(name.encode(), b"x" * (100 - at)) for at, name in enumerate(names))
    path = place / "slug.tgz"
    path.write_bytes(gzip.compress(data, mtime=0))
    return path


def test_hostile_names_are_text(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    for text in (page_of(hostile(tmp_path)), page_of(droplets[0], hostile(tmp_path))):
        page = Reader(text)
        assert [tag for tag, _ in page.tags if tag in ("img", "b")] == []
        assert sum(tag == "script" for tag, _ in page.tags) == 1
        words = page.words()
        assert "<script>alert(1)</script>" in words
        assert "{{ 7*7 }}" in words
        assert "&amp;&lt;" in words
        assert "\u202e" not in text
        assert "\\u202egpj.exe" in words
        assert "tab\\tnew\\nline" in words
        assert "\u05e2\u05d1\u05e8\u05d9\u05ea" in words


def test_equal_droplets_give_equal_pages(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "another name.tgz"
    shutil.copy(droplets[0], copy)
    assert page_of(copy) == page_of(droplets[0])
    store = tmp_path / "store"
    pages = []
    for zone, seed in (("Asia/Tokyo", "1"), ("America/Lima", "77")):
        out = tmp_path / f"{seed}.html"
        done = in_process(
            "report", *droplets, "-o", out, "--json", store=store, TZ=zone, PYTHONHASHSEED=seed, LC_ALL="C"
        ).good()
        pages.append(out.read_bytes())
        assert done.document["size"] == len(pages[-1])
    assert pages[0] == pages[1] == page_of(*droplets).encode()
    assert not list(tmp_path.glob("*.part"))


def test_kinds_without_files_are_refused(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    lock = droplets[0].parent / "app" / "stager.lock"
    done = in_process("report", lock, "-o", tmp_path / "r.html", "--json", store=tmp_path / "store")
    assert (done.code, done.document["error"]["code"]) == (2, "UsageError")
    assert not (tmp_path / "r.html").exists()
    nowhere = in_process("report", droplets[0], "-o", tmp_path / "no" / "r.html", "--json", store=tmp_path / "store")
    assert nowhere.document["error"]["code"] == "CannotWrite"


# --- the treemap -----------------------------------------------------------------------------------------------


def area(tile: Tile) -> float:
    return tile.width * tile.height


def overlap(a: Tile, b: Tile) -> float:
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(0.0, width) * max(0.0, height)


@pytest.mark.parametrize("sizes", [[1], [5, 3, 1], [1000, 1, 1], list(range(1, 30)), [7] * 16, [10**9, 10**6, 10**3]])
def test_areas_are_sizes_and_nothing_overlaps(sizes: list[int]) -> None:
    found = tiles([TreemapNode(f"n{at}", size, "app") for at, size in enumerate(sizes)], 800, 400)
    whole = sum(sizes)
    assert all(
        tile.x >= 0 and tile.y >= 0 and tile.x + tile.width <= 800.1 and tile.y + tile.height <= 400.1 for tile in found
    )
    assert sum(area(tile) for tile in found) == pytest.approx(800 * 400, rel=0.02)
    for tile in found:
        size = sizes[int(tile.title.removeprefix("n"))]
        assert area(tile) == pytest.approx(800 * 400 * size / whole, rel=0.05, abs=120)
    for one, other in combinations(found, 2):
        assert overlap(one, other) < 45


def test_labels_are_cut_to_their_tiles() -> None:
    nodes = [
        TreemapNode("a" * 300, 50, "app"),
        TreemapNode("\u6f22" * 50, 30, "app"),
        TreemapNode("b", 0, "app"),
        TreemapNode("tiny", 1, "app"),
    ]
    found = tiles(nodes, 300, 200)
    for tile in found:
        assert room(tile.label) <= tile.width
    assert found[0].label.endswith("…")


def test_parts_lie_inside_their_group() -> None:
    group = TreemapNode("g", 100, "app", (TreemapNode("x", 60, "app"), TreemapNode("y", 40, "app")))
    first, *parts = tiles([group], 400, 300)
    assert first.group
    assert len(parts) == 2
    for part in parts:
        assert overlap(first, part) == pytest.approx(area(part), rel=0.01)
        assert part.y >= 22
