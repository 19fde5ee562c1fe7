"""Which folders the build script of a package.json writes, and what its author has to do so that they are in the droplet.

The folders are those of each tool's own documentation, unless an option of the command or a setting of the tool's file, as
far as it is written out there, names another. What is not known is not guessed.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .matching import LONGEST, AppFacts
from .modules import MANIFEST


class Tool(NamedTuple):
    """A build tool: its command, the folder it writes, and how that is started: a command, `pages` for a server of
    files, or empty when it is for the app's own program."""

    command: str
    output: str
    start: str = ""
    options: str = ""
    """Options, beside the usual ones, that name the folder."""
    settings: tuple[str, str] = ("", "")
    """Path patterns of the tool's own file, and the expression that finds the folder there."""


_PAGES = "pages"
_NITRO = "node .output/server/index.mjs"


def _named(names: str) -> str:
    """The expression for a text that JavaScript or JSON gives to one of these names."""
    return rf"""\b(?:{names})["']?\s*:\s*["']([^"'\n]+)["']"""


_OUT_DIR = _named("outDir")
_VITE = ("vite.config.*", _OUT_DIR)
_WEBPACK = (
    "webpack*.js webpack*.cjs rspack.config.*",
    r"""\bpath\s*:\s*path\.(?:resolve|join)\(\s*__dirname\s*,\s*["']([^"'\n]+)["']\s*\)""",
)
_ROLLUP = ("rollup.config.*", _named("dir|file"))
_TOOLS = (
    Tool("next (?:build|export)", ".next/", "next start", "", ("next.config.*", _named("distDir"))),
    Tool("(?:nuxt|nuxi) generate", ".output/public/", _PAGES),
    Tool("(?:nuxt|nuxi) build|nitro(?:pack)? build|(?:vinxi|solid-start) build", ".output/", _NITRO),
    Tool("gatsby build", "public/", _PAGES),
    Tool("(?:react-scripts|craco|react-app-rewired|preact|snowpack|docusaurus) build", "build/", _PAGES, "--out-dir --dest"),
    Tool("ng build", "dist/", _PAGES, "--output-path"),
    Tool("remix (?:vite:)?build", "build/", "remix-serve build/server/index.js"),
    Tool("react-router build", "build/", "react-router-serve build/server/index.js"),
    Tool("vue-cli-service build", "dist/", _PAGES, "--dest", ("vue.config.*", _named("outputDir"))),
    Tool("quasar build", "dist/spa/", _PAGES),
    Tool("astro build", "dist/", _PAGES, "--outDir", ("astro.config.*", _OUT_DIR)),
    Tool("vite build", "dist/", _PAGES, "--outDir", _VITE),
    Tool("vitepress build", ".vitepress/dist/", _PAGES, "--outDir"),
    Tool("vuepress(?:-vite|-webpack)? build", ".vuepress/dist/", _PAGES, "-d --dest"),
    Tool("(?:rsbuild|gridsome|farm|slidev|waku) build|expo export", "dist/", _PAGES, "--out --output-dir"),
    Tool("ember build", "dist/", _PAGES, "--output-path"),
    Tool("parcel build", "dist/", _PAGES, "--dist-dir"),
    Tool("(?:ionic|stencil) build", "www/", _PAGES),
    Tool("(?:@11ty/)?eleventy", "_site/", _PAGES, "--output", (".eleventy.js eleventy.config.*", _named("output"))),
    Tool("jekyll build", "_site/", _PAGES, "-d --destination"),
    Tool("hugo(?! (?:server|new|mod)\\b)", "public/", _PAGES, "-d --destination"),
    Tool("hexo g(?:enerate)?|brunch b(?:uild)?|zola build", "public/", _PAGES),
    Tool("(?:storybook build|build-storybook)", "storybook-static/", _PAGES, "-o --output-dir"),
    Tool("(?:webpack|rspack)(?! (?:serve|watch))", "dist/", "", "-o --output-path", _WEBPACK),
    Tool("nest build", "dist/", "node dist/main"),
    Tool("tsup|tsdown|unbuild|pkgroll|microbundle|bunchee|ncc build", "dist/", "", "-d -o --out-dir --out"),
    Tool("razzle build|adonis build|node ace build", "build/", "node build/server.js"),
    Tool("rollup", "", "", "-d --dir -o --file", _ROLLUP),
    Tool("esbuild|bun build|swc|babel", "", "", "-d -o --outdir --out-dir --outfile --out-file"),
    Tool("tsc|vue-tsc", "", "", "--outDir", ("tsconfig.json tsconfig.build.json", _OUT_DIR)),
)  # fmt: skip
_FRAMEWORKS = {
    "@sveltejs/adapter-static": ("build/", _PAGES),
    "@sveltejs/adapter-node": ("build/", "node build"),
    "@sveltejs/kit": ("build/", "node build"),
    "@remix-run/dev": ("build/", "remix-serve build/server/index.js"),
    "@react-router/dev": ("build/", "react-router-serve build/server/index.js"),
    "@solidjs/start": (".output/", _NITRO),
    "@analogjs/platform": ("dist/analog/", "node dist/analog/server/index.mjs"),
    "@builder.io/qwik-city": ("dist/", ""),
    "laravel-vite-plugin": ("public/build/", ""),
}
"""Packages that have Vite write elsewhere."""
_USUAL = ("--outDir", "--out-dir", "--outdir", "--output-path", "--dist-dir")
_BEFORE = r"\A(?:(?:\w+=\S*|cross-env|npx|bunx|pnpx|pnpm exec|yarn|node --\S+)\s+)*(?:\./)?(?:node_modules/\.bin/)?"
_TEMPLATES = ("index.html", "public/index.html", "src/index.html")
"""The page of a front end before it is built."""
_SERVED = re.compile(r"(?:dist|build|out|_site|dist/[^/]+/browser)/")
"""Where a page of a front end is served from by itself (`static`)."""


class Written(NamedTuple):
    """A folder that a build writes, with a final slash, and how it is started (see `Tool`)."""

    folder: str
    start: str


def written(facts: AppFacts, lines: Iterable[str]) -> list[Written]:
    """What a build of these simple commands writes, in their order, as far as it is known."""
    found = [one for line in lines for one in _by_tool(facts, line[:LONGEST])]
    return list({one.folder: one for one in found}.values())


def _by_tool(facts: AppFacts, line: str) -> list[Written]:
    for tool in _TOOLS:
        if match := re.search(rf"{_BEFORE}(?:{tool.command})(?=\s|\Z)", line):
            folder, start = _usual(facts, tool, line[match.end() :])
            folder = _told(facts, tool, line) or folder
            return [Written(posixpath.normpath(folder) + "/", start)] if folder else []
    return []


def _usual(facts: AppFacts, tool: Tool, rest: str) -> tuple[str, str]:
    """Where a tool writes when it is told nothing, and how that is started."""
    if tool.command == "vite build":
        known = [found for name, found in _FRAMEWORKS.items() if _asks(facts, name)]
        return known[0] if known else (tool.output, tool.start)
    if tool.command == "ng build":
        return _angular(facts) or tool.output, tool.start
    if tool.command == "astro build" and _asks(facts, "@astrojs/node"):
        return tool.output, "node dist/server/entry.mjs"
    if tool.command.startswith("(?:webpack") and any(facts.files(path) for path in _TEMPLATES):
        return tool.output, _PAGES
    if tool.output == ".next/" and any(
        re.search(r"\boutput\s*:\s*[\"']export", facts.text(path)) for path in facts.files("next.config.*")
    ):
        return "out/", _PAGES
    if tool.output.startswith(".vite") or tool.output.startswith(".vue"):
        folder = next((word for word in rest.split() if not word.startswith("-")), "")
        return posixpath.join(folder, tool.output), tool.start
    return tool.output, tool.start


def _asks(facts: AppFacts, name: str) -> bool:
    tables = (facts.member(MANIFEST, key) for key in ("dependencies", "devDependencies"))
    return any(isinstance(table, dict) and name in table for table in tables)


def _angular(facts: AppFacts) -> str:
    """The folder of Angular's only project or, of several, of the one that is meant by default."""
    projects = facts.member("angular.json", "projects") if "angular.json" in facts.tree else None
    if not isinstance(projects, dict) or not projects:
        return ""
    named = facts.member("angular.json", "defaultProject")
    name = named if named in projects else next(iter(projects))
    build = _table(_table(projects[name], "architect") or _table(projects[name], "targets"), "build")
    path = _table(build, "options").get("outputPath", f"dist/{name}")
    base, inside = (path.get("base"), path.get("browser")) if isinstance(path, dict) else (path, None)
    inside = ("browser" if str(build.get("builder")).endswith(":application") else "") if inside is None else inside
    return posixpath.join(base, inside) if isinstance(base, str) and isinstance(inside, str) else ""


def _table(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _told(facts: AppFacts, tool: Tool, line: str) -> str:
    """The folder that the command line or the tool's own file names; empty when neither does, or it is outside the app."""
    named = _option(line, (*_USUAL, *tool.options.split()))
    patterns, expression = tool.settings
    for path in [] if named else [path for pattern in patterns.split() for path in facts.files(pattern)]:
        if found := re.search(expression, facts.text(path)):
            named = found[1]
            break
    path = posixpath.normpath(named) if named else ""
    if posixpath.splitext(path)[1] in (".js", ".cjs", ".mjs"):
        path = posixpath.dirname(path)
    return "" if path in ("", ".") or path.startswith(("/", "..")) or "$" in path else path


def _option(line: str, names: Sequence[str]) -> str:
    try:
        words = shlex.split(line)
    except ValueError:
        return ""
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "BUILD_PATH" or (equals and name in names):
            return value
        if word in names:
            return words[index + 1] if index + 1 < len(words) else ""
    return ""


# --- hints -----------------------------------------------------------------------------------------------------


def keep(manager: str, folders: Sequence[str]) -> str:
    """How to have a build's output in the app; `folders` are empty when nobody knows where it goes."""
    run = f"Run '{manager or 'npm'} run build' and keep"
    if not folders:
        return f"{run} what it writes in the app: commit it, or name it in .stagerignore, in a line such as '!dist/'."
    lines = " and ".join(f"'!{folder}'" for folder in folders)
    add = f"commit it, or add the line {lines}" if len(folders) == 1 else f"commit them, or add the lines {lines}"
    return f"{run} {' and '.join(folders)} in the app: {add} to .stagerignore."


def keep_and_start(manager: str, found: Sequence[Written]) -> str:
    """The same for an app without a start command that a platform can use: what to add so that the output is served."""
    hint = keep(manager, [one.folder for one in found])
    folder, start = found[-1] if found else ("", "")
    if start == _PAGES and _SERVED.fullmatch(folder):
        return hint
    if start == _PAGES:
        return f"{hint} Then have it served: write 'root: {folder[:-1]}' into a file Staticfile."
    start = start or (f"node {folder}index.js" if folder else "")
    example = f'such as "start": "{start}", ' if start else ""
    return f"{hint} Then give package.json a start script that runs it, {example}if it has none."
