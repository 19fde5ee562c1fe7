"""Which stack suits several targets at once, decided before anything is planned and without asking anybody.

What counts is what stacks and platforms promise, never what one droplet happens to need: so an app gets the same stack for
the same targets on every machine, and keeps it when a package is added. `docs/stacks.md` shows the answers as a table.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..errors import UsageError
from ..model import Stack
from . import stacks as box

STEMCELLS = {"ubuntu-jammy": (2, 35), "ubuntu-noble": (2, 39)}
"""BOSH's supported stemcell lines, the oldest first, and their glibc."""
YES, OTHER, NO = "yes", "with --any-stack", "no"
"""What a target says to a stack: it takes its droplets as they are; when told that the name may differ; not at all."""


@dataclass(frozen=True, slots=True)
class PlatformStacks:
    """What a target runs droplets on. A target that brings each droplet's own root along takes every stack.

    `stack` is the one whose root it has for all droplets; `glibc` that of its newest root where the name does not matter;
    `built` whether it needs a root that stager makes.
    """

    stack: str = ""
    glibc: tuple[int, int] | None = None
    built: bool = False


PLATFORMS = {
    "cloudfoundry": PlatformStacks(stack="cflinuxfs4"),
    "heroku": PlatformStacks(stack="heroku-24"),
    "bosh": PlatformStacks(glibc=max(STEMCELLS.values())),
    "vagrant": PlatformStacks(built=True),
    **dict.fromkeys(("oci", "openshift", "plain", "tar", "systemd", "chef", "capistrano"), PlatformStacks()),
}
"""Every target that `--for` may name: those of `export` and `deploy`, and `vagrant` for `stager up`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The stack that suits, and remarks about targets that take it under a condition."""

    stack: str
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=16)
def _box(name: str) -> box.StackFacts:
    return box.read(name)


def read(texts: Iterable[str]) -> tuple[str, ...]:
    """Targets from words such as `heroku,oci`, each once, in the order given. Raises UsageError for what is none."""
    names = tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",")))
    for name in names:
        if name not in PLATFORMS:
            raise UsageError(f"there is no target {name!r}", f"Targets: {', '.join(PLATFORMS)}.")
    return names


def answer(target: str, stack: str, architecture: str = "amd64") -> str:
    """What a target says to the droplets of a stack: YES, OTHER or NO."""
    return NO if refusal(target, stack, architecture) else YES if PLATFORMS[target].stack in ("", stack) else OTHER


def refusal(target: str, stack: str, architecture: str = "amd64") -> str:
    """Why no droplet of a stack may count on running on a target; empty when each may."""
    found, platform = _box(stack), PLATFORMS[target]
    if architecture not in found.architectures:
        return f"stack {stack} does not come for {architecture}"
    if platform.built and not found.built:
        return f"there is no box of {stack}, whose root is the platform's own"
    if platform.glibc:
        return _older(found.glibc, platform.glibc, "its newest stemcell line")
    if platform.stack and platform.stack != stack:
        return _lacks(found.stack(architecture), platform.stack, architecture)
    return ""


def _lacks(stack: Stack, own: str, architecture: str) -> str:
    """What the stack `own` lacks of what `stack` promises."""
    there = _box(own)
    if architecture not in there.architectures:
        return f"stack {own} does not come for {architecture}"
    missing = sorted(stack.libraries - there.libraries)
    return _older(stack.glibc, there.glibc, own) or (f"{own} has no {', '.join(missing)}" if missing else "")


def _older(needed: tuple[int, int], there: tuple[int, int], what: str) -> str:
    first, second = (".".join(map(str, version)) for version in (needed, there))
    return f"it may need glibc {first}, and {what} has {second}" if needed > there else ""


def choose(
    targets: Sequence[str],
    own: str,
    architecture: str = "amd64",
    *,
    asked: str = "",
    any_stack: bool = False,
    default: str = "",
    app: str = "",
) -> Choice:
    """The stack that suits all targets: the one `asked` for if it does, else the best of the shipped ones.

    Best is what the fewest targets take with `--any-stack` only, but the app's `own` where `any_stack` says that names do not
    matter; among equals its own, then the `default`, then the one with the oldest C library, then the first by name. `app` is
    the folder that hints name. Raises UsageError when a target takes none of them, or not the one asked for.
    """
    if asked:
        _check(targets, asked, architecture, app)
        return Choice(asked, () if any_stack else _notes(targets, asked, architecture))
    fitting = _fitting(targets, architecture)
    if not fitting:
        raise _unsuited(targets, architecture, app)

    def rank(stack: str) -> tuple[int, bool, bool, tuple[int, int], str]:
        others = sum(answer(target, stack, architecture) == OTHER for target in targets)
        return (0 if any_stack and stack == own else others), stack != own, stack != default, _box(stack).glibc, stack

    stack = min(fitting, key=rank)
    return Choice(stack, () if any_stack else _notes(targets, stack, architecture))


def _notes(targets: Sequence[str], stack: str, architecture: str) -> tuple[str, ...]:
    return tuple(
        f"{target} runs droplets of {PLATFORMS[target].stack}; it takes this one, for {stack}, with --any-stack"
        for target in targets
        if answer(target, stack, architecture) == OTHER
    )


def _fitting(targets: Iterable[str], architecture: str) -> list[str]:
    wanted = list(targets)
    return [name for name in box.names() if all(answer(target, name, architecture) != NO for target in wanted)]


def _check(targets: Sequence[str], asked: str, architecture: str, app: str) -> None:
    """Raise UsageError when a target does not take the stack that was asked for."""
    why = [f"{target}: {reason}" for target in targets if (reason := refusal(target, asked, architecture))]
    if why:
        hint = f"Leave --stack out: {_commands(targets, architecture, app)}."
        raise UsageError(f"stack {asked} does not suit {'; '.join(why)}", hint)


def _unsuited(targets: Sequence[str], architecture: str, app: str) -> UsageError:
    """The error for targets that no stack suits: what each takes, and the commands that stage for as many as can be."""
    takes = {target: ", ".join(_fitting([target], architecture)) or "none" for target in targets}
    listed = "; ".join(f"{target} takes {stacks}" for target, stacks in takes.items())
    what = f"no stack for {architecture} suits {_and(targets)}: {listed}"
    able = [target for target in targets if _fitting([target], architecture)]
    if not able:
        return UsageError(what, "Choose another architecture with --arch, or another target.")
    return UsageError(what, f"Stage for them apart: {_commands(able, architecture, app)}.")


def _commands(targets: Sequence[str], architecture: str, app: str) -> str:
    """The commands that stage for all targets: as few as go, first come first served; a file for each if they are several."""
    groups: list[list[str]] = []
    for target in targets:
        group = next((one for one in groups if _fitting([*one, target], architecture)), None)
        if group is None:
            groups.append([target])
        else:
            group.append(target)
    texts = [command(group, app, architecture, f"{group[0]}.tgz" if len(groups) > 1 else "") for group in groups]
    return _and([f"'{text}'" for text in texts])


def command(targets: Iterable[str], app: str = "", architecture: str = "amd64", out: str = "") -> str:
    """The whole command that stages for targets."""
    words = ["stager", "stage", *([] if app in ("", ".") else [app]), "--for", ",".join(targets)]
    words += [] if architecture == "amd64" else ["--arch", architecture]
    return shlex.join([*words, *(["-o", out] if out else [])])


def restage(targets: Sequence[str], stack: str) -> str:
    """The whole command that makes a droplet for targets, one of which runs `stack`."""
    known = any(PLATFORMS[target].stack == stack for target in targets)
    return command(targets) if known else f"stager stage --stack {stack}"


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
