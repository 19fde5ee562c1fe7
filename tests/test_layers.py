"""The direction of imports and the places of side effects, as design and docs/decisions state them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "stager"

RANKS = [
    "names digest errors frozen",
    "records model",
    "files",
    "text",
    "formats",
    "tree",
    "store",
    "net",
    "facts",
    "ecosystems",
    "runtimes",
    "fetching",
    "planning",
    "stacks",
    "droplet",
    "sandbox",
    "resolving",
    "settings bases",
    "builds",
    "staging entry locking",
    "targets",
    "local",
    "evidence",
    "calls unexpected library",
    "cli __main__",
]
"""The folders and modules of `stager/` in the order of the flow; a module imports only from its own line or those above it."""
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names.split()}

OWNERS = {
    "socket": {
        "net.addresses",
        "net.gate",
        "net.guard",
        "net.session",
        "local.running",
        "local.health",
        "sandbox.running",  # a name that the kernel keeps, no connection
    },
    "ssl": {"net.gate", "net.session"},
    "http.client": {"local.health"},
    "urllib.request": set(),
    "urllib3": {"net.session", "fetching.web"},
    "requests": {"fetching.web"},
    "cachecontrol": {"fetching.web"},
    "jinja2": {"text.render"},
    "platform": {"builds.machines", "sandbox.inside", "local.running", "locking", "unexpected"},
    "tarfile": set(),
    "zipfile": set(),
    "gzip": set(),
    "random": set(),
    "uuid": set(),
    "getpass": set(),
    "locale": set(),
}
"""Modules of effects, and who below `stager/` may import them. Connections are opened by the sessions of
`net` alone, whose pools `web` gives to its cache; `running` looks for a free port."""

CALLS = {
    "os.environ": {"cli.commands.shared", "library"},
    "os.environb": set(),
    "os.getenv": set(),
    "time.time": {"store.disk", "cli.commands.box"},
    "time.time_ns": {"tree", "droplet.incremental", "store.rules"},
    "datetime.datetime.now": set(),
    "datetime.datetime.utcnow": set(),
    "datetime.date.today": set(),
    "sys.platform": {"cli.commands.shared", "library", "store.locks"},
    "os.uname": set(),
    "os.umask": set(),
    "os.walk": {"text.resources", "store.upkeep", "evidence.verify.copying", "evidence.verify.restaging"},
}
"""Attributes that read the machine, and who may. The clock says how old leftovers are (`disk`) and
which files are too young to be remembered (`tree`, `restage`); it never reaches a result."""


@cache
def modules() -> list[str]:
    """Every module as a dotted path below the package: `model`, `ecosystems.npm.layout`, `__init__`.

    But for the programs in folders `inside`, which stager never imports: they run in a sandbox, by a droplet's interpreter.
    """
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    names = (".".join(path.parts) for path in paths if path.parts[0] != "_data" and "inside" not in path.parts)
    return sorted(name.removesuffix(".__init__") for name in names)


def source(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(source(module).read_text("utf-8"))


@cache
def nodes(module: str) -> list[ast.AST]:
    """Every import and attribute of the module, without what only type checkers read: `if TYPE_CHECKING:`."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = [*parsed(module).body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            todo += node.orelse
            continue
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Attribute):
            found.append(node)
        todo += ast.iter_child_nodes(node)
    return found


def imports(module: str, among: Iterable[ast.AST] | None = None) -> Iterator[tuple[str, bool]]:
    """(absolute dotted name, whether it is stager's own) of every import, or of those `among` some nodes."""
    package = (
        module.split(".") if source(module).name == "__init__.py" and module != "__init__" else module.split(".")[:-1]
    )
    for node in nodes(module) if among is None else among:
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


def own_imports(module: str, among: Iterable[ast.AST] | None = None) -> set[str]:
    """The modules of stager that a module imports, as dotted paths below the package.

    The package itself does not count: importing any of its modules imports it first, so it must import none.
    """
    known, found = set(modules()), set()
    for name, own in imports(module, among):
        if own:
            found.add(name if name in known else name.rpartition(".")[0])
    return {name for name in found if name} - {module, "__init__"}


def top(module: str) -> str:
    return module.partition(".")[0]


def attributes(module: str) -> set[str]:
    """Every dotted attribute a module mentions (`os.environ`), aliases of imports undone."""
    names = {}
    for node in nodes(module):
        if isinstance(node, ast.Import):
            names.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    found = set(names.values())
    for node in nodes(module):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{names.get(node.value.id, node.value.id)}.{node.attr}")
    return found


def test_every_module_has_a_rank() -> None:
    assert {top(module) for module in modules()} - {"__init__"} == set(RANK)


def test_the_package_imports_nothing_by_itself() -> None:
    names = {
        name for name, own in imports("__init__", parsed("__init__").body) if own or name != "__future__.annotations"
    }
    assert not names


def test_imports_never_go_up() -> None:
    """Those inside functions included. What is found is every offender, as is said of each rule below."""
    up = {
        module: above
        for module in sorted(set(modules()) - {"__init__"})
        if (above := {name for name in own_imports(module) if RANK[top(name)] > RANK[top(module)]})
    }
    assert not up, f"imports of a higher rank: {up}"


def test_there_is_no_cycle() -> None:
    """Of any kind: those inside functions count as well. What only type checkers read does not."""
    graph = {module: own_imports(module) for module in modules()}
    assert list(TopologicalSorter(graph).static_order())


def test_effects_stay_with_their_owners() -> None:
    found = {module: out for module in modules() if (out := stray(module))}
    assert not found, f"effects outside their owners: {found}"


def stray(module: str) -> set[str]:
    """The effects and calls that a module uses and does not own."""
    used = {name for name, own in imports(module) if not own}
    return {
        *(e for e in OWNERS if module not in OWNERS[e] and any(n == e or n.startswith(e + ".") for n in used)),
        *(call for call in CALLS.keys() & attributes(module) if module not in CALLS[call]),
    }


WARM = [
    "text.resources",
    "digest",
    "errors",
    "tree",
    "formats.tar",
    "store",
    "store.rules",
    "frozen",
    "records",
    "droplet.incremental",
    "droplet.assembly",
    "formats.codec",
    "settings",
    "entry",
    "cli",
    "cli.commands.stage",
]
HEAVY = {
    *("dataclasses", "typing", "pathlib", "tomllib", "concurrent.futures", "logging", "tempfile", "subprocess", "re"),
    *("shutil", "inspect", "asyncio", "email", "http", "argparse", "contextlib", "threading"),
    *("requests", "pathspec", "yaml", "urllib3", "jinja2", "packaging", "rich", "filelock"),
}


def test_the_warm_path_imports_nothing_heavy() -> None:
    """Every warm restage pays for these imports. Python itself loads none of the heavy ones, and json brings re once."""
    code = f"""
import sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
for name in {WARM}:
    before = set(sys.modules)
    __import__("stager." + name)
    print(name, *sorted({HEAVY} & (set(sys.modules) - before)))
"""
    # -S hides the site folder; what is on the warm path needs none of it
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {name: heavy for name, *heavy in map(str.split, done.stdout.splitlines())}
    assert found == {**{name: [] for name in WARM}, "digest": ["re"]}


def forget() -> None:
    modules.cache_clear()
    parsed.cache_clear()
    nodes.cache_clear()


def test_the_check_sees_what_it_forbids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree.py").write_text("from .cli import main\nimport tarfile\nfrom os import environ\n")
    (tmp_path / "cli.py").write_text("def f():\n    from . import tree\n")
    monkeypatch.setattr("test_layers.PACKAGE", tmp_path)
    forget()
    assert own_imports("tree") == {"cli"}
    assert own_imports("cli") == {"tree"}
    assert ("tarfile", False) in imports("tree")
    assert "os.environ" in attributes("tree")
    forget()


# --- the page about it


def first_cells(heading: str) -> list[list[str]]:
    """What stands in backticks in the first column of the table under a heading of the page on architecture."""
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text("utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    return [found for row in rows if (found := re.findall("`([^`]+)`", row))]


def test_the_page_on_architecture_has_every_folder_in_its_order() -> None:
    assert [" ".join(name.rstrip("/") for name in row) for row in first_cells("The rooms")] == RANKS


def test_the_page_on_architecture_has_every_kind_of_memo() -> None:
    kinds = {
        node.args[0].value
        for module in modules()
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("remember", "recall")
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert {name for row in first_cells("What is remembered") for name in row} == kinds
