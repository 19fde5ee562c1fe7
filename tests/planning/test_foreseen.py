"""What the builds of an app would leave: by tool, option and setting, and never guessed."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import pytest

from stager.model import Reason
from stager.planning.buildpacks import load_all
from stager.planning.detection import detect
from stager.planning.detection.commands import choose
from stager.planning.detection.foreseen import Foreseen, foreseen, own, presumed
from stager.tree import SourceTree

KNOWN = load_all()


def app(build: str, files: dict[str, str] | None = None, **fields: Any) -> dict[str, str]:
    manifest = {"name": "shop", "dependencies": {"a": "1"}, "scripts": {"build": build}, **fields}
    return {"package.json": json.dumps(manifest), **(files or {})}


ANGULAR = {
    "projects": {"web": {"architect": {"build": {"builder": "@angular-devkit/build-angular:browser", "options": {}}}}}
}
APPLICATION = json.dumps(
    {
        "projects": {
            "admin": {"architect": {"build": {"builder": "@angular/build:application", "options": {}}}},
            "web": {
                "architect": {"build": {"builder": "@angular/build:application", "options": {"outputPath": "out/web"}}}
            },
        },
        "defaultProject": "web",
    }
)
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
    "angular's application builder": (app("ng build", {"angular.json": APPLICATION}), "out/web/browser/"),
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


def one(files: dict[str, str]) -> Foreseen:
    (found,) = foreseen(SourceTree.of(dict(files)), KNOWN)
    return found


@pytest.mark.parametrize("name", FOLDERS)
def test_the_folder_is_the_tool_s(name: str) -> None:
    files, folder = FOLDERS[name]
    assert one(files).outputs == (folder.rstrip("/"),)


VITE = {"index.html": "", "src/main.js": ""}
TOOLS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "vite has pages that route": (
        app("vite build", VITE),
        {"outputs": ("dist",), "leaves": ("dist/index.html",), "pages": "dist", "routes": True, "start": ""},
    ),
    "vite with a root": (
        app("vite build", {"client/index.html": "", "vite.config.js": "root: 'client', outDir: '../public'"}),
        {"outputs": ("public",), "leaves": ("public/index.html",), "pages": "public"},
    ),
    "vite that resolves its folder": (
        app("vite build", {"vite.config.ts": 'outDir: path.resolve(import.meta.dirname, "dist/public")'}),
        {"outputs": ("dist/public",), "pages": ""},
    ),
    "vite for a server": (
        app("vite build && vite build --ssr src/entry.js --outDir dist/server", VITE),
        {"outputs": ("dist",), "pages": "dist"},
    ),
    "a site generator's pages do not route": (
        app("astro check && astro build"),
        {"outputs": ("dist",), "pages": "dist", "routes": False},
    ),
    "astro for Node.js": (
        app("astro build", dependencies={"@astrojs/node": "9"}),
        {
            "leaves": ("dist/server/entry.mjs",),
            "pages": "",
            "start": "HOST=0.0.0.0 node dist/server/entry.mjs",
            "recipes": ("astro/1",),
        },
    ),
    "sveltekit's pages that route": (
        app("vite build", {"svelte.config.js": "fallback: 'index.html'"}, devDependencies={"@sveltejs/adapter-static": "3"}),
        {"pages": "build", "routes": True, "recipes": ("frozen-clock/1",)},
    ),
    "react-router without a server": (
        app("react-router build", {"react-router.config.ts": "export default { ssr: false }"}),
        {"outputs": ("build",), "pages": "build/client", "routes": True},
    ),
    "webpack whose server falls back": (
        app("webpack", {"src/index.html": "", "webpack.config.js": "devServer: { historyApiFallback: true }"}),
        {"outputs": ("dist",), "pages": "dist", "routes": True},
    ),
    "a compiler's folder is relative to its file": (
        app("tsc -p server", {"server/tsconfig.json": '{"compilerOptions": {\n  "outDir": "../lib"}}'}),
        {"outputs": ("lib",), "leaves": ()},
    ),
    "a compiler's line that is a remark": (
        app("tsc", {"tsconfig.json": '{"compilerOptions": {\n  // "outDir": "./dist",\n"strict": true}}'}),
        {"outputs": ()},
    ),
    "a compiler's option": (app("tsc --outDir out"), {"outputs": ("out",)}),
    "a compiler that only checks": (
        app("tsc --noEmit", {"tsconfig.json": '{"compilerOptions": {"outDir": "lib"}}'}),
        {"outputs": ()},
    ),
    "a bundler's file": (app("esbuild src/a.js --bundle --outfile=public/js/a.js"), {"outputs": ("public/js",)}),
    "a folder that only a shell knows": (app("esbuild --outdir=$OUT/x a.js"), {"outputs": ()}),
    "a folder outside the app": (app("tsup --out-dir ../x"), {"outputs": ("dist",)}),
    "two tools": (
        app("vite build && tsc", {**VITE, "tsconfig.json": '{"compilerOptions": {"outDir": "./lib"}}'}),
        {"outputs": ("dist", "lib"), "pages": "dist"},
    ),
    "nobody's tool": (app("make all"), {"outputs": (), "command": "npm run build"}),
    "angular": (
        app("ng build", {"angular.json": APPLICATION}),
        {"outputs": ("out/web/browser",), "pages": "out/web/browser", "routes": True},
    ),
    "bun": (app("vite build", {**VITE, "bun.lock": "{}"}), {"command": "bun run build"}),
    "heroku's script in place of build": (
        app("", scripts={"build": "vite build", "heroku-postbuild": "webpack --output-path web"}),
        {"command": "npm run heroku-postbuild", "outputs": ("web",)},
    ),
    "heroku's script that installs": (
        app("", scripts={"build": "next build", "heroku-postbuild": "cd client && npm install && npm run build"}),
        {"command": "npm run build", "outputs": (".next",)},
    ),
    "google's script": (app("", scripts={"gcp-build": "tsc --outDir o"}), {"command": "npm run gcp-build"}),
    "code that an installation makes": (
        app("", scripts={"build": "next build", "postinstall": "prisma generate"}),
        {"command": "npm run postinstall && npm run build", "outputs": (".next",)},
    ),
    "a client beside the packages": (
        app("", {"prisma/schema.prisma": "a"}, scripts={"build": "tsc", "postinstall": "prisma generate"}),
        {"outputs": ("node_modules/.prisma",)},
    ),
    "a build after the installation": (
        app("", scripts={"postinstall": "npm run compile", "compile": "tsc --outDir x"}),
        {"command": "npm run postinstall", "outputs": ("x",)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
def test_what_is_left(name: str) -> None:
    files, expected = TOOLS[name]
    found = one(files)
    assert {key: getattr(found, key) for key in expected} == expected


def test_an_app_without_a_script_has_no_build() -> None:
    assert foreseen(SourceTree.of({"package.json": '{"scripts": {"start": "node a.js"}}'}), KNOWN) == ()


def test_a_build_says_where_it_stands_and_what_it_is_given() -> None:
    found = one(app("next build"))
    assert (found.buildpack, found.name, found.development) == ("nodejs", "build", True)
    assert (found.reason.text, found.reason.file) == ("package.json's build script: next build", "package.json")
    assert dict(found.env)["NEXT_TELEMETRY_DISABLED"] == "1"


def test_what_is_missing_and_what_is_presumed() -> None:
    files = app("vite build && tsc --outDir lib", {**VITE, "lib/a.js": "1"})
    tree = SourceTree.of(dict(files))
    found = one(files)
    assert found.missing(tree) == ("dist",)
    assert presumed(tree, [found]).read_bytes("dist/index.html") == b""
    built = SourceTree.of({**files, "dist/index.html": "there"})
    assert presumed(built, [found]) is built


# --- what the app's author says --------------------------------------------------------------------------------


def test_a_build_of_the_app_s_own() -> None:
    files = {
        "stager.yml": "build:\n- {run: make css, outputs: [css], inputs: [Makefile], packages: [make], env: {A: b}}\n"
    }
    assert own(SourceTree.of(dict(files))) == (
        Foreseen(
            buildpack="",
            name="own",
            command="make css",
            reason=Reason("stager.yml has it built", "stager.yml", 2),
            outputs=("css",),
            inputs=("Makefile",),
            packages=("make",),
            env=(("A", "b"),),
            development=True,
            asked=True,
        ),
    )


def test_options_change_what_is_foreseen() -> None:
    options = "builds: {build: {env: {VITE_API: /api, CI: no}, packages: [libvips-dev], inputs: [src/**], twice: no}}\n"
    plain = one(app("vite build", VITE))
    found = one(app("vite build", {**VITE, "stager.yml": options}))
    assert found.outputs == plain.outputs
    assert (found.packages, found.inputs, found.twice) == (("libvips-dev",), ("src/**",), False)
    assert dict(found.env) == {**dict(plain.env), "VITE_API": "/api", "CI": "no"}


def test_another_command_leaves_what_its_own_tool_does() -> None:
    options = "builds: {build: {run: vite build --outDir public}}\n"
    assert one(app("vite build", {**VITE, "stager.yml": options})).outputs == ("public",)
    options = "builds: {build: {run: make, outputs: [out]}}\n"
    found = one(app("vite build", {**VITE, "stager.yml": options}))
    assert (found.command, found.outputs) == ("make", ("out",))


def test_a_build_that_is_left_out() -> None:
    assert foreseen(SourceTree.of(dict(app("vite build", {**VITE, "stager.yml": "builds: {build: no}"}))), KNOWN) == ()


# --- Django ----------------------------------------------------------------------------------------------------

SITE = {
    "requirements.txt": "django\n",
    "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
    "shop/settings.py": "INSTALLED_APPS = ['django.contrib.staticfiles']\nSTATIC_ROOT = 'collected'\n",
}
DJANGO = frozenset({"django"})


def site(more: dict[str, str]) -> tuple[Foreseen, ...]:
    return foreseen(SourceTree.of({**SITE, **more}), KNOWN, DJANGO)


def test_static_files_are_collected_last() -> None:
    (found,) = site({})
    assert found == Foreseen(
        buildpack="python",
        name="static",
        command="python manage.py collectstatic --noinput",
        reason=Reason("Django's static files are collected", "shop/settings.py", 2),
        outputs=("collected",),
        recipes=("sorted-folders/1",),
        late=True,
        ask=found.ask,
    )


def test_the_question_gives_the_folder_alone() -> None:
    said = "DEBUG = False\nSTATICFILES_DIRS = [PosixPath('/app/x')]\nSTATIC_ROOT = PosixPath('/app/out')"
    script = f"printf '%s\\n' {shlex.quote(said)} |" + site({})[0].ask.partition("&&")[2].replace("/tmp/settings", "")
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == "/app/out\n"


@pytest.mark.parametrize(
    "more",
    [
        {"stager.yml": "builds: {static: no}\n"},
        {"stager.yml": "env: {DISABLE_COLLECTSTATIC: 1}\n"},
        {".s2i/environment": "DISABLE_COLLECTSTATIC=1\n"},
        {"shop/settings.py": "INSTALLED_APPS = []\n"},
    ],
)
def test_static_files_that_are_not_collected(more: dict[str, str]) -> None:
    assert site(more) == ()


def test_variables_of_a_builder_image_are_the_builds_too() -> None:
    settings = SITE["shop/settings.py"] + "SECRET_KEY = os.environ['KEY']\nOTHER = os.environ['OTHER']\n"
    given = {
        "shop/settings.py": settings,
        ".s2i/environment": "KEY=a\nAPP_MODULE=x\nSET=b\n",
        "stager.yml": "env: {SET: c}\n",
    }
    assert site(given)[0].env == (("KEY", "a"), ("OTHER", "build"))


def test_a_place_that_nobody_can_read_is_asked_for_or_given() -> None:
    settings = SITE["shop/settings.py"].replace("'collected'", "where()")
    (asked,) = site({"shop/settings.py": settings})
    assert (asked.outputs, asked.instead) == ((), "")
    (given,) = site({"shop/settings.py": settings, "stager.yml": "builds: {static: {outputs: [www]}}\n"})
    assert given.outputs == ("www",)


# --- workspaces ------------------------------------------------------------------------------------------------


def shop(build: str = "", procfile: str = "web: cd apps/web && npm start\n", **fields: Any) -> dict[str, str]:
    """A workspace: apps/web needs packages/ui, apps/admin needs nobody."""
    root = {
        "name": "shop",
        "workspaces": ["apps/*", "packages/*"],
        "scripts": {"build": build} if build else {},
        **fields,
    }
    web = {"name": "@shop/web", "scripts": {"build": "next build", "start": "next start"}, "dependencies": {"ui": "*"}}
    ui = {"name": "ui", "scripts": {"build": "tsup"}}
    admin = {"name": "admin", "scripts": {"build": "vite build"}}
    return {
        "package.json": json.dumps(root),
        "apps/web/package.json": json.dumps(web),
        "apps/admin/package.json": json.dumps(admin),
        "apps/admin/index.html": "",
        "packages/ui/package.json": json.dumps(ui),
        **({"Procfile": procfile} if procfile else {}),
    }


UI, WEB, ADMIN = "packages/ui/dist", "apps/web/.next", "apps/admin/dist"
ALL = {UI, WEB, ADMIN}
MONOREPOS: dict[str, tuple[dict[str, str], str, set[str]]] = {
    "no script of its own": (shop(), "(cd packages/ui && npm run build) && (cd apps/web && npm run build)", {UI, WEB}),
    "npm's way to name a member": (
        shop(procfile="web: npm start -w @shop/web\n"),
        "(cd packages/ui && npm run build) && (cd apps/web && npm run build)",
        {UI, WEB},
    ),
    "turbo": (shop("turbo run build"), "npm run build -- --filter=@shop/web...", {UI, WEB}),
    "turbo with a filter": (shop("turbo build --filter=admin..."), "npm run build", {ADMIN}),
    "turbo among others": (shop("turbo build && echo done"), "npm run build", {UI, WEB}),
    "turbo, nobody started": (shop("turbo build", procfile=""), "npm run build", ALL),
    "nx": (shop("nx run-many -t build"), "npm run build -- --projects=@shop/web", {UI, WEB}),
    "nx, one project": (shop("nx build @shop/web"), "npm run build", {UI, WEB}),
    "npm, all": (shop("npm run build --workspaces --if-present"), "npm run build", ALL),
    "npm, one": (shop("npm run build -w apps/admin"), "npm run build", {ADMIN}),
    "pnpm, all": (shop("pnpm -r run build"), "npm run build", ALL),
    "pnpm, one": (shop("pnpm --filter @shop/web... build"), "npm run build", {UI, WEB}),
    "yarn, one": (shop("yarn workspace admin build"), "npm run build", {ADMIN}),
    "lerna": (shop("lerna run build"), "npm run build -- --scope=@shop/web --include-dependencies", {UI, WEB}),
}


@pytest.mark.parametrize("name", MONOREPOS)
def test_members_of_a_workspace(name: str) -> None:
    files, command, outputs = MONOREPOS[name]
    found = one(files)
    assert (found.command, set(found.outputs)) == (command, outputs)


def test_a_member_alone_is_built_in_its_folder() -> None:
    found = one(shop(procfile="web: cd apps/admin && npm start\n"))
    assert (found.folder, found.command, found.outputs) == ("apps/admin", "npm run build", (ADMIN,))
    assert (found.pages, found.leaves, found.reason.file) == (
        "apps/admin/dist",
        ("apps/admin/dist/index.html",),
        "apps/admin/package.json",
    )


def test_members_are_built_as_stager_yml_says() -> None:
    assert foreseen(SourceTree.of({**shop(), "stager.yml": "builds: {build: no}"}), KNOWN) == ()
    told = one({**shop(), "stager.yml": "builds: {build: {run: make web, outputs: [apps/web/out]}}"})
    assert (told.command, told.outputs) == ("make web", ("apps/web/out",))


def test_an_app_s_folder_that_is_no_member_is_left_alone() -> None:
    assert foreseen(SourceTree.of(shop(workspaces=["packages/*"])), KNOWN) == ()


def test_a_front_end_beside_a_site_is_built_without_a_word() -> None:
    bundle = app("esbuild web/main.js --outdir=web/dist", {"web/main.js": ""})
    tree = SourceTree.of({**SITE, **bundle, "shop/wsgi.py": "application = 1\n"})
    installed = DJANGO | {"gunicorn"}
    chosen = choose(tree, KNOWN, detect(tree, KNOWN), installed)
    assert [(one.name, one.outputs) for one in chosen.builds] == [("build", ("web/dist",)), ("static", ("collected",))]
    assert [one.type for one in chosen.processes] == ["web"]
    assert not [note for note in chosen.notes if "start command" in note]
