"""What a platform is: one frozen record with what it takes, how it is written, read back and brought to a running system."""

from __future__ import annotations

import dataclasses
import difflib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeVar

from ..digest import Digest
from ..errors import UsageError
from ..files.writing import never

if TYPE_CHECKING:
    from ..droplet.reader import DropletFile
    from ..model import Progress
    from ..store import Store


def option(default: Any, help_: str, value: str = "", **more: Any) -> Any:
    """A field of Options that is an option of the command line, too: its help, and what its value is called there.

    `more` may give `short` (`-t`), `name` (`--tag`), `choices`, `least` and `most` of a number, and `variables` where the
    names of a table are names of variables.
    """
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata={"help": help_, "value": value, **more})
    return dataclasses.field(default=default, metadata={"help": help_, "value": value, **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What decides the bytes of an export beside the droplet. Making one raises UsageError for values without sense."""

    @classmethod
    def read(cls, values: Mapping[str, object], target: str) -> Self:
        """From names and values. Raises UsageError for a name that is no option, TypeError for a value of another kind."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                meant = f"Did you mean {close[0]}? " if close else ""
                takes = f"It takes {', '.join(known)}." if known else "It takes none."
                raise UsageError(f"the target {target} has no option {name!r}", meant + takes)
            wanted = _kind(known[name])
            if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
                what = {Mapping: "a mapping", (list, tuple): "a list or tuple"}.get(wanted) or wanted.__name__
                message = f"{target}: {name} must be {what}, not {type(value).__name__}"
                raise TypeError(message)
        return cls(**values)


def _kind(field: dataclasses.Field[Any]) -> Any:
    """What a value of a field is an instance of, as its default is."""
    if field.default is dataclasses.MISSING:
        return Mapping
    return (list, tuple) if isinstance(field.default, tuple) else type(field.default)


O_contra = TypeVar("O_contra", bound=Options, contravariant=True)
O_co = TypeVar("O_co", bound=Options, covariant=True)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: `digest` and `size` (bytes) of the file `path` (of its main document where it is a folder),
    and the diffIDs of the droplet's layers in it, in order."""

    target: str
    path: str
    digest: Digest
    size: int
    layers: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Export(Protocol[O_contra]):
    """Writes `droplet` in the platform's format to `out`; `store` remembers, `stop` ends it. Raises a TargetError."""

    def __call__(
        self,
        droplet: DropletFile,
        out: str,
        options: O_contra,
        *,
        store: Store | None = None,
        stop: Callable[[], bool] = never,
    ) -> Exported:
        """Write it."""


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """What the caller of a deployment decides for all its targets, each of which takes what it knows, and the user's setup."""

    environ: Mapping[str, str]
    home: str
    store: Store
    base: str = ""
    base_root: str = ""
    image: str = ""
    """The repository that manifests name."""
    manifest: str = ""
    """Cloud Foundry's."""
    any_stack: bool = False
    plain_http: bool = False
    progress: Progress | None = None
    cancel: threading.Event | None = None
    targets: tuple[str, ...] = ()
    """All that the droplet is brought to, for hints."""


class HeldDroplet(NamedTuple):
    """What was found where a droplet was brought to."""

    reference: str
    """What names it there: an image by digest, a release, a file's digest."""
    layers: tuple[str, ...]
    """The diffIDs it holds."""
    proof: str
    """How that was found out."""


@dataclass(frozen=True, slots=True)
class Platform(Generic[O_co]):
    """A platform. `layers` reads the diffIDs of a droplet's layers back from what `export` wrote (raises BadArchive).

    `deploy` brings a droplet to `where` on the running system; None for a format that is only written.
    """

    name: str
    summary: str
    options: type[O_co]
    export: Export[Any]
    layers: Callable[[str], tuple[str, ...]]
    output: str
    """What the export is called when nobody names it."""
    deploy: Callable[[DropletFile, str, DeployRequest], HeldDroplet] | None = None
    check: Callable[[str], object] | None = None
    """Raises UsageError when `where` can be no place there, before any work."""
