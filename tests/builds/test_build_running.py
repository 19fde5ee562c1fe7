"""What is said of a run that did not end well."""

from __future__ import annotations

import pytest

from stager.builds.errors import BuildFailed, BuildTooBig
from stager.builds.running import check
from stager.model import APP, ARTIFACT, Build, Reason
from stager.sandbox.job import Ended, Limits

PLANNED = Build("static", APP, "stack", "make", Reason("it is found", "settings.py", 3))
OWN = Build("css", APP, "stack", "make", Reason("stager.yml has it built", "stager.yml", 1))
PACKAGE = Build("docopt", ARTIFACT, "stack", "r/1", Reason("it is an sdist"), of="pkg:pypi/docopt@1")
ENDED = Ended(1, 0.5, last=("Traceback", "KeyError: 'PAYMENT_KEY'"))


def test_a_build_that_stager_plans_has_two_ways_out() -> None:
    with pytest.raises(BuildFailed) as caught:
        check(PLANNED, ENDED, Limits(), "/logs/x")
    assert (
        caught.value.message == "the build static ended with exit status 1\n    Traceback\n    KeyError: 'PAYMENT_KEY'"
    )
    assert caught.value.hint == (
        "Where it lacks a variable, write 'builds: {static: {env: {NAME: value}}}' in stager.yml; to go without it, "
        "'builds: {static: no}'. 'stager log static' prints all that it said; 'stager build static --shell' opens a shell "
        "where it ran."
    )


@pytest.mark.parametrize("build", [OWN, PACKAGE])
def test_others_have_their_log(build: Build) -> None:
    with pytest.raises(BuildFailed) as caught:
        check(build, ENDED, Limits(), "/logs/x")
    log, shell = f"stager log {build.name}", f"stager build {build.name} --shell"
    assert caught.value.hint == f"'{log}' prints all that it said; '{shell}' opens a shell where it ran."


def test_a_run_that_was_ended_and_one_that_was_not() -> None:
    with pytest.raises(BuildTooBig):
        check(PLANNED, Ended(137, 1.0, "memory"), Limits(), "")
    check(PLANNED, Ended(0, 1.0), Limits(), "")
