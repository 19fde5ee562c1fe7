"""The app's links and the plan's are each fine by themselves and astray together; what passes is judged by the kernel, too."""

from __future__ import annotations

import contextlib
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_assembly import Bench
from unpacking import unpack

from stager import entry
from stager.droplet import assembly, incremental, linking
from stager.droplet.errors import PathConflict, UnsafeLinks
from stager.droplet.incremental import Folder
from stager.errors import StagerError
from stager.planning.lockfile import dumps
from stager.store import Store
from stager.tree import Link, SourceTree

WEB = {"apps/web/node_modules/shallow": "../../../shallow"}
"""What a workspace's lock demands: read as text, everything below it is three folders deep; really it is one."""

BAD: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "the app's through a workspace's": (WEB, {"q": "apps/web/node_modules/shallow/../../../x"}, "leads outside the app"),
    "ending above the app": (WEB, {"q": "apps/web/node_modules/shallow/../.."}, "leads outside the app"),
    "two of the app's and one of the plan's": (
        WEB, {"lib/p": "../apps/web/node_modules/shallow", "q": "lib/p/../../x"}, "leads outside the app",
    ),
    "the plan's through the app's": (
        {"node_modules/x": "../deep/link/../../../y"}, {"deep/link": "../flat"}, "leads outside the app",
    ),
    "plan, app, plan": (
        {"node_modules/x": "../one/a/../..", "node_modules/y": "../flat"},
        {"one/a": "../node_modules/y"}, "leads outside the app",
    ),
    "two of the plan's": (
        {"a/b/c": "../../flat", "node_modules/x": "../a/b/c/../../x"}, {}, "leads outside the app",
    ),
    "a chain of dots": (
        {"d1/d2/d3/l": "../../../flat"}, {"m": "d1/d2/d3/l/..", "n": "d1/d2/d3/l/../../flat"}, "leads outside the app",
    ),
    "a loop of one each": ({"node_modules/x": "../y"}, {"y": "node_modules/x"}, "in a loop"),
    "a loop through folders": ({"node_modules/x": "../y/z"}, {"y": "node_modules/x"}, "in a loop"),
    "a loop of the plan's own": ({"node_modules/x": "y", "node_modules/y": "x"}, {}, "in a loop"),
    "through a file of the app": ({"node_modules/x": "../main.py/../lib"}, {}, "leads through main.py, which is a file"),
    "through a generated file": ({}, {"q": ".stager/launch.json/../bin"}, "leads through .stager/launch.json"),
    "through a link to a file": ({"node_modules/x": "../main/y"}, {"main": "main.py"}, "leads through main.py"),
    "with a slash after a file": ({"node_modules/x": "../main.py/"}, {}, "leads through main.py, which is a file"),
    "through a package's file": ({}, {"q": "node_modules/beta/index.js/.."}, "leads through node_modules/beta/index.js"),
    "through a package's command": ({}, {"q": "node_modules/.bin/beta/x"}, "leads through node_modules/beta/cli.js"),
    "an absolute one of the plan's": ({"node_modules/x": "/etc"}, {"q": "node_modules/x/passwd"}, "leads to an absolute path"),
    "more than Linux follows": ({f"n/{i}": str(i + 1) for i in range(42)}, {"q": "n/0"}, "over more links than Linux follows"),
}  # fmt: skip

GOOD: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "a workspace": (WEB, {}),
    "into a workspace": (WEB, {"q": "apps/web/node_modules/shallow/index.js"}),
    "a dangling one inside": ({"node_modules/x": "../nowhere"}, {"q": "node_modules/x/deeper"}),
    "up and down inside": (WEB, {"q": "apps/web/node_modules/shallow/../lib/a.py"}),
    "to the app itself": ({"node_modules/self": ".."}, {"q": "node_modules/self/lib"}),
    "a command": ({}, {"q": "node_modules/.bin/beta"}),
    "as many as Linux follows": ({f"n/{i}": str(i + 1) for i in range(38)}, {"q": "n/0"}),
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.npm("beta", {"index.js": b"", "cli.js": b"#!/usr/bin/env node\n"}, bin={"beta": "cli.js"})
    made.write("shallow/index.js", "1\n")
    made.write("apps/web/package.txt", "{}\n")
    made.write("flat/file", "\n")
    return made


def link(bench: Bench, links: dict[str, str]) -> None:
    for path, target in links.items():
        (bench.app / path).parent.mkdir(parents=True, exist_ok=True)
        (bench.app / path).symlink_to(target)


@pytest.mark.parametrize("name", BAD)
def test_links_that_lead_astray_together(name: str, bench: Bench) -> None:
    plan, own, why = BAD[name]
    link(bench, own)
    with pytest.raises(UnsafeLinks, match=why) as caught:
        bench.stage(bench.base(bench.plan(links=tuple(sorted(plan.items())))))
    told = str(caught.value)
    assert all(path in told for path, *_ in caught.value.data["chain"][:12])  # type: ignore[index]
    assert not bench.out.exists()


@pytest.mark.parametrize("name", [name for name, (_, own, _) in BAD.items() if own])
def test_the_same_on_the_warm_path(name: str, bench: Bench) -> None:
    """The plan and its base are known; the app's links come later."""
    plan, own, why = BAD[name]
    made = bench.plan(links=tuple(sorted(plan.items())))
    base = bench.base(made)
    (bench.app / "stager.lock").write_text(dumps(made))
    with contextlib.suppress(UnsafeLinks):  # of some, the plan's part alone is astray
        bench.stage(base)
    link(bench, own)
    with pytest.raises(UnsafeLinks, match=why):
        incremental.warm(Folder.read(str(bench.app), bench.store), str(bench.out), bench.settings())


@pytest.mark.parametrize("name", GOOD)
def test_links_that_stay_inside(name: str, bench: Bench) -> None:
    plan, own = GOOD[name]
    link(bench, own)
    base = bench.base(bench.plan(links=tuple(sorted(plan.items()))))
    digest = bench.stage(base).digest
    assert {path: bench.members()[f"./app/{path}"].linkname for path in (*plan, *own)} == plan | own
    judge(bench, {**plan, **own})
    assert bench.stage(base).digest == digest


def judge(bench: Bench, links: dict[str, str]) -> None:
    """Unpack the droplet and let the kernel follow every link."""
    place = bench.out.parent / "unpacked"
    with tarfile.open(bench.out) as archive:
        unpack(archive, place)
    root = os.path.realpath(place / "app")
    for path in links:
        followed(os.path.join(root, path), root)


def followed(path: str, root: str) -> None:
    assert (os.path.realpath(path) + "/").startswith(root + "/"), path
    try:
        os.stat(path)
    except FileNotFoundError:  # any other error is none that a link of a droplet may lead to
        return


def test_the_error_names_the_links_and_whose_they_are(bench: Bench) -> None:
    plan, own, _ = BAD["the app's through a workspace's"]
    link(bench, own)
    with pytest.raises(UnsafeLinks) as caught:
        bench.stage(bench.base(bench.plan(links=tuple(plan.items()))))
    assert caught.value.where == "q"
    assert caught.value.message == (
        "leads outside the app: q -> apps/web/node_modules/shallow/../../../x (the app's), "
        "apps/web/node_modules/shallow -> ../../../shallow (a link of the plan)"
    )


def test_a_file_that_comes_later_is_not_passed_through(bench: Bench) -> None:
    base = bench.base(bench.plan(links=(("node_modules/x", "../later/y"),)))
    bench.stage(base)
    bench.write("later", "a file\n")
    with pytest.raises(UnsafeLinks, match="leads through later, which is a file of the app"):
        bench.stage(base)


def test_a_forgotten_record_is_made_again(bench: Bench, tmp_path: Path) -> None:
    plan = bench.plan(links=tuple(WEB.items()))
    (bench.app / "stager.lock").write_text(dumps(plan))
    settings_ = bench.settings(offline=True, locked=True)
    for artifact in plan.artifacts:
        bench.store.put(bench.blobs[artifact.digest])
    first = entry.stage(str(bench.app), str(bench.out), settings_)
    for file in (tmp_path / "store").rglob("memo/*"):
        if b'"linked"' in file.read_bytes()[:40] or b'"passed"' in file.read_bytes()[:40]:
            file.unlink()
    link(bench, {"q": "shallow"})
    assert entry.stage(str(bench.app), str(bench.out), settings_).digest != first.digest


PLACES = [
    ("a link below a link of the plan", (("x", "flat"), ("x/y", "..")), {}),
    ("a link two folders below one", (("x", "flat"), ("x/y/z", "..")), {}),
    ("the app's file below a link of the plan", (("x", "flat"),), {"x/y/file": "1"}),
    ("the app's file where the plan has a folder", (("apps/web/node_modules/a", "../../.."),), {"apps/web/node_modules": "1"}),
    ("the app's link where the plan has a folder", (("x/y/z", "../../flat"),), {"x": Link("flat")}),
    ("a link over a generated folder", ((".stager/bin", "../flat"),), {}),
    ("a link over a generated file", ((".stager/launch.json", "../main.py"),), {}),
    ("a link over all that is generated", ((".stager", "flat"),), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "links", "files"), PLACES, ids=[row[0] for row in PLACES])
def test_no_path_has_two_owners(
    name: str, links: tuple[tuple[str, str], ...], files: dict[str, str], bench: Bench
) -> None:
    for path, text in files.items():
        if isinstance(text, Link):
            link(bench, {path: text})
            continue
        if (bench.app / path).parent.name == "web":
            (bench.app / "apps/web/package.txt").unlink()
        bench.write(path, text)
    with pytest.raises(PathConflict):
        bench.stage(bench.base(bench.plan(links=links)))


@pytest.mark.parametrize(
    "path", [".stager/bin/launch", ".stager/launch.json", ".stager/stager.lock", ".stager/processes/web"]
)
def test_a_plans_file_never_stands_for_stagers_own(path: str, bench: Bench) -> None:
    with pytest.raises(PathConflict, match="claimed by stager, the plan"):
        bench.base(bench.plan(files=((path, "echo mine\n"),)))


# --- against the kernel ----------------------------------------------------------------------------------------

NAMES = ["a", "b", "c"]
PARTS = st.lists(st.sampled_from([*NAMES, "..", ".."]), min_size=1, max_size=5).map("/".join)
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=st.dictionaries(PATHS, PARTS, max_size=4), other=st.dictionaries(PATHS, PARTS, max_size=4), file=PATHS)
def test_what_passes_is_inside_for_the_kernel(
    own: dict[str, str], other: dict[str, str], file: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    links = {**other, **own}
    paths = [*links, file]
    if any(path != above and path.startswith(above + "/") for above in paths for path in paths) or file in links:
        return
    place = tmp_path_factory.mktemp("k")
    root = place / "outer" / "app"
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("")
    for path, target in links.items():
        (root / path).symlink_to(target)
    folders = sorted(
        {str(folder.relative_to(root)) for folder in root.rglob("*") if folder.is_dir() and not folder.is_symlink()}
    )
    store = Store(str(place / "store"))
    base = linking.record(other, dict.fromkeys(other, "the plan's"), (), folders)
    store.remember("linked", "base", base)
    try:
        tree = SourceTree.of({file: "", **{path: Link(target) for path, target in own.items()}})
        linking.check(tree, "base", store)
    except StagerError:
        return
    for path in links:
        followed(str(root / path), os.path.realpath(root))


def test_damaged_without_blobs_is_no_error_of_the_disk() -> None:
    assert assembly.Damaged().blobs == ()
