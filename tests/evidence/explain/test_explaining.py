"""`stager explain`: sentences that are right and specific, for sample apps as users have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from apps_fixture import materialise
from builders import make_wheel
from command import Done, in_process
from made_droplets import plan_of, stage

from stager.droplet.base import layer_of
from stager.droplet.incremental import Folder
from stager.ecosystems.graph import Graph
from stager.ecosystems.npm import needs as npm_needs
from stager.ecosystems.pypi import needs as pypi_needs
from stager.evidence.diff import Package
from stager.evidence.explain.runtimes import admits
from stager.model import Plan
from stager.planning import lockfile
from stager.store import Store
from stager.tree import SourceTree


def explain(app: Path, *words: object, store: Path) -> Done:
    return in_process("explain", *words, "-C", app, "-q", store=store)


def said(done: Done) -> list[str]:
    return done.good().out.splitlines()


# --- buildpack: no index is needed -----------------------------------------------------------------------------

BUILDPACKS = {
    "procfile-perl": "procfile takes part: Procfile names a process (Procfile).",
    "django-uv": "python takes part: uv.lock locks its Python packages (uv.lock).",
    "express-pnpm-9": "nodejs takes part: package.json describes a Node.js project (package.json).",
    "static-plain": "static takes part: index.html is a page to serve (index.html).",
    "flask-requirements": "python takes part: requirements.txt lists its Python packages (requirements.txt).",
    "python-node": "nodejs takes part: package.json describes a Node.js project (package.json).",
}


@pytest.mark.parametrize("name", sorted(BUILDPACKS))
def test_why_this_buildpack(name: str, tmp_path: Path) -> None:
    done = explain(materialise(name, tmp_path), "buildpack", "--json", store=tmp_path / "store").good()
    rows = {row["subject"]: row for row in done.document["topics"]["buildpack"] if row["subject"] != "note"}
    assert set(rows) == {"python", "nodejs", "static", "procfile"}
    taken = {name for name, row in rows.items() if row["data"]["takes_part"]}
    named = BUILDPACKS[name].partition(" ")[0]
    assert named in taken
    file = BUILDPACKS[name].rpartition("(")[2].rstrip(").")
    assert rows[named]["data"]["file"] == file
    assert rows[named]["answer"].startswith(f"{named} takes part: ")
    assert all("looks for" in row["answer"] for name, row in rows.items() if name not in taken)


def test_what_the_lock_and_the_versions_rest_on(tmp_path: Path) -> None:
    lines = said(explain(materialise("django-uv", tmp_path), "buildpack", store=tmp_path / "store"))
    assert lines[:3] == [
        "python takes part: uv.lock locks its Python packages (uv.lock).",
        "  uv.lock is the lock file it honours",
        "  it asks for python >=3.11: pyproject.toml asks for Python >=3.11 (pyproject.toml:4)",
    ]
    assert "nodejs takes no part: it looks for package.json, or a program such as server.js or index.js." in lines


def test_an_app_that_nobody_recognises_is_the_error_of_detect(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "notes").write_text("x")
    done = explain(app, "buildpack", "--json", store=tmp_path / "store")
    assert (done.code, done.document["error"]["code"]) == (20, "NotDetected")


def test_topics_are_checked(tmp_path: Path) -> None:
    app = materialise("procfile-perl", tmp_path)
    done = explain(app, "weather", store=tmp_path / "store")
    assert done.code == 2
    assert "there is no topic 'weather'" in done.err
    assert "layer: which layers the next staging makes again, and which input changed" in done.err


# --- process ---------------------------------------------------------------------------------------------------


def test_a_command_of_the_procfile(tmp_path: Path) -> None:
    lines = said(explain(materialise("procfile-perl", tmp_path), "process", "--offline", store=tmp_path / "store"))
    assert lines == [
        "web runs `./serve`: Procfile names it (Procfile:1).",
        "  the order: stager.yml, Procfile, .s2i/environment, then the rules of the buildpacks, the first that fits",
    ]


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "sentence", "rule", "passed"),
    [
        (
            "django-uv",
            'web runs `gunicorn --bind "0.0.0.0:$PORT" mysite.wsgi:application`: Django\'s WSGI application '
            "mysite.wsgi:application, served by gunicorn (mysite/settings.py:11).",
            "the rule of python that fits: Django",
            "gunicorn.conf.py with wsgi_app",
        ),
        (
            "flask-requirements",
            'web runs `gunicorn --bind "0.0.0.0:$PORT" app:app`: Flask application app:app, served by gunicorn (app.py:7).',
            "the rule of python that fits: Flask",
            "FastAPI",
        ),
        (
            "express-npm-v3",
            "web runs `npm start`: package.json's start script: node server.js (package.json:5).",
            "the rule of nodejs that fits: scripts.start in package.json",
            "",
        ),
    ],
)
def test_a_command_by_a_rule(
    name: str, sentence: str, rule: str, passed: str, tmp_path: Path, shared_store: Path
) -> None:
    lines = said(explain(materialise(name, tmp_path), "process", store=shared_store))
    assert lines[0] == sentence
    assert "  stager.yml and Procfile would come first, but there is none" in lines
    assert f"  {rule}" in lines
    assert any("that do not fit" in line and passed in line for line in lines)


# --- version ---------------------------------------------------------------------------------------------------


@pytest.mark.network
def test_why_this_python(tmp_path: Path, shared_store: Path) -> None:
    app = materialise("django-uv", tmp_path)
    lines = said(explain(app, "version", store=shared_store))
    assert lines[0].endswith(": the stack's own Python, which satisfies '>=3.11' (pyproject.toml:4).")
    assert lines[1:3] == ["  pyproject.toml:4 asks for '>=3.11'", "  uv.lock:3 asks for '>=3.11'"]
    assert lines[3].startswith("  the rule: the stack's own Python comes first when every request allows it")
    assert lines[4].startswith("  candidate 3.11.")
    assert lines[4].endswith(", the stack's own: chosen")
    assert sum("would do, but comes later" in line for line in lines) >= 3
    (app / ".python-version").write_text("3.13\n")
    lines = said(explain(app, "version", store=shared_store))
    assert any(line.endswith(", the stack's own: refused by '3.13' (.python-version:1)") for line in lines)
    ways = ("by python-build-standalone: chosen", "built from its sources: chosen")  # where that is out of reach
    assert any("3.13." in line and line.endswith(ways) for line in lines)


@pytest.mark.network
def test_why_this_node(tmp_path: Path, shared_store: Path) -> None:
    lines = said(explain(materialise("express-npm-v3", tmp_path), "version", store=shared_store))
    assert lines[0].startswith("node 22.")
    assert lines[0].endswith("which satisfies '22.x' (package.json:6).")
    chosen = [line for line in lines if line.endswith("): chosen")]
    assert len(chosen) == 1
    assert chosen[0].startswith("  candidate 22 (long-term since 2024-10")
    assert any(line.startswith("  candidate 24 ") and "refused by '22.x'" in line for line in lines)


def test_no_runtime(tmp_path: Path) -> None:
    lines = said(explain(materialise("procfile-perl", tmp_path), "version", "--offline", store=tmp_path / "store"))
    assert lines == ["The app has no runtime: it brings its own program."]


@pytest.mark.parametrize(
    ("runtime", "wanted", "line", "allowed"),
    [
        ("python", ">=3.11", "3.11", True),
        ("python", ">=3.11.5,<3.12", "3.11", True),
        ("python", "<3.11", "3.11", False),
        ("python", "^3.12", "3.11", False),
        ("node", ">=18 <21", "20", True),
        ("node", ">=18 <21", "22", False),
        ("node", "22.3.1", "22", True),
        ("node", "lts/*", "24", True),
        ("node", "^20.5.0 || >=23", "22", False),
    ],
)
def test_whether_a_request_admits_a_line(runtime: str, wanted: str, line: str, allowed: bool) -> None:
    assert admits(runtime, wanted, line) is allowed


# --- layer -----------------------------------------------------------------------------------------------------

WHEELS = {"alpha": ("1.0", {"alpha.py": b"A = 1\n"}), "beta": ("2.0", {"beta.py": b"B = 1\n"})}


def test_nothing_known_then_nothing_changed_then_a_file(tmp_path: Path) -> None:
    app, store = materialise("procfile-perl", tmp_path), tmp_path / "store"
    words = ("layer", "--offline")
    assert said(explain(app, *words, store=store))[0] == (
        "This folder has not been staged with this store: nothing is known of an earlier staging."
    )
    (app / "lib").mkdir()
    (app / "lib" / "a.txt").write_text("a")
    made = in_process("stage", app, "-o", tmp_path / "d.tgz", "--offline", "-q", store=store).good().out.strip()
    quiet = said(explain(app, *words, store=store))
    assert quiet[0] == f"Nothing changed since the last staging ({made[:19]}…): every layer is reused."
    assert quiet[-2:] == [
        "skeleton is reused: the plan is the same.",
        "app is reused: none of the app's files changed.",
    ]
    (app / "lib" / "a.txt").write_text("b")
    (app / "new.txt").write_text("n")
    changed = said(explain(app, *words, store=store))
    assert changed == [
        f"2 files changed since the last staging ({made[:19]}…).",
        "  lib/a.txt changed",
        "  new.txt came",
        "skeleton is reused: the plan is the same.",
        "app is made again: lib/a.txt changed, new.txt came.",
        "  its files lie in 1 group, of which 0 are reused",
    ]
    before = sorted((path, path.stat().st_mtime_ns) for path in store.rglob("*.json"))
    explain(app, *words, store=store)
    assert sorted((path, path.stat().st_mtime_ns) for path in store.rglob("*.json")) == before


def test_an_executable_bit_is_a_change(tmp_path: Path) -> None:
    app, store = materialise("procfile-perl", tmp_path), tmp_path / "store"
    in_process("stage", app, "-o", tmp_path / "d.tgz", "--offline", "-q", store=store).good()
    (app / "Procfile").chmod(0o755)
    lines = said(explain(app, "layer", "--offline", store=store))
    assert "  an executable bit or a link changed" in lines
    assert lines[-1] == "app is made again: an executable bit or a link changed."


def test_which_package_made_a_layer_again(tmp_path: Path) -> None:
    """The plan is another one since the last staging, whose droplet still is there to tell what it held."""
    stage(tmp_path, {"main.py": "1\n"}, WHEELS)
    app, store = tmp_path / "app", tmp_path / "store"
    newer = {**WHEELS, "alpha": ("1.1", {"alpha.py": b"A = 2\n"})}
    (app / "stager.lock").write_text(lockfile.dumps(plan_of(app, newer, Store(str(store)))), "utf-8")
    lines = said(explain(app, "layer", "--offline", store=store))
    names = {
        name: layer_of(one, ".stager/pypi")
        for name in WHEELS
        for one in plan_of(app, WHEELS, Store(str(store))).artifacts
        if one.name.startswith(name)
    }
    assert f"{names['alpha']} is made again: alpha 1.0 → 1.1." in lines
    assert f"{names['beta']} is reused: none of its 1 package changed." in lines
    assert "skeleton is made again: the plan it holds changed." in lines
    assert "app is reused: none of the app's files changed." in lines
    (tmp_path / "droplet.tgz").unlink()
    assert said(explain(app, "layer", "--offline", store=store)) == lines, "the store remembers plans without droplets"
    first = json.dumps(lockfile.dumps(plan_of(app, WHEELS, Store(str(store)))), ensure_ascii=False)
    for memo in (store / "v1" / "memo").rglob("*.json"):
        if first in memo.read_text():
            memo.unlink()
    gone = said(explain(app, "layer", "--offline", store=store))
    assert (
        "The plan changed, but the earlier one is gone with its droplet: which package changed cannot be told." in gone
    )


def test_against_an_earlier_droplet(tmp_path: Path) -> None:
    first = stage(tmp_path / "one", {"main.py": "1\n"}, WHEELS)
    kept = shutil.copy(first, tmp_path / "first.tgz")
    stage(tmp_path / "two", {"main.py": "2\n"}, {"alpha": WHEELS["alpha"]})
    app = tmp_path / "two" / "app"
    done = explain(app, "layer", "--droplet", kept, "--offline", "--json", store=tmp_path / "two" / "store").good()
    rows = {row["subject"]: row for row in done.document["topics"]["layer"]}
    assert rows["all"]["data"]["files"] == {"main.py": "changed"}
    gone = next(row for row in rows.values() if "is gone" in row["answer"])
    assert gone["answer"].endswith("is gone: beta 2.0 went.")
    assert rows["app"]["data"]["made"] is True
    folder = explain(app, "layer", "--droplet", app / "stager.lock", "--offline", store=tmp_path / "two" / "store")
    assert folder.code == 2
    assert "layers cannot be compared with the plan stager.lock" in folder.err


def test_layers_are_named_as_the_droplet_names_them(tmp_path: Path) -> None:
    from stager.droplet.reader import open_droplet

    droplet = stage(tmp_path, {}, WHEELS)
    with open_droplet(str(droplet)) as opened:
        names = [layer.name for layer in opened.layers]
        mine = sorted({layer_of(one, path) for one in opened.plan.artifacts for path in one.paths})
    assert names == ["skeleton", *mine, "app"]


# --- size ------------------------------------------------------------------------------------------------------


def test_what_is_big(tmp_path: Path) -> None:
    wheels = {"big": ("1.0", {"big/data.bin": bytes(range(256)) * 4000}), "small": ("1.0", {"small.py": b"s"})}
    droplet = stage(tmp_path, {}, wheels)
    done = explain(tmp_path / "app", "size", "--json", store=tmp_path / "store").good()
    whole, owners, files = done.document["topics"]["size"]
    assert owners["answer"] == "The biggest part is big@1.0, 1.0 MB."
    assert [row["name"] for row in owners["data"]["owners"]][:2] == ["big@1.0", "stager"]
    assert files["data"]["files"][0] == {"path": ".stager/pypi/site-packages/big/data.bin", "size": 1024000}
    assert whole["data"]["size"] == droplet.stat().st_size
    assert sum(row["unpacked"] for row in owners["data"]["owners"]) == whole["data"]["unpacked"]
    nothing = explain(materialise("procfile-perl", tmp_path), "size", store=tmp_path / "other")
    assert nothing.code == 2
    assert "there is no droplet of this folder" in nothing.err


# --- package ---------------------------------------------------------------------------------------------------

NEEDS_MS = [
    "ms 2.0.0 is in the droplet because the app asks for express 4.21.2 (package.json:{line}), which needs debug 2.6.9, "
    "which needs it.",
    "ms 2.1.3 is in the droplet because the app asks for express 4.21.2 (package.json:{line}), which needs send 0.19.0, "
    "which needs it.",
]
NPM = {
    "express-npm-v1": "package-lock.json",
    "express-npm-v2": "package-lock.json",
    "express-npm-v3": "package-lock.json",
    "express-shrinkwrap": "npm-shrinkwrap.json",
    "express-pnpm-6": "pnpm-lock.yaml",
    "express-pnpm-9": "pnpm-lock.yaml",
    "express-yarn-1": "yarn.lock",
    "express-yarn-berry": "yarn.lock",
}


@pytest.mark.parametrize("name", sorted(NPM))
def test_every_npm_lock_leads_to_a_package(name: str, tmp_path: Path) -> None:
    tree = SourceTree.read(str(materialise(name, tmp_path)))
    graph = npm_needs.graph(tree, NPM[name])
    for version, chain in (
        ("2.0.0", ["express 4.21.2", "debug 2.6.9", "ms 2.0.0"]),
        ("2.1.3", ["express 4.21.2", "send 0.19.0", "ms 2.1.3"]),
    ):
        path = graph.path_to("ms", version)
        assert path is not None, version
        assert [graph.label(node) for node in path] == chain
    express = next(node for node, (one, _) in graph.names.items() if one == "express")
    assert graph.needed_by(express) == []  # npm's lock and Berry's have the app as a package too
    root = next(iter(graph.roots.values()))
    line = int(root.rpartition(":")[2])
    assert '"express"' in tree.read_text("package.json").splitlines()[line - 1]


def test_buns_lock(tmp_path: Path) -> None:
    graph = npm_needs.graph(SourceTree.read(str(materialise("hono-bun", tmp_path))), "bun.lock")
    assert graph.path_to("hono", "4.10.4") == ["hono"]
    tree = SourceTree.of({"package.json": '{"dependencies": {"a": "1"}}', "bun.lock": BUN})
    graph = npm_needs.graph(tree, "bun.lock")
    path = graph.path_to("c", "2.0.0")
    assert path == ["a", "a/c"]
    assert graph.path_to("c", "1.0.0") == ["a", "b", "c"]


BUN = json.dumps(
    {
        "lockfileVersion": 1,
        "workspaces": {"": {"name": "x", "dependencies": {"a": "1"}}},
        "packages": {
            "a": ["a@1.0.0", "", {"dependencies": {"b": "1", "c": "2"}}, "sha512-x"],
            "b": ["b@1.0.0", "", {"dependencies": {"c": "1"}}, "sha512-x"],
            "c": ["c@1.0.0", "", {}, "sha512-x"],
            "a/c": ["c@2.0.0", "", {}, "sha512-x"],
        },
    }
)


def python_plan(*names: str) -> Plan:
    from dataclasses import replace

    from stager.digest import sha256
    from stager.formats.codec import CODEC
    from stager.model import Artifact, Reason, Runtime

    artifacts = tuple(
        Artifact(
            f"pkg:pypi/{name}@1.0", f"{name}-1.0-py3-none-any.whl", sha256(make_wheel(name, "1.0")), "wheel/1", ("p",)
        )
        for name in names
    )
    empty = Plan("debian-12", "amd64", CODEC, (), (), (), artifacts, (), (), (), ())
    return replace(empty, runtimes=(Runtime("python", "3.11.2", "debian", (2, 36), Reason("x")),))


MANIFEST = '[project]\nname = "x"\nversion = "1"\ndependencies = [\n  "one",\n]\n'
PIP_COMPILE = """\
one==1.0 \\
    --hash=sha256:00
    # via -r requirements.in
two==1.0 --hash=sha256:00
    # via one
three==1.0 \\
    --hash=sha256:00
    # via
    #   one
    #   two
"""
UV = """\
version = 1
[[package]]
name = "x"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "one" }]
[[package]]
name = "one"
version = "1.0"
dependencies = [{ name = "three", marker = "sys_platform == 'win32'" }, { name = "two" }]
[[package]]
name = "two"
version = "1.0"
dependencies = [{ name = "three" }]
[[package]]
name = "three"
version = "1.0"
"""
POETRY = """\
[[package]]
name = "one"
version = "1.0"
[package.dependencies]
two = ">=1"
three = { version = "*", markers = "python_version < \\"3\\"" }
[[package]]
name = "two"
version = "1.0"
[package.dependencies]
Three = "*"
[[package]]
name = "three"
version = "1.0"
"""
PDM = """\
[[package]]
name = "one"
version = "1.0"
dependencies = ["two>=1", "three; python_version < '3'"]
[[package]]
name = "two"
version = "1.0"
dependencies = ["Three"]
[[package]]
name = "three"
version = "1.0"
"""


@pytest.mark.parametrize(("lock", "text"), [("uv.lock", UV), ("poetry.lock", POETRY), ("pdm.lock", PDM)])
def test_every_python_lock_that_says_it(lock: str, text: str) -> None:
    """Markers that do not hold for the plan's Python lead nowhere."""
    tree = SourceTree.of({"pyproject.toml": MANIFEST, lock: text})
    graph = pypi_needs.graph(tree, lock, python_plan("one", "two", "three"))
    path = graph.path_to("three", "1.0")
    assert path is not None
    labels = [graph.label(node) for node in path]
    assert labels[-3:] == ["one 1.0", "two 1.0", "three 1.0"]
    assert graph.roots["one"] == "pyproject.toml:5"
    assert graph.needed_by("one") == []  # uv's lock has the app as a package too


def test_comments_of_pip_compile() -> None:
    tree = SourceTree.of({"requirements.in": "one\n", "requirements.txt": PIP_COMPILE})
    graph = pypi_needs.graph(tree, "requirements.txt", python_plan("one", "two", "three"))
    assert graph.path_to("three", "1.0") == ["one", "three"]
    assert graph.path_to("two", "1.0") == ["one", "two"]
    assert graph.roots == {"one": "requirements.txt:3, via -r requirements.in"}
    assert graph.needed_by("three") == ["one", "two"]


@pytest.mark.parametrize("text", ["one==1.0 --hash=sha256:00\ntwo==1.0 --hash=sha256:00\n"])
def test_a_lock_that_says_nothing_is_said_to(text: str) -> None:
    tree = SourceTree.of({"requirements.in": "one\n", "requirements.txt": text})
    graph = pypi_needs.graph(tree, "requirements.txt", python_plan("one", "two"))
    assert graph.path_to("two", "1.0") is None
    assert graph.silence == "which does not say which package needs which"
    assert graph.path_to("one", "1.0") == ["one"]


def test_cycles_end() -> None:
    graph = Graph("x", {"a": "m"}, {"a": ["b"], "b": ["a"]}, {"a": ("a", "1"), "b": ("b", "1")})
    assert graph.path_to("b", "1") == ["a", "b"]
    assert graph.path_to("c", "1") is None


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "package", "sentence"),
    [
        (
            "django-uv",
            "asgiref",
            "asgiref {version} is in the droplet because the app asks for django 5.2.8 (pyproject.toml:5), which needs it.",
        ),
        (
            "flask-poetry",
            "MarkupSafe",
            "markupsafe {version} is in the droplet because the app asks for flask 3.1.2 (pyproject.toml:4), which needs it.",
        ),
        (
            "flask-requirements",
            "markupsafe",
            "markupsafe {version} is pinned by requirements.txt, which does not say which package needs which.",
        ),
        (
            "express-pnpm-9",
            "express",
            "express {version} is in the droplet because the app asks for it (package.json:6).",
        ),
        ("django-uv", "libpython3.11-stdlib", "libpython3.11-stdlib {version} is part of the runtime python 3.11.2."),
    ],
)
def test_why_a_package(name: str, package: str, sentence: str, tmp_path: Path, shared_store: Path) -> None:
    done = explain(materialise(name, tmp_path), "package", package, "--json", store=shared_store).good()
    row: dict[str, Any] = done.document["topics"]["package"][0]
    assert row["answer"] == sentence.format(version=row["data"]["version"])


@pytest.mark.network
def test_both_versions_of_a_package(tmp_path: Path, shared_store: Path) -> None:
    app = materialise("express-npm-v3", tmp_path)
    lines = said(explain(app, "package", "ms", store=shared_store))
    assert lines == [line.format(line=7) for line in NEEDS_MS]
    done = explain(app, "package", "expres", store=shared_store)
    assert done.code == 2
    assert "Did you mean express" in done.err


def test_a_package_needs_a_name(tmp_path: Path) -> None:
    done = explain(materialise("procfile-perl", tmp_path), "package", "--offline", store=tmp_path / "store")
    assert done.code == 2
    assert "which package?" in done.err


def test_without_a_topic_all_are_told(tmp_path: Path) -> None:
    lines = said(explain(materialise("procfile-perl", tmp_path), "--offline", store=tmp_path / "store"))
    assert [line for line in lines if line in ("buildpack", "version", "process", "layer")] == [
        "buildpack",
        "version",
        "process",
        "layer",
    ]


def test_asking_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    app = materialise("procfile-perl", tmp_path)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in app.iterdir())
    said(explain(app, "--offline", store=tmp_path / "store"))
    assert sorted((path.name, path.stat().st_mtime_ns) for path in app.iterdir()) == before


def test_packages_of_purls() -> None:
    from stager.model import Artifact

    digest = make_digest()
    one = Package.of(Artifact("pkg:npm/%40scope/name@1.0.0?x=y", "f", digest, "npm/1", ("p",)))
    assert (one.ecosystem, one.name, one.version) == ("npm", "@scope/name", "1.0.0")
    bare = Package.of(Artifact("pkg:npm/name", "f", digest, "npm/1", ("p",)))
    assert (bare.name, bare.version) == ("name", "")


def make_digest() -> Any:
    from stager.digest import sha256

    return sha256(b"")


def test_a_folder_is_read_once(tmp_path: Path) -> None:
    """The question's folder is what restage knows of it, and the memo is left alone."""
    droplet = stage(tmp_path, {}, {})
    store = Store(str(tmp_path / "store"))
    folder = Folder.read(str(tmp_path / "app"), store)
    assert folder.memo.last is not None
    assert folder.memo.last.out is not None
    assert folder.memo.last.out.path == str(droplet)


def test_after_a_restage_the_layers_are_explained_by_the_staging_before_it(tmp_path: Path) -> None:
    app, store = materialise("procfile-perl", tmp_path), tmp_path / "store"
    for _ in range(2):  # the second one has the lock that the first one wrote
        in_process("stage", app, "-o", app / "droplet.tgz", store=store).good()
    (app / "new.txt").write_text("new\n")
    in_process("stage", app, "-o", app / "droplet.tgz", store=store).good()
    told = in_process("explain", "layer", "-C", app, store=store).good().out
    assert "1 file changed since the last staging but one" in told
    assert "app is made again: new.txt came." in told
    assert "skeleton is reused: the plan is the same." in told
    in_process("stage", app, "-o", app / "droplet.tgz", store=store).good()
    assert in_process("explain", "layer", "-C", app, store=store).good().out == told, (
        "a staging that changes nothing is none"
    )
    (app / "Procfile").write_text((app / "Procfile").read_text() + "worker: sleep 5\n")
    in_process("stage", app, "-o", app / "droplet.tgz", store=store).good()
    told = in_process("explain", "layer", "-C", app, store=store).good().out
    assert "skeleton is made again: the plan it holds changed, as Procfile did." in told
