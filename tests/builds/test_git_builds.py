"""Packages from commits of real repositories: fetched from git's own server, built and packed, staged again from a bundle."""

from __future__ import annotations

import json
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command import in_process
from git_server import GitServer, commit

from stager.builds import roots
from stager.model import BuildRoot

pytestmark = [pytest.mark.network, pytest.mark.tools]

BACKEND = """\
import base64, hashlib, os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    version = os.environ["SETUPTOOLS_SCM_PRETEND_VERSION"]
    name, info = f"gitdemo-{version}-py3-none-any.whl", f"gitdemo-{version}.dist-info"
    files = {
        "gitdemo.py": open("gitdemo.py").read() + open("../shared.txt").read(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: gitdemo\\nVersion: {version}\\nLicense: MIT\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    digests = {path: hashlib.sha256(text.encode()).digest() for path, text in files.items()}
    rows = [f"{path},sha256={base64.urlsafe_b64encode(one).decode().rstrip('=')}," for path, one in digests.items()]
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": "\\n".join([*rows, f"{info}/RECORD,,"])}.items():
            wheel.writestr(path, text)
    return name
"""
"""A backend that needs nothing, takes its version from where setuptools-scm does, and reads beside its own folder."""
LOCK = """\
version = 1
requires-python = ">=3.11"
[[package]]
name = "app"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "gitdemo" }}]
[package.metadata]
requires-dist = [{{ name = "gitdemo", git = "{url}?subdirectory=lib&rev={commit}" }}]
[[package]]
name = "gitdemo"
version = "2.3"
source = {{ git = "{url}?subdirectory=lib&rev={commit}#{commit}" }}
"""


@pytest.fixture(autouse=True)
def shared_roots(plain_pins: BuildRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roots are pinned as they were when the run's roots were made, so that none but these is."""
    monkeypatch.setattr(roots, "pinned", lambda root, *_, **__: replace(plain_pins, name=root.name))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "repos").mkdir()
    with GitServer(tmp_path / "repos") as one:
        yield one


def files_of(droplet: Path, start: str) -> dict[str, bytes]:
    with tarfile.open(droplet) as archive:
        rows = ((member.name, archive.extractfile(member)) for member in archive if member.name.startswith(start))
        return {name.removeprefix(start): file.read() for name, file in rows if file is not None}


def test_a_folder_of_a_commit_is_built(tmp_path: Path, server: GitServer, shared_store: Path) -> None:
    files = {
        "lib/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "lib/backend.py": BACKEND,
        "lib/gitdemo.py": "x = 1\n",
        "shared.txt": "# shared\n",
    }
    place = tmp_path / "repos" / "demo"
    name = commit(place, files)
    commit(place, {"lib/gitdemo.py": "x = 2\n"})
    app, droplet, url = tmp_path / "app", tmp_path / "droplet.tgz", f"{server.url}/demo/.git"
    app.mkdir()
    (app / "main.py").write_text("import gitdemo\n")
    sources = f'[tool.uv.sources]\ngitdemo = {{git = "{url}", rev = "{name}", subdirectory = "lib"}}\n'
    (app / "pyproject.toml").write_text(
        f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["gitdemo"]\n{sources}'
    )
    (app / "uv.lock").write_text(LOCK.format(url=url, commit=name))
    in_process("lock", app, store=shared_store, STAGER_INDEX_GIT=server.url).good()
    lock = tomllib.loads((app / "stager.lock").read_text())
    (one,) = [one for one in lock["artifact"] if one["purl"] == "pkg:pypi/gitdemo@2.3"]
    assert (one["url"], one["layout"]) == (f"git+{url}@{name}#subdirectory=lib", "sdist/1")
    assert one["digest"].startswith("sha256:")
    server.seen.clear()
    in_process("stage", app, "--locked", "-o", droplet, store=shared_store, STAGER_INDEX_GIT=server.url).good()
    assert not server.seen
    built = files_of(droplet, "./app/.stager/pypi/site-packages/")
    assert built["gitdemo.py"] == b"x = 1\n# shared\n"
    assert "gitdemo-2.3.dist-info/METADATA" in built
    said = in_process("explain", "package", "gitdemo", "-C", app, store=shared_store).good()
    assert f"commit {name} of {url}" in said.out
    documents = in_process("sbom", droplet, store=shared_store).good()
    (part,) = [part for part in json.loads(documents.out)["components"] if part["name"] == "gitdemo"]
    assert "?vcs_url=git%2Bhttp" in part["purl"]
    assert part["purl"].endswith(f"%40{name}#lib")
    assert part["licenses"]

    # another machine, from a bundle, without any server
    bundle, other, again = tmp_path / "app.bundle", tmp_path / "other", tmp_path / "again.tgz"
    in_process("bundle", "export", app, "-o", bundle, store=shared_store).good()
    in_process("bundle", "import", bundle, "--trust-builds", store=other).good()
    in_process("stage", app, "--locked", "--offline", "-o", again, store=other).good()
    assert again.read_bytes() == droplet.read_bytes()


def test_a_commit_is_packed_as_npm_packs_it(tmp_path: Path, server: GitServer, shared_store: Path) -> None:
    package = {
        "name": "gitdemo",
        "version": "1.2.3",
        "files": ["lib"],
        "main": "lib/x.js",
        "bin": {"gitdemo": "lib/x.js"},
    }
    package |= {"scripts": {"test": "x", "prepare": "husky"}}
    good = commit(tmp_path / "repos" / "good", {
        "package.json": json.dumps(package), "lib/x.js": "#!/usr/bin/env node\n", "test/t.js": "", "package-lock.json": "{}",
    })  # fmt: skip
    made = {"name": "made", "version": "1.0.0", "scripts": {"prepare": "touch /canary"}}
    bad = commit(tmp_path / "repos" / "bad", {"package.json": json.dumps(made)})
    app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
    app.mkdir()

    def depend(**packages: str) -> None:
        wanted = {name: url.partition("#")[0] for name, url in packages.items()}
        own = {"name": "app", "version": "1.0.0", "dependencies": wanted}
        rows = {f"node_modules/{name}": {"version": version[name], "resolved": url} for name, url in packages.items()}
        (app / "package.json").write_text(json.dumps({**own, "scripts": {"start": "node index.js"}}))
        lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": own, **rows}}
        (app / "package-lock.json").write_text(json.dumps(lock))

    version = {"gitdemo": "1.2.3", "made": "1.0.0"}
    (app / "index.js").write_text("require('gitdemo')\n")
    depend(gitdemo=f"git+{server.url}/good/.git#{good}")
    in_process("stage", app, "-o", droplet, store=shared_store, STAGER_INDEX_GIT=server.url).good()
    assert {*files_of(droplet, "./app/node_modules/gitdemo/")} == {"package.json", "lib/x.js"}
    depend(gitdemo=f"git+{server.url}/good/.git#{good}", made=f"git+{server.url}/bad/.git#{bad}")
    refused = in_process("lock", app, "--json", store=shared_store, STAGER_INDEX_GIT=server.url)
    assert refused.document["error"]["code"] == "NeedsBuild"
    assert "its script 'prepare' makes it" in refused.document["error"]["message"]
