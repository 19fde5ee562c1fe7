"""What a build has around it beside the droplet's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stager.digest import Digest
from stager.errors import BadManifest
from stager.model import APP, ARTIFACT, Artifact, Build, Locked, Plan, Reason
from stager.planning.builds import beyond, check_options
from stager.tree import SourceTree

ONE = Artifact("pkg:npm/a@1", "a-1.tgz", Digest("sha512:" + "0" * 128), "npm/1", ("node_modules/a",))
TWO = Artifact("pkg:npm/b@1", "b-1.tgz", Digest("sha512:" + "1" * 128), "npm/1", ("node_modules/b",))


def test_packages_for_development_are_what_the_droplet_lacks() -> None:
    locked = Locked((ONE,), links=(("node_modules/c", "../c"),))
    both = replace(ONE, paths=("node_modules/a", "node_modules/b/node_modules/a"))
    whole = Locked((both, TWO), links=(("node_modules/c", "../c"), ("node_modules/d", "../d")), files=(("f", "1"),))
    assert beyond(locked, whole) == Locked(
        (replace(ONE, paths=("node_modules/b/node_modules/a",)), TWO),
        links=(("node_modules/d", "../d"),),
        files=(("f", "1"),),
    )
    assert beyond(locked, locked) == Locked(())


def test_what_may_have_to_be_built_of_them_is_known() -> None:
    found = beyond(Locked((ONE,)), Locked((ONE, TWO), unsure=(ONE.purl, TWO.purl)))
    assert found is not None
    assert found.unsure == (TWO.purl,)


def test_a_build_is_of_the_droplets_artifact_or_of_what_another_has_around_it() -> None:
    of = Build("b-1", ARTIFACT, "node", "r/1", Reason(""), of=TWO.purl, artifacts=(replace(TWO, paths=("elsewhere",)),))
    around = Build("build", APP, "stack", "make", Reason(""), artifacts=(TWO,))
    assert plan(of, around).source(of) == TWO
    assert replace(plan(of, around), artifacts=(replace(TWO, paths=("x",)),)).source(of) == replace(TWO, paths=("x",))
    assert plan(of).source(of) is None


def test_packages_that_would_be_elsewhere_are_not_added_to_the_droplet_s() -> None:
    locked = Locked((ONE,), links=(("node_modules/c", "../c"),), files=(("f", "1"),))
    moved = Locked((replace(ONE, paths=("node_modules/x/node_modules/a",)),), locked.links, locked.files)
    assert beyond(locked, moved) is None
    assert beyond(locked, replace(locked, links=(("node_modules/c", "../other"),))) is None
    assert beyond(locked, replace(locked, files=(("f", "2"),))) is None
    assert beyond(locked, replace(locked, artifacts=())) is None


def plan(*builds: Build) -> Plan:
    return Plan("debian-12", "amd64", "c", (), (), (), (), (), (), (), (), builds=builds)


MADE = (
    Build("docopt", ARTIFACT, "stack", "r/1", Reason(""), of="pkg:pypi/docopt@1"),
    Build("static", APP, "stack", "make", Reason("")),
)
OWN = "build: [{run: make, outputs: [out], name: css}]\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{statc: no}", "builds.statc: there is no such build; did you mean 'static'?"),
        ("{x: no}", "builds.x: there is no such build; known here: build, docopt, static"),
        ("{css: {twice: no}}", "builds.css: is a build of the app's own: say it there"),
        ("{docopt: no}", "builds.docopt: builds a package: its env, packages and twice can be otherwise"),
        ("{docopt: {run: make}}", "builds.docopt: builds a package: its env, packages and twice can be otherwise"),
    ],
)
def test_options_of_a_build_that_there_is_not(options: str, message: str) -> None:
    tree = SourceTree.of({"stager.yml": f"{OWN}builds: {options}\n"})
    with pytest.raises(BadManifest) as caught:
        check_options(tree, plan(*MADE))
    assert (caught.value.message, caught.value.where) == (message, "stager.yml:2")


@pytest.mark.parametrize(
    "options", ["{static: no}", "{build: {run: make}}", "{docopt: {env: {A: b}, packages: [make]}}"]
)
def test_options_of_a_build_that_there_may_be(options: str) -> None:
    check_options(SourceTree.of({"stager.yml": f"builds: {options}\n"}), plan(*MADE))
