"""Debian's docker-registry, and skopeo reading what was pushed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from command import stager
from registry_images import HERE, access, content, image, index, logins_of
from registry_server import (
    PASSWORD,
    USER,
    Proxy,
    Registry,
    Seen,
    TokenServer,
    basic_auth,
    docker_config,
    noise,
    private_registry,
)

from stager.targets.oci.errors import AccessDenied, BadReference, RegistryFull
from stager.targets.oci.image import Blob
from stager.targets.oci.layout import LayoutSink
from stager.targets.oci.registry.client import Client
from stager.targets.oci.registry.descriptors import MANIFEST, Descriptor, digest_of
from stager.targets.oci.registry.pull import pull
from stager.targets.oci.registry.push import push
from stager.targets.oci.registry.reference import parse
from stager.targets.oci.registry.referrers import attach, fallback_tag, referrers
from stager.targets.oci.registry.upload import upload

pytestmark = pytest.mark.tools
BIG, SMALL = noise(6_000_000, 1), noise(3_000, 2)
MIB = 1 << 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with private_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    with Proxy(registry.host) as made:
        yield made


def skopeo(*arguments: str) -> str:
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_push_pull_and_push_again(registry: Registry, proxy: Proxy, tmp_path: Path) -> None:
    made = image(BIG, SMALL)
    reference = parse(f"{proxy.host}/twice/app:1")
    with Client(proxy.host, access(chunk=MIB)) as client:
        first = push(client, reference, made)
        assert first.moved == sum(blob.size for blob in made.blobs)
        before = len(proxy.seen)
        assert push(client, reference, made).unchanged
        assert proxy.methods()[before:] == ["HEAD"]
        sink = LayoutSink(str(tmp_path / "layout"))
        got = pull(client, reference, sink)
    assert got.root.raw == made.raw
    for blob in made.blobs:
        assert (tmp_path / "layout" / "blobs" / blob.digest.replace(":", "/")).read_bytes() == content(blob)
    assert {blob.digest for blob in made.blobs} <= registry.blobs()
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry.host}/twice/app:1"))
    assert (seen["Digest"], seen["Layers"]) == (made.digest, [digest_of(BIG), digest_of(SMALL)])


def test_what_skopeo_pushed_is_pulled_whole(registry: Registry, tmp_path: Path) -> None:
    """skopeo copies our layout in; our pull brings out the same bytes."""
    made = image(noise(1_000, 3), packed=True)
    with Client(registry.host, access()) as client:
        push(client, parse(f"{registry.host}/first/app:1"), made)
        sink = LayoutSink(str(tmp_path / "one"))
        sink.finish({"1": pull(client, parse(f"{registry.host}/first/app:1"), sink).root})
        skopeo("copy", "--dest-tls-verify=false", f"oci:{tmp_path / 'one'}:1", f"docker://{registry.host}/second/app:2")
        again = LayoutSink(str(tmp_path / "two"))
        again.finish({"1": pull(client, parse(f"{registry.host}/second/app:2"), again).root})
    assert files(tmp_path / "one") == files(tmp_path / "two")


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_index_for_two_architectures(registry: Registry) -> None:
    whole = index(
        ("linux/amd64", image(SMALL, architecture="amd64")), ("linux/arm64", image(b"arm", architecture="arm64"))
    )
    with Client(registry.host, access()) as client:
        push(client, parse(f"{registry.host}/both/app:1"), whole)
    for architecture, layer in (("amd64", SMALL), ("arm64", b"arm")):
        where = f"docker://{registry.host}/both/app:1"
        seen = json.loads(skopeo("inspect", "--tls-verify=false", f"--override-arch={architecture}", where))
        assert (seen["Architecture"], seen["Layers"]) == (architecture, [digest_of(layer)])


def test_a_mounted_blob_is_not_sent(registry: Registry, proxy: Proxy) -> None:
    layer = noise(2_000_000, 11)
    with Client(proxy.host, access()) as client:
        push(client, parse(f"{proxy.host}/mount/base:1"), image(layer))
        before = proxy.sent("/blobs/")
        done = push(client, parse(f"{proxy.host}/mount/app:1"), image(layer, b"new"), mount_from=["mount/base"])
        assert digest_of(layer) in done.mounted
        assert proxy.sent("/blobs/") - before < 1000


# --- interruptions ------------------------------------------------------------------------------------------------------


def cut(at: set[int], forward: Callable[[Seen, BaseHTTPRequestHandler], None] | None = None) -> Callable[..., bool]:
    """Cut the nth PATCH in the middle of its body; `forward` may hand that half on before."""
    count = 0

    def fault(seen: Seen, request: BaseHTTPRequestHandler) -> bool:
        nonlocal count
        if seen.method != "PATCH":
            return False
        count += 1
        if count not in at:
            return False
        data = request.rfile.read(int(request.headers["Content-Length"]) // 2)
        seen.body += len(data)
        if forward:
            forward(seen, request)
        request.connection.close()
        return True

    return fault


def test_an_interrupted_upload_goes_on_at_the_last_part(proxy: Proxy) -> None:
    """The proxy buffers requests as nginx does, so what it did not get whole the registry never saw."""
    data = noise(6 * MIB, 21)
    proxy.fault = cut({3, 5})
    with Client(proxy.host, access(chunk=MIB)) as client:
        assert upload(client, "cut/app", Blob.of(data)) == "uploaded"
        assert b"".join(client.blob("cut/app", digest_of(data), len(data))) == data
    again = proxy.sent("/uploads/") - len(data)
    assert again == MIB  # twice half a part, of six
    assert proxy.methods().count("POST") == 1


def test_an_upload_cut_inside_the_registry_begins_again(registry: Registry, proxy: Proxy) -> None:
    """distribution 2.8 refuses its own upload after it was cut inside a request; what is pushed arrives all the same."""
    import http.client

    def half(seen: Seen, request: BaseHTTPRequestHandler) -> None:
        upstream = http.client.HTTPConnection(registry.host, timeout=10)
        upstream.putrequest("PATCH", seen.path)
        upstream.putheader("Content-Length", request.headers["Content-Length"])
        upstream.putheader("Content-Range", request.headers["Content-Range"])
        upstream.endheaders(bytes(seen.body))
        upstream.close()

    data = noise(6 * MIB, 22)
    proxy.fault = cut({3}, half)
    with Client(proxy.host, access(chunk=MIB)) as client:
        assert upload(client, "cut/app", Blob.of(data)) == "uploaded"
        assert b"".join(client.blob("cut/app", digest_of(data), len(data))) == data
    assert proxy.methods().count("POST") <= 2


def test_a_registry_without_room(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a file system of its own size needs root")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=True, timeout=10)
    try:
        with private_registry(tmp_path / "registry", storage=place) as full, Client(full.host, access()) as client:
            push(client, parse(f"{full.host}/app:small"), image(SMALL))
            with pytest.raises(RegistryFull, match="no room left") as caught:
                push(client, parse(f"{full.host}/app:big"), image(BIG))
            assert full.host in str(caught.value)
            assert client.manifest_digest("app", "big") == ""
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=10)


# --- logins -------------------------------------------------------------------------------------------------------------


def test_basic_authentication(tmp_path: Path) -> None:
    with private_registry(tmp_path / "r", auth=basic_auth(tmp_path / "auth")) as guarded:
        reference = parse(f"{guarded.host}/team/app:1")
        made = image(SMALL)
        with pytest.raises(AccessDenied, match="wants a login"), Client(guarded.host, access()) as client:
            push(client, reference, made)
        wrong = docker_config(tmp_path / "wrong", guarded.host, USER, "not-" + PASSWORD)
        with pytest.raises(AccessDenied) as caught, Client(guarded.host, access(wrong)) as client:
            push(client, reference, made)
        assert PASSWORD not in f"{caught.value} {caught.value.as_json()}"
        right = docker_config(tmp_path / "right", guarded.host)
        with Client(guarded.host, access(right)) as client:
            assert push(client, reference, made).digest == made.digest
            assert pull(client, reference, LayoutSink(str(tmp_path / "layout"))).root.raw == made.raw


@pytest.mark.parametrize("identity", ["", "refresh-me/if+you=can"])
def test_token_authentication(tmp_path: Path, identity: str) -> None:
    with contextlib.ExitStack() as running:
        tokens = running.enter_context(TokenServer(tmp_path / "tokens", identity=identity))
        guarded = running.enter_context(private_registry(tmp_path / "r", auth=tokens.auth))
        reference = parse(f"{guarded.host}/team/app:1")
        config = docker_config(tmp_path / "right", guarded.host)
        if identity:
            (config / "config.json").write_text(json.dumps({"auths": {guarded.host: {"identitytoken": identity}}}))
        made = image(BIG, SMALL)
        with Client(guarded.host, access(config, indexes=HERE, chunk=MIB)) as client:
            assert push(client, reference, made).digest == made.digest
        assert len(tokens.given) == 1
        with Client(guarded.host, access(config, indexes=HERE)) as client:
            assert pull(client, reference, LayoutSink(str(tmp_path / "layout"))).root.raw == made.raw
        assert tokens.asked[-1]["scope"] in (["repository:team/app:pull"], "repository:team/app:pull")
        with pytest.raises(AccessDenied, match="without a login"), Client(guarded.host, access(indexes=HERE)) as client:
            push(client, reference, made)


def test_a_token_that_runs_out_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    """After three parts the registry does not honour the first token any more."""
    with contextlib.ExitStack() as running:
        tokens = running.enter_context(TokenServer(tmp_path / "tokens"))
        guarded = running.enter_context(private_registry(tmp_path / "r", auth=tokens.auth))
        proxy = running.enter_context(Proxy(guarded.host))
        patches = 0

        def expire(seen: Seen, request: BaseHTTPRequestHandler) -> bool:
            nonlocal patches
            patches += seen.method == "PATCH"
            if patches == 4 and len(tokens.given) == 1:  # from here on the registry gets a token that nobody signed
                request.headers.replace_header("Authorization", "Bearer " + tokens.given[0][:-9] + "AAAAAAAAA")
            return False

        proxy.fault = expire
        config = docker_config(tmp_path / "right", proxy.host)
        data = noise(6 * MIB, 23)
        with Client(proxy.host, access(config, indexes=HERE, chunk=MIB)) as client:
            assert upload(client, "team/app", Blob.of(data)) == "uploaded"
        assert len(tokens.given) == 2
        assert digest_of(data) in guarded.blobs()


# --- referrers ----------------------------------------------------------------------------------------------------------


def test_artifacts_beside_an_image(registry: Registry) -> None:
    """distribution 2.8 has no referrers API: the list is a tag."""
    made = image(noise(1_000, 31))
    subject = Descriptor(MANIFEST, made.digest, len(made.raw))
    with Client(registry.host, access()) as client:
        push(client, parse(f"{registry.host}/signed/app:1"), made)
        one = attach(client, "signed/app", subject, "application/vnd.example.signature", [("text/plain", b"one")])
        two = attach(
            client, "signed/app", subject, "application/vnd.example.bill", [("text/plain", b"two")], {"a": "b"}
        )
        assert referrers(client, "signed/app", made.digest) == (one, two)
        assert referrers(client, "signed/app", made.digest, "application/vnd.example.bill") == (two,)
        blob = client.manifest("signed/app", one.digest).blobs[1]
        assert b"".join(client.blob("signed/app", blob.digest, blob.size)) == b"one"
        assert fallback_tag(made.digest) in client.tags("signed/app")
    raw = skopeo(
        "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/signed/app:{fallback_tag(made.digest)}"
    )
    assert [row["digest"] for row in json.loads(raw)["manifests"]] == [one.digest, two.digest]


# --- the command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def staged(tmp_path: Path) -> Callable[[str], Path]:
    app = tmp_path / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: perl main.pl\n")
    (app / "big.bin").write_bytes(noise(3_000_000, 41))

    def stage(line: str) -> Path:
        (app / "main.pl").write_text(f"print '{line}';\n")
        stager("stage", app, "-q", "-o", tmp_path / "droplet.tgz", store=tmp_path / "store").good()
        return tmp_path / "droplet.tgz"

    return stage


def test_the_command_pushes_a_droplet(proxy: Proxy, tmp_path: Path, staged: Callable[[str], Path]) -> None:
    store = tmp_path / "store"
    name = f"{proxy.host}/shop/web:1"
    first = stager("push", "oci", staged("one"), name, "--json", store=store).good().document
    assert first["reference"] == f"{proxy.host}/shop/web@{first['digest']}"
    before = len(proxy.seen)
    again = stager("push", "oci", staged("one"), name, store=store).good()
    assert again.out == first["reference"] + "\n"
    assert "there already, unchanged" in again.err
    assert proxy.methods()[before:] == ["HEAD"]
    changed = stager("push", "oci", staged("two"), name, "--json", store=store).good().document
    assert len(changed["uploaded"]) == 2  # the app's layer and the configuration
    assert len(changed["present"]) == len(first["uploaded"]) - 2
    assert changed["digest"] != first["digest"]
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert seen["Digest"] == changed["digest"]
    inspected = stager("inspect", "--json", staged("two"), store=store).good().document
    skeleton, *others = [layer["digest"] for layer in inspected["layers"]]
    assert seen["Layers"] == [*others, skeleton]  # an image lists it last


def test_the_command_pushes_image_files(proxy: Proxy, tmp_path: Path, staged: Callable[[str], Path]) -> None:
    store, droplet = tmp_path / "store", staged("one")
    pushed = [stager("push", "oci", droplet, f"{proxy.host}/files/a:1", store=store).good().out.partition("@")[2]]
    for number, out in enumerate(("layout", "image.tar")):
        stager("export", "oci", droplet, "-o", tmp_path / out, store=store).good()
        target = f"{proxy.host}/files/b{number}:1"
        done = stager("push", "oci", tmp_path / out, target, "--mount-from", "files/a", "--json", store=store).good()
        assert done.document["moved"] == 0
        pushed.append(done.document["digest"] + "\n")
    assert len(set(pushed)) == 1
    refused = stager("push", "oci", tmp_path / "layout", f"{proxy.host}/files/c", "--base", "scratch", store=store)
    assert (refused.code, "as it is" in refused.err) == (2, True)


def test_the_commands_login_and_errors(tmp_path: Path, staged: Callable[[str], Path]) -> None:
    droplet, store = staged("one"), tmp_path / "store"
    with private_registry(tmp_path / "r", auth=basic_auth(tmp_path / "auth")) as guarded:
        name = f"{guarded.host}/shop/web:1"
        right = docker_config(tmp_path / "right", guarded.host)
        wrong = docker_config(tmp_path / "wrong", guarded.host, USER, "not-" + PASSWORD)
        good = stager("push", "oci", droplet, name, store=store, DOCKER_CONFIG=str(right)).good()
        bad = stager("push", "oci", droplet, name, "--json", store=store, DOCKER_CONFIG=str(wrong))
        assert (bad.code, bad.document["error"]["code"]) == (70, "AccessDenied")
        nobody = stager("push", "oci", droplet, name, store=store, DOCKER_CONFIG=str(tmp_path / "none"))
        assert (nobody.code, "docker login" in nobody.err) == (70, True)
    odd = stager("push", "oci", droplet, "localhost:1/UPPER", store=store)
    assert (odd.code, "lower-case" in odd.err) == (2, True)
    missing = stager("push", "oci", tmp_path / "none.tgz", name, store=store)
    assert missing.code == 20
    for done in (good, bad, nobody):
        assert PASSWORD not in done.out + done.err


def test_a_name_with_another_digest(registry: Registry) -> None:
    with pytest.raises(BadReference), Client(registry.host, access(logins=logins_of({}))) as client:
        push(client, parse(f"{registry.host}/a@sha256:{'0' * 64}"), image(SMALL))
