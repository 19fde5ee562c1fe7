"""A platform's options as arguments of the command line: declared from its `Options`, and read back into one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import UsageError
from .values import number, pair, variable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ...targets.record import Options

O = TypeVar("O", bound="Options")  # noqa: E741 - the usual name


def add_options(parser: argparse.ArgumentParser, kind: type[Options], without: Sequence[str] = ()) -> None:
    """Declare the options of a platform, but for some."""
    for field in _shown(kind):
        if field.name in without:
            continue
        told, default = field.metadata, _default(field)
        named: dict[str, Any] = {"dest": field.name, "help": told["help"]}
        if isinstance(default, bool):
            named["action"] = "store_true"
        elif isinstance(default, tuple | dict):
            one = variable if told.get("variables") else pair
            named |= {"action": "append", "default": [], "help": f"{told['help']}; may be repeated"}
            named |= {"type": one} if isinstance(default, dict) else {}
        else:
            named |= {"default": default}
            named |= {"type": number(told["least"], told["most"])} if isinstance(default, int) else {}
        if told.get("choices"):
            named["choices"] = list(told["choices"])
        elif told["value"]:
            named["metavar"] = told["value"]
        parser.add_argument(*filter(None, (told.get("short"), _name(field))), **named)


def options_of(arguments: argparse.Namespace, kind: type[O], **more: Any) -> O:
    """The options that the arguments say, and `more`. Raises UsageError for values without sense."""
    values = {field.name: getattr(arguments, field.name) for field in _shown(kind)}
    for field in _shown(kind):
        if isinstance(_default(field), dict):
            values[field.name] = table(values[field.name], _name(field))
        elif isinstance(_default(field), tuple):
            values[field.name] = tuple(values[field.name])
    return kind(**values, **more)


def table(pairs: Sequence[tuple[str, str]], option: str) -> dict[str, str]:
    """`NAME=VALUE` arguments as a table. Raises UsageError for a name given twice."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise UsageError(f"{option} {name!r} is given twice", "Leave one out.")
        found[name] = value
    return found


def _shown(kind: type[Options]) -> Iterator[dataclasses.Field[Any]]:
    return (field for field in dataclasses.fields(kind) if "help" in field.metadata)


def _name(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("name") or "--" + field.name.replace("_", "-"))


def _default(field: dataclasses.Field[Any]) -> Any:
    return {} if field.default is dataclasses.MISSING else field.default
