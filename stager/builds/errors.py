"""Errors of builds: those that fail, those that need too much, and those that give something else the second time."""

from __future__ import annotations

from ..errors import AssemblyError, NotReproducible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BY_HAND = "'stager log {0}' prints all that it said; 'stager build {0} --shell' opens a shell where it ran."


class BuildFailed(AssemblyError):
    """A build that ended with an error, or without leaving what it is for.

    `last` are the last lines that it said, `log` the file with all of them, `way_out` what the app's author can write.
    """

    code = "BuildFailed"

    def __init__(
        self, name: str, why: str, last: Sequence[str] = (), log: str = "", hint: str = "", way_out: str = ""
    ) -> None:
        said = "".join(f"\n    {line}" for line in last)
        usual = _BY_HAND.format(name) if log else "Mend the command, or what it reads."
        hint = hint or (f"{way_out} {usual}" if way_out else usual)
        super().__init__(f"the build {name} {why}{said}", hint, build=name, log=log, last=list(last))

    def as_json(self) -> dict[str, object]:
        """As any error, with what `data` has of the build."""
        return {**super().as_json(), **self.data}


class BuildTooBig(AssemblyError):
    """A build that was ended because it needed more time, memory, processes or room than it may have."""

    code = "BuildTooBig"

    def __init__(self, name: str, what: str, log: str = "") -> None:
        hint = _BY_HAND.format(name) if log else ""
        super().__init__(f"the build {name} was ended: {what}", hint, build=name, log=log)

    def as_json(self) -> dict[str, object]:
        """As any error, with what `data` has of the build."""
        return {**super().as_json(), **self.data}


class BuildDiffers(NotReproducible):
    """A build that left something else when it ran again in other surroundings.

    `file` is the first that differs, `cause` one word for why.
    """

    code = "BuildDiffers"

    def __init__(self, name: str, file: str, cause: str, why: str, others: Sequence[str] = ()) -> None:
        more = f" and {len(others)} more" if others else ""
        super().__init__(f"the build {name} to leave the same twice", f"another {file}{more}", why)
        self.data.update(build=name, file=file, cause=cause, others=list(others[:100]))

    def as_json(self) -> dict[str, object]:
        """As any error, with what `data` has of the build."""
        return {**super().as_json(), **self.data}
