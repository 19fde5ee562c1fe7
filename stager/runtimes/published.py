"""What the npm registry has of a package: the runtimes that come from there, and requests in npm's words.

The registry carries Node's and bun's official Linux binaries, one package per architecture.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packageurl import PackageURL

from ..digest import Digest
from ..ecosystems import npmrange
from ..errors import StagerError
from ..formats.errors import BadArchive
from ..model import Artifact
from ..net.errors import Unreachable
from ..text import parsing
from ..text.typed import Node
from .archives import inside
from .errors import VersionError
from .version_requests import VersionRequest, place, short

if TYPE_CHECKING:
    from ..ecosystems.record import IndexPages
    from ..formats.archive import Archive
    from ..model import Reason

ABBREVIATED = "application/vnd.npm.install-v1+json"
"""The media type of a registry's short package document."""
_HINT = "Write a version such as 22 or 22.14.0, a range such as >=22 <25, or lts/*."


@dataclass(frozen=True, slots=True)
class Published:
    """One version of a package: its digest, and the Node versions it runs on (empty: any)."""

    digest: Digest
    engines: str


def npm_request(runtime: str, text: str, reason: Reason, codenames: Mapping[str, str]) -> VersionRequest:
    """A request for Node, npm or bun. Raises VersionError when it is malformed or names an unknown line."""
    wanted = short(runtime, text, reason, _HINT)
    word = wanted.lower()
    if word in ("node", "latest", "current", "latest/node", "stable"):
        return VersionRequest(text.strip(), reason, lambda _: True, "newest")
    if word in ("lts", "lts/*"):
        return VersionRequest(text.strip(), reason, lambda _: True, "lts")
    if word.startswith("lts/"):
        wanted = codenames.get(word[4:], "")
        if not wanted:
            names = ", ".join(f"lts/{name}" for name in codenames)
            raise VersionError(runtime, text.strip(), "no such line", f"Known here: lts/*, {names}.", place(reason))
    return VersionRequest(text.strip(), reason, _npm_range(runtime, wanted, text, reason))


def _npm_range(runtime: str, wanted: str, text: str, reason: Reason) -> Callable[[str], bool]:
    try:
        fits = npmrange.parse(wanted)
    except ValueError:
        raise VersionError(runtime, text.strip(), "not a version or range", _HINT, place(reason)) from None
    return lambda version: fits(npmrange.version(version))


def line_of(version: str) -> str:
    return version.partition(".")[0]


def newest_of(versions: Iterable[str]) -> str:
    """The highest of plain `x.y.z` versions; empty when there is none."""
    return max(versions, key=lambda version: tuple(map(int, version.split("."))), default="")


def packument(web: IndexPages, registry: str, name: str) -> dict[str, Published]:
    """The released versions that the registry has of a package, with a SHA-512 each. Raises FetchError."""
    body = web.get(f"{registry.rstrip('/')}/{quote(name, safe='@')}", accept=ABBREVIATED)
    try:
        document = Node(parsing.json(body), f"the registry's page of {name}", fail_with=_unreadable)
    except (ValueError, RecursionError):
        raise Unreachable(f"the registry's page of {name}", "it is not JSON") from None
    found = {}
    for version, node in document.table("versions").items():
        digest = _digest(node.at("dist").str("integrity", ""))
        if digest and re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", version):
            engines = node.get("engines")
            found[version] = Published(digest, _engines(engines))
    return found


def _engines(engines: Node | None) -> str:
    """`engines.node`; ancient packages have a list there, which says nothing."""
    value = engines.value.get("node") if engines and isinstance(engines.value, dict) else ""
    return value if isinstance(value, str) else ""


def _digest(integrity: str) -> Digest | None:
    """The SHA-512 among a Subresource Integrity value's hashes (W3C SRI); None when there is none."""
    for item in integrity.split():
        algorithm, _, text = item.partition("?")[0].partition("-")
        if algorithm == "sha512":
            try:
                return Digest("sha512:" + base64.b64decode(text, validate=True).hex())
            except (binascii.Error, ValueError):
                return None
    return None


def _unreadable(file: str, why: str) -> StagerError:
    return Unreachable(file, why)


def pinned(package: str, version: str, digest: Digest, layout: str, path: str) -> Artifact:
    namespace, _, name = package.rpartition("/")
    purl = PackageURL("npm", namespace or None, name, version).to_string()
    return Artifact(purl, f"{name}-{version}.tgz", digest, layout, (path,))


def check_package(archive: Archive, artifact: Artifact) -> None:
    """A package's own `package.json` must name what the plan asks for. Raises Mislabelled, BadArchive."""
    from ..ecosystems.npm.tarball import check_identity, manifest_of

    found = inside(archive).get("package.json")
    if found is None:
        raise BadArchive(artifact.name, "has no package.json")
    check_identity(manifest_of(found.content, "package.json", artifact.name), artifact)


def semver(version: str) -> Any:
    """A version as a value that orders by Semantic Versioning 2.0.0, clause 11. Raises ValueError."""
    from semantic_version import Version

    return Version(version.partition("+")[0])  # clause 10: build metadata has no part in the order
