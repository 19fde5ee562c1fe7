"""Reading `Pipfile.lock`, whose hashes have no file names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from stager.ecosystems.pypi import IndexFile, Target, normalise_index, read_lock, requires_python
from stager.ecosystems.pypi.lookup import Keep
from stager.errors import BadLock, Unpinned
from stager.model import Locked, Stack
from stager.net.errors import Gone, NotCached
from stager.store.errors import DigestMismatch
from stager.tree import SourceTree

INDEX = "https://index.example/simple"
OTHER = "https://other.example/simple"
TARGET = Target(Stack("debian-12", "amd64", (2, 36), "debian"), (3, 11), "3.11.2")
A, B = "a" * 64, "b" * 64


class Pages:
    """Simple pages by (name, index); remembers what was asked."""

    def __init__(self, pages: dict[tuple[str, str], list[IndexFile]]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, str]] = []

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        self.asked.append((name, index))
        return self.pages.get((name, index), [])


def page(name: str, version: str = "1.0", char: str = "a", tag: str = "py3-none-any", **more: Any) -> IndexFile:
    file = f"{name}-{version}-{tag}.whl" if tag else f"{name}-{version}.tar.gz"
    return IndexFile(file, f"https://files.example/{file}", {"sha256": char * 64}, 9, **more)


def entry(version: str = "==1.0", *hashes: str, **more: Any) -> dict[str, Any]:
    return {"hashes": [f"sha256:{text}" for text in hashes or (A,)], "version": version, **more}


def lock(default: dict[str, Any], develop: dict[str, Any] | None = None, **meta: Any) -> str:
    about = {
        "hash": {"sha256": "x"},
        "pipfile-spec": 6,
        "requires": {"python_version": "3.11"},
        "sources": [
            {"name": "main", "url": "https://u:pw@index.example/simple/"},
            {"name": "other", "url": OTHER},
        ],
        **meta,
    }
    return json.dumps({"_meta": about, "default": default, "develop": develop or {}}, indent=4)


def read(text: str, lookup: Pages | None, groups: Sequence[str] = (), extras: Sequence[str] = ()) -> Locked:
    tree = SourceTree.of({"Pipfile.lock": text, "libs/own/own.py": ""})
    indexes = frozenset({normalise_index(INDEX)})
    return read_lock(tree, "Pipfile.lock", TARGET, groups=groups, extras=extras, lookup=lookup, default_indexes=indexes)


def test_hashes_find_the_files_and_the_best_wheel_wins() -> None:
    pages = Pages({("n", ""): [
        page("n", tag=""), page("n", char="b", tag="cp311-cp311-manylinux_2_28_x86_64"), page("n", "2.0", "c"),
        page("n", char="d", tag="cp311-cp311-manylinux_2_36_x86_64"),
    ]})  # fmt: skip
    found = read(lock({"N": entry("==1.0", A, B, index="main")}), pages)
    assert [(item.filename, item.digest, item.size, item.url) for item in found.artifacts] == [
        ("n-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", f"sha256:{B}", 9, "")
    ]
    assert found.hints == ((f"sha256:{B}", "https://files.example/n-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"),)
    assert pages.asked == [("n", "")]


def test_markers_and_categories() -> None:
    pages = Pages({(name, ""): [page(name)] for name in "abcd"})
    text = lock(
        {"a": entry(index="main"), "b": entry(index="main", markers="sys_platform == 'win32'")},
        {"c": entry(index="main")},
    )
    assert read(text, pages).names == {"a"}
    assert read(text, pages, groups=["dev"]).names == {"a", "c"}


def test_another_index_is_asked_by_its_url_and_its_file_keeps_its_url() -> None:
    pages = Pages({("n", OTHER): [page("n")]})
    found = read(lock({"n": entry(index="other")}), pages)
    assert [item.url for item in found.artifacts] == ["https://files.example/n-1.0-py3-none-any.whl"]
    assert pages.asked == [("n", OTHER)]


def test_without_a_named_index_all_are_asked_in_order() -> None:
    pages = Pages({("n", OTHER): [page("n")]})
    assert [item.url for item in read(lock({"n": entry()}), pages).artifacts] == [
        "https://files.example/n-1.0-py3-none-any.whl"
    ]
    assert pages.asked == [("n", ""), ("n", OTHER)]


def test_without_a_lookup_all_names_are_told() -> None:
    with pytest.raises(NotCached) as caught:
        read(lock({"b": entry(), "a": entry()}), None)
    assert caught.value.message == "not in the store, and --offline is set: index page of b, index page of a"


def test_a_file_that_is_gone_and_one_that_was_replaced() -> None:
    text = lock({"n": entry(index="main")})
    with pytest.raises(Gone) as gone:
        read(text, Pages({("n", ""): [page("n", "2.0", "b")]}))
    assert gone.value.message == "n==1.0 is pinned, but its index no longer has it"
    with pytest.raises(DigestMismatch) as replaced:
        read(text, Pages({("n", ""): [page("n", "1.0", "b")]}))
    assert replaced.value.message == (
        "n==1.0: expected one of the 1 hashes in Pipfile.lock, got only other files from the index"
    )


def test_yanked_files_count_and_files_for_other_pythons_do_not() -> None:
    yanked = Pages({("n", ""): [page("n", yanked=True)]})
    assert read(lock({"n": entry()}), yanked).names == {"n"}
    newer = Pages({("n", ""): [page("n", requires_python=">=3.12")]})
    with pytest.raises(BadLock) as caught:
        read(lock({"n": entry()}), newer)
    assert caught.value.message == "n==1.0 needs Python >=3.12, not 3.11.2"
    odd = Pages({("n", ""): [page("n", requires_python="what")]})
    assert read(lock({"n": entry()}), odd).names == {"n"}


def test_files_folders_and_repositories() -> None:
    url = "https://files.example/d-2.0-py3-none-any.whl"
    text = lock({
        "d": {"file": url, "hashes": [f"sha256:{A}"]},
        "own": {"path": "./libs/own", "editable": True},
        "me": {"file": ".", "editable": True},
    })  # fmt: skip
    found = read(text, None)
    assert [(item.purl, item.url) for item in found.artifacts] == [("pkg:pypi/d@2.0", url)]
    assert found.names == {"d", "own"}
    (source,) = read(lock({"g": {"git": "https://git.example/g", "ref": "a" * 40}}), None).artifacts
    assert (source.purl, source.url) == ("pkg:pypi/g", f"git+https://git.example/g@{'a' * 40}")
    with pytest.raises(BadLock) as caught:
        read(lock({"g": {"git": "https://git.example/g", "ref": "main"}}), None)
    assert caught.value.hint == "Run 'pipenv lock' and commit the result."


@pytest.mark.parametrize(("version", "hashes"), [("*", [A]), (">=1", [A]), ("==1.*", [A]), ("==1.0", [])])
def test_what_is_not_pinned(version: str, hashes: list[str]) -> None:
    text = lock({"n": {"version": version, "hashes": [f"sha256:{item}" for item in hashes]}, "m": {}})
    with pytest.raises(Unpinned) as caught:
        read(text, None)
    assert caught.value.message == f"not pinned by version and digest: m, n{version}"


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("[1,\n2", "is not valid JSON: Expecting ',' delimiter: line 2 column 2 (char 5)", "Pipfile.lock:2"),
        ("[]", "document: expected a table, found list", "Pipfile.lock"),
        ("[" * 100_000, "cannot be read as JSON: nested too deeply", "Pipfile.lock"),
        ("{}", "document: has no '_meta'", "Pipfile.lock"),
        (json.dumps({"_meta": {"pipfile-spec": 7}}), "is of pipfile-spec 7; this stager reads 6", "Pipfile.lock"),
        (json.dumps({"_meta": {}}), "has no group 'default'", "Pipfile.lock"),
        (lock({"../n": entry()}), "'../n' is not a package name", "Pipfile.lock"),
        (lock({"n": 3}), "default.n: expected a table, found int", "Pipfile.lock"),
        (lock({"n": {"path": "../n"}}), "'../n' is outside the app", "Pipfile.lock:22"),
        (
            lock({"n": entry(index="gone")}),
            "default.n: names the index 'gone', which _meta.sources does not have",
            "Pipfile.lock",
        ),
        (
            lock({"n": entry("==1.0"), "N": entry("==2.0")}),
            "n==1.0 and n==2.0 would both be installed",
            "Pipfile.lock:28",
        ),
    ],
)  # fmt: skip
def test_a_bad_lock_is_refused_with_its_place(text: str, message: str, where: str) -> None:
    with pytest.raises(BadLock) as caught:
        read(text, None)
    assert (caught.value.message, caught.value.where) == (message, where)


def test_a_pipfile_has_no_extras_and_only_its_own_groups() -> None:
    with pytest.raises(BadLock, match="has no extra 'web'"):
        read(lock({}), None, extras=["web"])
    with pytest.raises(BadLock, match="has no group 'docs'"):
        read(lock({}), None, groups=["docs"])


def test_the_python_it_was_made_for() -> None:
    short = requires_python(SourceTree.of({"Pipfile.lock": lock({})}), "Pipfile.lock")
    assert short is not None
    assert (short[0], short[1].file, short[1].line) == ("==3.11.*", "Pipfile.lock", 8)
    full = lock({}, requires={"python_version": "3.11", "python_full_version": "3.11.4"})
    found = requires_python(SourceTree.of({"Pipfile.lock": full}), "Pipfile.lock")
    assert found is not None
    assert found[0] == "==3.11.4"
    assert requires_python(SourceTree.of({"Pipfile.lock": lock({}, requires={})}), "Pipfile.lock") is None
