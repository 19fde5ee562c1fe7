"""package.json, workspaces, and whether a lock still fits them; the small rules of versions and platforms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from npm_cases import sri, tree

from stager.ecosystems import npm
from stager.ecosystems.npm import semver
from stager.ecosystems.npm.manifest import manifest, workspaces
from stager.ecosystems.npm.names import from_purl, is_name, purl
from stager.ecosystems.npm.platform import Needs, allows, conditions
from stager.errors import BadManifest, LockStale

APP: dict[str, Any] = {
    "name": "app",
    "version": "1.0.0",
    "type": "module",
    "main": "server.js",
    "packageManager": "pnpm@9.0.0",
    "scripts": {"start": "node server.js"},
    "engines": {"node": "20.x"},
    "bin": "cli.js",
    "workspaces": ["packages/*"],
    "dependencies": {"ms": "^2.1.0", "both": "1"},
    "devDependencies": {"mocha": "^10.0.0"},
    "optionalDependencies": {"both": "1"},
    "peerDependencies": {"react": "*", "vue": "*"},
    "peerDependenciesMeta": {"vue": {"optional": True}},
}


def test_a_manifest_is_read_whole() -> None:
    found = manifest(tree({"package.json": "\ufeff" + json.dumps(APP)}))
    assert (found.name, found.version, found.type, found.main, found.package_manager) == (
        "app",
        "1.0.0",
        "module",
        "server.js",
        "pnpm@9.0.0",
    )
    assert (found.scripts, found.engines, found.bin) == (
        {"start": "node server.js"},
        {"node": "20.x"},
        {"app": "cli.js"},
    )
    assert (found.workspaces, found.production, found.optional) == (("packages/*",), {"ms": "^2.1.0"}, {"both": "1"})
    assert (found.peer, found.optional_peers, found.folder) == ({"react": "*", "vue": "*"}, frozenset({"vue"}), "")
    assert found.all() == {"ms": "^2.1.0", "both": "1", "mocha": "^10.0.0"}
    assert found.all(dev=False) == {"ms": "^2.1.0", "both": "1"}


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("{\n\n}}", "package.json:3", "not valid JSON: Extra data"),
        ('{"name": 1}', "package.json", "name: expected a string, found int"),
        ('{"scripts": {"start": []}}', "package.json", "scripts.start: expected a string, found list"),
        ('{"dependencies": []}', "package.json", "dependencies: expected a table, found list"),
        ('{"workspaces": [1]}', "package.json", "workspaces[0]: expected a string, found int"),
        ('{"workspaces": ["' + "*a" * 20 + '"]}', "package.json", "workspaces: '" + "*a" * 20 + "' is too long"),
        ('{"name": "../x"}', "package.json", "name: '../x' is not a package name"),
        ("7", "package.json", "document: expected a table"),
    ],
)
def test_a_malformed_manifest_is_named_by_line_or_path(text: str, where: str, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        npm.declared(tree({"package.json": text}))
    assert (caught.value.where, caught.value.message) == (where, message)


def test_old_engines_lists_are_ignored_as_npm_does() -> None:
    assert manifest(tree({"package.json": {"engines": ["node >= 0.4"]}})).engines == {}


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["packages/*"], ["packages/a", "packages/b"]),
        (["./packages/*/"], ["packages/a", "packages/b"]),
        (["packages/**"], ["packages/a", "packages/a/inner", "packages/b"]),
        (["**/inner"], ["packages/a/inner"]),
        (["packages/*", "!packages/b"], ["packages/a"]),
        (["packages/?"], ["packages/a", "packages/b"]),
        (["packages/a", "tool"], ["packages/a", "tool"]),
        (["*"], ["tool"]),
    ],
)
def test_workspace_patterns(patterns: list[str], found: list[str]) -> None:
    paths = ["packages/a", "packages/b", "packages/a/inner", "tool", "packages/a/node_modules/x"]
    files = {f"{path}/package.json": "{}" for path in paths}
    assert list(workspaces(tree({"package.json": "{}", **files}), patterns)) == found


def test_declared_names_of_the_app_and_its_workspaces() -> None:
    files = {
        "package.json": APP,
        "packages/a/package.json": {"dependencies": {"ws": "8"}, "devDependencies": {"x": "1"}},
    }
    assert npm.declared(tree(files)) == {"ms", "both", "react", "vue", "ws"}


# --- drift ---

SMALL: dict[str, Any] = {"name": "app", "dependencies": {"ms": "^2.1.0"}, "devDependencies": {"mocha": "^10.0.0"}}


def npm_lock(root: dict[str, Any], **more: Any) -> dict[str, Any]:
    packages = {
        "": root,
        "node_modules/ms": {"version": "2.1.3", "integrity": sri("ms")},
        "node_modules/mocha": {"version": "10.4.0", "dev": True},
        **more,
    }
    return {"lockfileVersion": 3, "packages": packages}


V1 = {"lockfileVersion": 1, "dependencies": {"ms": {"version": "2.1.3"}, "mocha": {"version": "10.4.0"}}}
PNPM = """
lockfileVersion: '9.0'
settings: {autoInstallPeers: true}
overrides: {forced: 1.0.0}
importers:
  .:
    dependencies:
      ms: {specifier: ^2.1.0, version: 2.1.3}
    devDependencies:
      mocha: {specifier: ^10.0.0, version: 10.4.0}
"""
YARN = 'ms@^2.1.0:\n  version "2.1.3"\nmocha@^10.0.0:\n  version "10.4.0"\n'
BERRY = """
__metadata: {version: 8}
"app@workspace:.":
  version: 0.0.0-use.local
  resolution: "app@workspace:."
  dependencies: {ms: "npm:^2.1.0", mocha: "npm:^10.0.0"}
"""
BUN = json.dumps({"lockfileVersion": 1, "workspaces": {"": SMALL}})
LINKER = {".yarnrc.yml": "nodeLinker: node-modules\n"}
LOCKS = [
    ("package-lock.json", json.dumps(npm_lock(SMALL)), "npm install", {}),
    ("npm-shrinkwrap.json", json.dumps(V1), "npm install", {}),
    ("pnpm-lock.yaml", PNPM, "pnpm install --lockfile-only", {}),
    ("yarn.lock", YARN, "yarn install", {}),
    ("yarn.lock", BERRY, "yarn install", LINKER),
    ("bun.lock", BUN, "bun install", {}),
]


@pytest.mark.parametrize(("lock", "text", "command", "more"), LOCKS)
def test_a_lock_that_fits_and_one_that_does_not(lock: str, text: str, command: str, more: dict[str, str]) -> None:
    npm.check_drift(tree({"package.json": SMALL, lock: text, **more}), lock)
    for change in ({"dependencies": {**SMALL["dependencies"], "new": "1"}}, {"dependencies": {"ms": "^3.0.0"}}):
        with pytest.raises(LockStale) as caught:
            npm.check_drift(tree({"package.json": {**SMALL, **change}, lock: text, **more}), lock)
        assert (caught.value.where, caught.value.message, caught.value.hint) == (
            lock,
            f"{lock} is out of step with package.json",
            f"Run '{command}' and commit the result.",
        )


@pytest.mark.parametrize(
    ("lock", "text", "more"),
    [(lock, text, more) for lock, text, _, more in LOCKS if text not in (json.dumps(V1), YARN)],
)
def test_a_dependency_that_is_gone_makes_a_lock_stale(lock: str, text: str, more: dict[str, str]) -> None:
    """Version 1 locks of npm and Yarn hold no list of what the app asks for, so they cannot tell."""
    with pytest.raises(LockStale):
        npm.check_drift(tree({"package.json": {**SMALL, "devDependencies": {}}, lock: text, **more}), lock)


def test_npm_accepts_another_range_that_the_locked_version_answers() -> None:
    for wanted, stale in (("~2.1.1", False), ("latest", True), ("^2.2.0", True)):
        files = {"package.json": {**SMALL, "dependencies": {"ms": wanted}}, "package-lock.json": npm_lock(SMALL)}
        if stale:
            with pytest.raises(LockStale):
                npm.check_drift(tree(files), "package-lock.json")
        else:
            npm.check_drift(tree(files), "package-lock.json")


def test_npm_workspaces_that_came_went_or_changed_are_named() -> None:
    root = {**SMALL, "workspaces": ["packages/*"]}
    a = {"name": "a", "dependencies": {"ms": "^2.0.0"}}
    linked = {"packages/a": a, "node_modules/a": {"resolved": "packages/a", "link": True}}
    files: dict[str, object] = {"package.json": root, "packages/a/package.json": a}
    npm.check_drift(tree({**files, "package-lock.json": npm_lock(root, **linked)}), "package-lock.json")
    for lock, change, changed in (
        (npm_lock(root), {}, ["packages/a/package.json"]),
        (
            npm_lock(root, **linked),
            {"packages/a/package.json": {"name": "a", "dependencies": {"ms": "9"}}},
            ["packages/a/package.json"],
        ),
        (npm_lock(SMALL, **linked), {"package.json": SMALL}, ["package.json"]),
    ):
        with pytest.raises(LockStale) as caught:
            npm.check_drift(tree({**files, **change, "package-lock.json": lock}), "package-lock.json")
        assert caught.value.data["changed"] == changed


def test_a_folder_dependency_of_npm_is_not_taken_for_a_lost_workspace() -> None:
    root = {"dependencies": {"lib": "file:./libs/lib"}}
    more = {"libs/lib": {}, "node_modules/lib": {"resolved": "libs/lib", "link": True}}
    npm.check_drift(tree({"package.json": root, "package-lock.json": npm_lock(root, **more)}), "package-lock.json")


def test_pnpm_overrides_and_installed_peers_are_no_drift() -> None:
    app = {**SMALL, "dependencies": {"ms": "^2.1.0", "forced": "^9.0.0"}, "peerDependencies": {"react": "*"}}
    text = PNPM.replace(
        "ms: {",
        "forced: {specifier: 1.0.0, version: 1.0.0}\n      react: {specifier: '*', version: 18.0.0}\n      ms: {",
    )
    npm.check_drift(tree({"package.json": app, "pnpm-lock.yaml": text}), "pnpm-lock.yaml")


def test_yarn_1_workspaces_links_and_resolutions_are_no_drift() -> None:
    app = {
        "workspaces": ["packages/*"],
        "dependencies": {"b": "^1.0.0", "l": "link:x", "f": "1"},
        "resolutions": {"**/f": "2"},
    }
    files: dict[str, object] = {"packages/b/package.json": {"name": "b", "version": "1.5.0"}, "yarn.lock": "# yarn\n"}
    npm.check_drift(tree({"package.json": app, **files}), "yarn.lock")


# --- versions, platforms, names ---


@pytest.mark.parametrize(
    ("version", "wanted", "answer"),
    [
        ("1.2.9", "^1.2.3", True),
        ("2.0.0", "^1.2.3", False),
        ("1.2.9", "~> 1.2", True),
        ("1.2.9", ">= 1.2 < 2", True),
        ("12.23.0", ">=v12.22.7", True),
        ("1.2.9", "^ 1.2 || 3", True),
        ("1.2.9", "v1.2.9", True),
        ("1.2.9+build", "=1.2.9", True),
        ("0.0.9", "^0.0.x", True),
        ("0.1.0", "^0.0.x", False),
        ("1.0.0-beta.2", "^1.0.0-beta.1", True),
        ("1.0.0-beta.2", "*", False),
        ("1.2.9", "", True),
        ("1.2.9", "latest", None),
        ("git+https://x", "1", None),
        ("1.2.9", "1" * 1000, None),
    ],
)
def test_ranges(version: str, wanted: str, answer: bool | None) -> None:
    assert semver.satisfies(version, wanted) is answer


def test_versions_have_a_total_order() -> None:
    versions = ["1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-beta", "1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "2.0.0", "x"]
    mixed = versions[::-1]
    assert sorted(mixed, key=semver.order) == versions


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        ((), True),
        (("any",), True),
        (("linux",), True),
        (("!linux",), False),
        (("!win32",), True),
        (("!win32", "darwin"), False),
        (("darwin",), False),
    ],
)
def test_platform_words(words: tuple[str, ...], fits: bool) -> None:
    assert allows(words, "linux") is fits


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("", Needs([], [], [])),
        ("os=linux & cpu=x64 & libc=glibc", Needs(["linux"], ["x64"], ["glibc"])),
        ("(os=linux | os=darwin) & cpu=!arm", Needs(["linux", "darwin"], ["!arm"], [])),
        ("os", None),
        ("os=a & & cpu=x", None),
        ("color=red", None),
        ("((os=a))", None),
    ],
)
def test_yarn_conditions(text: str, needs: Needs | None) -> None:
    assert conditions(text) == needs


@pytest.mark.parametrize("name", ["a", "@s/a", "JSONStream", "a.b_c~d", "_", "x" * 214])
def test_names_that_are_one(name: str) -> None:
    assert is_name(name)
    assert from_purl(purl(name, "1.0.0-rc.1+b")) == (name, "1.0.0-rc.1+b")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".a",
        "a/b",
        "@s",
        "@s/",
        "@/a",
        "@s/../a",
        "@s/.a",
        "node_modules",
        "NODE_MODULES",
        "a\n",
        "ü",
        "x" * 215,
        "a b",
        "a\\b",
    ],
)
def test_names_that_are_none(name: str) -> None:
    assert not is_name(name)
