"""What a store remembers of builds of an app's folder: when one ran last, with what it ran, and with what the time before.

It is for people (`stager log`, `stager explain build`) and decides nothing. What went in is kept as two blobs:
what of the plan goes in (`planning.surroundings.parts`), and the app's files and links with their digests.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..digest import canonical_json
from ..droplet import built as known
from ..errors import CannotWrite
from ..planning import surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..droplet.incremental import Folder
    from ..model import Build, Plan
    from ..records import AppBuild
    from ..settings import Settings
    from ..store import Store


class BuildRun(NamedTuple):
    """A run of a build: the key of all that went in, the blobs that say what that was, how it ended."""

    key: str
    text: str
    """The blob with what of the plan went in."""
    reads: str
    """The blob with the app's files that went in."""
    ended: str
    """`well`, or empty."""
    asked: bool
    """Whether it ran because somebody wished that."""
    before: list[Any] | None = None
    """The run before it, as [key, text, reads, ended]."""


def last(folder: str, name: str, store: Store) -> BuildRun | None:
    """The last run of the build of that name of the app in `folder`, a real path."""
    record = store.recall("build-run", f"{folder}\n{name}")
    return None if record is None else BuildRun(*record)


@contextmanager
def noted(
    plan: Plan, build: Build, reads: Mapping[str, str], key: str, folder: Folder, settings: Settings, asked: bool
) -> Iterator[None]:
    """Note a run before it begins, and once more when it has ended well; `reads` is what goes in beside what the plan says."""
    store, place = settings.store, f"{folder.root}\n{build.name}"
    before = last(folder.root, build.name, store)
    texts = [canonical_json(list(surroundings.parts(plan, build))), canonical_json(reads)]
    plan_text, read = (store.put(one, durable=False) for one in texts)
    now = BuildRun(key, plan_text, read, "", asked, None if before is None else [*before[:4]])
    _remember(store, place, now)
    yield
    _remember(store, place, now._replace(ended="well"))


def _remember(store: Store, place: str, now: BuildRun) -> None:
    try:
        store.remember("build-run", place, list(now))
    except CannotWrite:
        return  # a memo may always be missing


def reads(record: AppBuild, folder: Folder) -> dict[str, str]:
    """Path → what goes into a build of a folder's tree: a file's digest, `+x` when executable, or a link's target."""
    files, links = known.inputs(record, folder.tree)
    tree = folder.tree
    found = {path: tree.files[path].digest + ("+x" if tree.files[path].executable else "") for path in files}
    return found | {path: f"→ {tree.links[path]}" for path in links}


def kept_parts(blob: str, store: Store) -> tuple[str, ...] | None:
    """What `surroundings.parts` gave; None when it has been removed."""
    found = _kept(blob, store)
    return None if found is None else tuple(found)


def kept_reads(blob: str, store: Store) -> Mapping[str, str] | None:
    """What `reads` gave; None when it has been removed."""
    found: dict[str, str] | None = _kept(blob, store)
    return found


def _kept(blob: str, store: Store) -> Any:
    return json.loads(b"".join(store.parts(blob))) if store.has(blob) else None
