"""Two archives side by side: which entries they share, which are unlike, repeated, or in another place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...droplet.contents import Item


@dataclass(frozen=True, slots=True)
class Meeting:
    """What two archives come to side by side.

    `before` and `after` are their paths in order; `unlike` has, by path, the entries that are not alike on both sides, None
    where a side has none; `held` is every entry of the first side by its path. Of a path that comes twice, the last counts.
    """

    before: list[str]
    after: list[str]
    unlike: dict[str, tuple[Item | None, Item | None]]
    held: dict[str, Item]

    def repeated(self) -> Iterator[tuple[str, int, int]]:
        """Paths that an archive holds more than once, and how often each does, unless both do equally often."""
        if self.before == self.after:
            return
        counts = Counter(self.before), Counter(self.after)
        for path in sorted({*counts[0], *counts[1]}, key=path_key):
            one, other = counts[0].get(path, 0), counts[1].get(path, 0)
            if one != other and max(one, other) > 1:
                yield path, one, other

    def displaced(self) -> tuple[int, str, str] | None:
        """The first place at which the paths that both have come in another order, and the two paths there."""
        if self.before == self.after:
            return None
        common = self.held.keys() & set(self.after)
        rows = [list(dict.fromkeys(path for path in side if path in common)) for side in (self.before, self.after)]
        pairs = enumerate(zip(*rows, strict=True))
        return next(((at, one, other) for at, (one, other) in pairs if one != other), None)


def meet(before: Iterable[Item], after: Iterable[Item]) -> Meeting:
    """Read two archives, of 200,000 entries maybe: those of the first are held, and of the other what is not like them."""
    found = Meeting([], [], {}, {})
    for item in before:
        found.held[item.path] = item
        found.before.append(item.path)
    seen = set[str]()
    for item in after:
        one = found.held.get(item.path)
        path = one.path if one else item.path
        seen.add(path)
        found.after.append(path)
        if one is None or fields(one, item):
            found.unlike[path] = one, item
        else:
            found.unlike.pop(path, None)
    found.unlike.update({path: (one, None) for path, one in found.held.items() if path not in seen})
    return found


def path_key(path: str) -> bytes:
    """What paths are sorted by: their bytes."""
    return path.encode("utf-8", "surrogateescape")


def fields(a: Item, b: Item) -> tuple[tuple[str, str, str], ...]:
    """What differs between two entries of one path, as (field, before, after)."""
    if a.form and (a.form, a.content) == (b.form, b.content):
        return ()
    found = [
        ("kind", a.kind, b.kind),
        ("content", f"sha256:{a.sha256}", f"sha256:{b.sha256}"),
        ("target", a.link, b.link),
        ("executable", _yes(a), _yes(b)),
        ("permissions", f"{a.mode:04o}", f"{b.mode:04o}"),
        ("owner", f"{a.uid}:{a.gid}", f"{b.uid}:{b.gid}"),
        ("owner's name", f"{a.uname}:{a.gname}", f"{b.uname}:{b.gname}"),
        ("time", str(a.mtime), str(b.mtime)),
    ]
    differing = tuple(row for row in found if row[1] != row[2])
    if not differing and a.form and b.form and a.form != b.form:
        return (("header", a.form.hex(), b.form.hex()),)
    return differing


def _yes(item: Item) -> str:
    return "yes" if item.executable else "no"
