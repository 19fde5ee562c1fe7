"""A Python that the stack has not, built from its sources in Debian's archive: launched in the stack, with all its modules.

It is built twice once a run, for the first app; the second app shares it. Which patch release that is, the mirror says.
"""

from __future__ import annotations

import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from command import ask, in_process, running
from trees import lay_out

pytestmark = [pytest.mark.network, pytest.mark.tools, pytest.mark.slow]

NOWHERE = "http://127.0.0.1:9"
"""A port that nobody listens on, in place of python-build-standalone's archive."""
MODULES = "bz2 ctypes curses dbm decimal hashlib lzma mmap multiprocessing readline sqlite3 ssl uuid zlib zoneinfo"
APP = f"""\
import json, sys, sysconfig
import {", ".join(MODULES.split())}
import markupsafe._speedups

def app(environ, start_response):
    memory = sqlite3.connect(":memory:")
    answer = {{
        "version": sys.version.split()[0],
        "prefix": sys.prefix,
        "headers": sysconfig.get_path("include"),
        "authorities": len(ssl.create_default_context().get_ca_certs()),
        "zone": str(zoneinfo.ZoneInfo("Europe/Berlin")),
        "sqlite": memory.execute("select 1").fetchone()[0],
        "digest": hashlib.sha256(b"").hexdigest()[:8],
        "cached": sys.modules["decimal"].__cached__,
    }}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""
FILES = {
    ".python-version": "3.13\n",
    "wsgi.py": APP,
    "Procfile": "web: waitress-serve --listen=0.0.0.0:$PORT wsgi:app\n",
    "requirements.in": "markupsafe\nwaitress\n",
    "stager.yml": "python: {bytecode: runtime}\n",
}


def staged(app: Path, store: Path) -> dict[str, Any]:
    """Lock an app where no build of its Python can be fetched, and stage it."""
    in_process("lock", app, store=store, UV_PYTHON_INSTALL_MIRROR=NOWHERE).good()
    return dict(
        in_process("stage", app, "--locked", "-o", app.with_suffix(".tgz"), "--json", store=store).good().document
    )


def test_a_python_built_from_its_sources(tmp_path: Path, shared_store: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    lay_out(first, FILES)
    made = staged(first, shared_store)
    (build,) = [one for one in made["builds"] if one["name"] == "cpython"]
    assert build["checked"], "two runs in different surroundings were equal"
    lock = tomllib.loads((first / "stager.lock").read_text())
    (runtime,) = lock["runtime"]
    assert (runtime["source"], runtime["version"].rpartition(".")[0]) == ("sources", "3.13")
    assert lock["facts"]["python.bytecode"] == "runtime"

    with running(first.with_suffix(".tgz"), tmp_path / "log", "--in", "stack", store=shared_store) as (port, process):
        status, body = ask(port, "/", process)
    assert status == 200, body
    answer = json.loads(body)
    assert answer.pop("authorities") > 100
    place = "/app/.stager/python"
    assert answer == {
        "version": runtime["version"],
        "prefix": place,
        "headers": f"{place}/include/python3.13",
        "zone": "Europe/Berlin",
        "sqlite": 1,
        "digest": "e3b0c442",
        "cached": f"{place}/lib/python3.13/__pycache__/decimal.cpython-313.pyc",
    }
    with tarfile.open(first.with_suffix(".tgz")) as archive:
        names = archive.getnames()
    assert not [name for name in names if "/config-3" in name or "/idlelib" in name or name.endswith(".a")]
    assert f".{place}/lib/python3.13/__pycache__/decimal.cpython-313.pyc" in names

    lay_out(second, FILES | {"other.txt": "another app"})
    again = staged(second, shared_store)
    assert [one["ran"] for one in again["builds"] if one["name"] == "cpython"] == [False]
    assert [layer["digest"] for layer in made["layers"] if layer["name"] == "python"] == [
        layer["digest"] for layer in again["layers"] if layer["name"] == "python"
    ]
