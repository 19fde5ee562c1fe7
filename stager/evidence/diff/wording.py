"""The words that differences are told in: names made safe to show, sizes, and one sentence for each change."""

from __future__ import annotations

from ...model import Plan
from ...names import printable
from ...text.wording import size_text
from .difference import EQUAL, IN_ENVELOPE, Difference, FileChange
from .planned import Change

SIGNS = {"added": "+", "removed": "-", "up": "↑", "down": "↓", "changed": "~"}


def shown(text: str, longest: int = 0) -> str:
    """Untrusted text as it may be printed (see `names.printable`), cut to `longest` characters if that is given."""
    safe = printable(text)
    return safe if not longest or len(safe) <= longest else safe[: longest - 1] + "…"


def growth_text(count: int) -> str:
    """The same with a sign."""
    return size_text(count) if count < 0 else f"+{size_text(count)}"


def name_of(difference: Difference, side: str) -> str:
    """What one side is, for people: `droplet a.tgz`."""
    one = difference.a if side == "a" else difference.b
    return f"{one.kind} {shown(one.label)}"


def verdict(difference: Difference) -> str:
    """The result in one sentence."""
    a, b = difference.a, difference.b
    if difference.verdict == EQUAL:
        if a.kind == b.kind and a.digest == b.digest:
            return "Equal, byte for byte."
        return f"Equal in everything that a {a.kind} and a {b.kind} both hold."
    if difference.verdict == IN_ENVELOPE:
        return "Equal in content; only the envelope differs."
    return "Different in content."


def change_text(one: Change) -> str:
    """One change in words, without its sign."""
    what, before, after = shown(one.name), shown(one.before, 200), shown(one.after, 200)
    if one.what == "order":
        return f"{what} stands elsewhere in the archive ({after})"
    if one.what == "repeated":
        return f"{what} is in the archive {before}, then {after}"
    if one.what == "padding":
        return (
            f"{what}: other filling behind it ({after})"
            if one.name != "the end of the archive"
            else f"{what} ({after})"
        )
    if one.what == "layer":
        return f"{what}: equal entries, compressed otherwise"
    if one.how == "added":
        return f"{what} {after}".rstrip()
    if one.how == "removed":
        return f"{what} {before}".rstrip()
    return f"{what} {before} → {after}"


def file_text(one: FileChange) -> str:
    """One file's change in words, without its sign."""
    path = shown(one.path) or "the app folder"
    if one.how != "changed":
        item = one.after or one.before
        assert item is not None
        kind = "" if item.kind == "file" else f"{item.kind}, "
        return f"{path} ({kind}{size_text(item.size)})" if item.kind == "file" else f"{path} ({item.kind})"
    return f"{path}: {'; '.join(_field(one, *row) for row in one.fields)}"


def _field(one: FileChange, name: str, before: str, after: str) -> str:
    if name == "content":
        assert one.before is not None
        assert one.after is not None
        sizes = (one.before.size, one.after.size)
        return f"content, {size_text(sizes[0])} → {size_text(sizes[1])}" if sizes[0] != sizes[1] else "content"
    if name == "header":
        return "another form of header"
    return f"{name} {shown(before, 80) or 'none'} → {shown(after, 80) or 'none'}"


def plan_line(plan: Plan) -> str:
    """Stack and runtimes in a line."""
    runtimes = ", ".join(f"{one.name} {one.version}" for one in plan.runtimes)
    return f"{plan.stack}/{plan.architecture}" + (f" with {runtimes}" if runtimes else "")
