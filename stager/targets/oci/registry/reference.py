"""Names of images: `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`, by the grammar that Docker's reference package documents.

A name whose first part is no host (no dot, no colon, not `localhost`, no capital letter) belongs to the registry that
Docker takes by default; which one that is, the docker SDK says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ....errors import UsageError
from ..errors import BadReference

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]{{2,45}}\])(?::[0-9]{{1,5}})?")
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_LONGEST = 255
"""Signs of a repository's name at most, as the reference package has it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name: `host` as people write it, `server` the host (and port) that is asked.

    One of `tag` and `digest` is always set. `login` is what Docker's configuration calls the registry.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""
    server: str = ""
    login: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest when there is one."""
        return self.digest or self.tag

    def at(self, digest: str) -> str:
        """This image by its digest, for people and other programs."""
        return f"{self.host}/{self.repository}@{digest}"


def parse(text: str) -> Reference:
    """Read a name. Without a tag and a digest the tag is `latest`, as Docker has it.

    Raises BadReference, and UsageError when the default registry is not known because the docker SDK is missing.
    """
    return _resolved(*read(text))


def read(text: str) -> tuple[str, str, str, str]:
    """Host, repository, tag and digest of a name, the host empty where Docker takes its default. Raises BadReference."""
    if "://" in text:
        raise BadReference(_shown(text), "it has a scheme")
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise BadReference(_shown(text), "what follows @ is no sha256 or sha512 digest in lower case")
    name, tag = _tag(text, name)
    host, repository = _split(name)
    if host and not _HOST.fullmatch(host):
        raise BadReference(_shown(text), "its host is malformed")
    if not _REPOSITORY.fullmatch(repository):
        raise BadReference(_shown(text), "a name is made of lower-case letters, digits and single separators . _ - /")
    if len(repository) > _LONGEST:
        raise BadReference(_shown(text), f"its name has more than {_LONGEST} signs")
    if not host and re.fullmatch(r"[0-9a-f]{64}", repository):
        raise BadReference(_shown(text), "64 hexadecimal digits are an image's number, not its name")
    return host, repository, tag or ("" if digest else "latest"), digest


def host_of(text: str) -> str:
    """The registry that a name says it is of; empty where Docker would take its default."""
    return _split(text.partition("@")[0])[0]


def _tag(text: str, name: str) -> tuple[str, str]:
    """Cut a tag off: what follows the last colon, unless that colon is a port's."""
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag or (not head and "/" not in name):
        return name, ""
    if not _TAG.fullmatch(tag):
        raise BadReference(_shown(text), "its tag is malformed")
    return head, tag


def _split(name: str) -> tuple[str, str]:
    """Host and repository; the host is empty where Docker would take its default."""
    first, slash, rest = name.partition("/")
    if slash and (any(sign in first for sign in ".:") or first == "localhost" or first.lower() != first):
        return first, rest
    return "", name


def _resolved(host: str, repository: str, tag: str, digest: str) -> Reference:
    """Docker's hub is asked at another host than it is named by, and its one-part names have a folder of their own."""
    if host and host.partition(".")[0] not in ("docker", "index"):
        return Reference(host, repository, tag, digest, host, host)
    hub, login = _default(needed=not host)
    if host and host not in (hub, f"index.{hub}"):
        return Reference(host, repository, tag, digest, host, host)
    repository = repository if "/" in repository else f"library/{repository}"
    return Reference(hub, repository, tag, digest, f"registry-1.{hub}", login)


def _default(*, needed: bool) -> tuple[str, str]:
    """The default registry's name, and the key of its credentials, as the docker SDK knows them."""
    try:
        from docker.auth import INDEX_NAME, INDEX_URL
    except ImportError:
        if needed:
            hint = "Write the registry's host, or install the Python package docker beside stager (pip install docker)."
            raise UsageError("an image's name without a registry needs the docker SDK", hint) from None
        return "", ""
    return INDEX_NAME, INDEX_URL


def _shown(text: str) -> str:
    """The text for an error, without what could be a password."""
    return re.sub(r"[^/@\s]*:[^/@]*@(?!sha(?:256|512):)", "…@", text)[:200]
