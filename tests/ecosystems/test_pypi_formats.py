"""Every lock format of one project comes to the same artifacts."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin

import pytest

from stager.ecosystems.pypi import LOCKS, IndexFile, Target, check_drift, find_locks, normalise_index, read_lock
from stager.ecosystems.pypi.lookup import Keep
from stager.model import Locked, Stack
from stager.tree import SourceTree

INDEX = "https://index.example/simple"
AMD64 = Stack("debian-12", "amd64", (2, 36), "debian")
ARM64 = Stack("debian-13", "arm64", (2, 41), "debian")
TARGETS = [Target(AMD64, (3, 11), "3.11.2"), Target(ARM64, (3, 13), "3.13.5")]


class Fact(NamedTuple):
    """One package of the project: its files with their hashes, and the marker under which it is needed."""

    name: str
    version: str
    files: tuple[tuple[str, str], ...]
    marker: str = ""


def char(letter: str) -> str:
    return "sha256:" + letter * 64


FACTS = [
    Fact("flask", "3.1.0", (("flask-3.1.0-py3-none-any.whl", char("a")), ("flask-3.1.0.tar.gz", char("b")))),
    Fact("markup-safe", "3.0", (
        ("markup_safe-3.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", char("c")),
        ("markup_safe-3.0-cp311-cp311-manylinux_2_28_x86_64.whl", char("d")),
        ("markup_safe-3.0-cp313-cp313-manylinux_2_28_aarch64.whl", char("e")),
        ("markup_safe-3.0-cp313-cp313-musllinux_1_2_aarch64.whl", char("f")),
    )),
    Fact("colorama", "0.4", (("colorama-0.4-py3-none-any.whl", char("0")),), "sys_platform == 'win32'"),
    Fact("old-only", "1.0", (("old_only-1.0-py2.py3-none-any.whl", char("1")),), "python_version < '3.12'"),
]  # fmt: skip
PYPROJECT = (
    '[project]\nname = "demo"\nversion = "1"\ndependencies = ["flask>=3", "old-only; python_version < \'3.12\'"]\n'
)


def url(file: str) -> str:
    return f"https://files.example/{file}"


def uv(facts: list[Fact]) -> str:
    edges = "".join(
        f'    {{ name = "{f.name}"' + (f', marker = "{f.marker}"' if f.marker else "") + " },\n" for f in facts
    )
    text = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n[[package]]\nname = "demo"\nversion = "1"\n'
    text += f'source = {{ virtual = "." }}\ndependencies = [\n{edges}]\n'
    text += '[package.metadata]\nrequires-dist = [{ name = "flask", specifier = ">=3" }, '
    text += '{ name = "old-only", marker = "python_full_version < \'3.12\'" }]\n'
    for fact in facts:
        text += f'[[package]]\nname = "{fact.name}"\nversion = "{fact.version}"\nsource = {{ registry = "{INDEX}" }}\n'
        wheels = [f'{{ url = "{url(file)}", hash = "{text_}" }}' for file, text_ in fact.files if file.endswith(".whl")]
        text += f"wheels = [{', '.join(wheels)}]\n"
    return text


def pylock(facts: list[Fact]) -> str:
    text = 'lock-version = "1.0"\ncreated-by = "hand"\n'
    for fact in facts:
        text += f'[[packages]]\nname = "{fact.name}"\nversion = "{fact.version}"\nindex = "{INDEX}"\n'
        text += f'marker = "{fact.marker}"\n' if fact.marker else ""
        files = [(file, value.partition(":")[2]) for file, value in fact.files if file.endswith(".whl")]
        wheels = [f'{{ url = "{url(file)}", hashes = {{ sha256 = "{value}" }} }}' for file, value in files]
        text += f"wheels = [{', '.join(wheels)}]\n"
    return text


def listed(fact: Fact) -> str:
    return ", ".join(f'{{file = "{file}", hash = "{value}"}}' for file, value in fact.files)


def poetry(facts: list[Fact]) -> str:
    text = ""
    for fact in facts:
        text += f'[[package]]\nname = "{fact.name}"\nversion = "{fact.version}"\noptional = false\n'
        text += f'python-versions = "*"\ngroups = ["main"]\nfiles = [{listed(fact)}]\n'
        text += f'markers = "{fact.marker}"\n' if fact.marker else ""
    return text + '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.11"\n'


def pdm(facts: list[Fact]) -> str:
    text = '[metadata]\ngroups = ["default"]\nstrategy = ["inherit_metadata"]\nlock_version = "4.5.0"\n'
    for fact in facts:
        text += f'[[package]]\nname = "{fact.name}"\nversion = "{fact.version}"\ngroups = ["default"]\n'
        text += f'marker = "{fact.marker}"\n' if fact.marker else ""
        text += f"files = [{listed(fact)}]\n"
    return text


def pipfile(facts: list[Fact]) -> str:
    entries = {
        fact.name: {
            "hashes": sorted(value for _, value in fact.files),
            "version": f"=={fact.version}",
            **({"markers": fact.marker} if fact.marker else {}),
        }
        for fact in facts
    }
    return json.dumps({"_meta": {"pipfile-spec": 6, "sources": []}, "default": entries})


def requirements(facts: list[Fact]) -> str:
    text = ""
    for fact in facts:
        marker = f" ; {fact.marker}" if fact.marker else ""
        text += (
            f"{fact.name}=={fact.version}{marker}"
            + "".join(f" \\\n    --hash={value}" for _, value in fact.files)
            + "\n"
        )
    return text


WRITERS: dict[str, Callable[[list[Fact]], str]] = {
    "uv.lock": uv,
    "pylock.toml": pylock,
    "poetry.lock": poetry,
    "pdm.lock": pdm,
    "Pipfile.lock": pipfile,
    "requirements.txt": requirements,
}


class Pages:
    """Simple pages of the facts."""

    def __init__(self, facts: list[Fact]) -> None:
        self.facts = {fact.name: fact for fact in facts}

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        pairs = self.facts[name].files if name in self.facts else ()
        return [IndexFile(file, url(file), {"sha256": value.partition(":")[2]}) for file, value in pairs]


def rows(found: Locked) -> list[tuple[str, str, str, str]]:
    return [(item.purl, item.filename, item.digest, item.url) for item in found.artifacts]


def test_the_formats_are_all_there() -> None:
    assert tuple(WRITERS) == LOCKS
    tree = SourceTree.of({name: write(FACTS) for name, write in reversed(WRITERS.items())})
    assert find_locks(tree) == list(LOCKS)


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("target", TARGETS, ids=["amd64", "arm64"])
def test_every_format_gives_the_same(lock: str, target: Target) -> None:
    tree = SourceTree.of({lock: WRITERS[lock](FACTS), "pyproject.toml": PYPROJECT})
    indexes = frozenset({normalise_index(INDEX)})
    found = read_lock(tree, lock, target, lookup=Pages(FACTS), default_indexes=indexes)
    if target.python == (3, 11):
        expected = [
            ("pkg:pypi/flask@3.1.0", "flask-3.1.0-py3-none-any.whl", char("a"), ""),
            ("pkg:pypi/markup-safe@3.0", "markup_safe-3.0-cp311-cp311-manylinux_2_28_x86_64.whl", char("d"), ""),
            ("pkg:pypi/old-only@1.0", "old_only-1.0-py2.py3-none-any.whl", char("1"), ""),
        ]
    else:
        expected = [
            ("pkg:pypi/flask@3.1.0", "flask-3.1.0-py3-none-any.whl", char("a"), ""),
            ("pkg:pypi/markup-safe@3.0", "markup_safe-3.0-cp313-cp313-manylinux_2_28_aarch64.whl", char("e"), ""),
        ]
    assert rows(found) == expected
    assert found.names == {purl.partition("/")[2].partition("@")[0] for purl, _, _, _ in expected}
    check_drift(tree, lock)


# --- with the real index ---------------------------------------------------------------------------------------


class RealPages:
    """The index's own simple pages, as HTML (PEP 503), which every index has."""

    def __init__(self, index: str) -> None:
        self.index = index

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        page = f"{self.index}/{name}/"
        with urllib.request.urlopen(page, timeout=60) as answer:
            links = re.findall(r'href="([^"#]+)#sha256=([0-9a-f]{64})"', answer.read().decode())
        return [IndexFile(unquote(link.rpartition("/")[2]), urljoin(page, link), {"sha256": v}) for link, v in links]


def facts_of(uv_lock: str) -> list[Fact]:
    """The packages of a real `uv.lock`, every one as if the project asked for it itself."""
    document = tomllib.loads(uv_lock)
    markers = {d["name"]: d.get("marker", "") for p in document["package"] for d in p.get("dependencies", ())}
    found = []
    for package in document["package"]:
        files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        pairs = tuple((file["url"].rpartition("/")[2], file["hash"]) for file in files)
        if pairs:
            found.append(Fact(package["name"], package["version"], pairs, markers.get(package["name"], "")))
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project locked by uv."""
    from uv import find_uv_bin

    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["flask>=3", "tomli; python_version < \'3.12\'"]\n'
    )
    for command in (
        ["lock"],
        ["export", "--frozen", "--no-emit-project", "--format", "pylock.toml", "-o", "pylock.toml"],
        ["export", "--frozen", "--no-emit-project", "--format", "requirements.txt", "-o", "requirements.txt"],
    ):
        subprocess.run([find_uv_bin(), *command, "-q", "--no-config"], cwd=folder, check=True)
    facts = facts_of((folder / "uv.lock").read_text())
    for name in ("poetry.lock", "pdm.lock", "Pipfile.lock"):
        (folder / name).write_text(WRITERS[name](facts))
    return folder


@pytest.mark.network
@pytest.mark.parametrize("target", TARGETS, ids=["amd64", "arm64"])
def test_every_format_of_a_real_project_gives_the_same(project: Path, target: Target) -> None:
    from pip._internal.models.index import PyPI

    tree = SourceTree.of({path.name: path.read_bytes() for path in project.iterdir() if path.is_file()})
    indexes = frozenset({normalise_index(PyPI.simple_url)})
    pages = RealPages(PyPI.simple_url)
    found = {lock: rows(read_lock(tree, lock, target, lookup=pages, default_indexes=indexes)) for lock in LOCKS}
    assert found == dict.fromkeys(LOCKS, found["uv.lock"])
    assert len(found["uv.lock"]) == (8 if target.python == (3, 11) else 7)
    assert not any(link for *_, link in found["uv.lock"])
    for lock in ("uv.lock", "pylock.toml", "requirements.txt"):
        check_drift(tree, lock)
