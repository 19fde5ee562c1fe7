"""`verify` against what runs, what a registry holds, and what independent rebuilders have signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from apps_fixture import materialise
from cf_server import CloudFoundry
from command import Done, in_process
from registry_contract import ContractRegistry

QUICK = ("--conditions", "umask", "-q")


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """An app with its lock, its droplet, and the store."""
    folder = tmp_path_factory.mktemp("verify")
    app, out, store = materialise("procfile-perl", folder), folder / "droplet.tgz", folder / "store"
    in_process("stage", app, "-o", out, store=store).good()
    return app, out, store


def verify(staged: tuple[Path, Path, Path], *arguments: object, **variables: str) -> Done:
    app, _, store = staged
    return in_process("verify", "--source", app, *QUICK, *arguments, store=store, cwd=app, **variables)


@pytest.fixture
def platform() -> Iterator[CloudFoundry]:
    with CloudFoundry() as running:
        yield running


def test_what_runs_on_cloud_foundry_is_what_was_staged(
    staged: tuple[Path, Path, Path], platform: CloudFoundry, tmp_path: Path
) -> None:
    app, out, store = staged
    settings = platform.variables()
    in_process(
        "push", "cloudfoundry", out, "--app", "shop", "--any-stack", store=store, cwd=tmp_path, **settings
    ).good()
    good = verify(staged, "--deployed", "shop", "--json", **settings).good()
    assert good.document["equal"] is True
    (app / "later.txt").write_text("not deployed\n")
    try:
        bad = verify(staged, "--deployed", "shop", **settings)
    finally:
        (app / "later.txt").unlink()
    assert bad.code == 80
    assert "run 'stager verify FILE', which names what differs" in bad.err


def test_what_a_registry_holds_is_what_was_staged(staged: tuple[Path, Path, Path], tmp_path: Path) -> None:
    app, out, store = staged
    with ContractRegistry() as registry:
        name = f"{registry.host}/team/shop:1"
        settings = {"DOCKER_CONFIG": str(tmp_path)}
        in_process("push", "oci", out, name, store=store, cwd=tmp_path, **settings).good()
        assert verify(staged, "--against", f"image:{name}", "--json", **settings).good().document["equal"] is True
        (app / "later.txt").write_text("not pushed\n")
        try:
            bad = verify(staged, "--against", f"image:{name}", **settings)
        finally:
            (app / "later.txt").unlink()
    assert bad.code == 80


def test_k_of_n_rebuilders_must_agree(staged: tuple[Path, Path, Path], tmp_path: Path) -> None:
    app, out, store = staged
    signed, keys = [], []
    for name in ("one", "two"):
        key = tmp_path / f"{name}.pem"
        in_process("attest", "--make-key", key, store=store).good()
        public = Path(f"{key}.pub")
        attestation = tmp_path / f"{name}.json"
        in_process("attest", out, "--source", app, "--key", key, "-o", attestation, store=store).good()
        signed += ["--attestation", attestation]
        keys += ["--trusted-key", public]
    assert verify(staged, out, "--k-of-n", "2", *signed, *keys).code == 0
    alone = verify(staged, out, "--k-of-n", "2", *signed[:2], *keys)
    assert alone.code == 50, alone.err
    repeated = verify(staged, out, "--k-of-n", "2", *signed[:2], *signed[:2], *keys)
    assert repeated.code == 50, "one signer twice is one signer"
    in_process("attest", "--make-key", tmp_path / "three.pem", store=store).good()
    untrusted = verify(staged, out, "--k-of-n", "2", *signed, *keys[:2], "--trusted-key", tmp_path / "three.pem.pub")
    assert untrusted.code == 50
    assert verify(staged, out, "--k-of-n", "2", *signed, *keys[:2]).code == 2, "one key can never be two signers"
    (app / "later.txt").write_text("other source\n")
    try:
        other = tmp_path / "other.tgz"
        in_process("stage", app, "-o", other, store=store).good()
        assert verify(staged, other, "--k-of-n", "2", *signed, *keys).code == 50, "they signed another droplet"
    finally:
        (app / "later.txt").unlink()
