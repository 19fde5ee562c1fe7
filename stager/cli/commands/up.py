"""The commands about an app's machine: up, status, ssh, logs, provision, halt, destroy and check."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...errors import Cancelled, TargetError, UsageError
from ...local.errors import NoMachine
from . import shared
from .values import number, scale, seconds, tcp_port, variable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from ...local.machine.driving import Context
    from ...local.machine.up import Result


def _context(arguments: argparse.Namespace) -> Context:
    from ...local.machine.driving import Context

    settings = shared.settings(arguments, shared.store(arguments))
    environ = {**shared.environ(), "HOME": shared.home()}
    return Context(settings, environ, (lambda _: None) if arguments.quiet else shared.say)


def _stoppable(work: Callable[[], int]) -> int:
    """Have a SIGTERM clean up like a Ctrl-C."""
    import signal

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        return work()
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        signal.signal(signal.SIGTERM, previous)


# --- up --------------------------------------------------------------------------------------------------------


def run_up(arguments: argparse.Namespace) -> int:
    """Bring the machine up; with `--dev`, keep its files in step until Ctrl-C."""
    from ...local.machine import up

    context = _context(arguments)
    wanted = up.UpOptions(
        arguments.provider, arguments.port, arguments.box, arguments.like, dict(arguments.scale), arguments.drain,
        dict(arguments.env), arguments.eject,
    )  # fmt: skip

    def work() -> int:
        result = up.up(arguments.dir, wanted, context)
        _tell(arguments, result, context)
        return _dev(arguments, context) if arguments.dev else 0

    return _stoppable(work)


def _dev(arguments: argparse.Namespace, context: Context) -> int:
    from ...local.machine import dev

    context.tell = shared.say
    try:
        dev.watch(arguments.dir, context)
    except KeyboardInterrupt:
        shared.say("no longer watching; the machine runs on ('stager halt' stops it)")
    return 0


def _tell(arguments: argparse.Namespace, result: Result, context: Context) -> None:
    if arguments.json:
        import json

        document = {**_facts(result), "times": {part: round(took, 3) for part, took in context.times.items()}}
        if getattr(arguments, "dev", False):
            print(json.dumps(document, sort_keys=True), flush=True)
        else:
            shared.print_json(document)
        return
    state = result.state
    shared.warn(result.notes)
    for name, port in state.processes:
        shared.say(f"  {name} (PORT={port})")
    shared.say(f"{state.stack} with {state.provider}: {result.verdict.text}")
    shared.say(f"droplet {state.droplet}" + ("" if result.changed else ", unchanged"))
    print(state.url or state.droplet)


def _facts(result: Result) -> dict[str, Any]:
    state = result.state
    return {
        "provider": state.provider,
        "stack": state.stack,
        "image": state.image,
        "url": state.url,
        "port": state.port,
        "droplet": state.droplet,
        "processes": dict(state.processes),
        "services": list(state.services),
        "health": result.verdict.as_json(),
        "created": result.created,
        "changed": result.changed,
        "vagrantfile": result.vagrantfile,
        "notes": list(result.notes),
    }


def run_provision(arguments: argparse.Namespace) -> int:
    """Stage again, and put the droplet into the machine when it is another one."""
    from ...local.machine import up

    context = _context(arguments)

    def work() -> int:
        _tell(arguments, up.provision(arguments.dir, context), context)
        return 0

    return _stoppable(work)


def run_halt(arguments: argparse.Namespace) -> int:
    """Stop the machine; what is in it stays."""
    from ...local.machine import up

    up.halt(arguments.dir, _context(arguments))
    return _done(arguments, {"halted": True}, "the machine is stopped; 'stager up' starts it again")


def run_destroy(arguments: argparse.Namespace) -> int:
    """Remove the machine and all it holds."""
    from ...local.machine import up

    gone = up.destroy(arguments.dir, _context(arguments))
    return _done(arguments, {"destroyed": gone}, "the machine is gone" if gone else "there was no machine")


def _done(arguments: argparse.Namespace, document: dict[str, Any], text: str) -> int:
    if arguments.json:
        shared.print_json(document)
    else:
        shared.say(text)
    return 0


# --- looking ---------------------------------------------------------------------------------------------------


def run_status(arguments: argparse.Namespace) -> int:
    """Say what the machine does."""
    from ...local.machine import status

    found = status.status(arguments.dir, _context(arguments))
    if arguments.json:
        shared.print_json(found.as_json())
    else:
        print("\n".join(found.lines()))
    return TargetError.exit_code if found.crashes else 0


def run_check(arguments: argparse.Namespace) -> int:
    """One line and an exit status for a monitoring system: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    from ...local.machine import status

    verdict = status.check(arguments.dir, arguments.limit, arguments.slow)
    if arguments.json:
        shared.print_json(verdict.as_json())
    else:
        print(verdict.line())
    return verdict.status


def run_logs(arguments: argparse.Namespace) -> int:
    """Print the last lines of the processes, and go on with `--follow`."""
    import sys

    from ...local.machine import driving, logs
    from ...local.machine import state as folder

    where = folder.place(arguments.dir)
    state = folder.load(where)
    guest = driving.reach(where)
    names = [*(name for name, _ in state.processes), *state.services]
    if arguments.process and not logs.known(names, arguments.process):
        raise UsageError(f"there is no process {arguments.process!r}", f"There are: {', '.join(names)}.")

    def show(line: logs.LogLine) -> None:
        shared.print_plain(f"{line.as_json() if arguments.json else line.text()}\n")
        sys.stdout.flush()

    for line in logs.last(guest, arguments.lines, arguments.process):
        show(line)
    if arguments.follow:
        try:
            for line in logs.follow(guest, arguments.process):
                show(line)
        except KeyboardInterrupt:
            return 0
    return 0


def run_ssh(arguments: argparse.Namespace) -> int:
    """Run a command in the app's environment; its exit status. Without one, a shell.

    One word alone is text for a shell, as ssh's own is; several are handed over as they are.
    """
    import subprocess
    import sys

    from ...local.machine import driving
    from ...local.machine import state as folder

    where = folder.place(arguments.dir)
    state = folder.load(where)
    if not os.path.exists(where.file("ssh_config")):
        raise NoMachine("has never run")
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    words = ["/bin/bash", "-c", *words] if len(words) == 1 else words or ["/bin/bash"]
    command = driving.reach(where).in_app(words, tty=sys.stdin.isatty() and sys.stdout.isatty())
    done = subprocess.run(command, check=False)
    if done.returncode == 255 and driving.machine_state(where, state, _context(arguments)) != "running":
        raise NoMachine("does not run")
    return done.returncode


# --- arguments -------------------------------------------------------------------------------------------------


def _up_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_planning(parser)
    parser.add_argument(
        "--provider", default="", metavar="NAME", help="docker, libvirt, virtualbox or vmware_desktop (what works)"
    )
    parser.add_argument("--port", type=tcp_port, default=0, metavar="N", help="the port of this host (a free one)")
    parser.add_argument("--box", default="", metavar="STACK", help="another stack, or a folder with one of your own")
    parser.add_argument("--like", default="", metavar="NAME", help="whose variables: cloudfoundry, heroku or plain")
    parser.add_argument(
        "--scale", action="extend", type=scale, default=[], metavar="TYPE=N",
        help="how many of a process type; may be repeated",
    )  # fmt: skip
    help_ = "a variable for the processes; may be repeated"
    parser.add_argument("--env", action="append", type=variable, default=[], metavar="NAME=VALUE", help=help_)
    parser.add_argument(
        "--drain", default=None, metavar="URL", help="also send logs to syslog[+tcp]:// or gelf://HOST:PORT"
    )
    parser.add_argument("--eject", action="store_true", help="write the Vagrantfile into DIR; it is yours from then on")
    parser.add_argument("--dev", action="store_true", help="then watch DIR and keep the machine in step until Ctrl-C")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_folder(parser)
    parser.add_argument(
        "--limit", type=seconds, default=10.0, metavar="SECONDS", help="no answer by then is critical (10)"
    )
    parser.add_argument("--slow", type=seconds, default=0.0, metavar="SECONDS", help="a later answer is a warning")


def _logs_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_folder(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("-p", "--process", default="", metavar="TYPE", help="only this type, instance or service")
    parser.add_argument(
        "-n", "--lines", type=number(0), default=50, metavar="N", help="how many of the last lines (50)"
    )


def _ssh_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-C", "--dir", default=".", metavar="DIR", help="the app's folder (.)")
    told = "a command and its arguments, or one text for a shell; a shell without any"
    parser.add_argument("command", nargs="...", metavar="CMD", help=told)


COMMANDS: dict[str, shared.Row] = {
    "up": (run_up, _up_arguments),
    "status": (run_status, shared.add_folder),
    "ssh": (run_ssh, _ssh_arguments),
    "logs": (run_logs, _logs_arguments),
    "provision": (run_provision, shared.add_folder),
    "halt": (run_halt, shared.add_folder),
    "destroy": (run_destroy, shared.add_folder),
    "check": (run_check, _check_arguments),
}
