"""Where tests bring machines up: an engine with a bridge of its own, because Vagrant publishes ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import Done, stager
from engine import Engine, need_engine

PINS = Path(__file__).parent.parent / "local" / "machine" / "shop.txt"
"""The shop's requirements."""
SHOP = '''\
"""A counter in PostgreSQL and Redis, reached by what the platform binds; the least that shows both work."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pg8000.dbapi
import redis


def in_postgresql() -> int:
    url = urlsplit(os.environ["DATABASE_URL"])
    connection = pg8000.dbapi.connect(url.username, url.hostname, url.path[1:], url.port, url.password)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS visits (number SERIAL)")
    cursor.execute("INSERT INTO visits DEFAULT VALUES RETURNING number")
    number = cursor.fetchone()[0]
    connection.commit()
    connection.close()
    return int(number)


def in_redis() -> int:
    return int(redis.Redis.from_url(os.environ["REDIS_URL"]).incr("visits"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            text = "well"
        else:
            text = f"postgresql {in_postgresql()} redis {in_redis()}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
'''
PROCFILE = "web: python app.py\nworker: while :; do echo tick; sleep 1; done\nrelease: exit 1\n"
SETTINGS = "services: [postgresql, redis]\nhealth: {path: /health, timeout: 60}\n"


@dataclass(frozen=True)
class Bench:
    """Where machines are brought up: an engine, the address of this host on its bridge, and stager with both."""

    engine: Engine
    gateway: str
    store: Path
    home: Path

    @property
    def variables(self) -> dict[str, str]:
        """What the environment needs beside the store."""
        return {"DOCKER_HOST": self.engine.host, "VAGRANT_HOME": str(self.home)}

    def stager(self, *arguments: object) -> Done:
        """Run a command."""
        return stager(*arguments, store=self.store, cwd=None, **self.variables)

    def containers(self) -> list[Any]:
        """Everything the engine has, running or not."""
        found: list[Any] = self.engine.client.containers.list(all=True)
        return found


@contextlib.contextmanager
def bridge() -> Iterator[tuple[str, str]]:
    """(name, address of this host) of a new bridge on a network that nobody uses."""
    number = int.from_bytes(os.urandom(2), "big") % 60000
    name, address = f"st{number}", f"10.{200 + number % 50}.{number // 50 % 250}.1"
    steps = (["add", "name", name, "type", "bridge"], ["set", name, "up"])
    subprocess.run(["ip", "link", *steps[0]], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"{address}/24", "dev", name], check=True)
        subprocess.run(["ip", "link", *steps[1]], check=True)
        yield name, address
    finally:
        subprocess.run(["ip", "link", "delete", name], check=False)


def need_vagrant() -> None:
    """Skip unless machines can be brought up here."""
    need_engine()
    for program in ("vagrant", "docker", "ssh", "ip"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def make_shop(folder: Path) -> Path:
    """A small Python app with PostgreSQL and Redis, in a new folder."""
    folder.mkdir()
    files = {"app.py": SHOP, "Procfile": PROCFILE, "stager.yml": SETTINGS, "requirements.txt": PINS.read_text("utf-8")}
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder
