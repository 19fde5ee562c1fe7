"""`stager stage` and `stager.stage` are one: the same droplet, the same notes, the same document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import in_process
from made_droplets import Wheels, plan_of

import stager
from stager.planning import lockfile
from stager.store import Store

WHEELS: Wheels = {"apple": ("1.0", {"apple.py": b"A = 1\n"}), "Apple2": ("2.0", {"APPLE.py": b"A = 2\n"})}
FILES = {
    "Procfile": "web: ./serve\n",
    "serve": "#!/bin/sh\nexec cat\n",
    "docker-compose.yml": "services: {db: {environment: {POSTGRES_PASSWORD: hunter2pw}}}\n",
    ".env": "SECRET=1\n",
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    for path, text in FILES.items():
        (folder / path).write_text(text)
    (folder / "serve").chmod(0o755)
    return folder


@pytest.mark.parametrize("lock", [True, False], ids=["a lock that fits", "no lock"])
def test_the_command_and_the_library_agree(app: Path, tmp_path: Path, lock: bool) -> None:
    """Digest, notes and document, of a first staging and of one that changes nothing."""
    documents = {}
    for who in ("command", "library"):
        kept = tmp_path / f"store of the {who}"
        (app / "stager.lock").unlink(missing_ok=True)
        if lock:
            (app / "stager.lock").write_text(lockfile.dumps(plan_of(app, WHEELS, Store(str(kept)))))
        for step in ("first", "again"):
            out = tmp_path / f"{who}.tgz"
            if who == "command":
                found = in_process("stage", app, "-o", out, "--offline", "--json", store=kept).good().document
            else:
                made = stager.stage(app, out=out, store=Store(str(kept)), offline=True, save_lock=True, environ={})
                found = json.loads(json.dumps(made.as_json()))
            assert found.pop("path") == str(out)
            documents[who, step] = found
    assert documents["command", "first"] == documents["library", "first"]
    assert documents["command", "again"] == documents["library", "again"]
    first, again = documents["command", "first"], documents["command", "again"]
    assert (first.pop("written"), again.pop("written")) == (True, False)
    new = [note for note in first.pop("notes") if note not in again["notes"]]
    assert new == ([] if lock else ["wrote stager.lock, which pins what this droplet is made from; commit it"])
    del again["notes"]
    assert first == again
    assert [row["path"] for row in first["left_out"]] == [".env"]
    names = [row["name"] for row in first["layers"]]
    assert (names[0], len(names), names[-1]) == ("skeleton", 4 if lock else 2, "app")


def test_a_droplet_of_the_library_says_what_the_command_says(app: Path, tmp_path: Path) -> None:
    """What people read of the command is in the library's value: notes, what was left out, what it is for."""
    wishes: dict[str, Any] = {
        "out": tmp_path / "a.tgz",
        "store": Store(str(tmp_path / "store")),
        "offline": True,
        "environ": {},
    }
    stager.stage(app, save_lock=True, **wishes)
    made = stager.stage(app, **wishes)
    done = in_process("stage", app, "-o", tmp_path / "b.tgz", "--offline", store=tmp_path / "other").good()
    assert done.out == f"{made.digest}\n"
    assert [line.removeprefix("note: ") for line in done.err.splitlines() if line.startswith("note: ")] == [*made.notes]
