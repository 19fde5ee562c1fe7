"""Recognises the languages that stager has no buildpack for, so that an app of one is named and not taken for another.

A Rails app has a `public/index.html`, and many a PHP app a `package.json` for its style sheets: those are helpers there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...model import Reason
from ...runtimes import kinds
from . import appconfig
from .matching import AppFacts
from .modules import program

if TYPE_CHECKING:
    from ...tree import SourceTree

CONDA = "conda"
MANIFESTS = {
    "Gemfile": "Ruby",
    "config.ru": "Ruby",
    "gems.rb": "Ruby",
    "composer.json": "PHP",
    "index.php": "PHP",
    "public/index.php": "PHP",
    "pom.xml": "Java",
    "build.gradle": "Java",
    "build.gradle.kts": "Java",
    "build.sbt": "Scala",
    "project.clj": "Clojure",
    "deps.edn": "Clojure",
    "go.mod": "Go",
    "Cargo.toml": "Rust",
    "mix.exs": "Elixir",
    "rebar.config": "Erlang",
    "*.csproj": ".NET",
    "*.fsproj": ".NET",
    "*.vbproj": ".NET",
    "*.sln": ".NET",
    "*/*.csproj": ".NET",
    "deno.json": "Deno",
    "deno.jsonc": "Deno",
    "Package.swift": "Swift",
    "pubspec.yaml": "Dart",
    "stack.yaml": "Haskell",
    "*.cabal": "Haskell",
    "shard.yml": "Crystal",
    "gleam.toml": "Gleam",
    "Project.toml": "Julia",
    "renv.lock": "R",
    "environment.yml": CONDA,
    "environment.yaml": CONDA,
    "conda-lock.yml": CONDA,
    "pixi.toml": CONDA,
    "anaconda-project.yml": CONDA,
}
"""Path pattern → the language or tool whose manifest it is."""


_SOURCES = {
    **dict.fromkeys(("*.go", "cmd/*/*.go"), "Go"),
    **dict.fromkeys(("*.rs", "src/*.rs"), "Rust"),
    **dict.fromkeys(("*.rb", "Rakefile"), "Ruby"),
    **dict.fromkeys(("*.php", "*/index.php"), "PHP"),
    **dict.fromkeys(("*.java", "gradlew", "mvnw", "src/main/java/**"), "Java"),
    **dict.fromkeys(("*.kt", "*.kts"), "Kotlin"),
    **dict.fromkeys(("*.cs", "*.fs", "*.fsx", "*.vb"), ".NET"),
    **dict.fromkeys(("*.ex", "*.exs"), "Elixir"),
    **dict.fromkeys(("*.pl", "*.psgi", "cpanfile"), "Perl"),
    **dict.fromkeys(("*.c", "*.cpp", "*.cc", "CMakeLists.txt"), "C and C++"),
    **dict.fromkeys(("*.R", "*.r", "*.Rmd"), "R"),
    **dict.fromkeys(("*.hs", "*.cabal"), "Haskell"),
    **dict.fromkeys(("*.nim", "*.nimble"), "Nim"),
    **dict.fromkeys(("*.zig",), "Zig"),
    "*.swift": "Swift",
    "*.dart": "Dart",
    "*.lua": "Lua",
    "*.cr": "Crystal",
    "*.jl": "Julia",
    "*.scala": "Scala",
    "*.clj": "Clojure",
    "*.erl": "Erlang",
    "dune-project": "OCaml",
    "*.ipynb": "Jupyter",
    "Dockerfile": "Docker",
    "docker-compose.yml": "Docker",
    "compose.yaml": "Docker",
}
"""Path pattern → the language of a program, or the tool, in an app that nothing else says anything about."""


def sources(tree: SourceTree) -> list[tuple[str, str]]:
    """(file, language) of programs in an app without any manifest, as `found`."""
    return _first(tree, _SOURCES)


def found(tree: SourceTree) -> list[tuple[str, str]]:
    """(file, language) of the manifests in the app, one for each language."""
    return _first(tree, MANIFESTS)


def _first(tree: SourceTree, patterns: Mapping[str, str]) -> list[tuple[str, str]]:
    own = {one.title for one in kinds()}
    first: dict[str, str] = {}
    for pattern, language in patterns.items():
        if language not in first and language not in own and (paths := tree.glob(pattern)):
            first[language] = paths[0]
    return [(file, language) for language, file in first.items()]


_SITES = {
    "hugo.toml": ("Hugo", "public"),
    "hugo.yaml": ("Hugo", "public"),
    "config/_default/hugo.toml": ("Hugo", "public"),
    "archetypes/default.md": ("Hugo", "public"),
    "_config.yml": ("Jekyll", "_site"),
    "mkdocs.yml": ("MkDocs", "site"),
    "book.toml": ("mdBook", "book"),
    "_quarto.yml": ("Quarto", "_site"),
}
"""File → the site generator whose settings it has, and the folder that it writes unless it is told another."""


def site(tree: SourceTree) -> tuple[str, str, str] | None:
    """(file, generator, folder it writes) of an app that a site generator makes a site of."""
    return next(((file, *_SITES[file]) for file in _SITES if file in tree), None)


_PROGRAMS = ("server", "index", "app", "main", "src/index", "src/server", "src/main", "src/app")
_ENDINGS = ("", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", "/index.js")
_STYLES = re.compile(
    r"(?:npx\s+)?(?:gulp|grunt|webpack|vite|mix|encore|sass|postcss|tailwindcss|browser-sync|live-server|parcel|rollup|esbuild)\b"
)
_CONFIGURES = re.compile(
    r"(?:gulpfile|gruntfile|webpack|vite|rollup|postcss|tailwind|babel|karma)[\w.-]*\Z", re.IGNORECASE
)


def helpers(facts: AppFacts, chosen: Mapping[str, Reason]) -> list[str]:
    """The files by which buildpacks are chosen, when another language's app may have each of them beside its own."""
    own = "Procfile" in facts.tree or bool(appconfig.read(facts.tree).processes)
    if own or not chosen or not all(_helper(facts, name, why.file) for name, why in chosen.items()):
        return []
    return [why.file for why in chosen.values()]


_BUILT = "_site/"
"""What Jekyll and other site generators write, and nothing else is called so."""


def _helper(facts: AppFacts, buildpack: str, file: str) -> bool:
    if buildpack == "static":
        return file != "Staticfile" and not file.startswith(_BUILT)
    if buildpack != "nodejs" or "package.json" not in facts.tree:
        return buildpack == "nodejs"
    start, main = (facts.member("package.json", field) for field in ("scripts.start", "main"))
    if isinstance(start, str) and start and not _STYLES.match(start):
        return False
    named = isinstance(main, str) and not _CONFIGURES.match(main) and program(facts, main)
    return not named and not any(name + ending in facts.tree for name in _PROGRAMS for ending in _ENDINGS)
