"""stager turns an app's source folder into a byte-identical droplet, and runs it.

    import stager

    droplet = stager.stage("myapp", out="droplet.tgz")
    print(droplet.digest, droplet.processes["web"])

`stage` does everything; `detect`, `plan`, `fetch` and `assemble` are its steps over values, safe to call from many threads;
`export` writes a droplet in a platform's format.
Every error is a `StagerError`. Names are imported when first used, so that `import stager` is quick.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .digest import Digest as Digest
    from .errors import StagerError as StagerError
    from .library import assemble as assemble
    from .library import detect as detect
    from .library import export as export
    from .library import fetch as fetch
    from .library import plan as plan
    from .library import stage as stage
    from .model import Artifact as Artifact
    from .model import Detections as Detections
    from .model import Droplet as Droplet
    from .model import Event as Event
    from .model import Layer as Layer
    from .model import Plan as Plan
    from .store import Store as Store
    from .tree import SourceTree as SourceTree

__version__ = "0.1.0"

_HOMES = {
    "digest": ("Digest",),
    "errors": ("StagerError",),
    "library": ("assemble", "detect", "export", "fetch", "plan", "stage"),
    "model": ("Artifact", "Detections", "Droplet", "Event", "Layer", "Plan"),
    "store": ("Store",),
    "tree": ("SourceTree",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - nouns, then verbs in their order
    "SourceTree", "Detections", "Plan", "Artifact", "Store", "Droplet", "Layer", "Digest", "Event", "StagerError",
    "detect", "plan", "fetch", "assemble", "stage", "export",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'stager' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module("." + _HOME[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
