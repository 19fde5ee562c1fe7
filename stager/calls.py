"""What callers of the library give: each parameter's kind, told at once and by its name.

A wrong kind is the caller's slip, so it is a TypeError, as Python's own is for a call that does not fit. What has the right
kind and no sense is a UsageError.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from .errors import UsageError
from .model import Droplet, Event, Plan
from .store import Store
from .targets import Options
from .tree import SourceTree


class CallerFailed(BaseException):
    """What a caller's own callback raised, on its way back to the caller; no `except Exception` of ours is to touch it."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def relayed(progress: Callable[[Event], None]) -> Callable[[Event], None]:
    """A progress callback whose exceptions reach the caller as they are (see `unexpected.netted`)."""

    def tell(event: Event) -> None:
        try:
            progress(event)
        except BaseException as error:
            raise CallerFailed(error) from None

    return tell


def checked(function: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> inspect.BoundArguments:
    """The arguments of a call. Raises TypeError, also for a call that does not fit, and UsageError."""
    bound = inspect.signature(function).bind(*given, **named)
    for name, value in bound.arguments.items():
        fits, wanted = _KINDS.get(name, _ANY)
        if not fits(value):
            message = f"{function.__name__}(): {name} must be {wanted}, not {type(value).__name__}"
            raise TypeError(message)
    jobs = bound.arguments.get("jobs", 0)
    if jobs < 0:
        raise UsageError(f"jobs is {jobs}", "Give how many threads, or 0 for one a processor.")
    return bound


def _of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _variables(value: Any) -> bool:
    return value is None or (
        isinstance(value, Mapping) and all(isinstance(one, str) for row in value.items() for one in row)
    )


def _event(value: Any) -> bool:
    return value is None or callable(getattr(value, "is_set", None))


_NONE = type(None)
_TEXT = (_of(str), "str")
_PLACE = (_of(str, os.PathLike), "str or a path")
_FLAG = (_of(bool), "bool")
_ANY: tuple[Callable[[Any], bool], str] = (lambda _: True, "")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "app": _PLACE,
    "out": _PLACE,
    "droplet": (_of(str, os.PathLike, Droplet), "a Droplet, str or a path"),
    "target": _TEXT,
    "stack": _TEXT,
    "architecture": _TEXT,
    "options": (_of(Options, _NONE), "the Options of its target"),
    "buildpacks": (_texts, "a list or tuple of str"),
    "targets": (_texts, "a list or tuple of str"),
    "any_stack": _FLAG,
    "locked": _FLAG,
    "save_lock": _FLAG,
    "offline": _FLAG,
    "tree": (_of(SourceTree), "a SourceTree"),
    "plan": (_of(Plan, _NONE), "a Plan"),
    "previous": (_of(Plan, _NONE), "a Plan"),
    "store": (_of(Store, _NONE), "a Store"),
    "environ": (_variables, "a mapping from str to str"),
    "jobs": (lambda value: isinstance(value, int) and not isinstance(value, bool), "int"),
    "progress": (lambda value: value is None or callable(value), "a function of an Event"),
    "cancel": (_event, "a threading.Event"),
}
"""Parameter → whether a value is of its kind, and that kind in words."""
