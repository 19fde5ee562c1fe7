"""A build runs on a machine of the processor that it is for, in a sandbox."""

from __future__ import annotations

import platform

import pytest

from stager.builds import machines
from stager.errors import NeedsBuild
from stager.files.errors import NoSandbox, ProgramMissing
from stager.sandbox import running

HERE = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
OTHER = {"amd64": "arm64", "arm64": "amd64"}[HERE]


def test_this_machine_runs_builds_of_its_own_architecture() -> None:
    machines.check("bcrypt-5-1-1", HERE)


def test_those_of_another_are_refused_with_the_way_out() -> None:
    with pytest.raises(
        NeedsBuild, match=f"bcrypt-5-1-1 .only {OTHER} can run this build, and this machine is {HERE}"
    ) as no:
        machines.check("bcrypt-5-1-1", OTHER)
    assert f"--arch {HERE}" in no.value.hint
    assert "bundle" in no.value.hint


@pytest.mark.parametrize(
    "said",
    [ProgramMissing("bwrap", "to build", "bubblewrap"), ("", (("with a user namespace", "Operation not permitted"),))],
)
def test_without_a_sandbox_it_is_said_before_anything_is_done(said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def possible() -> object:
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(running, "possible", possible)
    with pytest.raises(NoSandbox) as caught:
        machines.check_sandbox({"DOCKER_HOST": "tcp://127.0.0.1:9"})
    assert "; in a container: " in caught.value.message
    with pytest.raises(NoSandbox):
        machines.check_sandbox(None)
