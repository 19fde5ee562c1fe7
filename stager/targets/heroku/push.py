"""Bringing a slug to an app, and from one app to another: create, upload, release, and wait until it is live.

An app that runs these very bytes already gets no upload. A release is asked for once: when the answer is lost, the app's
newest release tells whether it was made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...digest import Digest
from ...droplet.launch import LaunchInfo
from ...fetching.errors import TooLarge
from ...store.errors import DigestMismatch
from ...text.wording import size_text
from ..errors import DeployFailed, PlatformUnavailable, Rejected, TookTooLong
from .api import Expired, HerokuApi, Unsure
from .apps import HerokuRelease, check_fits, checked_name, checked_slug, current, node, release_of
from .apps import slug as read_slug

if TYPE_CHECKING:
    from ...droplet.inspecting import PackageSize

LIMIT = 500 << 20
"""Bytes of a slug that Heroku accepts."""
WARNING = 300 << 20
"""Bytes of a slug from which on dynos start noticeably slower, so Heroku warns."""
ADDRESSES = 3
"""How often a new address for the upload is asked for when one has expired."""
TRIES = 4
"""How often a release is asked for when no answer comes."""


@dataclass(frozen=True, slots=True)
class SlugUpload:
    """What is pushed: the slug file, its size and hex SHA-256, and what the droplet says of it."""

    path: str
    size: int
    sha256: str
    stack: str
    buildpacks: tuple[str, ...]
    processes: Mapping[str, str]
    droplet: str
    """The droplet's digest."""
    commit: str = ""
    glibc: tuple[int, int] = (0, 0)
    """The lowest that the droplet's files run with."""

    @classmethod
    def of(cls, path: str, size: int, digest: Digest, droplet: str, launch: LaunchInfo, commit: str = "") -> SlugUpload:
        """The offer of the slug file at `path`, for a droplet with this digest and `launch.json`."""
        return cls(
            path=path,
            size=size,
            sha256=digest.hex,
            stack=launch.stack,
            buildpacks=launch.buildpacks,
            processes=launch.processes,
            droplet=droplet,
            commit=commit,
            glibc=launch.glibc,
        )

    @property
    def checksum(self) -> str:
        """As Heroku writes it."""
        return f"SHA256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Live:
    """What an app runs now: a slug's id, the release that runs it, and whether anything had to be done."""

    app: str
    slug: str
    version: int
    changed: bool


@dataclass(frozen=True, slots=True)
class ReleaseWaiting:
    """How to wait for a release phase: at most so many seconds between looks and in all, and what gets its output."""

    pause: float = 2.0
    longest: float = 3600.0
    output: Callable[[str], None] | None = None


def weigh(size: int, packages: Callable[[], Sequence[PackageSize]], limit: int = LIMIT, warning: int = WARNING) -> str:
    """A remark on a slug that is big, empty for one that is not.

    `packages` gives those of an `Inspection`, biggest first, and is asked only for a big one. Raises TooLarge for a
    slug that Heroku would refuse.
    """
    if size <= warning:
        return ""
    biggest = ", ".join(f"{one.name} {size_text(one.unpacked)}" for one in packages()[:5])
    if size > limit:
        hint = f"Leave files out with .stagerignore, or use smaller packages. The biggest, unpacked: {biggest}."
        raise TooLarge("the slug", limit, size, hint)
    return (
        f"the slug has {size_text(size)}; above {warning >> 20} MiB apps start slowly. The biggest, unpacked: {biggest}"
    )


def push(
    api: HerokuApi,
    app: str,
    offer: SlugUpload,
    waiting: ReleaseWaiting | None = None,
    *,
    any_stack: bool = False,
    targets: Sequence[str] = ("heroku",),
) -> Live:
    """Create, upload and release a slug, and wait until it is live. `any_stack` accepts an app of another stack.

    `targets` are all that the droplet is brought to, for hints.

    Raises Unfit for an app of another stack or generation, DeployFailed when its release phase fails, and Rejected,
    LoginFailed, PlatformUnavailable, TookTooLong.
    """
    what = "the droplet"
    stack = check_fits(api, checked_name(app), offer.stack, what, offer.glibc, accept=any_stack, targets=targets)
    offer = replace(offer, stack=stack)
    before = current(api, app)
    if before and before.slug and before.status == "succeeded" and _same(api, app, before.slug, offer):
        return Live(app, before.slug, before.version, changed=False)
    slug_id = deliver(api, app, offer)
    return _go_live(api, app, slug_id, f"droplet {offer.droplet}", before, waiting or ReleaseWaiting())


def _same(api: HerokuApi, app: str, slug_id: str, offer: SlugUpload) -> bool:
    found = read_slug(api, app, slug_id)
    return (found.checksum.lower(), found.stack, found.processes) == (
        offer.checksum.lower(),
        offer.stack,
        dict(offer.processes),
    )


def deliver(api: HerokuApi, app: str, offer: SlugUpload) -> str:
    """Create a slug of the app and upload its bytes; the slug's id. An address that expires is asked for again."""
    body: dict[str, object] = {
        "process_types": dict(offer.processes),
        "buildpack_provided_description": ", ".join(offer.buildpacks),
        "checksum": offer.checksum,
        "commit_description": f"droplet {offer.droplet}",
        "stack": offer.stack,
    }
    if offer.commit:
        body["commit"] = offer.commit
    for _ in range(ADDRESSES):
        made = node(api.post("creating a slug", "apps", app, "slugs", body=body), "a slug")
        if str(made.str("checksum", offer.checksum)).lower() != offer.checksum.lower():
            raise DigestMismatch("the slug that Heroku made", offer.checksum, str(made.str("checksum")))
        try:
            api.upload("uploading the slug", made.at("blob").str("url"), offer.path)
        except Expired:
            continue
        return str(made.str("id"))
    hint = "Check this machine's clock and the speed of its connection, then push again."
    raise PlatformUnavailable("uploading the slug", "the address for it was not accepted, or expired too early", hint)


def promote(
    api: HerokuApi,
    source: str,
    target: str,
    slug_id: str = "",
    waiting: ReleaseWaiting | None = None,
    *,
    any_stack: bool = False,
) -> Live:
    """Release a slug of one app, its current one unless an id is given, on another app; nothing is uploaded."""
    checked_name(source)
    checked_name(target)
    if not slug_id:
        running = current(api, source)
        if running is None or not running.slug:
            raise Rejected("the promotion", "Heroku", f"{source} runs no slug", f"Push a droplet to {source} first.")
        slug_id = running.slug
    found = read_slug(api, source, checked_slug(slug_id))
    check_fits(api, target, found.stack, f"the slug of {source}", accept=any_stack)
    before = current(api, target)
    if before and before.slug == found.id and before.status == "succeeded":
        return Live(target, found.id, before.version, changed=False)
    return _go_live(api, target, found.id, f"slug of {source}", before, waiting or ReleaseWaiting())


def _go_live(
    api: HerokuApi, app: str, slug_id: str, about: str, before: HerokuRelease | None, waiting: ReleaseWaiting
) -> Live:
    release = _released(api, app, {"slug": slug_id, "description": about}, before)
    done = _settled(api, app, release, waiting)
    if done.status == "failed":
        hint = (
            f"What ran before still runs. Read the output above, or 'heroku releases:output v{done.version} -a {app}'."
        )
        raise DeployFailed(app, f"the release phase of v{done.version} failed", hint)
    return Live(app, slug_id, done.version, changed=True)


def _released(api: HerokuApi, app: str, body: Mapping[str, object], before: HerokuRelease | None) -> HerokuRelease:
    """Ask for a release; a lost answer is looked for among the app's releases before asking again."""
    for _ in range(TRIES):
        try:
            return release_of(node(api.post_once("the release", "apps", app, "releases", body=body), "a release"))
        except Unsure as unsure:
            cause = str(unsure)
        newest = current(api, app)
        if newest and newest.slug == body["slug"] and newest.version > (before.version if before else 0):
            return newest
    raise PlatformUnavailable("the release", cause)


def _settled(api: HerokuApi, app: str, release: HerokuRelease, waiting: ReleaseWaiting) -> HerokuRelease:
    """Wait while a release is pending, which it is as long as its release phase runs."""
    deadline, pause = time.monotonic() + waiting.longest, waiting.pause / 16
    if release.status == "pending" and release.output and waiting.output:
        for text in api.stream(release.output, waiting.longest):
            waiting.output(text)
            if time.monotonic() > deadline:
                break
    while release.status == "pending":
        if time.monotonic() > deadline:
            hint = f"It goes on by itself; look with 'heroku releases -a {app}'."
            raise TookTooLong(f"the release phase of {app}", waiting.longest, hint)
        api.sleep(pause)
        pause = min(2 * pause, waiting.pause)
        path = ("apps", app, "releases", release.id)
        release = release_of(node(api.get(f"looking at v{release.version}", *path), "a release"))
    return release
