"""Root filesystems on the disk: what is unpacked is what the tar says, nothing is written elsewhere, and a seal holds."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stager.digest import Digest, sha256
from stager.formats.errors import BadArchive
from stager.sandbox import roots
from stager.sandbox.roots import RootFolder
from stager.stacks.errors import BadImage
from stager.store import Store
from stager.store.errors import StoreCorrupt

Row = tuple[str, bytes, str | bytes, int]
SHELL: Row = ("bin/sh", tarfile.REGTYPE, b"#!\n", 0o755)


def tar_of(*rows: Row) -> bytes:
    """A tar of rows (name, type, target or content, mode)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, content, mode in rows:
            item = tarfile.TarInfo(name)
            item.type, item.mode = kind, mode
            if isinstance(content, str):
                item.linkname = content
            else:
                item.size = len(content)
            tar.addfile(item, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def unpack(store: Store, data: bytes, digest: Digest | None = None) -> RootFolder:
    file = Path(store.root).with_name("root.tar")
    file.write_bytes(data)
    with file.open("rb") as stream:
        return roots.unpacked(stream.fileno(), digest or sha256(data), "root.tar", store)


def nothing_left(store: Store) -> bool:
    return os.listdir(f"{store.root}/v1/tmp") == []


def test_what_is_unpacked(store: Store) -> None:
    data = tar_of(
        ("./", tarfile.DIRTYPE, "", 0o700),
        ("./etc/", tarfile.DIRTYPE, "", 0o750),
        ("./etc/resolv.conf", tarfile.SYMTYPE, "/run/resolv.conf", 0o777),
        ("./usr/bin/su", tarfile.REGTYPE, b"su", 0o4755),
        ("./usr/bin/same", tarfile.LNKTYPE, "usr/bin/su", 0o4755),
        ("./etc/secret", tarfile.REGTYPE, b"secret", 0o640),
        ("./usr/absolute", tarfile.SYMTYPE, "/etc/secret", 0o777),
        ("./dev/null", tarfile.CHRTYPE, "", 0o666),
        SHELL,
    )
    place = Path(unpack(store, data).path)
    assert place == Path(store.root, "v1", "roots", sha256(data).partition(":")[2])
    assert (place / "usr/bin/su").read_bytes() == b"su"
    assert (place / "usr/bin/su").stat().st_ino == (place / "usr/bin/same").stat().st_ino
    assert os.readlink(place / "usr/absolute") == "/etc/secret"
    modes = {name: stat.S_IMODE((place / name).lstat().st_mode) for name in ("", "etc", "etc/secret", "usr/bin/su")}
    assert modes == {"": 0o755, "etc": 0o750, "etc/secret": 0o640, "usr/bin/su": 0o755}  # no bit that sets an id
    assert (place / "etc/resolv.conf").read_bytes() == (place / "etc/hosts").read_bytes() == b""
    assert not (place / "etc/resolv.conf").is_symlink(), "where it leads is another machine's"
    assert not (place / "dev").exists()
    assert nothing_left(store)


def test_it_is_unpacked_once_and_again_when_touched(store: Store) -> None:
    data = tar_of(SHELL, ("etc/motd", tarfile.REGTYPE, b"hello", 0o644))
    place = Path(unpack(store, data).path)
    first = place.stat().st_ino

    def again() -> int:
        assert Path(unpack(store, data).path) == place
        assert (place / "etc/motd").read_bytes() == b"hello"
        return place.stat().st_ino

    assert again() == first
    times = (place / "etc/motd").stat()
    (place / "etc/motd").write_bytes(b"olleh")
    os.utime(place / "etc/motd", ns=(times.st_atime_ns, times.st_mtime_ns))  # hiding it does not help
    second = again()
    assert second != first
    (place / "etc/new").touch()
    third = again()
    assert third != second
    assert not (place / "etc/new").exists()
    place.rename(place.with_name("elsewhere"))
    assert again() not in (second, third)


def test_cleaning_the_store_breaks_no_root(store: Store) -> None:
    data = tar_of(SHELL)
    place = unpack(store, data).path
    store.gc(max_bytes=0)
    first = os.stat(place).st_ino
    unpack(store, data)
    assert os.stat(place).st_ino == first
    (Path(place) / "bin" / "more").touch()
    unpack(store, data)  # the touched one is kept for those who run in it
    assert len(os.listdir(f"{store.root}/v1/tmp")) == 1
    store.gc()
    assert os.path.exists(f"{place}/bin/sh")
    assert unpack(store, data).path == place


@pytest.mark.parametrize(
    "rows",
    [
        [("../outside", tarfile.REGTYPE, b"x", 0o644)],
        [("usr/../../outside", tarfile.REGTYPE, b"x", 0o644)],
        [("usr", tarfile.SYMTYPE, "../..", 0o777), ("usr/outside", tarfile.REGTYPE, b"x", 0o644)],
        [("usr/", tarfile.DIRTYPE, "", 0o755), ("usr", tarfile.SYMTYPE, "/", 0o777), ("usr/x", tarfile.REGTYPE, b"x", 0)],
        [("link", tarfile.SYMTYPE, "../../outside", 0o777), ("link/x", tarfile.DIRTYPE, "", 0o755)],
        [("hard", tarfile.LNKTYPE, "../../outside", 0o644)],
        [("hard", tarfile.LNKTYPE, "etc/nothing", 0o644)],
        [("file", tarfile.REGTYPE, b"x", 0o644), ("file/below", tarfile.REGTYPE, b"x", 0o644)],
        [("n" * 300, tarfile.REGTYPE, b"x", 0o644)],
    ],
)  # fmt: skip
def test_hostile_roots(store: Store, rows: list[Row]) -> None:
    before = set(os.listdir(Path(store.root).parent)) | {"store", "root.tar"}
    with pytest.raises(BadArchive):
        unpack(store, tar_of(SHELL, *rows))
    assert set(os.listdir(Path(store.root).parent)) == before
    assert not os.path.isdir(f"{store.root}/v1/roots") or os.listdir(f"{store.root}/v1/roots") == []
    assert nothing_left(store)


def test_a_later_link_takes_an_entrys_place(store: Store) -> None:
    """As with every reader of tars, the last entry of a name is the one that counts; nothing is written through a link."""
    outside = Path(store.root).parent / "outside"
    outside.mkdir()
    data = tar_of(SHELL, ("x", tarfile.SYMTYPE, str(outside), 0o777), ("x", tarfile.REGTYPE, b"x", 0o644))
    assert (Path(unpack(store, data).path) / "x").read_bytes() == b"x"
    assert list(outside.iterdir()) == []


def test_what_is_no_root(store: Store, tmp_path: Path) -> None:
    for data in (tar_of(("etc/motd", tarfile.REGTYPE, b"x", 0o644)), b"", bytes(1024)):
        with pytest.raises(BadImage) as caught:
            unpack(store, data)
        assert (caught.value.where, caught.value.message) == ("root.tar", "is no root filesystem: it has no /bin/sh")
    with pytest.raises(BadImage):
        roots.given(str(tmp_path))
    with pytest.raises(StoreCorrupt):
        unpack(store, tar_of(SHELL), sha256(b"another"))
    with pytest.raises(BadArchive):
        unpack(store, tar_of(SHELL)[:700] + b"damage" * 100)
    assert nothing_left(store)


@pytest.mark.parametrize(
    ("pack", "error"),
    [
        (lambda data: data, ""),
        (gzip.compress, ""),
        (lambda data: gzip.compress(data)[:-20], "its compressed data is cut short"),
        (lambda data: gzip.compress(data)[:40] + b"x" * 40, "its compressed data is damaged"),
        (lzma.compress, "is compressed by xz"),
    ],
)
def test_files_that_hold_a_tar(store: Store, tmp_path: Path, pack: Callable[[bytes], bytes], error: str) -> None:
    data = tar_of(SHELL)
    file = tmp_path / "root"
    file.write_bytes(pack(data))
    if not error:
        with roots.opened(str(file), store) as (tar, digest):
            assert digest == sha256(data)
            assert os.path.exists(roots.unpacked(tar, digest, "root", store).path + "/bin/sh")
        return
    with pytest.raises(BadImage) as caught, roots.opened(str(file), store):
        pass
    assert caught.value.message == error
