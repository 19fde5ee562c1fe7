"""Jobs in real sandboxes: a bench with a small root, and a watch over what they leave on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isolated import small_root

from stager.sandbox import Ended, Job, Limits, roots, run
from stager.sandbox.roots import RootFolder
from stager.store import Store

SMALL = Limits(memory=96 << 20, processes=64, seconds=300.0, output=24 << 20, files=3000)


def root_in(place: Path) -> RootFolder:
    """A small root filesystem, unpacked below a folder."""
    store = Store(str(place / "store"))
    with roots.opened(str(small_root(place)), store) as (tar, digest):
        return roots.unpacked(tar, digest, "small", store)


@dataclass
class Jobs:
    """Runs jobs in one root, each with folders of its own that are removed by the plainest remover."""

    place: Path
    root: RootFolder
    engine: dict[str, str] | None = None
    told: list[str] = field(default_factory=list)

    def folders(self) -> tuple[Path, Path]:
        """Those of the next job: its app and its scratch folder."""
        for name in ("app", "scratch"):
            folder = self.place / name
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir()
        return self.place / "app", self.place / "scratch"

    def job(self, command: str, **how: Any) -> Job:
        """A job of a shell command, in new folders."""
        app, scratch = self.folders()
        given = {"limits": SMALL, "engine": self.engine, **how}
        return Job(("/bin/sh", "-c", command), self.root, str(app), str(scratch), str(self.place / "log"), **given)

    def run(self, command: str, **how: Any) -> Ended:
        """Run one to its end."""
        self.told.clear()
        return run(self.job(command, **how), stop=lambda: False, tell=self.told.append)

    @property
    def log(self) -> str:
        """All that the last job said."""
        return (self.place / "log").read_text("utf-8", "replace")

    def left(self) -> dict[str, set[str]]:
        """What could be left of a job on this machine: processes, mounts and control groups that belong to one."""
        mark = str(self.place)
        mounts = {row for row in Path("/proc/self/mounts").read_text().splitlines() if mark in row}
        groups = {str(path) for path in Path("/sys/fs/cgroup").glob(f"**/stager-{os.getpid()}-*")}
        return {"mounts": mounts, "groups": groups, "processes": set(running_in(mark))}


def running_in(place: str) -> list[str]:
    """The processes of this machine that have something below a folder mounted: those of a sandbox over it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if place in (path / "mountinfo").read_text():
                found.append((path / "cmdline").read_text())
    return found


NOTHING: dict[str, set[str]] = {"mounts": set(), "groups": set(), "processes": set()}
