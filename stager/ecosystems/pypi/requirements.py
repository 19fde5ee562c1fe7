"""Reading hashed requirements files, as pip defines them ("Requirements File Format", "Hash-checking Mode").

A file is a lock when its requirements carry `--hash`; every one of them must, and be pinned with `==`.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from stager.digest import sha256_chunks
from stager.ecosystems import repository
from stager.errors import BadLock, StagerError

from .document import read
from .folders import file_path, folder_path
from .manifest import DeclaredDependency
from .pins import DistributionFile, Pin, Reading, filename_of, is_sdist, is_web, normalise, of_repository
from .target import Markers, Target

if TYPE_CHECKING:
    from stager.tree import SourceTree

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")
_SETTING = re.compile(r"""\s(?:--config-settings?|-C)[=\s]\s*("[^"]*"|'[^']*'|\S+)""")
_OPTION = re.compile(r"\s--?[A-Za-z][\w-]*.*$")
_DEPTH = 32
_WITH_VALUE = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c", "-e": "-e", "--editable": "-e",
               "-i": "-i", "--index-url": "-i", "--pypi-url": "-i", "--extra-index-url": "+i",
               "--no-binary": "--no-binary", "--only-binary": "--only-binary"}  # fmt: skip


class RequirementLine(NamedTuple):
    """One logical line: a requirement with its hashes, or an editable."""

    file: str
    number: int
    text: str
    hashes: tuple[str, ...] = ()
    editable: bool = False
    constraint: bool = False
    settings: tuple[str, ...] = ()
    """`key=value` of each `--config-settings`."""

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


class RequirementsFile:
    """All lines of a requirements file and those it includes, the files, and the indexes it names, in order."""

    def __init__(self) -> None:
        self.lines: list[RequirementLine] = []
        self.files: list[str] = []
        self.index = ""
        self.extra_indexes: list[str] = []
        self.formats: list[tuple[str, str]] = []
        """(`--no-binary` or `--only-binary`, its value)."""

    @property
    def indexes(self) -> tuple[str, ...]:
        """In the order they are asked; "" is the default one, and none at all means just that."""
        found = dict.fromkeys([self.index, *self.extra_indexes])
        return () if list(found) == [""] else tuple(found)


def contents(tree: SourceTree, path: str) -> RequirementsFile:
    """The requirements file with everything it includes. Raises BadLock with file and line for what is malformed."""
    found = RequirementsFile()
    _read_into(found, tree, path, False, ())
    return found


def parts(tree: SourceTree, path: str) -> list[str]:
    """The files that a requirements file consists of, itself first, constraints included; none when it is not there."""
    return contents(tree, path).files if path in tree else []


def is_hashed(tree: SourceTree, path: str) -> bool:
    """Whether a requirements file, or one it includes, has hashes: whether it is a lock."""
    try:
        return any(line.hashes for line in contents(tree, path).lines)
    except StagerError:
        return "--hash" in read(tree, path)


def names_in(tree: SourceTree, path: str) -> set[str]:
    """Normalised names of the requirements in a file and those it includes; lines without a name are passed over."""
    return {wanted.name for wanted in wanted_in(tree, path)}


def wanted_in(tree: SourceTree, path: str) -> list[DeclaredDependency]:
    """The requirements with a name in a file and those it includes, constraints left out."""
    lines = [line for line in contents(tree, path).lines if not (line.constraint or line.editable)]
    return [DeclaredDependency.of_requirement(line.text, line.file) for line in lines if not _is_place(line.text)]


def pinned_in(tree: SourceTree, path: str) -> dict[str, set[str]]:
    """The exact versions by name in a file and those it includes; a URL counts as the version ""."""
    found: dict[str, set[str]] = {}
    for wanted in wanted_in(tree, path):
        if wanted.url or (version := _exact(wanted.version)):
            found.setdefault(wanted.name, set()).add("" if wanted.url else version)
    return found


def _read_into(found: RequirementsFile, tree: SourceTree, path: str, constraint: bool, above: tuple[str, ...]) -> None:
    if path in above:
        return
    if len(above) > _DEPTH:
        raise BadLock(path, f"is included through more than {_DEPTH} files", "Include it directly.")
    found.files.append(path)
    for number, text in _logical_lines(read(tree, path)):
        option, value = _option(text)
        if option in ("-r", "-c"):
            included = _included(tree, path, value, number)
            _read_into(found, tree, included, constraint or option == "-c", (*above, path))
        elif option == "-i":
            found.index = value
        elif option == "+i":
            found.extra_indexes.append(value)
        elif option in ("--no-binary", "--only-binary"):
            found.formats.append((option, value))
        elif option == "-e":
            found.lines.append(RequirementLine(path, number, value, editable=True, constraint=constraint))
        elif not option:
            hashes = tuple(_HASH.findall(text))
            bare = _OPTION.sub("", text).strip()
            settings = tuple(one.strip("\"'") for one in _SETTING.findall(text))
            found.lines.append(RequirementLine(path, number, bare, hashes, constraint=constraint, settings=settings))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) with continuation lines joined and comments removed, as pip does it."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if joined else number
        if line.lstrip().startswith("#"):
            line = ""  # a comment inside a continuation does not end it
            if joined:
                continue
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        if whole := _COMMENT.sub("", joined + line).strip():
            yield first, whole
        joined = ""
    if whole := _COMMENT.sub("", joined).strip():
        yield first, whole


def _option(text: str) -> tuple[str, str]:
    """(known option, its value) of an option line, ("other", "") for one without influence, ("", "") for none."""
    if not text.startswith("-"):
        return "", ""
    name, _, value = text.replace("=", " ", 1).partition(" ") if text.startswith("--") else text.partition(" ")
    if not value and not text.startswith("--") and len(text) > 2:
        name, value = text[:2], text[2:]
    option = _WITH_VALUE.get(name)
    if option is None:
        return "other", ""
    try:
        words = shlex.split(value) if option != "-e" else [value.strip().strip("\"'")]
    except ValueError:
        words = [value.strip()]
    return option, words[0] if words else ""


def _included(tree: SourceTree, path: str, value: str, number: int) -> str:
    """The path of an included file, which is relative to the file that includes it."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), value))
    if is_web(value) or target.startswith(("../", "/")) or target not in tree:
        hint = "Put the file into the app's folder."
        raise BadLock(path, f"includes {value[:200]!r}, which is not in the app", hint, number)
    return target


def read_requirements(
    tree: SourceTree, lock: str, target: Target, groups: Sequence[str], extras: Sequence[str]
) -> Reading:
    """What a hashed requirements file installs for the target.

    Raises BadLock for malformed lines; packages without pin or hash are returned as unpinned, with their line.
    """
    for what, asked in (("group", groups), ("extra", extras)):
        if asked:
            hint = f"A requirements file has none. Correct python.{what}s in stager.yml."
            raise BadLock(lock, f"has no {what} {asked[0]!r}", hint)
    everything = contents(tree, lock)
    reader = _Reader(tree, lock, Markers(target, lock), everything.indexes)
    for line in everything.lines:
        if line.constraint and not line.editable and not _is_place(line.text):
            reader.constrain(line)
    for line in everything.lines:
        if not line.constraint:
            reader.add(line)
    pins, folders, needs = tuple(reader.pins.values()), tuple(reader.folders), tuple(reader.needs)
    return Reading(pins, folders, needs, tuple(reader.unpinned), left=tuple(reader.left))


class _Reader:
    """Sorts the lines into pins, folders of the app and the rest."""

    def __init__(self, tree: SourceTree, lock: str, markers: Markers, indexes: tuple[str, ...]) -> None:
        self.tree, self.lock, self.markers, self.indexes = tree, lock, markers, indexes
        self.pins: dict[str, Pin] = {}
        self.folders: dict[tuple[str, str], None] = {}
        self.needs: list[tuple[str, str]] = []
        self.unpinned: list[str] = []
        self.left: list[tuple[str, str]] = []
        self.constraints: dict[str, tuple[str, tuple[str, ...]]] = {}

    def constrain(self, line: RequirementLine) -> None:
        wanted = self._requirement(line)
        if self.markers(wanted.marker, what=wanted.name):
            self.constraints[wanted.name] = (_exact(wanted.version), line.hashes)

    def add(self, line: RequirementLine) -> None:
        if line.editable or _is_place(line.text):
            self._add_place(line)
            return
        wanted = self._requirement(line)
        if not self.markers(wanted.marker, what=wanted.name):
            self.left.append((wanted.name, wanted.marker))
            return
        if wanted.url:
            self._add_url(wanted.name, wanted.url, line)
        else:
            self._add_pinned(wanted, line)

    def _requirement(self, line: RequirementLine) -> DeclaredDependency:
        try:
            return DeclaredDependency.of_requirement(line.text, line.file)
        except StagerError as error:
            raise BadLock(line.file, error.message, "Correct the line.", line.number) from None

    def _add_pinned(self, wanted: DeclaredDependency, line: RequirementLine) -> None:
        version, hashes = self.constraints.get(wanted.name, ("", ()))
        version = _exact(wanted.version) or version
        if hashes and line.hashes:
            hashes = tuple(text for text in line.hashes if text in hashes)
        hashes = hashes or line.hashes
        if not version or not hashes:
            self.unpinned.append(f"{wanted.name}{wanted.version} ({line.where})")
        else:
            self._keep(Pin(wanted.name, version, (), hashes, self.indexes, line=_line_in(line, self.lock)), line)

    def _add_url(self, name: str, url: str, line: RequirementLine) -> None:
        if repository.is_from(url):
            self._add_repository(name, url, line)
            return
        if url.startswith(("hg+", "svn+", "bzr+")):
            self.needs.append((name or url.partition("://")[0], "a version control repository"))
            return
        if not is_web(url):
            self._add_folder(name, url, line)
            return
        filename, fragment = filename_of(url), re.search(r"[#&](sha\d+)=([0-9a-f]+)", url)
        hashes = line.hashes or ((f"{fragment[1]}:{fragment[2]}",) if fragment else ())
        parts = filename.split("-")
        name = name or normalise(parts[0], line.file, line.number)
        if not hashes:
            self.unpinned.append(f"{name} ({line.where})")
            return
        version = parts[1] if filename.endswith(".whl") and len(parts) > 1 else ""
        files = (DistributionFile(filename, hashes[0], None, url),)
        self._keep(Pin(name, version, files, direct=True, line=_line_in(line, self.lock)), line)

    def _add_repository(self, name: str, url: str, line: RequirementLine) -> None:
        """A commit of a git repository, `git+URL@COMMIT#egg=NAME&subdirectory=FOLDER`, which needs no hash beside it."""
        address, _, fragment = url.partition("#")
        said = parse_qs(fragment)
        name = name or normalise(said.get("egg", [""])[0].partition("[")[0], line.file, line.number)
        start, path = re.fullmatch(r"((?:[^:/]*://[^/]*/)?)(.*)", address).groups()  # type: ignore[union-attr]
        place, _, commit = path.partition("@")
        again = f"Write the commit behind the '@' of its address: 'git ls-remote {repository.shown(start + place)}' prints it."
        folder = said.get("subdirectory", [""])[0]
        source = repository.locked(start + place, commit, folder, line.file, name, again, line.number)
        self._keep(of_repository(name, "", source, _line_in(line, self.lock)), line)

    def _add_place(self, line: RequirementLine) -> None:
        """A line that is a path or URL, with extras and a marker at its end perhaps."""
        text, _, marker = line.text.partition(" ;") if " ;" in line.text else line.text.partition(";")
        if not self.markers(marker.strip()):
            return
        text = text.strip()
        if is_web(text) or ("://" in text and "+" in text.partition("://")[0]):
            self._add_url("", text, line)
        else:
            self._add_folder("", text, line)

    def _add_folder(self, name: str, place: str, line: RequirementLine) -> None:
        path = re.sub(r"\[[^\]]*\]$", "", place.partition("#")[0]).removeprefix("file://").removeprefix("file:")
        if path.endswith(".whl") or is_sdist(path):
            path = file_path(self.tree, path, line.file, line.number)
            filename = filename_of(path)
            name = name or normalise(filename.rpartition("-")[0].partition("-")[0], line.file, line.number)
            digest = line.hashes[0] if line.hashes else str(sha256_chunks(self.tree.chunks(path)))
            version = filename.split("-")[1] if path.endswith(".whl") and "-" in filename else ""
            files = (DistributionFile(filename, digest, None, path),)
            self._keep(Pin(name, version, files, direct=True, line=_line_in(line, self.lock)), line)
            return
        self.folders[name, folder_path(self.tree, path, line.file, line.number)] = None

    def _keep(self, pin: Pin, line: RequirementLine) -> None:
        known = self.pins.setdefault(pin.name, pin)
        if known.version != pin.version:
            raise BadLock(line.file, f"{known} and {pin} would both be installed", line=line.number)
        if known is not pin:
            self.pins[pin.name] = known._replace(hashes=tuple(dict.fromkeys((*known.hashes, *pin.hashes))))


def _line_in(line: RequirementLine, lock: str) -> int | None:
    """The line's number when it is in the lock file itself rather than one it includes."""
    return line.number if line.file == lock else None


def _is_place(text: str) -> bool:
    """Whether a requirement is a bare path or URL instead of a name."""
    head = re.split(r"[\s;\[]", text, maxsplit=1)[0]
    return "://" in head or head.startswith((".", "/", "file:")) or "/" in head


def _exact(specifier: str) -> str:
    """The version of a specifier that admits only one, else ""."""
    found = re.fullmatch(r"={2,3}\s*([^,*\s]+)", specifier)
    return found[1] if found else ""
