"""From the files of a droplet to the tree that a treemap shows: kinds, owners, and the folders of what is large."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...droplet.ownership import APP, BASE, BUILT, ENVELOPE, NOBODY, STAGER
from ...ecosystems import by_layout, ecosystems
from ...text.wording import size_text
from ..diff import Contents
from ..diff.wording import shown
from .reading import Files
from .treemap import TreemapNode

_SPLIT = 0.06
"""An owner of more than this share of the whole is shown by its folders."""
_NEARLY = 0.9
"""A folder with more than this share of its owner's bytes is passed through: it would be a frame around all the rest."""
_DEEPEST = 3
"""How often an owner is divided."""
COLOURS = 6
"""Of the packages of ecosystems, in the style sheet."""
_MOST = 24
"""Parts of one node that are drawn; the rest is one part."""


def headings() -> dict[str, str]:
    """What a file may be part of, with its heading, in the order of the legend."""
    packages = {one.name: f"{one.title} packages" for one in ecosystems() if one.layouts}
    return {"runtime": "Runtimes", **packages, "app": "The app's own files", "other": "Everything else"}


def colours() -> dict[str, str]:
    """Kind → its class in the style sheet, which has colours for packages of so many ecosystems and then begins again."""
    own = [one for one in headings() if one not in ("runtime", "app", "other")]
    return {one: f"package-{own.index(one) % COLOURS + 1}" if one in own else one for one in headings()}


def kinds(found: Contents) -> Mapping[str, str]:
    """Owner → kind, for the packages of the plan."""
    named = {layout: one.name for layout, one in by_layout().items()}
    return {one.name: named.get(one.layout, "other") for one in (found.plan.artifacts if found.plan else ())}


def kind_of(owner: str, known: Mapping[str, str]) -> str:
    """The kind of one owner."""
    if owner == APP or owner.startswith(BUILT):
        return "app"
    if owner in (STAGER, BASE, ENVELOPE, NOBODY):
        return "other"
    if owner.endswith(" (runtime)"):
        return "runtime"
    return known.get(owner, "other")


def tree(found: Contents, files: Mapping[str, Files]) -> list[TreemapNode]:
    """The nodes of the treemap: kinds that have bytes, with their owners."""
    known = kinds(found)
    whole = sum(map(_bytes, files.values())) or 1
    grouped: dict[str, list[TreemapNode]] = {}
    for owner, some in sorted(files.items()):
        kind = kind_of(owner, known)
        name = shown(owner).removesuffix(" (runtime)")
        grouped.setdefault(kind, []).append(_node(name, some, kind, whole))
    return [
        _flat(
            TreemapNode(
                title,
                sum(one.size for one in nodes),
                kind,
                _most(nodes, kind),
                _title(title, sum(o.size for o in nodes)),
            )
        )
        for kind, title in headings().items()
        if (nodes := grouped.get(kind)) and any(one.size for one in nodes)
    ]


def _flat(node: TreemapNode) -> TreemapNode:
    """A kind with one owner shows that owner's parts at once."""
    if len(node.parts) != 1 or not node.parts[0].parts:
        return node
    only = node.parts[0]
    name = node.name if only.name == APP else only.name
    return TreemapNode(name, node.size, node.kind, only.parts, only.title)


def _node(name: str, files: Files, kind: str, whole: int, depth: int = 0) -> TreemapNode:
    """An owner, or one of its folders, divided when it is large."""
    size = sum(count for _, count in files)
    parts: tuple[TreemapNode, ...] = ()
    if size > _SPLIT * whole and len(files) > 1 and depth < _DEEPEST:
        parts = _most(_folders(files, kind, whole, depth + 1), kind)
    return TreemapNode(name, size, kind, parts if len(parts) > 1 else (), _title(name, size, len(files)))


def _folders(files: Files, kind: str, whole: int, depth: int) -> list[TreemapNode]:
    """What lies side by side below the folder that nearly all of the bytes share; what lies elsewhere is one part."""
    rows = _beside(files)
    biggest = max(rows, key=lambda name: (_bytes(rows[name]), name))
    while len(rows[biggest]) > 1 and _bytes(rows[biggest]) > _NEARLY * _bytes(files):
        rows = _beside(rows[biggest])
        biggest = max(rows, key=lambda name: (_bytes(rows[name]), name))
    nodes = [_node(shown(name), some, kind, whole, depth) for name, some in sorted(rows.items())]
    if rest := _bytes(files) - sum(node.size for node in nodes):
        nodes.append(TreemapNode("others", rest, kind, (), _title("others", rest)))
    return nodes


def _bytes(files: Files) -> int:
    return sum(size for _, size in files)


def _beside(files: Files) -> dict[str, Files]:
    """The files by the next part of their paths, below the folder that they all share."""
    common = _shared([path for path, _ in files])
    rows: dict[str, Files] = {}
    for path, size in files:
        rows.setdefault(path[len(common) :].partition("/")[0], []).append((path, size))
    return rows


def _shared(paths: Sequence[str]) -> str:
    """The longest folder, with its slash, that all paths lie in."""
    first, last = min(paths), max(paths)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[: first.rfind("/", 0, length) + 1]


def _most(nodes: Iterable[TreemapNode], kind: str) -> tuple[TreemapNode, ...]:
    """The biggest nodes, and the rest as one."""
    ordered = sorted(nodes, key=lambda node: (-node.size, node.name))
    rest = ordered[_MOST:]
    if not rest:
        return tuple(ordered)
    size = sum(one.size for one in rest)
    name = f"{len(rest)} smaller ones"
    return (*ordered[:_MOST], TreemapNode(name, size, kind, (), _title(name, size)))


def _title(name: str, size: int, files: int = 0) -> str:
    counted = f", {files} file{'' if files == 1 else 's'}" if files else ""
    return f"{name}: {size_text(size)}{counted}"
