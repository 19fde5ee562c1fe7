"""Contract tests: promoting by digest, rolling back, and comparing what runs with what was staged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cf_server import CloudFoundry
from cf_state import current

from stager.droplet.reader import open_droplet
from stager.fetching.errors import TooLarge
from stager.model import Droplet
from stager.net.indexes import Indexes
from stager.store.errors import DigestMismatch
from stager.targets.cloudfoundry.api import CloudController
from stager.targets.cloudfoundry.current_droplet import compare_deployed, deployed
from stager.targets.cloudfoundry.deployments import RolloutOptions
from stager.targets.cloudfoundry.manifest import AppManifest
from stager.targets.cloudfoundry.promote import AppPlace, promote
from stager.targets.cloudfoundry.push import PushOptions, push_all
from stager.targets.cloudfoundry.rollback import rollback
from stager.targets.cloudfoundry.settings import CfSettings
from stager.targets.cloudfoundry.yamlvalues import YamlValue
from stager.targets.errors import PlatformUnavailable, Rejected, Unfit

Made = Callable[..., CfSettings]
QUICK = RolloutOptions(patience=1.0)
SHOP = AppManifest("shop", {"name": YamlValue("shop", 1, "shop")})


def put(settings: Made, droplet: Droplet) -> str:
    """Push a droplet to acme/dev/shop; the GUID it has there."""
    with open_droplet(droplet.path) as opened:
        return push_all(settings(), opened, [SHOP], PushOptions(QUICK))[0].droplet


def target(platform: CloudFoundry, stack: str = "cflinuxfs4") -> None:
    """An app `shop` in the space prod."""
    space = {"space": {"data": {"guid": platform.prod}}}
    lifecycle = {"type": "buildpack", "data": {"stack": stack}}
    platform.state.create_app({"name": "shop", "relationships": space, "lifecycle": lifecycle})


@pytest.mark.parametrize(
    ("text", "place"),
    [("a", AppPlace("a")), ("s/a", AppPlace("a", "", "s")), ("o/s/a", AppPlace("a", "o", "s"))],
)
def test_places(text: str, place: AppPlace) -> None:
    assert AppPlace.read(text) == place


# --- promoting -------------------------------------------------------------------------------------------------


def test_the_same_bytes_reach_another_space(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet
) -> None:
    source = put(settings, staged)
    target(platform)
    done = promote(api, AppPlace("shop"), AppPlace("shop", "acme", "prod"), staged.digest, QUICK)
    app = platform.app("shop", platform.prod)
    assert (done.digest, done.copied, done.action) == (staged.digest, True, "start")
    assert done.droplet != source
    assert current(app) == done.droplet
    assert platform.state.bits[done.droplet] == platform.state.bits[source]
    assert app["metadata"]["annotations"] == {
        "stager-droplet-digest": staged.digest, "stager-plan-digest": staged.plan, "stager-stack": "cflinuxfs4",
    }  # fmt: skip
    assert platform.state.droplets[done.droplet]["process_types"] == {"web": "./serve", "worker": "./work --fast"}
    assert platform.calls("POST", "/upload$") == 1


def test_promoting_again_copies_nothing(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet
) -> None:
    put(settings, staged)
    target(platform)
    to = AppPlace("shop", "", "prod")
    first, second = (promote(api, AppPlace("shop"), to, "", QUICK) for _ in range(2))
    assert (first.copied, second.copied, second.droplet) == (True, False, first.droplet)


def test_another_digest_is_refused(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet, newer: Droplet
) -> None:
    put(settings, staged)
    target(platform)
    with pytest.raises(Rejected) as caught:
        promote(api, AppPlace("shop"), AppPlace("shop", "", "prod"), newer.digest, QUICK)
    assert str(caught.value) == (
        f"Cloud Foundry refused droplet {newer.digest}: shop does not hold it; it holds: {staged.digest}\n  Push it first."
    )
    assert current(platform.app("shop", platform.prod)) is None


def test_an_older_droplet_is_found_by_its_digest(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet, newer: Droplet
) -> None:
    put(settings, staged)
    put(settings, newer)
    target(platform)
    done = promote(api, AppPlace("shop"), AppPlace("shop", "", "prod"), staged.digest, QUICK)
    assert done.digest == staged.digest


def test_another_stack_is_refused(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet
) -> None:
    put(settings, staged)
    platform.state.stacks.append("cflinuxfs5")
    target(platform, "cflinuxfs5")
    with pytest.raises(Unfit, match="it ran on stack cflinuxfs4, and shop is on cflinuxfs5"):
        promote(api, AppPlace("shop"), AppPlace("shop", "", "prod"), "", QUICK)
    assert promote(api, AppPlace("shop"), AppPlace("shop", "", "prod"), "", QUICK, any_stack=True).copied


def test_a_missing_target(platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet) -> None:
    put(settings, staged)
    with pytest.raises(Rejected, match="acme/prod has none of that name"):
        promote(api, AppPlace("shop"), AppPlace("shop", "", "prod"), "", QUICK)
    with pytest.raises(Rejected, match="org acme has none of that name"):
        promote(api, AppPlace("shop"), AppPlace("shop", "", "nowhere"), "", QUICK)


def test_a_platform_without_sha256_cannot_promote(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet
) -> None:
    source = put(settings, staged)
    platform.state.droplets[source]["checksum"] = {"type": "sha1", "value": "0" * 40}
    target(platform)
    with pytest.raises(Rejected, match="no sha256 checksum"):
        promote(api, AppPlace("shop"), AppPlace("shop", "", "prod"), "", QUICK)


def test_a_copy_with_other_bytes_is_not_started(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet
) -> None:
    source = put(settings, staged)
    target(platform)
    held = platform.state.droplets[source]

    def tamper() -> None:
        platform.state.pace.copies = 1
        copying = dict(held)
        copying["checksum"] = {"type": "sha256", "value": "0" * 64}
        made = max(platform.state.droplets.values(), key=lambda one: one["created_at"])
        made["_"] = [1, copying]

    original = platform.state.copy_droplet

    def copy(source: str, body: dict[str, object]) -> dict[str, object]:
        made = original(source, body)
        tamper()
        return made

    platform.state.copy_droplet = copy  # type: ignore[method-assign]
    with pytest.raises(DigestMismatch, match="the copy that the platform made"):
        promote(api, AppPlace("shop"), AppPlace("shop", "", "prod"), "", QUICK)
    assert current(platform.app("shop", platform.prod)) is None


# --- rolling back ----------------------------------------------------------------------------------------------


def test_back_to_the_revision_before(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet, newer: Droplet
) -> None:
    first, second = put(settings, staged), put(settings, newer)
    done = rollback(api, AppPlace("shop"), QUICK)
    assert first != second
    assert (done.droplet, done.digest, done.revision, done.action) == (first, staged.digest, 1, "rolling")
    assert current(platform.app("shop")) == first
    assert platform.app("shop")["metadata"]["annotations"]["stager-droplet-digest"] == staged.digest


def test_back_to_a_revision_by_number(settings: Made, api: CloudController, staged: Droplet, newer: Droplet) -> None:
    put(settings, staged)
    put(settings, newer)
    assert rollback(api, AppPlace("shop"), QUICK, version=1).digest == staged.digest
    with pytest.raises(Rejected) as caught:
        rollback(api, AppPlace("shop"), QUICK, version=9)
    assert str(caught.value) == (
        "Cloud Foundry refused revision 9: the app has no such revision\n  Revisions that can be deployed: 3, 2, 1."
    )


def test_a_revision_whose_droplet_expired(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet, newer: Droplet
) -> None:
    first = put(settings, staged)
    put(settings, newer)
    platform.state.droplets[first]["state"] = "EXPIRED"
    with pytest.raises(Rejected, match="its droplet is no longer there"):
        rollback(api, AppPlace("shop"), QUICK, version=1)
    with pytest.raises(Rejected, match="no earlier revision with another droplet"):
        rollback(api, AppPlace("shop"), QUICK)


@pytest.mark.parametrize("by_digest", [False, True])
def test_back_without_revisions(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet, newer: Droplet, by_digest: bool
) -> None:
    space = {"space": {"data": {"guid": platform.dev}}}
    platform.state.create_app({"name": "shop", "relationships": space})["_"]["revisions"] = False
    put(settings, staged)
    put(settings, newer)
    done = rollback(api, AppPlace("shop"), QUICK, digest=staged.digest if by_digest else "")
    assert (done.digest, done.revision) == (staged.digest, 0)


def test_nothing_to_go_back_to(
    platform: CloudFoundry, settings: Made, api: CloudController, staged: Droplet, newer: Droplet
) -> None:
    put(settings, staged)
    with pytest.raises(Rejected, match="no earlier revision"):
        rollback(api, AppPlace("shop"), QUICK)
    with pytest.raises(Rejected, match="does not hold it"):
        rollback(api, AppPlace("shop"), QUICK, digest=newer.digest)


# --- what runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("download", [False, True])
def test_what_runs_is_what_was_staged(platform: CloudFoundry, settings: Made, staged: Droplet, download: bool) -> None:
    put(settings, staged)
    found = compare_deployed(settings(), "shop", staged.path, download=download)
    assert (found.same, found.deployed, found.how) == (True, staged.digest, "bytes" if download else "checksum")
    assert platform.calls("GET", "/download$") == int(download)


def test_the_blob_store_gets_no_token(platform: CloudFoundry, settings: Made, staged: Droplet) -> None:
    put(settings, staged)
    assert compare_deployed(settings(), "shop", staged.path, download=True).same
    blobs = [headers for _, path, headers in platform.seen if path.startswith("/blobs/")]
    assert blobs
    assert all("Authorization" not in headers for headers in blobs)


def test_an_old_checksum_makes_it_download(platform: CloudFoundry, settings: Made, staged: Droplet) -> None:
    guid = put(settings, staged)
    platform.state.droplets[guid]["checksum"] = {"type": "sha1", "value": "0" * 40}
    found = compare_deployed(settings(), "acme/dev/shop", staged.path)
    assert (found.same, found.how) == (True, "bytes")


def test_differences_are_named(platform: CloudFoundry, settings: Made, staged: Droplet, newer: Droplet) -> None:
    guid = put(settings, newer)
    platform.state.droplets[guid]["process_types"] = {"web": ""}
    found = compare_deployed(settings(), "shop", staged.path)
    assert not found.same
    assert found.different == (f"the droplet is {newer.digest}", "the process types are web, not web, worker")


def test_bytes_that_were_changed_on_the_platform(platform: CloudFoundry, settings: Made, staged: Droplet) -> None:
    guid = put(settings, staged)
    platform.state.bits[guid] += b"more"
    assert compare_deployed(settings(), "shop", staged.path).same, "its checksum still says so"
    assert not compare_deployed(settings(), "shop", staged.path, download=True).same


def test_facts_of_what_runs(settings: Made, api: CloudController, staged: Droplet) -> None:
    guid = put(settings, staged)
    found = deployed(api, AppPlace("shop"))
    assert (found.droplet, found.state, found.started, found.plan) == (guid, "STAGED", True, staged.plan)
    assert (found.stack, found.process_types) == ("cflinuxfs4", ("web", "worker"))


def test_an_app_without_a_droplet(platform: CloudFoundry, api: CloudController) -> None:
    target(platform)
    with pytest.raises(Rejected, match="the app has none"):
        deployed(api, AppPlace("shop", "acme", "prod"))


def test_downloads_have_limits(
    platform: CloudFoundry, settings: Made, staged: Droplet, monkeypatch: pytest.MonkeyPatch
) -> None:
    guid = put(settings, staged)
    monkeypatch.setattr("stager.targets.cloudfoundry.current_droplet._LARGEST", 10)
    with pytest.raises(TooLarge):
        compare_deployed(settings(), "shop", staged.path, download=True)
    monkeypatch.undo()
    platform.listener.blobstore = "http://127.0.0.1:1"
    with pytest.raises(PlatformUnavailable, match="redirects to a place that is refused"):
        compare_deployed(settings(), "shop", staged.path, download=True)
    with pytest.raises(PlatformUnavailable, match="no connection"):
        compare_deployed(settings(network=Indexes(allowed=("127.0.0.1",))), "shop", staged.path, download=True)
    platform.state.droplets[guid]["state"] = "EXPIRED"
    with pytest.raises(Rejected, match="Only staged droplets can be downloaded"):
        compare_deployed(settings(), "shop", staged.path, download=True)
