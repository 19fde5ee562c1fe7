"""Serves one line; started by the project script `greeter`."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from waitress import serve


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from a project script"]


def main() -> None:
    serve(application, host="0.0.0.0", port=int(os.environ["PORT"]))
