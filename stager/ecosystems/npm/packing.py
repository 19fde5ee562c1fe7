"""Which files of a repository are the package, by npm's own rules (npm-packlist 10, as `npm pack` applies them).

npm makes a package of a commit: it installs what the commit needs for development, runs its scripts, and packs. Where there is
nothing that such scripts would make, packing alone gives the same files; where there is, it is said so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from posixpath import normpath

from stager.errors import NeedsBuild
from stager.tree.gitignore import Patterns

_MAKE = ("prepublish", "preprepare", "prepare", "postprepare", "prepack", "postpack")
"""The scripts that npm runs of a package from a repository, beside those of its installation (npm-scripts(7))."""
_IDLE = re.compile(r"\s*(?:is-ci\s*\|\|\s*)?(?:husky|lefthook|simple-git-hooks)(?:\s+install)?(?:\s*\|\|\s*true)?\s*")
"""Scripts that only set up git itself for whoever works on the package."""
_DEFAULTS = (
    ".npmignore", ".gitignore", "**/.git", "**/.svn", "**/.hg", "**/CVS", "/.lock-wscript", "/.wafpickle-*",
    "/build/config.gypi", "npm-debug.log", "**/.npmrc", ".*.swp", ".DS_Store", "._*", "*.orig", "/archived-packages/**",
)  # fmt: skip
_STRICT = ("/.git", "/node_modules", ".npmrc", "/package-lock.json", "/yarn.lock", "/pnpm-lock.yaml", "/bun.lockb")
_NAMED = re.compile(r"(?:package\.json|(?:readme|copying|licen[sc]e)(?:\..*[^~$])?)", re.IGNORECASE)
"""What is always in a package."""
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MOST = 200
"""Patterns that one with braces may come to."""


def check_ready(inside: Mapping[str, object], label: str, hint: str) -> None:
    """Raise NeedsBuild for a package.json whose scripts, or bundled packages, make files before it is packed."""
    scripts = inside.get("scripts")
    found = scripts if isinstance(scripts, dict) else {}
    made = [
        name for name in _MAKE if (line := found.get(name)) and not (isinstance(line, str) and _IDLE.fullmatch(line))
    ]
    if made:
        why = f"it comes from a git repository, and its script {made[0]!r} makes it before it is packed"
        raise NeedsBuild([(label, why)], hint)
    if inside.get("bundleDependencies") or inside.get("bundledDependencies"):
        raise NeedsBuild([(label, "it comes from a git repository, and packages belong into it")], hint)


def packed(paths: Iterable[str], inside: Mapping[str, object], texts: Mapping[str, bytes]) -> set[str]:
    """Those of a repository's files that its package has. `texts` are its ignore files, by path. Raises BadManifest."""
    found = set(paths)
    walkers: dict[str, tuple[Patterns, Patterns]] = {}

    def walker(folder: str) -> tuple[Patterns, Patterns]:
        if folder not in walkers:
            rules = _root(inside, texts, found) if not folder else [*_DEFAULTS, *_ignored(folder, texts), "/.git"]
            walkers[folder] = _compiled(rules, folder), _compiled([*_ahead(rules)], folder)
        return walkers[folder]

    known: dict[str, bool] = {"": True}

    def entered(folder: str) -> bool:
        if folder not in known:
            known[folder] = entered(_above(folder)) and _kept(folder, True, walker)
        return known[folder]

    return {path for path in found if "*" not in path and entered(_above(path)) and _kept(path, False, walker)}


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _kept(path: str, folder: bool, walker: Callable[[str], tuple[Patterns, Patterns]]) -> bool:
    """Whether no folder above, from the root on, leaves a path out; a deeper one takes nothing in again."""
    parts = path.split("/")
    for count in range(len(parts)):
        above, rest = "/".join(parts[:count]), "/".join(parts[count:])
        if not count and not folder and _NAMED.fullmatch(rest):
            return True
        if walker(above)[folder].verdict(rest.lower().encode(), folder):
            return False
    return True


def _compiled(rules: Iterable[str], folder: str) -> Patterns:
    """Rules as they are matched: whatever the case."""
    lines = (line for rule in rules for line in _spread(rule))
    return Patterns("\n".join(lines).lower().encode(), f"{folder}/.npmignore".lstrip("/"))


def _root(inside: Mapping[str, object], texts: Mapping[str, bytes], found: set[str]) -> list[str]:
    """The rules at the package's root: `files` in package.json takes the place of ignore files."""
    wanted, firm, rules = inside.get("files"), list[str](), list(_DEFAULTS)
    if isinstance(wanted, list):
        rules.append("*")
        for one in wanted:
            if isinstance(one, str) and one:
                text = one.removeprefix(".") if one.startswith("./") else one
                place = normpath(text.lstrip("!").lstrip("/"))
                if place in found:
                    firm.append(_taken(text))
                else:
                    rules += [_taken(text), *([_taken(f"{text.rstrip('/')}/**")] if _is_folder(place, found) else [])]
    else:
        rules += _ignored("", texts)
    named = [inside.get("main"), inside.get("browser")]
    bins = inside.get("bin")
    bins = list(bins.values()) if isinstance(bins, dict) else [bins]
    named += [normpath(one.lstrip("/")) for one in bins if isinstance(one, str) and one]
    places = [f"!/{one}" for one in named if isinstance(one, str) and one]  # npm matches `./lib/x.js` with nothing
    return [*rules, *firm, *_STRICT, *places]


def _taken(pattern: str) -> str:
    """The rule that takes in what `files` names; what it leaves out by a `!` stays out."""
    text = f"{pattern}*" if pattern.endswith("/*") else pattern
    return text.removeprefix("!") if text.startswith("!") else f"!{text}"


def _is_folder(place: str, found: set[str]) -> bool:
    return any(path.startswith(f"{place}/") for path in found)


def _ignored(folder: str, texts: Mapping[str, bytes]) -> list[str]:
    """The lines of a folder's ignore file: `.npmignore`, else `.gitignore`."""
    start = f"{folder}/" if folder else ""
    text = texts.get(f"{start}.npmignore", texts.get(f"{start}.gitignore", b""))
    return [line.strip() for line in text.decode("utf-8", "replace").splitlines() if not line.startswith("#")]


def _ahead(rules: Iterable[str]) -> Iterator[str]:
    """The rules for folders: one that holds what is taken in is entered."""
    for rule in rules:
        yield rule
        if rule.startswith("!") and "/" in rule.strip("!/"):
            parts = rule.removeprefix("!").strip("/").split("/")
            yield from (f"!/{'/'.join(parts[:count])}" for count in range(1, len(parts)))


def _spread(rule: str) -> list[str]:
    """A rule with braces as those that it stands for: `*.{js,map}` → `*.js`, `*.map`."""
    todo, done = [rule], list[str]()
    while todo and len(done) + len(todo) < _MOST:
        one = todo.pop()
        if match := _BRACES.search(one):
            todo += [one[: match.start()] + word + one[match.end() :] for word in match[1].split(",")]
        else:
            done.append(one)
    return [*done, *todo]
