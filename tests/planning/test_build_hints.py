"""What an author is told whose app's build stager cannot run, or of whose output it knows too little."""

from __future__ import annotations

import pytest
from test_foreseen import APPLICATION, app

from stager.errors import NeedsBuild
from stager.planning import detection
from stager.planning.buildpacks import load_all
from stager.planning.detection import commands
from stager.tree import SourceTree

BUILDPACKS = load_all()
INSTALLS = "npm install --prefix client && {}"
"""A script that installs packages wants a network, which no build has."""


def command(files: dict[str, str]) -> str:
    tree = SourceTree.of(dict(files))
    return commands.choose(tree, BUILDPACKS, detection.detect(tree, BUILDPACKS), frozenset("a")).processes[0].command


def refusal(files: dict[str, str]) -> NeedsBuild:
    with pytest.raises(NeedsBuild) as caught:
        command(files)
    return caught.value


def test_two_builds_write_two_folders() -> None:
    tsconfig = {"tsconfig.json": '{"compilerOptions": {"outDir": "./lib"}}'}
    files = app(INSTALLS.format("vite build && tsc -p server"), tsconfig)
    keep = "keep dist/ and lib/ in the app: commit them, or add the lines '!dist/' and '!lib/' to .stagerignore."
    assert keep in refusal(files).hint


@pytest.mark.parametrize("build", ["make all", "node build.js", "rollup -c", "tsc"])
def test_what_is_not_known_is_asked_for(build: str) -> None:
    name = "Name that in stager.yml, by a line such as 'builds: {build: {outputs: [dist]}}'."
    assert f"'npm run build' is not run: what it writes is not known. {name}" in refusal(app(build)).hint
    told = app(build, {"stager.yml": "builds: {build: {outputs: [out]}}\nprocesses: {web: node out/server}\n"})
    assert command(told) == "node out/server"


def test_what_is_built_wants_a_start_command() -> None:
    hint = (
        "stager runs 'npm run build', which writes dist/. Then give package.json a start script that runs it, such as"
    )
    assert hint in refusal(app("vite build")).hint


@pytest.mark.parametrize(
    ("build", "built"),
    [
        ("vite build", "dist/index.html"),
        ("react-scripts build", "build/index.html"),
        ("eleventy", "_site/index.html"),
        ("gatsby build", "public/index.html"),
        ("hugo", "public/index.html"),
        ("vitepress build docs", "docs/.vitepress/dist/index.html"),
    ],
)
def test_pages_are_served_once_the_hint_is_followed(build: str, built: str) -> None:
    files = app(INSTALLS.format(build), {"index.html": ""})
    hint = refusal(files).hint
    followed = {**files, built: ""}
    if "Staticfile" in hint:
        root = hint.partition("write 'root: ")[2].partition("'")[0]
        assert built == f"{root}/index.html"
        followed |= {"Staticfile": f"root: {root}\n"}
    assert command(followed) == 'sh "$HOME/.stager/nginx/serve"'


@pytest.mark.parametrize(
    ("build", "built"),
    [("next build", ".next/BUILD_ID"), ("nest build", "dist/main.js")],
)
def test_programs_start_once_the_hint_is_followed(build: str, built: str) -> None:
    script = INSTALLS.format(build)
    start = refusal(app(script)).hint.partition('such as "start": "')[2].partition('"')[0]
    followed = app(script, {built: ""}, scripts={"build": script, "start": start})
    assert command(followed) == "npm start"


def test_a_development_server_names_its_build_s_folder() -> None:
    scripts = {"start": "ng serve", "build": INSTALLS.format("ng build")}
    files = app("", {"angular.json": APPLICATION}, scripts=scripts)
    assert "keep out/web/browser/ in the app" in refusal(files).hint


def test_an_app_without_a_name_is_called_the_app() -> None:
    build = INSTALLS.format("next build")
    assert refusal(app(build, name="")).message.startswith("must be built first: the app (")
    message = refusal(app("", scripts={"build": build, "start": "next start"}, name=" ")).message
    assert message == "must be built first: the app (scripts.build writes .next/, which scripts.start needs)"
