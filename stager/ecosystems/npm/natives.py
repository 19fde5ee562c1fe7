"""Which packages would have to be compiled: a `binding.gyp` and no compiled add-on for the target."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from stager.model import Stack

from .platform import cpu

if TYPE_CHECKING:
    from .said import PackageSaid

_MUSL = re.compile(r"(?:^|[.\-_/])musl(?:$|[.\-_/])")
_SYSTEMS = ("android", "darwin", "freebsd", "linux", "openbsd", "sunos", "win32", "aix", "ios")
_MACHINES = ("x64", "arm64", "ia32", "arm", "ppc64", "s390x", "riscv64", "loong64", "mips64el", "universal", "x86_64")


def needs_build(
    placed: Sequence[tuple[str, PackageSaid]],
    stack: Stack,
    direct: Collection[str] = (),
    compiles: Callable[[str], bool] = lambda _: False,
) -> list[tuple[str, str]]:
    """(`name@version`, why) of the packages that cannot work on `stack` without being compiled.

    A package that others only want optionally is not among them: npm, too, goes on without it when it fails. One whose
    add-on lies in a package of its own for each platform (`@parcel/watcher-linux-x64-glibc`) is fine when that is placed.
    `direct` are the names the app itself needs; `compiles` tells those that it wants compiled although they have an add-on.
    """
    known = {said.name: said for _, said in placed}
    needed = {name for _, said in placed for name in said.needs} | set(direct)
    wanted = {name for _, said in placed for name in said.wants}
    found = {}
    for _, said in sorted(placed, key=_by_path):
        dispensable = said.name in wanted and said.name not in needed
        if not said.native or dispensable:
            continue
        if compiles(said.name):
            found[str(said)] = f"{said.native}, and the app's settings want it compiled (build-from-source)"
        elif not any(_fits(file, stack) for file in _addons(said, known)):
            found[str(said)] = f"{said.native}, and holds none for linux {cpu(stack)}"
    return list(found.items())


def misfits(
    placed: Sequence[tuple[str, PackageSaid]], stack: Stack, direct: Collection[str] = ()
) -> list[tuple[str, str]]:
    """(`name@version`, what it runs on) of packages that the app cannot do without and that are not for the stack.

    Most locks say it, and are refused before; Yarn 1's and npm's first do not. What is only wanted may be there in vain.
    """
    needs = {said.name: said.needs for _, said in placed}
    firm, queue = set(direct), list(direct)
    for name in queue:
        for other in needs.get(name, ()):
            if other not in firm:
                firm.add(other)
                queue.append(other)
    found = {}
    for _, said in sorted(placed, key=_by_path):
        if said.name in firm and not said.runs_on.fit(stack):
            found[str(said)] = str(said.runs_on)
    return list(found.items())


def absent(packages: Iterable[PackageSaid], stack: Stack) -> list[tuple[str, str]]:
    """(package, what it wants) where a package's add-on for the stack is not there, by its name, and its others are known.

    npm writes such a lock when `node_modules` was there already, of another system.
    """
    found = list(packages)
    there = {said.name for said in found}
    return sorted(
        {(str(said), wanted) for said in found for wanted in said.wants if wanted not in there and _fits(wanted, stack)}
    )


def _by_path(placed: tuple[str, PackageSaid]) -> bytes:
    return placed[0].encode()


def _addons(said: PackageSaid, known: Mapping[str, PackageSaid]) -> Iterable[str]:
    """The package's compiled add-ons, and those of the placed packages it wants, with their package's name before them."""
    yield from said.prebuilt
    for name in said.wants:
        if name in known:
            yield from (f"{name}/{file}" for file in known[name].prebuilt)


def _fits(file: str, stack: Stack) -> bool:
    """Whether a `.node` file is for the target, by the words in its path, as node-gyp-build and prebuildify name them.

    One in `build/Release` without any such word was compiled on the publisher's machine and proves nothing.
    """
    words = set(re.split(r"[/.\-_+]", file.lower().replace("x86_64", "x64")))
    machines, systems = words & set(_MACHINES), words & set(_SYSTEMS)
    return "linux" in systems and cpu(stack) in machines and not _MUSL.search(file.lower())
