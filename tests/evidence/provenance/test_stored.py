"""Evidence in a real registry: found by the referrers API or under the tag, and only ever beside the droplet's own image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import in_process
from evidence_apps import SITUATIONS, Staged, stage
from registry_server import Proxy, Registry, private_registry

from stager.droplet.reader import open_droplet
from stager.evidence import attesting
from stager.evidence.errors import BadEvidence
from stager.evidence.provenance import keys, stored
from stager.net.errors import NotFound
from stager.targets.oci.registry.client import Client
from stager.targets.oci.registry.reference import Reference, parse
from stager.targets.oci.registry.referrers import fallback_tag, referrers

pytestmark = pytest.mark.tools


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with private_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    found = stage(SITUATIONS["two wheels"](), tmp_path_factory.mktemp("stored"))
    keys.make(str(found.path.parent / "key"))
    return found


def pushed(made: Staged, registry: Registry, name: str) -> Reference:
    """The droplet as an image in the registry."""
    reference = parse(f"{registry.host}/{name}:1")
    in_process("push", "oci", made.path, reference, "--base", "scratch", store=Path(made.store.root)).good()
    return reference


def test_an_attestation_is_found_again_beside_the_image(made: Staged, registry: Registry, tmp_path: Path) -> None:
    reference = pushed(made, registry, "shop/attested")
    key, out = made.path.parent / "key", tmp_path / "a.json"
    options = ("--source", made.app, "--key", key, "--offline", "-q", "-o", out, "--json", "--attach", reference)
    done = in_process("attest", made.path, *options, store=Path(made.store.root)).good().document
    with Client(reference.server) as client:
        assert stored.read(client, reference, done["image"]) == [(reference.at(done["attached"]), out.read_bytes())]
        rows = stored.read(client, reference, done["image"])
        tags = client.tags(reference.repository)
    assert fallback_tag(done["image"]) in tags  # Debian's registry has no referrers API
    assert attesting.check(made.digest, rows, [keys.read_public(f"{key}.pub")], 1).signers
    again = in_process("attest", made.path, *options, store=Path(made.store.root)).good().document
    assert again["attached"] == done["attached"]
    with Client(reference.server) as client:
        assert len(referrers(client, reference.repository, done["image"])) == 1


@pytest.mark.parametrize("kind", ["cyclonedx", "spdx"])
def test_an_sbom_is_found_again_beside_the_image(kind: str, made: Staged, registry: Registry, tmp_path: Path) -> None:
    reference, out = pushed(made, registry, f"shop/{kind}"), tmp_path / "s.json"
    options = ("--format", kind, "--offline", "-q", "-o", out, "--json", "--attach", reference)
    done = in_process("sbom", made.path, *options, store=Path(made.store.root)).good().document
    media = {"cyclonedx": "application/vnd.cyclonedx+json", "spdx": "application/spdx+json"}[kind]
    with Client(reference.server) as client:
        ((_, data),) = stored.read(client, reference, done["image"], media)
        assert stored.read(client, reference, done["image"]) == []
    assert data == out.read_bytes()


def test_a_registry_with_the_api_needs_no_tag(made: Staged, registry: Registry) -> None:
    reference = pushed(made, registry, "shop/api")
    listed: list[dict[str, object]] = []

    def api(seen: object, handler: object) -> bool:
        """Distribution 1.1's referrers API in front of the registry, and the header it answers a PUT with."""
        path = handler.path  # type: ignore[attr-defined]
        if "/referrers/" not in path:
            return False
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Type", INDEX)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", str(len(body)))  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        handler.wfile.write(body)  # type: ignore[attr-defined]
        return True

    with Proxy(registry.host, api) as proxy, open_droplet(str(made.path)) as droplet:
        through = parse(f"{proxy.host}/{reference.repository}:1")
        with Client(through.server) as client:
            image = stored.image_of(client, through, droplet)
            descriptor = stored.attach(client, through, image, stored.ENVELOPE, b'{"x":1}')
            assert fallback_tag(image.digest) not in client.tags(through.repository)
            listed.append({**descriptor.as_json(), "artifactType": stored.ENVELOPE})
            assert stored.read(client, through, image.digest) == [(through.at(descriptor.digest), b'{"x":1}')]


INDEX = "application/vnd.oci.image.index.v1+json"


def test_another_image_is_refused(made: Staged, registry: Registry, tmp_path: Path) -> None:
    other = stage(SITUATIONS["nested npm packages"](), tmp_path)
    reference = pushed(other, registry, "shop/other")
    with Client(reference.server) as client, open_droplet(str(made.path)) as droplet:
        with pytest.raises(BadEvidence) as caught:
            stored.image_of(client, reference, droplet)
        assert caught.value.message == "is no image with the layers of droplet.tgz"
        with pytest.raises(NotFound):
            stored.image_of(client, parse(f"{registry.host}/shop/none:1"), droplet)


def test_what_others_attach_is_not_believed(made: Staged, registry: Registry) -> None:
    reference = pushed(made, registry, "shop/foreign")
    key = made.path.parent / "key"
    with Client(reference.server) as client, open_droplet(str(made.path)) as droplet:
        image = stored.image_of(client, reference, droplet)
        stored.attach(client, reference, image, stored.ENVELOPE, b"garbage")
        good = attesting.attest(droplet, [keys.read_private(str(key))]).dumps()
        stored.attach(client, reference, image, stored.ENVELOPE, good)
        rows = stored.read(client, reference, image.digest)
    found = attesting.check(made.digest, rows, [keys.read_public(f"{key}.pub")], 1)
    assert (len(rows), len(found.signers), len(found.rejected)) == (2, 1, 1)
