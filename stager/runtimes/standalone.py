"""CPython by python-build-standalone: which builds there are, and where they are fetched from.

Its builds are made to be relocated and ask for nothing beyond an old glibc; `pbs_installer` carries their table.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from packageurl import PackageURL

from ..digest import Digest
from ..model import Artifact, Stack
from ..net.errors import Unreachable

PLACE = ".stager/python"
_BUILD = re.compile(r"cpython-(\d+\.\d+\.\d+)\+(\d{8})-[a-z0-9_-]+-(install_only(?:_stripped)?)\.tar\.gz")


def builds(line: str, stack: Stack) -> list[tuple[str, Artifact]]:
    """Every known build of a release line for the stack's architecture, newest patch first."""
    newest = _link(line, stack)
    if newest is None:
        return []
    last = int(newest[0].rpartition(".")[2])
    links = (_link(f"{line}.{patch}", stack) for patch in range(last, -1, -1))
    return [(version, item) for link in links if link for version, item in [_artifact(*link, stack)] if item]


def _link(request: str, stack: Stack) -> tuple[str, str, str] | None:
    """(version, URL, sha256) in the table for a line or version; None when there is no such build."""
    from pbs_installer import get_download_link

    try:
        # An empty base keeps the table's own URLs, whatever the environment says.
        found, (url, digest) = get_download_link(
            request, arch=stack.machine, platform="linux", implementation="cpython", base_url=""
        )
    except ValueError:
        return None
    return f"{found.major}.{found.minor}.{found.micro}", url, digest or ""


def _artifact(version: str, url: str, digest: str, stack: Stack) -> tuple[str, Artifact | None]:
    name = unquote(url.rpartition("/")[2])
    build = _BUILD.fullmatch(name)
    if not build or build[1] != version or not digest:
        return version, None
    purl = PackageURL(
        "generic", None, "cpython", f"{version}+{build[2]}", {"arch": stack.architecture, "variant": build[3]}
    )
    return version, Artifact(purl.to_string(), name, Digest(f"sha256:{digest}"), "pbs/1", (PLACE,))


def pbs_url(artifact: Artifact, mirror: str | None = None) -> str:
    """Where a `pbs/1` artifact is fetched from; the plan does not say, so that it depends on no mirror.

    `mirror` replaces the part in front of the build's date, as uv's UV_PYTHON_INSTALL_MIRROR does. Raises Unreachable
    when the file name is not one of python-build-standalone's.
    """
    from pbs_installer import get_download_link

    build = _BUILD.fullmatch(artifact.filename)
    if not build:
        raise Unreachable(artifact.name, f"{artifact.filename!r} is not a build of python-build-standalone")
    if not mirror:
        _, (known, _) = get_download_link("3", "x86_64", "linux", "cpython", base_url="")
        mirror = known.rsplit("/", 2)[0]
    return f"{mirror.rstrip('/')}/{build[2]}/{quote(artifact.filename)}"
