"""Hoisting: from a graph of packages to nested `node_modules` folders in which Node finds what the lock says.

For locks that hold a graph but no places (Yarn; pnpm with the hoisted linker). The folder of the app gets, for each
name, the version that most packages need; what conflicts is nested below the package that needs it, as high as it can
be without hiding another version from a neighbour. A folder is complete before anything below it is looked at, and
every need is resolved by Node's own rule, so the result is right whatever the choice was; the choice only decides how
small it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stager.errors import BadLock

from .collect import MOST
from .graph import LINK, NpmGraph, Unit
from .semver import order


@dataclass(slots=True)
class _Census:
    """What the packages that will live below one folder need."""

    count: dict[tuple[str, str], int] = field(default_factory=dict)
    askers: dict[tuple[str, str], list[Unit]] = field(default_factory=dict)
    above: set[str] = field(default_factory=set)
    """Names for which one of them relies on a folder further up."""

    def ask(self, name: str, ref: str, by: Unit) -> None:
        self.count[name, ref] = self.count.get((name, ref), 0) + 1
        self.askers.setdefault((name, ref), []).append(by)


def hoist(graph: NpmGraph, lock: str) -> tuple[dict[str, str], dict[str, str]]:
    """(place → unit id, link → path it leads to) for a whole graph.

    Raises BadLock when a need names no unit, or the result would be unreasonably large.
    """
    return _Hoister(graph, lock).run()


class _Hoister:
    def __init__(self, graph: NpmGraph, lock: str) -> None:
        self.units = graph.units
        self.homes = graph.homes
        self.lock = lock
        self.shelves: dict[str, dict[str, str]] = {}  # owner of a node_modules folder → name → id
        self.places: dict[str, str] = {}
        self.links: dict[str, str] = {}

    def run(self) -> tuple[dict[str, str], dict[str, str]]:
        for path in sorted(self.homes.keys() | {""}, key=str.encode):
            self._fill_below(path, self.homes.get(path, Unit("", {})))
        return self.places, self.links

    def _fill_below(self, path: str, home: Unit) -> None:
        stack: list[tuple[str, Unit, dict[str, str]]] = [(path, home, {})]  # the third: ids above → their places
        while stack:
            place, unit, chain = stack.pop()
            for below, key in self._fill(place, unit, chain):
                stack.append((below, self.units[key], {**chain, key: below}))
                if len(self.places) > MOST:
                    raise BadLock(self.lock, f"laid out for Node, it places more than {MOST} packages")

    def _fill(self, place: str, unit: Unit, chain: Mapping[str, str]) -> list[tuple[str, str]]:
        """Decide the `node_modules` of `place`; what is new in it, as (place, id)."""
        shelf = self._choose(place, unit, chain)
        if shelf:
            self.shelves[place] = shelf
        fresh = []
        for name in sorted(shelf, key=str.encode):
            at, key = f"{place}/node_modules/{name}".lstrip("/"), shelf[name]
            if key.startswith(LINK) or key in chain:
                self.links[at] = chain.get(key, key.removeprefix(LINK))
            else:
                self.places[at] = key
                fresh.append((at, key))
        return fresh

    def _choose(self, place: str, unit: Unit, chain: Mapping[str, str]) -> dict[str, str]:
        fixed = {name: ref for name, ref in unit.needs.items() if self.seen(place, name) != ref}
        roots = [unit]
        if not place:
            for path in sorted(self.homes, key=str.encode):
                if path and self.homes[path].name:
                    fixed.setdefault(self.homes[path].name, LINK + path)
            roots = [self.homes[path] for path in sorted(self.homes, key=str.encode)]
        census = self._census(place, roots, fixed)
        census.above.update(unit.needs if place else ())  # what it finds further up must not be hidden from itself
        chosen = {name: ref for name, ref in self._favourites(census) if name not in fixed and ref not in chain}
        self._respect_peers(place, chosen, fixed, census)
        return {**chosen, **fixed}

    def seen(self, place: str, name: str) -> str | None:
        """What Node finds under `name` from `place`, in the folders decided so far."""
        while True:
            found = self.shelves.get(place, {}).get(name)
            if found is not None or not place:
                return found
            place = place.rpartition("/")[0]

    def _census(self, place: str, roots: list[Unit], fixed: Mapping[str, str]) -> _Census:
        census = _Census()
        queue: list[Unit] = (
            list(roots) if not place else [self._unit(ref) for ref in fixed.values() if self._is_unit(ref)]
        )
        met = set() if not place else set(fixed.values())
        for unit in queue:
            for name, ref in unit.needs.items():
                if self.seen(place, name) == ref:
                    census.above.add(name)
                    continue
                census.ask(name, ref, unit)
                if ref not in met and self._is_unit(ref):
                    met.add(ref)
                    queue.append(self._unit(ref))
        return census

    def _is_unit(self, ref: str) -> bool:
        return not ref.startswith(LINK)

    def _unit(self, ref: str) -> Unit:
        if ref not in self.units:
            raise BadLock(self.lock, f"it has no {ref}, which something depends on")
        return self.units[ref]

    def _favourites(self, census: _Census) -> Iterator[tuple[str, str]]:
        """For each name the id most asked for; of equals the highest version, then the id, decide."""
        best: dict[str, tuple[object, str]] = {}
        for (name, ref), count in census.count.items():
            version = order(self.units[ref].version) if ref in self.units else ()
            rank = (count, version, ref)
            if name not in census.above and (name not in best or rank > best[name][0]):  # type: ignore[operator]
                best[name] = (rank, ref)
        return ((name, ref) for name, (_, ref) in best.items())

    def _respect_peers(self, place: str, chosen: dict[str, str], fixed: Mapping[str, str], census: _Census) -> None:
        """Take back what would see other peers here than beside one of the packages that ask for it."""
        while True:
            here = {**chosen, **fixed}
            wrong = [name for name, ref in chosen.items() if not self._peers_agree(place, here, name, ref, census)]
            if not wrong:
                return
            for name in wrong:
                del chosen[name]

    def _peers_agree(self, place: str, here: Mapping[str, str], name: str, ref: str, census: _Census) -> bool:
        peers = self.units[ref].peers if ref in self.units else ()
        for asker in census.askers[name, ref] if peers else ():
            for peer in peers:
                given = asker.needs.get(peer)
                if given is not None and (here.get(peer) or self.seen(place, peer)) != given:
                    return False
                if given is None and peer in asker.peers and self.units.get(here.get(asker.name, "")) is not asker:
                    return False
        return True
