"""Contract tests: slugs are created, uploaded, released and promoted on a server that follows Heroku's documented API."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from heroku_server import App, Fault, Heroku
from small_droplets import small_droplet

from stager.droplet.inspecting import PackageSize, inspect
from stager.errors import StagerError, UsageError
from stager.fetching.errors import TooLarge
from stager.net.indexes import Indexes
from stager.net.patience import Patience
from stager.targets.errors import DeployFailed, LoginFailed, PlatformUnavailable, Rejected, TookTooLong, Unfit
from stager.targets.heroku import push
from stager.targets.heroku.api import HerokuApi
from stager.targets.heroku.login import HerokuLogin
from stager.targets.heroku.push import Live, ReleaseWaiting, SlugUpload

TOKEN = "HRKU-c4n4ry-t0ken"
QUICK = Patience(connect=2.0, read=2.0, waits=(0.01, 0.01), grace=5.0)
SLUG = b"\x1f\x8bnot looked at by the platform" * 5000


@pytest.fixture
def heroku() -> Iterator[Heroku]:
    apps = {"shop": App(), "shop-production": App(), "fir": App(generation="fir"), "theirs": App(forbidden=True)}
    with Heroku(TOKEN, {**apps, "old": App(stack="heroku-22")}) as server:
        yield server


@pytest.fixture
def api(heroku: Heroku) -> Iterator[HerokuApi]:
    made = HerokuApi(HerokuLogin(heroku.url, TOKEN, "a test"), Indexes(), QUICK)
    yield made
    made.close()


@pytest.fixture
def offer(tmp_path: Path) -> SlugUpload:
    path = tmp_path / "slug.tgz"
    path.write_bytes(SLUG)
    return SlugUpload(
        path=str(path),
        size=len(SLUG),
        sha256=hashlib.sha256(SLUG).hexdigest(),
        stack="debian-12",
        buildpacks=("procfile",),
        processes={"web": "./serve", "worker": "sleep 600"},
        droplet="sha256:" + "d" * 64,
        commit="abc123",
    )


def waiting(**changed: Any) -> ReleaseWaiting:
    return replace(ReleaseWaiting(pause=0.01, longest=5.0), **changed)


def test_a_push_creates_uploads_and_releases(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    live = push.push(api, "shop", offer, waiting())
    app = heroku.apps["shop"]
    (slug,) = app.slugs.values()
    assert live == Live("shop", slug["id"], 1, changed=True)
    assert heroku.blobs[slug["key"]] == SLUG
    assert app.running() == slug["id"]
    assert {key: slug[key] for key in ("process_types", "checksum", "commit", "buildpack_provided_description")} == {
        "process_types": {"web": "./serve", "worker": "sleep 600"},
        "checksum": "SHA256:" + hashlib.sha256(SLUG).hexdigest(),
        "commit": "abc123",
        "buildpack_provided_description": "procfile",
    }
    assert slug["stack"]["name"] == "debian-12"
    assert app.releases[0]["description"] == slug["commit_description"] == "droplet " + offer.droplet
    assert heroku.requests() == [
        "GET /apps/shop",
        "GET /apps/shop/releases",
        "POST /apps/shop/slugs",
        "PUT /blobs/*",
        "POST /apps/shop/releases",
    ]


def test_the_token_goes_to_the_api_alone(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    push.push(api, "shop", replace(offer, processes={"web": "x", "release": "migrate"}), waiting(output=lambda _: None))
    elsewhere = [row for row in heroku.seen if not row[1].startswith("/apps/")]
    assert {path.split("/")[1] for _, path, _ in elsewhere} == {"blobs", "streams"}
    assert not any(TOKEN in str(headers) for _, _, headers in elsewhere)
    (upload,) = [headers for method, _, headers in heroku.seen if method == "PUT"]
    assert upload["Content-Type"] == ""
    assert upload["Content-Length"] == str(len(SLUG))


def test_the_same_bytes_are_not_pushed_again(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    first = push.push(api, "shop", offer, waiting())
    heroku.seen.clear()
    assert push.push(api, "shop", offer, waiting()) == replace(first, changed=False)
    assert heroku.requests() == ["GET /apps/shop", "GET /apps/shop/releases", "GET /apps/shop/slugs/*"]


def test_the_same_bytes_with_another_command_are(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    push.push(api, "shop", offer, waiting())
    live = push.push(api, "shop", replace(offer, processes={"web": "./serve --loud"}), waiting())
    assert (live.version, live.changed) == (2, True)


# --- the release phase ------------------------------------------------------------------------------------------------


def with_phase(offer: SlugUpload) -> SlugUpload:
    return replace(offer, processes={**offer.processes, "release": "./migrate"})


def test_a_release_phase_is_waited_for_and_shown(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    shown: list[str] = []
    heroku.apps["shop"].looks = 3
    live = push.push(api, "shop", with_phase(offer), waiting(output=shown.append))
    assert live.version == 1
    assert "".join(shown) == "migrating\ndone\n"
    assert heroku.requests().count("GET /apps/shop/releases/*") == 4


def test_a_failed_release_phase_leaves_what_ran(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    before = push.push(api, "shop", offer, waiting())
    heroku.apps["shop"].release_phase = "failed"
    with pytest.raises(DeployFailed) as caught:
        push.push(api, "shop", with_phase(offer), waiting())
    assert caught.value.message == "shop was not deployed: the release phase of v2 failed"
    assert "heroku releases:output v2 -a shop" in caught.value.hint
    assert heroku.apps["shop"].running() == before.slug


def test_a_release_phase_that_takes_too_long(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.apps["shop"].looks = 10**6
    with pytest.raises(TookTooLong) as caught:
        push.push(api, "shop", with_phase(offer), waiting(longest=0.1))
    assert caught.value.retryable


def test_output_that_breaks_off_does_not_matter(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.faults.append(Fault("GET /streams/", "drop", 9))
    assert push.push(api, "shop", with_phase(offer), waiting(output=lambda _: None)).changed


# --- what does not fit ------------------------------------------------------------------------------------------------


def test_another_stack_is_refused_before_anything_is_made(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    with pytest.raises(Unfit) as caught:
        push.push(api, "old", offer, waiting())
    assert "it is for stack debian-12, and old is on heroku-22" in caught.value.message
    hint = "Move the app to a stack that 'stager box list' names, or accept it with --any-stack."
    assert caught.value.hint == hint
    assert heroku.requests() == ["GET /apps/old"]


def test_another_stack_is_accepted_with_any_stack_where_its_glibc_is_new_enough(
    heroku: Heroku, api: HerokuApi, offer: SlugUpload
) -> None:
    heroku.apps["new"] = App("heroku-24")
    with pytest.raises(Unfit) as caught:
        push.push(api, "new", offer, waiting())
    assert caught.value.hint == "Run 'stager stage --for heroku' in the app's folder, or accept it with --any-stack."
    with pytest.raises(Unfit) as caught:
        push.push(api, "new", replace(offer, glibc=(2, 41)), waiting(), any_stack=True)
    assert "it needs glibc 2.41, and heroku-24 has 2.39" in caught.value.message
    assert caught.value.hint == "Run 'stager stage --for heroku' in the app's folder."
    live = push.push(api, "new", replace(offer, glibc=(2, 36)), waiting(), any_stack=True)
    assert live.changed
    assert push.push(api, "new", replace(offer, glibc=(2, 36)), waiting(), any_stack=True) == replace(
        live, changed=False
    )
    assert push.promote(api, "new", "old", waiting=waiting(), any_stack=True).changed


def test_a_fir_app_is_told_to_take_the_image(api: HerokuApi, offer: SlugUpload) -> None:
    with pytest.raises(Unfit) as caught:
        push.push(api, "fir", offer, waiting())
    assert "stager push oci" in caught.value.hint


@pytest.mark.parametrize("name", ["", "a", "Shop", "../x", "shop?", "1shop", "x" * 31])
def test_names_that_no_app_has_are_not_sent(name: str, heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    with pytest.raises(UsageError):
        push.push(api, name, offer, waiting())
    assert heroku.seen == []


def packages() -> list[PackageSize]:
    return [PackageSize("numpy", 60_000_000), PackageSize("the app", 1_000_000)]


def test_a_slug_too_big_is_refused_with_the_biggest_packages_named() -> None:
    with pytest.raises(TooLarge) as caught:
        push.weigh(push.LIMIT + 1, packages)
    assert caught.value.message == "the slug is 524288001 bytes; the limit is 524288000"
    assert "numpy 60.0 MB, the app 1.0 MB" in caught.value.hint


def test_a_big_slug_is_remarked_upon() -> None:
    assert push.weigh(push.LIMIT, packages).startswith("the slug has 524.3 MB; above 300 MiB apps start slowly.")
    assert "numpy 60.0 MB" in push.weigh(push.WARNING + 1, packages)
    assert push.weigh(push.WARNING, lambda: pytest.fail("nobody needs to look inside")) == ""


def test_the_biggest_packages_of_a_real_droplet_are_named(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path, {"big.txt": "0123456789" * 20_000})
    with pytest.raises(TooLarge) as caught:
        push.weigh(2001, lambda: inspect(str(droplet)).packages, limit=2000, warning=1000)
    assert re.search(r"The biggest, unpacked: the app 200\.5 kB, stager \d\.\d kB\.", caught.value.hint)


# --- what the platform refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("app", "status", "text"),
    [
        ("nobodys", 404, "not_found: Couldn't find that app."),
        ("theirs", 403, "forbidden: You do not have access to the app theirs."),
    ],
)
def test_apps_that_cannot_be_had(app: str, status: int, text: str, api: HerokuApi, offer: SlugUpload) -> None:
    with pytest.raises(Rejected) as caught:
        push.push(api, app, offer, waiting())
    assert caught.value.message == f"Heroku refused looking at {app}: {text}"
    assert caught.value.data["status"] == status


def test_a_wrong_token(heroku: Heroku, offer: SlugUpload) -> None:
    api = HerokuApi(HerokuLogin(heroku.url, "wrong-c4n4ry", "HEROKU_API_KEY"), Indexes(), QUICK)
    with pytest.raises(LoginFailed) as caught:
        push.push(api, "shop", offer, waiting())
    assert caught.value.message == "no login to Heroku: the token was not accepted (unauthorized)"
    assert caught.value.where == "HEROKU_API_KEY"
    assert len(heroku.seen) == 1


def test_parameters_that_are_refused(api: HerokuApi, offer: SlugUpload) -> None:
    with pytest.raises(Rejected, match="invalid_params: Checksum is not of the form"):
        push.deliver(api, "shop", replace(offer, sha256="z" * 64))


def test_a_refusal_that_echoes_the_token_does_not_show_it(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    body = '{"id": "odd", "message": "no\\u001b[2J ' + TOKEN + " allowed " + "x" * 5000 + '"}'
    heroku.faults.append(Fault("GET /apps/shop$", "status", status=422, body=body))
    with pytest.raises(Rejected) as caught:
        push.push(api, "shop", offer, waiting())
    assert TOKEN not in str(caught.value)
    assert "\x1b" not in caught.value.message
    assert "*** allowed" in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"id": 1}', "<html>", "[" * 100_000])
def test_answers_that_are_not_the_apis(body: str, heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.faults.append(Fault("GET /apps/shop$", "status", status=200, body=body))
    with pytest.raises(StagerError):
        push.push(api, "shop", offer, waiting())


# --- what passes ------------------------------------------------------------------------------------------------------


def test_the_rate_limit_is_waited_out(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.remaining = 2
    assert push.push(api, "shop", offer, waiting()).changed
    assert heroku.refusals == 2


def test_the_rate_limit_is_named_when_it_lasts(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    fault = Fault(
        "/apps/", "status", 99, 429, {"RateLimit-Remaining": "0"}, '{"id":"rate_limit","message":"slow down"}'
    )
    heroku.faults.append(fault)
    with pytest.raises(PlatformUnavailable, match=r"Heroku's rate limit is used up \(0 requests left\)"):
        push.push(api, "shop", offer, waiting())


@pytest.mark.parametrize("kind", ["status", "drop", "cut"])
@pytest.mark.parametrize(
    "pattern", ["GET /apps/shop$", "GET .*/releases$", "POST .*/slugs", "PUT /blobs", "POST .*/releases"]
)
def test_every_step_survives_failures(
    pattern: str, kind: str, heroku: Heroku, api: HerokuApi, offer: SlugUpload
) -> None:
    heroku.faults.append(Fault(pattern, kind, 2))
    live = push.push(api, "shop", offer, waiting())
    app = heroku.apps["shop"]
    assert heroku.blobs[app.slugs[live.slug]["key"]] == SLUG
    assert app.running() == live.slug
    assert len(app.releases) == 1, "a release whose answer was lost must not be made twice"


@pytest.mark.parametrize("kind", ["stall", "drip"])
@pytest.mark.parametrize("pattern", ["GET /apps/shop$", "POST .*/releases"])
def test_a_server_too_slow_is_given_up_on(pattern: str, kind: str, heroku: Heroku, offer: SlugUpload) -> None:
    heroku.faults.append(Fault(pattern, kind))
    api = HerokuApi(HerokuLogin(heroku.url, TOKEN), Indexes(), replace(QUICK, read=0.3, grace=0.5))
    live = push.push(api, "shop", offer, waiting())
    assert len(heroku.apps["shop"].releases) == 1
    assert heroku.apps["shop"].running() == live.slug


def test_a_server_that_never_answers(heroku: Heroku, offer: SlugUpload) -> None:
    heroku.faults.append(Fault("GET /apps/shop$", "stall", 99))
    api = HerokuApi(HerokuLogin(heroku.url, TOKEN), Indexes(), replace(QUICK, read=0.1))
    with pytest.raises(PlatformUnavailable, match=r"looking at shop failed: 127\.0\.0\.1 sent nothing for too long"):
        push.push(api, "shop", offer, waiting())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_platform_that_stays_down(status: int, heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.faults.append(Fault("PUT /blobs", "status", 99, status))
    with pytest.raises(PlatformUnavailable) as caught:
        push.push(api, "shop", offer, waiting())
    assert caught.value.message == f"uploading the slug failed: 127.0.0.1 answered {status}"
    assert caught.value.retryable
    assert "SECRET" not in str(caught.value)
    assert heroku.apps["shop"].releases == []


def test_a_release_that_is_never_answered(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.faults.append(Fault("POST .*/releases", "drop", 99))
    with pytest.raises(PlatformUnavailable, match=r"the release failed: the connection to 127\.0\.0\.1 was cut"):
        push.push(api, "shop", offer, waiting())


def test_an_expired_address_is_asked_for_again(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.expire_next = 2
    live = push.push(api, "shop", offer, waiting())
    assert heroku.requests().count("POST /apps/shop/slugs") == 3
    assert heroku.apps["shop"].running() == live.slug


def test_addresses_that_always_expire(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.expire_next = 99
    with pytest.raises(PlatformUnavailable, match="the address for it was not accepted") as caught:
        push.push(api, "shop", offer, waiting())
    assert "clock" in caught.value.hint
    assert heroku.requests().count("PUT /blobs/*") == push.ADDRESSES


def test_an_upload_address_that_is_not_encrypted_is_not_used(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    body = '{"id": "x", "blob": {"method": "put", "url": "http://blobs.example/SECRET"}}'
    heroku.faults.append(Fault("POST .*/slugs", "status", status=201, body=body))
    with pytest.raises(Rejected, match="the address to upload to is not https") as caught:
        push.push(api, "shop", offer, waiting())
    assert "SECRET" not in str(caught.value)


def test_redirects_are_not_followed(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    heroku.faults.append(Fault("GET /apps/shop$", "status", 1, 302, {"Location": f"{heroku.url}/elsewhere"}))
    with pytest.raises(Rejected, match="it answered 302"):
        push.push(api, "shop", offer, waiting())
    assert heroku.requests() == ["GET /apps/shop"]


# --- promotion --------------------------------------------------------------------------------------------------------


def test_what_one_app_runs_is_released_on_another(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    made = push.push(api, "shop", offer, waiting())
    heroku.seen.clear()
    live = push.promote(api, "shop", "shop-production", waiting=waiting())
    assert live == Live("shop-production", made.slug, 1, changed=True)
    assert heroku.apps["shop-production"].running() == made.slug
    assert not [line for line in heroku.requests() if line.startswith("PUT") or line.endswith("POST /slugs")]
    assert push.promote(api, "shop", "shop-production", waiting=waiting()) == replace(live, changed=False)


def test_an_older_slug_by_its_id(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    old = push.push(api, "shop", offer, waiting())
    push.push(api, "shop", replace(offer, processes={"web": "new"}), waiting())
    assert push.promote(api, "shop", "shop-production", old.slug, waiting()).slug == old.slug


def test_a_slug_of_another_stack_is_not_promoted(heroku: Heroku, api: HerokuApi, offer: SlugUpload) -> None:
    push.push(api, "shop", offer, waiting())
    with pytest.raises(Unfit, match="the slug of shop would not run on old"):
        push.promote(api, "shop", "old", waiting=waiting())
    assert heroku.apps["old"].releases == []


def test_promotions_that_cannot_be(api: HerokuApi) -> None:
    with pytest.raises(Rejected, match="shop runs no slug"):
        push.promote(api, "shop", "shop-production", waiting=waiting())
    with pytest.raises(UsageError, match="no slug's id"):
        push.promote(api, "shop", "shop-production", "v12", waiting())
    with pytest.raises(Rejected, match="Couldn't find that slug"):
        push.promote(api, "shop", "shop-production", "01234567-89ab-cdef-0123-456789abcdef", waiting())
