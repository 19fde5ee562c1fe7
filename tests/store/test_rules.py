"""Memos are those of the very rules that made them: a changed rule finds none, the same rules elsewhere find theirs."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import Done, stager
from own_copy import ROOT, copied
from test_layers import modules, own_imports

from stager.store import rules

APP = {
    "index.html": "<p>hello\n",
    "pages/one.html": "<p>one\n",
    "notes.swp": "left out\n",
    "Procfile": "web: ./serve\n",
    "serve": "#!/bin/sh\nexec cat\n",
    "LICENCE": "one\n",
    "licence": "two\n",
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app that needs no index; two of its names fall together elsewhere, which is remarked."""
    place = tmp_path / "app"
    for name, text in APP.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "serve").chmod(0o755)
    return place


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stager of one's own, as a checkout has it. Every test leaves its files as they were."""
    return copied(tmp_path_factory.mktemp("rules") / "copy")


def stage(code: Path, app: Path, store: Path, *options: str) -> Done:
    """Stage with the stager in the folder `code`."""
    out = app.parent / f"{code.name}.tgz"
    out.unlink(missing_ok=True)  # with other headers it is no droplet of ours, and would not be replaced
    return in_copy(code, "stage", app, "-o", out, "--offline", "--json", *options, store=store)


def in_copy(code: Path, *arguments: object, store: Path) -> Done:
    """Run the stager that lies in the folder `code`: Python looks in the current folder first."""
    return stager(*arguments, store=store, cwd=code, PYTHONPATH=str(code))


def facts(done: Done) -> dict[str, Any]:
    document = done.good().document
    return {key: document[key] for key in ("digest", "notes", "left_out", "layers")}


@contextmanager
def rewritten(place: Path, old: str, new: str) -> Iterator[None]:
    """A file with another text in place of `old`, written over as some editors do it."""
    text = place.read_text("utf-8")
    assert old in text
    place.write_text(text.replace(old, new), "utf-8")
    try:
        yield
    finally:
        place.write_text(text, "utf-8")


TIMES = ("MTIME = 315532801", "MTIME = 315532802")
CHANGES = {
    "what is left out": ("stager/tree/ignore.py", '"__pycache__"', '"pages"'),
    "every header": ("stager/formats/tar.py", "MTIME = 315532801", "MTIME = 315_532_802"),
    "how an app is launched": ("stager/droplet/launch.py", 'exec "$@"', 'exec  "$@"'),
    "how layers are named": ("stager/droplet/assembly.py", '"the app\'s folders"', '"the apps folders"'),
    "what is remarked": ("stager/droplet/remarks.py", "only in case", "in case"),
    "what a buildpack says": ("buildpacks/procfile/buildpack.yml", "Procfile", "Procfile "),
    "what a stack promises": ("boxes/debian-12/box.yml", "summary: Debian", "summary: The Debian"),
}


@pytest.mark.parametrize("what", ["what is left out", "every header", "how an app is launched", "what is remarked"])
def test_a_changed_rule_finds_no_memo(what: str, app: Path, copy: Path, tmp_path: Path) -> None:
    """Neither one that is staged anew, nor an older stager that comes back to the store."""
    store = tmp_path / "store"
    stage(copy, app, store).good()
    first = facts(stage(copy, app, store, "--locked"))
    name, old, new = CHANGES[what]
    with rewritten(copy / name, old, new):
        changed = facts(stage(copy, app, tmp_path / "fresh", "--locked"))
        assert changed != first, "the change shows"
        assert facts(stage(copy, app, store, "--locked")) == changed
    assert facts(stage(copy, app, store, "--locked")) == first


@pytest.mark.parametrize("what", CHANGES)
def test_the_identity_holds_every_rule_and_the_data(what: str, copy: Path, tmp_path: Path) -> None:
    name, old, new = CHANGES[what]
    before = identity(copy, tmp_path)
    with rewritten(copy / name, old, new):
        changed = identity(copy, tmp_path)
    assert identity(copy, tmp_path) == before != changed


def test_an_edit_that_keeps_size_and_time_is_seen(copy: Path, tmp_path: Path) -> None:
    """As `rsync` and some editors leave it: the time of the last change of the file itself is looked at, too."""
    place = copy / "stager" / "formats" / "tar.py"
    aged(copy)
    before, status = identity(copy, tmp_path), place.stat()
    assert remembered(tmp_path)
    with rewritten(place, *TIMES):
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (place.stat().st_size, place.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
        assert identity(copy, tmp_path) != before


def aged(copy: Path) -> None:
    """Wait until no file is so young that nothing is remembered of it."""
    young = max(path.stat().st_ctime_ns for path in copy.rglob("*"))
    while time.time_ns() <= young + rules._YOUNG:
        time.sleep(0.05)


def test_the_same_rules_elsewhere_find_their_memos(app: Path, copy: Path, tmp_path: Path) -> None:
    """Installed again: other paths and times, and what makes no difference beside the files."""
    store = tmp_path / "store"
    stage(copy, app, store).good()
    again = copied(tmp_path / "again")
    for path in again.rglob("*"):
        os.utime(path, (1, 1))
    (again / "stager" / "__pycache__").mkdir()
    (again / "stager" / ".rules.py.swp").write_text("an editor's")
    (again / "stager" / "cli" / "commands" / "mine.py").write_text("MINE = 1\n")
    out = tmp_path / f"{copy.name}.tgz"
    done = in_copy(again, "stage", app, "-o", out, "--offline", "--json", store=store).good()
    assert done.document["written"] is False


def test_the_packages_that_are_looked_at_are_all_that_make_memos() -> None:
    """Whatever is imported by a module that keys its memos by the rules, and by what they take in from `staging`."""
    todo = ["planning.detection.scripts", *(name for name in modules() if "store.rules" in own_imports(name))]
    todo = [name for name in todo if name not in ("droplet.reader", "staging") and not name.startswith("builds.")]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += own_imports(name)
    assert {"tree.walk", "formats.archive.zips", "droplet.launch", "formats.codec"} <= seen
    packages = {name.partition(".")[0] for name in seen if (ROOT / "stager" / name.partition(".")[0]).is_dir()}
    assert packages | {"builds", "sandbox"} == set(rules.FOLDERS)  # whose results are of what runs in there


IDENTITY = "import sys; from stager.store import Store, rules; print(rules.identity(Store(sys.argv[1])))"


def identity(path: Path, tmp_path: Path) -> str:
    """As a process with this stager finds it."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-c", IDENTITY, str(tmp_path / "identities")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def remembered(tmp_path: Path) -> int:
    return len(list((tmp_path / "identities" / "v1" / "memo").iterdir()))


@pytest.mark.parametrize("form", ["zip", "bytecode"])
def test_other_forms_of_an_installation_have_an_identity(form: str, copy: Path, tmp_path: Path) -> None:
    """A package in an archive, and one whose sources were taken away."""

    def made(name: str) -> Path:
        if form == "zip":
            place = tmp_path / f"{name}.zip"
            with zipfile.ZipFile(place, "w") as archive:
                for path in sorted((copy / "stager").rglob("*.py")):
                    archive.write(path, path.relative_to(copy))
            return place
        place = shutil.copytree(copy, tmp_path / name)
        compileall.compile_dir(place / "stager", legacy=True, quiet=1)
        for path in (place / "stager").rglob("*.py"):
            path.unlink()
        return place

    first = made("first")
    with rewritten(copy / "stager" / "formats" / "tar.py", *TIMES):
        second = made("second")
    found = [identity(path, tmp_path) for path in (first, second, first)]
    assert found[0] == found[2] != found[1]
    assert len(found[0]) == 64


def test_a_process_has_the_rules_that_it_has_loaded(copy: Path, tmp_path: Path) -> None:
    """A service that runs on while its files are replaced does not pass its results off as those of the new rules."""
    code = (
        "import sys; from stager.store import rules; from stager.store import Store\n"
        "one, two = map(Store, sys.argv[1:])\n"
        "first = rules.key(one, 'x'); print('ready', flush=True); input()\n"
        "print(rules.key(two, 'x') == first, rules.read(two) == rules.identity(one))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "one"), str(tmp_path / "two")]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        with rewritten(copy / "stager" / "formats" / "tar.py", *TIMES):
            out, _ = child.communicate("\n", timeout=60)
    assert out.split() == ["True", "False"]
