"""What packages import without asking for it, since it once came along: `pkg_resources` and, before Python 3.12, `distutils`.

Seen in the text of a wheel's modules while it is unpacked, never by running them. Only an import that nothing guards counts:
at the left margin, and not in tests, documentation or copies of other packages.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from stager.formats.archive import content_bytes
from stager.formats.tar import PieceFile

SETUPTOOLS = "setuptools<81"
"""The last versions that have `pkg_resources`; they bring `distutils` back as well."""
_NAMED = {"pkg_resources": b"pkg_resources", "distutils": b"distutils"}
_LARGEST = 1 << 20
"""Bytes of a module that is looked into; beyond are tables of data."""
_ASIDE = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "vendor", "_vendor", "_distutils"}
)
_OWN = ("setuptools", "pkg_resources", "_distutils_hack", "distutils")


def imports(files: Iterable[PieceFile], place: str) -> dict[str, str]:
    """Of a wheel unpacked at `place`: former module → the first file, below the modules' folder, that imports it."""
    found: dict[str, str] = {}
    modules = f"{place}/site-packages/"
    for file in sorted(files, key=lambda entry: entry.path.encode()):
        name = file.path.removeprefix(modules)
        script = file.path.startswith((f"{place}/libexec/", f"{place}/bin/"))
        if (script or (name.endswith(".py") and name != file.path and not _aside(name))) and file.size <= _LARGEST:
            data = content_bytes(file.content, name)
            for module, word in _NAMED.items():
                if module not in found and word in data and _PATTERNS[module].search(data):
                    found[module] = name.removeprefix(f"{place}/")
    return found


def _aside(name: str) -> bool:
    """Whether a module is none that an app loads, or belongs to what is looked for."""
    *folders, file = name.split("/")
    return (
        (folders or [file])[0] in _OWN
        or not _ASIDE.isdisjoint(folders)
        or file in ("setup.py", "conftest.py")
        or file.startswith("test_")
    )


_PATTERNS = {
    module: re.compile(
        rb"^(?:import[ \t]+(?:[\w., \t]*,[ \t]*)?%b\b|from[ \t]+%b\b|__import__\([ \t]*['\"]%b['\"])" % ((word,) * 3),
        re.MULTILINE,
    )
    for module, word in _NAMED.items()
}


def remarks(
    packages: Iterable[tuple[str, Mapping[str, str]]], paths: Collection[str], inputs: Collection[str]
) -> list[str]:
    """The notes on packages (label, their `imports`) whose import fails in a droplet of these paths.

    `inputs` are the files that determined the plan, of which one lists the app's packages.
    """
    there = {found[1] for path in paths if (found := _PLACE.search(path))}
    missing = {module for module in _NAMED if module not in there}
    if any(path.endswith("/site-packages/distutils-precedence.pth") for path in paths):
        missing.discard("distutils")  # setuptools puts its own copy in that place
    manifest = next((name for name in _MANIFESTS if name in inputs), "the app's dependencies")
    return [
        f"{label}: {file} imports {module}, which nothing in this droplet has: add '{SETUPTOOLS}' to {manifest}, and make "
        "the lock again"
        for label, imported in packages
        for module, file in sorted(imported.items())
        if module in missing
    ]


_MANIFESTS = ("requirements.in", "pyproject.toml", "Pipfile", "requirements.txt", "setup.cfg")


_PLACE = re.compile(r"/(?:site-packages|dist-packages|python3\.\d+)/(pkg_resources|distutils)/__init__\.py\Z")
