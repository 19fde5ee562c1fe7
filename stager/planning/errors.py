"""Errors of planning: what an app is and how it starts cannot be told."""

from __future__ import annotations

from ..errors import SourceError, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def _built_site(folder: str) -> str:
    """What to do so that a site which a generator makes is served."""
    keep = f"build it and keep {folder}/ in the app"
    return f"{keep}." if folder in ("public", "_site") else f"{keep}, with 'root: {folder}' in a file Staticfile."


class NotDetected(SourceError):
    """No buildpack recognised the app."""

    code = "NotDetected"

    def __init__(
        self,
        looked_for: Sequence[tuple[str, str]],
        similar: Sequence[tuple[str, str]] = (),
        foreign: Sequence[tuple[str, str]] = (),
        beside: Sequence[tuple[str, str]] = (),
        inside: Sequence[str] = (),
        pages: Sequence[str] = (),
        site: tuple[str, str, str] | None = None,
        script: str = "",
    ) -> None:
        """`foreign`: manifests and their languages; `beside`: buildpacks and files that are helpers of such an app;
        `inside`: folders that look like apps of their own; `pages`: folders that look like sites; `site`: the file of a site
        generator, its name, and the folder that it writes; `script`: what looks like the app's start."""
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
            folders = listing([f"{one}/" for one in inside], 5)
            meant += f"Are {folders} apps of their own? Then stage each by itself: {stage}. "
        elif inside:
            meant += f"Is {inside[0]}/ the app? Then {stage}. "
        if pages:
            meant += f"Is {pages[0]}/ a site to be served? Then write 'root: {pages[0]}' in a file Staticfile. "
        if script:
            meant += f"Does {script} start the app? Then write 'web: bash {script}' in a file Procfile. "
        super().__init__(
            f"no buildpack recognises this folder{f': {whose}, which stager has no buildpack for' if whose else ''}",
            f"{meant}{alone}{lines}. Add one of these, or a Procfile with a web process.",
            where=foreign[0][0] if foreign else "",
            looked_for=dict(looked_for),
            similar=dict(similar),
        )


class NoProcess(SourceError):
    """No start command could be found."""

    code = "NoProcess"

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
            f"no start command found for {listing(buildpacks)}{f': {kind}' if kind else ''}",
            f"{meant}Add a file Procfile with a line such as 'web: {command or './server'}'"
            f"{f', as {place} has it' if place else ''}. Looked for: {listing(looked_for, 20)}",
            where=where,
            looked_for=list(looked_for),
        )


class WorkspaceMember(SourceError):
    """A folder without a lock that is a member of a workspace above it.

    `up` is the way to that workspace, `manifest` the file that says so.
    """

    code = "WorkspaceMember"

    def __init__(self, member: str, up: str, manifest: str, start: str) -> None:
        super().__init__(
            f"this folder is {member} of the workspace in {up}, and is locked and staged with it",
            f"Stage the workspace's folder instead, which is {up} from here; a Procfile there starts this member, with a "
            f"line such as '{start}'.",
            where=manifest,
            member=member,
            folder=up,
        )


class CommittedFiles(SourceError):
    """The app's files contain something that must not be there, such as a virtual environment."""

    code = "CommittedFiles"

    def __init__(self, path: str, what: str, hint: str) -> None:
        super().__init__(what, hint, where=path)
