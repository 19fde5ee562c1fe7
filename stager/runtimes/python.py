"""Which CPython an app gets, and the files that tie it to the app's packages.

A Debian stack's own Python comes first: its distribution keeps it secure. Else CPython comes from
python-build-standalone; where that cannot be reached, a Debian stack has it built from its sources.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..ecosystems.deb.index import Index, debs, select
from ..errors import FetchError, StagerError
from ..facts import stacks
from ..model import Artifact, Runtime, Stack
from ..net.errors import NotCached, NotFound
from . import python_files, python_sources, releases, standalone
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
_SUITE, _STANDALONE, _BUILT = "debian", "python-build-standalone", "sources"
_WHAT = {
    _SUITE: "the stack's own Python",
    _STANDALONE: "a build by python-build-standalone",
    _BUILT: "built from its sources, as no build of it could be fetched",
}
_PATCHES = range(100)
"""Patch releases that a line may have; used to ask whether a request admits any of a line."""


def choose(ask: RuntimeRequest) -> ChosenRuntime:
    """The stack's own Python, else a build by python-build-standalone, else one that is to be built from its sources; one past
    its end of life when no other fits.

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
        or _from_elsewhere(requests, ask, own, packages, index)
    )


def _kept(
    ask: RuntimeRequest, packages: stacks.PackageSet | None, requests: Sequence[VersionRequest]
) -> ChosenRuntime | None:
    """The earlier plan's Python, unless the box has changed which packages belong to it."""
    found = kept(ask, NAME, requests, "deb-python/1", "pbs/1", python_sources.SOURCE)
    if not found:
        return None
    runtime, artifacts = found
    expected = _beside(runtime.source, packages)
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


def _beside(source: str, packages: stacks.PackageSet | None) -> tuple[str, ...]:
    """The stack's packages that a Python of this source has."""
    if packages is None:
        return ()
    return {_SUITE: packages.packages, _BUILT: packages.built}.get(source, packages.data)


def _from_elsewhere(
    requests: Sequence[VersionRequest],
    ask: RuntimeRequest,
    own: stacks.StackFacts,
    packages: stacks.PackageSet | None,
    index: Callable[[], Index],
) -> ChosenRuntime:
    """The newest fitting build; of several lines the default one first, then the newest.

    Where it is out of reach, or there is none, the newest sources that fit are built, on a stack that has what this takes.
    Without them the build stays the choice, as another machine may reach it.
    """
    stack, table = ask.stack, _releases()
    lines = sorted(table.supported, key=lambda line: line != table.default)
    lines += table.longest_kept() if ask.ended else []
    found = next(
        (item for line in lines for item in standalone.builds(line, stack) if all_accept(requests, item[0])), None
    )
    why = _out_of_reach(ask, found[1]) if packages and packages.built and found else ""
    if packages and packages.built and (why or not found):
        lines = [line for line in lines if _may_fit(requests, line)]
        sources = python_sources.found(ask, own, lines)
        built = next((item for item in sources if all_accept(requests, item[0])), None)
        if built:
            note = f"Python {built[0]} is built from its sources{': ' if why else ''}{why}"
            artifacts = (built[1], *debs(select(index(), packages.built), "deb-python/1", PLACE))
            return _chosen(built[0], _BUILT, stack.glibc, requests, artifacts, (*index().notes, note))
    if found is None:
        raise _refusal(requests, stack, table, _lines(ask, own, table) if lines and packages and packages.built else [])
    version, artifact = found
    check_needs(NAME, version, stack, table.extra["standalone"], frozenset(), _where(requests))
    data: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()
    if packages and packages.data:
        data, notes = debs(select(index(), packages.data), "deb-python/1", PLACE), index().notes
    if why:
        there = ", ".join(_lines(ask, own, table)) or "none"
        notes += (
            f"Python {version} cannot be fetched here: {why}; sources to build one from are to be had of: {there}",
        )
    return _chosen(version, _STANDALONE, table.extra["standalone"], requests, (artifact, *data), notes)


def _out_of_reach(ask: RuntimeRequest, artifact: Artifact) -> str:
    """Why python-build-standalone's archive does not answer; empty when it does, and offline, where nobody knows."""
    listing = standalone.pbs_url(artifact, ask.indexes.pbs or None).rpartition("/")[0] + "/SHA256SUMS"
    try:
        ask.web.get(listing)
    except (NotCached, NotFound):
        return ""
    except FetchError as error:
        return error.message
    return ""


def _lines(ask: RuntimeRequest, own: stacks.StackFacts, table: releases.Releases) -> list[str]:
    """The release lines whose sources are to be had."""
    there = {version.rpartition(".")[0] for version, _ in python_sources.found(ask, own, table.supported)}
    return [line for line in table.supported if line in there]


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
    why = reason(_WHAT[source], requests)
    made = tuple(python_sources.build_of(one, why) for one in artifacts if one.layout == python_sources.SOURCE)
    site = "lib/python3/dist-packages" if source == _SUITE else f"lib/python{line}/site-packages"
    return ChosenRuntime(
        Runtime(NAME, version, source, glibc, why),
        artifacts,
        tuple((f"{PLACE}/bin/{name}", f"python{line}") for name in ("python", "python3")),
        ((f"{PLACE}/{site}/stager.pth", HOOK),),
        notes,
        made,
        python_sources.WANTS if made else (),
    )


def _refusal(
    requests: Sequence[VersionRequest], stack: Stack, table: releases.Releases, sources: Sequence[str]
) -> StagerError:
    """The error for requests that no Python of this stack satisfies, with what there is instead: `sources` are of lines."""
    newest = [version for line in table.supported for version, _ in standalone.builds(line, stack)[:1]]
    owners = {name: own.version for name in stacks.names() if (own := stacks.read(name).sets.get(NAME))}
    there = [owners[stack.name], *newest] if stack.name in owners else newest
    others = [f"{name} ({line})" for name, line in owners.items() if name != stack.name and _may_fit(requests, line)]
    hint = f"Ask for one of: {', '.join(there)}."
    if others:
        hint += f" Stacks with a Python of their own that may fit: {', '.join(others)}."
    if sources:
        hint += f" Sources to build one from are to be had of: {', '.join(sources)}."
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
            taken = chosen.source == _STANDALONE and version == chosen.version
            missed = ", which could not be fetched" if chosen.source == _BUILT else ""
            yield Candidate(version, line, taken, f"{version}, by {_STANDALONE}{missed}")
    if chosen.source == _BUILT:
        yield Candidate(
            chosen.version, chosen.version.rpartition(".")[0], True, f"{chosen.version}, built from its sources"
        )


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
            lambda artifact, indexes: [standalone.pbs_url(artifact, indexes.pbs or None)],
        ),
        "pbs-build/1": Layout(
            python_files.unpack_standalone_for_building,
            r"pkg:generic/cpython",
            "Python-2.0",
            lambda artifact, indexes: [standalone.pbs_url(artifact, indexes.pbs or None)],
        ),
        python_sources.SOURCE: Layout(
            python_sources.unbuilt,
            r"pkg:generic/cpython",
            "Python-2.0",
            python_sources.urls,
            "A mirror keeps sources until newer ones replace them, and may have a part of them: run 'stager lock --upgrade' "
            "and commit the result. What was built of them is used where a store or a bundle has it.",
        ),
        python_sources.BUILT: Layout(python_files.unpack_built, r"pkg:generic/cpython", "Python-2.0"),
    },
    choose=choose,
    rule="the stack's own Python comes first when every request allows it; else the newest fitting build by "
    "python-build-standalone, of the default line {default} first; where that is out of reach, one that a Debian stack has "
    "built from its sources",
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
    recipes=python_sources.RECIPES,
    bytecode=BYTECODE,
    order=_order,
    tells={"django static files": _static_files},
)
