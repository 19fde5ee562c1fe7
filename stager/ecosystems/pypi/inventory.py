"""What installed wheels say of themselves: licences, and who needs whom as Python resolves it when the app runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.message import Message
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from stager.ecosystems.installed import Said
from stager.ecosystems.licence import LONGEST, Licence, expression, named

from .records import normal, wheels

if TYPE_CHECKING:
    from stager.ecosystems.installed import Installed
    from stager.model import Artifact, Plan

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_PROSE = "License :: "
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}
"""Trove classifiers that mean exactly one SPDX licence; `BSD License` and its like mean several."""


def inventory(installed: Installed) -> Said:
    """Licences and needs of the wheels."""
    own = [(index, one) for index, one in installed.artifacts.items() if index in installed.packages]
    said = {
        index: BytesHeaderParser().parsebytes(installed.texts.get(f"{folder}/METADATA", b""))
        for index, _, folder in wheels(own, installed.texts)
    }
    index_of = {_project(one): index for index, one in own}
    needs = required(
        {_project(installed.artifacts[index]): one for index, one in said.items()}, environment(installed.plan)
    )
    return Said(
        {index: licence(one) for index, one in said.items()},
        {index_of[name]: frozenset(index_of[other] for other in others) for name, others in needs.items()},
    )


def _project(artifact: Artifact) -> str:
    """The normalised project name of a `pkg:pypi` artifact."""
    return normal(unquote(artifact.purl.partition("/")[2].partition("@")[0]))


def environment(plan: Plan) -> dict[str, str]:
    """The marker variables (PEP 508) of a droplet: always CPython on Linux."""
    version = next((one.version for one in plan.runtimes if one.name == "python"), "3.11.0")
    return {
        "implementation_name": "cpython",
        "implementation_version": version,
        "os_name": "posix",
        "platform_machine": _MACHINES.get(plan.architecture, plan.architecture),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "sys_platform": "linux",
    }


def required(packages: Mapping[str, Message], environment: dict[str, str]) -> dict[str, set[str]]:
    """Normalised name → the names of those among `packages` that it requires, extras included where they are asked for."""
    from packaging.requirements import InvalidRequirement, Requirement

    parsed: dict[str, list[Requirement]] = {}
    for name, metadata in packages.items():
        parsed[name] = []
        for row in metadata.get_all("Requires-Dist", []):
            try:
                parsed[name].append(Requirement(str(row)))
            except InvalidRequirement:
                continue
    extras: dict[str, set[str]] = {name: set() for name in packages}
    while True:
        edges, asked = _edges(parsed, extras, environment)
        if asked == extras:
            return edges
        extras = asked


def _edges(
    parsed: Mapping[str, Iterable[Any]], extras: Mapping[str, set[str]], environment: dict[str, str]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The edges when these extras are asked for, and which extras these edges ask for."""
    edges: dict[str, set[str]] = {}
    asked = {name: set(known) for name, known in extras.items()}
    for name, requirements in parsed.items():
        edges[name] = set()
        for one in requirements:
            other = normal(one.name)
            if other in parsed and _applies(one.marker, extras[name], environment):
                edges[name].add(other)
                asked[other] |= one.extras
    return edges, asked


def _applies(marker: Any, extras: Iterable[str], environment: dict[str, str]) -> bool:
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName

    if marker is None:
        return True
    try:
        return any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *sorted(extras)))
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


def licence(metadata: Message) -> Licence:
    """From a wheel's core metadata: License-Expression (PEP 639), else License, else the classifiers."""
    stated = expression(metadata.get("License-Expression", ""))
    if stated:
        return Licence(stated)
    text = str(metadata.get("License", "") or "").strip()
    plain = expression(text) if text and len(text) < LONGEST else ""
    if plain:
        return Licence(plain)
    names = [row.rpartition(" :: ")[2] for row in metadata.get_all("Classifier", []) if row.startswith(_PROSE)]
    known = sorted({_CLASSIFIERS[name] for name in names if name in _CLASSIFIERS})
    if len(known) == 1 and len(names) == 1:
        return Licence(known[0])
    return named(names or [text])
