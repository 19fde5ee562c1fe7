"""Apps of real size: built twice to the same bytes, launched, staged again from elsewhere, and held against what the
frameworks' own tools make of them without stager.

Roots are those that all tests of a run share (`build_roots`); each app is one test, since what it costs is its first build.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from apps_fixture import materialise
from command import ask as asked
from command import in_process, running
from real_apps import copied, multiplied

from stager.builds import roots
from stager.model import BuildRoot

pytestmark = [pytest.mark.network, pytest.mark.tools]


@pytest.fixture(autouse=True)
def shared_roots(plain_pins: BuildRoot, compiler_pins: BuildRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roots are pinned as they were when the run's roots were made, so that none but these is."""

    def pinned(root: BuildRoot, *_: object, **__: object) -> BuildRoot:
        return replace(compiler_pins if root.wants else plain_pins, name=root.name)

    monkeypatch.setattr(roots, "pinned", pinned)


def staged(app: Path, store: Path) -> dict[str, str]:
    """Lock and stage an app; then stage a copy of it from a deeper folder under another umask and time zone: the same
    droplet. The kind of each of its builds by name."""
    in_process("lock", app, store=store).good()
    done = in_process("stage", app, "--locked", "-o", droplet(app), "--json", store=store).good().document
    assert all(build["checked"] for build in done["builds"])
    elsewhere = app.with_name("another") / "place" / "app"
    elsewhere.parent.mkdir(parents=True)
    umask = os.umask(0o077)
    try:
        subprocess.run(["cp", "-r", app, elsewhere], check=True)
        again = in_process(
            "stage", elsewhere, "--locked", "-o", droplet(elsewhere), "--json", store=store, TZ="Asia/Kathmandu"
        ).good()
    finally:
        os.umask(umask)
    assert again.document["digest"] == done["digest"]
    return {build["name"]: build["kind"] for build in done["builds"]}


def ask(port: int, path: str, alive: subprocess.Popen[bytes]) -> tuple[int, str]:
    """What is answered; droplets of this size take their time until they listen."""
    return asked(port, path, alive, 300)


def droplet(app: Path) -> Path:
    return app.with_name("droplet.tgz")


def inside(app: Path, folder: str) -> dict[str, bytes]:
    """The files of a folder of the app in its droplet."""
    prefix = f"./app/{folder}/"
    with tarfile.open(droplet(app)) as archive:
        rows = ((member.name, archive.extractfile(member)) for member in archive if member.name.startswith(prefix))
        return {name.removeprefix(prefix): file.read() for name, file in rows if file is not None}


def on_disk(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def different(ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> list[str]:
    """Files that only one side has, or that are not the same."""
    assert ours
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def by_npm(app: Path) -> None:
    """What a user does without stager, in the app's own folder."""
    for words in (["ci", "--include=dev", "--ignore-scripts"], ["run", "build"]):
        done = subprocess.run(["npm", *words], cwd=app, env={**os.environ, "CI": "1"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_a_front_end_of_hundreds_of_modules(tmp_path: Path, shared_store: Path) -> None:
    """Forty areas, each a chunk of its own that shares others, with charts, dates, queries, icons, types and source maps."""
    app = copied("vite-areas", tmp_path / "app")
    assert multiplied(app / "src/areas/orders", 40) == 560
    assert staged(app, shared_store) == {"build": "app"}
    with running(droplet(app), tmp_path / "log", store=shared_store) as (port, process):
        status, page = ask(port, "/orders7", process)  # the browser's own path: the first page is the answer
        assert status == 200
        script = re.search(r'src="(/assets/[^"]+\.js)"', page)
        assert script, page
        status, code = ask(port, script[1], process)
        assert (status, "orders7" in code) == (200, True)
    by_npm(app)
    built = inside(app, "dist")
    assert sum(name.endswith(".js") for name in built) > 40
    assert different(built, on_disk(app / "dist")) == []


def test_a_monorepo(tmp_path: Path, shared_store: Path) -> None:
    """Nx builds the library that both others have, then the pages, then the server, which is started and serves them."""
    app = copied("nx-workspaces", tmp_path / "app")
    assert staged(app, shared_store) == {"build": "app"}
    with running(droplet(app), tmp_path / "log", store=shared_store) as (port, process):
        assert ask(port, "/api/kelvin/20", process) == (200, '{"kelvin":293.15}')
        page = ask(port, "/", process)[1]
        script = re.search(r'src="(/assets/[^"]+\.js)"', page)
        assert script, page
        assert "273.15" in ask(port, script[1], process)[1]
    by_npm(app)
    for folder in ("packages/units/dist", "apps/web/dist", "apps/api/dist"):
        assert different(inside(app, folder), on_disk(app / folder)) == []


def test_a_site_of_dozens_of_packages(tmp_path: Path, shared_store: Path) -> None:
    """Of its 64 packages two are built; what Django collects is what it collects among what pip installs."""
    app = materialise("django-collected", tmp_path)
    variables = (
        "DJANGO_SETTINGS_MODULE=config.settings.production DJANGO_SECRET_KEY=x DATABASE_URL=sqlite:///shop.sqlite"
    )
    serve = "python manage.py migrate --noinput && gunicorn --bind 0.0.0.0:$PORT config.wsgi"
    (app / "Procfile").write_text(f"web: export {variables} && {serve}\n")
    built = staged(app, shared_store)
    assert built == {"docopt": "artifact", "http-ece": "artifact", "static": "app"}
    with running(droplet(app), tmp_path / "log", store=shared_store) as (port, process):
        status, page = ask(port, "/", process)
        assert (status, "<h1>a shop of forty-two things</h1>" in page) == (200, True)
        status, page = ask(port, "/admin/login/", process)
        style = re.search(r'href="(/static/admin/css/base\.[0-9a-f]{12}\.css)"', page)
        assert (status, bool(style)) == (200, True), page
        assert ask(port, style[1], process)[0] == 200  # type: ignore[index]
    collected_by_pip(app)
    assert different(alike(inside(app, "staticfiles")), alike(on_disk(app / "staticfiles"))) == []


def alike(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files without what another machine decides: the order of a manifest's keys, which the recipe `sorted-folders` sets,
    and how well its zlib compresses."""
    found = dict(files)
    for name, data in files.items():
        if name == "staticfiles.json":
            found[name] = json.dumps(json.loads(data), sort_keys=True).encode()
        elif name.endswith(".gz"):
            found[name] = gzip.decompress(data)
    return found


def collected_by_pip(app: Path) -> None:
    """What a user does without stager: a new environment, pip, collectstatic."""
    python, site = sys.executable, app.with_name("site")
    variables = {
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
        "DJANGO_SECRET_KEY": "x",
        "DATABASE_URL": "sqlite://",
    }
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, "-r", "requirements.txt"]
    for words in (install, [python, "manage.py", "collectstatic", "--noinput"]):
        environment = {**os.environ, **variables, "PYTHONPATH": str(site)}
        done = subprocess.run([*map(str, words)], cwd=app, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_an_add_on_in_a_framework(tmp_path: Path, shared_store: Path) -> None:
    """Its install script would download a binary (prebuild-install); it is compiled, and what it computes is the answer."""
    app = copied("nest-sqlite", tmp_path / "app")
    assert staged(app, shared_store) == {"better-sqlite3-11-10-0": "artifact", "build": "app"}
    assert "build/Release/better_sqlite3.node" in inside(app, "node_modules/better-sqlite3")
    with running(droplet(app), tmp_path / "log", store=shared_store) as (port, process):
        assert ask(port, "/total", process) == (200, '{"total":63,"sqlite":"3.49.2"}')
