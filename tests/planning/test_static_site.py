"""A static site as nginx itself serves it: what is private stays so, whatever way it is asked for."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import free_port

from stager.planning.buildpacks import generated, load
from stager.planning.detection import options
from stager.tree import SourceTree

pytestmark = pytest.mark.tools
SECRET = "not-for-visitors"
SITE = {
    "index.html": "<h1>members only</h1>",
    "manifest.json": "{}",
    "docs/Procfile.html": "a page",
    "docs/index.html": "docs",
    "package.json": "{}",
    ".well-known/security.txt": "a contact",
    **dict.fromkeys(
        (
            "Staticfile.auth.bak", "manifest.yml", "manifest-prod.yml", "manifest.yaml", "nginx.conf", "mime.types",
            "nginx/conf/includes/a.conf", "buildpack.yml", "stackato.yml", "stager.yml", "stager.lock", "Procfile",
            "Procfile.dev", ".profile", ".profile.d/a.sh", ".stager/launch.json", ".cloudfoundry/a", "Staticfile.gz",
        ),
        SECRET,
    ),
}  # fmt: skip
DOTTED = {".hidden": "dot", "a/.b/c": "dot"}
USERS = {
    "apr1": "$apr1$dBxfwUXc$4TK6NXLGGxKJpu/gS3eDS/",
    "sha256": "$5$CAOzstS68rutRV5B$vKdbtyEJy7OddvbrAdgNnWyzpiXOTws7T9tuumLpNJ3",
    "sha512": "$6$9j.x7e3hwaOZ3k6j$qfx9lJxuk/sXPYroJTTS4w0cKHTfHSOWf5pDfG3NSySMxhWDW9Ro.IwyvDSro/lXO0D1i3hBn39vfTxjUYCIM0",
    "bcrypt": "$2y$05$aaaaaaaaaaaaaaaaaaaaaOjOHCcGZ1ZydhnG2lX11qSmiRJbsbsA.",
    "yescrypt": "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0",
    "sha1": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "plain": "{PLAIN}secret",
}
PRIVATE = [name for name, text in SITE.items() if text == SECRET] + ["Staticfile", "Staticfile.auth"]
TRICKS = [
    "/{0}", "//{0}", "/./{0}", "/docs/../{0}", "/%2e/{0}", "/docs/%2e%2e/{0}", "/{0}/", "/{0}?x", "/{0}#x", "/{0}/.",
    "/{0}/../{0}", "/{upper}", "/{encoded}", "/{0}%00", "/{0}%20", "/{0}.", "/docs/..%2f{0}", "/%2f{0}", "/\\{0}",
    "/docs/..\\{0}", "/{0}.gz", "/.%2f{0}", "/pages/{0}", "http://x/{0}", "/{0};x",
    "/docs/index.html/../../{0}", "/docs/index.html/{0}",
]  # fmt: skip


@contextmanager
def site(folder: Path, staticfile: str = "", files: Mapping[str, str] = SITE, **env: str) -> Iterator[int]:
    """The port on which the generated script serves these files with the machine's nginx."""
    app = folder / "app"
    contents = {**files, "Staticfile": f"# {SECRET}\n{staticfile}"}
    tree = SourceTree.of(contents)
    facts = {"facts": dict(options.read(tree, load("static")))}
    for path, text in {**contents, **generated(load("static"), facts)}.items():
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).write_text(text)
    nginx = app / ".stager" / "nginx"
    (nginx / "sbin").mkdir()
    (nginx / "sbin" / "nginx").symlink_to(shutil.which("nginx") or "/usr/sbin/nginx")
    (nginx / "conf").mkdir()
    (nginx / "conf" / "mime.types").write_text("types { text/html html; application/json json; }\n")
    (folder / "tmp").mkdir()
    port = free_port()
    given = {"PATH": os.environ["PATH"], "HOME": str(app), "TMPDIR": str(folder / "tmp"), "PORT": str(port), **env}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["sh", str(nginx / "serve")], env=given, stdout=log, stderr=log)
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nginx does not listen")


def ask(port: int, target: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Status and everything that is answered to a request line with exactly this target."""
    lines = [f"{method} {target} HTTP/1.1", "Host: pages.example", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        data = b""
        while part := connection.recv(65536):
            data += part
    text = data.decode("utf-8", "replace")
    return int(text.split(" ")[1]) if text.startswith("HTTP/") else 0, text


def login(password: str, name: str = "bob") -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def targets(name: str) -> list[str]:
    encoded = "".join(f"%{ord(sign):02X}" if sign != "/" else sign for sign in name)
    return [trick.format(name, upper=name.upper(), encoded=encoded) for trick in TRICKS]


@pytest.mark.parametrize(
    "staticfile", ["", "pushstate: enabled\n", "directory: visible\nssi: enabled\n", "host_dot_files: true\n"]
)
def test_what_is_private_is_never_served(staticfile: str, tmp_path: Path) -> None:
    files = {
        **SITE,
        **DOTTED,
        "ssi.html": '<!--# include virtual="/Staticfile" --><!--# include virtual="/manifest.yml" -->',
    }
    with site(tmp_path, staticfile, files) as port:
        assert ask(port, "/")[0] == ask(port, "/docs/")[0] == ask(port, "/manifest.json")[0] == 200
        assert ask(port, "/.well-known/security.txt")[0] == ask(port, "/docs/Procfile.html")[0] == 200
        assert SECRET not in ask(port, "/ssi.html")[1]
        served = [
            (target, method)
            for name in PRIVATE
            for target in targets(name)
            for method in ("GET", "HEAD", "POST")
            if SECRET in ask(port, target, method, Accept_Encoding="gzip", Range="bytes=0-")[1]
        ]
        assert served == []
        plain = [name for name in PRIVATE for method in ("GET", "HEAD") if ask(port, f"/{name}", method)[0] != 404]
        assert plain == []
        dotted = {ask(port, f"/{name}")[0] for name in DOTTED}
        assert dotted == ({200} if "dot_files" in staticfile else {404})


def test_only_the_root_is_served(tmp_path: Path) -> None:
    files = {
        "public/index.html": "home",
        "index.html": "outer",
        **{name: SECRET for name in PRIVATE if name != "Staticfile"},
    }
    with site(tmp_path, "root: public\n", {**files, "Staticfile.auth": ""} | {"secret.txt": SECRET}) as port:
        assert ask(port, "/../secret.txt")[0] == 400
        assert [t for t in ["/secret.txt", *targets("secret.txt")] if SECRET in ask(port, t)[1]] == []


@pytest.mark.parametrize("kind", USERS)
def test_a_password_is_asked_for(kind: str, tmp_path: Path) -> None:
    with site(tmp_path, "", {**SITE, "Staticfile.auth": f"# users\nann:x\nbob:{USERS[kind]}\r\n"}) as port:
        for target in ("/", "/index.html", "/docs/", "/nothing", "/.well-known/security.txt", "//index.html", "/%2e/"):
            for method in ("GET", "HEAD"):
                status, text = ask(port, target, method)
                assert (status, 'WWW-Authenticate: Basic realm="Restricted"' in text) == (401, True), target
                assert "members only" not in text
        for wrong in (
            login("Secret"),
            login(""),
            login("secret", "ann"),
            login("secret", "eve"),
            "Basic x",
            "Bearer secret",
        ):
            assert ask(port, "/", Authorization=wrong)[0] in (401, 403)
        status, text = ask(port, "/", Authorization=login("secret"))
        assert (status, "members only" in text) == (200, True)
        assert [n for n in PRIVATE if ask(port, f"/{n}", Authorization=login("secret"))[0] != 404] == []


@pytest.mark.parametrize("how", ["empty", "folder", "dangling", "nobody"])
def test_a_file_that_names_nobody_lets_nobody_in(how: str, tmp_path: Path) -> None:
    auth = tmp_path / "app" / "Staticfile.auth"
    auth.parent.mkdir()
    if how == "folder":
        auth.mkdir()
    elif how == "dangling":
        auth.symlink_to("gone")
    else:
        auth.write_text("bob\n" if how == "nobody" else "")
    with site(tmp_path) as port:
        for given in ({}, {"Authorization": login("secret")}, {"Authorization": login("")}):
            status, text = ask(port, "/", **given)
            assert status in (401, 403, 500)
            assert "members only" not in text


@pytest.mark.parametrize(
    ("staticfile", "env", "redirects"),
    [
        ("", {}, False),
        ("force_https: true\n", {}, True),
        ("force_https: true\n", {"FORCE_HTTPS": "false"}, True),
        ("", {"FORCE_HTTPS": "true"}, True),
        ("", {"FORCE_HTTPS": "1"}, True),
        ("", {"FORCE_HTTPS": "false"}, False),
        ("", {"FORCE_HTTPS": ""}, False),
    ],
)
def test_https_is_forced_where_it_is_asked_for(
    staticfile: str, env: dict[str, str], redirects: bool, tmp_path: Path
) -> None:
    with site(tmp_path, staticfile, {**SITE, "Staticfile.auth": "bob:x"} if redirects else SITE, **env) as port:
        for proto in ("http", "HTTP", "http, https"):
            status, text = ask(port, "/docs/?a=b", X_Forwarded_Proto=proto)
            assert (status == 301) is redirects
            assert ("Location: https://pages.example/docs/?a=b\r\n" in text) is redirects
        expected = 401 if redirects else 200
        assert ask(port, "/docs/", X_Forwarded_Proto="https")[0] == expected
        assert ask(port, "/docs/")[0] == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mod.mjs", "text/javascript"),
        ("site.webmanifest", "application/manifest+json"),
        ("a.json", "application/json"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_media_types(name: str, kind: str, tmp_path: Path) -> None:
    """RFC 9239 for modules, the Web App Manifest for manifests: a browser runs no module of another type."""
    with site(tmp_path, files={**SITE, name: "x"}) as port:
        assert f"\r\ncontent-type: {kind}\r\n" in ask(port, f"/{name}")[1].lower()


HEADERS = {"nginx/conf/includes/headers.conf": "add_header X-Site ours always;\ninclude includes/more/*.inc;\n"}
HEADERS["nginx/conf/includes/more/a.inc"] = "location /api/ { return 202; }\n"


@pytest.mark.parametrize("pushstate", ["", "pushstate: enabled\n"])
def test_the_apps_own_lines_of_nginx_are_included(pushstate: str, tmp_path: Path) -> None:
    staticfile = f"{pushstate}location_include: includes/h*.conf\nhttp_strict_transport_security: true\n"
    with site(tmp_path, staticfile, {**SITE, **HEADERS, "manifest.yml": SECRET}) as port:
        for target in ("/", "/docs/", "/docs/Procfile.html", *(["/some/route"] if pushstate else [])):
            status, text = ask(port, target)
            assert status == 200
            assert "\r\nX-Site: ours\r\n" in text
            assert text.count("\r\nStrict-Transport-Security: max-age=31536000\r\n") == 1
        assert ("members only" in ask(port, "/some/route")[1]) is bool(pushstate)
        assert ask(port, "/some/route")[0] == (200 if pushstate else 404)
        assert ask(port, "/api/x")[0] == 202
        assert ask(port, "/nginx/conf/includes/headers.conf")[0] == ask(port, "/manifest.yml")[0] == 404


def test_included_lines_may_try_files_themselves(tmp_path: Path) -> None:
    lines = {"nginx/conf/site.conf": "try_files $uri $uri.html =418;\n"}
    with site(tmp_path, "location_include: site.conf\n", {**SITE, **lines}) as port:
        assert ask(port, "/docs/Procfile")[0] == 200
        assert ask(port, "/nothing")[0] == 418


def test_pages_of_whole_families_of_status_codes(tmp_path: Path) -> None:
    pages = {
        "4xx.html": "a client's mistake",
        "5xx.html": "ours",
        "nginx/conf/a.conf": "location /broken { return 503; }\n",
    }
    staticfile = "status_codes: {4xx: /4xx.html, 5xx: /5xx.html}\nlocation_include: a.conf\n"
    with site(tmp_path, staticfile, {**SITE, **pages}) as port:
        status, text = ask(port, "/nothing")
        assert (status, "a client's mistake" in text) == (404, True)
        status, text = ask(port, "/broken")
        assert (status, text.endswith("\r\n\r\nours")) == (503, True)


@pytest.mark.parametrize(
    ("staticfile", "env", "speaks"),
    [
        ("enable_http2: true\n", {"VCAP_APPLICATION": "{}"}, True),
        ("enable_http2: true\n", {}, False),
        ("", {"VCAP_APPLICATION": "{}"}, False),
        ("", {"ENABLE_HTTP2": "true"}, True),
    ],
)
def test_http2_is_spoken_where_a_router_can(staticfile: str, env: dict[str, str], speaks: bool, tmp_path: Path) -> None:
    """RFC 9113, 3.3: a client that knows sends the preface; the server's first frame is SETTINGS (type 4)."""
    with site(tmp_path, staticfile, SITE, **env) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            first = connection.recv(9)
        assert (first[3:4] == b"\x04") is speaks
        assert speaks or ask(port, "/")[0] == 200
