"""apt's list of sources: deb822 `.sources` files and one-line `.list` files (sources.list(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...files import limits, regular
from ..errors import BadSettings


@dataclass(frozen=True, slots=True)
class AptSource:
    """One suite of one archive, as apt's configuration names it."""

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    signed_by: str = ""

    @property
    def is_debian(self) -> bool:
        """Whether this is Debian's own archive, or a mirror of it: others use Debian's suite names, too."""
        folder = urlsplit(self.uri).path.rstrip("/").rpartition("/")[2]
        named = folder in ("debian", "debian-security") or "debian-archive" in self.signed_by
        return "main" in self.components and named


def apt_sources(folder: str) -> list[AptSource]:
    """Every enabled binary source below apt's configuration folder that is reached by http or https, in apt's order.

    Raises BadSettings for a file that cannot be read.
    """
    found: list[AptSource] = []
    for path in _files(folder):
        try:
            text = regular.read(path, limits.SETTINGS).decode("utf-8", "replace")
        except OSError as error:
            raise BadSettings(path, f"it cannot be read: {error.strerror}") from None
        found += _stanzas(text) if path.endswith(".sources") else _lines(text)
    return [source for source in found if source.uri.lower().startswith(("http://", "https://"))]


def _files(folder: str) -> list[str]:
    names = []
    if os.path.isfile(f"{folder}/sources.list"):
        names.append(f"{folder}/sources.list")
    if os.path.isdir(f"{folder}/sources.list.d"):
        parts = sorted(os.listdir(f"{folder}/sources.list.d"))
        names += [f"{folder}/sources.list.d/{name}" for name in parts if name.endswith((".list", ".sources"))]
    return names


def _stanzas(text: str) -> Iterator[AptSource]:
    """deb822: fields `Types`, `URIs`, `Suites`, `Components`, `Signed-By`, `Enabled`; lines may go on, indented."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n[ \t]*\n", plain):
        joined = re.sub(r"\n[ \t]+", " ", stanza)
        fields = {key.lower(): value.strip() for key, value in re.findall(r"^([\w-]+):(.*)$", joined, re.MULTILINE)}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(uri.rstrip("/"), suite, components, fields.get("signed-by", ""))


def _lines(text: str) -> Iterator[AptSource]:
    """`deb [option=value …] uri suite component …`, the rest of a line after `#` being a remark."""
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)", line.partition("#")[0].strip())
        if match:
            signed = re.search(r"signed-by=(\S+)", match[1] or "", re.IGNORECASE)
            yield AptSource(match[2].rstrip("/"), match[3], tuple(match[4].split()), signed[1] if signed else "")
