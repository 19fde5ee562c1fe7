"""The launch script under real shells, and what lies beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stager.digest import sha256
from stager.droplet import launch
from stager.formats.codec import CODEC
from stager.model import BuildpackPin, EnvVar, Plan, Process, Reason
from stager.planning.lockfile import locked, plan_digest

WHY = Reason("a test")
PLAN = Plan(
    stack="debian-12",
    architecture="amd64",
    codec=CODEC,
    buildpacks=(BuildpackPin("procfile", sha256(b""), WHY),),
    inputs=(),
    runtimes=(),
    artifacts=(),
    links=(),
    files=(),
    processes=(
        Process("web", 'echo "$PORT $HOME $GREETING" && pwd && echo "args:$#"', WHY),
        Process("fails", "exit 7", WHY),
        Process("quoted", """printf '%s|' "a  b" 'c"d' $((1+2))""", WHY),
    ),
    env=(EnvVar("GREETING", 'say "hi" in $HOME for $5 `now` \\', WHY),),
)
SHELLS = [name for name in ("sh", "dash", "bash") if shutil.which(name)]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An unpacked droplet's app folder, in a path with a space."""
    root = tmp_path / "home of it" / "app"
    for path, text in launch.launch_files(locked(PLAN)).items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o775 if text.startswith("#!") else 0o664)
    return root


def run(app: Path, shell: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    script = app / ".stager/bin/launch"
    command = [shutil.which(shell) or shell, str(script), *arguments]
    return subprocess.run(
        command, cwd="/", env={"PATH": os.defpath, **environ}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_it_sets_home_port_and_environment(app: Path, shell: str) -> None:
    done = run(app, shell)
    assert done.stdout == f'8080 {app} say "hi" in {app} for $5 `now` \\\n{app}\nargs:0\n'
    assert done.stderr == ""
    assert run(app, shell, "web", PORT="99", GREETING="mine").stdout.startswith(f"99 {app} mine\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_exit_codes_and_unknown_types(app: Path, shell: str) -> None:
    assert run(app, shell, "fails").returncode == 7
    unknown = run(app, shell, "worker")
    assert unknown.returncode == 64
    assert unknown.stderr == "launch: no process type 'worker' in this droplet; it has: fails quoted web \n"


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_keep_their_quotes(app: Path, shell: str) -> None:
    assert run(app, shell, "quoted").stdout == 'a  b|c"d|3|'
    assert run(app, shell, "--", "printf", "%s|", "a  b", "*").stdout == "a  b|*|"


@pytest.mark.parametrize("shell", SHELLS)
def test_profile_scripts_run_in_c_order_in_the_same_shell(app: Path, shell: str) -> None:
    for name in ("a.sh", "B.sh", "é.sh", "10.sh", "2.sh", "not-sourced.txt"):
        (app / ".profile.d" / name).write_text(f'SEEN="$SEEN {name}"\n')
    (app / ".profile").write_text('SEEN="$SEEN .profile"; export SEEN\n')
    done = run(app, shell, "--", "sh", "-c", 'echo "$SEEN"; env | grep -i stager_', LC_ALL="en_US.UTF-8")
    assert done.stdout == " 10.sh 2.sh B.sh a.sh é.sh .profile\n"


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("place", [".profile.d/app.sh", ".profile"])
def test_profile_scripts_are_sourced_by_bash(app: Path, shell: str, place: str) -> None:
    """As Cloud Foundry and Heroku do it."""
    (app / place).write_text(
        "set -o pipefail\nfunction greet() { echo hello; }\nwords=(a b)\n"
        '[[ $HOME == */app ]] && GREETING="$(greet) ${words[1]} $(cat <(echo c)) ${HOME//[^p]/}"; export GREETING\n'
    )
    done = run(app, shell, "--", "sh", "-c", 'echo "$GREETING"')
    assert (done.stdout.split()[:3], done.stderr) == (["hello", "b", "c"], "")


def test_without_bash_it_is_sh(app: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "readlink", "dirname", "cat", "ls", "tr"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    done = run(app, "sh", PATH=str(tmp_path / "bin"), GREETING="x")
    assert (done.stdout, done.stderr) == (f"8080 {app} x\n{app}\nargs:0\n", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_locale_is_given_back(app: Path, shell: str) -> None:
    show = 'echo "${LC_ALL-unset}"'
    assert run(app, shell, "--", "sh", "-c", show).stdout == "unset\n"
    assert run(app, shell, "--", "sh", "-c", show, LC_ALL="C.UTF-8").stdout == "C.UTF-8\n"


def test_it_works_through_a_link_and_replaces_itself(app: Path, tmp_path: Path) -> None:
    link = tmp_path / "start"
    link.symlink_to(app / ".stager/bin/launch")
    done = subprocess.run(
        [link, "--", "sh", "-c", "echo $PPID $HOME"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{os.getpid()} {app}\n"


def test_launch_json_holds_the_facts() -> None:
    facts = json.loads(launch.launch_files(locked(PLAN))[".stager/launch.json"])
    assert facts["plan"] == plan_digest(PLAN)
    assert facts["processes"]["fails"] == "exit 7"
    assert (facts["stack"], facts["architecture"], facts["glibc"]) == ("debian-12", "amd64", "0.0")


@pytest.mark.parametrize("sign", ["\x7f", "\x80", "\x85", "\u2028", "\ufeff", "\uffff", "<", "é", "😀"])
def test_the_launcher_reads_any_command_in_staging_info(sign: str) -> None:
    """It reads YAML, in which some signs may not stand as they are."""
    command = f"serve --title 'a{sign}b'"
    text = launch.staging_info(replace(PLAN, processes=(Process("web", command, Reason("")),)))
    assert (yaml.safe_load(text)["start_command"], text.count("\n")) == (command, 1)


def test_staging_info_is_one_line_with_gos_escapes() -> None:
    text = launch.staging_info(PLAN)
    assert text.count("\n") == 1
    assert "\\u0026\\u0026" in text
    assert "&" not in text
    assert json.loads(text) == {"detected_buildpack": "procfile", "start_command": PLAN.processes[0].command}
