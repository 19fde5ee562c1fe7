"""One app with everything that is built, locked and staged once a run (once for ever with `STAGER_TEST_STORE`).

A Django site whose pages are put together by Vite from TypeScript and collected, with a Python package that is compiled from
its sdist, an npm package whose add-on is compiled, and the runtime's bytecode. `all_built` is marked `tools` and `network`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from apps_fixture import APPS, materialise
from command import in_process
from filelock import FileLock

from stager.builds import roots
from stager.model import BuildRoot, Plan
from stager.planning import lockfile

SITE, OVER = "django-with-front-end", Path(__file__).parents[1] / "builds" / "apps" / "all-built"
PAGE = """\
import subprocess

from django.shortcuts import render
from django.urls import path
from markupsafe import _speedups


def page(request):
    node = subprocess.run(["node", "dgram.mjs"], capture_output=True, text=True, check=True)
    return render(request, "index.html", {"compiled": [_speedups.__name__, node.stdout.strip()]})


urlpatterns = [path("", page)]
"""
SAYS = "markupsafe._speedups and sockets: function"
"""What its page says when both compiled packages are there."""
BUNDLE = "all of it costs"
"""What the script says that was put together, and collected as `static/main.*.js`."""


@dataclass(frozen=True)
class AllBuilt:
    """The app's folder, with its lock, the droplet and its digest; to be copied, not written to."""

    app: Path
    droplet: Path
    digest: str
    plan: Plan


def write(into: Path) -> Path:
    """The app without a lock, in a new folder below `into`."""
    app = materialise(SITE, into)
    (app / "web" / "main.js").unlink()
    (app / "manage.py").chmod(0o755)
    shutil.copytree(OVER, app, dirs_exist_ok=True)
    (app / "config" / "urls.py").write_text(PAGE)
    with (app / "requirements.txt").open("a") as file:
        file.write((APPS / "sdist-compiled" / "requirements.txt").read_text())
    return app


@contextmanager
def shared_roots(plain: BuildRoot, compilers: BuildRoot) -> Iterator[None]:
    """Roots are pinned as they were when the run's roots were made, so that none but these is."""

    def pinned(root: BuildRoot, *_: object, **__: object) -> BuildRoot:
        known = compilers if root.wants else plain
        assert {*root.wants} - {"python3", "python3.11-dev"} <= {*known.wants}
        return replace(known, name=root.name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roots, "pinned", pinned)
        yield


@pytest.fixture(scope="session")
def all_built(shared_store: Path, plain_pins: BuildRoot, compiler_pins: BuildRoot) -> AllBuilt:
    """The app, locked and staged."""
    place = shared_store / "all-built"
    place.mkdir(exist_ok=True)
    droplet, said = place / "droplet.tgz", place / "digest"
    with FileLock(f"{place}.guard"):
        if not said.exists():
            shutil.rmtree(place / SITE, ignore_errors=True)
            app = write(place)
            with shared_roots(plain_pins, compiler_pins):
                in_process("lock", app, store=shared_store).good()
            done = in_process("stage", app, "--locked", "-o", droplet, store=shared_store).good()
            said.write_text(done.out.strip())
    plan = lockfile.loads((place / SITE / "stager.lock").read_bytes()).plan
    return AllBuilt(place / SITE, droplet, said.read_text(), plan)
