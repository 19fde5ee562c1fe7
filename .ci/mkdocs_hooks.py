"""The site holds the pages at the repository's top as well; a link to a file that is no page becomes its plain text."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#]+)(#[^)]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    for name in TOP:
        files.append(File.generated(config, f"project/{name}", content=(ROOT / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of a page, which lead through the repository, as they lead through the site."""
    here = page.file.src_uri
    inside = posixpath.dirname(here.removeprefix("project/") if here.startswith("project/") else f"docs/{here}")

    def one(match: re.Match[str]) -> str:
        text, target, rest = match[1], match[2], match[3] or ""
        path = posixpath.normpath(posixpath.join(inside, target))
        place = f"project/{path}" if path in TOP else path.removeprefix("docs/")
        if place == path or not path.endswith((".md", *TOP)):
            return text
        return f"[{text}]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{rest})"

    return _LINK.sub(one, markdown)
