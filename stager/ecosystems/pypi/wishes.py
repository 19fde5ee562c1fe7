"""What an app says of how its packages are had and built, in the words of pip, uv and Poetry.

Sources: pip's "Requirements File Format" (`--no-binary`, `--only-binary`, `--config-settings`), uv's settings (`no-binary`,
`no-build`, `config-settings`, `extra-build-dependencies`, `extra-build-variables`, `no-build-isolation`, each also for single
packages), and Poetry's `poetry.toml` (`installer.no-binary`, `installer.only-binary`). What is for builds becomes variables
of them, which the lock has.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stager.errors import BadManifest
from stager.model import INTERNAL
from stager.text.source_lines import line_of
from stager.text.typed import Node

from .building import EXTRA, SETTINGS
from .document import read, toml
from .manifest import PYPROJECT, dig
from .pins import DistributionFile, is_sdist, normalise
from .requirements import RequirementsFile, contents

if TYPE_CHECKING:
    from stager.tree import SourceTree

ALL, NONE = ":all:", ":none:"
_LISTS = ("requirements.txt", "requirements.in")
_POETRY = "poetry.toml"
Settings = Mapping[str, "str | list[str]"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """By normalised names of packages; `ALL` stands for every one that is not named otherwise."""

    sources: frozenset[str] = frozenset()
    """Those that are to be built, whatever wheels there are."""
    wheels: frozenset[str] = frozenset()
    """Those that are not to be built."""
    settings: Mapping[str, Settings] = field(default_factory=dict)
    """What is passed to the build backend (PEP 517, `config_settings`)."""
    requires: Mapping[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)
    """What a package is built with besides what it asks for itself, and whether in the version that the app's lock has."""
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    """Those that the app's tool would build among the app's own packages."""

    def from_sources(self, name: str) -> bool:
        """Whether a package is to be built. pip's rule: the name before all, wheels before sources."""
        return name not in self.wheels and (name in self.sources or (ALL in self.sources and ALL not in self.wheels))

    def allowed(self, name: str, files: Iterable[DistributionFile]) -> tuple[DistributionFile, ...]:
        """Those files of a package that the app lets be used."""
        if self.from_sources(name):
            return tuple(file for file in files if is_sdist(file.filename))
        if name in self.wheels or (ALL in self.wheels and name not in self.sources):
            return tuple(file for file in files if file.filename.endswith(".whl"))
        return tuple(files)

    def env(self, name: str, versions: Mapping[str, str]) -> dict[str, str]:
        """The variables of a package's build; `versions` are those of the lock."""
        found = dict(self.variables.get(name, {}))
        if settings := {**self.settings.get(ALL, {}), **self.settings.get(name, {})}:
            found[SETTINGS] = json.dumps(settings, sort_keys=True)
        asked = [(text, versions.get(_name(text), "") if same else "") for text, same in self.requires.get(name, ())]
        extra = [f"{text}=={version}" if version else text for text, version in asked]
        return {**found, EXTRA: json.dumps(extra)} if extra else found

    def notes(self, built: Iterable[str]) -> Iterator[str]:
        """Of packages that are built: what cannot be kept."""
        if names := sorted(
            name for name in built if not self.shared.isdisjoint((name, ALL)) and name not in self.requires
        ):
            lines = ", ".join(f"{name} = [...]" for name in names)
            yield (
                f"built without the app's own packages, though no-build-isolation names them: {', '.join(names)}; what they "
                f"need of those, write under [tool.uv.extra-build-dependencies]: {lines}"
            )


def wishes(tree: SourceTree, lock: str) -> Wishes:
    """What the app says that belongs to a lock. Raises BadManifest, BadLock for what is malformed."""
    name = lock.rpartition("/")[2]
    if name == "poetry.lock":
        return _of_poetry(tree)
    found = _of_uv(tree) if name == "uv.lock" or name.startswith("pylock.") else Wishes()
    if name == "requirements.txt" or name.startswith("pylock."):
        file = lock if name == "requirements.txt" else next((one for one in _LISTS if one in tree), "")
        found = _with_pip(found, contents(tree, file)) if file else found
    return found


def files(tree: SourceTree, lock: str) -> list[str]:
    """The tool's own settings that the wishes of a lock are from, beside pyproject.toml. Raises as `wishes`."""
    name = lock.rpartition("/")[2]
    file = _POETRY if name == "poetry.lock" else "uv.toml" if name == "uv.lock" or name.startswith("pylock.") else ""
    return [file] if file in tree.files and wishes(tree, lock) != Wishes() else []


def _with_pip(found: Wishes, file: RequirementsFile) -> Wishes:
    sources, wheels = set(found.sources), set(found.wheels)
    for option, value in file.formats:
        mine, other = (sources, wheels) if option == "--no-binary" else (wheels, sources)
        _told(value, mine, other)
    settings = {**found.settings}
    for line in file.lines:
        if line.settings and not line.editable:
            settings[_name(line.text)] = _pairs(line.settings)
    return Wishes(frozenset(sources), frozenset(wheels), settings, found.requires, found.variables, found.shared)


def _told(value: str, mine: set[str], other: set[str]) -> None:
    """One option of pip's, which comes after others (`FormatControl.handle_mutual_excludes`)."""
    names = value.split(",")
    while ALL in names:
        mine.clear()
        other.clear()
        mine.add(ALL)
        del names[: names.index(ALL) + 1]
        if NONE not in names:
            return
    for one in names:
        if one == NONE:
            mine.clear()
        elif one.strip():
            other.discard(_name(one))
            mine.add(_name(one))


def _pairs(texts: Iterable[str]) -> Settings:
    """`key=value` as pip passes it on: a key that comes more than once has a list."""
    found: dict[str, str | list[str]] = {}
    for text in texts:
        key, _, value = text.partition("=")
        before = found.get(key)
        found[key] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return found


def _of_uv(tree: SourceTree) -> Wishes:
    """uv's settings; a `uv.toml` takes the place of those in pyproject.toml."""
    table = dig(toml(tree, "uv.toml")) if "uv.toml" in tree.files else None
    if table is None and PYPROJECT in tree.files:
        table = dig(toml(tree, PYPROJECT), "tool", "uv")
    if table is None:
        return Wishes()
    requires = {
        _name(name): tuple((row.value, False) if isinstance(row.value, str) else _row(row) for row in rows)
        for name, rows in table.table("extra-build-dependencies").items()
    }
    settings = {ALL: _table(table.table("config-settings"))} if table.get("config-settings") is not None else {}
    settings |= {_name(name): _table(rows) for name, rows in _tables(table, "config-settings-package")}
    return Wishes(
        sources=_uv_names(table, "no-binary"),
        wheels=_uv_names(table, "no-build"),
        settings=settings,
        requires=requires,
        variables={
            _name(name): {key: _variable(tree, key, one) for key, one in rows.items()}
            for name, rows in _tables(table, "extra-build-variables")
        },
        shared=_uv_names(table, "no-build-isolation"),
    )


def _tables(table: Node, key: str) -> Iterator[tuple[str, dict[str, Node]]]:
    """The tables in a table, by name."""
    for name in table.table(key):
        yield name, table.at(key).table(name)


def _row(one: Node) -> tuple[str, bool]:
    return one.str("requirement"), one.bool("match-runtime", False)


def _uv_names(table: Node, key: str) -> frozenset[str]:
    every = {ALL} if table.bool(key, False) else set()
    return frozenset({*every, *map(_name, table.strings(f"{key}-package"))})


def _table(rows: Mapping[str, Node]) -> Settings:
    return {
        key: [str(item) for item in one.value] if isinstance(one.value, list) else _text(one.value)
        for key, one in rows.items()
    }


def _variable(tree: SourceTree, name: str, node: Node) -> str:
    if name in INTERNAL:
        why = f"{node.path}: is stager's own, for what it runs in a build"
        raise BadManifest(node.file, why, line=line_of(read(tree, node.file), rf"\b{name}\b"))
    return _text(node.value)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_poetry(tree: SourceTree) -> Wishes:
    table = dig(toml(tree, _POETRY), "installer") if _POETRY in tree.files else None
    if table is None:
        return Wishes()
    return Wishes(sources=_poetry_names(table, "no-binary"), wheels=_poetry_names(table, "only-binary"))


def _poetry_names(table: Node, key: str) -> frozenset[str]:
    """A list of names, one text of them, or whether it is all of them."""
    node = table.get(key)
    value = node.value if node else None
    names = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else [ALL] if value else []
    mine = set[str]()
    _told(",".join(str(one) for one in names), mine, set())
    return frozenset(mine)


def _name(text: str) -> str:
    """The normalised name at the beginning of a requirement."""
    end = next((place for place, sign in enumerate(text.strip()) if sign in " \t;[=<>!~(@"), None)
    return text.strip() if text == ALL else normalise(text.strip()[:end], PYPROJECT)
