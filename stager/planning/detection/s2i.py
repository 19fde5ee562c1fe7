"""What OpenShift's `.s2i/environment` says of the start: the web process that its builder images for Python and Node.js run.

The file has a line `NAME=VALUE` for each variable, as source-to-image reads it, and comments that begin with `#`. Which one
comes first, and where its paths begin, is what the images' own `run` scripts do (sclorg's s2i-python-container and
s2i-nodejs-container, `s2i/bin/run`); only that every command listens on `$PORT` is stager's.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import BadManifest
from ...model import Process, Reason
from .matching import AppFacts, installed

if TYPE_CHECKING:
    from ...tree import SourceTree

NAME = ".s2i/environment"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOME = "/opt/app-root/src"
"""Where the images have the app."""
_MODULE = re.compile(r"\w+(?:\.\w+)*(?::[\w.]+(?:\(.*\))?)?\Z")
_PYTHON = ("APP_SCRIPT", "APP_FILE", "APP_MODULE", "APP_HOME", "APP_CONFIG")
_NODE = ("NODE_CMD", "NPM_RUN")
_OWN = ("HOME", "PORT")


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable's value, and the line that gives it."""

    value: str
    line: int


def parse(text: str) -> dict[str, Setting]:
    """The variables of the file's text; the last of a name counts. Raises BadManifest for a line that is none."""
    found: dict[str, Setting] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not equals or not _VARIABLE.fullmatch(name):
            raise BadManifest(NAME, f"{line[:60]!r} is not NAME=VALUE", line=number)
        found[name] = Setting(value, number)
    return found


def read(tree: SourceTree) -> dict[str, Setting]:
    """The variables of an app; none without the file. Raises BadManifest."""
    return parse(tree.read_whole(NAME).decode("utf-8", "replace")) if NAME in tree else {}


def carried(tree: SourceTree) -> dict[str, str]:
    """The variables that the images have while they build as well: all but those that say how to start."""
    return {name: one.value for name, one in read(tree).items() if name not in (*_PYTHON, *_NODE, *_OWN)}


def web(facts: AppFacts, settings: Mapping[str, Setting]) -> Process | None:
    """The web process that the settings ask for. Raises BadManifest for one that cannot be."""
    given = {name: setting for name, setting in settings.items() if setting.value.strip()}
    known = {"python": _python, "node": _node}
    command = next(
        (found for name, ask in known.items() if name in facts.runtimes and (found := ask(facts, given))), None
    )
    if command is None:
        return None
    name, line = command
    return Process("web", line, Reason(f"{NAME} gives {name}", NAME, given[name].line))


def unused(settings: Mapping[str, Setting]) -> str:
    """A remark about the variables that the droplet does not carry; empty when there are none."""
    names = sorted({*settings} - {*_PYTHON, *_NODE, "PORT"})
    if not names:
        return ""
    where = "'stager export openshift' sets them; elsewhere set them on the platform, or under env in stager.yml"
    return f"not taken over from {NAME}: {', '.join(names)}; {where}"


# --- Python ----------------------------------------------------------------------------------------------------


def _python(facts: AppFacts, given: Mapping[str, Setting]) -> tuple[str, str] | None:
    """(the variable that decides, the command)."""
    if _names_application(facts) or not any(name in given for name in _PYTHON[:4]):
        return None
    home = _folder(facts, given["APP_HOME"]) if "APP_HOME" in given else ""
    for name, make in (("APP_SCRIPT", _script), ("APP_FILE", _program), ("APP_MODULE", _served)):
        if name in given:
            return name, _there(home, make(facts, home, given, name))
    for file, command in (("app.sh", "./app.sh"), ("app.py", "python app.py")):
        if posixpath.join(home, file) in facts.tree.files:
            return "APP_HOME", _there(home, command)
    if posixpath.join(home, "wsgi.py") in facts.tree.files and installed(facts, ["gunicorn"]):
        return "APP_HOME", _there(home, _gunicorn(facts, home, given, "wsgi"))
    if posixpath.join(home, "manage.py") in facts.tree.files and installed(facts, ["django"]):
        return "APP_HOME", _there(home, 'python manage.py runserver "0.0.0.0:$PORT"')
    return None


def _names_application(facts: AppFacts) -> bool:
    """Whether gunicorn is told by its own file what to serve, which comes before all."""
    file = "gunicorn.conf.py"
    there = file in facts.tree.files and installed(facts, ["gunicorn"])
    return there and re.search(r"^wsgi_app\s*=", facts.text(file), re.MULTILINE) is not None


def _folder(facts: AppFacts, setting: Setting) -> str:
    """APP_HOME in the app's folder, empty for the folder itself."""
    path = _inside(setting, "APP_HOME")
    if path and path not in facts.tree.folders():
        raise BadManifest(NAME, f"APP_HOME is {setting.value}, which is no folder of the app", line=setting.line)
    return path


def _inside(setting: Setting, name: str, home: str = "") -> str:
    """A path that a variable gives, in the app's folder. Raises BadManifest when it leads elsewhere."""
    below = setting.value == _HOME or setting.value.startswith(_HOME + "/")
    value = setting.value.removeprefix(_HOME).lstrip("/") if below else posixpath.join(home, setting.value)
    path = posixpath.normpath(value or ".")
    if path.startswith(("/", "../")) or path == "..":
        raise BadManifest(NAME, f"{name} is {setting.value}, which is not in the app", line=setting.line)
    return "" if path == "." else path


def _file(facts: AppFacts, home: str, given: Mapping[str, Setting], name: str) -> str:
    """The path of a file that a variable gives, relative to `home`. Raises BadManifest when it is not there."""
    path = _inside(given[name], name, home)
    if facts.tree.resolve(path) not in facts.tree.files:
        why = f"{name} is {given[name].value}, and the app has no file {path or '.'}"
        raise BadManifest(NAME, why, f"Paths begin at {home or 'the app folder'}.", given[name].line)
    return posixpath.relpath(path, home or ".")


def _script(facts: AppFacts, home: str, given: Mapping[str, Setting], name: str) -> str:
    path = _file(facts, home, given, name)
    return shlex.quote(path if path.startswith("../") else f"./{path}")


def _program(facts: AppFacts, home: str, given: Mapping[str, Setting], name: str) -> str:
    return f"python {shlex.quote(_file(facts, home, given, name))}"


def _served(facts: AppFacts, home: str, given: Mapping[str, Setting], name: str) -> str:
    module = given[name]
    if not _MODULE.match(module.value):
        hint = "Write module:object, such as APP_MODULE=shop.wsgi:application."
        raise BadManifest(NAME, f"{name} is {module.value}, which names no module", hint, module.line)
    if not installed(facts, ["gunicorn"]):
        hint = "Add gunicorn to the app's dependencies and make the lock again, or say in a Procfile what serves it."
        raise BadManifest(NAME, f"{name} is for gunicorn, which is not among the app's packages", hint, module.line)
    return _gunicorn(facts, home, given, module.value)


def _gunicorn(facts: AppFacts, home: str, given: Mapping[str, Setting], module: str) -> str:
    config = ""
    if "APP_CONFIG" in given:
        plain = re.match(r"(?:python|file):", given["APP_CONFIG"].value)
        own = given["APP_CONFIG"].value if plain else _file(facts, home, given, "APP_CONFIG")
        config = f" --config {shlex.quote(own)}"
    return f'gunicorn --bind "0.0.0.0:$PORT"{config} {shlex.quote(module)}'


def _there(home: str, command: str) -> str:
    """A command in APP_HOME, where the app's own folder is searched for modules as well."""
    if not home:
        return command
    return f'cd {shlex.quote(home)} && PYTHONPATH="$HOME${{PYTHONPATH:+:$PYTHONPATH}}" exec {command}'


# --- Node.js ---------------------------------------------------------------------------------------------------


def _node(facts: AppFacts, given: Mapping[str, Setting]) -> tuple[str, str] | None:
    """(the variable that decides, the command)."""
    if "NODE_CMD" in given:
        return "NODE_CMD", given["NODE_CMD"].value.strip()
    words = given["NPM_RUN"].value.split() if "NPM_RUN" in given else []
    if not words or words == ["start"]:
        return None  # what is run without it, too
    scripts = facts.member("package.json", "scripts")
    if not isinstance(scripts, dict) or words[0] not in scripts:
        why = f"NPM_RUN is {words[0]}, and package.json has no such script"
        known = ", ".join(sorted(scripts)) if isinstance(scripts, dict) else ""
        raise BadManifest(NAME, why, f"It has: {known}." if known else "", given["NPM_RUN"].line)
    return "NPM_RUN", f"npm run {' '.join(words)}"
