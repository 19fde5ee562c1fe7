"""The guest's logger: JSON lines in a file, and the same to a syslog or GELF drain; the real script, in a small root."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import zlib
from pathlib import Path

import pytest

from stager.local.machine import guest_files
from stager.text import templates

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(not shutil.which("bwrap") or not shutil.which("perl"), reason="needs bubblewrap and perl"),
]
SCRIPT = Path(templates.folder(guest_files.__file__)) / "logger"
ROOT = [
    "--ro-bind",
    "/usr",
    "/usr",
    *(w for name in ("lib", "lib64", "bin") for w in ("--symlink", f"usr/{name}", f"/{name}")),
]


def log(tmp_path: Path, text: bytes, drain: str = "") -> list[dict[str, object]]:
    """What the file holds after the process `web.2` has written `text`."""
    folder = tmp_path / "log"
    folder.mkdir(exist_ok=True)
    (tmp_path / "drain").write_text(drain + "\n" if drain else "")
    mounts = ["--dev", "/dev", "--proc", "/proc", "--dir", "/etc/stager", "--dir", "/var/log"]
    mounts += ["--bind", str(folder), "/var/log/stager", "--ro-bind", str(tmp_path / "drain"), "/etc/stager/drain"]
    command = ["bwrap", *ROOT, *mounts, "--ro-bind", str(SCRIPT), "/logger", "perl", "/logger", "web.2"]
    subprocess.run(command, input=text, check=True, timeout=60)
    return [json.loads(line) for line in (folder / "web.2.log").read_text("utf-8").splitlines()]


def test_lines_are_json_with_time_process_and_instance(tmp_path: Path) -> None:
    rows = log(tmp_path, 'plain\nquote " and \\ and \ttab\nZoë\n\nlast'.encode() + b"\xff")
    assert [row["message"] for row in rows] == ["plain", 'quote " and \\ and \ttab', "Zoë", "", "last?"]
    assert {(row["process"], row["instance"]) for row in rows} == {("web", 2)}
    assert (
        abs(time.mktime(time.strptime(str(rows[0]["time"])[:19], "%Y-%m-%dT%H:%M:%S")) - time.mktime(time.gmtime()))
        < 60
    )


def datagrams(scheme: str, tmp_path: Path, text: bytes) -> list[bytes]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as drain:
        drain.bind(("127.0.0.1", 0))
        drain.settimeout(2)
        log(tmp_path, text, f"{scheme}://127.0.0.1:{drain.getsockname()[1]}")
        found = []
        try:
            while True:
                found.append(drain.recv(65536))
        except TimeoutError:
            return found


def test_syslog_over_udp_is_rfc_5424(tmp_path: Path) -> None:
    first, second = datagrams("syslog", tmp_path, b"one\ntwo\n")
    head = first.decode().split(" ")
    assert (head[0], head[3], head[4], head[5:7], head[7]) == ("<14>1", "web", "2", ["-", "-"], "one")
    assert second.endswith(b" web 2 - - two")


def test_syslog_over_tcp_counts_octets(tmp_path: Path) -> None:
    received = bytearray()

    def take(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while part := connection.recv(65536):
                received.extend(part)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        thread = threading.Thread(target=take, args=(listener,))
        thread.start()
        log(tmp_path, "Zoë\ntwo\n".encode(), f"syslog+tcp://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(20)
    messages, data = [], bytes(received)
    while data:
        count, _, rest = data.partition(b" ")
        messages.append(rest[: int(count)])
        data = rest[int(count) :]
    assert [message.rpartition(b" - ")[2].decode() for message in messages] == ["Zoë", "two"]


def test_gelf_over_udp_small_and_in_chunks(tmp_path: Path) -> None:
    (small,) = datagrams("gelf", tmp_path, b"one\n")
    document = json.loads(small)
    assert (document["version"], document["short_message"], document["_process"]) == ("1.1", "one", "web")
    assert document["_instance"] == 2
    assert isinstance(document["timestamp"], float)
    assert document["host"]
    long = zlib.crc32(b"long").to_bytes(4, "big").hex().encode() * 2500
    chunks = datagrams("gelf", tmp_path, long + b"\n")
    assert all(chunk[:2] == b"\x1e\x0f" for chunk in chunks)
    assert len({chunk[2:10] for chunk in chunks}) == 1
    assert [(chunk[10], chunk[11]) for chunk in chunks] == [(number, len(chunks)) for number in range(len(chunks))]
    assert json.loads(b"".join(chunk[12:] for chunk in chunks))["short_message"] == long.decode()


def test_a_drain_that_is_away_costs_its_lines_and_nothing_else(tmp_path: Path) -> None:
    began = time.monotonic()
    rows = log(tmp_path, b"line\n" * 2000, "syslog+tcp://127.0.0.1:9")
    assert len(rows) == 2000
    assert time.monotonic() - began < 30
