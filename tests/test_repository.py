"""What must not be in any tracked file: registry hosts (mirrors decide those) and paths of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from apps_fixture import npm_registry, pypi_files, pypi_index

ROOT = Path(__file__).parent.parent
NOBODY = rb"(?!(?:vcap|vagrant|app|user|me)\b)"
MACHINE_PATH = re.compile(rb"(?<![\w.@/-])/(?:root|work|Users|home/" + NOBODY + rb"[a-z]\w*|tmp/[a-z]\w*)/")
"""Homes and scratch folders of some machine. `/home/vcap` is Cloud Foundry's own, `/home/vagrant` Vagrant's, and
`/home/me` nobody's."""


def tracked() -> list[Path]:
    """Files that git tracks or would track: what a commit made now would hold."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    files = (ROOT / name for name in done.stdout.decode().split("\0") if name)
    return sorted(path for path in files if path.is_file() and not path.is_symlink())


def hosts() -> set[str]:
    """The default and configured hosts of the indexes, from the clients' own settings and libraries."""
    urls = (pypi_index(), pypi_files(), npm_registry(), *defaults())
    return {host for url in urls if (host := urlsplit(url).hostname) and "." in host and not host[0].isdigit()}


def defaults() -> list[str]:
    from packageurl.contrib.purl2url import get_download_url

    purls = ("pkg:npm/a@1", "pkg:gem/a@1", "pkg:cargo/a@1", "pkg:deb/debian/a@1")
    found = [get_download_url(purl) for purl in purls]  # type: ignore[no-untyped-call]
    return [url for url in found if url]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return tracked()


def test_no_registry_host_is_named(files: list[Path]) -> None:
    needles = {host: host.encode() for host in hosts()}
    assert len(needles) >= 3
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in files
        for host, needle in needles.items()
        if needle in path.read_bytes()
    ]
    assert not named


def test_no_path_of_one_machine_is_named(files: list[Path]) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in files
        if path != Path(__file__)
        for match in [MACHINE_PATH.search(path.read_bytes())]
        if match
    ]
    assert not found


def test_every_document_link_leads_somewhere(files: list[Path]) -> None:
    link = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in files
        if path.suffix == ".md"
        for target in link.findall(path.read_text("utf-8"))
        if not (path.parent / target).exists()
    ]
    assert not broken


def test_text_files_end_lines_with_one_newline(files: list[Path]) -> None:
    kinds = {".py", ".md", ".yml", ".toml", ".json", ".j2", ".go"}
    texts = [path for path in files if path.suffix in kinds and "apps" not in path.relative_to(ROOT).parts]
    assert len(texts) > 20
    wrong = [str(path.relative_to(ROOT)) for path in texts if b"\r" in path.read_bytes()]
    assert not wrong


def test_packages_describe_modules_that_they_have() -> None:
    """A newcomer reads these first: a word in backticks is a module beside, a top one, or a name of the package's own."""
    wrong, top = [], {path.stem for path in (ROOT / "stager").iterdir()} | {"node_modules"}
    for path in sorted((ROOT / "stager").rglob("__init__.py")):
        text = path.read_text("utf-8")
        about = ast.get_docstring(ast.parse(text)) or ""
        known = top | {one.stem for one in path.parent.iterdir()}
        named = set(re.findall(r"`([a-z][a-z_]*)`", about)) - known
        wrong += [
            f"{path.relative_to(ROOT)}: {word}" for word in sorted(named) if text.count(word) == about.count(word)
        ]
    assert wrong == []
