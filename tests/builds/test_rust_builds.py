"""A Python package that is written in Rust: its sdist has its crates with it, and Cargo compiles it without a network."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import pytest
from builders import TarEntry, compress, make_tar
from command import ask, in_process, running
from package_index import put_files
from servers import Server

pytestmark = [pytest.mark.network, pytest.mark.tools, pytest.mark.slow]

RUST = ("cargo-web", "rustc-web")  # the newest Rust of debian-12
CRATE = {
    "Cargo.toml": '[package]\nname = "addition"\nversion = "1.0.0"\nedition = "2021"\n',
    "src/lib.rs": "pub fn add(one: u32, other: u32) -> u32 { one + other }\n",
}
SDIST = {
    "PKG-INFO": "Metadata-Version: 2.1\nName: adder\nVersion: 1.0\n",
    "pyproject.toml": '[project]\nname = "adder"\nversion = "1.0"\n[build-system]\nrequires = ["maturin==1.9.6"]\n'
    'build-backend = "maturin"\n[tool.maturin]\nbindings = "bin"\n',
    "Cargo.toml": '[package]\nname = "adder"\nversion = "1.0.0"\nedition = "2021"\n[dependencies]\naddition = "1.0.0"\n',
    "src/main.rs": 'fn main() { println!("{}", addition::add(40, 2)); }\n',
    ".cargo/config.toml": '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "vendor"\n',
    **{f"vendor/addition/{name}": text for name, text in CRATE.items()},
}
SERVER = """\
import os
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(subprocess.check_output(["adder"]))


HTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
"""


def vendored() -> dict[str, str]:
    """The sdist with the lists of digests by which Cargo checks the crates of a folder."""
    files = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in CRATE.items()}
    checksums = json.dumps({"files": files, "package": hashlib.sha256(b"addition").hexdigest()})
    return {**SDIST, "vendor/addition/.cargo-checksum.json": checksums}


def test_an_sdist_of_maturin_with_its_crates(tmp_path: Path, shared_store: Path) -> None:
    rows = [TarEntry(f"adder-1.0/{path}", text.encode()) for path, text in vendored().items()]
    data = compress(make_tar(rows), "gz")
    app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
    app.mkdir()
    (app / "requirements.txt").write_text(f"adder==1.0 --hash=sha256:{hashlib.sha256(data).hexdigest()}\n")
    (app / "main.py").write_text(SERVER)
    with Server() as server:
        put_files(server, "adder", ("adder-1.0.tar.gz", data))
        index = f"{server.url}/simple"
        in_process("lock", app, store=shared_store, PIP_EXTRA_INDEX_URL=index).good()
        lock = tomllib.loads((app / "stager.lock").read_text())
        assert [(one["of"], one["root"]) for one in lock["build"]] == [("pkg:pypi/adder@1.0", "python")]
        assert {*RUST} < {one["name"] for one in lock["root"][0]["packages"]}
        staged = in_process(
            "stage", app, "--locked", "-o", droplet, "--json", store=shared_store, PIP_EXTRA_INDEX_URL=index
        ).good()
    assert [one["checked"] for one in staged.document["builds"]] == [True]
    with running(droplet, tmp_path / "log", store=shared_store) as (port, process):
        assert ask(port, "/", process) == (200, "42\n")
