"""Bringing the machine up: choose, stage, make the box, write what Vagrant reads, run it, check, wait until ready."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ... import entry
from ...digest import key_of, sha256
from ...droplet.incremental import Folder
from ...errors import CannotWrite, StagerError, UsageError
from ...files import limits, regular
from ...planning.detection import appconfig
from ..errors import BadMachine, MachineFailed, NoMachine, NotReady
from ..health import OK, WARNING, HealthVerdict, wait
from . import boxes, checking, environment, guest_files, logs, ports, providers, vagrantfile
from . import state as folder
from .driving import Context, forget_containers, label, machine_state, made, reach, running, take_away
from .ssh import Guest, config, connected
from .state import MachinePlace, State

if TYPE_CHECKING:
    from ...records import Staged

_OFF = ("stopped", "shutoff", "poweroff", "not_created")
_SETTLED = 30.0
"""Seconds in which the processes of an app that is well must seem to go on."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the user asks for; empty or 0 means: as it is, else the default."""

    provider: str = ""
    port: int = 0
    box: str = ""
    like: str = ""
    scale: Mapping[str, int] = field(default_factory=dict[str, int])
    drain: str | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    eject: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A machine that runs its app. `created` says whether it is new, `changed` whether the droplet in it is."""

    state: State
    verdict: HealthVerdict
    created: bool
    changed: bool
    vagrantfile: str
    notes: tuple[str, ...] = ()


def up(app: str, wanted: UpOptions, context: Context) -> Result:
    """Have the app's machine run the app's droplet, and wait until it is ready. One that does so already is left alone.

    A new machine that fails before it has run is taken away again; NotReady leaves it, so that one can look at it. Raises
    NoProvider, PortInUse, MachineFailed, MachineBusy, NotReady, CannotWrite, and what staging and building the box raise.
    """
    where = folder.place(app)
    old = _old(where)
    _check_wishes(old, wanted)
    provider = old.provider if old else providers.choose(wanted.provider, context.environ)
    found = machine_state(where, old, context) if old else "not_created"
    port = _port(old, wanted, found)
    fresh = not where.exists()
    folder.prepare(where)
    with folder.alone(where), _taken_away(where, context, provider, fresh):
        with context.timed("stage"):
            staged, state = _staged(where, old, wanted, context, provider, port)
        stack = boxes.definition(state.box)
        with context.timed("box"):
            state = _boxed(where, stack, state, old, context)
        note = _write(where, stack, state, wanted)
        state = replace(state, laid=_laid(where, state))
        same = old is not None and _same(old, state)
        if not (same and found == "running" and _holds(where, state)):
            folder.save(where, replace(state, droplet=old.droplet if old else "", laid=""))
            with context.timed("machine"):
                vagrant = made(where, state.provider, state, context)
                vagrant.up(provider=state.provider, provision=None if same or old is None else True)
            with context.timed("check"):
                _reached(where, state, context)
        folder.save(where, state)
    with context.timed("ready"):
        verdict = ready(where, state)
    changed = old is None or old.droplet != state.droplet
    return Result(
        state, verdict, old is None, changed, vagrantfile.write(where, stack, state), (*_notes(staged), *note)
    )


def _old(where: MachinePlace) -> State | None:
    """The machine that was there before. The rest of one that never ran counts as none."""
    try:
        state = folder.load(where)
    except NoMachine:
        return None
    return state if state.droplet else None


def _check_wishes(old: State | None, wanted: UpOptions) -> None:
    environment.drain(wanted.drain or "")
    if wanted.like and wanted.like not in environment.LIKE:
        raise UsageError(f"--like {wanted.like} is unknown", f"Choose {', '.join(environment.LIKE)}.")
    fixed = {"provider": (wanted.provider, old.provider), "port": (wanted.port, old.port)} if old else {}
    for name, (asked, have) in fixed.items():
        if asked and asked != have:
            raise UsageError(f"this app's machine has {name} {have}, not {asked}", "Run 'stager destroy' first.")


def _port(old: State | None, wanted: UpOptions, found: str) -> int:
    if old is None:
        return ports.choose(wanted.port)
    if found != "running":
        ports.check(old.port, asked=False)
    return old.port


@contextmanager
def _taken_away(where: MachinePlace, context: Context, provider: str, fresh: bool) -> Iterator[None]:
    """Take a new machine away again when something goes wrong, Ctrl-C included."""
    try:
        yield
    except BaseException as problem:
        if not fresh:
            raise
        left = not take_away(where, provider, context)
        if left and isinstance(problem, MachineFailed):
            raise MachineFailed(problem.step, problem.said, left=True) from None
        raise


# --- deciding --------------------------------------------------------------------------------------------------


def _staged(
    where: MachinePlace, old: State | None, wanted: UpOptions, context: Context, provider: str, port: int
) -> tuple[Staged, State]:
    """Stage the app into the machine's folder, and decide what the machine will be."""
    out = where.file("droplet.tgz")
    staged = entry.stage(where.app, out, context.settings)
    tree = Folder.read(where.app, context.settings.store).tree
    settings = appconfig.read(tree)
    base = old or State(provider, staged.base.stack, wanted.box or staged.base.stack, port)
    if old and wanted.box and wanted.box != old.box:
        raise UsageError(f"this app's machine was made of {old.box}, not {wanted.box}", "Run 'stager destroy' first.")
    scale = dict(wanted.scale) or base.scale
    state = replace(
        base,
        stack=staged.base.stack,
        architecture=staged.base.architecture,
        like=wanted.like or base.like,
        drain=base.drain if wanted.drain is None else wanted.drain,
        env={**base.env, **wanted.env},
        scale=scale,
        services=tuple(sorted(settings.services)),
        secrets={**{name: os.urandom(18).hex() for name in settings.services}, **base.secrets},
        health=checking.health_of(settings.health, "health" in settings.lines, where.app),
        processes=environment.processes(tuple(staged.base.processes), scale),
        droplet=str(staged.digest),
        source=str(tree.digest),
        files=str(tree.digest),
    )
    return staged, state


def _notes(staged: Staged) -> tuple[str, ...]:
    return (*staged.notes, *(f"{path}: {why}" for path, why in staged.left_out))


def _boxed(where: MachinePlace, stack: Any, state: State, old: State | None, context: Context) -> State:
    """The state with its box, which is made when it is not there yet."""
    if old and old.services == state.services:
        return replace(state, image=old.image, driver=old.driver)
    if old:
        raise UsageError(
            f"the app now asks for the services {', '.join(state.services) or 'none'}, its machine was made for others",
            "Run 'stager destroy', then 'stager up'.",
        )
    if state.provider == "docker":
        tag = boxes.container(stack, state.architecture, state.services, context.settings, context.environ)
        return replace(state, image=tag)
    name = boxes.disk(stack, state, context.settings, made(where, state.provider, None, context))
    if state.provider != "libvirt":
        return replace(state, image=name)
    why = providers.kvm(context.environ)
    if why:
        context.tell(f"no KVM for libvirt, the machine is emulated: {why}")
    return replace(state, image=name, driver="qemu" if why else "kvm")


# --- acting ----------------------------------------------------------------------------------------------------


def _write(where: MachinePlace, stack: Any, state: State, wanted: UpOptions) -> tuple[str, ...]:
    """Everything Vagrant and the machine read; remarks."""
    _key(where)
    folder.publish(where.file("provision"), guest_files.script("provision"), 0o755)
    folder.publish(where.file("guest.tar"), guest_files.archive(state, os.path.basename(where.app)))
    notes: tuple[str, ...] = ()
    if wanted.eject:
        told = "wrote Vagrantfile, which is yours from now on" if vagrantfile.eject(where, stack, state) else ""
        notes = (told or "there is a Vagrantfile already; it was left as it is, and is in force from now on",)
    elif os.path.lexists(where.ejected) and not where.is_ejected():
        notes = ("the app's own Vagrantfile is not used: it is a program; 'stager up --eject' puts it in force",)
    vagrantfile.write(where, stack, state)
    return notes


def _key(where: MachinePlace) -> None:
    """A key of this machine's own, made once."""
    path = where.file("key")
    if os.path.exists(path):
        return
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "stager", "-f", path]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30)
    except OSError:
        from ...files.errors import ProgramMissing

        raise ProgramMissing("ssh-keygen", "make the machine's key", "openssh-client") from None
    if done.returncode:
        raise CannotWrite(path, done.stderr.decode("utf-8", "replace").strip()[:200])


def _laid(where: MachinePlace, state: State) -> str:
    """The digest of what the machine is made and set up from, which has been written."""
    path = where.ejected if where.is_ejected() else where.file("Vagrantfile")
    try:
        own = regular.read(path, limits.SETTINGS)
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from None
    given = guest_files.archive(state, os.path.basename(where.app))
    return key_of(*(str(sha256(part)) for part in (own, guest_files.script("provision"), given)))


def _same(old: State, state: State) -> bool:
    """Whether a machine that is as `old` says is as `state` says, or will be when it is started."""
    return (old.laid, old.droplet, old.files) == (state.laid, state.droplet, state.files)


def _holds(where: MachinePlace, state: State) -> bool:
    """Whether the machine can be reached and has the droplet."""
    try:
        return _droplet(where) == state.droplet
    except StagerError:
        return False


def _droplet(where: MachinePlace) -> str:
    """The digest of the droplet that the machine has put in place; empty when there is none."""
    found = reach(where).run(["cat", "/etc/stager/droplet"]).stdout.decode("utf-8", "replace").strip()
    return f"sha256:{found}" if found else ""


def _reached(where: MachinePlace, state: State, context: Context) -> None:
    """Find out how to reach the machine, and that it has really put the droplet in.

    Vagrant skips the provisioners of a machine that it cannot log in to, and says nothing.
    """
    text = _container_address(where, state, context.environ) or made(where, state.provider, state, context).ssh_config()
    folder.publish(where.file("ssh_config"), config(text))
    found = _droplet(where)
    if found != state.droplet:
        said = f"the machine has the droplet {found or 'of nobody'}, not {state.droplet}"
        raise MachineFailed("provisioning was skipped", [said], "Was the Vagrantfile's provisioning taken out?")


def _container_address(where: MachinePlace, state: State, environ: Mapping[str, str]) -> str:
    """What `vagrant ssh-config` would say of a container, which takes it two seconds; empty when that cannot be told."""
    if state.provider != "docker" or where.is_ejected():
        return ""
    with providers.engine(environ) as client:
        found = client.containers.list(filters={"label": f"io.stager.machine={label(where)}"})
    try:
        ports_ = found[0].attrs["NetworkSettings"]["Ports"]["22/tcp"] if len(found) == 1 else []
    except KeyError:
        return ""
    key = where.file("key")
    rows = [
        f"  HostName {row['HostIp']}\n  Port {row['HostPort']}\n  User vagrant\n  IdentityFile {key}\n"
        for row in ports_
    ]
    return rows[0] if len(rows) == 1 else ""


def ready(where: MachinePlace, state: State) -> HealthVerdict:
    """Wait until the app is ready, as its health check says. Raises NotReady with the end of its log."""
    with connected(where.file("ssh_config")) as guest:
        return _waited(guest, state)


def _waited(guest: Guest, state: State) -> HealthVerdict:
    before = sum(row.ends for row in checking.rows(guest))
    last = [time.monotonic()]

    def alive() -> bool:
        """It is given up when the processes have ended several times since."""
        if time.monotonic() - last[0] < 2:
            return True
        last[0] = time.monotonic()
        return sum(row.ends for row in checking.rows(guest)) - before < 4

    verdict = wait(lambda: checking.probe(state, guest), state.health.timeout, alive=alive)
    if verdict.status in (OK, WARNING):  # what follows is not the app's time to start
        verdict = wait(lambda: checking.ready(state, guest), _SETTLED, alive=alive)
    if verdict.status in (OK, WARNING):
        return verdict
    lines: list[str] = []
    with suppress(StagerError):
        lines = logs.of_crashes(guest, checking.rows(guest)) or [row.text() for row in logs.last(guest, 10)]
    raise NotReady(verdict.text, lines)


# --- the other verbs -------------------------------------------------------------------------------------------


def provision(app: str, context: Context) -> Result:
    """Stage again, and put the droplet in when it is another one. Raises NoMachine and what `up` raises."""
    where, old = running(app, context)
    with folder.alone(where):
        with context.timed("stage"):
            staged, state = _staged(where, old, UpOptions(), context, old.provider, old.port)
        stack = boxes.definition(state.box)
        state = _boxed(where, stack, state, old, context)
        _write(where, stack, state, UpOptions())
        state = replace(state, laid=_laid(where, state))
        changed = not _same(old, state)
        if changed:
            folder.save(where, replace(state, droplet=old.droplet, laid=""))
            with context.timed("machine"):
                made(where, state.provider, state, context).provision()
            _reached(where, state, context)
        folder.save(where, state)
    with context.timed("ready"):
        verdict = ready(where, state)
    return Result(state, verdict, False, changed, vagrantfile.write(where, stack, state), _notes(staged))


def halt(app: str, context: Context) -> None:
    """Stop the machine, unless it is stopped; what is in it stays. Raises NoMachine, MachineFailed."""
    where = folder.place(app)
    state = folder.load(where)
    with folder.alone(where):
        if machine_state(where, state, context) in _OFF:
            return
        made(where, state.provider, state, context).halt()


def destroy(app: str, context: Context) -> bool:
    """Remove the machine and everything stager keeps of it; False when there was none. Raises MachineFailed."""
    where = folder.place(app)
    if not where.exists():
        return False
    folder.check(where)
    try:
        provider = folder.load(where).provider
    except (NoMachine, BadMachine):
        provider = ""
    with folder.alone(where):
        if os.path.isdir(where.file("vagrant")):
            made(where, provider or "docker", None, context).destroy()
        forget_containers(where, provider, context.environ)
    folder.remove(where)
    return True
