"""The only Jinja2 environment: what buildpacks and boxes generate is rendered here, the same everywhere.

Sandboxed, strict about undefined names, and without the parts of Jinja2 whose output could differ between two runs
(random choices, object addresses).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from jinja2 import StrictUndefined, TemplateError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .errors import InvalidDefinition


def render(template: str, values: Mapping[str, object], name: str = "template") -> str:
    """The text of `template` with `values` filled in; the `sh` filter quotes a value for a POSIX shell.

    Raises InvalidDefinition, naming the template, when it is malformed, uses a value that is not given, or prints
    anything but text and numbers.
    """
    try:
        return _environment().from_string(template).render(values)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise InvalidDefinition(f"{name}:{line}" if line else name, "", _sentence(error)) from error
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise InvalidDefinition(name, "", _sentence(error)) from error


def _sentence(error: Exception) -> str:
    return f"cannot be rendered: {error or type(error).__name__}"


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # shell and server configuration, not HTML; the `sh` filter quotes
        keep_trailing_newline=True,
        newline_sequence="\n",
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters["sh"] = _quote
    for name in ("random", "urlize", "pprint"):
        del environment.filters[name]
    environment.globals = {"range": environment.globals["range"]}
    return environment


def _plain(value: object) -> object:
    """Let only text and numbers be printed: anything else could print an address or an unordered collection."""
    if isinstance(value, (str, int, Undefined)):
        return value
    found = type(value).__name__
    message = f"a template may print text and numbers, not {found}"
    raise TypeError(message)


def _quote(value: object) -> str:
    return shlex.quote(str(value))
