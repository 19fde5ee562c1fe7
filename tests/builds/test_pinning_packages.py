"""What `stager.yml` says of the build of a package is heeded when an app is locked."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest
from building import settings

from stager.builds import pinning
from stager.digest import Digest
from stager.droplet.incremental import Folder
from stager.errors import BadManifest, NeedsBuild, StagerError
from stager.files.errors import NoSandbox
from stager.model import Artifact, Build, BuildRoot, DebPin, Plan, Reason
from stager.sandbox import running
from stager.store import Store

HERE = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
OTHER = {"amd64": "arm64", "arm64": "amd64"}[HERE]


def test_a_package_that_is_only_sources_cannot_be_left_unbuilt(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/stager.yml").write_text("builds:\n  docopt: no\n")
    one = Artifact("pkg:pypi/docopt@0.6.2", "d.tar.gz", Digest("sha256:" + "1" * 64), "sdist/1", (".stager/pypi",))
    build = Build("docopt", "artifact", "stack", "stager:pep517/1", Reason("a test"), of=one.purl, on="runtimes")
    roots = (BuildRoot("stack", "debian-12", ""),)
    plan = Plan("debian-12", "amd64", "", (), (), (), (one,), (), (), (), (), builds=(build,), roots=roots)
    store = Store(str(tmp_path / "store"))
    with pytest.raises(BadManifest) as caught:
        pinning.pinned(plan, None, Folder.read(str(tmp_path / "app"), store), settings(store))
    assert caught.value.where == "stager.yml:2"
    assert caught.value.message == "builds.docopt: what is only sources is built, or it is not there"


@pytest.mark.parametrize(("architecture", "error"), [(HERE, NoSandbox), (OTHER, NeedsBuild)])
def test_a_runtime_that_cannot_be_built_here_is_refused_when_the_app_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, error: type[StagerError]
) -> None:
    """Not later: a package may do without its build, an app not without its runtime."""
    (tmp_path / "app").mkdir()
    monkeypatch.setattr(running, "possible", lambda: ("", (("with a user namespace", "Operation not permitted"),)))
    one = Artifact(
        "pkg:generic/cpython@3.13.15", "p.tar.xz", Digest("sha256:" + "1" * 64), "cpython-source/1", (".stager/python",)
    )
    build = Build("cpython", "artifact", "cpython", "stager:cpython/1", Reason("a test"), of=one.purl, on="nothing")
    roots = (BuildRoot("cpython", "debian-12", "", wants=("gcc",)),)
    plan = Plan("debian-12", architecture, "", (), (), (), (one,), (), (), (), (), builds=(build,), roots=roots)
    store = Store(str(tmp_path / "store"))
    with pytest.raises(error) as caught:
        pinning.pinned(plan, None, Folder.read(str(tmp_path / "app"), store), settings(store))
    assert caught.value.hint
    deb = DebPin("gcc", "1", architecture, 7, one.digest, "pool/main/g/gcc/gcc_1.deb")
    kept = replace(plan, roots=(replace(roots[0], epoch="2026-01-01T00:00:00Z", packages=(deb,)),))
    folder = Folder.read(str(tmp_path / "app"), store)
    assert pinning.pinned(plan, kept, folder, settings(store)) == kept, "it may have been built elsewhere"
