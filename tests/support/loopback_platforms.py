"""A registry, Cloud Foundry and Heroku on this machine, for tests of whole command lines."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from cf_server import CloudFoundry
from heroku_server import App, Heroku
from registry_contract import ContractRegistry

TOKEN = "HRKU-t0ken"


class Platforms:
    """Loopback servers, each with apps `shop` and, at Heroku, `shop-production`, as new ones would be."""

    def __init__(self, keep: ExitStack) -> None:
        self.registry = keep.enter_context(ContractRegistry())
        self.cloudfoundry = keep.enter_context(CloudFoundry())
        apps = {name: App("heroku-24") for name in ("shop", "shop-production")}
        self.heroku = keep.enter_context(Heroku(TOKEN, apps))

    def variables(self, home: Path) -> dict[str, str]:
        """What a user's environment says of them."""
        own = {"HOME": str(home), "DOCKER_CONFIG": str(home), "HEROKU_API_KEY": TOKEN, "HEROKU_HOST": self.heroku.url}
        return {**self.cloudfoundry.variables(), **own}
