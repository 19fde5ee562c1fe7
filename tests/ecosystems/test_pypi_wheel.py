"""Unpacking wheels: layout `wheel/1`."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from builders import DEFLATED, STORED, ZipEntry, make_wheel, make_zip

from stager.digest import Digest, sha256
from stager.droplet import pieces
from stager.ecosystems.errors import Mislabelled
from stager.ecosystems.pypi import LAYOUT, unpack
from stager.formats.archive import content_bytes
from stager.formats.errors import BadArchive, UnsafeEntry
from stager.formats.tar import Deflated, Unpacked
from stager.model import Artifact
from stager.records import Piece
from stager.store import Store
from stager.store.errors import DigestMismatch

PLACE = ".stager/pypi"
INFO = "demo_pkg-1.0.dist-info"
DATA = "demo_pkg-1.0.data"


def opened(tmp_path: Path, wheel: bytes, filename: str = "demo_pkg-1.0-py3-none-any.whl") -> Unpacked:
    blob = tmp_path / "blob"
    blob.write_bytes(wheel)
    digest = Digest("sha256:" + hashlib.sha256(wheel).hexdigest())
    return unpack(str(blob), Artifact("pkg:pypi/demo-pkg@1.0", filename, digest, LAYOUT, (PLACE,)), PLACE)


def unpacked(tmp_path: Path, wheel: bytes, filename: str = "demo_pkg-1.0-py3-none-any.whl") -> dict[str, bytes]:
    with opened(tmp_path, wheel, filename) as found:
        assert found.links == {}
        files = {entry.path.removeprefix(f"{PLACE}/"): content_bytes(entry.content) for entry in found.files}
        assert len(files) == len(found.files)
    return files


def wheel(files: Mapping[str, bytes] | None = None, **more: Any) -> bytes:
    return make_wheel("demo-pkg", "1.0", {"demo_pkg.py": b"x = 1\n"} | dict(files or {}), **more)


def refusal(tmp_path: Path, data: bytes, filename: str = "demo_pkg-1.0-py3-none-any.whl") -> str:
    with pytest.raises((BadArchive, UnsafeEntry, Mislabelled)) as caught:
        opened(tmp_path, data, filename)
    return caught.value.message.removeprefix("demo_pkg-1.0-py3-none-any.whl: ")


def test_everything_goes_to_its_place(tmp_path: Path) -> None:
    files = unpacked(tmp_path, wheel({
        "demo_pkg/data.txt": b"data",
        f"{DATA}/purelib/pure.py": b"pure",
        f"{DATA}/platlib/plat/x.so": b"plat",
        f"{DATA}/headers/sub/x.h": b"header",
        f"{DATA}/data/share/man/x.1": b"man",
        f"{DATA}/scripts/native": b"\x7fELF",
        f"{DATA}/scripts/shell": b"#!/bin/sh\necho",
        f"{DATA}/scripts/tool.py": b"#!python\nprint()",
        f"{DATA}/scripts/gui": b"#!pythonw -x\nprint()",
        f"{INFO}/entry_points.txt": b"[console_scripts]\nrun = demo_pkg:main\n[gui_scripts]\n"
        b"win=demo_pkg:win [x]\n[other]\nx = y\n",
    }))  # fmt: skip
    assert sorted(files) == [
        "bin/gui", "bin/native", "bin/run", "bin/shell", "bin/tool.py", "bin/win",
        "include/demo-pkg/sub/x.h", "libexec/gui", "libexec/tool.py", "share/man/x.1",
        "site-packages/demo_pkg-1.0.dist-info/INSTALLER", "site-packages/demo_pkg-1.0.dist-info/METADATA",
        "site-packages/demo_pkg-1.0.dist-info/RECORD", "site-packages/demo_pkg-1.0.dist-info/WHEEL",
        "site-packages/demo_pkg-1.0.dist-info/entry_points.txt", "site-packages/demo_pkg.py",
        "site-packages/demo_pkg/data.txt", "site-packages/plat/x.so", "site-packages/pure.py",
    ]  # fmt: skip
    assert files["libexec/tool.py"] == b"#!python\nprint()"
    assert b'"$here/../libexec/tool.py"' in files["bin/tool.py"]
    assert b"from demo_pkg import main" in files["bin/run"]
    assert files[f"site-packages/{INFO}/INSTALLER"] == b"stager\n"


def test_record_lists_every_file_at_its_place_sorted_with_true_hashes(tmp_path: Path) -> None:
    contents = {
        "b,c.py": b"1", 'a"q.py': b"2", "é.py": b"3", f"{DATA}/scripts/s": b"#!python\n", f"{DATA}/data/etc/x": b"4",
        f"{DATA}/headers/h.h": b"5", f"{INFO}/REQUESTED": b"", f"{INFO}/direct_url.json": b"{}",
        f"{INFO}/INSTALLER": b"pip\n",
    }  # fmt: skip
    points = {f"{INFO}/entry_points.txt": b"[console_scripts]\nrun = demo_pkg:main\n"}
    files = unpacked(tmp_path, by_hand(None, PARTS | contents | points))
    text = files[f"site-packages/{INFO}/RECORD"].decode()
    rows = list(csv.reader(io.StringIO(text)))
    expected = []
    for path, data in files.items():
        name = path.removeprefix("site-packages/") if path.startswith("site-packages/") else f"../{path}"
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        own = name == f"{INFO}/RECORD"
        expected.append([name, "" if own else f"sha256={digest}", "" if own else str(len(data))])
    assert rows == sorted(expected, key=lambda row: row[0].encode())
    assert [name for name, _, _ in rows][:5] == [
        "../bin/run",
        "../bin/s",
        "../etc/x",
        "../include/demo-pkg/h.h",
        "../libexec/s",
    ]
    assert f"{INFO}/REQUESTED" not in text
    assert "direct_url.json" not in text
    assert text.endswith("\n")
    assert "\r" not in text


def test_executable_bits(tmp_path: Path) -> None:
    data = wheel(
        {f"{DATA}/scripts/s": b"x", "demo_pkg/run": b"x"}, executables=["demo_pkg/run"], console_scripts={"c": "a:b"}
    )
    with opened(tmp_path, data) as found:
        bits = {entry.path.removeprefix(f"{PLACE}/"): entry.executable for entry in found.files}
    assert [path for path, bit in sorted(bits.items()) if bit] == ["bin/c", "bin/s", "site-packages/demo_pkg/run"]


def test_bytecode_caches_are_left_out_but_not_modules_that_exist_as_bytecode_only(tmp_path: Path) -> None:
    contents = {
        "__pycache__/a.cpython-311.pyc": b"1",
        "a.py": b"",
        "a.pyc": b"2",
        "only.pyc": b"3",
        "my__pycache__/x": b"4",
    }
    files = unpacked(tmp_path, wheel(contents))
    names = sorted(path for path in files if ".dist-info" not in path)
    assert names == [
        "site-packages/a.py",
        "site-packages/demo_pkg.py",
        "site-packages/my__pycache__/x",
        "site-packages/only.pyc",
    ]
    assert b"a.pyc" not in files[f"site-packages/{INFO}/RECORD"]


def test_large_contents_are_passed_on_as_they_lie_in_the_wheel(tmp_path: Path) -> None:
    noise = hashlib.shake_256(b"x").digest(200_000)
    with opened(tmp_path, wheel({"big.bin": noise, f"{DATA}/scripts/big": b"#!python\n" + noise})) as found:
        kinds = {entry.path.removeprefix(f"{PLACE}/"): type(entry.content) for entry in found.files}
    assert kinds["site-packages/big.bin"] is kinds["libexec/big"] is Deflated


def test_equal_wheels_give_equal_files_in_equal_order(tmp_path: Path) -> None:
    data = wheel({f"m{n}.py": b"x" for n in range(50)})
    assert list(unpacked(tmp_path, data).items()) == list(unpacked(tmp_path, data).items())


def test_names_and_versions_may_be_spelled_differently(tmp_path: Path) -> None:
    data = make_wheel("Demo.Pkg", "1.0.0", {"x.py": b""})
    assert "site-packages/x.py" in unpacked(tmp_path, data)
    for name, version in [("other", "1.0"), ("demo_pkg", "1.1"), ("demo_pkg", "1.0+local")]:
        info = f"{name}-{version}.dist-info"
        said = f"the folder {info} says {name} {version}, but demo-pkg 1.0 was asked for"
        assert refusal(tmp_path, make_wheel(name, version)) == said


def record_of(files: Mapping[str, bytes], *more: str, skip: str = "") -> bytes:
    lines = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        quoted = '"' + path.replace('"', '""') + '"' if "," in path or '"' in path else path
        lines.append(f"{quoted},sha256={digest},{len(data)}\n" if path != skip else "")
    return ("".join(lines) + "".join(more) + f"{INFO}/RECORD,,\n").encode()


META = b"Metadata-Version: 2.1\nName: demo-pkg\nVersion: 1.0\n"
PARTS = {"demo_pkg.py": b"x = 1\n", f"{INFO}/METADATA": META, f"{INFO}/WHEEL": b"Wheel-Version: 1.9\n"}


def by_hand(record: bytes | None = None, files: Mapping[str, bytes] | None = None, *entries: ZipEntry) -> bytes:
    parts = dict(PARTS if files is None else files)
    parts[f"{INFO}/RECORD"] = record_of(parts) if record is None else record
    return make_zip([*(ZipEntry(name, data) for name, data in parts.items()), *entries])


def test_a_wheel_made_by_hand_is_fine(tmp_path: Path) -> None:
    assert set(unpacked(tmp_path, by_hand())) == {
        "site-packages/demo_pkg.py", f"site-packages/{INFO}/METADATA", f"site-packages/{INFO}/WHEEL",
        f"site-packages/{INFO}/INSTALLER", f"site-packages/{INFO}/RECORD",
    }  # fmt: skip


def test_signatures_need_not_be_listed_and_are_dropped(tmp_path: Path) -> None:
    data = by_hand(None, None, ZipEntry(f"{INFO}/RECORD.jws", b"{}"), ZipEntry(f"{INFO}/RECORD.p7s", b"x"))
    assert not [path for path in unpacked(tmp_path, data) if "RECORD." in path]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (record_of(PARTS, skip="demo_pkg.py"), "member 'demo_pkg.py' is not listed in RECORD"),
        (record_of(PARTS, "gone.py,sha256=x,1\n"), "lacks 'gone.py', which RECORD lists"),
        (record_of(PARTS, "../../evil,sha256=x,1\n"), "lacks '../../evil', which RECORD lists"),
        (record_of(PARTS, "demo_pkg.py,sha256=other,6\n"), "lists 'demo_pkg.py' twice in RECORD"),
        (record_of(PARTS).replace(b",6\n", b",7\n"), "member 'demo_pkg.py' has 6 bytes, not 7 as in RECORD"),
        (record_of(PARTS).replace(b"sha256=", b"md5=", 1), "member 'demo_pkg.py' has no sha256 in RECORD"),
        (b"demo_pkg.py,,\n" + record_of(PARTS, skip="demo_pkg.py"), "member 'demo_pkg.py' has no sha256 in RECORD"),
        (b"one,two\n", "has a malformed RECORD"),
        (b'"open,sha256=x,1\n', "has a malformed RECORD"),
        (b"\xff,x,1\n", f"has a {INFO}/RECORD that is not UTF-8"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(tmp_path: Path, record: bytes, message: str) -> None:
    assert refusal(tmp_path, by_hand(record)) == message


CACHE = "__pycache__/demo_pkg.cpython-311.pyc"


@pytest.mark.parametrize(
    ("files", "record"),
    [
        (PARTS, record_of(PARTS).replace(b"\n", b"\r\n")),
        (PARTS, record_of(PARTS, "\n", "demo_pkg/,,\n")),
        (PARTS, record_of(PARTS) + record_of(PARTS)),
        (
            PARTS,
            record_of(PARTS, f"{CACHE},,\n", "gone.pyc,,\n"),
        ),  # noted by an installer, in a wheel made from its result
        (PARTS | {CACHE: b"\x00"}, record_of(PARTS, f"{CACHE},,\n")),
        (PARTS | {'a, "b".txt': b"x"}, None),
        (PARTS | {"ü.txt": b"x"}, None),
        (PARTS | {f"{INFO}/INSTALLER": b"pip\n"}, record_of(PARTS, f"{INFO}/INSTALLER,,\n")),
    ],
    ids=[
        "foreign line ends",
        "folders",
        "equal rows",
        "absent bytecode",
        "bytecode",
        "a comma",
        "not ASCII",
        "installer",
    ],
)
def test_what_records_of_real_wheels_have(tmp_path: Path, files: dict[str, bytes], record: bytes | None) -> None:
    found = unpacked(tmp_path, by_hand(record, files))
    assert {*found} >= {"site-packages/demo_pkg.py", f"site-packages/{INFO}/RECORD"}
    assert not [path for path in found if path.endswith(".pyc")]


BIG = os.urandom(30_000)


def piece(tmp_path: Path, data: bytes) -> Piece:
    """The wheel as a piece, with every byte of it copied."""
    with opened(tmp_path, data) as found:
        entries = sorted(found.files, key=lambda entry: entry.path.encode())
        return pieces.build(entries, Store(str(tmp_path / "store")), "demo.whl")[0]


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_every_file_is_held_to_its_hash(tmp_path: Path, algorithm: str) -> None:
    """Small files, spliced ones, stored ones, scripts and data: what is listed is what is copied."""
    files = PARTS | {
        "big.bin": BIG, "stored.bin": BIG[::-1], f"{DATA}/scripts/run": b"#!python\n", f"{DATA}/scripts/sh": b"#!/bin/sh\n",
        f"{DATA}/data/share/x": b"share", "empty": b"",
    }  # fmt: skip

    def row(name: str, data: bytes) -> str:
        digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).decode()
        return f"{name},{algorithm}={digest if name == 'empty' else digest.rstrip('=')},{len(data)}\n"

    def wheel_of(rows: dict[str, str]) -> bytes:
        record = ("".join(rows.values()) + f"{INFO}/RECORD,,\n").encode()
        entries = [ZipEntry(name, data, STORED if name == "stored.bin" else DEFLATED) for name, data in files.items()]
        return make_zip([*entries, ZipEntry(f"{INFO}/RECORD", record)])

    rows = {name: row(name, data) for name, data in files.items()}
    assert piece(tmp_path, wheel_of(rows)).size
    for name, data in files.items():
        other = bytes(len(data)) if data else b""
        wrong = rows | {name: row(name, other) if other else rows[name].replace("=", "=x", 1)}
        with pytest.raises(DigestMismatch) as caught:
            piece(tmp_path, wheel_of(wrong))
        assert caught.value.message.startswith("demo.whl: .stager/pypi/")
        assert f"expected {algorithm}=" in caught.value.message
        assert "as its list of files states, got" in caught.value.message
        assert caught.value.exit_code == 50


def test_the_slow_decoder_hashes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wheel({"big.py": b"".join(b"%d: some text\n" % number for number in range(40_000)), "big.bin": BIG})
    expected = piece(tmp_path, data)
    from stager.formats import inflate

    monkeypatch.setattr(inflate, "_zlib", lambda: None)
    assert piece(tmp_path, data).blob == expected.blob


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"Name: other\nVersion: 1.0\n", "METADATA says other 1.0, but demo-pkg 1.0 was asked for"),
        (b"Name: demo-pkg\nVersion: 1.0.1\n", "METADATA says demo-pkg 1.0.1, but demo-pkg 1.0 was asked for"),
        (b"Name: demo-pkg\nVersion: 1.0+cu118\n", "METADATA says demo-pkg 1.0+cu118, but demo-pkg 1.0 was asked for"),
        (b"Name: demo-pkg\nVersion: one\n", "METADATA says demo-pkg one, but demo-pkg 1.0 was asked for"),
        (b"Version: 1.0\n", "states no Name in its METADATA, not one"),
        (b"Name:\nVersion: 1.0\n", "states no Name in its METADATA, not one"),
        (b"Name: demo-pkg\n\nVersion: 1.0\n", "states no Version in its METADATA, not one"),
        (b"Name: demo-pkg\nName: other\nVersion: 1.0\n", "states 2 Name in its METADATA, not one"),
        (b"Name: demo-pkg\nname: other\nVersion: 1.0\n", "states 2 Name in its METADATA, not one"),
        (b"", "states no Name in its METADATA, not one"),
    ],
)
def test_the_metadata_must_be_of_the_package(tmp_path: Path, metadata: bytes, message: str) -> None:
    assert refusal(tmp_path, by_hand(None, PARTS | {f"{INFO}/METADATA": metadata})) == message


@pytest.mark.parametrize(
    "metadata",
    [
        b"Name: Demo.Pkg\nVersion: v1.0.0\n",
        b"name : demo_pkg\r\nVERSION: 1.0\r\n\r\nName: other\r\n",
        b"\xef\xbb\xbfName: demo-pkg\nVersion: 1.0\nAuthor: J\xf6rg\n\n\xff",
        b"Name: demo-pkg\nName: demo-pkg\nVersion: 1.0\nSummary: x\n  Name: other\n",
    ],
    ids=["spelled differently", "foreign line ends", "not UTF-8", "twice the same"],
)
def test_metadata_may_be_sloppy_where_it_says_the_same(tmp_path: Path, metadata: bytes) -> None:
    assert unpacked(tmp_path, by_hand(None, PARTS | {f"{INFO}/METADATA": metadata}))


def test_every_place_that_names_a_wheel_must_name_the_one_that_is_asked_for(tmp_path: Path) -> None:
    files = PARTS | {"other-1.0.data/purelib/x.py": b""}
    said = "the folder other-1.0.data says other 1.0, but demo-pkg 1.0 was asked for"
    assert refusal(tmp_path, by_hand(None, files)) == said
    files = PARTS | {"demo_pkg-2.0.data/purelib/x.py": b""}
    said = "the folder demo_pkg-2.0.data says demo_pkg 2.0, but demo-pkg 1.0 was asked for"
    assert refusal(tmp_path, by_hand(None, files)) == said
    assert unpacked(tmp_path, by_hand(None, PARTS | {"Demo.Pkg-1.0.0.data/purelib/x.py": b""}))
    for name in (
        "other-1.0-py3-none-any.whl",
        "demo_pkg-1.1-py3-none-any.whl",
        "demo.whl",
        "demo_pkg-1.0+x-py3-none-any.whl",
    ):
        found = refusal(tmp_path, by_hand(), name)
        assert "its file name says" in found
        assert found.endswith("but demo-pkg 1.0 was asked for")


@pytest.mark.parametrize(
    ("asked", "made", "fits"),
    [
        ("1.0%2Bcpu", "1.0+cpu", True),
        ("1.0%2Bcpu", "1.0+CPU", True),
        ("1.0%2Bcpu", "1.0", False),
        ("1.0", "1.0+cpu", False),
        ("1!1.0", "1!1.0", True),
        ("1!1.0", "1.0", False),
        ("1.0.post1", "1.0.post1", True),
        ("1.0rc1", "1.0.rc1", True),
    ],
)
def test_local_versions_and_epochs_are_part_of_a_version(tmp_path: Path, asked: str, made: str, fits: bool) -> None:
    data = make_wheel("demo-pkg", made, {"demo_pkg.py": b""})
    (tmp_path / "blob").write_bytes(data)
    item = Artifact(f"pkg:pypi/demo-pkg@{asked}", f"demo_pkg-{made}-py3-none-any.whl", sha256(data), LAYOUT, (PLACE,))
    if fits:
        unpack(str(tmp_path / "blob"), item, PLACE).close()
    else:
        with pytest.raises(Mislabelled):
            unpack(str(tmp_path / "blob"), item, PLACE)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (PARTS | {"other-1.0.dist-info/METADATA": b""}, "has 2 .dist-info folders instead of one"),
        ({"demo_pkg.py": b""}, f"has no member '{INFO}/METADATA'"),
        ({f"{INFO}/METADATA": META}, f"has no member '{INFO}/WHEEL'"),
        (PARTS | {"Demo_Pkg-1.0.dist-info/METADATA": META}, "has 2 .dist-info folders instead of one"),
        (PARTS | {f"{INFO}/WHEEL": b"Wheel-Version: 2.0\n"}, "states 2.0 as its Wheel-Version; this stager reads 1.x"),
        (PARTS | {f"{INFO}/WHEEL": b"Generator: x\n"}, "states nothing as its Wheel-Version; this stager reads 1.x"),
        (PARTS | {f"{DATA}/odd/x": b""}, f"member '{DATA}/odd/x' is data of the unknown kind 'odd'"),
        (PARTS | {f"{DATA}/loose": b""}, f"member '{DATA}/loose' is data of the unknown kind 'loose'"),
        (PARTS | {f"{DATA}/scripts/a/b": b""}, f"member '{DATA}/scripts/a/b' has a name that no command can have"),
        (PARTS | {f"{DATA}/scripts/$(x)": b""}, f"member '{DATA}/scripts/$(x)' has a name that no command can have"),
        (
            PARTS | {f"{DATA}/purelib/demo_pkg.py": b"other"},
            "member 'demo_pkg.py' goes to site-packages/demo_pkg.py, as another member does",
        ),
        (
            PARTS | {f"{DATA}/data/site-packages/demo_pkg.py": b"other"},
            "member 'demo_pkg.py' goes to site-packages/demo_pkg.py, as another member does",
        ),
        (
            PARTS | {f"{INFO}/entry_points.txt": b"[console_scripts]\n../x = a:b\n"},
            f"member '{INFO}/entry_points.txt' names a command that cannot be: '../x' = 'a:b'",
        ),
        (
            PARTS | {f"{INFO}/entry_points.txt": b"[console_scripts]\nx = a:b(); import os\n"},
            f"member '{INFO}/entry_points.txt' names a command that cannot be: 'x' = 'a:b(); import os'",
        ),
    ],
)  # fmt: skip
def test_a_wheel_that_breaks_the_format_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    assert refusal(tmp_path, by_hand(None, files)) == message


def test_a_zip_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, make_zip([ZipEntry("x.py", b"")])) == "has 0 .dist-info folders instead of one"


@pytest.mark.parametrize("name", ["../evil.py", "/etc/passwd", "a/../../b", "a\\b", "./x//../../y"])
def test_members_that_would_escape_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises((BadArchive, UnsafeEntry)):
        opened(tmp_path, by_hand(None, PARTS | {name: b"x"}))


def test_symlinks_are_refused(tmp_path: Path) -> None:
    link = ZipEntry("link", b"/etc/passwd", mode=0o120777)
    with pytest.raises((BadArchive, UnsafeEntry)):
        opened(tmp_path, by_hand(record_of(PARTS | {"link": b"/etc/passwd"}), None, link))
    inside = ZipEntry("link", b"demo_pkg.py", mode=0o120777)
    message = refusal(tmp_path, by_hand(record_of(PARTS | {"link": b"demo_pkg.py"}), None, inside))
    assert message == "member 'link' is a symlink, which a wheel cannot have"


def test_a_refused_wheel_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        refusal(tmp_path, by_hand(b"one,two\n"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_entry_point_wins_over_a_script_of_the_same_name(tmp_path: Path) -> None:
    files = unpacked(tmp_path, wheel({f"{DATA}/scripts/x": b"old"}, console_scripts={"x": "demo_pkg:main"}))
    assert b"from demo_pkg import main" in files["bin/x"]
    assert files[f"site-packages/{INFO}/RECORD"].count(b"../bin/x,") == 1


def test_what_is_unpacked_runs(tmp_path: Path) -> None:
    data = wheel(
        {
            "demo_pkg.py": b"import sys\nfrom importlib import metadata\ndef main():\n"
            b"    print(metadata.version('demo-pkg'), sys.argv[1:])\n    return 3\n",
            f"{DATA}/scripts/tool": b"#!python\nimport demo_pkg\nprint(demo_pkg.__name__)\n",
        },
        console_scripts={"run": "demo_pkg:main"},
    )
    home = tmp_path / "home of it"
    with opened(tmp_path, data) as found:
        for entry in found.files:
            path = home / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content_bytes(entry.content))
            path.chmod(0o755 if entry.executable else 0o644)
    (home / ".stager/python/bin").mkdir(parents=True)
    (home / ".stager/python/bin/python3").symlink_to(os.path.realpath(sys.executable))
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(home / PLACE / "site-packages")}
    done = subprocess.run([home / PLACE / "bin/run", "a"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "1.0 ['a']\n", "")
    tool = subprocess.run([home / PLACE / "bin/tool"], env=env, capture_output=True, text=True, check=True)
    assert tool.stdout == "demo_pkg\n"


def test_a_thousand_files_do_not_take_long_and_large_ones_are_not_read(tmp_path: Path) -> None:
    noise = hashlib.shake_256(b"y").digest(3_000_000)
    data = wheel({**{f"pkg/m{n:04}.py": b"x" * 100 for n in range(1000)}, "big": noise})
    blob = tmp_path / "blob"
    blob.write_bytes(data)
    before = rchar()
    with opened(tmp_path, data):
        pass
    assert rchar() - before < 1_500_000, "the large member was read"


def rchar() -> int:
    """Bytes this process has read so far."""
    return int(Path("/proc/self/io").read_text().split("\n")[0].split()[1])
