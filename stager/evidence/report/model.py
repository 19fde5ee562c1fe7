"""Everything the report shows, as texts, numbers, lists and tables of them: the template decides nothing.

Untrusted names pass `shown` here (nothing invisible is left in them) and are escaped by the template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ... import __version__
from ...model import Plan, Reason
from ...runtimes import known
from ..diff import Contents, Difference, Item
from ..diff.rendering import file_groups, groups
from ..diff.wording import SIGNS, change_text, file_text, growth_text, shown, size_text, verdict
from . import sizes
from .treemap import Tile, tiles

PAGES = (("wide", 1080, 540), ("middle", 700, 560), ("narrow", 358, 600))
"""The treemap's sizes: for a desktop, a tablet and a phone; the style sheet shows the one that fits."""
BIGGEST = 25
"""Files in the list of the biggest."""
Values = dict[str, Any]


def values(found: Contents, difference: Difference | None = None) -> Values:
    """The page's values for one droplet (or slug, or image), and for how it came from another."""
    rows = sizes.by_owner(found)
    items = [item for some in rows.values() for item in some]
    return {
        "version": __version__,
        "kind": found.kind,
        "digest": str(found.digest),
        "short": found.digest.hex[:12],
        "facts": _facts(found, items),
        "treemap": _treemap(found, rows),
        "owners": _owners(found, rows),
        "processes": [{"type": shown(k), "command": shown(v)} for k, v in (found.processes or {}).items()],
        "env": [{"name": shown(k), "value": shown(v)} for k, v in sorted((found.env or {}).items())],
        "packages": _packages(found, rows),
        "layers": _layers(found, difference),
        "plan": _plan(found.plan),
        "biggest": _biggest(items),
        "notes": [shown(note) for note in found.notes],
        "change": _change(difference),
    }


def _facts(found: Contents, items: Sequence[Item]) -> list[Values]:
    """The row of figures at the top."""
    facts = [("Size", size_text(found.size)), ("Unpacked", size_text(sum(item.size for item in items)))]
    facts.append(("Files", f"{len(items):,}"))
    if found.packages is not None:
        facts.append(("Packages", str(len({(one.ecosystem, one.name, one.version) for one in found.packages}))))
    if found.layers is not None:
        facts.append(("Layers", str(len(found.layers))))
    if found.plan is not None:
        facts.append(("Stack", f"{found.plan.stack}/{found.plan.architecture}"))
        facts += [(_title(one.name), one.version) for one in found.plan.runtimes]
    return [{"name": shown(name), "value": shown(value)} for name, value in facts]


def _title(runtime: str) -> str:
    own = known(runtime)
    return own.title if own else runtime


# --- sizes -----------------------------------------------------------------------------------------------------


def _treemap(found: Contents, rows: Mapping[str, Sequence[Item]]) -> Values:
    nodes = sizes.tree(found, rows)
    whole = sum(node.size for node in nodes) or 1
    used = {node.kind: node.size for node in nodes}
    return {
        "pages": [
            {
                "name": name,
                "width": width,
                "height": height,
                "tiles": [_tile(t) for t in tiles(nodes, width, height, size_text)],
            }
            for name, width, height in PAGES
        ],
        "legend": [
            {"kind": kind, "name": title, "size": size_text(used[kind]), "share": _share(used[kind], whole)}
            for kind, title in sizes.headings().items()
            if kind in used
        ],
        "empty": not nodes,
    }


def _tile(tile: Tile) -> Values:
    return {
        "x": _number(tile.x),
        "y": _number(tile.y),
        "width": _number(tile.width),
        "height": _number(tile.height),
        "kind": tile.kind,
        "title": tile.title,
        "label": tile.label,
        "size": tile.size,
        "group": 1 if tile.group else 0,
    }


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _share(part: int, whole: int) -> str:
    share = 100 * part / (whole or 1)
    return "< 0.1 %" if 0 < share < 0.05 else f"{share:.1f} %"


def _owners(found: Contents, rows: Mapping[str, Sequence[Item]]) -> list[Values]:
    """The treemap as a table: every owner, the biggest first."""
    known = sizes.kinds(found)
    totals = {owner: sum(item.size for item in items) for owner, items in rows.items()}
    whole = sum(totals.values())
    return [
        {
            "name": shown(owner),
            "kind": sizes.kind_of(owner, known),
            "size": size_text(size),
            "share": _share(size, whole),
            "bar": _number(100 * size / (whole or 1)),
            "files": len(rows[owner]),
        }
        for owner, size in sorted(totals.items(), key=lambda row: (-row[1], row[0]))
    ]


def _biggest(items: Iterable[Item]) -> list[Values]:
    ordered = sorted(items, key=lambda item: (-item.size, item.path))[:BIGGEST]
    return [{"path": shown(item.path), "size": size_text(item.size)} for item in ordered]


# --- what is inside --------------------------------------------------------------------------------------------


def _packages(found: Contents, rows: Mapping[str, Sequence[Item]]) -> list[Values] | None:
    """A row for each package, by name and version; None where no plan says what they are."""
    if found.plan is None or found.packages is None:
        return None
    totals = {owner: sum(item.size for item in items) for owner, items in rows.items()}
    listed = []
    for artifact, one in zip(found.plan.artifacts, found.packages, strict=True):
        size = totals.get(artifact.name)
        listed.append(
            {
                "name": shown(one.name.removeprefix("debian/")),
                "version": shown(one.version),
                "ecosystem": shown(one.ecosystem),
                "purl": shown(one.purl),
                "file": shown(one.filename.rpartition("/")[2]),
                "digest": one.digest,
                "size": size_text(size) if size is not None else "",
                "places": [shown(place) for place in one.places],
            }
        )
    return sorted(listed, key=lambda row: (str(row["name"]).lower(), row["version"], row["purl"]))


def _layers(found: Contents, difference: Difference | None) -> list[Values] | None:
    if found.layers is None:
        return None
    shared = set()
    if difference is not None:
        shared = {row.name for row in difference.layers if row.side == "shared"}
    biggest = max((part.size for part in found.layers), default=1) or 1
    return [
        {
            "name": shown(part.name),
            "digest": part.digest or part.stated_diff_id,
            "size": size_text(part.size),
            "bar": _number(100 * part.size / biggest),
            "shared": "" if difference is None else "shared" if part.name in shared else "new",
            "holds": _holds(part.items),
        }
        for part in found.layers
    ]


def _holds(items: Sequence[Item]) -> str:
    counts = {kind: sum(item.kind == kind for item in items) for kind in ("file", "folder", "link")}
    words = [f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items() if count]
    return ", ".join(words)


# --- the plan --------------------------------------------------------------------------------------------------


def _plan(plan: Plan | None) -> Values | None:
    """What was decided, each with its reason."""
    if plan is None:
        return None
    decided = [("Buildpack", one.name, one.reason) for one in plan.buildpacks]
    decided += [("Runtime", f"{one.name} {one.version}", one.reason) for one in plan.runtimes]
    decided += [("Process", f"{one.type}: {one.command}", one.reason) for one in plan.processes]
    decided += [("Variable", f"{one.name}={one.value}", one.reason) for one in plan.env]
    return {
        "decided": [{"what": what, "name": shown(name), **_reason(reason)} for what, name, reason in decided],
        "codec": shown(plan.codec),
        "inputs": [{"path": shown(path), "digest": str(digest)} for path, digest in plan.inputs],
    }


def _reason(reason: Reason) -> Values:
    where = f"{reason.file}:{reason.line}" if reason.line else reason.file
    return {"why": shown(reason.text), "where": shown(where)}


# --- the difference --------------------------------------------------------------------------------------------


def _change(difference: Difference | None) -> Values | None:
    """What changed from the first droplet to the second."""
    if difference is None:
        return None
    before, after = difference.a, difference.b
    quiet = [one for one in difference.files if one.envelope]
    return {
        "verdict": verdict(difference),
        "state": difference.verdict,
        "before": {"kind": before.kind, "digest": str(before.digest), "short": before.digest.hex[:12]},
        "growth": growth_text(after.size - before.size),
        "groups": [
            {
                "title": title,
                "rows": [_row(one.how, one.what, change_text(one), one.name, one.before, one.after) for one in rows],
            }
            for title, rows in groups(difference)
        ],
        "files": [
            {
                "owner": shown(owner),
                "count": len(rows),
                "growth": growth_text(sum(one.growth for one in rows)),
                "rows": [{"sign": SIGNS[one.how], "how": one.how, "text": file_text(one)} for one in rows],
            }
            for owner, rows in file_groups(difference)
        ],
        "envelope": [
            *(
                {"sign": "~", "how": one.how, "text": f"{one.what}: {change_text(one)}"}
                for one in difference.changes
                if one.envelope
            ),
            *({"sign": SIGNS[one.how], "how": one.how, "text": file_text(one)} for one in quiet),
        ],
        "shared": _shared(difference),
        "notes": [shown(note) for note in difference.not_compared],
    }


def _row(how: str, what: str, text: str, name: str, before: str, after: str) -> Values:
    hide = what in ("input", "buildpack")  # digests that say no more than that it changed
    return {
        "sign": SIGNS[how],
        "how": how,
        "text": text,
        "name": shown(name.partition(":")[2] if what == "package" else name),
        "of": shown(name.partition(":")[0]) if what == "package" else "",
        "before": "" if hide else shown(before, 300),
        "after": "" if hide else shown(after, 300),
    }


def _shared(difference: Difference) -> Values | None:
    if not difference.layers:
        return None
    size = {side: sum(row.size for row in difference.layers if row.side == side) for side in ("shared", "a", "b")}
    count = {side: sum(row.side == side for row in difference.layers) for side in ("shared", "a", "b")}
    whole = size["shared"] + size["b"] or 1
    return {
        "count": count["shared"],
        "new": count["b"],
        "gone": count["a"],
        "size": size_text(size["shared"]),
        "new_size": size_text(size["b"]),
        "share": _share(size["shared"], whole),
        "bar": _number(100 * size["shared"] / whole),
    }
