"""The hoister: whatever the graph, Node finds for every need exactly what the lock says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stager.ecosystems.npm import layout
from stager.ecosystems.npm.graph import LINK, NpmGraph, Unit
from stager.errors import BadLock

Tree = tuple[dict[str, str], dict[str, str]]


def unit(key: str, *needs: str, peers: tuple[str, ...] = ()) -> Unit:
    """A package `name@version` and the ids it needs."""
    name, _, version = key.rpartition("@")
    return Unit(name, {need.rpartition("@")[0]: need for need in needs}, frozenset(), frozenset(peers), version)


def hoist(root: Unit, *units: Unit, homes: dict[str, Unit] | None = None) -> Tree:
    graph = NpmGraph({"": root, **(homes or {})}, {f"{one.name}@{one.version}": one for one in units})
    return layout.hoist(graph, "yarn.lock")


def found_by_node(place: str, name: str, tree: Tree) -> str | None:
    """Node's algorithm: the nearest node_modules upward that has the name; links are followed to their real path."""
    places, links = tree
    while True:
        candidate = f"{place}/node_modules/{name}".lstrip("/")
        if candidate in links:
            target = links[candidate]
            return places.get(target, LINK + target)
        if candidate in places:
            return places[candidate]
        if not place:
            return None
        place = place.rpartition("/")[0]


def check(graph: NpmGraph, tree: Tree) -> None:
    """Every need of every package that is placed, and of every home, resolves to what it should."""
    owners = [*graph.homes.items(), *((place, graph.units[key]) for place, key in tree[0].items())]
    for place, one in owners:
        for name, ref in one.needs.items():
            assert found_by_node(place, name, tree) == ref, (place, name)


def test_the_version_most_packages_need_is_at_the_root() -> None:
    tree = hoist(
        unit("app@1", "a@1", "b@1", "c@1"),
        unit("a@1", "ms@1"),
        unit("b@1", "ms@2"),
        unit("c@1", "ms@2"),
        unit("ms@1"),
        unit("ms@2"),
    )
    assert tree == (
        {
            "node_modules/a": "a@1",
            "node_modules/b": "b@1",
            "node_modules/c": "c@1",
            "node_modules/ms": "ms@2",
            "node_modules/a/node_modules/ms": "ms@1",
        },
        {},
    )


def test_of_versions_needed_equally_often_the_highest_is_at_the_root() -> None:
    places, _ = hoist(
        unit("app@1", "a@1", "b@1"),
        unit("a@1", "ms@9.0.0"),
        unit("b@1", "ms@10.0.0"),
        unit("ms@9.0.0"),
        unit("ms@10.0.0"),
    )
    assert places["node_modules/ms"] == "ms@10.0.0"


def test_what_the_app_itself_needs_is_always_at_the_root() -> None:
    places, _ = hoist(
        unit("app@1", "ms@1", "a@1", "b@1"), unit("a@1", "ms@2"), unit("b@1", "ms@2"), unit("ms@1"), unit("ms@2")
    )
    assert places["node_modules/ms"] == "ms@1"


def test_conflicts_are_nested_as_high_as_they_can_be() -> None:
    """x needs y@1, which needs z@1; the root has y@2 and z@2: one z@1 beside y@1, not below it."""
    places, _ = hoist(
        unit("app@1", "x@1", "y@2", "z@2"),
        unit("x@1", "y@1"),
        unit("y@1", "z@1"),
        unit("y@2"),
        unit("z@1"),
        unit("z@2"),
    )
    assert sorted(places) == [
        "node_modules/x",
        "node_modules/x/node_modules/y",
        "node_modules/x/node_modules/z",
        "node_modules/y",
        "node_modules/z",
    ]


def test_a_cycle_of_conflicting_versions_ends_in_a_link() -> None:
    """No finite nesting satisfies a@1 → b@1 → a@2 → b@2 → a@1; a link to the copy above does."""
    units = [
        unit("a@1", "b@1"),
        unit("b@1", "a@2"),
        unit("a@2", "b@2"),
        unit("b@2", "a@1"),
        unit("a@3"),
        unit("b@3"),
        unit("x@1", "a@1"),
    ]
    root = unit("app@1", "a@3", "b@3", "x@1")
    tree = hoist(root, *units)
    check(NpmGraph({"": root}, {f"{one.name}@{one.version}": one for one in units}), tree)
    assert tree[1]
    assert all(path.startswith(f"{target}/") and target in tree[0] for path, target in tree[1].items())


def test_workspaces_are_linked_at_the_root_and_keep_their_own_versions() -> None:
    root = Unit("app", {"ms": "ms@2"})
    homes = {
        "packages/a": Unit("@x/a", {"ms": "ms@1", "@x/b": LINK + "packages/b"}),
        "packages/b": Unit("@x/b", {"ms": "ms@2"}),
    }
    assert hoist(root, unit("ms@1"), unit("ms@2"), homes=homes) == (
        {"node_modules/ms": "ms@2", "packages/a/node_modules/ms": "ms@1"},
        {"node_modules/@x/a": "packages/a", "node_modules/@x/b": "packages/b"},
    )


def test_a_package_stays_beside_the_one_that_gives_it_its_peer() -> None:
    """Both x and the app use plugin@1 with another host; hoisted, x's would see the app's host."""
    tree = hoist(
        unit("app@1", "host@2", "x@1"),
        unit("host@1"),
        unit("host@2"),
        unit("x@1", "host@1", "plugin@1"),
        unit("plugin@1", peers=("host",)),
    )
    assert tree[0] == {
        "node_modules/host": "host@2",
        "node_modules/x": "x@1",
        "node_modules/x/node_modules/host": "host@1",
        "node_modules/x/node_modules/plugin": "plugin@1",
    }


def test_a_peer_passed_on_by_a_peer_keeps_both_together() -> None:
    tree = hoist(
        unit("app@1", "host@2", "x@1"),
        unit("host@1"),
        unit("host@2"),
        unit("x@1", "host@1", "kit@1"),
        unit("kit@1", "plugin@1", peers=("host",)),
        unit("plugin@1", peers=("host",)),
    )
    plugin = next(place for place, key in tree[0].items() if key == "plugin@1")
    assert found_by_node(plugin, "host", tree) == "host@1"


def test_a_need_without_a_package_is_an_error() -> None:
    with pytest.raises(BadLock, match="it has no ms@1, which something depends on"):
        hoist(unit("app@1", "a@1"), unit("a@1", "ms@1"))


@st.composite
def graphs(draw: st.DrawFn) -> NpmGraph:
    """Few names and versions, so that conflicts and cycles are frequent; up to three workspaces, one inside another."""
    names = ["a", "b", "c", "@s/d", "e"]
    ids = [f"{name}@{version}" for name in names for version in ("1", "2", "3")]

    def needs(paths: list[str]) -> dict[str, str]:
        chosen = draw(st.lists(st.sampled_from(ids), max_size=4))
        found = {key.rpartition("@")[0]: key for key in chosen}
        for path in draw(st.lists(st.sampled_from(paths), max_size=2)) if paths else []:
            found[path.replace("/", "-")] = LINK + path
        return found

    paths = draw(st.lists(st.sampled_from(["p/x", "p/y", "p/x/z"]), unique=True))
    homes = {path: Unit(path.replace("/", "-"), needs(paths)) for path in paths}
    units = {
        key: Unit(key.rpartition("@")[0], needs([]), frozenset(), frozenset(), key.rpartition("@")[2]) for key in ids
    }
    return NpmGraph({"": Unit("app", needs(paths)), **homes}, units)


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_node_finds_what_the_lock_says_in_every_graph(graph: NpmGraph) -> None:
    check(graph, layout.hoist(graph, "yarn.lock"))


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_the_order_of_the_lock_does_not_matter(graph: NpmGraph) -> None:
    backwards = NpmGraph(
        dict(list(graph.homes.items())[::-1]),
        {
            key: Unit(one.name, dict(list(one.needs.items())[::-1]), one.wants, one.peers, one.version)
            for key, one in list(graph.units.items())[::-1]
        },
    )
    assert layout.hoist(graph, "yarn.lock") == layout.hoist(backwards, "yarn.lock")
