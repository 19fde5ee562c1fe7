"""`stager push heroku`, `stager promote heroku`."""

from __future__ import annotations

import sys

from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ...targets.heroku.api import HerokuApi
    from ...targets.heroku.push import Live


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_droplet(parser)
    parser.add_argument("--app", required=True, metavar="APP", help="the Heroku app's name")
    parser.add_argument("--commit", default="", metavar="ID", help="the version of the code, shown with the slug")
    _waiting_arguments(parser)


def _waiting_arguments(parser: argparse.ArgumentParser) -> None:
    from .values import seconds

    parser.add_argument(
        "--timeout", type=seconds, default=3600.0, metavar="SECONDS", help="for the release phase (3600)"
    )
    shared.add_any_stack(parser, shared.COMPARED)


def _push(arguments: argparse.Namespace) -> int:
    from ...files import temporary

    with temporary.folder("slug") as folder:
        offer = _offer(arguments, f"{folder}/slug.tgz")
        from ...targets.heroku import push

        live = push.push(_api(), arguments.app, offer, _waiting(arguments), any_stack=arguments.any_stack)
    return _report(arguments, live, {"digest": f"sha256:{offer.sha256}", "size": offer.size, "droplet": offer.droplet})


def _offer(arguments: argparse.Namespace, path: str) -> Any:
    """Write the slug, and say whether it is too big for Heroku before anything is sent."""
    from ...droplet.inspecting import inspect
    from ...droplet.reader import open_droplet
    from ...targets.heroku import export as heroku
    from ...targets.heroku.push import SlugUpload, weigh

    with open_droplet(arguments.droplet, shared.store(arguments)) as droplet:
        made = heroku.export(droplet, path)
        offer = SlugUpload.of(path, made.size, made.digest, droplet.digest, droplet.launch, arguments.commit)
    if note := weigh(made.size, lambda: inspect(arguments.droplet).packages):
        shared.warn([note])
    return offer


def _api() -> HerokuApi:
    from ...net.indexes import Indexes
    from ...targets.heroku.api import HerokuApi
    from ...targets.heroku.login import find

    environ, home = shared.environ(), shared.home()
    return HerokuApi(find(environ, home), Indexes.from_environment(environ, home=home))


def _waiting(arguments: argparse.Namespace) -> Any:
    from ...targets.heroku.push import ReleaseWaiting

    def output(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    return ReleaseWaiting(longest=arguments.timeout, output=None if arguments.quiet else output)


def _report(arguments: argparse.Namespace, live: Live, more: dict[str, Any]) -> int:
    if arguments.json:
        shared.print_json(
            {"app": live.app, "slug": live.slug, "release": f"v{live.version}", "changed": live.changed, **more}
        )
        return 0
    shared.say(f"{live.app} runs this as v{live.version}" + ("" if live.changed else ", as before"))
    print(live.slug)
    return 0


def _promote_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slug", nargs="?", default="", metavar="ID", help="the slug's id (the one that --from runs)")
    parser.add_argument("--from", dest="source", required=True, metavar="APP", help="the app that has the slug")
    parser.add_argument("--app", required=True, metavar="APP", help="the app to release it on")
    _waiting_arguments(parser)


def _promote(arguments: argparse.Namespace) -> int:
    from ...targets.heroku.push import promote

    live = promote(
        _api(), arguments.source, arguments.app, arguments.slug, _waiting(arguments), any_stack=arguments.any_stack
    )
    return _report(arguments, live, {"from": arguments.source})


COMMANDS: dict[str, shared.Row] = {
    "push heroku": (_push, _push_arguments),
    "promote heroku": (_promote, _promote_arguments),
}
