"""Small files that would take a parser for ever: each ends in time, typed or read, whatever the machine does meanwhile."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

K = 1000
DOTS = "a." * 60 * K + "a = 1\n"
MANIFEST = '{"name": "a", "version": "1.0.0", "dependencies": {"b": "^1.0.0"}}'
BOMBS = {
    "stager.yml: brackets": ("stager.yml", "[" * 20 * K),
    "stager.yml: braces": ("stager.yml", "a: " + "{" * 900 * K),
    "stager.yml: a long name above many": ("stager.yml", "? " + "n" * 900 * K + "\n: {" + "a: 1, " * 9 + "}\n"),
    "Staticfile: brackets": ("Staticfile", "[" * 20 * K),
    "pyproject.toml: a dotted key": ("pyproject.toml", DOTS),
    "pyproject.toml: a dotted header": ("pyproject.toml", "[" + "a." * 60 * K + "a]\n"),
    "pyproject.toml: quoted parts": ("pyproject.toml", '"a" . ' * 60 * K + "a = 1\n"),
    "pyproject.toml: in a table": ("pyproject.toml", "x = {" + DOTS + "}\n"),
    "pyproject.toml: arrays": ("pyproject.toml", "a = " + "[" * 900 * K),
    "pyproject.toml: digits": ("pyproject.toml", "a = " + "9" * 900 * K),
    "uv.lock: a dotted key": ("uv.lock", "version = 1\n" + DOTS),
    "Pipfile: a dotted key": ("Pipfile", DOTS),
    "mise.toml: a dotted key": ("mise.toml", DOTS),
    "stager.lock: a dotted key": ("stager.lock", DOTS),
    "stager.lock: a number": ("stager.lock", "version = " + "1" * 5000),
    "package.json: arrays": ("package.json", "[" * 2000 * K),
    "package.json: digits": ("package.json", '{"version": ' + "9" * 2000 * K + "}"),
    "package.json: half of a character": ("package.json", '{"name": "\\ud800", "bin": {"\\ud800": "x"}}'),
    "pnpm-lock.yaml: brackets": ("pnpm-lock.yaml", "packages:\n  " + "[" * 4000 * K),
    "yarn.lock: quotes": ("yarn.lock", "# yarn lockfile v1\n\n" + '"' * 4000 * K),
    "requirements.txt: spaces": ("requirements.txt", "a" + " " * 300 * K + "x #"),
    "requirements.txt: brackets in a marker": ("requirements.txt", "a==1; " + "(" * 5000 + "os_name=='x'" + ")" * 5000),
    ".npmrc: references": (".npmrc", "registry = ${" * 70 * K),
    ".nvmrc: a hyphen": (".nvmrc", "22 - x y"),
    ".gitignore: stars": (".gitignore", "*a" * 100 * K),
}
CODE = """
import sys
from stager import staging
from stager.planning import buildpacks, detection, plan as planning
from stager.planning.detection import options
from stager.ecosystems import npm, pypi
from stager.errors import StagerError
from stager.net.indexes import Indexes
from stager.droplet.incremental import Folder

def tried(step):
    try:
        step()
    except StagerError as error:
        print(type(error).__name__, end=" ")

folder = Folder.read(sys.argv[1])
tree = folder.tree
tried(lambda: detection.detect(tree))
tried(lambda: npm.declared(tree)), tried(lambda: pypi.declared(tree))
tried(lambda: [npm.check_drift(tree, lock) for lock in npm.find_locks(tree)])
tried(lambda: [pypi.check_drift(tree, lock) for lock in pypi.find_locks(tree)])
tried(lambda: planning.indexes_for(tree, Indexes.from_environment({}, home="/nowhere")))
tried(lambda: [options.read(tree, pack) for pack in buildpacks.load_all()])
tried(lambda: staging.previous_plan(folder))
print("done")
"""


def bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


@pytest.mark.parametrize("name", BOMBS)
def test_no_file_takes_long(name: str, tmp_path: Path) -> None:
    """In a process that may use 20 seconds of processor time; what it replaces took 16 on a fast machine, or no end."""
    path, text = BOMBS[name]
    (tmp_path / "Procfile").write_text("web: ./run\n")
    if path in ("yarn.lock", "pnpm-lock.yaml", ".npmrc", ".nvmrc"):
        (tmp_path / "package.json").write_text(MANIFEST)
    (tmp_path / path).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, timeout=280, preexec_fn=bounded
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-800:])
    assert done.stdout.endswith("done\n")
