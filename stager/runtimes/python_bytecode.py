"""CPython's bytecode, made ahead of its start: which files have some, where it lies, and the program that compiles them.

A `.pyc` that is stamped with its source's time would hold a time; these hold the hash of the source and say that nobody need
check it (PEP 552), so the source is not even read. The path that is compiled in is that below `/app`; where an app lies
elsewhere, import puts the right one in its place, and only tracebacks would show it.

What marshal writes depends on which constants other code of the process shares, so each file is compiled by a fork of one
process that has compiled nothing before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..formats.archive import read_tar
from ..formats.tar import PieceFile, Unpacked
from .record import Bytecode

if TYPE_CHECKING:
    from ..formats.archive import HeldArchive
    from ..model import Artifact

LAYOUT = "bytecode/1"
PROGRAM = """\
import marshal, os, sys
from importlib.util import MAGIC_NUMBER, source_hash

ROOT, TAG = "/app/", "." + sys.implementation.cache_tag + ".pyc"
UNCHECKED = (1).to_bytes(4, "little")


def compiled(source, path, target):
    with open(source, "rb") as file:
        data = file.read()
    name = ROOT + path  # held, as py_compile does: what nobody else holds is written in another way
    try:
        code = compile(data, name, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return  # a template, or for another Python: it is not imported either
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "xb") as file:
        file.write(MAGIC_NUMBER + UNCHECKED + source_hash(data) + marshal.dumps(code))


def files(folder, below=""):
    for name in sorted(os.listdir(folder)):
        path = below + name
        if os.path.isdir(folder + "/" + name):
            yield from files(folder + "/" + name, path + "/")
        else:
            yield path


def reap():
    if os.wait()[1]:
        sys.exit("a file could not be read or written")


left, right = sys.argv[1:]
os.mkdir(right)
most, running = len(os.sched_getaffinity(0)), 0
for name in sorted(os.listdir(left)):
    os.mkdir(right + "/" + name)
    for path in files(left + "/" + name):
        folder, _, module = path.rpartition("/")
        if running == most:
            reap()
            running -= 1
        if os.fork() == 0:
            try:
                compiled(
                    left + "/" + name + "/" + path,
                    path,
                    right + "/" + name + "/" + folder + "/__pycache__/" + module[:-3] + TAG,
                )
                os._exit(0)
            except BaseException as error:
                os.write(2, ascii((path, error)).encode())
                os._exit(1)
        running += 1
while running:
    reap()
    running -= 1
"""
_SOURCE = re.compile(r"\.stager/(?:python/lib|pypi/site-packages)/.+\.py")
_CACHED = re.compile(r"(.*/)__pycache__/([^/]+)\.cpython-[0-9]+\.pyc")


def _is_source(path: str) -> bool:
    return _SOURCE.fullmatch(path) is not None


def _source(path: str) -> str:
    found = _CACHED.fullmatch(path)
    source = f"{found[1]}{found[2]}.py" if found else ""
    return source if _is_source(source) else ""


def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    """`bytecode/1`: an archive's files as they are. Raises BadArchive for one that holds something else."""
    from ..formats.errors import BadArchive

    archive = read_tar(blob, artifact.name, "")
    files = [PieceFile(name, one.content) for one in archive.members if (name := one.name.removeprefix("app/"))]
    if wrong := next((one.path for one in files if not _source(one.path) or not one.path.startswith(f"{path}/")), ""):
        archive.close()
        raise BadArchive(artifact.name, f"holds {wrong}, which is no bytecode of it")
    return Unpacked(files, closers=(archive,))


BYTECODE = Bytecode(
    ecosystem="pypi",
    fact="python.bytecode",
    program=PROGRAM,
    command=(".stager/python/bin/python3", "-B", "-s", "-S", "-W", "ignore"),
    layout=LAYOUT,
    unpack=unpack,
    is_source=_is_source,
    source=_source,
)
"""No site, so no package's hooks; warnings are its author's. `-I` would leave out the hash seed that the sandbox sets."""
