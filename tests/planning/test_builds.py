"""What a build has around it beside the droplet's own."""

from __future__ import annotations

from dataclasses import replace

from stager.digest import Digest
from stager.model import Artifact, Locked
from stager.planning.builds import beyond

ONE = Artifact("pkg:npm/a@1", "a-1.tgz", Digest("sha512:" + "0" * 128), "npm/1", ("node_modules/a",))
TWO = Artifact("pkg:npm/b@1", "b-1.tgz", Digest("sha512:" + "1" * 128), "npm/1", ("node_modules/b",))


def test_packages_for_development_are_what_the_droplet_lacks() -> None:
    locked = Locked((ONE,), links=(("node_modules/c", "../c"),))
    both = replace(ONE, paths=("node_modules/a", "node_modules/b/node_modules/a"))
    whole = Locked((both, TWO), links=(("node_modules/c", "../c"), ("node_modules/d", "../d")), files=(("f", "1"),))
    assert beyond(locked, whole) == Locked(
        (replace(ONE, paths=("node_modules/b/node_modules/a",)), TWO),
        links=(("node_modules/d", "../d"),),
        files=(("f", "1"),),
    )
    assert beyond(locked, locked) == Locked(())


def test_packages_that_would_be_elsewhere_are_not_added_to_the_droplet_s() -> None:
    locked = Locked((ONE,), links=(("node_modules/c", "../c"),), files=(("f", "1"),))
    moved = Locked((replace(ONE, paths=("node_modules/x/node_modules/a",)),), locked.links, locked.files)
    assert beyond(locked, moved) is None
    assert beyond(locked, replace(locked, links=(("node_modules/c", "../other"),))) is None
    assert beyond(locked, replace(locked, files=(("f", "2"),))) is None
    assert beyond(locked, replace(locked, artifacts=())) is None
