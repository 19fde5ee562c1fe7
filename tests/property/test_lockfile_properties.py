"""Every plan survives being written and read, byte for byte; no bytes at all make reading fail otherwise than typed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stager.digest import Digest, sha256
from stager.errors import BadLock
from stager.model import Artifact, BuildpackPin, EnvVar, Plan, Process, Reason, Runtime
from stager.planning import layouts, lockfile

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
WORD = st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True)
PATH = st.lists(WORD, min_size=1, max_size=4).map("/".join)
VERSION = st.builds("{}.{}".format, st.integers(0, 99), st.integers(0, 99))
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(str.strip)
DIGEST = st.binary(max_size=8).map(sha256)
REASON = st.builds(Reason, TEXT) | st.builds(Reason, TEXT, PATH) | st.builds(Reason, TEXT, PATH, st.integers(1, 9999))


def pairs(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    return st.dictionaries(PATH, values, max_size=4).map(lambda found: tuple(found.items()))


def several(values: st.SearchStrategy[Any], key: str) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=3, unique_by=lambda one: getattr(one, key)).map(tuple)


PLANS = st.builds(
    Plan,
    stack=WORD,
    architecture=st.sampled_from(["amd64", "arm64"]),
    codec=WORD,
    buildpacks=several(st.builds(BuildpackPin, WORD, DIGEST, REASON, st.just("") | PATH), "name"),
    inputs=st.dictionaries(PATH, DIGEST, max_size=4).map(lambda found: tuple(found.items())),
    runtimes=several(
        st.builds(Runtime, WORD, VERSION, WORD, st.tuples(st.integers(0, 9), st.integers(0, 99)), REASON), "name"
    ),
    artifacts=several(
        st.builds(
            Artifact,
            purl=st.builds("pkg:pypi/{}@{}".format, WORD, VERSION),
            filename=WORD,
            digest=DIGEST | st.just(Digest("sha512:" + "0f" * 64)),
            layout=st.sampled_from(sorted(layouts.names() - {"npm/1"})),
            paths=st.lists(PATH, min_size=1, max_size=3, unique=True).map(tuple),
            size=st.none() | st.integers(0, 1 << 50),
            url=st.just("") | st.builds("https://files.example/{}".format, PATH) | st.builds("file:{}".format, PATH),
        ),
        "purl",
    ),
    links=pairs(WORD),
    files=pairs(TEXT),
    processes=several(st.builds(Process, WORD, LINE, REASON), "type"),
    env=several(st.builds(EnvVar, st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True), TEXT, REASON), "name"),
    facts=pairs(TEXT),
)


@settings(max_examples=50, deadline=None)
@given(PLANS)
def test_a_plan_survives_the_round_trip(plan: Plan) -> None:
    text = lockfile.dumps(plan)
    assert lockfile.loads(text.encode()) == lockfile.locked(plan)


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
        changed = lockfile.loads(bytes(data)).plan
    except BadLock:
        return
    assert lockfile.plan_digest(changed) != lockfile.plan_digest(plan)
