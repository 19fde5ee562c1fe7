"""A Staticfile's keys become facts for templates; what is not understood is refused."""

from __future__ import annotations

import pytest

from stager.buildpack import load
from stager.detection import options
from stager.errors import BadManifest
from stager.tree import SourceTree

STATIC = load("static")
NAMES = [
    "static.root",
    "static.pushstate",
    "static.directory",
    "static.ssi",
    "static.host_dot_files",
    "static.force_https",
    "static.http_strict_transport_security",
    "static.http_strict_transport_security_include_subdomains",
    "static.http_strict_transport_security_preload",
    "static.status_codes",
]


def read(content: str | bytes) -> dict[str, str]:
    return dict(options.read(SourceTree.of({"Staticfile": content, "site/a/b.html": ""}), STATIC))


def test_defaults_without_a_file() -> None:
    assert options.read(SourceTree.of({}), STATIC) == tuple((name, "") for name in NAMES)
    assert options.read(SourceTree.of({}), load("python")) == ()


@pytest.mark.parametrize(
    ("content", "name", "value"),
    [
        ("root: site\n", "static.root", "site"),
        ("root: ./site/a/\n", "static.root", "site/a"),
        ("root: .\n", "static.root", "."),
        ("pushstate: enabled\n", "static.pushstate", "true"),
        ("directory: visible\n", "static.directory", "true"),
        ("ssi: Enabled\n", "static.ssi", "true"),
        ("force_https: no\n", "static.force_https", ""),
        ("host_dot_files: true\n", "static.host_dot_files", "true"),
        (
            "status_codes:\n  404: /404.html\n  500 503: /e.html\n",
            "static.status_codes",
            "404 /404.html\n500 503 /e.html",
        ),
    ],
)
def test_values(content: str, name: str, value: str) -> None:
    assert read(content)[name] == value


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        ("rot: a\n", "Staticfile:1", "rot: unknown key; did you mean 'root'?"),
        (
            "location_include: x\n",
            "Staticfile:1",
            "location_include: unknown key; known here: " + ", ".join(NAMES).replace("static.", ""),
        ),
        ("root: nowhere\n", "Staticfile:1", "root: there is no folder nowhere in the app"),
        (
            "ssi: on\nroot: ../x\n",
            "Staticfile:2",
            "root: expected a folder of the app: letters, digits, '.', '_' and '-', parts joined by '/'",
        ),
        (
            "root: 'a; rm -rf /'\n",
            "Staticfile:1",
            "root: expected a folder of the app: letters, digits, '.', '_' and '-', parts joined by '/'",
        ),
        (
            "root: .stager\n",
            "Staticfile:1",
            "root: expected a folder of the app: letters, digits, '.', '_' and '-', parts joined by '/'",
        ),
        ("pushstate: maybe\n", "Staticfile:1", "pushstate: expected enabled or disabled"),
        ("pushstate: [a]\n", "Staticfile:1", "pushstate: expected enabled or disabled"),
        ("status_codes: {200: /a}\n", "Staticfile:1", "status_codes: '200' is not a value that status_codes can have"),
        (
            "status_codes: {404: 'a; }'}\n",
            "Staticfile:1",
            "status_codes.404: 'a; }' is not a value that status_codes can have",
        ),
        ("status_codes: x\n", "Staticfile:1", "status_codes: expected a table of names and values"),
        ("- a\n", "Staticfile", "document: expected a table of names and values"),
        (b"\xff", "Staticfile", "the file is not UTF-8"),
    ],
)
def test_slips(content: str | bytes, where: str, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        read(content)
    assert (caught.value.where, caught.value.message) == (where, message)
