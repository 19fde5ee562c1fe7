"""Nasty values at every place of stager's own records: a typed error or the same value, nothing else and no way out."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_droplets import small_droplet
from test_assembly import Bench
from test_lockfile import PLAN

from stager.droplet.reader import launch_info, open_droplet
from stager.errors import BadLock, StagerError
from stager.local.running import unpack
from stager.model import Plan
from stager.planning import lockfile

NASTY: list[Any] = [
    "", ".", "..", "../x", "../../../../etc/passwd", "/etc/passwd", "//x", "a//b", "a/./b", "a/../b", "./a", "a/", "~",
    "-rf",
    "\0", "a\0b", "\n", "a\nb", "\r", "\t", "\x1b[2J", "\x7f", "\x85", "\u202e", "\u2028", "\ufeff", "\uffff",
    "\U000e0001", "\\",
    "C:\\x", ".wh.x", "a/.wh..wh..opq", "n" * 256, "ü" * 200, "d/" * 80 + "x", "p" * 5000, "²", "٣", "9" * 5000,
    "1e999", "NaN",
    "sha256:", "sha256:" + "0" * 64, "sha512:" + "0" * 128, "md5:" + "0" * 32, "npm/99", "wheel/1", "file:../x", "file:/etc",
    "https://u:p@h/", "https://[::1", "ftp://x/", "javascript:0", "pkg:", "pkg:npm/x", "pkg:npm/%2e%2e@1", "pkg:npm/%00@1",
    ".stager/bin/launch", ".stager/launch.json", ".stager", "node_modules", "app", "stager.lock", "{{ x }}", "$(id)",
    "`id`", "'",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every text and number of a plan."""
    if is_dataclass(value):
        for field in fields(value):
            yield from places(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, tuple):
        for index, one in enumerate(value):
            yield from places(one, (*path, index))
    else:
        yield path


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with another one at the end of the way."""
    if not path:
        return new
    if isinstance(path[0], str):
        return replace(value, **{path[0]: changed(getattr(value, path[0]), path[1:], new)})
    return tuple(changed(one, path[1:], new) if index == path[0] else one for index, one in enumerate(value))


DEEP = "[" * 3000
SAVED = [path for path in places(PLAN) if path[0] not in ("notes", "hints")]


def read(plan: Plan) -> Plan | None:
    """The plan as its lock says it, None when the lock is refused."""
    try:
        text = lockfile.dumps(plan)
    except (TypeError, UnicodeError):
        return None  # what cannot even be written
    try:
        found = lockfile.loads(text.encode("utf-8", "surrogatepass")).plan
    except BadLock:
        return None
    assert lockfile.dumps(found) == text
    return found


@pytest.mark.parametrize("path", SAVED, ids=lambda path: ".".join(map(str, path)))
def test_every_nasty_text_at_every_place(path: tuple[Any, ...]) -> None:
    for value in NASTY:
        plan = changed(PLAN, path, value)
        found = read(plan)
        assert found is None or lockfile.dumps(found) == lockfile.dumps(plan)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_other_types_and_any_text(data: st.DataObject) -> None:
    text = lockfile.dumps(PLAN)
    quoted = [found.span() for found in re.finditer(r'"(?:[^"\\]|\\.)*"|\b\d+\b', text)]
    begin, end = data.draw(st.sampled_from(quoted))
    other = data.draw(
        st.sampled_from(["1", "-1", "0x7f", "1.5", "inf", "nan", "true", "[]", "[[]]", "{}", "1979-05-27", "''", DEEP])
        | st.text(max_size=30).map(lambda word: json.dumps(word, ensure_ascii=False))
    )  # fmt: skip
    spoiled = (text[:begin] + other + text[end:]).encode("utf-8", "surrogatepass")
    try:
        plan = lockfile.loads(spoiled).plan
    except StagerError:
        return
    assert lockfile.dumps(plan).encode() == spoiled


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_plan_that_is_read_leads_nowhere_else(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    bench.npm("beta", {"index.js": b"", "cli.js": b"#!/usr/bin/env node\n"}, bin={"beta": "cli.js"})
    plan = bench.plan(links=(("node_modules/l", "../lib"),), files=(("gen/file", "x\n"),))
    path = data.draw(st.sampled_from([path for path in places(plan) if path[0] not in ("notes", "hints", "inputs")]))
    found = read(changed(plan, path, data.draw(st.sampled_from(NASTY))))
    if found is None:
        return
    try:
        bench.stage(bench.base(found))
    except (StagerError, KeyError):  # KeyError: the bench has no artifact of that digest
        return
    with tarfile.open(bench.out) as archive:
        names = archive.getnames()
    assert [
        name
        for name in names
        if os.path.normpath(name) != name.removeprefix("./").rstrip("/") or ".." in name.split("/")
    ] == []
    unpack(str(bench.out), str(bench.out.parent / "unpacked"))


# --- the records of a droplet ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return gzip.decompress(small_droplet(tmp_path_factory.mktemp("droplet")).read_bytes())


def respelled(tar: bytes, name: str, record: Any) -> bytes:
    """The droplet's tar with another record in it; its own sizes and sums may be wrong then, as an attacker's are."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tar)) as old,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            data = old.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            if member.name.endswith(name):
                data = json.dumps(record).encode() if not isinstance(record, bytes) else record
                member.size = len(data)
            new.addfile(member, io.BytesIO(data) if member.isfile() else None)
    return out.getvalue()


def nasty_documents(document: Any) -> st.SearchStrategy[Any]:
    """The document with a nasty value, of any type, in place of one of its parts."""
    ways: list[tuple[Any, ...]] = []

    def walk(value: Any, way: tuple[Any, ...]) -> None:
        ways.append(way)
        for key, one in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            walk(one, (*way, key))

    def put(value: Any, way: tuple[Any, ...], new: Any) -> Any:
        if not way:
            return new
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[way[0]] = put(value[way[0]], way[1:], new)
        return copy

    walk(document, ())
    odd = [None, True, -1, 0, 1, 1 << 31, 1 << 64, 10**400, 1.5, float("inf"), [], {}, [[]], {"": ""}, *NASTY]
    return st.tuples(st.sampled_from(ways), st.sampled_from(odd)).map(lambda pair: put(document, *pair))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from([".stager/launch.json", ".stager/layers.json", ".stager/stager.lock"]))
def test_a_droplets_records(
    data: st.DataObject, name: str, droplet: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with tarfile.open(fileobj=io.BytesIO(droplet)) as archive:
        text = archive.extractfile(f"./app/{name}").read()  # type: ignore[union-attr]
    record = data.draw(nasty_documents(json.loads(text)) if name.endswith("json") else st.binary(max_size=60))
    place = tmp_path_factory.mktemp("d") / "droplet.tgz"
    place.write_bytes(gzip.compress(respelled(droplet, name, record), 1, mtime=0))
    for use in (opened, lambda path: unpack(path, str(place.parent / "out"))):
        try:
            use(str(place))
        except StagerError:
            continue


def opened(path: str) -> None:
    with open_droplet(path) as found:
        _ = found.plan
        for layer in found.layers:
            for _ in found.tar(layer):
                pass


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_launch_facts_are_what_they_are_used_as(data: st.DataObject, droplet: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(droplet)) as archive:
        document = json.loads(archive.extractfile("./app/.stager/launch.json").read())  # type: ignore[union-attr]
    spoiled = data.draw(nasty_documents(document))
    try:
        launch = launch_info(json.dumps(spoiled).encode(), "a droplet")
    except StagerError:
        return
    assert os.sep not in launch.stack
    assert launch.stack not in (".", "..")
    assert all(
        isinstance(value, str) for table in (launch.processes, launch.env, launch.runtimes) for value in table.values()
    )


def test_the_nasty_list_is_refused_somewhere(tmp_path: Path) -> None:
    """A list of which nothing is refused would test nothing."""
    refused = sum(read(changed(PLAN, ("links", 0, 0), value)) is None for value in NASTY)
    assert refused > len(NASTY) // 2
