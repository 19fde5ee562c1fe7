"""Memory does not follow the size of anything: whole processes, their peak measured by the kernel."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from servers import Server, serve

MOST = 150
"""MiB."""
_MEASURE = (
    "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024); sys.exit(done.returncode)"
)


def peak(*words: str, code: int = 0) -> int:
    """The most MiB that `stager` with these words had resident; it must end with this code."""
    command = [sys.executable, "-c", _MEASURE, sys.executable, "-m", "stager", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return int(done.stdout)


@pytest.mark.slow
def test_an_app_with_a_file_of_300_mib(tmp_path: Path) -> None:
    app, store = tmp_path / "app", ("--cache-dir", str(tmp_path / "store"))
    app.mkdir()
    (app / "Procfile").write_text("web: true\n")
    noise = random.Random(1).randbytes(1 << 20)
    with (app / "model.bin").open("wb") as file:
        file.writelines(noise for _ in range(300))
    out = str(tmp_path / "d.tgz")
    found = {
        "stage": peak("stage", str(app), "-o", out, *store),
        "inspect": peak("inspect", out, *store),
        "report": peak("report", out, "-o", str(tmp_path / "r.html"), *store),
        "sbom": peak("sbom", out, "-o", str(tmp_path / "s.json"), *store),
        "diff": peak("diff", out, out, *store),
        "slug": peak("export", "heroku", out, "-o", str(tmp_path / "slug.tgz"), *store),
        "image": peak("export", "oci", out, "--base", "scratch", "-o", str(tmp_path / "image.tar"), *store),
        "folder": peak("export", "oci", out, "--base", "scratch", "-o", str(tmp_path / "image"), *store),
        "verify": peak("verify", out, "--source", str(app), *store),
    }
    assert {name: size for name, size in found.items() if size > MOST} == {}


@pytest.mark.slow
def test_an_app_of_200_000_files(tmp_path: Path) -> None:
    """One of them is another one in the second droplet, so that `diff` has to read all."""
    store = ("--cache-dir", str(tmp_path / "store"))
    outs = [str(tmp_path / "a.tgz"), str(tmp_path / "b.tgz")]
    app = tmp_path / "app"
    for folder in range(400):
        (app / f"folder-{folder}").mkdir(parents=True)
        for number in range(498):
            (app / f"folder-{folder}" / f"file-{number}.txt").write_text(f"{folder} {number}\n")
    (app / "Procfile").write_text("web: true\n")
    found = {}
    for out in outs:
        found[f"stage {out[-5]}"] = peak("stage", str(app), "-o", out, *store)
        (app / "folder-7" / "file-7.txt").write_text("another\n")
    found |= {
        "inspect": peak("inspect", outs[0], *store),
        "report": peak("report", outs[0], "-o", str(tmp_path / "r.html"), *store),
        "sbom": peak("sbom", outs[0], "-o", str(tmp_path / "s.json"), *store),
        "diff": peak("diff", *outs, "--content", *store, code=1),
    }
    assert {name: size for name, size in found.items() if size > MOST} == {}


_ASK = (
    "import sys; from stager.fetching.web import Web; from stager.store import Store; from stager.net.indexes import Indexes; "
    "from stager.ecosystems.pypi.pages import PypiLookup; "
    "indexes = Indexes.from_environment({'PIP_INDEX_URL': sys.argv[1]}, home='/nonexistent'); "
    "lookup = PypiLookup(Web(indexes, Store(sys.argv[2])), indexes); assert len(lookup.files('app', "
    "keep=lambda file: file.filename == 'app-9.tar.gz')) == 1"
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["application/vnd.pypi.simple.v1+json", "text/html"])
def test_an_index_page_of_50_mb(kind: str, tmp_path: Path) -> None:
    digest = "0" * 64
    if kind == "text/html":
        line = f'<a href="https://files.example/{digest}/app-{{}}.tar.gz#sha256={digest}">app-{{}}.tar.gz</a>\n'
        data = "<!DOCTYPE html>" + "".join(line.replace("{}", str(n)) for n in range(300_000))
    else:
        rows = [
            {"filename": f"app-{n}.tar.gz", "url": f"x/{digest}", "hashes": {"sha256": digest}} for n in range(300_000)
        ]
        data = json.dumps({"files": rows})
    with Server({"/app/": serve(data.encode(), kind)}) as server:
        command = [sys.executable, "-c", _MEASURE, sys.executable, "-c", _ASK, server.url, str(tmp_path)]
        for _ in range(2):  # the second is revalidated, or served from what is kept
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert int(done.stdout) < MOST
