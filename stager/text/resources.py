"""Where the shipped data folders `buildpacks/` and `boxes/` are, and which app files they call inputs.

An installed wheel carries them as `stager/_data/<kind>`; in a checkout they are top-level folders. This module reads
plain text only and imports nothing heavy, so that a warm restage can ask for input patterns without parsing YAML.
"""

from __future__ import annotations

import os
from functools import lru_cache

from ..errors import InvalidDefinition
from ..files import limits, regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..digest import Digest

DEFINITIONS = {"buildpacks": "buildpack.yml", "boxes": "box.yml"}
"""Kinds of shipped data, and the file that makes a folder one of them."""
INPUTS = "inputs.txt"
"""A buildpack's list of input patterns: one a line, `#` starts a comment."""


PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The absolute folder of stager's own modules."""


def folder(kind: str) -> str:
    """The absolute folder of `kind` (`buildpacks` or `boxes`): the packaged copy if any, else the checkout's."""
    packaged = os.path.join(PACKAGE, "_data", kind)
    return packaged if os.path.isdir(packaged) else os.path.join(os.path.dirname(PACKAGE), kind)


def beside(module: str, name: str) -> bytes:
    """A file that lies beside a module, which says `__file__`."""
    with open(os.path.join(os.path.dirname(module), name), "rb") as file:
        return file.read()


def names(kind: str) -> list[str]:
    """The names of everything shipped of `kind`, sorted by bytes."""
    root = folder(kind)
    found = os.listdir(root) if os.path.isdir(root) else []
    return sorted(
        (name for name in found if os.path.isfile(os.path.join(root, name, DEFINITIONS[kind]))), key=str.encode
    )


def input_patterns(buildpack: str = "") -> tuple[str, ...]:
    """The input patterns of one shipped buildpack, or of all of them, sorted and each once."""
    root = folder("buildpacks")
    chosen = [buildpack] if buildpack else names("buildpacks")
    return tuple(sorted({line for name in chosen for line in read_patterns(os.path.join(root, name))}, key=str.encode))


def read_patterns(path: str) -> list[str]:
    """The input patterns of the buildpack in the folder `path`, in file order; none when it has no such file."""
    file = os.path.join(path, INPUTS)
    if not os.path.lexists(file):
        return []
    return patterns(_read(file, limits.SETTINGS))


def patterns(data: bytes) -> list[str]:
    """The input patterns in the bytes of such a file."""
    text = data.decode("utf-8", "replace")
    return [found for line in text.split("\n") if (found := line.partition("#")[0].strip())]


def is_input(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether the app's file `path` determines the plan.

    A pattern is compared with as many trailing parts of the path as it has itself; `*` stands for any run of characters
    within one part. Nothing below a `node_modules` folder counts.
    """
    names, others = _sorted_out(patterns)
    if path[path.rfind("/") + 1 :] not in names:
        parts = path.split("/")
        if not any(_tail_fits(parts, pattern) for pattern in others):
            return False
    return "node_modules" not in path.split("/")


@lru_cache(maxsize=8)
def _sorted_out(patterns: tuple[str, ...]) -> tuple[frozenset[str], list[list[str]]]:
    """Plain file names, and the parts of all other patterns: asked for every file of an app on each restage."""
    plain = frozenset(pattern for pattern in patterns if "*" not in pattern and "/" not in pattern)
    return plain, [pattern.split("/") for pattern in patterns if pattern not in plain]


def _tail_fits(parts: list[str], wanted: list[str]) -> bool:
    tail = parts[-len(wanted) :]
    return len(tail) == len(wanted) and all(fits(part, want) for part, want in zip(tail, wanted, strict=True))


def fits(name: str, pattern: str) -> bool:
    """Whether one path part fits a pattern in which `*` stands for any run of characters.

    Greedy from the left, so the work is linear in the name's length times the number of stars.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    if not name.startswith(first):
        return False
    position = len(first)
    for piece in rest[:-1]:
        found = name.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return len(name) - position >= len(rest[-1]) and name.endswith(rest[-1])


# --- identity of a folder --------------------------------------------------------------------------------------


_MOST = 10_000
"""The most files of a buildpack."""


def pinned_digest(name: str, own: str, root: str) -> Digest:
    """The digest, as it is now, of the shipped buildpack `name`, or of a user's `own` folder relative to the app's `root`.

    Nothing is parsed. A folder that holds no buildpack has the digest of an empty one: a plan may name any.
    """
    path = os.path.join(root, own) if own else os.path.join(folder("buildpacks"), name)
    if own and not os.path.isfile(os.path.join(path, DEFINITIONS["buildpacks"])):
        return folder_digest({})
    return folder_digest(contents(path, follow=not own))


def folder_digest(contents: Mapping[str, bytes]) -> Digest:
    """The identity of a folder of data: SHA-256 over the canonical JSON of its sorted (path, digest) pairs."""
    from ..digest import canonical_json, sha256

    return sha256(canonical_json([[path, sha256(contents[path])] for path in sorted(contents, key=str.encode)]))


def contents(root: str, *, follow: bool = True) -> dict[str, bytes]:
    """Every file below `root` by its path, hidden ones left out.

    `follow` is for what stager ships, which an installer may have linked to. Raises InvalidDefinition for what is no
    regular file, for too many files, and for more bytes than a buildpack may have.
    """
    found: dict[str, bytes] = {}
    left = limits.BUILDPACK
    for place, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in files:
            if not name.startswith("."):
                path = os.path.join(place, name)
                data = found[os.path.relpath(path, root).replace(os.sep, "/")] = _read(path, left, follow)
                left -= len(data)
        if len(found) > _MOST:
            raise InvalidDefinition(root, "", f"holds more than {_MOST} files")
    return found


def _read(path: str, limit: int, follow: bool = True) -> bytes:
    try:
        return regular.read(path, limit, follow=follow)
    except OSError as error:
        raise InvalidDefinition(path, "", f"cannot be read: {error.strerror}") from error
