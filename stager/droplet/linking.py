"""All links of a droplet resolved together, over its final paths: the app's, the plan's, its packages' and their commands'.

Each source of links is checked where it is read, by itself. Together they can still lead out: a link of the app through
one of the plan. So every link is followed once as the kernel would follow it (path_resolution(7)) among all the others.
On the warm path: what was found for the same plan and the same links of the app is remembered.
"""

from __future__ import annotations

from ..digest import key_of
from .errors import UnsafeLinks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from ..store import Store
    from ..tree import SourceTree

    Linked = dict[str, dict[str, list[str]] | list[str]]

HOPS = 40
"""Linux follows as many links in one path."""
_APP = "the app's"


def record(links: Mapping[str, str], owners: Mapping[str, str], files: Container[str], folders: list[str]) -> Linked:
    """What is to be remembered of a base: its links with their owners, the paths that are files, its folders."""
    return {
        "links": {path: [links[path], owners[path]] for path in sorted(links)},
        "files": sorted(path for path in owners if path in files),
        "folders": folders,
    }


def check(tree: SourceTree, base: str, store: Store) -> bool:
    """Whether the links of the tree and of the remembered `base` are safe together; False when it is forgotten.

    Raises UnsafeLinks for one that leads outside the app, in a loop, or through a file.
    """
    key = key_of("passed", base, tree.links)
    passed: dict[str, list[str]] | None = store.recall("passed", key)
    if passed is None:
        linked = store.recall("linked", base)
        if linked is None:
            return False
        passed = _passed(tree.links, linked)
        store.remember("passed", key, passed)
    for path, places in passed.items():
        for place in places:
            if place in tree.files:
                raise UnsafeLinks([(path, "", "")], f"leads through {place}, which is a file of the app")
    return True


def _passed(own: Mapping[str, str], base: Mapping[str, Mapping[str, list[str]]]) -> dict[str, list[str]]:
    """Link → the places that it passes and that are not the base's: those may be files of the app."""
    links = {path: (target, owner) for path, (target, owner) in base["links"].items()}
    links.update((path, (target, _APP)) for path, target in own.items())
    files, folders = set(base["files"]), {"", *base["folders"]}
    found = {}
    for path in sorted(links):
        places = [place for place in _follow(path, links, files) if place not in folders]
        if places:
            found[path] = places
    return found


def _follow(path: str, links: Mapping[str, tuple[str, str]], files: Container[str]) -> list[str]:
    """The places that following `path` passes, one step after the other. Raises UnsafeLinks."""
    todo, done, passed = path.split("/")[::-1], list[str](), list[str]()
    chain: list[tuple[str, str, str]] = []
    while todo:
        part = todo.pop()
        if part == "..":
            if not done:
                raise UnsafeLinks(chain, "leads outside the app")
            done.pop()
        elif part not in ("", "."):
            done.append(part)
        place = "/".join(done)
        if part not in ("", ".", "..") and place in links:
            chain.append((place, *links[place]))
            if len(chain) > HOPS:
                raise UnsafeLinks(chain[:3], "leads in a loop, or over more links than Linux follows")
            done.pop()
            if links[place][0].startswith("/"):
                raise UnsafeLinks(chain, "leads to an absolute path")
            todo.extend(reversed(links[place][0].split("/")))
        elif todo:
            if place in files:
                raise UnsafeLinks(chain, f"leads through {place}, which is a file")
            passed.append(place)
    return passed
