"""Whether a lock is out of step with its manifest, by the rule of the tool that wrote it.

uv compares the requirements it recorded; Poetry, pdm and pipenv compare a hash of what counts in the manifest, in ways
that changed with their versions, so any form a version of the tool would accept is accepted. Where a lock records
nothing, it must at least hold what the manifest names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from stager.errors import LockStale
from stager.model import Reason
from stager.text.source_lines import line_of
from stager.text.typed import Node

from .constraints import alternatives
from .declarations import origin
from .document import parse_json, read, toml
from .manifest import PYPROJECT, DeclaredDependency, dependency_groups, dig, entries, project_wanted, pyproject
from .pdm import pdm_python
from .pins import normalise
from .sameness import same_requirements, same_specifier

if TYPE_CHECKING:
    from stager.tree import SourceTree

_LEGACY = ("dependencies", "source", "extras", "dev-dependencies")


def check(tree: SourceTree, lock: str) -> None:
    """Raise LockStale when the lock was not made from the manifest as it is now."""
    name = lock.rpartition("/")[2]
    checks: dict[str, Callable[[SourceTree, str], None]] = {
        "uv.lock": _check_uv,
        "poetry.lock": _check_poetry,
        "pdm.lock": _check_pdm,
        "Pipfile.lock": _check_pipfile,
    }
    if name in checks:
        checks[name](tree, lock)
    elif name.startswith("pylock."):
        _check_pylock(tree, lock)
    else:
        _check_requirements(tree, lock)


# --- uv --------------------------------------------------------------------------------------------------------


def _check_uv(tree: SourceTree, lock: str) -> None:
    """uv records each local project's requirements under `[package.metadata]`."""
    document = toml(tree, lock)
    local = [(package, where) for package in document.list("package") if (where := _local(package)) is not None]
    stale = [file for package, where in local if (file := _stale_project(tree, package, where))]
    root = pyproject(tree)
    wanted, locked = _text(dig(root, "project", "requires-python")), document.str("requires-python", "")
    if len(local) == 1 and wanted and locked and not same_specifier(wanted, locked):
        stale.append(PYPROJECT)
    if root.get("project") is not None and not any(where == "" for _, where in local):
        stale.append(PYPROJECT)
    if stale:
        raise LockStale(lock, sorted(set(stale)), "uv lock")


def _local(package: Node) -> str | None:
    """The folder of a project inside the app, "" for the app itself; None for other packages."""
    source = package.at("source")
    for kind in ("virtual", "editable", "directory"):
        if place := source.str(kind, ""):
            return "" if place == "." else place.rstrip("/")
    return None


def _stale_project(tree: SourceTree, package: Node, folder: str) -> str:
    """The manifest of a local project when it differs from what the lock recorded, else ""."""
    document = pyproject(tree, folder)
    project = document.get("project")
    if document.file not in tree or project is None:
        return ""
    metadata = package.get("metadata") or Node({}, package.file)
    dynamic = set(project.strings("dynamic"))
    same = normalise(project.str("name"), document.file) == normalise(package.str("name"), package.file)
    if not dynamic & {"dependencies", "optional-dependencies"}:
        same = same and same_requirements(_declared(project, document), _recorded(metadata.list("requires-dist")))
    same = same and _same_groups(document, metadata) and _same_states(project, document, metadata)
    return "" if same else document.file


def _same_states(project: Node, document: Node, metadata: Node) -> bool:
    """Whether the commits, tags and branches that the manifest asks for are those recorded (`URL?rev=…`)."""
    recorded, asked = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for row in metadata.list("requires-dist"):
        if text := row.str("git", ""):
            query = text.partition("#")[0].partition("?")[2]
            recorded[normalise(row.str("name"), row.file)].add(_state(parse_qs(query)))
    extras = [_text(item) for node in entries(project.get("optional-dependencies")).values() for item in node]
    for line in (*project.strings("dependencies"), *extras):
        wanted = DeclaredDependency.of_requirement(line, document.file)
        if wanted.url.startswith("git+"):
            state = wanted.url.partition("#")[0].partition("://")[2].partition("/")[2].partition("@")[2]
            asked[wanted.name].add(state)
    for name, node in entries(dig(document, "tool", "uv", "sources")).items():
        for one in node if isinstance(node.value, list) else [node]:
            if isinstance(one.value, dict) and "git" in one.value:
                asked[normalise(name, document.file)].add(_state({key: [one.str(key, "")] for key in _STATES}))
    # Some that are asked for may be recorded nowhere: a source can be for a group, or for systems that no row is for.
    return all(recorded[name] <= asked[name] for name in recorded.keys() & asked.keys())


def _state(table: Mapping[str, Sequence[str]]) -> str:
    """Which state of a repository is asked for; empty for its newest."""
    return next((table[key][0] for key in _STATES if table.get(key, [""])[0]), "")


_STATES = ("rev", "tag", "branch")


def _declared(project: Node, document: Node) -> list[DeclaredDependency]:
    """`[project]` dependencies, extras written as markers; those with a uv source compare without version."""
    sources = entries(dig(document, "tool", "uv", "sources"))
    placed = {normalise(name, document.file) for name, node in sources.items() if _has_place(node)}
    found = [DeclaredDependency.of_requirement(line, document.file) for line in project.strings("dependencies")]
    for extra, node in entries(project.get("optional-dependencies")).items():
        for item in node:
            wanted = DeclaredDependency.of_requirement(_text(item), document.file)
            only = f"extra == '{normalise(extra, document.file)}'"
            found.append(wanted._replace(marker=f"({wanted.marker}) and {only}" if wanted.marker else only))
    return [wanted._replace(url="source") if wanted.name in placed else wanted for wanted in found]


def _has_place(node: Node) -> bool:
    """Whether an entry of `tool.uv.sources` gives a place instead of an index."""
    tables = list(node) if isinstance(node.value, list) else [node]
    return any(not isinstance(table.value, dict) or "index" not in table.value for table in tables)


def _recorded(nodes: Iterable[Node]) -> list[DeclaredDependency]:
    places = ("git", "url", "path", "directory", "editable", "virtual")
    found = []
    for node in nodes:
        place = next((kind for kind in places if node.get(kind) is not None), "")
        extras = tuple(sorted(normalise(extra, node.file) for extra in node.strings("extras")))
        name, version = normalise(node.str("name"), node.file), node.str("specifier", "")
        found.append(DeclaredDependency(name, version, extras, node.str("marker", ""), url=place))
    return found


def _same_groups(document: Node, metadata: Node) -> bool:
    """Whether the dependency groups are those recorded; a group without entries may be missing."""
    wanted = dict(dependency_groups(document))
    for item in dig(document, "tool", "uv", "dev-dependencies") or ():
        wanted.setdefault("dev", []).append(_text(item))
    table = {normalise(name, metadata.file): node for name, node in metadata.table("requires-dev").items()}
    placed = {normalise(name, document.file) for name in entries(dig(document, "tool", "uv", "sources"))}
    loose = dig(document, "tool", "uv", "dependency-groups") is not None  # uv adds their requires-python to the markers
    for name in wanted.keys() | table.keys():
        declared = [DeclaredDependency.of_requirement(line, document.file) for line in wanted.get(name, [])]
        declared = [one._replace(url="source") if one.name in placed else one for one in declared]
        recorded = _recorded(table.get(name, ()))
        if loose:
            declared, recorded = ([one._replace(marker="") for one in side] for side in (declared, recorded))
        if not same_requirements(declared, recorded):
            return False
    return True


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""


# --- Poetry ----------------------------------------------------------------------------------------------------


def _check_poetry(tree: SourceTree, lock: str) -> None:
    """`metadata.content-hash`: SHA-256 of sorted JSON of the relevant tables of `pyproject.toml`."""
    locked = toml(tree, lock).at("metadata").str("content-hash", "")
    if not locked or PYPROJECT not in tree:
        return
    hashes = list(_poetry_hashes(pyproject(tree).value))
    writer = re.match(r"#.* by Poetry ([0-9]{1,4})\.([0-9]{1,4})", read(tree, lock))
    if writer and (int(writer[1]), int(writer[2])) >= (2, 3):
        hashes = hashes[:1]
    if locked not in hashes:
        raise LockStale(lock, [PYPROJECT], "poetry lock")


def _poetry_hashes(data: Mapping[str, Any]) -> Iterator[str]:
    """As Poetry 2.3 and later does it, then 2.0 to 2.2 (no dependency groups), 1.x (no `[project]`), 1.1 (no groups)."""
    project, groups = _table(data.get("project")), _table(data.get("dependency-groups"))
    poetry = _table(_table(data.get("tool")).get("poetry"))
    keys = ("requires-python", "dependencies", "optional-dependencies")
    standard = {key: project[key] for key in keys if project.get(key) is not None}
    for with_groups in (groups, {}):
        own = {key: poetry.get(key) for key in (*_LEGACY, "group")}
        bare = bool(standard or with_groups)
        own = {key: value for key, value in own.items() if value is not None or (key in _LEGACY and not bare)}
        outer = {"project": standard} if standard else {}
        if with_groups:
            outer["dependency-groups"] = with_groups
        yield _json_hash({**outer, "tool": {"poetry": own}} if bare else own)
    legacy = {key: poetry.get(key) for key in _LEGACY}
    yield _json_hash({**legacy, "group": poetry["group"]} if poetry.get("group") is not None else legacy)
    yield _json_hash(legacy)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json_hash(value: Any, separators: tuple[str, str] | None = None) -> str:
    text = json.dumps(value, sort_keys=True, separators=separators, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


# --- pdm -------------------------------------------------------------------------------------------------------


def _check_pdm(tree: SourceTree, lock: str) -> None:
    """`metadata.content_hash`; of a workspace, or with `lock_inputs` instead, only names are checked."""
    document = toml(tree, lock)
    metadata, manifest = document.at("metadata"), pyproject(tree)
    locked = metadata.str("content_hash", "").removeprefix("sha256:")
    if PYPROJECT not in tree or manifest.get("project") is None:
        return
    if not locked or dig(manifest, "tool", "pdm", "workspace") is not None:
        versions = _versions(document.list("package"), lock)
        _must_hold(project_wanted(tree), versions, lock, PYPROJECT, "pdm lock")
    elif locked not in set(_pdm_hashes(manifest, metadata.str("lock_version", ""))):
        raise LockStale(lock, [PYPROJECT], "pdm lock")


def _pdm_hashes(manifest: Node, lock_version: str) -> Iterator[str]:
    """With `overrides` or all of `resolution`; groups of PEP 735 count as `dev-dependencies` since 4.5."""
    project = _table(manifest.value.get("project"))
    settings = _table(_table(manifest.value.get("tool")).get("pdm"))
    own = _table(settings.get("dev-dependencies"))
    groups: dict[str, list[Any]] = {}
    for table in (_table(manifest.value.get("dependency-groups")), own):
        for name, lines in table.items():
            groups.setdefault(normalise(name, PYPROJECT), []).extend(lines)
    resolution = _table(settings.get("resolution"))
    overrides = settings.get("overrides", resolution.get("overrides", {}))
    for dev in (groups,) if lock_version.startswith("4.5") else (groups, own):
        for last in ({"resolution": resolution}, {"overrides": overrides}):
            yield _json_hash(
                {
                    "sources": settings.get("source", []),
                    "dependencies": project.get("dependencies", []),
                    "dev-dependencies": dev,
                    "optional-dependencies": project.get("optional-dependencies", {}),
                    "requires-python": project.get("requires-python", ""),
                    **last,
                }
            )


# --- pipenv ----------------------------------------------------------------------------------------------------


def _check_pipfile(tree: SourceTree, lock: str) -> None:
    """`_meta.hash.sha256`: SHA-256 of compact sorted JSON of the Pipfile's sections."""
    meta = parse_json(tree, lock).at("_meta")
    locked = meta.get("hash")
    if locked is not None and "Pipfile" in tree and locked.str("sha256", "") not in set(_pipfile_hashes(tree, meta)):
        raise LockStale(lock, ["Pipfile"], "pipenv lock")


def _pipfile_hashes(tree: SourceTree, meta: Node) -> Iterator[str]:
    """As pipenv before and since it normalises names, with and without categories of one's own."""
    data = toml(tree, "Pipfile").value
    known = ("source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop")
    others = {key: _table(value) for key, value in data.items() if key not in known}
    # pipenv puts its default source in front when there is none; the lock tells which that was.
    sources = data.get("source") or [node.value for node in meta.list("sources")]
    for normal in (lambda name: name, lambda name: re.sub(r"[-_.]+", "-", name).lower()):
        for extra in (others, {}):
            sections = {"default": data.get("packages", {}), "develop": data.get("dev-packages", {}), **extra}
            sections = {key: {normal(name): value for name, value in _table(t).items()} for key, t in sections.items()}
            about = {"sources": sources, "requires": data.get("requires", {})}
            yield _json_hash({"_meta": about, **sections}, (",", ":"))


# --- locks that record nothing ---------------------------------------------------------------------------------


def _check_pylock(tree: SourceTree, lock: str) -> None:
    _check_origin(tree, lock, _versions(toml(tree, lock).list("packages"), lock))


def _check_requirements(tree: SourceTree, lock: str) -> None:
    from .requirements import pinned_in

    _check_origin(tree, lock, pinned_in(tree, lock))


def _check_origin(tree: SourceTree, lock: str, versions: Mapping[str, set[str]]) -> None:
    if made_from := origin(tree, lock):
        _must_hold(made_from.wanted, versions, lock, made_from.file, made_from.command)


def check_compiled(tree: SourceTree) -> None:
    """Raise LockStale when a requirements.txt without hashes was not compiled from the requirements.in beside it."""
    from .requirements import names_in, pinned_in, wanted_in

    pinned, names = pinned_in(tree, "requirements.txt"), names_in(tree, "requirements.txt")
    versions = {name: pinned.get(name, {""}) for name in names}
    command = "uv pip compile requirements.in --output-file requirements.txt"
    _must_hold(wanted_in(tree, "requirements.in"), versions, "requirements.txt", "requirements.in", command)


def _versions(packages: Iterable[Node], lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(normalise(package.str("name"), lock), set()).add(package.str("version", ""))
    return found


def _must_hold(
    wanted: Iterable[DeclaredDependency], versions: Mapping[str, set[str]], lock: str, manifest: str, command: str
) -> None:
    """Every requirement without a marker must be in the lock, in a version it admits."""
    for one in wanted:
        if not one.marker:
            held = versions.get(one.name, set())
            if not any(not version or one.url or one.accepts(version) for version in held):
                raise LockStale(lock, [manifest], command)


# --- the Python a lock was made for ----------------------------------------------------------------------------


def python_of(tree: SourceTree, lock: str) -> tuple[str, Reason] | None:
    """The specifiers and the place they stand; None when the lock and the manifest leave it open."""
    name = lock.rpartition("/")[2]
    found, pattern = "", ""
    if name == "uv.lock" or name.startswith("pylock."):
        found, pattern = toml(tree, lock).str("requires-python", ""), r"^requires-python\s*="
    elif name == "poetry.lock":
        found, pattern = _pep440(toml(tree, lock).at("metadata").str("python-versions", "")), r"^\[metadata\]"
    elif name == "pdm.lock":
        found, pattern = pdm_python(toml(tree, lock).at("metadata")), r"^requires_python\s*="
    elif name == "Pipfile.lock":
        found, pattern = _pipfile_python(parse_json(tree, lock).at("_meta")), r'"python_(full_)?version"\s*:'
    if found:
        return found, Reason(f"{name} was made for Python {found}", lock, line_of(read(tree, lock), pattern))
    found = _text(dig(pyproject(tree), "project", "requires-python"))
    if not found:
        return None
    line = line_of(read(tree, PYPROJECT), r"^requires-python\s*=")
    return found, Reason(f"{PYPROJECT} asks for Python {found}", PYPROJECT, line)


def _pep440(constraint: str) -> str:
    """A Poetry constraint as specifiers, alternatives joined by `||`; nothing for what is none."""
    try:
        return " || ".join(str(choice) or "*" for choice in alternatives(constraint)) if constraint else ""
    except ValueError:
        return ""


def _pipfile_python(meta: Node) -> str:
    requires = meta.get("requires")
    if requires is None:
        return ""
    full, short = requires.str("python_full_version", ""), requires.str("python_version", "")
    return f"=={full}" if full else f"=={short}.*" if short else ""
