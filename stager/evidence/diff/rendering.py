"""A difference as text for a terminal, as a JSON document, and as Markdown for a review comment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...droplet.contents import Contents, Item
from ...droplet.ownership import APP
from ...text.wording import size_text
from .difference import Difference, FileChange, LayerRow
from .planned import Change
from .wording import SIGNS, change_text, file_text, growth_text, name_of, shown, verdict

TITLES = {
    "stack": "Stack",
    "runtime": "Runtimes",
    "package": "Packages",
    "process": "Processes",
    "env": "Environment",
    "buildpack": "Buildpacks",
    "build": "Builds",
    "root": "Build roots",
    "input": "Files that decide the plan",
    "codec": "Codec",
    "fact": "Facts of the plan",
    "link": "Links of the plan",
    "file": "Generated files",
    "plan": "Plan",
    "detail": "Settings",
    "repeated": "Paths that come twice",
}
"""Kinds of changes in the order they are told, with their headings."""
SHORT = 20
"""Files of one owner that are listed before the rest is summed up."""


def groups(difference: Difference) -> list[tuple[str, list[Change]]]:
    """The changes in content by heading."""
    found = []
    for what, title in TITLES.items():
        rows = [one for one in difference.changes if one.what == what and not one.envelope]
        if rows:
            found.append((title, rows))
    return found


def file_groups(difference: Difference) -> list[tuple[str, list[FileChange]]]:
    """The files that differ in content by owner: the app's own first, then by name. Folders that files imply are left out."""
    found: dict[str, list[FileChange]] = {}
    implied = {above for one in difference.files if not _is_folder(one) for above in _above(one)}
    for one in difference.files:
        if not one.envelope and not (_is_folder(one) and (one.path, one.how) in implied):
            found.setdefault(_unversioned(one.owner), []).append(one)
    return sorted(found.items(), key=lambda pair: (pair[0] != APP, pair[0]))


def _unversioned(owner: str) -> str:
    """A package without its version: what changed between two of them belongs together."""
    name, at, _ = owner.rpartition("@")
    return name if at and name else owner


def _is_folder(one: FileChange) -> bool:
    item = one.after or one.before
    return item is not None and item.kind == "folder"


def _above(one: FileChange) -> Iterator[tuple[str, str]]:
    path = one.path
    while path := path.rpartition("/")[0]:
        yield path, one.how


def envelope_lines(difference: Difference) -> list[str]:
    """What differs in the envelope, a line a thing."""
    lines = [f"{one.what}: {change_text(one)}" for one in difference.changes if one.envelope]
    return lines + [f"{SIGNS[one.how]} {file_text(one)}" for one in difference.files if one.envelope]


# --- text ------------------------------------------------------------------------------------------------------


def as_text(difference: Difference, *, everything: bool = False, inside: str = "") -> str:
    """What `stager diff` prints; `inside` is what was found inside files."""
    limit = 10**9 if everything else SHORT
    lines = [*_heads(difference), *_changes(difference), *_file_lines(difference, limit), *_layer_lines(difference)]
    quiet = envelope_lines(difference)
    if quiet:
        lines += ["", "Envelope" + ("" if difference.counts_envelope else " (not counted)"), *_cut(quiet, limit)]
    lines += ["", *(f"note: {shown(note)}" for note in difference.not_compared)] if difference.not_compared else []
    lines += ["", "Inside files", inside.rstrip()] if inside else []
    return "\n".join([*lines, "", verdict(difference)])


def _heads(difference: Difference) -> list[str]:
    return [_head("a", difference.a), _head("b", difference.b)]


def _head(letter: str, side: Contents) -> str:
    return f"{letter}  {side.kind} {shown(side.label)}  {side.digest}  {size_text(side.size)}"


def _changes(difference: Difference) -> Iterator[str]:
    for title, rows in groups(difference):
        yield from ("", title)
        yield from (f"  {SIGNS[one.how]} {change_text(one)}" for one in rows)


def _file_lines(difference: Difference, limit: int) -> Iterator[str]:
    found = file_groups(difference)
    if found:
        yield from ("", f"Files ({_sum(one for _, rows in found for one in rows)})")
    for owner, rows in found:
        yield f"  {shown(owner)}: {_sum(rows)}"
        if owner == APP or limit > SHORT:
            yield from (f"  {line}" for line in _cut([f"{SIGNS[one.how]} {file_text(one)}" for one in rows], limit))
        else:
            yield from (f"    {SIGNS[one.how]} {file_text(one)}" for one in rows[:3])
            if len(rows) > 3:
                yield f"    and {len(rows) - 3} more (--all lists them)"


def _sum(rows: Iterable[FileChange]) -> str:
    """How many of each kind, and by how much they grew: `2 added, 1 changed, +3.4 kB`."""
    listed = list(rows)
    counts = {how: sum(one.how == how for one in listed) for how in ("added", "removed", "changed")}
    parts = [f"{count} {how}" for how, count in counts.items() if count]
    return ", ".join([*parts, growth_text(sum(one.growth for one in listed))])


def _cut(lines: list[str], limit: int) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:limit])
    if len(lines) > limit:
        yield f"  and {len(lines) - limit} more (--all lists them)"


def _layer_lines(difference: Difference) -> Iterator[str]:
    if not difference.layers:
        return
    shared = [row for row in difference.layers if row.side == "shared"]
    yield from ("", f"Layers ({layer_sum(difference)})")
    yield from (f"  = {shown(row.name)} {row.digest or row.diff_id}" for row in shared)
    for side in ("a", "b"):
        rows = [row for row in difference.layers if row.side == side]
        yield from (
            f"  {side} {shown(row.name)} {row.digest or row.diff_id} {size_text(row.size)}".rstrip() for row in rows
        )


def layer_sum(difference: Difference) -> str:
    """How many layers are shared, and how many bytes that is."""
    shared = [row for row in difference.layers if row.side == "shared"]
    own = [sum(row.side == side for row in difference.layers) for side in ("a", "b")]
    size = size_text(sum(row.size for row in shared))
    return f"{len(shared)} shared, {size}; {own[0]} in a alone, {own[1]} in b alone"


# --- JSON ------------------------------------------------------------------------------------------------------


def as_json(difference: Difference) -> dict[str, Any]:
    """The document of `stager diff --json`."""
    return {
        "verdict": difference.verdict,
        "different": difference.different,
        "a": _side(difference.a),
        "b": _side(difference.b),
        "changes": [_change(one) for one in difference.changes],
        "files": [_file(one) for one in difference.files],
        "layers": [
            {"name": shown(row.name), "in": row.side, "digest": row.digest, "diff_id": row.diff_id, "size": row.size}
            for row in difference.layers
        ],
        "not_compared": [shown(note) for note in difference.not_compared],
    }


def _side(side: Contents) -> dict[str, Any]:
    return {"kind": side.kind, "name": shown(side.label), "digest": str(side.digest), "size": side.size}


def _change(one: Change) -> dict[str, Any]:
    return {
        "what": one.what,
        "name": shown(one.name),
        "change": one.how,
        "before": shown(one.before),
        "after": shown(one.after),
        "envelope": one.envelope,
    }


def _file(one: FileChange) -> dict[str, Any]:
    return {
        "path": shown(one.path),
        "change": one.how,
        "owner": shown(one.owner),
        "envelope": one.envelope,
        "fields": [{"field": name, "before": shown(old), "after": shown(new)} for name, old, new in one.fields],
        "before": _item(one.before),
        "after": _item(one.after),
    }


def _item(item: Item | None) -> dict[str, Any] | None:
    if item is None:
        return None
    facts = {"kind": item.kind, "mode": f"{item.mode:04o}", "size": item.size, "layer": shown(item.layer)}
    return {**facts, **({"sha256": item.sha256} if item.sha256 else {}), **({"link": item.link} if item.link else {})}


# --- Markdown --------------------------------------------------------------------------------------------------


def as_markdown(difference: Difference, *, everything: bool = False, inside: str = "") -> str:
    """A comment for a review: what matters in a table, the rest folded away."""
    limit = 10**9 if everything else SHORT
    lines = [
        f"### {name_of(difference, 'a')} → {name_of(difference, 'b')}".replace("|", "\\|"),
        "",
        verdict(difference),
    ]
    rows = [(title, one) for title, some in groups(difference) for one in some]
    if rows:
        lines += ["", "| | what | name | before | after |", "|---|---|---|---|---|"]
        lines += [
            f"| {SIGNS[one.how]} | {one.what} | {code(one.name)} | {code(one.before)} | {code(one.after)} |"
            for _, one in rows
        ]
    for owner, files in file_groups(difference):
        lines += _folded(f"{shown(owner)}: {_sum(files)}", [f"{SIGNS[f.how]} {file_text(f)}" for f in files], limit)
    if difference.layers:
        lines += _folded(f"Layers: {layer_sum(difference)}", [_layer_row(row) for row in difference.layers], 10**9)
    if quiet := envelope_lines(difference):
        lines += _folded(f"Envelope: {len(quiet)} differences", quiet, limit)
    if inside:
        lines += _folded("Inside files", inside.splitlines(), 10**9)
    lines += ["", *(f"> {code(note)}" for note in difference.not_compared)] if difference.not_compared else []
    return "\n".join(lines) + "\n"


def _layer_row(row: LayerRow) -> str:
    sign = {"shared": "=", "a": "-", "b": "+"}[row.side]
    return f"{sign} {shown(row.name)} {row.digest or row.diff_id} {size_text(row.size)}"


def code(text: str) -> str:
    """Untrusted text as a Markdown code span inside a table: nothing in it can end the span, the cell or the line."""
    safe = shown(text, 120).replace("|", "\\|")
    if not safe:
        return ""
    fence = "`"
    while fence in safe:
        fence += "`"
    edge = " " if safe[0] in "` " or safe[-1] in "` " else ""
    return f"{fence}{edge}{safe}{edge}{fence}"


def _folded(title: str, lines: list[str], limit: int) -> list[str]:
    """A list that opens when it is asked for, in a fence longer than any run of backticks inside."""
    cut = lines[:limit] + ([f"and {len(lines) - limit} more"] if len(lines) > limit else [])
    fence = "```"
    while any(fence in line for line in cut):
        fence += "`"
    plain = title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return ["", "<details>", f"<summary>{plain}</summary>", "", f"{fence}diff", *cut, fence, "", "</details>"]
