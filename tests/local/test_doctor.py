"""`doctor`: what is found is what is there, and what is not there is named with what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command import in_process
from isolated import need_bwrap

from stager.files.errors import NoSandbox
from stager.local.doctor import DoctorFinding, examine, kvm_works
from stager.sandbox.remedies import remedy
from stager.store import Store


def found(tmp_path: Path, path: str, **environ: str) -> dict[str, DoctorFinding]:
    store = Store(str(tmp_path / "store"))
    return {finding.name: finding for finding in examine(store, {"PATH": path, **environ})}


def test_without_any_program_everything_is_named_with_what_to_do(tmp_path: Path) -> None:
    findings = found(tmp_path, str(tmp_path), DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    absent = {name for name, finding in findings.items() if finding.state == "missing"}
    assert {"vagrant", "vagrant-libvirt", "bubblewrap", "mmdebstrap", "libvirt", "docker", "git"} <= absent
    assert all(findings[name].hint and findings[name].gives for name in absent)
    assert findings["store"].state == "ok"


def test_what_is_there_but_fails_is_broken(tmp_path: Path) -> None:
    for name in ("bwrap", "virsh", "mmdebstrap"):
        (tmp_path / name).write_text("#!/bin/sh\necho cannot do it >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    findings = found(tmp_path, str(tmp_path))
    for name in ("bubblewrap", "libvirt", "mmdebstrap"):
        assert (findings[name].state, findings[name].detail) == ("broken", "cannot do it")


def test_where_nothing_can_be_built_the_remedy_is_that_of_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ways to a sandbox say on such machines is given; this one has a sandbox, or another reason for none."""
    said = (("in a user namespace", "bwrap: setting up uid map: Permission denied"),)
    monkeypatch.setattr("stager.local.doctor.possible", lambda: ("", said))
    finding = found(tmp_path, str(tmp_path))["builds"]
    assert (finding.state, finding.detail) == (
        "broken",
        "in a user namespace: bwrap: setting up uid map: Permission denied",
    )
    assert finding.hint == NoSandbox("build", said, remedy(said)).hint
    assert "bwrap-userns-restrict" in finding.hint


@pytest.mark.tools
def test_builds_are_possible_where_a_sandbox_can_be_made(tmp_path: Path) -> None:
    need_bwrap()
    finding = found(tmp_path, str(tmp_path))["builds"]
    assert (finding.state, finding.hint) == ("ok", "")
    assert "in a user namespace" in finding.detail


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        store = Store("/proc/none/store")
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        store = Store(str(tmp_path / "locked" / "store"))
    (finding,) = [finding for finding in examine(store, {"PATH": ""}) if finding.name == "store"]
    assert finding.state == "broken"


def test_the_command_prints_text_and_json(tmp_path: Path) -> None:
    text = in_process("doctor", "--offline", store=tmp_path / "store").good()
    assert "store" in text.out
    document = json.loads(in_process("doctor", "--offline", "--json", store=tmp_path / "store").good().out)
    assert {row["state"] for row in document} <= {"ok", "missing", "broken"}
    assert not [row for row in document if row["name"].startswith("index")]


def test_a_processor_without_virtualisation_has_no_kvm_whatever_the_device_says(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags : fpu sse2 avx2\n")
    assert "neither vmx nor svm" in kvm_works(str(tmp_path / "cpuinfo"))


@pytest.mark.network
def test_the_indexes_answer(tmp_path: Path) -> None:
    document = json.loads(in_process("doctor", "--json", store=tmp_path / "store").good().out)
    assert {row["name"]: row["state"] for row in document if row["name"].startswith("index")} == {
        "index: Python": "ok",
        "index: npm": "ok",
        "index: Debian": "ok",
    }
