"""Every plan survives being written and read, byte for byte; no bytes at all make reading fail otherwise than typed."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stager import lockfile
from stager.digest import Digest, sha256
from stager.errors import BadLock
from stager.model import Artifact, BuildpackPin, EnvVar, Plan, Process, Reason, Runtime

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WORD = st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True)
PATH = st.lists(WORD, min_size=1, max_size=4).map("/".join)
DIGEST = st.binary(max_size=8).map(sha256)
REASON = st.builds(Reason, TEXT) | st.builds(Reason, TEXT, PATH) | st.builds(Reason, TEXT, PATH, st.integers(1, 9999))


def pairs(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    return st.dictionaries(PATH, values, max_size=4).map(lambda found: tuple(found.items()))


PLANS = st.builds(
    Plan,
    stack=WORD,
    architecture=st.sampled_from(["amd64", "arm64"]),
    codec=TEXT,
    buildpacks=st.lists(st.builds(BuildpackPin, WORD, DIGEST, REASON, st.just("") | PATH), max_size=3).map(tuple),
    inputs=st.dictionaries(PATH, DIGEST, max_size=4).map(lambda found: tuple(found.items())),
    runtimes=st.lists(
        st.builds(Runtime, WORD, TEXT, WORD, st.tuples(st.integers(0, 9), st.integers(0, 99)), REASON), max_size=3
    ).map(tuple),
    artifacts=st.lists(
        st.builds(
            Artifact,
            purl=TEXT,
            filename=TEXT,
            digest=DIGEST | st.just(Digest("sha512:" + "0f" * 64)),
            layout=WORD,
            paths=st.lists(PATH, max_size=3).map(tuple),
            size=st.none() | st.integers(0, 1 << 50),
            url=TEXT,
        ),
        max_size=4,
    ).map(tuple),
    links=pairs(WORD),
    files=pairs(TEXT),
    processes=st.lists(st.builds(Process, WORD, TEXT, REASON), max_size=3).map(tuple),
    env=st.lists(
        st.builds(EnvVar, st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True), TEXT, REASON), max_size=3
    ).map(tuple),
    facts=pairs(TEXT),
)


@settings(max_examples=50, deadline=None)
@given(PLANS)
def test_a_plan_survives_the_round_trip(plan: Plan) -> None:
    text = lockfile.dumps(plan)
    assert lockfile.loads(text.encode()) == plan
    assert lockfile.dumps(lockfile.loads(text.encode())) == text


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(b"version = 1\n")
@example(b"version = 1\nartifact = 3\n")
@example(b"version = 1\n[[artifact]]\n")
def test_any_bytes_are_a_typed_refusal(data: bytes) -> None:
    with pytest.raises(BadLock):
        lockfile.loads(data)


@settings(max_examples=50, deadline=None)
@given(PLANS, st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_noticed(plan: Plan, place: int, value: int) -> None:
    """Either the lock is refused, or it says something else and therefore has another identity."""
    data = bytearray(lockfile.dumps(plan).encode())
    place %= len(data)
    if data[place] == value:
        return
    data[place] = value
    try:
        changed = lockfile.loads(bytes(data))
    except BadLock:
        return
    assert lockfile.plan_digest(changed) != lockfile.plan_digest(plan)
