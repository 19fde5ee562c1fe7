"""What stager's commands write: each of them run for real, so that tests can ask whether any of it is taken for source."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gzip
import io
import shutil
import tempfile
from pathlib import Path

from apps_fixture import materialise

from stager import cli
from stager.digest import Digest, sha256
from stager.local.machine import state as machine
from stager.stacks import boxes, find, image
from stager.stacks.root import Root
from stager.stacks.tree import RootItem, header
from stager.store import Store
from stager.targets.oci import layout
from stager.text.templates import fill

ROOT = Path(__file__).parents[2]
_IMAGE = ("--base", "scratch")

WRITES: dict[str, list[tuple[str, ...]]] = {
    "stage": [
        ("droplet", "stage", "APP", "-o", "OUT", "--offline"),
        ("staged.json", "stage", "APP", "-o", "DROPLET", "--offline", "--json", ">"),
    ],
    "plan": [("plan.toml", "plan", "APP", "--offline", ">")],
    "lock": [("app/stager.lock", "plan", "APP", "--offline", ">")],
    "verify": [
        ("junit.xml", "verify", "DROPLET", "--source", "APP", "--conditions", "umask", "--junit", "OUT"),
        ("verified.json", "verify", "DROPLET", "--source", "APP", "--conditions", "umask", "--json", ">"),
        ("different.json", "verify", "OTHER", "--source", "APP", "--conditions", "umask", "--json", "!80>"),
        ("kept", "verify", "OTHER", "--source", "APP", "--conditions", "umask", "--keep", "OUT", "!80"),
    ],
    "report": [
        ("report.html", "report", "DROPLET", "-o", "OUT"),
        ("two.html", "report", "DROPLET", "OTHER", "-o", "OUT"),
    ],
    "sbom": [
        ("sbom.json", "sbom", "DROPLET", "--offline", "-o", "OUT"),
        ("files.json", "sbom", "DROPLET", "--offline", "--files", "-o", "OUT"),
        ("sbom.spdx", "sbom", "DROPLET", "--offline", "--format", "spdx", "--files", "-o", "OUT"),
        ("printed.json", "sbom", "DROPLET", "--offline", ">"),
    ],
    "receipt": [("receipt.json", "receipt", "DROPLET", "-o", "OUT")],
    "attest": [
        ("ci", "attest", "--make-key", "OUT"),
        ("attested.json", "attest", "DROPLET", "--source", "APP", "--key", "KEY", "--offline", "-o", "OUT"),
    ],
    "bundle export": [("inputs.bin", "bundle", "export", "APP", "--offline", "-o", "OUT")],
    "export oci": [
        ("image", "export", "oci", "DROPLET", *_IMAGE, "-o", "OUT"),
        ("deep/er/other image", "export", "oci", "DROPLET", *_IMAGE, "-t", "shop:1", "-o", "OUT"),
        ("image.tar", "export", "oci", "DROPLET", *_IMAGE, "-o", "OUT"),
        ("image of two", "export", "oci", "DROPLET", "ARM", *_IMAGE, "-o", "OUT"),
    ],
    "export openshift": [
        ("openshift", "export", "openshift", "DROPLET", *_IMAGE, "--image", "host.example/team/app", "-o", "OUT"),
        ("builder", "export", "openshift", "--s2i-builder", "OUT"),
    ],
    "export cloudfoundry": [("cf.droplet", "export", "cloudfoundry", "DROPLET", "-o", "OUT")],
    "export heroku": [("slug.tgz", "export", "heroku", "DROPLET", "-o", "OUT")],
    "export bosh": [
        ("release.tgz", "export", "bosh", "DROPLET", "-o", "OUT"),
        ("monit.tgz", "export", "bosh", "DROPLET", "--name", "shop", "--supervisor", "monit", "-o", "OUT"),
    ],
    "export tar": [("app.tar", "export", "tar", "DROPLET", "-o", "OUT")],
    "export systemd": [("systemd.tgz", "export", "systemd", "DROPLET", "--name", "my-shop", "-o", "OUT")],
    "export chef": [("chef.tgz", "export", "chef", "DROPLET", "--url", "https://files.example/d", "-o", "OUT")],
    "export capistrano": [("stager.rake", "export", "capistrano", "DROPLET", "-o", "OUT")],
    "rebase": [("rebased", "rebase", "IMAGE", "--onto", "scratch", "-o", "OUT")],
    "box lock": [],
    "box build": [],
    "box catalog": [("catalog", "box", "catalog", "debian-12", "--boxes", "BOXES", "-o", "OUT")],
    "up": [],
}
"""Command → what it writes: a name, then its arguments. `>` takes what it prints, `!N` is the exit code that it has."""

NOTHING = {
    "detect": "it prints",
    "help": "it prints",
    "completion": "it prints",
    "run": "it unpacks into a folder of its own outside the app",
    "inspect": "it prints",
    "diff": "it prints",
    "explain": "it prints",
    "build": "what is left goes to the store, and a folder that is kept to that of temporary files",
    "log": "it prints",
    "bundle import": "it writes stager.lock, as lock does",
    "import stackato": "its stager.yml and manifest.yml are the app's from then on, to be edited and committed",
    "push oci": "it writes to a registry",
    "push cloudfoundry": "it writes to the platform",
    "push heroku": "it writes to the platform",
    "promote cloudfoundry": "it writes to the platform",
    "promote heroku": "it writes to the platform",
    "rollback cloudfoundry": "it writes to the platform",
    "deploy": "it writes to platforms",
    "status": "it prints",
    "ssh": "it prints",
    "logs": "it prints",
    "provision": "it writes what up does",
    "halt": "it writes what up does",
    "destroy": "it removes",
    "check": "it prints",
    "box list": "it prints",
    "doctor": "it prints",
    "cache info": "it prints",
    "cache verify": "it writes to the store",
    "cache gc": "it writes to the store",
}
"""Command → why nothing of it can be taken for source."""


def write(app: Path, into: Path, store: Path) -> None:
    """Let every command write into the folder `into`, which is not the app's: nothing of it is in the way of another."""
    into.mkdir()
    given = {"APP": str(app)}
    with tempfile.TemporaryDirectory() as scratch:
        given |= {name: f"{scratch}/{name.lower()}.tgz" for name in ("DROPLET", "OTHER", "ARM")}
        stager("stage", app, "-o", given["DROPLET"], "--offline", store=store)
        stager("stage", _changed(app, Path(scratch)), "-o", given["OTHER"], "--offline", store=store)
        arm = _changed(app, Path(scratch) / "arm")
        (arm / "changed").unlink()
        stager("stage", arm, "-o", given["ARM"], "--arch", "arm64", "--offline", store=store)
        stager("attest", "--make-key", f"{scratch}/key", store=store)
        given["KEY"] = f"{scratch}/key"
        _boxes(into / "boxes", Path(scratch))
        given["BOXES"] = str(into / "boxes")
        given["IMAGE"] = str(into / "image")
        for lines in WRITES.values():
            for line in lines:
                _run(into / line[0], line[1:], given, store)
    shutil.copyfile(ROOT / "boxes" / "debian-12" / "box.lock", into / "box.lock")
    shutil.copytree(store, into / "a store")
    _machine(into / "inner app")


def stager(*words: object, store: Path, code: int = 0) -> str:
    """Run a command in this process, which saves forty starts of Python; what it prints."""
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        ended = cli.main([*map(str, words), "--cache-dir", str(store)])
    assert ended == code, f"{words}: exit {ended}\n{out.getvalue()}\n{told.getvalue()}"
    return out.getvalue()


def _run(out: Path, words: tuple[str, ...], given: dict[str, str], store: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    code = int(words[-1].strip("!>")) if words[-1].startswith("!") else 0
    line = [{**given, "OUT": str(out)}.get(word, word) for word in words if word[-1] != ">" and word[0] != "!"]
    printed = stager(*line, store=store, code=code)
    if words[-1].endswith(">"):
        out.write_text(printed)


def _changed(app: Path, into: Path) -> Path:
    other = into / "changed"
    shutil.copytree(app, other)
    (other / "changed").write_text("so\n")
    return other


def _machine(app: Path) -> None:
    """What `up` keeps beside an app that lies in a folder of this one, without starting a machine."""
    app.mkdir()
    place = machine.place(str(app))
    machine.prepare(place)
    for name in ("Vagrantfile", "droplet.tgz", "guest.tar", "key", "key.pub", "ssh_config", "state.json"):
        machine.publish(place.file(name), b"what a machine needs")


def _boxes(into: Path, scratch: Path) -> None:
    """What `box build` writes, by its own writers, of a root that was not built: that would take a package mirror."""
    into.mkdir()
    store = Store(str(scratch / "boxes' store"))
    epoch = 1_700_000_000
    root = b"".join(
        [
            header("./", "folder", RootItem("folder", 0o755), 0, "", epoch),
            header("./app/", "folder", RootItem("folder", 0o775, 2000, 0), 0, "", epoch),
            header("./bin", "link", RootItem("link", 0o777), 0, "usr/bin", epoch),
            bytes(1024),
        ]
    )
    made = Root("debian-12", "amd64", (), sha256(b"stack"), Digest(f"sha256:{store.put(root)}"), len(root), 3, 1, epoch)
    image.write_root(made, str(into / "root.tar"), store)
    (into / "root.tar.gz").write_bytes(gzip.compress(root))
    layout.write_base(image.of(find.load("debian-12"), made, store), str(into / "image"))
    for kind, provider in boxes.PROVIDERS.items():
        files: dict[str, bytes | str] = {
            "Vagrantfile": fill(boxes.__file__, f"Vagrantfile-{provider}.j2", {"mac": "080027000000"}).encode(),
            "box.img": bytes(700_000),
            "info.json": b"{}",
        }
        if kind == "docker":
            files["Dockerfile"] = fill(boxes.__file__, "Dockerfile.j2", {"env": []}).encode()
        with (into / boxes.file_name("debian-12", "amd64", provider)).open("wb") as file:
            if kind == "vmware":
                compressed = boxes.Compressed(file.write)
                boxes.write_tar(files, epoch, compressed.write)
                compressed.close()
            else:
                boxes.write_tar(files, epoch, file.write)


@functools.cache
def written() -> Path:
    """A folder with what every command writes; made once in a process, to be copied."""
    base = Path(tempfile.mkdtemp(prefix="stager-test-written-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    app = materialise("procfile-perl", base)
    write(app, base / "written", base / "store")
    return base / "written"
