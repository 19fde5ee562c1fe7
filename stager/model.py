"""Every noun of stager as a frozen value; read this module first.

The flow: a `SourceTree` (see `tree`) is *detected* as `Detections`, *planned* into a `Plan`, its `Artifact`s are
*fetched* into the store, and tree and plan are *assembled* into a `Droplet` of `Layer`s. These two, and what a staging is
made of, are in `records`, which is quicker to import. `docs/` has the formats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from .digest import Digest
from .records import Droplet as Droplet
from .records import Layer as Layer


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was decided: a sentence, and the app's file (and 1-based line) that it rests on."""

    text: str
    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{self.text} ({place})" if place else self.text


@dataclass(frozen=True, slots=True)
class Stack:
    """A root filesystem and architecture a droplet runs on, as `boxes/<name>/box.yml` describes it."""

    name: str
    architecture: str
    """Debian's word: `amd64` or `arm64`."""
    glibc: tuple[int, int]
    distribution: str
    """`debian`, `ubuntu`, `rhel` …"""
    suite: str = ""
    """Debian's suite name (`bookworm`), empty elsewhere."""
    libraries: frozenset[str] = frozenset()
    """SONAMEs beyond glibc that the root filesystem guarantees, e.g. `libstdc++.so.6`."""

    @property
    def machine(self) -> str:
        """The kernel's word for the architecture, as wheel tags use it: `x86_64` or `aarch64`."""
        return {"amd64": "x86_64", "arm64": "aarch64"}[self.architecture]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One pinned upstream file and where it unpacks to.

    `purl` is its package URL (ECMA-427) in canonical form; `layout` names the versioned unpack recipe in
    `layouts`; `paths` are the places in the app folder it is unpacked to, without a leading `./`
    (an npm package may be needed at several). `url` is set only when the file does not come from its
    ecosystem's default or configured index, so a plan is independent of mirrors; `file:` and a path is a file of the
    app, `git+https:` a commit of a repository (`ecosystems.repository`). `size` is in bytes, None when
    no lock states it.
    """

    purl: str
    filename: str
    digest: Digest
    layout: str
    paths: tuple[str, ...]
    size: int | None = None
    url: str = ""

    @property
    def name(self) -> str:
        """`name@version` for people."""
        return unquote(self.purl.partition("/")[2].partition("?")[0])


@dataclass(frozen=True, slots=True)
class Runtime:
    """An interpreter or server the droplet carries; its artifacts are among the plan's."""

    name: str
    """`python`, `node`, `npm`, `nginx`, `bun`."""
    version: str
    source: str
    """Where it is built: `debian`, `python-build-standalone`, `npm` …"""
    glibc: tuple[int, int]
    """The lowest glibc its files need."""
    reason: Reason


@dataclass(frozen=True, slots=True)
class Process:
    """A process type and its command: one shell line with a Procfile's meaning."""

    type: str
    command: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class EnvVar:
    """An environment variable that launch sets when it is not set already."""

    name: str
    value: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class BuildpackPin:
    """A buildpack that takes part: its name, the digest of its folder, and why it matched."""

    name: str
    digest: Digest
    reason: Reason
    folder: str = ""
    """Where a user's own buildpack is; empty for a shipped one."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One buildpack's match: what it found, which lock it will honour, which versions the app asks for."""

    buildpack: str
    reason: Reason
    lock: str = ""
    """Path of the ecosystem's lock file in the app; empty when there is none or none is needed."""
    versions: tuple[tuple[str, str, Reason], ...] = ()
    """(runtime, requested range or version, where it is asked for), highest precedence first."""


@dataclass(frozen=True, slots=True)
class Detections:
    """What detect found: the matches in buildpack order, and what the others looked for."""

    matched: tuple[Detection, ...]
    rejected: tuple[tuple[str, str], ...] = ()
    """(buildpack, what it looked for)."""
    notes: tuple[str, ...] = ()
    """Remarks and warnings for people; never part of a plan's bytes."""
    building: tuple[Detection, ...] = ()
    """The matches of which only builds need something: others serve what these leave."""
    builds: tuple[tuple[str, str, Reason], ...] = ()
    """(name, command, why) of what will have to be built, as far as the files tell."""


@dataclass(frozen=True, slots=True)
class Locked:
    """What an ecosystem's lock file comes to for one target."""

    artifacts: tuple[Artifact, ...]
    links: tuple[tuple[str, str], ...] = ()
    """(path, relative target) symlinks that the lock's layout demands, e.g. workspaces and pnpm's store."""
    files: tuple[tuple[str, str], ...] = ()
    """(path, text) small generated files that depend on the lock alone, e.g. an import-path file."""
    names: frozenset[str] = frozenset()
    """Normalised names of all packages that will be installed; used to choose start commands."""
    builds: tuple[Build, ...] = ()
    """What has to be built of it, each in the stack's own root and without build requirements until it is pinned."""
    notes: tuple[str, ...] = ()
    hints: tuple[tuple[str, str], ...] = ()
    """(digest, URL) where the lock says a file can be had; without credentials, never saved in a plan."""
    unsure: tuple[str, ...] = ()
    """Package URLs of artifacts that may have to be built, which only their contents tell."""


@dataclass(frozen=True, slots=True)
class DebPin:
    """One Debian package: its name, version, architecture (or `all`), size in bytes, digest, and path in the archive."""

    name: str
    version: str
    architecture: str
    size: int
    digest: Digest
    path: str

    @property
    def file(self) -> str:
        """A file name that is its own: `bash_5.2.15-2+b2_amd64.deb`."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


@dataclass(frozen=True, slots=True)
class BuildRoot:
    """The root file system that builds run in: a stack's own root and more packages, all of them pinned."""

    name: str
    """`stack` for the stack's own root, else that of what asks for more: `python`, `node`, `user`."""
    stack: str
    epoch: str
    """The date of the newest index that its packages are from, in ISO 8601; empty while it is not pinned."""
    packages: tuple[DebPin, ...] = ()
    """Every package of it, sorted by name; empty while it is not pinned."""
    wants: tuple[str, ...] = ()
    """The names of the packages that were asked for beyond the stack's, sorted."""


APP, ARTIFACT = "app", "artifact"
"""The two kinds of build."""
DROPLET, RUNTIMES, NOTHING = "droplet", "runtimes", "nothing"
"""What a build has around it of the droplet's own."""


INTERNAL = frozenset({"BUILD_CONFIG_SETTINGS", "BUILD_EXTRA_REQUIRES", "FIXED_BUILD_ID", "FIXED_BUILD_UUID"})
"""Variables of builds by which stager tells its own programs inside something; no app sets them."""


@dataclass(frozen=True, slots=True)
class Build:
    """A command that turns declared inputs into files or an artifact, in a pinned root, without a network.

    Its surroundings are a droplet of its own, of which the plan's droplet has nothing: `on` says what both share, and
    `runtimes` to `files` what only this build has.
    """

    name: str
    """Lower-case letters, digits and `-`; names its log, errors and memo."""
    kind: str
    """`app`: its outputs are files of the app's layer. `artifact`: an archive that takes the place of the artifact `of`."""
    root: str
    """The name of a BuildRoot."""
    command: str
    """One shell line, run in `folder`; for an artifact a recipe such as `stager:pep517/1`."""
    reason: Reason
    folder: str = ""
    """Of the app's, or of the artifact's files; empty for their root."""
    inputs: tuple[str, ...] = ("**",)
    """Patterns of the app's files that it reads; one with a `!` before it leaves out."""
    outputs: tuple[str, ...] = ()
    """Files and folders of the app that it leaves, without a `/` at the end."""
    env: tuple[tuple[str, str], ...] = ()
    of: str = ""
    """The purl of the artifact that is built."""
    recipes: tuple[str, ...] = ()
    """What mends known sources of difference, e.g. `next/1` (see `builds.recipes`)."""
    twice: bool = True
    """Whether its first run is compared with a second one in other surroundings."""
    on: str = DROPLET
    """`droplet`: all that the droplet has. `runtimes`: its runtimes alone. `nothing`: nothing of it."""
    runtimes: tuple[Runtime, ...] = ()
    buildpacks: tuple[BuildpackPin, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    unsure: tuple[str, ...] = field(default=(), compare=False)
    """Package URLs of those of its `artifacts` that may have to be built, until pinning has looked into them; not saved."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The fully pinned description of a staging; saved, it is `stager.lock`.

    It holds everything the app depends on and nothing the app is: editing the app's code never changes it.
    """

    stack: str
    architecture: str
    codec: str
    buildpacks: tuple[BuildpackPin, ...]
    inputs: tuple[tuple[str, Digest], ...]
    """The app's files that determined the plan (manifests, locks, version files, Procfile) with their digests."""
    runtimes: tuple[Runtime, ...]
    artifacts: tuple[Artifact, ...]
    links: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    processes: tuple[Process, ...]
    env: tuple[EnvVar, ...]
    facts: tuple[tuple[str, str], ...] = ()
    """(name, value) that a buildpack's templates may use, e.g. the folder a static site is served from."""
    builds: tuple[Build, ...] = ()
    """In the order in which they run; those of artifacts come first."""
    roots: tuple[BuildRoot, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    """Remarks for people; not saved and not part of the plan's identity."""
    hints: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """(digest, URL) where the app's own lock says a file can be had; not saved."""
    unsure: tuple[str, ...] = field(default=(), compare=False)
    """Package URLs of artifacts that may have to be built, until pinning has looked into them; not saved."""
    asks: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """(build, shell line that prints the folder it leaves) where outputs are not known, until pinning has asked; not saved."""

    def all_artifacts(self) -> tuple[Artifact, ...]:
        """What the droplet is made of, then what only builds need."""
        return (*self.artifacts, *(artifact for build in self.builds for artifact in build.artifacts))

    def source(self, build: Build) -> Artifact | None:
        """The artifact that a build is of: one of the droplet's, or of those that an app's build has around it."""
        around = (one for other in self.builds if other.kind == APP for one in other.artifacts)
        return next((one for one in (*self.artifacts, *around) if one.purl == build.of), None)


@dataclass(frozen=True, slots=True)
class LockedPlan:
    """A plan as it is saved: the `text` of its lock, and that text's SHA-256, which is the plan's identity.

    Made once, when a plan is made or a lock is read (`planning.lockfile`), and carried from there.
    """

    plan: Plan
    text: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Event:
    """Progress of long work: `done` of `total` (bytes or items; total 0 when unknown) of `what` in `verb`."""

    verb: str
    """`detect`, `plan`, `fetch`, `assemble`, `export`."""
    what: str
    done: int = 0
    total: int = 0
    source: str = ""
    """The host that a file or page came from, once it is here."""


Progress = Callable[[Event], None]
"""Called from any thread. What it raises ends the work, and reaches a caller of the library as it is."""
