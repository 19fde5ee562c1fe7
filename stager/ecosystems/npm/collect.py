"""From placed tarballs to `Locked`: one artifact for each tarball, with every place it goes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import relpath
from typing import TYPE_CHECKING

from stager.ecosystems import repository
from stager.errors import BadLock
from stager.model import Artifact, Locked

from .bins import tidy
from .names import COMMIT, LAYOUT, base_name, filename, owner, purl
from .source import Tarball

if TYPE_CHECKING:
    from stager.tree import SourceTree

SKIPPED = "install scripts are not run: "
"""How a note on packages with install scripts begins; their labels follow."""
MOST = 200_000
"""Places of packages in one app; a lock that asks for more is refused."""


def locked(
    places: Mapping[str, Tarball],
    links: Mapping[str, str],
    notes: Iterable[str],
    lock: str,
    scripts: Iterable[str] = (),
    unsure: Iterable[str] = (),
) -> Locked:
    """The whole result for `places` (path → tarball) and `links` (path → path it leads to, both in the app).

    `scripts` are the `name@version`s that have install scripts, `unsure` those that may have to be compiled. Raises BadLock
    when a place lies below a link.
    """
    _check(places, links, lock)
    together: dict[Tarball, list[str]] = {}
    for path, tarball in places.items():
        together.setdefault(tarball, []).append(path)
    return Locked(
        artifacts=tuple(sorted((_artifact(*item) for item in together.items()), key=_order)),
        links=tuple(sorted(((path, _relative(path, target)) for path, target in links.items()), key=_bytes)),
        names=frozenset(tarball.name for tarball in together),
        notes=tuple(dict.fromkeys([*notes, *_remarks(together, scripts)])),
        unsure=_purls(together, unsure),
    )


def _purls(tarballs: Iterable[Tarball], labels: Iterable[str]) -> tuple[str, ...]:
    """Those of the labels, and of all that come from a commit: only their files say whether something makes them first."""
    known = set(labels)
    chosen = (one for one in tarballs if f"{one.name}@{one.version}" in known or repository.is_from(one.url))
    return tuple(sorted({purl(one.name, one.version) for one in chosen}))


def _artifact(tarball: Tarball, paths: list[str]) -> Artifact:
    return Artifact(
        purl=purl(tarball.name, tarball.version),
        filename=_filename(tarball),
        digest=tarball.digest,
        layout=COMMIT if repository.is_from(tarball.url) else LAYOUT,
        paths=tuple(sorted(paths, key=str.encode)),
        url=tarball.url,
    )


def _filename(tarball: Tarball) -> str:
    if not repository.is_from(tarball.url):
        return filename(tarball.name, tarball.version)
    return repository.of(tarball.url).filename(tarball.name.rpartition("/")[2], tarball.version)


def _order(artifact: Artifact) -> tuple[bytes, str, str]:
    return artifact.purl.encode(), artifact.digest, artifact.url


def _bytes(pair: tuple[str, str]) -> bytes:
    return pair[0].encode()


def _relative(path: str, target: str) -> str:
    return relpath(f"/{target}", f"/{path.rpartition('/')[0]}")


def _check(places: Mapping[str, Tarball], links: Mapping[str, str], lock: str) -> None:
    if len(places) > MOST:
        raise BadLock(lock, f"it places {len(places)} packages; the limit is {MOST}")
    for path in [*places, *links]:
        if path in places and path in links:
            raise BadLock(lock, f"{path} is both a package and a link")
        at = path.rpartition("/")[0]
        while at:
            if at in links:
                raise BadLock(lock, f"{path} lies below {at}, which is a link")
            at = at.rpartition("/")[0]


def _remarks(tarballs: Iterable[Tarball], scripts: Iterable[str]) -> list[str]:
    published = [item for item in tarballs if not repository.is_from(item.url)]
    weak = sorted(f"{item.name}@{item.version}" for item in published if item.digest.algorithm == "sha1")
    skipped = sorted(set(scripts))
    found = []
    if skipped:
        found.append(SKIPPED + ", ".join(skipped))
    if weak:
        found.append("only SHA-1 digests are known of: " + ", ".join(weak) + "; make the lock again to get SHA-512")
    return found


def app_links(
    tree: SourceTree, links: Mapping[str, str], bins: Mapping[str, Mapping[str, str]], lock: str
) -> dict[str, str]:
    """`links` (path → path it leads to) and the `.bin` links to the commands of the app's folders among them.

    `bins` are the folders' commands. Raises BadLock when a folder that a link leads to is not in the app.
    """
    folders: set[str] = {""}
    for path in tree.files:
        while (path := path.rpartition("/")[0]) not in folders:
            folders.add(path)
    made: dict[str, str] = {}
    for path in sorted(links, key=str.encode):
        target = links[path]
        if "node_modules" not in target.split("/") and target not in folders:
            raise _absent(path, target, lock)
        for command, file in tidy(bins.get(target, {})).items():
            if f"{target}/{file}" in tree.files:
                made.setdefault(f"{owner(path)}/.bin/{command}", f"{path}/{file}")
    return {**made, **links}


def _absent(path: str, folder: str, lock: str) -> BadLock:
    name = base_name(path)
    return BadLock(
        lock,
        f"{name} is the folder {folder}, which is not in the app",
        f"Add {folder} (is it left out by an ignore file?), or remove {name} and make the lock again.",
    )
