"""Every client of stager asking one server something simple."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stager import fetching
from stager.digest import Digest
from stager.evidence.verify.reference import download
from stager.fetching.web import Web
from stager.model import Artifact
from stager.net.indexes import Indexes
from stager.net.indexes.origins import Origin
from stager.net.patience import Patience
from stager.store import Store
from stager.targets.cloudfoundry.login import CfLogin as CfLogin
from stager.targets.cloudfoundry.session import CfSession as CfSession
from stager.targets.cloudfoundry.settings import CfSettings, CfWaiting
from stager.targets.heroku.api import HerokuApi as Heroku
from stager.targets.heroku.login import HerokuLogin as HerokuLogin
from stager.targets.oci.registry.access import Access
from stager.targets.oci.registry.client import Client

SHORT: dict[str, Any] = {
    "connect": 1.0,
    "read": 1.0,
    "waits": (0.01, 0.01),
    "longest_wait": 0.2,
    "grace": 0.6,
    "enough": 1.5,
    "slowest": 1 << 16,
}
ZERO = "sha256:" + "0" * 64


@dataclass
class Asking:
    """The clients, with little patience, and a way to stop them."""

    url: str
    folder: Path
    patience: dict[str, Any] = field(default_factory=lambda: SHORT)
    cancel: threading.Event = field(default_factory=threading.Event)

    def clients(self) -> dict[str, Callable[[], object]]:
        """Name → what asks."""
        patience, store = Patience(**self.patience), Store(str(self.folder / "store"))
        network = Indexes(npm_registry=self.url, trusted=frozenset({Origin.of(self.url)}))
        one = Artifact("pkg:npm/x@1.0.0", "x-1.0.0.tgz", Digest(ZERO), "npm/1", ("x",), None, f"{self.url}/x")
        plain = self.url.startswith("http:")
        access = Access(patience=patience, plain_http=plain, cancel=self.cancel)
        waiting = CfWaiting(**self.patience)
        settings = CfSettings(CfLogin(self.url, "o", "s", access_token="bearer x"), waiting=waiting, cancel=self.cancel)
        stopping = self.cancel.is_set

        def manifest() -> None:
            with Client(self.url.partition("://")[2], access) as client:
                client.manifest("a/b", "1")

        def platform() -> None:
            with CfSession(settings) as session:
                session.call("GET", "/v3/x", what="it")

        def heroku() -> None:
            Heroku(HerokuLogin(self.url, "token"), Indexes(), patience, stopping).get("it", "apps", "x")

        return {
            "page": lambda: Web(network, store, patience=patience, stopping=stopping).get(f"{self.url}/page"),
            "artifact": lambda: fetching.fetch([one], store, indexes=network, patience=patience, cancel=self.cancel),
            "registry": manifest,
            "platform": platform,
            "heroku": heroku,
        }

    def outcomes(self) -> dict[str, tuple[Any, float]]:
        """Ask with all clients at once: name → the result or error, and the seconds that it took."""
        found: dict[str, tuple[Any, float]] = {}

        def ask(name: str, act: Callable[[], object]) -> None:
            begun = time.monotonic()
            try:
                result: Any = act()
            except Exception as error:
                result = error
            found[name] = (result, time.monotonic() - begun)

        threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in self.clients().items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return found


def verified(url: str, folder: Path) -> None:
    """What `verify --against URL` asks."""
    download(url, str(folder / "droplet"), Indexes(trusted=frozenset({Origin.of(url)})), lambda: False)
