"""Run stager's command line with an environment that a test decides: in a process of its own, as users do, or in this one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stager import cli

PROGRAM = (sys.executable, "-m", "stager")
LIMIT = 900.0
"""Seconds that any one command may take."""


@dataclass(frozen=True)
class Done:
    """A finished command: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        try:
            loaded: dict[str, Any] = json.loads(self.out)
        except ValueError:
            raise AssertionError(f"no JSON on stdout, exit {self.code}\n{self.out}\n{self.err}") from None
        return loaded

    def good(self) -> Done:
        """This, after asserting that it succeeded."""
        assert self.code == 0, f"exit {self.code}\n{self.out}\n{self.err}"
        return self


def stager(*arguments: object, store: Path, cwd: Path | None = None, **variables: str) -> Done:
    """Run `stager ARGUMENTS` against a store of its own, with extra environment variables."""
    environment = {**os.environ, "STAGER_CACHE_DIR": str(store), **variables}
    command = [*PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT)
    return Done(done.returncode, done.stdout, done.stderr)


def in_process(*arguments: object, store: Path, cwd: Path | None = None, **variables: str) -> Done:
    """The same in this process, which saves a start of Python: for what neither signals nor the process itself decide."""
    before = dict(os.environ)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
        contextlib.chdir(cwd or "."),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        os.environ.update({"STAGER_CACHE_DIR": str(store), **variables})
        try:
            code = cli.main([*map(str, arguments)])
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os.environ.clear()
            os.environ.update(before)
        for stream in (out, err):
            stream.seek(0)
        return Done(code, out.read(), err.read())


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, path: str, alive: subprocess.Popen[bytes], seconds: float = 60.0) -> tuple[int, str]:
    """GET a path of a server that may still be starting: its status and body."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode("utf-8", "replace")
        except OSError as failed:
            nobody = str(failed)
        assert alive.poll() is None, f"ended with {alive.returncode} before it answered"
        assert time.monotonic() < deadline, f"no answer in {seconds} s: {nobody}"
        time.sleep(0.1)


@contextlib.contextmanager
def running(
    droplet: Path, log: Path, *options: str, store: Path, **variables: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`stager run` a droplet on a free port; on the way out ask it to end, and assert that it does so by itself."""
    port = free_port()
    environment = {**os.environ, "STAGER_CACHE_DIR": str(store), **variables}
    command = [*PROGRAM, "run", str(droplet), "--port", str(port), *options]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield port, process
            process.send_signal(signal.SIGTERM)
            process.wait(60)  # a machine under load takes long to remove what it unpacked
        except BaseException as failed:
            failed.add_note("its log:\n" + log.read_text("utf-8", "replace")[-4000:])
            raise
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)


def with_port(command: str) -> bool:
    """Whether a start command listens where the platform says."""
    return re.search(r"\$\{?PORT\b", command) is not None
