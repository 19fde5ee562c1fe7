"""What is big: by package and by file, from the droplet itself."""

from __future__ import annotations

from ...errors import UsageError
from ...text.wording import size_text
from ..diff import Contents, read
from ..diff.wording import shown
from .answers import Answer, Question

MOST = 15
"""Owners and files that are told."""


def answer(question: Question) -> tuple[Answer, ...]:
    """The whole, the biggest owners, the biggest files. Raises UsageError without a droplet, and BadArchive."""
    path = question.droplet or _last(question)
    if not path:
        hint = "Stage it first, or give a droplet with --droplet FILE."
        raise UsageError("there is no droplet of this folder to look into", hint)
    found = read(path)
    if not found.has_files or not found.whole:
        raise UsageError(f"{found.label} is a {found.kind}, which has no sizes to explain", "Give a droplet.")
    return _sizes(found)


def _last(question: Question) -> str:
    """Where the last staging of the folder wrote its droplet, if that is still there."""
    import os

    last = question.folder.memo.last
    return last.out.path if last and last.out and os.path.isfile(last.out.path) else ""


def _sizes(found: Contents) -> tuple[Answer, ...]:
    items = [item for item in found.items() if item.kind == "file"]
    owner = found.owners()
    totals: dict[str, list[int]] = {}
    for item in items:
        row = totals.setdefault(owner(item), [0, 0])
        row[0] += item.size
        row[1] += 1
    whole = sum(item.size for item in items)
    rows = sorted(totals.items(), key=lambda row: (-row[1][0], row[0]))
    biggest = sorted(items, key=lambda item: (-item.size, item.path))[:MOST]
    text = f"{shown(found.label)} is {size_text(found.size)}, {size_text(whole)} unpacked in {len(items)} files."
    owned = tuple(
        f"{size_text(size):>9} {100 * size / (whole or 1):5.1f} %  {shown(name)} ({count} files)"
        for name, (size, count) in rows[:MOST]
    )
    if len(rows) > MOST:
        rest = sum(size for _, (size, _) in rows[MOST:])
        owned += (f"{size_text(rest):>9}          {len(rows) - MOST} smaller ones",)
    data = {"size": found.size, "unpacked": whole, "files": len(items)}
    by_owner = [{"name": shown(name), "unpacked": size, "files": count} for name, (size, count) in rows]
    by_file = [{"path": shown(item.path), "size": item.size} for item in biggest]
    name, (size, _) = rows[0] if rows else ("nothing", (0, 0))
    return (
        Answer("whole", text, (), data),
        Answer("owners", f"The biggest part is {shown(name)}, {size_text(size)}.", owned, {"owners": by_owner}),
        Answer(
            "files",
            "The biggest files:",
            tuple(f"{size_text(item.size):>9}  {shown(item.path)}" for item in biggest),
            {"files": by_file},
        ),
    )
