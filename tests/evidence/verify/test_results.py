"""What people and CI read: text, JSON, JUnit; nothing in them from an untrusted file can break them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from command import in_process
from patched import build, prepared, verify

from stager.evidence.verify.conditions import ChangedCondition, NotTried
from stager.evidence.verify.findings import HINTS, LEVELS, Finding
from stager.evidence.verify.results import Verdict, as_json, as_junit, as_text
from stager.text.wording import shown

CHANGES = (ChangedCondition("umask", "022", "077"),)
SKIPPED = (NotTried("clock", "faketime is not installed"),)
FINDING = Finding("byte", "timestamp", "./app/a & <b>", 'it "holds" a time', "line 3", "1 > 0", "2", "app", "the app")
EQUAL = Verdict("droplet.tgz", "sha256:aa", "sha256:aa", CHANGES, SKIPPED)
OTHER = Verdict("droplet.tgz", "sha256:aa", "sha256:bb", CHANGES, SKIPPED, (FINDING,), {"timestamp": 3})


def test_text_of_an_equal_one() -> None:
    assert list(as_text(EQUAL)) == [
        "tried: umask: 077",
        "not tried: clock: faketime is not installed",
        "equal: staging again gave the same as droplet.tgz",
    ]


def test_text_of_a_different_one() -> None:
    assert list(as_text(OTHER)) == [
        "tried: umask: 077",
        "not tried: clock: faketime is not installed",
        "different: droplet.tgz is not what staging again gave",
        'first cause: timestamp: ./app/a & <b> (the app): it "holds" a time at line 3 in layer app',
        "    droplet: 1 > 0",
        "    rebuilt: 2",
        f"    {HINTS['timestamp']}",
        "  3 differences in all: 3 × timestamp",
    ]
    error = OTHER.error()
    assert (error.exit_code, error.message) == (80, "expected sha256:aa, got sha256:bb")


def test_json() -> None:
    assert as_json(EQUAL) == {
        "equal": True,
        "against": "droplet.tgz",
        "digest": "sha256:aa",
        "rebuilt": "sha256:aa",
        "conditions": {
            "tried": [{"name": "umask", "here": "022", "there": "077"}],
            "not_tried": [{"name": "clock", "why": "faketime is not installed"}],
        },
        "cause": None,
        "findings": [],
        "counts": {},
        "notes": [],
    }
    assert as_json(OTHER)["cause"] == {
        "level": "byte",
        "cause": "timestamp",
        "path": "./app/a & <b>",
        "what": 'it "holds" a time',
        "field": "line 3",
        "droplet": "1 > 0",
        "rebuilt": "2",
        "layer": "app",
        "package": "the app",
        "hint": HINTS["timestamp"],
    }


def test_junit() -> None:
    suite = ElementTree.fromstring(as_junit(OTHER)).find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "timestamp"
    assert failure.get("message") == 'timestamp: ./app/a & <b> (the app): it "holds" a time'
    assert "rebuilt: 2" in (failure.text or "")
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert skipped.get("message") == "faketime is not installed"


def test_junit_of_what_xml_cannot_hold() -> None:
    bad = Finding("entry", "extra entry", shown("./app/\x00\x1b\ud800\ufffe"), "x" * 9000)
    text = as_junit(Verdict("\x07", "a", "b", (), (), (bad,), {"extra entry": 1}))
    assert ElementTree.fromstring(text).find("testsuite/testcase/failure") is not None


def test_every_cause_has_a_hint_and_shown_is_one_line() -> None:
    assert all(text.endswith(".") for text in HINTS.values())
    assert LEVELS == ("plan", "artifact", "layer", "entry", "field", "byte")
    assert shown("a\nb\x1b[0m\udcff") == "a\\nb\\x1b[0m\\xff"
    assert len(shown("x" * 5000)) == 201


def test_the_command_writes_a_junit_file(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    out = build(app, store, {})
    report = tmp_path / "report.xml"
    verify(app, store, {}, "--conditions", "umask", "--junit", report).good()
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "0"
    out.write_bytes(out.read_bytes() + b"x")
    assert verify(app, store, {}, "--conditions", "umask", "--junit", report).code == 80
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "1"


def test_the_list_of_conditions(tmp_path: Path) -> None:
    found = in_process("verify", "--conditions", "list", "--json", store=tmp_path).good().document["conditions"]
    assert [row["name"] for row in found][:3] == ["store", "path", "home"]
    text = in_process("verify", "--conditions", "list", store=tmp_path).good().out
    assert text.startswith("store        a second store, with nothing but the pinned artifacts\n")


def test_people_read_the_cause_and_exit_is_80(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    (app / "main.py").write_text("2\n")
    done = in_process("verify", "--source", app, "--conditions", "umask", "-q", store=store, cwd=tmp_path)
    assert (done.code, done.out) == (80, "")
    assert "first cause: different input: ./app/main.py (the app): the content differs" in done.err
    assert "stager: expected sha256:" in done.err
