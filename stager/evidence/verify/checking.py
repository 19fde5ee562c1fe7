"""`verify`: stage again, compare, and say what was found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from ...files.temporary import folder as scratch
from ...files.writing import Output
from ...settings import Settings
from .conditions import Here
from .findings import Comparison
from .reference import Against, download, result
from .restaging import Restaged, restaged
from .results import Verdict

_CHUNK = 1 << 20


def verify(
    against: Against,
    source: str,
    settings: Settings,
    here: Here,
    *,
    skip: Sequence[str] = (),
    only: Sequence[str] = (),
    keep: str = "",
) -> Verdict:
    """Stage the folder `source` again under changed conditions and compare the result with what `against` names.

    `skip` leaves conditions out, `only` leaves out all others; `keep` is a file that what was staged again is copied to
    when it differs. Nothing else is left behind. Raises LockMissing, LockStale and CannotRebuild when there is nothing to
    compare, and what fetching raises.
    """
    with ExitStack() as stack:
        if against.kind == "url":
            folder = stack.enter_context(scratch("verify"))
            path = download(against.value, os.path.join(folder, "droplet.tgz"), settings.indexes, settings.stop)
            against = replace(against, path=path)
        try:
            again = stack.enter_context(
                restaged(source, against.path, settings, here, skip=skip, only=only),
            )
            settings.tell("assemble", f"comparing with {against.label}", 3, 4)
            found = result(against, again, settings, here.environ, here.home)
            _keep(found, again, keep)
        finally:
            settings.tell("assemble", "done", 4, 4)  # ends the bar, whatever happened
        return Verdict(
            against.label,
            found.droplet,
            found.rebuilt,
            again.chosen.changes,
            again.chosen.not_tried,
            found.findings,
            found.counts,
            again.notes,
        )


def _keep(found: Comparison, again: Restaged, keep: str) -> None:
    if not keep or not found.findings:
        return
    with open(again.path, "rb", buffering=0) as made, Output(keep) as output:
        while part := made.read(_CHUNK):
            output.write(part)
