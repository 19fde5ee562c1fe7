"""What the build script of a front end writes, by tool, option and setting; and that the hint can be followed literally."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stager.errors import NeedsBuild
from stager.planning import detection
from stager.planning.buildpacks import load_all
from stager.planning.detection import commands
from stager.tree import SourceTree

BUILDPACKS = load_all()


def app(build: str, files: dict[str, str] | None = None, **fields: Any) -> dict[str, str]:
    manifest = {"name": "shop", "dependencies": {"a": "1"}, "scripts": {"build": build}, **fields}
    return {"package.json": json.dumps(manifest), **(files or {})}


def command(files: dict[str, str]) -> str:
    tree = SourceTree.of(dict(files))
    return commands.choose(tree, BUILDPACKS, detection.detect(tree, BUILDPACKS), frozenset("a")).processes[0].command


def refusal(files: dict[str, str]) -> NeedsBuild:
    with pytest.raises(NeedsBuild) as caught:
        command(files)
    return caught.value


ANGULAR = {
    "projects": {"web": {"architect": {"build": {"builder": "@angular-devkit/build-angular:browser", "options": {}}}}}
}
APPLICATION = {
    "projects": {
        "admin": {"architect": {"build": {"builder": "@angular/build:application", "options": {}}}},
        "web": {
            "architect": {"build": {"builder": "@angular/build:application", "options": {"outputPath": "out/web"}}}
        },
    },
    "defaultProject": "web",
}
BASE = {"projects": {"web": {"targets": {"build": {"options": {"outputPath": {"base": "dist/x", "browser": ""}}}}}}}
FOLDERS: dict[str, tuple[dict[str, str], str]] = {
    "next": (app("next build"), ".next/"),
    "next with a folder of its own": (
        app("next build", {"next.config.mjs": 'export default { distDir: "build" }'}),
        "build/",
    ),
    "next that exports": (app("next build", {"next.config.js": "module.exports = { output: 'export' }"}), "out/"),
    "nuxt": (app("nuxt build"), ".output/"),
    "nuxt that generates": (app("npx nuxi generate"), ".output/public/"),
    "gatsby": (app("gatsby build"), "public/"),
    "create-react-app": (app("react-scripts build"), "build/"),
    "create-react-app elsewhere": (app("BUILD_PATH=site react-scripts build"), "site/"),
    "craco behind cross-env": (app("cross-env CI=false craco build"), "build/"),
    "angular": (app("ng build", {"angular.json": json.dumps(ANGULAR)}), "dist/web/"),
    "angular's application builder": (app("ng build", {"angular.json": json.dumps(APPLICATION)}), "out/web/browser/"),
    "angular with a base": (app("ng build", {"angular.json": json.dumps(BASE)}), "dist/x/"),
    "angular's option": (app("ng build --output-path=www", {"angular.json": json.dumps(ANGULAR)}), "www/"),
    "sveltekit": (app("vite build", devDependencies={"@sveltejs/kit": "2"}), "build/"),
    "astro": (app("astro check && astro build"), "dist/"),
    "astro elsewhere": (app("astro build", {"astro.config.mjs": "export default {outDir: './site'}"}), "site/"),
    "docusaurus": (app("docusaurus build"), "build/"),
    "docusaurus elsewhere": (app("docusaurus build --out-dir public_html"), "public_html/"),
    "eleventy": (app("npx @11ty/eleventy"), "_site/"),
    "eleventy by its short name": (app("eleventy --output=site"), "site/"),
    "hugo": (app("hugo --minify"), "public/"),
    "hugo elsewhere": (app("hugo -d web"), "web/"),
    "hexo": (app("hexo generate"), "public/"),
    "vite": (app("tsc --noEmit && vite build"), "dist/"),
    "vite's option": (app("vite build --outDir=www"), "www/"),
    "vite's file": (app("vite build", {"vite.config.ts": "build: {\n outDir: 'static/app',\n}"}), "static/app/"),
    "vue": (app("vue-cli-service build"), "dist/"),
    "vue's file": (app("vue-cli-service build", {"vue.config.js": "module.exports = {outputDir: 'www'}"}), "www/"),
    "vitepress": (app("vitepress build docs"), "docs/.vitepress/dist/"),
    "parcel": (app("parcel build src/index.html --dist-dir site"), "site/"),
    "webpack": (
        app("webpack --mode production", {"webpack.config.js": "output: {path: path.resolve(__dirname, 'web')}"}),
        "web/",
    ),
    "remix": (app("remix vite:build"), "build/"),
    "react-router": (app("react-router build"), "build/"),
    "ionic": (app("ionic build --prod"), "www/"),
    "storybook": (app("storybook build"), "storybook-static/"),
    "through another script": (
        app("npm run build:web", scripts={"build": "npm run build:web", "build:web": "gatsby build"}),
        "public/",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_folder_is_the_tool_s(name: str) -> None:
    files, folder = FOLDERS[name]
    keep = f"keep {folder} in the app: commit it, or add the line '!{folder}' to .stagerignore."
    assert f"Run 'npm run build' and {keep}" in refusal(files).hint


def test_two_builds_write_two_folders() -> None:
    files = app("vite build && tsc -p server", {"tsconfig.json": '{"compilerOptions": {"outDir": "./lib"}}'})
    keep = "keep dist/ and lib/ in the app: commit them, or add the lines '!dist/' and '!lib/' to .stagerignore."
    assert keep in refusal(files).hint


@pytest.mark.parametrize("build", ["make all", "node build.js", "rollup -c", "vite build --outDir $OUT_DIR/x", "tsc"])
def test_what_is_not_known_is_not_guessed(build: str) -> None:
    known = "keep dist/ in" if build.startswith("vite") else "keep what it writes in"
    assert known in refusal(app(build)).hint


def test_a_development_server_names_its_build_s_folder() -> None:
    files = app(
        "ng build", {"angular.json": json.dumps(APPLICATION)}, scripts={"start": "ng serve", "build": "ng build"}
    )
    assert "keep out/web/browser/ in the app" in refusal(files).hint


def test_a_preview_of_a_folder_of_its_own_is_left_alone_once_it_is_built() -> None:
    scripts = {"start": "vite preview --host --port $PORT", "build": "vite build --outDir site"}
    files = app("", scripts=scripts)
    assert "scripts.build writes site/" in refusal(files).message
    assert command({**files, "site/index.html": ""}) == "npm start"


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
    files = app(build)
    hint = refusal(files).hint
    followed = {**files, built: ""}
    if "Staticfile" in hint:
        refusal(followed)
        root = hint.partition("write 'root: ")[2].partition("'")[0]
        assert built == f"{root}/index.html"
        followed |= {"Staticfile": f"root: {root}\n"}
    assert command(followed) == 'sh "$HOME/.stager/nginx/serve"'


@pytest.mark.parametrize(
    ("build", "built"),
    [("next build", ".next/BUILD_ID"), ("nuxt build", ".output/server/index.mjs"), ("nest build", "dist/main.js")],
)
def test_programs_start_once_the_hint_is_followed(build: str, built: str) -> None:
    files = app(build)
    start = refusal(files).hint.partition('such as "start": "')[2].partition('"')[0]
    followed = app(build, {built: ""}, scripts={"build": build, "start": start})
    assert command(followed) == "npm start"


def test_an_app_without_a_name_is_called_the_app() -> None:
    files = app("vite build", name="")
    assert refusal(files).message.startswith("must be built first: the app (")
    started = app("", scripts={"build": "next build", "start": "next start"}, name=" ")
    assert (
        refusal(started).message
        == "must be built first: the app (scripts.build writes .next/, which scripts.start needs)"
    )
