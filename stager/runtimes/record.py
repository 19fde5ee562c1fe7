"""What is special about a runtime, as one frozen value: each module of this folder holds one, as `RUNTIME`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .version_requests import beginning

if TYPE_CHECKING:
    from ..ecosystems import Unpack
    from ..ecosystems.deb.index import Index
    from ..ecosystems.record import BuildRecipe, IndexPages
    from ..model import Artifact, Plan, Reason, Runtime, Stack
    from ..net.indexes import Indexes
    from ..tree import SourceTree
    from .chosen import Asked, ChosenRuntime
    from .releases import Releases
    from .version_files import Reader
    from .version_requests import VersionRequest


@dataclass(frozen=True, slots=True)
class RuntimeRequest:
    """What a runtime is chosen by: what the app asks for, the stack, where to look, and what is there already."""

    asked: Asked
    stack: Stack
    web: IndexPages
    indexes: Indexes
    previous: Plan | None = None
    """The plan in `stager.lock`, whose runtime is kept while it fits."""
    beside: Mapping[str, ChosenRuntime] = field(default_factory=dict)
    """The runtimes chosen before this one for the same buildpack, by name."""
    ended: bool = True
    """Whether a line past its end of life may be taken when no other fits."""

    @property
    def registry(self) -> str:
        """The npm registry's base URL."""
        return self.indexes.npm()

    def debian(self, suite: str, keyring: bytes) -> Index:
        """The index of a Debian suite with its security archive. Raises IntegrityError, FetchError."""
        from ..ecosystems.deb.index import DebianMirrors, merged

        mirrors = DebianMirrors(*self.indexes.debian(self.stack.suite))
        return merged(self.web, mirrors, suite, self.stack.architecture, keyring)


@dataclass(frozen=True, slots=True)
class Layout:
    """How artifacts of one kind are unpacked (`Artifact.layout`), and what is known of them."""

    unpack: Unpack
    """`unpack(blob, artifact, path) -> Unpacked`; a recipe never changes its output."""
    itself: str
    """The package URL, as a regular expression, of the artifact that the runtime itself is; others only go with it."""
    licence: str = ""
    """The archive's own one, where it states none in a form that can be read."""
    locate: Callable[[Artifact, Indexes], Iterable[str]] | None = None
    """Where an artifact may be that is on no ecosystem's index, best first."""
    gone: str = ""
    """How to mend a pin of it that is nowhere any more; empty where its ecosystem says it."""


class Candidate(NamedTuple):
    """A version or release line that could be chosen."""

    version: str
    line: str
    """What requests are held against."""
    chosen: bool
    text: str
    """What it is, for people."""


class Told(NamedTuple):
    """What an app's own files say of a build, found by reading them."""

    folder: str
    """Where it runs; empty for the app's own folder."""
    file: str
    line: int | None
    outputs: tuple[str, ...] = ()
    """What it leaves, as paths of the app; empty where only running the app's code could tell."""
    inputs: tuple[str, ...] = ()
    """Patterns of the files that it reads, where they are not as usual."""
    env: tuple[tuple[str, str], ...] = ()
    """Stand-ins for variables without which it could not run."""
    instead: str = ""
    """Why there is nothing to build after all, as a sentence."""


@dataclass(frozen=True, slots=True)
class Bytecode:
    """How a runtime's bytecode is made ahead of its start, and what is known of it in a droplet.

    A program of stager's, which only the runtime itself runs, in a sandbox, compiles files one by one; the same files
    always come to the same bytes. `docs/builds.md` has its promises.
    """

    ecosystem: str
    """Whose packages it compiles beside its own files. That one's section of `stager.yml` may say how much (`AMOUNTS`)."""
    fact: str
    """The fact of a plan that says how much, unless it is nothing."""
    program: str
    """The compiling program's text. Its arguments are two folders: in the first, each folder holds files by their path in
    the app folder; in the second it leaves what they come to in the same way."""
    command: tuple[str, ...]
    """The words that run a program with its arguments, in the app folder."""
    layout: str
    """The layout of an archive of bytecode. No lock has an artifact of it, as it is made here."""
    unpack: Unpack
    """Its recipe."""
    is_source: Callable[[str], bool]
    """Whether a file, by its path in the app folder, is compiled."""
    source: Callable[[str], str]
    """The path of the file whose bytecode a path is that of; empty when it is none's."""


def _natural(version: str) -> Any:
    from ..ecosystems.npm.semver import order

    return order(version)


@dataclass(frozen=True, slots=True)
class RuntimeKind:
    """An interpreter, virtual machine, server or tool that a droplet carries, and all that stager knows of it."""

    name: str
    """As a plan and `buildpack.yml` call it: `python`, `node`."""
    title: str
    """For people: `Python`, `Node.js`."""
    layouts: Mapping[str, Layout]
    choose: Callable[[RuntimeRequest], ChosenRuntime]
    """The runtime that satisfies every request and runs on the stack. Raises VersionError for a request that is malformed,
    unknown or at odds with another, NoRuntime for what the stack lacks, and what the indexes raise."""
    rule: str
    """How it is chosen, as a sentence's end; `{default}` is the release table's default line."""
    place: str = ""
    """The folder of the app that is its own, with a layer of its own; empty for a part of another runtime."""
    programs: str = ""
    """The folder on the search path that holds its programs."""
    interpreter: str = ""
    """A regular expression of the names of the program that runs an app's own programs."""
    readers: tuple[str, ...] = ()
    """Its programs whose first plain word is a file that they read."""
    commands: frozenset[str] = frozenset()
    """What an app starts that wants it there."""
    wish: str = ""
    """How an app gets it that starts one of these, as a sentence."""
    instead: str = ""
    """How to start them where it is there but has no such program, as a sentence."""
    example: str = ""
    """A start command, for people."""
    env: tuple[tuple[str, str, str], ...] = ()
    """(name, value, why): set at launch where the app has it, when the platform has not set them."""
    signs: tuple[str, ...] = ()
    """Path patterns of the files for which that is the example, where nothing says more."""
    parse: Callable[[str, Reason], VersionRequest] = beginning
    """A request's text as a test of versions. Raises VersionError."""
    sources: tuple[Reader, ...] = ()
    """What reads the app's files that ask for a version, highest precedence first."""
    releases: Callable[[], Releases] | None = None
    """Its release lines, with the month in which each ends."""
    candidates: Callable[[Runtime, Stack], Iterator[Candidate]] = lambda _chosen, _stack: iter(())
    """What could have been chosen, in the order of preference; for explanations."""
    tells: Mapping[str, Callable[[SourceTree, Mapping[str, str]], Told | None]] = field(default_factory=dict)
    """What a rule under `builds:` may have found out (`tells`): from the app's files, and the variables it sets at launch."""

    recipes: Mapping[str, BuildRecipe] = field(default_factory=dict)
    """The command of a build of the runtime itself → what it does. One never changes its output."""
    bytecode: Bytecode | None = None
    """How its bytecode is made ahead; None where it is not."""
    order: Callable[[str], Any] = _natural
    """A version as a value that orders as versions do. Raises ValueError."""
