"""What no command takes: an option cut short, an empty value, a number without sense. All is told before any work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_droplets import PROCFILE, small_droplet

from stager import cli
from stager.cli.commands import GROUPS, MODULES
from stager.cli.commands.arguments import parser_of

EMPTY = {("up", "--drain"), ("run", "--command")}
"""Options that an empty value takes back."""
NO_NUMBER = ("-1", "abc", "1.5x", "nan", "inf", "1e999", "0x10", "٣", "1_0", " 7", "9" * 30)


def options() -> Iterator[tuple[str, str, Any]]:
    """Every command's every option, with argparse's record of it."""
    for words in MODULES:
        for action in parser_of(words)._actions:
            for option in action.option_strings:
                yield words, option, action


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """What is told about a command line that must be refused as such."""
    code = cli.main([*words])
    out, err = capfd.readouterr()
    assert code == 2, f"{words}: {code}\n{out}\n{err}"
    assert "Traceback" not in err
    assert out == ""
    return err


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder to be in; nothing may be left in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGER_CACHE_DIR", str(tmp_path / "store"))
    yield
    assert set(os.listdir(tmp_path)) <= {"d"}


def test_no_option_may_be_cut_short(capfd: pytest.CaptureFixture[str]) -> None:
    known = {(words, option) for words, option, _ in options()}
    for words, option, action in options():
        short = option[:-1]
        if len(short) > 3 and (words, short) not in known:
            value = [] if action.nargs == 0 else ["1"]
            assert f"unrecognized arguments: {short} [UsageError]\n" in refused(capfd, *words.split(), short, *value)
    for group in GROUPS:
        assert f"'stager {group}' lacks a word" in refused(capfd, group, "--hel")
    assert "no command stands before --hel" in refused(capfd, "--hel")
    assert "no command stands before --versio" in refused(capfd, "--versio")


def test_no_value_may_be_empty(capfd: pytest.CaptureFixture[str]) -> None:
    for words, option, action in options():
        if action.nargs != 0 and (words, option) not in EMPTY:
            assert f"{option} has an empty value" in refused(capfd, *words.split(), option, "")
            if option.startswith("--"):
                assert f"{option} has an empty value" in refused(capfd, *words.split(), f"{option}=")
    for words in MODULES:
        if words != "ssh":
            assert "an argument is empty" in refused(capfd, *words.split(), "")


def test_every_number_has_sense(capfd: pytest.CaptureFixture[str]) -> None:
    found = {}
    for words, option, action in options():
        assert action.type not in (int, float), f"{words} {option} takes any number"
        if (isinstance(action.default, int | float) and action.nargs != 0) or option in ("--k-of-n", "--max-in-flight"):
            found[f"{words} {option}"] = action
            zero = () if option in ("--lines", "-n") else ("0",)
            for value in (*NO_NUMBER, *zero):
                told = refused(capfd, *words.split(), option, value)
                assert f"{value!r} is no " in told
    assert {"stage --jobs", "run --port", "run --memory", "up --port", "check --limit", "logs --lines"} <= {*found}
    assert len(found) > 20


@pytest.mark.parametrize("value", ["65536", "99999", "70000"])
def test_no_port_is_so_high(value: str, capfd: pytest.CaptureFixture[str]) -> None:
    for words, option, _ in options():
        if option == "--port":
            assert "from 1 to 65,535" in refused(capfd, *words.split(), option, value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("run --env =x", "has no value"),
        ("run --env x", "has no value"),
        ("run --env a-b=x", "is no name of a variable"),
        ("up --scale web", "is not TYPE=N"),
        ("export oci --label x", "has no value"),
        ("verify --conditions nosuch", "there is no condition 'nosuch'"),
        ("verify --skip umask,nosuch", "there is no condition 'nosuch'"),
        ("verify --python no/such/python", "--python no/such/python is no program"),
        ("export oci -t Bad:Tag:", "names no image"),
        ("push oci d x.invalid/y --mount-from BAD", "names no image"),
        ("sbom --attach Bad:Tag:", "names no image"),
        ("attest --key none --attach Bad:Tag:", "names no image"),
        ("export chef --url nowhere", "--url is no URL"),
        ("run --in stack --root nowhere", "--root nowhere: there is no such file"),
        ("rollback cloudfoundry shop --digest xyz", "is no SHA-256 digest"),
        ("promote cloudfoundry a b --digest sha256:0", "is no SHA-256 digest"),
        ("stage --arch x86", "invalid choice: 'x86'"),
        ("stage a b", "unrecognized arguments: b"),
        ("cache gc --max-size -5", "is no size"),
        ("nosuch", "there is no command 'nosuch'"),
        ("export", "'stager export' lacks a word"),
    ],
)
def test_what_means_nothing_is_told_before_any_work(line: str, why: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert why in refused(capfd, *line.split())


@pytest.mark.parametrize(
    ("option", "value"), [("--cpu", "0"), ("--memory", "0"), ("--memory", "0.0Gi"), ("--cpu", "0m")]
)
def test_nothing_runs_with_no_cpu_or_memory(
    option: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d").mkdir()
    droplet = small_droplet(tmp_path / "d", {"Procfile": PROCFILE})
    monkeypatch.setenv("STAGER_CACHE_DIR", str(tmp_path / "d/store"))
    words = ["export", "openshift", str(droplet), "--base", "scratch", "--image", "h.example/x", option, value]
    assert f"{value!r} is no amount" in refused(capfd, *words, "-o", str(tmp_path / "out"))


def test_a_refused_command_line_is_a_document_too(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["stage", "--json", "--jobs", "0"], ["inspect", "--json", ""], ["detect", "--nosuch", "--json"]):
        assert cli.main(words) == 2
        found = json.loads(capfd.readouterr().out)["error"]
        assert (found["code"], found["exit"]) == ("UsageError", 2)


def test_what_belongs_to_another_program_may_be_empty(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["ssh", "--", "grep", ""], ["ssh", "printf", ""]):
        assert cli.main(words) == 70
        assert "this app's machine" in capfd.readouterr().err
    assert "--dir has an empty value" in refused(capfd, "ssh", "--dir", "", "true")


@pytest.mark.tools  # root makes a network where low ports are root's, and leaves it as somebody else
def test_a_low_port_is_not_for_everybody() -> None:
    code = "from stager.local import running\ntry: running.chosen_port(80)\nexcept Exception as error: print(error)"
    user = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    ]
    done = subprocess.run(
        ["unshare", "--net", *user, sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout == (
        "port 80 of this machine may not be listened on by this user\n"
        "  Choose one of 1024 or more with --port, or leave that out.\n"
    )
