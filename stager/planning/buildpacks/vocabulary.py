"""The words a buildpack's definition is made of, as values; `definition` reads them, `matching` evaluates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...digest import Digest

CLAIMS = ("manifest", "code", "pages", "tooling", "last")
"""How strongly a detect rule claims an app, strongest first; `detection` settles what happens between them."""
KINDS = ("switch", "folder", "files", "text", "table")
"""What an option in an app's settings file may be; see `options`."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must be found in the app: every part that is given must hold. A match has values and a place."""

    files: tuple[str, ...] = ()
    """Path patterns, in order of preference: `*` is any run within a part, `**` any number of parts."""
    content: str = ""
    """A regular expression (multi-line) for the file's text, or for `fields`; its named groups become values."""
    fields: tuple[str, ...] = ()
    """Dotted members of the JSON or TOML file, any of which must be there and not empty."""
    missing: tuple[str, ...] = ()
    """Path patterns that no file may match."""
    installed: tuple[str, ...] = ()
    """Packages that must all be installed; `a|b` is satisfied by either."""
    runtime: str = ""
    """A runtime the app must use, e.g. `bun`, or with a least version: `node>=22.18.0`."""
    entry: str = ""
    """A dotted table of the TOML file with one member, or with one named like the project: yields its `value`."""
    values: tuple[tuple[str, str], ...] = ()
    """Values that hold when this condition does."""


@dataclass(frozen=True, slots=True)
class DetectRule:
    """One way to recognise an app: a condition, how strongly it claims, and the sentence that explains it."""

    when: Condition
    claim: str
    why: str
    unless: tuple[Condition, ...] = ()
    replaces: str = ""
    """A buildpack whose match this one takes over when there is no third."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that a matching app must not have: the condition, what is wrong, and how to mend it."""

    when: Condition
    why: str
    hint: str


@dataclass(frozen=True, slots=True)
class Server:
    """A program that serves an application object: what must be installed, and its commands."""

    name: str
    installed: tuple[str, ...]
    run: str
    factory: str = ""
    """The command when the object is a function that makes the application."""


@dataclass(frozen=True, slots=True)
class StartRule:
    """One way to find a start command, tried in order; the first whose conditions all hold is taken."""

    name: str
    when: tuple[tuple[Condition, ...], ...]
    """Steps that must all hold, in turn, each by the first of its alternatives; values found are there for the next."""
    serve: tuple[str, ...] = ()
    """Names of servers, the first installed one is used; empty when `run` is the command."""
    run: str = ""
    why: str = ""
    note: str = ""
    needs_build: str = ""
    """Set when matching means that something has to be built first: what, and where it would go. `run`, if there is one, is
    the command once it is built."""


@dataclass(frozen=True, slots=True)
class Script:
    """A manifest script that only works after a build: a pattern for its text, and the file that must be there."""

    pattern: str
    needs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True)
class BuildTool:
    """A program that builds, by which it is known what a build leaves, and how that is started."""

    command: str
    """A pattern for one of the simple commands that the build's `run` comes to, from its program on; its groups are values."""
    outputs: tuple[str, ...]
    """Files and folders that it writes, with `{values}`."""
    when: tuple[tuple[Condition, ...], ...] = ()
    options: tuple[str, ...] = ()
    """Options of the command whose value is `{out}`, in place of what `when` finds."""
    leaves: tuple[str, ...] = ()
    """Files that are surely there after it."""
    pages: str = ""
    """The folder of them that is served to browsers as it is."""
    routes: bool = False
    """Whether a path of these pages that is no file is the first page's, which routes in the browser."""
    start: str = ""
    """The command that serves what was built, for an app that has none of its own."""
    recipes: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    members: str = ""
    """The script that it runs in the workspace's members: in all, or in the value `member` and what that depends on."""
    only: str = ""
    """What the script of which it is the whole is given besides, so that it runs for `{member}` and what that depends on."""


@dataclass(frozen=True, slots=True)
class BuildRule:
    """One way to find out what an app has to have built; of the rules with one name the first that holds is taken."""

    name: str
    when: tuple[tuple[Condition, ...], ...]
    run: tuple[str, ...]
    """Command lines with `{values}`, run one after the other; one of which a value is missing is left out."""
    why: str
    outputs: tuple[str, ...] = ()
    """Files and folders that it writes, beside those of the `tools` that it runs."""
    leaves: tuple[str, ...] = ()
    """Files that are surely there after it, so that detection and start commands may rely on them."""
    inputs: tuple[str, ...] = ()
    """Patterns of the app's files that it reads; empty for all but its outputs."""
    packages: tuple[str, ...] = ()
    """Debian packages that its root has beside the stack's."""
    recipes: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    development: bool = False
    """Whether packages that the app's lock has for development are there, too."""
    late: bool = False
    """Whether it reads what the builds of other buildpacks leave."""
    members: bool = False
    """Whether, in a workspace where it does not hold, it is tried in the folders of the members that are started, and of those
    that they depend on."""
    tells: str = ""
    """What a runtime finds out by reading the app's own files (`RuntimeKind.tells`): where the build runs, what it leaves."""
    ask: str = ""
    """A command that prints the folder it leaves, for an app of which reading does not tell it."""
    unless: str = ""
    """A variable that, set to anything, leaves the build out, as on other platforms."""


@dataclass(frozen=True, slots=True)
class Option:
    """A key that an app may set in the buildpack's settings file."""

    name: str
    kind: str
    default: str = ""
    pattern: str = ""
    """What a text must look like, in full."""
    below: str = ""
    """The folder of the app in which `files` are."""
    also: str = ""
    """What another platform calls it; where both stand there, its own name counts."""


@dataclass(frozen=True, slots=True)
class Buildpack:
    """Everything a buildpack's folder says; see the other classes for its parts."""

    name: str
    version: str
    """Raised by its author when output may change."""
    ecosystem: str
    """A key of `ecosystems.ECOSYSTEMS`, or empty."""
    looks_for: str
    """What it looks for, as a part of a sentence."""
    digest: Digest
    """Of the whole folder."""
    inputs: tuple[str, ...] = ()
    """File name patterns that determine the plan; see `resources.is_input`."""
    detect: tuple[DetectRule, ...] = ()
    refuse: tuple[Refusal, ...] = ()
    runtimes: tuple[str, ...] = ()
    managers: tuple[tuple[str, str], ...] = ()
    """(lock file name, the package manager that writes it); the first manager is the usual one."""
    alternatives: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(package manager, runtimes) where a manager calls for other runtimes than `runtimes`."""
    building: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(package manager, runtimes) that builds have besides where their scripts call it."""
    starting: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(program, runtimes) that the app has besides where a start command calls it."""
    env: tuple[tuple[str, str, str], ...] = ()
    """(name, value, reason): set at launch when the platform has not set them."""
    start: tuple[StartRule, ...] = ()
    servers: tuple[Server, ...] = ()
    roots: tuple[str, ...] = ()
    """Folders that hold top-level modules, beside the app's own, e.g. `src`."""
    scripts: tuple[Script, ...] = ()
    development: tuple[str, ...] = ()
    """Patterns of manifest scripts that start a development server, which no droplet should run."""
    previews: tuple[str, ...] = ()
    """Patterns of manifest scripts that do nothing but serve the files that a build leaves."""
    builds: tuple[BuildRule, ...] = ()
    tools: tuple[BuildTool, ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()
    """(file pattern, what to tell people when such a file is in the app's top folder)."""
    settings: str = ""
    """The app's settings file for this buildpack, e.g. `Staticfile`."""
    options: tuple[Option, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    """(template, path in the droplet)."""
    templates: Mapping[str, str] = field(default_factory=dict)
