"""Every cause is produced for real, by a build with one function replaced or by a changed app, and recognised by `verify`."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import patched
import pytest
from patched import build, generated, patch, prepared, verify

BUILT = "./app/.stager/built.txt"
ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not ROOT, reason="only root can run as another user")

BOTH = {
    # name: (patch, cause, level, path or its beginning)
    "mtime from the clock": (patched.MTIME, "mtime", "field", "./app/"),
    "order from readdir": (patched.ORDER, "order", "entry", "./app/"),
    "mode from the umask": (patched.MODE, "mode", "field", "./app/"),
    "owner from getuid": (patched.OWNER, "owner", "field", "./app/"),
    "device from getuid": (patched.DEVICE, "header", "field", "./app/"),
    "bytecode with times": (patched.STAMPED, "bytecode", "byte", "./app/.stager/pypi/site-packages/apple/__pycache__/"),
    "the app's folder": (generated("root"), "embedded path", "byte", BUILT),
    "the working folder": (generated("'cd ' + os.getcwd()"), "embedded path", "byte", BUILT),
    "the home folder": (generated("os.environ['HOME'] + '/bin'"), "embedded path", "byte", BUILT),
    "the host name": (generated("'built on ' + os.uname().nodename"), "environment", "byte", BUILT),
    "the user's name": (generated("'by ' + os.environ.get('USER', 'root')"), "environment", "byte", BUILT),
    "seconds": (generated("str(time.time())"), "timestamp", "byte", BUILT),
    "a date": (generated("time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())"), "timestamp", "byte", BUILT),
    "ctime": (generated("'made ' + time.ctime() + ' by hand'"), "timestamp", "byte", BUILT),
    "random bytes": (generated("os.urandom(16).hex()"), "random value", "byte", BUILT),
    "a UUID": (generated("'id: ' + str(__import__('uuid').uuid4())"), "random value", "byte", BUILT),
    "a random number": (generated("str(__import__('random').random())"), "random value", "byte", BUILT),
    "the order of a set": (generated("' '.join({'a%d' % n for n in range(40)})"), "order", "byte", BUILT),
    "the order of lines": (generated("chr(10).join({'b%d' % n for n in range(40)})"), "order", "byte", BUILT),
}
"""Builds that are not reproducible: the droplet and the second staging are both made by them."""


@pytest.mark.tools
@root_only
@pytest.mark.parametrize("name", BOTH)
def test_a_build_that_is_not_reproducible(name: str, tmp_path: Path) -> None:
    code, cause, level, path = BOTH[name]
    app, store = prepared(tmp_path)
    variables = patch(tmp_path, code)
    build(app, store, variables)
    done = verify(app, store, variables)
    first = done.document["cause"]
    assert done.code == 80, done.err
    assert (first["cause"], first["level"]) == (cause, level), done.out
    assert first["path"].startswith(path)
    assert first["hint"]


@pytest.mark.tools
@root_only
def test_the_control_is_reproducible_under_every_condition(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    variables = patch(tmp_path, "import stager.formats.tar\n")
    build(app, store, variables)
    found = verify(app, store, variables).good().document
    assert (found["equal"], found["findings"], found["cause"]) == (True, [], None)
    assert {one["name"] for one in found["conditions"]["not_tried"]} <= {"python"}


ONE = {
    "another compressor": (patched.COMPRESSOR, "compressor", "byte", "./app/.stager/layers.json"),
    "other bytecode": (patched.HASHED, "extra entry", "entry", "./app/.stager/pypi/site-packages/apple/__pycache__/"),
    "a time": (generated("str(time.time())"), "extra entry", "entry", BUILT),
    "a time in a launch file": (
        patched.GENERATED
        + "write(lambda root: './serve --since ' + str(int(time.time())) + chr(10), '.stager/processes/web')",
        "timestamp",
        "byte",
        "./app/.stager/processes/web",
    ),
}
"""Droplets of such builds, verified with stager as it should be."""


@pytest.mark.parametrize("name", ONE)
def test_a_droplet_of_another_build(name: str, tmp_path: Path) -> None:
    code, cause, level, path = ONE[name]
    app, store = prepared(tmp_path)
    build(app, store, patch(tmp_path, code))
    done = verify(app, store, {}, "--conditions", "hash seed")
    first = done.document["cause"]
    assert done.code == 80, done.err
    assert (first["cause"], first["level"]) == (cause, level), done.out
    assert first["path"].startswith(path)


def _same_length(data: bytes) -> bytes:
    return data.replace(b"print('hello')", b"print('evil!')")


def _archived(data: bytes, **fields: object) -> bytes:
    """What another archiver makes of a droplet's tar: other headers, in another order, with one file changed."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as new,
    ):
        for member in sorted(old, key=lambda one: one.name[::-1]):
            content = old.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            content += b"# evil\n" if member.name == "./app/main.py" else b""
            member.size = len(content)
            for key, value in fields.items():
                setattr(member, key, value)
            new.addfile(member, io.BytesIO(content))
    return made.getvalue()


REPACKED: dict[str, Callable[[bytes, bytes], bytes]] = {
    "gzip": lambda tar, _: gzip.compress(_same_length(tar), 9, mtime=0),
    "gzip with a time": lambda tar, _: gzip.compress(_same_length(tar), 1, mtime=1_700_000_000),
    "the header kept": lambda tar, old: old[:10] + gzip.compress(_same_length(tar), 6, mtime=0)[10:],
    "two members": lambda tar, _: b"".join(
        gzip.compress(part) for part in (_same_length(tar)[:5120], _same_length(tar)[5120:])
    ),
    "something behind": lambda tar, _: gzip.compress(_same_length(tar)) + b"more",
    "tar": lambda tar, _: gzip.compress(_archived(tar)),
    "tar by a user": lambda tar, _: gzip.compress(_archived(tar, uid=1000, uname="me", mtime=1_700_000_000)),
}
"""Ways to change one file of a droplet: whoever does packs it all again."""


@pytest.mark.parametrize("name", REPACKED)
def test_a_file_that_was_tampered_with_comes_before_what_follows_from_that(name: str, tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    droplet = build(app, store, {})
    old = droplet.read_bytes()
    droplet.write_bytes(REPACKED[name](gzip.decompress(old), old))
    done = verify(app, store, {}, "--conditions", "umask")
    first = done.document["cause"]
    assert (done.code, first["cause"], first["path"]) == (80, "different input", "./app/main.py"), done.out


def test_a_droplet_that_was_only_compressed_again_says_so(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    droplet = build(app, store, {})
    old = droplet.read_bytes()
    droplet.write_bytes(old[:10] + gzip.compress(gzip.decompress(old), 6)[10:])
    assert verify(app, store, {}, "--conditions", "umask").document["cause"]["cause"] == "compressor"


# --- the app ---------------------------------------------------------------------------------------------------


def test_a_changed_source_file(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    (app / "main.py").write_text("print('goodbye')\n")
    done = verify(app, store, {}, "--conditions", "umask")
    first = done.document["cause"]
    assert done.code == 80
    assert (first["cause"], first["path"], first["package"]) == ("different input", "./app/main.py", "the app")
    assert (first["level"], first["layer"]) == ("byte", "app")
    assert done.document["counts"] == {"different input": 1}


def test_added_and_removed_source_files(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    (app / "new.py").write_text("1\n")
    (app / "pages" / "two.html").unlink()
    found = verify(app, store, {}, "--conditions", "umask").document["findings"]
    assert [(one["cause"], one["path"]) for one in found] == [
        ("missing entry", "./app/new.py"),
        ("extra entry", "./app/pages/two.html"),
    ]


def test_an_executable_bit(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    (app / "main.py").chmod(0o755)
    first = verify(app, store, {}, "--conditions", "umask").document["cause"]
    assert (first["cause"], first["path"], first["droplet"], first["rebuilt"]) == (
        "mode",
        "./app/main.py",
        "0664",
        "0775",
    )


def test_another_lock(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    lock = app / "stager.lock"
    lock.write_text(lock.read_text().replace('command = "./serve"', 'command = "./serve --fast"'))
    first = verify(app, store, {}, "--conditions", "umask").document["cause"]
    assert (first["cause"], first["level"], first["field"]) == ("different input", "plan", "process.web")
    assert (first["droplet"], first["rebuilt"]) == (
        "./serve, a test says so (Procfile:1)",
        "./serve --fast, a test says so (Procfile:1)",
    )


def test_a_stale_lock_is_an_error_of_its_own(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    (app / "Procfile").write_text("web: ./serve --slow\n")
    done = verify(app, store, {}, "--conditions", "umask")
    assert done.code == 20
    assert "stager.lock is out of step with Procfile" in done.document["error"]["message"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda data: data + b"more", "trailing bytes"),
        (lambda data: data[:-100], "truncated"),
        (lambda data: b"PK" + data[2:], "damaged"),
        (lambda data: data[:10], "truncated"),
    ],
)
def test_a_damaged_file(change: object, cause: str, tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    out = build(app, store, {})
    out.write_bytes(change(out.read_bytes()))  # type: ignore[operator]
    done = verify(app, store, {}, "--conditions", "umask")
    assert (done.code, done.document["cause"]["cause"]) == (80, cause)


@pytest.mark.slow
def test_bytecode_of_another_python(tmp_path: Path) -> None:
    """A build whose bytecode is right for one Python is not right for two; where there is another one, it is tried."""
    hosts = [path for path in os.environ.get("STAGER_TEST_HOSTS", "").split(os.pathsep) if path]
    for number, python in enumerate(hosts):
        place = tmp_path / str(number)
        place.mkdir()
        app, store = prepared(place)
        variables = patch(place, patched.HASHED)
        build(app, store, variables)
        done = verify(app, store, variables, "--conditions", "python", "--python", python)
        tried = {one["name"]: one for one in done.document["conditions"]["tried"]}
        if tried["python"]["here"].rpartition(".")[0] == tried["python"]["there"].rpartition(".")[0]:
            assert done.code == 0, done.out
        else:
            assert (done.code, done.document["cause"]["cause"]) == (80, "bytecode"), done.out
            assert done.document["cause"]["what"] == "bytecode of another Python"
