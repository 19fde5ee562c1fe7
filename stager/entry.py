"""`stage`: the one way from an app's folder to its droplet, for the command, the library, the machine and `attest` alike.

The short way (`droplet.incremental`) when the folder's lock still fits, else the long one (`staging`), which is imported only
then.
"""

from __future__ import annotations

from .droplet import assembly, incremental

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .model import LockedPlan
    from .records import Staged
    from .settings import Settings


def stage(app: str, out: str, settings: Settings, *, plan: LockedPlan | None = None, measure: bool = False) -> Staged:
    """Stage the app in the folder `app` into the droplet file `out`; with a `plan`, exactly that is staged.

    With `measure` the result has its layers. Blobs of the store that turn out to be damaged are made or fetched again. Raises
    a StagerError (see `errors`) and leaves no droplet then.
    """
    with settings.store.lease():
        folder = _read(app, settings)
        if not incremental.is_last(folder, out):
            incremental.keep_source(folder, out)
            if settings.keep_foreign:
                incremental.keep_foreign(out)
        quick, damaged = plan is None and not settings.upgrade and not settings.buildpacks, set[str]()
        while True:
            try:
                made = (incremental.warm(folder, out, settings) if quick else None) or _staged(
                    folder, plan, out, settings
                )
                return incremental.measured(made, settings.store) if measure else made
            except assembly.Damaged as found:  # the droplet is whole, but its layers cannot be told from these pieces
                from .staging import heal

                heal(found, damaged, settings)
                folder, quick = _read(app, settings), False  # again: the store remembers more of it now


def _read(app: str, settings: Settings) -> incremental.Folder:
    return incremental.Folder.read(app, settings.store, stop=settings.stop, printed=settings.printed)


def _staged(folder: incremental.Folder, plan: LockedPlan | None, out: str, settings: Settings) -> Staged:
    from . import staging  # here, since a warm restage needs none of it

    if plan is None:
        return staging.stage_folder(folder, out, settings)
    folder = folder.aim(plan.plan.stack, plan.plan.architecture)
    incremental.check_locked(folder, plan.plan)
    return staging.stage_plan(folder, plan, out, settings)
