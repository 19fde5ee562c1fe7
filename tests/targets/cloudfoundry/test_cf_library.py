"""The real `cloudfoundry-client` library drives the contract server, and reads what stager pushed.

The library is written by others against real platforms: what it understands of the server is evidence that the server
speaks the API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cf_server import CloudFoundry

from stager.droplet.reader import DropletFile
from stager.model import Droplet
from stager.targets.cloudfoundry.deployments import RolloutOptions
from stager.targets.cloudfoundry.manifest import AppManifest
from stager.targets.cloudfoundry.push import PushOptions, push_all
from stager.targets.cloudfoundry.settings import CfSettings
from stager.targets.cloudfoundry.yamlvalues import YamlValue

library = pytest.importorskip("cloudfoundry_client.client")


@pytest.fixture
def client(platform: CloudFoundry) -> Any:
    """The library, logged in."""
    made = library.CloudFoundryClient(platform.url)
    made.init_with_user_credentials("dev@example.org", "pass-word")
    return made


def test_the_library_pushes_a_droplet_by_itself(platform: CloudFoundry, client: Any, staged: Droplet) -> None:
    v3 = client.v3
    assert [org["name"] for org in v3.organizations.list()] == ["acme"]
    assert [space["name"] for space in v3.spaces.list()] == ["dev", "prod"]
    app = platform.state.create_app({"name": "lib", "relationships": {"space": {"data": {"guid": platform.dev}}}})
    droplet = v3.droplets.create(app["guid"], process_types={"web": "./serve"})
    assert droplet["state"] == "AWAITING_UPLOAD"
    files = {"bits": ("droplet.tgz", Path(staged.path).read_bytes(), "application/gzip")}
    answer = client.post(droplet["links"]["upload"]["href"], files=files)
    job = v3.jobs.wait_for_job_completion(answer.headers["Location"].rpartition("/")[2], step=0.01)
    assert job["state"] == "COMPLETE"
    found = v3.droplets.get(droplet["guid"])
    assert (found["state"], found["checksum"]["value"]) == ("STAGED", staged.digest.hex)


def test_the_library_reads_what_stager_pushed(
    platform: CloudFoundry, client: Any, settings: Callable[..., CfSettings], droplet: DropletFile
) -> None:
    shop = AppManifest("shop", {"name": YamlValue("shop", 1, "shop")})
    done = push_all(settings(), droplet, [shop], PushOptions(RolloutOptions(patience=1.0)))[0]
    app = client.v3.apps.get_first(names="shop")
    assert (app["guid"], app["state"]) == (done.guid, "STARTED")
    assert app["metadata"]["annotations"]["stager-droplet-digest"] == droplet.digest
    (held,) = client.v3.apps.list_droplets(app["guid"], states="STAGED")
    assert client.v3.droplets.get(held["guid"])["process_types"] == {"web": "./serve", "worker": "./work --fast"}
    assert held["metadata"]["labels"]["stager-droplet"] == droplet.digest.hex[:32]
    assert [one["type"] for one in app.processes()] == ["web", "worker"]
    (revision,) = client.v3.apps.list_revisions(app["guid"])
    assert revision["droplet"]["guid"] == held["guid"]
    copy = client.v3.droplets.copy(held["guid"], app["guid"])
    assert copy["state"] == "COPYING"
    redirect = client._session.get(held["links"]["download"]["href"], allow_redirects=False)
    assert redirect.status_code == 302
    blob = library.requests.get(redirect.headers["Location"], timeout=5).content
    assert hashlib.sha256(blob).hexdigest() == droplet.digest.hex


def test_the_library_renews_its_token(platform: CloudFoundry, client: Any) -> None:
    platform.expire_tokens()
    assert [org["name"] for org in client.v3.organizations.list()] == ["acme"]


def test_the_library_reads_errors_and_pages(platform: CloudFoundry, client: Any) -> None:
    refusal: type[Any] = pytest.importorskip("cloudfoundry_client.errors").InvalidStatusCode
    with pytest.raises(refusal) as caught:
        client.v3.droplets.get("nothing")
    assert caught.value.status_code == 404
    assert caught.value.body["errors"][0] == {
        "detail": "Droplet not found",
        "title": "CF-ResourceNotFound",
        "code": 10010,
    }
    for number in range(7):
        platform.state.create_app(
            {"name": f"app-{number}", "relationships": {"space": {"data": {"guid": platform.dev}}}}
        )
    assert sum(1 for _ in client.v3.apps.list(per_page=3)) == 7
