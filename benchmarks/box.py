"""How long does it take to build the boxes of a stack, how large are they, and where does the time go?

    python benchmarks/box.py [--stack debian-12] [--lock FILE] [--store DIR] [--rounds 2]

The root filesystems are built (or found in the store) beforehand; packages come from the store. Each step is timed alone, in
this process, and the least of the rounds counts. Beside each image stands `gzip -6` of the same disk's data, as a measure of
the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stager.net.indexes import Indexes
from stager.stacks import boxes, disks, ext4, find, guest, lock, root, tree
from stager.stacks.build_context import Making
from stager.store import Store


def timed(rounds: int, work: Callable[[], object]) -> float:
    """The least seconds that `work` took."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Print a line a step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stack", default="debian-12")
    parser.add_argument("--lock", default="")
    parser.add_argument("--store", default="")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        store = Store(arguments.store or place)
        making = Making(store, Indexes.from_environment(dict(os.environ), home=os.path.expanduser("~")))
        measure(arguments, making)


def measure(arguments: argparse.Namespace, making: Making) -> None:
    definition = find.load(arguments.stack)
    pinned = lock.load(definition, arguments.lock)
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, {model.partition(': ')[2]}, load {os.getloadavg()[0]:.1f}"
    )
    made = {}
    for needed in dict.fromkeys(boxes.SETS.values()):
        start = time.perf_counter()
        made[needed] = root.build(definition, pinned, "amd64", making, [needed])
        print(
            f"root + {needed:8} {time.perf_counter() - start:7.1f} s  {made[needed].size / 1e6:7.1f} MB (0 s: was there)"
        )
    parts(made["machine"], making, arguments.rounds)
    for name, needed in boxes.SETS.items():
        found = []

        def work(name: str = name, needed: str = needed, found: list[boxes.BoxFile] = found) -> None:
            found[:] = boxes.build(definition, made[needed], [name], making, again=True)

        seconds = timed(arguments.rounds, work)
        print(f"box {name:12} {seconds:7.1f} s  {found[0].size / 1e6:7.1f} MB")


def parts(made: root.Root, making: Making, rounds: int) -> None:
    """The raw disk, step by step; and the peer."""
    uuid = disks.uuid_of(disks.identity(made), "file system")

    def read() -> tree.Tree:
        found = tree.read(descriptor, made.name)
        guest.for_disk(found, made.name, uuid)
        return found

    def fill() -> None:
        with tempfile.TemporaryDirectory(dir=making.store.root) as folder:
            image = os.path.join(folder, "raw")
            with open(image, "wb") as file:
                file.truncate(disks.SIZE)
            os.mkdir(os.path.join(folder, "work"))
            size = disks.SIZE - disks.START
            ext4.write(read(), image, disks.START, size, uuid, made.epoch, os.path.join(folder, "work"), made.name)

    descriptor = making.store.open(made.digest.hex)
    try:
        print(f"reading the root  {timed(rounds, read):7.1f} s")
        print(f"ext4 of it        {timed(rounds, fill):7.1f} s")
    finally:
        os.close(descriptor)
    path = making.store.path(made.digest.hex)
    packed = timed(1, lambda: subprocess.run(["gzip", "-6", "-c", path], stdout=subprocess.DEVNULL, check=True))
    print(f"gzip -6 of it     {packed:7.1f} s  (the peer)")


if __name__ == "__main__":
    main()
