"""Does a version satisfy an npm range, and which of two versions of any spelling comes first?"""

from __future__ import annotations

from stager.ecosystems import npmrange


def satisfies(version: str, wanted: str) -> bool | None:
    """Whether `version` is in the range `wanted`; None when one of them is no version or range (a tag, a URL)."""
    try:
        return npmrange.parse(wanted)(npmrange.version(version))
    except ValueError:
        return None


def order(version: str) -> tuple[tuple[int, int | str], ...]:
    """A total order for versions of any spelling: numbers by value, a release after its pre-releases."""
    release, dash, rest = version.partition("+")[0].partition("-")
    parts: list[tuple[int, int | str]] = [_part(part) for part in release.split(".")]
    return (*parts, (2, "") if not dash else (-1, ""), *(_part(part) for part in rest.split(".") if dash))


def _part(text: str) -> tuple[int, int | str]:
    return (0, int(text)) if text.isascii() and text.isdigit() and len(text) < 20 else (1, text)
