"""Unpacking npm tarballs, their commands, and what would have to be compiled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from npm_cases import AMD64, ARM64, artifact, pack

from stager.ecosystems import covered, npm
from stager.ecosystems.errors import Mislabelled
from stager.ecosystems.npm.bins import bin_links, tidy
from stager.ecosystems.npm.natives import needs_build
from stager.ecosystems.npm.platform import Needs
from stager.ecosystems.npm.said import PackageSaid
from stager.errors import StagerError
from stager.formats.archive import content_bytes
from stager.formats.errors import BadArchive, UnsafeEntry

PLACE = "node_modules/tool"


def unpacked(
    folder: Path, files: Mapping[str, object], path: str = PLACE, **more: Any
) -> tuple[dict[str, tuple[bytes, bool]], dict[str, object]]:
    described = {"package.json": {"name": "tool", "version": "1.0.0"}, **files}
    with npm.unpack(pack(folder, described, **more), artifact(), path) as found:
        assert found.links == {}
        return {entry.path: (content_bytes(entry.content), entry.executable) for entry in found.files}, found.meta


@pytest.mark.parametrize("top", ["package", "tool-1.0.0", "."])
def test_the_first_folder_goes_whatever_its_name(tmp_path: Path, top: str) -> None:
    files, _ = (
        unpacked(tmp_path, {"lib/a.js": "a", "run*": "x"}, top=top)
        if top != "."
        else unpacked(tmp_path, {"lib/a.js": "a", "run*": "x"}, top="./package")
    )
    assert files[f"{PLACE}/lib/a.js"] == (b"a", False)
    assert files[f"{PLACE}/run"] == (b"x", True)


def test_bins_are_executable_and_lose_the_carriage_return_of_their_first_line(tmp_path: Path) -> None:
    manifest = {"name": "tool", "version": "1.0.0", "bin": {"a": "./a.js", "b": "b.js", "gone": "none.js"}}
    script = "#!/usr/bin/env node\r\nx\r\n"
    files, meta = unpacked(tmp_path, {"package.json": manifest, "a.js": script, "b.js": "x\r\n", "c.js": script})
    assert files[f"{PLACE}/a.js"] == (b"#!/usr/bin/env node\nx\r\n", True)
    assert files[f"{PLACE}/b.js"] == (b"x\r\n", True)
    assert files[f"{PLACE}/c.js"] == (script.encode(), False)
    assert meta["bin"] == {"a": "a.js", "b": "b.js"}


def test_links_are_dropped_and_counted(tmp_path: Path) -> None:
    files, meta = unpacked(tmp_path, {"a": "x"}, links={"b": "a"})
    assert (set(files), meta["dropped"]) == ({f"{PLACE}/a", f"{PLACE}/package.json"}, 1)


def test_ignore_files_are_named_as_npm_names_them_and_kept_for_pnpm(tmp_path: Path) -> None:
    content = {".gitignore": "a", "x/.gitignore": "b", "x/.npmignore": "c"}
    files, _ = unpacked(tmp_path, content)
    assert {path: data for path, (data, _) in files.items() if "ignore" in path} == {
        f"{PLACE}/.npmignore": b"a",
        f"{PLACE}/x/.npmignore": b"c",
    }
    store = "node_modules/.pnpm/tool@1.0.0/node_modules/tool"
    files, _ = unpacked(tmp_path, content, store)
    assert f"{store}/x/.gitignore" in files


def test_what_later_steps_need_to_know(tmp_path: Path) -> None:
    manifest = {
        "name": "tool",
        "version": "1.0.0",
        "scripts": {"postinstall": "node x", "install": "node-gyp-build", "test": "x"},
        "dependencies": {"b": "1", "a": "1", "o": "1"},
        "optionalDependencies": {"o": "1"},
        "directories": {"bin": "./bin"},
    }
    inner = {"name": "@s/inner", "version": "1.0.0", "bin": "cli.js"}
    _, meta = unpacked(
        tmp_path,
        {
            "package.json": manifest,
            "binding.gyp": "{}",
            "prebuilds/linux-x64/node.napi.node": b"\x7fELF",
            "bin/run": "x",
            "bin/.hidden": "x",
            "node_modules/@s/inner/package.json": inner,
            "node_modules/@s/inner/cli.js": "x",
            "node_modules/@s/inner/test/node_modules/package.json": "not looked at",
        },
    )
    assert meta == {
        "name": "tool",
        "version": "1.0.0",
        "bin": {"run": "bin/run"},
        "install": ["install", "postinstall"],
        "native": "its install script compiles an add-on",
        "prebuilt": ["prebuilds/linux-x64/node.napi.node"],
        "needs": ["a", "b"],
        "wants": ["o"],
        "bundled": {"node_modules/@s/inner": {"inner": "cli.js"}},
        "dropped": 0,
    }
    assert PackageSaid.from_json(json.loads(json.dumps(meta))).to_json() == meta


def test_what_a_package_runs_on_is_kept_where_it_says_so(tmp_path: Path) -> None:
    """A list may be written as one word; of a package without a version, as of a folder's tarball, only the name is told."""
    manifest = {"name": "tool", "version": "1.0.0", "os": "linux", "cpu": ["x64", "arm64"]}
    _, meta = unpacked(tmp_path, {"package.json": manifest})
    assert (meta["os"], meta["cpu"], "libc" in meta) == (["linux"], ["x64", "arm64"], False)
    said = PackageSaid.from_json(json.loads(json.dumps(meta)))
    assert (said.runs_on, str(said)) == (Needs(("linux",), ("x64", "arm64")), "tool@1.0.0")
    assert str(replace(said, version="")) == "tool"


def test_the_package_inside_must_be_the_one_the_lock_asks_for(tmp_path: Path) -> None:
    for name, version in [
        ("evil", "1.0.0"), ("Tool", "1.0.0"), ("@team/tool", "1.0.0"), ("", "1.0.0"), (None, "1.0.0"), (["tool"], "1.0.0"),
        ("tool", "1.0.1"), ("tool", "1.0.0-1"), ("tool", "1.0"), ("tool", ""), ("tool", None), ("tool", "latest"),
    ]:  # fmt: skip
        with pytest.raises(Mislabelled) as caught:
            unpacked(tmp_path, {"package.json": {"name": name, "version": version}})
        found = f"{'' if name is None else name}@{'' if version is None else version}"
        assert caught.value.message == f"tool@1.0.0: its package.json says {found}, but tool@1.0.0 was asked for"
        assert caught.value.exit_code == 50
    for version in (
        "1.0.0",
        "v1.0.0+build.5",
        "=1.0.0",
        " 1.0.0\n",
        "01.0.00",
        "v 1.0.0",
    ):  # as semver reads it loosely
        unpacked(tmp_path, {"package.json": {"name": "tool", "version": version}})


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"package.json": "{"}, BadArchive, "tool@1.0.0: its package.json is not valid JSON: "),
        ({"package.json": "[" * 50_000}, BadArchive, "tool@1.0.0: its package.json is not valid JSON: "),
        ({"package.json": "[]"}, BadArchive, "tool@1.0.0: its package.json is not a table"),
        (
            {"package.json": b'{"name": "tool", "bin": {"\\ud800": "x"}}'},
            BadArchive,
            "tool@1.0.0: its package.json is not valid JSON: it ",
        ),
        (
            {"package.json": b'{"name": "tool", "bin": "\\udfff.js"}'},
            BadArchive,
            "tool@1.0.0: its package.json is not valid JSON: it ",
        ),
        ({"package.json": b"\xff"}, BadArchive, "tool@1.0.0: its package.json is not valid JSON: "),
        (
            {"package.json": " " * (5 << 20)},
            BadArchive,
            "tool@1.0.0: its package.json is 5242880 bytes; the limit is 4194304",
        ),
        ({"../../x": "a"}, UnsafeEntry, "tool@1.0.0: member 'package/../../x' has '..' in its name"),
    ],
)
def test_hostile_tarballs_are_refused(
    tmp_path: Path, files: Mapping[str, object], error: type[StagerError], message: str
) -> None:
    with pytest.raises(error) as caught:
        unpacked(tmp_path, files)
    assert caught.value.message.startswith(message)


def test_a_tarball_without_a_manifest_or_with_two_tops_for_one_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive) as caught, npm.unpack(pack(tmp_path, {"a": "x"}), artifact(), PLACE):
        pass
    assert caught.value.message == "tool@1.0.0: has no package.json"
    files = {"a/package.json": "{}", "b/package.json": "{}"}
    with pytest.raises(UnsafeEntry) as twice, npm.unpack(pack(tmp_path, files, top="."), artifact(), PLACE):
        pass
    assert twice.value.message == (
        "tool@1.0.0: member 'b/package.json' is there twice once the first folder is taken away"
    )


# --- commands ---


@pytest.mark.parametrize(
    ("table", "tidied"),
    [
        ("cli.js", {"tool": "cli.js"}),
        (["bin/a", "bin/b"], {"a": "bin/a", "b": "bin/b"}),
        ({"../../etc/x": "a.js", "..": "a.js", ".": "a.js", "": "a.js", "d/": "a.js"}, {"x": "a.js"}),
        (
            {"a": "../../../etc/passwd", "b": "/abs.js", "c": "x/../y.js", "d": "", "e": 1, "f": "."},
            {"a": "etc/passwd", "b": "abs.js", "c": "y.js"},
        ),
        ({"C:\\x\\y": "w\\z.js"}, {"y": "w/z.js"}),
        ({"a\nb": "x", "c": "x\0"}, {}),
        (None, {}),
        (7, {}),
    ],
)
def test_commands_are_base_names_and_targets_stay_inside(table: object, tidied: dict[str, str]) -> None:
    assert tidy(table, "@s/tool") == tidied


def said(name: str, **bins: str) -> PackageSaid:
    return PackageSaid(name, "1.0.0", bins)


def test_every_node_modules_folder_gets_its_links_and_the_first_name_wins() -> None:
    placed = [
        ("node_modules/zed", said("zed", x="x.js")),
        ("node_modules/@s/a", said("@s/a", x="bin/x.js", own="own.js")),
        ("node_modules/zed/node_modules/b", said("b", b="b.js")),
        ("packages/w/node_modules/c", said("c", c="c.js")),
    ]
    assert bin_links(placed) == bin_links(list(reversed(placed)))
    assert bin_links(placed) == {
        "node_modules/.bin/own": "../@s/a/own.js",
        "node_modules/.bin/x": "../@s/a/bin/x.js",
        "node_modules/zed/node_modules/.bin/b": "../b/b.js",
        "packages/w/node_modules/.bin/c": "../c/c.js",
    }


def test_in_pnpms_store_commands_are_beside_the_links_and_in_the_package_that_needs_them() -> None:
    store = "node_modules/.pnpm"
    placed = [
        (f"{store}/a@1/node_modules/@s/a", said("@s/a", a="a.js")),
        (f"{store}/b@1/node_modules/b", said("b", b="b.js")),
    ]
    links = [
        ("node_modules/@s/a", "../.pnpm/a@1/node_modules/@s/a"),
        (f"{store}/a@1/node_modules/b", "../../b@1/node_modules/b"),
        (f"{store}/node_modules/b", "../b@1/node_modules/b"),
        ("node_modules/.bin/taken", "../x"),
    ]
    assert bin_links(placed, links) == {
        "node_modules/.bin/a": "../@s/a/a.js",
        f"{store}/a@1/node_modules/@s/a/node_modules/.bin/b": "../../../../b/b.js",
        f"{store}/node_modules/.bin/b": "../b/b.js",
    }


def test_commands_of_bundled_packages_are_linked_inside() -> None:
    table = replace(said("npm"), bundled={"node_modules/which": {"which": "bin/w"}})
    assert bin_links([("node_modules/npm", table)]) == {"node_modules/npm/node_modules/.bin/which": "../which/bin/w"}


def test_a_bundled_copy_gives_way_to_the_package_the_lock_places_there() -> None:
    places = ["node_modules/npm", "node_modules/npm/node_modules/a", "node_modules/npm2"]
    files = [f"node_modules/npm/{name}" for name in ("x", "node_modules/a/y", "node_modules/ab/z")]
    assert covered("node_modules/npm", files, places) == ["node_modules/npm/node_modules/a/y"]
    assert covered("node_modules/npm2", files, places) == []


# --- native add-ons ---


def native(name: str, *prebuilt: str) -> tuple[str, PackageSaid]:
    return f"node_modules/{name}", replace(said(name), native="it has a binding.gyp", prebuilt=prebuilt)


@pytest.mark.parametrize(
    ("file", "amd64", "arm64"),
    [
        ("prebuilds/linux-x64/node.napi.node", True, False),
        ("prebuilds/linux-x64+arm64/x.glibc.node", True, True),
        ("prebuilds/linux-arm64/node.abi115.node", False, True),
        ("prebuilds/linux-x64/node.napi.musl.node", False, False),
        ("prebuilds/linuxmusl-x64/node.node", False, False),
        ("prebuilds/darwin-x64/node.napi.node", False, False),
        ("build/Release/addon.node", False, False),
        ("lib/linux-x86_64/addon.node", True, False),
    ],
)
def test_a_prebuilt_add_on_must_be_for_the_target(file: str, amd64: bool, arm64: bool) -> None:
    placed = [native("addon", file)]
    found = [("addon@1.0.0", "it has a binding.gyp, and holds none for linux {}")]
    for stack, fits, cpu in ((AMD64, amd64, "x64"), (ARM64, arm64, "arm64")):
        expected = [] if fits else [(name, why.format(cpu)) for name, why in found]
        assert needs_build(placed, stack) == expected


def test_add_ons_that_are_only_wanted_are_no_obstacle() -> None:
    placed = [native("cpu-features"), ("node_modules/ssh2", replace(said("ssh2"), wants=("cpu-features",)))]
    assert needs_build(placed, AMD64) == []
    assert [name for name, _ in needs_build(placed, AMD64, {"cpu-features"})] == ["cpu-features@1.0.0"]
    needy = ("node_modules/y", replace(said("y"), needs=("cpu-features",)))
    assert [name for name, _ in needs_build([*placed, needy], AMD64)] == ["cpu-features@1.0.0"]


def test_an_addon_in_a_platform_package_of_its_own_is_enough() -> None:
    """As @parcel/watcher and its like ship theirs: the parent holds sources, an optional dependency the binary."""
    wants = ("@p/watcher-linux-x64-glibc", "@p/watcher-linux-x64-musl", "@p/watcher-darwin-arm64")
    parent = PackageSaid("@p/watcher", "2.0.0", {}, native="its install script compiles an add-on", wants=wants)

    def needs(*names: str) -> list[tuple[str, str]]:
        others = [replace(said(name), prebuilt=("watcher.node",)) for name in names]
        placed = [(f"node_modules/{one.name}", one) for one in (parent, *others)]
        return needs_build(placed, AMD64, ["@p/watcher"])

    assert needs("@p/watcher-linux-x64-glibc") == []
    refused = [("@p/watcher@2.0.0", "its install script compiles an add-on, and holds none for linux x64")]
    assert needs() == refused
    assert needs("@p/watcher-linux-x64-musl") == refused
    assert needs("@p/watcher-darwin-arm64") == refused
