"""One droplet for several targets: the stack that suits them all, `--for` and `--any-stack`, and what the README shows."""

from __future__ import annotations

import argparse
import itertools
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from apps_fixture import materialise
from command import Done, in_process
from loopback_platforms import Platforms

import stager as library
from stager.cli.commands import MODULES
from stager.cli.commands.arguments import parser_of
from stager.cli.commands.stage import plain
from stager.errors import BadManifest, UsageError
from stager.facts import platforms, stacks
from stager.facts.platforms import NO, OTHER, PLATFORMS, YES, answer, choose

ROOT = Path(__file__).parents[2]
ALIKE = ("oci", "openshift", "plain", "tar", "systemd", "chef", "capistrano")
"""Targets that bring a root along, or leave it to whoever unpacks: one column of the documentation's table."""


# --- deciding ------------------------------------------------------------------------------------------------------


def test_the_documentation_has_the_table() -> None:
    columns = [name for name in PLATFORMS if name not in ALIKE]
    for stack in stacks.names():
        assert {answer(name, stack) for name in ALIKE} == {YES}
    rows = [
        f"| stack | C library | {' | '.join(f'`{name}`' for name in columns)} | {', '.join(f'`{one}`' for one in ALIKE)} |",
        "|---" * (len(columns) + 3) + "|",
    ]
    for stack in stacks.names():
        glibc = ".".join(map(str, stacks.read(stack).glibc))
        cells = [answer(name, stack).replace("--any-stack", "`--any-stack`") for name in columns]
        rows.append(f"| `{stack}` | {glibc} | {' | '.join(cells)} | {YES} |")
    assert "\n".join(rows) in (ROOT / "docs" / "stacks.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("targets", "own", "stack"),
    [
        ("heroku,cloudfoundry,oci", "debian-12", "cflinuxfs4"),
        ("oci,cloudfoundry,heroku", "debian-13", "cflinuxfs4"),
        ("heroku,cloudfoundry", "ubi9", "cflinuxfs4"),  # one of two takes it as it is; of ubi9 none
        ("heroku", "debian-12", "heroku-24"),
        ("heroku,bosh,systemd", "debian-12", "heroku-24"),
        ("cloudfoundry", "ubi9", "cflinuxfs4"),
        ("oci,openshift,tar", "ubi9", "ubi9"),
        ("oci", "debian-13", "debian-13"),
        ("bosh", "debian-13", "debian-12"),
        ("bosh,chef,capistrano,plain", "heroku-24", "heroku-24"),
        ("vagrant", "cflinuxfs4", "debian-12"),
        ("vagrant,oci", "debian-13", "debian-13"),
        ("vagrant,heroku", "debian-13", "debian-12"),
    ],
)
def test_the_stack_that_suits_all(targets: str, own: str, stack: str) -> None:
    """In whatever order they are named."""
    for order in itertools.permutations(targets.split(",")):
        assert choose(order, own, default="debian-12").stack == stack


def test_the_apps_own_stack_is_taken_where_names_do_not_matter() -> None:
    found = choose(["heroku"], "debian-12", any_stack=True, default="debian-12")
    assert found == platforms.Choice("debian-12")
    assert choose(["heroku", "cloudfoundry"], "ubi9", any_stack=True, default="debian-12").stack == "ubi9"
    assert choose(["heroku"], "debian-13", any_stack=True, default="debian-12").stack == "heroku-24"


def test_a_condition_is_told() -> None:
    assert choose(["oci", "heroku", "cloudfoundry"], "debian-12").notes == (
        "heroku runs droplets of heroku-24; it takes this one, for cflinuxfs4, with --any-stack",
    )
    assert choose(["heroku"], "debian-12").notes == ()


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_any_three_targets_get_a_stack_or_the_commands_that_serve_them(architecture: str) -> None:
    """Whatever the app's own stack: the choice is one that each takes, and is refused only where there is none."""
    for targets in itertools.combinations(PLATFORMS, 3):
        able = [one for one in stacks.names() if all(answer(target, one, architecture) != NO for target in targets)]
        for own in stacks.names():
            if able:
                found = choose(targets, own, architecture)
                assert found.stack in able
                assert len(found.notes) == sum(answer(name, found.stack, architecture) == OTHER for name in targets)
                continue
            with pytest.raises(UsageError) as caught:
                choose(targets, own, architecture, app="my app")
            served = [name for words in commands(caught.value.hint) for name in words[4].split(",")]
            can = [name for name in targets if any(answer(name, one, architecture) != NO for one in stacks.names())]
            assert sorted(served) == sorted(can)


def commands(hint: str) -> list[list[str]]:
    """The words of every command in a hint; quotes inside are a shell's."""
    return [shlex.split(text) for text in re.findall(r"'(stager .*?[^ ])'(?= and |[.,]| in )", hint)]


@pytest.mark.parametrize("text", ["mars", "", "oci,", "OCI", "oci heroku"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="there is no target") as caught:
        platforms.read([text])
    assert caught.value.hint == f"Targets: {', '.join(PLATFORMS)}."


def test_targets_are_read_from_words_and_lists() -> None:
    assert platforms.read(["heroku,oci", " bosh", "oci"]) == ("heroku", "oci", "bosh")
    assert platforms.read(()) == ()


def test_every_target_that_is_exported_or_deployed_to_can_be_named() -> None:
    from stager.targets import TARGETS

    exported = {name.partition(" ")[2] for name in MODULES if name.startswith(("export ", "push "))}
    assert exported | set(TARGETS) == set(PLATFORMS) - {"vagrant"}


# --- staging -------------------------------------------------------------------------------------------------------


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app that needs no index for its plan."""
    return materialise("procfile-perl", tmp_path)


def stage(app: Path, *options: object) -> Done:
    return in_process("stage", app, "-o", app.parent / "droplet.tgz", *options, "--offline", store=app.parent / "store")


def test_for_picks_the_stack_and_its_lock_and_leaves_the_others_alone(app: Path) -> None:
    stage(app).good()
    own = (app / "stager.lock").read_bytes()
    first = stage(app, "--for", "heroku,cloudfoundry,oci", "--json").good().document
    lock = (app / "stager.cflinuxfs4.lock").read_bytes()
    assert first["stack"] == "cflinuxfs4"
    note = "heroku runs droplets of heroku-24; it takes this one, for cflinuxfs4, with --any-stack"
    assert note in first["notes"]
    again = stage(app, "--for", "oci", "--for", "cloudfoundry", "--for", "heroku", "--locked", "--json").good().document
    assert (again["digest"], again["written"], note in again["notes"]) == (first["digest"], False, True)
    assert stage(app, "--stack", "cflinuxfs4", "--locked", "--json").good().document["digest"] == first["digest"]
    assert stage(app, "--for", "oci,vagrant", "--locked", "--json").good().document["stack"] == "debian-12"
    assert sorted(path.name for path in app.glob("*.lock")) == ["stager.cflinuxfs4.lock", "stager.lock"]
    assert ((app / "stager.lock").read_bytes(), (app / "stager.cflinuxfs4.lock").read_bytes()) == (own, lock)


def test_the_apps_own_stack_comes_from_its_settings_or_its_lock(app: Path) -> None:
    stage(app, "--stack", "heroku-24").good()
    (app / "stager.heroku-24.lock").rename(app / "stager.lock")
    assert stage(app, "--for", "heroku,oci", "--locked", "--json").good().document["stack"] == "heroku-24"
    (app / "stager.lock").unlink()
    (app / "stager.yml").write_text("stack: ubi9\n")
    assert stage(app, "--for", "bosh,oci", "--json").good().document["stack"] == "ubi9"
    assert stage(app, "--for", "heroku", "--any-stack", "--json").good().document["stack"] == "ubi9"
    assert stage(app, "--for", "heroku", "--json").good().document["stack"] == "heroku-24"
    assert sorted(path.name for path in app.glob("*.lock")) == ["stager.heroku-24.lock", "stager.lock"]


def test_a_missing_lock_is_named_with_its_command(app: Path) -> None:
    error = stage(app, "--for", "cloudfoundry", "--locked", "--json").document["error"]
    assert (error["where"], error["hint"]) == (
        "stager.cflinuxfs4.lock",
        "Run 'stager lock --stack cflinuxfs4' and commit the file.",
    )
    done = in_process("lock", app, "--for", "cloudfoundry,heroku", "--offline", store=app.parent / "store").good()
    assert "stager.cflinuxfs4.lock: cflinuxfs4/amd64" in done.err
    assert "note: heroku runs droplets of heroku-24" in done.err
    assert stage(app, "--for", "cloudfoundry", "--locked").good()


def test_a_stack_that_is_asked_for_is_held_against_the_targets(app: Path) -> None:
    done = stage(app, "--for", "cloudfoundry,heroku,oci", "--stack", "debian-13", "--json")
    assert done.code == 2
    assert done.document["error"]["message"] == (
        "stack debian-13 does not suit cloudfoundry: it may need glibc 2.41, and cflinuxfs4 has 2.35; "
        "heroku: it may need glibc 2.41, and heroku-24 has 2.39"
    )
    command = f"stager stage {app} --for cloudfoundry,heroku,oci"
    assert done.document["error"]["hint"] == f"Leave --stack out: '{command}'."
    assert not list(app.glob("*.lock"))
    good = stage(app, "--for", "heroku", "--stack", "debian-12", "--json").good().document
    assert good["stack"] == "debian-12"
    assert "heroku runs droplets of heroku-24; it takes this one, for debian-12, with --any-stack" in good["notes"]
    assert "there is no stack 'mars'" in stage(app, "--for", "heroku", "--stack", "mars").err


def test_targets_that_no_stack_suits_are_told_apart_and_the_commands_work(app: Path) -> None:
    spaced = app.rename(app.with_name("my app"))
    done = stage(spaced, "--for", "vagrant,cloudfoundry,heroku", "--json")
    assert done.code == 2
    assert done.document["error"]["message"] == (
        "no stack for amd64 suits vagrant, cloudfoundry and heroku: vagrant takes debian-12, debian-13; "
        "cloudfoundry takes cflinuxfs4, ubi9; heroku takes cflinuxfs4, debian-12, heroku-24, ubi9"
    )
    first, second = (shlex.join(words) for words in commands(done.document["error"]["hint"]))
    assert first == f"stager stage '{spaced}' --for vagrant,heroku -o vagrant.tgz"
    assert second == f"stager stage '{spaced}' --for cloudfoundry -o cloudfoundry.tgz"
    store = app.parent / "store"
    for text in (first, second):
        in_process(*shlex.split(text)[1:], store=store, cwd=app.parent).good()
    assert {"vagrant.tgz", "cloudfoundry.tgz"} <= {path.name for path in app.parent.iterdir()}


def test_an_architecture_that_a_target_lacks(app: Path) -> None:
    done = stage(app, "--for", "cloudfoundry", "--arch", "arm64", "--json").document["error"]
    assert done["message"] == "no stack for arm64 suits cloudfoundry: cloudfoundry takes none"
    assert done["hint"] == "Choose another architecture with --arch, or another target."
    hint = stage(app, "--for", "oci,cloudfoundry", "--arch", "arm64", "--json").document["error"]["hint"]
    assert hint == f"Stage for them apart: 'stager stage {app} --for oci --arch arm64'."


def test_the_library_takes_targets(app: Path, tmp_path: Path) -> None:
    store, out = library.Store(str(tmp_path / "other")), str(tmp_path / "out.tgz")
    made = library.stage(str(app), out=out, store=store, targets=("heroku", "cloudfoundry"), offline=True)
    assert made.stack == "cflinuxfs4"
    assert any("with --any-stack" in note for note in made.notes)
    plan = library.plan(library.SourceTree.read(str(app)), stack="debian-13", store=store, offline=True)
    with pytest.raises(UsageError, match="stack debian-13 does not suit bosh"):
        library.stage(str(app), out=out, store=store, plan=plan, targets=["bosh"])
    assert library.stage(str(app), out=out, store=store, plan=plan, targets=("oci",)).stack == "debian-13"
    with pytest.raises(UsageError, match="there is no target 'x'"):
        library.stage(str(app), out=out, store=store, targets=["x"])
    (app / "stager.yml").write_text("stack: [1]\n")
    with pytest.raises(BadManifest):
        library.stage(str(app), out=out, store=store, targets=["oci"])


def test_the_short_parser_reads_what_the_long_one_does() -> None:
    words = ["stage", "--for", "heroku,oci", "x", "--for", "bosh", "--any-stack"]
    short = plain(words)
    assert short is not None
    assert (list(short.targets), short.any_stack, short.dir) == (["heroku,oci", "bosh"], True, "x")
    assert plain(["stage", "--for"]) is None
    long = parser("stage").parse_args(words[1:])
    assert (long.targets, long.any_stack, long.dir) == (["heroku,oci", "bosh"], True, "x")


# --- every command about a target ------------------------------------------------------------------------------------


def parser(command: str) -> argparse.ArgumentParser:
    return parser_of(command)


def test_every_command_about_a_target_understands_any_stack() -> None:
    about = [
        name for name in MODULES if name.split()[0] in ("export", "push", "promote", "rollback", "deploy", "rebase")
    ]
    assert len(about) == 17
    for name in (*about, "stage", "lock", "plan"):
        help_ = " ".join(parser(name).format_help().split())
        assert "--any-stack" in help_, name


@pytest.mark.parametrize("target", ["cloudfoundry", "heroku", "bosh", "tar", "systemd", "oci", "openshift"])
def test_an_export_is_the_same_with_any_stack(target: str, app: Path) -> None:
    store, droplet = app.parent / "store", app.parent / "droplet.tgz"
    image = ("--image", "registry.example/shop") if target == "openshift" else ()
    stage(app).good()
    made = [
        in_process("export", target, droplet, "-o", app.parent / f"{number}", *image, *more, store=store).good().out
        for number, more in enumerate(((), ("--any-stack",)))
    ]
    assert made[0] == made[1]


# --- deploying -------------------------------------------------------------------------------------------------------


@pytest.fixture
def reached() -> Iterator[Platforms]:
    with ExitStack() as keep:
        yield Platforms(keep)


def test_an_app_is_deployed_with_the_stack_that_its_targets_take(app: Path, reached: Platforms, tmp_path: Path) -> None:
    aims = ("--to", "cloudfoundry=shop", "--to", "heroku=shop", "--to", f"oci={reached.registry.host}/shop:1")
    variables = reached.variables(tmp_path)
    done = in_process("deploy", app, *aims, "--any-stack", store=tmp_path / "store", cwd=tmp_path, **variables).good()
    assert "on cflinuxfs4/amd64" in done.err
    assert done.out.startswith("3 of 3 targets hold the same ")
    assert "with --any-stack" not in done.err, "it was given"


def test_a_refused_deployment_says_the_one_command_that_serves_all_its_targets(
    app: Path, reached: Platforms, tmp_path: Path
) -> None:
    stage(app, "--stack", "debian-12").good()
    aims = ("--to", "cloudfoundry=shop", "--to", "heroku=shop", "--to", "bosh=release.tgz")
    variables = reached.variables(tmp_path)
    store = tmp_path / "store"
    done = in_process("deploy", "droplet.tgz", *aims, store=store, cwd=tmp_path, **variables)
    assert done.code == 70
    [command] = {shlex.join(words) for words in commands(" ".join(done.err.split()))}
    assert command == "stager stage --for cloudfoundry,heroku,bosh"
    in_process(*shlex.split(command)[1:], "-o", "../droplet.tgz", "--offline", store=store, cwd=app).good()
    again = in_process("deploy", "droplet.tgz", "--any-stack", *aims, store=store, cwd=tmp_path, **variables).good()
    assert again.out.startswith("3 of 3 targets")


# --- the README ------------------------------------------------------------------------------------------------------


def block(title: str) -> list[str]:
    """The lines of the first block below a title of the README."""
    text = (ROOT / "README.md").read_text("utf-8").partition(f"### {title}\n")[2]
    return text.partition("```console\n")[2].partition("\n```")[0].splitlines()


def run_block(lines: list[str], folder: Path, reached: Platforms, store: Path) -> None:
    """Run every command in its order, in one folder; what is shown of the output must be in it, a line each."""
    variables = reached.variables(folder.parent)
    done = Done(0, "", "")
    for line in lines:
        if line.startswith("$ "):
            words = shlex.split(line[2:], comments=True)
            assert words[0] == "stager"
            here = [word.replace("registry.example", reached.registry.host) for word in words[1:]]
            done = in_process(*here, store=store, cwd=folder, **variables).good()
        else:
            assert line in (done.out + done.err).splitlines()


def test_what_the_readme_shows_for_every_platform_but_the_base(app: Path, reached: Platforms, tmp_path: Path) -> None:
    """With an app that needs no index, and without the lines that need a root made of Debian's packages."""
    lines = [line for line in block("Everywhere the same bytes") if line.startswith("$") and "debian-12" not in line]
    assert [shlex.split(line)[2] for line in lines] == ["stage", "push", "push"]
    run_block(lines, app, reached, tmp_path / "store")


@pytest.mark.network
@pytest.mark.tools
def test_what_the_readme_shows_for_every_platform(tmp_path: Path, reached: Platforms, shared_store: Path) -> None:
    lines = block("Everywhere the same bytes")
    assert len([line for line in lines if line.startswith("$")]) == 7
    run_block(lines, materialise("express-npm-v3", tmp_path), reached, shared_store)
