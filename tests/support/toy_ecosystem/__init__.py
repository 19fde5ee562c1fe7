"""An ecosystem made up for `test_toy_ecosystem`: one folder, as somebody would add it to `stager/ecosystems/`.

An app asks for packages in `toys.json`; `toys.lock` pins them, with who needs whom. A package is a plain tar with `toy.json`;
the index has `index.json`, which says all that a lock does, and the tars beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stager.digest import Digest
from stager.ecosystems.errors import Mislabelled
from stager.ecosystems.graph import Graph
from stager.ecosystems.installed import Installed, Node, Said
from stager.ecosystems.licence import Licence, expression
from stager.ecosystems.record import Ecosystem, LockRequest, MakeRequest, WantedArtifact, Workplace
from stager.errors import BadLock, BadManifest, LockStale
from stager.model import Artifact, Locked

if TYPE_CHECKING:
    from stager.formats.archive import HeldArchive
    from stager.formats.tar import Unpacked
    from stager.model import Plan
    from stager.tree import SourceTree

MANIFEST, LOCK, PLACE = "toys.json", "toys.lock", ".stager/toys"
_PIN = re.compile(r"[a-z]+@\d+(?:\.\d+)*")
_RESOLVER = """
import json, sys, urllib.request
index = json.load(urllib.request.urlopen(sys.argv[1] + "/index.json"))
newest = {}
for pin in index:
    name, _, version = pin.partition("@")
    numbers = [int(part) for part in version.split(".")]
    newest[name] = max(newest.get(name, ([], "")), (numbers, pin))
todo, found = json.load(open("toys.json"))["wants"], {}
for name in todo:
    pin = newest[name][1]
    found[pin] = index[pin]
    todo += [need.partition("@")[0] for need in index[pin]["needs"]]
json.dump({"wants": json.load(open("toys.json"))["wants"], "toys": found}, open("toys.lock", "w"), indent=1, sort_keys=True)
"""


def _wants(tree: SourceTree) -> list[str]:
    if MANIFEST not in tree:
        return []
    try:
        wants = json.loads(tree.read_text(MANIFEST))["wants"]
        assert all(isinstance(name, str) for name in wants)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise BadManifest(MANIFEST, "is no table with a list of names as 'wants'") from None
    return list(wants)


def _document(tree: SourceTree, lock: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(tree.read_bytes(lock))
        assert all(_PIN.fullmatch(pin) and isinstance(one["needs"], list) for pin, one in found["toys"].items())
        assert isinstance(found["wants"], list)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError):
        raise BadLock(lock, "is no table of toys") from None
    return found


def find_locks(tree: SourceTree) -> list[str]:
    return [LOCK] if LOCK in tree else []


def read_lock(request: LockRequest) -> Locked:
    if not request.lock:
        return Locked(())
    artifacts, names = [], set()
    for pin, one in _document(request.tree, request.lock)["toys"].items():
        name, _, version = pin.partition("@")
        names.add(name)
        try:
            digest = Digest(one["digest"])
        except (KeyError, ValueError, TypeError):
            raise BadLock(request.lock, f"{pin} has no digest") from None
        artifacts.append(
            Artifact(f"pkg:toy/{name}@{version}", f"{name}-{version}.tar", digest, "toys/1", (f"{PLACE}/{name}",))
        )
    return Locked(tuple(artifacts), names=frozenset(names))


def check_drift(tree: SourceTree, lock: str) -> None:
    if MANIFEST in tree and sorted(_wants(tree)) != sorted(_document(tree, lock)["wants"]):
        raise LockStale(lock, [MANIFEST], "rm toys.lock && stager lock")


def needs(tree: SourceTree, lock: str, _: Plan) -> Graph:
    document, graph = _document(tree, lock), Graph(lock)
    for pin, one in document["toys"].items():
        name, _sign, version = pin.partition("@")
        graph.names[pin], graph.edges[pin] = (name, version), list(one["needs"])
        if name in document["wants"]:
            graph.roots[pin] = MANIFEST
    return graph


def order(version: str) -> Any:
    return [int(part) for part in version.split(".")]


def locate(wanted: WantedArtifact) -> Iterator[str]:
    yield f"{wanted.indexes.other('toy')}/{wanted.artifact.filename}"


def make_lock(request: MakeRequest, place: Workplace) -> bytes:
    place.write({f"app/{MANIFEST}": request.tree.read_bytes(MANIFEST)})
    done = place.run(LOCK, [place.python, "-I", "-c", _RESOLVER, request.indexes.other("toy")], {})
    if done.code:
        raise done.failure(LOCK)
    return place.read(LOCK)


def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    from stager.formats.archive import content_bytes, read_tar
    from stager.formats.tar import PieceFile, Unpacked

    archive = read_tar(blob, artifact.name, "")
    try:
        inside = {member.name: member for member in archive.members if not member.is_link}
        described = _described(content_bytes(inside["toy.json"].content) if "toy.json" in inside else b"")
        stated = f"{described.get('name')}@{described.get('version')}"
        if stated != artifact.name:
            raise Mislabelled(artifact.name, "toy.json", stated, artifact.name)
    except BaseException:
        archive.close()
        raise
    files = [PieceFile(f"{path}/{name}", member.content, member.executable) for name, member in inside.items()]
    return Unpacked(files, {}, {}, (archive,))


def _described(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def tells(path: str) -> bool:
    return path.startswith(f"{PLACE}/") and path.endswith("/toy.json")


def inventory(installed: Installed) -> Said:
    said = {
        n: _described(installed.texts.get(f"{one.paths[0]}/toy.json", b"")) for n, one in installed.artifacts.items()
    }
    known = {one.name: n for n, one in installed.artifacts.items()}
    edges: dict[Node, frozenset[Node]] = {
        n: frozenset(known[need] for need in one.get("needs", []) if need in known) for n, one in said.items()
    }
    return Said({n: Licence(expression(str(one.get("licence", "")))) for n, one in said.items()}, edges)


ECOSYSTEM = Ecosystem(
    name="toy",
    title="Toy",
    order=order,
    locate=locate,
    gone="It was taken off the shelf. Pin another toy.",
    page=lambda indexes: f"{indexes.other('toy')}/index.json",
    locks=(LOCK,),
    manifests=(MANIFEST,),
    find_locks=find_locks,
    read_lock=read_lock,
    check_drift=check_drift,
    declared=lambda tree: frozenset(_wants(tree)),
    needs=needs,
    lock_name=lambda _: LOCK,
    make_lock=make_lock,
    layouts={"toys/1": unpack},
    tells=tells,
    inventory=inventory,
)
