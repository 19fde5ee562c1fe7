"""Which CPython an app gets, and the files that tie it to the app's packages.

A Debian stack's own Python comes first: its distribution keeps it secure. Else CPython comes from
python-build-standalone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..ecosystems.deb.index import Index, debs, select
from ..errors import StagerError
from ..facts import stacks
from ..model import Artifact, Runtime, Stack
from . import python_files, releases, standalone
from .chosen import ChosenRuntime, all_accept, check_needs, kept, package_name, reason, refusal
from .python_bytecode import BYTECODE
from .record import Candidate, Layout, RuntimeKind, RuntimeRequest, Told
from .specifiers import parse
from .version_files import Asked, FileFacts, Reader, member, mise, plain, tool_versions
from .version_requests import VersionRequest

if TYPE_CHECKING:
    from ..tree import SourceTree

NAME, PLACE = "python", ".stager/python"
_releases = partial(releases.read, "python")
HOOK = (
    'import os, site, sys; site.addsitedir(os.path.join(os.path.dirname(sys.base_prefix), "pypi", "site-packages"))\n'
)
"""A `.pth` file's one line, run by `site` at start: the app's packages lie beside the interpreter, wherever it is."""
_SUITE, _STANDALONE = "debian", "python-build-standalone"
_WHAT = {_SUITE: "the stack's own Python", _STANDALONE: "a build by python-build-standalone"}
_PATCHES = range(100)
"""Patch releases that a line may have; used to ask whether a request admits any of a line."""


def choose(ask: RuntimeRequest) -> ChosenRuntime:
    """The stack's own Python, else a build by python-build-standalone; one past its end of life when no other fits.

    Raises VersionError for a request that is malformed, unknown, without a build or at odds with another, NoRuntime when the
    version exists but not for this stack, IntegrityError and FetchError for the index.
    """
    requests = [parse(text, why) for text, why in ask.asked]
    own = stacks.read(ask.stack.name)
    packages = own.sets.get(NAME) if ask.stack.suite else None
    index = cache(lambda: ask.debian(own.suite, own.keyring))
    return (
        _kept(ask, packages, requests)
        or _from_suite(requests, ask.stack, packages, index)
        or _from_standalone(requests, ask, packages, index)
    )


def _kept(
    ask: RuntimeRequest, packages: stacks.PackageSet | None, requests: Sequence[VersionRequest]
) -> ChosenRuntime | None:
    """The earlier plan's Python, unless the box has changed which packages belong to it."""
    found = kept(ask, NAME, requests, "deb-python/1", "pbs/1")
    if not found:
        return None
    runtime, artifacts = found
    expected = (packages.packages if runtime.source == _SUITE else packages.data) if packages else ()
    if {package_name(item) for item in artifacts if item.layout == "deb-python/1"} != set(expected):
        return None
    return _chosen(runtime.version, runtime.source, runtime.glibc, requests, artifacts, ())


def _from_suite(
    requests: Sequence[VersionRequest], stack: Stack, packages: stacks.PackageSet | None, index: Callable[[], Index]
) -> ChosenRuntime | None:
    """The Debian suite's Python, if it satisfies the requests; the index is only read when it may."""
    if packages is None or not _may_fit(requests, packages.version):
        return None
    stanzas = select(index(), packages.packages)
    version = index()[f"python{packages.version}-minimal"].upstream
    if not all_accept(requests, version):
        return None
    check_needs(NAME, version, stack, packages.glibc, packages.libraries, _where(requests))
    artifacts = debs(stanzas, "deb-python/1", PLACE)
    return _chosen(version, _SUITE, packages.glibc, requests, artifacts, index().notes)


def _from_standalone(
    requests: Sequence[VersionRequest],
    ask: RuntimeRequest,
    packages: stacks.PackageSet | None,
    index: Callable[[], Index],
) -> ChosenRuntime:
    """The newest fitting build; of several lines the default one first, then the newest."""
    stack, table = ask.stack, _releases()
    lines = sorted(table.supported, key=lambda line: line != table.default)
    lines += table.longest_kept() if ask.ended else []
    found = next(
        (item for line in lines for item in standalone.builds(line, stack) if all_accept(requests, item[0])), None
    )
    if found is None:
        raise _refusal(requests, stack, table)
    version, artifact = found
    check_needs(NAME, version, stack, table.extra["standalone"], frozenset(), _where(requests))
    data: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()
    if packages and packages.data:
        data, notes = debs(select(index(), packages.data), "deb-python/1", PLACE), index().notes
    return _chosen(version, _STANDALONE, table.extra["standalone"], requests, (artifact, *data), notes)


def _where(requests: Sequence[VersionRequest]) -> str:
    return requests[0].where if requests else ""


def _chosen(
    version: str,
    source: str,
    glibc: tuple[int, int],
    requests: Sequence[VersionRequest],
    artifacts: tuple[Artifact, ...],
    notes: tuple[str, ...],
) -> ChosenRuntime:
    line = version.rpartition(".")[0]
    site = "lib/python3/dist-packages" if source == _SUITE else f"lib/python{line}/site-packages"
    return ChosenRuntime(
        Runtime(NAME, version, source, glibc, reason(_WHAT[source], requests)),
        artifacts,
        tuple((f"{PLACE}/bin/{name}", f"python{line}") for name in ("python", "python3")),
        ((f"{PLACE}/{site}/stager.pth", HOOK),),
        notes,
    )


def _refusal(requests: Sequence[VersionRequest], stack: Stack, table: releases.Releases) -> StagerError:
    """The error for requests that no Python of this stack satisfies, with what there is instead."""
    newest = [version for line in table.supported for version, _ in standalone.builds(line, stack)[:1]]
    owners = {name: own.version for name in stacks.names() if (own := stacks.read(name).sets.get(NAME))}
    there = [owners[stack.name], *newest] if stack.name in owners else newest
    others = [f"{name} ({line})" for name, line in owners.items() if name != stack.name and _may_fit(requests, line)]
    hint = f"Ask for one of: {', '.join(there)}."
    if others:
        hint += f" Stacks with a Python of their own that may fit: {', '.join(others)}."
    return refusal(NAME, requests, table, lambda one, line: _may_fit([one], line), stack, there, hint)


def _may_fit(requests: Sequence[VersionRequest], line: str) -> bool:
    """Whether the requests admit any patch release of a line."""
    return any(all_accept(requests, f"{line}.{patch}") for patch in _PATCHES)


# --- what asks for it ------------------------------------------------------------------------------------------


def _setup_cfg(facts: FileFacts) -> Iterator[Asked]:
    """`python_requires` of setup.cfg, where no pyproject.toml says it."""
    file = "setup.cfg"
    found = re.search(r"^python_requires\s*=\s*(.+)$", facts.text(file), re.MULTILINE) if file in facts.tree else None
    standard = "pyproject.toml" in facts.tree and facts.member("pyproject.toml", "project.requires-python")
    if found and not standard:
        yield Asked(found[1].strip(), file, facts.text(file).count("\n", 0, found.start()) + 1, "range")


def _virtualenv(read: Reader) -> Reader:
    """pyenv's full name of a virtual environment (`3.11.4/envs/shop`) begins with the version it is of; uv's name of an
    installation (`cpython-3.12.4-linux-x86_64-gnu`) says where it was for after it."""
    return lambda facts: (
        one._replace(text=_INSTALLATION.sub(r"\1", one.text.partition("/envs/")[0])) for one in read(facts)
    )


_INSTALLATION = re.compile(r"\Acpython-(3(?:\.\d+){1,2})-(?:linux|macos|windows)-[\w-]+\Z")
_SOURCES = (
    _virtualenv(plain(".python-version", "3.13")),
    plain("runtime.txt", "3.13", "python-"),
    tool_versions("python"),
    mise("python"),
    member("Pipfile", "requires.python_full_version", "plain"),
    member("Pipfile", "requires.python_version", "plain"),
    member("pyproject.toml", "tool.poetry.dependencies.python", "poetry"),
    member("pyproject.toml", "project.requires-python", "range"),
    _setup_cfg,
    member("uv.lock", "requires-python", "range", unless="pyproject.toml project.requires-python"),
)


# --- the record ------------------------------------------------------------------------------------------------


def _candidates(chosen: Runtime, stack: Stack) -> Iterator[Candidate]:
    own = stacks.read(stack.name).sets.get(NAME)
    if own is not None:
        taken = chosen.source == _SUITE
        version = chosen.version if taken else own.version
        yield Candidate(version, own.version, taken, f"{version}, the stack's own")
    table = _releases()
    for line in sorted(table.supported, key=lambda line: line != table.default):
        for version, _ in standalone.builds(line, stack)[:1]:
            taken = chosen.source != _SUITE and version == chosen.version
            yield Candidate(version, line, taken, f"{version}, by {_STANDALONE}")


def _order(version: str) -> Any:
    from packaging.version import Version

    return Version(version)


def _static_files(tree: SourceTree, env: Mapping[str, str]) -> Told | None:
    from . import django  # here: few apps are such sites

    return django.static_files(tree, env)


RUNTIME = RuntimeKind(
    name=NAME,
    title="Python",
    place=PLACE,
    programs=f"{PLACE}/bin",
    layouts={
        "deb-python/1": Layout(python_files.unpack_debian, r"pkg:deb/debian/python3\.[0-9]+-minimal"),
        "pbs/1": Layout(
            python_files.unpack_standalone,
            r"pkg:generic/cpython",
            "Python-2.0",
            lambda artifact, indexes: standalone.pbs_url(artifact, indexes.pbs or None),
        ),
        "pbs-build/1": Layout(
            python_files.unpack_standalone_for_building,
            r"pkg:generic/cpython",
            "Python-2.0",
            lambda artifact, indexes: standalone.pbs_url(artifact, indexes.pbs or None),
        ),
    },
    choose=choose,
    rule="the stack's own Python comes first when every request allows it; else the newest fitting build by "
    "python-build-standalone, of the default line {default} first",
    interpreter=r"python[\d.]*",
    readers=("python", "python3"),
    commands=frozenset({"python", "python3", "pip"}),
    wish="Add a requirements.txt or a pyproject.toml, so that Python is in the droplet.",
    example="python main.py",
    signs=("requirements*.txt", "pyproject.toml", "Pipfile", "setup.*", "*.py"),
    parse=parse,
    sources=_SOURCES,
    releases=_releases,
    candidates=_candidates,
    bytecode=BYTECODE,
    order=_order,
    tells={"django static files": _static_files},
)
