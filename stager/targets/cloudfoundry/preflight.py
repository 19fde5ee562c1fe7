"""Whether a droplet would run on Cloud Foundry: the checks that the platform never makes.

The Cloud Controller stores a droplet without looking inside, so a malformed one fails only when the app starts. What the
launcher needs is looked at here: the folders beside the app, `staging_info.yml`, a start command, safe entries, the stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...droplet.reader import DropletFile
from ...errors import CannotWrite
from ...facts import platforms, stacks
from ...fetching.errors import TooLarge
from ...files.whole import parts
from ...formats.gunzip import gunzipped
from ...formats.tar_reader import TarEntry, read_entries
from ...store import Store
from ...text import parsing
from ..errors import Unfit
from .login import PLATFORM

LARGEST = 1536 << 20
"""Bytes of a droplet file: the default of `app_bits_max_body_size`, what the platform's front accepts of one upload."""
FOLDERS = ("./app/", "./deps/", "./logs/", "./profile.d/", "./tmp/")
"""What every droplet of the platform's own staging has."""
INFO = "./staging_info.yml"
_LAUNCH = "./app/.stager/bin/launch"
_GLIBC = {"cflinuxfs3": (2, 27), "cflinuxfs4": (2, 35), "cflinuxfs5": (2, 39)}
"""The platform's stacks: Ubuntu 18.04, 22.04 and 24.04."""
_OWN = platforms.PLATFORMS["cloudfoundry"].stack
_COMMAND = 4096
_AGAIN = "Stage it again with 'stager stage'."


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """What was found in a droplet that the platform can run. `unpacked` is what it takes on the app's disk, in bytes."""

    name: str
    stack: str
    glibc: tuple[int, int]
    process_types: Mapping[str, str]
    start_command: str
    unpacked: int
    notes: tuple[str, ...] = ()

    def require_web(self, manifest: Mapping[str, Any]) -> None:
        """Raise Unfit when the process `web`, of which the platform always starts an instance, would have no command."""
        web = manifest.get("web", {}).get("instances")
        if web is None or web.raw != 0:
            hint = "Add 'web: …' to the Procfile and stage again, or give 'web' no instance in the manifest: 'instances: 0'."
            raise Unfit(self.name, PLATFORM, "it has no process web, and the platform starts one", hint)


def check(droplet: DropletFile, *, limit: int = LARGEST, store: Store | None = None) -> PreflightResult:
    """Look at a droplet as the launcher will. What a `store` knows to have been assembled here is not inflated again.

    Raises TooLarge, and Unfit that says what is missing or wrong.
    """
    if droplet.size > limit:
        raise TooLarge(f"droplet {droplet.name}", limit, droplet.size)
    hex_ = droplet.digest.rpartition(":")[2]
    known = store.recall("cloudfoundry-fit", hex_) if store else None
    if known is None:
        made_here = store is not None and store.recall("made", hex_) is not None
        known = _as_assembled(droplet) if made_here else _read(droplet)
        if store:
            with suppress(CannotWrite):  # a memo may always be missing
                store.remember("cloudfoundry-fit", hex_, known)
    return _judged(droplet, known["start"], known["unpacked"])


def _as_assembled(droplet: DropletFile) -> dict[str, Any]:
    """What `_read` finds in bytes that this store's own assembly wrote, by their digest; the size counts the headers, too."""
    unpacked = sum(part.length for part in droplet.parts.values())
    return {"start": droplet.launch.processes.get("web", ""), "unpacked": unpacked}


def _read(droplet: DropletFile) -> dict[str, Any]:
    """The start command of `staging_info.yml` and the unpacked size, after looking at every entry."""
    kept: dict[str, list[bytes]] = {INFO: []}
    parts = _unpacked(droplet.path, droplet.name)
    unpacked = _looked_at(droplet.name, read_entries(parts, droplet.name, contents=False, keep=kept))
    for _ in parts:  # to the very end, where the checksum is
        pass
    info = b"".join(kept[INFO]).decode("utf-8", "replace")
    return {"start": _start_command(info, droplet.name), "unpacked": unpacked}


def _unpacked(path: str, name: str) -> Iterator[bytes]:
    """The archive, unpacked as the platform does it: one gzip member (RFC 1952) up to its checksum."""
    return gunzipped(parts(path, "Name a droplet file."), name, more=True)


def _looked_at(name: str, entries: Iterable[TarEntry]) -> int:
    """The space that the entries take in whole blocks of 4 KiB. Raises Unfit for a wrong or missing one."""
    missing = {*FOLDERS, INFO, _LAUNCH}
    unpacked = 0
    for entry in entries:
        why = _wrong(entry)
        if why:
            raise Unfit(name, PLATFORM, f"{entry.name!r} {why}", _AGAIN)
        missing.discard(entry.name)
        unpacked += (entry.size + 4095) & ~4095
    if missing:
        raise Unfit(name, PLATFORM, f"it has no {', '.join(sorted(missing))}", _AGAIN)
    return unpacked


def _wrong(entry: TarEntry) -> str:
    """Why the platform could not, or should not, unpack an entry; empty when it can."""
    parts = entry.name.split("/")
    if parts[0] != "." or ".." in parts:
        return "does not begin with './', or leaves the droplet"
    if entry.name == "./" and entry.mode & 0o055 != 0o055:
        return "would make the home folder unreadable"
    if entry.kind in ("hardlink", "other"):
        return "is neither a file, a folder nor a symbolic link"
    if entry.kind == "link" and (entry.link.startswith("/") or _climbs(entry)):
        return "is a link that leads out of the app"
    return "is not executable" if entry.name == _LAUNCH and not entry.mode & 0o100 else ""


def _climbs(entry: TarEntry) -> bool:
    """Whether a link's target is above the app's folder."""
    depth = entry.name.rstrip("/").count("/") - 2  # below ./app/
    for step in entry.link.split("/"):
        depth += -1 if step == ".." else step not in ("", ".")
        if depth < 0:
            return True
    return False


def _judged(droplet: DropletFile, start: str, unpacked: int) -> PreflightResult:
    processes = droplet.launch.processes
    if not processes:
        hint = "Name its start command after 'web:' in a Procfile, and stage again."
        raise Unfit(droplet.name, PLATFORM, "it has no process and therefore no start command", hint)
    if start != processes.get("web", ""):
        raise Unfit(droplet.name, PLATFORM, "its staging_info.yml and launch.json name different commands", _AGAIN)
    for kind, command in processes.items():
        if len(command) > _COMMAND:
            raise Unfit(
                droplet.name, PLATFORM, f"the command of {kind} is longer than {_COMMAND} characters", "Shorten it."
            )
    notes = (
        () if start else ("the droplet has no process web; the platform starts one of each app unless told otherwise",)
    )
    launch = droplet.launch
    return PreflightResult(droplet.name, launch.stack, launch.glibc, processes, start, unpacked, notes)


def _start_command(info: str, name: str) -> str:
    """`start_command` of `staging_info.yml`, which is JSON on one line (the launcher reads it as YAML)."""
    try:
        found = parsing.json(info)
        command = found["start_command"]
        if isinstance(command, str) and isinstance(found["detected_buildpack"], str) and info.count("\n") == 1:
            return command
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise Unfit(name, PLATFORM, "its staging_info.yml is not the one line of JSON that the launcher reads", _AGAIN)


def check_stack(
    droplet: PreflightResult, stack: str, *, accept: bool = False, targets: Sequence[str] = ("cloudfoundry",)
) -> str:
    """Whether a droplet runs on a stack of the platform: a remark, or empty. Raises Unfit when it would not, or might not.

    A droplet is sure of the stack it was staged for only. With `accept` another one will do, if its glibc is new enough.
    `targets` are all that the droplet is brought to, for hints.
    """
    if stack == droplet.stack:
        return ""
    have = _glibc(stack)
    hint = f"Run '{platforms.restage(targets, stack)}' in the app's folder"
    if stack not in stacks.names():
        hint = f"stager cannot stage for that stack: let the app be on {_OWN}, and run '{platforms.command(targets)}'"
    if have and droplet.glibc > have:
        needs = f"it needs glibc {droplet.glibc[0]}.{droplet.glibc[1]}, and {stack} has {have[0]}.{have[1]}"
        raise Unfit(droplet.name, PLATFORM, needs, f"{hint}.")
    if not accept:
        why = f"it was staged for {droplet.stack}, and the app is on {stack}"
        raise Unfit(droplet.name, PLATFORM, why, f"{hint}, or accept it with --any-stack.")
    return f"staged for {droplet.stack}, pushed to {stack}"


def best_of(known: Sequence[str], droplet: PreflightResult) -> str:
    """Of a platform's stacks, for an app of which nobody says its stack: the one that stager stages for, else the newest.

    Only one whose glibc is enough for the droplet is taken; empty when there is none.
    """
    able = [name for name in known if (_glibc(name) or (0, 0)) >= droplet.glibc]
    return max(able, key=lambda name: (name == _OWN, _glibc(name) or (0, 0), name), default="")


def _glibc(stack: str) -> tuple[int, int] | None:
    if stack in _GLIBC:
        return _GLIBC[stack]
    return stacks.load(stack).glibc if stack in stacks.names() else None
