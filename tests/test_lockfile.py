"""stager.lock: the same bytes whenever it is written, and no trust in what is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stager import lockfile
from stager.codec import CODEC
from stager.digest import Digest, sha256
from stager.errors import BadLock
from stager.model import Artifact, BuildpackPin, EnvVar, Plan, Process, Reason, Runtime

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
    assert lockfile.loads(text.encode()) == PLAN
    assert lockfile.dumps(lockfile.loads(text.encode())) == text


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
        (b"\xff\xfe", "is not UTF-8 text", "stager.lock"),
        (b"version = 1\nstack = ,\n", "is not valid TOML", "stager.lock:2"),
        (b"version = 2\n", "lock version 2 is not one this stager reads", "stager.lock"),
        (b"", "document: has no 'version'", "stager.lock"),
        (
            spoiled('paths = [".stager/pypi"]', 'paths = ["../../etc"]'),
            "artifact[0]: the path '../../etc' does not stay",
            "",
        ),
        (spoiled('paths = [".stager/pypi"]', 'paths = ["/etc"]'), "artifact[0]: the path '/etc' does not stay", ""),
        (spoiled('"../packages/x"', '"../../x"'), "links.node_modules/x: the link target '../../x' does not stay", ""),
        (spoiled('"../packages/x"', '"/etc"'), "links.node_modules/x: the link target '/etc' does not stay", ""),
        (
            spoiled('".stager/pypi/site-packages/stager-app.pth" =', '"../x" ='),
            "files.../x: the path '../x' does not",
            "",
        ),
        (spoiled(f'digest = "{DIGEST}"\nsize', 'digest = "sha256:12"\nsize'), "'sha256:12' is not a digest", ""),
        (spoiled("size = 12", "size = -1"), "artifact[0]: size is negative", ""),
        (spoiled("size = 12", 'size = "12"'), "artifact[0].size: expected an integer, found str", ""),
        (spoiled('type = "web"', 'type = "we b"'), "process[0]: type 'we b' is not allowed", ""),
        (spoiled('name = "PYTHONUNBUFFERED"', 'name = "A B"'), "env[0]: name 'A B' is not allowed", ""),
        (spoiled('glibc = "2.36"', 'glibc = "new"'), "runtime[0]: glibc 'new' is not allowed", ""),
        (spoiled('stack = "debian-12"', 'stack  =  "debian-12"'), "was changed by hand or by a merge", ""),
        (b"a = " + b"[" * 5000, "is not valid TOML", ""),
    ],
)
def test_a_bad_lock_is_refused_with_its_place(data: bytes, message: str, where: str) -> None:
    with pytest.raises(BadLock) as caught:
        lockfile.loads(data)
    assert message in caught.value.message
    assert caught.value.where.startswith(where or "stager.lock")
    assert caught.value.exit_code == 20
    assert caught.value.hint
