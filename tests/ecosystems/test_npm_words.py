"""An app's own words on which packages are built when it is installed."""

from __future__ import annotations

import pytest
from npm_cases import tree

from stager.ecosystems.npm.words import words


@pytest.mark.parametrize(
    ("files", "lock", "named", "never", "alone"),
    [
        ({}, "package-lock.json", "", "", False),
        ({"package.json": {"trustedDependencies": ["a", "@s/b"]}}, "bun.lock", "@s/b a", "", True),
        ({"package.json": {"trustedDependencies": []}}, "bun.lock", "", "", True),
        ({"package.json": {"trustedDependencies": ["a"]}}, "yarn.lock", "a", "", False),
        ({"package.json": {"pnpm": {"onlyBuiltDependencies": ["a@1 || 2", "@s/b@3"]}}}, "pnpm-lock.yaml", "@s/b a", "", True),
        ({"package.json": {"pnpm": {"neverBuiltDependencies": ["a"]}}}, "pnpm-lock.yaml", "", "a", False),
        (
            {"pnpm-workspace.yaml": "ignoredBuiltDependencies: [a]\nonlyBuiltDependencies: [a, b]"},
            "pnpm-lock.yaml", "b", "a", True,
        ),
        ({"pnpm-workspace.yaml": "allowBuilds:\n  a: true\n  b: false\n"}, "pnpm-lock.yaml", "a", "b", True),
        (
            {"package.json": {"dependenciesMeta": {"a": {"built": True}, "b@1": {"built": False}, "c": {"optional": True}}}},
            "yarn.lock", "a", "b", False,
        ),
        ({"package.json": {"pnpm": ["x"], "dependenciesMeta": 3, "trustedDependencies": {}}}, "bun.lock", "", "", False),
    ],
)  # fmt: skip
def test_the_words_of_each_tool(files: dict[str, object], lock: str, named: str, never: str, alone: bool) -> None:
    found = words(tree(files), lock)
    assert (" ".join(sorted(found.named)), " ".join(sorted(found.never)), found.alone) == (named, never, alone)


def test_a_list_of_what_is_built_leaves_out_the_others() -> None:
    listed = words(tree({"package.json": {"trustedDependencies": ["a"]}}), "bun.lock")
    assert [listed.forbid(name) for name in ("a", "b")] == [False, True]
    other = words(tree({"package.json": {"trustedDependencies": ["a"]}}), "package-lock.json")
    assert [other.forbid(name) for name in ("a", "b")] == [False, False]


PNPM = {"packageManager": "pnpm@10.4.1"}


@pytest.mark.parametrize(
    ("files", "lock", "built"),
    [
        ({".npmrc": "ignore-scripts=true\n"}, "package-lock.json", ""),
        ({".npmrc": "ignore_scripts\n"}, "pnpm-lock.yaml", ""),
        ({".npmrc": "ignore-scripts=false\n"}, "package-lock.json", "a b"),
        ({".npmrc": "ignore-scripts=true\n", "package.json": {"allowScripts": {"a": True}}}, "package-lock.json", ""),
        ({".npmrc": "ignore-scripts=true\n", ".yarnrc.yml": "nodeLinker: node-modules\n"}, "yarn.lock", "a b"),
        ({".npmrc": "ignore-scripts=true\n"}, "yarn.lock", ""),
        ({".yarnrc": "ignore-scripts true\n"}, "yarn.lock", ""),
        ({".yarnrc.yml": "enableScripts: false\n"}, "yarn.lock", ""),
        (
            {".yarnrc.yml": "enableScripts: false\n", "package.json": {"dependenciesMeta": {"a": {"built": True}}}},
            "yarn.lock", "a",
        ),
        ({"bunfig.toml": "[install]\nignoreScripts = true\n"}, "bun.lock", ""),
        ({"package.json": {"allowScripts": {"a": True, "b@1.0.0 || 1.0.1": False}}}, "package-lock.json", "a"),
        ({"package.json": {"allowScripts": {"a": True}}}, "package-lock.json", "a b"),
        (
            {"package.json": {"allowScripts": {"a@*": True}}, ".npmrc": "strict-allow-scripts=true\n"},
            "package-lock.json", "a",
        ),
        ({"package.json": PNPM}, "pnpm-lock.yaml", ""),
        ({"package.json": PNPM}, "package-lock.json", "a b"),
        ({"package.json": {"packageManager": "pnpm@9.15.0"}}, "pnpm-lock.yaml", "a b"),
        ({"package.json": {**PNPM, "pnpm": {"onlyBuiltDependencies": ["b"]}}}, "pnpm-lock.yaml", "b"),
        ({"package.json": {**PNPM, "pnpm": {"neverBuiltDependencies": ["b"]}}}, "pnpm-lock.yaml", "a"),
        ({"package.json": {**PNPM, "pnpm": {"neverBuiltDependencies": []}}}, "pnpm-lock.yaml", "a b"),
        ({"package.json": PNPM, "pnpm-workspace.yaml": "dangerouslyAllowAllBuilds: true\n"}, "pnpm-lock.yaml", "a b"),
        ({"package.json": PNPM, "pnpm-workspace.yaml": "allowBuilds:\n  a: true\n"}, "pnpm-lock.yaml", "a"),
    ],
)  # fmt: skip
def test_what_each_tool_would_build(files: dict[str, object], lock: str, built: str) -> None:
    found = words(tree(files), lock)
    assert " ".join(name for name in ("a", "b") if not found.forbid(name)) == built


@pytest.mark.parametrize(
    ("npmrc", "compiled"),
    [
        ("", ""),
        ("build-from-source=true\n", "a b"),
        ("build_from_source=b,c\n", "b"),
        ("build-from-source=false\n", ""),
        ("build-from-source\n", "a b"),
    ],
)
def test_what_is_compiled_though_it_has_an_add_on(npmrc: str, compiled: str) -> None:
    found = words(tree({".npmrc": npmrc}), "package-lock.json")
    assert " ".join(name for name in ("a", "b") if found.compiles(name)) == compiled
    assert found.looked == found.sources
    assert not words(tree({".npmrc": npmrc, ".yarnrc.yml": ""}), "yarn.lock").compiles("a")
