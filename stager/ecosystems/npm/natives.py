"""Which packages would have to be compiled: a `binding.gyp` and no compiled add-on for the target."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from stager.model import Stack

from .platform import Needs, cpu

_MUSL = re.compile(r"(?:^|[.\-_/])musl(?:$|[.\-_/])")
_SYSTEMS = ("android", "darwin", "freebsd", "linux", "openbsd", "sunos", "win32", "aix", "ios")
_MACHINES = ("x64", "arm64", "ia32", "arm", "ppc64", "s390x", "riscv64", "loong64", "mips64el", "universal", "x86_64")


def needs_build(
    placed: Sequence[tuple[str, Mapping[str, object]]], stack: Stack, direct: Collection[str] = ()
) -> list[tuple[str, str]]:
    """(`name@version`, why) of the packages that cannot work on `stack` without being compiled.

    A package that others only want optionally is not among them: npm, too, goes on without it when it fails. One whose
    add-on lies in a package of its own for each platform (`@parcel/watcher-linux-x64-glibc`) is fine when that is placed.
    `direct` are the names the app itself needs.
    """
    metas = {str(meta.get("name")): meta for _, meta in placed}
    needed = {name for _, meta in placed for name in _words(meta, "needs")} | set(direct)
    wanted = {name for _, meta in placed for name in _words(meta, "wants")}
    found = {}
    for _, meta in sorted(placed, key=lambda item: item[0].encode()):
        name, why = str(meta.get("name")), str(meta.get("native") or "")
        dispensable = name in wanted and name not in needed
        if why and not dispensable and not any(_fits(file, stack) for file in _addons(meta, metas)):
            found[f"{name}@{meta.get('version')}"] = f"{why}, and holds none for linux {cpu(stack)}"
    return list(found.items())


def misfits(
    placed: Sequence[tuple[str, Mapping[str, object]]], stack: Stack, direct: Collection[str] = ()
) -> list[tuple[str, str]]:
    """(`name@version`, what it runs on) of packages that the app cannot do without and that are not for the stack.

    Most locks say it, and are refused before; Yarn 1's and npm's first do not. What is only wanted may be there in vain.
    """
    needs = {str(meta.get("name")): _words(meta, "needs") for _, meta in placed}
    firm, queue = set(direct), list(direct)
    for name in queue:
        for other in needs.get(name, ()):
            if other not in firm:
                firm.add(other)
                queue.append(other)
    found = {}
    for _, meta in sorted(placed, key=lambda item: item[0].encode()):
        runs_on = Needs(*(list(_words(meta, key)) for key in ("os", "cpu", "libc")))
        if meta.get("name") in firm and not runs_on.fit(stack):
            found[f"{meta.get('name')}@{meta.get('version')}"] = str(runs_on)
    return list(found.items())


def absent(placed: Sequence[tuple[str, Mapping[str, object]]], stack: Stack) -> list[tuple[str, str]]:
    """(package, what it wants) where a package's add-on for the stack is not there, by its name, and its others are known.

    npm writes such a lock when `node_modules` was there already, of another system.
    """
    there = {str(meta.get("name")) for _, meta in placed}
    return sorted(
        {
            (f"{meta.get('name')}@{meta.get('version')}", wanted)
            for _, meta in placed
            for wanted in _words(meta, "wants")
            if wanted not in there and _fits(wanted, stack)
        }
    )


def _addons(meta: Mapping[str, object], metas: Mapping[str, Mapping[str, object]]) -> Iterable[str]:
    """The package's compiled add-ons, and those of the placed packages it wants, with their package's name before them."""
    yield from _words(meta, "prebuilt")
    for name in _words(meta, "wants"):
        yield from (f"{name}/{file}" for file in _words(metas.get(name, {}), "prebuilt"))


def _words(meta: Mapping[str, object], key: str) -> Iterable[str]:
    value = meta.get(key)
    return [str(word) for word in value] if isinstance(value, list) else []


def _fits(file: str, stack: Stack) -> bool:
    """Whether a `.node` file is for the target, by the words in its path, as node-gyp-build and prebuildify name them.

    One in `build/Release` without any such word was compiled on the publisher's machine and proves nothing.
    """
    words = set(re.split(r"[/.\-_+]", file.lower().replace("x86_64", "x64")))
    machines, systems = words & set(_MACHINES), words & set(_SYSTEMS)
    return "linux" in systems and cpu(stack) in machines and not _MUSL.search(file.lower())
