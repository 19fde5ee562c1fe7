"""Which packages would have to be compiled: a `binding.gyp` and no compiled add-on for the target."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from stager.model import Stack

from .platform import cpu

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
