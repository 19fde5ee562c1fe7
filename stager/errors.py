"""Every error stager raises and all of its user-facing wording.

A raise site gives data; the sentence is built here, so that one file shows how stager speaks. Each error says
what happened, where (file and line when there is one) and the edit or command that mends it. The class decides the
process exit code and whether trying again can help. This module imports nothing but `names`: it is on the warm path.
"""

from __future__ import annotations

from .names import printable, printable_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def _listing(items: Iterable[str], limit: int = 12) -> str:
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

    exit_code = 1
    retryable = False

    def __init__(self, message: str, hint: str = "", where: str = "", **data: object) -> None:
        message = _cut(message)
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = _cut(where)
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
        place = f"{self.where}: " if self.where and not self.message.startswith(f"{self.where} ") else ""
        return printable(f"{place}{self.message}") + (f"\n  {printable_lines(self.hint)}" if self.hint else "")


class Cancelled(StagerError):
    """The caller asked to stop; nothing half-made was left behind."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("stopped as asked", "Nothing was published; run the same command to go on.")


class InternalError(StagerError):
    """An error in stager itself: something happened that no rule foresaw.

    `what` is the exception's type, `place` where in stager it was raised (`module.py:line`), `facts` what a report needs
    beside them. Nothing of the app, the environment or a message that might quote them is in it.
    """

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

    exit_code = 2


class BadReference(UsageError):
    """The name of an image in a registry that cannot be one."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(
            f"{text!r} names no image: {why}", "Write HOST[:PORT]/NAME[:TAG][@DIGEST], such as localhost:5000/shop:1."
        )


# --- the app's author acts -------------------------------------------------------------------------------------


class SourceError(StagerError):
    """Something in the app's own files."""

    exit_code = 20


def _built_site(folder: str) -> str:
    """What to do so that a site which a generator makes is served."""
    keep = f"build it and keep {folder}/ in the app"
    return f"{keep}." if folder in ("public", "_site") else f"{keep}, with 'root: {folder}' in a file Staticfile."


class NotDetected(SourceError):
    """No buildpack recognised the app."""

    def __init__(
        self,
        looked_for: Sequence[tuple[str, str]],
        similar: Sequence[tuple[str, str]] = (),
        foreign: Sequence[tuple[str, str]] = (),
        beside: Sequence[tuple[str, str]] = (),
        inside: Sequence[str] = (),
        pages: Sequence[str] = (),
        site: tuple[str, str, str] | None = None,
    ) -> None:
        """`foreign`: manifests and their languages; `beside`: buildpacks and files that are helpers of such an app;
        `inside`: folders that look like apps of their own; `pages`: folders that look like sites; `site`: the file of a site
        generator, its name, and the folder that it writes."""
        lines = "; ".join(f"{name} looks for {what}" for name, what in looked_for)
        meant = "".join(f"Is {found} meant to be {right}? Then rename it. " for found, right in similar)
        whose = " and ".join(f"{file} is for {language}" for file, language in foreign)
        alone = "".join(
            f"{file} alone does not make it {name}'s; if it is, write 'buildpacks: [{name}]' in stager.yml. "
            for name, file in beside
        )
        if site:
            meant += f"{site[0]} is of a {site[1]} site: {_built_site(site[2])} "
        stage = f"run 'stager stage {inside[0]}'" if inside else ""
        if len(inside) > 1:
            folders = _listing([f"{one}/" for one in inside], 5)
            meant += f"Are {folders} apps of their own? Then stage each by itself: {stage}. "
        elif inside:
            meant += f"Is {inside[0]}/ the app? Then {stage}. "
        if pages:
            meant += f"Is {pages[0]}/ a site to be served? Then write 'root: {pages[0]}' in a file Staticfile. "
        super().__init__(
            f"no buildpack recognises this folder{f': {whose}, which stager has no buildpack for' if whose else ''}",
            f"{meant}{alone}{lines}. Add one of these, or a Procfile with a web process.",
            where=foreign[0][0] if foreign else "",
            looked_for=dict(looked_for),
            similar=dict(similar),
        )


class Ambiguous(SourceError):
    """Two files claim to decide the same thing, and stager will not choose for you."""

    def __init__(self, what: str, candidates: Sequence[str], hint: str) -> None:
        super().__init__(f"{what}: {_listing(candidates)}", hint, candidates=list(candidates))


class NoProcess(SourceError):
    """No start command could be found."""

    def __init__(
        self,
        buildpacks: Sequence[str],
        looked_for: Sequence[str],
        kind: str = "",
        where: str = "",
        site: tuple[str, str, str] | None = None,
        example: tuple[str, str] = ("", ""),
    ) -> None:
        """`kind` is what the app is instead, as a sentence, and `where` the place that says so; `site` as in NotDetected;
        `example` is a command, and the place of another platform's file that has it."""
        meant = f"{site[0]} is of a {site[1]} site: {_built_site(site[2])} " if site else ""
        command, place = example
        super().__init__(
            f"no start command found for {_listing(buildpacks)}{f': {kind}' if kind else ''}",
            f"{meant}Add a file Procfile with a line such as 'web: {command or './server'}'"
            f"{f', as {place} has it' if place else ''}. Looked for: {_listing(looked_for, 20)}",
            where=where,
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
    """`--locked` was given and there is no `stager.lock`; or a stack has no `box.lock`."""

    def __init__(self, path: str = "stager.lock", command: str = "stager lock") -> None:
        super().__init__(f"there is no {path}", f"Run '{command}' and commit the file.", where=path)


class BadLock(SourceError):
    """A lock or manifest that cannot be read, or says something impossible."""

    def __init__(self, file: str, why: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(
            why,
            hint or f"Make {file} again with the tool that wrote it, or restore it from version control.",
            where=f"{file}:{line}" if line else file,
        )


class WorkspaceMember(SourceError):
    """A folder without a lock that is a member of a workspace above it.

    `up` is the way to that workspace, `manifest` the file that says so.
    """

    def __init__(self, member: str, up: str, manifest: str, start: str) -> None:
        super().__init__(
            f"this folder is {member} of the workspace in {up}, and is locked and staged with it",
            f"Stage the workspace's folder instead, which is {up} from here; a Procfile there starts this member, with a "
            f"line such as '{start}'.",
            where=manifest,
            member=member,
            folder=up,
        )


class LockFailed(SourceError):
    """An ecosystem's resolver could not make a lock file."""

    def __init__(self, lock: str, why: str, hint: str) -> None:
        super().__init__(f"{lock} could not be made: {why}", hint, where=lock)


class Unpinned(SourceError):
    """A dependency without an exact version and digest."""

    def __init__(self, file: str, names: Sequence[str], hint: str = "") -> None:
        super().__init__(
            f"not pinned by version and digest: {_listing(names)}",
            hint or "Run 'stager lock' to make a lock file, and commit it.",
            where=file,
            names=list(names),
        )
        self.unlocked = not hint
        """Whether there is no lock at all, which stager could make."""


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


class NotImportable(SourceError):
    """Another platform's file with things that stager cannot honour.

    Each row is its line (0: unknown), its key, and why.
    """

    def __init__(self, file: str, rows: Sequence[tuple[int, str, str]]) -> None:
        lines = [f"{f'line {line}: ' if line else ''}{key}: {why}" for line, key, why in rows]
        super().__init__(
            "cannot be honoured: " + "; ".join(lines),
            "Remove these keys, after giving what they did another place, and import again.",
            where=f"{file}:{rows[0][0]}" if rows and rows[0][0] else file,
            rows=[list(row) for row in rows],
        )


class UnsafePath(SourceError):
    """A name or link in the app that would lead outside the app, or that no tar can hold."""

    def __init__(self, path: str, why: str, hint: str = "Rename or remove it, or add it to .stagerignore.") -> None:
        super().__init__(why, hint, where=path)


class AppTooLarge(SourceError):
    """A file of the app, or all its files together, beyond what a droplet takes; found by its size, before a byte is read."""

    def __init__(self, path: str, size: int, limit: int, *, together: bool = False) -> None:
        what = f"with it the app has {size:,}" if together else f"it has {size:,}"
        hint = "Add it to .stagerignore, and fetch such data when the app starts or mount it."
        super().__init__(f"{what} bytes; the most is {limit:,}", hint, where=path, size=size, limit=limit)


class Unreadable(SourceError):
    """A file or folder of the app that cannot be read."""

    def __init__(
        self, path: str, cause: str, hint: str = "Correct its permissions, or add it to .stagerignore."
    ) -> None:
        super().__init__(f"cannot be read: {cause}", hint, where=path)


class NoDroplet(Unreadable):
    """A droplet file that is not there: nothing was staged yet, or it lies elsewhere."""

    def __init__(
        self, path: str, hint: str = "Run 'stager stage' to make a droplet, or name one that is there."
    ) -> None:
        super().__init__(path, "there is no such file", hint)


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


class UnknownPackage(BuildpackError):
    """A stack asks for packages that its signed index does not have, or whose dependencies it cannot meet."""

    def __init__(self, file: str, suite: str, names: Sequence[str], why: str = "") -> None:
        super().__init__(
            f"the signed index of {suite} has no {_listing(names)}{why}",
            f"Correct {file}; packages of other suites cannot be mixed in.",
            where=file,
            names=list(names),
        )


class StackFailed(BuildpackError):
    """A root filesystem that could not be made of what its definition and lock say.

    `said` is the tool's own explanation.
    """

    def __init__(self, stack: str, step: str, said: str, hint: str = "") -> None:
        super().__init__(
            f"stack {stack}: {step} failed: {said}", hint or "Correct its box.yml, lock it and build it again."
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


class Mislabelled(IntegrityError):
    """An archive that calls itself another package than the plan asks for.

    `file` is the file inside that says so.
    """

    def __init__(self, archive: str, file: str, found: str, asked: str) -> None:
        super().__init__(
            f"{archive}: {file} says {found[:200]}, but {asked[:200]} was asked for",
            "Do not use it. Find out who put this archive in the other's place; if the pin is wrong, make the lock again.",
            archive=archive,
            found=found,
            asked=asked,
        )


class BadSignature(IntegrityError):
    """An index without a valid signature by one of the keys it must be signed by."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"{what} is not signed by its archive's keys: {why}",
            "Do not use this mirror until that is explained. If the archive has new keys, a newer stager has them.",
        )


class Refused(IntegrityError):
    """A droplet or box whose bytes are not those that were promised; found by the machine or by Vagrant."""

    def __init__(self, what: str, said: str) -> None:
        super().__init__(
            f"{what} was refused: {said}",
            "Somebody or something changed it on its way; nothing of it was used. Make it again, and see who did.",
        )


class StoreCorrupt(IntegrityError):
    """A blob in the store is damaged.

    `what` names it, `path` says where it lies.
    """

    def __init__(
        self, digest: str, why: str = "its bytes do not match its name", what: str = "", path: str = "", hint: str = ""
    ) -> None:
        super().__init__(
            f"{what or 'the store'}'s blob {digest}: {why}",
            hint or "Run 'stager cache verify' to remove what is damaged.",
            where=path,
        )
        self.digest = digest
        self.why = why


class DamagedArtifact(StoreCorrupt):
    """The stored bytes of an artifact are not those that it is pinned by.

    `name` is the artifact's.
    """

    def __init__(self, name: str, error: StoreCorrupt, path: str) -> None:
        super().__init__(
            error.digest,
            error.why,
            name,
            path,
            "Run the same command with a connection, without --offline: it is fetched again. "
            "'stager cache verify' finds everything that is damaged, and sets it aside.",
        )


class StoreUnsafe(IntegrityError):
    """A folder of the store that somebody else could write to, or that is not what it must be."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"the store's folder {why}",
            "Remove it if it is not yours, correct its owner and mode (0700), or set STAGER_CACHE_DIR to another place.",
            where=path,
        )


class BadEvidence(IntegrityError):
    """A receipt, attestation or key that is malformed, or says something else than what it stands beside."""

    def __init__(self, file: str, why: str, hint: str = "") -> None:
        super().__init__(why, hint or "Do not rely on it. Ask whoever made it for a new one.", where=file)


class NotAttested(IntegrityError):
    """Fewer trusted keys than demanded have signed that this droplet is what its source and plan say."""

    def __init__(self, digest: str, found: int, wanted: int, rejected: Sequence[tuple[str, str]]) -> None:
        reasons = "; ".join(f"{name}: {why}" for name, why in rejected[:12])
        super().__init__(
            f"{digest}: {found} of {wanted} wanted signers agree" + (f" ({reasons})" if reasons else ""),
            "Do not deploy it until enough independent rebuilders have signed 'stager attest' for this digest.",
            found=found,
            wanted=wanted,
            rejected=[list(row) for row in rejected],
        )


class BadBundle(IntegrityError):
    """A bundle of inputs that is incomplete, altered, or made for another stager."""

    def __init__(self, file: str, why: str, hint: str = "") -> None:
        super().__init__(
            why, hint or "Do not use it. Run 'stager bundle export' again and copy the whole file.", where=file
        )


class CodecChanged(IntegrityError):
    """The compressor on this machine does not produce the bytes this version of stager promises."""

    def __init__(self, codec: str, expected: str, got: str) -> None:
        super().__init__(
            f"{codec} on this machine gives {got} for the known answer, not {expected}",
            "Install stager's pinned dependencies again, from where you installed stager (pip install --force-reinstall).",
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


class UnsafeLinks(AssemblyError):
    """A symbolic link of a droplet that leads astray, perhaps only together with others.

    `chain` has (link, target, whose) in a row.
    """

    def __init__(self, chain: Sequence[tuple[str, str, str]], why: str) -> None:
        steps = [f"{path} -> {target} ({owner})" for path, target, owner in chain if target]
        super().__init__(
            f"{why}: {_listing(steps)}" if steps else why,
            "Change or remove one of these links. If it is not the app's own, make its lock again, or pin another version.",
            where=chain[0][0],
            chain=[list(step) for step in chain],
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


class NotADroplet(BadArchive):
    """A file or folder in a droplet's place that never was one; `what` says what it is instead."""

    def __init__(self, path: str, what: str) -> None:
        name = path.rstrip("/").rpartition("/")[2] or path
        super().__init__(name, f"is no droplet: {what}")
        self.hint = "Name the file that 'stager stage' wrote."


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

    def __init__(self, what: str, limit: int, size: int, hint: str = "") -> None:
        super().__init__(f"{what} is {size} bytes; the limit is {limit}", hint or "Leave files out with .stagerignore.")


class CannotWrite(TargetError):
    """A file that cannot be written: no permission, no space, no folder."""

    def __init__(self, path: str, cause: str, hint: str = "") -> None:
        full = "space" in cause or "quota" in cause or "large" in cause
        usual = "Free some space or choose another place." if full else "Choose another place, which you may write to."
        if "pipe" in cause:
            usual = "Whoever was to read it has stopped reading."
        super().__init__(f"cannot be written: {cause}", hint or usual, where=path)


class CannotRead(TargetError):
    """A file of stager's own store that cannot be read."""

    def __init__(self, path: str, cause: str) -> None:
        super().__init__(
            f"cannot be read: {cause}",
            "Correct its permissions (or the limit of open files), or choose another store with STAGER_CACHE_DIR.",
            where=path,
        )


class NoFolder(TargetError):
    """The folder that the process works in was removed meanwhile."""

    def __init__(self) -> None:
        super().__init__(
            "the folder that this runs in was removed", "Change to a folder that is there, and run it again."
        )


class OutOfMemory(TargetError):
    """This machine, or what limits the process in it, gave no more memory."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("memory ran out", "Raise the limit, close other programs, or use fewer threads with --jobs 1.")


class StoreBusy(TargetError):
    """The store is being cleaned, or cannot be cleaned because stagings are using it."""

    retryable = True

    def __init__(self, root: str, why: str) -> None:
        super().__init__(why, "Wait for the other stager to finish, then run the same command again.", where=root)


class Unfit(TargetError):
    """A droplet that a platform would take but could not run."""

    def __init__(self, what: str, platform: str, why: str, hint: str) -> None:
        super().__init__(f"{what} would not run on {platform}: {why}", hint)


class LoginFailed(TargetError):
    """A platform's login that is missing, incomplete or not accepted."""

    def __init__(self, platform: str, why: str, hint: str, where: str = "") -> None:
        super().__init__(f"no login to {platform}: {why}", hint, where=where)


class Rejected(TargetError):
    """A platform that answered, and refused.

    `status` is the HTTP status, 0 when a later step failed.
    """

    def __init__(self, what: str, platform: str, why: str, hint: str = "", status: int = 0) -> None:
        super().__init__(f"{platform} refused {what}: {why}", hint or "Correct that and push again.", status=status)


class PlatformUnavailable(TargetError):
    """A platform that does not answer, or says that it cannot now."""

    retryable = True

    def __init__(self, what: str, cause: str, hint: str = "") -> None:
        super().__init__(
            f"{what} failed: {cause}",
            hint or "Check the network and the platform's status, then run the same command again.",
        )


class TookTooLong(TargetError):
    """A platform's work that was not done within the time allowed for it.

    `seconds` is that time.
    """

    retryable = True

    def __init__(self, what: str, seconds: float, hint: str) -> None:
        super().__init__(f"{what} took longer than {seconds:g} seconds", hint, seconds=seconds)


class DeployFailed(TargetError):
    """What was pushed did not come to run."""

    def __init__(self, app: str, why: str, hint: str) -> None:
        super().__init__(f"{app} was not deployed: {why}", hint, app=app)


class ProgramMissing(TargetError):
    """A program of the system that is needed for this, and is not installed."""

    def __init__(self, program: str, purpose: str, package: str) -> None:
        super().__init__(
            f"{program} is not installed; it is needed to {purpose}",
            f"Install it (on Debian: apt-get install {package}), then run the same command again.",
            program=program,
        )


class NoSandbox(TargetError):
    """This machine does not let stager make the namespaces it needs.

    Each attempt is there with the system's own words.
    """

    def __init__(self, purpose: str, attempts: Sequence[tuple[str, str]]) -> None:
        tried = "; ".join(f"{how}: {said}" for how, said in attempts)
        super().__init__(
            f"no namespaces to {purpose}: {tried}",
            "Run as root; or allow user namespaces, install uidmap, give this user 65536 ids in /etc/subuid and /etc/subgid.",
            attempts=[list(row) for row in attempts],
        )


class NoRoom(TargetError):
    """Too little memory or disk for what is being made.

    Sizes are in bytes.
    """

    retryable = True

    def __init__(self, what: str, needed: int, there: int, of: str) -> None:
        super().__init__(
            f"{what} needs {needed // 1000000} MB of {of}; {there // 1000000} MB are free",
            f"Free some {of}, then run the same command again.",
            needed=needed,
            there=there,
        )


class NotBuilt(TargetError):
    """A stack's root filesystem or image that is not in the store."""

    def __init__(self, stack: str, architecture: str) -> None:
        super().__init__(
            f"the root filesystem of {stack} for {architecture} is not in the store",
            f"Run 'stager box build {stack} --arch {architecture}'.",
        )


class NoProvider(TargetError):
    """Nothing on this machine can hold a box.

    Each provider is there with what is missing; `extra` when the first step is to install that extra of stager's.
    """

    def __init__(self, attempts: Sequence[tuple[str, str]], extra: str = "") -> None:
        tried = "; ".join(f"{name}: {why}" for name, why in attempts)
        vagrant = any(name == "vagrant" for name, _ in attempts)
        packages = "docker.io; or vagrant-libvirt libvirt-daemon-system qemu-system-x86"
        hint = f"{'Install Vagrant with' if vagrant else 'Vagrant is there; it needs'} one of its providers"
        hint += f" (on Debian: apt-get install {'vagrant ' * vagrant}{packages})"
        super().__init__(
            f"nothing here can run a machine: {tried}",
            f"{f'Install what stager drives Docker with: pip install {extra!r}' if extra else hint}; "
            "'stager doctor' shows what is missing.",
            attempts=[list(row) for row in attempts],
        )


class PortInUse(TargetError):
    """A port of this host that another program listens on."""

    def __init__(self, port: int, asked: bool) -> None:
        hint = "Choose another with --port, or end what listens there."
        super().__init__(
            f"port {port} is in use", hint if asked else f"The machine's port is {port}. {hint}", port=port
        )


class MachineFailed(TargetError):
    """A step with the machine that failed.

    `said` are the last lines of the provider or of the machine itself.
    """

    def __init__(self, step: str, said: Sequence[str], hint: str = "", left: bool = False) -> None:
        after = (
            "Its parts may still be there: 'stager destroy' removes them." if left else "Nothing of it was left behind."
        )
        super().__init__(f"{step}: {'; '.join(said) or 'it says nothing'}", f"{hint} {after}".strip(), said=list(said))
        self.step, self.said = step, list(said)


class NoMachine(TargetError):
    """A command about a machine that does not exist, or does not run."""

    def __init__(self, state: str) -> None:
        super().__init__(f"this app's machine {state}", "Run 'stager up'.", state=state)


class MachineBusy(TargetError):
    """Another stager works on the same machine."""

    retryable = True

    def __init__(self, folder: str) -> None:
        super().__init__("another stager works on this machine", "Wait until it has finished.", where=folder)


class NotReady(TargetError):
    """The machine runs, but the app in it did not become ready in time.

    `log` is the end of its own output.
    """

    def __init__(self, seen: str, log: Sequence[str]) -> None:
        lines = "".join(f"\n    {line}" for line in log)
        hint = f"The machine still runs: see 'stager logs', correct the app, then 'stager provision'.{lines}"
        super().__init__(f"the app is not ready: {seen}", hint, log=list(log))


class BadMachine(TargetError):
    """What stager remembers of a machine is damaged."""

    def __init__(self, path: str, why: str, hint: str = "Run 'stager destroy', then 'stager up'.") -> None:
        super().__init__(why, hint, where=path)


class CannotIsolate(TargetError):
    """This machine does not let a droplet be run in its stack's root filesystem.

    `said` is the system's own explanation.
    """

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(
            f"no namespaces to run the droplet in: {said}",
            hint
            or "Allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
            "kernel.apparmor_restrict_unprivileged_userns=0), or use --in docker; 'stager doctor' shows what there is.",
        )


class PortTaken(TargetError):
    """A port that was asked for and that somebody else listens on."""

    def __init__(self, port: int, hint: str = "Leave --port out, or name another one.") -> None:
        super().__init__(f"port {port} of this machine is taken", hint, port=port)


class PortForbidden(TargetError):
    """A port that this user may not listen on; Linux keeps the low ones for root (ip(7), ip_unprivileged_port_start)."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} of this machine may not be listened on by this user",
            "Choose one of 1024 or more with --port, or leave that out.",
            port=port,
        )


class LaunchFailed(TargetError):
    """A droplet's process could not be started, or ended before it was ready."""

    def __init__(self, process: str, why: str, hint: str = "Read its log above.") -> None:
        super().__init__(f"process {process}: {why}", hint)


class BadImage(TargetError):
    """An image or root filesystem that cannot be used: damaged, of an unknown form, or not made by stager."""

    def __init__(self, path: str, why: str, hint: str = "") -> None:
        super().__init__(why, hint or "Make it again with the tool that wrote it.", where=path)


class WrongBase(TargetError):
    """A base that the droplet cannot run on."""

    def __init__(self, base: str, missing: Sequence[tuple[str, Sequence[str]]], command: str = "") -> None:
        lacks = "; ".join(f"{name} (for {_listing(files, 3)})" for name, files in missing[:12])
        rest = f" and {len(missing) - 12} more" if len(missing) > 12 else ""
        again = f"run '{command}' in the app's folder" if command else "stage for this one"
        super().__init__(
            f"the droplet needs what this base does not have: {lacks}{rest}",
            f"Choose a base of the stack the droplet was staged for, {again}, or name what the app does without by "
            "--allow-missing.",
            where=base,
            missing={name: list(files) for name, files in missing},
        )


class WrongArchitecture(TargetError):
    """A base, or a second droplet, of an architecture that does not fit."""

    def __init__(self, what: str, wanted: str, found: str) -> None:
        super().__init__(
            f"is for {found or 'an unknown architecture'}, the droplet is for {wanted}",
            f"Choose one for {wanted}, or stage with --arch.",
            where=what,
        )


class EngineFailed(TargetError):
    """A container engine that does not answer, or does not take an image."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the container engine failed: {why}",
            "See that it runs and that DOCKER_HOST names it; 'docker version' shows both.",
        )


class RegistryError(TargetError):
    """A registry that did not do what it was asked."""


class RegistryDown(RegistryError):
    """A registry that cannot be reached, or does not answer as one should.

    `lasting` when time will not mend that.
    """

    def __init__(self, what: str, cause: str, hint: str = "", *, lasting: bool = False) -> None:
        super().__init__(
            f"{what}: {cause}",
            hint
            or "Check the registry's name, the network and the proxy, then run the same command again: "
            "what has arrived is not sent again.",
        )
        self.retryable = not lasting


class RegistryRefused(RegistryError):
    """A registry that understood and said no.

    `said` is its own explanation.
    """

    def __init__(self, what: str, status: int, said: str = "", hint: str = "") -> None:
        super().__init__(
            f"{what}: the registry answered {status}" + (f" ({said})" if said else ""),
            hint or "Check the name of the image, the registry's rules and your rights there.",
            status=status,
        )


class AccessDenied(RegistryError):
    """A registry that wants other credentials, or any."""

    def __init__(self, what: str, host: str, why: str) -> None:
        super().__init__(
            f"{what}: {why}",
            f"Run 'docker login {host}' with an account that may do this, or correct Docker's config.json.",
        )


class RegistryFull(RegistryError):
    """A registry without room for what is pushed."""

    def __init__(self, what: str, host: str, said: str = "") -> None:
        super().__init__(
            f"{what}: the registry {host} has no room left" + (f" ({said})" if said else ""),
            "Free some space there or raise the quota, then run the same command again.",
        )


class CannotRebuild(StagerError):
    """A droplet could not be staged again, so nothing is known about it.

    `exit_code` is the second staging's.
    """

    exit_code = 70

    def __init__(self, why: str, hint: str = "", exit_code: int = 70) -> None:
        super().__init__(
            f"staging again failed: {why}", hint or "Run 'stager stage --locked' on the source: it has to work first."
        )
        self.exit_code = exit_code


class NotReproducible(StagerError):
    """A rebuild gave other bytes."""

    exit_code = 80

    def __init__(self, expected: str, got: str, cause: str) -> None:
        super().__init__(f"expected {expected}, got {got}", cause)
