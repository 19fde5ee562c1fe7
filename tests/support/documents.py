"""Runs what a page of the documentation shows, in one folder and one shell.

A page says by a comment how it is run: `<!-- run: quick -->`, or `network` or `tools`, as tests are marked. From top to end,

- a block `console` holds commands after `$ `, their further lines after `> `, and what each prints. A command without output
  may print anything. `…` stands for any text within a line, and alone on a line for any lines. A command must end with 0,
  unless a line `stager: …` is shown: then it must fail. One that ends with ` &` goes on in the background, and is ready
  when it has printed what is shown; what it prints later is not looked at.
- a block `sh` holds commands alone, one a line; a line that ends with a backslash goes on in the next one.
- a block with `title="PATH"` after its language is a file that the reader writes, in the shell's folder of that moment.
- a comment `<!-- given: the app NAME in PATH -->` copies an app of tests/apps into a folder of the shell's, which it makes.
- a comment `<!-- given: a registry, Cloud Foundry and Heroku -->` says that the page needs those.
- a comment `<!-- first: COMMAND -->` holds a command that the reader need not see.
- right above a block, `<!-- not run: WHY -->` says why its commands are only shown, and `<!-- run by: FILE -->` names the test
  that runs them in surroundings of its own.

Blocks of other kinds are only shown. Where a page says 8000, it is run with a port that is free; `registry.example` is the
registry among the platforms. Lines of progress, which a terminal shows as a bar, are left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from apps_fixture import materialise

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<apart>not run|run by): (?P<why>[^\n]+) -->\n\n?)?"
    r"^```(?P<kind>\w*)(?P<rest>[^\n]*)\n(?P<text>.*?)^```$"
    r"|^<!-- (?P<hidden>given|first): (?P<what>[^\n]+) -->$",
    re.MULTILINE | re.DOTALL,
)
_SHELL = ("console", "sh", "bash")
_APP = re.compile(r"the app (\S+) in (\S+)")
_PLATFORMS = "a registry, Cloud Foundry and Heroku"
_TITLE = re.compile(r'title="([^"]+)"')
_RUN = re.compile(r"^<!-- run: (quick|network|tools) -->$", re.MULTILINE)
_PORT = "8000"
_REGISTRY = "registry.example"
_PROGRESS = re.compile(r"^stager: [a-z ]+ …\n", re.MULTILINE)
_LONGEST = 300
"""Seconds that one command may take, for a machine under load and a cold store."""
_READY = 60
"""Seconds until a command in the background has printed what it is to print."""


@dataclass(frozen=True)
class Command:
    """One command of a page, the lines it is to print, and the page's line."""

    text: str
    output: tuple[str, ...]
    line: int

    @property
    def stays(self) -> bool:
        return self.text.endswith(" &")

    @property
    def fails(self) -> bool:
        return any(line.startswith("stager: ") for line in self.output)

    def fits(self, printed: str) -> bool:
        """Whether what was printed is what the page shows."""
        if not self.output:
            return True
        shown = (*self.output, "…") if self.stays else self.output
        parts = [r"(?:[^\n]*\n)*" if line.strip() == "…" else _line(line) + r"\n" for line in shown]
        printed = _PROGRESS.sub("", printed)
        ended = printed if printed.endswith("\n") or not printed else printed + "\n"
        return re.fullmatch("".join(parts), ended) is not None


@dataclass(frozen=True)
class File:
    """A file that the reader of a page writes."""

    path: str
    text: str


@dataclass(frozen=True)
class Given:
    """An app of tests/apps that the reader has in a folder."""

    name: str
    path: str


@dataclass(frozen=True)
class Shown:
    """A block of commands: its line, why it is not run with its page, and the test that runs it instead."""

    line: int
    why: str = ""
    test: str = ""


def kind(page: str) -> str:
    """How a page is run: quick, network or tools; empty for one that is not."""
    found = _RUN.search(page)
    return found[1] if found else ""


def needs_platforms(page: str) -> bool:
    """Whether a page's commands reach a registry, Cloud Foundry or Heroku."""
    return f"<!-- given: {_PLATFORMS} -->" in page


def blocks(page: str) -> Iterator[Shown]:
    """Every block of commands on a page."""
    for block in _BLOCK.finditer(page):
        if block["kind"] in _SHELL and not _TITLE.search(block["rest"]):
            said = {"not run": "why", "run by": "test"}.get(block["apart"] or "")
            yield Shown(page.count("\n", 0, block.start("kind")) + 1, **{said: block["why"]} if said else {})


def nameless(page: str) -> list[int]:
    """The lines of blocks that do not say what they hold: fences without a language, and code that only an indent marks."""
    places = [block.start() for block in _BLOCK.finditer(page) if block["kind"] == ""]
    blank = _BLOCK.sub(lambda block: re.sub("[^\n]", "-", block[0]), page)
    places += [found.start() for found in re.finditer(r"(?<=\n\n)    \S", blank)]
    return sorted(page.count("\n", 0, place) + 1 for place in places)


def steps(page: str) -> Iterator[Command | File | Given]:
    """What the reader of a page does, in order."""
    for block in _BLOCK.finditer(page):
        line = page.count("\n", 0, block.start("text")) + 1
        title = _TITLE.search(block["rest"] or "")
        if block["what"] == _PLATFORMS:
            continue
        if block["hidden"] == "given":
            app = _APP.fullmatch(block["what"])
            assert app, f"not an app: {block['what']}"
            yield Given(app[1], app[2])
        elif block["hidden"]:
            yield Command(block["what"], (), line)
        elif title:
            yield File(title[1], block["text"])
        elif block["apart"]:
            continue
        elif block["kind"] == "console":
            yield from _commands(block["text"], line)
        elif block["kind"] in _SHELL:
            for text in block["text"].replace("\\\n", "").splitlines():
                if not text.startswith("#"):
                    yield Command(text, (), line)


def run(page: str, folder: Path, environ: Mapping[str, str], port: int, registry: str = _REGISTRY) -> list[str]:
    """Do what a page says in `folder`; what went otherwise than the page shows, as text for people."""
    shell = _Shell(folder, environ)
    wrong: list[str] = []
    try:
        for step in steps(page.replace(_PORT, str(port)).replace(_REGISTRY, registry)):
            if isinstance(step, File):
                shell.write(step)
            elif isinstance(step, Given):
                shell.give(step)
            elif said := shell.obey(step):
                wrong.append(said)
                break  # what follows rests on it
    finally:
        shell.end()
    return wrong


def programs(folder: Path) -> Path:
    """A folder for PATH that has this checkout's `stager`, and as `python` this Python, which imports that."""
    folder.mkdir()
    for name, first in (("stager", "-m stager "), ("python", "")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {first}"$@"\n')
        program.chmod(0o755)
    return folder


def _commands(text: str, first: int) -> Iterator[Command]:
    rows: list[tuple[list[str], list[str], int]] = []
    for number, line in enumerate(text.splitlines(), first):
        if line.startswith("$ "):
            rows.append(([line[2:]], [], number))
        elif line.startswith("> ") and rows and not rows[-1][1]:
            rows[-1][0].append(line[2:])
        else:
            assert rows, f"line {number}: output before a command"
            rows[-1][1].append(line)
    for typed, output, number in rows:
        yield Command("\n".join(typed), tuple(output), number)


def _line(text: str) -> str:
    return "[^\n]*".join(re.escape(part) for part in text.split("…"))


class _Shell:
    """A bash that reads commands one at a time; both its streams come back together."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.read = b""
        self._tell("set -m")

    def write(self, file: File) -> None:
        path = Path(self._ask("pwd").strip()) / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, "utf-8")

    def give(self, app: Given) -> None:
        place = Path(self._ask("pwd").strip()) / app.path
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(materialise(app.name, Path(folder)), place, symlinks=True, dirs_exist_ok=True)

    def obey(self, command: Command) -> str:
        """Run one command; what is wrong with how it went, else nothing."""
        if command.stays:
            printed = self._start(command)
            return "" if command.fits(printed) else _differs(command, printed)
        printed = self._ask(command.text)
        printed, _, status = printed.rpartition("\0")
        if (status != "0") != command.fails:
            return f"line {command.line}: {command.text}\n  ended with {status}:\n{printed}"
        return "" if command.fits(printed) else _differs(command, printed)

    def _start(self, command: Command) -> str:
        """Start a command in the background; what it prints until that fits. It is kept apart from what follows."""
        with tempfile.NamedTemporaryFile() as log:
            self._tell(f"{{ {command.text.removesuffix('&')}\n}} </dev/null >{log.name} 2>&1 &")
            end = time.monotonic() + _READY
            while not command.fits(printed := Path(log.name).read_text("utf-8")) and time.monotonic() < end:
                time.sleep(0.05)
        return printed

    def end(self) -> None:
        """End the shell and all that it started: kindly, so that what runs an app ends that, too; then by force."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + _READY
            for pid in self._started():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if pid == self.process.pid else number)
            self.process.wait(_READY)
            while self._started() and time.monotonic() < end:
                time.sleep(0.05)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream
            stream.close()

    def _started(self) -> list[int]:
        """The processes of the shell's session that have not ended."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
                found += [pid] if os.getsid(pid) == self.process.pid and state != "Z" else []
        return found

    def _ask(self, text: str) -> str:
        """What a command prints, and its status after a NUL."""
        self._tell(f"{{ {text}\n}} </dev/null\nprintf '\\0%s\\0' $?")
        printed = self._until(lambda: self.read.count(b"\0") >= 2)
        assert printed.count("\0") == 2, f"{text}: no end; so far:\n{printed}"
        return printed.rpartition("\0")[0] if text != "pwd" else printed.partition("\0")[0]

    def _tell(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()

    def _until(self, done: Callable[[], bool]) -> str:
        """All that was printed, once `done` says so, the shell ended or time is over."""
        assert self.process.stdout
        end = time.monotonic() + _LONGEST
        while not done() and (left := end - time.monotonic()) > 0:
            if select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    break
                self.read += data
        printed, self.read = self.read.decode("utf-8", "replace"), b""
        return printed


def _differs(command: Command, printed: str) -> str:
    shown = "\n".join(command.output)
    return f"line {command.line}: {command.text}\n  the page shows:\n{shown}\n  it printed:\n{printed}"
