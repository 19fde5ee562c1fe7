"""`stager push|promote|rollback cloudfoundry`."""

from __future__ import annotations

import sys

from ...text.wording import size_text
from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from ...model import Event
    from ...targets.cloudfoundry.deployments import RolloutOptions
    from ...targets.cloudfoundry.manifest import AppManifest
    from ...targets.cloudfoundry.push import PushedApp
    from ...targets.cloudfoundry.settings import CfSettings

_ENV = (
    "the login is that of 'cf login', or CF_API with CF_USERNAME and CF_PASSWORD (or CF_CLIENT_ID and CF_CLIENT_SECRET)"
)


# --- arguments -------------------------------------------------------------------------------------------------


def _target_arguments(parser: argparse.ArgumentParser) -> None:
    from .values import number, seconds

    parser.epilog = _ENV
    parser.add_argument("--org", default="", metavar="NAME", help="the org ($CF_ORG, else what 'cf target' says)")
    parser.add_argument("--space", default="", metavar="NAME", help="the space ($CF_SPACE, else what 'cf target' says)")
    parser.add_argument(
        "--strategy", default="rolling", choices=["rolling", "restart"], help="for an app that runs (rolling)"
    )
    parser.add_argument("--no-start", action="store_true", help="set the droplet; leave the app stopped")
    parser.add_argument("--max-in-flight", type=number(), metavar="N", help="instances replaced at a time (1)")
    parser.add_argument("--timeout", type=seconds, default=600.0, metavar="SECONDS", help="for the app to run (600)")


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_droplet(parser)
    parser.add_argument(
        "--app",
        dest="apps",
        action="append",
        default=[],
        metavar="APP",
        help="an app to push to (the manifest's only one)",
    )
    parser.add_argument(
        "-f", "--manifest", default="", metavar="FILE", help="the manifest (manifest.yml, if there is one)"
    )
    parser.add_argument("--no-manifest", action="store_true", help="ignore manifest.yml")
    parser.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable of the manifest")
    parser.add_argument("--vars-file", action="append", default=[], metavar="FILE", help="a file of variables")
    parser.add_argument(
        "--stack", default="", metavar="STACK", help="the platform's stack (the manifest's, or the droplet's)"
    )
    shared.add_any_stack(parser, shared.COMPARED)
    _target_arguments(parser)


def _promote_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FROM", help="APP, SPACE/APP or ORG/SPACE/APP that has the droplet")
    parser.add_argument("target", metavar="TO", help="APP, SPACE/APP or ORG/SPACE/APP that gets it")
    parser.add_argument(
        "--digest", default="", metavar="SHA256", help="refuse any other droplet (the current one of FROM)"
    )
    shared.add_any_stack(parser, shared.COMPARED)
    _target_arguments(parser)


def _rollback_arguments(parser: argparse.ArgumentParser) -> None:
    from .values import number

    parser.add_argument("app", metavar="APP", help="APP, SPACE/APP or ORG/SPACE/APP")
    parser.add_argument(
        "--to", type=number(), default=0, metavar="VERSION", help="the revision (the last one with another droplet)"
    )
    parser.add_argument("--digest", default="", metavar="SHA256", help="go back to this droplet")
    shared.add_any_stack(parser)
    _target_arguments(parser)


# --- commands --------------------------------------------------------------------------------------------------


def _push(arguments: argparse.Namespace) -> int:
    from ...droplet.reader import open_droplet
    from ...targets.cloudfoundry import manifest
    from ...targets.cloudfoundry.push import PushOptions, push_all

    file = "" if arguments.no_manifest else (arguments.manifest or manifest.find(""))
    apps = manifest.load(file, arguments.var, arguments.vars_file) if file else ()
    chosen = _chosen(apps, arguments.apps, file)
    secrets = manifest.secrets(arguments.var, arguments.vars_file, chosen)
    wishes = PushOptions(_how(arguments), arguments.stack, arguments.any_stack)
    store = shared.store(arguments)
    with open_droplet(arguments.droplet, store) as droplet:
        done = push_all(_settings(arguments), droplet, chosen, wishes, store=store, secrets=secrets)
    return _report_push(arguments, done)


def _chosen(apps: tuple[AppManifest, ...], names: Sequence[str], file: str) -> tuple[AppManifest, ...]:
    from ...errors import UsageError
    from ...targets.cloudfoundry.manifest import choose

    if not apps and not names:
        raise UsageError("there is no manifest.yml, and no app is named", "Name the app with --app.")
    return choose(apps, names, file)


def _report_push(arguments: argparse.Namespace, done: Sequence[PushedApp]) -> int:
    import dataclasses

    if arguments.json:
        shared.print_json({"pushed": [dataclasses.asdict(one) for one in done]})
        return 0
    for one in done:
        shared.warn(one.notes)
        how = "uploaded" if one.uploaded else "was there already"
        shared.say(f"{one.app}: the droplet {how}, {_said(one.action)} on {one.stack} ({', '.join(one.processes)})")
    print(done[0].digest)
    return 0


def _said(action: str) -> str:
    words = {"rolling": "deployed", "restart": "restarted", "start": "started", "no-start": "not started"}
    return words[action]


def _promote(arguments: argparse.Namespace) -> int:
    from ...targets.cloudfoundry.api import CloudController
    from ...targets.cloudfoundry.promote import AppPlace, promote
    from ...targets.cloudfoundry.session import CfSession

    source, target = AppPlace.read(arguments.source), AppPlace.read(arguments.target)
    wanted = _digest(arguments.digest)
    with CfSession(_settings(arguments)) as session:
        done = promote(CloudController(session), source, target, wanted, _how(arguments), any_stack=arguments.any_stack)
    how = "copied" if done.copied else "was there already"
    return _report(arguments, done, f"{done.target}: the droplet of {done.source} {how}, {_said(done.action)}")


def _rollback(arguments: argparse.Namespace) -> int:
    from ...targets.cloudfoundry.api import CloudController
    from ...targets.cloudfoundry.promote import AppPlace
    from ...targets.cloudfoundry.rollback import rollback
    from ...targets.cloudfoundry.session import CfSession

    wanted, place = _digest(arguments.digest), AppPlace.read(arguments.app)
    with CfSession(_settings(arguments)) as session:
        done = rollback(CloudController(session), place, _how(arguments), version=arguments.to, digest=wanted)
    what = f"revision {done.revision}" if done.revision else "an earlier droplet (its environment stays as it is)"
    return _report(arguments, done, f"{done.app}: back to {what}, {_said(done.action)}")


def _report(arguments: argparse.Namespace, done: Any, text: str) -> int:
    import dataclasses

    if arguments.json:
        shared.print_json(dataclasses.asdict(done))
    else:
        shared.say(text)
        print(done.digest)
    return 0


# --- what arguments stand for ----------------------------------------------------------------------------------


def _settings(arguments: argparse.Namespace) -> CfSettings:
    from ...net.indexes import Indexes
    from ...targets.cloudfoundry.login import find_login
    from ...targets.cloudfoundry.settings import CfSettings

    login = find_login(shared.environ(), shared.home(), arguments.org, arguments.space)
    if not login.verify:
        shared.warn([f"certificates are not checked, as {login.place} says"])
    network = Indexes.from_environment(shared.environ(), home=shared.home())
    return CfSettings(login, network, progress=None if arguments.quiet else _Steps().tell)


def _how(arguments: argparse.Namespace) -> RolloutOptions:
    from ...targets.cloudfoundry.deployments import RolloutOptions

    return RolloutOptions(arguments.strategy, not arguments.no_start, arguments.max_in_flight, arguments.timeout)


def _digest(text: str) -> str:
    from ...digest import Digest
    from ...errors import UsageError

    try:
        return Digest(text if ":" in text else f"sha256:{text}") if text else ""
    except ValueError:
        raise UsageError(
            f"{text!r} is no SHA-256 digest", "Give 64 hex digits, as 'stager stage' printed them."
        ) from None


class _Steps:
    """One line a step, as it begins."""

    def __init__(self) -> None:
        self._last = ""

    def tell(self, event: Event) -> None:
        if event.what != self._last:
            self._last = event.what
            size = f" {size_text(event.total)}" if event.what == "uploading" else ""
            sys.stderr.write(f"stager: {event.what}{size} …\n")
            sys.stderr.flush()


COMMANDS: dict[str, shared.Row] = {
    "push cloudfoundry": (_push, _push_arguments),
    "promote cloudfoundry": (_promote, _promote_arguments),
    "rollback cloudfoundry": (_rollback, _rollback_arguments),
}
