"""What to do about packages of a lock that cannot be fetched as they are pinned, in commands that help.

Installing again adds no digest that a lock lacks (tried with npm 11, Yarn 1.22, pnpm 9 and Bun 1.2); `npm update` does, but
moves versions. What makes a file with a digest of a repository is `npm pack`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stager.errors import NeedsBuild, Unpinned

_ARCHIVE = re.compile(
    r"https?://(?:codeload\.github\.com/|github\.com/[^/]+/[^/]+/(?:archive|tarball)/|"
    r"[^/]+/.+?/(?:-/|repository/)archive|bitbucket\.org/[^/]+/[^/]+/get/)"
)
_PLACES = {
    "yarn.lock": "in a line 'integrity …' below its 'resolved'",
    "pnpm-lock.yaml": "as the 'integrity' of its 'resolution'",
    "bun.lock": "as the last text of its entry",
}
_INSTALL = {
    "yarn.lock": "yarn install",
    "pnpm-lock.yaml": "pnpm install --lockfile-only",
    "bun.lock": "bun install",
}
GIT = "it comes from a git repository, and no whole commit of it is named"
COPY = "it is a copy of a folder"


def is_archive(url: str) -> bool:
    """Whether a URL is that of a repository's state, as code hosts pack it when they are asked: not a published file."""
    return _ARCHIVE.match(url) is not None


def install(lock: str) -> str:
    """The command that makes this lock fit its package.json."""
    return _INSTALL.get(lock.rpartition("/")[2], "npm install")


def without_digest(lock: str, rows: Sequence[tuple[str, str]]) -> Unpinned:
    """For packages by label (`name@version`) and, where no registry has them, URL."""
    label, url = rows[0]
    said = f"npm view {label} dist.integrity"
    if url:
        said = f"echo sha512-$(curl -sL '{url}' | openssl dgst -sha512 -binary | openssl base64 -A)"
    place = _PLACES.get(lock.rpartition("/")[2], "as its 'integrity'")
    others = ", and so for the others" if len(rows) > 1 else ""
    hint = f"Write what \"{said}\" prints into {lock}, {place}{others}; '{install(lock)}' adds none."
    return Unpinned(lock, [label for label, _ in rows], hint)


def from_git(lock: str, spec: str) -> str:
    """The hint for a package from a repository; `spec` is what a lock calls it: npm takes all but a plain web address."""
    return packed(lock, f"git+{spec}" if spec.startswith(("http://", "https://")) and not is_archive(spec) else spec)


def packed(lock: str, spec: str) -> str:
    """How to have a package as a file of the app; `spec` is what npm calls it."""
    return (
        f"Depend on a published version; or run 'npm pack {spec}', put the tarball into the app, depend on it by 'file:' and "
        f"its path, and run '{install(lock)}'."
    )


def linked(lock: str, words: str = "'link:'") -> str:
    """The hint for a folder of the app that is copied when it is installed."""
    return f"Depend on the folder by {words} instead, and run '{install(lock)}'."


def needs_build(rows: Sequence[tuple[str, str, str]]) -> NeedsBuild:
    """For (label, why, hint) of each."""
    hints = dict.fromkeys(hint for _, _, hint in rows)
    return NeedsBuild([(label, why) for label, why, _ in rows], " ".join(hints))
