"""Jobs in containers of a real engine, as where there are no namespaces: the same inside, the same ends, nothing left."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine import Engine, private_engine
from jobs import SMALL, Jobs, root_in

from stager.errors import Cancelled
from stager.files.errors import NoSandbox
from stager.sandbox import Ended, Limits, Surroundings, container, run
from stager.sandbox.job import FILES, MEMORY, OUTPUT, PROCESSES, TIME

pytestmark = pytest.mark.tools
PERL = "export LC_ALL=C; perl -MPOSIX -MSocket -e"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with private_engine() as started:
        yield started


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Jobs:
    place = tmp_path_factory.mktemp("jobs")
    return Jobs(place, root_in(place), {"DOCKER_HOST": engine.host})


@pytest.fixture
def jobs(made: Jobs, engine: Engine) -> Iterator[Jobs]:
    yield made
    assert engine.client.containers.list(all=True) == engine.client.volumes.list() == []
    made.folders()


def inside(jobs: Jobs, command: str, **how: object) -> Ended:
    job = jobs.job(command, **how)
    assert job.engine
    return container.run(job, job.engine, stop=lambda: False, tell=jobs.told.append)


def test_what_a_job_finds_and_leaves(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input/file").write_text("given\n")
    command = """pwd; id; umask; cat /proc/sys/kernel/hostname given /inputs/deep/input/file; echo $HOME $TZ $COLOUR
      echo made >made; mkdir -p sub; chmod 700 sub; touch sub/tool; chmod 755 sub/tool; echo more >/tmp/more
      (echo x >/x) 2>/dev/null && echo yes; (echo x >/inputs/deep/input/new) 2>/dev/null && echo yes
      exit 7"""
    job = jobs.job(command, env=(("COLOUR", "blue"),), inputs=((str(tmp_path / "input"), "/inputs/deep/input"),))
    job = replace(job, surroundings=Surroundings(umask=0o027))
    Path(job.app, "given").write_text("from the app\n")
    os.symlink("given", f"{job.app}/link")
    assert job.engine
    ended = container.run(job, job.engine, stop=lambda: False, tell=jobs.told.append)
    assert jobs.log.splitlines() == [
        *("/app", "uid=1000 gid=1000 groups=1000", "0027", "build", "from the app", "given", "/tmp/home UTC blue"),
    ]
    assert (ended.status, ended.ended_by, ended.last[-1]) == (7, "", "/tmp/home UTC blue")
    assert sorted(os.listdir(job.app)) == ["given", "link", "made", "sub"]
    assert os.readlink(f"{job.app}/link") == "given"
    assert os.access(f"{job.app}/sub/tool", os.X_OK)
    assert Path(job.scratch, "more").read_text() == "more\n"


def test_it_has_no_network_and_no_rights(jobs: Jobs) -> None:
    look = "while read -r n v; do case $n in Cap*|NoNew*) echo $n $v ;; esac; done </proc/self/status"
    inside(jobs, f"{look}; while read -r n _; do case $n in *:*) echo $n ;; esac; done </proc/net/dev")
    assert jobs.log.splitlines() == [
        *(f"Cap{name}: {'0' * 16}" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")), "NoNewPrivs: 1", "lo:",
    ]  # fmt: skip


ENDLESS = {
    "memory": (f"{PERL} '$x = q(A) x 500_000_000; sleep 60'", MEMORY),
    "processes": (f"{PERL} 'while (1) {{ fork }}'", PROCESSES),
    "says without end": ("cat /dev/zero", OUTPUT),
    "writes too much": ("for i in 1 2 3; do cat /dev/zero >$i; done", OUTPUT),
    "too many files": (f"{PERL} 'for (1..4000) {{ open F, qq(>$_) }}'", FILES),
    "deep folders": (f"{PERL} 'for (1..600) {{ mkdir q(d); chdir q(d) }}'", FILES),
    "does nothing": ("sleep 60", TIME),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_job_without_end_meets_a_limit(jobs: Jobs, name: str) -> None:
    command, limit = ENDLESS[name]
    seconds = 1.0 if limit == TIME else SMALL.seconds
    ended = inside(jobs, command, limits=Limits(SMALL.memory, SMALL.processes, seconds, SMALL.output, SMALL.files))
    assert ended.ended_by == limit
    assert limit != TIME or 1 <= ended.seconds < 30, "by itself it would take 60"


def test_cancelled_it_goes(jobs: Jobs) -> None:
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    job = jobs.job("trap '' TERM; sleep 60")
    assert job.engine
    began = time.monotonic()
    with pytest.raises(Cancelled):
        container.run(job, job.engine, stop=stop.is_set, tell=jobs.told.append)
    assert time.monotonic() - began < 30, "by itself it would take 60"


def test_it_is_the_last_way(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken when there is no other; and where it is none either, every way is in the error."""
    monkeypatch.setattr("stager.sandbox.running.ways", lambda *_: ())
    job = jobs.job("echo here")
    assert run(job, stop=lambda: False, tell=jobs.told.append).last == ("here",)
    nobody = replace(job, engine={"DOCKER_HOST": f"unix://{jobs.place}/none.sock"})
    with pytest.raises(NoSandbox) as caught:
        run(nobody, stop=lambda: False, tell=jobs.told.append)
    assert caught.value.message.startswith("no namespaces to run a build: in a container: the container engine failed")
