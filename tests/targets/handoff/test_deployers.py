"""The Chef cookbook and the Capistrano task: equal everywhere; Ruby accepts them; Capistrano really deploys with its task.

No Chef client could be installed here, so its recipe is read by Ruby and by a stand-in that knows the resources' names, and is
never converged.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from command import in_process
from small_droplets import PROCFILE, small_droplet

HERE = Path(__file__).parent
URL = "https://files.example/it's/droplet.tgz"


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_droplet(tmp_path_factory.mktemp("deployers"), {"Procfile": PROCFILE + "release: true\n"})


def exported(droplet: Path, kind: str, out: Path, *more: str, **variables: Any) -> Path:
    in_process(
        "export", kind, droplet, "-o", out, "--name", "shop", *more, store=out.parent / "store", **variables
    ).good()
    return out


@pytest.fixture
def cookbook(droplet: Path, tmp_path: Path) -> Path:
    """The exported folder, unpacked."""
    archive = exported(droplet, "chef", tmp_path / "chef.tgz", "--url", URL)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(tmp_path)], check=True)
    return tmp_path / "shop-chef"


@pytest.mark.parametrize(("kind", "more"), [("chef", ["--url", URL]), ("capistrano", [])])
def test_exports_elsewhere_are_equal(kind: str, more: list[str], droplet: Path, tmp_path: Path) -> None:
    first = exported(droplet, kind, tmp_path / "a", *more)
    before = os.umask(0o077)
    try:
        again = exported(droplet, kind, tmp_path / "b", *more, TZ="Asia/Kathmandu", LC_ALL="C", PYTHONHASHSEED="3")
    finally:
        os.umask(before)
    assert first.read_bytes() == again.read_bytes()


def test_the_cookbook_names_the_droplet_by_digest(cookbook: Path, droplet: Path) -> None:
    digest = hashlib.sha256(droplet.read_bytes()).hexdigest()
    node = json.loads((cookbook / "node.json").read_text())
    assert node == {"run_list": ["recipe[shop]"], "shop": {"url": URL, "sha256": digest}}
    files = {str(path.relative_to(cookbook)) for path in cookbook.rglob("*") if path.is_file()}
    inside = ("attributes/default.rb", "metadata.rb", "recipes/default.rb")
    assert files == {"node.json", "solo.rb", *(f"cookbooks/shop/{name}" for name in inside)}


@pytest.mark.parametrize(
    "url", ["", "droplet.tgz", "ftp://x.example/d", "https://user:c4n4ry@x.example/d", "https://x.example/\n'"]
)
def test_urls_that_are_refused(url: str, droplet: Path, tmp_path: Path) -> None:
    done = in_process("export", "chef", droplet, "-o", tmp_path / "x", f"--url={url}", store=tmp_path / "store")
    assert done.code == 2
    assert "c4n4ry" not in done.err + done.out
    assert not (tmp_path / "x").exists()


@pytest.mark.tools
def test_ruby_accepts_every_file(cookbook: Path, droplet: Path, tmp_path: Path) -> None:
    files = [*cookbook.rglob("*.rb"), exported(droplet, "capistrano", tmp_path / "stager.rake")]
    assert len(files) == 5
    for path in files:
        done = subprocess.run(["ruby", "-wc", str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "Syntax OK"), done.stderr


@pytest.mark.tools
def test_the_recipes_resources(cookbook: Path, droplet: Path) -> None:
    """Every resource and property the recipe declares, told by a stand-in for Chef's language; nothing is converged."""
    command = ["ruby", str(HERE / "recipe.rb"), str(cookbook)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    resources = [json.loads(line) for line in done.stdout.splitlines()]
    digest = hashlib.sha256(droplet.read_bytes()).hexdigest()
    home = f"/opt/shop/droplets/{digest}"
    found = {(row["type"], row["name"]): row["properties"] for row in resources}
    assert found["remote_file", f"/cache/shop-{digest}.tgz"] == {"source": URL, "checksum": digest, "mode": "0600"}
    unpack = found["archive_file", f"/cache/shop-{digest}.tgz"]
    assert (unpack["destination"], unpack["owner"], unpack["group"]) == (f"{home}.part", "shop", "shop")
    assert found["execute", "unpacked whole"]["command"] == ["mv", "-T", f"{home}.part", home]
    assert found["link", "/opt/shop/current"]["to"] == f"droplets/{digest}"
    actions = {name: row["action"] for (kind, name), row in found.items() if kind == "systemd_unit"}
    assert actions == {
        "shop-release.service": ["create"],
        "shop-web.service": ["create", "enable", "start"],
        "shop-worker.service": ["create", "enable", "start"],
        "shop.target": ["create", "enable", "start"],
    }
    web = found["systemd_unit", "shop-web.service"]["content"]
    assert web.startswith("[Unit]\nDescription=shop: web\n")
    assert "ExecStart=/opt/shop/current/app/.stager/bin/launch web\n" in web


def test_the_cookbook_has_the_very_units_of_the_systemd_archive(cookbook: Path, droplet: Path, tmp_path: Path) -> None:
    archive = exported(droplet, "systemd", tmp_path / "systemd.tgz")
    recipe = (cookbook / "cookbooks/shop/recipes/default.rb").read_text()
    with tarfile.open(archive) as opened:
        units = [info for info in opened if info.name.endswith((".service", ".target"))]
        assert len(units) == 4
        for info in units:
            content = opened.extractfile(info)
            assert content is not None
            indented = "".join(
                f"    {line}" if line.strip() else line for line in content.read().decode().splitlines(True)
            )
            assert indented in recipe


# --- Capistrano -------------------------------------------------------------------------------------------------------


def capistrano(folder: Path, droplet: Path, rake: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the task with Capistrano itself, whose local backend runs the commands on this machine."""
    project = folder / "project"
    (project / "config/deploy").mkdir(parents=True, exist_ok=True)
    (project / "Capfile").write_text(f"require 'capistrano/setup'\nrequire 'capistrano/deploy'\nimport {str(rake)!r}\n")
    lines = {"application": "shop", "deploy_to": str(folder / "target"), "droplet": str(droplet), **settings}
    text = "".join(f"set :{key}, {value!r}\n" for key, value in lines.items())
    (project / "config/deploy.rb").write_text(text)
    (project / "config/deploy/here.rb").write_text("server :local, roles: %w[app]\n")
    environment = {**os.environ, "HOME": str(folder), "LANG": "C.UTF-8"}
    command = ["cap", "here", "stager:deploy"]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.tools
def test_capistrano_deploys_the_droplet(droplet: Path, tmp_path: Path) -> None:
    rake = exported(droplet, "capistrano", tmp_path / "stager.rake")
    digest = hashlib.sha256(droplet.read_bytes()).hexdigest()
    for _ in range(2):
        done = capistrano(tmp_path, droplet, rake, droplet_restart=f"touch {tmp_path}/restarted")
        assert done.returncode == 0, done.stdout + done.stderr
        target = tmp_path / "target"
        assert os.readlink(target / "current") == f"droplets/{digest}"
        assert [path.name for path in (target / "droplets").iterdir()] == [digest]
        assert (target / "current/app/serve").read_text() == (droplet.parent / "app/serve").read_text()
        (tmp_path / "restarted").unlink()


@pytest.mark.tools
def test_capistrano_does_not_deploy_another_file(droplet: Path, tmp_path: Path) -> None:
    rake = exported(droplet, "capistrano", tmp_path / "stager.rake")
    other = tmp_path / "other.tgz"
    other.write_bytes(droplet.read_bytes() + b"x")
    done = capistrano(tmp_path, other, rake)
    assert done.returncode != 0
    assert list((tmp_path / "target/droplets").iterdir()) == []
    assert not (tmp_path / "target/current").exists()
    done = capistrano(tmp_path, droplet, rake, droplet_digest="$(touch /tmp/x)")
    assert "is no hexadecimal SHA-256" in done.stdout + done.stderr
