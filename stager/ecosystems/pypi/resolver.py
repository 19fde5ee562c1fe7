"""What uv is shown of an app in place of its files: its projects with static metadata, its plain requirements, its indexes.

uv's `--no-build` builds no package of an index, but it lets the app's own projects run their build backends, and its settings
name indexes, programs and interpreters. So uv never sees the app: each `pyproject.toml` that takes part is written anew, with
its dependencies (PEP 621, PEP 735) and the settings of `[tool.uv]` that say what to resolve. A dynamic version is given a
placeholder, which is taken out of the lock again: uv itself leaves such a version out of `uv.lock`.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from packaging.utils import canonicalize_name

from stager.ecosystems.errors import LockFailed
from stager.ecosystems.record import APP
from stager.errors import BadManifest, NeedsBuild
from stager.net.errors import BadSettings
from stager.net.indexes import Indexes, default_pypi, uv_program
from stager.text import parsing
from stager.text.source_lines import line_of, toml_line
from stager.text.typed import Node

from .document import read, toml
from .drift import check_compiled
from .manifest import PYPROJECT, dig, entries, setup_requires
from .pins import filename_of, is_web
from .requirements import RequirementLine, RequirementsFile, contents
from .unbuilt import OWN, SIBLINGS
from .workspace import members

if TYPE_CHECKING:
    from stager.ecosystems.record import Workplace
    from stager.tree import SourceTree

_PLACEHOLDER = "0+stager.knows.no.version"
_PROJECT = ("name", "version", "requires-python", "dependencies", "optional-dependencies")
_ASKING = ("dev-dependencies", "constraint-dependencies", "override-dependencies")
_UV = (
    *("workspace", "package", "managed", "default-groups", "dependency-groups", "conflicts", "exclude-dependencies"),
    *(*_ASKING, "dependency-metadata", "environments", "required-environments", "resolution", "prerelease"),
    *("fork-strategy", "index-strategy", "exclude-newer", "exclude-newer-package", "sources"),
    *("prerelease-package", "build-constraint-dependencies"),
)
"""Settings that say what to resolve; indexes are looked at one by one, and everything else is left out."""
_UV_KEPT = ("UV_EXCLUDE_NEWER", "UV_INDEX_STRATEGY", "UV_PRERELEASE", "UV_RESOLUTION", "UV_FORK_STRATEGY")
"""Of the caller's variables those that say how uv resolves."""
UV_FIXED = {
    "UV_NO_SYSTEM_CONFIG": "1", "UV_KEYRING_PROVIDER": "disabled", "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never", "UV_PYTHON_PREFERENCE": "only-system",
}  # fmt: skip
_OTHER = """\
#!{python} -IS
import json, subprocess, sys
done = subprocess.run([{python!r}, *sys.argv[1:]], stdout=subprocess.PIPE)
try:
    said = json.loads(done.stdout)
    said["markers"].update(python_full_version={version!r}, python_version={minor!r}, implementation_version={version!r})
    print(json.dumps(said))
except ValueError:
    sys.stdout.buffer.write(done.stdout)
sys.exit(done.returncode)
"""
"""An interpreter of another version, as far as uv asks when it locks."""
_INDEX = ("name", "default", "explicit", "format", "ignore-error-codes")
_DYNAMIC = ("dependencies", "optional-dependencies", "requires-python")
_VCS = re.compile(r"(?:git|hg|svn|bzr)\+|git@|ssh:")
_FILE_OPTION = re.compile(r"^\s*(-f|--find-links|--no-index|--pre)(?:[ =]+(\S*))?", re.MULTILINE)
_UNBUILT = (
    re.compile(r"Wheels are required for `([^`]+)` because building from source is disabled"),
    re.compile(r"Building source distributions for `([^`]+)` is disabled"),
    re.compile(r"[Ff]ailed to build `([^`@]+?)(?: ?@[^`]*)?`"),
)
_CONFLICT = re.compile(r"we can\s+conclude")
STATIC = "Write the dependencies into [project] of pyproject.toml as text, or make the lock with your own tools and commit it."
LOCKED = (
    "A lock that names its commit is all it takes: make it with uv itself ('uv lock', or 'uv pip compile requirements.txt "
    "--format pylock.toml -o pylock.toml') and commit it, or depend on a published version."
)
PUBLISHED = f"Depend on a published version that has a wheel, or publish one {OWN}."


_LIMITS, _OWN = "constraints.txt", "own-constraints.txt"
_USUAL = b"setuptools<81\n"
"""What other packages get that depend on setuptools, unless the app names it itself or they cannot have it: later ones have no
`pkg_resources`, which is what those of a list without versions mostly want of it."""


class Shown(NamedTuple):
    """Files for the scratch folder, by path; options and variables for uv; what projects say of Python; where each
    package is asked for."""

    files: dict[str, bytes]
    options: tuple[str, ...]
    variables: dict[str, str]
    asked: dict[str, str]
    pythons: tuple[str, ...] = ()


def is_project(tree: SourceTree) -> bool:
    """Whether uv's own lock fits: a project in the standard's form, or a workspace of such."""
    document = toml(tree, PYPROJECT) if PYPROJECT in tree else Node({}, PYPROJECT)
    return document.get("project") is not None or dig(document, "tool", "uv", "workspace") is not None


def listing(tree: SourceTree) -> str:
    """The file that lists the packages of an app that is no project; empty when there is none.

    A requirements.txt is what a requirements.in was compiled to, and says more.
    """
    return next((name for name in LISTS if name in tree), "") or ("setup.cfg" if any(setup_requires(tree)) else "")


LISTS = ("requirements.txt", "requirements.in")


def lock_name(tree: SourceTree) -> str:
    """The lock that fits the manifest. Raises LockFailed for Poetry's and Pipenv's own manifests: they need their own tool."""
    if is_project(tree):
        return "uv.lock"
    if "Pipfile" in tree and not listing(tree):  # a list beside it is what pip installs, where there is no Pipfile.lock
        raise LockFailed("Pipfile.lock", "only Pipenv reads a Pipfile", "Run 'pipenv lock' and commit Pipfile.lock.")
    if not listing(tree):
        raise LockFailed(
            "poetry.lock", "pyproject.toml has no [project] table", "Run 'poetry lock' and commit poetry.lock."
        )
    return "pylock.toml"


def resolve(
    tree: SourceTree, lock: str, python: Callable[[], str], scratch: Workplace, environ: Mapping[str, str]
) -> bytes:
    """The lock file that uv makes of an app: `uv.lock` of its projects, or `pylock.toml` of its list of packages.

    `python` gives the Python to resolve for, as `3.11.2`, where it is needed; of `environ` a few settings of uv are taken.
    Nothing is built while that gives a lock. Where only a build backend knows what a package or a project of the app needs, uv
    has it say so, in the sandbox.

    Raises what `projects` and `requirements` raise, NeedsBuild, NoSandbox, LockFailed with uv's own words.
    """
    try:
        return _resolved(tree, lock, python, scratch, environ, building=False)
    except NeedsBuild as error:
        if not error.data.get("askable"):
            raise
        if any("@" in value for value in variables(scratch.indexes, has_default=False).values()):
            error.hint += " Its code is not asked, as it could read the login of an index."
            raise
        unasked = error
    scratch.clear()
    try:
        return _resolved(tree, lock, python, scratch, environ, building=True)
    except LockFailed as error:
        if not _CONFLICT.search(error.message):  # what excludes one another does so whoever is asked
            error.hint = unasked.hint
        raise


def _resolved(
    tree: SourceTree,
    lock: str,
    python: Callable[[], str],
    scratch: Workplace,
    environ: Mapping[str, str],
    building: bool,
) -> bytes:
    if lock == "uv.lock":
        shown, command = projects(tree, scratch.indexes, python, building), ["lock"]
    else:
        shown = requirements(tree, listing(tree), scratch.indexes, building)
        command = ["pip", "compile", "requirements.txt", "--universal", "--format", "pylock.toml", "--no-header"]
        command += [*shown.options, "--python-version", _minor(python()), "-o", lock]
    scratch.write({f"{APP}/{path}": text for path, text in shown.files.items()})
    kept = {key: environ[key] for key in _UV_KEPT if environ.get(key)}
    own = {"UV_CACHE_DIR": f"{scratch.root}/cache", **UV_FIXED}
    if not building:
        command, own = [*command, "--no-build"], {**own, "UV_NO_BUILD": "1"}
    uv, interpreter = uv_program(), _interpreter(shown.pythons, python, scratch)
    words, said = [uv, *command, "--python", interpreter], {**kept, **own, **shown.variables}
    done = scratch.run(lock, words, said, [uv], foreign=building)
    if done.code and _USUAL in shown.files.get(_LIMITS, b"") and "setuptools" in done.said:
        scratch.write({f"{APP}/{_OWN}": shown.files[_LIMITS].removesuffix(_USUAL)})
        words = [_OWN if word == _LIMITS else word for word in words]
        done = scratch.run(lock, words, said, [uv], foreign=building)
    if done.code:
        raise (failed(done.said, shown.asked) if not building else None) or done.failure(lock)
    made = finished(scratch.read(lock))
    if not building and lock == "pylock.toml" and (apart := elsewhere(made)):
        needs = [
            (name, f"no wheel is for Linux, asked for by {shown.asked.get(name, 'another package')}") for name in apart
        ]
        raise _askable(needs, " ".join(dict.fromkeys(map(_instead, apart))))
    return made


def _interpreter(asked: Iterable[str], python: Callable[[], str], scratch: Workplace) -> str:
    """The interpreter that uv is given. It only asks it for its version and platform, and wants one that the projects accept:
    where this host's is none, one that gives the version of `python` as its own."""
    here = ".".join(map(str, sys.version_info[:3]))
    if all(_accepts(text, here) for text in asked):
        return scratch.python
    path = f"{scratch.root}/bin/python"
    scratch.write(
        {"bin/python": _OTHER.format(python=scratch.python, version=python(), minor=_minor(python())).encode()}
    )
    os.chmod(path, 0o700)
    return path


def _accepts(text: str, version: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(text).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True  # uv says so better


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def projects(tree: SourceTree, indexes: Indexes, python: Callable[[], str], building: bool = False) -> Shown:
    """The app's project, its workspace's members and the folders that they depend on.

    With `building` a project that leaves its dependencies to its build backend is shown with all its files. `python` gives
    the version to resolve for, as `3.11.2`, where no project says one. Raises NeedsBuild for all that only a build backend or
    a repository could tell, BadManifest for what leads out of the app or to an index that may not be asked.
    """
    reader = _Reader(tree, indexes, building)
    reader.add("", f"{PYPROJECT}:1")
    for folder in members(tree, ("uv",)):
        reader.add(folder, PYPROJECT)
    written = reader.written()
    asked = [
        one["project"]["requires-python"] for one in written.values() if "requires-python" in one.get("project", {})
    ]
    if "project" in written[""] and not asked:
        asked = [f">={_minor(python())}"]
        written[""]["project"]["requires-python"] = asked[0]
    return Shown(
        reader.files(written), (), variables(indexes, reader.has_default), reader.asked, tuple(map(str, asked))
    )


def requirements(tree: SourceTree, path: str, indexes: Indexes, building: bool = False) -> Shown:
    """A requirements file with all that it includes as one, its constraints apart, and the folders that it names.

    `path` may also be `setup.cfg`. Raises as `projects` does, and LockStale for a requirements.txt that its requirements.in
    has left behind.
    """
    if path == "requirements.txt" and "requirements.in" in tree:
        check_compiled(tree)
    reader = _Reader(tree, indexes, building)
    everything = contents(tree, path) if path in LISTS else _setup_contents(tree)
    lines: dict[bool, list[str]] = {False: [], True: []}
    for line in everything.lines:
        reader.line(line)
        lines[line.constraint].append(f"{'-e ' if line.editable else ''}{line.text}\n")
    options = ["-c", _LIMITS, *reader.setting_options()]
    for option, urls in (("--default-index", [everything.index]), ("--index", everything.extra_indexes)):
        for url in filter(None, urls):
            options += [option, reader.index(url, path)]
    for file in dict.fromkeys([path, *(line.file for line in everything.lines)]):
        options += _file_options(reader, file) if file != "setup.cfg" else ()
    usual = _USUAL if "setuptools" not in reader.asked else b""
    texts = {"requirements.txt": "".join(lines[False]).encode(), _LIMITS: "".join(lines[True]).encode() + usual}
    operators = variables(indexes, "--default-index" in options)
    return Shown({**reader.files(reader.written()), **texts}, tuple(options), operators, reader.asked)


def _setup_contents(tree: SourceTree) -> RequirementsFile:
    """`install_requires` of setup.cfg as a requirements file."""
    lines, files = setup_requires(tree)
    text = read(tree, "setup.cfg")
    found = RequirementsFile()
    found.lines += [
        RequirementLine("setup.cfg", line_of(text, rf"^(?:install_requires\s*=)?\s*{re.escape(line)}") or 1, line)
        for line in lines
    ]
    for file in files:
        part = contents(tree, file)
        found.lines += part.lines
        found.index, found.extra_indexes = part.index or found.index, [*found.extra_indexes, *part.extra_indexes]
    return found


def finished(lock: bytes) -> bytes:
    """A lock as uv makes it from the app's own manifests: without the placeholder."""
    version = f'version = "{_PLACEHOLDER}"'.encode()
    return lock.replace(version + b"\n", b"").replace(version + b", ", b"")


def elsewhere(lock: bytes) -> list[str]:
    """Packages of a `pylock.toml` without sdists that are wanted on Linux, and have wheels for other systems alone.

    uv, which locks for all systems, takes such a wheel as one that will do; sdists that it may not build it leaves out.
    """
    wanted = [one for one in parsing.toml(lock.decode()).get("packages", []) if one.get("wheels") and _on_linux(one)]
    return [one["name"] for one in wanted if not any(map(_for_linux, one["wheels"]))]


def _on_linux(package: Mapping[str, Any]) -> bool:
    from packaging.markers import Marker

    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    return "marker" not in package or Marker(package["marker"]).evaluate(linux)


def _for_linux(wheel: Mapping[str, Any]) -> bool:
    return "linux" in (platform := filename_of(wheel["url"]).rpartition("-")[2]) or platform == "any.whl"


def failed(said: str, asked: Mapping[str, str]) -> NeedsBuild | None:
    """What uv says must be built, and by which file and line it is `asked` for; None when that is not why it failed."""
    text = " ".join(said.split())
    names = dict.fromkeys(name.strip() for pattern in _UNBUILT for name in pattern.findall(text))
    where = {name: asked.get(canonicalize_name(name), "another package") for name in names}
    needs = [(name, f"no version that fits has a wheel, asked for by {place}") for name, place in where.items()]
    return _askable(needs, " ".join(dict.fromkeys(map(_instead, names)))) if needs else None


def _askable(needs: Sequence[tuple[str, str]], hint: str) -> NeedsBuild:
    """The error for what a build backend could tell, were it asked in a sandbox."""
    error = NeedsBuild(needs, hint)
    error.data["askable"] = True
    return error


def _instead(name: str) -> str:
    """What to do about a package that has no wheel."""
    if sibling := SIBLINGS.get(canonicalize_name(name.partition("==")[0].strip())):
        return f"In the place of {name}, which is built where it is installed, depend on {sibling}."
    return PUBLISHED


# --- what takes part -------------------------------------------------------------------------------------------


class _Reader:
    """Goes from project to project by their path sources, and collects what would need a build."""

    def __init__(self, tree: SourceTree, indexes: Indexes, building: bool) -> None:
        self.tree, self.indexes, self.building = tree, indexes, building
        self.documents: dict[str, Node] = {}
        self.needs: list[tuple[str, str, str]] = []
        self.dynamic: dict[str, tuple[str, str, str]] = {}
        self.wheels: dict[str, bytes] = {}
        self.has_default = False
        self.asked: dict[str, str] = {}

    def add(self, folder: str, where: str, name: str = "") -> None:
        """Take a project in, and those it depends on by path."""
        path = posixpath.join(folder, PYPROJECT)
        if folder in self.documents:
            return
        document = toml(self.tree, path) if path in self.tree.files else Node({}, path)
        if document.get("project") is None and (folder or dig(document, "tool", "uv", "workspace") is None):
            why = f"no {path} with a [project] table, asked for by {where}"
            self.needs.append((name or folder or "the app", why, STATIC))
            return
        self.documents[folder] = document
        self._check_dynamic(document, folder)
        for requirement in _asked(document):
            self._direct(folder, requirement, path, line_of(read(self.tree, path), re.escape(requirement)) or 1)
        for source_name, source in _sources(document):
            self._source(folder, source_name, source, f"{path}:{_line(read(self.tree, path), source_name)}")

    def line(self, line: RequirementLine) -> None:
        """Look at one line of a requirements file. Its paths are relative to the app's folder, as pip and uv take them."""
        place = re.split(r"\s|;|\[|#", line.text, maxsplit=1)[0]
        if "${" in line.text:
            hint = (
                "Take it out of the line: a login belongs into this machine's own configuration, such as a netrc file."
            )
            raise BadManifest(line.file, "a variable of the environment is not read here", hint, line.number)
        if is_web(place) or _VCS.match(place) or line.editable or place.startswith((".", "/", "file:")) or "/" in place:
            egg = re.search(r"[#&]egg=([\w.-]+)", line.text)
            self._reference("", egg[1] if egg else "", place, line.where)
        else:
            self._direct("", line.text, line.file, line.number)

    def _check_dynamic(self, document: Node, folder: str) -> None:
        project = document.get("project")
        dynamic = [name for name in project.strings("dynamic") if name in _DYNAMIC] if project else []
        if project and dynamic:
            line = toml_line(read(self.tree, document.file), "project.dynamic") or 1
            why = f"only its build backend knows its {' and '.join(dynamic)}, {document.file}:{line}"
            self.dynamic[folder] = (project.str("name", folder), why, STATIC)

    def _source(self, folder: str, name: str, source: Node, where: str) -> None:
        """One of `tool.uv.sources`: other kinds than these name a member of the workspace, or an index."""
        if source.get("git") is not None:
            self._reference(folder, name, "git+", where)
        elif source.get("url") is not None:
            self._reference(folder, name, source.str("url"), where)
        elif source.get("path") is not None:
            self._place(folder, name, source.str("path"), where)
        elif source.bool("workspace", False) and dig(self.documents[""], "tool", "uv", "workspace") is None:
            why = f"{name} is to come from a workspace, and this folder is none"
            raise _bad(where, why, "Stage the folder whose pyproject.toml has [tool.uv.workspace].")

    def _direct(self, folder: str, requirement: str, path: str, line: int) -> None:
        """A requirement's name, and its direct reference (PEP 508) if it has one."""
        if named := re.match(r"\s*([A-Za-z0-9._-]+)", requirement):
            self.asked.setdefault(canonicalize_name(named[1]), f"{path}:{line}")
        if found := re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\]\s*)?@\s*([^\s;]+)", requirement):
            self._reference(folder, found[1], found[2], f"{path}:{line}")

    def _reference(self, folder: str, name: str, url: str, where: str) -> None:
        if _VCS.match(url):
            self.needs.append((name or url.rpartition("/")[2], f"a repository, asked for by {where}", LOCKED))
        elif "${" in url or (is_web(url) and (why := self.indexes.refusal(url.partition("#")[0]))):
            why = "it names a variable of the environment" if "${" in url else why
            hint = "Depend on a version of an index, or name that host in this machine's own configuration if it may be asked."
            raise _bad(where, f"the URL of {name or filename_of(url)} is not fetched: {why}", hint)
        elif not is_web(url):
            self._place(folder, name, unquote(url.removeprefix("file://").removeprefix("file:")), where)
        elif not filename_of(url).endswith(".whl"):
            self.needs.append((name or filename_of(url), f"an archive of sources, asked for by {where}", PUBLISHED))

    def _place(self, folder: str, name: str, path: str, where: str) -> None:
        inside = posixpath.normpath(posixpath.join(folder, path))
        if path.startswith(("/", "~")) or "${" in path or "\\" in path or inside.split("/")[0] == "..":
            raise _bad(
                where, f"{name or 'a requirement'} is at {path[:200]!r}, outside the app", "Put it into the app."
            )
        inside = "" if inside == "." else inside
        if inside in self.tree.files and inside.endswith(".whl"):
            self.wheels[inside] = self.tree.read_bytes(inside)
        elif inside in self.tree.files:
            self.needs.append((name or inside, f"an archive of sources, asked for by {where}", PUBLISHED))
        else:
            self.add(inside, where, name)

    # --- what is written ---------------------------------------------------------------------------------------

    def written(self) -> dict[str, dict[str, Any]]:
        """The documents that uv is shown, by folder. Raises NeedsBuild, and BadManifest for an index."""
        needs = [*self.needs, *(() if self.building else self.dynamic.values())]
        if needs:
            hint = " ".join(dict.fromkeys(hint for _, _, hint in needs))
            told = list(dict.fromkeys((name, why) for name, why, _ in needs))
            raise NeedsBuild(told, hint) if self.needs else _askable(told, hint)
        return {folder: self._document(folder, document) for folder, document in self.documents.items()}

    def files(self, written: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
        """These documents as files, the wheels of the app that they ask for, and all files of projects that are asked."""
        whole = {
            path: self.tree.read_bytes(path)
            for folder in self.dynamic
            for path in self.tree.files
            if path.startswith(f"{folder}/" if folder else "") and not path.startswith(".")
        }
        texts = {posixpath.join(folder, PYPROJECT): _toml(one) for folder, one in written.items()}
        return {**whole, **self.wheels, **texts}

    def _document(self, folder: str, document: Node) -> dict[str, Any]:
        found = {key: document.value[key] for key in ("dependency-groups",) if key in document.value}
        if project := document.get("project"):
            found["project"] = {key: project.value[key] for key in _PROJECT if key in project.value}
            if "version" in project.strings("dynamic"):
                found["project"]["version"] = _PLACEHOLDER
        if folder in self.dynamic:  # its backend is asked, so it finds what it knows
            found = {key: value for key, value in document.value.items() if key != "tool"}
        elif document.get("build-system") is not None:
            found["build-system"] = {"requires": [], "build-backend": "stager-builds-nothing"}
        uv = {key: node.value for key, node in entries(dig(document, "tool", "uv")).items() if key in _UV}
        if not folder:
            uv.setdefault("workspace", {"members": []})  # no folder above is looked at
            own = self._settings()[0]
            uv |= {key: node.value for key, node in entries(own).items() if key in _UV}
        tables = self._settings() if not folder else [dig(document, "tool", "uv")]
        uv["index"] = [row for table in tables if table is not None for row in self._indexes(table)]
        others = document.value.get("tool", {}) if folder in self.dynamic else {}
        return {**found, "tool": {**others, "uv": uv}}

    def _settings(self) -> list[Node]:
        """uv's settings in the app's own folder, the stronger first."""
        own = toml(self.tree, "uv.toml") if "uv.toml" in self.tree.files else Node({}, "uv.toml")
        document = toml(self.tree, PYPROJECT) if PYPROJECT in self.tree.files else Node({}, PYPROJECT)
        return [own, dig(document, "tool", "uv") or Node({}, PYPROJECT)]

    def setting_options(self) -> Iterator[str]:
        """The indexes that these settings name for `uv pip`, as its options."""
        for table in self._settings():
            for row in self._indexes(table, table.get("pip")):
                kind = "--default-index" if row.get("default") else "--index"
                if not row.get("explicit"):
                    yield from ("--find-links" if row.get("format") == "flat" else kind, row["url"])

    def _indexes(self, table: Node, pip: Node | None = None) -> Iterator[dict[str, Any]]:
        """The indexes that settings of the app name, in uv's own and its older ways, as entries of `index`."""
        for one in table.list("index"):
            kept = {key: one.value[key] for key in _INDEX if key in one.value}
            self.has_default |= kept.get("default") is True
            yield {**kept, "url": self.index(one.str("url"), table.file)}
        for owner in filter(None, (table, pip)):
            if url := owner.str("index-url", ""):
                self.has_default = True
                yield {"url": self.index(url, table.file), "default": True}
            for url in owner.strings("extra-index-url"):
                yield {"url": self.index(url, table.file)}
            for url in owner.strings("find-links"):
                yield {"url": self.index(url, table.file), "format": "flat"}

    def index(self, url: str, file: str) -> str:
        """A URL of an index that the app names, with the operator's credentials for it if there are any.

        Raises BadManifest for one that may not be asked.
        """
        why = "it names a variable of the environment" if "${" in url else self.indexes.refusal(url)
        if why:
            shown = url.rpartition("@")[2].partition("?")[0][:200]
            hint = "Name it in this machine's own configuration of pip or uv if it is to be asked, or remove it."
            line = line_of(read(self.tree, file), re.escape(url))
            raise BadManifest(file, f"the index {shown} cannot be used: {why}", hint, line)
        return _with_credentials(self.indexes, url)


def _bad(where: str, why: str, hint: str = "") -> BadManifest:
    file, _, line = where.rpartition(":")
    return BadManifest(file, why, hint, int(line))


def _file_options(reader: _Reader, file: str) -> Iterator[str]:
    """The options of a requirements file that its reader passes over, as uv's. Raises BadManifest for what cannot be kept."""
    text = read(reader.tree, file)
    for found in _FILE_OPTION.finditer(text):
        if found[1] == "--pre":
            yield from ("--prerelease", "allow")
        elif found[1] in ("-f", "--find-links"):
            yield from ("--find-links", reader.index(found[2] or "", file))
        else:
            line = text.count("\n", 0, found.start(1)) + 1
            raise BadManifest(file, f"{found[1]} is not honoured: wheels of an index are used", "Remove it.", line)


def _asked(document: Node) -> Iterator[str]:
    """Every requirement of a project: of all groups, extras and settings."""
    keys = (("project", "dependencies"), ("project", "optional-dependencies"), ("dependency-groups",))
    for path in (*keys, *(("tool", "uv", key) for key in _ASKING)):
        if (node := dig(document, *path)) is not None:
            yield from _strings(node.value)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _sources(document: Node) -> Iterator[tuple[str, Node]]:
    for name, node in entries(dig(document, "tool", "uv", "sources")).items():
        for one in node if isinstance(node.value, list) else (node,):
            yield name, one


def _line(text: str, name: str) -> int:
    return toml_line(text, f"tool.uv.sources.{name}") or line_of(text, rf"^\s*[\"']?{re.escape(name)}\b") or 1


def _toml(document: Mapping[str, Any]) -> bytes:
    return "".join(f"{_value(key)} = {_value(value)}\n" for key, value in document.items()).encode()


def _value(value: Any) -> str:
    """A TOML value on one line; JSON's escapes are a subset of TOML's, but for DEL."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_value(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else str(value)


# --- indexes ---------------------------------------------------------------------------------------------------


def variables(indexes: Indexes, has_default: bool) -> dict[str, str]:
    """The operator's indexes as uv's variables, which go before what the app names; its default is the app's if it has one.

    Raises BadSettings when no index is configured and none may be taken.
    """
    further = [*indexes.pypi_first, *indexes.pypi_extra]
    default = "" if has_default else indexes.pypi_default
    if default is None:
        if not further:
            raise BadSettings("PIP_NO_INDEX", "no package index may be asked, and a resolver needs one")
        default = further.pop()
    elif not has_default:
        default = default or default_pypi()
    named = {"UV_DEFAULT_INDEX": [default] if default else [], "UV_INDEX": further}
    found = {key: " ".join(_with_credentials(indexes, url) for url in urls) for key, urls in named.items()}
    return {key: value for key, value in found.items() if value}


def _with_credentials(indexes: Indexes, url: str) -> str:
    """An index's URL with the login that the operator bound to just that place, if any: uv keeps it out of locks."""
    header = indexes.authorization(url.rstrip("/") + "/")
    if not header.startswith("Basic "):
        return url
    user, _, password = b64decode(header.removeprefix("Basic ")).decode().partition(":")
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"
