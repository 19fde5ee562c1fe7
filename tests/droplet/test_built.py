"""The key of a build: everything that goes in, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from test_lock_builds import BUILT
from trees import Content

from stager.droplet import built
from stager.model import DROPLET, NOTHING, RUNTIMES, Plan, Reason
from stager.planning import surroundings
from stager.records import AppBuild
from stager.tree import Executable, Link, SourceTree

FILES = {
    "app.py": "app",
    "web/a.js": "a",
    "web/b.ts": "b",
    "web/deep/c.js": "c",
    "web/dist/old.js": "old",
    "docs/x.md": "x",
}


def inputs(*patterns: str, outputs: tuple[str, ...] = ("web/dist",), **more: Link) -> list[str]:
    files, links = built.inputs(AppBuild("own", "p", patterns, outputs), SourceTree.of({**FILES, **more}))
    return [*files, *links]


def test_patterns_choose_what_is_read() -> None:
    everything = ["app.py", "docs/x.md", "web/a.js", "web/b.ts", "web/deep/c.js"]
    assert inputs("**") == everything
    assert inputs("**", "!docs/**") == [path for path in everything if not path.startswith("docs")]
    assert inputs("web/**") == ["web/a.js", "web/b.ts", "web/deep/c.js"]
    assert inputs("web/*.js", "app.py") == ["app.py", "web/a.js"]
    assert inputs("web/**", "!web/**", "app.py") == ["app.py"]
    assert inputs("web/**", link=Link("web")) == ["web/a.js", "web/b.ts", "web/deep/c.js"]
    assert inputs("**", link=Link("web"))[-1] == "link"


def test_what_is_in_place_of_an_output_is_read_only_by_name() -> None:
    assert inputs("web/**", outputs=("web",)) == ["web/a.js", "web/b.ts", "web/deep/c.js", "web/dist/old.js"]
    assert inputs("**", outputs=("web/deep",)) == [path for path in inputs("**", outputs=()) if path != "web/deep/c.js"]
    assert inputs("**", "web/deep/**", outputs=("web/deep",)) == inputs("**", outputs=())
    assert inputs("app.py", "web/deep/*.js", "!web/deep/c.js", outputs=("web/deep",)) == ["app.py"]


def key(files: Mapping[str, Content], prefix: str = "p", patterns: tuple[str, ...] = ("web/**",)) -> str:
    return built.key(AppBuild("own", prefix, patterns, ("web/dist",)), SourceTree.of(files))


def test_the_key_moves_with_what_is_read_alone() -> None:
    same = key(FILES)
    assert same == key({**FILES, "docs/x.md": "y", "web/dist/old.js": "new", "more": "more"})
    changes: list[Mapping[str, Content]] = [
        {"web/a.js": "A"},
        {"web/new": ""},
        {"web/a.js": Executable("a")},
        {"web/link": Link("a.js")},
    ]
    for change in changes:
        assert key({**FILES, **change}) != same
    assert key(FILES, "q") != same


APP_BUILD, ARTIFACT_BUILD = BUILT.builds[1], BUILT.builds[0]


@pytest.mark.parametrize(
    "plan",
    [
        replace(BUILT, inputs=()),
        replace(BUILT, processes=()),
        replace(BUILT, builds=tuple(replace(one, reason=Reason("another", "x", 3)) for one in BUILT.builds)),
        replace(BUILT, notes=("a note",)),
    ],
)
def test_reasons_processes_and_inputs_are_no_part_of_a_build(plan: Plan) -> None:
    for before, after in zip(BUILT.builds, plan.builds, strict=True):
        assert surroundings.text(plan, after) == surroundings.text(BUILT, before)


def test_what_a_build_shares_with_the_droplet() -> None:
    names = {
        on: {one.purl for one in surroundings.plan_of(BUILT, replace(APP_BUILD, on=on)).artifacts}
        for on in (DROPLET, RUNTIMES, NOTHING)
    }
    own = {one.purl for one in APP_BUILD.artifacts}
    assert names[NOTHING] == own
    assert names[DROPLET] == own | {one.purl for one in BUILT.artifacts}
    assert own <= names[RUNTIMES] < names[DROPLET]


def test_an_artifact_that_is_built_is_built_for_an_app_build_too() -> None:
    around = surroundings.plan_of(BUILT, replace(APP_BUILD, on=DROPLET))
    assert [one.name for one in around.builds] == [ARTIFACT_BUILD.name]
    assert [one.name for one in around.roots] == [ARTIFACT_BUILD.root]
    assert surroundings.plan_of(BUILT, replace(APP_BUILD, on=NOTHING)).builds == ()
