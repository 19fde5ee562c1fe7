"""The page itself: values, style and script put into the template, under a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib

from ...text import templates
from ...text.templates import fill
from ..diff import Contents, Difference
from .model import values


def render_page(found: Contents, difference: Difference | None = None) -> str:
    """The HTML page about `found`, which with `difference` is its second side. Raises BadArchive for damaged layers.

    Equal droplets give equal pages: neither file names nor anything of the machine is in it.
    """
    style, script = _text("report.css"), _text("report.js")
    rules = ("default-src 'none'", f"style-src {_hash(style)}", f"script-src {_hash(script)}", "img-src data:")
    policy = "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])
    page = {**values(found, difference), "style": style, "script": script, "policy": policy}
    return fill(__file__, "report.html.j2", page)


def _text(name: str) -> str:
    return templates.read(__file__, name).decode()


def _hash(text: str) -> str:
    """A Content Security Policy source that allows exactly this text (CSP 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
