"""Debian packages that an app needs while it runs: `packages` of `stager.yml`, or the list that it has for another builder.

Heroku's `Aptfile`, Cloud Foundry's `apt.yml`, railpack's `deploy.aptPackages` and nixpacks' `aptPkgs` mean the same; what else
such a file may say is refused or told, with the line that says it to stager. `packages` of `stager.yml` decides alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..ecosystems import ecosystem
from ..ecosystems.deb import environment, wanted
from ..ecosystems.deb.index import DebianMirrors, Index, debs, merged
from ..ecosystems.deb.place import LAYOUT, PLACE
from ..ecosystems.deb.system import FACT, TRIPLETS
from ..errors import BadManifest
from ..facts import stacks
from ..model import Artifact, Build, Locked, Plan, Stack
from ..text.yamltext import parse
from .detection import appconfig
from .detection.matching import AppFacts

if TYPE_CHECKING:
    from ..ecosystems.record import IndexPages
    from ..net.indexes import Indexes
    from ..tree import SourceTree

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+\Z")
_SERVERS = re.compile(r"postgresql(?:-\d+)?|redis(?:-server)?")
"""What `services` of `stager.yml` bring."""
_INSTEAD = "Write the names of Debian packages into stager.yml, which then decides alone: packages: [{names}]"


class Wish(NamedTuple):
    """A package that an app asks for, and where it says so."""

    name: str
    file: str
    line: int | None


def wishes(tree: SourceTree) -> tuple[tuple[Wish, ...], tuple[str, ...]]:
    """What the app asks for, each name once, sorted; and remarks. Raises BadManifest for what is no package of the archive."""
    config = appconfig.read(tree)
    if config.packages is not None:
        lines = config.lines
        own = [Wish(name, appconfig.NAME, lines.get(f"packages[{n}]")) for n, name in enumerate(config.packages)]
        return _checked(own), ()
    notes: list[str] = []
    facts = AppFacts(tree)
    found = [wish for file, read in _FILES.items() if file in tree for wish in read(facts, file, notes)]
    return _checked(found), tuple(notes)


def _checked(found: list[Wish]) -> tuple[Wish, ...]:
    for wish in found:
        if not _NAME.match(wish.name):
            why = _why(wish.name)
            raise BadManifest(wish.file, f"{wish.name[:80]!r} {why}", _hint(found), wish.line)
    once = {wish.name: wish for wish in reversed(found)}
    return tuple(once[name] for name in sorted(once))


def _why(text: str) -> str:
    if "://" in text or text.endswith(".deb"):
        return "is a file of its own: no archive's signature vouches for it"
    if "=" in text or "/" in text:
        return "names a version or a suite: which version an app gets is pinned in stager.lock"
    return "is not the name of a Debian package"


def _hint(found: list[Wish]) -> str:
    names = sorted({re.split("[=/:]", wish.name)[0] for wish in found if "://" not in wish.name} or {"NAME"})
    return _INSTEAD.format(names=", ".join(names[:12]))


# --- files of other builders -----------------------------------------------------------------------------------


def _aptfile(facts: AppFacts, file: str, _: list[str]) -> Iterator[Wish]:
    """A name a line, and after `:repo:` an archive of others."""
    for number, line in enumerate(facts.text(file).split("\n"), 1):
        text = line.partition("#")[0].strip()
        if text.startswith(":repo:"):
            raise _foreign(file, number)
        yield from (Wish(word, file, number) for word in text.split())


def _foreign(file: str, line: int | None) -> BadManifest:
    why = "names an archive of its own: packages come from the stack's signed archive alone"
    return BadManifest(file, why, _INSTEAD.format(names="NAME"), line)


def _apt_yml(facts: AppFacts, file: str, _: list[str]) -> Iterator[Wish]:
    document = parse(facts.text(file), file, lambda name, why, line: BadManifest(name, why, line=line))
    for key in ("repos", "keys"):
        if document.root.get(key) is not None:
            raise _foreign(file, document.line(key))
    for number, name in enumerate(document.root.strings("packages")):
        yield Wish(name, file, document.line(f"packages[{number}]"))


def _railpack(facts: AppFacts, file: str, notes: list[str]) -> Iterator[Wish]:
    if facts.member(file, "buildAptPackages"):
        notes.append(f"{file}: buildAptPackages are for building; name them as 'packages' of a build in stager.yml")
    yield from _members(facts, file, "deploy.aptPackages")


def _nixpacks(facts: AppFacts, file: str, notes: list[str]) -> Iterator[Wish]:
    nix = [name for name in _texts(facts, file, "phases.setup.nixPkgs") if name != "..."]
    if nix:
        notes.append(f"{file}: nixPkgs are not read; {_INSTEAD.format(names=', '.join(nix[:12]))}")
    yield from _members(facts, file, "phases.setup.aptPkgs")


def _members(facts: AppFacts, file: str, dotted: str) -> Iterator[Wish]:
    line = facts.line(file, dotted)
    yield from (Wish(name, file, line) for name in _texts(facts, file, dotted) if name != "...")


def _texts(facts: AppFacts, file: str, dotted: str) -> list[str]:
    try:
        value = facts.member(file, dotted)
    except BadManifest:  # another platform's file is not ours to correct
        return []
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


_FILES: dict[str, Callable[[AppFacts, str, list[str]], Iterator[Wish]]] = {
    "Aptfile": _aptfile,
    "apt.yml": _apt_yml,
    "railpack.json": _railpack,
    "nixpacks.toml": _nixpacks,
}


# --- what they come to -----------------------------------------------------------------------------------------


def linked(builds: Iterable[tuple[str, Build]], stack: Stack) -> tuple[Wish, ...]:
    """What artifacts are linked with that have to be built, each given with its ecosystem. Where the stack has no archive,
    it is the artifact's check against the stack that says what is missing."""
    found = tuple(Wish(name, build.reason.file, None) for of, build in builds for name in ecosystem(of).linked(build))
    return found if found and stacks.read(stack.name).suite else ()


def choose(
    tree: SourceTree, stack: Stack, web: IndexPages, indexes: Indexes, previous: Plan | None, more: Sequence[Wish] = ()
) -> tuple[Locked, tuple[tuple[str, str], ...]]:
    """The packages to bring with what leads to them, and the plan's fact of what was asked for: by the app, and `more`.

    Those of the `previous` plan stay while it asked for the same. Raises BadManifest for what is not to be had, or cannot work
    in a droplet; IntegrityError, FetchError.
    """
    asked, notes = tree.once(wishes)
    known = {wish.name for wish in asked}
    asked = tuple(sorted((*asked, *{one.name: one for one in more if one.name not in known}.values())))
    if not asked:
        return Locked((), notes=notes), ()
    fact = " ".join(wish.name for wish in asked)
    artifacts = _kept(previous, stack, fact) or _resolved(asked, stack, web, indexes)
    names = [one.name.split("@")[0].rpartition("/")[2] for one in artifacts]
    text = environment.profile(names, TRIPLETS[stack.architecture], PLACE)
    return Locked(artifacts, files=((environment.PROFILE, text),), notes=notes), ((FACT, fact),)


def _kept(previous: Plan | None, stack: Stack, fact: str) -> tuple[Artifact, ...]:
    same = previous and (previous.stack, previous.architecture) == (stack.name, stack.architecture)
    if not previous or not same or dict(previous.facts).get(FACT) != fact:
        return ()
    return tuple(one for one in previous.artifacts if one.layout == LAYOUT)


def _resolved(asked: tuple[Wish, ...], stack: Stack, web: IndexPages, indexes: Indexes) -> tuple[Artifact, ...]:
    own = stacks.read(stack.name)
    if not own.suite:
        able = ", ".join(name for name in stacks.names() if stacks.read(name).suite)
        why = f"the stack {stack.name} has no archive that {asked[0].name} could come from"
        raise BadManifest(asked[0].file, why, f"Choose one that has: {able}.", asked[0].line)
    index = merged(web, DebianMirrors(*indexes.debian(own.suite)), own.suite, stack.architecture, own.keyring)
    there = stacks.packages(stack.name, stack.architecture)
    names = {wish.name: _real(wish, index, own.suite, asked) for wish in asked}
    stanzas, missing = wanted.closure(index, {*names.values()} - wanted.INSTALLING, there)
    if missing:
        why = f"the archive of {own.suite} cannot meet what is needed: {missing[0]}"
        raise BadManifest(asked[0].file, why, "The archive may be changing just now: try again later.", asked[0].line)
    return debs(stanzas, LAYOUT, PLACE)


def _real(wish: Wish, index: Index, suite: str, asked: tuple[Wish, ...]) -> str:
    name = wanted.real(index, wish.name)
    if not name:
        close = difflib.get_close_matches(wish.name, [one for one in index if one[0] == wish.name[0]], n=1)
        why = f"the archive of {suite} has no package {wish.name!r}" + "".join(
            f"; did you mean {one!r}?" for one in close
        )
        others = [other.name for other in asked if other.name in index]
        raise BadManifest(wish.file, why, _INSTEAD.format(names=", ".join(others[:12]) or "NAME"), wish.line)
    if _SERVERS.fullmatch(name) or wanted.is_service(index, name):
        why = f"{wish.name} is a service of the system with a user of its own, which a droplet cannot have"
        hint = (
            "Run it beside the app: as one of the 'services' of stager.yml, or as a service or add-on of the platform."
        )
        raise BadManifest(wish.file, why, hint, wish.line)
    return name
