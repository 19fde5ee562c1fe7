"""What was compiled is held against the stack that it is for: a root for builds may have more, and newer, than the stack.

What an ELF file asks for is read from it (`formats.elf`); nothing is run. Files for other machines and for musl are left
out: a package may carry add-ons for many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NeedsBuild
from ..facts import stacks
from ..formats import elf
from ..formats.archive import content_bytes, content_chunks
from ..formats.errors import BadArchive
from ..planning.layouts import unpacked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ..formats.elf import Elf
    from ..formats.tar import PieceFile
    from ..model import Artifact, Plan, Stack
    from ..store import Store

_MUSL = ("libc.musl", "ld-musl")


def check(
    plan: Plan, made: Artifact, blob: str, store: Store, given: Iterable[str] = (), packages: Collection[str] = ()
) -> None:
    """Raise NeedsBuild when a built artifact has files that the plan's stack cannot load.

    `given` are names of libraries that the droplet brings beside the stack's, `packages` those of the build's root, of which
    one may be what is missing.
    """
    stack = stacks.load(plan.stack, plan.architecture)
    with unpacked(made, made.paths[0], blob, store) as found:
        files = dict(elf_files(found.files, made.name))
    wrong = dict(missing(files, stack, given))
    if wrong:
        path, wants = next(iter(wrong.items()))
        hint = (
            "What is compiled must find on the stack what it is linked with: stage for another stack, name the Debian package "
            "that has the library under 'packages' in stager.yml, or choose a version that ships a binary."
        )
        if named := sorted({name for one in wants for name in _package(one, packages)}):
            hint = f"Write 'packages: [{', '.join(named)}]' into stager.yml, which brings it into the droplet."
        raise NeedsBuild([(made.name, f"{path} needs {', '.join(wants)}, which stack {stack.name} lacks")], hint)


def _package(soname: str, packages: Collection[str]) -> Iterator[str]:
    """The package that has a library, by Debian's policy on their names (§8.1): `libpq5` for `libpq.so.5`."""
    stem, _, version = soname.partition(".so.")
    for name in (f"{stem}{version}", f"{stem}-{version}", f"{stem}{version}t64"):
        if name.lower().replace("_", "-") in packages:
            yield name.lower().replace("_", "-")


def elf_files(files: Iterable[PieceFile], label: str) -> Iterator[tuple[str, Elf]]:
    """The ELF files among an artifact's, by path; one that is damaged is left out, as nothing can load it."""
    for file in files:
        # the first piece of a deflate stream may be empty
        if elf.is_elf(next((part for part in content_chunks(file.content, 512, label) if part), b"")):
            try:
                found = elf.read(content_bytes(file.content, label), file.path)
            except BadArchive:
                continue
            if found is not None:
                yield file.path, found


def missing(files: dict[str, Elf], stack: Stack, given: Iterable[str] = ()) -> Iterator[tuple[str, list[str]]]:
    """(path, what it asks for and neither the stack has nor the files bring) of each file for the stack's machine."""
    own = {path.rpartition("/")[2] for path in files} | {one.soname for one in files.values()}
    there = elf.GLIBC | stack.libraries | own | set(given)
    for path, one in sorted(files.items()):
        if one.machine == stack.machine and not any(name.startswith(_MUSL) for name in one.needed):
            wants = [name for name in one.needed if name.rpartition("/")[2] not in there]
            if one.glibc > stack.glibc:
                wants.append(f"glibc {one.glibc[0]}.{one.glibc[1]}")
            if wants:
                yield path, wants
