"""Contract tests: pushing to a server that keeps to the documented v3 API, with everything that goes wrong on the way."""

from __future__ import annotations

import hashlib
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cf_server import CloudFoundry, Fault, rate_limited, unavailable
from cf_state import current
from small_droplets import small_droplet

from stager.droplet.reader import DropletFile, open_droplet
from stager.errors import Cancelled, StagerError
from stager.fetching.errors import TooLarge
from stager.model import Droplet, Event
from stager.store.errors import DigestMismatch
from stager.targets.cloudfoundry import manifest, upload
from stager.targets.cloudfoundry.deployments import RolloutOptions
from stager.targets.cloudfoundry.manifest import AppManifest
from stager.targets.cloudfoundry.preflight import check
from stager.targets.cloudfoundry.push import PushedApp, PushOptions, check_app, push_all
from stager.targets.cloudfoundry.settings import CfSettings, CfWaiting
from stager.targets.cloudfoundry.yamlvalues import YamlValue
from stager.targets.errors import DeployFailed, LoginFailed, PlatformUnavailable, Rejected, TookTooLong, Unfit

Made = Callable[..., CfSettings]
BARE_WAITING = CfWaiting(connect=2.0, read=2.0, waits=(0.01,) * 4, longest_wait=0.05, polls=(0.005, 0.01), job=2.0)
BARE = AppManifest("shop", {"name": YamlValue("shop", 1, "shop")})
QUICKLY = PushOptions(RolloutOptions(patience=1.0))


@pytest.fixture
def push(settings: Made, droplet: DropletFile) -> Callable[..., PushedApp]:
    """Push the droplet, to the app `shop` unless a manifest says otherwise."""

    def act(
        app: AppManifest = BARE, wishes: PushOptions = QUICKLY, file: DropletFile | None = None, **fields: Any
    ) -> PushedApp:
        return push_all(settings(**fields), file or droplet, [app], wishes)[0]

    return act


@pytest.fixture
def newer_file(newer: Droplet) -> Iterator[DropletFile]:
    """The droplet of the changed app, open."""
    with open_droplet(newer.path) as opened:
        yield opened


def parsed(text: str) -> AppManifest:
    return manifest.parse(text, "manifest.yml", {})[0]


def test_a_refused_manifest_leaves_no_new_app_behind(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    push(app=replace(BARE, name="other", values={"name": YamlValue("other", 1, "other")}))
    platform.state.pace.manifest_error = "Route is reserved"
    with pytest.raises(Rejected, match="Route is reserved"):
        push()
    with pytest.raises(Rejected, match="Route is reserved"):
        push(app=replace(BARE, name="other", values={"name": YamlValue("other", 1, "other")}))
    assert [one["name"] for one in platform.state.apps.values()] == ["other"], "one that was there stays"


# --- the whole way ---------------------------------------------------------------------------------------------


def test_a_new_app_is_created_and_runs(
    platform: CloudFoundry, droplet: DropletFile, push: Callable[..., PushedApp]
) -> None:
    done = push()
    app = platform.app("shop")
    held = platform.state.droplets[done.droplet]
    assert (done.action, done.uploaded, done.stack) == ("start", True, "cflinuxfs4")
    assert app["state"] == "STARTED"
    assert current(app) == done.droplet
    assert app["lifecycle"] == {"type": "buildpack", "data": {"buildpacks": [], "stack": "cflinuxfs4"}}
    assert held["process_types"] == {"web": "./serve", "worker": "./work --fast"}
    assert [process.type for process in app["_"]["processes"]] == ["web", "worker"]
    assert platform.state.bits[done.droplet] == Path(droplet.path).read_bytes()
    assert held["checksum"] == {"type": "sha256", "value": droplet.digest.hex}
    assert done.digest == droplet.digest


def test_app_and_droplet_carry_plan_and_digest(
    platform: CloudFoundry, droplet: DropletFile, push: Callable[..., PushedApp]
) -> None:
    done = push()
    expected = {
        "labels": {"stager-droplet": droplet.digest.hex[:32], "stager-plan": droplet.launch.plan[7:39]},
        "annotations": {
            "stager-droplet-digest": droplet.digest,
            "stager-plan-digest": droplet.launch.plan,
            "stager-stack": "cflinuxfs4",
        },
    }
    assert platform.app("shop")["metadata"] == expected
    assert platform.state.droplets[done.droplet]["metadata"] == expected


def test_the_upload_is_a_form_of_known_length_with_a_tgz(
    platform: CloudFoundry, push: Callable[..., PushedApp]
) -> None:
    push()
    headers = next(headers for method, path, headers in platform.seen if path.endswith("/upload"))
    assert int(headers["Content-Length"]) > 0
    assert "Transfer-Encoding" not in headers
    assert headers["Content-Type"].startswith("multipart/form-data; boundary=")


def test_a_second_push_uploads_nothing(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    first, second = push(), push()
    assert (second.uploaded, second.droplet, second.action) == (False, first.droplet, "rolling")
    assert platform.calls("POST", "/upload$") == 1


def test_a_running_app_is_deployed_rolling(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    push()
    done = push(file=newer_file, wishes=PushOptions(RolloutOptions(max_in_flight=3, patience=1.0)))
    deployment = next(iter(platform.state.deployments.values()))
    assert done.action == "rolling"
    assert deployment["status"]["reason"] == "DEPLOYED"
    assert (deployment["strategy"], deployment["options"]) == ("rolling", {"max_in_flight": 3})
    assert current(platform.app("shop")) == done.droplet
    assert platform.calls("PATCH", "current_droplet") == 1, "a deployment sets the droplet itself"


def test_restart_replaces_all_at_once(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    push()
    done = push(file=newer_file, wishes=PushOptions(RolloutOptions("restart", patience=1.0)))
    assert done.action == "restart"
    assert not platform.state.deployments
    assert platform.calls("POST", "/actions/restart") == 1


def test_no_start_leaves_the_app_stopped(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    wishes = PushOptions(RolloutOptions(start=False))
    first = push(wishes=wishes)
    assert (first.action, platform.app("shop")["state"]) == ("no-start", "STOPPED")
    assert first.notes[-1] == "shop is not started; start it with 'cf start shop'"
    push()
    second = push(file=newer_file, wishes=wishes)
    assert platform.app("shop")["state"] == "STOPPED", "as 'cf push --no-start' does with an app that runs"
    assert current(platform.app("shop")) == second.droplet


def test_several_apps_get_the_same_droplet(platform: CloudFoundry, settings: Made, droplet: DropletFile) -> None:
    apps = manifest.parse("applications:\n- name: a\n- name: b\n", "manifest.yml", {})
    done = push_all(settings(), droplet, apps, QUICKLY)
    assert [one.app for one in done] == ["a", "b"]
    assert {platform.state.droplets[one.droplet]["checksum"]["value"] for one in done} == {droplet.digest.hex}


def test_the_manifest_is_applied_with_all_it_says(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.services.add("db")
    text = """
applications:
- name: shop
  memory: 256M
  env: {VERSION: 3.10, FLAG: yes, EMPTY: , "ÜNI\\x7f": "\\u2028 ok"}
  routes: [{route: shop.example.org}]
  services: [{name: db, parameters: {size: 10}}]
  metadata: {labels: {team: blue}}
  processes: [{type: worker, instances: 2, memory: 128M}]
  sidecars: [{name: log, process_types: [web], command: ./log}]
"""
    done = push(parsed(text))
    app = platform.app("shop")
    assert app["_"]["env"] == {"VERSION": "3.10", "FLAG": "yes", "EMPTY": "", "ÜNI\x7f": "\u2028 ok"}
    assert app["_"]["routes"] == ["shop.example.org"]
    assert app["_"]["services"] == [{"name": "db", "parameters": {"size": 10}}]
    assert app["_"]["sidecars"] == [{"name": "log", "process_types": ["web"], "command": "./log"}]
    assert app["metadata"]["labels"]["team"] == "blue"
    assert {p.type: p.instances for p in app["_"]["processes"]} == {"web": 1, "worker": 2}
    assert done.notes == ()


def test_a_process_without_instances_is_remarked(push: Callable[..., PushedApp]) -> None:
    assert push().notes == (
        "without an instance: worker; give them 'instances' in the manifest, or use 'cf scale --process'",
    )


def test_progress_is_told(push: Callable[..., PushedApp], droplet: DropletFile) -> None:
    events: list[Event] = []
    push(progress=events.append)
    steps = list(dict.fromkeys(event.what for event in events))
    assert steps == [
        "looking up shop", "applying the manifest", "uploading", "waiting for the platform to check the upload",
        "setting the droplet", "starting shop",
    ]  # fmt: skip
    sent = [event for event in events if event.what == "uploading"]
    assert (sent[-1].done, sent[-1].total) == (droplet.size, droplet.size)
    assert {event.verb for event in events} == {"push"}


# --- tokens, limits and faults ---------------------------------------------------------------------------------


def test_a_token_that_expires_on_the_way_is_renewed(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    events: list[Event] = []

    def expire(event: Event) -> None:
        if event.what == "uploading" and not events:
            platform.expire_tokens()
            events.append(event)

    push(progress=expire)
    grants = [path for method, path, _ in platform.seen if path == "/oauth/token"]
    assert len(grants) == 2
    assert platform.calls("POST", "/upload$") == 2, "refused with 401, then accepted"
    assert len(platform.state.droplets) == 1


def test_rate_limits_and_passing_failures_are_waited_out(
    platform: CloudFoundry, push: Callable[..., PushedApp]
) -> None:
    platform.fault(rate_limited(2), unavailable(2, "/v3/droplets", "POST"), Fault("GET", "/v3/jobs", 2, 502))
    platform.fault(Fault("GET", "/v3/stacks", 1), Fault("POST", "/oauth/token", 1, 500))
    assert push().uploaded


def test_patience_ends(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.fault(unavailable(99, "/v3/stacks"))
    with pytest.raises(PlatformUnavailable) as caught:
        push()
    assert str(caught.value) == (
        "the list of stacks failed: Database connection failure\n"
        "  Check the network and the platform's status, then run the same command again."
    )
    assert platform.calls("GET", "/v3/stacks") == 5
    assert caught.value.retryable


def test_a_server_that_hangs_is_given_up(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.fault(Fault("GET", "/v3/stacks", 99, 0, delay=1.0))
    waiting = replace(BARE_WAITING, read=0.1, waits=(0.01,))
    began = time.monotonic()
    with pytest.raises(PlatformUnavailable, match="sent nothing for too long"):
        push(waiting=waiting)
    assert time.monotonic() - began < 5


def test_a_lost_answer_to_the_upload_sends_nothing_twice(
    platform: CloudFoundry, push: Callable[..., PushedApp]
) -> None:
    platform.fault(Fault("POST", "/upload$", 1, after=True))
    assert push().uploaded
    assert platform.calls("POST", "/upload$") == 1


def test_a_cut_upload_goes_to_a_new_droplet(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.fault(Fault("POST", "/upload$", 1))
    done = push()
    states = [one["state"] for one in platform.state.droplets.values()]
    assert states == ["AWAITING_UPLOAD", "STAGED"]
    assert current(platform.app("shop")) == done.droplet


def test_an_expired_upload_is_done_again(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.pace.expire_uploads = 1
    push()
    assert [one["state"] for one in platform.state.droplets.values()] == ["EXPIRED", "STAGED"]


def test_uploads_that_always_expire_end(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.pace.expire_uploads = 99
    with pytest.raises(Rejected, match="it is EXPIRED"):
        push()
    assert len(platform.state.droplets) == 3


def test_a_lost_answer_to_the_deployment_deploys_once(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    push()
    platform.fault(Fault("POST", "/v3/deployments$", 1, after=True))
    assert push(file=newer_file).action == "rolling"
    assert len(platform.state.deployments) == 1


def test_a_lost_answer_to_the_creation_finds_the_app(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.fault(Fault("POST", "/v3/apps$", 1, after=True))
    with pytest.raises(PlatformUnavailable, match="what is there already is used"):
        push()
    assert push().action == "start"
    assert len(platform.state.apps) == 1


def test_somebody_else_creating_the_app_is_no_error(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    """The app appears between the look-up and the creation."""
    space = {"space": {"data": {"guid": platform.dev}}}
    made: list[str] = []

    def create(event: Event) -> None:
        if event.what == "looking up shop":
            platform.listener.before["POST", "/v3/apps"] = lambda: made.append(
                platform.state.create_app({"name": "shop", "relationships": space})["guid"]
            )

    assert push(progress=create).guid == made[0]


# --- what the platform refuses ---------------------------------------------------------------------------------


def refused(act: Callable[[], object], kind: type[StagerError]) -> str:
    with pytest.raises(kind) as caught:
        act()
    return str(caught.value)


def test_the_platforms_words_come_through(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    text = "applications:\n- name: shop\n  services: [nothing]\n"
    assert refused(lambda: push(parsed(text)), Rejected) == (
        "Cloud Foundry refused the manifest: For application 'shop': Service instance 'nothing' not found\n"
        "  Correct that and push again."
    )


def test_a_wrong_role(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.listener.role = "space_auditor"
    assert refused(push, Rejected) == (
        "Cloud Foundry refused the app shop: You are not authorized to perform the requested action\n"
        "  The login needs the role Space Developer in acme/dev."
    )


def test_a_wrong_password(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.listener.users.clear()
    assert refused(push, LoginFailed) == (
        "the variables CF_USERNAME and CF_PASSWORD: no login to Cloud Foundry: Bad credentials\n"
        "  Run 'cf login' again, or correct the variables."
    )


def test_an_unknown_stack(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.stacks[:] = ["cflinuxfs3", "cflinuxfs5"]
    assert refused(push, Rejected) == (
        "Cloud Foundry refused the stack cflinuxfs4: it has no such stack\n"
        "  The platform has: cflinuxfs3, cflinuxfs5. Name one with --stack and accept it with --any-stack."
    )
    assert push(wishes=PushOptions(RolloutOptions(patience=1.0), any_stack=True)).stack == "cflinuxfs5", (
        "the newest that has its glibc"
    )


def test_a_droplet_for_no_stack_of_the_platform_is_told_the_whole_command(
    platform: CloudFoundry, push: Callable[..., PushedApp], tmp_path: Path
) -> None:
    platform.state.stacks[:] = ["cflinuxfs3", "cflinuxfs4", "cflinuxfs5"]
    with open_droplet(str(small_droplet(tmp_path, stack="debian-13"))) as other:
        assert refused(lambda: push(file=other), Rejected) == (
            "Cloud Foundry refused the stack debian-13: it has no such stack\n"
            "  The platform has: cflinuxfs3, cflinuxfs4, cflinuxfs5. Run 'stager stage --for cloudfoundry' in the app's "
            "folder, or name one with --stack and accept it with --any-stack."
        )
        assert push(file=other, wishes=PushOptions(RolloutOptions(patience=1.0), any_stack=True)).stack == "cflinuxfs4"


def test_another_stack_must_be_accepted(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.stacks[:] = ["cflinuxfs5"]
    assert refused(lambda: push(wishes=PushOptions(stack="cflinuxfs5")), Unfit) == (
        "droplet.tgz would not run on Cloud Foundry: it was staged for cflinuxfs4, and the app is on cflinuxfs5\n"
        "  stager cannot stage for that stack: let the app be on cflinuxfs4, and run 'stager stage --for cloudfoundry', "
        "or accept it with --any-stack."
    )
    done = push(wishes=PushOptions(RolloutOptions(patience=1.0), "cflinuxfs5", any_stack=True))
    assert done.stack == "cflinuxfs5"
    assert platform.app("shop")["lifecycle"]["data"]["stack"] == "cflinuxfs5"
    assert "staged for cflinuxfs4, pushed to cflinuxfs5" in done.notes


def test_a_docker_app(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    space = {"space": {"data": {"guid": platform.dev}}}
    platform.state.create_app({"name": "shop", "lifecycle": {"type": "docker", "data": {}}, "relationships": space})
    assert "the app's lifecycle is docker" in refused(push, Rejected)
    assert not platform.state.manifests


def test_a_process_of_the_manifest_that_nothing_starts(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    text = "applications:\n- name: shop\n  processes: [{type: clock, instances: 1}]\n"
    assert refused(lambda: push(parsed(text)), Unfit) == (
        "droplet.tgz would not run on Cloud Foundry: manifest.yml has a process clock; the droplet has: web, worker\n"
        "  Give the process a 'command' in manifest.yml, or add 'clock: …' to the Procfile and stage again."
    )
    assert not platform.seen, "known before anything is asked"


def test_a_disk_that_is_too_small(droplet: DropletFile) -> None:
    large = replace(check(droplet), unpacked=(1 << 20) + 1)
    check_app(large, parsed("applications:\n- name: shop\n  disk_quota: 2M\n"))
    text = "applications:\n- name: shop\n  disk_quota: 1M\n"
    assert "disk_quota of web, manifest.yml:3" in refused(lambda: check_app(large, parsed(text)), TooLarge)


def test_a_droplet_that_is_too_large(
    platform: CloudFoundry, push: Callable[..., PushedApp], settings: Made, droplet: DropletFile
) -> None:
    with pytest.raises(TooLarge):
        push_all(settings(), droplet, [BARE], QUICKLY, limit=100)
    assert not platform.seen
    platform.listener.largest = 1000
    assert "too large for the platform's front" in refused(push, Rejected)


def test_the_platform_holds_other_bytes(
    platform: CloudFoundry, push: Callable[..., PushedApp], droplet: DropletFile
) -> None:
    platform.state.pace.checksum = "0" * 64
    assert refused(push, DigestMismatch) == (
        f"the droplet that the platform holds: expected {droplet.digest}, got sha256:{'0' * 64}\n"
        "  Nothing was started. Something between here and the platform changed the bytes; push again."
    )
    assert current(platform.app("shop")) is None


def test_processing_that_fails(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.pace.fail_upload = "no space left on the blob store"
    assert refused(push, Rejected).startswith(
        "Cloud Foundry refused the uploaded droplet: no space left on the blob store\n"
    )


def test_a_job_that_never_ends(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.pace.jobs = 10**9
    with pytest.raises(TookTooLong) as caught:
        push(waiting=replace(BARE_WAITING, job=0.1))
    assert str(caught.value) == (
        "the manifest took longer than 0.1 seconds\n"
        "  The platform may still finish it: see 'cf events' and 'cf app', then run the same command again."
    )


# --- what does not come to run ---------------------------------------------------------------------------------


def test_a_start_that_crashes(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.pace.crashing = True
    assert refused(push, DeployFailed) == (
        "shop was not deployed: it crashed 3 times; web crashed: index 0, exit status 26,"
        " exit description APP/PROC/WEB: Exited with status 26, reason CRASHED\n"
        "  See 'cf app shop' and 'cf logs shop --recent'; 'stager rollback cloudfoundry shop' goes back."
    )


def test_a_start_without_a_place(platform: CloudFoundry, push: Callable[..., PushedApp]) -> None:
    platform.state.pace.stuck = True
    platform.state.pace.placement_error = "insufficient resources: memory"
    text = refused(lambda: push(wishes=PushOptions(RolloutOptions(patience=0.1))), DeployFailed)
    assert text.startswith(
        "shop was not deployed: the start of shop took longer than 0.1 seconds"
        " (web/0 STARTING: insufficient resources: memory)\n"
    )


def test_a_rolling_deployment_that_crashes_is_cancelled(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    before = push()
    platform.state.pace.crashing = True
    text = refused(lambda: push(file=newer_file), DeployFailed)
    assert text == (
        "shop was not deployed: it crashed 3 times; web crashed: index 0, exit status 26,"
        " exit description APP/PROC/WEB: Exited with status 26, reason CRASHED\n"
        "  The former droplet runs again. See 'cf logs shop --recent'."
    )
    assert current(platform.app("shop")) == before.droplet
    assert platform.app("shop")["metadata"]["annotations"]["stager-droplet-digest"] == before.digest


def test_a_rolling_deployment_that_never_ends_is_cancelled(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    before = push()
    platform.state.pace.stuck = True
    text = refused(lambda: push(file=newer_file, wishes=PushOptions(RolloutOptions(patience=0.1))), DeployFailed)
    assert "the deployment of shop took longer than 0.1 seconds" in text
    assert current(platform.app("shop")) == before.droplet


def test_crashes_of_yesterday_do_not_count(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    push()
    for _ in range(5):
        platform.state.crash(platform.app("shop"), "web")
    assert push(file=newer_file).action == "rolling"


def test_another_deployment_takes_over(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    push()
    platform.state.pace.stuck = True

    def supersede(event: Event) -> None:
        for one in platform.state.deployments.values():
            one["status"].update(value="FINALIZED", reason="SUPERSEDED")

    text = refused(lambda: push(file=newer_file, progress=supersede), DeployFailed)
    assert text.startswith("shop was not deployed: its deployment was superseded")


# --- stopping --------------------------------------------------------------------------------------------------


def cancel_at(step: str) -> tuple[threading.Event, Callable[[Event], None]]:
    cancel = threading.Event()

    def tell(event: Event) -> None:
        if event.what.startswith(step):
            cancel.set()

    return cancel, tell


@pytest.mark.parametrize("step", ["looking up", "applying", "uploading", "waiting", "starting"])
def test_cancelling_stops_soon(platform: CloudFoundry, push: Callable[..., PushedApp], step: str) -> None:
    platform.state.pace.stuck = True
    cancel, tell = cancel_at(step)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        push(progress=tell, cancel=cancel, wishes=PushOptions(RolloutOptions(patience=30)))
    assert time.monotonic() - began < 5
    if step != "starting":
        found = platform.state.named_app("shop", platform.dev)
        assert found is None or current(found) is None


def test_cancelling_a_deployment_brings_the_former_droplet_back(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    before = push()
    platform.state.pace.stuck = True
    cancel, tell = cancel_at("deploying")
    with pytest.raises(Cancelled):
        push(file=newer_file, progress=tell, cancel=cancel, wishes=PushOptions(RolloutOptions(patience=30)))
    assert current(platform.app("shop")) == before.droplet
    assert platform.calls("POST", "/actions/cancel$") == 1


# --- the form --------------------------------------------------------------------------------------------------


def test_the_form_streams_and_keeps_memory_flat(tmp_path: Path) -> None:
    file = tmp_path / "large.tgz"
    with file.open("wb") as stream:
        stream.truncate(64 << 20)
    told: list[int] = []
    form = upload.Form(str(file), 64 << 20, told.append)
    state, size = hashlib.sha256(), 0
    tracemalloc.start()
    while part := form.read(1 << 16):
        state.update(part)
        size += len(part)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    form.close()
    assert size == len(form)
    assert peak < 2 << 20
    assert told[-1] == 64 << 20
    assert told == sorted(told)


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "short.tgz"
    file.write_bytes(b"x" * 10)
    form = upload.Form(str(file), 20, lambda _: None)
    form.read()
    form.read()
    with pytest.raises(OSError, match="became shorter"):
        form.read()
    form.close()


def test_an_interrupt_cancels_the_deployment_too(
    platform: CloudFoundry, push: Callable[..., PushedApp], newer_file: DropletFile
) -> None:
    before = push()
    platform.state.pace.stuck = True

    def interrupt(event: Event) -> None:
        if event.what.startswith("deploying"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(file=newer_file, progress=interrupt)
    assert current(platform.app("shop")) == before.droplet
    assert platform.calls("POST", "/actions/cancel$") == 1
