"""CPython from its sources: which there are, how they are built, where no build of it can be fetched.

What is built is upstream's own archive, as Debian's source packages hold it, without Debian's patches. So it is called what
it is, `pkg:generic/cpython`: Debian's version would promise fixes that are not in it. The newest that an archive has is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from packageurl import PackageURL

from ..ecosystems.deb import sources
from ..ecosystems.record import BuildRecipe
from ..errors import FetchError, NeedsBuild
from ..model import ARTIFACT, NOTHING, Artifact, Build, Reason
from ..net.indexes import default_debian, joined
from .standalone import PLACE

if TYPE_CHECKING:
    from ..ecosystems.deb.sources import SourcePackage
    from ..facts.stacks import StackFacts
    from ..formats.archive import HeldArchive
    from ..formats.tar import Unpacked
    from ..net.indexes import Indexes
    from .record import RuntimeRequest

NAME, COMMAND = "cpython", "stager:cpython/1"
"""What its build and its root are called, and its recipe."""
SOURCE, BUILT = "cpython-source/1", "cpython/1"
"""The layouts of the sources and of what is built of them."""
WANTS = (
    "gcc",
    "libbz2-dev",
    "libc6-dev",
    "libffi-dev",
    "liblzma-dev",
    "libncurses-dev",
    "libreadline-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "libzstd-dev",
    "make",
    "pkg-config",
    "uuid-dev",
    "xz-utils",
    "zlib1g-dev",
)
"""What its root has beyond the stack's packages; a box's `built` has the libraries that come out of these."""
_SCRIPT = f"""\
set -eu
archive=$1 out=$2 work=$PWD
mkdir source made
tar --extract --xz --file "$archive" --directory source --strip-components 1 --no-same-owner
cd source
./configure --prefix=/app/{PLACE} --libdir=/app/{PLACE}/lib --without-ensurepip --without-static-libpython \\
    --disable-test-modules --with-dbmliborder= --enable-loadable-sqlite-extensions OPT='-O3 -Wall'
make --jobs "$(nproc)"
# Without bytecode, which stager makes itself: compileall is asked for its help alone, and what it imports for that goes.
make altbininstall libinstall inclinstall sharedinstall DESTDIR="$work/made" COMPILEALL_OPTS=--help > /dev/null
cd "$work/made/app/{PLACE}"
cp "$work/source/LICENSE" .
find . -name __pycache__ -prune -exec rm -r {{}} +
find . -type f \\( -name '*.so' -o -path './bin/python3.*[0-9]' \\) -exec strip --strip-unneeded {{}} +
name=$(basename "$archive" .orig.tar.xz)
tar --create --sort=name --mtime=@315532801 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \\
    --transform='s,^\\.,python,' --file - . | gzip --no-name > "$out/cpython-${{name#*_}}.tar.gz"
"""
"""Without profile-guided optimisation: what the compiler then makes depends on what ran how often while it was built.

No debugging information is asked for, so no path is in what is compiled. The prefix is where the interpreter lies in a
droplet's usual home; it finds its library from where it is started (getpath), wherever that is.
"""


def _programs() -> Mapping[str, bytes]:
    return {"cpython.sh": _SCRIPT.encode()}


RECIPES = {
    COMMAND: BuildRecipe(
        takes=SOURCE, gives=BUILT, programs=_programs, line="/bin/sh {programs}/cpython.sh {artifact} {out}"
    )
}


def found(ask: RuntimeRequest, own: StackFacts, lines: Iterable[str]) -> Iterator[tuple[str, Artifact]]:
    """(version, archive of its sources) of the lines, in their order and the newest first, suite after suite of the box.

    A suite that cannot be read has none. A mirror need not have all that its index lists, so each is asked for. Raises
    IntegrityError for an index that is not what it should be.
    """
    wanted = {f"python{line}": number for number, line in enumerate(lines)}
    names = re.compile("|".join(map(re.escape, wanted)) or "(?!)")
    for suite in own.sources:
        mirror = ask.indexes.debian(suite)[0]
        try:
            packages = sources.sources(ask.web, mirror, suite, names, own.keyring)
            for one in sorted(packages, key=lambda one: (wanted[one.name], *(-part for part in _numbers(one)))):
                if sources.carried(ask.web, mirror, one):
                    yield one.upstream, _artifact(one)
        except FetchError:
            continue


def _numbers(one: SourcePackage) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", one.upstream)]


def _artifact(one: SourcePackage) -> Artifact:
    purl = PackageURL("generic", None, "cpython", one.upstream, {"variant": "source"}).to_string()
    return Artifact(purl, one.original.path, one.original.digest, SOURCE, (PLACE,), one.original.size)


def build_of(artifact: Artifact, why: Reason) -> Build:
    """How it is built: with nothing of any app around it, so that all apps of a machine share it."""
    return Build(name=NAME, kind=ARTIFACT, root=NAME, command=COMMAND, reason=why, of=artifact.purl, on=NOTHING)


def urls(artifact: Artifact, indexes: Indexes) -> Iterator[str]:
    """Where the sources may be fetched from: the mirrors that `found` asks, of whatever suite they are; then the default one.

    What apt is configured with may be a partial mirror.
    """
    for suite in ("", *(source.suite for source in indexes.apt if source.is_debian)):
        yield joined(indexes.debian(suite)[0], artifact.filename)
    if not indexes.debian_mirror:
        yield joined(default_debian(), artifact.filename)


def unbuilt(_: str | HeldArchive, artifact: Artifact, __: str) -> Unpacked:
    """Sources are never laid: what is built of them takes their place. Raises NeedsBuild."""
    why = "CPython's sources, which no build of the lock turns into an interpreter"
    raise NeedsBuild([(artifact.name, why)], "Run 'stager lock'.")
