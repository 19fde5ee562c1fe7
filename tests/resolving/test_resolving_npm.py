"""What npm is shown of an app, and the settings that it gets; a lock made so is npm's own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stager.ecosystems.errors import LockFailed
from stager.ecosystems.npm import resolver as npm
from stager.errors import BadManifest, NeedsBuild, StagerError
from stager.locking import install
from stager.net.indexes import Indexes
from stager.net.indexes.configured import npm_options
from stager.net.indexes.origins import Credential, Origin
from stager.resolving import confined
from stager.settings import Settings
from stager.store import Store
from stager.tree import SourceTree


def tree(files: dict[str, object]) -> SourceTree:
    return SourceTree.of(
        {name: one if isinstance(one, (str, bytes)) else json.dumps(one) for name, one in files.items()}
    )


def test_scripts_keep_their_names_and_do_nothing() -> None:
    manifest = {
        "name": "app",
        "scripts": {"postinstall": "rm -rf /", "start": "node ."},
        "config": {"x": "y"},
        "publishConfig": {"registry": "http://127.0.0.1/"},
        "packageManager": "npm@10",
        "dependencies": {"a": "^1"},
    }
    shown = npm.manifests(tree({"package.json": manifest, "binding.gyp": "{}", "index.js": ""}), Indexes())
    assert {path: json.loads(text) for path, text in shown.items()} == {
        "package.json": {"name": "app", "scripts": {"postinstall": ":", "start": ":"}, "dependencies": {"a": "^1"}}
    }


def test_workspaces_folders_and_tarballs_take_part_and_nothing_else() -> None:
    files: dict[str, object] = {
        "package.json": {"workspaces": {"packages": ["w/*"]}, "dependencies": {"t": "file:vendor/t.tgz", "l": "./lib"}},
        "w/a/package.json": {"name": "a", "devDependencies": {"b": "link:../../b"}},
        "lib/package.json": {"name": "l"},
        "b/package.json": {"name": "b"},
        "vendor/t.tgz": b"tar",
        "other/package.json": "{not even JSON",
    }
    assert list(npm.manifests(tree(files), Indexes())) == [
        *("package.json", "vendor/t.tgz", "lib/package.json", "w/a/package.json", "b/package.json")
    ]


REPOSITORIES = [
    "git+https://code.example/a.git",
    "git+ssh://git@code.example/a.git",
    "git+file:///srv/a",
    "GIT+HTTPS://code.example/a",
    " git://code.example/a",
    "git@code.example:a/b.git",
    "ssh://git@code.example/a",
    "github:a/b",
    "gitlab:a/b#main",
    "bitbucket:a/b",
    "gist:123456",
    "a/b",
    "a/b#semver:^1",
    "https://github.com/a/b",
    "https://github.com/a/b/",
    "https://www.gitlab.com/a/b#v1",
    "https://code.example/a.git#main",
]


@pytest.mark.parametrize("spec", REPOSITORIES)
def test_repositories_are_named_with_their_line(spec: str) -> None:
    check_named("dependencies", spec)


@pytest.mark.parametrize("key", ["devDependencies", "optionalDependencies", "peerDependencies", "overrides"])
def test_repositories_of_every_kind_of_dependency(key: str) -> None:
    check_named(key, "owner/lib")


def check_named(key: str, spec: str) -> None:
    text = json.dumps({"name": "app", key: {"x": "1", "lib": spec}}, indent=1)
    with pytest.raises(NeedsBuild) as caught:
        npm.manifests(tree({"package.json": text}), Indexes())
    assert caught.value.data["needs"] == {"lib": "a git repository, asked for by package.json:5"}


FINE = [
    "1",
    "^1.2",
    ">=1 <2 || 3",
    "latest",
    "*",
    "",
    "npm:@a/b@^1",
    "$x",
    "https://files.example/a.tgz",
]


@pytest.mark.parametrize("spec", FINE)
def test_versions_and_public_tarballs_are_left_to_npm(spec: str) -> None:
    shown = npm.manifests(tree({"package.json": {"dependencies": {"lib": spec}}}), Indexes())
    assert json.loads(shown["package.json"]) == {"dependencies": {"lib": spec}}


OUTSIDE = [
    ("file:../lib", "lib is at '../lib', outside the app"),
    ("file:///lib", "lib is at '///lib', outside the app"),
    ("/lib", "lib is at '/lib', outside the app"),
    ("~/lib", "lib is at '~/lib', outside the app"),
    ("file:a/../../lib", "lib is at 'a/../../lib', outside the app"),
    ("file:%2e%2e/lib", "lib is at '../lib', outside the app"),
    ("../lib.tgz", "lib is at '../lib.tgz', outside the app"),
    ("file:none", "lib is at 'none', and there is no package"),
    (
        "https://10.0.0.1/lib.tgz",
        "the URL of lib is not fetched: it names a private address that is not among the configured indexes",
    ),
    (
        "http://files.example/lib.tgz",
        "the URL of lib is not fetched: it is not encrypted (http), and its host is not among the configured indexes",
    ),
    (
        "HTTP://127.0.0.1/lib.tgz",
        "the URL of lib is not fetched: it is not encrypted (http), and its host is not among the configured indexes",
    ),
]


@pytest.mark.parametrize(("spec", "why"), OUTSIDE)
def test_what_leads_out_is_refused(spec: str, why: str) -> None:
    with pytest.raises(StagerError) as caught:
        npm.manifests(tree({"package.json": {"dependencies": {"lib": spec}}}), Indexes())
    assert isinstance(caught.value, BadManifest)
    assert (caught.value.where, caught.value.message) == ("package.json:1", why)


def test_settings_name_registries_their_credentials_and_how_to_resolve() -> None:
    mine = "https://corp.example/npm"
    secret = "Basic " + base64.b64encode(b"me:pass").decode()
    indexes = Indexes(
        npm_registry=mine,
        npm_scopes={"@own": "https://other.example:8443/r"},
        npm_options={"legacy-peer-deps": "true", "before": "2026-01-01"},
        credentials=(
            Credential(Origin.of(mine), "/npm/", "Bearer abc"),
            Credential(Origin.of("https://other.example:8443"), "/", secret),
            Credential(Origin.of("https://pypi.example"), "/", "Basic nothing-of-npms"),
        ),
    )
    app = "git=./x.sh\nlegacy-peer-deps=false\nbefore=2099-01-01\nscript-shell=./x\n"
    app += "lockfile-version=2\n//corp.example/:_authToken=evil\n"
    rows = npm.settings(tree({".npmrc": app}), indexes).decode().splitlines()
    assert rows == [
        "legacy-peer-deps=false",
        "before=2026-01-01",
        "lockfile-version=2",
        f"registry={mine}",
        "@own:registry=https://other.example:8443/r",
        "//corp.example/npm/:_authToken=abc",
        f"//other.example:8443/:_auth={secret.removeprefix('Basic ')}",
    ]


def test_options_are_plain_values_of_a_few_names() -> None:
    given = {
        "git": "x",
        "before": "2026-01-01T00:00:00Z",
        "install-strategy": "a b",
        "force": "true\nregistry=x",
        "ca": "c",
    }
    assert npm_options(given) == {"before": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (
            "npm error code ENOENT\nnpm error syscall spawn /t/bin/no-git\nnpm error path x",
            ["a dependency of a dependency"],
        ),
        ("npm error code EALLOWGIT\nnpm error lib@git+ssh://git@h/x.git is not allowed", ["lib"]),
        ("npm error code E404\nnpm error 404 lib@1 not found", None),
    ],
)
def test_npms_words_about_repositories(said: str, names: list[str] | None) -> None:
    found = npm.failed(said)
    why = "it comes from a git repository"
    assert (found.data["needs"] if found else None) == (dict.fromkeys(names, why) if names else None)


def lock_with(inner: dict[str, object], **placed: str) -> bytes:
    packages = {f"node_modules/{at.replace('__', '/node_modules/')}": {"resolved": url} for at, url in placed.items()}
    manifest = {"dependencies": {"lib": "https://files.example/lib.tgz"}}
    return json.dumps(
        {"packages": {"": manifest, "node_modules/a": {"version": "1.0.0", **inner}, **packages}}
    ).encode()


URL = "https://files.example/b.tgz"


@pytest.mark.parametrize("key", ["dependencies", "optionalDependencies", "peerDependencies"])
@pytest.mark.parametrize("at", ["b", "a__b"])
def test_only_the_app_brings_packages_from_elsewhere(key: str, at: str) -> None:
    with pytest.raises(LockFailed) as caught:
        npm.check_places(lock_with({key: {"b": URL}}, lib="https://files.example/lib.tgz", **{at: URL}))
    why = f"a@1.0.0 asks for b at {URL}, and not of a registry"
    assert caught.value.message == f"package-lock.json could not be made: {why}"


def test_a_place_that_was_overridden_does_not_count() -> None:
    npm.check_places(lock_with({"dependencies": {"b": URL}}, lib="https://files.example/lib.tgz", b=""))
    npm.check_places(lock_with({"peerDependencies": {"c": URL}, "dependencies": {"b": "^1"}}, b=URL))


SHAPES: dict[str, dict[str, object]] = {
    "plain": {
        "package.json": {
            "name": "app", "version": "1.0.0", "license": "MIT", "bin": {"x": "x.js"}, "engines": {"node": ">=18"},
            "scripts": {"postinstall": "true"}, "dependencies": {"ms": "^2.1.0"}, "devDependencies": {"isarray": "^2.0.0"},
            "optionalDependencies": {"inherits": "2"}, "overrides": {"inherits": {"ms": "2.1.2"}}, "os": ["linux"],
        },
    },
    "workspaces": {
        "package.json": {"name": "app", "workspaces": ["packages/*"], "dependencies": {"lib": "file:lib"}},
        "packages/a/package.json": {"name": "a", "version": "1.0.0", "dependencies": {"ms": "2.1.2", "b": "1.0.0"}},
        "packages/b/package.json": {"name": "b", "version": "1.0.0", "peerDependencies": {"isarray": "2"}},
        "lib/package.json": {"name": "lib", "version": "3.0.0", "dependencies": {"ms": "2.1.3"}},
    },
    "a package that bundles others": {
        "package.json": {"name": "app", "optionalDependencies": {"@tailwindcss/oxide-wasm32-wasi": "4.1.4"}},
    },
    "settings": {
        "package.json": {"name": "app", "dependencies": {"ms": "^2.1.0"}},
        ".npmrc": "lockfile-version=2\nomit-lockfile-registry-resolved=false\n",
    },
}  # fmt: skip


@pytest.mark.network
@pytest.mark.parametrize("shape", SHAPES)
def test_the_lock_is_npms_own(shape: str, tmp_path: Path, shared_store: Path) -> None:
    indexes = Indexes.from_environment(os.environ, home=str(Path.home()))
    settings = Settings(Store(str(shared_store)), lambda: indexes)
    node = tmp_path / "node"
    home = f"{install(str(node), SourceTree.of({'package.json': '{}'}), {'node': (), 'npm': ()}, settings)}/node"
    app = tmp_path / "app"
    for name, content in SHAPES[shape].items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def copied(place: str) -> str:
        shutil.copytree(node, place, copy_function=os.link)
        return f"{place}/.stager/node"

    with confined.scratch(indexes) as scratch:
        lock = npm.resolve(SourceTree.read(str(app)), copied, scratch)
    command = [f"{home}/bin/node", f"{home}/lib/node_modules/npm/bin/npm-cli.js", "install", "--package-lock-only"]
    subprocess.run([*command, "--ignore-scripts", "--no-audit", "--no-fund"], cwd=app, capture_output=True, check=True)
    assert lock == (app / "package-lock.json").read_bytes()
