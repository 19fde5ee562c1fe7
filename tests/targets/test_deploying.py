"""`deploy`: one droplet to several targets at once; each is reported, and each must be found to hold the same layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cf_server import CloudFoundry
from command import Done, in_process
from heroku_server import App, Heroku
from registry_contract import ContractRegistry
from small_droplets import small_droplet

from stager.droplet.reader import open_droplet
from stager.errors import UsageError
from stager.targets.deploying import Aim

TOKEN = "HRKU-t0ken"


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_droplet(tmp_path_factory.mktemp("deploy"))


@pytest.fixture
def registry() -> Iterator[ContractRegistry]:
    with ContractRegistry() as running:
        yield running


@pytest.fixture
def platform() -> Iterator[CloudFoundry]:
    with CloudFoundry() as running:
        yield running


@pytest.fixture
def heroku() -> Iterator[Heroku]:
    with Heroku(TOKEN, {"shop": App()}) as running:
        yield running


def deploy(tmp_path: Path, droplet: Path, *arguments: object, **variables: str) -> Done:
    settings = {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path), "HEROKU_API_KEY": TOKEN, **variables}
    return in_process("deploy", droplet, *arguments, store=tmp_path / "store", cwd=tmp_path, **settings)


def test_five_targets_hold_the_same_layers(
    registry: ContractRegistry, platform: CloudFoundry, heroku: Heroku, droplet: Path, tmp_path: Path
) -> None:
    aims = [
        f"oci={registry.host}/team/shop:1",
        "cloudfoundry=shop",
        "heroku=shop",
        f"openshift={tmp_path / 'openshift'}",
        f"bosh={tmp_path / 'release.tgz'}",
    ]
    asked = [word for aim in aims for word in ("--to", aim)]
    done = deploy(
        tmp_path, droplet, *asked, "--any-stack", "--json", **platform.variables(), HEROKU_HOST=heroku.url
    ).good()
    document = done.document
    with open_droplet(str(droplet)) as opened:
        own = [layer.diff_id for layer in opened.layers]
        digest = opened.digest
    assert document["same"] is True
    assert [f"{row['target']}={row['where']}" for row in document["targets"]] == aims
    assert all(row["layers"] == own and row["error"] is None and row["proof"] for row in document["targets"])
    assert document["targets"][0]["reference"].startswith(f"{registry.host}/team/shop@sha256:")
    assert document["targets"][1]["reference"] == digest
    manifests = "".join(path.read_text() for path in (tmp_path / "openshift").rglob("*.y*ml"))
    assert document["targets"][0]["reference"] in manifests, "the manifests name the very image that was pushed"


def test_one_failure_stops_no_other_and_decides_the_status(
    registry: ContractRegistry, platform: CloudFoundry, droplet: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    aims = ["--to", f"oci={registry.host}/shop:1", "--to", f"bosh={tmp_path / 'file' / 'release.tgz'}"]
    done = deploy(tmp_path, droplet, *aims, "--to", "cloudfoundry=shop", CF_API=platform.url, CF_PASSWORD="wrong")
    assert done.code == 70
    assert "ok      oci=" in done.err
    assert "FAILED  bosh=" in done.err
    assert "FAILED  cloudfoundry=shop" in done.err
    assert done.out.startswith("1 of 3 targets hold the same ")
    assert "wrong" not in done.out + done.err


def test_a_target_that_holds_something_else_is_found_out(heroku: Heroku, droplet: Path, tmp_path: Path) -> None:
    """Heroku answers with another slug's checksum than the one that was uploaded."""
    for app in heroku.apps.values():
        app.slugs = LyingSlugs()
    done = deploy(tmp_path, droplet, "--to", "heroku=shop", HEROKU_HOST=heroku.url)
    assert done.code == 50, done.err
    assert "0 of 1 targets hold the same" in done.out


class LyingSlugs(dict[str, dict[str, object]]):
    """Slugs whose checksum is another's as soon as they run."""

    def __getitem__(self, key: str) -> dict[str, object]:
        return {**super().__getitem__(key), "checksum": "SHA256:" + "0" * 64}


def test_an_app_folder_is_staged_first(droplet: Path, tmp_path: Path) -> None:
    done = deploy(tmp_path, droplet.parent / "app", "--to", f"plain={tmp_path / 'app.tar'}").good()
    assert done.out.startswith("1 of 1 targets")
    assert (tmp_path / "app.tar").stat().st_size > 0


@pytest.mark.parametrize("text", ["", "oci", "oci=", "=x", "mars=x"])
def test_what_is_no_aim_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no aim"):
        Aim.read(text)


def test_no_aim_and_the_same_aim_twice_are_refused(droplet: Path, tmp_path: Path) -> None:
    assert deploy(tmp_path, droplet).code == 2
    done = deploy(tmp_path, droplet, "--to", "plain=x.tar", "--to", "plain=x.tar")
    assert (done.code, "given twice" in done.err) == (2, True)
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    ("aims", "why"),
    [
        (("oci=Bad:Tag:",), "names no image"),
        (("tar=x.tar", "openshift=out"), "no repository is named"),
        (("tar=x.tar", "oci=h.invalid/x", "--base", "a", "--base-root", "b"), "exclude each other"),
    ],
)
def test_what_cannot_succeed_is_told_before_an_app_is_staged(
    aims: tuple[str, ...], why: str, tmp_path: Path, droplet: Path
) -> None:
    words = [word if word.startswith("--") or "=" not in word else f"--to={word}" for word in aims]
    done = in_process("deploy", droplet.parent / "app", *words, store=tmp_path / "store", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert why in done.err
    assert list(tmp_path.iterdir()) == []
