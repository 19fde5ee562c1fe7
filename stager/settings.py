"""`Settings`: how to stage, which is everything that is not the app. On the warm path: imports nothing heavy."""

from __future__ import annotations

from .frozen import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from .droplet.incremental import Folder
    from .model import Progress
    from .net.indexes import Indexes
    from .planning.bytecode import Usual
    from .store import Store


class Settings(Value):
    """How to stage: everything that is not the app.

    `configured` gives the indexes and `reporter` what shows progress: a warm restage needs neither, so they are made when
    they are first asked for; both give the same thing each time. `stack` and `architecture` empty mean: what the lock or the
    app's `stager.yml` says, else the default. For `targets` it is the stack that suits them all, and `any_stack` says that
    its name does not matter (`platforms.choose`). `locked` demands a lock of stager's that fits (which one: `Folder.aim`).
    `save_lock` writes the plan to it, once the droplet is made, when it was missing or stale. `keep_foreign` refuses to
    replace an output that stager did not write. `jobs` is the number of worker threads, 0 for as many as there are
    processors. `engine` are the variables that name a container engine, which builds use where there are no namespaces.
    `printed` are the files (device, inode) that this process prints to, which are no source. `make_locks` gives
    the ecosystem's own lock (name → content) of an app that has none; with `save_lock` it is written into the app's folder,
    else it is only read. Without it, such an app is refused. `bytecode` says how much of it a new plan has, where neither the
    app nor its lock does; without it none.
    """

    store: Store
    configured: Callable[[], Indexes]
    stack: str = ""
    architecture: str = ""
    targets: tuple[str, ...] = ()
    any_stack: bool = False
    buildpacks: tuple[str, ...] = ()
    locked: bool = False
    offline: bool = False
    save_lock: bool = False
    keep_foreign: bool = False
    upgrade: bool = False
    jobs: int = 0
    reporter: Callable[[], Progress | None] | None = None
    cancel: threading.Event | None = None
    engine: Mapping[str, str] | None = None
    printed: frozenset[tuple[int, int]] = frozenset()
    make_locks: Callable[[Folder, Settings], dict[str, bytes]] | None = None
    bytecode: Usual | None = None

    @property
    def indexes(self) -> Indexes:
        """The indexes as they are configured. Raises BadSettings."""
        return self.configured()

    @property
    def progress(self) -> Progress | None:
        """What shows progress, if anything does."""
        return self.reporter() if self.reporter else None

    def stop(self) -> bool:
        """Whether the caller asked to stop."""
        return self.cancel is not None and self.cancel.is_set()

    def tell(self, verb: str, what: str, done: int = 0, total: int = 0) -> None:
        """Report progress."""
        if (show := self.progress) is not None:
            from .model import Event

            show(Event(verb, what, done, total))
