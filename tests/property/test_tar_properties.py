"""Any names, sizes and targets come back from an independent reader exactly, and the bytes depend on nothing else."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from stager.formats import tar

PART = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\0"), min_size=1, max_size=90
).filter(lambda part: part not in (".", ".."))
PATH = st.lists(PART, min_size=1, max_size=6).map("/".join)
FILES = st.dictionaries(PATH, st.tuples(st.binary(max_size=1500), st.booleans()), max_size=8)


def archive(files: dict[str, tuple[bytes, bool]], links: dict[str, str]) -> bytes:
    parts = [
        tar.file_header(path, len(data), executable) + data + tar.padding(len(data))
        for path, (data, executable) in files.items()
    ]
    return b"".join([*parts, *(tar.link_header(path, target) for path, target in links.items()), tar.END])


@settings(max_examples=50, deadline=None)
@given(FILES, st.dictionaries(PATH, PATH, max_size=4))
def test_what_goes_in_comes_out(files: dict[str, tuple[bytes, bool]], links: dict[str, str]) -> None:
    data = archive(files, links)
    assert len(data) % tar.BLOCK == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as reader:
        members = reader.getmembers()
        found = {}
        for member in members[: len(files)]:
            file = reader.extractfile(member)
            assert file is not None
            found[member.name.removeprefix(tar.ROOT)] = (file.read(), member.mode == 0o775)
    assert found == files
    assert {m.name.removeprefix(tar.ROOT): m.linkname for m in members[len(files) :]} == links
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname) for m in members} <= {(2000, 0, tar.MTIME, "", "")}


@settings(max_examples=40, deadline=None)
@given(PATH, st.integers(0, 1 << 40), st.booleans())
def test_every_size_comes_back(path: str, size: int, executable: bool) -> None:
    header = tar.file_header(path, size, executable)
    with tarfile.open(fileobj=io.BytesIO(header + tar.END)) as reader:
        member = reader.next()
    assert member is not None
    assert (member.name, member.size, member.isreg()) == (tar.ROOT + path, size, True)
