"""Apps as the Platform API describes them: which stack and generation they are of, and what runs now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError
from ...facts import platforms, stacks
from ...text.typed import Node
from ..errors import PlatformUnavailable, Unfit
from .api import HerokuApi

_NAME = re.compile(r"[a-z][a-z0-9-]{1,29}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Slug:
    """A slug of an app."""

    id: str
    stack: str
    checksum: str
    """`SHA256:<hex>` of the compressed file; empty when the API does not say."""
    processes: dict[str, str]


@dataclass(frozen=True, slots=True)
class HerokuRelease:
    """A release of an app: `status` is `pending`, `succeeded` or `failed`; `slug` the id of what it runs, or empty."""

    id: str
    version: int
    status: str
    slug: str
    output: str = ""
    """Where the output of its release phase can be read; a secret."""


def checked_name(app: str) -> str:
    """An app's name or id. Raises UsageError."""
    if not _NAME.fullmatch(app):
        raise UsageError(
            f"{app!r} is no name of a Heroku app", "Names have 3 to 30 lower-case letters, digits and '-'."
        )
    return app


def checked_slug(slug: str) -> str:
    """A slug's id. Raises UsageError."""
    if not _UUID.fullmatch(slug):
        raise UsageError(f"{slug!r} is no slug's id", "Ids are 36 characters; 'stager push heroku' prints one.")
    return slug


def check_fits(
    api: HerokuApi,
    app: str,
    stack: str,
    what: str,
    glibc: tuple[int, int] = (0, 0),
    *,
    accept: bool = False,
    targets: Sequence[str] = ("heroku",),
) -> str:
    """The app's stack. Raises Unfit unless it runs slugs of `stack`, or, with `accept`, has the glibc that one needs.

    `targets` are all that the droplet is brought to, for hints.
    """
    found = node(api.get(f"looking at {app}", "apps", app), "an app")
    if _named(found, "generation") == "fir":
        raise Unfit(
            what,
            f"{app}",
            "it is a Fir app, and those take OCI images and no slugs",
            f"Run 'stager export oci' or 'stager push oci' and give {app} that image.",
        )
    wanted = _named(found, "build_stack") or _named(found, "stack")
    if wanted != stack:
        _check_other(what, app, stack, wanted, glibc, accept, targets)
    return wanted


def _check_other(
    what: str, app: str, stack: str, wanted: str, glibc: tuple[int, int], accept: bool, targets: Sequence[str]
) -> None:
    known = wanted in stacks.names()
    have = stacks.load(wanted).glibc if known else glibc
    way = (
        f"Run '{platforms.restage(targets, wanted)}' in the app's folder"
        if known
        else "Move the app to a stack that 'stager box list' names"
    )
    if glibc > have:
        needed, there = (".".join(map(str, version)) for version in (glibc, have))
        raise Unfit(what, app, f"it needs glibc {needed}, and {wanted} has {there}", f"{way}.")
    if not accept:
        ways = [way, *([f"move the app with 'heroku stack:set {stack}'"] if stack.startswith("heroku-") else [])]
        hint = f"{', or '.join([*ways, 'accept it with --any-stack'])}."
        raise Unfit(what, app, f"it is for stack {stack}, and {app} is on {wanted}", hint)


def current(api: HerokuApi, app: str) -> HerokuRelease | None:
    """The app's newest release; None when it has none."""
    newest = {"Range": "version ..; order=desc, max=1"}
    rows = list(node(api.get(f"looking at {app}'s releases", "apps", app, "releases", headers=newest), "releases"))
    return release_of(rows[0]) if rows else None


def slug(api: HerokuApi, app: str, slug_id: str) -> Slug:
    """A slug of an app by its id."""
    found = node(api.get(f"looking at slug {slug_id}", "apps", app, "slugs", slug_id), "a slug")
    return Slug(
        id=found.str("id"),
        stack=_named(found, "stack"),
        checksum=_text(found, "checksum"),
        processes={kind: str(command.value) for kind, command in found.table("process_types").items()},
    )


def release_of(found: Node) -> HerokuRelease:
    """A release from the API's description."""
    inner = found.get("slug")
    slug_id = inner.str("id") if inner is not None and inner.value is not None else ""
    return HerokuRelease(
        found.str("id"), found.int("version"), found.str("status"), slug_id, _text(found, "output_stream_url")
    )


def node(value: Any, what: str) -> Node:
    """An answer with getters whose error is PlatformUnavailable."""
    return Node(value, what, fail_with=lambda name, why: PlatformUnavailable(f"reading {name} from Heroku", why))


def _named(found: Node, key: str) -> str:
    """The name of what a member describes, which may be a table with a name, a name, or null."""
    inner = found.get(key)
    if inner is None or inner.value is None:
        return ""
    return str(inner.value) if isinstance(inner.value, str) else str(inner.str("name"))


def _text(found: Node, key: str) -> str:
    inner = found.get(key)
    return "" if inner is None or inner.value is None else str(found.str(key))
