"""Hundreds of droplets and plans changed in one place: every change is found, named in the right word, at the right path."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from made_droplets import stage
from mutations import LOCK, Mutation, gunzip, mutations, plan_texts, take_apart

from stager.evidence.verify.causes import compare
from stager.evidence.verify.findings import HINTS, LEVELS, Comparison
from stager.evidence.verify.plans import plan_findings
from stager.planning import lockfile

SEED = 20261122
LONG = "deep/" * 30 + "a file with a long name.txt"
FILES: dict[str, str | bytes] = {
    "main.py": "import flask\n\nprint('hello')\n" * 20,
    "static/logo.bin": bytes(range(256)) * 9,
    "Zoë.txt": "not in ASCII\n",
    LONG: "far below\n",
    "2026-11-22.log": "started 2026-11-22T10:00:00Z at /srv/me/app\n",
    **{f"pages/{number}.html": f"<p>{number}</p>\n" * number for number in range(1, 12)},
}
WHEELS = {
    "apple": (
        "1.0",
        {"apple/__init__.py": b"A = 1\n" * 50, "apple/data.txt": b"pips\n" * 400, "apple/bin.dat": bytes(3000)},
    ),
    "pear-tree": (
        "2.1",
        {"pear_tree/__init__.py": b"B = 2\n", "pear_tree/tree.py": b"def grow():\n    return 1\n" * 9},
    ),
}


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("droplet")
    (place / "app").mkdir()
    (place / "app" / "latest").symlink_to("pages/1.html")
    return stage(place, FILES, WHEELS, env={"COLOUR": "red", "HOMELY": "$HOME/x"})


@pytest.fixture(scope="module")
def found(droplet: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Mutation, Comparison]]:
    """Every mutation with what comparing it with the real droplet gives."""
    path = tmp_path_factory.mktemp("mutated") / "droplet.tgz"
    results = {}
    for mutation in mutations(droplet.read_bytes(), SEED):
        path.write_bytes(mutation.data)
        assert mutation.name not in results
        results[mutation.name] = (mutation, compare(str(path), str(droplet)))
    return results


def test_there_are_enough_of_them(found: dict[str, tuple[Mutation, Comparison]]) -> None:
    causes = Counter(cause for mutation, _ in found.values() for cause in mutation.causes)
    assert len(found) >= 350
    assert {
        "mode",
        "mtime",
        "owner",
        "order",
        "compressor",
        "link target",
        "header",
        "different input",
    } <= causes.keys()


def test_every_one_is_found(found: dict[str, tuple[Mutation, Comparison]]) -> None:
    silent = [name for name, (_, result) in found.items() if result.equal or not result.findings]
    assert silent == []


def test_each_has_its_cause_and_level(found: dict[str, tuple[Mutation, Comparison]]) -> None:
    wrong = {}
    for name, (mutation, result) in found.items():
        first = result.findings[0]
        if first.cause not in mutation.causes or first.level not in mutation.levels:
            wrong[name] = (first.cause, first.level, first.what, sorted(mutation.causes), sorted(mutation.levels))
    assert wrong == {}


def test_each_names_the_path(found: dict[str, tuple[Mutation, Comparison]]) -> None:
    wrong = {}
    for name, (mutation, result) in found.items():
        first = result.findings[0]
        if first.path not in mutation.paths:
            wrong[name] = (first.path, sorted(mutation.paths)[:4])
    assert wrong == {}


def test_findings_are_whole(found: dict[str, tuple[Mutation, Comparison]]) -> None:
    for name, (_, result) in found.items():
        for one in result.findings:
            assert one.cause in HINTS, name
            assert one.level in LEVELS, name
            assert one.what, name
            assert one.advice, name
            assert all(text.isprintable() for text in one.as_json().values()), name


def test_packages_and_layers_are_named(found: dict[str, tuple[Mutation, Comparison]]) -> None:
    seen: Counter[str] = Counter()
    for _, result in found.values():
        first = result.findings[0]
        if "/site-packages/apple/" in first.path:
            assert first.package == "apple@1.0"
            assert first.layer.startswith("pypi-") or first.path.endswith("/")
            seen["apple"] += 1
        if first.path.startswith("./app/pages/") and first.cause != "extra entry":
            assert first.package == "the app"
            seen["app"] += 1
    assert seen["apple"] >= 5
    assert seen["app"] >= 20


def test_an_unchanged_droplet_has_no_finding(droplet: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.tgz"
    copy.write_bytes(droplet.read_bytes())
    digest = "sha256:" + hashlib.sha256(droplet.read_bytes()).hexdigest()
    assert compare(str(copy), str(droplet)) == Comparison(digest, digest)
    assert compare(str(droplet), str(droplet)).equal


def test_the_same_staging_elsewhere_has_no_finding(droplet: Path, tmp_path: Path) -> None:
    place = tmp_path / "again"
    (place / "app").mkdir(parents=True)
    (place / "app" / "latest").symlink_to("pages/1.html")
    other = stage(place, FILES, WHEELS, env={"COLOUR": "red", "HOMELY": "$HOME/x"})
    assert other.read_bytes() == droplet.read_bytes()
    assert compare(str(other), str(droplet)).findings == ()


def test_the_seed_decides(droplet: Path) -> None:
    data = droplet.read_bytes()
    first, again, other = (list(mutations(data, seed)) for seed in (1, 1, 2))
    assert first == again
    assert {one.name for one in first} != {one.name for one in other}


def test_changed_plans_are_found_without_a_droplet(droplet: Path) -> None:
    parts, _ = take_apart(gunzip(droplet.read_bytes()))
    text = next(part.content for part in parts if part.name == LOCK).decode()
    plan, count = lockfile.loads(text.encode()).plan, 0
    for label, changed, cause, level in plan_texts(text):
        findings = list(plan_findings(lockfile.loads(changed.encode()).plan, plan, LOCK))
        assert findings, label
        assert (findings[0].cause, findings[0].level) == (cause, level), label
        count += 1
    assert count >= 20
    assert list(plan_findings(plan, plan, LOCK)) == []
