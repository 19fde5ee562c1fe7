"""package-lock.json and npm-shrinkwrap.json: places, flags, platforms, links, digests, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from npm_cases import AMD64, ARM64, Registry, digest, sri, tree

from stager.ecosystems import npm
from stager.errors import BadLock, BadManifest, NeedsBuild, StagerError, Unpinned
from stager.model import Artifact, Locked, Stack
from stager.net.errors import NotCached
from stager.store.errors import DigestMismatch

LOCK = "package-lock.json"


def lock(packages: dict[str, Any], version: int = 3) -> dict[str, Any]:
    return {"name": "app", "lockfileVersion": version, "packages": {"": {"name": "app"}, **packages}}


def package(version: str, **more: Any) -> dict[str, Any]:
    return {"version": version, "integrity": sri(version), **more}


def read(
    packages: dict[str, Any], stack: Stack = AMD64, files: Mapping[str, object] | None = None, **more: Any
) -> Locked:
    return npm.read_lock(tree({LOCK: lock(packages), **(files or {})}), LOCK, stack, **more)


def places(locked: Locked) -> dict[str, str]:
    return {path: artifact.name for artifact in locked.artifacts for path in artifact.paths}


def refusal(kind: type[StagerError], packages: dict[str, Any], **more: Any) -> tuple[str, str, str]:
    with pytest.raises(kind) as caught:
        read(packages, **more)
    return caught.value.where, caught.value.message, caught.value.hint


def test_the_locks_own_paths_are_the_layout_and_one_tarball_is_one_artifact() -> None:
    locked = read(
        {
            "node_modules/debug": package("2.6.9"),
            "node_modules/@s/send": package("1.0.0"),
            "node_modules/@s/send/node_modules/ms": package("2.1.3"),
            "node_modules/x/node_modules/ms": package("2.1.3"),
            "node_modules/x": package("3.0.0"),
        }
    )
    assert locked.artifacts == (
        Artifact("pkg:npm/%40s/send@1.0.0", "send-1.0.0.tgz", digest("1.0.0"), "npm/1", ("node_modules/@s/send",)),
        Artifact("pkg:npm/debug@2.6.9", "debug-2.6.9.tgz", digest("2.6.9"), "npm/1", ("node_modules/debug",)),
        Artifact(
            "pkg:npm/ms@2.1.3",
            "ms-2.1.3.tgz",
            digest("2.1.3"),
            "npm/1",
            ("node_modules/@s/send/node_modules/ms", "node_modules/x/node_modules/ms"),
        ),
        Artifact("pkg:npm/x@3.0.0", "x-3.0.0.tgz", digest("3.0.0"), "npm/1", ("node_modules/x",)),
    )
    assert (locked.links, locked.notes, locked.names) == ((), (), frozenset({"@s/send", "debug", "ms", "x"}))


def test_an_alias_keeps_its_folder_and_is_fetched_under_its_real_name() -> None:
    locked = read({"node_modules/my-ms": package("2.1.2", name="ms")})
    assert [(item.purl, item.paths) for item in locked.artifacts] == [("pkg:npm/ms@2.1.2", ("node_modules/my-ms",))]


def test_names_keep_their_capitals() -> None:
    assert read({"node_modules/JSONStream": package("1.3.5")}).artifacts[0].purl == "pkg:npm/JSONStream@1.3.5"


def test_dev_packages_are_left_out_unless_asked_for_and_dev_optional_ones_stay() -> None:
    packages = {"node_modules/a": package("1.0.0", dev=True), "node_modules/b": package("2.0.0", devOptional=True)}
    assert places(read(packages)) == {"node_modules/b": "b@2.0.0"}
    assert places(read(packages, dev=True)) == {"node_modules/a": "a@1.0.0", "node_modules/b": "b@2.0.0"}


def test_bundled_packages_come_with_their_parent() -> None:
    packages = {
        "node_modules/a": package("1.0.0"),
        "node_modules/a/node_modules/b": {"version": "2.0.0", "inBundle": True},
    }
    assert places(read(packages)) == {"node_modules/a": "a@1.0.0"}


SHARP = {
    "": {"name": "app", "dependencies": {"sharp": "1"}},
    "node_modules/sharp": package("1.0.0", optionalDependencies={"x64": "1", "arm": "1", "musl": "1", "mac": "1"}),
    "node_modules/x64": package("1.0.1", optional=True, os=["linux"], cpu=["x64"], libc=["glibc"]),
    "node_modules/arm": package("1.0.2", optional=True, os=["linux"], cpu=["arm64"]),
    "node_modules/musl": package("1.0.3", optional=True, os=["linux"], libc=["musl"]),
    "node_modules/mac": package("1.0.4", optional=True, os="darwin", dependencies={"only-mac": "1", "shared": "1"}),
    "node_modules/only-mac": package("1.0.5", optional=True),
    "node_modules/shared": package("1.0.6"),
    "node_modules/user": package("1.0.7", dependencies={"shared": "1"}),
}


@pytest.mark.parametrize(("stack", "native"), [(AMD64, "x64"), (ARM64, "arm")])
def test_optional_packages_are_chosen_for_the_target_with_all_that_only_they_need(stack: Stack, native: str) -> None:
    packages = {**SHARP, "": {"dependencies": {"sharp": "1", "user": "1"}}}
    assert set(places(read(packages, stack))) == {
        f"node_modules/{name}" for name in ("sharp", native, "shared", "user")
    }


def test_what_a_development_package_shares_with_one_for_another_system_stays() -> None:
    """As `nx` and `vite` do: their WebAssembly builds, which no Linux takes, need `tslib`, and so do they."""
    packages = {
        "": {"devDependencies": {"tool": "1", "for-mac": "1"}},
        "node_modules/tool": package("1.0.0", dev=True, dependencies={"shared": "1"}),
        "node_modules/for-mac": package("1.0.1", dev=True, os=["darwin"], dependencies={"shared": "1", "alone": "1"}),
        "node_modules/shared": package("1.0.2", dev=True),
        "node_modules/alone": package("1.0.3", dev=True),
    }
    assert set(places(read(packages, dev=True))) == {"node_modules/tool", "node_modules/shared"}
    assert places(read(packages)) == {}


def test_an_optional_package_that_needs_an_unfit_one_goes_too() -> None:
    packages = {
        "": {"optionalDependencies": {"watcher": "1"}},
        "node_modules/watcher": package("1.0.0", optional=True, dependencies={"mac": "1"}),
        "node_modules/mac": package("1.0.1", optional=True, os=["!linux"]),
    }
    assert places(read(packages)) == {}


def test_a_package_for_another_system_that_the_app_needs_is_an_error() -> None:
    packages = {"": {"dependencies": {"mac": "1"}}, "node_modules/mac": package("1.0.0", os=["darwin"], cpu=["!arm64"])}
    assert refusal(BadLock, packages) == (
        LOCK,
        "node_modules/mac runs on darwin !arm64 only, and stack debian-12 is linux x64 glibc",
        "Move the package that needs it to optionalDependencies, or remove it, and make the lock again.",
    )


WORKSPACE = {
    "": {"workspaces": ["packages/*"]},
    "node_modules/@x/a": {"resolved": "packages/a", "link": True},
    "packages/a": {"name": "@x/a", "version": "1.0.0", "bin": {"a-tool": "./cli.js", "lost": "none.js"}},
    "packages/a/node_modules/ms": package("2.0.0"),
}


def test_workspaces_become_links_with_their_commands() -> None:
    files = {"packages/a/package.json": {"name": "@x/a"}, "packages/a/cli.js": "#!/usr/bin/env node\n"}
    locked = read(WORKSPACE, files=files)
    assert locked.links == (
        ("node_modules/.bin/a-tool", "../@x/a/cli.js"),
        ("node_modules/@x/a", "../../packages/a"),
    )
    assert places(locked) == {"packages/a/node_modules/ms": "ms@2.0.0"}


def test_a_workspace_that_is_not_in_the_app_is_an_error() -> None:
    assert refusal(BadLock, WORKSPACE) == (
        LOCK,
        "@x/a is the folder packages/a, which is not in the app",
        "Add packages/a (is it left out by an ignore file?), or remove @x/a and make the lock again.",
    )


def test_a_package_below_a_link_is_refused() -> None:
    packages = {**WORKSPACE, "node_modules/@x/a/node_modules/evil": package("1.0.0")}
    message = "node_modules/@x/a/node_modules/evil lies below node_modules/@x/a, which is a link"
    files: dict[str, object] = {"packages/a/package.json": {}}
    assert refusal(BadLock, packages, files=files)[:2] == (LOCK, message)


@pytest.mark.parametrize(
    ("resolved", "hosts", "url"),
    [
        ("{default}/ms/-/ms-1.0.0.tgz", (), ""),
        ("https://npm.example/ms/-/ms-1.0.0.tgz", (), "https://npm.example/ms/-/ms-1.0.0.tgz"),
        ("https://npm.example/ms/-/ms-1.0.0.tgz", ("npm.example",), ""),
        ("https://npm.example:8443/x.tgz", ("npm.example:8443",), ""),
        ("https://u:p@files.example/x.tgz?token=secret#frag", (), "https://files.example/x.tgz"),
    ],
)
def test_a_url_is_kept_only_for_files_outside_the_registries_and_never_a_secret(
    resolved: str, hosts: tuple[str, ...], url: str
) -> None:
    from stager.ecosystems.npm.source import default_host

    packages = {"node_modules/ms": package("1.0.0", resolved=resolved.format(default=f"https://{default_host()}"))}
    assert read(packages, registry_hosts=frozenset(hosts)).artifacts[0].url == url


def test_the_strongest_digest_is_taken_and_sha1_is_remarked() -> None:
    packages = {
        "node_modules/a": {"version": "1.0.0", "integrity": f"{sri('a', 'sha1')} {sri('a', 'sha256')} md5-xx"},
        "node_modules/b": {"version": "2.0.0", "integrity": sri("b", "sha1")},
    }
    locked = read(packages)
    assert [item.digest for item in locked.artifacts] == [digest("a", "sha256"), digest("b", "sha1")]
    assert locked.notes == ("only SHA-1 digests are known of: b@2.0.0; make the lock again to get SHA-512",)


def test_install_scripts_are_listed() -> None:
    locked = read({"node_modules/esbuild": package("0.21.5", hasInstallScript=True)})
    assert locked.notes == ("install scripts are not run: esbuild@0.21.5",)


def test_packages_without_a_digest_are_all_named() -> None:
    packages = {"node_modules/a": {"version": "1.0.0"}, "node_modules/b": {"version": "2.0.0", "integrity": "md5-xx"}}
    assert refusal(Unpinned, packages) == (
        LOCK,
        "not pinned by version and digest: a@1.0.0, b@2.0.0",
        "Write what \"npm view a@1.0.0 dist.integrity\" prints into package-lock.json, as its 'integrity', and so for the "
        "others; 'npm install' adds none.",
    )


@pytest.mark.parametrize(
    "resolved",
    ["git+ssh://git@git.example/u/r.git#{}", "git@git.example:u/r.git#{}", "https://user:pw@git.example/u/r.git#{}"],
)
def test_a_commit_of_a_git_repository(resolved: str) -> None:
    found = read({"node_modules/r": {"version": "1.0.0", "resolved": resolved.format("a" * 40)}})
    (one,) = found.artifacts
    assert (one.purl, one.filename, one.layout) == ("pkg:npm/r@1.0.0", "r-1.0.0-aaaaaaaaaaaa.tar", "npm-commit/1")
    assert (one.url, one.digest) == (f"git+https://git.example/u/r.git@{'a' * 40}", f"sha1:{'a' * 40}")
    assert found.unsure == (one.purl,)
    assert found.notes == ()


@pytest.mark.parametrize(
    "resolved",
    ["git+ssh://git@git.example/u/r.git#abc", "github:u/r#abc", "git@git.example:u/r", "https://git.example/r.git"],
)
def test_git_dependencies_must_be_built(resolved: str) -> None:
    spec = f"git+{resolved}" if resolved.startswith("https") else resolved
    assert refusal(NeedsBuild, {"node_modules/r": package("1.0.0", resolved=resolved)}) == (
        "",
        "must be built first: r@1.0.0 (it comes from a git repository, and no whole commit of it is named)",
        f"Depend on a published version; or run 'npm pack {spec}', put the tarball into the app, depend on it by 'file:' "
        "and its path, and run 'npm install'.",
    )


def test_a_tarball_of_a_url_without_a_digest_says_how_to_have_it() -> None:
    packages = {"node_modules/r": {"version": "1.0.0", "resolved": "https://files.example/r.tgz"}}
    command = "echo sha512-$(curl -sL 'https://files.example/r.tgz' | openssl dgst -sha512 -binary | openssl base64 -A)"
    hint = f"Write what \"{command}\" prints into package-lock.json, as its 'integrity'; 'npm install' adds none."
    assert refusal(Unpinned, packages)[2] == hint


def test_a_tarball_in_the_app_is_checked_and_named_by_its_path() -> None:
    packages = {"node_modules/v": {"version": "1.0.0", "resolved": "file:vendor/v.tgz", "integrity": sri("bytes")}}
    assert read(packages, files={"vendor/v.tgz": b"bytes"}).artifacts == (
        Artifact(
            "pkg:npm/v@1.0.0", "v-1.0.0.tgz", digest("bytes"), "npm/1", ("node_modules/v",), url="file:vendor/v.tgz"
        ),
    )
    _, message, hint = refusal(DigestMismatch, packages, files={"vendor/v.tgz": b"other"})
    assert message == f"vendor/v.tgz: expected {digest('bytes')}, got {digest('other')}"
    assert hint == "If vendor/v.tgz is right, make package-lock.json again."
    assert refusal(BadLock, packages) == (
        LOCK,
        "v is the file vendor/v.tgz, which is not in the app",
        "Add vendor/v.tgz, or remove v.",
    )


def test_a_copied_folder_is_refused_with_the_cure() -> None:
    assert refusal(BadLock, {"node_modules/v": {"version": "1.0.0", "resolved": "file:vendor/v"}}) == (
        LOCK,
        "v@1.0.0 is a copy of 'file:vendor/v'",
        "Set install-links=false in .npmrc, or pack the folder with 'npm pack', and run 'npm install'.",
    )


# --- version 1 ---

VERSION1: dict[str, Any] = {
    "lockfileVersion": 1,
    "requires": True,
    "dependencies": {
        "a": package(
            "1.0.0",
            requires={"b": "^2.0.0"},
            dependencies={"b": package("2.0.0"), "c": {"version": "1.0.0", "bundled": True}},
        ),
        "b": package("1.5.0", dev=True),
        "alias": {"version": "npm:@s/real@3.0.0", "integrity": sri("real")},
        "mac": package("1.1.0", optional=True),
        "tied": package("1.2.0", optional=True),
    },
}


def test_version_1_nests_as_it_says_and_asks_the_registry_for_platforms() -> None:
    registry = Registry({"mac@1.1.0": {"os": ["darwin"]}, "tied@1.2.0": {"os": "linux", "cpu": ["x64"], "libc": None}})
    locked = npm.read_lock(tree({LOCK: VERSION1}), LOCK, AMD64, lookup=registry)
    assert places(locked) == {
        "node_modules/a": "a@1.0.0",
        "node_modules/a/node_modules/b": "b@2.0.0",
        "node_modules/alias": "@s/real@3.0.0",
        "node_modules/tied": "tied@1.2.0",
    }
    assert registry.asked == ["mac@1.1.0", "tied@1.2.0"]


def test_version_1_with_optional_packages_needs_the_registry() -> None:
    with pytest.raises(NotCached) as caught:
        npm.read_lock(tree({LOCK: VERSION1}), LOCK, AMD64)
    assert caught.value.message == (
        "not in the store, and --offline is set: mac@1.1.0 (its platform is not in the lock), "
        "tied@1.2.0 (its platform is not in the lock)"
    )


def test_version_1_folders_and_web_tarballs() -> None:
    document = {
        "lockfileVersion": 1,
        "dependencies": {
            "local": {"version": "file:libs/local", "requires": {"web": "1"}},
            "web": {"version": "https://files.example/web.tgz", "integrity": sri("web")},
        },
    }
    locked = npm.read_lock(tree({LOCK: document, "libs/local/package.json": {}}), LOCK, AMD64)
    assert locked.links == (("node_modules/local", "../libs/local"),)
    assert locked.artifacts == (
        Artifact(
            "pkg:npm/web", "web.tgz", digest("web"), "npm/1", ("node_modules/web",), url="https://files.example/web.tgz"
        ),
    )


# --- malformed ---


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("{", f"{LOCK}:1", "not valid JSON: Expecting property name enclosed in double quotes"),
        ("[]", LOCK, "document: expected a table"),
        ('{"lockfileVersion": 4}', LOCK, "lockfileVersion 4 is not one of 1, 2, 3"),
        ('{"lockfileVersion": "3"}', LOCK, "lockfileVersion: expected an integer, found str"),
        ('{"lockfileVersion": 3, "packages": {}}', LOCK, "packages: has no entry for the app itself"),
        ('{"lockfileVersion": 3, "packages": []}', LOCK, "packages: expected a table, found list"),
        ('{"a": 1,\n"a": 2}', LOCK, "'a' is given twice"),
        ("{\n<<<<<<< HEAD\n}", f"{LOCK}:2", "the file holds a merge conflict"),
        ("[" * 100_000, LOCK, "not readable as JSON: nested too deeply"),
        ("1" * 5000, f"{LOCK}:1", "not readable as JSON: a number has too many digits"),
        ('{"a": "\\ud800"}', f"{LOCK}:1", "not readable as JSON: it holds half of a character (a lone surrogate)"),
    ],
)
def test_malformed_documents_are_named_by_line(text: str, where: str, message: str) -> None:
    with pytest.raises(BadLock) as caught:
        npm.read_lock(tree({LOCK: text}), LOCK, AMD64)
    assert (caught.value.where, caught.value.message) == (where, message)


def test_a_lock_that_is_not_utf8_or_absent_is_named() -> None:
    with pytest.raises(BadLock) as caught:
        npm.read_lock(tree({LOCK: b'{"a":\n"\xff"}'}), LOCK, AMD64)
    assert (caught.value.where, caught.value.message) == (f"{LOCK}:2", "the file is not UTF-8")
    with pytest.raises(BadLock) as caught:
        npm.read_lock(tree({"x": ""}), LOCK, AMD64)
    assert (caught.value.where, caught.value.message) == (LOCK, "the file is not in the app")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("node_modules/..", "'..' is not a package name"),
        ("node_modules/../../etc", "'../../etc' is not a package name"),
        ("node_modules/.bin", "'.bin' is not a package name"),
        ("node_modules/a/node_modules/node_modules", "'node_modules' is not a package name"),
        ("node_modules/", "'' is not a package name"),
        ("node_modules/@s/a/b", "'@s/a/b' is not a package name"),
        ("node_modules/a\\b", "'a\\\\b' is not a package name"),
        ("../x", "it needs the folder '../x', which is outside the app"),
        ("/etc/node_modules/x", "it needs the folder '/etc', which is outside the app"),
        (".stager/node_modules/x", "it needs the folder '.stager', which cannot be a part of the app"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str, message: str) -> None:
    assert refusal(BadLock, {path: package("1.0.0")})[:2] == (LOCK, message)


@pytest.mark.parametrize("target", ["../out", "/etc", "node_modules/x", ".."])
def test_links_that_lead_elsewhere_are_refused(target: str) -> None:
    packages = {"node_modules/x": {"resolved": target, "link": True}}
    why = "which cannot be a part of" if target == "node_modules/x" else "which is outside"
    message = f"x is a link to the folder {target!r}, {why} the app"
    assert refusal(BadLock, packages)[:2] == (LOCK, message)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"version": "../1", "integrity": sri("x")}, "a has the impossible version '../1'"),
        ({"integrity": sri("x")}, "packages.node_modules/a: has no 'version'"),
        ({"version": "1.0.0", "integrity": "sha512-!!"}, "a@1.0.0 has a malformed integrity value sha512-!!"),
        ({"version": "1.0.0", "integrity": "sha512-AAAA"}, "a@1.0.0 has a malformed integrity value sha512-AAAA"),
        (
            {"version": "1.0.0", "integrity": f"{sri('x')} {sri('y')}"},
            "a@1.0.0 has two different sha512 digests",
        ),
        ({"version": "1.0.0", "dev": "yes"}, "packages.node_modules/a.dev: expected true or false, found str"),
        ({"version": "1.0.0", "name": "../a"}, "'../a' is not a package name"),
    ],
)
def test_malformed_entries_are_refused(entry: dict[str, Any], message: str) -> None:
    assert refusal(BadLock, {"node_modules/a": entry})[:2] == (LOCK, message)


def test_locks_are_found_in_npms_order_and_buns_binary_one_has_its_cure() -> None:
    files: dict[str, object] = {
        "yarn.lock": "",
        "npm-shrinkwrap.json": "{}",
        "package-lock.json": "{}",
        "a/bun.lock": "",
    }
    assert npm.find_locks(tree(files)) == ["npm-shrinkwrap.json", "package-lock.json", "yarn.lock"]
    with pytest.raises(BadLock) as caught:
        npm.find_locks(tree({"bun.lockb": b"\0"}))
    assert (caught.value.where, caught.value.message, caught.value.hint) == (
        "bun.lockb",
        "this binary lock can be read by Bun alone",
        "Run 'bun install --save-text-lockfile --frozen-lockfile --lockfile-only' and commit bun.lock.",
    )
    with pytest.raises(BadLock, match="this is not a lock file of npm, pnpm, Yarn or Bun"):
        npm.read_lock(tree({}), "uv.lock", AMD64)


def test_the_result_does_not_depend_on_the_order_of_the_lock() -> None:
    packages = dict(SHARP)
    backwards = dict(reversed(packages.items()))
    assert read(packages) == read(backwards)


def test_manifest_errors_name_the_file() -> None:
    with pytest.raises(BadManifest) as caught:
        npm.declared(tree({"package.json": "{\n,"}))
    assert caught.value.where == "package.json:2"
