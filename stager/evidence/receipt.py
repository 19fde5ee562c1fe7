"""The receipt of a droplet: every input by its digest, the plan, the codec, stager's own version, and the outcome.

Most of it is inside the droplet (`.stager/stager.lock`, `launch.json`, `layers.json`), being a function of the inputs. The
receipt is a file beside it: it adds what the droplet itself cannot state, its own digest and layers, the digest of every
source file, and which stager can make it again. Canonical JSON, without clock, host or user; equal for whoever writes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from .. import __version__
from ..digest import Digest, canonical_json, sha256
from ..droplet.reader import DropletFile
from ..ecosystems.deb.files import PATCHELF
from ..formats.errors import BadArchive
from ..formats.tar import ROOT
from ..formats.tar_reader import TarEntry, read_entries
from ..model import Artifact
from ..text import resources
from ..tree import File, SourceTree
from . import built
from .errors import BadEvidence
from .provenance.dsse import document

VERSION = 1
"""Version of the receipt's format."""
APP = "app"
"""The layer that holds the app's own files."""


def make(droplet: DropletFile) -> dict[str, Any]:
    """The receipt of an open droplet, as a JSON value. Raises BadArchive, BadLock."""
    plan, whole = droplet.plan, layer_files(droplet)
    check_plan(droplet)
    return {
        "receipt": VERSION,
        "droplet": {"digest": droplet.digest, "size": droplet.size, "layers": list(_layers(droplet))},
        "plan": droplet.locked.digest,
        "stack": {"name": plan.stack, "architecture": plan.architecture, **_box(plan.stack)},
        "codec": plan.codec,
        "source": _source(built.source_of(whole, plan)),
        "inputs": dict(plan.inputs),
        "buildpacks": [
            {"name": pin.name, "digest": pin.digest, **({"folder": pin.folder} if pin.folder else {})}
            for pin in plan.buildpacks
        ],
        "runtimes": {runtime.name: f"{runtime.version} ({runtime.source})" for runtime in plan.runtimes},
        "artifacts": list(_artifacts(plan.artifacts)),
        **_builds(droplet, whole),
        "stager": {"version": __version__, "code": code_digest(), "patchelf": PATCHELF},
    }


def dumps(receipt: Mapping[str, Any]) -> bytes:
    """The receipt's bytes."""
    return canonical_json(receipt)


def check(data: bytes, droplet: DropletFile, file: str) -> dict[str, Any]:
    """Make sure that a receipt says of the droplet what is so; the receipt. The stager named in it may be another one.

    Raises BadEvidence that names the first member that differs.
    """
    found = document(data, file).value
    if found.get("receipt") != VERSION:
        raise BadEvidence(file, f"receipt: is {found.get('receipt')!r}; this stager reads version {VERSION}")
    expected = make(droplet)
    own, other = expected["stager"], found.get("stager")
    if isinstance(other, dict) and other.keys() == own.keys() and other["version"] != own["version"]:
        expected["stager"] = other
        expected["stack"] = found.get("stack", {}) if _same_stack(found, expected) else expected["stack"]
    differs = _difference(expected, found, "")
    if differs:
        raise BadEvidence(file, f"{differs} is not what the droplet says")
    return dict(found)


def _same_stack(found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether only the digest of the stack's definition differs: another stager may define the stack anew."""
    stack = found.get("stack")
    names = ("name", "architecture")
    return isinstance(stack, dict) and all(stack.get(name) == expected["stack"][name] for name in names)


def _difference(expected: Any, found: Any, path: str) -> str:
    """Where two JSON values first differ; empty when they are equal."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            where = f"{path}.{key}" if path else key
            if key not in expected or key not in found:
                return where
            if differs := _difference(expected[key], found[key], where):
                return differs
        return ""
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        rows = (_difference(one, two, f"{path}[{n}]") for n, (one, two) in enumerate(zip(expected, found, strict=True)))
        return next(filter(None, rows), "")
    same = expected == found and isinstance(expected, str) == isinstance(found, str)
    return "" if same else path


# --- parts -----------------------------------------------------------------------------------------------------


def source(droplet: DropletFile) -> SourceTree:
    """The source tree that a droplet was made from, read back from its app layer, but for what builds left there.

    Raises BadArchive."""
    return built.source_of(layer_files(droplet), droplet.plan)


def layer_files(droplet: DropletFile) -> SourceTree:
    """All that a droplet's app layer holds, as a tree whose files cannot be opened.

    Raises BadArchive when that layer holds something that no source tree has.
    """
    files: dict[str, File] = {}
    links: dict[str, str] = {}
    for entry in _entries(droplet):
        if entry.kind == "file":
            files[_path(entry, droplet)] = File(bool(entry.mode & 0o100), entry.size, f"sha256:{entry.sha256}")
        elif entry.kind == "link":
            links[_path(entry, droplet)] = entry.link
        elif entry.kind != "folder":
            raise BadArchive(droplet.name, f"holds {entry.name!r}, which is neither a file nor a link nor a folder")
    return SourceTree(files, links)


def _entries(droplet: DropletFile) -> Iterator[TarEntry]:
    parts = (droplet.tar(layer) for layer in droplet.layers if layer.name == APP)
    return read_entries(chain.from_iterable(parts), droplet.name)


def _path(entry: TarEntry, droplet: DropletFile) -> str:
    _encodable(entry.name, droplet.name)
    _encodable(entry.link, droplet.name)
    if not entry.name.startswith(ROOT):
        raise BadArchive(droplet.name, f"has {entry.name!r} in its layer of app files")
    return entry.name.removeprefix(ROOT)


def _encodable(text: str, label: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadArchive(label, f"has a name that is not UTF-8: {text!r}") from None


def check_plan(droplet: DropletFile) -> None:
    """Raise BadArchive when the plan that a droplet carries is not the one it says it was made from; BadLock."""
    carried, stated = droplet.locked.digest, droplet.launch.plan
    if stated != carried:
        raise BadArchive(droplet.name, f"carries the plan {carried}, but says it was made from {stated}")


def _layers(droplet: DropletFile) -> Iterator[dict[str, Any]]:
    for layer in droplet.layers:
        yield {"name": layer.name, "digest": layer.digest, "diff_id": layer.diff_id, "size": layer.size}


def _source(tree: SourceTree) -> dict[str, Any]:
    return {
        "digest": tree.digest,
        "files": {path: file.digest for path, file in tree.files.items()},
        "executable": [path for path, file in tree.files.items() if file.executable],
        "links": dict(tree.links),
    }


def _builds(droplet: DropletFile, whole: SourceTree) -> dict[str, Any]:
    """What was built, and what is pinned for that alone; nothing for a plan without builds."""
    plan = droplet.plan
    found: dict[str, Any] = {"builds": list(built.builds(droplet, whole))} if plan.builds else {}
    pinned = {place: list(_artifacts(some)) for place, some in built.only_for_builds(plan).items()}
    return found | ({"built_with": pinned} if pinned else {})


def _artifacts(artifacts: Iterable[Artifact]) -> Iterator[dict[str, Any]]:
    for one in artifacts:
        row: dict[str, Any] = {"purl": one.purl, "file": one.filename, "digest": one.digest, "layout": one.layout}
        row |= {"paths": list(one.paths)}
        row |= {"size": one.size} if one.size is not None else {}
        yield row | ({"url": one.url} if one.url else {})


def _box(stack: str) -> dict[str, Digest]:
    """The digest of the stack's definition, where this stager has it."""
    folder = os.path.join(resources.folder("boxes"), stack)
    known = stack in resources.names("boxes")
    return {"definition": resources.folder_digest(resources.contents(folder))} if known else {}


def code_digest() -> Digest:
    """The identity of stager's own code: over every module's path and digest, as `resources.folder_digest` has it.

    The shipped data (`buildpacks`, `boxes`) is not in it: a receipt names what was used of it by digests of its own.
    """
    found = resources.contents(resources.PACKAGE)
    return resources.folder_digest({path: data for path, data in found.items() if path.endswith(".py")})


def digest(receipt: bytes) -> Digest:
    """What a statement calls a receipt by."""
    return sha256(receipt)
