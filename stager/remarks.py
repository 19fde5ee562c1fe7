"""What people should know of a droplet although it is right: logins in it, and names that some systems take for one.

A function of the tree and the base, so equal on every machine; remembered with the folder, so that a restage says the
same again and looks only into files that are new. On the warm path: imports nothing heavy.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from .tree import SourceTree

FORMAT = 1
"""Raise it when a rule here or in `tree.logins` changes."""
_MOST = 20
"""Pairs of names that are told; an app that is made of such pairs is told in twenty lines as well."""


def remarks(tree: SourceTree, base: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """`notes` on the tree and on it beside the base; plain JSON, to be given as `known` next time."""
    of = [FORMAT, str(tree.digest), base["plan"]]
    if known.get("of") == of:
        return dict(known)
    logins = _logins(tree, known.get("logins", {}) if known.get("of", [0])[0] == FORMAT else {})
    notes = [note for path in sorted(logins) for note in logins[path][2]]
    notes += [f"{path}: {remark}" for path, remark in tree.notes]
    notes += told(_beside(tree, base), lambda path: "the app" if _of_tree(tree, path) else "what the plan adds")
    return {"of": of, "notes": notes, "logins": logins}


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
    if name.endswith(_ENDS_TEXT) and (name.startswith(_STARTS_URL) or "requirements/" in lower):
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
            from .tree.logins import search, sentences  # here, since most stagings have nothing new to search

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


def collisions(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names in one folder that differ only in case (Unicode's case folding) or composition (NFKD).

    `paths` are files and links; the folders above them count as well. What lies below two such folders is not told
    again.
    """
    folders: dict[str, dict[str, str]] = {}
    for path in paths:
        above, _, name = path.rpartition("/")
        while name:
            names = folders.setdefault(above, {})
            first = names.setdefault(folded(name), name)
            if first != name:
                prefix = f"{above}/" if above else ""
                yield (prefix + first, prefix + name) if first < name else (prefix + name, prefix + first)
            elif first is not name:
                break  # it has been here, and all above it
            above, _, name = above.rpartition("/")


def folded(name: str) -> str:
    """The name as a system reads it that tells neither case nor composition apart."""
    if name.isascii():
        return name.lower()
    from unicodedata import normalize

    return normalize("NFKD", normalize("NFKD", name).casefold())


def _beside(tree: SourceTree, base: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Collisions within the app, and of the app with what the plan adds; those of the plan alone are the base's notes."""
    own = set(collisions(sorted([*tree.files, *tree.links])))
    added = sorted([*base["files"], *base["folders"], *base["roots"]])
    if not added:
        return own
    both = set(collisions([*added, *sorted([*tree.files, *tree.links])]))
    return own | {pair for pair in both if _of_tree(tree, pair[0]) or _of_tree(tree, pair[1])}


def _of_tree(tree: SourceTree, path: str) -> bool:
    return path in tree.files or path in tree.links or any(one.startswith(f"{path}/") for one in tree.files)
