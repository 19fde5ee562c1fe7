"""pnpm-lock.yaml: store folders, links, hoisting, settings, both lock versions, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from npm_cases import AMD64, ARM64, digest, sri, tree

from stager.ecosystems import npm
from stager.ecosystems.npm.pnpm_layout import folder_name, split_peers
from stager.ecosystems.npm.pnpm_settings import PnpmSettings, matches
from stager.errors import BadLock, BadManifest, NeedsBuild, StagerError, Unpinned
from stager.model import Artifact, Locked, Stack

LOCK = "pnpm-lock.yaml"
LINKS_NOTE = "commands in node_modules/.bin are links, not pnpm's shell scripts"


def lock9(importers: str, packages: str, snapshots: str, more: str = "") -> str:
    return f"lockfileVersion: '9.0'\n{more}\nimporters:\n{importers}\npackages:\n{packages}\nsnapshots:\n{snapshots}\n"


ONE = lock9(
    """
  .:
    dependencies:
      express:
        specifier: ^4.0.0
        version: 4.18.2
      my-ms:
        specifier: npm:ms@2.1.2
        version: ms@2.1.2
    devDependencies:
      mocha:
        specifier: ^10.0.0
        version: 10.4.0
""",
    f"""
  express@4.18.2:
    resolution: {{integrity: {sri("express")}}}
    engines: {{node: '>= 0.10.0'}}
  ms@2.1.2:
    resolution: {{integrity: {sri("ms")}}}
  mocha@10.4.0:
    resolution: {{integrity: {sri("mocha")}}}
  '@s/deep@1.0.0':
    resolution: {{integrity: {sri("deep")}}}
    peerDependencies:
      ms: '*'
""",
    """
  express@4.18.2:
    dependencies:
      '@s/deep': 1.0.0(ms@2.1.2)
      mocha: 10.4.0
  ms@2.1.2: {}
  mocha@10.4.0: {}
  '@s/deep@1.0.0(ms@2.1.2)':
    dependencies:
      ms: 2.1.2
""",
)


def read(text: str, stack: Stack = AMD64, files: dict[str, object] | None = None, **more: Any) -> Locked:
    return npm.read_lock(tree({LOCK: text, "package.json": {"name": "app"}, **(files or {})}), LOCK, stack, **more)


def refusal(kind: type[StagerError], text: str, files: dict[str, object] | None = None) -> tuple[str, str, str]:
    with pytest.raises(kind) as caught:
        read(text, files=files)
    return caught.value.where, caught.value.message, caught.value.hint


def test_the_isolated_layout_is_a_store_and_links() -> None:
    locked = read(ONE)
    store = "node_modules/.pnpm"
    assert [(item.purl, item.paths) for item in locked.artifacts] == [
        ("pkg:npm/%40s/deep@1.0.0", (f"{store}/@s+deep@1.0.0_ms@2.1.2/node_modules/@s/deep",)),
        ("pkg:npm/express@4.18.2", (f"{store}/express@4.18.2/node_modules/express",)),
        ("pkg:npm/mocha@10.4.0", (f"{store}/mocha@10.4.0/node_modules/mocha",)),
        ("pkg:npm/ms@2.1.2", (f"{store}/ms@2.1.2/node_modules/ms",)),
    ]
    assert dict(locked.links) == {
        "node_modules/express": ".pnpm/express@4.18.2/node_modules/express",
        "node_modules/my-ms": ".pnpm/ms@2.1.2/node_modules/ms",
        f"{store}/express@4.18.2/node_modules/@s/deep": "../../../@s+deep@1.0.0_ms@2.1.2/node_modules/@s/deep",
        f"{store}/express@4.18.2/node_modules/mocha": "../../mocha@10.4.0/node_modules/mocha",
        f"{store}/@s+deep@1.0.0_ms@2.1.2/node_modules/ms": "../../ms@2.1.2/node_modules/ms",
        f"{store}/node_modules/@s/deep": "../../@s+deep@1.0.0_ms@2.1.2/node_modules/@s/deep",
        f"{store}/node_modules/ms": "../ms@2.1.2/node_modules/ms",
    }
    assert locked.notes == (LINKS_NOTE,)
    assert locked.artifacts[1].digest == digest("express")


def test_development_packages_come_when_asked_for() -> None:
    assert ("node_modules/mocha", ".pnpm/mocha@10.4.0/node_modules/mocha") in read(ONE, dev=True).links


@pytest.mark.parametrize(
    ("settings", "file"),
    [("node-linker=hoisted\n", ".npmrc"), ("nodeLinker: hoisted\n", "pnpm-workspace.yaml")],
)
def test_the_hoisted_linker_nests_as_npm_does(settings: str, file: str) -> None:
    locked = read(ONE, files={file: settings})
    assert sorted(path for item in locked.artifacts for path in item.paths) == [
        "node_modules/@s/deep",
        "node_modules/express",
        "node_modules/mocha",
        "node_modules/ms",
        "node_modules/my-ms",
    ]
    assert (locked.links, locked.notes) == ((), ())


@pytest.mark.parametrize(
    ("settings", "public", "private"),
    [
        ("shamefully-hoist=true\n", {"@s/deep", "ms"}, set()),
        ("public-hoist-pattern[]=*s*\npublic-hoist-pattern[]=!ms\n", {"@s/deep"}, {"ms"}),
        ("hoist-pattern[]=m*\n", set(), {"ms"}),
        ("; nothing\nhoist=false\n", set(), set()),
    ],
)
def test_hoisting_settings(settings: str, public: set[str], private: set[str]) -> None:
    links = dict(read(ONE, files={".npmrc": settings}).links)
    inner = "node_modules/.pnpm/node_modules/"
    assert {path.removeprefix(inner) for path in links if path.startswith(inner)} == private
    top = {path.removeprefix("node_modules/") for path in links if "/.pnpm/" not in path}
    assert top - {"express", "my-ms"} == public


def test_plug_and_play_is_refused_with_the_cure() -> None:
    assert refusal(BadManifest, ONE, {".npmrc": "node-linker=pnp"}) == (
        ".npmrc",
        "node-linker pnp is not supported: there would be no node_modules",
        "Set node-linker to isolated or hoisted, and run 'pnpm install'.",
    )


# --- names of store folders: as pnpm 8, 9 and 10 make them ---


@pytest.mark.parametrize(
    ("key", "major", "name"),
    [
        ("/@babel/core@7.0.0", 8, "@babel+core@7.0.0"),
        ("react-dom@18.3.1(react@18.3.1)", 9, "react-dom@18.3.1_react@18.3.1"),
        ("a@1.0.0(b@1.0.0(c@1.0.0))(d@1.0.0)", 9, "a@1.0.0_b@1.0.0_c@1.0.0__d@1.0.0"),
        ("JSONStream@1.3.5", 9, "JSONStream@1.3.5_r3os6ifnv5rfzwtsmjig3b325i"),
        ("JSONStream@1.3.5", 10, "JSONStream@1.3.5_" + "8ef88fb1a3e2f3a2a5ed34d1a2fd57fa"),
        ("file:vendor/x.tgz", 8, "file+vendor+x.tgz"),
        ("x@file:vendor/x.tgz", 9, "x@file+vendor+x.tgz"),
    ],
)
def test_store_folders_are_named_as_pnpm_names_them(key: str, major: int, name: str) -> None:
    made = folder_name(key, PnpmSettings("isolated", major, (), (), 120))
    if major == 10:
        assert (made[:17], len(made)) == (name[:17], len(name))
    else:
        assert made == name


@pytest.mark.parametrize(("major", "mark"), [(9, 26), (10, 32)])
def test_long_store_folders_are_cut_to_the_limit(major: int, mark: int) -> None:
    made = folder_name(f"x@1.0.0({'y' * 200}@1.0.0)", PnpmSettings("isolated", major, (), (), 120))
    assert (len(made), made[: 120 - mark - 1], made[120 - mark - 1]) == (
        120,
        ("x@1.0.0_" + "y" * 200)[: 120 - mark - 1],
        "_",
    )


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("x@1.0.0", ("x@1.0.0", "")),
        ("x@1.0.0(y@2.0.0)", ("x@1.0.0", "(y@2.0.0)")),
        ("x@1.0.0(a(b(c)))(d)", ("x@1.0.0", "(a(b(c)))(d)")),
        ("x@1.0.0(patch_hash=ab)(y@2.0.0)", ("x@1.0.0", "(patch_hash=ab)(y@2.0.0)")),
    ],
)
def test_peers_are_split_from_the_dependency_path(key: str, parts: tuple[str, str]) -> None:
    assert split_peers(key) == parts


def test_the_pattern_matcher() -> None:
    assert [matches(("*eslint*", "!eslint-x"), name) for name in ("@x/eslint", "eslint-x", "ms")] == [
        True,
        False,
        False,
    ]
    assert [matches(("!a",), name) for name in ("a", "b")] == [False, True]
    assert not matches((), "a")


# --- platforms, workspaces, versions ---

OPTIONAL = lock9(
    """
  .:
    optionalDependencies:
      mac:
        specifier: '*'
        version: 1.0.0
    dependencies:
      sharp:
        specifier: '*'
        version: 1.0.0
""",
    "\n".join(
        f"  {name}@1.0.0:\n    resolution: {{integrity: {sri(name)}}}\n{more}"
        for name, more in {
            "mac": "    os: [darwin]\n",
            "sharp": "",
            "x64": "    os: [linux]\n    cpu: [x64]\n    libc: [glibc]\n",
            "musl": "    os: [linux]\n    libc: [musl]\n",
            "arm": "    cpu: [arm64]\n",
            "only-musl": "",
        }.items()
    ),
    """
  mac@1.0.0:
    optional: true
  sharp@1.0.0:
    optionalDependencies:
      x64: 1.0.0
      musl: 1.0.0
      arm: 1.0.0
  x64@1.0.0: {}
  musl@1.0.0:
    dependencies:
      only-musl: 1.0.0
  only-musl@1.0.0: {}
  arm@1.0.0: {}
""",
)


@pytest.mark.parametrize(("stack", "native"), [(AMD64, "x64"), (ARM64, "arm")])
def test_optional_packages_are_chosen_for_the_target(stack: Stack, native: str) -> None:
    assert read(OPTIONAL, stack).names == {"sharp", native}


def test_a_package_for_another_system_that_the_app_needs_is_an_error() -> None:
    text = OPTIONAL.replace("optionalDependencies:\n      mac", "devDependencies: {}\n    dependencies:\n      mac", 1)
    text = text.replace("    dependencies:\n      sharp:", "    optionalDependencies:\n      sharp:", 1)
    assert refusal(BadLock, text)[:2] == (LOCK, "mac@1.0.0 runs on darwin only, and stack debian-12 is linux x64 glibc")


def test_workspaces_have_links_of_their_own() -> None:
    text = lock9(
        """
  .: {}
  packages/a:
    dependencies:
      '@x/b':
        specifier: workspace:*
        version: link:../b
      ms:
        specifier: '2'
        version: 2.1.2
  packages/b: {}
""",
        f"  ms@2.1.2:\n    resolution: {{integrity: {sri('ms')}}}",
        "  ms@2.1.2: {}",
    )
    files: dict[str, object] = {
        "packages/a/package.json": {"name": "@x/a"},
        "packages/b/package.json": {"name": "@x/b", "bin": "cli.js"},
        "packages/b/cli.js": "",
    }
    assert dict(read(text, files=files).links) == {
        "packages/a/node_modules/@x/b": "../../../b",
        "packages/a/node_modules/.bin/b": "../@x/b/cli.js",
        "packages/a/node_modules/ms": "../../../node_modules/.pnpm/ms@2.1.2/node_modules/ms",
        "node_modules/.pnpm/node_modules/@x/a": "../../../../packages/a",
        "node_modules/.pnpm/node_modules/@x/b": "../../../../packages/b",
        "node_modules/.pnpm/node_modules/.bin/b": "../@x/b/cli.js",
        "node_modules/.pnpm/node_modules/ms": "../ms@2.1.2/node_modules/ms",
    }


def test_version_6_of_a_single_project() -> None:
    text = f"""
lockfileVersion: '6.0'
dependencies:
  my-ms:
    specifier: npm:ms@2.1.2
    version: /ms@2.1.2
  react-dom:
    specifier: ^18.0.0
    version: 18.3.1(react@18.3.1)
packages:
  /ms@2.1.2:
    resolution: {{integrity: {sri("ms")}}}
    dev: false
  /react-dom@18.3.1(react@18.3.1):
    resolution: {{integrity: {sri("react-dom")}}}
    requiresBuild: true
    dependencies:
      react: 18.3.1
  /react@18.3.1:
    resolution: {{integrity: {sri("react")}}}
"""
    locked = read(text)
    assert [(item.purl, item.paths[0].split("/")[2]) for item in locked.artifacts] == [
        ("pkg:npm/ms@2.1.2", "ms@2.1.2"),
        ("pkg:npm/react-dom@18.3.1", "react-dom@18.3.1_react@18.3.1"),
        ("pkg:npm/react@18.3.1", "react@18.3.1"),
    ]
    assert locked.notes == (LINKS_NOTE, "install scripts are not run: react-dom@18.3.1")


def test_the_document_about_pnpms_own_tools_is_left_out() -> None:
    assert read("---\nlockfileVersion: '9.0'\nimporters: {}\n---\n" + ONE) == read(ONE)


def test_two_package_instances_of_one_tarball_are_one_artifact() -> None:
    text = lock9(
        "  .:\n    dependencies:\n      a: {specifier: '1', version: 1.0.0(b@1.0.0)}\n"
        "      c: {specifier: 'npm:a@1', version: 'a@1.0.0'}",
        "\n".join(f"  {name}@1.0.0:\n    resolution: {{integrity: {sri(name)}}}" for name in "ab"),
        "  a@1.0.0(b@1.0.0):\n    dependencies: {b: 1.0.0}\n  a@1.0.0: {}\n  b@1.0.0: {}",
    )
    store = "node_modules/.pnpm"
    assert read(text).artifacts[0].paths == (
        f"{store}/a@1.0.0/node_modules/a",
        f"{store}/a@1.0.0_b@1.0.0/node_modules/a",
    )


# --- sources ---


def with_resolution(resolution: str, key: str = "x@1.0.0", version: str = "1.0.0") -> str:
    return lock9(
        f"  .:\n    dependencies:\n      x: {{specifier: '1', version: '{version}'}}",
        f"  '{key}':\n    resolution: {resolution}",
        f"  '{key}': {{}}",
    )


def test_a_tarball_elsewhere_keeps_its_url() -> None:
    url = "https://files.example/x.tgz"
    text = with_resolution(f"{{integrity: {sri('x')}, tarball: {url}}}\n    version: 2.0.0", f"x@{url}", url)
    assert read(text).artifacts == (
        Artifact(
            "pkg:npm/x@2.0.0",
            "x-2.0.0.tgz",
            digest("x"),
            "npm/1",
            ("node_modules/.pnpm/x@https+++files.example+x.tgz/node_modules/x",),
            url=url,
        ),
    )


PACK = (
    "Depend on a published version; or run 'npm pack {}', put the tarball into the app, depend on it by 'file:' and its path, "
    "and run 'pnpm install --lockfile-only'."
)


@pytest.mark.parametrize(
    ("resolution", "why", "hint"),
    [
        (
            "{type: git, repo: 'https://git.example/x.git', commit: abc}",
            "it comes from a git repository, and no whole commit of it is named",
            PACK.format("git+https://git.example/x.git#abc"),
        ),
        (
            "{type: git, repo: 'git+ssh://git@git.example/x.git', commit: abc}",
            "it comes from a git repository, and no whole commit of it is named",
            PACK.format("git+ssh://git@git.example/x.git#abc"),
        ),
        (
            "{tarball: 'https://git.example/x.git'}",
            "it comes from a git repository, and no whole commit of it is named",
            PACK.format("git+https://git.example/x.git"),
        ),
        (
            "{tarball: 'https://codeload.github.com/o/x/tar.gz/abc'}",
            "it comes from a git repository, and no whole commit of it is named",
            PACK.format("https://codeload.github.com/o/x/tar.gz/abc"),
        ),
        (
            "{directory: vendor/x, type: directory}",
            "it is a copy of a folder",
            "Depend on the folder by 'workspace:' or 'link:' instead, and run 'pnpm install --lockfile-only'.",
        ),
        (
            "{type: variations, variants: []}",
            "it is a runtime",
            "Ask for Node.js by engines.node in package.json in its place, and run 'pnpm install --lockfile-only'.",
        ),
    ],
)
def test_what_is_no_tarball_must_be_built(resolution: str, why: str, hint: str) -> None:
    assert refusal(NeedsBuild, with_resolution(resolution)) == (
        "",
        f"must be built first: x@1.0.0 ({why})",
        hint,
    )


@pytest.mark.parametrize(
    ("resolution", "url"),
    [
        ("{type: git, repo: 'git+ssh://git@git.example/x.git', commit: %s}", "https://git.example/x.git"),
        ("{tarball: 'https://codeload.github.com/o/x/tar.gz/%s'}", "https://github.com/o/x"),
    ],
)
def test_a_commit_of_a_git_repository(resolution: str, url: str) -> None:
    (one,) = read(with_resolution(resolution % ("a" * 40))).artifacts
    assert (one.layout, one.url) == ("npm-commit/1", f"git+{url}@{'a' * 40}")


def test_a_folder_of_a_commit_is_not_taken() -> None:
    resolution = "{type: git, repo: 'https://git.example/x.git', commit: %s, path: /packages/x}" % ("a" * 40)
    assert "must be built first" in refusal(NeedsBuild, with_resolution(resolution))[1]


def test_without_a_digest_it_is_unpinned() -> None:
    assert refusal(Unpinned, with_resolution("{tarball: 'https://files.example/x.tgz'}")) == (
        LOCK,
        "not pinned by version and digest: x@1.0.0",
        "Write what \"echo sha512-$(curl -sL 'https://files.example/x.tgz' | openssl dgst -sha512 -binary | "
        'openssl base64 -A)" prints into pnpm-lock.yaml, '
        "as the 'integrity' of its 'resolution'; 'pnpm install --lockfile-only' adds none.",
    )
    assert 'Write what "npm view x@1.0.0 dist.integrity" prints' in refusal(Unpinned, with_resolution("{}"))[2]


# --- malformed ---


def test_patches_are_refused_by_name() -> None:
    text = ONE.replace("importers:", "patchedDependencies:\n  ms@2.1.2:\n    hash: abc\n    path: p\nimporters:", 1)
    assert refusal(BadLock, text) == (
        LOCK,
        "pnpm patches these packages, and stager does not apply patches: ms@2.1.2",
        "Publish the patched package, or apply the patch when the app starts, and remove patchedDependencies.",
    )


@pytest.mark.parametrize("version", ["5.4", "5.3", "'10.0'", "x"])
def test_other_versions_have_their_cure(version: str) -> None:
    assert refusal(BadLock, f"lockfileVersion: {version}\n") == (
        LOCK,
        f"lockfileVersion {version.strip(chr(39))} is not one of 6.0, 6.1, 9.0",
        "Run 'pnpm install --lockfile-only' with pnpm 8 or newer and commit the result.",
    )


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a: [\n", f"{LOCK}:2", "not valid YAML: did not find expected node content"),
        ("a: 1\na: 2\n", f"{LOCK}:2", "'a' is given twice"),
        ("a: &x 1\n", f"{LOCK}:1", "anchors (&name) are not allowed; write the value again"),
        ("a: *x\n", f"{LOCK}:1", "aliases (*name) are not allowed; write the value again"),
        ("a: !!python/object:os.system x\n", f"{LOCK}:1", "tags (!name) are not allowed; every value is text"),
        ("importers: {}\n", LOCK, "document: has no 'lockfileVersion'"),
        ("a: " + "[" * 200 + "\n", f"{LOCK}:1", "nested too deeply"),
        (ONE.replace("version: ms@2.1.2", "version: ms@9.9.9"), LOCK, "it has no ms@9.9.9, which something depends on"),
        (
            ONE.replace("  ms@2.1.2:\n    resolution", "  ms@2.1.1:\n    resolution"),
            LOCK,
            "its packages have no ms@2.1.2, of which it has a snapshot",
        ),
        (ONE.replace("my-ms:", "../ms:"), LOCK, "'../ms' is not a package name"),
        (
            ONE.replace("version: ms@2.1.2", "version: link:../../out"),
            LOCK,
            "my-ms is a link to the folder '../../out', which is outside the app",
        ),
        (ONE.replace("  .:\n", "  ../out:\n", 1), LOCK, "it needs the folder '../out', which is outside the app"),
    ],
)
def test_malformed_locks_are_named_by_line(text: str, where: str, message: str) -> None:
    found = refusal(BadLock, text)
    assert found[0] == where
    if "not valid YAML" in message:
        assert found[1].startswith("not valid YAML: ")  # the rest is the YAML library's wording
    else:
        assert found[1] == message
