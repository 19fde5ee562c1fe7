"""`stager box`, as users type it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import in_process

from stager.text import resources


def test_the_list_says_what_there_is(tmp_path: Path) -> None:
    found = {row["name"]: row for row in in_process("box", "list", "--json", store=tmp_path).good().document["stacks"]}
    assert list(found) == ["cflinuxfs4", "debian-12", "debian-13", "heroku-24", "ubi9"]
    assert {name for name, row in found.items() if row["locked"]} == {"debian-12", "debian-13"}
    assert found["debian-13"]["glibc"] == "2.41"
    assert found["debian-12"]["sets"] == ["ssh", "machine", "postgresql", "redis"]
    assert found["debian-12"]["packages"] > 50
    assert found["debian-12"]["built"] == {}
    lines = in_process("box", "list", store=tmp_path).good().out.splitlines()
    assert lines[0] == "cflinuxfs4   Cloud Foundry's cflinuxfs4 (Ubuntu 22.04); glibc 2.35; the platform's own"
    assert lines[1].endswith("packages, built: nothing")


def test_a_lock_that_fits_is_left_alone(tmp_path: Path) -> None:
    path = Path(resources.folder("boxes"), "debian-12", "box.lock")
    before = path.read_bytes()
    done = in_process("box", "lock", "debian-12", "--offline", "--json", store=tmp_path).good()
    assert (done.document["written"], done.document["changes"]) == (False, [])
    assert [row["name"] for row in done.document["sets"][::2]] == ["root", "ssh", "machine", "postgresql", "redis"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build"], 2, "which stack?"),
        (["build", "debian-12", "--box", "mine"], 2, "which stack?"),
        (["build", "debian-1"], 2, "there is no stack 'debian-1'"),
        (["build", "./nowhere"], 2, "there is no "),
        (["build", "heroku-24"], 20, "there is no "),
        (["lock", "heroku-24"], 2, "stack heroku-24 is not built by stager"),
        (["build", "debian-12", "--set", "mysql"], 2, "stack debian-12 has no set 'mysql'"),
        pytest.param(  # said once mmdebstrap is found
            ["build", "debian-12", "--offline"], 40, "not in the store, and --offline is set", marks=pytest.mark.tools
        ),
        (["build", "debian-12", "--lock", "none.lock"], 20, "there is no none.lock"),
        (["build", "debian-12", "-o", "."], 70, "cannot be written: it exists"),
        (["lock", "debian-12", "--upgrade", "--offline", "-o", "x.lock"], 40, "not in the store, and --offline is set"),
    ],
)
def test_what_cannot_be_done(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    (tmp_path / "root.tar").touch()
    done = in_process("box", *arguments, "--json", store=tmp_path / "store", cwd=tmp_path)
    assert (done.code, done.document["error"]["exit"]) == (code, code), done.err
    assert message in done.document["error"]["message"]
    assert {path.name for path in tmp_path.iterdir()} <= {"root.tar", "store"}
    assert "Traceback" not in done.err
