"""From artifacts and a tree to droplet bytes: pieces, bases, joins, and what an edit disturbs."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_npm_tarball, make_wheel

from stager.digest import Digest, key_of, sha256
from stager.droplet import assembly, incremental, launch
from stager.droplet import base as dependencies
from stager.droplet.errors import PathConflict
from stager.droplet.incremental import Folder
from stager.errors import LockStale, NeedsBuild
from stager.formats import codec
from stager.formats.codec import CODEC
from stager.model import Artifact, BuildpackPin, Plan, Process, Reason
from stager.net.indexes import Indexes
from stager.planning import lockfile
from stager.planning.buildpacks import load
from stager.planning.inputs import inputs_of
from stager.planning.lockfile import dumps
from stager.records import Base, Layer, Staged
from stager.settings import Settings
from stager.store import Store

WHY = Reason("a test")
NOISE = hashlib.shake_128(b"noise").digest(200_000)


class Bench:
    """A store, an app folder, and a plan whose artifacts were made here."""

    def __init__(self, root: Path) -> None:
        self.store = Store(str(root / "store"))
        self.app = root / "app"
        self.app.mkdir()
        self.out = root / "droplet.tgz"
        self.blobs: dict[str, bytes] = {}
        self.artifacts: list[Artifact] = []
        for path, text in {
            "Procfile": "web: sh main.py\n",
            "main.py": "print('hi')\n",
            "lib/a.py": "A = 1\n",
        }.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        file = self.app / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def wheel(self, name: str, version: str, files: dict[str, bytes]) -> None:
        data = make_wheel(name, version, files)
        self._add(
            f"pkg:pypi/{name}@{version}", f"{name}-{version}-py3-none-any.whl", data, "wheel/1", (".stager/pypi",)
        )

    def npm(self, name: str, files: dict[str, bytes], *paths: str, **manifest: Any) -> None:
        data = make_npm_tarball({"name": name, "version": "1.0.0", **manifest}, files)
        self._add(f"pkg:npm/{name}@1.0.0", f"{name}-1.0.0.tgz", data, "npm/1", paths or (f"node_modules/{name}",))

    def _add(self, purl: str, filename: str, data: bytes, layout: str, paths: tuple[str, ...]) -> None:
        self.artifacts = [one for one in self.artifacts if one.purl.split("@")[0] != purl.split("@")[0]]
        self.artifacts.append(Artifact(purl, filename, sha256(data), layout, paths, len(data)))
        self.blobs[sha256(data)] = data

    def plan(self, **changes: Any) -> Plan:
        tree = Folder.read(str(self.app), self.store).tree
        plan = Plan(
            stack="debian-12",
            architecture="amd64",
            codec=CODEC,
            buildpacks=(BuildpackPin("procfile", load("procfile").digest, WHY),),
            inputs=tuple((path, Digest(digest)) for path, digest in inputs_of(tree).items()),
            runtimes=(),
            artifacts=tuple(sorted(self.artifacts, key=lambda one: one.purl)),
            links=(),
            files=(),
            processes=(Process("web", "sh main.py", WHY),),
            env=(),
        )
        return replace(plan, **changes)

    def base(self, plan: Plan | None = None, jobs: int = 2) -> Base:
        plan = plan or self.plan()
        with dependencies.Workshop(self.store, jobs) as workshop:
            for artifact in reversed(plan.artifacts):
                workshop.add(artifact, self.store.put(self.blobs[artifact.digest]))
            placed = list(workshop.placed(plan.artifacts))
        return dependencies.build_base(lockfile.locked(plan), placed, self.store)

    def settings(self, **wishes: Any) -> Settings:
        home = str(self.app)
        return Settings(self.store, lambda: Indexes.from_environment({}, home=home), **wishes)

    def stage(self, base: Base | None = None) -> Staged:
        return incremental.assemble(
            Folder.read(str(self.app), self.store), base or self.base(), self.store, str(self.out)
        )

    def members(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(self.out) as archive:
            found = {member.name: member for member in archive}
            assert len(found) == len(archive.getnames())
            return found

    def content(self, path: str) -> bytes:
        with tarfile.open(self.out) as archive:
            file = archive.extractfile("./app/" + path)
            assert file is not None
            return file.read()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.wheel("alpha", "1.0", {"alpha/__init__.py": b"VALUE = 1\n", "alpha/big.bin": NOISE})
    bench.npm("beta", {"index.js": b"module.exports = 1\n", "cli.js": b"#!/usr/bin/env node\n"}, bin={"beta": "cli.js"})
    return bench


def test_a_droplet_is_one_whole_gzip_member(bench: Bench) -> None:
    result = bench.stage()
    data = bench.out.read_bytes()
    assert result.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert result.size == len(data)
    decoder = zlib.decompressobj(31)
    plain = decoder.decompress(data)
    assert (decoder.eof, decoder.unused_data) == (True, b"")
    assert plain.endswith(bytes(1024))
    assert len(plain) % 512 == 0


def test_it_holds_the_app_and_everything_it_needs(bench: Bench) -> None:
    bench.stage()
    members = bench.members()
    assert bench.content("main.py") == b"print('hi')\n"
    assert bench.content(".stager/pypi/site-packages/alpha/big.bin") == NOISE
    assert bench.content("node_modules/beta/index.js") == b"module.exports = 1\n"
    assert members["./app/node_modules/.bin/beta"].linkname == "../beta/cli.js"
    assert members["./app/node_modules/beta/cli.js"].mode == 0o775
    assert bench.content(".stager/bin/launch").decode() == launch.LAUNCH
    assert bench.content(".stager/stager.lock").decode() == dumps(bench.plan())
    assert bench.content(".stager/processes/web") == b"sh main.py\n"
    assert [name for name in members if not name.startswith("./app")] == [
        "./deps", "./logs", "./profile.d", "./staging_info.yml", "./tmp"
    ]  # fmt: skip


def test_every_folder_comes_before_what_it_holds(bench: Bench) -> None:
    bench.stage()
    seen: set[str] = set()
    for name, member in bench.members().items():
        assert name.rpartition("/")[0] in seen | {".", ""}, name
        if member.isdir():
            seen.add(name)


def test_big_deflated_members_are_copied_from_the_wheel(bench: Bench) -> None:
    bench.wheel("gamma", "1.0", {"gamma.py": b"import base64\n" * 30_000 + NOISE[:50_000].hex().encode()})
    bench.stage()
    wheel = bench.blobs[bench.artifacts[-1].digest]
    start = wheel.index(b"gamma.py") + len("gamma.py")
    assert wheel[start + 1000 : start + 9000] in bench.out.read_bytes()


def test_the_same_bytes_from_another_store_folder_and_number_of_jobs(bench: Bench, tmp_path: Path) -> None:
    first = bench.stage().digest
    (tmp_path / "elsewhere").mkdir()
    other = Bench(tmp_path / "elsewhere")
    other.blobs, other.artifacts = bench.blobs, bench.artifacts[::-1]
    assert other.stage(other.base(jobs=1)).digest == first


def records(base: Base) -> dict[str, list[str]]:
    return {layer.name: [piece.blob for piece in layer.pieces] for layer in base.layers}


def test_a_changed_package_changes_its_own_layer_and_the_skeleton(bench: Bench) -> None:
    for number in range(40):
        bench.npm(f"many-{number}", {"index.js": b"%d" % number})
    before = records(bench.base())
    bench.wheel("alpha", "2.0", {"alpha/__init__.py": b"VALUE = 2\n"})
    after = records(bench.base())
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert "skeleton" in changed
    assert len(changed) == 2
    assert len(before) <= 100


def test_an_edit_touches_one_group_and_an_added_file_shifts_none(bench: Bench) -> None:
    for number in range(300):
        bench.write(f"src/file{number:03}.py", f"N = {number}\n")
    first = {piece.blob for piece in bench.stage().app}
    bench.write("src/file150.py", "N = -1\n")
    second = {piece.blob for piece in bench.stage().app}
    assert len(first) > 5
    assert len(second - first) == 1
    bench.write("src/file150a.py", "new\n")
    third = {piece.blob for piece in bench.stage().app}
    assert len(third - second) <= 2


def test_layers_are_the_droplets_bytes(bench: Bench) -> None:
    """Each layer as an OCI blob inflates to its diffID, and the layers' tars are the droplet's beginning."""
    base = bench.base()
    result = bench.stage(base)
    layers = incremental.measured(result, bench.store).layers
    plain, offset = zlib.decompress(bench.out.read_bytes(), 31), 0
    runs = [*((layer.name, layer.pieces) for layer in base.layers), ("app", result.app)]
    for (name, pieces), layer in zip(runs, layers, strict=True):
        blob, crc, length = codec.HEADER, 0, 0
        for piece in pieces:
            blob += Path(bench.store.path(piece.blob)).read_bytes()
            crc, length = codec.crc32_combine(crc, piece.crc, piece.length), length + piece.length
        blob += codec.trailer(crc, length)
        inside = zlib.decompress(blob, 31)
        assert layer == Layer(name, sha256(blob), sha256(inside), len(blob))
        assert plain[offset : offset + len(inside)] == inside
        offset += len(inside)


def test_what_stager_0_1_0_noted_of_a_layer_is_passed_over(bench: Bench) -> None:
    """It kept a table under another kind of memo: neither reads what the other wrote, though they share a store."""
    result = bench.stage()
    right = incremental.measured(result, bench.store).layers
    for path in Path(bench.store.root, "v1", "memo").iterdir():
        path.unlink()
    for layer in [*(one.pieces for one in result.base.layers), result.app]:
        table = {"digest": "sha256:" + "0" * 64, "diff_id": "sha256:" + "0" * 64, "size": 1}
        bench.store.remember("layer", key_of("layer", CODEC, [piece.blob for piece in layer]), table)
    assert incremental.measured(result, bench.store).layers == right


# --- conflicts -------------------------------------------------------------------------------------------------


def test_two_artifacts_with_one_path_the_first_keeps_it(bench: Bench) -> None:
    bench.wheel("zeta", "1.0", {"alpha/__init__.py": b"VALUE = 'other'\n", "zeta.py": b"", "same.py": b"same"})
    bench.wheel("beta", "1.0", {"same.py": b"same"})
    base = bench.base()
    bench.stage(base)
    assert bench.content(".stager/pypi/site-packages/alpha/__init__.py") == b"VALUE = 1\n"
    assert list(base.notes) == [
        ".stager/pypi/site-packages/alpha/__init__.py: both alpha@1.0 and zeta@1.0 have it; alpha@1.0's is kept"
    ]
    assert "./app/.stager/pypi/site-packages/same.py" in bench.members()


def test_a_file_above_a_file_is_refused(bench: Bench) -> None:
    bench.wheel("omega", "1.0", {"alpha": b"a file where a folder is"})
    with pytest.raises(PathConflict) as caught:
        bench.base()
    assert caught.value.where == ".stager/pypi/site-packages/alpha"
    assert caught.value.hint == "Pin another version of the package."


def test_the_app_may_not_claim_what_the_plan_adds(bench: Bench) -> None:
    bench.write(".profile.d/000-mine.sh", "")
    plan = bench.plan(files=((".profile.d/000-stager-x.sh", "true\n"),))
    bench.stage(bench.base(plan))
    bench.write(".profile.d/000-stager-x.sh", "mine\n")
    with pytest.raises(PathConflict) as caught:
        bench.stage(bench.base(plan))
    assert caught.value.where == ".profile.d/000-stager-x.sh"
    assert caught.value.message == "claimed by the app, a generated file"


def test_the_app_may_not_have_a_file_where_the_plan_has_a_folder(bench: Bench) -> None:
    bench.write(".profile.d", "a file\n")
    with pytest.raises(PathConflict) as caught:
        bench.stage(bench.base(bench.plan(files=((".profile.d/x.sh", ""),))))
    assert caught.value.where == ".profile.d"


def test_a_native_package_without_its_binary_needs_a_build(bench: Bench) -> None:
    bench.npm("native", {"binding.gyp": b"{}", "index.js": b""}, scripts={"install": "node-gyp rebuild"})
    with pytest.raises(NeedsBuild) as caught:
        bench.base()
    assert "native@1.0.0" in caught.value.message
    assert caught.value.exit_code == 60


def test_a_changed_buildpack_makes_the_lock_stale(bench: Bench) -> None:
    with pytest.raises(LockStale) as caught:
        bench.base(bench.plan(buildpacks=(BuildpackPin("procfile", sha256(b"another"), WHY),)))
    assert caught.value.message == "stager.lock is out of step with the buildpack procfile"


# --- the warm path ---------------------------------------------------------------------------------------------


def locked(bench: Bench) -> Base:
    plan = bench.plan()
    (bench.app / "stager.lock").write_text(dumps(plan))
    return bench.base(plan)


def warm(bench: Bench, **wishes: Any) -> Staged | None:
    return incremental.warm(Folder.read(str(bench.app), bench.store), str(bench.out), bench.settings(**wishes))


def test_nothing_changed_writes_nothing(bench: Bench) -> None:
    first = bench.stage(locked(bench))
    before = bench.out.stat()
    second = warm(bench)
    assert second is not None
    assert (second.digest, second.written) == (first.digest, False)
    assert bench.out.stat() == before


def test_a_touched_output_is_written_again(bench: Bench) -> None:
    first = bench.stage(locked(bench))
    data = bytearray(bench.out.read_bytes())
    data[len(data) // 2] ^= 1
    found = bench.out.stat()
    bench.out.write_bytes(data)
    os.utime(bench.out, ns=(found.st_atime_ns, found.st_mtime_ns))
    second = warm(bench)
    assert second is not None
    assert second.written
    assert hashlib.sha256(bench.out.read_bytes()).hexdigest() == first.digest.removeprefix("sha256:")


def test_droplets_written_into_the_folder_are_no_source(bench: Bench) -> None:
    base = bench.base()

    def into(name: str) -> str:
        out = str(bench.app / name)
        return str(incremental.assemble(Folder.read(str(bench.app), bench.store), base, bench.store, out).digest)

    first = into("one.tgz")
    (bench.app / ".one.tgz.0123456789ab.part").write_bytes(b"left by a killed staging")
    (bench.app / "stager.lock.0123456789ab.part").write_bytes(b"left by a killed staging")
    assert into("one.tgz") == first
    assert into("lib/two.tgz") == first
    assert into("one.tgz") == first
    (bench.app / "lib" / "other.tgz").write_bytes(b"the app's own")
    assert into("one.tgz") != first


def test_a_changed_input_is_not_warm(bench: Bench) -> None:
    bench.stage(locked(bench))
    bench.write("Procfile", "web: python other.py\n")
    assert warm(bench) is None


def test_a_new_input_is_not_warm(bench: Bench) -> None:
    bench.stage(locked(bench))
    bench.write("package.json", "{}")
    assert warm(bench) is None


def test_another_stack_is_not_warm(bench: Bench) -> None:
    bench.stage(locked(bench))
    assert warm(bench, stack="debian-13") is None
    assert warm(bench, stack="debian-12", architecture="amd64") is not None


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "extend"])
def test_damaged_pieces_never_reach_a_droplet(bench: Bench, damage: str) -> None:
    base = locked(bench)
    bench.stage(base)
    bench.stage(base)
    victim = Path(bench.store.path(base.layers[-1].pieces[0].blob))
    data = victim.read_bytes()
    victim.unlink()
    changed = {
        "flip": data[:-1] + bytes([data[-1] ^ 1]),
        "truncate": data[:-1],
        "extend": data + b"\0",
        "remove": None,
    }[damage]
    if changed is not None:
        victim.write_bytes(changed)
    bench.write("main.py", "print('changed')\n")
    with pytest.raises(assembly.Damaged) as caught:
        bench.stage(base)
    assert caught.value.blobs == (victim.name,)
    assert warm(bench) is None
    assert not list(bench.out.parent.glob(".droplet*"))


def test_an_output_that_cannot_be_written_leaves_nothing(bench: Bench) -> None:
    from stager.errors import CannotWrite

    bench.out = bench.out.parent / "missing" / "droplet.tgz"
    with pytest.raises(CannotWrite) as caught:
        bench.stage()
    assert (caught.value.where, caught.value.exit_code) == (str(bench.out), 70)
