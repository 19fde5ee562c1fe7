"""Reading `uv.lock`: the graph walked for one target."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stager.ecosystems.pypi import Target, normalise_index, read_lock
from stager.errors import BadLock, BadManifest, LockMissing, NeedsBuild, Unpinned
from stager.model import Artifact, Locked, Stack
from stager.tree import SourceTree

INDEX = "https://index.example/simple"
STACK = Stack("debian-12", "amd64", (2, 36), "debian")
TARGET = Target(STACK, (3, 11), "3.11.2")
HEAD = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
PYPROJECT = '[project]\nname = "demo"\nversion = "0.1.0"\n'


def digest(char: str) -> str:
    return "sha256:" + char * 64


def wheel(name: str, version: str, tag: str = "py3-none-any", char: str = "a", size: int | None = 10) -> str:
    file = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    sized = "" if size is None else f", size = {size}"
    return f'{{ url = "https://files.example/{file}", hash = "{digest(char)}"{sized} }}'


def package(
    name: str,
    version: str = "1.0",
    *wheels: str,
    source: str = f'{{ registry = "{INDEX}" }}',
    needs: Sequence[str] = (),
    more: str = "",
) -> str:
    """One `[[package]]`; without wheels it has one that runs anywhere."""
    listed = ", ".join(wheels or (wheel(name, version),))
    text = f'\n[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {source}\n'
    text += f"dependencies = [{', '.join(needs)}]\n" if needs else ""
    return text + ("" if "registry" not in source and not wheels else f"wheels = [{listed}]\n") + more


def root(*needs: str, more: str = "", kind: str = "virtual") -> str:
    return package("demo", "0.1.0", source=f'{{ {kind} = "." }}', needs=needs, more=more)


def tree_of(lock: str, **files: str) -> SourceTree:
    return SourceTree.of({"uv.lock": lock, "pyproject.toml": PYPROJECT, "main.py": "", **files})


def read(lock: str, target: Target = TARGET, groups: Sequence[str] = (), extras: Sequence[str] = ()) -> Locked:
    indexes = frozenset({normalise_index(INDEX)})
    return read_lock(tree_of(lock), "uv.lock", target, groups=groups, extras=extras, default_indexes=indexes)


def purls(locked: Locked) -> list[str]:
    return [artifact.purl.removeprefix("pkg:pypi/") for artifact in locked.artifacts]


def test_a_project_with_one_dependency() -> None:
    found = read(HEAD + root('{ name = "my-flask" }') + package("my-flask", "3.1"))
    expected = Artifact(
        "pkg:pypi/my-flask@3.1", "my_flask-3.1-py3-none-any.whl", digest("a"), "wheel/1", (".stager/pypi",), 10  # type: ignore[arg-type]
    )  # fmt: skip
    assert found.artifacts == (expected,)
    assert found.names == {"my-flask"}
    assert found.hints == ((digest("a"), "https://files.example/my_flask-3.1-py3-none-any.whl"),)
    assert found.files == ((".stager/pypi/site-packages/stager-app.pth", "../../..\n"),)


def test_markers_choose_for_the_target_and_not_for_the_host() -> None:
    lock = HEAD + root(
        """{ name = "winonly", marker = "sys_platform == 'win32'" }""",
        """{ name = "old", marker = "python_full_version < '3.12'" }""",
        """{ name = "arm", marker = "platform_machine == 'aarch64'" }""",
    )
    lock += package("winonly") + package("old") + package("arm")
    assert purls(read(lock)) == ["old@1.0"]
    arm = Target(Stack("debian-13", "arm64", (2, 41), "debian"), (3, 13))
    assert purls(read(lock, arm)) == ["arm@1.0"]


def test_several_versions_of_a_name_are_told_apart_by_version_and_source() -> None:
    source = f'source = {{ registry = "{INDEX}" }}'
    lock = HEAD + root(
        f"""{{ name = "n", version = "1.0", {source}, marker = "python_full_version < '3.12'" }}""",
        f"""{{ name = "n", version = "2.0", {source}, marker = "python_full_version >= '3.12'" }}""",
    )
    lock += package("n", "1.0") + package("n", "2.0")
    assert purls(read(lock)) == ["n@1.0"]
    assert purls(read(lock, Target(STACK, (3, 12)))) == ["n@2.0"]


def test_forks_of_one_version_are_told_apart_by_their_markers() -> None:
    here = "resolution-markers = [\"sys_platform == 'linux'\"]\n"
    there = "resolution-markers = [\"sys_platform != 'linux'\"]\n"
    lock = HEAD + root('{ name = "n" }') + package("n", "2.0", more=there) + package("n", "1.0", more=here)
    assert purls(read(lock)) == ["n@1.0"]


def test_extras_groups_and_cycles() -> None:
    more = '[package.optional-dependencies]\nweb = [{ name = "w", extra = ["Fast_x"] }]\n'
    more += '[package.dev-dependencies]\ndev = [{ name = "d" }]\n'
    lock = HEAD + root('{ name = "a" }', more=more)
    lock += package("a", needs=['{ name = "b" }']) + package("b", needs=['{ name = "a" }']) + package("d")
    lock += package("w", more='[package.optional-dependencies]\nfast-x = [{ name = "c" }]\n') + package("c")
    assert purls(read(lock)) == ["a@1.0", "b@1.0"]
    assert purls(read(lock, extras=["WEB"])) == ["a@1.0", "b@1.0", "c@1.0", "w@1.0"]
    assert purls(read(lock, groups=["dev"])) == ["a@1.0", "b@1.0", "d@1.0"]


def test_conflicting_extras_speak_through_encoded_markers() -> None:
    more = '[package.optional-dependencies]\ncpu = [{ name = "t" }]\ngpu = [{ name = "t" }]\n'
    lock = HEAD + 'conflicts = [[{ package = "demo", extra = "cpu" }, { package = "demo", extra = "gpu" }]]\n'
    lock += root(
        """{ name = "x", marker = "extra == 'extra-4-demo-cpu' or extra != 'extra-4-demo-gpu'" }""",
        """{ name = "y", marker = "extra == 'extra-4-demo-gpu'" }""",
        """{ name = "z", marker = "extra == 'group-4-demo-dev'" }""",
        more=more + '[package.dev-dependencies]\ndev = [{ name = "t" }]\n',
    )
    lock += package("x") + package("y") + package("z") + package("t")
    assert purls(read(lock)) == ["x@1.0"]
    assert purls(read(lock, extras=["cpu"])) == ["t@1.0", "x@1.0"]
    assert purls(read(lock, extras=["gpu"])) == ["t@1.0", "y@1.0"]
    assert purls(read(lock, groups=["dev"])) == ["t@1.0", "x@1.0", "z@1.0"]


def test_workspace_members_and_path_sources_are_folders_of_the_app() -> None:
    lock = HEAD + '[manifest]\nmembers = ["demo", "lib-a", "unused"]\n'
    lock += root('{ name = "lib-a" }', '{ name = "lib-c" }', kind="editable")
    lock += package("lib-a", source='{ editable = "packages/a" }', needs=['{ name = "b" }'])
    lock += package("unused", source='{ editable = "packages/unused" }')
    lock += package("lib-c", source='{ directory = "tools/c" }') + package("b")
    tree = tree_of(
        lock,
        **{
            "packages/a/src/lib_a/__init__.py": "",
            "packages/a/pyproject.toml": '[project]\nname = "lib-a"\nversion = "1"\nscripts = { go = "lib_a:go" }\n',
            "packages/unused/x.py": "",
            "tools/c/lib_c.py": "",
        },
    )
    found = read_lock(tree, "uv.lock", TARGET)
    files = dict(found.files)
    assert purls(found) == ["b@1.0"]
    assert found.names == {"b", "lib-a", "lib-c"}
    assert files[".stager/pypi/site-packages/stager-app.pth"] == (
        "../../..\n../../../packages/a/src\n../../../tools/c\n"
    )
    assert "from lib_a import go\n" in files[".stager/pypi/bin/go"]
    assert files[".stager/pypi/site-packages/lib_a-1.dist-info/METADATA"] == (
        "Metadata-Version: 2.1\nName: lib-a\nVersion: 1\n"
    )


def test_a_workspace_without_a_project_of_its_own_installs_all_members() -> None:
    lock = HEAD + '[manifest]\nmembers = ["one", "two"]\n[manifest.dependency-groups]\ndev = [{ name = "d" }]\n'
    lock += package("one", source='{ editable = "one" }', needs=['{ name = "a" }'])
    lock += package("two", source='{ virtual = "two" }', needs=['{ name = "b" }'])
    lock += package("a") + package("b") + package("d")
    tree = tree_of(lock, **{"one/one.py": "", "two/two.py": ""})
    assert read_lock(tree, "uv.lock", TARGET).names == {"a", "b", "one"}
    assert read_lock(tree, "uv.lock", TARGET, groups=["dev"]).names == {"a", "b", "d", "one"}


def test_a_direct_url_and_a_foreign_index_keep_their_url_without_credentials() -> None:
    url = "https://user:secret@files.example/direct-1.0-py3-none-any.whl"
    lock = HEAD + root('{ name = "direct" }', '{ name = "private" }', '{ name = "usual" }')
    lock += package("direct", "1.0", f'{{ url = "{url}", hash = "{digest("b")}" }}', source=f'{{ url = "{url}" }}')
    lock += package("private", source='{ registry = "https://u:secret@other.example/simple" }') + package("usual")
    found = {artifact.purl: artifact.url for artifact in read(lock).artifacts}
    assert found == {
        "pkg:pypi/direct@1.0": "https://files.example/direct-1.0-py3-none-any.whl",
        "pkg:pypi/private@1.0": "https://files.example/private-1.0-py3-none-any.whl",
        "pkg:pypi/usual@1.0": "",
    }
    assert "secret" not in repr(read(lock))


def test_a_local_version_is_quoted_in_the_purl() -> None:
    plus = '{ url = "https://files.example/t-2.1%2Bcpu-py3-none-any.whl", hash = "' + digest("a") + '" }'
    found = read(HEAD + root('{ name = "t" }') + package("t", "2.1+cpu", plus))
    assert (found.artifacts[0].purl, found.artifacts[0].filename) == (
        "pkg:pypi/t@2.1%2Bcpu",
        "t-2.1+cpu-py3-none-any.whl",
    )


def test_a_commit_of_a_git_repository() -> None:
    text = f"https://git.example/g?subdirectory=py&tag=v1#{'a' * 40}"
    found = read(HEAD + root('{ name = "g" }') + package("g", source=f'{{ git = "{text}" }}'))
    (source,) = found.artifacts
    assert (source.purl, source.filename, source.layout) == ("pkg:pypi/g@1.0", "g-1.0-aaaaaaaaaaaa.tar", "sdist/1")
    assert (source.url, source.digest) == (f"git+https://git.example/g@{'a' * 40}#subdirectory=py", f"sha1:{'a' * 40}")
    assert [(build.of, build.folder) for build in found.builds] == [(source.purl, "py")]


def test_an_archive_in_the_app() -> None:
    lock = HEAD + root('{ name = "n" }') + package("n", source='{ path = "v/n-1.0.tar.gz" }', more="")
    lock = lock.replace("wheels = [", "unused = [") + f'sdist = {{ hash = "{digest("a")}" }}\n'
    tree = SourceTree.of({"uv.lock": lock, "v/n-1.0.tar.gz": "x"})
    (source,) = read_lock(tree, "uv.lock", TARGET).artifacts
    assert (source.url, source.layout) == ("file:v/n-1.0.tar.gz", "sdist/1")


def test_all_packages_that_must_be_built_are_named_at_once() -> None:
    lock = HEAD + root('{ name = "s" }', '{ name = "g" }', '{ name = "m" }', '{ name = "ok" }')
    lock += package("s", "1.0", more="").replace("wheels = [", "unused = [") + (
        f'sdist = {{ url = "https://files.example/s-1.0.tar.gz", hash = "{digest("c")}" }}\n'
    )
    lock += package("g", source='{ path = "g" }')
    lock += package("m", "1.0", wheel("m", "1.0", "cp311-cp311-macosx_11_0_arm64")) + package("ok")
    with pytest.raises(NeedsBuild) as caught:
        read(lock)
    assert caught.value.message == (
        "must be built first: g==1.0 (only an sdist), m==1.0 (no wheel for cp311 manylinux_2_36 x86_64, only for macOS)"
    )
    own = "on an index of your own ('pip wheel --no-deps' makes one)"
    assert caught.value.hint == (
        f"Ask for a version of m that has a fitting wheel. For one that has none, publish a wheel {own}, or do without it. "
        f"In the place of g==1.0, depend on a published version that has a wheel, or publish one {own}."
    )


def test_files_without_hash_are_unpinned() -> None:
    bare = '{ url = "https://files.example/n-1.0-py3-none-any.whl" }'
    lock = HEAD + root('{ name = "n" }', '{ name = "o" }') + package("n", "1.0", bare)
    lock += package("o", "1.0", bare.replace("n-1.0", "o-1.0"))
    with pytest.raises(Unpinned) as caught:
        read(lock)
    assert caught.value.message == "not pinned by version and digest: n==1.0, o==1.0"
    assert caught.value.where == "uv.lock"


def bad(lock: str, **asked: Sequence[str]) -> tuple[str, str]:
    with pytest.raises(BadLock) as caught:
        read(lock, **asked)  # type: ignore[arg-type]
    return caught.value.message, caught.value.where


@pytest.mark.parametrize(
    ("lock", "message", "where"),
    [
        ("version = 2\n", "is of version 2; this stager reads version 1", "uv.lock:1"),
        ("version = 1\nx = [\n", "is not valid TOML: Invalid value (at end of document)", "uv.lock:3"),
        ("version = 1\nx = = 1\n", "is not valid TOML: Invalid value (at line 2, column 5)", "uv.lock:2"),
        ("x = " + "[" * 100_000, "cannot be read as TOML: nested too deeply", "uv.lock"),
        ('version = "1"\n', "version: expected an integer, found str", "uv.lock"),
        (HEAD + '[[package]]\nversion = "1"\n', "package[0]: has no 'name'", "uv.lock"),
        (HEAD + "package = 3\n", "package: expected an array, found int", "uv.lock"),
        (HEAD, "has no package for this project", "uv.lock"),
        (HEAD + package("demo", source='{ nowhere = "." }'), "demo==1.0 has an unknown kind of source", "uv.lock:5"),
        (HEAD + package("../x"), "'../x' is not a package name", "uv.lock"),
        (
            HEAD + root('{ name = "gone" }'),
            "package[0].dependencies[0]: no package for the dependency gone",
            "uv.lock:9",
        ),
        (
            HEAD + root('{ name = "n" }') + package("n", "1.0") + package("n", "2.0"),
            "package[0].dependencies[0]: 2 packages for the dependency n",
            "uv.lock:9",
        ),
        (
            HEAD + root('{ name = "n", version = "1.0" }', '{ name = "n", version = "2.0" }')
            + package("n", "1.0") + package("n", "2.0"),
            "n==1.0 and n==2.0 would both be installed",
            "uv.lock:17",
        ),
        (
            HEAD + root('{ name = "n" }') + package("n", "1.0", wheel("n", "2.0")),
            "n-2.0-py3-none-any.whl is not a file of n==1.0",
            "uv.lock:11",
        ),
        (
            HEAD + root('{ name = "n" }') + package("n", "1.0", wheel("evil", "1.0")),
            "evil-1.0-py3-none-any.whl is not a file of n==1.0",
            "uv.lock:11",
        ),
        (
            HEAD + root('{ name = "n" }') + package("n", "1.0", wheel("n", "1.0", size=-1)),
            "n-1.0-py3-none-any.whl has a negative size",
            "uv.lock:11",
        ),
        (
            HEAD + root('{ name = "n" }') + package("n", "1.0", wheel("n", "1.0").replace("a" * 64, "a" * 63)),
            "n-1.0-py3-none-any.whl has a malformed hash: 'sha256:" + "a" * 63 + "'",
            "uv.lock:11",
        ),
        (
            HEAD + root('{ name = "n" }')
            + package("n", "1.0", '{ url = "https://files.example/n-1.0-py3-none-any.whl", hash = "md5:00" }'),
            "n-1.0-py3-none-any.whl has only a md5 hash, which proves nothing",
            "uv.lock:11",
        ),
        (
            HEAD + root('{ name = "n" }')
            + package("n", "1.0", '{ url = "https://files.example/x%2F..%2Fn-1.0-py3-none-any.whl", hash = "'
                      + digest("a") + '" }'),
            "n==1.0: 'x/../n-1.0-py3-none-any.whl' is not a file name",
            "uv.lock:11",
        ),
        (
            HEAD + root('{ name = "n" }') + package("n", "1.0", '{ path = "n-1.0-py3-none-any.whl", hash = "'
                                                    + digest("a") + '" }', source='{ registry = "../wheels" }'),
            "the file n-1.0-py3-none-any.whl is not in the app",
            "uv.lock:11",
        ),
        (
            HEAD + root('{ name = "n" }') + package("n", source='{ editable = "../n" }'),
            "'../n' is outside the app",
            "uv.lock:11",
        ),
        (
            HEAD + root('{ name = "n" }') + package("n", source='{ editable = "n" }'),
            "the folder n is not in the app",
            "uv.lock:11",
        ),
        (
            HEAD + "supported-markers = [\"sys_platform == 'darwin'\"]\n" + root(),
            "was not made for cp311 manylinux_2_36 x86_64: its environments are sys_platform == 'darwin'",
            "uv.lock:4",
        ),
    ],
)  # fmt: skip
def test_a_bad_lock_is_refused_with_its_place(lock: str, message: str, where: str) -> None:
    assert bad(lock) == (message, where)


def test_unknown_extras_and_groups_are_refused_with_the_known_ones() -> None:
    lock = HEAD + root(more='[package.optional-dependencies]\nweb = []\n[package.metadata]\nprovides-extras = ["e"]\n')
    with pytest.raises(BadLock) as caught:
        read(lock, extras=["wbe"])
    assert caught.value.message == "has no extra 'wbe'"
    assert caught.value.hint == "It has: e, web. Correct python.extras in stager.yml, or run 'uv lock'."
    assert read(lock, extras=["e", "web"]).artifacts == ()
    assert bad(lock, groups=["dev"]) == ("has no group 'dev'", "uv.lock")


def test_a_lock_that_is_not_there_or_too_large_or_not_utf8() -> None:
    with pytest.raises(LockMissing) as missing:
        read_lock(SourceTree.of({"a": ""}), "uv.lock", TARGET)
    assert str(missing.value) == "uv.lock: there is no uv.lock\n  Run 'stager lock' and commit the file."
    assert bad("# " + "x" * (32 * 1024 * 1024)) == ("has 33554434 bytes; the limit is 33554432", "uv.lock")
    tree = SourceTree.of({"uv.lock": b"version = 1\n\xff\n"})
    with pytest.raises(BadLock) as caught:
        read_lock(tree, "uv.lock", TARGET)
    assert str(caught.value) == "uv.lock:2: is not UTF-8 text\n  Save it as UTF-8."


def test_a_bad_manifest_is_named_with_its_line() -> None:
    tree = SourceTree.of({"uv.lock": HEAD + root(), "pyproject.toml": "[project\n"})
    with pytest.raises(BadManifest) as caught:
        read_lock(tree, "uv.lock", TARGET)
    assert caught.value.where == "pyproject.toml:1"


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert purls(read("\ufeff" + HEAD + root('{ name = "a" }') + package("a"))) == ["a@1.0"]


def test_a_deep_chain_does_not_exhaust_the_stack() -> None:
    lock = HEAD + root('{ name = "p0" }')
    lock += "".join(package(f"p{n}", needs=[f'{{ name = "p{n + 1}" }}']) for n in range(2000)) + package("p2000")
    assert len(read(lock).artifacts) == 2001


CONFLICTS = """version = 1
requires-python = ">=3.11"
conflicts = [[
    { package = "app", extra = "new" },
    { package = "app", extra = "old" },
], [
    { package = "app", group = "x" },
    { package = "app", extra = "old" },
]]

[[package]]
name = "app"
version = "1.0"
source = { virtual = "." }

[package.optional-dependencies]
new = [{ name = "ok" }]
old = [{ name = "ok" }]

[package.dev-dependencies]
x = [{ name = "ok" }]

"""


@pytest.mark.parametrize(
    ("extras", "groups", "said"),
    [(["new", "old"], [], "extra new and extra old"), (["old"], ["x"], "group x and extra old")],
)
def test_extras_that_exclude_one_another_are_named(extras: list[str], groups: list[str], said: str) -> None:
    tree = SourceTree.of({"uv.lock": CONFLICTS + package("ok")})
    with pytest.raises(BadManifest) as caught:
        read_lock(tree, "uv.lock", TARGET, groups=groups, extras=extras)
    why = f"{said} exclude one another: the project declares them as conflicts (uv.lock:3)"
    hint = "Keep one of them in python.extras and python.groups (which adds to uv's default groups)."
    assert (caught.value.where, caught.value.message, caught.value.hint) == ("stager.yml", why, hint)
    assert len(read_lock(tree, "uv.lock", TARGET, extras=["new"]).artifacts) == 1
