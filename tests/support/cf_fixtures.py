"""A platform, a droplet with two process types, and quick settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cf_droplets import make_droplet
from cf_server import CloudFoundry

from stager.droplet.reader import DropletFile, open_droplet
from stager.model import Droplet
from stager.targets.cloudfoundry.api import CloudController
from stager.targets.cloudfoundry.login import find_login
from stager.targets.cloudfoundry.session import CfSession
from stager.targets.cloudfoundry.settings import CfSettings, CfWaiting

QUICK = CfWaiting(connect=2.0, read=2.0, waits=(0.01,) * 4, longest_wait=0.05, polls=(0.005, 0.01), job=2.0)


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Droplet:
    """A droplet with the processes web and worker."""
    files = {"Procfile": "web: ./serve\nworker: ./work --fast\n", "serve": "#!/bin/sh\n", "work": "#!/bin/sh\n"}
    return make_droplet(tmp_path_factory.mktemp("staged"), files)


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Droplet:
    """The same app with one changed line."""
    files = {"Procfile": "web: ./serve\nworker: ./work --fast\n", "serve": "#!/bin/sh\n# new\n", "work": "#!/bin/sh\n"}
    return make_droplet(tmp_path_factory.mktemp("newer"), files)


@pytest.fixture
def platform() -> Iterator[CloudFoundry]:
    """A Cloud Foundry with one org and two spaces."""
    with CloudFoundry() as running:
        yield running


@pytest.fixture
def droplet(staged: Droplet) -> Iterator[DropletFile]:
    """The droplet, open."""
    with open_droplet(staged.path) as opened:
        yield opened


Made = Callable[..., CfSettings]


@pytest.fixture
def settings(platform: CloudFoundry) -> Made:
    """Makes quick settings for the platform; keywords replace fields."""

    def make(**fields: Any) -> CfSettings:
        login = find_login(platform.variables(), "/nonexistent")
        return replace(CfSettings(login, waiting=QUICK), **fields)

    return make


@pytest.fixture
def api(settings: Made) -> Iterator[CloudController]:
    """Calls to the platform."""
    with CfSession(settings()) as session:
        yield CloudController(session)


def path_of(droplet: Droplet) -> Path:
    """Where a droplet's file is."""
    return Path(droplet.path)
