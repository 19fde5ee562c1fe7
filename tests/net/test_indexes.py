"""Where indexes are configured, what may be asked, and what credentials go where."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

import pytest

from stager.digest import Digest
from stager.ecosystems.pypi.lookup import IndexFile
from stager.errors import BadManifest
from stager.fetching.locating import locate
from stager.model import Artifact
from stager.net import indexes as indexes_module
from stager.net.errors import BadSettings, NotFound, Unreachable
from stager.net.indexes import Indexes, default_debian, default_npm, default_pypi
from stager.net.indexes.origins import Origin

SECRET = "canary-b04d"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class Machine:
    """A home, an `etc` and an environment, all made up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {}

    def file(self, path: str, text: str) -> str:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
        return str(place)

    def read(self, **environ: str) -> Indexes:
        return Indexes.from_environment(
            {**self.environ, **environ},
            home=str(self.root / "home"),
            apt=str(self.root / "etc/apt"),
            system=str(self.root),
        )


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


# --- Python ----------------------------------------------------------------------------------------------------------


def test_without_configuration_the_libraries_know(machine: Machine) -> None:
    found = machine.read()
    assert found == Indexes()
    assert found.pypi() == (default_pypi(),)
    assert found.npm() == found.npm("@scope/name") == default_npm()
    assert found.debian("bookworm") == (default_debian(), f"{default_debian()}-security")
    for url in (default_pypi(), default_npm(), default_debian()):
        assert url.startswith("https://")
        assert not url.endswith("/")


def test_uv_and_pip_agree_on_the_default() -> None:
    assert indexes_module.uvs_default() == default_pypi()


def test_pips_files_and_environment(machine: Machine) -> None:
    machine.file("etc/pip.conf", "[global]\nindex-url = https://one.example/simple/\nno_index = no\n")
    assert machine.read().pypi() == ("https://one.example/simple",)
    machine.file(
        "home/.config/pip/pip.conf", "[global]\nextra_index_url =\n  https://a.example/s\n  https://b.example/s\n"
    )
    assert machine.read().pypi() == ("https://one.example/simple", "https://a.example/s", "https://b.example/s")
    own = machine.file("own.conf", "[install]\nindex-url = https://two.example/simple\n")
    assert machine.read(PIP_CONFIG_FILE=own).pypi()[0] == "https://two.example/simple"
    assert machine.read(PIP_INDEX_URL="https://three.example/simple", PIP_CONFIG_FILE=own).pypi()[0] == (
        "https://three.example/simple"
    )
    assert machine.read(PIP_CONFIG_FILE="/dev/null").pypi() == (default_pypi(),)


def test_folders_of_this_machine_are_no_index(machine: Machine) -> None:
    machine.file(
        "etc/pip.conf", "[global]\nfind-links = /srv/wheels\nextra-index-url = file:///srv/simple /srv/simple\n"
    )
    assert machine.read() == Indexes()


def test_no_index_means_none(machine: Machine) -> None:
    assert machine.read(PIP_NO_INDEX="1", PIP_EXTRA_INDEX_URL="https://a.example/s").pypi() == ()


def test_uvs_environment_and_file_come_before_pips(machine: Machine) -> None:
    machine.file(
        "home/.config/uv/uv.toml",
        'python-install-mirror = "https://pbs.example/releases/"\n'
        '[[index]]\nname = "inner"\nurl = "https://inner.example/simple"\n'
        '[[index]]\nname = "torch"\nurl = "https://torch.example/simple"\nexplicit = true\n'
        '[[index]]\nurl = "https://default.example/simple"\ndefault = true\n',
    )
    found = machine.read(PIP_INDEX_URL="https://pip.example/simple")
    assert found.pypi() == ("https://inner.example/simple", "https://default.example/simple")
    assert found.pbs == "https://pbs.example/releases"
    assert Origin("https", "torch.example", 443) in found.trusted
    found = machine.read(UV_DEFAULT_INDEX="https://env.example/s", UV_INDEX="first=https://first.example/s")
    assert found.pypi()[:1] == ("https://first.example/s",)
    assert "https://env.example/s" in found.pypi()
    assert machine.read(UV_NO_CONFIG="1", UV_INDEX_URL="https://old.example/s").pypi() == ("https://old.example/s",)
    own = machine.file(
        "own.toml", 'index-url = "https://own.example/s"\nextra-index-url = ["https://more.example/s"]\n'
    )
    assert machine.read(UV_CONFIG_FILE=own).pypi() == ("https://more.example/s", "https://own.example/s")


def test_passwords_of_python_indexes(machine: Machine) -> None:
    found = machine.read(
        UV_INDEX="inner=https://inner.example/simple",
        UV_INDEX_INNER_USERNAME="me",
        UV_INDEX_INNER_PASSWORD=SECRET,
        PIP_INDEX_URL=f"https://user:{SECRET}%40@pip.example:8443/api/simple",
    )
    assert found.authorization("https://inner.example/simple/x/") == basic("me", SECRET)
    assert found.authorization("https://pip.example:8443/files/x.whl") == basic("user", f"{SECRET}@")
    for elsewhere in (
        "https://pip.example/api/simple", "http://pip.example:8443/x", "https://inner.example.evil.example/simple",
    ):  # fmt: skip
        assert found.authorization(elsewhere) == ""
    assert SECRET not in repr(found)
    assert SECRET not in str(found.pypi())


def test_netrc_speaks_for_configured_indexes_alone(machine: Machine) -> None:
    machine.file(
        "home/.netrc",
        f"machine pip.example login me password {SECRET}\nmachine other.example login me password {SECRET}\n"
        f"default login me password {SECRET}\n",
    )
    found = machine.read(PIP_INDEX_URL="https://pip.example/simple", PIP_EXTRA_INDEX_URL="https://extra.example/simple")
    assert found.authorization("https://pip.example/x") == basic("me", SECRET)
    assert found.authorization("http://pip.example/x") == ""
    assert found.authorization("https://other.example/x") == ""
    assert found.authorization("https://extra.example/x") == ""
    found = machine.read(PIP_INDEX_URL="https://you:own@pip.example/simple")
    assert found.authorization("https://pip.example/x") == basic("you", "own")


def test_a_repository_is_asked_with_a_login_where_the_operator_names_it_for_git(machine: Machine) -> None:
    """An app chooses the repository: no login of an index, of another host, port or folder goes to it."""
    machine.file(
        "home/.netrc",
        f"machine git.example login me password {SECRET}\nmachine other.example login me password {SECRET}\n"
        f"default login me password {SECRET}\n",
    )
    index = {"PIP_INDEX_URL": f"https://you:{SECRET}@git.example/api/simple"}
    assert machine.read(**index).login("https://git.example/team/x") == ""
    named = "https://Git.example/team/, http://git.example:8080,https://none.example"
    found = machine.read(**index, STAGER_GIT_HOSTS=named)
    for url in (
        "https://git.example/team/x.git/info/refs", "https://git.example:443/team/a/b", "http://git.example:8080/x",
    ):  # fmt: skip
        assert found.login(url) == basic("me", SECRET)
    for url in (
        "https://git.example/other/x", "https://git.example/team2/x", "https://git.example:8443/team/x", "http://git.example/team/x",
        "https://git.example/team/../other/x", "https://git.example/team/%2e%2e/other", "https://git.example/team/..%2fother",
        "https://other.example/team/x", "https://none.example/team/x", "https://git.example/api/simple/x",
    ):  # fmt: skip
        assert found.login(url) == ""
    assert found.authorization("http://git.example:8080/x") == ""
    assert found.refusal("http://git.example:8080/x") == ""
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    "value", ["git.example", "ssh://git.example/x", "https://", f"https://me:{SECRET}@git.example", "https://[x"]
)
def test_a_git_host_that_is_none_is_named(machine: Machine, value: str) -> None:
    with pytest.raises(BadSettings) as caught:
        machine.read(STAGER_GIT_HOSTS=value)
    assert "STAGER_GIT_HOSTS" in str(caught.value)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("etc/pip.conf", "no section", "it is not what pip reads: MissingSectionHeaderError"),
        ("home/.config/uv/uv.toml", "[", "it is not TOML: "),
        ("home/.config/uv/uv.toml", "index = 5", "its index settings do not have uv's shape"),
        ("home/.config/uv/uv.toml", "index = ['x']", "its index settings do not have uv's shape"),
        ("home/.netrc", "machine", "it is not what netrc(5) describes, or cannot be read"),
    ],
)
def test_a_broken_file_is_named(machine: Machine, path: str, text: str, why: str) -> None:
    place = machine.file(path, text)
    with pytest.raises(BadSettings) as caught:
        machine.read()
    assert caught.value.message.startswith(why)
    assert (caught.value.where, caught.value.hint) == (place, f"Correct {place}.")


def test_a_file_that_is_not_text_is_named(machine: Machine) -> None:
    place = machine.file("etc/pip.conf", "")
    Path(place).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSettings, match="it cannot be read as UTF-8 text"):
        machine.read()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PIP_INDEX_URL", "gopher://x.example/", "the configured index is not an http or https URL"),
        ("UV_DEFAULT_INDEX", "https://[x", "the configured index is not a URL"),
        ("npm_config_registry", "https://", "the configured index is not a URL"),
        ("STAGER_DEBIAN_MIRROR", "https://x.example:port/", "the configured index is not a URL"),
        ("UV_CONFIG_FILE", "/nonexistent/uv.toml", "it cannot be read: No such file or directory"),
    ],
)
def test_a_broken_setting_is_named(machine: Machine, variable: str, value: str, message: str) -> None:
    with pytest.raises(BadSettings) as caught:
        machine.read(**{variable: value})
    assert caught.value.message == message


# --- npm -------------------------------------------------------------------------------------------------------------


def test_npms_files_and_environment(machine: Machine) -> None:
    machine.file("usr/etc/npmrc", "registry=https://global.example/\n")
    assert machine.read().npm() == "https://global.example"
    machine.file(
        "home/.npmrc",
        "; remark\n# remark\n[section]\nregistry = 'https://user.example/npm/' ; why\n"
        "@scope:registry=https://scope.example/\n//scope.example/:_authToken=${TOKEN}\n"
        f"//user.example/npm/:_auth={SECRET}\n//basic.example/:username=me\n//basic.example/:_password=cHc=\n",
    )
    found = machine.read(TOKEN=SECRET)
    assert (found.npm(), found.npm("@scope/x"), found.npm("@other/x")) == (
        "https://user.example/npm",
        "https://scope.example",
        "https://user.example/npm",
    )
    assert found.authorization("https://scope.example/@scope/x/-/x-1.tgz") == f"Bearer {SECRET}"
    assert found.authorization("https://user.example/npm/x/-/x-1.tgz") == f"Basic {SECRET}"
    assert found.authorization("https://user.example/other") == ""
    assert found.authorization("https://user.example/npmx/") == ""
    assert found.authorization("http://scope.example/x") == ""
    assert found.authorization("https://basic.example/x") == basic("me", "pw")
    assert machine.read(NPM_CONFIG_REGISTRY="https://env.example").npm() == "https://env.example"
    own = machine.file("own.npmrc", "registry=https://own.example\n")
    assert machine.read(npm_config_userconfig=own).npm() == "https://own.example"
    assert machine.read().authorization("https://scope.example/x") == "Bearer ${TOKEN}"


def test_npms_old_token_belongs_to_the_configured_registry(machine: Machine) -> None:
    machine.file("home/.npmrc", f"_authToken={SECRET}\n")
    assert machine.read().credentials == ()
    found = machine.read(npm_config_registry="https://npm.example/root")
    assert found.authorization("https://npm.example/root/x") == f"Bearer {SECRET}"
    assert found.authorization(default_npm() + "/x") == ""


@pytest.mark.parametrize("line", ["//x.example/:_authToken=a\u0007b", "//x.example/:_authToken=ü", "//:_authToken=x"])
def test_a_credential_that_no_header_can_carry(machine: Machine, line: str) -> None:
    machine.file("home/.npmrc", line)
    with pytest.raises(BadSettings, match="a credential"):
        machine.read()


def test_a_password_that_is_not_base64(machine: Machine) -> None:
    machine.file("home/.npmrc", "//x.example/:username=me\n//x.example/:_password=!\n")
    with pytest.raises(BadSettings, match="is not in base64"):
        machine.read()


def test_an_apps_npmrc_names_registries_but_gives_no_credentials(machine: Machine) -> None:
    mine = machine.read(npm_config_registry="https://npm.example", **{"npm_config_//npm.example/:_authToken": SECRET})
    theirs = mine.with_app_npmrc(
        "registry=https://theirs.example/\n@scope:registry=https://scope.example\n_authToken=x\n"
        "//theirs.example/:_authToken=${HOME}\n"
    )
    assert (theirs.npm(), theirs.npm("@scope/x")) == ("https://theirs.example", "https://scope.example")
    assert theirs.credentials == mine.credentials
    assert theirs.trusted == mine.trusted
    assert theirs.authorization("https://theirs.example/x") == ""
    for bad, why in (
        ("http://theirs.example", "it is not encrypted (http), and its host is not among the configured indexes"),
        ("https://127.0.0.1", "it names a private address that is not among the configured indexes"),
        ("https://me:pw@theirs.example", "it holds a credential"),
    ):
        with pytest.raises(BadManifest) as caught:
            mine.with_app_npmrc(f"registry={bad}\n")
        assert caught.value.message == f"the registry of 'registry' cannot be used: {why}"


# --- Debian ----------------------------------------------------------------------------------------------------------

SOURCES = """\
# remark
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://security.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: https://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://vendor.example/apt
Suites: bookworm
Components: main
"""


def test_apts_sources(machine: Machine) -> None:
    machine.file("etc/apt/sources.list.d/debian.sources", SOURCES)
    machine.file("etc/apt/sources.list.d/x.list.disabled", "deb https://no.example/debian bookworm main\n")
    found = machine.read()
    assert found.debian("bookworm") == ("http://mirror.example/debian", "https://security.example/debian-security")
    assert found.debian("trixie")[0] == "http://mirror.example/debian", "one archive holds all suites"
    assert found.refusal("http://mirror.example/debian/pool/x.deb") == ""
    assert found.refusal("http://vendor.example/apt/x.deb") != ""
    mirrors = {
        "STAGER_DEBIAN_MIRROR": "https://d.example/debian/",
        "STAGER_DEBIAN_SECURITY_MIRROR": "https://s.example/",
    }
    assert machine.read(**mirrors).debian("bookworm") == ("https://d.example/debian", "https://s.example")


def test_one_line_sources(machine: Machine) -> None:
    machine.file(
        "etc/apt/sources.list",
        "# deb https://no.example/debian bookworm main\n"
        "deb-src https://src.example/debian bookworm main\n"
        "deb cdrom:[x]/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg] https://a.example/mirror trixie main # why\n"
        "deb https://b.example/debian bookworm main\n"
        "deb https://ubuntu.example/ubuntu jammy main\n",
    )
    found = machine.read()
    assert found.debian("bookworm") == ("https://b.example/debian", "https://b.example/debian-security")
    assert found.debian("trixie")[0] == "https://a.example/mirror"


# --- what may be asked -----------------------------------------------------------------------------------------------

PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "10.0.0.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.257",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "100.64.0.1",
    "0.0.0.0",
    "0",
    "255.255.255.255",
    "224.0.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "203.0.113.9",
    "240.0.0.1",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2001:db8::1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "app.localhost",
    "printer.local",
    "metadata.google.internal",
    "127.0.0.1.",
    "127.000.000.001",
    "[0:0:0:0:0:ffff:7f00:0001]",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_no_spelling_of_a_private_address_is_asked(host: str) -> None:
    assert Indexes().refusal(f"https://{host}/x") in (
        "it names a private address that is not among the configured indexes",
        "it is not a URL",
    )
    assert Indexes().refusal(f"https://{host}:8443/x") != ""


@pytest.mark.parametrize(
    "url",
    [
        "https://index.example/x", "https://8.8.8.8/x", "https://[2606:4700::1111]/x", "https://index.example:8443/a%20b?c=d",
        "https://dead.beef/x", "HTTPS://Index.Example/x",
    ],
)  # fmt: skip
def test_a_public_https_url_may_be_asked(url: str) -> None:
    assert Indexes().refusal(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "/etc/passwd", "file:///etc/passwd", "ftp://index.example/", "data:text/plain,x", "git+ssh://a.example/b",
        "ext::sh -c id", "https:", "https://", "https://?x", "https://index.example:port/", "https://index.example:99999/",
        "https://user@index.example/", "https://index.example\\@10.0.0.1/", "https://index.example/a b",
        "https://in\tdex.example/",
        "https://index.example/\r\nX: y", "https://ⓔxample.example/", "https://[::1", "http://index.example/",
        "//index.example/x",         "javascript:alert(1)", "https://10.0.0.1#@index.example/", "https://@10.0.0.1/",
    ],
)  # fmt: skip
def test_other_urls_may_not(url: str) -> None:
    assert Indexes().refusal(url) != ""


def test_what_the_operator_configured_may_be_private_and_plain(machine: Machine) -> None:
    found = machine.read(PIP_INDEX_URL="http://10.0.0.5:3141/root/pypi/+simple/")
    assert found.refusal("http://10.0.0.5:3141/files/x.whl") == ""
    for other in ("http://10.0.0.5/x", "https://10.0.0.5:3141/x", "http://10.0.0.6:3141/x"):
        assert found.refusal(other) != ""


def test_what_the_operator_allows(machine: Machine) -> None:
    found = machine.read(STAGER_ALLOW_ADDRESSES="10.0.0.0/8, registry.internal,[fd00::]/8 .corp.local")
    assert found.allowed == ("10.0.0.0/8", "registry.internal", "[fd00::]/8", ".corp.local")
    for url in ("https://10.1.2.3/x", "http://10.1.2.3:5000/x", "https://registry.internal/x", "https://[fd00::5]/x"):
        assert found.refusal(url) == ""
    assert found.refusal("http://a.corp.local/x") == ""
    for url in (
        "https://11.0.0.1:x/",
        "https://192.168.0.1/x",
        "https://x.internal/x",
        "https://[fe80::1]/x",
        "http://a.example/",
    ):
        assert found.refusal(url) != ""
    assert found.with_app_npmrc("registry=https://10.9.9.9/").npm() == "https://10.9.9.9"


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "http://10.0.0.1", "a b:c", "1.2.3.4:port", "*.corp"])
def test_what_cannot_be_allowed_is_named(machine: Machine, entry: str) -> None:
    with pytest.raises(BadSettings, match="STAGER_ALLOW_ADDRESSES"):
        machine.read(STAGER_ALLOW_ADDRESSES=entry)


def test_an_apps_registry_vouches_for_nothing(machine: Machine) -> None:
    found = machine.read(PIP_INDEX_URL="https://index.corp:8443/simple").with_app_npmrc(
        "registry=https://evil.example/"
    )
    origins = {place[1] for place in found.policy().gateways()}
    assert "index.corp" in origins
    assert "evil.example" not in origins


# --- proxies and certificates ----------------------------------------------------------------------------------------


def test_proxies(machine: Machine) -> None:
    found = machine.read(
        HTTPS_PROXY=f"http://u:{SECRET}@proxy.example:3128", http_proxy="proxy.example:80", NO_PROXY="x"
    )
    assert found.proxy("https://index.example/") == f"http://u:{SECRET}@proxy.example:3128"
    assert found.proxy("http://index.example/") == "http://proxy.example:80"
    assert SECRET not in repr(found)
    assert machine.read(ALL_PROXY="http://all.example").proxy("https://index.example/") == "http://all.example"
    assert machine.read(HTTP_PROXY="http://x.example", REQUEST_METHOD="GET").proxy("http://index.example/") == ""
    assert machine.read(npm_config_proxy="null", npm_config_https_proxy="false").proxies == {}
    machine.file("etc/pip.conf", "[global]\nproxy = http://pip.example:1\ncert = /pip.pem\n")
    assert machine.read().proxy("https://index.example/") == "http://pip.example:1"


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("*", True), ("index.example", True), (".example", True), ("example", True), ("*.example", True),
        ("ndex.example", False), ("other.example, index.example", True), ("index.example:443", True),
        ("index.example:80", False), ("", False), ("10.0.0.0/8", False),
    ],
)  # fmt: skip
def test_no_proxy(machine: Machine, no_proxy: str, direct: bool) -> None:
    found = machine.read(https_proxy="http://proxy.example", no_proxy=no_proxy)
    assert (found.proxy("https://index.example/x") == "") is direct


@pytest.mark.parametrize(
    ("no_proxy", "direct"), [("10.0.0.0/8", True), ("10.1.2.3", True), ("11.0.0.0/8", False), ("::1", False)]
)
def test_no_proxy_for_networks(machine: Machine, no_proxy: str, direct: bool) -> None:
    found = machine.read(https_proxy="http://proxy.example", no_proxy=no_proxy)
    assert (found.proxy("https://10.1.2.3/x") == "") is direct


def test_certificates(machine: Machine) -> None:
    machine.file("home/.npmrc", "cafile=/npm.pem\nstrict-ssl=false\n")
    found = machine.read(
        SSL_CERT_FILE="/a.pem", REQUESTS_CA_BUNDLE="/b.pem", PIP_CERT="/a.pem", NODE_EXTRA_CA_CERTS="/more.pem"
    )
    assert (found.ca_files, found.extra_ca_files) == (("/a.pem", "/b.pem", "/npm.pem"), ("/more.pem",))


# --- where artifacts are ---------------------------------------------------------------------------------------------

SHA = Digest("sha256:" + "ab" * 32)
OTHER = "https://files.example/app-1.0.whl"


def artifact(purl: str, filename: str = "app-1.0.whl", layout: str = "wheel/1", digest: Digest = SHA) -> Artifact:
    return Artifact(purl, filename, digest, layout, ("x",))


def places(
    one: Artifact, indexes: Indexes, hint: str = "", pages: list[IndexFile] | Exception | None = None
) -> list[str]:
    return list(locate(one, indexes, lambda: Kept(pages), {one.digest: hint} if hint else {}))


class Kept:
    """The one page of a project, by whichever index."""

    def __init__(self, files: list[IndexFile] | Exception | None) -> None:
        self._files = files

    def get(self, url: str, *, accept: str = "") -> bytes:
        assert url.endswith("/app/")
        assert "pypi.simple" in accept
        if isinstance(self._files, Exception):
            raise self._files
        rows = [{"filename": one.filename, "url": one.url, "hashes": one.hashes} for one in self._files or []]
        return json.dumps({"meta": {"api-version": "1.0"}, "files": rows}).encode()

    @contextmanager
    def opened(self, url: str, *, accept: str = "") -> Iterator[IO[bytes]]:
        yield BytesIO(self.get(url, accept=accept))


PYPI = artifact("pkg:pypi/app@1.0")
PAGE = [
    IndexFile("app-1.0.whl", "https://mirror.example/named.whl", {}),
    IndexFile("app-1.0.whl", "https://mirror.example/wrong.whl", {"sha256": "cd" * 32}),
    IndexFile("other.whl", "https://mirror.example/same.whl", {"sha256": "ab" * 32}),
]


def test_python_files_are_found_by_digest_then_by_name() -> None:
    assert places(PYPI, Indexes(), "", PAGE) == ["https://mirror.example/same.whl", "https://mirror.example/named.whl"]


def test_the_locks_hint_comes_first_and_costs_no_page() -> None:
    def no_page() -> Kept:
        raise AssertionError

    assert next(locate(PYPI, Indexes(), no_page, {SHA: OTHER})) == OTHER


def test_a_configured_mirror_comes_before_the_hint(machine: Machine) -> None:
    indexes = machine.read(PIP_INDEX_URL="https://mirror.example/simple")
    assert places(PYPI, indexes, OTHER, PAGE[2:]) == ["https://mirror.example/same.whl", OTHER]
    assert places(PYPI, indexes, OTHER, Unreachable("x", "y")) == [OTHER]
    assert places(PYPI, indexes, "https://mirror.example/own.whl", [])[0] == "https://mirror.example/own.whl"
    assert places(PYPI, indexes, "", NotFound("x")) == []
    with pytest.raises(Unreachable):
        places(PYPI, indexes, "", Unreachable("x", "y"))


@pytest.mark.parametrize("hint", ["http://files.example/x", "https://10.0.0.1/x", "file:///x", "nonsense"])
def test_a_hint_that_may_not_be_asked_is_passed_over(hint: str) -> None:
    assert places(PYPI, Indexes(), hint, PAGE[:1]) == ["https://mirror.example/named.whl"]


def test_npm_packages(machine: Machine) -> None:
    indexes = machine.read(
        npm_config_registry="https://npm.example/r", **{"npm_config_@s:registry": "https://s.example"}
    )
    plain, scoped = artifact("pkg:npm/left-pad@1.0.0"), artifact("pkg:npm/%40s/Name@2.0.0-rc.1%2Bx")
    assert places(plain, indexes) == ["https://npm.example/r/left-pad/-/left-pad-1.0.0.tgz"]
    assert places(scoped, indexes) == ["https://s.example/@s/Name/-/Name-2.0.0-rc.1+x.tgz"]
    assert places(plain, indexes, OTHER)[1] == OTHER
    own = "https://npm.example/download/x"
    assert places(plain, indexes, own)[0] == own
    assert places(plain, Indexes()) == [f"{default_npm()}/left-pad/-/left-pad-1.0.0.tgz"]


def test_debian_packages(machine: Machine) -> None:
    machine.file("etc/apt/sources.list.d/debian.sources", SOURCES)
    plain = artifact("pkg:deb/debian/x@1?arch=amd64", "pool/main/x/x_1+b_amd64.deb", "deb-python/1")
    security = artifact("pkg:deb/debian/x@1?arch=amd64", "pool/updates/main/x/x_1_amd64.deb", "deb-python/1")
    assert places(plain, machine.read()) == [
        "http://mirror.example/debian/pool/main/x/x_1+b_amd64.deb",
        f"{default_debian()}/pool/main/x/x_1+b_amd64.deb",
    ]
    assert places(security, machine.read())[0] == (
        "https://security.example/debian-security/pool/updates/main/x/x_1_amd64.deb"
    )
    own = machine.read(STAGER_DEBIAN_MIRROR="https://own.example/debian")
    assert places(plain, own) == ["https://own.example/debian/pool/main/x/x_1+b_amd64.deb"]


def test_standalone_pythons() -> None:
    from pbs_installer import get_download_link

    _, (url, digest) = get_download_link("3.12", "x86_64", "linux", base_url="")
    from urllib.parse import unquote

    name = unquote(url.rpartition("/")[2])
    one = artifact("pkg:generic/cpython@3.12", name, "pbs/1", Digest(f"sha256:{digest}"))
    assert places(one, Indexes()) == [url]
    assert places(one, Indexes(pbs="https://pbs.example"))[0].startswith("https://pbs.example/2")


def test_other_files_have_only_their_hint() -> None:
    assert places(artifact("pkg:generic/x@1", layout="other/1"), Indexes()) == []
    assert places(artifact("pkg:generic/x@1", layout="other/1"), Indexes(), OTHER) == [OTHER]
