"""Looks through a command to what it runs, where that is a script of package.json or a Node.js program in the app.

Scripts often need what a build leaves behind (`dist/server.js`, `.next/`). Where a build of the app can be planned, what its
commands need is told to it; else a command whose output is not among the files is refused with what to do, instead of failing
on the platform.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import pairwise

from ...errors import BadManifest, NeedsBuild
from ...model import Process
from ..buildpacks.vocabulary import Buildpack
from . import nested, outputs
from .foreseen import Foreseen, written
from .kinds import TOOLS
from .matching import AppFacts
from .modules import MANIFEST, check_alone, program
from .steps import CommandStep, steps, texts

_BEFORE = re.compile(r"(?:(?:[A-Za-z_]\w*=\S*|cross-env|cross-env-shell|exec|npx|dotenv|--)\s+)*")
_NODE = ("node", "nodejs", "nodemon", "tsx", "ts-node", "bun", "pm2-runtime")
_TAKES_VALUE = (
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
    "--watch-path",
    "--env-file",
    "--env-file-if-exists",
)
_NO_FILE = ("-e", "--eval", "-p", "--print", "-v", "--version", "--test", "-c", "--check")


def check(facts: AppFacts, buildpack: Buildpack, process: Process, manager: str, ours: bool) -> list[str]:
    """The files and folders that `process` needs, that are not in the app, and that one of its builds is to make.

    Raises NeedsBuild or BadManifest when it runs something else that is not in the app. `ours` says that stager chose the
    command, so that a development server is refused, too, if the app has a build script.
    """
    if MANIFEST not in facts.tree:
        for file in [_program(step.text) for step in steps(facts, process.command)]:
            if file and (found := program(facts, file)):
                check_alone(facts, found)
        return []
    nested.check(facts, process, texts(facts, process.command))
    needs = []
    for step in steps(facts, process.command, ours):
        needs += _check_output(facts, buildpack, step, manager)
        if ours:
            _check_development(facts, buildpack, step, manager)
        needs += _check_program(facts, buildpack, step, process, manager)
        _check_kind(step, process, facts)
        _check_tool(facts, step, process)
    return needs


def is_development(facts: AppFacts, buildpack: Buildpack, process: Process) -> bool:
    """Whether the command is a development server."""
    return _fits(facts, process, buildpack.development)


def only_serves(facts: AppFacts, buildpack: Buildpack, process: Process) -> bool:
    """Whether the command does nothing but serve the files that a build leaves."""
    return _fits(facts, process, buildpack.previews)


def _fits(facts: AppFacts, process: Process, patterns: tuple[str, ...]) -> bool:
    found = steps(facts, process.command, True) if MANIFEST in facts.tree else []
    return any(re.search(pattern, step.text) for step in found for pattern in patterns)


def _check_output(facts: AppFacts, buildpack: Buildpack, step: CommandStep, manager: str) -> list[str]:
    needs = []
    for known in buildpack.scripts:
        if re.search(known.pattern, step.text) and not any(facts.files(path) for path in known.needs):
            folders = [f"{path}/" for path in built(facts, buildpack).outputs]
            elsewhere = [folder for folder in folders if folder != known.output]
            if not any(path.startswith(folder) for folder in elsewhere for path in facts.tree.files):
                needs += _needs_build(facts, buildpack, step, (folders[-1:] or [known.output])[0], manager)
    return needs


def _check_development(facts: AppFacts, buildpack: Buildpack, step: CommandStep, manager: str) -> None:
    if not facts.member(MANIFEST, "scripts.build"):
        return
    if any(re.search(pattern, step.text) for pattern in buildpack.development):
        why = f"{_where(step)} is a development server, and scripts.build has not run"
        hint = outputs.keep_and_start(manager, built(facts, buildpack), _own(facts, buildpack))
        raise NeedsBuild([(app_name(facts), why)], hint)


def built(facts: AppFacts, buildpack: Buildpack) -> Foreseen:
    """What scripts.build writes."""
    return written(facts, buildpack, "npm run build")


def _own(facts: AppFacts, buildpack: Buildpack) -> list[Foreseen]:
    """The app's builds by the rules of this buildpack."""
    return [one for one in facts.builds if one.buildpack == buildpack.name]


def _needs_build(facts: AppFacts, buildpack: Buildpack, step: CommandStep, path: str, manager: str) -> list[str]:
    """What is missing, where a build is to make it. Raises NeedsBuild for a build that cannot run without a network."""
    if _own(facts, buildpack) or any(one.makes(path.rstrip("/")) for one in facts.builds):
        return [path.rstrip("/")]
    if facts.member(MANIFEST, "scripts.build"):
        folder = path if path.endswith("/") else output_of(path)
        why = f"scripts.build writes {folder}, which {_where(step)} needs"
        raise NeedsBuild([(app_name(facts), why)], outputs.keep(manager, [folder]))
    return []


def not_built(facts: AppFacts, buildpack: Buildpack, manager: str) -> str:
    """The hint for an app whose program is what a build would write."""
    if not facts.member(MANIFEST, "scripts.build"):
        return (
            "Ask for Node.js 22.18 or newer, for example by '24' in a file .nvmrc, or commit the program as JavaScript."
        )
    main = facts.member(MANIFEST, "main")
    if isinstance(main, str) and main.strip("./") and not program(facts, main) and not _own(facts, buildpack):
        return outputs.keep(manager, [output_of(main)])
    return outputs.keep_and_start(manager, built(facts, buildpack), _own(facts, buildpack))


def not_run(facts: AppFacts, buildpack: Buildpack, planned: Iterable[Foreseen]) -> list[str]:
    """Remarks on scripts that other platforms run when they build, where the app may need what they make."""
    if MANIFEST not in facts.tree:
        return []
    run = {step.script for one in planned for step in steps(facts, one.command)}
    unknown = [one.command for one in _own(facts, buildpack) if not one.outputs]  # of which more is said elsewhere
    notes = [
        f"scripts.{name} is not run: what it makes has to be in the app"
        for name in ("heroku-prebuild", "heroku-postbuild", "postinstall")
        if name not in run and not any(name in command for command in unknown)
        if facts.member(MANIFEST, f"scripts.{name}")
    ]
    missing = [] if _own(facts, buildpack) else built(facts, buildpack).missing(facts.tree)
    how = "where it is needed, run it before staging and keep that in the app"
    return notes + [f"scripts.build writes {path}/, which is not in the app: {how}" for path in missing]


def _where(step: CommandStep) -> str:
    return f"scripts.{step.script}" if step.script else "the start command"


def _what(step: CommandStep, process: Process) -> str:
    return f"scripts.{step.script}" if step.script else process.type


def app_name(facts: AppFacts) -> str:
    """What package.json calls the app; `the app` when it has no name."""
    name = facts.member(MANIFEST, "name") if MANIFEST in facts.tree else ""
    return name if isinstance(name, str) and name.strip() else "the app"


def _check_program(
    facts: AppFacts, buildpack: Buildpack, step: CommandStep, process: Process, manager: str
) -> list[str]:
    file = _program(step.text)
    if not file or _in_app(facts, file):
        return []
    if needs := _needs_build(facts, buildpack, step, file, manager):
        return needs
    if step.script and facts.member(MANIFEST, f"scripts.pre{step.script}"):
        return []
    why = f"{_what(step, process)} runs {file}, which is not in the app"
    hint = "Correct the command, or see that .gitignore does not leave the file out."
    raise BadManifest(*error(facts, step, process, why, hint))


def output_of(file: str) -> str:
    """What a build writes that makes this program: its first folder with a slash, or a file in the app's own folder."""
    first = posixpath.normpath(file).split("/")[0]
    return f"{first}/" if "/" in posixpath.normpath(file) or not posixpath.splitext(first)[1] else first


def _program(text: str) -> str:
    """The file in the app that a simple command has Node.js run; empty when it does not, or it cannot be told."""
    words = list(_words(text))
    if not words or words[0] not in _NODE:
        return ""
    rest = iter(words[2:] if words[:2] in (["bun", "run"], ["tsx", "watch"]) else words[1:])
    for word in rest:
        if word in _NO_FILE:
            return ""
        if word in _TAKES_VALUE:
            next(rest, "")
        elif not word.startswith("-"):
            return "" if word.startswith("/") or "$" in word or "*" in word or "node_modules" in word else word
    return ""


def _words(text: str) -> Iterator[str]:
    try:
        yield from shlex.split(text[len(match[0]) if (match := _BEFORE.match(text)) else 0 :])
    except ValueError:
        return


def _in_app(facts: AppFacts, file: str) -> bool:
    return posixpath.normpath(file).startswith("../") or bool(program(facts, file))


def _check_kind(step: CommandStep, process: Process, facts: AppFacts) -> None:
    """Refuse a script that shows or runs the app elsewhere; what the author's own command says is done."""
    tool = next((tool for tool in _tools(step.text) if tool in TOOLS), "") if step.script else ""
    if tool:
        what, hint = TOOLS[tool]
        raise BadManifest(*error(facts, step, process, f"{_what(step, process)} runs {tool}, which {what}", hint))


def _check_tool(facts: AppFacts, step: CommandStep, process: Process) -> None:
    """Refuse a command whose program or module is a development dependency, which a droplet does not carry."""
    named = [("runs", tool) for tool in _tools(step.text)] + [("loads", module) for module in _modules(step.text)]
    for verb, tool in named:
        packages = _PACKAGES.get(tool, (tool,))
        if any(name in facts.names or _firm(facts, name) for name in packages):
            continue
        package = next((name for name in packages if _has(facts, "devDependencies", name)), "")
        if package:
            what = tool if tool == package else f"{tool} of {package}"
            why = f"{_what(step, process)} {verb} {what}, which is only among devDependencies"
            raise BadManifest(*error(facts, step, process, why, _move(tool, package)))


def error(
    facts: AppFacts, step: CommandStep, process: Process, why: str, hint: str
) -> tuple[str, str, str, int | None]:
    """What BadManifest takes for a step: its place is where the line stands that it is a part of."""
    if step.script:
        return MANIFEST, why, hint, facts.line(MANIFEST, f"scripts.{step.script}")
    return process.reason.file or MANIFEST, why, hint, process.reason.line


def _move(tool: str, package: str) -> str:
    if package in _COMPILERS:
        return f"Run it in the script 'build', which runs when the app is staged, and take {tool} out of the start command."
    return f"Move {package} to dependencies and make the lock file again."


_COMPILERS = (
    "typescript",
    "@babel/cli",
    "@swc/cli",
    "webpack",
    "webpack-cli",
    "vite",
    "rollup",
    "esbuild",
    "tsup",
    "parcel",
)


def _firm(facts: AppFacts, name: str) -> bool:
    return _has(facts, "dependencies", name) or _has(facts, "optionalDependencies", name)


_PACKAGES = {
    "cross-env-shell": ("cross-env",),
    "run-s": ("npm-run-all", "npm-run-all2"),
    "run-p": ("npm-run-all", "npm-run-all2"),
    "npm-run-all": ("npm-run-all", "npm-run-all2"),
    "tsc": ("typescript",),
    "tsnd": ("ts-node-dev",),
    "ts-node-esm": ("ts-node",),
    "ts-node-transpile-only": ("ts-node",),
    "dotenv": ("dotenv-cli", "dotenv"),
    "dotenvx": ("@dotenvx/dotenvx",),
    "babel": ("@babel/cli", "babel-cli"),
    "babel-node": ("@babel/node", "babel-cli"),
    "swc": ("@swc/cli",),
    "swc-node": ("@swc-node/cli",),
    "nest": ("@nestjs/cli",),
    "ng": ("@angular/cli",),
    "vue-cli-service": ("@vue/cli-service",),
    "tailwindcss": ("@tailwindcss/cli", "tailwindcss"),
    "webpack": ("webpack-cli", "webpack"),
    "gulp": ("gulp-cli", "gulp"),
    "grunt": ("grunt-cli", "grunt"),
    "sequelize": ("sequelize-cli",),
    "remix": ("@remix-run/dev",),
    "remix-serve": ("@remix-run/serve",),
    "react-router": ("@react-router/dev",),
    "react-router-serve": ("@react-router/serve",),
    "svelte-kit": ("@sveltejs/kit",),
    "sirv": ("sirv-cli",),
    "pm2-runtime": ("pm2",),
    "tsconfig-paths": ("tsconfig-paths",),
    "strapi": ("@strapi/strapi",),
    "eleventy": ("@11ty/eleventy",),
    "shopify": ("@shopify/cli",),
    "redwood": ("@redwoodjs/core",),
    "rw": ("@redwoodjs/core",),
    "rw-serve": ("@redwoodjs/api-server",),
    "medusa": ("@medusajs/cli", "@medusajs/medusa-cli"),
    "copyfiles": ("copyfiles",),
    "panda": ("@pandacss/dev",),
    "graphql-codegen": ("@graphql-codegen/cli",),
}
"""Program → the packages that bring it, where it is not called as its package."""
_RUNS_TOOLS = ("npx", "bunx", "pnpx")
_RUNS_OTHERS = ("cross-env", "cross-env-shell", "dotenv", "dotenvx", "env-cmd", "exec", "env", "nyc", "c8")


def _tools(text: str) -> list[str]:
    """The programs of a simple command that packages may bring: its first word, and what that word runs in its turn."""
    found, rest = [], _plain(text)
    while rest:
        word = rest.pop(0)
        if word in ("npm", "pnpm", "yarn", "bun") and rest[:1] in (["exec"], ["x"], ["dlx"]):
            word = "npx"
            del rest[0]
        if word in _RUNS_TOOLS or word in _RUNS_OTHERS:
            found += [word] if word not in (*_RUNS_TOOLS, "exec", "env") else []
            while rest and (rest[0].startswith("-") or "=" in rest[0] or rest[0] == "run"):
                option = rest.pop(0)
                if option in ("-p", "-f", "-e", "--package", "--file") and rest:
                    del rest[0]
            continue
        return [*found, word]
    return found


def _plain(text: str) -> list[str]:
    """The words of a simple command from its program on."""
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    first = next((index for index, word in enumerate(words) if not _ASSIGNED.match(word)), len(words))
    return words[first:]


_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")
_PRELOADS = ("-r", "--require", "--import", "--loader", "--experimental-loader")


def _modules(text: str) -> list[str]:
    """The packages whose modules Node.js is told to load first, on its command line or in NODE_OPTIONS."""
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    if not any(word in _NODE for word in words):
        return []
    options = [part for word in words for part in word.removeprefix("NODE_OPTIONS=").split()]
    named = [after for option, after in pairwise(options) if option in _PRELOADS]
    named += [rest for option in options if (rest := _joined(option))]
    return [_package(name) for name in named if not name.startswith((".", "/", "#", "$", "node:", "file:"))]


def _joined(option: str) -> str:
    name, _, value = option.partition("=")
    return value if name in _PRELOADS else ""


def _package(module: str) -> str:
    """The package of a module: `dotenv` of `dotenv/config`, `@swc-node/register` of itself."""
    return "/".join(module.split("/")[: 2 if module.startswith("@") else 1])


def _has(facts: AppFacts, table: str, name: str) -> bool:
    found = facts.member(MANIFEST, table)
    return isinstance(found, dict) and name in found
