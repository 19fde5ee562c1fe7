"""Nothing that stager has written is ever source: not by what a store remembers, but by its bytes, on every machine."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import PROGRAM, stager
from test_invariance import own_app
from unpacking import unpack
from written import NOTHING, WRITES, written
from written import stager as here

from stager.cli.commands import MODULES
from stager.cli.commands.arguments import parser_of
from stager.errors import Unreadable
from stager.tree import SourceTree
from stager.tree.errors import AppTooLarge
from stager.tree.fingerprint import LARGEST_FILE
from stager.tree.outputs import SECRET, WRITTEN

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.fixture(scope="module")
def outputs() -> Path:
    return written()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return own_app(tmp_path / "clean")


def read(folder: Path) -> SourceTree:
    return SourceTree.read(str(folder))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def plain(outputs: Path) -> list[Path]:
    """The outputs that are files, without what is inside of folders that are left out whole."""
    return [path for path in files(outputs) if not {"a store", "blobs", "builder"} & {*path.parts} and not whole(path)]


def whole(path: Path) -> bool:
    return path.name in ("index.json", "oci-layout") or "inner app" in path.parts


# --- every command ---------------------------------------------------------------------------------------------


def test_every_command_is_known_by_what_it_writes() -> None:
    assert {*WRITES, *NOTHING} == {*MODULES}
    assert not {*WRITES} & {*NOTHING}
    assert all(NOTHING.values())


def test_a_command_with_an_output_is_among_those_that_write() -> None:
    found = []
    for name in MODULES:
        named = [action for action in parser_of(name)._actions if action.nargs != 0]  # those that name a place
        options = {option for action in named for option in action.option_strings}
        if options & {"-o", "--output", "--keep", "--junit", "--make-key", "--eject"} and name not in WRITES:
            found.append(name)
    assert found == []


def test_no_output_is_source_and_each_is_named(app: Path, outputs: Path) -> None:
    clean = read(app)
    shutil.copytree(outputs, app / "written")
    tree = read(app)
    assert tree == clean
    assert tree.digest == clean.digest
    named = {path for path, _ in tree.left_out}
    assert {why for _, why in tree.left_out if not why.startswith(WRITTEN)} == {SECRET}
    for name in (line[0] for lines in WRITES.values() for line in lines):
        assert any(path == f"written/{name}" or path.startswith(f"written/{name}/") for path in named), name
    assert {"written/image", "written/deep/er/other image", "written/builder", "written/a store/v1"} <= named


def test_another_machine_another_store_and_another_path(outputs: Path, tmp_path: Path) -> None:
    """The axis itself: a fresh clone in one store, and the folder of somebody who ran every command in another."""
    clean, used = own_app(tmp_path / "a"), own_app(tmp_path / "b" / "elsewhere")
    shutil.copytree(outputs, used / "written")
    for path in plain(outputs):
        shutil.copyfile(path, used / f"copy of {path.name}")
    told = []
    for folder, store in ((clean, "one"), (used, "two"), (used, "two"), (used, "three")):
        done = stager("stage", folder, "-o", tmp_path / "d", "--offline", "--json", store=tmp_path / store).good()
        told.append(done.document)
    assert len({one["digest"] for one in told}) == 1
    assert told[1]["left_out"] == told[2]["left_out"] == told[3]["left_out"] != told[0]["left_out"]


def test_the_readme_s_flow_in_the_app_s_own_folder(app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app)

    def run(*words: str) -> str:
        return here(*words, store=tmp_path / "store")

    run("lock", "--offline")
    first = run("stage", "--locked", "-o", "new.tgz")
    again = run("stage", "--locked", "-o", "image.tgz")
    run("verify", "new.tgz", "--conditions", "umask")
    run("export", "oci", "new.tgz", "--base", "scratch", "-o", "image/")
    run("export", "heroku", "new.tgz")
    run("report", "new.tgz")
    run("receipt", "new.tgz", "-o", "droplet.receipt.json")
    run("receipt", "new.tgz", "--check", "droplet.receipt.json")
    run("attest", "--make-key", "ci.key")
    run(*("attest", "new.tgz", "--source", ".", "--key", "ci.key", "-o", "droplet.attestation.json", "--offline"))
    run(
        *(
            "verify",
            "new.tgz",
            "--k-of-n",
            "1",
            "--attestation",
            "droplet.attestation.json",
            "--trusted-key",
            "ci.key.pub",
        )
    )
    run("bundle", "export", "--offline", "-o", "nested/for them.tar")
    run("verify", "new.tgz", "--conditions", "umask")
    assert run("stage", "--locked") == again == first
    assert here("stage", app, "-o", tmp_path / "x", "--locked", store=tmp_path / "other") == first


def test_the_file_that_a_command_prints_to_is_no_source(app: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"

    def run(*words: str, into: str) -> int:
        environment = {**os.environ, "STAGER_CACHE_DIR": str(store)}
        with (app / into).open("ab") as file:
            return subprocess.run([*PROGRAM, *words], cwd=app, env=environment, stdout=file, stderr=file).returncode

    stager("lock", "--offline", store=store, cwd=app).good()
    first = stager("stage", "--locked", "-o", "../x", store=store, cwd=app).good().out
    assert run("stage", "--locked", "-o", "printed.tgz", into="a log") == 0
    assert Path(app / "a log").read_text().splitlines()[-1] == first.strip()
    (app / "a log").unlink()
    assert run("stage", "--locked", "-q", "-o", "-", into="whole.tgz") == 0
    assert run("verify", "printed.tgz", "--conditions", "umask", into="another log") == 0
    assert run("verify", "printed.tgz", "--conditions", "umask", into="another log") == 0
    (app / "another log").unlink()
    stager("attest", "--make-key", "ci.key", store=store, cwd=app).good()
    assert run("attest", "printed.tgz", "--key", "ci.key", "--offline", "-q", into="attested") == 0
    assert stager("stage", "--locked", "-o", "../x", store=store, cwd=app).good().out == first


# --- copies, other names, other wrappings, damage --------------------------------------------------------------


def test_whatever_becomes_of_an_output_it_is_no_source(app: Path, outputs: Path) -> None:
    clean = read(app)
    kept = []
    for number, path in enumerate(plain(outputs)):
        for name, data in _fates(path):
            (app / f"{number} {name}").write_bytes(data)
            kept.append(f"{number} {name} of {path.name}")
    tree = read(app)
    assert [kept for kept in tree.files if kept not in clean.files] == []
    assert tree == clean
    assert len(tree.left_out) == len(kept)


def _fates(path: Path) -> Iterator[tuple[str, bytes]]:
    """What people and machines make of a file."""
    data = path.read_bytes()
    yield "renamed.bin", data
    yield "appended", data + b"\n"
    if path.suffix == ".xml" or data.startswith(b"-----BEGIN"):
        return
    yield "zipped", gzip.compress(data, 9)
    yield "twice", bz2.compress(zstd.compress(data))
    if len(data) > 4096:
        yield "cut", data[: len(data) * 2 // 3]
    if data.startswith(b"{"):
        yield "printed", json.dumps(json.loads(data), indent=2).encode()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
        yield "unzipped", data
        yield "zipped again", gzip.compress(data, 1)
    yield "x.bz2", bz2.compress(data)
    yield "x.xz", lzma.compress(data, preset=1)
    yield "x.zst", zstd.compress(data)


def test_what_a_killed_command_leaves_is_no_source(app: Path) -> None:
    clean = read(app)
    (app / ".d.tgz.0123456789ab.part").write_bytes(b"half")
    (app / "nested" / "report.html.0123456789ab.part").write_bytes(b"")
    (app / ".image.0123456789ab.part" / "blobs").mkdir(parents=True)
    (app / ".image.0123456789ab.part" / "blobs" / "x").write_bytes(b"half")
    (app / ".image.0123456789ab.part.old").mkdir()
    (app / ".image.0123456789ab.part.old" / "index.json").write_bytes(b"{}")
    assert read(app) == clean
    for name in (
        "video.part",
        ".0123456789ab.part",
        "x.0123456789AB.part",
        "x.0123456789.part",
        "x.part-1",
        "a.b.part",
    ):
        (app / name).write_bytes(b"the app's own")
    assert len(read(app).files) == len(clean.files) + 6


def test_a_link_to_an_output_is_what_it_is_in_a_clone(app: Path, outputs: Path, tmp_path: Path) -> None:
    """A clone has the link and not the output; both must give the same droplet."""
    for name, target in (("latest.tgz", "out/one.tgz"), ("current", "out/image"), ("inside", "out/image/index.json")):
        (app / name).symlink_to(target)
    clean = read(app)
    assert {"latest.tgz", "current", "inside"} <= clean.links.keys()
    (app / "out").mkdir()
    shutil.copyfile(outputs / "droplet", app / "out" / "one.tgz")
    shutil.copytree(outputs / "image", app / "out" / "image")
    assert read(app) == clean


def test_a_droplet_written_through_a_link(app: Path, tmp_path: Path) -> None:
    (app / "out").mkdir()
    (app / "latest.tgz").symlink_to("out/one.tgz")
    store = tmp_path / "store"
    first = stager("stage", app, "-o", "out/one.tgz", "--offline", store=store, cwd=app).good().out
    assert stager("stage", app, "-o", "out/one.tgz", "--offline", store=store, cwd=app).good().out == first
    assert stager("stage", app, "-o", "../x", "--offline", store=tmp_path / "other", cwd=app).good().out == first


def test_the_store_may_lie_in_the_app(app: Path, tmp_path: Path) -> None:
    first = stager("stage", ".", "-o", "../x", "--offline", store=tmp_path / "store", cwd=app).good().out
    for place in (".cache", "deep/down/store", "."):
        for _ in range(2):
            done = stager("stage", ".", "-o", "../x", "--offline", "--cache-dir", place, store=tmp_path, cwd=app)
            assert done.good().out == first, place


def test_what_the_first_version_wrote_is_known(app: Path) -> None:
    """All that 0.1.0 could write, but for public keys, which said nothing of whose they are."""
    clean = read(app)
    with tarfile.open(Path(__file__).with_name("written-0.1.0.tar.xz")) as archive:
        names = {name.partition("/")[0] for name in archive.getnames()}
        unpack(archive, app / "old")
    tree = read(app)
    assert tree == clean
    assert {path.split("/")[1] for path, _ in tree.left_out} == names
    assert len(names) > 20


def test_a_sigstore_bundle(app: Path, outputs: Path) -> None:
    clean = read(app)
    envelope = json.loads((outputs / "attested.json").read_text())
    kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
    bundle = {
        "mediaType": kind,
        "verificationMaterial": {"certificate": {"rawBytes": "x" * 2000}},
        "dsseEnvelope": envelope,
    }
    (app / "one").write_text(json.dumps(bundle))
    (app / "two").write_text(json.dumps(bundle, indent=1))
    (app / "three").write_text(json.dumps(envelope | {"payload": "aGVsbG8="}))
    assert {*read(app).files} - {*clean.files} == {"three"}


def test_an_output_larger_than_any_source_file_is_not_refused(app: Path, outputs: Path) -> None:
    clean = read(app)
    for name in ("one", "two"):
        shutil.copyfile(outputs / "droplet", app / name)
        os.truncate(app / name, LARGEST_FILE + 1)
    assert read(app) == clean
    (app / "one").write_bytes(b"")
    os.truncate(app / "one", LARGEST_FILE + 1)
    with pytest.raises(AppTooLarge):
        read(app)


# --- what looks like an output and is none ---------------------------------------------------------------------


def _tar(names: dict[str, bytes], mode: str = "w:gz", /, **facts: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.USTAR_FORMAT) as made:  # type: ignore[call-overload]
        for name, data in names.items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(data)
            for fact, value in facts.items():
                setattr(info, fact, value)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


_LIKE = {"uid": 2000, "gid": 0, "mtime": 315532801}
FOREIGN: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda _: b"",
    "own.tar.gz": lambda _: _tar({"./app/": b"", "./app/main.py": b"x"}),
    "repacked droplet": lambda _: _tar({"./app/": b"", "./app/.stager/": b"", "./app/x": b"x"}),
    "a droplet of nobody": lambda _: _tar({"./app/": b"", "./app/x": b"x"}, **_LIKE),
    "image by docker": lambda _: _tar({"index.json": b"{}", "manifest.json": b"[]", "oci-layout": b"{}"}, "w"),
    "release by bosh": lambda _: _tar({"./release.MF": b"---\n", "./jobs/": b""}),
    "own box": lambda _: _tar({"Vagrantfile": b"Vagrant.configure('2')\n", "metadata.json": b"{}"}),
    "own root": lambda _: _tar({"./": b"", "./app/": b"", "./bin/": b""}, "w"),
    "begins like a droplet": lambda outputs: (outputs / "droplet").read_bytes()[:40] + b"and goes on otherwise" * 9,
    "gzip of text": lambda _: gzip.compress(b"stager" * 500),
    "damaged gzip": lambda _: b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff\xff\xff\xff",
    "own.bz2": lambda _: bz2.compress(_tar({"./app/": b"", "./app/main.py": b"x"}, "w")),
    "own.xz": lambda _: lzma.compress(_tar({"./app/": b"", "./app/main.py": b"x"}, "w")),
    "own.zst": lambda _: zstd.compress(_tar({"./app/": b"", "./app/main.py": b"x"}, "w")),
    "damaged.bz2": lambda _: b"BZh9" + b"x" * 100,
    "damaged.xz": lambda _: b"\xfd7zXZ\0" + b"x" * 100,
    "damaged.zst": lambda _: b"\x28\xb5\x2f\xfd" + b"x" * 100,
    "bom.json": lambda _: json.dumps(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "components": [{"bom-ref": "pkg:pypi/stager", "name": "stager"}],
        }
    ).encode(),
    "spdx.json": lambda _: b'{"SPDXID":"SPDXRef-DOCUMENT","creationInfo":{"created":"x","creators":["Tool: syft"]}}',
    "deadly.json": lambda _: b'{"payload":' + b"[" * 5000,
    "webhook.json": lambda _: b'{"payload":"aGVsbG8=","payloadType":"application/vnd.in-toto+json","signatures":[]}',
    "artifacts.json": lambda _: b'{"artifacts":[{"name":"x"}]}',
    "package.json.bak": lambda _: b'{"name":"stager","description":"stager"}',
    "description.json": lambda _: b'{"description":"about stager","name":"stager/x"}',
    "ada.pub": lambda _: b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPt5NwvyplqTG24dwZylVnTpbV8MU00L8x5L7WjGvpKc=\n",
    "about.html": lambda _: b"<!DOCTYPE html>\n<html><head><title>How we use stager</title></head></html>",
    "deployment.yaml": lambda _: b"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: stager\n",
    "notes.md": lambda _: b"# What this app is staged from\nstager.lock, made by stager\n",
    "deploy.rake": lambda _: b"# Deploys with Capistrano 3\nnamespace :deploy do\nend\n",
    "stager.txt": lambda _: b"stager: what it is\n",
    "Dockerfile": lambda _: b"# The s2i builder of the stack\nFROM scratch\n",
}


def test_what_others_write_stays_source(app: Path, outputs: Path) -> None:
    clean = read(app)
    for name, make in FOREIGN.items():
        (app / name).write_bytes(make(outputs))
    tree = read(app)
    assert tree.left_out == ()
    assert {*tree.files} - {*clean.files} == {*FOREIGN}


def test_an_image_layout_of_another_tool_stays_source(app: Path, outputs: Path) -> None:
    foreign = app / "theirs"
    shutil.copytree(outputs / "image", foreign)
    for path in (foreign / "blobs" / "sha256").iterdir():
        data = path.read_bytes()
        if b"stager.droplet.digest" in data:
            path.write_bytes(data.replace(b"stager.droplet.digest", b"another.digest"))
    (app / "empty layout").mkdir()
    for name, text in (("oci-layout", "{}"), ("index.json", '{"manifests":[]}')):
        (app / "empty layout" / name).write_text(text)
    (app / "odd layout").mkdir()
    for name, text in (("oci-layout", "{}"), ("index.json", '{"manifests":[{"digest":"sha256:../../x"},7,null]}')):
        (app / "odd layout" / name).write_text(text)
    kept = {*read(app).files}
    assert {"theirs/index.json", "empty layout/index.json", "odd layout/index.json"} <= kept
    assert len([path for path in kept if path.startswith("theirs/blobs/sha256/")]) >= 3


def test_an_image_made_from_a_stack_s_image_stays_source(app: Path, outputs: Path) -> None:
    layout = app / "derived"
    shutil.copytree(outputs / "boxes" / "image", layout)
    for path in (layout / "blobs" / "sha256").iterdir():
        data = path.read_bytes()
        if b'"history"' in data:
            document = json.loads(data)
            document["history"].append({"created_by": "RUN make"})
            path.write_bytes(json.dumps(document).encode())
    assert "derived/index.json" in read(app).files


# --- what the app asks for -------------------------------------------------------------------------------------


def test_an_output_that_the_ignore_file_asks_for_is_source(app: Path, outputs: Path) -> None:
    (app / "fixtures").mkdir()
    shutil.copyfile(outputs / "droplet", app / "fixtures" / "x.tgz")
    shutil.copyfile(outputs / "slug.tgz", app / "fixtures" / "y.tgz")
    shutil.copytree(outputs / "image", app / "fixtures" / "image")
    before = read(app)
    assert [path for path, _ in before.left_out] == ["fixtures/image", "fixtures/x.tgz", "fixtures/y.tgz"]
    (app / ".stagerignore").write_text("!fixtures/x.tgz\n!fixtures/image/\n")
    for index in (None, before.index):
        tree = SourceTree.read(str(app), index=index)
        assert tree.left_out == (("fixtures/y.tgz", WRITTEN + "a droplet"),)
        new = {*tree.files} - {*before.files}
        assert new == {"fixtures/x.tgz", *(str(path.relative_to(app)) for path in files(app / "fixtures" / "image"))}
        kept = ("fixtures/x.tgz", "written by stager, kept because the ignore file asks for it")
        assert kept in tree.notes
    assert SourceTree.read(str(app), index=tree.index) == tree


def test_a_python_without_a_compressor_does_not_guess(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (app / "data.xz").write_bytes(lzma.compress(b"x"))
    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(Unreadable) as caught:
        read(app)
    assert caught.value.message == "cannot be read: whether stager wrote it cannot be told without Python's module lzma"


# --- what is remembered ----------------------------------------------------------------------------------------


def _age(folder: Path) -> None:
    """Let every file be old enough for its stamp to be trusted."""
    import time

    time.sleep(2.1)


def test_an_unchanged_output_costs_nothing_and_a_new_one_is_looked_at(
    app: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stager.tree import outputs as told

    shutil.copyfile(outputs / "droplet", app / "one.tgz")
    shutil.copytree(outputs / "image", app / "image")
    _age(app)
    tree = read(app)
    asked: list[int] = []
    plain = told.output

    def counted(head: bytes) -> str:
        asked.append(len(head))
        return plain(head)

    monkeypatch.setattr(told, "output", counted)
    again = SourceTree.read(str(app), index=tree.index)
    assert (again, again.left_out, again.index is tree.index, asked) == (tree, tree.left_out, True, [])
    shutil.copyfile(outputs / "slug.tgz", app / "one.tgz")
    (app / "A.txt").write_text("changed\n")
    third = SourceTree.read(str(app), index=tree.index)
    assert len(asked) == 1
    assert third.left_out == tree.left_out
    assert third == read(app)
    (app / "one.tgz").write_bytes(b"the app's own")
    assert "one.tgz" in SourceTree.read(str(app), index=third.index).files
    shutil.copyfile(outputs / "droplet", app / "A.txt")
    fourth = SourceTree.read(str(app), index=third.index)
    assert "A.txt" not in fourth.files
    assert fourth == read(app)


def test_an_output_that_is_replaced_meanwhile_disturbs_nobody(app: Path, outputs: Path) -> None:
    clean = read(app)
    shutil.copyfile(outputs / "droplet", app / "one.tgz")
    shutil.copytree(outputs / "image", app / "image")
    done = threading.Event()
    written: list[int] = []

    def replace() -> None:
        while not done.is_set():
            part = app / f".one.tgz.{os.urandom(6).hex()}.part"
            shutil.copyfile(outputs / "droplet", part)
            part.replace(app / "one.tgz")
            place = app / f".image.{os.urandom(6).hex()}.part"
            shutil.copytree(outputs / "image", place)
            (app / "image").rename(f"{place}.old")
            place.rename(app / "image")
            shutil.rmtree(f"{place}.old")
            written.append(1)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        index = None
        for _ in range(150):
            tree = SourceTree.read(str(app), index=index)
            index = tree.index
            assert tree == clean
    finally:
        done.set()
        thread.join()
    assert len(written) > 5


def test_verify_asks_no_memory(app: Path, tmp_path: Path) -> None:
    """A store whose memory is wrong makes a wrong droplet; verify and attest must not ask the same memory."""
    from stager.droplet.incremental import Folder, folder_key
    from stager.store import Store
    from stager.tree.index import checksum

    store = tmp_path / "store"
    here("lock", app, "--offline", store=store)
    here("stage", app, "-o", tmp_path / "right.tgz", "--locked", store=store)
    _age(app)
    here("stage", app, "-o", tmp_path / "right.tgz", "--locked", store=store)
    memory = Store(str(store))
    folder = Folder.read(str(app), memory)
    index = folder.memo.index
    assert index is not None
    record = index["folders"][""]["A.txt"]
    assert record.startswith("f+")
    index["folders"][""]["A.txt"] = "f-"
    index["checksum"] = checksum(index["folders"], index["places"], index["root"])
    memory.remember("folder", folder_key(folder.root, memory), folder.memo.to_json())
    wrong = here("stage", app, "-o", tmp_path / "wrong.tgz", "--locked", store=store)
    assert wrong != here("stage", app, "-o", tmp_path / "y", "--locked", store=tmp_path / "other")
    words = ("--source", app, "--conditions", "umask")
    here("verify", tmp_path / "right.tgz", *words, store=store)
    here("verify", tmp_path / "wrong.tgz", *words, store=store, code=80)
    here("attest", "--make-key", tmp_path / "key", store=store)
    signing = ("--source", app, "--key", tmp_path / "key", "--offline", "-o", tmp_path / "attested")
    here("attest", tmp_path / "wrong.tgz", *signing, store=store, code=80)
    here("attest", tmp_path / "right.tgz", *signing, store=store)
