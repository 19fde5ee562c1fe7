"""The only Jinja2 environments: what is generated is rendered here, the same everywhere.

`render` is for stager's own templates. `render_data` is for those of buildpacks and stacks, which anybody writes: a small
part of Jinja2, decided on the parsed template before it runs. It can name values, choose, repeat and quote. It cannot print
what is no text or number (an address, an unordered collection), and what it does is bounded: steps, sizes, output.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..errors import InvalidDefinition

LONGEST = 1 << 17
"""Characters of a template."""
LARGEST = 1 << 20
"""Characters of any text that it makes, and of what it gives."""
STEPS = 10_000
"""Turns of all loops together, and parts of a template."""
NESTED = 12
"""Loops, conditions and brackets inside each other."""
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.If, nodes.For, nodes.Assign, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.Concat, nodes.Add, nodes.Sub, nodes.Neg, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword,
    nodes.Filter, nodes.Test, nodes.Call,
)  # fmt: skip
_METHODS = frozenset(
    {"endswith", "get", "items", "keys", "lower", "lstrip", "removeprefix", "removesuffix", "rstrip", "split", "splitlines",
     "startswith", "strip", "upper", "values"}
)  # fmt: skip
_TESTS = frozenset(
    {"defined", "eq", "even", "false", "ge", "gt", "in", "le", "lt", "mapping", "ne", "none", "number", "odd", "sequence",
     "string", "true", "undefined"}
)  # fmt: skip
_OF_TEXT = frozenset({"capitalize", "lower", "title", "trim", "upper"})
_OF_LISTS = frozenset(
    {"abs", "count", "d", "default", "dictsort", "first", "int", "items", "last", "length", "list", "max", "min", "reverse",
     "sort", "unique"}
)  # fmt: skip


def render(template: str, values: Mapping[str, object], name: str = "template") -> str:
    """The text of one of stager's own templates with `values`; the `sh` filter quotes a value for a POSIX shell.

    Raises InvalidDefinition, naming the template, when it is malformed, uses a value that is not given, or prints
    anything but text and numbers.
    """
    with _told(name):
        return _environment().from_string(template).render(values)


def render_data(template: str, values: Mapping[str, object], name: str = "template") -> str:
    """The text of a buildpack's or a stack's template with `values`, which are plain data.

    Raises InvalidDefinition, naming the template and where it can be the line, as `render`, and for what is not in the small
    part of Jinja2 or beyond its bounds (docs/buildpacks.md).
    """
    with _told(name):
        environment = _bounded(_Budget())
        if len(template) > LONGEST:
            message = f"the template has more than {LONGEST} characters"
            raise ValueError(message)
        parsed = environment.parse(template)
        _check(parsed)
        code = environment.compile(_counted(parsed, environment))
        made = Template.from_code(environment, code, dict(environment.globals))
        return "".join(_limited(made.generate(_plain_data(values))))


class _told:  # noqa: N801 - it reads as the statement that it is
    """What goes wrong in the block is an InvalidDefinition of the template."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, TemplateError):
            line = getattr(error, "lineno", None)
            raise InvalidDefinition(f"{self.name}:{line}" if line else self.name, "", _sentence(error)) from error
        if isinstance(error, _TROUBLE):
            raise InvalidDefinition(self.name, "", _sentence(error)) from error


_TROUBLE = (
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    LookupError,
    RecursionError,
    SyntaxError,
    MemoryError,
)


def _sentence(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "cannot be rendered: nested too deeply"
    said = error.message if isinstance(error, TemplateError) else str(error)
    return f"cannot be rendered: {said or type(error).__name__}"


def _environment(
    kind: type[ImmutableSandboxedEnvironment] = ImmutableSandboxedEnvironment,
) -> ImmutableSandboxedEnvironment:
    environment = kind(
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
    return shlex.quote(str(_plain(value)))


# --- the small part --------------------------------------------------------------------------------------------

_LONG = f"more than {LARGEST} characters"


class _Small(ImmutableSandboxedEnvironment):
    """A sandbox in which text is added to text within a limit."""

    intercepted_binops = frozenset({"+"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002 - Jinja2's signature
        """Numbers are added to numbers, text to text."""
        if isinstance(left, str) and isinstance(right, str):
            return _joined((left, right))
        if isinstance(left, int) and isinstance(right, int):
            return left + right
        message = f"{operator} adds numbers or texts, not {type(left).__name__} and {type(right).__name__}"
        raise TypeError(message)


class _Budget:
    """How many turns of loops are left."""

    def __init__(self) -> None:
        self.left = STEPS

    def counted(self, values: Iterable[Any]) -> Iterator[Any]:
        """The values, each of which is a turn."""
        for value in values:
            self.left -= 1
            if self.left < 0:
                message = f"more than {STEPS} turns of loops"
                raise ValueError(message)
            yield value


def _bounded(budget: _Budget) -> Environment:
    environment = _environment(_Small)
    environment.filters = {name: FILTERS[name] for name in _OF_LISTS}
    environment.filters |= {name: _of_text(FILTERS[name]) for name in _OF_TEXT}
    environment.filters |= {
        "sh": _quote, "string": lambda value: str(_plain(value)), "join": _join, "replace": _replace, "indent": _indent,
        "counted": budget.counted, "joined": lambda first, *rest: _joined((first, *rest)),
    }  # fmt: skip
    environment.tests = {name: test for name, test in environment.tests.items() if name in _TESTS}
    return environment


def _plain_data(value: Any) -> Any:
    """A copy that holds nothing but tables, lists, texts and numbers."""
    if isinstance(value, Mapping):
        return {str(key): _plain_data(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_data(one) for one in value]
    return value if value is None or isinstance(value, (str, int)) else str(value)


def _check(template: nodes.Template) -> None:
    """Refuse what is not in the small part, with its line."""
    waiting: list[tuple[nodes.Node, int]] = [(template, 0)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if (
            wrong := _wrong(node)
            or (seen > STEPS and f"more than {STEPS} parts")
            or (depth > NESTED and "nested too deeply")
        ):
            raise TemplateSyntaxError(wrong, node.lineno)
        deeper = isinstance(node, _DEEPER)
        waiting += [(child, depth + deeper) for child in node.iter_child_nodes()]


_DEEPER = (nodes.If, nodes.For, nodes.List, nodes.Tuple, nodes.Dict, nodes.Filter, nodes.Call, nodes.BinExpr)


def _too_much(seen: int, depth: int) -> str:
    if seen > STEPS:
        return f"more than {STEPS} parts"
    return "nested too deeply" if depth > NESTED else ""


def _wrong(node: nodes.Node) -> str:
    word = type(node).__name__
    if not isinstance(node, _ALLOWED):
        return f"{word} is not among what a template may do"
    if isinstance(node, nodes.Assign) and not isinstance(node.target, nodes.Name):
        return "set gives a value to one name"
    if isinstance(node, nodes.For) and node.recursive:
        return "a loop is not recursive"
    if isinstance(node, nodes.Call) and not (
        (isinstance(node.node, nodes.Getattr) and node.node.attr in _METHODS)
        or (isinstance(node.node, nodes.Name) and node.node.name == "range")
    ):
        return "only range and the plain methods of texts and tables can be called"
    return ""


def _counted(template: nodes.Template, environment: Environment) -> nodes.Template:
    """The template with every loop counted, and every `~` bounded."""
    for loop in template.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None, lineno=loop.lineno)
    for node in reversed([template, *template.find_all(nodes.Node)]):  # what is inside comes before what it is in
        for field, value in node.iter_fields():
            if isinstance(value, nodes.Concat):
                setattr(node, field, _concat(value))
            elif isinstance(value, list):
                value[:] = [_concat(one) if isinstance(one, nodes.Concat) else one for one in value]
    template.set_environment(environment)
    return template


def _concat(node: nodes.Concat) -> nodes.Filter:
    first, *rest = node.nodes
    return nodes.Filter(first, "joined", rest, [], None, None, lineno=node.lineno)


def _limited(parts: Iterable[str]) -> Iterator[str]:
    left = LARGEST
    for part in parts:
        left -= len(part)
        if left < 0:
            raise ValueError(_LONG)
        yield part


def _joined(values: Iterable[object], between: str = "") -> str:
    left, parts = LARGEST, []
    for value in values:
        text = str(_plain(value))
        left -= len(text) + len(between)
        if left < 0:
            raise ValueError(_LONG)
        parts.append(text)
    return between.join(parts)


def _join(values: Iterable[object], between: object = "") -> str:
    return _joined(values, str(_plain(between)))


def _of_text(filter_: Callable[..., Any]) -> Callable[[object], str]:
    return lambda value: str(filter_(str(_plain(value))))


def _replace(value: object, old: object, new: object) -> str:
    text, old, new = (str(_plain(one)) for one in (value, old, new))
    if not old or len(text) + text.count(old) * len(new) > LARGEST:
        raise ValueError(_LONG if old else "replace needs a text to replace")
    return text.replace(old, new)


def _indent(value: object, width: object = 4, first: object = False) -> str:
    text = str(_plain(value))
    pad = " " * min(max(width, 0), 100) if isinstance(width, int) else ""
    return _joined(
        ((pad if (number or first) and line else "") + line for number, line in enumerate(text.split("\n"))), "\n"
    )
