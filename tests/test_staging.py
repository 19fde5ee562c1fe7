"""The verbs in order, over real folders, stores and loopback servers."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_npm_tarball
from servers import Server, serve

from stager import entry, staging
from stager.digest import Digest
from stager.droplet.incremental import Folder, LockChoice
from stager.errors import BadLock, Cancelled, LockMissing, LockStale
from stager.model import Artifact, Event, Plan, Reason
from stager.net.errors import NotCached
from stager.net.indexes import Indexes
from stager.planning import lockfile
from stager.settings import Settings
from stager.store import Store
from stager.store.errors import DigestMismatch
from stager.text import resources

Stage = Callable[..., str]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Procfile").write_text("web: ./serve\n")
    (folder / "serve").write_text("#!/bin/sh\necho $PORT\n")
    (folder / "serve").chmod(0o755)
    return folder


def settings(place: Path, **wishes: object) -> Settings:
    indexes = Indexes.from_environment({}, home=str(place), apt=str(place), system=str(place))
    return Settings(Store(str(place / "store")), lambda: indexes).replace(**wishes)


def stage(app: Path, **wishes: object) -> str:
    return str(entry.stage(str(app), str(app.parent / "droplet.tgz"), settings(app.parent, **wishes)).digest)


def test_a_first_staging_writes_the_lock_when_asked_and_the_second_needs_it_only(app: Path) -> None:
    without = stage(app)
    assert not (app / "stager.lock").exists()
    first = stage(app, save_lock=True)
    text = (app / "stager.lock").read_text()
    assert lockfile.loads(text.encode()).text == text
    assert first == without
    assert stage(app, locked=True, offline=True) == first
    assert hashlib.sha256((app.parent / "droplet.tgz").read_bytes()).hexdigest() == first.removeprefix("sha256:")


def test_the_value_says_what_the_droplet_is(app: Path) -> None:
    droplet = entry.stage(str(app), str(app.parent / "d.tgz"), settings(app.parent), measure=True).droplet()
    assert droplet.size == (app.parent / "d.tgz").stat().st_size
    assert (droplet.stack, droplet.buildpacks, droplet.processes) == ("debian-12", ("procfile",), {"web": "./serve"})
    assert [layer.name for layer in droplet.layers] == ["skeleton", "app"]


def test_locked_demands_a_lock(app: Path) -> None:
    with pytest.raises(LockMissing) as caught:
        stage(app, locked=True)
    assert caught.value.message == "there is no stager.lock"
    assert caught.value.hint == "Run 'stager lock' and commit the file."


def test_locked_demands_one_that_fits(app: Path) -> None:
    stage(app, save_lock=True)
    (app / "Procfile").write_text("web: ./serve --fast\n")
    with pytest.raises(LockStale) as caught:
        stage(app, locked=True)
    assert caught.value.message == "stager.lock is out of step with Procfile"
    assert caught.value.data["changed"] == ["Procfile"]
    assert stage(app, save_lock=True) == stage(app, locked=True)


def test_what_a_command_rests_on_must_still_be_there(app: Path) -> None:
    """The module that a server serves is no input, since every edit would change the plan; that it is there is one."""
    stage(app, save_lock=True)
    (app / "shop.py").write_text("app = 1\n")
    plan = lockfile.loads((app / "stager.lock").read_bytes()).plan
    served = tuple(replace(one, reason=Reason("serves shop", "shop.py", 1)) for one in plan.processes)
    (app / "stager.lock").write_text(lockfile.dumps(replace(plan, processes=served)))
    first = stage(app, locked=True)
    assert stage(app, locked=True) == first
    (app / "shop.py").rename(app / "store.py")
    with pytest.raises(LockStale) as caught:
        stage(app, locked=True)
    assert caught.value.data["changed"] == ["shop.py"]
    stage(app, save_lock=True)
    assert lockfile.loads((app / "stager.lock").read_bytes()).plan.processes == plan.processes


def test_locked_for_another_stack_wants_its_lock(app: Path) -> None:
    stage(app, save_lock=True)
    with pytest.raises(LockMissing) as caught:
        stage(app, locked=True, stack="debian-13")
    assert caught.value.where == "stager.debian-13.lock"


def test_a_lock_with_foreign_line_ends_is_the_same_plan(app: Path) -> None:
    first = stage(app, save_lock=True)
    lock = app / "stager.lock"
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))
    assert stage(app, locked=True) == first


def test_a_broken_lock_is_an_error_not_a_reason_to_plan_anew(app: Path) -> None:
    (app / "stager.lock").write_text("version = 1\n<<<<<<< HEAD\n")
    with pytest.raises(BadLock) as caught:
        stage(app)
    assert caught.value.where == "stager.lock:2"


def test_a_damaged_piece_heals(app: Path) -> None:
    first = stage(app, save_lock=True)
    for blob in (app.parent / "store/v1/blobs/sha256").iterdir():
        data = blob.read_bytes()
        blob.chmod(0o644)
        blob.write_bytes(data[:-1] + bytes([data[-1] ^ 255]))
    (app.parent / "droplet.tgz").unlink()
    assert stage(app) == first


def test_an_emptied_store_gives_the_same_droplet(app: Path, tmp_path: Path) -> None:
    first = stage(app, save_lock=True)
    assert stage(app, store=Store(str(tmp_path / "another"))) == first


def test_cancelling_stops_before_anything_is_published(app: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        stage(app, cancel=cancel)
    assert not (app.parent / "droplet.tgz").exists()


def test_progress_names_the_verbs(app: Path) -> None:
    seen: list[Event] = []
    stage(app, reporter=lambda: seen.append)
    assert seen[0].verb == "plan"
    assert seen[-1].verb == "assemble"


def test_two_threads_may_stage_the_same_folder(app: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(stage(app))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4


def test_a_folder_is_what_was_read_and_aiming_it_gives_another(app: Path) -> None:
    folder = Folder.read(str(app), Store(str(app.parent / "store")))
    other = folder.aim("ubuntu-22.04", "arm64")
    command = "stager lock --stack ubuntu-22.04 --arch arm64"
    assert other.lock == LockChoice("stager.ubuntu-22.04.arm64.lock", command, (), "ubuntu-22.04", "arm64")
    assert (folder.lock, other.tree, other.memo) == (LockChoice(), folder.tree, folder.memo)
    assert other.aim("", "") == folder
    planned, locked = staging.current_plan(folder, settings(app.parent, architecture="arm64"))
    assert (planned.lock.name, locked.plan.architecture) == ("stager.debian-12.arm64.lock", "arm64")
    staging.save_lock(planned, locked)
    assert (folder.lock_bytes(), planned.lock_bytes()) == (None, locked.text.encode())
    (app / "more.txt").write_text("x")
    assert ("more.txt" in folder.tree, "more.txt" in folder.read_again().tree) == (False, True)


# --- where files come from -------------------------------------------------------------------------------------


def planned(app: Path, artifact: Artifact) -> Plan:
    folder = Folder.read(str(app), Store(str(app.parent / "store")))
    return replace(staging.make_plan(folder, None, settings(app.parent))[1].plan, artifacts=(artifact,))


def package(data: bytes, url: str = "") -> Artifact:
    digest = Digest("sha512:" + hashlib.sha512(data).hexdigest())
    return Artifact(
        "pkg:npm/%40team/tool@1.0.0", "tool-1.0.0.tgz", digest, "npm/1", ("node_modules/@team/tool",), url=url
    )


def test_an_apps_npmrc_names_the_registry_of_its_scope(app: Path) -> None:
    data = make_npm_tarball({"name": "@team/tool", "version": "1.0.0"})
    with Server({"/team/@team/tool/-/tool-1.0.0.tgz": serve(data)}) as server:
        plan = planned(app, package(data))
        (app / ".npmrc").write_text(f"@team:registry={server.url}/team/\n")
        environ = {"npm_config_registry": f"{server.url}/default/"}
        indexes = Indexes.from_environment(environ, home=str(app), apt=str(app), system=str(app))
        wishes = settings(app.parent, configured=lambda: indexes)
        folder = Folder.read(str(app), wishes.store)
        blobs = staging.fetch(plan, wishes, tree=folder.tree)
        assert blobs == {str(plan.artifacts[0].digest): hashlib.sha256(data).hexdigest()}
        assert server.paths() == ["/team/@team/tool/-/tool-1.0.0.tgz"]


def test_a_tarball_inside_the_app_is_taken_in(app: Path) -> None:
    data = make_npm_tarball({"name": "@team/tool", "version": "1.0.0"})
    (app / "vendor").mkdir()
    (app / "vendor/tool.tgz").write_bytes(data)
    wishes = settings(app.parent, offline=True)
    folder = Folder.read(str(app), wishes.store)
    plan = planned(app, package(data, "file:vendor/tool.tgz"))
    staged = staging.stage_plan(folder, lockfile.locked(plan), str(app.parent / "d.tgz"), wishes)
    assert any(layer.name.startswith("npm-") for layer in staged.base.layers)
    (app / "vendor/tool.tgz").write_bytes(data + b"x")
    with pytest.raises(DigestMismatch) as caught:
        staging.take_in(plan, Folder.read(str(app), wishes.store).tree, wishes.store)
    assert caught.value.message.startswith("vendor/tool.tgz: expected sha512:")
    (app / "vendor/tool.tgz").unlink()
    with pytest.raises(BadLock) as missing:
        staging.take_in(plan, Folder.read(str(app), wishes.store).tree, wishes.store)
    assert "vendor/tool.tgz, which is not among the app's files" in missing.value.message


def test_offline_names_what_is_missing(app: Path) -> None:
    plan = planned(app, package(b"never made"))
    wishes = settings(app.parent, offline=True)
    with pytest.raises(NotCached) as caught:
        staging.stage_plan(
            Folder.read(str(app), wishes.store), lockfile.locked(plan), str(app.parent / "d.tgz"), wishes
        )
    assert caught.value.data["names"] == ["@team/tool@1.0.0"]
    assert not (app.parent / "d.tgz").exists()


# --- a user's own buildpack ------------------------------------------------------------------------------------


def test_a_users_own_buildpack_is_a_folder(app: Path, tmp_path: Path) -> None:
    own = tmp_path / "perl"
    own.mkdir()
    (own / "buildpack.yml").write_text(
        'name: perl\nversion: "1"\nlooks_for: a file *.pl\ndetect:\n  - {file: serve, claim: manifest, why: it has serve}\n'
    )
    wishes = {"buildpacks": (str(own),), "save_lock": True}
    first = stage(app, **wishes)
    pin = lockfile.loads((app / "stager.lock").read_bytes()).plan.buildpacks[0]
    assert (pin.name, pin.folder) == ("perl", "../perl")
    assert stage(app) == first


COUNTED = """
import collections, json, sys
from stager import entry
from stager.net.indexes import Indexes
from stager.planning import buildpacks, lockfile
from stager.planning.detection import appconfig, procfile
from stager.settings import Settings
from stager.store import Store
from stager.text import resources
from stager.text import yamltext

place, count = sys.argv[1], collections.Counter()
code = {
    lockfile.dumps.__code__: lambda frame: "the plan as text",
    yamltext.parse.__code__: lambda frame: frame.f_locals["file"],
    procfile._read.__code__: lambda frame: "Procfile",
}

def called(frame, event, _):
    if event == "call" and frame.f_code in code:
        count[code[frame.f_code](frame)] += 1

indexes = Indexes.from_environment({}, home=place, apt=place, system=place)
sys.setprofile(called)
entry.stage(f"{place}/app", f"{place}/d.tgz", Settings(Store(f"{place}/store"), lambda: indexes, save_lock=True))
sys.setprofile(None)
print(json.dumps(count))
"""


def test_a_cold_staging_reads_each_thing_once_and_writes_the_plan_once(app: Path) -> None:
    """Values are carried: this staging plans, saves the lock, builds the base and assembles."""
    (app / "stager.yml").write_text("env: {GREETING: hello}\n")
    done = subprocess.run([sys.executable, "-c", COUNTED, str(app.parent)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: count for name, count in found.items() if count != 1} == {}
    packs = [f"{name}/buildpack.yml" for name in resources.names("buildpacks")]
    assert found.keys() >= {"the plan as text", "Procfile", "stager.yml", *packs}
    assert (app / "stager.lock").exists()
