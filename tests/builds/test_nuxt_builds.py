"""A Nuxt app, of nearly 500 packages: built in two surroundings to the same bytes, started, and answering."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from building import settings, stage
from command import ask, running
from trees import lay_out

from stager import staging
from stager.droplet.incremental import Folder
from stager.model import BuildRoot
from stager.planning import lockfile
from stager.store import Store

APP = Path(__file__).parent / "apps" / "nuxt"


@pytest.mark.tools
@pytest.mark.network
def test_a_nuxt_app_is_built_the_same_twice_and_answers(
    tmp_path: Path, shared_store: Path, plain_pins: BuildRoot
) -> None:
    folder, store = tmp_path / "app", Store(str(shared_store))
    lay_out(folder, {str(path.relative_to(APP)): path.read_bytes() for path in APP.rglob("*") if path.is_file()})
    _, found = staging.make_plan(Folder.read(str(folder), store), None, settings(store))
    plan = replace(found.plan, roots=tuple(replace(plain_pins, name=one.name) for one in found.plan.roots))
    assert [(one.name, one.outputs, one.recipes, one.twice) for one in plan.builds] == [
        ("build", (".output",), ("nuxt/2",), True)
    ]
    (folder / "stager.lock").write_text(lockfile.dumps(plan))
    stage(folder, store)
    with running(tmp_path / "droplet.tgz", tmp_path / "log", store=shared_store) as (port, process):
        status, body = ask(port, "/", process)
    assert status == 200
    assert "Hello from Nuxt" in body
