"""Apps that finish their work when they are told to end: they say `draining`, half a second later `bye`, and end with 0."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NODE = """
const server = require("http").createServer((request, response) => response.end("up\\n")).listen(process.env.PORT);
process.on("SIGTERM", () => { console.log("draining"); setTimeout(() => { console.log("bye"); process.exit(0); }, 500); });
"""
FLASK = """
import atexit, time
from flask import Flask

app = Flask(__name__)
app.get("/")(lambda: "up\\n")


@atexit.register
def drain():
    print("draining", flush=True)
    time.sleep(0.5)
    print("bye", flush=True)
"""


def files(app: Path, texts: Mapping[str, str]) -> Path:
    """Make an app's folder of these files."""
    app.mkdir()
    for path, text in texts.items():
        (app / path).write_text(text)
    return app
