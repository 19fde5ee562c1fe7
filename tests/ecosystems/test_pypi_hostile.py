"""Locks and manifests damaged at random: every outcome is a result or a typed error, never a stray exception."""

from __future__ import annotations

import json
import os
import random
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from test_pypi_formats import FACTS, WRITERS, Pages

from stager.ecosystems.pypi import LOCKS, Target, check_drift, declared, find_locks, read_lock, requires_python
from stager.errors import StagerError
from stager.model import Stack
from stager.tree import SourceTree

TARGET = Target(Stack("debian-12", "amd64", (2, 36), "debian"), (3, 11), "3.11.2")
ROUNDS = int(os.environ.get("STAGER_TEST_ROUNDS", "40"))
ODD: list[Any] = [
    None, True, 0, -1, 10**30, 1.5, "", " ", ".", "..", "../x", "/etc", "\u202e", "é", "==", "==1.*", ">=", "a[b", "x; y",
    "sha256:", "md5:" + "0" * 32, "file:///etc", "https://[bad", "git+x", "-e .", "python_version >", "extra == 'x'",
    "' in extras", [], {}, [[]], [{}], {"name": 1}, {"": ""}, [None], "\n", "1!2+x", "a-b-c.whl", "-1-py3-none-any.whl",
]  # fmt: skip
PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "demo"
version = "1"
requires-python = ">=3.11"
dynamic = []
dependencies = ["flask>=3", "old-only; python_version < '3.12'"]
scripts = { go = "demo:main" }
[project.optional-dependencies]
web = ["x"]
[project.entry-points.group]
p = "demo"
[dependency-groups]
dev = ["y", { include-group = "more" }]
more = ["z"]
[tool.poetry]
name = "demo"
packages = [{ include = "demo", from = "src" }]
extras = { web = ["x"] }
scripts = { run = { reference = "demo:run", type = "console" } }
[tool.poetry.dependencies]
python = "^3.11"
flask = { version = "^3", optional = true, extras = ["async"], markers = "os_name == 'posix'" }
old-only = [{ version = "1", python = "<3.12" }]
[tool.poetry.group.dev.dependencies]
y = "*"
[tool.uv]
dev-dependencies = ["y"]
sources = { flask = { index = "main" }, x = [{ git = "https://git.example/x" }] }
[tool.setuptools]
package-dir = { "" = "src" }
packages = { find = { where = ["src"] } }
[tool.pdm]
distribution = true
dev-dependencies = { t = ["u"] }
resolution = { overrides = { a = "1" } }
build = { package-dir = "src" }
[tool.hatch.build.targets.wheel]
packages = ["src/demo"]
"""


def toml_of(value: Any) -> str:
    """A value as TOML in its inline form; what TOML cannot say becomes a string."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps("" if value is None else value)


def document_of(data: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(key)} = {toml_of(value)}\n" for key, value in data.items())


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(pairs):
        yield value, key
        yield from places(item)


def damaged(data: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A copy with one to three members replaced, removed or doubled."""
    copy: dict[str, Any] = json.loads(json.dumps(data))
    for _ in range(dice.randint(1, 3)):
        container, key = dice.choice(list(places(copy)) or [(copy, "x")])
        what = dice.random()
        if what < 0.2 and container:
            del container[key]
        elif what < 0.3 and isinstance(container, list):
            container.append(container[key])
        else:
            container[key] = dice.choice(ODD)
    return copy


def exercise(files: dict[str, str], lock: str) -> int:
    """Do everything with the app; the number of refusals. Anything but a StagerError is a failure."""
    tree, refused = SourceTree.of(files), 0
    for extras in ((), ("web",), ("../x",)):
        for step in (
            lambda: read_lock(tree, lock, TARGET, extras=extras, groups=extras, lookup=Pages(FACTS)),  # noqa: B023
            lambda: check_drift(tree, lock),
            lambda: requires_python(tree, lock),
            lambda: declared(tree),
            lambda: find_locks(tree),
        ):
            try:
                step()
            except StagerError as error:
                refused += bool(error.message and error.hint)
    return refused


@pytest.mark.parametrize("lock", [name for name in LOCKS if name != "requirements.txt"])
def test_damaged_locks(lock: str) -> None:
    dice = random.Random(lock)
    text = WRITERS[lock](FACTS)
    data = json.loads(text) if lock == "Pipfile.lock" else tomllib.loads(text)
    refused = 0
    for _ in range(ROUNDS):
        bad = damaged(data, dice)
        written = json.dumps(bad) if lock == "Pipfile.lock" else document_of(bad)
        refused += exercise({lock: written, "pyproject.toml": PYPROJECT, "src/demo/__init__.py": ""}, lock)
    assert refused > ROUNDS


@pytest.mark.parametrize("lock", ["uv.lock", "poetry.lock", "pdm.lock"])
def test_damaged_manifests(lock: str) -> None:
    dice = random.Random(f"{lock} manifest")
    data, refused = tomllib.loads(PYPROJECT), 0
    text = WRITERS[lock](FACTS).replace('"2.1"', '"2.0"').replace('groups = ["default"]', "") + (
        'content-hash = "x"\n' if lock == "poetry.lock" else ""
    )
    for _ in range(ROUNDS):
        files = {lock: text, "pyproject.toml": document_of(damaged(data, dice)), "src/demo/__init__.py": ""}
        refused += exercise(files, lock)
    assert refused > ROUNDS


def test_damaged_requirements() -> None:
    dice, refused = random.Random("requirements"), 0
    pieces = [*WRITERS["requirements.txt"](FACTS).split(), *(str(odd) for odd in ODD), "-r", "-c", "-i", "--hash",
              "\\\n", "\n", "\n", ";", "@", "#", "https://files.example/x-1-py3-none-any.whl", "requirements.txt"]  # fmt: skip
    for _ in range(ROUNDS):
        text = " ".join(dice.choices(pieces, k=dice.randint(1, 25)))
        refused += exercise({"requirements.txt": text, "requirements.in": text[::-1]}, "requirements.txt")
    assert refused > ROUNDS


def test_damaged_bytes() -> None:
    dice = random.Random("bytes")
    for lock in LOCKS:
        data = WRITERS[lock](FACTS).encode()
        for _ in range(ROUNDS // 4):
            at = dice.randrange(len(data))
            cut = data[:at] + bytes([dice.randrange(256)]) + data[at + dice.randint(0, 3) :]
            files = {lock: cut.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()}
            exercise(files, lock)
