"""A slug under slug runners: at `/app` of its stack's root, profile scripts read by bash, the Procfile's line as process 1.

Two ways are common. Heroku's, and slugrunner's after it, gives the line to `bash -c`. herokuish, with which Dokku starts apps,
has bash expand the line as `echo` would and puts the words in its own place, so that quotes are lost and no shell stays
(gliderlabs/herokuish, include/procfile.bash, `procfile-exec`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from all_built import SAYS, AllBuilt
from command import ask, free_port, in_process, stager
from draining import FLASK, NODE, files
from isolated import need_bwrap, stack_in

from stager.store import Store

pytestmark = [pytest.mark.network, pytest.mark.tools, pytest.mark.slow]
PROFILE = """
shopt -s nullglob
for file in /etc/profile.d/*.sh /app/.profile.d/*.sh; do source "$file"; done
if [[ -s /app/.profile ]]; then source /app/.profile; fi
shopt -u nullglob
hash -r
line=${LINE-$(sed -n 's/^web: *//p' /app/Procfile)}
"""
WAYS = {"bash -c": 'exec bash -c "$line"', "words": 'exec $(eval echo "$line")'}
APPS = {
    "npm": {
        "package.json": '{"name": "a", "scripts": {"start": "COLOUR=green node server.js"}}',
        "server.js": NODE,
        "Procfile": "web: npm start\n",
    },
    "gunicorn": {
        "app.py": FLASK,
        "requirements.txt": "flask==3.1.2\ngunicorn\n",
        "Procfile": 'web: gunicorn --bind "0.0.0.0:${PORT:-5000}" --workers 2 app:app\n',
    },
}
OWN = {".profile": 'set -o pipefail\nif [[ $HOME == /app ]]; then echo "profile of ${BASH##*/}"; fi\n'}
USER = 32767


@pytest.fixture(scope="module")
def root(shared_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stack's root file system, unpacked."""
    need_bwrap()
    if os.geteuid() != 0:
        pytest.skip("files of another user's need root")
    folder = tmp_path_factory.mktemp("runner")
    digest = stack_in(shared_store, "debian-12").partition(":")[2]
    subprocess.run(["tar", "-xf", Store(str(shared_store)).path(digest), "-C", str(folder)], check=True)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture(scope="module", params=APPS)
def slug(request: pytest.FixtureRequest, shared_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slug of an app."""
    place = tmp_path_factory.mktemp("slug")
    app = files(place / "app", {**APPS[request.param], **OWN})
    stager("lock", app, store=shared_store).good()
    stager("stage", app, "-o", place / "droplet.tgz", store=shared_store).good()
    stager("export", "heroku", place / "droplet.tgz", "-o", place / "slug.tgz", store=shared_store).good()
    return place / "slug.tgz"


@pytest.mark.parametrize("way", WAYS)
def test_it_answers_and_drains(slug: Path, way: str, root: Path, tmp_path: Path) -> None:
    code, said = served(slug, way, root, tmp_path, "up\n")
    assert (code, "profile of bash" in said, "draining" in said, "bye" in said) == (0, True, True, True), said
    assert "[ERROR]" not in said


def test_what_was_built_answers(all_built: AllBuilt, shared_store: Path, root: Path, tmp_path: Path) -> None:
    slug = tmp_path / "slug.tgz"
    in_process("export", "heroku", all_built.droplet, "-o", slug, store=shared_store).good()
    (tmp_path / "run").mkdir()
    (web,) = (one.command for one in all_built.plan.processes if one.type == "web")
    assert served(slug, "bash -c", root, tmp_path / "run", SAYS, LINE=web)[0] == 0


def served(slug: Path, way: str, root: Path, tmp_path: Path, says: str, **more: str) -> tuple[int, str]:
    """How a slug ends that a runner has started, that has answered, and is then asked to end; and its log."""
    subprocess.run(["tar", "-xzf", str(slug), "-C", str(tmp_path)], check=True)
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(tmp_path / "app")], check=True)
    port = free_port()
    variables = {
        "HOME": "/app",
        "USER": "herokuishuser",
        "PORT": str(port),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        **more,
    }
    read, write = os.pipe()
    command = [
        *("bwrap", "--ro-bind", str(root), "/", "--bind", str(tmp_path / "app"), "/app", "--tmpfs", "/tmp"),
        *("--proc", "/proc", "--dev", "/dev", "--unshare-pid", "--as-pid-1", "--die-with-parent", "--chdir", "/app"),
        *("--clearenv", *(word for pair in variables.items() for word in ("--setenv", *pair)), "--info-fd", str(write)),
        *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "bash", "-c", PROFILE + WAYS[way]),
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, pass_fds=[write])
    os.close(write)
    try:
        with os.fdopen(read) as info:
            first = json.load(info)["child-pid"]
        status, body = ask(port, "/", process)
        assert (status, says in body) == (200, True), body
        os.kill(first, signal.SIGTERM)
        code = process.wait(30)
    except BaseException as failed:
        failed.add_note((tmp_path / "log").read_text("utf-8", "replace"))
        raise
    finally:
        process.kill()
        process.wait()
    return code, (tmp_path / "log").read_text("utf-8", "replace")
