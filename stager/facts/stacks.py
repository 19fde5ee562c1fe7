"""Boxes: what a stack's root filesystem is, read from `boxes/<stack>/box.yml`.

A box says which glibc and libraries an app may count on, and which packages of which signed Debian archive become its
runtimes. YAML scalars are read as strings, so that `3.10` never turns into 3.1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InvalidDefinition, StagerError, UsageError
from ..files import limits, regular
from ..model import Stack
from ..text import parsing, resources
from ..text.typed import Node

ARCHITECTURES = ("amd64", "arm64")
_TOP = {
    "summary",
    "distribution",
    "release",
    "glibc",
    "architectures",
    "libraries",
    "archive",
    "root",
    "vagrant",
    "services",
}
_SET = {"version", "glibc", "roots", "exclude", "packages", "data", "built", "libraries"}


@dataclass(frozen=True, slots=True)
class PackageSet:
    """The Debian packages that make one runtime.

    `packages` is what plans pin; it equals the dependency closure of `roots` without `exclude`. `version` is the
    suite's upstream minor (`3.11`); `glibc` and `libraries` are what the unpacked files need of the stack; `data`
    are the packages that also serve a runtime built elsewhere (certificates, time zones), `built` those that serve one
    which stager builds (libraries, too).
    """

    version: str
    glibc: tuple[int, int]
    roots: tuple[str, ...]
    exclude: frozenset[str]
    packages: tuple[str, ...]
    data: tuple[str, ...] = ()
    libraries: frozenset[str] = frozenset()
    built: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StackFacts:
    """One stack's definition. `suite` and `keyring` (OpenPGP certificates) name its signed Debian archive, if any."""

    name: str
    summary: str
    distribution: str
    glibc: tuple[int, int]
    architectures: tuple[str, ...]
    libraries: frozenset[str]
    suite: str = ""
    keyring: bytes = b""
    sets: Mapping[str, PackageSet] = field(default_factory=dict)
    """Runtime → the packages of the archive that make it."""
    release: str = ""
    """The distribution's version, such as `12`."""
    sources: tuple[str, ...] = ()
    """Suites of the archive whose source packages may be built for it, the one that is asked first."""
    built: bool = False
    """Whether stager makes its root file system (`box.yml` has a `root`); else that is a platform's own."""

    def stack(self, architecture: str) -> Stack:
        """This box as a target for planning. Raises UsageError for an architecture it does not come in."""
        if architecture not in self.architectures:
            what = f"stack {self.name} does not come for {architecture}"
            raise UsageError(what, f"It comes for {', '.join(self.architectures)}.")
        suite = self.suite if self.distribution == "debian" else ""
        return Stack(self.name, architecture, self.glibc, self.distribution, suite, self.libraries)


def names() -> list[str]:
    """The names of all shipped stacks, sorted."""
    return resources.names("boxes")


def load(name: str, architecture: str = "amd64") -> Stack:
    """The stack `name` for an architecture in Debian's words. Raises UsageError when there is no such stack."""
    return read(name).stack(architecture)


def for_builds(name: str) -> str:
    """The stack in whose root builds for the stack `name` run: itself, where stager makes its root.

    Else the one of stager's making with the newest glibc that `name` has as well; where it has none of them, the one with the
    oldest. What such a build compiles may still ask for more than `name` has: its ABI is checked. Raises UsageError.
    """
    asked = read(name)
    if asked.built:
        return name
    made = sorted((one.glibc, one.name) for one in map(read, names()) if one.built)
    fitting = [row for row in made if row[0] <= asked.glibc]
    return (fitting[-1] if fitting else made[0])[1]


def packages(name: str, architecture: str) -> dict[str, str]:
    """The Debian packages of a stack's root with their versions, as its lock pins them; none where others make its root."""
    path = os.path.join(resources.folder("boxes"), name, "box.lock")
    if not os.path.isfile(path):
        return {}
    document = parsing.toml(regular.read(path, limits.LOCK).decode())
    sets = [one for one in document["set"] if (one["name"], one["architecture"]) == ("root", architecture)]
    return {row["name"]: row["version"] for one in sets for row in one["packages"]}


def read(name: str) -> StackFacts:
    """The box `name`. Raises UsageError when there is none, InvalidDefinition when its `box.yml` is wrong."""
    known = names()
    if name not in known:
        what = f"there is no stack {name!r}"
        raise UsageError(what, f"Stacks: {', '.join(known)}.")
    folder = resources.folder("boxes")
    with open(os.path.join(folder, name, "box.yml"), encoding="utf-8") as file:
        return parse(name, file.read(), os.path.join(folder, "keyrings"))


def parse(name: str, text: str, keyrings: str, file: str = "") -> StackFacts:
    """The box that the YAML `text` defines; `keyrings` is the folder of its key files. Raises InvalidDefinition.

    `file` is what errors call the text. The sections `root`, `vagrant` and `services` are read by `stacks.reading`.
    """
    from ..text import yamltext  # here, since most commands read no definition

    top = yamltext.parse(text, file or f"boxes/{name}/box.yml", invalid).root
    archive = top.get("archive")
    return StackFacts(
        name,
        top.str("summary"),
        top.str("distribution"),
        _glibc(top),
        _architectures(top),
        frozenset(top.strings("libraries")),
        archive.str("suite") if archive else "",
        _keyring(archive, keyrings) if archive else b"",
        {name: _package_set(top, name) for name in top.value if name not in _TOP},
        top.str("release", ""),
        tuple(archive.strings("sources")) if archive else (),
        top.get("root") is not None,
    )


def invalid(file: str, why: str, line: int | None) -> StagerError:
    """The error for a `box.yml`, as `yamltext` wants it made."""
    return InvalidDefinition(f"{file}:{line}" if line else file, "", why)


def _only(node: Node, allowed: set[str]) -> None:
    for key in node.value if isinstance(node.value, dict) else ():
        if key not in allowed:
            node.fail(f"does not know {key!r}; it knows {', '.join(sorted(allowed))}")


def _glibc(node: Node) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", node.str("glibc"))
    if not found:
        node.at("glibc").fail("expected a version such as 2.36")
    return int(found[1]), int(found[2])


def _architectures(top: Node) -> tuple[str, ...]:
    found = tuple(top.strings("architectures"))
    if not found or set(found) - set(ARCHITECTURES):
        top.at("architectures").fail(f"expected some of {', '.join(ARCHITECTURES)}")
    return found


def _keyring(archive: Node, folder: str) -> bytes:
    certificates = []
    for item in archive.strings("keyring"):
        path = os.path.join(folder, item)
        if os.path.basename(item) != item or not os.path.isfile(path):
            archive.at("keyring").fail(f"there is no boxes/keyrings/{item}")
        try:
            certificates.append(regular.read(path, limits.SETTINGS))
        except OSError as error:
            archive.at("keyring").fail(f"boxes/keyrings/{item} cannot be read: {error.strerror}")
    if not certificates:
        archive.fail("has no keyring; an archive without a signature is never read")
    return b"".join(certificates)


def _package_set(top: Node, key: str) -> PackageSet:
    node = top.at(key)
    if not isinstance(node.value, dict) or "packages" not in node.value:
        node.fail(f"is neither the packages of a runtime nor one of {', '.join(sorted(_TOP))}")
    _only(node, _SET)
    packages = tuple(sorted(node.strings("packages")))
    if not packages or top.get("archive") is None:
        node.fail("needs packages, and an archive they come from")
    return PackageSet(
        node.str("version"),
        _glibc(node),
        tuple(node.strings("roots")),
        frozenset(node.strings("exclude")),
        packages,
        tuple(sorted(node.strings("data"))),
        frozenset(node.strings("libraries")),
        tuple(sorted(node.strings("built"))),
    )
