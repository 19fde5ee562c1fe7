"""A base with the bytecode of its artifacts: whose it is, which layer it lies in, and what of it stays out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from builders import make_wheel

from stager.digest import Digest, sha256
from stager.droplet import base
from stager.droplet.ownership import NOBODY, Owners
from stager.formats import tar
from stager.formats.codec import CODEC
from stager.model import Artifact, LockedPlan, Plan, Process, Reason, Runtime
from stager.planning import lockfile
from stager.store import Store

WHY = Reason("a test")
SITE = ".stager/pypi/site-packages"
PLAN = Plan(
    "debian-12", "amd64", CODEC, (), (), (Runtime("python", "3.11.2", "debian", (2, 36), WHY),), (), (), (),
    (Process("web", "true", WHY),), (), (("python.bytecode", "all"),),
)  # fmt: skip


def cached(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-311.pyc"


def wheel(name: str, files: dict[str, bytes], store: Store) -> base.UnpackedArtifact:
    data = make_wheel(name, "1.0", files)
    file = f"{name}-1.0-py3-none-any.whl"
    artifact = Artifact(f"pkg:pypi/{name}@1.0", file, sha256(data), "wheel/1", (".stager/pypi",))
    return base.place(artifact, ".stager/pypi", store.put(data), store)


def bytecode(of: base.UnpackedArtifact, store: Store) -> base.UnpackedArtifact:
    paths = [cached(row[0]) for row in of.files if row[0].endswith(".py")]
    data = b"".join(tar.file_header(one, 3, False) + b"abc" + tar.padding(3) for one in paths) + tar.END
    blob = store.put(data)
    artifact = Artifact(of.artifact.purl, "", Digest(f"sha256:{blob}"), "bytecode/1", (of.path,))
    return base.place(artifact, of.path, blob, store)


def locked(*placed: base.UnpackedArtifact) -> LockedPlan:
    return lockfile.locked(replace(PLAN, artifacts=tuple(one.artifact for one in placed)))


def test_it_lies_beside_its_package_and_is_told_as_its(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    one = wheel("alpha", {"alpha/__init__.py": b"x = 1\n"}, store)
    made = bytecode(one, store)
    path = f"{SITE}/alpha/__pycache__/__init__.cpython-311.pyc"
    assert base.decide(locked(one), [one], store, compiled=[made]).owners[path] == "bytecode of alpha@1.0"
    plain = base.build_base(locked(one), [one], store)
    with_it = base.build_base(locked(one), [one], store, compiled=[made])
    layer = next(layer for layer in with_it.layers if layer.name == base.layer_of(one.artifact, one.path))
    assert set(layer.pieces) == {one.piece, made.piece}
    assert [layer.name for layer in with_it.layers] == [layer.name for layer in plain.layers]


def test_the_bytecode_of_a_file_that_is_another_package_s_stays_out(tmp_path: Path) -> None:
    """Nobody would check it against that file."""
    store = Store(str(tmp_path))
    first = wheel("alpha", {"tests/__init__.py": b"x = 1\n", "alpha.py": b"a = 1\n"}, store)
    second = wheel("beta", {"tests/__init__.py": b"y = 2\n", "beta.py": b"b = 1\n"}, store)
    made = [bytecode(first, store), bytecode(second, store)]
    found = base.decide(locked(first, second), [first, second], store, compiled=made)
    owners = {path.removeprefix(f"{SITE}/"): owner for path, owner in found.owners.items() if path.endswith(".pyc")}
    assert owners == {
        "tests/__pycache__/__init__.cpython-311.pyc": "bytecode of alpha@1.0",
        "__pycache__/alpha.cpython-311.pyc": "bytecode of alpha@1.0",
        "__pycache__/beta.cpython-311.pyc": "bytecode of beta@1.0",
    }
    rows = [row[0] for one in found.placed for row in one.files]
    assert len(rows) == len(set(rows))


def test_the_same_is_read_back_from_a_droplet(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    one = wheel("alpha", {"alpha/__init__.py": b"x = 1\n"}, store)
    plan = locked(one).plan
    path, layer = f"{SITE}/alpha/__pycache__/__init__.cpython-311.pyc", base.layer_of(one.artifact, one.path)
    records = {f"{SITE}/alpha-1.0.dist-info/RECORD": b"alpha/__init__.py,sha256=x,6\nalpha-1.0.dist-info/RECORD,,\n"}
    assert Owners(plan, records).of(path, layer=layer) == "bytecode of alpha@1.0"
    assert Owners(plan, records).find(path, layer=layer) == 0
    assert Owners(plan, records).of(path.replace("__init__", "other"), layer=layer) == NOBODY
    assert Owners(replace(plan, facts=()), records).of(path, layer=layer) == NOBODY
    library = ".stager/python/lib/python3.11/__pycache__/os.cpython-311.pyc"
    assert Owners(None, {}).of(library, layer="python") == "python (runtime)"
