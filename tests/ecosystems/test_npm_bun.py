"""bun.lock: its keys are places, its rows are of several shapes."""

from __future__ import annotations

from typing import Any

import pytest
from npm_cases import AMD64, ARM64, digest, sri, tree

from stager.ecosystems import npm
from stager.errors import BadLock, NeedsBuild, StagerError, Unpinned
from stager.model import Artifact, Locked, Stack

LOCK = "bun.lock"
TEXT = f"""{{
  // Bun writes trailing commas, and "//" in a text is no comment
  "lockfileVersion": 1,
  "workspaces": {{
    "": {{
      "name": "app",
      "dependencies": {{ "express": "4", "my-ms": "npm:ms@2.0.0", }},
      "devDependencies": {{ "mocha": "10" }},
      "optionalDependencies": {{ "mac": "1", "x64": "1", "arm": "1" }},
    }},
    "packages/a": {{ "name": "@x/a", "bin": {{ "a-tool": "cli.js" }},
      "dependencies": {{ "ms": "2.1.3", "@x/b": "workspace:*" }} }},
    "packages/b": {{ "name": "@x/b", "peerDependencies": {{ "lost": "*" }}, "optionalPeers": ["lost"] }},
  }},
  "packages": {{
    "@x/a": ["@x/a@workspace:packages/a"],
    "@x/a/ms": ["ms@2.1.3", "", {{}}, "{sri("ms2.1.3")}"],
    "@x/b": ["@x/b@workspace:packages/b"],
    "express": ["express@4.18.2", "", {{ "dependencies": {{ "debug": "2" }}, "bin": {{ "e": "e.js" }} }}, "{sri("express")}"],
    "express/debug": ["debug@2.6.9", "", {{ "dependencies": {{ "ms": "2.0.0" }} }}, "{sri("debug")}"],
    "express/debug/ms": ["ms@2.0.0", "", {{}}, "{sri("ms2.0.0")}"],
    "mac": ["mac@1.0.0", "", {{ "os": "darwin" }}, "{sri("mac")}"],
    "arm": ["arm@1.0.0", "", {{ "os": ["linux", "darwin"], "cpu": "arm64" }}, "{sri("arm")}"],
    "x64": ["x64@1.0.0", "", {{ "os": "!win32", "cpu": "x64" }}, "{sri("x64")}"],
    "mocha": ["mocha@10.0.0", "", {{}}, "{sri("mocha")}"],
    "my-ms": ["ms@2.0.0", "", {{}}, "{sri("ms2.0.0")}"],
  }}
}}
"""
FILES: dict[str, object] = {"packages/a/cli.js": "", "packages/a/package.json": {}, "packages/b/package.json": {}}


def read(text: str = TEXT, stack: Stack = AMD64, files: dict[str, object] | None = None, **more: Any) -> Locked:
    return npm.read_lock(tree({LOCK: text, **FILES, **(files or {})}), LOCK, stack, **more)


def places(locked: Locked) -> dict[str, str]:
    return {path: artifact.name for artifact in locked.artifacts for path in artifact.paths}


def refusal(kind: type[StagerError], text: str, **more: Any) -> tuple[str, str]:
    with pytest.raises(kind) as caught:
        read(text, **more)
    return caught.value.where, caught.value.message


@pytest.mark.parametrize(("stack", "native"), [(AMD64, "x64"), (ARM64, "arm")])
def test_keys_are_places_and_workspaces_hold_their_own(stack: Stack, native: str) -> None:
    locked = read(stack=stack)
    assert places(locked) == {
        f"node_modules/{native}": f"{native}@1.0.0",
        "node_modules/express": "express@4.18.2",
        "node_modules/express/node_modules/debug": "debug@2.6.9",
        "node_modules/express/node_modules/debug/node_modules/ms": "ms@2.0.0",
        "node_modules/my-ms": "ms@2.0.0",
        "packages/a/node_modules/ms": "ms@2.1.3",
    }
    assert locked.links == (
        ("node_modules/.bin/a-tool", "../@x/a/cli.js"),
        ("node_modules/@x/a", "../../packages/a"),
        ("node_modules/@x/b", "../../packages/b"),
    )
    assert locked.notes == ()


def test_development_packages_come_when_asked_for() -> None:
    assert "node_modules/mocha" in places(read(dev=True))


def row(value: str, key: str = "x") -> str:
    return (
        '{"lockfileVersion": 2, "workspaces": {"": {"dependencies": {"x": "1"}}}, "packages": {"'
        + key
        + '": '
        + value
        + "}}"
    )


@pytest.mark.parametrize(
    ("value", "purl", "url"),
    [
        (f'["x@1.0.0", "", {{}}, "{sri("x")}"]', "pkg:npm/x@1.0.0", ""),
        (
            f'["x@1.0.0", "https://npm.example/x.tgz", {{}}, "{sri("x")}"]',
            "pkg:npm/x@1.0.0",
            "https://npm.example/x.tgz",
        ),
        (f'["x@1.0.0", "https://npm.example/", {{}}, "{sri("x")}"]', "pkg:npm/x@1.0.0", ""),
        (f'["x@https://a.example/x.tgz", {{}}, "{sri("x")}"]', "pkg:npm/x", "https://a.example/x.tgz"),
        (f'["x@vendor/x.tgz", {{}}, "{sri("x")}"]', "pkg:npm/x", "file:vendor/x.tgz"),
    ],
)
def test_rows_of_every_fetchable_shape(value: str, purl: str, url: str) -> None:
    (found,) = read(row(value), files={"vendor/x.tgz": b"x"}).artifacts
    assert (found.purl, found.url, found.digest) == (purl, url, digest("x"))


def test_a_folder_of_the_app_is_a_link_and_bundled_packages_come_with_their_parent() -> None:
    assert read(row('["x@file:lib", {}]'), files={"lib/a": ""}).links == (("node_modules/x", "../lib"),)
    text = row(
        f'["x@1.0.0", "", {{"dependencies": {{"y": "1"}}}}, "{sri("x")}"], '
        f'"x/y": ["y@1.0.0", "", {{"bundled": true}}, "{sri("y")}"]'
    )
    assert places(read(text)) == {"node_modules/x": "x@1.0.0"}


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            '["x@git+ssh://git@git.example/x.git#abc", {}, "abc"]',
            NeedsBuild,
            "must be built first: x@git+ssh://git@git.example/x.git#abc "
            "(it comes from a git repository, and no whole commit of it is named)",
        ),
        (
            f'["x@github:u/x#abc", {{}}, "u-x-abc", "{sri("x")}"]',
            NeedsBuild,
            "must be built first: x@github:u/x#abc (it comes from a git repository, and no whole commit of it is named)",
        ),
        ('["x@1.0.0", "", {}, ""]', Unpinned, "not pinned by version and digest: x@1.0.0"),
        ('["x@https://a.example/x.tgz", {}]', Unpinned, "not pinned by version and digest: x@https://a.example/x.tgz"),
        ("[]", BadLock, "packages.x: expected the package's name and version first"),
        ("{}", BadLock, "packages.x: expected an array, found dict"),
        (f'["../x@1.0.0", "", {{}}, "{sri("x")}"]', BadLock, "'../x' is not a package name"),
        (f'["x@../1", "", {{}}, "{sri("x")}"]', BadLock, "x has the impossible version '../1'"),
        ('["x@file:../out", {}]', BadLock, "x is a link to the folder '../out', which is outside the app"),
        ('["x@link:gone", {}]', BadLock, "x is the folder gone, which is not in the app"),
        (
            f'["x@1.0.0", "", {{"os": "darwin"}}, "{sri("x")}"]',
            BadLock,
            "x runs on darwin only, and stack debian-12 is linux x64 glibc",
        ),
    ],
)
def test_rows_that_cannot_be_honoured(value: str, error: type[StagerError], message: str) -> None:
    assert refusal(error, row(value))[1] == message


@pytest.mark.parametrize("key", ["../x", "x/../../y", "@s", "x//y", ".bin", "node_modules"])
def test_keys_that_lead_elsewhere_are_refused(key: str) -> None:
    text = row(f'["x@1.0.0", "", {{}}, "{sri("x")}"], "{key}": ["x@1.0.0", "", {{}}, "{sri("x")}"]')
    assert refusal(BadLock, text)[1].endswith(" is not a package name")


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ('{"lockfileVersion": 9}', LOCK, "lockfileVersion 9 is not one of 0 to 3"),
        ('{\n/* a\nb */\n"x": }', f"{LOCK}:4", "not valid JSON: Expecting value"),
        (
            '{"lockfileVersion": 1, "workspaces": {"": {"dependencies": {"x": "1"}}}}',
            LOCK,
            "it has no x, which the app depends on",
        ),
        (TEXT.replace('"packages/a":', '"../a":'), LOCK, "it needs the folder '../a', which is outside the app"),
    ],
)
def test_malformed_locks_are_named_by_line(text: str, where: str, message: str) -> None:
    assert refusal(BadLock, text) == (where, message)


def test_patches_are_refused_by_name() -> None:
    text = TEXT.replace('"packages": {', '"patchedDependencies": {"debug@2.6.9": "p", "gone@1": "p"},\n"packages": {')
    assert refusal(BadLock, text) == (
        LOCK,
        "Bun patches these packages, and stager does not apply patches: debug@2.6.9",
    )


def test_artifacts_are_complete() -> None:
    assert read().artifacts[0] == Artifact(
        "pkg:npm/debug@2.6.9", "debug-2.6.9.tgz", digest("debug"), "npm/1", ("node_modules/express/node_modules/debug",)
    )
