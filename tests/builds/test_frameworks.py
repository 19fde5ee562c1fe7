"""One small app of each framework that no test of whole apps launches: built twice to the same bytes, launched, answering."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from apps_fixture import APPS, materialise
from command import ask, in_process, running
from real_apps import copied

from stager.builds import roots
from stager.model import BuildRoot

pytestmark = [pytest.mark.network, pytest.mark.tools]

SAID = {
    "angular-pages": "hello from angular",
    "astro-pages": "hello from astro",
    "eleventy-pages": "Hello</h1>",
    "next-started": "<p>hello</p>",
    "parcel-pages": "hello from parcel",
    "react-router-server": "hello from react router",
    "sveltekit-node": "hello from sveltekit",
    "webpack-bundle": "hello from webpack",
    "workspace-compiled": "hello from workspace-compiled",
    "yarn-workspaces": "hello from yarn-workspaces",
}


@pytest.mark.parametrize("name", SAID)
def test_it_is_built_and_answers(
    name: str, tmp_path: Path, shared_store: Path, plain_pins: BuildRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "pinned", lambda root, *_, **__: replace(plain_pins, name=root.name))
    app = materialise(name, tmp_path) if (APPS / name).is_dir() else copied(name, tmp_path / "app")
    droplet = tmp_path / "droplet.tgz"
    in_process("lock", app, store=shared_store).good()
    done = in_process("stage", app, "--locked", "-o", droplet, "--json", store=shared_store).good().document
    assert [(one["name"], one["checked"]) for one in done["builds"]] == [("build", True)]
    with running(droplet, tmp_path / "log", store=shared_store) as (port, process):
        status, body = ask(port, "/", process, 300)
    assert (status, SAID[name] in body) == (200, True), body
