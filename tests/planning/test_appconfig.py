"""`stager.yml`: what it may say, and every slip with its line."""

from __future__ import annotations

import pytest

from stager.errors import BadManifest
from stager.model import EnvVar, Process, Reason
from stager.planning.detection import appconfig
from stager.tree import SourceTree

FULL = """\
stack: debian-13
buildpacks: [python, nodejs]
processes:
  web: gunicorn app:app
  worker: "python worker.py"
env:
  WEB_CONCURRENCY: 2
  EMPTY: ""
python:
  groups: [postgres]
  extras:
    - s3
"""


def read(content: str | bytes) -> appconfig.AppConfig:
    return appconfig.read(SourceTree.of({"stager.yml": content}))


def test_no_file_and_an_empty_one() -> None:
    assert appconfig.read(SourceTree.of({})) == appconfig.AppConfig() == read("# nothing\n")


def test_everything() -> None:
    found = read(FULL)
    assert found.stack == "debian-13"
    assert found.buildpacks == ("python", "nodejs")
    assert found.processes == (
        Process("web", "gunicorn app:app", Reason("stager.yml names it", "stager.yml", 4)),
        Process("worker", "python worker.py", Reason("stager.yml names it", "stager.yml", 5)),
    )
    assert found.env == (
        EnvVar("WEB_CONCURRENCY", "2", Reason("stager.yml sets it", "stager.yml", 7)),
        EnvVar("EMPTY", "", Reason("stager.yml sets it", "stager.yml", 8)),
    )
    assert found.lists == {"pypi": {"groups": ("postgres",), "extras": ("s3",)}}
    assert found.reason("stack") == Reason("stager.yml says so", "stager.yml", 1)


def test_end_of_life() -> None:
    assert read("end_of_life: refuse\n").refuses_ended
    assert not read("end_of_life: warn\n").refuses_ended
    assert not read("stack: debian-12\n").refuses_ended


def test_services_and_health() -> None:
    found = read("services: [redis, postgresql]\nhealth: {path: /up, timeout: 5}\n")
    assert found.services == ("redis", "postgresql")
    assert found.health == appconfig.Health("/up", "", 5)
    assert read("health: {command: ./ok -v}\n").health == appconfig.Health("", "./ok -v", 60)


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        ("stack: a\nproceses: {}\n", "stager.yml:2", "proceses: unknown key; did you mean 'processes'?"),
        (
            "colour: red\n",
            "stager.yml:1",
            "colour: unknown key; known here: "
            "stack, buildpacks, processes, env, build, builds, packages, services, health, end_of_life, python",
        ),
        (
            "services: [mysql]\n",
            "stager.yml:1",
            "services[0]: there is no service 'mysql'; there are postgresql, redis",
        ),
        ("health: {}\nservices: [redis, redis]\n", "stager.yml:2", "services[1]: is given twice"),
        ("health: {url: x}\n", "stager.yml:1", "health.url: unknown key; known here: path, command, timeout"),
        ("health: {path: x}\n", "stager.yml:1", "health.path: expected a path such as /healthz"),
        ("health: {path: /a, command: b}\n", "stager.yml:1", "health: has a path and a command; one of them decides"),
        ("health:\n  timeout: 0\n", "stager.yml:2", "health.timeout: expected 1 to 3600 seconds"),
        ("health:\n  timeout: ten\n", "stager.yml:2", "health.timeout: expected 1 to 3600 seconds"),
        ("python:\n  group: [a]\n", "stager.yml:2", "python.group: unknown key; did you mean 'groups'?"),
        ("end_of_life: never\n", "stager.yml:1", "end_of_life: expected warn or refuse"),
        ("end_of_life: ''\n", "stager.yml:1", "end_of_life: must not be empty"),
        ("- a\n", "stager.yml", "document: expected a table of names and values"),
        ("text\n", "stager.yml", "document: expected a table of names and values"),
        ("python: x\n", "stager.yml:1", "python: expected a table of names and values"),
        ("stack: ''\n", "stager.yml:1", "stack: must not be empty"),
        ("stack: [a]\n", "stager.yml:1", "stack: expected a string, found list"),
        ("buildpacks: python\n", "stager.yml:1", "buildpacks: expected an array, found str"),
        ("buildpacks:\n - a\n - a\n", "stager.yml:3", "buildpacks[1]: is given twice"),
        ("buildpacks: [{a: b}]\n", "stager.yml:1", "buildpacks[0]: expected a string, found dict"),
        ("buildpacks: ['']\n", "stager.yml:1", "buildpacks[0]: must not be empty"),
        (
            "processes:\n  we b: a\n",
            "stager.yml:2",
            "processes.we b: a process type is 1 to 63 letters, digits, '_' and '-'",
        ),
        ("processes: {web: ''}\n", "stager.yml:1", "processes.web: must not be empty"),
        ("processes: {web: [a]}\n", "stager.yml:1", "processes.web: expected text"),
        (
            "processes:\n  web: |\n    a\n    b\n",
            "stager.yml:2",
            "processes.web: must be one line of printable characters",
        ),
        ("processes: [a]\n", "stager.yml:1", "processes: expected a table, found list"),
        (
            "env: {1A: x}\n",
            "stager.yml:1",
            "env.1A: a name has letters, digits and '_', and does not start with a digit",
        ),
        ("env: {PORT: 80}\n", "stager.yml:1", "env.PORT: is set by the platform"),
        ("stack: a\nstack: b\n", "stager.yml:2", "'stack' is given twice"),
        (b"stack: \xff\n", "stager.yml:1", "the file is not UTF-8"),
    ],
)
def test_slips(content: str | bytes, where: str, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        read(content)
    assert (caught.value.where, caught.value.message) == (where, message)
