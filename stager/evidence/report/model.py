"""Everything the report shows, as texts, numbers, lists and tables of them: the template decides nothing.

Untrusted names pass `shown` here (nothing invisible is left in them) and are escaped by the template.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence

from ... import __version__
from ...model import Plan, Reason
from ...runtimes import known
from ...text.wording import size_text
from ..diff import Contents, Difference
from ..diff.rendering import file_groups, groups
from ..diff.wording import SIGNS, change_text, file_text, growth_text, shown, verdict
from . import sizes
from .packages import REASONS, Values, listed
from .reading import Inside, look_into
from .treemap import Tile, tiles

PAGES = (("wide", 1080, 540), ("middle", 700, 560), ("narrow", 358, 600))
"""The treemap's sizes: for a desktop, a tablet and a phone; the style sheet shows the one that fits."""
BIGGEST = 25
"""Files in the list of the biggest."""
FILTERS = (("reason", "Why"), ("licence", "Licence"), ("ecosystem", "From"))
"""By what packages are filtered: a member of their rows, and its label."""


def values(found: Contents, difference: Difference | None = None) -> Values:
    """The page's values for one droplet (or slug, or image), and for how it came from another."""
    inside = look_into(found)
    packages = listed(found, inside)
    return {
        "version": __version__,
        "kind": found.kind,
        "digest": str(found.digest),
        "short": found.digest.hex[:12],
        "facts": _facts(found, inside),
        "treemap": _treemap(found, inside),
        "owners": _owners(inside),
        "processes": [{"type": shown(k), "command": shown(v)} for k, v in (found.processes or {}).items()],
        "env": [{"name": shown(k), "value": shown(v)} for k, v in sorted((found.env or {}).items())],
        "packages": packages,
        "filters": [_filter(*row, packages or ()) for row in FILTERS],
        "layers": _layers(found, inside, difference),
        "plan": _plan(found.plan),
        "biggest": _biggest(inside),
        "notes": [shown(note) for note in found.notes],
        "change": _change(difference),
    }


def _facts(found: Contents, inside: Inside) -> list[Values]:
    """The row of figures at the top."""
    facts = [("Size", size_text(found.size)), ("Unpacked", size_text(inside.size)), ("Files", f"{inside.count:,}")]
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


def _treemap(found: Contents, inside: Inside) -> Values:
    colours = sizes.colours()
    nodes = sizes.tree(found, inside.files)
    whole = sum(node.size for node in nodes) or 1
    used = {node.kind: node.size for node in nodes}
    return {
        "pages": [
            {
                "name": name,
                "width": width,
                "height": height,
                "tiles": [_tile(t, colours) for t in tiles(nodes, width, height)],
            }
            for name, width, height in PAGES
        ],
        "legend": [
            {
                "colour": colours[kind],
                "name": title,
                "size": size_text(used[kind]),
                "share": _share(used[kind], whole),
            }
            for kind, title in sizes.headings().items()
            if kind in used
        ],
        "empty": not nodes,
    }


def _tile(tile: Tile, colours: Mapping[str, str]) -> Values:
    return {
        "x": _number(tile.x),
        "y": _number(tile.y),
        "width": _number(tile.width),
        "height": _number(tile.height),
        "colour": colours[tile.kind],
        "level": tile.level,
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


def _owners(inside: Inside) -> list[Values]:
    """The treemap as a table: every owner, the biggest first."""
    totals = {owner: sum(size for _, size in files) for owner, files in inside.files.items()}
    return [
        {
            "name": shown(owner),
            "bytes": size,
            "size": size_text(size),
            "share": _share(size, inside.size),
            "files": len(inside.files[owner]),
        }
        for owner, size in sorted(totals.items(), key=lambda row: (-row[1], row[0]))
    ]


def _biggest(inside: Inside) -> list[Values]:
    rows = (row for files in inside.files.values() for row in files)
    return [
        {"path": shown(path), "size": size_text(size)}
        for path, size in heapq.nsmallest(BIGGEST, rows, key=lambda row: (-row[1], row[0]))
    ]


# --- what is inside --------------------------------------------------------------------------------------------


def _filter(key: str, label: str, packages: Sequence[Values]) -> Values:
    """A choice among the values of a column; its options are in the order of their names."""
    counts = Counter(str(row[key]) for row in packages)
    words = REASONS if key == "reason" else {"": "not stated"}
    rows = [{"value": value, "name": words.get(value, value), "count": count} for value, count in counts.items()]
    return {"key": key, "label": label, "options": sorted(rows, key=lambda row: (row["value"] == "", row["name"]))}


def _layers(found: Contents, inside: Inside, difference: Difference | None) -> list[Values] | None:
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
            "holds": _holds(kinds),
        }
        for part, kinds in zip(found.layers, inside.holds, strict=False)  # behind the layers there may be one part more
    ]


def _holds(kinds: Mapping[str, int]) -> str:
    counts = {kind: kinds.get(kind, 0) for kind in ("file", "folder", "link")}
    return ", ".join(f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items() if count)


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
