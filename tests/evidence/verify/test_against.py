"""What a second staging can be compared with: a digest, a URL, an exported file, an image, an app."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from command import in_process
from patched import build, prepared
from servers import Server, serve, status

from stager import cli
from stager.droplet.errors import NoDroplet
from stager.droplet.reader import open_droplet
from stager.errors import Unreadable, UsageError
from stager.evidence.verify.reference import Against, read
from stager.targets import load
from stager.targets.oci.registry.descriptors import MANIFEST, digest_of


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path, Path]:
    app, store = prepared(tmp_path)
    return app, store, build(app, store, {})


def check(made: tuple[Path, Path, Path], what: object, **variables: str) -> tuple[int, dict[str, object]]:
    app, store, _ = made
    options = ("--source", app, "--against", what, "--conditions", "umask", "--json", "-q")
    done = in_process("verify", *options, store=store, cwd=None, **variables)
    return done.code, done.document


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_the_argument_names(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"\x1f\x8b and what follows may be damaged")
    digest = "sha256:" + "a" * 64
    assert read(digest) == Against("digest", digest)
    assert read("https://example.org/d.tgz").kind == "url"
    assert read(str(file)) == Against("file", str(file), str(file))
    assert read("image:shop") == Against("image", "shop")
    assert read("registry.example/team/shop:1").kind == "image"
    assert read("app:prod/shop") == Against("app", "prod/shop")
    assert read("shop") == Against("app", "shop")
    with pytest.raises(Unreadable):
        read("missing.tgz")
    with pytest.raises(UsageError):
        read(" ")


NO_DIGEST = ["sha256:0000", "sha256:" + "A" * 64, "SHA256:" + "a" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha256:",
    "sha256=" + "a" * 64, "sha512:" + "a" * 128, "sha1:" + "a" * 40, "md5:" + "a" * 32, "sha-256:" + "a" * 64, "a" * 64,
    "a" * 40, "sha256", "blake3:" + "a" * 64, "sha256:" + "g" * 64]  # fmt: skip
NO_NAME = ["alpine:3", "team/shop", "shop:1", "shop@sha256:" + "a" * 64, "team/shop:1@sha256:" + "a" * 64, "image:", "app:",
    "file: ", "host.example/", "host.example/Shop", "host.example/shop:bad tag", "image:Shop",
    "host.example/shop@sha256:00", "image:x@sha256:00"]  # fmt: skip


@pytest.mark.parametrize("text", [*NO_DIGEST, *NO_NAME])
def test_what_can_be_no_name_is_a_usage_error_before_any_work(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = cli.main(["verify", "--against", text, "--cache-dir", str(tmp_path / "store")])
    err = capfd.readouterr().err
    assert code == 2, err
    assert ("is no SHA-256 digest" in err) == (text in NO_DIGEST), err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["./gone", "../gone", "/gone", "gone.tgz", "a/gone.tar"])
def test_a_file_that_is_not_there_is_no_image(name: str) -> None:
    with pytest.raises(NoDroplet, match="there is no such file"):
        read(name)


def test_a_digest(made: tuple[Path, Path, Path]) -> None:
    code, found = check(made, sha256(made[2]))
    assert (code, found["equal"]) == (0, True)
    code, found = check(made, "sha256:" + "0" * 64)
    assert (code, found["cause"]["cause"]) == (80, "unknown")  # type: ignore[index]


def test_a_url(made: tuple[Path, Path, Path]) -> None:
    data = made[2].read_bytes()
    with Server({"/d.tgz": serve(data), "/bad.tgz": serve(data + b"x"), "/gone.tgz": status(404)}) as server:
        allowed = {"PIP_EXTRA_INDEX_URL": f"{server.url}/simple/"}  # http is for configured hosts only
        assert check(made, f"{server.url}/d.tgz")[0] == 40
        assert check(made, f"{server.url}/d.tgz", **allowed)[0] == 0
        code, found = check(made, f"{server.url}/bad.tgz", **allowed)
        assert (code, found["cause"]["cause"]) == (80, "trailing bytes")  # type: ignore[index]
        code, found = check(made, f"{server.url}/gone.tgz", **allowed)
        assert (code, found["error"]["code"]) == (40, "NotFound")  # type: ignore[index]


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    label = read("https://me:hunter2@example.org:8443/a/d.tgz?token=hunter2#hunter2").label
    assert label == "https://example.org:8443/a/d.tgz"


def test_a_file(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    assert check(made, made[2])[0] == 0
    other = tmp_path / "other.tgz"
    other.write_bytes(made[2].read_bytes()[:-20])
    code, found = check(made, other)
    assert (code, found["cause"]["cause"]) == (80, "truncated")  # type: ignore[index]


@pytest.mark.parametrize("target", ["heroku", "oci"])
def test_an_exported_file(target: str, made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    app, _, out = made
    exported = tmp_path / ("image.tar" if target == "oci" else "slug.tgz")
    platform, options = load(target), {"base": "scratch"} if target == "oci" else {}
    with open_droplet(str(out)) as droplet:
        platform.export(droplet, str(exported), platform.options.read(options, target))
    code, found = check(made, exported)
    assert (code, found["equal"]) == (0, True), found
    (app / "main.py").write_text("other\n")
    code, found = check(made, exported)
    cause = found["cause"]
    assert (code, cause["cause"], cause["level"], cause["layer"]) == (80, "different input", "layer", "app")  # type: ignore[index]


def test_an_image_in_a_registry(made: tuple[Path, Path, Path]) -> None:
    app, _, out = made
    with open_droplet(str(out)) as droplet:
        rows = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": str(one.digest), "size": one.size}
            for one in droplet.layers
        ]
    base = {**rows[0], "digest": "sha256:" + "1" * 64}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "2" * 64, "size": 2}
    raw = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [base, *rows]}).encode()
    answer = serve(raw, MANIFEST, **{"Docker-Content-Digest": digest_of(raw)})
    with Server({"/v2/": serve(b"{}"), "/v2/team/shop/manifests/1": answer}) as server:
        name = f"{server.url.removeprefix('http://')}/team/shop:1"
        assert check(made, name)[0] == 0
        (app / "main.py").write_text("other\n")
        code, found = check(made, name)
        assert (code, found["cause"]["layer"]) == (80, "app")  # type: ignore[index]


def test_an_app_needs_a_login(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    code, found = check(made, "app:shop", CF_HOME=str(tmp_path / "nobody"), HOME=str(tmp_path / "nobody"))
    assert found["error"]["code"] == "LoginFailed"  # type: ignore[index]
    assert code != 0


def test_two_things_to_compare_with_are_refused(made: tuple[Path, Path, Path]) -> None:
    app, store, out = made
    done = in_process("verify", out, "--source", app, "--against", sha256(out), "--json", store=store)
    assert (done.code, done.document["error"]["code"]) == (2, "UsageError")
