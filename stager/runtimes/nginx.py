"""Which nginx an app gets: the one of the Debian suite that its stack's box names."""

from __future__ import annotations

from ..ecosystems.deb import files as deb
from ..ecosystems.deb.index import debs, select
from ..facts import stacks
from ..model import Artifact, Runtime
from .chosen import ChosenRuntime, check_needs, kept, package_name, reason
from .errors import NoRuntime
from .record import Layout, RuntimeKind, RuntimeRequest

NAME, PLACE = "nginx", ".stager/nginx"


def choose(ask: RuntimeRequest) -> ChosenRuntime:
    """The nginx of the suite that the stack's box names.

    Raises NoRuntime when the box names none or the stack lacks what it needs, IntegrityError or FetchError for the
    index.
    """
    stack, own = ask.stack, stacks.read(ask.stack.name)
    packages = own.sets.get(NAME)
    if packages is None:
        able = [name for name in stacks.names() if NAME in stacks.read(name).sets]
        raise NoRuntime(NAME, "at all", stack.name, [], "", f"Stacks that have it: {', '.join(able)}.")
    check_needs(NAME, packages.version, stack, packages.glibc, packages.libraries)
    found = kept(ask, NAME, [], "deb-nginx/1")
    if found and {package_name(artifact) for artifact in found[1]} == set(packages.packages):
        return _chosen(found[0].version, own, packages.glibc, found[1], ())
    index = ask.debian(own.suite, own.keyring)
    artifacts = debs(select(index, packages.packages), "deb-nginx/1", PLACE)
    return _chosen(index["nginx"].upstream, own, packages.glibc, artifacts, index.notes)


def _chosen(
    version: str,
    own: stacks.StackFacts,
    glibc: tuple[int, int],
    artifacts: tuple[Artifact, ...],
    notes: tuple[str, ...],
) -> ChosenRuntime:
    why = reason(f"the nginx of Debian's {own.suite}", [])
    return ChosenRuntime(Runtime(NAME, version, "debian", glibc, why), artifacts, notes=notes)


_FILES = {"usr/sbin/nginx": "sbin/nginx", "etc/nginx/mime.types": "conf/mime.types"}
_unpack = deb.recipe("sbin/nginx", lambda name: _FILES.get(name) or deb.library(name))
"""`deb-nginx/1`: the server, its shared libraries and `mime.types` (at `conf/`)."""
RUNTIME = RuntimeKind(
    name=NAME,
    title="nginx",
    place=PLACE,
    layouts={"deb-nginx/1": Layout(_unpack, r"pkg:deb/debian/nginx")},
    choose=choose,
    rule="the stack's own nginx",
)
