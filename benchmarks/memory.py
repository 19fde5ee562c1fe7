"""Does memory follow size? Peak resident memory of whole processes, for one large thing at a time.

python benchmarks/memory.py [file] [wheel] [many] [page]    (all of them without arguments; needs some 12 GB of disk)
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import random

from servers import Server, serve

from stager.digest import Digest
from stager.formats.codec import CODEC
from stager.model import Artifact, BuildpackPin, Plan, Process, Reason
from stager.planning import lockfile
from stager.planning.buildpacks import load
from stager.planning.inputs import inputs_of
from stager.store import Store
from stager.tree import SourceTree

WHY = Reason("a benchmark")
MIB = 1 << 20
LINK = (
    '<a href="https://files.example/{d}/{n}#sha256={d}" data-requires-python="&gt;=3.8" '
    'data-dist-info-metadata="sha256={d}">{n}</a><br/>\n'
)
NOISE = random.Random(1).randbytes(MIB)


def peak(command: list[str]) -> str:
    """Run a process alone and say its peak memory and time."""
    measuring = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
    )
    measuring += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", measuring, *command], capture_output=True, text=True, check=True)
    most, code = done.stdout.split()
    if code != "0":
        raise SystemExit(done.stderr)
    return f"{int(most) // 1024:4} MiB, {time.perf_counter() - start:5.1f} s"


def stager(place: Path, *words: str) -> list[str]:
    """The command, on the benchmark's own store."""
    return [sys.executable, "-m", "stager", *words, "--cache-dir", str(place / "store")]


def everything(name: str, place: Path) -> None:
    """Stage twice, then look at the droplet with every command that reads it whole."""
    app, out = str(place / "app"), str(place / "d.tgz")
    print(f"{name}: stage    {peak(stager(place, 'stage', app, '-q', '-o', out))}")
    print(f"{name}: restage  {peak(stager(place, 'stage', app, '-q', '-o', str(place / 'again.tgz')))}")
    (place / "app" / "line.txt").write_text("one more\n")
    print(f"{name}: one line {peak(stager(place, 'stage', app, '-q', '-o', str(place / 'again.tgz')))}")
    for words in (
        ["inspect", out],
        ["report", out, "-o", str(place / "report.html")],
        ["sbom", out, "-o", str(place / "sbom.json")],
        ["diff", out, str(place / "again.tgz")],
        ["export", "heroku", out, "-o", str(place / "slug.tgz")],
        ["export", "oci", out, "--base", "scratch", "-o", str(place / "image.tar")],
    ):
        print(
            f"{name}: {words[0] + (' ' + words[1] if words[0] == 'export' else ''):13} {peak(lenient(stager(place, *words)))}"
        )


def lenient(command: list[str]) -> list[str]:
    """`diff` ends with 1 or 80 where there is a difference."""
    return ["sh", "-c", '"$@" || [ $? -eq 1 ] || [ $? -eq 80 ]', "sh", *command]


def file(place: Path) -> None:
    """One file of 1 GiB in the app."""
    app = place / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: true\n")
    with open(app / "big.bin", "wb") as stream:
        stream.writelines(NOISE for _ in range(1024))
    everything("1 GiB file", place)


def wheel(place: Path) -> None:
    """One wheel of 2 GiB: a member of 1.5 GiB that is spliced, and one of 512 MiB that is stored."""
    path = place / "w-1.0-py3-none-any.whl"
    rows = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, size, method in (
            ("w/spliced.bin", 1536, zipfile.ZIP_DEFLATED),
            ("w/stored.bin", 512, zipfile.ZIP_STORED),
        ):
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.file_size = size * MIB
            state = hashlib.sha256()
            with archive.open(info, "w") as stream:
                for _ in range(size):
                    stream.write(NOISE)
                    state.update(NOISE)
            rows.append(f"{name},sha256={base64.urlsafe_b64encode(state.digest()).decode().rstrip('=')},{size * MIB}")
        for name, text in (
            ("w-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: w\nVersion: 1.0\n"),
            ("w-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: b\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ):
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            rows.append(f"{name},sha256={digest},{len(text)}")
        archive.writestr("w-1.0.dist-info/RECORD", "\n".join([*rows, "w-1.0.dist-info/RECORD,,\n"]))
    with Store(str(place / "store")).writer() as writer, open(path, "rb") as stream:
        while part := stream.read(MIB):
            writer.write(part)
        digest = Digest(f"sha256:{writer.commit()}")
    path.unlink()
    app = place / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: true\n")
    artifact = Artifact("pkg:pypi/w@1.0", path.name, digest, "wheel/1", (".stager/pypi",))
    inputs = tuple((name, Digest(found)) for name, found in inputs_of(SourceTree.read(str(app))).items())
    pins = (BuildpackPin("procfile", load("procfile").digest, WHY),)
    plan = Plan("debian-12", "amd64", CODEC, pins, inputs, (), (artifact,), (), (), (Process("web", "true", WHY),), ())
    (app / "stager.lock").write_text(lockfile.dumps(plan))
    everything("2 GiB wheel", place)


def many(place: Path) -> None:
    """As many files as an app may have: 200,000 with their folders."""
    app = place / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: true\n")
    for folder in range(400):
        (app / f"folder-{folder}").mkdir()
        for number in range(498):
            (app / f"folder-{folder}" / f"a-file-with-a-usual-name-{number}.txt").write_text(f"{folder} {number}\n")
    everything("200,000 files", place)


def page(place: Path) -> None:
    """An index page of 100 MB, as JSON and as HTML, of which one file is wanted."""
    names = [f"project-{number}.0-cp311-cp311-manylinux_2_17_x86_64.whl" for number in range(220_000)]
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    rows = [
        {"filename": n, "url": f"https://files.example/{d}/{n}", "hashes": {"sha256": d}, "size": 1000,
         "requires-python": ">=3.8", "yanked": False, "core-metadata": {"sha256": d}, "upload-time": "2026-01-01T00:00:00Z"}
        for n, d in zip(names, digests, strict=True)
    ]  # fmt: skip
    forms = {
        "json": json.dumps({"meta": {"api-version": "1.1"}, "name": "project", "files": rows}).encode(),
        "html": b"<!DOCTYPE html><html><body>\n"
        + b"".join(LINK.format(d=d, n=n).encode() for n, d in zip(names, digests, strict=True))
        + b"</body></html>\n",
    }
    asking = (
        "import sys; from stager.fetching.web import Web; from stager.store import Store; "
        "from stager.net.indexes import Indexes; "
        "from stager.ecosystems.pypi.pages import PypiLookup; "
        "indexes = Indexes.from_environment({'PIP_INDEX_URL': sys.argv[1]}, home='/nonexistent'); "
        "lookup = PypiLookup(Web(indexes, Store(sys.argv[2])), indexes); found = lookup.files('project', "
        "keep=lambda file: file.hashes.get('sha256') == sys.argv[3]); assert len(found) == 1"
    )
    kinds = {"json": "application/vnd.pypi.simple.v1+json", "html": "text/html"}
    for form, data in forms.items():
        with Server({"/project/": serve(data, kinds[form])}) as server:
            command = [sys.executable, "-c", asking, server.url, str(place / f"store-{form}"), digests[-1]]
            print(f"{len(data) / 1e6:.0f} MB page, {form}: {peak(command)}, again {peak(command)}")


CASES: dict[str, Callable[[Path], None]] = {"file": file, "wheel": wheel, "many": many, "page": page}

if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            CASES[case](Path(folder))
