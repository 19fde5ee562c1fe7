"""What an ecosystem is: all that is special about one family of packages, as one frozen record. Read this before any of them.

Everything else (planning, locking, fetching, assembling, explaining, comparing, inventories) goes over the records of
`ecosystems.ECOSYSTEMS` and knows none by name. An ecosystem says what it has; what it leaves out has a default that does
nothing.
Records import nothing heavy: their functions import their own modules when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..formats.archive import HeldArchive
    from ..formats.tar import Unpacked
    from ..model import Artifact, Build, BuildRoot, Locked, Plan, Reason, Stack
    from ..net.indexes import Indexes
    from ..tree import SourceTree
    from .errors import LockFailed
    from .graph import Graph
    from .installed import Installed, Said

    Unpack = Callable[[str | HeldArchive, Artifact, str], Unpacked]


NO_BYTECODE, OF_RUNTIME, OF_ALL = AMOUNTS = ("none", "runtime", "all")
"""How much of a droplet comes with its bytecode: nothing, the files of the runtime, those of packages as well."""


class IndexPages(Protocol):
    """Index pages by URL, through the one HTTP layer."""

    def get(self, url: str, *, accept: str = "") -> bytes:
        """The page's bytes. Raises a FetchError."""


class Pages(IndexPages, Protocol):
    """The same, also as open files."""

    def opened(self, url: str, *, accept: str = "") -> AbstractContextManager[IO[bytes]]:
        """The page as a file, as it may be large. Raises a FetchError."""


@dataclass(frozen=True, slots=True)
class LockRequest:
    """What reading a lock may look at. What comes out is a function of it and of what the pages say."""

    tree: SourceTree
    lock: str
    """Path of the lock in the app; empty for an app that has none, since it needs no packages."""
    stack: Stack
    runtimes: Mapping[str, str]
    """Runtime → the version that the app will run on."""
    indexes: Indexes
    pages: Pages | None = None
    """None when no index may be asked: then NotCached says what would have been."""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lists of names that the ecosystem's section of `stager.yml` gives."""
    development: bool = False
    """Whether packages for development are wanted as well, as for building the app."""


@dataclass(frozen=True, slots=True)
class WantedArtifact:
    """An artifact that is to be fetched, and what may help to find it."""

    artifact: Artifact
    indexes: Indexes
    pages: Callable[[], Pages]
    """Called only when a page is needed, since HTTP comes with it."""
    hint: str = ""
    """A URL that the app's own lock names, if it may be asked."""


@dataclass(frozen=True, slots=True)
class Laid:
    """One artifact unpacked to one place, and what unpacking said of it, as JSON that its ecosystem knows to read."""

    artifact: Artifact
    path: str
    meta: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LookRequest:
    """What is asked, when an app is locked, to find out which of its packages have to be built."""

    plan: Plan
    """Its `unsure` are the artifacts in doubt."""
    tree: SourceTree
    look: Callable[[Sequence[Artifact]], Sequence[Laid]]
    """What unpacking artifacts says of them, each at its first place. They are fetched for that; raises what this raises."""


@dataclass(frozen=True, slots=True)
class WantedBuilds:
    """The builds that an app's packages need, and what else this adds to a plan."""

    builds: tuple[Build, ...] = ()
    """With all that they need."""
    roots: tuple[BuildRoot, ...] = ()
    """What they run in, not yet pinned."""
    gone: tuple[str, ...] = ()
    """Notes of the plan that no longer hold."""
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


APP, HOME = "app", "home"
"""Folders of a workplace: what the resolver works in, and its home."""


class Workplace(Protocol):
    """A folder for one run of a resolver, which sees nothing else of this machine (`resolving.confined`)."""

    @property
    def root(self) -> str:
        """The folder itself."""

    @property
    def indexes(self) -> Indexes:
        """Those that the resolver may ask."""

    @property
    def python(self) -> str:
        """The interpreter that runs stager."""

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files, by path in the folder. Raises CannotWrite."""

    def clear(self) -> None:
        """Take out what was written, for another run. Raises CannotWrite."""

    def read(self, name: str) -> bytes:
        """What the resolver wrote in the app's folder. Raises LockFailed when there is none."""

    def run(
        self,
        lock: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        readable: Sequence[str] = (),
        *,
        foreign: bool = False,
    ) -> ResolverEnd:
        """Run a program to its end. `foreign` says that code of a package or of the app runs in it, which takes a sandbox.

        Raises LockFailed when it takes too long, NoSandbox, Cancelled.
        """


class ResolverEnd(Protocol):
    """How a resolver ended."""

    @property
    def code(self) -> int:
        """Its exit status."""

    @property
    def said(self) -> str:
        """The end of what it said."""

    def failure(self, lock: str) -> LockFailed:
        """The error for it, in its own words."""


@dataclass(frozen=True, slots=True)
class MakeRequest:
    """What making a lock may look at and use."""

    tree: SourceTree
    indexes: Indexes
    """With those that the app itself names."""
    manager: str
    """The package manager that the app asks for, of those its buildpack knows; empty for none."""
    environ: Mapping[str, str]
    """The caller's environment, of which a resolver's own settings may be taken."""
    version: Callable[[str], str]
    """The version of a runtime that staging will choose for the app and its stack."""
    install: Callable[[str, Sequence[str], Sequence[str]], str]
    """Lays runtimes out below a folder, for this machine: of these those that are named again are chosen as the app asks, the
    others as usual. The folder in which all runtimes are."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Packages that share a place and leave lists of their files behind, by which a file's owner is known."""

    is_list: Callable[[str], bool]
    """Whether a path in the app folder is such a list's."""
    claims: Callable[[Sequence[tuple[int, Artifact]], Mapping[str, bytes]], Iterator[tuple[int, Iterable[str], str]]]
    """Of numbered artifacts and the lists by path: number, the paths that it lists, and the folder below which the folders of
    these paths are its as well."""
    unplanned: Callable[[Mapping[str, bytes]], Iterator[tuple[str, Iterable[str], str]]]
    """The same without a plan: the name that the list's place tells instead of a number."""
    place: str
    """Where its packages usually are."""


@dataclass(frozen=True, slots=True)
class BuildRecipe:
    """How an artifact is built (`Build.command`): a program of stager's own, run in the build's own droplet.

    In its lines `{programs}` is the folder that holds `programs`, `{artifact}` the file that is built, `{folder}` the folder
    of it that is meant, `''` for all, and `{out}` an empty folder that takes what comes out.
    """

    takes: str
    """The layout of the artifact that is built."""
    gives: str
    """The layout of what takes its place: the one file that `line` leaves in `{out}`."""
    programs: Callable[[], Mapping[str, bytes]]
    """Files by name, laid beside one another."""
    line: str
    """A shell line."""
    ask: str = ""
    """A shell line that leaves a JSON file `{out}/answer.json` with what only the artifact's own code can say before it is
    built; empty where nothing need be asked."""
    env: tuple[tuple[str, str], ...] = ()
    """Variables for both."""
    misfit: Callable[[Plan, str], str] = lambda *_: ""
    """What the name of the file that `line` leaves says it is for, and what the plan's droplet is, where these differ."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What completing a build may look at and use, once, when an app is locked."""

    plan: Plan
    build: Build
    artifact: Artifact | None
    """What is built; None for what is the app's own."""
    file: str
    """Where that is on this machine; its digest has been checked. Empty for what is the app's own."""
    tree: SourceTree
    indexes: Indexes
    """With those that the app itself names."""
    previous: Build | None
    """What the lock so far pins for this package, if it builds it."""
    workplace: Callable[[], AbstractContextManager[Workplace]]
    """A place for one run of a resolver."""
    ask: Callable[[Build], Any]
    """What the recipe's `ask` leaves, run in the sandbox for the build as it stands. Raises BuildFailed, NoSandbox."""

    @property
    def label(self) -> str:
        """What is built, for people: `name@version`, or the name of a package of the app's own."""
        return self.artifact.name if self.artifact else self.build.name


def _nothing(*_: object) -> Any:
    return ()


def _none(*_: object) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecosystem:
    """One family of packages."""

    name: str
    """The type of its package URLs, and what a buildpack calls it."""
    title: str
    """Before the word "packages": `Python`, `npm`."""
    order: Callable[[str], Any]
    """A value that orders as a version does. ValueError or TypeError for a malformed one."""
    locate: Callable[[WantedArtifact], Iterable[str]]
    """Where an artifact may be: URLs, the best first; what costs a request is asked when the ones before have failed."""
    gone: str
    """How to mend a pin that its index no longer has."""
    upstream: Callable[[str], str] = lambda version: version
    """The version of what is packaged, out of that of the package."""
    scoped: bool = False
    """Whether the namespace of its package URLs is a part of the name that people know."""
    page: Callable[[Indexes], str] | None = None
    """A URL that shows whether its index answers."""

    locks: tuple[str, ...] = ()
    """Names of the lock files that are understood, the one that wins first."""
    locks_with_urls: tuple[str, ...] = ()
    """Those that say where files are, so that no index page need be asked."""
    manifests: tuple[str, ...] = ()
    """Files in which an app asks for packages."""
    workspaces: tuple[str, ...] = ()
    """Manifests that may name the members of a workspace, the one that wins first; each member has the last."""
    starts_member: str = ""
    """A Procfile's line that starts one `{member}`."""
    section: str = ""
    """Its section of `stager.yml`; empty for none."""
    options: tuple[str, ...] = ()
    """The keys of that section, each a list of names."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further keys of it → the words of which each is one."""
    vendored: str = ""
    """The folder in which its tools install, which is never taken from an app."""

    find_locks: Callable[[SourceTree], list[str]] = lambda _: []
    """The locks at the app's root, in the order of `locks`. Raises BadLock for one that nobody can read."""
    read_lock: Callable[[LockRequest], Locked] | None = None
    """What a lock comes to. Raises SourceError, NeedsBuild, FetchError, IntegrityError. None where it has no locks."""
    check_drift: Callable[[SourceTree, str], None] = _none
    """Raise LockStale when the lock is out of step with its manifest, as its own tool would say."""
    manager: Callable[[SourceTree], str] = lambda _: ""
    """The package manager that a manifest names; empty for none. Raises BadManifest."""
    check_manager: Callable[[SourceTree, str, Mapping[str, str]], None] = _none
    """Raise Ambiguous when the app asks for another package manager than the one that wrote its lock; the buildpack's
    managers are lock's name → manager."""
    declared: Callable[[SourceTree], frozenset[str]] = lambda _: frozenset()
    """The names that the app's manifests ask for. Raises BadManifest, also where only running something could tell."""
    developed: Callable[[SourceTree], frozenset[str]] = lambda _: frozenset()
    """The names that they ask for in development alone. Raises BadManifest."""
    members: Callable[[SourceTree], list[str]] = lambda _: []
    """The folders of the workspace at the tree's root."""
    included: Callable[[SourceTree, str], list[str]] = _nothing
    """Files that the lock, or the lack of one (empty), depends on beside those that the buildpack names."""
    requires: Callable[[SourceTree, str], Sequence[tuple[str, str, Reason]]] = _nothing
    """(runtime, wanted, where it says so) that a lock was made for."""
    facts: Callable[[SourceTree], Sequence[tuple[str, str]]] = _nothing
    """Facts (name, value) of the app that a plan with packages of this ecosystem holds."""
    needs: Callable[[SourceTree, str, Plan], Graph] | None = None
    """Who needs whom, as a lock says. Raises BadLock, BadManifest."""

    builds: Callable[[LookRequest], WantedBuilds] | None = None
    """Which packages are to be built. Asked when an app is locked, and only where some are in doubt."""

    lock_name: Callable[[MakeRequest], str] | None = None
    """The lock that `make_lock` would make. Raises LockFailed for one that only another tool makes."""
    make_lock: Callable[[MakeRequest, Workplace], bytes] | None = None
    """A lock by the ecosystem's own resolver. Raises NeedsBuild, LockFailed, BadManifest. None where there is none."""
    advice: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Lock → words for advice when its resolver failed: the `manifest` to correct, the `command` that makes the lock without
    stager, the `settings` that hold a login, the `cafile` setting, and `listed`, a command that shows a package's versions."""

    recipes: Mapping[str, BuildRecipe] = field(default_factory=dict)
    """The command of a build of an artifact → what it does. One never changes its output."""
    own_recipes: tuple[str, ...] = ()
    """The recipes (`Build.recipes`) of builds of the app's own packages, which `wants` and `pin_build` know as well."""
    linked: Callable[[Build], Sequence[str]] = _nothing
    """The Debian packages that a build's artifact needs where it runs, as far as they are well known. They are brought along
    where the stack has an archive."""
    wants: Callable[[BuildRequest], tuple[str, tuple[str, ...]]] | None = None
    """The name of the root that a build runs in, and the packages that it wants there beyond the stack's, where only the
    artifact tells. Raises NeedsBuild for what cannot be built."""
    pin_build: Callable[[BuildRequest], Build] = lambda request: request.build
    """The build, its root known, with the packages that it needs besides. Raises NeedsBuild, LockFailed, FetchError."""

    layouts: Mapping[str, Unpack] = field(default_factory=dict)
    """Layout of an artifact → its recipe; a recipe never changes its output."""
    listing: Listing | None = None
    """None where each package fills its place alone."""
    makes: Callable[[str], bool] = lambda _: False
    """Whether a path in the app folder is of what unpacking writes; all else at a package's place is copied out of it."""
    links: Callable[[Sequence[Laid], Sequence[tuple[str, str]]], dict[str, str]] = lambda *_: {}
    """Links that the laid packages want, beside the plan's: path → relative target."""
    check: Callable[[Plan, Sequence[Laid]], None] = _none
    """Raise NeedsBuild or BadLock for packages that cannot work on the plan's stack as they are."""
    notes: Callable[[Plan, Sequence[Laid], Collection[str]], list[str]] = lambda *_: []
    """Notes on packages that look for what is not among the droplet's paths."""

    look: Callable[[Artifact, HeldArchive, Unpack], dict[str, Any]] | None = None
    """What only the artifact itself, with its recipe, can say, not the droplet: `files`, by place, and more of its own."""
    tells: Callable[[str], bool] = lambda _: False
    """Whether a path in the app folder is that of a file in which a package says what it is."""
    inventory: Callable[[Installed], Said] | None = None
    """What a droplet's packages say of themselves: licences, who needs whom, packages inside others."""
