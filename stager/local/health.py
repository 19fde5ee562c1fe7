"""Whether an app that runs is ready: its health check asked once, or until it passes.

A check is what `stager.yml` says under `health`: an HTTP path, or a command; with neither, the app's port must accept
connections. Nothing here prints; the verdict carries the words and figures that a monitoring system wants.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..net.guard import Guard
from ..planning.detection.appconfig import Health
from ..text.typed import whole

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
"""Exit statuses of a check, as the Monitoring Plugins development guidelines number them."""
_NAMES = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """One answer: `status` as above, what was seen, and how many `seconds` it took."""

    status: int
    text: str
    seconds: float = 0.0

    def line(self, subject: str = "STAGER") -> str:
        """The one line of output that monitoring systems of the Nagios family read: text, then performance data."""
        words = self.text.replace("|", "/").replace("\n", " ")
        return f"{subject} {_NAMES[self.status]} - {words} | time={self.seconds:.3f}s;;;0"

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "status": _NAMES[self.status],
            "exit": self.status,
            "text": self.text,
            "seconds": round(self.seconds, 3),
        }


def probe(
    health: Health, host: str, port: int, command: Sequence[str] = (), limit: float = 10.0, slow: float = 0.0
) -> HealthVerdict:
    """Ask once. `command` is the prefix that runs `health.command` where the app is; `limit` and `slow` are seconds.

    An answer later than `slow` (when given) is a warning.
    """
    began = time.monotonic()
    if health.command:
        status, text = _run([*command, health.command], limit)
    elif health.path:
        status, text = _get(host, port, health.path, limit)
    else:
        status, text = _connect(host, port, limit)
    seconds = time.monotonic() - began
    if status == OK and slow and seconds > slow:
        return HealthVerdict(WARNING, f"{text}, but only after {seconds:.1f} s", seconds)
    return HealthVerdict(status, text, seconds)


def wait(
    ask: Callable[[], HealthVerdict], seconds: float, *, alive: Callable[[], bool] = lambda: True, pause: float = 0.2
) -> HealthVerdict:
    """Ask until the answer is good, the time is over, or `alive()` says that waiting is in vain; the last verdict."""
    end = time.monotonic() + seconds
    while True:
        verdict = ask()
        if verdict.status in (OK, WARNING) or time.monotonic() >= end or not alive():
            return verdict
        time.sleep(pause)


def _get(host: str, port: int, path: str, limit: float) -> tuple[int, str]:
    connection, guard = http.client.HTTPConnection(host, port, timeout=limit), Guard(lambda: False)
    try:
        with guard.watch(limit, 1 << 30) as watched:  # the whole answer, however it drips
            connection.connect()
            guard.using(connection.sock)
            connection.request("GET", path, headers={"User-Agent": "stager-check", "Connection": "close"})
            answer = connection.getresponse()
            answer.read(1 << 16)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return CRITICAL, f"GET {path} on port {port}: {_why(TimeoutError() if watched.ended else error, limit)}"
    finally:
        connection.close()
    if watched.ended:
        return CRITICAL, f"GET {path} on port {port}: {_why(TimeoutError(), limit)}"
    good = 200 <= answer.status < 400
    return OK if good else CRITICAL, f"GET {path} answered {answer.status} {answer.reason}".strip()


def _connect(host: str, port: int, limit: float) -> tuple[int, str]:
    try:
        socket.create_connection((host, port), limit).close()
    except OSError as error:
        return CRITICAL, f"port {port}: {_why(error, limit)}"
    return OK, f"port {port} accepts connections"


def _run(command: Sequence[str], limit: float) -> tuple[int, str]:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return CRITICAL, f"the health command did not end within {limit:g} s"
    except OSError as error:
        return UNKNOWN, f"the health command cannot be run: {error.strerror}"
    said = (done.stdout or done.stderr).decode("utf-8", "replace").strip().splitlines()
    words = f": {said[-1][:200]}" if said else ""
    if done.returncode == 0:
        return OK, f"the health command ended with 0{words}"
    return CRITICAL, f"the health command ended with {done.returncode}{words}"


def _why(error: Exception, limit: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {limit:g} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def from_manifest(process: Mapping[str, object]) -> Health:
    """The check that a Cloud Foundry manifest's process (or app) describes: its `health-check-*` keys."""
    path = process.get("health-check-http-endpoint")
    seconds = process.get("timeout")
    limit = seconds if isinstance(seconds, int) else whole(str(seconds))
    http_check = process.get("health-check-type") == "http"
    limit = max(1, min(60 if limit is None else limit, 3600))
    return Health(str(path) if http_check and path else ("/" if http_check else ""), "", limit)
