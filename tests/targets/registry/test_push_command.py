"""`stager push oci` against a registry that hangs, lies and echoes: stopping, the JSON error, and no secret anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from command import PROGRAM, in_process
from registry_contract import Asked, ContractRegistry, Request, on
from registry_server import docker_config

CANARY = "kanarien+vogel/42=geheim"


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push")
    (folder / "app").mkdir()
    (folder / "app" / "Procfile").write_text("web: true\n")
    in_process("stage", folder / "app", "-q", "-o", folder / "droplet.tgz", store=folder / "store").good()
    return folder / "droplet.tgz"


def test_ctrl_c_ends_a_push_at_once(droplet: Path, tmp_path: Path) -> None:
    def hang(request: Request) -> None:
        time.sleep(30)

    with ContractRegistry() as registry:
        registry.spoilers.append(on("POST", "/uploads/", hang))
        environment = {**os.environ, "STAGER_CACHE_DIR": str(droplet.parent / "store"), "DOCKER_CONFIG": str(tmp_path)}
        command = [*PROGRAM, "push", "oci", str(droplet), f"{registry.host}/app:1", "-q"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while "POST" not in registry.methods():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        _, err = process.communicate(timeout=20)
        assert time.monotonic() - begun < 3
        assert (process.returncode, b"stopped as asked" in err, b"Traceback" in err) == (130, True, False)
        assert registry.manifests == {}


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_secret_is_in_no_output(droplet: Path, tmp_path: Path, status: int) -> None:
    """The registry repeats the login in its answers; helpers, retries and `--json` included, nothing shows it."""
    packed = b64encode(f"ada:{CANARY}".encode()).decode()

    def unless(good: str) -> Callable[[Asked, Request], bool]:
        def spoil(asked: Asked, request: Request) -> bool:
            if asked.headers.get("authorization") == good:
                return False
            request.say(401, WWW_Authenticate=f'Basic realm="{packed}"')
            return True

        return spoil

    def echo(request: Request) -> None:
        request.read()
        sent = request.headers["Authorization"]
        request.refuse(status, "DENIED", f"{sent} {CANARY} {CANARY[::-1]}", Retry_After="0", X_Echo=sent)

    with ContractRegistry() as registry:
        registry.spoilers += [unless(f"Basic {packed}"), on("PUT", "/manifests/", echo)]
        config = docker_config(tmp_path, registry.host, "ada", CANARY)
        command = ("push", "oci", droplet, f"{registry.host}/app:1", "--json")
        done = in_process(*command, store=droplet.parent / "store", DOCKER_CONFIG=str(config))
    assert done.code == 70
    assert done.document["error"]["code"] in ("RegistryRefused", "AccessDenied", "RegistryDown")
    raw = CANARY.encode()
    for form in (CANARY, CANARY[::-1], raw.hex(), b64encode(raw).decode(), packed, "kanarien%2Bvogel%2F42%3Dgeheim"):
        assert form not in done.out + done.err
