"""Finds folders of an app that have a package.json of their own, beside the app's, and from which its processes are started.

A droplet has the packages of the app's own lock, those of its workspaces included. Another folder's are in no lock that is
read: what runs there would start on a developer's machine alone.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from ...ecosystems.npm.manifest import all_manifests
from ...errors import BadManifest
from ...model import Process
from .matching import LONGEST, AppFacts
from .modules import MANIFEST

_FOLDER = re.compile(
    r"(?:\A|[;&|]\s*)cd\s+([\w./-]+)\s*(?:&&|;)|"
    r"\b(?:npm|yarn|pnpm|bun)\s(?:[^;&|]*\s)?(?:--prefix|--cwd|--dir|-C)[ =]([\w./-]+)|"
    r"(?:\A|[;&|]\s*)(?:\w+=\S*\s+)*(?:exec\s+)?node\s+(?:--?[\w-]+(?:=\S+)?\s+)*([\w.-][\w./-]*)"
)


def check(facts: AppFacts, process: Process, texts: Iterable[str]) -> None:
    """Raise BadManifest when one of the texts, the lines that the process comes to, runs where packages would be missing."""
    for folder in dict.fromkeys(found for text in texts for found in folders(facts, text[:LONGEST])):
        names = sorted(_firm(facts, f"{folder}/{MANIFEST}") - _firm(facts, MANIFEST))
        if names and "pnpm-workspace.yaml" not in facts.tree and folder not in all_manifests(facts.tree):
            shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            hint = (
                f"""Write '"workspaces": ["{folder}"]' in package.json and make its lock file again, or stage that folder """
                f"by itself: 'stager stage {folder}'."
            )
            why = f"{process.type} runs in {folder}/, whose packages would not be in the droplet: {shown}"
            raise BadManifest(f"{folder}/{MANIFEST}", why, hint, facts.line(f"{folder}/{MANIFEST}", "dependencies"))


def folders(facts: AppFacts, text: str) -> Iterator[str]:
    """The folders with a package.json of their own that a command line runs in, or a program of."""
    for found in _FOLDER.finditer(text):
        path = posixpath.normpath(next(filter(None, found.groups())))
        while path not in ("", ".", "..") and not path.startswith(("/", "../")):
            if f"{path}/{MANIFEST}" in facts.tree:
                yield path
                break
            path = posixpath.dirname(path)


def _firm(facts: AppFacts, manifest: str) -> set[str]:
    table = facts.member(manifest, "dependencies")
    return set(table) if isinstance(table, dict) else set()
