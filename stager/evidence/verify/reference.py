"""What a second staging is compared with: a file, a digest, a URL, an exported file, an image in a registry, a deployed app.

Only bytes can be compared in depth. A digest says yes or no; an image says which layer differs; a platform says what it
states of the droplet that an app uses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...digest import Digest
from ...droplet import mistaken
from ...droplet.errors import NoDroplet, NotADroplet
from ...droplet.reader import DropletFile, open_droplet
from ...errors import CannotWrite, StagerError, UsageError
from ...fetching.errors import TooLarge
from ...files.whole import digest_of
from ...formats.errors import BadArchive
from ...model import Layer
from ...net.errors import NotFound, Unreachable
from ...text.wording import shown
from ..diff import read as read_contents
from .findings import Comparison, Finding

if TYPE_CHECKING:
    from ...net.indexes import Indexes
    from ...settings import Settings
    from .restaging import Restaged

_LARGEST = 16 << 30
"""Bytes of a droplet that is downloaded (16 GiB)."""
_DIGEST = re.compile(r"(?:sha-?[0-9]{1,3}|md5|blake[23][bsp]?)(?:[:=-]|$)|[0-9a-f]{32,}$", re.IGNORECASE)
"""How a text begins, or is all over, that is meant as a digest: of whatever algorithm, length and case."""
_EXPORTS = ("an image archive", "a BOSH release", "an installable archive", mistaken.TAR)
"""What `mistaken` calls files that targets write, beside those that begin as a droplet does."""
KINDS = ("droplet", "digest", "url", "file", "image", "app")


@dataclass(frozen=True, slots=True)
class Against:
    """What to compare with: its `kind` (one of KINDS), its `value`, and the local file once there is one."""

    kind: str
    value: str
    path: str = ""

    @property
    def label(self) -> str:
        """What it is called in results: a URL without its user, password and query, which may be secret."""
        if self.kind != "url":
            return self.value
        try:
            parts = urlsplit(self.value)
        except ValueError:
            return "a URL that is none"
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def read(text: str) -> Against:
    """What the argument of `--against` names: `sha256:…`, a URL, `image:NAME`, `app:NAME`, a file or folder that exists.

    Anything else with a `/`, `:` or `@` is an image's name with its host, and the rest an app's. Nothing is asked for it.
    Raises UsageError for nothing at all, and for what is meant as a digest or an image's name and is none; for a file or
    folder that holds no droplet NoDroplet, NotADroplet or Unreadable.
    """
    if re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        return Against("digest", text)
    if _DIGEST.match(text) and not os.path.exists(text):
        raise UsageError(
            f"--against {shown(text)} is no SHA-256 digest", "A digest is 'sha256:' and 64 hex digits, 0-9 and a-f."
        )
    if re.match(r"https?://", text, re.IGNORECASE):
        return Against("url", text)
    kind, colon, rest = text.partition(":")
    if colon and kind in ("image", "app", "file") and not rest.strip():
        raise UsageError(f"--against {text} names nothing", f"Write {kind}:NAME.")
    if colon and kind == "file":
        return _named_file(rest)
    if colon and kind in ("image", "app"):
        return _image_named(rest, anywhere=True) if kind == "image" else Against(kind, rest)
    if os.path.exists(text):
        return _named_file(text)
    if not text.strip():
        raise UsageError("--against names nothing", "Write a digest, a URL, a file, image:NAME or app:NAME.")
    if text.endswith((".tgz", ".tar", ".gz")) or text.startswith(("./", "../", "/", "~")):
        raise NoDroplet(text)
    return _image_named(text) if re.search(r"[/:@]", text) else Against("app", text)


def _image_named(name: str, *, anywhere: bool = False) -> Against:
    """An image by its name, with its host unless it was said that it is an image."""
    from ...targets.oci.registry.reference import host_of, parse

    if not anywhere and not host_of(name):
        message = f"--against {shown(name)} is no file that is there, and no image's name with its host"
        raise UsageError(
            message, "Write HOST/NAME:TAG or image:NAME for an image, app:NAME for an app, or name a file."
        )
    parse(name)
    return Against("image", name)


def _named_file(path: str) -> Against:
    """A droplet, or what a target exported: a folder with an image in it, or a file that stager may have written."""
    try:
        found = mistaken.what_is(path)
    except OSError as error:
        raise mistaken.unopened(path, error) from None
    image = any(os.path.isfile(os.path.join(path, name, "oci-layout")) for name in ("", "image"))
    if found and not image and found not in _EXPORTS:
        raise NotADroplet(path, f"it is {found}")
    return Against("file", path, path)


def result(against: Against, again: Restaged, settings: Settings, environ: Mapping[str, str], home: str) -> Comparison:
    """Compare what was staged again with what `against` names (a URL's file is in `path` by now)."""
    if against.kind in ("droplet", "url"):
        return _whole(against.path, again)
    if against.kind == "file":
        return _file(against.path, again)
    if against.kind == "digest":
        return _digest(against.value, str(digest_of(again.path)))
    if against.kind == "image":
        return _image(against.value, again, settings, environ, home)
    return _app(against.value, again, settings, environ, home)


def _digest(expected: str, got: str) -> Comparison:
    if expected == got:
        return Comparison(expected, got)
    what = "staging again gave another digest; without the file nobody can say why"
    return _one(expected, got, Finding("byte", "unknown", "[droplet]", what, "digest", expected, got))


def _one(expected: str, got: str, *findings: Finding) -> Comparison:
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.cause] = counts.get(finding.cause, 0) + 1
    return Comparison(expected, got, findings, counts)


# --- files -----------------------------------------------------------------------------------------------------


def _file(path: str, again: Restaged) -> Comparison:
    """A droplet file is compared whole; what a target exported, by the layers in it."""
    exported = None if os.path.isfile(path) and _is_droplet(path) else _exported(path)
    if exported is None:
        return _whole(path, again)
    name, diff_ids = exported
    with open_droplet(again.path) as droplet:
        return _layers(diff_ids, droplet, [layer.diff_id for layer in droplet.layers], f"the {name} export")


def _whole(path: str, again: Restaged) -> Comparison:
    digests = str(digest_of(path)), str(digest_of(again.path))
    if digests[0] == digests[1]:
        return Comparison(*digests)
    from .causes import compare  # here, since it is seldom needed

    return compare(path, again.path, known=again.traces)


def _is_droplet(path: str) -> bool:
    """Whether a file means to be a droplet: gzip, with the envelope that exports for other platforms leave out."""
    found = read_contents(path, "as far as possible")
    outside = [item for item in found.walk() if item.outside]
    assert found.gzip is not None
    return bool(found.gzip.members) and bool(found.gzip.damage or outside)


def _exported(path: str) -> tuple[str, tuple[str, ...]] | None:
    """The target whose format a file or folder is in, and the droplet's diffIDs in it; None when it is none's."""
    from ...targets import TARGETS, load

    for name in TARGETS:
        try:
            found = load(name).layers(path)
        except (StagerError, OSError, ImportError):
            continue
        if found:
            return name, found
    return None


def _layers(given: tuple[str, ...], droplet: DropletFile, own: list[Digest], label: str) -> Comparison:
    """Compare layers by their digests: those of what was given, and the droplet's `own`."""
    if list(given) == [str(one) for one in own]:
        return Comparison(str(droplet.digest), str(droplet.digest))
    names = droplet.layers
    index = next((i for i, (a, b) in enumerate(zip(given, own, strict=False)) if a != b), min(len(given), len(own)))
    return _one("", str(droplet.digest), _layer(index, given, names, own, label))


def _layer(index: int, given: tuple[str, ...], names: tuple[Layer, ...], own: list[Digest], label: str) -> Finding:
    if index >= len(own):
        what = f"{label} has {len(given)} layers of a droplet, not {len(own)}"
        return Finding("layer", "extra entry", "[layers]", what, "layers", str(len(given)), str(len(own)))
    name = names[index].name
    what = f"the layer {name} of {label} is another one"
    there = shown(given[index]) if index < len(given) else "none"
    return Finding("layer", "different input", f"[layer {name}]", what, "digest", there, str(own[index]), name)


# --- what is elsewhere -----------------------------------------------------------------------------------------


def download(url: str, into: str, indexes: Indexes, stop: Callable[[], bool]) -> str:
    """Fetch a published droplet to the file `into`. Raises Unreachable, NotFound, TooLarge, CannotWrite, Cancelled."""
    from ...fetching.transport import step
    from ...net.addresses import AddressRefused
    from ...net.patience import Again, Patience, host_of
    from ...net.session import Request, Session

    session, what = Session(indexes, Patience(), stopping=stop, jobs=1), f"the droplet at {host_of(url)}"
    try:
        with session.exchange(Request("GET", url), step(indexes, {})) as response:
            if response.status == 404:
                raise NotFound(what, "Check the URL.")
            if response.status != 200:
                raise Unreachable(what, f"the server answered {response.status}")
            size = 0
            with open(into, "wb") as file:
                while part := response.read():
                    size += len(part)
                    if size > _LARGEST:
                        raise TooLarge(what, _LARGEST, size)
                    file.write(part)
    except (Again, AddressRefused) as problem:
        raise Unreachable(what, str(problem)) from None
    except OSError as error:
        raise CannotWrite(into, error.strerror or str(error)) from None
    finally:
        session.close()
    return into


def _image(name: str, again: Restaged, settings: Settings, environ: Mapping[str, str], home: str) -> Comparison:
    """The layers that an image's manifest names, against the droplet's as they are pushed."""
    from ...targets.oci.labels import droplet_order
    from ...targets.oci.registry.access import Access
    from ...targets.oci.registry.client import connect
    from ...targets.oci.registry.descriptors import INDEXES
    from ...targets.oci.registry.pull import choose
    from ...targets.oci.registry.reference import parse

    reference = parse(name)
    access = Access.from_environment(environ, home, cancel=settings.cancel)
    with connect(reference, access) as client, open_droplet(again.path) as droplet:
        manifest = client.manifest(reference.repository, reference.wanted)
        if manifest.media_type in INDEXES:
            child = choose(manifest, f"linux/{again.plan.architecture}", str(reference))
            manifest = client.manifest(reference.repository, child.digest)
        if len(manifest.blobs) < 2:
            raise BadArchive(str(reference), "is no image: its manifest names no layers")
        own = [layer.digest for layer in droplet.layers]
        given = [blob.digest for blob in manifest.blobs[1:]][-len(own) :]  # below them lie the base's
        names = [layer.name for layer in droplet.layers]
        return _layers(droplet_order(given, names, own), droplet, own, shown(reference))


def _app(name: str, again: Restaged, settings: Settings, environ: Mapping[str, str], home: str) -> Comparison:
    try:
        from ...targets.cloudfoundry.current_droplet import compare_deployed
        from ...targets.cloudfoundry.login import find_login
        from ...targets.cloudfoundry.settings import CfSettings as Platform
    except ImportError:
        message = "this stager cannot ask Cloud Foundry"
        raise UsageError(message, "Compare with a file, a digest or an image instead.") from None
    login = find_login(environ, home)
    platform = Platform(login, settings.indexes, progress=settings.progress, cancel=settings.cancel)
    found = compare_deployed(platform, name, again.path)
    if found.same:
        return Comparison(str(found.deployed), str(found.staged))
    rows = [Finding("byte", "unknown", f"[{shown(name)}]", shown(what), "deployed") for what in found.different]
    return _one(str(found.deployed), str(found.staged), *rows)
