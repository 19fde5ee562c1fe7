"""What people should know of a droplet although it is right: logins in it, and names that some systems take for one.

A function of the tree and the base, so equal on every machine; remembered with the folder, so that a restage says the
same again and looks only into files that are new. On the warm path: imports nothing heavy.
"""

from __future__ import annotations

from ..records import Remarks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import Any

    from ..records import Base
    from ..tree import SourceTree

_MOST = 20
"""Pairs of names that are told; an app that is made of such pairs is told in twenty lines as well."""


def remarks(tree: SourceTree, base: Base, known: Remarks) -> Remarks:
    """The remarks on the tree and on it beside the base; `known` are those of the last time."""
    if (known.tree, known.plan) == (tree.digest, base.plan):
        return known
    logins = _logins(tree, known.logins)
    notes = [note for path in sorted(logins) for note in logins[path][2]]
    notes += [f"{path}: {remark}" for path, remark in tree.notes]
    if pairs := _beside(tree, base):
        own = dict.fromkeys((*tree.files, *tree.links), "the app")
        notes += told(pairs, lambda path: whose(own, path) or "what the plan adds")
    return Remarks(str(tree.digest), base.plan, tuple(notes), logins)


# --- logins ----------------------------------------------------------------------------------------------------

LARGEST = 8 << 20
"""Bytes of a file that is searched: lock files are long, and anything longer is not written by hand."""
_BY_URL = frozenset({
    "pyproject.toml", "pipfile", "pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock", "setup.cfg", "setup.py", "tox.ini",
    "environment.yml", "environment.yaml", "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock",
    "pnpm-lock.yaml", "pnpm-workspace.yaml", "bun.lock", "deno.json", "composer.json", "composer.lock", "gemfile",
    "gemfile.lock", "cargo.toml", "cargo.lock", "go.mod", "procfile", "runtime.txt", "bower.json", "lerna.json",
})  # fmt: skip
"""Manifests and locks: an address in them may carry a login; words such as `password` mean nothing there."""
_BY_WORD = frozenset({
    "uv.toml", "poetry.toml", "pdm.toml", ".pdm.toml", "bunfig.toml", ".condarc", "settings.xml", "gradle.properties",
    "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts", "pom.xml", "nuget.config", "web.config",
    "auth.json", "database.yml", "secrets.yml", "application.properties", "application.yml", "application.yaml", "stager.yml",
    "stackato.yml", "app.json", "fly.toml", "render.yaml", "netlify.toml", "wrangler.toml", "serverless.yml", ".flaskenv",
    ".yarnrc", ".yarnrc.yml", ".npmrc", "pip.conf", "pip.ini", ".bowerrc", ".gemrc", "credentials", "mix.exs",
    "terraform.tfstate", "terraform.rc", ".terraformrc", "alembic.ini", "wp-config.php", "local_settings.py",
})  # fmt: skip
_STARTS_URL = ("requirements", "constraints", "pylock")
_STARTS_WORD = ("docker-compose", "compose.", "dockerfile", "manifest", "appsettings", "vars", ".env")
_ENDS_WORD = (
    ".tfvars",
    ".tfvars.json",
    ".tfstate",
    ".tfstate.backup",
    ".dockerfile",
    "/.cargo/config.toml",
    "/.bundle/config",
    ".tf",
    ".env",
)
_ENDS_TEXT = (".txt", ".in", ".toml", ".yml", ".yaml", ".json", "dockerfile")


def wanted(path: str) -> str:
    """What to look for in a file of this path: `url`, `word` (and `url`), `users` (of a static site); empty for nothing."""
    lower = path.lower()
    name = lower.rpartition("/")[2]
    if name in _BY_URL:
        return "url"
    if name in _BY_WORD or ("/" + lower).endswith(_ENDS_WORD):
        return "word"
    folders = ("requirements/", "reqs/", "constraints/")
    if name.endswith(_ENDS_TEXT) and (
        name.startswith(_STARTS_URL) or lower.endswith(".in") or any(one in lower for one in folders)
    ):
        return "url"
    if lower == "staticfile.auth":
        return "users"
    return "word" if name.startswith(_STARTS_WORD) and name.endswith((*_ENDS_TEXT, ".env")) else ""


def _logins(tree: SourceTree, known: Mapping[str, Any]) -> dict[str, Any]:
    """Path → [digest, what was found, notes] of the files that may hold a login."""
    found: dict[str, Any] = {}
    for path, file in tree.files.items():
        kind = wanted(path)
        if not kind or file.size > LARGEST:
            continue
        old = known.get(path)
        if old is not None and old[0] == file.digest:
            found[path] = old
        else:
            from ..tree.logins import search, sentences  # here, since most stagings have nothing new to search

            rows = search(tree.read_bytes(path), kind)
            found[path] = [file.digest, rows, sentences(path, rows)]
    return found


# --- names -----------------------------------------------------------------------------------------------------


def told(pairs: Iterable[tuple[str, str]], who: Callable[[str], str]) -> list[str]:
    """The notes for people on pairs of names; `who` says what brought a path."""
    rows = sorted(pairs)
    notes = [
        f"{one} ({who(one)}) and {other} ({who(other)}) differ only in case or in how letters are composed: "
        "macOS, Windows and their shares cannot hold both"
        for one, other in rows[:_MOST]
    ]
    return notes + ([f"{len(rows) - _MOST} more names differ only so"] if len(rows) > _MOST else [])


def collisions(paths: Collection[str]) -> set[tuple[str, str]]:
    """Pairs of names in one folder that differ only in case (Unicode's case folding) or composition (NFKD).

    `paths` are files and links, each as often as one likes; the folders above them count as well. What lies below two
    such folders is not told again.
    """
    likely, pairs, first = _likely(paths), set(), dict[tuple[str, str], str]()
    for path in sorted(likely):
        above, _, name = path.rpartition("/")
        one = first.setdefault((above, folded(name)), path)
        if one != path:
            pairs.add((one, path))
    return pairs


def _likely(paths: Collection[str]) -> set[str]:
    """The nodes whose folded path falls together with another's, and a few more: 16 bytes each is all that 200,000
    files may cost, so that what is told apart here is a place in a table, by the path's hash."""
    seen = bytearray(16 * len(paths) + 1)
    twice = set[int]()
    for node in _nodes(paths):
        place = hash(folded(node)) % len(seen)
        if seen[place]:
            twice.add(place)
        seen[place] = 1
    return {node for node in _nodes(paths) if hash(folded(node)) % len(seen) in twice} if twice else set()


def _nodes(paths: Iterable[str]) -> Iterator[str]:
    """Each path, and each folder above one."""
    folders = {""}
    for path in paths:
        yield path
        above = path.rpartition("/")[0]
        while above not in folders:
            folders.add(above)
            yield above
            above = above.rpartition("/")[0]


def folded(name: str) -> str:
    """The name as a system reads it that tells neither case nor composition apart."""
    if name.isascii():
        return name.lower()
    from unicodedata import normalize

    return normalize("NFKD", normalize("NFKD", name).casefold())


def whose(owners: Mapping[str, str], path: str) -> str:
    """Who brings this path, or the first one below it; empty when nobody does."""
    return owners.get(path) or next((owner for one, owner in owners.items() if one.startswith(f"{path}/")), "")


def _beside(tree: SourceTree, base: Base) -> list[tuple[str, str]]:
    """Collisions within the app, and of the app with what the plan adds; those of the plan alone are the base's notes."""
    pairs = collisions([*base.files, *base.folders, *base.roots, *tree.files, *tree.links])
    if not pairs:
        return []
    own = set(_nodes([*tree.files, *tree.links]))
    return [pair for pair in pairs if not own.isdisjoint(pair)]
