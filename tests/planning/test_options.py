"""A Staticfile's keys become facts for templates; what is not understood is refused."""

from __future__ import annotations

import pytest

from stager.errors import BadManifest
from stager.planning import detection
from stager.planning.buildpacks import load, load_all
from stager.planning.detection import options
from stager.tree import SourceTree

STATIC = load("static")
NAMES = [
    "static.root",
    "static.pushstate",
    "static.directory",
    "static.ssi",
    "static.host_dot_files",
    "static.location_include",
    "static.enable_http2",
    "static.force_https",
    "static.http_strict_transport_security",
    "static.http_strict_transport_security_include_subdomains",
    "static.http_strict_transport_security_preload",
    "static.status_codes",
]


_EXPECTED_FILES = "expected files of the folder nginx/conf, such as includes/*.conf"


def read(content: str | bytes) -> dict[str, str]:
    files = {"Staticfile": content, "site/a/b.html": "", "nginx/conf/includes/headers.conf": ""}
    return dict(options.read(SourceTree.of(files), STATIC))


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
        ("index_fallback: true\n", "static.pushstate", "true"),
        ("index_fallback: true\npushstate: disabled\n", "static.pushstate", ""),
        ("directory: visible\n", "static.directory", "true"),
        ("ssi: Enabled\n", "static.ssi", "true"),
        ("force_https: no\n", "static.force_https", ""),
        ("host_dot_files: true\n", "static.host_dot_files", "true"),
        (
            "status_codes:\n  404: /404.html\n  500 503: /e.html\n",
            "static.status_codes",
            "404 /404.html\n500 503 /e.html",
        ),
        ("status_codes: {4xx: /4xx.html}\n", "static.status_codes", "4xx /4xx.html"),
        ("location_include: includes/*.conf\n", "static.location_include", "includes/*.conf"),
        ("location_include: ./includes/headers.conf\n", "static.location_include", "includes/headers.conf"),
        ("enable_http2: true\n", "static.enable_http2", "true"),
    ],
)
def test_values(content: str, name: str, value: str) -> None:
    assert read(content)[name] == value


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        ("rot: a\n", "Staticfile:1", "rot: unknown key; did you mean 'root'?"),
        (
            "gzip: on\n",
            "Staticfile:1",
            "gzip: unknown key; known here: " + ", ".join(NAMES).replace("static.", ""),
        ),
        ("location_include: x\n", "Staticfile:1", "location_include: there is no nginx/conf/x in the app"),
        *(
            (f"location_include: {value}\n", "Staticfile:1", f"location_include: {_EXPECTED_FILES}")
            for value in ("../x.conf", "/etc/nginx/x.conf", "'a; }'", "[a]", "''", "includes/**")
        ),
        ("status_codes: {499: /a}\n", "Staticfile:1", "status_codes: '499' is not a value that status_codes can have"),
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


INCLUDE = (
    "Write 'location_include: includes/*.conf' instead, and in a file such as nginx/conf/includes/site.conf nginx's own lines "
    "for it: 'add_header X-Frame-Options DENY always;', 'expires 1d;', 'rewrite ^/old$ /new permanent;'."
)


@pytest.mark.parametrize(
    ("content", "where", "message", "hint"),
    [
        ("root: .\nheaders:\n  /*:\n    X-A: b\n", "Staticfile:2", "headers is no key of a Staticfile", INCLUDE),
        ("proxy_pass: x\n", "Staticfile:1", "proxy_pass is no key of a Staticfile", INCLUDE),
        (
            "routes:\n  /**: index.html\n",
            "Staticfile:1",
            "routes is no key of a Staticfile",
            "Write 'pushstate: enabled' for an app that routes in the browser.",
        ),
        ("https_only: true\n", "Staticfile:1", "https_only is no key of a Staticfile", "Write 'force_https: true'."),
        (
            "error_page: 404.html\n",
            "Staticfile:1",
            "error_page is no key of a Staticfile",
            "Write 'status_codes: {404: /404.html}'.",
        ),
        (
            "basic_auth: true\n",
            "Staticfile:1",
            "basic_auth is no key of a Staticfile",
            "Put a line 'name:hash' a user, as htpasswd writes it, in a file Staticfile.auth.",
        ),
        (
            "ssi: on\nhttp_strict_transport_security_preload: true\n",
            "Staticfile",
            "http_strict_transport_security_preload does nothing without http_strict_transport_security",
            "Write 'http_strict_transport_security: true' as well, or delete the line.",
        ),
    ],
)
def test_keys_of_others_are_answered_with_the_line_to_write(content: str, where: str, message: str, hint: str) -> None:
    with pytest.raises(BadManifest) as caught:
        detection.detect(SourceTree.of({"Staticfile": content, "index.html": ""}), load_all())
    assert (caught.value.where, caught.value.message, caught.value.hint) == (where, message, hint)


def test_hsts_in_either_order_is_no_slip() -> None:
    lines = ["http_strict_transport_security_preload: true\n", "http_strict_transport_security: enabled\n"]
    for content in ("".join(lines), "".join(reversed(lines))):
        detection.detect(SourceTree.of({"Staticfile": content, "index.html": ""}), load_all())


def test_files_that_only_other_servers_read_are_named() -> None:
    names = ("_headers", "_redirects", "mime.types", "nginx.conf", "static.json")
    found = detection.detect(SourceTree.of({"index.html": "", **dict.fromkeys(names, "")}), load_all())
    assert sorted(note.split(" ")[0] for note in found.notes) == sorted(names)
    assert all(" is not read: " in note for note in found.notes)
