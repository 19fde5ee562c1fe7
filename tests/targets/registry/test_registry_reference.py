"""Names of images, by the examples of the grammar's own documentation and by Docker's defaults."""

from __future__ import annotations

import sys

import pytest
from docker.auth import INDEX_NAME, INDEX_URL

from stager.errors import UsageError
from stager.targets.oci.errors import BadReference
from stager.targets.oci.registry.reference import Reference, parse

SHA = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("localhost/a", "localhost", "a", "latest", ""),
        ("localhost:5000/shop:1", "localhost:5000", "shop", "1", ""),
        ("localhost:5000/shop", "localhost:5000", "shop", "latest", ""),
        ("127.0.0.1:5000/a/b/c:v1.2-x_y", "127.0.0.1:5000", "a/b/c", "v1.2-x_y", ""),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest", ""),
        ("registry.example/team/app@" + SHA, "registry.example", "team/app", "", SHA),
        ("registry.example/team/app:2@" + SHA, "registry.example", "team/app", "2", SHA),
        ("registry.example:443/a__b/c--d.e_f", "registry.example:443", "a__b/c--d.e_f", "latest", ""),
        ("Upper/a", "Upper", "a", "latest", ""),
    ],
)
def test_the_parts_of_a_name(text: str, host: str, repository: str, tag: str, digest: str) -> None:
    assert parse(text) == Reference(host, repository, tag, digest, host, host)


@pytest.mark.parametrize(
    ("text", "repository"),
    [("shop", "library/shop"), ("team/shop", "team/shop"), (f"{INDEX_NAME}/shop", "library/shop")],
)
def test_a_name_without_a_host_is_at_dockers_hub(text: str, repository: str) -> None:
    found = parse(text)
    assert (found.host, found.repository, found.login) == (INDEX_NAME, repository, INDEX_URL)
    assert found.server.endswith(f".{INDEX_NAME}")


def test_the_default_registry_needs_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker.auth", None)
    with pytest.raises(UsageError, match="without a registry") as caught:
        parse("shop")
    assert "pip install docker" in caught.value.hint
    assert parse("docker.example/shop").host == "docker.example"


@pytest.mark.parametrize(
    "text",
    [
        "", "/a", "localhost:5000/", "localhost:5000/A", "localhost:5000/a//b", "localhost:5000/a:", "localhost/a:b:c",
        "localhost:5000/-a", "localhost:5000/a-", "localhost:5000/a..b", "localhost:5000/a___b", "local host/a",
        "https://localhost/a", "localhost/a@sha256:ab", "localhost/a@" + SHA.upper(), "localhost/a@md5:" + "ab" * 16,
        "localhost:x/a", "-host.example/a", "localhost/" + "a" * 256, "localhost/a:" + "t" * 129, "localhost/ä", "ab" * 32,
    ],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(BadReference):
        parse(text)


def test_a_password_in_a_name_is_not_repeated() -> None:
    with pytest.raises(BadReference) as caught:
        parse("https://ada:geheim@registry.example/a")
    assert "geheim" not in str(caught.value)


def test_how_it_is_written() -> None:
    assert str(parse("localhost:5000/a")) == "localhost:5000/a:latest"
    assert str(parse(f"localhost:5000/a:1@{SHA}")) == f"localhost:5000/a:1@{SHA}"
    assert parse(f"localhost:5000/a:1@{SHA}").wanted == SHA
    assert parse("localhost:5000/a:1").at(SHA) == f"localhost:5000/a@{SHA}"
