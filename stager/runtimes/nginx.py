"""Which nginx an app gets: the one of the Debian suite that its stack's box names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import box
from ..ecosystems.deb_index import DebianMirrors, Web, merged, select
from ..errors import NoRuntime
from ..model import Artifact, Runtime, Stack
from .chosen import Chosen, check_needs, debs, kept, package_name, reason

if TYPE_CHECKING:
    from ..model import Plan

PLACE = ".stager/nginx"


def choose_nginx(
    stack: Stack, web: Web, debian: DebianMirrors, previous: Plan | None = None, now: int | None = None
) -> Chosen:
    """The nginx for an app on `stack`; parameters as for `choose_python`.

    Raises NoRuntime when the box names none or the stack lacks what it needs, IntegrityError or FetchError for the
    index.
    """
    own = box.read(stack.name)
    if own.nginx is None:
        able = [name for name in box.names() if box.read(name).nginx]
        raise NoRuntime("nginx", "at all", stack.name, [], "", f"Stacks that have it: {', '.join(able)}.")
    check_needs("nginx", own.nginx.version, stack, own.nginx.glibc, own.nginx.libraries)
    found = kept(previous, "nginx", stack, [], frozenset({"deb-nginx/1"}))
    if found and {package_name(artifact) for artifact in found[1]} == set(own.nginx.packages):
        return _chosen(found[0].version, own, own.nginx.glibc, found[1], ())
    index = merged(web, debian, own.suite, stack.architecture, own.keyring, now)
    artifacts = debs(select(index, own.nginx.packages), "deb-nginx/1", PLACE)
    return _chosen(index["nginx"].upstream, own, own.nginx.glibc, artifacts, index.notes)


def _chosen(
    version: str, own: box.Box, glibc: tuple[int, int], artifacts: tuple[Artifact, ...], notes: tuple[str, ...]
) -> Chosen:
    why = reason(f"the nginx of Debian's {own.suite}", [])
    return Chosen(Runtime("nginx", version, "debian", glibc, why), artifacts, notes=notes)
