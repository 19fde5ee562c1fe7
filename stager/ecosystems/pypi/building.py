"""What has to be built of Python packages, and how: its own backend makes a wheel of an sdist, in the sandbox (PEP 517).

Planning says that it is built; which packages that takes, and whether it takes a compiler, is known when the lock is made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from stager.ecosystems import repository
from stager.ecosystems.record import BuildRecipe
from stager.model import APP, ARTIFACT, RUNTIMES, Artifact, Build, Reason

from .folders import import_roots
from .pins import LAYOUT, PLACE, SDIST, DistributionFile, best_wheel, is_sdist
from .target import tag_ranks, target_of

if TYPE_CHECKING:
    from stager.model import Plan
    from stager.tree import SourceTree

ROOT = "python"
"""The root of what is compiled."""
COMMAND = "stager:pep517/1"
SETTINGS, EXTRA = "BUILD_CONFIG_SETTINGS", "BUILD_EXTRA_REQUIRES"
"""Variables of a build that hold, as JSON, what the app has passed to its backend, and what it is built with besides."""
HOOK = "sitecustomize.py"
"""What the interpreter reads at its start."""
_PREFERRED = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")
"""Source archives by how they end, the one that PEP 625 wants first."""
_LONGEST = 63
_TOLD = ("PBR_VERSION", "PDM_BUILD_SCM_VERSION", "POETRY_DYNAMIC_VERSIONING_BYPASS", "SETUPTOOLS_SCM_PRETEND_VERSION")
"""Where pbr, pdm-backend, poetry-dynamic-versioning, and setuptools-scm (hatch-vcs) are told a version, as documented."""


def best_sdist(files: Iterable[DistributionFile]) -> DistributionFile | None:
    """The source archive to build from; None when there is none with a hash."""
    found = [file for file in files if file.hash and (is_sdist(file.filename) or repository.is_from(file.url))]
    order = {end: number for number, end in enumerate(_PREFERRED)}

    def rank(file: DistributionFile) -> tuple[int, str, str]:
        ends = (order[end] for end in _PREFERRED if file.filename.endswith(end))
        return min(ends, default=len(order)), file.filename, file.hash

    return min(found, key=rank) if found else None


def build_name(package: str) -> str:
    """What a package's build is called: as the package is."""
    return re.sub(r"[^a-z0-9]+", "-", package.lower())[:_LONGEST].strip("-")


def build_of(package: str, version: str, artifact: Artifact, why: str, lock: str, line: int | None) -> Build:
    """The build of an sdist, as far as planning knows it. It has the droplet's Python, and nothing else of it.

    The files of a commit do not say which version they are where a package takes that from git's tags, so it is told.
    """
    of_commit = repository.is_from(artifact.url)
    return Build(
        name=build_name(package),
        kind=ARTIFACT,
        root="stack",
        command=COMMAND,
        reason=Reason(why, lock, line),
        folder=repository.of(artifact.url).folder if of_commit else "",
        env=tuple((name, version) for name in _TOLD) if of_commit and version else (),
        of=artifact.purl,
        on=RUNTIMES,
    )


def with_env(build: Build, more: Mapping[str, str]) -> Build:
    """The build with more variables."""
    return replace(build, env=tuple(sorted({**dict(build.env), **more}.items()))) if more else build


OWN = "own-package/1"
"""The recipe of a package of the app's own (`builds.recipes`)."""
BUILT = "stager-built"
"""The folder of the app in which is what a package of its own is built into beside its sources."""
PATH = f"/app/{PLACE}/bin:/app/.stager/python/bin:/usr/local/bin:/usr/bin:/bin"
_APART = re.compile(r"(?:tests?|docs?|examples?|benchmarks?|build|dist|node_modules|\..*)\Z")


def own_build(tree: SourceTree, name: str, folder: str, why: str, lock: str) -> Build:
    """The build of a project of the app that is compiled: in place, so that it runs from its folder as others do.

    Its packages are inputs and outputs: what the build adds to them is laid beside their sources.
    """
    start, (root, *_) = f"{folder}/" if folder else "", import_roots(tree, folder)
    inside = "" if root in ("", ".") else f"{root}/"
    packages = sorted(
        {
            inside + path.removeprefix(inside).partition("/")[0]
            for path in tree.files
            if path.startswith(inside) and path.endswith((".py", ".pyx")) and "/" in path.removeprefix(inside)
        }
    )
    outputs = [path for path in packages if not _APART.match(path.rpartition("/")[2])]
    sources = {
        start + path.removeprefix(start).partition("/")[0]
        for path in tree.files
        if path.startswith(start) and "/" in path.removeprefix(start) and not path.removeprefix(start).startswith(".")
    }
    apart = [path for path in sources if _APART.match(path.rpartition("/")[2])]
    inputs = [f"{start}*", *(f"{path}/**" for path in sorted({*sources, *outputs} - {*apart}))]
    words = [
        "PYTHONPATH={0}",
        "python3",
        "{0}/pep517.py",
        "own",
        f"/app/{folder}",
        f"/app/{inside}",
        f"/app/{BUILT}/{name}",
    ]
    return Build(
        name=build_name(name),
        kind=APP,
        root=ROOT,
        command=" ".join(words).format("/run/stager/own-package"),
        reason=Reason(why, lock),
        folder=folder,
        inputs=tuple(inputs),
        outputs=(*outputs, f"{BUILT}/{name}"),
        env=(("PATH", PATH),),
        recipes=(OWN,),
        on=RUNTIMES,
    )


def program(name: str) -> bytes:
    """A program of stager's that runs in the sandbox."""
    with open(os.path.join(os.path.dirname(__file__), "inside", name), "rb") as file:
        return file.read()


def programs() -> Mapping[str, bytes]:
    return {name: program(name) for name in ("pep517.py", HOOK)}


def misfit(plan: Plan, filename: str) -> str:
    """Which tags (PEP 425) a built wheel's name has and which are wanted; empty where the plan's Python takes the wheel."""
    target = target_of(plan)
    if best_wheel([DistributionFile(filename, "")], tag_ranks(target)):
        return ""
    return f"for {'-'.join(filename.removesuffix('.whl').split('-')[-3:])}, and what is wanted is for {target.label}"


_RUN = "PYTHONPATH={programs} python3 {programs}/pep517.py"
RECIPES = {
    COMMAND: BuildRecipe(
        takes=SDIST,
        gives=LAYOUT,
        programs=programs,
        line=f"{_RUN} build {{artifact}} {{out}} {{folder}}",
        ask=f"{_RUN} ask {{artifact}} {{out}} {{folder}}",
        env=(("PATH", PATH),),
        misfit=misfit,
    )
}
