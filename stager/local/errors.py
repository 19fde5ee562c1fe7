"""Errors of running droplets here, and of machines."""

from __future__ import annotations

from ..errors import IntegrityError, TargetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Refused(IntegrityError):
    """A droplet or box whose bytes are not those that were promised; found by the machine or by Vagrant."""

    code = "Refused"

    def __init__(self, what: str, said: str) -> None:
        super().__init__(
            f"{what} was refused: {said}",
            "Somebody or something changed it on its way; nothing of it was used. Make it again, and see who did.",
        )


class NoProvider(TargetError):
    """Nothing on this machine can hold a box.

    Each provider is there with what is missing; `extra` when the first step is to install that extra of stager's.
    """

    code = "NoProvider"

    def __init__(self, attempts: Sequence[tuple[str, str]], extra: str = "") -> None:
        tried = "; ".join(f"{name}: {why}" for name, why in attempts)
        vagrant = any(name == "vagrant" for name, _ in attempts)
        packages = "docker.io; or vagrant-libvirt libvirt-daemon-system qemu-system-x86"
        hint = f"{'Install Vagrant with' if vagrant else 'Vagrant is there; it needs'} one of its providers"
        hint += f" (on Debian: apt-get install {'vagrant ' * vagrant}{packages})"
        super().__init__(
            f"nothing here can run a machine: {tried}",
            f"{f'Install stager with its extra: {extra}' if extra else hint}; 'stager doctor' shows what is missing.",
            attempts=[list(row) for row in attempts],
        )


class PortInUse(TargetError):
    """A port of this host that another program listens on."""

    code = "PortInUse"

    def __init__(self, port: int, asked: bool) -> None:
        hint = "Choose another with --port, or end what listens there."
        super().__init__(
            f"port {port} is in use", hint if asked else f"The machine's port is {port}. {hint}", port=port
        )


class MachineFailed(TargetError):
    """A step with the machine that failed.

    `said` are the last lines of the provider or of the machine itself.
    """

    code = "MachineFailed"

    def __init__(self, step: str, said: Sequence[str], hint: str = "", left: bool = False) -> None:
        after = (
            "Its parts may still be there: 'stager destroy' removes them." if left else "Nothing of it was left behind."
        )
        super().__init__(f"{step}: {'; '.join(said) or 'it says nothing'}", f"{hint} {after}".strip(), said=list(said))
        self.step, self.said = step, list(said)


class NoMachine(TargetError):
    """A command about a machine that does not exist, or does not run."""

    code = "NoMachine"

    def __init__(self, state: str) -> None:
        super().__init__(f"this app's machine {state}", "Run 'stager up'.", state=state)


class MachineBusy(TargetError):
    """Another stager works on the same machine."""

    code = "MachineBusy"
    retryable = True

    def __init__(self, folder: str) -> None:
        super().__init__("another stager works on this machine", "Wait until it has finished.", where=folder)


class NotReady(TargetError):
    """The machine runs, but the app in it did not become ready in time.

    `log` is the end of its own output.
    """

    code = "NotReady"

    def __init__(self, seen: str, log: Sequence[str]) -> None:
        lines = "".join(f"\n    {line}" for line in log)
        hint = f"The machine still runs: see 'stager logs', correct the app, then 'stager provision'.{lines}"
        super().__init__(f"the app is not ready: {seen}", hint, log=list(log))


class BadMachine(TargetError):
    """What stager remembers of a machine is damaged."""

    code = "BadMachine"

    def __init__(self, path: str, why: str, hint: str = "Run 'stager destroy', then 'stager up'.") -> None:
        super().__init__(why, hint, where=path)


class CannotIsolate(TargetError):
    """This machine does not let a droplet be run in its stack's root filesystem.

    `said` is the system's own explanation.
    """

    code = "CannotIsolate"

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(
            f"no namespaces to run the droplet in: {said}",
            hint
            or "Allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
            "kernel.apparmor_restrict_unprivileged_userns=0), or use --in docker; 'stager doctor' shows what there is.",
        )


class PortTaken(TargetError):
    """A port that was asked for and that somebody else listens on."""

    code = "PortTaken"

    def __init__(self, port: int, hint: str = "Leave --port out, or name another one.") -> None:
        super().__init__(f"port {port} of this machine is taken", hint, port=port)


class PortForbidden(TargetError):
    """A port that this user may not listen on; Linux keeps the low ones for root (ip(7), ip_unprivileged_port_start)."""

    code = "PortForbidden"

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} of this machine may not be listened on by this user",
            "Choose one of 1024 or more with --port, or leave that out.",
            port=port,
        )


class LaunchFailed(TargetError):
    """A droplet's process could not be started, or ended before it was ready."""

    code = "LaunchFailed"

    def __init__(self, process: str, why: str, hint: str = "Read its log above.") -> None:
        super().__init__(f"process {process}: {why}", hint)
