"""What of an npm lock's `resolved` is kept."""

from __future__ import annotations

import pytest

from stager.ecosystems.npm.source import outside_url


@pytest.mark.parametrize("resolved", ["https://[::1/a.tgz", "https://[127.0.0.1]/a.tgz", "https://[x/", "http://]["])
def test_what_is_no_url_names_no_place(resolved: str) -> None:
    assert outside_url(resolved, "a", "1.0.0", frozenset()) == ""


def test_another_hosts_url_is_kept_without_its_secrets() -> None:
    url = "https://user:pw@files.example:8443/a.tgz?token=x#y"
    assert outside_url(url, "a", "1.0.0", frozenset()) == "https://files.example:8443/a.tgz"
    assert outside_url(url, "a", "1.0.0", frozenset({"files.example"})) == ""
