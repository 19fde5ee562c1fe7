"""stager.lock: the same bytes whenever it is written, and no trust in what is read."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from stager.digest import Digest, sha256
from stager.errors import BadLock
from stager.formats.codec import CODEC
from stager.model import Artifact, BuildpackPin, EnvVar, LockedPlan, Plan, Process, Reason, Runtime
from stager.planning import lock_rows, lockfile

DIGEST = sha256(b"x")
PLAN = Plan(
    stack="debian-12",
    architecture="amd64",
    codec=CODEC,
    buildpacks=(BuildpackPin("python", DIGEST, Reason("it has requirements.txt", "requirements.txt")),),
    inputs=(("requirements.txt", DIGEST), ('sub dir/ü "quoted".txt', DIGEST)),
    runtimes=(Runtime("python", "3.11.2", "debian", (2, 36), Reason("Debian's own", ".python-version", 1)),),
    artifacts=(
        Artifact("pkg:pypi/flask@3.1.0", "flask-3.1.0-py3-none-any.whl", DIGEST, "wheel/1", (".stager/pypi",), 12),
        Artifact(
            "pkg:npm/%40a/b@1.0.0",
            "b-1.0.0.tgz",
            Digest("sha512:" + "ab" * 64),
            "npm/1",
            ("node_modules/@a/b", "node_modules/c/node_modules/@a/b"),
            None,
            "https://files.example/b.tgz",
        ),
    ),
    links=(("node_modules/x", "../packages/x"),),
    files=((".stager/pypi/site-packages/stager-app.pth", "../../..\n../../../src\n"),),
    processes=(Process("web", 'gunicorn --bind "0.0.0.0:$PORT" app:app', Reason("Procfile", "Procfile", 1)),),
    env=(EnvVar("PYTHONUNBUFFERED", "1", Reason("logs appear at once")),),
    facts=(("static.root", "public"),),
)


def test_it_reads_back_as_the_same_plan_and_the_same_bytes() -> None:
    text = lockfile.dumps(PLAN)
    assert lockfile.loads(text.encode()) == LockedPlan(PLAN, text, sha256(text.encode()))


def test_it_looks_like_this() -> None:
    text = lockfile.dumps(PLAN)
    assert text.startswith("# What this app is staged from, pinned.")
    assert '[[artifact]]\npurl = "pkg:pypi/flask@3.1.0"\nfile = "flask-3.1.0-py3-none-any.whl"\n' in text
    assert 'reason = "Debian\'s own"\nwhere = ".python-version:1"\n' in text
    assert text.endswith("\n")
    assert "\n\n\n" not in text


def test_the_digest_is_that_of_the_file() -> None:
    assert lockfile.plan_digest(PLAN) == sha256(lockfile.dumps(PLAN).encode())
    assert lockfile.plan_digest(replace(PLAN, notes=("a remark",), hints=(("a", "b"),))) == lockfile.plan_digest(PLAN)


def spoiled(old: str, new: str) -> bytes:
    text = lockfile.dumps(PLAN)
    assert old in text
    return text.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("data", "message", "where"),
    [
        (b"\xff\xfe", "is not UTF-8 text", ":1"),
        (b"version = 1\nstack = ,\n", "is not valid TOML", ":2"),
        (b"version = 2\n", "lock version 2 is not one this stager reads", ""),
        (b"", "document: has no 'version'", ""),
        (spoiled("version = 1", "version = true"), "version: expected an integer, found bool", ":2"),
        (spoiled("version = 1", 'version = "1"'), "version: expected an integer, found str", ":2"),
        (spoiled("size = 12", "size = -1"), "artifact[0].size: size is negative", "size ="),
        (spoiled("size = 12", "size = 1125899906842625"), "artifact[0].size: size is negative, or more than", "size ="),
        (spoiled("size = 12", "size = 12.0"), "artifact[0].size: expected an integer, found float", "size ="),
        (spoiled("size = 12", "size = " + "1" * 5000), "a number has too many digits", "size ="),
        (spoiled("size = 12", 'size = "12"'), "artifact[0].size: expected an integer, found str", "size ="),
        (spoiled('type = "web"', 'type = "we b"'), "process[0].type: type 'we b' is not allowed", "type ="),
        (
            spoiled('name = "PYTHONUNBUFFERED"', 'name = "A B"'),
            "env[0].name: name 'A B' is not allowed",
            'name = "A B"',
        ),
        (spoiled('glibc = "2.36"', 'glibc = "new"'), "runtime[0].glibc: glibc 'new' is not allowed", "glibc ="),
        (spoiled('glibc = "2.36"', 'glibc = "².٣"'), "runtime[0].glibc: glibc '².٣' is not allowed", "glibc ="),
        (
            spoiled('version = "3.11.2"', 'version = "three"'),
            "runtime[0].version: version 'three' is not allowed",
            'version = "t',
        ),
        (spoiled('stack = "debian-12"', 'stack  =  "debian-12"'), "was changed by hand or by a merge", "stack  ="),
        (spoiled('stack = "debian-12"', 'stack = "../../etc"'), "stack: stack '../../etc' is not allowed", "stack ="),
        (
            spoiled('architecture = "amd64"', 'architecture = "mips"'),
            "architecture: architecture 'mips' is",
            "architecture =",
        ),
        (spoiled(f'codec = "{CODEC}"', 'codec = "../x"'), "codec: codec '../x' is not allowed", "codec ="),
        (
            spoiled('layout = "npm/1"', 'layout = "npm/99"'),
            "artifact[1].layout: layout 'npm/99' is not one",
            'layout = "npm/99"',
        ),
        (
            spoiled('file = "b-1.0.0.tgz"', 'file = "../b.tgz"'),
            "artifact[1].file: the path '../b.tgz' does not",
            'file = "../',
        ),
        (
            spoiled('purl = "pkg:npm/%40a/b@1.0.0"', 'purl = "flask"'),
            "artifact[1].purl: purl 'flask' is not",
            'purl = "fl',
        ),
        (spoiled("%40a/b@", "%1b[2Jb@"), "has a control character", 'purl = "pkg:npm/%1b'),
        (spoiled("%40a/b@", "%e2%80%aeb@"), "turns the direction of text", 'purl = "pkg:npm/%e2'),
        (spoiled("%40a/b@", "%ffb@"), "is not valid UTF-8", 'purl = "pkg:npm/%ff'),
        (spoiled("https://files.example", "ftp://files.example"), "artifact[1].url: neither an http address", "url ="),
        (spoiled("https://files.example", "https://user:word@files.example"), "artifact[1].url: neither", "url ="),
        (spoiled("https://files.example", "https://[::1"), "artifact[1].url: neither an http address", "url ="),
        (
            spoiled("https://files.example", "file:../../etc"),
            "artifact[1].url: the path '../../etc/b.tgz' does not",
            "url =",
        ),
        (
            spoiled('name = "python"\ndigest', 'name = ".."\ndigest'),
            "buildpack[0].name: name '..' is not the name",
            'name = ".."',
        ),
        (
            spoiled(f'digest = "{DIGEST}"\nreason', f'digest = "{DIGEST}"\nfolder = "/etc"\nreason'),
            "folder '/etc'",
            "folder =",
        ),
        (
            spoiled(f'digest = "{DIGEST}"\nreason', f'digest = "{DIGEST}"\nfolder = "a/../b"\nreason'),
            "folder 'a/",
            "folder =",
        ),
        (
            spoiled(f'digest = "{DIGEST}"\nsize', 'digest = "sha256:12"\nsize'),
            "'sha256:12' is not a digest",
            "[[artifact]]",
        ),
        (spoiled('command = "gunicorn', 'command = "a\\n'), "process[0].command: a command is one line", "command ="),
        (spoiled('value = "1"', 'value = "\\u0000"'), "env[0]: value: has a NUL character", "[[env]]"),
        (
            spoiled("[links]", '[[process]]\ntype = "web"\ncommand = "x"\nreason = ""\n\n[links]'),
            "Process 'web' is there twice",
            "",
        ),
        (spoiled('paths = [".stager/pypi"]', "paths = []"), "artifact[0]: has no path", "[[artifact]]"),
        (spoiled('[".stager/pypi"]', '[".stager/pypi", ".stager/pypi"]'), "a path is there twice", "[[artifact]]"),
        (
            spoiled('["node_modules/@a/b",', '["node_modules/@a/b/",'),
            "artifact[1].paths: the path 'node_modules/@a/b/'",
            'paths = ["n',
        ),
        (b"a = " + b"[" * 5000, "is not valid TOML: nested too deeply", ""),
        (b"a." * 60_000 + b"a = 1", "is not valid TOML: a key has more than 64 parts", ":1"),
    ],
)
def test_a_bad_lock_is_refused_with_its_place(data: bytes, message: str, where: str) -> None:
    with pytest.raises(BadLock) as caught:
        lockfile.loads(data)
    assert message in caught.value.message
    line = caught.value.where.removeprefix("stager.lock").removeprefix(":")
    if where.startswith(":") or not where:
        assert (line and f":{line}") == where
    else:
        assert data.decode().split("\n")[int(line) - 1].startswith(where)
    assert caught.value.exit_code == 20
    assert caught.value.hint


SPOILED_PATHS = {
    "../x": "does not stay inside the app folder", "/etc": "does not stay", "": "does not stay", ".": "does not stay",
    "a/../b": "does not stay", "a//b": "does not stay", "./a": "does not stay", "a/": "does not stay",
    "a\x1b[31m": "has a control character", "a\x7fb": "has a control character", "a\x85b": "has a control character",
    "a\nb": "has a control character", "a\u202eb": "turns the direction", "a\u2066b": "turns the direction",
    "a\ufeffb": "turns the direction", "a\uffffb": "turns the direction", "\u200fa": "turns the direction",
    "a\\b": "has a backslash", "C:\\x": "has a backslash",
    "a/.wh.b": "begins with '.wh.'", ".wh..wh..opq": "begins with '.wh.'",
    "n" * 256: "is longer than 255 bytes", "ü" * 128: "is longer than 255 bytes", "d/" * 64 + "f": "more than 64 folders deep",
    "/".join(["p" * 200] * 25): "is longer than 4096 bytes", "a\0b": "does not stay",
}  # fmt: skip
OWN_PATHS = [
    *lock_rows.OWN,
    ".stager",
    ".stager/processes/web",
    ".stager/bin/x",
    ".profile.d/000-env.sh/x",
    ".profile.d",
]


@pytest.mark.parametrize("table", ["links", "files", "artifact"])
@pytest.mark.parametrize("path", [*SPOILED_PATHS, *OWN_PATHS])
def test_a_path_that_no_droplet_may_have(path: str, table: str) -> None:
    plans = {
        "links": replace(PLAN, links=((path, "x"),)),
        "files": replace(PLAN, files=((path, "x"),)),
        "artifact": replace(PLAN, artifacts=(replace(PLAN.artifacts[0], paths=(path,)),)),
    }
    data = lockfile.dumps(plans[table]).encode()
    why = SPOILED_PATHS.get(path, "is one that stager makes itself")
    with pytest.raises(BadLock, match=re.escape(why)) as caught:
        lockfile.loads(data)
    line = data.decode().split("\n")[int(caught.value.where.removeprefix("stager.lock:")) - 1]
    assert line.startswith(
        "paths = " if table == "artifact" else json.dumps(path, ensure_ascii=False).replace("\x7f", "\\u007f")
    )


@pytest.mark.parametrize("path", SPOILED_PATHS)
def test_an_input_that_no_app_may_have(path: str) -> None:
    """But a backslash: Linux has files of such names."""
    data = lockfile.dumps(replace(PLAN, inputs=((path, DIGEST),))).encode()
    if SPOILED_PATHS[path] == "has a backslash":
        assert lockfile.loads(data).plan.inputs[0][0] == path
        return
    with pytest.raises(BadLock, match=re.escape(SPOILED_PATHS[path])):
        lockfile.loads(data)


@pytest.mark.parametrize(
    "target",
    [
        "../../x",
        "/etc",
        "",
        "a\x1bb",
        "a\u202eb",
        "a\\b",
        "n" * 256,
        "../" * 65 + "x",
        "p/" * 130 + "x",
        "x/.wh.y",
        "a\0b",
    ],
)
def test_a_target_that_no_link_may_have(target: str) -> None:
    data = lockfile.dumps(replace(PLAN, links=(("node_modules/x", target),))).encode()
    with pytest.raises(BadLock, match=r"links\.node_modules/x: ") as caught:
        lockfile.loads(data)
    assert data.decode().split("\n")[int(caught.value.where[12:]) - 1].startswith('"node_modules/x" = ')


def test_no_artifact_twice_and_no_place_for_two_packages() -> None:
    one = PLAN.artifacts[1]
    other = replace(one, purl="pkg:npm/other@2.0.0", paths=one.paths[:1])
    with pytest.raises(BadLock, match=r"is also that of pkg:npm/%40a/b@1\.0\.0"):
        lockfile.loads(lockfile.dumps(replace(PLAN, artifacts=(one, other))).encode())
    with pytest.raises(BadLock, match=r"b@1\.0\.0 is there twice"):
        lockfile.loads(lockfile.dumps(replace(PLAN, artifacts=(one, replace(one, paths=("node_modules/z",))))).encode())
    wheel = PLAN.artifacts[0]
    beside = replace(wheel, purl="pkg:pypi/jinja2@3.1.0")
    assert len(lockfile.loads(lockfile.dumps(replace(PLAN, artifacts=(wheel, beside))).encode()).plan.artifacts) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"digest": sha256(b"y")},
        {"digest": Digest("sha512:" + "cd" * 64)},
        {"purl": "pkg:pypi/flask@3.1.1"},
        {"purl": "pkg:pypi/flask@3.1.0?x=y", "digest": sha256(b"y")},
        {"layout": "npm/1"},
    ],
)
def test_a_place_has_one_file_of_a_package(other: dict[str, object]) -> None:
    wheel = PLAN.artifacts[0]
    text = lockfile.dumps(replace(PLAN, artifacts=(wheel, replace(wheel, **other))))  # type: ignore[arg-type]
    with pytest.raises(
        BadLock, match=r"where another file of the package is: pkg:pypi/flask@3\.1\.0 \(sha256:"
    ) as caught:
        lockfile.loads(text.encode())
    assert caught.value.where.startswith("stager.lock:")


def test_a_tarball_whose_version_no_lock_knows_can_be_pinned() -> None:
    plan = replace(PLAN, artifacts=(replace(PLAN.artifacts[1], purl="pkg:npm/%40a/b"),))
    assert lockfile.loads(lockfile.dumps(plan).encode()).plan == plan


def test_stagers_own_files_are_those_that_it_makes() -> None:
    from stager.droplet.launch import launch_files

    made = {*launch_files(lockfile.locked(PLAN)), ".stager/layers.json"}
    assert [path for path in made if not any(f"{path}/".startswith(f"{own}/") for own in lock_rows.OWN)] == []
