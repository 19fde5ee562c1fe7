"""Contract tests: the client against a registry written from the specification, well-behaved and otherwise."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from registry_contract import Asked, ContractRegistry, Request, on
from registry_images import HERE, access, content, image, index
from registry_server import noise

from stager.errors import Cancelled, StagerError
from stager.formats.errors import BadArchive
from stager.model import Event
from stager.net.errors import NotFound
from stager.store import Store
from stager.store.errors import DigestMismatch
from stager.targets.oci.errors import (
    AccessDenied,
    BadReference,
    RegistryDown,
    RegistryError,
    RegistryFull,
    RegistryRefused,
)
from stager.targets.oci.image import Blob, Image
from stager.targets.oci.layout import LayoutSink
from stager.targets.oci.registry.access import Access
from stager.targets.oci.registry.client import Client
from stager.targets.oci.registry.descriptors import MANIFEST, Descriptor, digest_of
from stager.targets.oci.registry.pull import StoreSink, pull
from stager.targets.oci.registry.push import PushedImage, push
from stager.targets.oci.registry.reference import parse
from stager.targets.oci.registry.referrers import attach, fallback_tag, referrers
from stager.targets.oci.registry.upload import upload
from stager.targets.oci.source import Source, image_of

BIG = noise(1_000_000, 7)
SMALL = noise(2_000, 8)
CHUNK = 100_000


@pytest.fixture
def registry() -> Iterator[ContractRegistry]:
    with ContractRegistry() as made:
        yield made


def pushed(
    registry: ContractRegistry, what: Image, name: str = "team/app:1", how: Access | None = None, **more: object
) -> PushedImage:
    with Client(registry.host, how or access()) as client:
        return push(client, parse(f"{registry.host}/{name}"), what, **more)  # type: ignore[arg-type]


# --- pushing and pulling ----------------------------------------------------------------------------------------------


def test_push_then_pull_gives_equal_bytes(registry: ContractRegistry, tmp_path: Path) -> None:
    made = image(BIG, SMALL)
    done = pushed(registry, made)
    assert done.reference == f"{registry.host}/team/app@{made.digest}"
    assert done.moved == sum(blob.size for blob in made.blobs)
    sink = LayoutSink(str(tmp_path / "layout"))
    with Client(registry.host, access()) as client:
        got = pull(client, parse(f"{registry.host}/team/app:1"), sink)
        sink.finish({"1": got.root})
        assert pull(client, parse(f"{registry.host}/team/app:1"), sink).moved == 0
    with Source(str(tmp_path / "layout")) as source:
        again = image_of(source, "1")
    assert got.moved == done.moved
    assert again.raw == made.raw
    assert not list((tmp_path / "layout").rglob("*.part"))
    for blob in made.blobs:
        assert (tmp_path / "layout" / "blobs" / blob.digest.replace(":", "/")).read_bytes() == content(blob)


def test_an_unchanged_image_costs_one_request(registry: ContractRegistry) -> None:
    made = image(BIG)
    pushed(registry, made)
    del registry.asked[:]
    assert pushed(registry, made).unchanged
    assert registry.methods() == ["HEAD"]


def test_one_changed_layer_moves_alone(registry: ContractRegistry) -> None:
    pushed(registry, image(BIG, SMALL))
    done = pushed(registry, image(BIG, b"other"))
    assert digest_of(BIG) in done.present
    assert digest_of(b"other") in done.uploaded
    assert done.moved < 1000


def test_a_registry_that_reports_no_digests_is_compared_by_bytes(registry: ContractRegistry) -> None:
    made = image(SMALL)
    pushed(registry, made)
    registry.spoilers.append(on("HEAD", "/manifests/", lambda request: request.say(200)))
    assert pushed(registry, made).unchanged
    assert not pushed(registry, image(b"x")).unchanged


def test_an_index_comes_after_its_images_and_is_pulled_by_platform(registry: ContractRegistry, tmp_path: Path) -> None:
    one, other = image(BIG, architecture="amd64"), image(SMALL, architecture="arm64")
    whole = index(("linux/amd64", one), ("linux/arm64/v8", other))
    done = pushed(registry, whole)
    assert done.digest == whole.digest
    stored = [asked.path for asked in registry.asked if asked.method == "PUT" and "/manifests/" in asked.path]
    assert [path.rpartition("/")[2] for path in stored] == [one.digest, other.digest, "1"]
    with Client(registry.host, access()) as client:
        reference = parse(f"{registry.host}/team/app:1")
        store = Store(str(tmp_path / "store"))
        everything = pull(client, reference, StoreSink(store))
        assert everything.platforms == ("linux/amd64", "linux/arm64/v8")
        assert store.has(whole.digest[7:])
        assert store.has(digest_of(BIG)[7:])
        alone = pull(client, reference, LayoutSink(str(tmp_path / "alone")), platform="linux/arm64")
        assert alone.root.digest == other.digest
        with pytest.raises(NotFound, match="linux/s390x"):
            pull(client, reference, StoreSink(store), platform="linux/s390x")


def test_an_image_already_in_another_repository_is_mounted(registry: ContractRegistry) -> None:
    pushed(registry, image(BIG), "team/base:1")
    del registry.asked[:]
    done = pushed(registry, image(BIG), "team/app:1", mount_from=["team/nothing", "team/base"])
    assert digest_of(BIG) in done.mounted
    assert done.moved == 0
    assert registry.sent() == 0


def test_a_refused_mount_becomes_an_upload(registry: ContractRegistry) -> None:
    done = pushed(registry, image(BIG), mount_from=["team/base"])
    assert digest_of(BIG) in done.uploaded


def test_the_digest_in_a_name_must_be_the_images(registry: ContractRegistry) -> None:
    with pytest.raises(BadReference, match="has the digest"):
        pushed(registry, image(BIG), "team/app@sha256:" + "0" * 64)
    made = image(SMALL)
    assert pushed(registry, made, f"team/app@{made.digest}").names == (made.digest,)
    assert registry.methods()[-1] == "PUT"


def test_a_manifest_that_names_other_blobs_is_not_pushed(registry: ContractRegistry) -> None:
    made = image(BIG)
    with pytest.raises(BadArchive, match="names other blobs"):
        pushed(registry, Image.of(made.raw, made.blobs[:1]))
    assert registry.asked == []


def test_tags_over_several_pages(registry: ContractRegistry) -> None:
    for name in "abcde":
        pushed(registry, image(SMALL), f"team/app:{name}")
    with Client(registry.host, access()) as client:
        assert client.tags("team/app") == ("a", "b", "c", "d", "e")


def test_a_next_page_elsewhere_is_not_followed(registry: ContractRegistry) -> None:
    link = '<http://127.0.0.1:1/v2/x/tags/list>; rel="next"'
    registry.spoilers.append(on("GET", "/tags/", lambda request: request.say(200, b'{"tags": ["a"]}', Link=link)))
    with Client(registry.host, access()) as client:
        assert client.tags("team/app") == ("a",)


# --- uploads ----------------------------------------------------------------------------------------------------------


def cut_after(count: int) -> Callable[[Request], None]:
    """Take so many bytes of the body into the upload, as the specification wants, then hang up."""

    def do(request: Request) -> None:
        name = request.path.partition("?")[0].rpartition("/")[2]
        registry: ContractRegistry = request.server.registry  # type: ignore[attr-defined]
        registry.uploads[name] += request.read(count)
        request.hang_up()

    return do


def test_large_blobs_go_in_parts(registry: ContractRegistry) -> None:
    pushed(registry, image(BIG), how=access(chunk=CHUNK))
    parts = [asked for asked in registry.asked if asked.method == "PATCH"]
    assert [asked.headers["content-range"] for asked in parts][:2] == ["0-99999", "100000-199999"]
    assert max(asked.body for asked in registry.asked) == CHUNK
    assert registry.blobs["team/app", digest_of(BIG)] == BIG


def test_a_registry_may_ask_for_larger_parts(registry: ContractRegistry) -> None:
    where = "/v2/team/app/blobs/uploads/least"
    registry.uploads["least"] = bytearray()
    more = {"Location": where, "OCI_Chunk_Min_Length": "300000"}
    registry.spoilers.append(on("POST", "/uploads/", lambda request: request.say(202, b"", **more), 1))
    with Client(registry.host, access(chunk=CHUNK)) as client:
        upload(client, "team/app", Blob.of(BIG))
    assert next(asked.body for asked in registry.asked if asked.method == "PATCH") == 300_000


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upload_that_is_cut_goes_on_where_it_was(registry: ContractRegistry, streamed: bool) -> None:
    registry.spoilers.append(on("PATCH", "/uploads/", cut_after(70_000), 3, 5))
    blob = Blob.of(BIG) if not streamed else Blob(digest_of(BIG), len(BIG), "", lambda: parts_of(BIG))
    with Client(registry.host, access(chunk=CHUNK)) as client:
        assert upload(client, "team/app", blob) == "uploaded"
    assert registry.blobs["team/app", blob.digest] == BIG
    assert registry.sent() == len(BIG)  # what arrived was not sent again
    assert registry.methods().count("POST") == 1


def parts_of(data: bytes, size: int = 33_333) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_an_upload_in_one_request_that_is_cut_goes_on_too(registry: ContractRegistry) -> None:
    registry.spoilers.append(on("PUT", "/uploads/", cut_after(600_000), 1))
    with Client(registry.host, access()) as client:
        upload(client, "team/app", Blob.of(BIG))
    assert registry.blobs["team/app", digest_of(BIG)] == BIG
    assert registry.sent() == len(BIG)


def test_an_upload_that_is_forgotten_begins_again(registry: ContractRegistry) -> None:
    def forget(request: Request) -> None:
        registry.uploads.clear()
        request.hang_up()

    registry.spoilers.append(on("PATCH", "/uploads/", forget, 4))
    with Client(registry.host, access(chunk=CHUNK)) as client:
        upload(client, "team/app", Blob.of(BIG))
    assert registry.blobs["team/app", digest_of(BIG)] == BIG
    assert registry.methods().count("POST") == 2


def test_a_lost_answer_to_the_last_request_sends_nothing_again(registry: ContractRegistry) -> None:
    def lose(request: Request) -> None:
        registry.blobs["team/app", digest_of(SMALL)] = request.read()
        registry.uploads.clear()
        request.hang_up()

    registry.spoilers.append(on("PUT", "/uploads/", lose, 1))
    with Client(registry.host, access()) as client:
        assert upload(client, "team/app", Blob.of(SMALL)) == "uploaded"
    assert registry.sent() == len(SMALL)


def test_a_registry_without_parts_gets_the_whole(registry: ContractRegistry) -> None:
    def refuse(request: Request) -> None:
        request.read()
        request.refuse(400, "UNSUPPORTED", "no parts")

    registry.spoilers.append(on("PATCH", "/uploads/", refuse, 2))
    with Client(registry.host, access(chunk=CHUNK)) as client:
        upload(client, "team/app", Blob.of(BIG))
    assert registry.blobs["team/app", digest_of(BIG)] == BIG
    assert registry.asked[-1].body == len(BIG)


def test_a_proxy_that_limits_bodies_gets_smaller_parts(registry: ContractRegistry) -> None:
    data = noise(3_000_000, 3)

    def limit(asked: Asked, request: Request) -> bool:
        if int(asked.headers.get("content-length") or 0) <= 1_000_000:
            return False
        request.say(413)
        request.hang_up()
        return True

    registry.spoilers.append(limit)
    with Client(registry.host, access()) as client:
        upload(client, "team/app", Blob.of(data))
    assert registry.blobs["team/app", digest_of(data)] == data
    registry.spoilers.append(on("PUT", "/uploads/", lambda request: request.refuse(413, "SIZE_INVALID")))
    with pytest.raises(RegistryRefused, match="413"), Client(registry.host, access()) as client:
        upload(client, "team/app", Blob.of(SMALL))


def test_a_blob_that_ends_early_is_not_pushed(registry: ContractRegistry) -> None:
    blob = Blob(digest_of(BIG), len(BIG), "", lambda: iter([BIG[:500_000]]))
    with pytest.raises(DigestMismatch, match="got 500000 bytes"), Client(registry.host, access()) as client:
        upload(client, "team/app", blob)
    assert registry.blobs == {}


def test_memory_stays_flat_however_large_the_blob(registry: ContractRegistry) -> None:
    size = 64 << 20
    piece = bytes(1 << 20)

    def swallow(request: Request) -> None:
        left = int(request.headers["Content-Length"])
        while left:
            left -= len(request.rfile.read(min(left, 1 << 16)))
        request.say(201)

    registry.spoilers.append(on("PUT", "/uploads/", swallow))
    blob = Blob("sha256:" + "1" * 64, size, "", lambda: (piece for _ in range(size >> 20)))
    with Client(registry.host, access(chunk=size)) as client:
        upload(client, "team/app", Blob.of(SMALL))  # imports
        tracemalloc.start()
        try:
            upload(client, "team/app", blob)
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()


# --- refusals and overload --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_an_overload_is_waited_for(registry: ContractRegistry, method: str) -> None:
    registry.spoilers.append(on(method, "/blobs/", lambda request: request.say(429, Retry_After="1"), 1))
    begun = time.monotonic()
    with Client(registry.host, access()) as client:
        upload(client, "team/app", Blob.of(SMALL))
    assert time.monotonic() - begun >= 1
    assert registry.blobs["team/app", digest_of(SMALL)] == SMALL


def test_an_overload_without_an_end_is_an_error(registry: ContractRegistry) -> None:
    registry.spoilers.append(on("HEAD", "/", lambda request: request.say(503)))
    with pytest.raises(RegistryDown, match="answered 503") as caught:
        pushed(registry, image(SMALL))
    assert caught.value.retryable
    assert len(registry.asked) == 4


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (507, "UNKNOWN", "insufficient storage"),
        (500, "UNKNOWN", "write /storage: no space left on device"),
        (403, "DENIED", "adding 1.2 GiB would exceed the quota of 1 GiB"),
    ],
)
def test_a_full_registry_says_so(registry: ContractRegistry, status: int, code: str, message: str) -> None:
    def full(request: Request) -> None:
        request.read()
        request.refuse(status, code, message)

    registry.spoilers.append(on("PUT", "/uploads/", full))
    with pytest.raises(RegistryFull, match="no room left") as caught:
        pushed(registry, image(BIG))
    assert message in str(caught.value)
    assert caught.value.exit_code == 70


def test_a_refusal_names_the_registrys_reason(registry: ContractRegistry) -> None:
    refuse = on("PUT", "/manifests/", lambda request: request.refuse(400, "TAG_INVALID", "tag is \x1b[31mimmutable"))
    registry.spoilers.append(refuse)
    with pytest.raises(RegistryRefused, match=r"400 \(TAG_INVALID: tag is \[31mimmutable\)"):
        pushed(registry, image(SMALL))


def test_forbidden_and_missing(registry: ContractRegistry) -> None:
    registry.spoilers.append(on("POST", "/uploads/", lambda request: request.refuse(403, "DENIED", "read only")))
    with pytest.raises(AccessDenied, match=r"forbids it \(DENIED: read only\)"):
        pushed(registry, image(SMALL))
    with pytest.raises(NotFound), Client(registry.host, access()) as client:
        client.manifest("team/none", "1")


def test_nobody_listens() -> None:
    with pytest.raises(RegistryDown, match="no connection"), Client("127.0.0.1:1", access()) as client:
        client.manifest_digest("a", "1")


# --- lies -------------------------------------------------------------------------------------------------------------

OTHER = "sha256:" + "0" * 64


@pytest.mark.parametrize("part", ["/uploads/", "/manifests/"])
def test_a_registry_that_stored_something_else(registry: ContractRegistry, part: str) -> None:
    def lie(request: Request) -> None:
        request.read()
        request.say(201, Docker_Content_Digest=OTHER)

    registry.spoilers.append(on("PUT", part, lie))
    with pytest.raises(DigestMismatch) as caught:
        pushed(registry, image(SMALL))
    assert caught.value.exit_code == 50
    assert OTHER in str(caught.value)


@pytest.mark.parametrize("spoilt", [b"y" * 2_000, b"short", b"y" * 5_000])
def test_wrong_bytes_of_a_blob_are_never_kept(registry: ContractRegistry, tmp_path: Path, spoilt: bytes) -> None:
    pushed(registry, image(SMALL))
    registry.blobs["team/app", digest_of(SMALL)] = spoilt
    layout = LayoutSink(str(tmp_path / "layout"))
    with pytest.raises((DigestMismatch, RegistryDown)), Client(registry.host, access()) as client:
        pull(client, parse(f"{registry.host}/team/app:1"), layout)
    assert not layout.has(digest_of(SMALL), len(SMALL))
    store = Store(str(tmp_path / "store"))
    with pytest.raises((DigestMismatch, RegistryDown)), Client(registry.host, access()) as client:
        pull(client, parse(f"{registry.host}/team/app:1"), StoreSink(store))
    assert not store.has(digest_of(SMALL)[7:])


def test_a_manifest_by_digest_must_have_it(registry: ContractRegistry) -> None:
    made = image(SMALL)
    pushed(registry, made)
    kind, _ = registry.manifests["team/app", made.digest]
    registry.manifests["team/app", made.digest] = (kind, image(BIG).raw)
    with pytest.raises(DigestMismatch), Client(registry.host, access()) as client:
        client.manifest("team/app", made.digest)


def test_a_manifest_by_tag_must_have_the_digest_that_comes_with_it(registry: ContractRegistry) -> None:
    def lie(request: Request) -> None:
        request.say(200, image(SMALL).raw, Docker_Content_Digest=OTHER, Content_Type=MANIFEST)

    registry.spoilers.append(on("GET", "/manifests/", lie))
    with pytest.raises(DigestMismatch), Client(registry.host, access()) as client:
        client.manifest("team/app", "1")


def test_a_blob_that_is_there_in_another_size(registry: ContractRegistry) -> None:
    registry.blobs["team/app", digest_of(SMALL)] = b"short"
    with pytest.raises(DigestMismatch, match="got 5 bytes"):
        pushed(registry, image(SMALL))


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"schemaVersion":1}', b"[" * 100_000, b'{"schemaVersion":2,"config":{},"layers":[]}',
     b'{"schemaVersion":2,"mediaType":"text/html"}',
     b'{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"x","size":1}]}'],
)  # fmt: skip
def test_a_manifest_that_is_none(registry: ContractRegistry, document: bytes) -> None:
    registry.spoilers.append(on("GET", "/manifests/", lambda request: request.say(200, document)))
    with pytest.raises(StagerError) as caught, Client(registry.host, access()) as client:
        client.manifest("team/app", "1")
    assert isinstance(caught.value, BadArchive)


def test_a_manifest_without_an_end(registry: ContractRegistry) -> None:
    registry.spoilers.append(on("GET", "/manifests/", lambda request: request.say(200, b" " * (5 << 20))))
    with pytest.raises(RegistryError, match="larger than"), Client(registry.host, access()) as client:
        client.manifest("team/app", "1")


# --- pulling over bad lines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_is_cut_goes_on(registry: ContractRegistry, tmp_path: Path, ranges: bool) -> None:
    pushed(registry, image(BIG))

    def cut(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(BIG)))
        request.end_headers()
        request.wfile.write(BIG[:400_000])
        request.wfile.flush()
        request.hang_up()

    registry.spoilers.append(on("GET", digest_of(BIG), cut, 1))
    if not ranges:
        registry.spoilers.append(on("GET", digest_of(BIG), lambda request: request.say(200, BIG)))
    with Client(registry.host, access()) as client:
        got = b"".join(client.blob("team/app", digest_of(BIG), len(BIG)))
    assert got == BIG
    assert "range" in [asked for asked in registry.asked if asked.method == "GET"][-1].headers


def test_a_blob_elsewhere_is_fetched_without_the_login(registry: ContractRegistry, tmp_path: Path) -> None:
    with ContractRegistry() as elsewhere:
        elsewhere.spoilers.append(on("GET", "/stored", lambda request: request.say(200, BIG)))
        pushed(registry, image(BIG))
        target = f"http://{elsewhere.host}/stored?signature=abc"
        registry.spoilers.append(on("GET", digest_of(BIG), lambda request: request.say(307, Location=target)))
        with pytest.raises(RegistryDown, match="points to a place that is refused"):
            b"".join(Client(registry.host, access()).blob("team/app", digest_of(BIG), len(BIG)))
        assert not elsewhere.asked
        with Client(registry.host, access(indexes=HERE)) as client:
            assert b"".join(client.blob("team/app", digest_of(BIG), len(BIG))) == BIG
        assert [asked.path for asked in elsewhere.asked] == ["/stored?signature=abc"]


def test_a_redirect_without_an_end(registry: ContractRegistry) -> None:
    registry.spoilers.append(on("GET", "/manifests/", lambda request: request.say(307, Location=request.path)))
    with pytest.raises(RegistryDown, match="redirects too often") as caught, Client(registry.host, access()) as client:
        client.manifest("team/app", "1")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "target",
    ["http://files.example/x", "ftp://127.0.0.1/x", "http://user:pw@127.0.0.1:1/x", "file:///etc/passwd"],
)
def test_an_upload_is_not_sent_just_anywhere(registry: ContractRegistry, target: str) -> None:
    registry.spoilers.append(on("POST", "/uploads/", lambda request: request.say(202, Location=target)))
    with pytest.raises(RegistryDown) as caught:
        pushed(registry, image(SMALL))
    assert not caught.value.retryable
    assert "pw" not in str(caught.value)


# --- time and stopping ------------------------------------------------------------------------------------------------


def test_a_server_that_drips_is_left(registry: ContractRegistry) -> None:
    def drip(request: Request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(600):
            request.wfile.write(b"x")
            time.sleep(0.05)
        request.hang_up()

    registry.spoilers.append(on("HEAD", "/", drip))
    from dataclasses import replace

    patience = replace(access().patience, grace=0.5, waits=(0.01,))
    begun = time.monotonic()
    with pytest.raises(RegistryDown, match="took too long"), Client(registry.host, access(patience=patience)) as client:
        client.manifest_digest("team/app", "1")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("where", ["HEAD", "PUT"])
def test_stopping_takes_moments_and_publishes_nothing(registry: ContractRegistry, where: str) -> None:
    stop, waiting = threading.Event(), threading.Event()

    def hang(request: Request) -> None:
        waiting.set()
        time.sleep(10)

    registry.spoilers.append(on(where, "/", hang))

    def stopper() -> None:
        waiting.wait(5)
        stop.set()

    threading.Thread(target=stopper, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        pushed(registry, image(BIG, SMALL), how=access(cancel=stop))
    assert time.monotonic() - begun < 2
    assert registry.manifests == {}


def test_progress_is_told_and_ends_at_the_whole(registry: ContractRegistry) -> None:
    events: list[Event] = []
    made = image(BIG, SMALL)
    pushed(registry, made, how=access(progress=events.append, chunk=CHUNK))
    total = sum(blob.size for blob in made.blobs)
    assert {event.verb for event in events} == {"push"}
    assert {event.total for event in events} == {total}
    assert max(event.done for event in events) == total
    assert events[-1].what == "3 of 3 blobs"


def test_the_first_failure_stops_the_others(registry: ContractRegistry) -> None:
    layers = [noise(400_000, seed) for seed in range(12)]
    registry.spoilers.append(on("POST", "/uploads/", lambda request: request.refuse(403, "DENIED"), 1))
    with pytest.raises(AccessDenied):
        pushed(registry, image(*layers))
    assert registry.manifests == {}
    assert len(registry.blobs) < 12


def test_many_threads_share_a_client(registry: ContractRegistry) -> None:
    blobs = [Blob.of(noise(50_000, seed)) for seed in range(16)]
    failed: list[BaseException] = []

    def work(client: Client, blob: Blob) -> None:
        try:
            assert upload(client, "team/app", blob) == "uploaded"
        except BaseException as error:
            failed.append(error)

    with Client(registry.host, access(chunk=20_000)) as client:
        threads = [threading.Thread(target=work, args=(client, blob)) for blob in blobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    assert {digest for _, digest in registry.blobs} == {blob.digest for blob in blobs}


# --- referrers --------------------------------------------------------------------------------------------------------

SIGNATURE, BILL = "application/vnd.example.signature.v1", "application/vnd.example.sbom.v1"


@pytest.mark.parametrize("api", [True, False])
def test_artifacts_are_attached_and_found_again(registry: ContractRegistry, api: bool) -> None:
    registry.referrers = api
    made = image(SMALL)
    pushed(registry, made)
    subject = Descriptor(MANIFEST, made.digest, len(made.raw))
    with Client(registry.host, access()) as client:
        assert referrers(client, "team/app", made.digest) == ()
        one = attach(
            client, "team/app", subject, SIGNATURE, [("application/json", b"{}"), ("text/plain", b"sig")], {"k": "v"}
        )
        two = attach(client, "team/app", subject, BILL, [("application/json", b'{"bom":1}')])
        again = attach(client, "team/app", subject, BILL, [("application/json", b'{"bom":1}')])
        assert again == two
        assert {found.digest for found in referrers(client, "team/app", made.digest)} == {one.digest, two.digest}
        assert referrers(client, "team/app", made.digest, SIGNATURE) == (one,)
        found = client.manifest("team/app", one.digest)
        assert found.subject == made.digest
        assert found.artifact_type == SIGNATURE
        layers = found.blobs[1:]
        read = [b"".join(client.blob("team/app", blob.digest, blob.size)) for blob in layers]
        assert read == [b"{}", b"sig"]
    assert (("team/app", fallback_tag(made.digest)) in registry.manifests) is not api
    assert fallback_tag(made.digest) == made.digest.replace(":", "-")


def test_a_list_that_others_write_at_the_same_time(registry: ContractRegistry) -> None:
    """Another writer's list replaces ours once, right after it was stored: it is read again, and ours is added."""
    registry.referrers = False
    made = image(SMALL)
    pushed(registry, made)
    subject = Descriptor(MANIFEST, made.digest, len(made.raw))
    tag = fallback_tag(made.digest)
    with Client(registry.host, access()) as client:
        other = attach(client, "team/app", subject, BILL, [("text/plain", b"other")])
        theirs = registry.manifests["team/app", tag]

        def race(request: Request) -> None:
            request.read()
            registry.manifests["team/app", tag] = theirs
            request.say(201)

        registry.spoilers.append(on("PUT", tag, race, 1))
        mine = attach(client, "team/app", subject, BILL, [("text/plain", b"mine")])
        assert {found.digest for found in referrers(client, "team/app", made.digest)} == {other.digest, mine.digest}
        registry.spoilers.append(on("PUT", tag, race))
        with pytest.raises(RegistryRefused, match="same time"):
            attach(client, "team/app", subject, BILL, [("text/plain", b"never")])


@pytest.mark.parametrize("body", [b"[]", b'{"manifests": 5}', b'{"manifests": [{"digest": "x"}]}', b"<html>"])
def test_a_malformed_list_is_an_error(registry: ContractRegistry, body: bytes) -> None:
    registry.spoilers.append(on("GET", "/referrers/", lambda request: request.say(200, body)))
    with pytest.raises((BadArchive, RegistryDown)), Client(registry.host, access()) as client:
        referrers(client, "team/app", OTHER)
