"""The last net: an exception that nothing foresaw becomes a typed error, for the command line and the library alike.

What the machine is to blame for (no room, no memory) is told as that. The rest is an error in stager itself, `InternalError`,
which says where it happened and nothing that could be private: no message, argument, path or variable.
"""

from __future__ import annotations

import errno
import os
import platform
import traceback
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from . import __version__
from .calls import CallerFailed, checked
from .errors import CannotWrite, InternalError, NoFolder, OutOfMemory, StagerError
from .store.errors import CannotRead

P = ParamSpec("P")
R = TypeVar("R")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_SCARCE = {errno.EMFILE, errno.ENFILE}


def typed(error: Exception, command: str) -> StagerError:
    """The error for any exception that reached the end of `command` (`stager plan`, `stager.stage`)."""
    if isinstance(error, StagerError):
        return error
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return OutOfMemory()
    if isinstance(error, FileNotFoundError) and error.filename is None and _nowhere():
        return NoFolder()
    if isinstance(error, OSError) and error.errno in _FULL | _SCARCE:
        kind = CannotWrite if error.errno in _FULL else CannotRead
        return kind(_name(error), error.strerror or "")
    kind_, where = type(error).__name__, _place(error)
    if isinstance(error, OSError) and error.errno:
        kind_ += f" ({errno.errorcode.get(error.errno, error.errno)})"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    facts = {"stager": __version__, "python": python, "system": f"{platform.system()} {platform.machine()}"}
    return InternalError(kind_, where, {**facts, "command": command})


def _name(error: OSError) -> str:
    return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "a result"


def _nowhere() -> bool:
    """Whether the folder that this process works in was removed, so that no relative path means anything."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _place(error: BaseException) -> str:
    """The innermost line of stager's own code, relative to the package."""
    own = os.path.dirname(__file__)
    inner = ""
    for frame in traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=False):
        if frame.filename.startswith(own + os.sep):
            inner = f"{frame.filename.removeprefix(os.path.dirname(own) + os.sep)}:{frame.lineno}"
    return inner


def netted(function: Callable[P, R]) -> Callable[P, R]:
    """A public function that raises nothing but `StagerError`s.

    But for the caller's own: a call that does not fit is a TypeError, and what a callback raises comes back as it is.
    """

    @wraps(function)
    def public(*given: P.args, **named: P.kwargs) -> R:
        bound = checked(function, given, named)
        try:
            return function(*bound.args, **bound.kwargs)
        except StagerError:
            raise
        except CallerFailed as caller:
            raise caller.error from None
        except Exception as error:
            raise typed(error, f"stager.{function.__name__}") from error

    return public
