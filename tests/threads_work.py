"""What `test_threads` runs in a fresh process of each Python: many threads at once, everything for the first time.

Arguments: `pip` or `none` (as if pip were not installed); what each thread does; then that work's own.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from importlib.abc import MetaPathFinder

THREADS = 16


class Missing(MetaPathFinder):
    """Lets no pip be imported."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse pip, leave the rest to others."""
        if name.partition(".")[0] == "pip":
            raise ModuleNotFoundError(name)


def at_once(work: Callable[[int], object]) -> dict[str, list[str]]:
    """What sixteen threads come to that begin at the same moment: their results, and their tracebacks."""
    gate = threading.Barrier(THREADS)
    found: dict[str, list[str]] = {"results": [], "failed": []}

    def one(number: int) -> None:
        gate.wait()
        try:
            found["results"].append(str(work(number)))
        except BaseException:
            found["failed"].append(traceback.format_exc())

    threads = [threading.Thread(target=one, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def index(_: int) -> object:
    """Where Python's packages are, and the program that says so."""
    from stager.net.indexes import default_pypi, uv_program

    return default_pypi(), uv_program()


def every_verb(app: str, folder: str, store: str) -> Callable[[int], object]:
    """Plan, stage cold and warm, export and describe one app; `store` is `one` for all or `each` its own."""

    def work(number: int) -> object:
        import stager
        from stager.droplet import inspecting, reader
        from stager.evidence import diff, receipt, report, sbom
        from stager.evidence.sbom import inventory
        from stager.targets.oci.export import OciOptions

        own = stager.Store(os.path.join(folder, "store" if store == "one" else f"store-{number}"))
        tree = stager.SourceTree.read(app)
        plan = stager.plan(tree, store=own)
        out = os.path.join(folder, f"{number}.tgz")
        made = [stager.stage(app, out=out, store=own).digest for _ in range(2)]
        made += [stager.stage(app, out=out, plan=plan, store=own).digest]
        wanted = {"oci": OciOptions(base="scratch")}
        exported = [
            stager.export(
                out, target, os.path.join(folder, f"{number}.{target}"), store=own, options=wanted.get(target)
            ).digest
            for target in ("heroku", "cloudfoundry", "tar", "oci")
        ]
        with reader.open_droplet(out, own) as opened:
            told = [receipt.dumps(receipt.make(opened)), sbom.dumps(inventory.take(opened, own, "x"), "cyclonedx")]
        told.append(report.render_page(diff.read(out), None).encode())
        return made, exported, [hash_of(data) for data in told], inspecting.inspect(out, own).digest

    return work


def staging(app: str, folder: str) -> Callable[[int], object]:
    """Plan and stage one app into one store."""

    def work(number: int) -> object:
        import stager

        store = stager.Store(os.path.join(folder, "store"))
        plan = stager.plan(stager.SourceTree.read(app), store=store)
        return stager.stage(app, out=os.path.join(folder, f"{number}.tgz"), plan=plan, store=store).digest

    return work


def hash_of(data: bytes) -> str:
    """The SHA-256 of bytes."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    if sys.argv[1] == "none":
        sys.meta_path.insert(0, Missing())
    elif sys.argv[1] != "pip":
        raise SystemExit(f"not a way to have pip: {sys.argv[1]}")
    works: dict[str, Callable[..., Callable[[int], object]]]
    works = {"index": lambda: index, "verbs": every_verb, "stage": staging}
    print(json.dumps(at_once(works[sys.argv[2]](*sys.argv[3:]))))
