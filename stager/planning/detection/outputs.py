"""What the author of an app has to do so that what a build makes is in the droplet, where stager cannot make it itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .foreseen import Foreseen

_SERVED = re.compile(r"(?:dist|build|out|_site|dist/[^/]+/browser)/")
"""Where a page of a front end is served from by itself (`static`)."""


def untold(build: Foreseen) -> str:
    """What to say of a build of which nobody knows what it writes."""
    example = f"'builds: {{{build.name}: {{outputs: [dist]}}}}'"
    return f"'{build.command}' is not run: what it writes is not known. Name that in stager.yml, by a line such as {example}."


def keep(manager: str, folders: Sequence[str]) -> str:
    """How to have a build's output in the app; `folders` are empty when nobody knows where it goes."""
    run = f"Run '{manager or 'npm'} run build' and keep"
    if not folders:
        return f"{run} what it writes in the app: commit it, or name it in .stagerignore, in a line such as '!dist/'."
    lines = " and ".join(f"'!{folder}'" for folder in folders)
    add = f"commit it, or add the line {lines}" if len(folders) == 1 else f"commit them, or add the lines {lines}"
    return f"{run} {' and '.join(folders)} in the app: {add} to .stagerignore."


def keep_and_start(manager: str, found: Foreseen, builds: Sequence[Foreseen]) -> str:
    """The same for an app without a start command that a platform can use: what to add so that the output is served.

    Of an app with `builds` that are planned, what these write need not be kept, but known.
    """
    folders = [f"{path}/" for path in found.outputs]
    if not builds:
        hint = keep(manager, folders)
    elif folders:
        hint = f"stager runs '{builds[0].command}', which writes {' and '.join(folders)}."
    else:
        hint = untold(builds[0])
    folder = folders[-1] if folders else ""
    if found.pages and _SERVED.fullmatch(f"{found.pages}/"):
        return hint
    if found.pages:
        return f"{hint} Then have it served: write 'root: {found.pages}' into a file Staticfile."
    start = found.start or (f"node {folder}index.js" if folder else "")
    example = f'such as "start": "{start}", ' if start else ""
    return f"{hint} Then give package.json a start script that runs it, {example}if it has none."
