"""What the settings of a Django site say of its static files, read as text: nothing of the app is run.

A value is known where it is a plain expression of literals, `__file__`, paths and the other names of the settings; else
Django itself has to be asked, in a sandbox.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..text.source_lines import text_line
from .record import Told

if TYPE_CHECKING:
    from ..tree import SourceTree

_APP = "/app"
"""Where the app's folder is when its settings are evaluated, here as in a droplet."""
_ASIDE = ("tests", "test", "examples", "example", "docs", "doc", "samples")
_NOT = "Django's static files are not collected: "
_MANAGE = ("manage.py", "*/manage.py", "*/*/manage.py")
_SERVED = ("*/wsgi.py", "*/*/wsgi.py", "wsgi.py", "*/asgi.py", "*/*/asgi.py", "asgi.py")
_MODULE = re.compile(
    r"""DJANGO_SETTINGS_MODULE["'](?:\s*\]\s*=|\s*,)\s*(?:os\.(?:getenv|environ\.get)\(\s*["']\w+["']\s*,\s*)?["']([\w.]+)["']"""
)
_CLASS = re.compile(r"""DJANGO_CONFIGURATION["'](?:\s*\]\s*=|\s*,)\s*["'](\w+)["']""")
_SETS = re.compile(r"^[ \t]*django_(?:on_)?heroku\.settings\(", re.MULTILINE)
"""A call of a package that sets STATIC_ROOT."""
_ALL_OF = re.compile(r"^[ \t]*from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+\*", re.MULTILINE)
_ASSIGNED = re.compile(r"^(?P<indent>[ \t]*)(?P<name>[A-Za-z_]\w*)[ \t]*(?::[^=\n]+)?=(?!=)[ \t]*", re.MULTILINE)
_USES = re.compile(r"""["']django\.contrib\.staticfiles(?:\.apps\.\w+)?["']""")
_REMOTE = re.compile(
    r"""(?:STATICFILES_STORAGE\s*=\s*|["']staticfiles["']\s*:[^}]{0,200}?)["'][^"']*(?:S3|GoogleCloud|Azure|s3boto)"""
)
_LONGEST, _LINES, _DEPTH, _FILES, _NAMES = 2000, 8, 60, 32, 2000
"""Of an expression: characters, lines and how deep it is read; the files of one site's settings, and the names in each."""


def static_files(tree: SourceTree, env: Mapping[str, str]) -> Told | None:
    """What is known of the collecting of a site's static files; None for an app that has none to collect.

    `env` are the variables that the app itself sets at launch.
    """
    manage = next((path for pattern in _MANAGE for path in tree.glob(pattern) if _meant(path)), "")
    if not manage:
        return None
    site = posixpath.dirname(manage)
    own, served = _named(tree, manage), env.get("DJANGO_SETTINGS_MODULE") or _served(tree, site)
    settings = Settings(tree, site, served or own)
    if not any(_USES.search(text) for text in settings.texts):
        return None
    place = settings.place("STATIC_ROOT") or settings.set_elsewhere()
    if place is None:
        return Told(site, settings.files[-1], None, instead=f"{_NOT}STATIC_ROOT is not set")
    variables = dict(settings.wanted({*env}))
    if served and served != own and "DJANGO_SETTINGS_MODULE" not in env:
        variables["DJANGO_SETTINGS_MODULE"] = served
    if (chosen := _configuration(tree, site)) and "DJANGO_CONFIGURATION" not in env:
        variables["DJANGO_CONFIGURATION"] = chosen
    told = Told(site, *place, env=tuple(sorted(variables.items())))
    if any(_REMOTE.search(text) for text in settings.texts):
        return told._replace(instead=f"{_NOT}they go to a storage service: run collectstatic where that is reached")
    value = settings.values.get("STATIC_ROOT", _UNKNOWN)
    if value is _UNKNOWN:
        return told
    if not value:
        return told._replace(instead=f"{_NOT}STATIC_ROOT is empty")
    path = posixpath.normpath(posixpath.join(_APP, site, value))
    if not path.startswith(_APP + "/"):
        return told._replace(instead=f"{_NOT}STATIC_ROOT is {path}, which is not in the app")
    place_of = path.removeprefix(_APP + "/")
    return told._replace(outputs=(place_of,), inputs=("**", f"{place_of}/**") if _sources(tree, place_of) else ())


def _sources(tree: SourceTree, folder: str) -> bool:
    """Whether the app has files of its own where static files are collected, and not what was collected before."""
    collected = any(f"{folder}/{name}" in tree for name in ("staticfiles.json", "admin/css/base.css"))
    return not collected and any(path.startswith(f"{folder}/") for path in tree.files)


def _meant(path: str) -> bool:
    return not any(part in _ASIDE for part in path.split("/")[:-1])


def _named(tree: SourceTree, path: str) -> str:
    found = _MODULE.search(_text(tree, path))
    return found[1] if found else ""


def _served(tree: SourceTree, site: str) -> str:
    """The settings of the application that is served, which need not be those of manage.py."""
    return next((module for path in _applications(tree, site) if (module := _named(tree, path))), "")


def _configuration(tree: SourceTree, site: str) -> str:
    """The class of settings with which the application is served (django-configurations)."""
    found = (_CLASS.search(_text(tree, path)) for path in _applications(tree, site))
    return next((match[1] for match in found if match), "")


def _applications(tree: SourceTree, site: str) -> Iterator[str]:
    below = f"{site}/" if site else ""
    return (path for pattern in _SERVED for path in tree.glob(below + pattern) if _meant(path))


def _text(tree: SourceTree, path: str) -> str:
    """A file's text; of one that is larger than any settings, none."""
    large = tree.files[tree.resolve(path)].size > 1 << 20
    return "" if large else tree.read_bytes(path).decode("utf-8-sig", "replace").replace("\r\n", "\n")


_UNKNOWN: Any = object()


class Settings:
    """The settings module of a site and those that it takes everything from, as text, and the values that are plain."""

    def __init__(self, tree: SourceTree, site: str, module: str) -> None:
        self.tree, self.site = tree, site
        self.files: list[str] = []
        self.texts: list[str] = []
        """Of the files, those that others take from first."""
        self.values: dict[str, Any] = {}
        self._open: set[str] = set()
        path = self._file(module.replace(".", "/")) if module else ""
        if path:
            self._read(path)
        for text in self.texts:
            for found in _ASSIGNED.finditer(text):
                if found["indent"] and found["name"].isupper():
                    self.values.pop(found["name"], None)  # it depends on a condition

    def place(self, name: str) -> tuple[str, int | None] | None:
        """File and line of the last assignment of a name; None when there is none."""
        for path, text in zip(reversed(self.files), reversed(self.texts), strict=True):
            found = [one for one in _ASSIGNED.finditer(text) if one["name"] == name]
            if found:
                return path, text_line(text, found[-1].start("name"))
        return None

    def set_elsewhere(self) -> tuple[str, int | None] | None:
        """File and line of what sets the place of static files without a name in the text."""
        calls = ((path, text, _SETS.search(text)) for path, text in zip(self.files, self.texts, strict=True))
        return next(((path, text_line(text, call.start())) for path, text, call in calls if call), None)

    def _file(self, path: str) -> str:
        for folder in dict.fromkeys((self.site, posixpath.join(self.site, "src"), "")):
            for name in (f"{path}.py", f"{path}/__init__.py"):
                if (there := posixpath.normpath(posixpath.join(folder, name))) in self.tree:
                    return there
        return ""

    def _read(self, path: str) -> None:
        if path in self._open or len(self._open) >= _FILES:
            return
        self._open.add(path)
        text = _text(self.tree, path)
        for found in _ALL_OF.finditer(text):
            if other := self._imported(path, found[1]):
                self._read(other)
        self.files.append(path)
        self.texts.append(text)
        self.values["__file__"] = f"{_APP}/{path}"
        for found in islice(_ASSIGNED.finditer(text), _NAMES):
            if not found["indent"]:
                self.values[found["name"]] = self._value(text[found.end() : found.end() + _LONGEST])

    def _imported(self, path: str, module: str) -> str:
        dots = len(module) - len(module.lstrip("."))
        if not dots:
            return self._file(module.replace(".", "/"))
        folder = path
        for _ in range(dots):
            folder = posixpath.dirname(folder)
        there = posixpath.join(folder, module[dots:].replace(".", "/")) if module[dots:] else folder
        return next((name for name in (f"{there}.py", f"{there}/__init__.py") if name in self.tree), "")

    def _value(self, text: str) -> Any:
        lines = text.split("\n")
        for count in range(1, min(len(lines), _LINES) + 1):
            source = "\n".join(lines[:count])
            if "\\" in source:
                break
            try:
                return _evaluated(ast.parse(source, mode="eval").body, self.values, 0)
            except SyntaxError:
                continue
            except (_Unknown, ValueError, RecursionError, MemoryError):
                break
        return _UNKNOWN

    def wanted(self, known: set[str]) -> Iterator[tuple[str, str]]:
        """(name, stand-in) of the environment variables without which these settings cannot be read."""
        for text in self.texts:
            plain = re.sub(r"^[ \t]*#.*$", "", text, flags=re.MULTILINE)
            for name, kind in _variables(plain):
                if name not in known:
                    yield name, _stand_in(name, kind)


class _Unknown(Exception):
    """An expression that is not plain."""


_SAME = re.compile("abspath|realpath|normpath|resolve|absolute|expanduser|str|fspath|Path|PurePath|PosixPath")
_METHODS = re.compile("resolve|absolute|expanduser|joinpath|path|as_posix")


def _evaluated(node: ast.expr, values: Mapping[str, Any], depth: int) -> Any:
    """The value of a plain expression: a text, whether it is one or a path. Raises _Unknown."""
    if depth > _DEPTH:
        raise _Unknown

    def again(one: ast.expr) -> Any:
        return _evaluated(one, values, depth + 1)

    match node:
        case ast.Constant(value=str() | None):
            return node.value
        case ast.Name(id=name) if values.get(name, _UNKNOWN) is not _UNKNOWN:
            return values[name]
        case ast.JoinedStr(values=parts):
            return "".join(_part(again(part.value if isinstance(part, ast.FormattedValue) else part)) for part in parts)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return posixpath.join(_part(again(left)), _part(again(right)))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _part(again(left)) + _part(again(right))
        case ast.BinOp(left=left, op=ast.Sub(), right=ast.Constant(value=int(levels))) if 0 < levels < 10:
            return _above(_part(again(left)), levels)  # environ.Path(__file__) - 3
        case ast.BoolOp(op=ast.Or(), values=parts):
            return next((value for part in parts if (value := again(part))), None)
        case ast.Attribute(value=inner, attr="parent"):
            return _above(_part(again(inner)), 1)
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(level))):
            return _above(_part(again(inner)), level + 1)
        case ast.Call():
            return _called(node, again)
    raise _Unknown


def _called(node: ast.Call, again: Callable[[ast.expr], Any]) -> Any:
    function = node.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if default := _default(node, name):
        return again(default[0])
    if node.keywords or not name:
        raise _Unknown
    if name == "dirname" and len(node.args) == 1:
        return _above(_part(again(node.args[0])), 1)
    parts = [_part(again(one)) for one in node.args]
    if (name == "join" or _SAME.fullmatch(name)) and parts:
        return posixpath.normpath(posixpath.join(*parts)) if name != "str" else parts[0]
    if isinstance(function, ast.Attribute) and _METHODS.fullmatch(name):
        return posixpath.normpath(posixpath.join(_part(again(function.value)), *parts))
    if isinstance(function, ast.Name):
        return posixpath.normpath(posixpath.join(_part(again(function)), *parts))  # environ.Path: BASE_DIR("static")
    raise _Unknown


def _default(node: ast.Call, name: str) -> list[ast.expr]:
    """What is taken where an environment variable is not set; empty for what asks for none, or has no such value."""
    if name not in ("get", "getenv", "env", "config", "str", "path") or not node.args:
        return []
    given = [one.value for one in node.keywords if one.arg == "default"]
    if not given and name in ("get", "getenv", "config") and isinstance(node.args[0], ast.Constant):
        given = [*node.args[1:2]] or ([] if name == "config" else [ast.Constant(None)])
    return given


def _part(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unknown
    return value


def _above(path: str, levels: int) -> str:
    for _ in range(levels):
        path = posixpath.dirname(path)
    return path


_INDEXED = re.compile(r"""(?:(?<!\w)(\w{0,40})\(\s{0,20})?\b(?:os\.)?environ\[\s*["'](\w+)["']\s*\](?!\s*=(?!=))""")
_ASKED = re.compile(
    r"""\b(?:env|config|Env\(\)|get_env\w*|get_secret|require_env)(?:\.(\w+))?\(\s*["'](\w+)["']([^)]{0,300})"""
)
_GIVEN = re.compile(r"\bdefault\s*=|\A\s*,\s*(?!\w+\s*=)(?=\S)")
"""What an argument after the name looks like that is a value to take instead."""
_CAST = re.compile(r"\bcast\s*=\s*(\w+)")
_DATABASE = re.compile(r"\bdj_database_url\.|\benv\.(?:db|db_url)\(|DATABASE_URL|\bDatabaseURLValue\(")
_OF_CLASS = re.compile(r"^[ \t]+(\w+)\s*=\s*values\.SecretValue\(", re.MULTILINE)
_SECRET = re.compile(
    r"""^SECRET_KEY\s*(?::[^=\n]+)?=[^\n]*?(?:get|getenv)\(\s*["'](\w+)["']\s*(?:,\s*(?:None|["']{2})\s*)?\)""",
    re.MULTILINE,
)


def _variables(text: str) -> Iterator[tuple[str, str]]:
    """(name, what it is read as) of the variables that settings ask for without a value to take instead."""
    if _DATABASE.search(text):
        yield "DATABASE_URL", ""
    for name in _SECRET.findall(text):
        yield name, ""
    for name in _OF_CLASS.findall(text):
        yield f"DJANGO_{name}", ""
    for kind, name in _INDEXED.findall(text):
        yield name, kind
    for method, name, rest in _ASKED.findall(text):
        if not _GIVEN.search(rest):
            cast = _CAST.search(rest)
            yield name, method or (cast[1] if cast else "")


_CASTS = {"int": "1", "float": "1", "bool": "False", "json": "{}", "loads": "{}"}


def _stand_in(name: str, kind: str) -> str:
    """A value with which settings can be read; no service is reached while static files are collected."""
    if name == "DATABASE_URL" or kind in ("db", "db_url", "parse"):
        return "sqlite:///:memory:"
    if kind in ("cache", "cache_url"):
        return "locmemcache://"
    if kind in ("email", "email_url"):
        return "consolemail://"
    if name.endswith(("_URL", "_URI")):
        return "redis://localhost/0" if re.search(r"REDIS|BROKER|CELERY|CACHE", name) else "http://localhost"
    if name.endswith("DEBUG"):
        return "False"
    return _CASTS.get(kind) or ("1" if name.endswith("PORT") else "build")
