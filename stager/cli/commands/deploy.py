"""`stager deploy`: one droplet to several targets at once, with proof that all hold the same layers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...errors import UsageError
from . import shared

if TYPE_CHECKING:
    import argparse

    from ...targets.deploying import Outcome


def _arguments(parser: argparse.ArgumentParser) -> None:
    help_ = "the droplet file (droplet.tgz), or an app's folder"
    parser.add_argument("dir", nargs="?", default="droplet.tgz", metavar="DROPLET|DIR", help=help_)
    shared.add_choices(parser)
    aim = "oci=HOST/NAME:TAG, cloudfoundry=APP, heroku=APP, openshift=DIR, or bosh|tar|systemd=FILE; may be repeated"
    parser.add_argument("--to", action="append", default=[], metavar="TARGET=WHERE", help=aim)
    parser.add_argument("--base", default="", metavar="BASE", help="the image's base, as for export oci")
    parser.add_argument("--base-root", default="", metavar="FILE", help="a root filesystem's tar as the image's base")
    parser.add_argument("--image", default="", metavar="IMAGE", help="the repository that OpenShift's manifests name")
    parser.add_argument(
        "--manifest", default="", metavar="FILE", help="Cloud Foundry's manifest (manifest.yml if there)"
    )
    shared.add_plain_http(parser)


def _run(arguments: argparse.Namespace) -> int:
    import threading

    from ...files import temporary
    from ...targets.deploying import Aim, deploy, prepared
    from ...targets.record import DeployRequest
    from .stage import droplet_of

    aims = [Aim.read(text) for text in arguments.to]
    if not aims:
        raise UsageError("no target is named", "Say where to with --to, e.g. --to oci=localhost:5000/shop:1.")
    if not arguments.stack and not arguments.targets:  # an app is staged for what it is deployed to
        arguments.targets = [aim.target for aim in aims]
    cancel = threading.Event()
    context = DeployRequest(
        shared.environ(),
        shared.home(),
        shared.store(arguments),
        base=arguments.base,
        base_root=arguments.base_root,
        image=arguments.image,
        manifest=arguments.manifest or _manifest(aims),
        any_stack=arguments.any_stack,
        plain_http=arguments.plain_http,
        progress=shared.progress(arguments),
        cancel=cancel,
    )
    context = prepared(aims, context)
    with temporary.folder("deploy") as scratch:
        try:
            outcomes = deploy(droplet_of(arguments, scratch), aims, context)
        except KeyboardInterrupt:
            cancel.set()
            raise
    return _report(arguments, outcomes)


def _manifest(aims: object) -> str:
    return "manifest.yml" if "cloudfoundry=" in str(aims) and os.path.isfile("manifest.yml") else ""


def _report(arguments: argparse.Namespace, outcomes: list[Outcome]) -> int:
    failed = [outcome for outcome in outcomes if outcome.error]
    proved = sorted({outcome.held for outcome in outcomes if not outcome.error})
    if arguments.json:
        same = len(proved) == 1 and not failed
        shared.print_json({"targets": [outcome.as_json() for outcome in outcomes], "same": same})
    else:
        _tell(outcomes, len(outcomes) - len(failed))
    return failed[0].error.exit_code if failed and failed[0].error else 0


def _tell(outcomes: list[Outcome], good: int) -> None:
    for outcome in outcomes:
        if outcome.error:
            shared.say(f"FAILED  {outcome.aim} after {outcome.seconds:.1f} s: {outcome.error}")
        else:
            shared.say(f"ok      {outcome.aim} after {outcome.seconds:.1f} s: {outcome.reference}")
            shared.say(f"        {outcome.proof}")
    layers = next((outcome.held for outcome in outcomes if not outcome.error), ())
    print(f"{good} of {len(outcomes)} targets hold the same {len(layers)} layers")


COMMANDS: dict[str, shared.Row] = {"deploy": (_run, _arguments)}
