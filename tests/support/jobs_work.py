"""Run as a program by somebody: one job in a sandbox, told as JSON. Arguments: a folder, a root's tar, a shell command."""

from __future__ import annotations

import json
import os
import shutil
import sys

from jobs import running_in

from stager.digest import Digest
from stager.errors import StagerError
from stager.sandbox import Job, Limits, roots, run
from stager.store import Store


def main(place: str, tar: str, command: str) -> None:
    for name in ("app", "scratch"):
        os.mkdir(f"{place}/{name}")
    with roots.opened(tar, Store(f"{place}/store")) as (fd, digest):
        root = roots.unpacked(fd, Digest(digest), "small", Store(f"{place}/store"))
    job = Job(
        ("/bin/sh", "-c", command), root, f"{place}/app", f"{place}/scratch", f"{place}/log",
        limits=Limits(memory=256 << 20, processes=64, seconds=20),
    )  # fmt: skip
    try:
        ended = run(job, stop=lambda: False, tell=lambda _: None)
    except StagerError as error:
        found = dict(error.as_json())
    else:
        found = {
            "status": ended.status,
            "ended_by": ended.ended_by,
            "last": ended.last,
            "app": sorted(os.listdir(job.app)),
        }
    for folder in (job.app, job.scratch):
        shutil.rmtree(folder)
    print(json.dumps({**found, "left": running_in(place)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
