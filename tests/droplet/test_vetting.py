"""What packages look for and will not find: noted, or refused where the app cannot do without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import make_wheel

from stager.digest import Digest
from stager.droplet import vetting
from stager.ecosystems.npm.platform import Needs
from stager.ecosystems.npm.said import PackageSaid
from stager.ecosystems.pypi import former, unpack
from stager.ecosystems.record import Laid
from stager.errors import BadLock
from stager.formats.archive import content_bytes
from stager.formats.tar import PieceFile
from stager.model import Artifact, Plan
from stager.planning.buildpacks import load
from stager.planning.detection import options
from stager.tree import SourceTree

PLACE = ".stager/pypi"


def found(name: str, text: str) -> dict[str, str]:
    return former.imports([PieceFile(f"{PLACE}/{name}", text.encode())], PLACE)


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("import pkg_resources\n", {"pkg_resources"}),
        ("'''Doc.'''\nimport os, pkg_resources as p\n", {"pkg_resources"}),
        ("from pkg_resources import iter_entry_points\n", {"pkg_resources"}),
        ("from pkg_resources.extern import six\n", {"pkg_resources"}),
        ("__import__('pkg_resources').declare_namespace(__name__)\n", {"pkg_resources"}),
        ("from distutils.version import LooseVersion\nimport pkg_resources\n", {"distutils", "pkg_resources"}),
        ("try:\n    import pkg_resources\nexcept ImportError:\n    pass\n", set()),
        ("def version():\n    import pkg_resources\n", set()),
        ("# import pkg_resources\nimport pkg_resources_like\n", set()),
        ("from .pkg_resources import x\nfrom a.distutils import y\n", set()),
    ],
)
def test_an_import_that_nothing_guards(text: str, modules: set[str]) -> None:
    assert found("site-packages/shop/util.py", text) == dict.fromkeys(modules, "shop/util.py")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "site-packages/shop/tests/util.py",
            "site-packages/shop/_vendor/packaging/x.py",
            "site-packages/setuptools/x.py",
        ),
        *("site-packages/pkg_resources/__init__.py", "site-packages/shop/setup.py", "site-packages/shop/data.txt"),
        *("include/shop/x.py", "site-packages/test_shop.py"),
    ],
)
def test_what_no_app_loads_does_not_count(name: str) -> None:
    assert found(name, "import pkg_resources\n") == {}


def test_scripts_count_and_large_files_do_not() -> None:
    assert found("libexec/shop", "#!python\nimport pkg_resources\n") == {"pkg_resources": "libexec/shop"}
    assert found("site-packages/shop/table.py", "import pkg_resources\n" + "#" * (1 << 20)) == {}


def test_a_wheel_tells_what_it_imports(tmp_path: Path) -> None:
    wheel = tmp_path / "shop-1.0-py3-none-any.whl"
    files = {"shop/__init__.py": b"import pkg_resources\n", "shop/b.py": b"import os\n"}
    wheel.write_bytes(make_wheel("shop", "1.0", files))
    one = Artifact("pkg:pypi/shop@1.0", wheel.name, Digest("sha256:" + "0" * 64), "wheel/1", (PLACE,))
    unpacked = unpack(str(wheel), one, PLACE)
    try:
        assert unpacked.meta == {"former": {"pkg_resources": "shop/__init__.py"}}
        assert any(content_bytes(entry.content) == b"import pkg_resources\n" for entry in unpacked.files)
    finally:
        unpacked.close()


OLD = [("shop@1.0", {"pkg_resources": "shop/a.py", "distutils": "shop/b.py"})]
NOTE = "shop@1.0: shop/{} imports {}, which nothing in this droplet has: add 'setuptools<81' to {}, and make the lock again"


def test_what_is_there_is_no_remark() -> None:
    site, python = f"{PLACE}/site-packages", ".stager/python/lib/python3.12"
    vendored = f"{site}/pip/_vendor/pkg_resources/__init__.py"
    distutils, resources = NOTE.format("b.py", "distutils", "Pipfile"), NOTE.format("a.py", "pkg_resources", "Pipfile")
    tried = {
        (): [distutils, resources],
        (vendored,): [distutils, resources],
        (f"{site}/pkg_resources/__init__.py",): [distutils],
        (f"{site}/pkg_resources/__init__.py", f"{site}/distutils-precedence.pth"): [],
        (".stager/python/lib/python3.11/distutils/__init__.py",): [resources],
        (f"{python}/site-packages/pkg_resources/__init__.py", f"{python}/site-packages/distutils-precedence.pth"): [],
    }
    for paths, notes in tried.items():
        assert former.remarks(OLD, paths, ["Pipfile", "Pipfile.lock"]) == notes, paths
    assert former.remarks([("shop@1.0", {})], (), ()) == []


# --- npm -------------------------------------------------------------------------------------------------------


def package(name: str, **meta: Any) -> Laid:
    place = f"node_modules/{name}"
    one = Artifact(f"pkg:npm/{name}@1.0.0", f"{name}-1.0.0.tgz", Digest("sha256:" + "0" * 64), "npm/1", (place,))
    return Laid(one, place, PackageSaid(name, "1.0.0", {}, **meta).to_json())


def plan(direct: str) -> Plan:
    return Plan("debian-12", "amd64", "codec", (), (), (), (), (), (), (), (), (("nodejs.direct", direct),))


def test_a_package_for_another_system_that_the_app_needs_is_refused_whatever_its_lock_says() -> None:
    packages = [package("shop", needs=["mac"]), package("mac", runs_on=Needs(["darwin"], ["arm64"]))]
    with pytest.raises(BadLock) as caught:
        vetting.check(plan("shop"), packages)
    assert caught.value.message == "mac@1.0.0 runs on darwin arm64 only, and stack debian-12 is linux amd64 glibc"
    vetting.check(plan("shop"), [package("shop", wants=["mac"]), package("mac", runs_on=Needs(["darwin"]))])
    vetting.check(
        plan("other shop"),
        [package("shop", needs=["fine"]), package("fine", runs_on=Needs(["!win32"], libc=["glibc"]))],
    )


def test_an_add_on_for_the_stack_that_the_lock_does_not_have_is_noted() -> None:
    wants = [
        "@r/rollup-darwin-arm64",
        "@r/rollup-linux-x64-gnu",
        "@r/rollup-linux-x64-musl",
        "@r/rollup-linux-arm64-gnu",
    ]
    lacking = [package("rollup", wants=wants)]
    assert vetting.notes(plan("rollup"), lacking, ()) == [
        "rollup@1.0.0 wants @r/rollup-linux-x64-gnu on this stack, which the lock file does not have; make the lock again "
        "without node_modules: 'rm -r node_modules package-lock.json && npm install'"
    ]
    assert vetting.notes(plan("rollup"), [*lacking, package("@r/rollup-linux-x64-gnu")], ()) == []
    assert vetting.notes(plan("x"), [package("x", wants=["fsevents", "bufferutil"])], ()) == []


# --- facts -----------------------------------------------------------------------------------------------------


def test_the_facts_of_a_lock_are_values_that_the_buildpack_can_have() -> None:
    pack = load("static")
    text = "root: pub\npushstate: enabled\nlocation_include: x/*.conf\nstatus_codes: {404 403: /404.html, 5xx: /50x.html}\n"
    files = {"Staticfile": text, "pub/a": "", "nginx/conf/x/a.conf": ""}
    facts = dict(options.read(SourceTree.of(files), pack))
    options.check(pack, facts)
    options.check(pack, dict(options.read(SourceTree.of({}), pack)))
    bad = {
        "static.root": ["../..", "/etc", "a;b", "a/.stager/x", "a\nb"],
        "static.force_https": ["yes", "true;"],
        "static.status_codes": ["404", "404 /x; include /etc/passwd", "404 /x\n\n", "x /y"],
        "static.location_include": ["../x", "/etc/*", "a/**"],
    }
    for name, values in bad.items():
        for value in values:
            with pytest.raises(BadLock) as caught:
                options.check(pack, {**facts, name: value})
            assert caught.value.message == f"{value!r} is no value of the fact {name}"
    del facts["static.root"]
    with pytest.raises(BadLock) as caught:
        options.check(pack, facts)
    assert caught.value.message == "there is no fact static.root"
