"""What has to be built of Python packages, and how: its own backend makes a wheel of an sdist, in the sandbox (PEP 517).

Planning says that it is built; which packages that takes, and whether it takes a compiler, is known when the lock is made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from stager.ecosystems.record import BuildRecipe
from stager.model import ARTIFACT, RUNTIMES, Artifact, Build, Reason

from .pins import LAYOUT, PLACE, SDIST, DistributionFile, is_sdist

COMMAND = "stager:pep517/1"
HOOK = "sitecustomize.py"
"""What the interpreter reads at its start."""
_PREFERRED = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")
"""Source archives by how they end, the one that PEP 625 wants first."""
_LONGEST = 63


def best_sdist(files: Iterable[DistributionFile]) -> DistributionFile | None:
    """The source archive to build from; None when there is none with a hash."""
    found = [file for file in files if is_sdist(file.filename) and file.hash]
    order = {end: number for number, end in enumerate(_PREFERRED)}

    def rank(file: DistributionFile) -> tuple[int, str, str]:
        return min(order[end] for end in _PREFERRED if file.filename.endswith(end)), file.filename, file.hash

    return min(found, key=rank) if found else None


def build_name(package: str) -> str:
    """What a package's build is called: as the package is."""
    return re.sub(r"[^a-z0-9]+", "-", package.lower())[:_LONGEST].strip("-")


def build_of(package: str, artifact: Artifact, why: str, lock: str, line: int | None) -> Build:
    """The build of an sdist, as far as planning knows it. It has the droplet's Python, and nothing else of it."""
    return Build(
        name=build_name(package),
        kind=ARTIFACT,
        root="stack",
        command=COMMAND,
        reason=Reason(why, lock, line),
        of=artifact.purl,
        on=RUNTIMES,
    )


def program(name: str) -> bytes:
    """A program of stager's that runs in the sandbox."""
    with open(os.path.join(os.path.dirname(__file__), "inside", name), "rb") as file:
        return file.read()


def _programs() -> Mapping[str, bytes]:
    return {name: program(name) for name in ("pep517.py", HOOK)}


_RUN = "PYTHONPATH={programs} python3 {programs}/pep517.py"
RECIPES = {
    COMMAND: BuildRecipe(
        takes=SDIST,
        gives=LAYOUT,
        programs=_programs,
        line=f"{_RUN} build {{artifact}} {{out}}",
        ask=f"{_RUN} ask {{artifact}} {{out}}",
        env=(("PATH", f"/app/{PLACE}/bin:/app/.stager/python/bin:/usr/local/bin:/usr/bin:/bin"),),
    )
}
