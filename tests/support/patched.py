"""Builds that are not reproducible, for real: stager with one function replaced, run in processes of their own.

A patch is a `sitecustomize` module on `PYTHONPATH`, so that it reaches the command, and the child of `stager verify`, too.
`prepared` makes an app with a lock whose artifacts are in a store that knows nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from command import Done, in_process, stager
from made_droplets import Wheels, plan_of

from stager.planning import lockfile
from stager.store import Store

ROOT = Path(__file__).parents[2]
FILES = {
    "Procfile": "web: ./serve\n",
    "serve": "#!/bin/sh\nexec cat\n",
    "main.py": "print('hello')\n",
    **{f"pages/{name}.html": f"<p>{name}</p>\n" for name in ("one", "two", "three", "four", "five", "six")},
}
WHEELS: Wheels = {
    "apple": ("1.0", {"apple/__init__.py": b"A = 1\n" * 50, "apple/core.py": b"def f():\n    return 1\n" * 40})
}

HEADER_FIELD = """
import os, time
import stager.formats.tar as tar
plain = tar.header
def field(at, value):
    def header(*arguments, **named):
        whole = plain(*arguments, **named)
        extended, made = whole[:-512], whole[-512:]
        made = made[:at] + value() + made[at + len(value()):]
        made = made[:148] + b" " * 8 + made[156:]
        return extended + made[:148] + b"%06o\\0 " % sum(made) + made[156:]
    tar.header = header
"""
GENERATED = """
import os, sys, time
import stager.droplet.base as dependencies
plain = dependencies.generated_files
def write(make, path=".stager/built.txt"):
    dependencies.generated_files = lambda plan, root, store: plain(plan, root, store) | {path: make(root)}
"""


def umask_of_now() -> str:
    """Code that gives the umask."""
    return "def umask():\n    now = os.umask(0o22)\n    os.umask(now)\n    return now\n"


MTIME = HEADER_FIELD + "field(136, lambda: b'%011o\\0' % int(time.time()))\n"
MODE = HEADER_FIELD + umask_of_now() + "field(100, lambda: b'%07o\\0' % (0o777 & ~umask()))\n"
OWNER = HEADER_FIELD + "field(108, lambda: b'%07o\\0' % os.getuid())\n"
DEVICE = HEADER_FIELD + "field(337, lambda: b'%07o\\0' % (os.getuid() % 7 + 1))\n"
ORDER = """
import os
import stager.tree as tree
plain = tree.SourceTree.read.__func__
def read(cls, root, **named):
    found = plain(cls, root, **named)
    names = {}
    for place, folders, files in os.walk(root):
        for name in files:
            names[os.path.relpath(os.path.join(place, name), root)] = len(names)
    found.files = dict(sorted(found.files.items(), key=lambda item: names[item[0]]))
    return found
tree.SourceTree.read = classmethod(read)
"""
COMPRESSOR = """
import zlib
import stager.formats.codec as codec
def compress(data):
    view = memoryview(data)
    for start in range(0, len(view), codec.CHUNK):
        state = zlib.compressobj(6, zlib.DEFLATED, -15)
        yield state.compress(view[start:start + codec.CHUNK]) + state.flush(zlib.Z_FULL_FLUSH)
codec.compress = compress
codec.check_known_answer = lambda: None
import stager.staging as staging
staging.check_known_answer = lambda: None
"""
BYTECODE = """
import importlib.util, marshal, os, struct, time
import stager.droplet.pieces as pieces, stager.formats.tar as tar
plain = pieces.build
def build(entries, store, label, *rest, **named):
    entries = list(entries)
    if label.endswith(".whl"):
        code = marshal.dumps(compile("A = 1\\n", "apple/core.py", "exec"))
        made = importlib.util.MAGIC_NUMBER + STAMP() + code
        path = ".stager/pypi/site-packages/apple/__pycache__/core.cpython-311.pyc"
        entries = sorted([*entries, tar.PieceFile(path, made)], key=lambda one: one.path.encode())
    return plain(entries, store, label, *rest, **named)
pieces.build = build
"""
STAMPED = BYTECODE + "STAMP = lambda: struct.pack('<LLL', 0, int(time.time()), 6)\n"
HASHED = BYTECODE + "STAMP = lambda: struct.pack('<LQ', 1, 4711)\n"


def generated(expression: str) -> str:
    """A build that writes what an expression gives (of `root`, the app's folder) to `.stager/built.txt`."""
    return GENERATED + f"write(lambda root: {expression} + chr(10))\n"


def prepared(place: Path, files: Mapping[str, str] | None = None) -> tuple[Path, Path]:
    """An app with its lock, and a store that has the artifacts and nothing else."""
    app, store = place / "app", Store(str(place / "store"))
    for path, text in {**FILES, **(files or {})}.items():
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).write_text(text, "utf-8")
    (app / "serve").chmod(0o755)
    (app / "stager.lock").write_text(lockfile.dumps(plan_of(app, WHEELS, store)), "utf-8")
    return app, place / "store"


def patch(place: Path, code: str) -> dict[str, str]:
    """The variables under which stager runs with this code in front."""
    folder = place / "patch"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code, "utf-8")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"} if code else {}


def build(app: Path, store: Path, variables: Mapping[str, str]) -> Path:
    """Stage the app into `droplet.tgz` beside it."""
    out = app.parent / "droplet.tgz"
    _run("stage", app, "-o", out, "--offline", "--locked", "-q", store=store, variables=variables).good()
    return out


def verify(app: Path, store: Path, variables: Mapping[str, str], *options: object) -> Done:
    """`stager verify` of that droplet."""
    out = app.parent / "droplet.tgz"
    return _run("verify", out, "--source", app, "--offline", "--json", "-q", *options, store=store, variables=variables)


def _run(*arguments: object, store: Path, variables: Mapping[str, str]) -> Done:
    """A command, in a process of its own where a patch is to be in front of it."""
    return stager(*arguments, store=store, cwd=None, **variables) if variables else in_process(*arguments, store=store)
