"""What building a source archive takes: by what its own files say, and by what its backend asks for.

Most sdists are pure Python and are built in the stack's own root. One that is compiled wants a compiler, the interpreter's
headers, and the libraries that a table names for it; what else it wants, its author's documentation says, and `stager.yml`.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from stager.ecosystems import repository
from stager.errors import NeedsBuild
from stager.facts import stacks
from stager.formats.archive import Archive, content_bytes, read_tar, read_zip
from stager.formats.errors import BadArchive
from stager.text import parsing
from stager.text.typed import Node

from .building import EXTRA, ROOT
from .manifest import pyproject
from .target import Target, target_of

if TYPE_CHECKING:
    from stager.ecosystems.record import BuildRequest
    from stager.model import Artifact, Build, Plan
    from stager.tree import SourceTree

COMPILER = ("g++", "gcc", "libc6-dev", "make", "pkg-config")
RUST = {"bookworm": ("cargo-web", "rustc-web")}
"""Suite → the packages of its newest Rust; elsewhere they are `cargo` and `rustc`."""
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "cffi": ("libffi-dev",),
    "dbus-python": ("libdbus-1-dev", "libglib2.0-dev"),
    "fiona": ("libgdal-dev",),
    "gdal": ("libgdal-dev",),
    "gmpy2": ("libgmp-dev", "libmpc-dev", "libmpfr-dev"),
    "gssapi": ("libkrb5-dev",),
    "h5py": ("libhdf5-dev",),
    "kerberos": ("libkrb5-dev",),
    "lxml": ("libxml2-dev", "libxslt1-dev"),
    "m2crypto": ("libssl-dev", "swig"),
    "mysqlclient": ("default-libmysqlclient-dev",),
    "numpy": ("gfortran", "libopenblas-dev"),
    "pillow": ("libfreetype-dev", "libjpeg-dev", "libwebp-dev", "zlib1g-dev"),
    "plyvel": ("libleveldb-dev",),
    "psycopg-c": ("libpq-dev",),
    "psycopg2": ("libpq-dev",),
    "psycopg2-binary": ("libpq-dev",),
    "pyaudio": ("portaudio19-dev",),
    "pycairo": ("libcairo2-dev",),
    "pycurl": ("libcurl4-openssl-dev", "libssl-dev"),
    "pygobject": ("libcairo2-dev", "libgirepository1.0-dev"),
    "pygraphviz": ("libgraphviz-dev",),
    "pyicu": ("libicu-dev",),
    "pymssql": ("freetds-dev",),
    "pynacl": ("libffi-dev", "libsodium-dev"),
    "pyodbc": ("unixodbc-dev",),
    "pyproj": ("libproj-dev", "proj-bin"),
    "pyscard": ("libpcsclite-dev", "swig"),
    "pysqlite3": ("libsqlite3-dev",),
    "python-ldap": ("libldap-dev", "libsasl2-dev"),
    "python-snappy": ("libsnappy-dev",),
    "rasterio": ("libgdal-dev",),
    "scipy": ("gfortran", "libopenblas-dev"),
    "shapely": ("libgeos-dev",),
    "xmlsec": ("libxmlsec1-dev", "libxmlsec1-openssl"),
}
"""Well-known packages → the Debian packages of the libraries that they are compiled against."""
LINKED: Mapping[str, tuple[str, ...]] = {
    "mysqlclient": ("libmariadb3",),
    "psycopg-c": ("libpq5",),
    "psycopg2": ("libpq5",),
    "psycopg2-binary": ("libpq5",),
    "pyodbc": ("libodbc2",),
}
"""Of these the packages with the libraries themselves, where all suites call them the same."""
LEGACY = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES = ("setuptools>=40.8.0",)
_SILENT = ("flit_core.buildapi", "poetry.core.masonry.api")
"""Backends that never want more than `requires` names."""
_HOOKS = {"mesonpy": ("ninja",), "scikit_build_core": ("cmake", "ninja")}
"""What backends want besides, for projects of the app's own, which are not asked."""
_COMPILING_BACKENDS = ("mesonpy", "scikit_build_core", "skbuild", "sipbuild", "py_build_cmake")
_COMPILING = ("cython", "pybind11", "nanobind", "scikit-build", "hatch-cython", "hatch-mypyc", "mypy", "cffi", "numpy")
_RUST = ("maturin", "setuptools-rust")
_SOURCES = re.compile(r"\.(?:c|cc|cpp|cxx|pyx|f|f90|m)\Z")
_APART = re.compile(r"(?:^|/)(?:tests?|docs?|examples?|benchmarks?)/")
"""Folders whose sources are not built into a package."""
_SETUP_PY = re.compile(r"\b(?:ext_modules|[A-Za-z]*Extension|cythonize|cffi_modules|mypycify|build_ext)\b")
_VENDORED = re.compile(r"(?:^|/)\.cargo/config(?:\.toml)?\Z|/\.cargo-checksum\.json\Z")
_MOST = 4 << 20
_ROUNDS = 3


class Sources(NamedTuple):
    """What an sdist's own files say."""

    backend: str
    own_backend: bool
    """Whether the backend is among its files."""
    requires: tuple[str, ...]
    compiled: str
    """Why it needs a compiler; empty for pure Python."""
    rust: bool
    """Whether Rust is a part of it."""
    crates: bool
    """Whether the crates that Rust wants are among its files."""


def look(file: str, artifact: Artifact) -> Sources:
    """What the archive `file` says of how it is built; no code of it runs. Raises BadArchive, UnsafeEntry, NeedsBuild."""
    name = artifact.filename
    kinds = {".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2", ".tar.xz": "xz", ".tar": ""}
    kind = next((kind for end, kind in kinds.items() if name.endswith(end)), None)
    with read_zip(file, name) if kind is None else read_tar(file, name, kind) as archive:
        tops = {member.name.partition("/")[0] for member in archive.members if "/" in member.name}
        if len(tops) != 1:
            raise BadArchive(name, f"has {len(tops)} folders at its top instead of one")
        top = f"{tops.pop()}/"
        if repository.is_from(artifact.url) and (folder := repository.of(artifact.url).folder):
            top = f"{top}{folder}/"
        files = [member.name.removeprefix(top) for member in archive.members if member.name.startswith(top)]
        if not files:
            raise BadArchive(name, f"has no folder {top.partition('/')[2].rstrip('/')!r}")
        label = f"{name}/pyproject.toml"
        try:
            document = Node(parsing.toml(_text(archive, f"{top}pyproject.toml")), label)
        except ValueError as error:
            raise BadArchive(label, f"cannot be read: {' '.join(str(error).split())[:200]}") from None
        return _said(document, files, _text(archive, f"{top}setup.py"))


def look_own(tree: SourceTree, folder: str) -> Sources:
    """The same of a project in the app. Raises BadManifest."""
    start = f"{folder}/" if folder else ""
    files = [path.removeprefix(start) for path in tree.files if path.startswith(start)]
    setup = f"{start}setup.py"
    text = tree.read_whole(setup).decode("utf-8", "replace") if setup in tree else ""
    return _said(pyproject(tree, folder), files, text)


def _said(document: Node, files: Sequence[str], setup: str) -> Sources:
    system = document.get("build-system")
    backend = (system.str("build-backend", "") if system else "") or LEGACY
    requires = tuple(system.strings("requires")) if system else _LEGACY_REQUIRES
    names = {_name(line) for line in requires}
    rust = not names.isdisjoint(_RUST) or backend.partition(".")[0] in _RUST
    why = "Rust" if rust else _why_compiled(document, backend, names, files, setup)
    own = bool(system and system.strings("backend-path"))
    return Sources(backend, own, requires, why, rust, any(map(_VENDORED.search, files)))


def _why_compiled(document: Node, backend: str, names: set[str], files: Iterable[str], setup: str) -> str:
    """Why a compiler is needed: what drives one, and something to drive it with."""
    module = backend.partition(".")[0]
    if module in _COMPILING_BACKENDS:
        return f"its backend is {module}"
    if tool := next((name for name in _COMPILING if name in names), ""):
        return f"it is built with {tool}"
    sources = [path for path in files if _SOURCES.search(path) and not _APART.search(path)]
    table = document.value.get("tool", {})
    setuptools = table.get("setuptools", {}) if isinstance(table, dict) else {}
    if isinstance(setuptools, dict) and "ext-modules" in setuptools:
        return "its pyproject.toml names extension modules"
    if _SETUP_PY.search(setup) and (sources or "mypycify" in setup or "cffi_modules" in setup):
        return "its setup.py compiles extension modules"
    driven = module in ("poetry", "pdm", "hatchling") and any(path.endswith(".pyx") for path in sources)
    return f"it has {posixpath.basename(sources[0])}" if driven else ""


def _text(archive: Archive, name: str) -> str:
    member = archive.get(name)
    if member is None or member.is_link or member.size > _MOST:
        return ""
    return content_bytes(member.content, archive.label).decode("utf-8", "replace")


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0]).lower()


def _sources(request: BuildRequest) -> Sources:
    return look(request.file, request.artifact) if request.artifact else look_own(request.tree, request.build.folder)


def _module(said: Sources) -> str:
    return said.backend.partition(".")[0]


# --- what is wanted --------------------------------------------------------------------------------------------


def wants(request: BuildRequest) -> tuple[str, tuple[str, ...]]:
    """The root for an sdist, and the packages that it wants in it. Raises NeedsBuild for one whose crates are elsewhere."""
    said = _sources(request)
    if said.rust and not said.crates:
        why = "it is written in Rust, and the crates that it is compiled with are not among its files"
        hint = "Depend on a version that has a fitting wheel, or publish a wheel of it on an index of your own."
        raise NeedsBuild([(request.label, why)], hint)
    if not said.compiled and request.artifact:
        return "stack", ()
    name = request.label.partition("@")[0]
    runtime = next(one for one in request.plan.runtimes if one.name == ROOT)
    headers = (f"python{'.'.join(runtime.version.split('.')[:2])}-dev",) if runtime.source == "debian" else ()
    return ROOT, tuple(
        sorted({*COMPILER, *headers, *(_rust(request.plan) if said.rust else ()), *LIBRARIES.get(name, ())})
    )


def linked(build: Build) -> tuple[str, ...]:
    """The packages with the libraries that a well-known sdist's wheel is linked with."""
    return LINKED.get(build.of.rpartition("/")[2].partition("@")[0], ())


def _rust(plan: Plan) -> tuple[str, ...]:
    suite = stacks.load(stacks.for_builds(plan.stack), plan.architecture).suite
    return RUST.get(suite, ("cargo", "rustc"))


def pinned(request: BuildRequest) -> Build:
    """The build with its requirements (PEP 518, and what the backend's hook adds), resolved for this sdist alone.

    Raises NeedsBuild for a requirement without a wheel, or a backend that always wants more, and what `requirements` raises.
    """
    said = _sources(request)
    wanted = list(dict.fromkeys((*said.requires, *(_HOOKS.get(_module(said), ()) if request.artifact is None else ()))))
    wanted += [one for one in json.loads(dict(request.build.env).get(EXTRA, "[]")) if one not in wanted]
    target = target_of(request.plan)
    if target.python < (3, 11):
        wanted.append("tomli")  # what the recipe reads pyproject.toml with
    for _ in range(_ROUNDS):
        artifacts = (*requirements(request, wanted, target), *(_headers(request.plan) if said.compiled else ()))
        build = replace(request.build, artifacts=artifacts)
        if said.backend in _SILENT and not said.own_backend:
            return build
        more = request.ask(build)
        if not isinstance(more, list) or not all(isinstance(one, str) for one in more):
            why = "its build backend answers with something else than a list of requirements"
            raise NeedsBuild([(request.label, why)], "Depend on another version of it.")
        if not (added := [one for one in more if one not in wanted]):
            return build
        wanted += added
    why = f"its build backend wants more each time it is asked, {wanted[-1]!r} last"
    raise NeedsBuild([(request.label, why)], "Depend on another version of it.")


def _headers(plan: Plan) -> Iterator[Artifact]:
    """The interpreter with its headers, where these are in no package of the root's distribution."""
    for one in plan.artifacts:
        if one.layout == "pbs/1":
            yield replace(one, layout="pbs-build/1")


def requirements(request: BuildRequest, wanted: list[str], target: Target) -> tuple[Artifact, ...]:
    """The wheels for build requirements and all that they need. Raises NeedsBuild, LockFailed, Cancelled."""
    from .build_requirements import resolved

    return resolved(request, wanted, target) if wanted else ()
