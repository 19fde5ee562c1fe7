"""Which packages of a lock are looked into, since they may have to be compiled."""

from __future__ import annotations

import pytest
from npm_cases import AMD64, Registry, sri, tree

from stager.ecosystems.npm import read_lock
from stager.ecosystems.npm.suspects import Suspect, unsure


def test_the_locks_word_counts_and_helpers_where_it_is_silent() -> None:
    found = [
        Suspect("scripts", "1.0.0", (), (), True),
        Suspect("none", "1.0.0", ("node-addon-api",), (), False),
        Suspect("silent", "1.0.0", ("node-addon-api",), ()),
        Suspect("prebuilt", "1.0.0", (), ("node-gyp-build",)),
        Suspect("plain", "1.0.0", ("express",), ()),
        Suspect("named", "1.0.0", (), ()),
    ]
    assert unsure(found, (), {"named"}) == ["scripts@1.0.0", "silent@1.0.0", "prebuilt@1.0.0", "named@1.0.0"]


def test_what_the_rest_goes_on_without_is_no_suspect() -> None:
    found = [
        Suspect("ssh2", "1.0.0", (), ("cpu-features",)),
        Suspect("cpu-features", "0.0.10", ("nan",), (), True),
    ]
    assert unsure(found, ()) == []
    assert unsure(found, {"cpu-features"}) == ["cpu-features@0.0.10"]
    assert unsure([*found, Suspect("x", "1.0.0", ("cpu-features",), ())], ()) == ["cpu-features@0.0.10"]


def entry(name: str, **more: object) -> dict[str, object]:
    return {"version": "1.0.0", "integrity": sri(name), **more}


PACKAGE = {"name": "app", "dependencies": {"addon": "^1.0.0", "plain": "^1.0.0"}}
LOCK_2 = {
    "lockfileVersion": 3,
    "packages": {
        "": PACKAGE,
        "node_modules/addon": entry("addon", hasInstallScript=True, dependencies={"bindings": "1"}),
        "node_modules/bindings": entry("bindings"),
        "node_modules/plain": entry("plain"),
    },
}
LOCK_1 = {
    "lockfileVersion": 1,
    "dependencies": {
        "addon": entry("addon", requires={"bindings": "1"}),
        "bindings": entry("bindings"),
        "plain": entry("plain"),
    },
}
PNPM_6 = f"""\
lockfileVersion: '6.0'
dependencies:
  addon: {{specifier: ^1.0.0, version: 1.0.0}}
  plain: {{specifier: ^1.0.0, version: 1.0.0}}
packages:
  /addon@1.0.0: {{resolution: {{integrity: {sri("addon")}}}, requiresBuild: true}}
  /plain@1.0.0: {{resolution: {{integrity: {sri("plain")}}}, dependencies: {{bindings: 1.0.0}}}}
  /bindings@1.0.0: {{resolution: {{integrity: {sri("bindings")}}}}}
"""
PNPM_9 = f"""\
lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      addon: {{specifier: ^1.0.0, version: 1.0.0}}
      plain: {{specifier: ^1.0.0, version: 1.0.0}}
packages:
  addon@1.0.0: {{resolution: {{integrity: {sri("addon")}}}}}
  bindings@1.0.0: {{resolution: {{integrity: {sri("bindings")}}}}}
  plain@1.0.0: {{resolution: {{integrity: {sri("plain")}}}}}
snapshots:
  addon@1.0.0: {{dependencies: {{bindings: 1.0.0}}}}
  bindings@1.0.0: {{}}
  plain@1.0.0: {{}}
"""
YARN_1 = f"""\
# yarn lockfile v1


addon@^1.0.0:
  version "1.0.0"
  integrity {sri("addon")}
  dependencies:
    bindings "1"

bindings@1:
  version "1.0.0"
  integrity {sri("bindings")}

plain@^1.0.0:
  version "1.0.0"
  integrity {sri("plain")}
"""
BERRY = """\
__metadata:
  version: 8
"app@workspace:.":
  version: 0.0.0-use.local
  resolution: "app@workspace:."
  dependencies: {addon: "npm:^1.0.0", plain: "npm:^1.0.0"}
  linkType: soft
"addon@npm:^1.0.0": {version: 1.0.0, resolution: "addon@npm:1.0.0"}
"plain@npm:^1.0.0": {version: 1.0.0, resolution: "plain@npm:1.0.0"}
"""
BUN = {
    "lockfileVersion": 1,
    "workspaces": {"": {"name": "app", "dependencies": PACKAGE["dependencies"]}},
    "packages": {
        "addon": ["addon@1.0.0", "", {"dependencies": {"bindings": "1"}}, sri("addon")],
        "bindings": ["bindings@1.0.0", "", {}, sri("bindings")],
        "plain": ["plain@1.0.0", "", {}, sri("plain")],
    },
}


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("package-lock.json", LOCK_2),
        ("package-lock.json", LOCK_1),
        ("pnpm-lock.yaml", PNPM_6),
        ("pnpm-lock.yaml", PNPM_9),
        ("yarn.lock", YARN_1),
        ("yarn.lock", BERRY),
        ("bun.lock", BUN),
    ],
    ids=["npm-3", "npm-1", "pnpm-6", "pnpm-9", "yarn-1", "yarn-berry", "bun"],
)
def test_every_lock_names_its_suspects(name: str, lock: object) -> None:
    registry = Registry(
        {
            "addon@1.0.0": {"dist": {"integrity": sri("addon")}, "hasInstallScript": True},
            "plain@1.0.0": {"dist": {"integrity": sri("plain")}},
        }
    )

    def read(**more: object) -> tuple[str, ...]:
        return read_lock(tree({"package.json": {**PACKAGE, **more}, name: lock}), name, AMD64, lookup=registry).unsure

    assert read() == ("pkg:npm/addon@1.0.0",)
    assert read(dependenciesMeta={"plain": {"built": True}}) == ("pkg:npm/addon@1.0.0", "pkg:npm/plain@1.0.0")
