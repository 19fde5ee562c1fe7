"""A `stackato.yml` becomes stager's and Cloud Foundry's files, or is refused by name, file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command import in_process

from stager.errors import BadManifest, StagerError, Unreadable, UsageError
from stager.planning.detection import appconfig
from stager.targets.handoff.errors import NotImportable
from stager.targets.handoff.stackato import convert, import_app
from stager.tree import SourceTree

WHOLE = """\
name: shop
mem: 256M
instances: 3
framework:
  type: python
command: python serve.py
processes:
  worker: python work.py
env:
  COLOUR: green
  SIZE:
    default: "12"
    required: no
ignores:
- "*.log"
- tmp/
min_version:
  client: 1.4.2
"""


def test_all_that_can_be_kept() -> None:
    found = convert(WHOLE)
    assert {name: yaml.safe_load(text) for name, text in found.files.items() if name != ".stagerignore"} == {
        "manifest.yml": {"applications": [{"name": "shop", "memory": "256M", "instances": 3}]},
        "stager.yml": {
            "buildpacks": ["python"],
            "env": {"COLOUR": "green", "SIZE": "12"},
            "processes": {"web": "python serve.py", "worker": "python work.py"},
        },
    }
    assert found.files[".stagerignore"] == "# Made from stackato.yml.\n*.log\ntmp/\n"
    assert found.notes == ("min_version has no meaning for stager and is left out",)


def test_what_is_written_is_what_stager_reads(tmp_path: Path) -> None:
    (tmp_path / "stackato.yml").write_text(WHOLE)
    import_app(str(tmp_path))
    config = appconfig.read(SourceTree.read(str(tmp_path)))
    assert config.buildpacks == ("python",)
    assert {process.type: process.command for process in config.processes} == {
        "web": "python serve.py",
        "worker": "python work.py",
    }
    assert {variable.name: variable.value for variable in config.env} == {"COLOUR": "green", "SIZE": "12"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".stagerignore",
        "manifest.yml",
        "stackato.yml",
        "stager.yml",
    ]


REFUSED = """\
name: shop-${random-word}
requirements:
  ubuntu:
  - libxml2-dev
  pip: [flask]
hooks:
  pre-running:
  - sudo apt-get install x
cron:
- "* * * * * echo hello"
services:
  db: mysql
env:
  KEY: ${ask Which key}
  SECRET:
    required: true
  PORT: "80"
framework:
  type: rails3
  runtime: ruby19
stackato:
  min_version: {server: 2.4}
  depends-on: [other]
whatever: 1
"""


def test_everything_that_cannot_be_kept_is_named_at_once() -> None:
    with pytest.raises(NotImportable) as caught:
        convert(REFUSED)
    rows = caught.value.data["rows"]
    assert isinstance(rows, list)
    assert [(line, key) for line, key, _ in rows] == [
        (1, "name"),
        (3, "requirements.ubuntu"),
        (5, "requirements.pip"),
        (6, "hooks"),
        (9, "cron"),
        (11, "services"),
        (14, "env.KEY"),
        (16, "env.SECRET.required"),
        (17, "env.PORT"),
        (19, "framework.type"),
        (20, "framework.runtime"),
        (23, "stackato.depends-on"),
        (24, "whatever"),
    ]
    assert caught.value.where == "stackato.yml:1"
    assert "line 9: cron: no platform stager knows runs cron" in caught.value.message
    assert "line 1: name: ${random-word} is filled in by Stackato's client" in caught.value.message
    assert "line 14: env.KEY: ${ask Which key}" in caught.value.message


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("python", "python"),
        ("https://github.example/heroku/heroku-buildpack-python.git", "python"),
        ("https://github.example/heroku/heroku-buildpack-nodejs.git#v12", "nodejs"),
        ("git://host.example/staticfile-buildpack", "static"),
    ],
)
def test_buildpacks_that_stager_has(address: str, name: str) -> None:
    found = yaml.safe_load(convert(f"buildpack: {address}\n").files["stager.yml"])
    assert found == {"buildpacks": [name]}


@pytest.mark.parametrize("address", ["https://x.example/heroku-buildpack-ruby.git", "multi-python-node", "pythonic"])
def test_buildpacks_that_stager_has_not(address: str) -> None:
    with pytest.raises(NotImportable, match="line 1: buildpack: stager has no buildpack for"):
        convert(f"buildpack: {address}\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: [a]\n", 1),
        ("x: 1\nname: 'a b'\n", 2),
        ("mem: much\n", 1),
        ("mem: 0M\n", 1),
        ("instances: -1\n", 1),
        ("env: [A]\n", 1),
        ("env:\n  A: [x]\n", 2),
        ('env:\n  A: "x\\ny"\n', 2),
        ("ignores: x\n", 1),
        ("processes:\n  web: ''\n", 2),
        ("- a\n", None),
        ("a: *b\n", 1),
        ("a: 1\na: 2\n", 2),
        ("a: {\n", None),
    ],
)
def test_malformed_files_are_refused_with_the_line(text: str, line: int | None) -> None:
    with pytest.raises(BadManifest) as caught:
        convert(text)
    place = caught.value.where
    assert place.startswith("stackato.yml")
    assert line is None or place == f"stackato.yml:{line}"


def test_a_variable_of_the_shell_is_kept_in_a_command() -> None:
    found = convert("command: serve --port ${PORT}\n")
    assert yaml.safe_load(found.files["stager.yml"]) == {"processes": {"web": "serve --port ${PORT}"}}
    with pytest.raises(NotImportable, match="target-base"):
        convert("command: serve --at ${target-base}\n")


def test_files_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "stackato.yml").write_text(WHOLE)
    (tmp_path / "stager.yml").write_text("stack: debian-12\n")
    with pytest.raises(UsageError, match=r"stager\.yml is there already"):
        import_app(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stackato.yml", "stager.yml"]
    assert (tmp_path / "stager.yml").read_text() == "stack: debian-12\n"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/stackato.yml").write_text(WHOLE)
    (tmp_path / "outside").write_text("")
    (tmp_path / "app/manifest.yml").symlink_to("../outside")
    with pytest.raises(UsageError):
        import_app(str(tmp_path / "app"))
    assert (tmp_path / "outside").read_text() == ""


@pytest.mark.parametrize("data", [b"name: \xff\n", b"x" * (1 << 21), b"\0"])
def test_bytes_that_are_no_manifest(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "stackato.yml").write_bytes(data)
    with pytest.raises(StagerError):
        import_app(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["stackato.yml"]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        import_app(str(tmp_path))


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "stackato.yml").write_text(WHOLE)
    for _ in range(2):  # what it wrote itself is no obstacle
        done = in_process("import", "stackato", tmp_path, "--json", store=tmp_path / "store").good()
        assert done.document["written"] == [".stagerignore", "manifest.yml", "stager.yml"]
    (tmp_path / "stackato.yml").write_text(REFUSED)
    done = in_process("import", "stackato", tmp_path, store=tmp_path / "store")
    assert done.code == 20
    assert "line 6: hooks: a droplet runs no hook" in done.err
