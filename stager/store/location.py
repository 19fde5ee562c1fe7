"""Where the store is when nobody says otherwise."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def cache_folder(environ: Mapping[str, str], system: str) -> str:
    """`$STAGER_CACHE_DIR`, else the user's cache folder on `system` (a value of `sys.platform`)."""
    if environ.get("STAGER_CACHE_DIR"):
        return os.path.abspath(environ["STAGER_CACHE_DIR"])
    if system == "linux":  # what platformdirs would say, without its import
        cache = environ.get("XDG_CACHE_HOME", "")
        return os.path.join(cache if os.path.isabs(cache) else os.path.expanduser("~/.cache"), "stager")
    from platformdirs import user_cache_dir

    return str(user_cache_dir("stager", appauthor=False))
