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
