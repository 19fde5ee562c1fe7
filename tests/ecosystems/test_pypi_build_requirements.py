"""What an sdist is built with: resolved for it alone, within the constraints of app and operator, kept where it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from builders import make_wheel
from package_index import put_files
from servers import Server

from stager.digest import Digest
from stager.ecosystems.errors import LockFailed
from stager.ecosystems.pypi.build_requirements import resolved
from stager.ecosystems.pypi.target import target_of
from stager.ecosystems.record import BuildRequest
from stager.model import Artifact, Build, Plan, Reason, Runtime
from stager.net.errors import BadSettings
from stager.net.indexes import Indexes
from stager.resolving import confined
from stager.tree import SourceTree

PACKAGES = {
    ("backend", "1.0"): "",
    ("backend", "2.0"): "Requires-Dist: part\n",
    ("part", "1.0"): "",
    ("part", "1.1"): "",
}
PURL = "pkg:pypi/{}@{}"


@pytest.fixture
def index() -> Iterator[str]:
    with Server() as server:
        for name in {name for name, _ in PACKAGES}:
            rows = [
                (f"{name}-{version}-py3-none-any.whl", make_wheel(name, version, metadata=metadata))
                for (other, version), metadata in PACKAGES.items()
                if other == name
            ]
            put_files(server, name, *rows)
        put_files(server, "sources", ("sources-1.0.tar.gz", b"x"))
        yield f"{server.url}/simple"


def found(
    index: str,
    *wanted: str,
    files: Mapping[str, str] | None = None,
    previous: tuple[Artifact, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> list[str]:
    """The package URLs of what is resolved."""
    indexes = Indexes.from_environment(
        {"UV_DEFAULT_INDEX": index, **(variables or {})}, home="/none", apt="/none", system="/none"
    )
    runtime = Runtime("python", "3.11.2", "debian", (2, 36), Reason(""))
    plan = Plan("debian-12", "amd64", "", (), (), (runtime,), (), (), (), (), ())
    build = Build("p", "artifact", "stack", "stager:pep517/1", Reason(""))
    request = BuildRequest(
        plan=plan, build=build, artifact=None, file="", tree=SourceTree.of(dict(files or {})), indexes=indexes,
        previous=Build("p", "artifact", "stack", "stager:pep517/1", Reason(""), artifacts=previous) if previous else None,
        workplace=lambda: confined.scratch(indexes), ask=lambda _: [],
    )  # fmt: skip
    return [one.purl for one in resolved(request, wanted, target_of(plan))]


def pins(**versions: str) -> list[str]:
    return [PURL.format(name, version) for name, version in versions.items()]


def test_the_newest_with_all_that_it_needs(index: str) -> None:
    assert found(index, "backend", "part; python_version < '3'") == pins(backend="2.0", part="1.1")


def test_the_app_s_own_constraints_hold(index: str) -> None:
    settings = '[tool.uv]\nbuild-constraint-dependencies = ["part<1.1"]\n'
    assert found(index, "backend", files={"pyproject.toml": settings}) == pins(backend="2.0", part="1.0")
    uv = 'build-constraint-dependencies = ["backend<2"]\n'
    assert found(index, "backend", files={"pyproject.toml": settings, "uv.toml": uv}) == pins(backend="1.0")


@pytest.mark.parametrize("variable", ["UV_BUILD_CONSTRAINT", "PIP_BUILD_CONSTRAINT"])
def test_the_operator_s_constraints_hold(index: str, variable: str, tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("# of this house\nbackend<2  # not yet\n\n")
    assert found(index, "backend", variables={variable: str(tmp_path / "c.txt")}) == pins(backend="1.0")
    with pytest.raises(BadSettings) as caught:
        found(index, "backend", variables={variable: "/none/c.txt"})
    assert "/none/c.txt" in str(caught.value)


def test_what_an_earlier_lock_pins_stays_while_it_fits(index: str) -> None:
    def pin(name: str, version: str) -> Artifact:
        return Artifact(PURL.format(name, version), "x.whl", Digest("sha256:" + "1" * 64), "wheel/1", (".stager/pypi",))

    assert found(index, "backend", previous=(pin("backend", "1.0"),)) == pins(backend="1.0")
    assert found(index, "backend>1", previous=(pin("backend", "1.0"), pin("part", "1.0")))[0] == pins(backend="2.0")[0]


def test_a_requirement_that_is_only_sources_is_refused(index: str) -> None:
    with pytest.raises(LockFailed) as caught:
        found(index, "sources")
    assert caught.value.message.startswith("the build requirements of p")
