"""What the app's own files declare: dependencies in `pyproject.toml`, `requirements*.txt`, `Pipfile`, `setup.cfg`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stager.errors import BadManifest
from stager.text.source_lines import line_of, toml_line
from stager.text.typed import Node

from .document import read, toml
from .pins import normalise

if TYPE_CHECKING:
    from stager.tree import SourceTree

PYPROJECT = "pyproject.toml"
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")


class DeclaredDependency(NamedTuple):
    """A dependency as somebody declares it. `version` is in the language of the file it comes from."""

    name: str
    version: str = ""
    extras: tuple[str, ...] = ()
    marker: str = ""
    python: str = ""
    optional: bool = False
    url: str = ""
    file: str = PYPROJECT

    @classmethod
    def of_requirement(cls, line: str, file: str) -> DeclaredDependency:
        """A dependency specifier (PEP 508); BadManifest naming the file when it is none."""
        from packaging.requirements import InvalidRequirement, Requirement

        egg = _EGG.search(line)
        if line.startswith("-e") and egg:
            return cls(normalise(egg[1], file), url=line, file=file)
        try:
            found = Requirement(line)
        except (InvalidRequirement, RecursionError) as error:
            cause = (str(error) or "nested too deeply").splitlines()[0]
            raise BadManifest(file, f"{line[:200]!r} is not a requirement: {cause}") from None
        extras = tuple(sorted(normalise(extra, file) for extra in found.extras))
        marker = str(found.marker) if found.marker else ""
        return cls(normalise(found.name, file), str(found.specifier), extras, marker, url=found.url or "", file=file)

    @classmethod
    def of_poetry(cls, name: str, node: Node) -> DeclaredDependency:
        """A dependency in Poetry's own notation: a constraint, or a table with one."""
        if isinstance(node.value, str):
            return cls(normalise(name, node.file), node.value, file=node.file)
        return cls(
            normalise(name, node.file),
            node.str("version", ""),
            tuple(node.strings("extras")),
            _conjunction(node.str("markers", ""), _platform(node.str("platform", ""))),
            node.str("python", ""),
            node.bool("optional", False),
            file=node.file,
        )

    def accepts(self, version: str) -> bool:
        """Whether a version satisfies the PEP 440 specifier; a URL's does."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            return SpecifierSet(self.version).contains(version, prereleases=True)
        except InvalidSpecifier:
            raise BadManifest(self.file, f"{self.name}: {self.version[:100]!r} is not a version specifier") from None


def _platform(name: str) -> str:
    return f"sys_platform == '{name}'" if name.isalnum() else ""


def _conjunction(*markers: str) -> str:
    return " and ".join(f"({marker})" for marker in markers if marker)


def dig(node: Node, *keys: str) -> Node | None:
    """The member at nested keys, None when any step is absent."""
    found: Node | None = node
    for key in keys:
        found = found.get(key) if found is not None else None
    return found


def entries(node: Node | None) -> dict[str, Node]:
    """The members of a table that may be absent."""
    return {} if node is None else {name: node.at(name) for name in node.value} if isinstance(node.value, dict) else {}


def pyproject(tree: SourceTree, folder: str = "") -> Node:
    """`pyproject.toml` of a folder of the app; an empty document when there is none."""
    path = f"{folder}/{PYPROJECT}" if folder else PYPROJECT
    return toml(tree, path) if path in tree else Node({}, path)


def poetry_wanted(
    tree: SourceTree, groups: Sequence[str], extras: Iterable[str], *, known: bool = False
) -> list[DeclaredDependency]:
    """What a Poetry project declares for its main group, and for the groups and extras asked for.

    With `known`, groups that it does not have are passed over instead of being an error.
    """
    document = pyproject(tree)
    enabled = {
        normalise(name.partition("[")[0], PYPROJECT)
        for extra, names in entries(dig(document, "tool", "poetry", "extras")).items()
        if normalise(extra, PYPROJECT) in set(extras)
        for name in map(text_of, names)
    }
    main = poetry_table(dig(document, "tool", "poetry", "dependencies"))
    found = [wanted for wanted in main if not wanted.optional or wanted.name in enabled]
    others = [group for group in groups if group != "main"]
    for group in others:
        found += _poetry_group(document, group, known)
    return [*found, *project_wanted(tree, sorted({*extras, *others}), known=True)]


def poetry_table(table: Node | None) -> Iterator[DeclaredDependency]:
    for name, node in entries(table).items():
        if name.lower() != "python":
            for one in node if isinstance(node.value, list) else (node,):
                yield DeclaredDependency.of_poetry(name, one)


def _poetry_group(document: Node, group: str, known: bool) -> list[DeclaredDependency]:
    tables = {
        normalise(name, PYPROJECT): node for name, node in entries(dig(document, "tool", "poetry", "group")).items()
    }
    old = dig(document, "tool", "poetry", "dev-dependencies") if group == "dev" else None
    if not known and group not in tables and old is None and group not in dependency_groups(document):
        raise _unknown_group(group, tables)
    new = tables[group].get("dependencies") if group in tables else None
    return [*poetry_table(old), *poetry_table(new)]


def _unknown_group(group: str, known: Iterable[str]) -> BadManifest:
    hint = f"It has: {', '.join(sorted(known)) or 'none'}. Correct python.groups in stager.yml."
    return BadManifest(PYPROJECT, f"has no group {group!r}", hint)


def project_wanted(
    tree: SourceTree, groups: Sequence[str] = (), *, known: bool = False, folder: str = ""
) -> list[DeclaredDependency]:
    """What `[project]` declares, of the app or of a folder, plus the extras and dependency groups named in `groups`.

    With `known`, names that it does not have are passed over instead of being an error.
    """
    document = pyproject(tree, folder)
    project = document.get("project")
    lines = project.strings("dependencies") if project else []
    tables = all_groups(document)
    for group in groups:
        if group not in tables and not known:
            raise _unknown_group(group, tables)
        lines += tables.get(group, [])
    return [DeclaredDependency.of_requirement(line, document.file) for line in lines]


def all_groups(document: Node) -> dict[str, list[str]]:
    """Extras, dependency groups (PEP 735, includes resolved) and the tools' own forms, by normalised name."""
    found: dict[str, list[str]] = {}
    for keys in (("project", "optional-dependencies"), ("tool", "pdm", "dev-dependencies")):
        for name, node in entries(dig(document, *keys)).items():
            found.setdefault(normalise(name, document.file), []).extend(_strings(node))
    for name, lines in dependency_groups(document).items():
        found.setdefault(name, []).extend(lines)
    return found


def dependency_groups(document: Node) -> dict[str, list[str]]:
    """`[dependency-groups]` with includes resolved. Raises BadManifest for a cycle or a missing group (PEP 735)."""
    groups = {normalise(name, document.file): node for name, node in document.table("dependency-groups").items()}

    def resolved(name: str, above: tuple[str, ...]) -> list[str]:
        if name in above or name not in groups:
            why = "includes itself" if name in above else "does not exist"
            raise BadManifest(document.file, f"dependency group {name!r} {why}")
        lines: list[str] = []
        for node in groups[name]:
            if isinstance(node.value, str):
                lines.append(node.value)
            else:
                lines += resolved(normalise(node.str("include-group"), document.file), (*above, name))
        return lines

    return {name: resolved(name, ()) for name in groups}


def _strings(node: Node) -> list[str]:
    return [text_of(item) for item in node]


def text_of(node: Node) -> str:
    """The string of a node; its document's error when it is something else."""
    if not isinstance(node.value, str):
        node.fail(f"expected a string, found {type(node.value).__name__}")
    return str(node.value)


def pipfile_wanted(tree: SourceTree, groups: Iterable[str] = ()) -> list[DeclaredDependency]:
    """What a Pipfile asks for: `[packages]`, and the categories named in `groups`; empty without a Pipfile.

    A marker is written whole, or as one variable's comparison (`sys_platform = "== 'win32'"`).
    """
    if "Pipfile" not in tree:
        return []
    document, found = toml(tree, "Pipfile"), []
    for section in ("packages", *("dev-packages" if group in ("dev", "develop") else group for group in groups)):
        for name, node in entries(document.get(section)).items():
            table = entries(node)
            said = {key: text_of(table[key]) for key in ("markers", *_VARIABLES) if key in table}
            markers = [said.pop("markers", ""), *(f"{key} {value}" for key, value in said.items())]
            found.append(DeclaredDependency(normalise(name, "Pipfile"), marker=_conjunction(*markers), file="Pipfile"))
    return found


_VARIABLES = (
    *("os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_system"),
    *("python_version", "python_full_version", "implementation_name"),
)


def setup_requires(tree: SourceTree) -> tuple[list[str], list[str]]:
    """The requirements under `install_requires` of `setup.cfg`, and the requirements files that it names instead."""
    text = setup_cfg(tree, "setup.cfg").get("options", {}).get("install_requires", "") if "setup.cfg" in tree else ""
    if text.strip().startswith("file:"):
        files = re.split(r"[,\n]", text.strip().removeprefix("file:"))
        return [], [posixpath.normpath(file.strip()) for file in files if file.strip()]
    lines = [line.partition(" #")[0].strip() for line in (text.splitlines() if "\n" in text else text.split(";"))]
    return [line for line in lines if line and not line.startswith("#")], []


def check_static(tree: SourceTree) -> None:
    """Raise BadManifest when an app names no package where that can be read, but its build would: `setup.py`, a dynamic list.

    Flit's own old table is not the standard's, and read by no resolver.
    """
    document = pyproject(tree)
    project = document.get("project")
    if project is not None and "dependencies" in project.strings("dynamic"):
        line = toml_line(read(tree, PYPROJECT), "project.dynamic")
        _unknown(PYPROJECT, line, "only its build backend knows what it depends on")
    if dig(document, "tool", "flit", "metadata", "requires") is not None:
        line = toml_line(read(tree, PYPROJECT), "tool.flit.metadata.requires")
        _unknown(PYPROJECT, line, "what it depends on is in flit's own table, which only flit reads")
    if "setup.py" in tree and re.search(_SETUP_PY, read(tree, "setup.py"), re.MULTILINE):
        _unknown(
            "setup.py", line_of(read(tree, "setup.py"), _SETUP_PY), "what it depends on is known only by running it"
        )


_SETUP_PY = r"^[^#\n]*\binstall_requires\b(?!\s*=\s*(?:\[\s*\]|\(\s*\)))"


def _unknown(file: str, line: int | None, why: str) -> None:
    hint = "List the dependencies under [project] in a pyproject.toml, run 'stager lock', and commit both files."
    raise BadManifest(file, why, hint, line)


def setup_cfg(tree: SourceTree, path: str) -> dict[str, dict[str, str]]:
    """The sections of a `setup.cfg`; BadManifest with the line when it cannot be parsed."""
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(read(tree, path), path)
    except configparser.Error as error:
        number = getattr(error, "lineno", None) or next((at for at, _ in getattr(error, "errors", [])), None)
        raise BadManifest(path, "is not a valid setup.cfg", line=number) from None
    return {section: dict(parser[section]) for section in parser.sections()}
