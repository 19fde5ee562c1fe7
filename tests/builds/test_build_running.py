"""What is said of a run that did not end well; when the second of two runs begins."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stager.builds import running
from stager.builds.compare import FIRST, SECOND
from stager.builds.errors import BuildFailed, BuildTooBig
from stager.builds.outputs import Left
from stager.builds.running import Turn, check
from stager.errors import Cancelled
from stager.model import APP, ARTIFACT, Build, Reason
from stager.net.indexes import Indexes
from stager.sandbox.job import Ended, Limits, Surroundings
from stager.settings import Settings
from stager.store import Store

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


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("reason: getaddrinfo EAI_AGAIN api.example.com", "api.example.com"),
        ("Error: getaddrinfo ENOTFOUND api.example.com", "api.example.com"),
        ("fatal: unable to access 'https://x.example/': Could not resolve host: x.example", "x.example"),
        ("HTTPSConnectionPool(host='x.example', port=443): Max retries exceeded", "x.example"),
        ("wget: unable to resolve host address ‘x.example’", "x.example"),
    ],
)
def test_one_that_wants_another_machine_is_told_that_there_is_none(line: str, host: str) -> None:
    with pytest.raises(BuildFailed) as caught:
        check(PLANNED, Ended(1, 0.5, last=("Retrying 3/3...", line, "Failed to compile.")), Limits(), "/logs/x")
    first = (
        f"It wants {host}, and no build has a network. Have in the app what it would fetch there. 'stager log static'"
    )
    assert caught.value.hint.startswith(first)


def test_fonts_that_a_build_would_fetch_belong_into_the_app() -> None:
    with pytest.raises(BuildFailed, match="ended with exit status 1") as caught:
        check(PLANNED, Ended(1, 0.5, last=("getaddrinfo EAI_AGAIN fonts.example.com",)), Limits(), "/logs/x")
    assert "Have the fonts' files in the app" in caught.value.hint


def test_a_run_that_was_ended_and_one_that_was_not() -> None:
    with pytest.raises(BuildTooBig):
        check(PLANNED, Ended(137, 1.0, "memory"), Limits(), "")
    check(PLANNED, Ended(0, 1.0), Limits(), "")


def test_nothing_runs_in_memory_where_that_is_mounted_without_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_ROOM", 0)
    there = os.statvfs("/")
    for flag, found in ((0, running._MEMORY), (os.ST_NOEXEC, "")):
        facts = os.statvfs_result([*there[:8], flag, there.f_namemax])
        monkeypatch.setattr(os, "statvfs", lambda _, facts=facts: facts)
        assert running._elsewhere([], SECOND) == found


# --- two runs, of something that runs nowhere


class Clocked:
    """Something that is built: when its commands began, by their surroundings, and whether another clock is to be had."""

    def __init__(self, place: Path, clocked: bool = True, seconds: float = 1.0) -> None:
        self.settings = Settings(Store(str(place)), lambda: Indexes.from_environment({}, home=str(place)))
        self.clocked, self.seconds = clocked, seconds
        self.began: dict[Surroundings, float] = {}

    @contextmanager
    def attempt(self, turn: Turn) -> Iterator[Left]:
        turn.begin()
        self.began[turn.around] = time.monotonic()
        turn.done(Ended(0, self.seconds, clocked=self.clocked and bool(turn.around.later)))
        yield Left("", {}, {})

    def run(self, definition: str) -> float:
        """How many seconds the second command began after the first."""
        self.began.clear()
        with running.compared(OWN, "key", self.attempt, self.settings, definition) as (_, seconds):
            assert seconds == self.seconds
        return self.began[SECOND] - self.began[FIRST]


def test_the_second_begins_later_until_that_has_shown_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Clocked(tmp_path)
    monkeypatch.setattr(running, "_APART", 0.5)
    assert built.run("one") >= 0.5
    monkeypatch.setattr(running, "_APART", 3600.0)  # who waits now does not come to an end
    built.run("one")
    monkeypatch.setattr(running, "_APART", 0.5)
    assert built.run("two") >= 0.5
    assert built.run("") >= 0.5
    assert built.run("") >= 0.5


@pytest.mark.parametrize(("clocked", "seconds"), [(False, 1.0), (True, 21.0)])
def test_it_always_does_without_another_clock_and_where_it_costs_little(
    clocked: bool, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = Clocked(tmp_path, clocked, seconds)
    monkeypatch.setattr(running, "_APART", 0.5)
    assert [built.run("one") >= 0.5 for _ in range(2)] == [True, True]


def test_who_waits_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Clocked(tmp_path)
    monkeypatch.setattr(running, "_APART", 3600.0)
    monkeypatch.setattr(Settings, "stop", lambda _: FIRST in built.began)
    with pytest.raises(Cancelled):
        built.run("one")
    assert [*built.began] == [FIRST]


def test_what_fails_by_another_clock_waits_for_the_machines_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = Clocked(tmp_path)
    built.settings.store.remember("apart", "one", 1.0)
    monkeypatch.setattr(running, "_APART", 0.5)
    whole = built.attempt

    @contextmanager
    def attempt(turn: Turn) -> Iterator[Left]:
        if turn.around.later:
            raise BuildFailed("css", "ended with exit status 22")
        with whole(turn) as left:
            yield left

    with running.compared(OWN, "key", attempt, built.settings, "one"):
        assert built.began[replace(SECOND, later=0)] - built.began[FIRST] >= 0.5


def test_only_what_runs_twice_is_remembered_as_such(tmp_path: Path) -> None:
    built = Clocked(tmp_path)
    with running.compared(replace(OWN, twice=False), "key", built.attempt, built.settings, "one") as (_, seconds):
        assert ([*built.began], seconds) == ([FIRST], 1.0)
    assert built.settings.store.recall("apart", "one") is None
