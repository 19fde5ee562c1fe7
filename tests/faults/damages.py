"""An app whose artifacts come from a loopback index, its store, and what can befall a file of that store."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from builders import make_npm_tarball, make_wheel
from servers import Server, serve

from stager import entry, staging
from stager.digest import Digest
from stager.droplet.incremental import Folder
from stager.model import Artifact, Plan
from stager.net.indexes import Indexes
from stager.planning import lockfile
from stager.settings import Settings
from stager.store import Store

NOBODY = 65534
_WHEELS = ("alpha", "beta", "gamma", "delta")
_PACKAGES = ("left", "right", "middle")
_VENDORED = "vendored"


def _noise(name: str, size: int) -> bytes:
    return random.Random(name).randbytes(size)


def wheel(name: str, note: str = "") -> bytes:
    """A wheel with small files, and one that is large enough to be spliced."""
    files = {f"{name}/__init__.py": f"name = {name!r}{note}\n".encode(), f"{name}/data.bin": _noise(name, 20_000)}
    return make_wheel(name, "1.0", files)


def package(name: str) -> bytes:
    """An npm tarball."""
    return make_npm_tarball(name, {"index.js": f"// {name}\n".encode(), "data.bin": _noise(name, 5_000)})


@dataclass(frozen=True)
class Bench:
    """The app, the index that serves its artifacts, the plan and the store after a first staging, and its droplet."""

    app: Path
    store: Path
    server: Server
    plan: Plan
    digest: str

    def indexes(self) -> Indexes:
        """The loopback index, and nothing else."""
        environ = {"npm_config_registry": self.server.url, "PIP_INDEX_URL": f"{self.server.url}/simple"}
        home = str(self.app.parent)
        return Indexes.from_environment(environ, home=home, apt=home, system=home)

    def stage(self, store: Path, out: Path, *, offline: bool = False) -> str:
        """Stage from the lock; the droplet's digest, from its bytes."""
        found = entry.stage(str(self.app), str(out), self.settings(store, offline=offline)).digest
        assert found == "sha256:" + hashlib.sha256(out.read_bytes()).hexdigest()
        return str(found)

    def settings(self, store: Path, *, offline: bool = False) -> Settings:
        """How to stage from the lock with a store."""
        return Settings(Store(str(store)), self.indexes, locked=True, offline=offline, jobs=2)

    def copy(self, place: Path) -> Path:
        """A copy of the store as it was."""
        shutil.copytree(self.store, place, symlinks=True)
        return place

    def names(self) -> set[str]:
        """The blobs that are artifacts."""
        return set(staging.fetch(self.plan, Settings(Store(str(self.store)), self.indexes, offline=True)).values())


def _artifacts() -> Iterator[tuple[Artifact, str, bytes]]:
    for name in _WHEELS:
        data = wheel(name)
        digest = Digest("sha256:" + hashlib.sha256(data).hexdigest())
        file = f"{name}-1.0-py3-none-any.whl"
        one = Artifact(f"pkg:pypi/{name}@1.0", file, digest, "wheel/1", (".stager/pypi",), len(data))
        yield one, f"/files/{file}", data
    for name in _PACKAGES:
        data = package(name)
        digest = Digest("sha512:" + hashlib.sha512(data).hexdigest())
        file = f"{name}-1.0.0.tgz"
        yield (
            Artifact(f"pkg:npm/{name}@1.0.0", file, digest, "npm/1", (f"node_modules/{name}",)),
            f"/{name}/-/{file}",
            data,
        )


@contextmanager
def bench() -> Iterator[Bench]:
    """A bench in a folder that other users can reach."""
    with Server() as server, tempfile.TemporaryDirectory(prefix="stager-test-") as place:
        os.chmod(place, 0o755)
        app = Path(place, "app")
        (app / "vendor").mkdir(parents=True)
        (app / "Procfile").write_text("web: ./serve\n")
        (app / "serve").write_text("#!/bin/sh\n")
        (app / "serve").chmod(0o755)
        artifacts = []
        for one, path, data in _artifacts():
            server.routes[path] = serve(data)
            if one.layout == "wheel/1":
                link = f'<a href="{server.url}{path}#{one.digest.replace(":", "=")}">{one.filename}</a>'
                name = one.filename.partition("-")[0]
                server.routes[f"/simple/{name}/"] = serve(link.encode(), "text/html")
            artifacts.append(one)
        data = package(_VENDORED)
        (app / "vendor/own.tgz").write_bytes(data)
        digest = Digest("sha512:" + hashlib.sha512(data).hexdigest())
        own = Artifact(
            f"pkg:npm/{_VENDORED}@1.0.0", "own.tgz", digest, "npm/1", ("node_modules/own",), url="file:vendor/own.tgz"
        )
        store = Path(place, "store")
        made = Bench(app, store, server, _plan(app, store, [*artifacts, own]), "")
        yield replace(made, digest=made.stage(store, Path(place, "droplet.tgz")))


def _plan(app: Path, store: Path, artifacts: list[Artifact]) -> Plan:
    folder = Folder.read(str(app), Store(str(store)))
    none = Settings(
        Store(str(store)), lambda: Indexes.from_environment({}, home=str(app), apt=str(app), system=str(app))
    )
    plan = replace(
        staging.make_plan(folder, None, none)[1].plan, artifacts=tuple(sorted(artifacts, key=lambda one: one.purl))
    )
    (app / "stager.lock").write_text(lockfile.dumps(plan))
    return plan


# --- damages -----------------------------------------------------------------------------------------------------------


def _bytes(change: Callable[[bytes, random.Random], bytes]) -> Callable[[Path, list[Path], random.Random], None]:
    def damage(path: Path, _: list[Path], chance: random.Random) -> None:
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(change(data, chance))

    return damage


def _flipped(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _zeroed(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + bytes(len(data) - start)


def _swap(path: Path, others: list[Path], chance: random.Random) -> None:
    other, aside = chance.choice(others), path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


def _other_wheel(path: Path, _: list[Path], chance: random.Random) -> None:
    """Another whole wheel of the same name and version, by a rename as an attacker would do it."""
    new = path.with_name("new")
    new.write_bytes(wheel(chance.choice(_WHEELS), "  # not what was pinned"))
    new.rename(path)


def _folder(path: Path, _: list[Path], chance: random.Random) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)
    (path / "deep/file").write_bytes(b"x")
    if chance.random() < 0.5:
        (path / "deep").chmod(0o500)
        path.chmod(0o500)


def _pipe(path: Path, _: list[Path], __: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _link_inside(path: Path, others: list[Path], chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(chance.choice(others).name)


def _link_outside(path: Path, _: list[Path], chance: random.Random) -> None:
    """To a file with the very bytes, to another one, to nothing, to a device."""
    target = path.parent.parent / f"outside-{path.name}"
    shutil.copy(path, target)
    path.unlink()
    path.symlink_to(chance.choice([str(target), "/etc/hostname", "/nowhere", "/dev/zero"]))


def _unreadable(path: Path, _: list[Path], __: random.Random) -> None:
    path.chmod(0)


KINDS: dict[str, Callable[[Path, list[Path], random.Random], None]] = {
    "flip": _bytes(_flipped),
    "truncate": _bytes(lambda data, chance: data[: chance.randrange(len(data))]),
    "extend": _bytes(lambda data, chance: data + chance.randbytes(chance.randrange(1, 100))),
    "zero": _bytes(_zeroed),
    "empty": _bytes(lambda _, __: b""),
    "swap": _swap,
    "other wheel": _other_wheel,
    "folder": _folder,
    "pipe": _pipe,
    "link inside": _link_inside,
    "link outside": _link_outside,
    "unreadable": _unreadable,
}
"""What befalls a file, given its neighbours of the same sort and a source of chance."""
PLACES = ("artifacts", "pieces", "memos")


def files(store: Path, place: str, artifacts: set[str]) -> list[Path]:
    """The store's files of one sort, by name."""
    if place == "memos":
        return sorted((store / "v1/memo").iterdir())
    blobs = sorted((store / "v1/blobs/sha256").iterdir())
    return [path for path in blobs if (path.name in artifacts) == (place == "artifacts")]


def damage(store: Path, seed: int, artifacts: set[str]) -> tuple[str, bool]:
    """Damage some files of a store, and take away some memos, by chance: what was done, and whether all will be used."""
    chance = random.Random(seed)
    kind = [*KINDS][seed % len(KINDS)]
    place = PLACES[seed // len(KINDS) % len(PLACES)]
    among = files(store, place, artifacts)
    count = chance.choice([1, 1, 2, len(among)])
    done = []
    for victim in chance.sample(among, min(count, len(among))):
        KINDS[kind](victim, [path for path in among if path != victim], chance)
        done.append(victim.name[:8])
    lost = chance.choice(["none", "some", "all", "all"])
    memos = files(store, "memos", artifacts)
    for memo in memos if lost == "all" else chance.sample(memos, len(memos) // 2) if lost == "some" else []:
        if memo.is_file() and not memo.is_symlink():
            memo.unlink()
    return (
        f"seed {seed}: {kind} of {', '.join(done)} among {place}; memos lost: {lost}",
        place == "pieces" or lost == "all",
    )


def as_nobody(folder: Path, act: Callable[[], object]) -> None:
    """Do something as a user who is not root, to whom the folder is given; AssertionError when it fails."""
    if os.geteuid():
        act()
        return
    for path, _, names in os.walk(folder):
        for name in (path, *(os.path.join(path, name) for name in names)):
            os.chown(name, NOBODY, NOBODY, follow_symlinks=False)
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            act()
        except BaseException:
            os.write(sink, traceback.format_exc()[-4000:].encode())
        finally:
            os._exit(0)
    os.close(sink)
    with open(source, "rb") as said:
        text = said.read().decode()
    os.waitpid(child, 0)
    assert not text, text
