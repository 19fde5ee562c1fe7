"""Repositories as locks name them and as a plan keeps them: which address, at which commit, and nothing else."""

from __future__ import annotations

import pytest
from packageurl import PackageURL

from stager.digest import Digest
from stager.ecosystems import repository
from stager.ecosystems.repository import Repository
from stager.errors import BadLock
from stager.model import Artifact

ONE = "0123456789abcdef0123456789abcdef01234567"


def locked(address: str, commit: str = ONE, folder: str = "") -> str:
    return str(repository.locked(address, commit, folder, "uv.lock", "g", "Lock it."))


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://git.example/own/g", "https://git.example/own/g"),
        ("git+https://git.example/own/g.git", "https://git.example/own/g.git"),
        ("https://user:secret@git.example/g?rev=x#y", "https://git.example/g"),
        ("ssh://git@git.example:2222/g/", "https://git.example/g"),
        ("git+ssh://git@Git.Example/g", "https://git.example/g"),
        ("git://git.example/g", "https://git.example/g"),
        ("git@git.example:own/g.git", "https://git.example/own/g.git"),
        ("http://127.0.0.1:8000/g", "http://127.0.0.1:8000/g"),
    ],
)
def test_addresses(address: str, url: str) -> None:
    text = locked(address)
    assert text == f"git+{url}@{ONE}"
    assert repository.of(text) == Repository(url, ONE)


@pytest.mark.parametrize(
    "address",
    ["ext::sh -c id", "file:///g", "/g", "../g", "https://-x/g", "https://h/-upload-pack=id", "https://h", "https://h/a/../b",
     "--upload-pack=id", "ssh://-oProxyCommand=id/g", "https://h/a\nb", "fd::17", "https://h\\@evil.example/g"],
)  # fmt: skip
def test_addresses_that_are_not_fetched(address: str) -> None:
    with pytest.raises(BadLock):
        locked(address)


@pytest.mark.parametrize("commit", ["", "main", "v1", ONE[:12], ONE.upper(), f"{ONE}0", "--output=x", "0" * 64])
def test_only_a_whole_commit_says_what_there_is(commit: str) -> None:
    with pytest.raises(BadLock) as refused:
        locked("https://git.example/g", commit)
    assert refused.value.hint == "Lock it."


def test_folders() -> None:
    assert locked("https://git.example/g", folder="./a/b/").endswith("#subdirectory=a/b")
    for folder in ("../x", "/x", "a/../../b", "a\\b"):
        with pytest.raises(BadLock):
            locked("https://git.example/g", folder=folder)


@pytest.mark.parametrize(
    "url",
    ["https://h/g@" + ONE, f"git+https://h/g@{ONE[:7]}", f"git+https://u@h/g@{ONE}", f"git+ssh://h/g@{ONE}",
     f"git+https://h/g@{ONE}#subdirectory=../x", f"git+https://h/g@{ONE}#egg=g", f"git+https://h/g/@{ONE}"],
)  # fmt: skip
def test_a_plan_keeps_one_form_alone(url: str) -> None:
    with pytest.raises(ValueError, match=r"[hx]"):
        repository.of(url)


def test_documents_name_the_repository() -> None:
    url = str(Repository("https://git.example/own/g.git", ONE, "py"))
    one = Artifact("pkg:pypi/g@1.0", "g-1.0.tar", Digest(f"sha1:{ONE}"), "sdist/1", ("x",), url=url)
    read = PackageURL.from_string(repository.package_url(one))
    assert read.qualifiers == {"vcs_url": f"git+https://git.example/own/g.git@{ONE}"}
    assert (read.name, read.version, read.subpath) == ("g", "1.0", "py")
    assert read.to_string() == repository.package_url(one)
