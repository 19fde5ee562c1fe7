"""Every command speaks alike: the same arguments mean the same, and help, completion and the quick parser say what they do."""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import make_npm_tarball
from command import Done
from hypothesis import given
from hypothesis import strategies as some
from servers import Server, serve
from small_droplets import small_droplet
from test_layers import HEAVY

from stager import cli
from stager.cli.commands import EXAMPLES, GROUPS, MODULES, SECTIONS
from stager.cli.commands import help as helping
from stager.cli.commands.arguments import Parser, parser_of
from stager.cli.commands.stage import plain
from stager.digest import Digest
from stager.errors import UsageError
from stager.model import Artifact
from stager.planning import lockfile

COMMON = ("--json", "-q", "--quiet", "-v", "--verbose", "--cache-dir")
NAMES = """
    /PATH A AMOUNT APP B BASE BYTES CMD COMMAND DIR DIR|DROPLET DROPLET DROPLET|DIR FILE FILE|DIR FORMAT FROM HOST ID IMAGE
    N NAME NAME=VALUE NAMES OS/VERSION SECONDS SHA256 SIZE STACK TARGET=WHERE TARGETS TEXT TO TOPIC TYPE TYPE=N URL VERSION
    WHAT
"""
"""What the values of arguments are called: one name for one thing."""
SEVERAL = {"-o", "--output", "--keep", "--memory", "--source", "--format", "-f", "--to", "--box"}
"""Options that take another thing in another command."""


Run = Callable[..., Done]


@pytest.fixture
def stager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in an empty folder, with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGER_CACHE_DIR", str(tmp_path / "store"))

    def run(*words: str) -> Done:
        capfd.readouterr()
        try:
            code = cli.main([*words])
        except SystemExit as ended:  # argparse's --help
            code = int(ended.code or 0)
        return Done(code, *capfd.readouterr())

    return run


def actions(words: str) -> list[argparse.Action]:
    return parser_of(words)._actions


def inner(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from inner(child)


# --- the whole tree --------------------------------------------------------------------------------------------


def test_every_command_takes_the_common_options_and_none_is_abbreviated() -> None:
    tree = helping.tree()
    leaves = {parser.prog.removeprefix("stager "): parser for parser in helping.leaves(tree)}
    assert {*leaves} == {*MODULES}
    assert not [parser.prog for parser in inner(tree) if parser.allow_abbrev or not isinstance(parser, Parser)]
    wanted = [(action.option_strings, action.dest, action.help) for action in actions("stage")[-len(COMMON) // 2 :]]
    told = {
        words: [
            (action.option_strings, action.dest, action.help)
            for action in parser._actions
            if {*action.option_strings} & {*COMMON}
        ]
        for words, parser in leaves.items()
    }
    assert {name for names, _, _ in told["stage"] for name in names} == {*COMMON}
    assert wanted[-1] == told["stage"][-1]
    assert [words for words, rows in told.items() if rows != told["stage"]] == []


def test_the_values_of_arguments_have_known_names() -> None:
    found, options = set(), defaultdict(set)
    for words in MODULES:
        for action in actions(words):
            if action.nargs != 0 and (action.metavar or not action.choices):
                found.add(action.metavar)
            for option in action.option_strings:
                options[option].add((action.metavar, action.nargs == 0))
            if action.dest == "droplet":
                assert action.metavar == "DROPLET", words
            if action.dest in ("dir", "cache_dir"):
                assert "DIR" in str(action.metavar), words
    assert found == {*NAMES.split()}
    assert {option for option, kinds in options.items() if len(kinds) > 1} == SEVERAL


def test_every_command_stands_in_one_section_of_the_help() -> None:
    first = list(dict.fromkeys(name.partition(" ")[0] for name in MODULES))
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(first)
    assert {name for name in first if name not in MODULES} == {*GROUPS}


# --- help ------------------------------------------------------------------------------------------------------


def test_stager_alone_prints_help_with_five_examples(stager: Run) -> None:
    done = stager().good()
    assert done.out == stager("help").good().out == stager("--help").good().out == helping.overview()
    assert len(EXAMPLES) == 5
    assert all(f"  {example} " in done.out for example in EXAMPLES)
    assert all(title in done.out for title in SECTIONS)
    assert max(map(len, done.out.splitlines())) <= 110


def test_the_examples_are_command_lines() -> None:
    for example in EXAMPLES:
        words = shlex.split(example)[1:]
        name = next(" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in MODULES)
        parser_of(name).parse_args(words[len(name.split()) :])


def test_help_of_one_command_and_of_a_group(stager: Run) -> None:
    assert (
        stager("help", "stage").good().out == stager("stage", "--help").good().out == parser_of("stage").format_help()
    )
    assert stager("help", "cache").good().out == stager("cache", "-h").good().out == helping.group_help("cache")
    document = stager("help", "cache", "gc", "--json").good().document
    assert {"names": ["--dry-run"], "value": "", "help": "only say what would go", "required": False} in document[
        "arguments"
    ]
    assert {row["command"] for row in stager("help", "--json").good().document["commands"]} == {*MODULES}


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("stge", "there is no command 'stge'", "Did you mean stage? 'stager help' lists all commands."),
        ("qqq", "there is no command 'qqq'", "'stager help' lists all commands."),
        ("exprt oci", "there is no command 'exprt'", "Did you mean export? 'stager help' lists all commands."),
        (
            "cache gcc",
            "there is no command 'stager cache gcc'",
            "Did you mean gc? After cache comes one of: info, verify, gc.",
        ),
        ("cache", "'stager cache' lacks a word", "After cache comes one of: info, verify, gc."),
        ("help stge", "there is no command 'stge'", "Did you mean stage? 'stager help' lists all commands."),
        ("-q stage", "no command stands before -q", "Write 'stager COMMAND'; 'stager help' lists commands."),
        (
            "stage --ofline",
            "unrecognized arguments: --ofline",
            "Did you mean --offline? 'stager stage --help' says what it takes.",
        ),
        ("stage --zzz=1", "unrecognized arguments: --zzz=1", "'stager stage --help' says what it takes."),
    ],
)
def test_a_slip_is_answered_with_what_may_have_been_meant(stager: Run, line: str, message: str, hint: str) -> None:
    done = stager(*line.split())
    assert (done.code, done.out) == (2, "")
    assert (message, hint) == tuple(
        done.err.removeprefix("stager: ").replace(" [UsageError]", "").strip().split("\n  ")
    )


# --- shells and man --------------------------------------------------------------------------------------------


def test_bash_completes_commands_options_and_paths(stager: Run, tmp_path: Path) -> None:
    (tmp_path / "complete").write_text(stager("completion", "bash").good().out)
    (tmp_path / "droplet.tgz").touch()
    function = next(
        line.split()[-2] for line in (tmp_path / "complete").read_text().splitlines() if line.startswith("complete ")
    )

    def complete(*words: str) -> set[str]:
        script = (
            f'. ./complete; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); {function} stager "${{@: -1}}"; '
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", script, "bash", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return {*done.stdout.split()}

    assert complete("stager", "sta") == {"stage", "status"}
    assert complete("stager", "cache", "") == {"info", "verify", "gc"}
    assert "--offline" in complete("stager", "stage", "--off")
    assert "droplet.tgz" in complete("stager", "inspect", "dr")


def test_other_shells_and_man_get_all_commands(stager: Run) -> None:
    for text in (
        stager("completion", "zsh").good().out,
        stager("completion", "fish").good().out,
        stager("help", "--man").good().out.replace("\\-", "-"),
    ):
        for words in MODULES:
            assert words.split()[-1] in text
        assert "max-in-flight" in text


def test_what_needs_a_library_says_which_extra_has_it(stager: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    monkeypatch.setitem(sys.modules, "argparse_manpage.manpage", None)
    for words in (("completion", "bash"), ("help", "--man")):
        done = stager(*words)
        assert (done.code, done.out) == (2, "")
        assert "is not installed here [UsageError]\n  Install stager with its extra: stager[completion].\n" in done.err


# --- the quick parser ------------------------------------------------------------------------------------------

WORDS = """
    --json -q --quiet -v --offline --locked --any-stack -o --output --stack --arch --for --buildpack --jobs --cache-dir
    amd64 x86 a heroku,oci 1 0 -1 - -- --output=x -ox --nosuch -h d.tgz
"""


def long(words: list[str]) -> dict[str, object] | None:
    try:
        return vars(parser_of("stage").parse_args(words))
    except (UsageError, SystemExit):
        return None


@given(some.lists(some.sampled_from(WORDS.split()), max_size=6))
def test_the_quick_parser_reads_what_argparse_does(words: list[str]) -> None:
    short = plain(["stage", *words])
    assert short is None or vars(short) == long(words)


def test_the_quick_parser_reads_what_is_written_plainly() -> None:
    line = [
        "app",
        "-o",
        "d.tgz",
        "-q",
        "--for",
        "heroku,oci",
        "--stack",
        "debian-12",
        "--jobs",
        "3",
        "--for",
        "bosh",
        "--buildpack",
        "python",
        "--locked",
    ]
    found = plain(["stage", *line])
    assert found is not None
    assert vars(found) == long(line)
    assert plain(["stage"]) is not None


def test_a_warm_restage_imports_nothing_heavy(stager: Run, tmp_path: Path) -> None:
    """Deferred imports count, too: they are made while the command runs."""
    small_droplet(tmp_path)
    for _ in range(2):
        stager("stage", "app", "-o", "d.tgz", "-q").good()
    code = (
        "import sys; before = set(sys.modules); from stager import cli; "
        "code = cli.main(['stage', 'app', '-o', 'd.tgz', '-q']); print(code, *sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()[-1].split()
    assert "stager.droplet.incremental" in words
    assert {*words} & HEAVY <= {"re"}, "json brings it"


# --- what commands do with them --------------------------------------------------------------------------------


def test_quiet_and_json_everywhere(stager: Run, tmp_path: Path) -> None:
    """Each prints one document on standard output, and on standard error no progress."""
    droplet, app = small_droplet(tmp_path), tmp_path / "app"
    line = {
        **dict.fromkeys(("detect", "plan", "lock"), "APP"),
        "stage": "APP -o OUT",
        "explain": "-C APP",
        **dict.fromkeys(("inspect", "receipt -o OUT", "sbom --offline -o OUT", "report -o OUT.html"), "DROPLET"),
        "diff": "DROPLET DROPLET",
        "bundle export": "APP -o OUT",
        **dict.fromkeys(
            ("cloudfoundry", "heroku", "bosh", "tar", "systemd", "capistrano", "chef --url https://x.invalid/d"),
            "DROPLET -o OUT",
        ),
        **dict.fromkeys(("box list", "cache info", "cache verify", "cache gc", "help", "completion bash"), ""),
        "doctor": "--offline",
        "oci": "DROPLET --base scratch -o OUT.tar",
        "openshift": "DROPLET --base scratch --image r.invalid/a -o OUT",
    }
    targets = {name.partition(" ")[2] for name in MODULES if name.startswith("export ")}
    for number, (name, rest) in enumerate(line.items()):
        words = f"{'export ' if name.split()[0] in targets else ''}{name} {rest}"
        words = words.replace("OUT", str(tmp_path / f"out-{number}"))
        words = words.replace("DROPLET", str(droplet)).replace("APP", str(app))
        done = stager(*words.split(), "-q", "--json")
        assert done.code == 0, (words, done.err)
        document: Any = json.loads(done.out)
        assert type(document) in (dict, list), words
        assert "OUT" not in rest + name or document["path"].startswith(str(tmp_path / f"out-{number}")), words
        assert "…\n" not in done.err, words


@pytest.mark.parametrize("name", ["a-b", "1a", "a.b", "ä", "a b"])
def test_a_name_that_no_variable_can_have_is_refused(stager: Run, name: str) -> None:
    for command in ("run", "up", "export openshift"):
        done = stager(*command.split(), "--env", f"{name}=x")
        assert done.code == 2
        assert f"argument --env: {name!r} is no name of a variable" in done.err


def test_what_stands_after_a_program_is_its_own() -> None:
    found = parser_of("ssh").parse_args(["-C", "x", "grep", "-q", "--json", "-v"])
    assert (found.dir, found.command, found.quiet, found.json) == ("x", ["grep", "-q", "--json", "-v"], False, False)


def test_verbose_says_which_rule_decided(stager: Run, tmp_path: Path) -> None:
    small_droplet(tmp_path)
    for words in (("stage",), ("plan",), ("lock",), ("stage", "--offline")):  # the last is the warm way
        done = stager(*words, "app", "-v").good()
        assert "buildpack procfile: Procfile names the processes (Procfile:1)\n" in done.err
        assert "process web: " in done.err
        assert "process web: " not in stager(*words, "app").good().err


def test_verbose_says_what_was_fetched_from_where(stager: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_droplet(tmp_path)
    stager("lock", "app").good()
    data = make_npm_tarball("left", {"index.js": b"// left\n"})
    digest = Digest("sha512:" + hashlib.sha512(data).hexdigest())
    lock = tmp_path / "app" / "stager.lock"
    artifact = Artifact("pkg:npm/left@1.0.0", "left-1.0.0.tgz", digest, "npm/1", ("node_modules/left",))
    lock.write_text(lockfile.dumps(replace(lockfile.loads(lock.read_bytes()).plan, artifacts=(artifact,))))
    with Server() as server:
        server.routes["/left/-/left-1.0.0.tgz"] = serve(data)
        monkeypatch.setenv("npm_config_registry", server.url)
        for words, told in ((("-v",), True), (("-v",), False), (("-q", "-v"), False)):
            done = stager("stage", "app", "--locked", "-o", "d.tgz", *words).good()
            assert ("\n  left@1.0.0 from 127.0.0.1\n" in done.err) == told  # fetched once; then it is in the store
            assert "process web: " in done.err
    assert server.paths() == ["/left/-/left-1.0.0.tgz"]
