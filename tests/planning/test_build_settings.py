"""`build` and `builds` of `stager.yml`: what they may say, and every slip with its line."""

from __future__ import annotations

import pytest

from stager.errors import BadManifest
from stager.planning.detection import appconfig
from stager.planning.detection.build_settings import BuildOptions, OwnBuild
from stager.tree import SourceTree

FULL = """\
build:
  - {run: make assets, outputs: [static/dist]}
  - run: ./styles.sh
    name: styles
    inputs: [./assets/**, Makefile, "!assets/tmp/**"]
    outputs: [web/app.css, ./web/fonts/]
    packages: [pngcrush, optipng]
    env: {THEME: dark, BASE: ""}
    folder: web/
    twice: no
builds:
  static: no
  frontend: {run: "npm run build:prod", env: {NEXT_PUBLIC_API: /api}, packages: [libvips-dev], twice: no}
  other:
    inputs: ["!docs/**"]
    outputs: [dist]
    twice: yes
"""


def read(content: str) -> appconfig.AppConfig:
    return appconfig.read(SourceTree.of({"stager.yml": content}))


def test_own_builds_in_the_order_of_the_file() -> None:
    assert read(FULL).own_builds == (
        OwnBuild("own", "make assets", ("static/dist",), line=2),
        OwnBuild(
            name="styles",
            run="./styles.sh",
            outputs=("web/app.css", "web/fonts"),
            inputs=("assets/**", "Makefile", "!assets/tmp/**"),
            packages=("optipng", "pngcrush"),
            env=(("BASE", ""), ("THEME", "dark")),
            folder="web",
            twice=False,
            line=3,
        ),
    )


def test_options_of_other_builds() -> None:
    assert read(FULL).build_options == {
        "static": BuildOptions(off=True, line=12),
        "frontend": BuildOptions(
            run="npm run build:prod",
            packages=("libvips-dev",),
            env=(("NEXT_PUBLIC_API", "/api"),),
            twice=False,
            line=13,
        ),
        "other": BuildOptions(inputs=("**", "!docs/**"), outputs=("dist",), twice=True, line=14),
    }


def test_builds_without_a_name_are_counted() -> None:
    found = read("build:\n- {run: a, outputs: [a]}\n- {run: b, outputs: [b]}\n- {run: c, outputs: [c], name: c}\n")
    assert [one.name for one in found.own_builds] == ["own", "own-2", "c"]


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        ("build: make\n", "stager.yml:1", "build: expected an array, found str"),
        ("build: [make]\n", "stager.yml:1", "build[0]: expected a table of names and values"),
        ("build:\n - {outputs: [a]}\n", "stager.yml:2", "build[0]: has no 'run'"),
        (
            "build:\n - {run: make}\n",
            "stager.yml:2",
            "build[0]: has no outputs: list the files and folders that it leaves, such as outputs: [static/dist]",
        ),
        ("build:\n - {run: '', outputs: [a]}\n", "stager.yml:2", "build[0].run: must not be empty"),
        ("build:\n - {run: [a], outputs: [a]}\n", "stager.yml:2", "build[0].run: expected text"),
        (
            'build:\n - {run: "a\\nb", outputs: [a]}\n',
            "stager.yml:2",
            "build[0].run: must be one line of printable characters",
        ),
        (
            f"build:\n - {{run: {'a' * 8001}, outputs: [a]}}\n",
            "stager.yml:2",
            "build[0].run: is longer than 8000 characters; put it in a script",
        ),
        (
            "build:\n - run: a\n   output: [a]\n",
            "stager.yml:3",
            "build[0].output: unknown key; did you mean 'outputs'?",
        ),
        ("build:\n - {run: a, outputs: dist}\n", "stager.yml:2", "build[0].outputs: expected an array, found str"),
        (
            "build:\n - run: a\n   outputs:\n    - b\n    - ../x\n",
            "stager.yml:5",
            "build[0].outputs[1]: the path '../x' does not stay inside the app folder",
        ),
        (
            "build:\n - {run: a, outputs: [/srv/x]}\n",
            "stager.yml:2",
            "build[0].outputs[0]: the path '/srv/x' does not stay inside the app folder",
        ),
        (
            "build:\n - {run: a, outputs: [.]}\n",
            "stager.yml:2",
            "build[0].outputs[0]: the path '.' does not stay inside the app folder",
        ),
        (
            "build:\n - {run: a, outputs: ['dist/*.js']}\n",
            "stager.yml:2",
            "build[0].outputs[0]: expected a file or folder, no pattern",
        ),
        (
            "build:\n - {run: a, outputs: [.stager/bin]}\n",
            "stager.yml:2",
            "build[0].outputs[0]: is a place of stager's own",
        ),
        ("build:\n - {run: a, outputs: [a, a/b]}\n", "stager.yml:2", "build[0].outputs[1]: a/b is given twice"),
        ("build:\n - {run: a, outputs: [a/b, a/]}\n", "stager.yml:2", "build[0].outputs[1]: a is given twice"),
        (
            "build:\n - {run: a, outputs: [a], inputs: ['!/etc/**']}\n",
            "stager.yml:2",
            "build[0].inputs[0]: the path '/etc/**' does not stay inside the app folder",
        ),
        ("build:\n - {run: a, outputs: [a], inputs: ['']}\n", "stager.yml:2", "build[0].inputs[0]: must not be empty"),
        (
            "build:\n - {run: a, outputs: [a], packages: [lib_x]}\n",
            "stager.yml:2",
            "build[0].packages[0]: 'lib_x' is not the name of a Debian package, such as libpq-dev",
        ),
        (
            "build:\n - {run: a, outputs: [a], env: {A-B: x}}\n",
            "stager.yml:2",
            "build[0].env.A-B: a name has letters, digits and '_', and does not start with a digit",
        ),
        (
            "build:\n - {run: a, outputs: [a], env: {HOME: x}}\n",
            "stager.yml:2",
            "build[0].env.HOME: is set by the platform",
        ),
        (
            "builds:\n  docopt:\n    env:\n      BUILD_EXTRA_REQUIRES: junk\n",
            "stager.yml:4",
            "builds.docopt.env.BUILD_EXTRA_REQUIRES: is stager's own, for what it runs in a build",
        ),
        (
            "build:\n - {run: a, outputs: [a], env: {FIXED_BUILD_ID: x}}\n",
            "stager.yml:2",
            "build[0].env.FIXED_BUILD_ID: is stager's own, for what it runs in a build",
        ),
        (
            "build:\n - {run: a, outputs: [a], folder: ..}\n",
            "stager.yml:2",
            "build[0].folder: the path '..' does not stay inside the app folder",
        ),
        (
            "build:\n - {run: a, outputs: [a], name: My build}\n",
            "stager.yml:2",
            "build[0].name: a name has lower-case letters, digits and '-', at most 63",
        ),
        (
            "build:\n - {run: a, outputs: [a], name: x}\n - {run: b, outputs: [b], name: x}\n",
            "stager.yml:3",
            "build[1].name: two builds have the name 'x'",
        ),
        ("build:\n - {run: a, outputs: [a], twice: maybe}\n", "stager.yml:2", "build[0].twice: expected yes or no"),
        ("builds: no\n", "stager.yml:1", "builds: expected a table, found str"),
        ("builds:\n  static: off\n", "stager.yml:2", "builds.static: expected 'no', or a table of options"),
        (
            "builds:\n  static: {folder: x}\n",
            "stager.yml:2",
            "builds.static.folder: unknown key; known here: run, inputs, outputs, packages, env, twice",
        ),
        ("builds:\n  static: {run: ''}\n", "stager.yml:2", "builds.static.run: must not be empty"),
    ],
)
def test_slips(content: str, where: str, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        read(content)
    assert (caught.value.where, caught.value.message) == (where, message)
