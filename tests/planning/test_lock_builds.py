"""The blocks of builds: equal bytes, and what is wrong in one is told with its line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_lockfile import PLAN

from stager.digest import Digest
from stager.errors import BadLock
from stager.model import APP, ARTIFACT, NOTHING, Artifact, Build, BuildRoot, DebPin, Reason
from stager.planning import lockfile

WHY = Reason("a test", "package.json", 7)
DEB = DebPin(
    "gcc-12", "12.2.0-14", "amd64", 9, Digest("sha256:" + "d" * 64), "pool/main/g/gcc-12/gcc-12_12.2.0-14_amd64.deb"
)
ROOTS = (
    BuildRoot("stack", "debian-12", "2026-11-21T02:10:46Z", (DEB,)),
    BuildRoot("python", "debian-12", "2026-11-21T02:10:46Z", (replace(DEB, name="g++"), DEB), ("g++",)),
)
WHEEL = Artifact(
    "pkg:pypi/setuptools@80.9.0", "setuptools.whl", Digest("sha256:" + "e" * 64), "wheel/1", (".stager/pypi",)
)
BUILDS = (
    Build("own", ARTIFACT, "python", "stager:pep517/1", WHY, of=PLAN.artifacts[0].purl, on=NOTHING, artifacts=(WHEEL,)),
    Build(
        "frontend", APP, "stack", "npm run build", WHY, "web", ("**", "!docs/**"), ("web/dist",), (("A", "b"),),
        recipes=("next/1",), twice=False, artifacts=(WHEEL,), links=(("node_modules/x", "../y"),), files=(("a", "b"),),
        runtimes=PLAN.runtimes, buildpacks=PLAN.buildpacks,
    ),
)  # fmt: skip
BUILT = replace(PLAN, builds=BUILDS, roots=ROOTS)
TEXT = lockfile.dumps(BUILT)


def test_builds_read_back_as_the_same_plan_and_the_same_bytes() -> None:
    found = lockfile.loads(TEXT.encode()).plan
    assert found == BUILT
    assert lockfile.dumps(found) == TEXT


def test_a_plan_without_builds_has_no_such_blocks() -> None:
    assert "[[root]]" not in lockfile.dumps(PLAN)
    assert "[[build]]" not in lockfile.dumps(PLAN)
    assert TEXT.startswith(lockfile.dumps(PLAN))


def test_everything_that_is_fetched() -> None:
    assert BUILT.all_artifacts() == (*PLAN.artifacts, WHEEL, WHEEL)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "frontend"', 'name = "Frontend"', "'Frontend' is not allowed"),
        ('name = "frontend"', 'name = "own"', "Build 'own' is there twice"),
        ('kind = "app"', 'kind = "magic"', "'magic' is not allowed"),
        ('root = "python"', 'root = "nowhere"', "there is no root 'nowhere'"),
        (f'of = "{PLAN.artifacts[0].purl}"', 'of = "pkg:pypi/nobody@1"', "there is no artifact"),
        ('command = "npm run build"', 'command = ""', "a command is one line"),
        ('outputs = ["web/dist"]', 'outputs = ["../dist"]', "does not stay inside"),
        ('outputs = ["web/dist"]', 'outputs = [".stager/bin"]', "stager makes itself"),
        ('outputs = ["web/dist"]\n', "", "leaves nothing"),
        ('"!docs/**"', '"!../docs/**"', "does not stay inside"),
        ('folder = "web"', 'folder = "/web"', "does not stay inside"),
        ('recipes = ["next/1"]', 'recipes = ["next"]', "'next' is not allowed"),
        ('"A" = "b"', '"A\\u0000b\\u0000--bind" = "b"', "is not the name of a variable"),
        ('"A" = "b"', '"LD PRELOAD" = "b"', "is not the name of a variable"),
        ('wants = ["g++"]', 'wants = ["g++", "g++"]', "each package once"),
        ('"node_modules/x" = "../y"', '"node_modules/x" = "../../y"', "does not stay inside"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, message: str) -> None:
    assert old in TEXT
    broken = TEXT.replace(old, new, 1)
    with pytest.raises(BadLock, match=message.replace("(", "\\(")) as caught:
        lockfile.loads(broken.encode())
    if new and "nobody" not in new:
        line = next(number for number, one in enumerate(broken.split("\n"), 1) if new in one)
        if "twice" not in message:
            assert caught.value.where == f"stager.lock:{line}"


def test_an_app_is_built_after_its_artifacts() -> None:
    with pytest.raises(BadLock, match="come before"):
        lockfile.loads(lockfile.dumps(replace(BUILT, builds=BUILDS[::-1])).encode())
