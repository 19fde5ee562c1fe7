"""The examples of the documentation run as they stand there."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from apps_fixture import materialise

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """The service on a free port with two apps to stage and a folder that is none; its address."""
    apps, droplets = tmp_path / "apps", tmp_path / "droplets"
    for name in ("procfile-perl", "no-app"):
        materialise(name, apps)
    second = materialise("procfile-perl", tmp_path / "second")
    (second / "more.txt").write_text("a second app\n")
    second.rename(apps / "second")
    droplets.mkdir()
    with load("service").Service(("127.0.0.1", 0), str(apps), str(droplets)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def post(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_the_service_stages_two_apps_at_once(service: str) -> None:
    names = ["procfile-perl", "second"] * 3
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(lambda name: post(f"{service}/stage/{name}"), names))
    assert {status for status, _ in answers} == {200}
    digests = [document["digest"] for _, document in answers]
    assert digests == digests[:2] * 3
    assert digests[0] != digests[1]
    for name, (_, document) in zip(names, answers, strict=True):
        with urllib.request.urlopen(f"{service}/droplets/{name}.tgz", timeout=60) as answer:
            data = answer.read()
        assert len(data) == document["size"]
        assert document["digest"] == "sha256:" + sha256(data)
        assert document["processes"] == {"web": "./serve"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_service_passes_errors_on(service: str) -> None:
    status, document = post(f"{service}/stage/no-app")
    assert status == 422
    assert document["error"]["code"] == "NotDetected"
    assert post(f"{service}/stage/../droplets") == (404, {"error": "no such app"})


@pytest.mark.network
@pytest.mark.slow
def test_the_demo_ends_well(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py"), str(tmp_path / "demo")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'hello from flask-poetry'" in done.stdout
    assert "'hello from express-npm-v3'" in done.stdout
    assert done.stdout.count("the same bytes") == 2
