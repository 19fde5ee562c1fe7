"""The documentation is true: what it shows is run, what it lists is compared with the code."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import documents
import pytest
from apps_fixture import materialise
from command import free_port, stager
from loopback_platforms import Platforms

from stager.cli.commands import GROUPS, MODULES
from stager.ecosystems import ecosystems
from stager.local.health import HealthVerdict
from stager.planning.detection import build_settings
from stager.planning.detection.appconfig import HEALTH_KEYS, KEYS, SERVICES
from stager.targets.cloudfoundry.promote import Promoted
from stager.targets.cloudfoundry.push import PushedApp
from stager.targets.cloudfoundry.rollback import RolledBack
from stager.targets.deploying import Aim, Outcome
from stager.targets.oci.registry.push import PushedImage as PushedImage

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
SHOWN = {**PAGES, "../README.md": (ROOT / "README.md").read_text("utf-8")}
"""Every page whose commands are run."""
REFERENCE = DOCS / "reference"
GENERATED = ("reference/cli.md", "reference/errors.md")
REMEDY = "run: PYTHONPATH=. python docs/reference/generate.py"
VARIABLE = re.compile(r"\bSTAGER_[A-Z_]*[A-Z]\b")


# --- what pages show ---------------------------------------------------------------------------------------------------


def of_kind(kind: str) -> list[str]:
    return [name for name, page in SHOWN.items() if documents.kind(page) == kind]


def shown(name: str, place: Path, store: Path) -> list[str]:
    """Run a page as a reader does who starts in an empty folder, with this checkout's stager; what went otherwise."""
    folder = place / "reader"
    folder.mkdir(parents=True)
    path = f"{documents.programs(place / 'bin')}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "STAGER_CACHE_DIR": str(store), "LC_ALL": "C.UTF-8", "CHECKOUT": str(ROOT)}
    page = SHOWN[name]
    with ExitStack() as keep:
        if not documents.needs_platforms(page):
            return documents.run(page, folder, {**os.environ, **own}, free_port())
        there = Platforms(keep)
        environ = {**os.environ, **there.variables(place), **own}
        return documents.run(page, folder, environ, free_port(), there.registry.host)


def followed(name: str) -> bool:
    """Whether a page is to be typed after, from top to end."""
    return name == "tutorial.md" or name.startswith(("how-to/", "migrating/"))


@pytest.mark.parametrize("name", of_kind("quick"))
def test_a_page_that_needs_no_network_does_what_it_shows(name: str, tmp_path: Path) -> None:
    """With an empty store, and one to be followed also with a store in which all of it was done before."""
    assert not shown(name, tmp_path / "first", tmp_path / "store")
    assert not followed(name) or not shown(name, tmp_path / "again", tmp_path / "store")


@pytest.mark.tools
@pytest.mark.parametrize("name", of_kind("tools"))
def test_a_page_that_needs_other_programs_does_what_it_shows(name: str, tmp_path: Path) -> None:
    assert not shown(name, tmp_path, tmp_path / "store")


@pytest.mark.slow
def test_pages_do_what_they_show_with_one_store_that_has_seen_all_of_them(tmp_path: Path) -> None:
    names = [name for name in of_kind("quick") if not followed(name)]
    for number, name in enumerate([*names, *names]):
        assert not shown(name, tmp_path / str(number), tmp_path / "store")


@pytest.mark.network
@pytest.mark.parametrize("name", of_kind("network"))
def test_a_page_that_needs_indexes_does_what_it_shows(name: str, tmp_path: Path, shared_store: Path) -> None:
    assert not shown(name, tmp_path, shared_store)


def test_pages_to_follow_are_all_run() -> None:
    """Tutorial, how-tos and migrations are to be typed after; whatever stands there has to work."""
    pages = [name for name in PAGES if followed(name)]
    assert len(pages) > 8
    assert not [name for name in pages if not documents.kind(PAGES[name])]


def test_every_command_in_a_block_is_run_or_the_page_says_why_not() -> None:
    """A block has a language; one of commands is run with its page or by a test that is there, or it carries a reason."""
    wrong, count = [], 0
    for name, page in SHOWN.items():
        if name in GENERATED:
            continue
        wrong += [f"{name}:{line}: of what language?" for line in documents.nameless(page)]
        for block in documents.blocks(page):
            count += 1
            if block.test and not (ROOT / block.test).is_file():
                wrong.append(f"{name}:{block.line}: there is no {block.test}")
            if not (block.test or block.why or documents.kind(page)):
                wrong.append(f"{name}:{block.line}: neither run nor said why not")
    assert not wrong
    assert count > 70


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("```console\n$ true\n```\n", [documents.Shown(1)]),
        ("\n<!-- not run: it is far -->\n```sh\ntrue\n```\n", [documents.Shown(3, "it is far")]),
        ("<!-- run by: tests/a.py -->\n\n```console\n$ true\n```\n", [documents.Shown(3, test="tests/a.py")]),
        ('```sh title="a"\ntrue\n```\n```text\n$ true\n```\n', []),
    ],
)
def test_blocks_of_commands_are_found(page: str, found: list[documents.Shown]) -> None:
    assert list(documents.blocks(page)) == found
    assert documents.nameless(page) == []


def test_blocks_without_a_language_are_found() -> None:
    page = "```\na\n```\n\nCode:\n\n    stager stage\n\n```text\nb\n\n    c\n```\n"
    assert documents.nameless(page) == [1, 7]


PAGE = """<!-- run: quick -->

```sh title="hello.sh"
echo hello; echo 12 of 12
```

```console
$ sh hello.sh
hello
… of 12
$ cat <<END
> two
> lines
> END
two
lines
$ echo "stager: no" >&2; false
stager: no
$ (echo ready; echo $BASHPID >pid; exec sleep 1000) &
ready
```
"""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("", "", ""),
        ("hello\n…", "hullo\n…", "sh hello.sh"),
        ("hello\n… of 12", "hello", "sh hello.sh"),
        ("sh hello.sh", "sh absent.sh", "sh absent.sh"),
        ("; false", "; true", "ended with 0"),
        ("two\nlines\n$", "two\n$", "two"),
    ],
)
def test_pages_that_show_something_else_are_found(old: str, new: str, why: str, tmp_path: Path) -> None:
    wrong = documents.run(PAGE.replace(old, new) if old else PAGE, tmp_path, os.environ, free_port())
    assert [why in text for text in wrong] == ([True] if why else [])
    left = tmp_path / "pid"
    assert left.exists() == (not why)
    assert why or has_ended(left.read_text().strip())


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_link_to_a_heading_finds_it() -> None:
    broken = []
    for name, page in PAGES.items():
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page):
            path = (DOCS / name).parent / target if target else DOCS / name
            headings = re.findall(r"^#+ (.+)$", path.resolve().read_text("utf-8"), re.MULTILINE)
            broken += [] if anchor in map(slug, headings) else [f"{name}: {target}#{anchor}"]
    assert not broken


CODE = re.compile(r"^```[^\n]*\n(.*?)^```$|`(stager [^`\n]+)`|^    ([^\n]*)$", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"(?:^|[;&|(]|\$ |run: |- |do )\s*(?:[A-Z_]+=\S+ )*stager ([a-z][^;&|#`)]*)")


def typed(page: str) -> Iterator[list[str]]:
    """The words of every `stager …` that a page shows, in blocks and between backquotes."""
    for code in CODE.finditer(page):
        for line in next(part for part in code.groups() if part is not None).splitlines():
            yield from (found.split() for found in TYPED.findall(line))


def unknown(words: list[str], parser: Callable[[str], argparse.ArgumentParser]) -> list[str]:
    """What of a command line no command has: its name or its options."""
    name = next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in MODULES), "")
    if not name:
        return [] if words[0] in {*GROUPS, "--help"} else [words[0]]
    arguments = words[len(name.split()) :]
    given = arguments[: arguments.index("--")] if "--" in arguments else arguments
    options = [word.strip("[],.:").partition("=")[0] for word in given]
    return [one for one in options if re.match(r"--?[a-z]", one) and one not in parser(name)._option_string_actions]


def test_every_command_that_any_page_shows_exists() -> None:
    parser = cache(generator().parser)
    pages = {
        **PAGES,
        **{name: (ROOT / name).read_text("utf-8") for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")},
    }
    shown = [(name, words) for name, page in pages.items() for words in typed(page)]
    assert len(shown) > 300
    wrong = [f"{name}: stager {' '.join(words)}" for name, words in shown if unknown(words, parser)]
    assert not wrong


def has_ended(pid: str) -> bool:
    """Whether a process is gone, or waits only for its parent to ask how it ended (then it has no command line any more)."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


# --- what the code decides ---------------------------------------------------------------------------------------------


def generator() -> ModuleType:
    """docs/reference/generate.py, which makes references."""
    spec = importlib.util.spec_from_file_location("generate", REFERENCE / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", GENERATED)
def test_generated_references_are_up_to_date(name: str) -> None:
    assert PAGES[name] == generator().pages()[Path(name).name], REMEDY


def test_every_error_says_what_to_do() -> None:
    page = PAGES["reference/errors.md"]
    assert not re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| *\|$", page, re.MULTILINE), "write the last column"
    assert len(re.findall(r"^\| `\w+`", page, re.MULTILINE)) > 80


def test_every_key_of_stager_yml_is_explained() -> None:
    keys = {*KEYS, *(f"health.{key}" for key in HEALTH_KEYS), *(f"build.{key}" for key in build_settings.KEYS)}
    for one in ecosystems():
        keys |= (
            {one.section, *(f"{one.section}.{key}" for key in (*one.options, *one.choices))} if one.section else set()
        )
    page = PAGES["reference/stager-yml.md"]
    assert first_cells(page) == keys
    assert f"a list of {', '.join(f'`{name}`' for name in SERVICES)}" in page


def first_cells(page: str) -> set[str]:
    """What stands in backquotes at the start of a page's table rows."""
    return set(re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE))


def test_every_variable_of_stager_is_explained_and_exists() -> None:
    shipped = [
        path for name in ("stager", "boxes", "buildpacks") for path in (ROOT / name).rglob("*") if path.is_file()
    ]
    texts = (path.read_text("utf-8", "ignore") for path in shipped if path.suffix not in (".pyc", ".gpg", ".pgp"))
    assert set(VARIABLE.findall(PAGES["reference/configuration.md"])) == {
        one for text in texts for one in VARIABLE.findall(text)
    }


def test_every_other_variable_that_is_explained_is_read() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "stager").rglob("*.py")).lower()
    cells = re.findall(r"`([A-Z][A-Z0-9_]+|[a-z]+_proxy|npm_config_)\w*[…=`]", PAGES["reference/configuration.md"])
    names = {name for name in cells if not name.startswith(("STAGER_", "UV_INDEX_NAME_", "PIP_INDEX", "PIP_EXTRA"))}
    assert {"SSL_CERT_FILE", "CF_API", "UV_DEFAULT_INDEX", "https_proxy"} <= names
    assert not [name for name in names if name.lower() not in code]


# --- keys with a promise -----------------------------------------------------------------------------------------------


def promised() -> dict[str, set[str]]:
    """Command → the keys that docs/reference/json.md promises."""
    rows = re.findall(r"^\| (`.+?|any command) \| (.+) \|$", PAGES["reference/json.md"], re.MULTILINE)
    return {
        command.strip("`"): set(re.findall(r"`([\w.*\[\]]+)`", keys))
        for commands, keys in rows
        for command in commands.split(", ")
    }


def lacking(document: Any, keys: Iterable[str]) -> list[str]:
    """The keys that a document does not have; one within an empty list or table counts as had."""
    return [key for key in keys if not _has(document, key.split("."))]


def _has(value: Any, parts: list[str]) -> bool:
    if not parts:
        return True
    name, rest = parts[0].removesuffix("[]"), parts[1:]
    if not isinstance(value, dict) or name not in ("*", *value):
        return False
    found = list(value.values()) if name == "*" else [value[name]]
    if parts[0].endswith("[]"):
        found = [one for row in found for one in row]
    return all(_has(one, rest) for one in found)


def new(document: dict[str, Any], keys: Iterable[str]) -> set[str]:
    """The keys at the top of a document that the page does not mention."""
    return {*document} - {key.split(".")[0].removesuffix("[]") for key in keys}


RUN = {
    "detect": "detect",
    "plan": "plan",
    "lock": "lock",
    "stage": "stage --offline",
    "build": "build --offline",
    "inspect": "inspect",
    "explain": "explain",
    "diff": "diff droplet.tgz droplet.tgz",
    "verify": "verify --offline --conditions threads",
    "report": "report droplet.tgz",
    "bundle export": "bundle export --offline",
    "bundle import": "bundle import bundle.tar",
    "export cloudfoundry": "export cloudfoundry",
    "export tar": "export tar",
    "export systemd": "export systemd",
    "export bosh": "export bosh",
    "export capistrano": "export capistrano",
    "export oci": "export oci --base scratch",
    "box list": "box list",
    "cache info": "cache info",
    "cache verify": "cache verify",
    "cache gc": "cache gc",
}
"""Command → how it is run, in this order, in the folder of an app that needs no network."""
MADE: dict[str, dict[str, Any]] = {
    "push oci": {**dataclasses.asdict(PushedImage("a", "b", 1)), "notes": []},
    "promote cloudfoundry": dataclasses.asdict(Promoted("a", "b", "c", "d", "e", True)),
    "rollback cloudfoundry": dataclasses.asdict(RolledBack("a", "b", "c", 1, "d")),
    "push cloudfoundry": {"pushed": [dataclasses.asdict(PushedApp("a", "b", "c", "d", "e", "f", True, ()))]},
    "deploy": {"same": True, "targets": [Outcome(Aim("oci", "a"), 1.0).as_json()]},
    "check": HealthVerdict(0, "fine", 0.1).as_json(),
}
"""Documents of commands that need a platform, of the values that they print."""
ELSEWHERE = {"any command", "log", "doctor", "up", "provision", "status", "halt", "destroy", "push heroku"}
"""Documents that are wholly compared in these commands' own tests."""


def test_every_promise_is_kept(tmp_path: Path) -> None:
    app, wrong = materialise("procfile-perl", tmp_path), []
    for command, keys in promised().items():
        if command in RUN:
            document = stager(*RUN[command].split(), "--json", store=tmp_path / "store", cwd=app).good().document
        elif command in MADE:
            document = MADE[command]
        else:
            assert command in ELSEWHERE, command
            continue
        wrong += [f"{command} lacks {key}" for key in lacking(document, keys)]
        wrong += [f"{command} has {key}, which docs/reference/json.md does not mention" for key in new(document, keys)]
    assert not wrong
    assert {*RUN, *MADE, *ELSEWHERE} == set(promised())


def test_errors_and_the_doctor_print_what_is_promised(tmp_path: Path) -> None:
    failed = stager("stage", tmp_path, "--json", store=tmp_path / "store").document
    assert not lacking(failed, promised()["any command"])
    findings = stager("doctor", "--offline", "--json", store=tmp_path / "store").document
    assert all(set(one) == promised()["doctor"] for one in findings)


def test_a_promise_that_is_not_kept_is_found() -> None:
    document = {"a": 1, "b": [{"c": 2}, {"d": 3}], "e": {}, "t": {"x": [{"c": 1}], "y": [{"d": 1}]}}
    promises = ["a", "b[].c", "e.*", "f", "a.g", "t.*", "t.*[].c"]
    assert lacking(document, promises) == ["b[].c", "f", "a.g", "t.*[].c"]
    assert new(document, ["a", "b[].c", "t.*"]) == {"e"}


def test_only_commands_that_exist_are_promised() -> None:
    assert not [command for command in promised() if command not in {*MODULES, "any command"}]


def test_the_site_is_made_whole(tmp_path: Path) -> None:
    """Every page is in it, no link leads nowhere, and it fetches nothing from other hosts."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--config-file", ".ci/mkdocs.yml"]
    done = subprocess.run(
        [*command, "--site-dir", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    pages = [path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")]
    missing = [page for page in pages if page.name != "README" and not (tmp_path / page / "index.html").is_file()]
    assert missing == []
    texts = [path.read_text("utf-8") for path in tmp_path.rglob("*.html")]
    assert [
        found for text in texts for found in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?:[^"]+', text)
    ] == []
