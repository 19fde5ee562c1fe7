"""The examples of the documentation run as they stand there."""

from __future__ import annotations

import ast
import builtins
import contextlib
import hashlib
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from apps_fixture import materialise
from registry_contract import ContractRegistry
from registry_images import image

from stager.targets.oci.registry.access import Access
from stager.targets.oci.registry.client import connect
from stager.targets.oci.registry.push import push
from stager.targets.oci.registry.reference import parse

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """The service on a free port with two apps to stage and a folder that is none; its address."""
    apps, droplets = tmp_path / "apps", tmp_path / "droplets"
    for name in ("procfile-perl", "no-app"):
        materialise(name, apps)
    second = materialise("procfile-perl", tmp_path / "second")
    (second / "more.txt").write_text("a second app\n")
    second.rename(apps / "second")
    droplets.mkdir()
    with load("service").Service(("127.0.0.1", 0), str(apps), str(droplets)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def post(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_the_service_stages_two_apps_at_once(service: str) -> None:
    names = ["procfile-perl", "second"] * 3
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(lambda name: post(f"{service}/stage/{name}"), names))
    assert {status for status, _ in answers} == {200}
    digests = [document["digest"] for _, document in answers]
    assert digests == digests[:2] * 3
    assert digests[0] != digests[1]
    for name, (_, document) in zip(names, answers, strict=True):
        with urllib.request.urlopen(f"{service}/droplets/{name}.tgz", timeout=60) as answer:
            data = answer.read()
        assert len(data) == document["size"]
        assert document["digest"] == "sha256:" + sha256(data)
        assert document["processes"] == {"web": "./serve"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_service_passes_errors_on(service: str) -> None:
    status, document = post(f"{service}/stage/no-app")
    assert status == 422
    assert document["error"]["code"] == "NotDetected"
    assert post(f"{service}/stage/../droplets") == (404, {"error": "no such app"})


# --- what pages show in Python ---------------------------------------------------------------------------------

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```python[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def snippets(page: Path) -> list[str]:
    return FENCE.findall(page.read_text("utf-8"))


def resolved(node: ast.expr, names: dict[str, Any]) -> Any:
    """The object that `a.b.c` is, as far as it begins with an imported name; None for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    above = resolved(node.value, names) if isinstance(node, ast.Attribute) else None
    return None if above is None else getattr(above, node.attr)  # type: ignore[attr-defined]


def imported(tree: ast.AST) -> dict[str, Any]:
    """What the import statements of stager's own and Python's modules give; others' may not be installed."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            root = (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
            if root.partition(".")[0] in {"stager", *sys.stdlib_module_names}:
                exec(compile(ast.Module([node], []), "imports", "exec"), found)
            else:
                found |= {(name.asname or name.name).partition(".")[0]: None for name in node.names}
    return found


def faults(text: str, known: dict[str, Any]) -> list[str]:
    """Names that nothing binds, and calls of stager's own functions that do not fit them."""
    tree = ast.parse(text)
    known |= imported(tree)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {
        node.arg if isinstance(node, ast.arg) else node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.arg | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    known |= dict.fromkeys(bound - {*known})
    found = [f"{node.id} is bound nowhere" for node in names if node.id not in {*known, *dir(builtins), "__file__"}]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = resolved(call.func, known)
        if str(getattr(function, "__module__", "")).startswith("stager"):
            try:
                inspect.signature(function).bind(*call.args, **{one.arg or "": 0 for one in call.keywords})
            except TypeError as error:
                found.append(f"{ast.unparse(call)}: {error}")
    return found


def test_every_snippet_binds_its_names_and_calls_what_there_is() -> None:
    """Snippets of a page build on one another; an excerpt of an example is in that example."""
    found, count = [], 0
    for page in PAGES:
        known: dict[str, Any] = {}
        for text in snippets(page):
            count += 1
            excerpt = text.strip() in (EXAMPLES / "service.py").read_text("utf-8")
            found += [] if excerpt else [f"{page.name}: {fault}" for fault in faults(text, known)]
    assert found == []
    assert count >= 8


def test_the_check_of_snippets_finds_what_is_wrong() -> None:
    wrong = "import os\nimport stager\nstager.stage()\nstager.stage('a', nosuch=1)\nos.getcwd()\nstore.open('x')\n"
    assert faults(wrong, {}) == [
        "store is bound nowhere",
        "stager.stage(): missing a required argument: 'app'",
        "stager.stage('a', nosuch=1): got an unexpected keyword argument 'nosuch'",
    ]


def kept_as_text(path: Path) -> Iterator[ast.Module]:
    """The Python that a file keeps as text, for a process of its own, and that uses stager."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and re.search(r"^(from|import) stager\b", text, re.MULTILINE):
            with contextlib.suppress(SyntaxError):  # with places to be filled in
                yield ast.parse(text)


def absent(tree: ast.AST) -> list[str]:
    """What code names that stager's modules do not have; neither a linter nor mypy looks into text."""
    try:
        known = imported(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                resolved(node, known)
    except (ImportError, AttributeError) as error:
        return [str(error)]
    return []


def test_programs_that_are_kept_as_text_name_what_there_is() -> None:
    paths = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    paths = [path for path in paths if "apps" not in path.parts and path != Path(__file__)]
    trees = [(path, tree) for path in paths for tree in kept_as_text(path)]
    assert [f"{path.relative_to(ROOT)}: {fault}" for path, tree in trees for fault in absent(tree)] == []
    assert len(trees) > 20
    assert absent(ast.parse("from stager.stacks import tree\ntree.Nothing()"))
    assert absent(ast.parse("from stager.stacks import nothing"))


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_the_snippets_about_the_library_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    materialise("procfile-perl", tmp_path)
    (tmp_path / "procfile-perl").rename(tmp_path / "myapp")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGER_CACHE_DIR", str(tmp_path / "store"))
    names: dict[str, Any] = {}
    for text in snippets(ROOT / page):
        if text.strip() not in (EXAMPLES / "service.py").read_text("utf-8"):
            (tmp_path / "droplet.tgz").unlink(missing_ok=True)
            exec(compile(text, page, "exec"), names)
            assert names["droplet"].digest == "sha256:" + sha256((tmp_path / "droplet.tgz").read_bytes())
            assert names["droplet"].processes == {"web": "./serve"}


@pytest.fixture
def registry() -> Iterator[ContractRegistry]:
    with ContractRegistry() as made:
        yield made


def test_the_snippet_about_registries_pulls_an_image(
    tmp_path: Path, registry: ContractRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = snippets(ROOT / "docs/targets/registry.md")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    reference = parse(f"{registry.host}/shop:1")
    with connect(reference, Access.from_environment(os.environ, str(tmp_path))) as client:
        pushed = push(client, reference, image(b"one", b"two"))
    exec(compile(text.replace("localhost:5000", registry.host), "registry.md", "exec"), {})
    entry = json.loads((tmp_path / "layout/index.json").read_bytes())["manifests"][0]
    assert entry["digest"] == pushed.digest
    assert (tmp_path / "layout/blobs/sha256" / pushed.digest.partition(":")[2]).is_file()


@pytest.mark.network
@pytest.mark.slow
def test_the_demo_ends_well(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py"), str(tmp_path / "demo")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'hello from flask-poetry'" in done.stdout
    assert "'hello from express-npm-v3'" in done.stdout
    assert done.stdout.count("the same bytes") == 2
