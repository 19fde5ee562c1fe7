"""Every error stager raises and all of its user-facing wording.

A raise site gives data; the sentence is built here, so that one file shows how stager speaks. Each error says
what happened, where (file and line when there is one) and the edit or command that mends it. The class decides the
process exit code and whether trying again can help. This module imports nothing: it is on the warm path.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def _listing(items: Iterable[str], limit: int = 12) -> str:
    """Join names for a sentence, cut after `limit` so that an error never fills a screen."""
    names = list(items)
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


class StagerError(Exception):
    """Anything stager refuses. `message` is one line; `hint` says how to mend it.

    Attributes: `exit_code` is the process exit status, `retryable` whether the same call may succeed later,
    `where` is `file` or `file:line` in the app or lock, `data` the raise site's values for `--json`.
    """

    exit_code = 1
    retryable = False

    def __init__(self, message: str, hint: str = "", where: str = "", **data: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.data = data

    @property
    def code(self) -> str:
        """The stable name of this error, used in `--json`."""
        return type(self).__name__

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
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}" + (f"\n  {self.hint}" if self.hint else "")


class Cancelled(StagerError):
    """The caller asked to stop; nothing half-made was left behind."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("stopped as asked", "Nothing was published; run the same command to go on.")


class UsageError(StagerError):
    """The command line or a call's arguments make no sense together."""

    exit_code = 2


# --- the app's author acts -------------------------------------------------------------------------------------


class SourceError(StagerError):
    """Something in the app's own files."""

    exit_code = 20


class NotDetected(SourceError):
    """No buildpack recognised the app."""

    def __init__(self, looked_for: Sequence[tuple[str, str]], similar: Sequence[tuple[str, str]] = ()) -> None:
        lines = "; ".join(f"{name} looks for {what}" for name, what in looked_for)
        meant = "".join(f"Is {found} meant to be {right}? Then rename it. " for found, right in similar)
        super().__init__(
            "no buildpack recognises this folder",
            f"{meant}{lines}. Add one of these, or a Procfile with a web process.",
            looked_for=dict(looked_for),
            similar=dict(similar),
        )


class Ambiguous(SourceError):
    """Two files claim to decide the same thing, and stager will not choose for you."""

    def __init__(self, what: str, candidates: Sequence[str], hint: str) -> None:
        super().__init__(f"{what}: {_listing(candidates)}", hint, candidates=list(candidates))


class NoProcess(SourceError):
    """No start command could be found."""

    def __init__(self, buildpacks: Sequence[str], looked_for: Sequence[str]) -> None:
        super().__init__(
            f"no start command found for {_listing(buildpacks)}",
            "Add a file Procfile with a line such as 'web: python main.py'. Looked for: " + _listing(looked_for, 20),
            looked_for=list(looked_for),
        )


class LockStale(SourceError):
    """`stager.lock`, or an ecosystem's lock, no longer matches the files it was made from."""

    def __init__(self, lock: str, changed: Sequence[str], command: str = "stager lock") -> None:
        super().__init__(
            f"{lock} is out of step with {_listing(changed)}",
            f"Run '{command}' and commit the result.",
            where=lock,
            changed=list(changed),
        )


class LockMissing(SourceError):
    """`--locked` was given and there is no `stager.lock`."""

    def __init__(self, path: str = "stager.lock") -> None:
        super().__init__(f"there is no {path}", "Run 'stager lock' and commit the file.", where=path)


class BadLock(SourceError):
    """A lock or manifest that cannot be read, or says something impossible."""

    def __init__(self, file: str, why: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(
            why,
            hint or f"Make {file} again with the tool that wrote it, or restore it from version control.",
            where=f"{file}:{line}" if line else file,
        )


class LockFailed(SourceError):
    """An ecosystem's resolver could not make a lock file."""

    def __init__(self, lock: str, why: str, hint: str) -> None:
        super().__init__(f"{lock} could not be made: {why}", hint, where=lock)


class Unpinned(SourceError):
    """A dependency without an exact version and digest."""

    def __init__(self, file: str, names: Sequence[str], command: str = "stager lock") -> None:
        super().__init__(
            f"not pinned by version and digest: {_listing(names)}",
            f"Run '{command}' to make a lock file, and commit it.",
            where=file,
            names=list(names),
        )


class VersionError(SourceError):
    """A runtime version that is malformed, unknown or at the end of its life."""

    def __init__(self, runtime: str, wanted: str, why: str, hint: str, where: str = "") -> None:
        super().__init__(f"{runtime} {wanted}: {why}", hint, where=where, runtime=runtime, wanted=wanted)


class CommittedFiles(SourceError):
    """The app's files contain something that must not be there, such as a virtual environment."""

    def __init__(self, path: str, what: str, hint: str) -> None:
        super().__init__(what, hint, where=path)


class BadManifest(SourceError):
    """A file of the app (package.json, Procfile, stager.yml …) that cannot be used as it is."""

    def __init__(self, file: str, why: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(why, hint or f"Correct {file}.", where=f"{file}:{line}" if line else file)


class UnsafePath(SourceError):
    """A name or link in the app that would lead outside the app, or that no tar can hold."""

    def __init__(self, path: str, why: str, hint: str = "Rename or remove it, or add it to .stagerignore.") -> None:
        super().__init__(why, hint, where=path)


class Unreadable(SourceError):
    """A file or folder of the app that cannot be read."""

    def __init__(
        self, path: str, cause: str, hint: str = "Correct its permissions, or add it to .stagerignore."
    ) -> None:
        super().__init__(f"cannot be read: {cause}", hint, where=path)


class ChangedWhileRead(SourceError):
    """A file changed between being hashed and being copied."""

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

    exit_code = 30


class InvalidDefinition(BuildpackError):
    """A `buildpack.yml`, `box.yml` or template that does not say what it must."""

    def __init__(self, file: str, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}" if path else why, f"Correct {file}.", where=file)


class NoRuntime(BuildpackError):
    """No runtime fits what the app asks for on this stack."""

    def __init__(
        self, runtime: str, wanted: str, stack: str, available: Sequence[str], where: str = "", hint: str = ""
    ) -> None:
        super().__init__(
            f"no {runtime} {wanted} for stack {stack}",
            hint or f"Ask for one of: {_listing(available)}.",
            where=where,
            available=list(available),
        )


# --- an operator acts ------------------------------------------------------------------------------------------


class FetchError(StagerError):
    """The network, an index, or the lack of both."""

    exit_code = 40
    retryable = True


class Unreachable(FetchError):
    """An index or file server that does not answer as it should."""

    def __init__(self, what: str, cause: str, hint: str = "") -> None:
        super().__init__(
            f"{what} could not be fetched: {cause}",
            hint or "Check the network, the proxy and the index settings, then run the same command again.",
        )


class NotFound(FetchError):
    """An index that answers, but has no such page: a misspelt name, or another index."""

    retryable = False

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what} does not exist", hint or "Check the name and the index settings.")


class Gone(FetchError):
    """A pinned file that the index no longer has."""

    retryable = False

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what} is pinned, but its index no longer has it", hint)


class BadSettings(FetchError):
    """The machine's own configuration of an index (pip.conf, .npmrc, an environment variable …) that cannot be used."""

    retryable = False

    def __init__(self, place: str, why: str, hint: str = "") -> None:
        super().__init__(why, hint or f"Correct {place}.", where=place)


class NotCached(FetchError):
    """`--offline`, and an artifact is not in the store."""

    retryable = False

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"not in the store, and --offline is set: {_listing(names)}",
            "Run the same command once without --offline, or import a store that has them.",
            names=list(names),
        )


# --- security acts; never tried again --------------------------------------------------------------------------


class IntegrityError(StagerError):
    """Bytes that are not what their digest says."""

    exit_code = 50


class DigestMismatch(IntegrityError):
    """Something fetched or stored does not have the digest it was pinned by."""

    def __init__(self, what: str, expected: str, got: str, hint: str = "") -> None:
        super().__init__(
            f"{what}: expected {expected}, got {got}",
            hint or "Do not use it. Find out who changed it; if the new bytes are right, make the lock again.",
            expected=expected,
            got=got,
        )


class BadSignature(IntegrityError):
    """An index without a valid signature by one of the keys it must be signed by."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"{what} is not signed by its archive's keys: {why}",
            "Do not use this mirror until that is explained. If the archive has new keys, a newer stager has them.",
        )


class StoreCorrupt(IntegrityError):
    """A blob in the store is damaged."""

    def __init__(self, digest: str, why: str = "its bytes do not match its name") -> None:
        super().__init__(f"the store's blob {digest}: {why}", "Run 'stager cache verify' to remove what is damaged.")


class StoreUnsafe(IntegrityError):
    """A folder of the store that somebody else could write to, or that is not what it must be."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"the store's folder {why}",
            "Remove it if it is not yours, correct its owner and mode (0700), or set STAGER_CACHE_DIR to another place.",
            where=path,
        )


class CodecChanged(IntegrityError):
    """The compressor on this machine does not produce the bytes this version of stager promises."""

    def __init__(self, codec: str, expected: str, got: str) -> None:
        super().__init__(
            f"{codec} on this machine gives {got} for the known answer, not {expected}",
            "Install stager's pinned dependencies again (pip install --force-reinstall stager).",
        )


# --- assembling ------------------------------------------------------------------------------------------------


class AssemblyError(StagerError):
    """The pieces do not fit together."""

    exit_code = 60


class PathConflict(AssemblyError):
    """Two owners claim one path in the droplet."""

    def __init__(self, path: str, owners: Sequence[str], hint: str = "") -> None:
        super().__init__(
            f"claimed by {_listing(owners)}",
            hint or "Rename or remove the app's file.",
            where=path,
            owners=list(owners),
        )


class UnsafeEntry(AssemblyError):
    """An archive with a member that must not be unpacked."""

    def __init__(self, archive: str, member: str, why: str) -> None:
        super().__init__(
            f"{archive}: member {member!r} {why}",
            "The archive is malformed or hostile; report it to its publisher and pin another version.",
            archive=archive,
            member=member,
        )


class BadArchive(AssemblyError):
    """An archive whose structure contradicts itself or that cannot be read to its end."""

    def __init__(self, archive: str, why: str) -> None:
        super().__init__(
            f"{archive}: {why}",
            "The archive is malformed or hostile; report it to its publisher and pin another version.",
            archive=archive,
        )


class NeedsBuild(AssemblyError):
    """Dependencies or assets that would have to run code to exist."""

    def __init__(self, needs: Sequence[tuple[str, str]], hint: str) -> None:
        super().__init__(
            "must be built first: " + _listing(f"{name} ({why})" for name, why in needs), hint, needs=dict(needs)
        )


# --- writing results -------------------------------------------------------------------------------------------


class TargetError(StagerError):
    """A result that cannot be written or accepted."""

    exit_code = 70


class TooLarge(TargetError):
    """A result over a platform's limit."""

    def __init__(self, what: str, limit: int, size: int) -> None:
        super().__init__(f"{what} is {size} bytes; the limit is {limit}", "Leave files out with .stagerignore.")


class CannotWrite(TargetError):
    """A file that cannot be written: no permission, no space, no folder."""

    def __init__(self, path: str, cause: str) -> None:
        super().__init__(f"cannot be written: {cause}", "Free some space or choose another place.", where=path)


class CannotRead(TargetError):
    """A file of stager's own store that cannot be read."""

    def __init__(self, path: str, cause: str) -> None:
        super().__init__(
            f"cannot be read: {cause}",
            "Correct its permissions (or the limit of open files), or choose another store with STAGER_CACHE_DIR.",
            where=path,
        )


class StoreBusy(TargetError):
    """The store is being cleaned, or cannot be cleaned because stagings are using it."""

    retryable = True

    def __init__(self, root: str, why: str) -> None:
        super().__init__(why, "Wait for the other stager to finish, then run the same command again.", where=root)


class LaunchFailed(TargetError):
    """A droplet's process could not be started, or ended before it was ready."""

    def __init__(self, process: str, why: str, hint: str = "Read its log above.") -> None:
        super().__init__(f"process {process}: {why}", hint)


class NotReproducible(StagerError):
    """A rebuild gave other bytes."""

    exit_code = 80

    def __init__(self, expected: str, got: str, cause: str) -> None:
        super().__init__(f"expected {expected}, got {got}", cause)
