"""What every error of stager is, the families, and the errors of the core; those of a folder are in its own `errors`.

A class says who has to act, has a stable `code` that scripts may look for, and a hint unless the site gives a better one; the
site gives the data and the reason. Every error says what happened, where (file and line when there is one), and the edit or
command that mends it. The family decides the exit status. This module imports nothing but `names`: it is on the warm path.
"""

from __future__ import annotations

from .names import printable, printable_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def listing(items: Iterable[str], limit: int = 12) -> str:
    """Join names for a sentence, cut after `limit` so that an error never fills a screen."""
    names = list(items)
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


_LONGEST = 9_000
"""Characters of a message or place, more than the longest path: a value of a lock that is quoted may have a megabyte."""


def _cut(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


class StagerError(Exception):
    """Anything stager refuses. `message` is one line; `hint` says how to mend it.

    Attributes: `exit_code` is the process exit status, `retryable` whether the same call may succeed later,
    `where` is `file` or `file:line` in the app or lock, `data` the raise site's values for `--json`.
    """

    code = "StagerError"
    exit_code = 1
    retryable = False

    def __init__(self, message: str, hint: str = "", where: str = "", **data: object) -> None:
        message = _cut(message)
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = _cut(where)
        self.data = data

    def as_json(self) -> dict[str, object]:
        """The error as `--json` prints it under the key `error`."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "where": self.where,
            "exit": self.exit_code,
            "retryable": self.retryable,
        }

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where and not self.message.startswith(f"{self.where} ") else ""
        return printable(f"{place}{self.message}") + (f"\n  {printable_lines(self.hint)}" if self.hint else "")


class Cancelled(StagerError):
    """The caller asked to stop; nothing half-made was left behind."""

    code = "Cancelled"
    exit_code = 130

    def __init__(self) -> None:
        super().__init__("stopped as asked", "Nothing was published; run the same command to go on.")


class InternalError(StagerError):
    """An error in stager itself: something happened that no rule foresaw.

    `what` is the exception's type, `place` where in stager it was raised (`module.py:line`), `facts` what a report needs
    beside them. Nothing of the app, the environment or a message that might quote them is in it.
    """

    code = "InternalError"
    exit_code = 100

    def __init__(self, what: str, place: str, facts: dict[str, str]) -> None:
        shown = ", ".join(f"{name} {value}" for name, value in facts.items())
        super().__init__(
            f"an error in stager itself: {what}" + (f" in {place}" if place else ""),
            f"Please report it with this line: {what} at {place or 'an unknown place'}; {shown}. "
            "With STAGER_DEBUG=1 in the environment, the whole traceback is printed; look through it before you send it.",
            error=what,
            place=place,
            **facts,
        )

    def as_json(self) -> dict[str, object]:
        """As any error, and `report`: all that a report needs."""
        return {**super().as_json(), "report": self.data}


class UsageError(StagerError):
    """The command line or a call's arguments make no sense together."""

    code = "UsageError"
    exit_code = 2


# --- the app's author acts -------------------------------------------------------------------------------------


class SourceError(StagerError):
    """Something in the app's own files."""

    code = "SourceError"
    exit_code = 20


class Ambiguous(SourceError):
    """Two files claim to decide the same thing, and stager will not choose for you."""

    code = "Ambiguous"

    def __init__(self, what: str, candidates: Sequence[str], hint: str) -> None:
        super().__init__(f"{what}: {listing(candidates)}", hint, candidates=list(candidates))


class LockStale(SourceError):
    """`stager.lock`, or an ecosystem's lock, no longer matches the files it was made from."""

    code = "LockStale"

    def __init__(self, lock: str, changed: Sequence[str], command: str = "stager lock") -> None:
        super().__init__(
            f"{lock} is out of step with {listing(changed)}",
            f"Run '{command}' and commit the result.",
            where=lock,
            changed=list(changed),
        )


class LockMissing(SourceError):
    """`--locked` was given and there is no `stager.lock`; or a stack has no `box.lock`."""

    code = "LockMissing"

    def __init__(self, path: str = "stager.lock", command: str = "stager lock") -> None:
        super().__init__(f"there is no {path}", f"Run '{command}' and commit the file.", where=path)


class BadLock(SourceError):
    """A lock or manifest that cannot be read, or says something impossible."""

    code = "BadLock"

    def __init__(self, file: str, why: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(
            why,
            hint or f"Make {file} again with the tool that wrote it, or restore it from version control.",
            where=f"{file}:{line}" if line else file,
        )


class Unpinned(SourceError):
    """A dependency without an exact version and digest."""

    code = "Unpinned"

    def __init__(self, file: str, names: Sequence[str], hint: str = "") -> None:
        super().__init__(
            f"not pinned by version and digest: {listing(names)}",
            hint or "Run 'stager lock' to make a lock file, and commit it.",
            where=file,
            names=list(names),
        )
        self.unlocked = not hint
        """Whether there is no lock at all, which stager could make."""


class BadManifest(SourceError):
    """A file of the app (package.json, Procfile, stager.yml …) that cannot be used as it is."""

    code = "BadManifest"

    def __init__(self, file: str, why: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(why, hint or f"Correct {file}.", where=f"{file}:{line}" if line else file)


class Unreadable(SourceError):
    """A file or folder of the app that cannot be read."""

    code = "Unreadable"

    def __init__(
        self, path: str, cause: str, hint: str = "Correct its permissions, or add it to .stagerignore."
    ) -> None:
        super().__init__(f"cannot be read: {cause}", hint, where=path)


class ChangedWhileRead(SourceError):
    """A file changed between being hashed and being copied."""

    code = "ChangedWhileRead"
    retryable = True

    def __init__(self, path: str) -> None:
        super().__init__(
            "the file changed while it was being staged",
            "Stop what is writing to it and stage again, or add it to .stagerignore.",
            where=path,
        )


# --- a buildpack's author acts ---------------------------------------------------------------------------------


class BuildpackError(StagerError):
    """Something in a buildpack's or box's definition."""

    code = "BuildpackError"
    exit_code = 30


class InvalidDefinition(BuildpackError):
    """A `buildpack.yml`, `box.yml` or template that does not say what it must."""

    code = "InvalidDefinition"

    def __init__(self, file: str, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}" if path else why, f"Correct {file}.", where=file)


# --- an operator acts ------------------------------------------------------------------------------------------


class FetchError(StagerError):
    """The network, an index, or the lack of both."""

    code = "FetchError"
    exit_code = 40
    retryable = True


# --- security acts; never tried again --------------------------------------------------------------------------


class IntegrityError(StagerError):
    """Bytes that are not what their digest says."""

    code = "IntegrityError"
    exit_code = 50


# --- assembling ------------------------------------------------------------------------------------------------


class AssemblyError(StagerError):
    """The pieces do not fit together."""

    code = "AssemblyError"
    exit_code = 60


class NeedsBuild(AssemblyError):
    """Dependencies or assets that would have to run code to exist."""

    code = "NeedsBuild"

    def __init__(self, needs: Sequence[tuple[str, str]], hint: str) -> None:
        super().__init__(
            "must be built first: " + listing(f"{name} ({why})" for name, why in needs), hint, needs=dict(needs)
        )


# --- writing results -------------------------------------------------------------------------------------------


class TargetError(StagerError):
    """A result that cannot be written or accepted."""

    code = "TargetError"
    exit_code = 70


class CannotWrite(TargetError):
    """A file that cannot be written: no permission, no space, no folder."""

    code = "CannotWrite"

    def __init__(self, path: str, cause: str, hint: str = "") -> None:
        full = "space" in cause or "quota" in cause or "large" in cause
        usual = "Free some space or choose another place." if full else "Choose another place, which you may write to."
        if "pipe" in cause:
            usual = "Whoever was to read it has stopped reading."
        super().__init__(f"cannot be written: {cause}", hint or usual, where=path)


class NoFolder(TargetError):
    """The folder that the process works in was removed meanwhile."""

    code = "NoFolder"

    def __init__(self) -> None:
        super().__init__(
            "the folder that this runs in was removed", "Change to a folder that is there, and run it again."
        )


class OutOfMemory(TargetError):
    """This machine, or what limits the process in it, gave no more memory."""

    code = "OutOfMemory"
    retryable = True

    def __init__(self) -> None:
        super().__init__("memory ran out", "Raise the limit, close other programs, or use fewer threads with --jobs 1.")


class NotReproducible(StagerError):
    """A rebuild gave other bytes."""

    code = "NotReproducible"
    exit_code = 80

    def __init__(self, expected: str, got: str, cause: str) -> None:
        super().__init__(f"expected {expected}, got {got}", cause)
