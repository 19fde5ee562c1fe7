"""Which nginx an app gets: the one of the Debian suite that its stack's box names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ecosystems import deb
from ..ecosystems.deb_index import DebianMirrors, Web, merged, select
from ..errors import NoRuntime
from ..facts import stacks
from ..model import Artifact, Runtime, Stack
from .chosen import Chosen, check_needs, debs, kept, package_name, reason
from .record import Layout, RuntimeKind

if TYPE_CHECKING:
    from ..model import Plan

NAME, PLACE = "nginx", ".stager/nginx"


def choose_nginx(
    stack: Stack, web: Web, debian: DebianMirrors, previous: Plan | None = None, now: int | None = None
) -> Chosen:
    """The nginx for an app on `stack`; parameters as for `choose_python`.

    Raises NoRuntime when the box names none or the stack lacks what it needs, IntegrityError or FetchError for the
    index.
    """
    own = stacks.read(stack.name)
    packages = own.sets.get(NAME)
    if packages is None:
        able = [name for name in stacks.names() if NAME in stacks.read(name).sets]
        raise NoRuntime(NAME, "at all", stack.name, [], "", f"Stacks that have it: {', '.join(able)}.")
    check_needs(NAME, packages.version, stack, packages.glibc, packages.libraries)
    found = kept(previous, NAME, stack, [], frozenset({"deb-nginx/1"}))
    if found and {package_name(artifact) for artifact in found[1]} == set(packages.packages):
        return _chosen(found[0].version, own, packages.glibc, found[1], ())
    index = merged(web, debian, own.suite, stack.architecture, own.keyring, now)
    artifacts = debs(select(index, packages.packages), "deb-nginx/1", PLACE)
    return _chosen(index["nginx"].upstream, own, packages.glibc, artifacts, index.notes)


def _chosen(
    version: str, own: stacks.Box, glibc: tuple[int, int], artifacts: tuple[Artifact, ...], notes: tuple[str, ...]
) -> Chosen:
    why = reason(f"the nginx of Debian's {own.suite}", [])
    return Chosen(Runtime(NAME, version, "debian", glibc, why), artifacts, notes=notes)


_FILES = {"usr/sbin/nginx": "sbin/nginx", "etc/nginx/mime.types": "conf/mime.types"}
_unpack = deb.recipe("sbin/nginx", lambda name: _FILES.get(name) or deb.library(name))
"""`deb-nginx/1`: the server, its shared libraries and `mime.types` (at `conf/`)."""
RUNTIME = RuntimeKind(
    name=NAME,
    title="nginx",
    place=PLACE,
    layouts={"deb-nginx/1": Layout(_unpack, r"pkg:deb/debian/nginx")},
    choose=lambda ask: choose_nginx(ask.stack, ask.web, ask.debian, ask.previous),
    rule="the stack's own nginx",
)
