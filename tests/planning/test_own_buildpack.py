"""A buildpack of the user's own, through the commands: chosen, locked, changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import in_process

DEFINITION = """name: perl
version: "1"
looks_for: app.pl
detect: [{file: app.pl, claim: code, why: "{file} is a Perl program"}]
start: [{for: app.pl, when: [{file: app.pl}], run: '%s', why: "{file} is there"}]
"""
MADE = "perl {file}"
CHANGED = "perl -w {file}"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    app = tmp_path / "app"
    (app / "perl").mkdir(parents=True)
    (app / "app.pl").write_text("sleep\n")
    (app / "perl/inputs.txt").write_text("app.pl\n")
    define(app, MADE)
    return app


def define(app: Path, command: str) -> None:
    (app / "perl/buildpack.yml").write_text(DEFINITION % command)


def processes(app: Path, *options: object) -> dict[str, str]:
    done = in_process("stage", app, *options, "-o", app / "droplet.tgz", "--json", store=app.parent / "store").good()
    found: dict[str, str] = done.document["processes"]
    return found


@pytest.mark.parametrize("command", ["plan", "lock"])
def test_every_planning_command_takes_its_folder(app: Path, command: str) -> None:
    done = in_process(command, app, "--buildpack", app / "perl", "--json", store=app.parent / "store").good()
    assert [pack["name"] for pack in done.document["buildpacks"]] == ["perl"]
    assert [one["command"] for one in done.document["processes"]] == ["perl app.pl"]


def test_its_lock_keeps_it(app: Path) -> None:
    in_process("lock", app, "--buildpack", app / "perl", store=app.parent / "store").good()
    assert processes(app) == processes(app, "--locked") == {"web": "perl app.pl"}


@pytest.mark.parametrize("given", [True, False])
def test_explain_knows_it(app: Path, given: bool) -> None:
    """By the option, and by the lock that it was given for."""
    option = ["--buildpack", app / "perl"]
    if not given:
        in_process("lock", app, *option, store=app.parent / "store").good()
    done = in_process("explain", "--dir", app, *(option if given else []), "--json", store=app.parent / "store").good()
    topics = done.document["topics"]
    assert topics["buildpack"][0]["answer"] == "perl takes part: asked for with --buildpack."
    assert topics["process"][0]["answer"] == "web runs `perl app.pl`: app.pl is there (app.pl)."


def test_a_change_of_it_shows_in_the_next_staging(app: Path) -> None:
    """Not even a restage of unchanged files may take what the buildpack gave before; the option is not needed again."""
    assert processes(app, "--buildpack", app / "perl") == processes(app) == {"web": "perl app.pl"}
    define(app, CHANGED)
    assert processes(app) == {"web": "perl -w app.pl"}


def test_a_change_of_it_makes_the_lock_stale(app: Path) -> None:
    processes(app, "--buildpack", app / "perl")
    define(app, CHANGED)
    refused = in_process("stage", app, "--locked", "-o", app / "droplet.tgz", "--json", store=app.parent / "store")
    assert refused.code == 20
    assert refused.document["error"]["code"] == "LockStale"
    assert refused.document["error"]["message"] == "stager.lock is out of step with the buildpack perl"


@pytest.mark.parametrize("command", ["plan", "lock"])
def test_its_lock_is_made_again_without_the_option(app: Path, command: str) -> None:
    """Whatever made the lock stale: here a setting of the app."""
    processes(app, "--buildpack", app / "perl")
    (app / "stager.yml").write_text("env: {A: b}\n")
    done = in_process(command, app, "--json", store=app.parent / "store").good()
    assert [pack["name"] for pack in done.document["buildpacks"]] == ["perl"]


def test_the_files_that_it_names_as_inputs_make_the_lock_stale(app: Path) -> None:
    processes(app, "--buildpack", app / "perl")
    (app / "app.pl").write_text("sleep 1\n")
    refused = in_process("stage", app, "--locked", "-o", app / "droplet.tgz", "--json", store=app.parent / "store")
    assert refused.document["error"]["message"] == "stager.lock is out of step with app.pl"


def test_another_stack_is_still_a_matter_of_the_command_line(app: Path) -> None:
    """The lock of the app's own stack says what it does not fit, each thing by its name."""
    processes(app, "--buildpack", app / "perl")
    (app / "stager.heroku-24.lock").write_bytes((app / "stager.lock").read_bytes())
    refused = in_process("stage", app, "--locked", "--stack", "heroku-24", "--json", store=app.parent / "store")
    assert refused.document["error"]["message"] == "stager.heroku-24.lock is out of step with the command line"


def test_a_folder_with_a_shipped_buildpacks_name_does_not_hide_it(app: Path) -> None:
    (app / "procfile").mkdir()
    (app / "Procfile").write_text("web: perl app.pl\n")
    done = in_process("plan", "--buildpack", "procfile", "--json", store=app.parent / "store", cwd=app).good()
    assert [pack["name"] for pack in done.document["buildpacks"]] == ["procfile"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "runtimes: [perl]",
            "runtimes: no runtime is called 'perl'; known here: python, node, npm, pnpm, yarn, bun, nginx",
        ),
        ("alternatives: {a: nod}", "alternatives.a: no runtime is called 'nod'; did you mean 'node'?"),
        ("ecosystem: rubygems", "ecosystem: no ecosystem is called 'rubygems'; known here: pypi, npm, deb"),
        ("runtimes: [npm]", "npm runs on Node, and the buildpack names no runtime 'node' before it"),
        ("ecosystem: pypi", "Python packages run on Python, and the buildpack names no runtime 'python'"),
    ],
)
def test_a_runtime_that_cannot_be_is_told(app: Path, line: str, said: str) -> None:
    (app / "requirements.txt").write_text(f"six==1.16.0 --hash=sha256:{'0' * 64}\n")
    with (app / "perl/buildpack.yml").open("a") as file:
        file.write(f"{line}\n")
    refused = in_process("plan", app, "--buildpack", app / "perl", "--json", store=app.parent / "store")
    assert refused.document["error"]["message"] == said
