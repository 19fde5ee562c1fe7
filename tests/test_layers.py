"""The direction of imports and the places of side effects, as design and docs/decisions state them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "stager"

RANKS = [
    {"errors", "digest", "resources"},
    {"model", "checked"},
    {"tree", "tar", "archive", "render", "buildpack", "box", "lockfile", "store", "codec", "inflate", "elf"},
    {"ecosystems"},
    {"detection", "commands", "planning", "runtimes", "fetching", "web", "assembly"},
    {"staging"},
    {"__init__", "__main__", "cli"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}

OWNERS = {
    "socket": {"fetching", "web"},
    "ssl": {"fetching", "web"},
    "http.client": {"fetching", "web"},
    "urllib.request": {"fetching", "web"},
    "urllib3": {"fetching", "web"},
    "requests": {"fetching", "web"},
    "cachecontrol": {"fetching", "web"},
    "jinja2": {"render"},
    "tarfile": set(),
    "zipfile": set(),
    "gzip": set(),
    "random": set(),
    "uuid": set(),
    "getpass": set(),
    "locale": set(),
    "platform": set(),
}
"""Modules of effects, and who below `stager/` may import them."""

CALLS = {
    "os.environ": {"cli"},
    "os.getenv": {"cli"},
    "os.environb": {"cli"},
    "time.time": {"cli"},
    "time.time_ns": {"cli", "tree"},
    "datetime.datetime.now": {"cli"},
    "datetime.now": {"cli"},
    "datetime.utcnow": set(),
    "os.walk": set(),
    "sys.platform": {"cli"},
    "os.uname": {"cli"},
}
"""Attributes that read the machine, and who may. `tree` reads the clock for its guard against racy files only."""


def modules() -> list[str]:
    """Every module as a dotted path below the package: `tar`, `ecosystems.npm.layout`, `__init__`."""
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    names = (".".join(path.parts) for path in paths if path.parts[0] != "_data")
    return sorted(name.removesuffix(".__init__") for name in names)


def source(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def parsed(module: str) -> ast.Module:
    """The module without what only type checkers read."""
    return WithoutTyping().visit(ast.parse(source(module).read_text("utf-8")))  # type: ignore[no-any-return]


class WithoutTyping(ast.NodeTransformer):
    """Drops the body of every `if TYPE_CHECKING:`; nothing in it is imported when stager runs."""

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
        return self.generic_visit(node)


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """(absolute dotted name, whether it is stager's own) of every import, function-level ones included."""
    package = (
        module.split(".") if source(module).name == "__init__.py" and module != "__init__" else module.split(".")[:-1]
    )
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.removeprefix("stager."), alias.name.partition(".")[0] == "stager"
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            own = bool(node.level) or stem.partition(".")[0] == "stager"
            stem = stem.removeprefix("stager").removeprefix(".") if not node.level else stem
            for alias in node.names:
                yield (".".join(filter(None, (stem, alias.name))), own)


def own_imports(module: str) -> set[str]:
    """The modules of stager that a module imports, as dotted paths below the package."""
    known, found = set(modules()), set()
    for name, own in imports(module):
        if own:
            parent = name.rpartition(".")[0]
            found.add(name if name in known else parent if parent in known else "__init__")
    return found - {module}


def top(module: str) -> str:
    return module.partition(".")[0]


def attributes(module: str) -> set[str]:
    """Every dotted attribute a module mentions (`os.environ`), aliases of imports undone."""
    names = {}
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            names.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    found = set(names.values())
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{names.get(node.value.id, node.value.id)}.{node.attr}")
    return found


def test_every_module_has_a_rank() -> None:
    assert {top(module) for module in modules()} <= set(RANK)


@pytest.mark.parametrize("module", modules())
def test_imports_never_go_up(module: str) -> None:
    above = {name for name in own_imports(module) if RANK[top(name)] > RANK[top(module)]}
    assert not above, f"{module} imports {above}, of a higher rank"


def test_there_is_no_cycle() -> None:
    graph = {module: own_imports(module) for module in modules()}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", modules())
def test_effects_stay_with_their_owners(module: str) -> None:
    used = {name for name, own in imports(module) if not own}
    stray = {
        effect
        for effect, owners in OWNERS.items()
        if top(module) not in owners and any(name == effect or name.startswith(effect + ".") for name in used)
    }
    stray |= {call for call, owners in CALLS.items() if top(module) not in owners and call in attributes(module)}
    assert not stray, f"{module} must not use {stray}"


def test_the_check_sees_what_it_forbids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree.py").write_text("from .cli import main\nimport tarfile\nfrom os import environ\n")
    (tmp_path / "cli.py").write_text("def f():\n    from . import tree\n")
    monkeypatch.setattr("test_layers.PACKAGE", tmp_path)
    parsed.cache_clear()
    assert own_imports("tree") == {"cli"}
    assert own_imports("cli") == {"tree"}
    assert ("tarfile", False) in imports("tree")
    assert "os.environ" in attributes("tree")
    parsed.cache_clear()
