"""A runtime made up for `test_toy_runtime`: one module, as somebody would add it to `stager/runtimes/` for a new language.

Its releases lie beside the configured npm registry: `toy/index.json` says which versions there are, with their digests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from stager.digest import Digest
from stager.ecosystems.errors import Mislabelled
from stager.formats.archive import content_bytes
from stager.model import Artifact, Runtime, Stack
from stager.runtimes import releases
from stager.runtimes.archives import inside, recipe
from stager.runtimes.chosen import ChosenRuntime, all_accept, asked_text, first_place, kept, reason
from stager.runtimes.errors import NoRuntime
from stager.runtimes.record import Candidate, Layout, RuntimeKind, RuntimeRequest
from stager.runtimes.version_files import plain
from stager.runtimes.version_requests import beginning

if TYPE_CHECKING:
    from stager.formats.archive import Archive
    from stager.net.indexes import Indexes

NAME, PLACE = "toy", ".stager/toy"
_lines = partial(releases.read, NAME)


def _choose(ask: RuntimeRequest) -> ChosenRuntime:
    requests = [beginning(text, why) for text, why in ask.asked]
    if found := kept(ask, NAME, requests, "toy/1"):
        runtime, artifacts = found
        return ChosenRuntime(Runtime(NAME, runtime.version, "toys", (0, 0), reason("a toy", requests)), artifacts)
    index = json.loads(ask.web.get(f"{ask.registry}/toy/index.json"))
    fits = [version for version in index if all_accept(requests, version)]
    if not fits:
        raise NoRuntime(NAME, asked_text(requests), ask.stack.name, sorted(index), first_place(requests))
    version = max(fits, key=RUNTIME.order)
    artifact = Artifact(
        f"pkg:generic/toy@{version}", f"toy-{version}.tar.gz", Digest(index[version]), "toy/1", (PLACE,)
    )
    return ChosenRuntime(Runtime(NAME, version, "toys", (0, 0), reason("a toy", requests)), (artifact,))


def _locate(artifact: Artifact, indexes: Indexes) -> Iterator[str]:
    yield f"{indexes.npm()}/toy/{artifact.filename}"


def _check(archive: Archive, artifact: Artifact) -> None:
    stated = content_bytes(inside(archive)["VERSION"].content, artifact.name).decode().strip()
    if not artifact.purl.endswith(f"@{stated}"):
        raise Mislabelled(artifact.name, "VERSION", stated, artifact.purl)


def _candidates(chosen: Runtime, _: Stack) -> Iterator[Candidate]:
    for line in _lines().supported:
        yield Candidate(line, line, chosen.version.startswith(f"{line}."), f"toy {line}")


RUNTIME = RuntimeKind(
    name=NAME,
    title="Toy",
    place=PLACE,
    programs=f"{PLACE}/bin",
    layouts={"toy/1": Layout(recipe("bin/toy", bool, _check), "pkg:generic/toy", "MIT", _locate)},
    choose=_choose,
    rule="the newest toy that every request allows",
    readers=(NAME,),
    commands=frozenset({NAME}),
    wish="Add a main.toy, so that Toy is in the droplet.",
    example="toy main.toy",
    sources=(plain(".toy-version", "1.2"),),
    releases=_lines,
    candidates=_candidates,
)
