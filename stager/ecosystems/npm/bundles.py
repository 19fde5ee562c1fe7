"""Packages inside a package's tarball, where the lock places others at the same path.

npm's locks mark what is bundled and place nothing there. Those of Yarn do not: they list bundled packages like any
other, and what the lock places must then replace the bundled copy as a whole, or two versions would be mixed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable


def covered(path: str, files: Iterable[str], places: Collection[str]) -> list[str]:
    """Those of `files` (paths in the app, of the package at `path`) that lie in the folder of another one of `places`.

    They must be left out: a folder belongs to the package that is placed there.
    """
    inside = [f"{place}/" for place in places if place.startswith(f"{path}/")]
    return sorted(file for file in files if file.startswith(tuple(inside))) if inside else []
