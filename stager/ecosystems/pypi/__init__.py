"""Python packages: lock files of every common tool, and wheels.

`read_lock` reduces `uv.lock`, `pylock.toml`, `poetry.lock`, `pdm.lock`, `Pipfile.lock` and hashed `requirements.txt`
to the same artifacts, chosen for the target; it never resolves again and never asks the host. `unpack` turns a wheel
into droplet entries. Nothing here opens a socket: a `DistributionLookup` is given by the
caller. `ECOSYSTEM`, in the end, is all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stager.ecosystems.record import (
    AMOUNTS,
    BuildRequest,
    Ecosystem,
    Laid,
    Listing,
    LockRequest,
    MakeRequest,
    WantedArtifact,
    Workplace,
)
from stager.errors import LockMissing, NeedsBuild, UsageError
from stager.model import Artifact, Build, Locked

from .building import OWN, RECIPES, own_build, with_env
from .lookup import DistributionLookup, IndexFile, resolve
from .pins import LAYOUT, PLACE, SDIST, Reading, normalise_index
from .selection import select
from .target import Target

if TYPE_CHECKING:
    from stager.ecosystems.graph import Graph
    from stager.ecosystems.installed import Installed, Said
    from stager.formats.archive import HeldArchive
    from stager.formats.tar import Unpacked
    from stager.model import Plan, Reason
    from stager.net.indexes import Indexes
    from stager.tree import SourceTree

__all__ = [
    "ECOSYSTEM",
    "LAYOUT",
    "LOCKS",
    "PLACE",
    "DistributionLookup",
    "IndexFile",
    "Target",
    "check_drift",
    "declared",
    "find_locks",
    "included",
    "members",
    "normalise_index",
    "read_lock",
    "requires_python",
    "unpack",
]

LOCKS: tuple[str, ...] = ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt")
"""The lock files that are recognised, in this order; `requirements.txt` is one only when it has hashes."""

Reader = Callable[["SourceTree", str, Target, Sequence[str], Sequence[str]], Reading]


def find_locks(tree: SourceTree) -> list[str]:
    """The lock files at the root of the app, in the order of `LOCKS`."""
    from .requirements import is_hashed

    return [name for name in LOCKS if name in tree and (name != "requirements.txt" or is_hashed(tree, name))]


def read_lock(
    tree: SourceTree,
    lock: str,
    target: Target,
    *,
    groups: Sequence[str] = (),
    extras: Sequence[str] = (),
    lookup: DistributionLookup | None = None,
    default_indexes: frozenset[str] = frozenset(),
) -> Locked:
    """What the lock file comes to for the target.

    `groups` and `extras` are installed besides the main dependencies. `lookup` is needed where a lock has hashes but
    no file names. `default_indexes` are URLs as `normalise_index` gives them: files of other indexes keep their URL.

    Raises BadLock (also for a lock made for other targets), BadManifest, LockMissing, Unpinned (an entry without digest),
    NeedsBuild (all packages without a fitting wheel at once), and for a lookup NotCached, Gone, DigestMismatch or what
    the lookup itself raises.
    """
    from . import made_for
    from .project import app_files, installed_folders, must_build
    from .wishes import wishes

    if lock not in tree:
        raise LockMissing(lock)
    reading = _reader(lock)(tree, lock, target, groups, extras)
    left_out = made_for.check(tree, lock, reading, target, groups, extras)
    folders = installed_folders(tree, lock, reading.folders)
    pins = resolve(reading.pins, lookup, target, lock, default_indexes) if not reading.unpinned else reading.pins
    wished = wishes(tree, lock)
    chosen = select(reading._replace(pins=tuple(pins)), target, lock, default_indexes, lookup, wished, tree)
    compiled = {path: (name, why) for name, path in folders if (why := must_build(tree, path))}
    found = [(one.of.removeprefix("pkg:pypi/").partition("@")[0], one) for one in chosen.builds]
    found += [(name, own_build(tree, name, path, why, lock)) for path, (name, why) in compiled.items()]
    versions = {pin.name: pin.version for pin in pins}
    builds = tuple(with_env(build, wished.env(name, versions)) for name, build in found)
    names = {pin.name for pin in reading.pins} | {name for name, path in folders if path}
    files = app_files(tree, folders, [name for name, _ in compiled.values()])
    return Locked(
        chosen.artifacts, files=files, names=frozenset(names), builds=builds,
        notes=(*reading.notes, *left_out, *chosen.notes, *wished.notes(name for name, _ in found)), hints=chosen.hints,
    )  # fmt: skip


def _reader(lock: str) -> Reader:
    """The reader of a lock file; imported when used, as an app has one."""
    name = lock.rpartition("/")[2]
    if name == "uv.lock":
        from .uvlock import read_uv as reader
    elif name == "poetry.lock":
        from .poetry import read_poetry as reader
    elif name == "pdm.lock":
        from .pdm import read_pdm as reader
    elif name == "Pipfile.lock":
        from .pipfile import read_pipfile as reader
    elif name.startswith("pylock."):
        from .pylock import read_pylock as reader
    else:
        from .requirements import read_requirements as reader
    return reader


def check_drift(tree: SourceTree, lock: str) -> None:
    """Raise LockStale when the lock is out of step with the manifest it was made from, as its own tool would say."""
    from .drift import check

    check(tree, lock)


def requires_python(tree: SourceTree, lock: str) -> tuple[str, Reason] | None:
    """The Python versions (PEP 440 specifiers) a lock was made for, and where it says so; None when it does not."""
    from .drift import python_of

    return python_of(tree, lock)


def declared(tree: SourceTree) -> frozenset[str]:
    """Normalised names of the packages that the app's manifests ask for; for detection, before any lock is read."""
    from .declarations import declared

    return declared(tree)


def included(tree: SourceTree, lock: str) -> list[str]:
    """The files that requirements files are or include, whatever their names, where the lock, or its lack, depends on them;
    and those settings of its tool that say how packages are built."""
    from .requirements import parts
    from .wishes import files

    lists = ("requirements.txt", "requirements.in") if lock in ("", "pylock.toml", "requirements.txt") else ()
    found = {tree.resolve(file) for path in lists for file in parts(tree, path)}
    return sorted(found | {tree.resolve(file) for file in files(tree, lock)})


def members(tree: SourceTree) -> list[str]:
    """The folders of the workspace at the tree's root."""
    from .workspace import members

    return members(tree)


def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    """The files of a wheel placed below `path`; see `wheel`. Raises BadArchive, UnsafeEntry."""
    from .wheel import unpack

    return unpack(blob, artifact, path)


# --- the record ------------------------------------------------------------------------------------------------


def _read(request: LockRequest) -> Locked:
    from stager.net.indexes import default_pypi

    from .pages import PypiLookup
    from .project import app_files

    if not request.lock:
        return Locked((), files=app_files(request.tree, ()))
    version = request.runtimes.get("python", "")
    if not version:
        message = "Python packages run on Python, and the buildpack names no runtime 'python'"
        raise UsageError(message, "Write 'runtimes: [python]' in its buildpack.yml.")
    major, minor = (int(part) for part in version.split(".")[:2])
    return read_lock(
        request.tree,
        request.lock,
        Target(request.stack, (major, minor), version),
        groups=request.options.get("groups", ()),
        extras=request.options.get("extras", ()),
        lookup=PypiLookup(request.pages, request.indexes) if request.pages else None,
        default_indexes=frozenset(normalise_index(url) for url in (*request.indexes.pypi(), default_pypi())),
    )


def _declared(tree: SourceTree) -> frozenset[str]:
    """The names; where there are none, what is known only by running a build is refused."""
    from .manifest import check_static

    names = declared(tree)
    if not names:
        check_static(tree)
    return names


def _requires(tree: SourceTree, lock: str) -> list[tuple[str, str, Reason]]:
    found = requires_python(tree, lock)
    return [("python", *found)] if found else []


def _order(version: str) -> Any:
    from packaging.version import Version

    return Version(version)


def _locate(wanted: WantedArtifact) -> Iterator[str]:
    from .locating import locate

    return locate(wanted)


def _page(indexes: Indexes) -> str:
    from stager.net.indexes import joined

    return joined(indexes.pypi()[0], "pip/") if indexes.pypi() else ""


def _needs(tree: SourceTree, lock: str, plan: Plan) -> Graph:
    from .needs import graph

    return graph(tree, lock, plan)


def _lock_name(request: MakeRequest) -> str:
    from .resolver import lock_name

    return lock_name(request.tree)


def _make_lock(request: MakeRequest, place: Workplace) -> bytes:
    from .resolver import lock_name, resolve

    return resolve(request.tree, lock_name(request.tree), lambda: request.version("python"), place, request.environ)


def _linked(build: Build) -> tuple[str, ...]:
    from .sdists import linked

    return linked(build)


def _wants(request: BuildRequest) -> tuple[str, tuple[str, ...]]:
    from .sdists import wants

    return wants(request)


def _pin_build(request: BuildRequest) -> Build:
    from .sdists import pinned

    return pinned(request)


def _unbuilt(_: str | HeldArchive, artifact: Artifact, __: str) -> Unpacked:
    """An sdist is never laid: what is built of it takes its place."""
    raise NeedsBuild([(artifact.name, "an sdist, which no build of the lock turns into a wheel")], "Run 'stager lock'.")


def _notes(plan: Plan, laid: Sequence[Laid], paths: Collection[str]) -> list[str]:
    found = [
        (one.artifact.name, former) for one in laid if isinstance(former := one.meta.get("former"), dict) and former
    ]
    if not found:
        return []
    from .former import remarks

    return remarks(found, paths, dict(plan.inputs))


def _is_list(path: str) -> bool:
    return path.endswith(".dist-info/RECORD")


def _claims(
    artifacts: Sequence[tuple[int, Artifact]], lists: Mapping[str, bytes]
) -> Iterator[tuple[int, Iterator[str], str]]:
    from .records import claims

    return claims(artifacts, lists)


def _unplanned(lists: Mapping[str, bytes]) -> Iterator[tuple[str, Iterator[str], str]]:
    from .records import unplanned

    return unplanned(lists)


def _makes(path: str) -> bool:
    made = ("/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json", ".pyc")
    return path.endswith(made) or path.startswith(f"{PLACE}/bin/")


def _tells(path: str) -> bool:
    return path.endswith((".dist-info/METADATA", ".dist-info/RECORD"))


def _inventory(installed: Installed) -> Said:
    from .inventory import inventory

    return inventory(installed)


_SHARED = {
    "settings": "a netrc file or the index's URL in pip.conf or uv.toml",
    "listed": "pip index versions NAME",
}
_ADVICE = {
    "uv.lock": {"manifest": "pyproject.toml", "command": "uv lock", **_SHARED},
    "pylock.toml": {
        "manifest": "requirements.txt",
        "command": "uv pip compile requirements.txt --format pylock.toml -o pylock.toml",
        **_SHARED,
    },
}

ECOSYSTEM = Ecosystem(
    name="pypi",
    title="Python",
    order=_order,
    locate=_locate,
    gone="It was removed from the index. Pin another version, or configure an index that still has it.",
    page=_page,
    locks=LOCKS,
    locks_with_urls=("uv.lock", "pylock.toml"),
    manifests=("pyproject.toml", "requirements.txt", "requirements.in", "Pipfile", "setup.cfg", "setup.py"),
    workspaces=("pyproject.toml",),
    starts_member="web: cd {member} && python main.py",
    section="python",
    options=("groups", "extras"),
    choices={"bytecode": AMOUNTS},
    find_locks=find_locks,
    read_lock=_read,
    check_drift=check_drift,
    declared=_declared,
    members=members,
    included=included,
    requires=_requires,
    needs=_needs,
    lock_name=_lock_name,
    make_lock=_make_lock,
    advice=_ADVICE,
    recipes=RECIPES,
    own_recipes=(OWN,),
    linked=_linked,
    wants=_wants,
    pin_build=_pin_build,
    layouts={LAYOUT: unpack, SDIST: _unbuilt},
    listing=Listing(_is_list, _claims, _unplanned, PLACE),
    notes=_notes,
    makes=_makes,
    tells=_tells,
    inventory=_inventory,
)
