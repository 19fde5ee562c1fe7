"""`deb-system/1`: a Debian package in a droplet, as it would lie in `/usr` and `/etc`, at `.stager/system`.

Debian's folders are merged (`/bin` is `usr/bin`). What describes a package to people or serves compiling is left out, as in
a stack's root. What maintainer scripts would do, which nobody runs, is done by data: the links of alternatives, as far as a
script states them plainly, and links to libraries that lie in folders of their own. `var/lib/dpkg/status.d` says which
packages there are, and which files are whose, in the form that scanners of images know.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from ...errors import NeedsBuild
from ...facts import stacks
from ...formats import elf
from ...formats.archive import content_bytes, read_control_files, read_deb
from ...formats.errors import BadArchive
from ...formats.tar import PieceFile, Unpacked
from ..graph import Graph
from . import files
from .place import LAYOUT, PLACE, STATUS
from .relations import relations

if TYPE_CHECKING:
    from ...formats.archive import HeldArchive, Member
    from ...model import Artifact, Plan
    from ..installed import Node
    from ..record import Laid

FACT = "packages"
"""The plan's fact that names the packages the app asked for."""
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
_MERGED = re.compile(r"(?:s?bin|lib(?:32|64|x32)?)/")
_LEFT_OUT = re.compile(
    r"usr/share/(?:doc/(?![^/]+/copyright\Z)|(?:man|info|locale|lintian|linda|bug|doc-base|gtk-doc|groff|menu|metainfo"
    r"|bash-completion|zsh|fish|pkgconfig|aclocal|cmake)/).*"
    r"|usr/(?:include|src)/.*|usr/lib/(?:.*/)?(?:pkgconfig|cmake)/.*|usr/lib/(?:[a-z0-9_]+-linux-gnu/)?[^/]+\.l?a"
    r"|usr/lib/(?:systemd|udev|tmpfiles\.d|sysusers\.d|modules-load\.d)/.*"
    r"|etc/(?:init\.d|init|cron\.[a-z]+|logrotate\.d|apt|dpkg|pam\.d|sudoers\.d|default|alternatives)/.*"
    r"|(?:dev|proc|sys|run|tmp|boot|home|root|var/(?:cache|log|lock|run|spool|tmp))/.*"
)
_STANDARD = re.compile(r"usr/lib/(?:[a-z0-9_]+-linux-gnu/)?[^/]+")
"""Where the loader looks, by the profile script."""
_VERSIONED = re.compile(r"lib[^/]+\.so\.\d+")
_LARGEST = 1 << 28
_MOST = 1000
"""Alternatives of one loop."""


def placed(name: str) -> str:
    """Where a file of a package lies below the layer's folder; empty for one that is left out."""
    where = f"usr/{name}" if _MERGED.match(name) else name
    return "" if _LEFT_OUT.fullmatch(where) else where


def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    """The package's files below `path`. Raises BadArchive, UnsafeEntry, Mislabelled for another package."""
    files.check_identity(blob, artifact)
    control = read_control_files(blob, artifact.name)
    archive = read_deb(blob, artifact.name)
    try:
        rows = [(member, where) for member in archive.members if (where := placed(member.name))]
        links, dropped = files.links_of([(member, where) for member, where in rows if member.is_link], placed)
        found = {where: member for member, where in rows if not member.is_link and where not in links}
        entries = [
            PieceFile(f"{path}/{where}", found[where].content, found[where].executable) for where in sorted(found)
        ]
        facts = _facts(found, control, artifact.name)
        facts |= {"dropped": dropped} if dropped else {}
        facts |= {"services": services} if (services := _services(archive.members)) else {}
        entries += _status(found, links, control, path)
    except BaseException:
        archive.close()
        raise
    return Unpacked(entries, {f"{path}/{where}": target for where, target in links.items()}, facts, (archive,))


def _services(members: Iterable[Member]) -> list[str]:
    pattern = re.compile(r"(?:usr/)?lib/systemd/system/([^/@]+)\.service")
    return sorted(found[1] for member in members if (found := pattern.fullmatch(member.name)))


def _status(
    found: Mapping[str, Member], links: Mapping[str, str], control: Mapping[str, bytes], path: str
) -> Iterator[PieceFile]:
    """The package's paragraph, and its list: a line `<md5>  <path>` for each file and, of its target's text, each link."""
    text = control["control"].rstrip(b"\n") + b"\nStatus: install ok installed\n"
    name = next(line for line in text.split(b"\n") if line.startswith(b"Package:"))[8:].strip().decode()
    stated: dict[str, str] = {}
    for line in control.get("md5sums", b"").decode("utf-8", "replace").split("\n"):
        if row := re.fullmatch(r"([0-9a-f]{32})  (?:\./)?(.+)", line):
            stated[placed(row[2])] = row[1]
    sums = {where: stated.get(where) or _md5(content_bytes(member.content)) for where, member in found.items()}
    sums |= {where: _md5(target.encode()) for where, target in links.items()}
    rows = "".join(f"{sums[where]}  {where}\n" for where in sorted(sums, key=str.encode))
    yield PieceFile(f"{path}{STATUS.removeprefix(PLACE)}/{name}", text)
    yield PieceFile(f"{path}{STATUS.removeprefix(PLACE)}/{name}.md5sums", rows.encode())


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


# --- what a package says of itself -----------------------------------------------------------------------------


def _facts(found: Mapping[str, Member], control: Mapping[str, bytes], label: str) -> dict[str, object]:
    """`sonames` (name → path), `needed` and `glibc` of its ELF files, `alternatives`, `privileged` programs."""
    sonames, needed, floor = dict[str, str](), set[str](), (0, 0)
    for where in sorted(found):
        one = _elf(found[where], where, label)
        if one is None:
            continue
        needed.update(one.needed)
        floor = max(floor, one.glibc)
        if one.soname:
            sonames.setdefault(one.soname, where)
    facts: dict[str, object] = {"sonames": sonames, "needed": sorted(needed), "glibc": list(floor)}
    rows = _alternatives(control.get("postinst", b""))
    if alternatives := [row for row in rows if row[1] in found and row[0] not in found]:
        facts["alternatives"] = alternatives
    if privileged := sorted(where for where, member in found.items() if member.privileged):
        facts["privileged"] = privileged
    return facts


def _elf(member: Member, where: str, label: str) -> elf.Elf | None:
    if not (member.executable or ".so" in where) or member.size > _LARGEST:
        return None
    try:
        return elf.read(content_bytes(member.content), f"{label}: {where}")
    except BadArchive:
        return None  # a file for debuggers alone, or of another machine's making: nothing loads it


def _alternatives(script: bytes) -> Iterator[list[Any]]:
    """[link, target, priority] of each `update-alternatives --install` whose words are all plain, or become so in `_plain`."""
    for line in _plain(script.decode("utf-8", "replace")):
        words = _words(line)
        if "update-alternatives" not in words or "--install" not in words:
            continue
        at = words.index("--install")
        priority = words[at + 4] if len(words) > at + 4 and words[at + 4].lstrip("-").isdecimal() else "0"
        rows = [words[at + 1 : at + 4]]
        rows += [words[i + 1 : i + 4] for i, word in enumerate(words) if word in ("--slave", "--follower")]
        for row in rows:
            if len(row) == 3 and not any(sign in text for text in row for sign in "$`*?") and row[0] != row[2]:
                link, target = (placed(text.lstrip("/")) for text in (row[0], row[2]))
                if link and target:
                    yield [link, target, int(priority)]


def _plain(script: str) -> Iterator[str]:
    """The lines of a script about alternatives, one for each word of the loops around it, and its plain variables replaced."""
    loops, known = list[tuple[str, list[str]]](), dict[str, str]()
    for line in re.sub(r"\\\n", " ", script).split("\n"):
        if loop := re.match(r"\s*for\s+(\w+)\s+in\s+([\w.+ -]+?)\s*(?:;\s*do)?\s*$", line):
            loops.append((loop[1], loop[2].split()))
        elif re.match(r"\s*for\s", line):
            loops.append(("", [""]))
        elif re.match(r"\s*done\b", line) and loops:
            loops.pop()
        elif assigned := re.match(r"\s*(\w+)=([\w./+-]+)\s*$", line):
            known[assigned[1]] = assigned[2]
        elif "update-alternatives" in line:
            names = [name for name, _ in loops]
            for row in islice(product(*(words for _, words in loops)), _MOST):
                values = known | dict(zip(names, row, strict=True))
                yield re.sub(r"\$(?:(\w+)|\{(\w+)\})", partial(_value, values), line)


def _value(values: Mapping[str, str], found: re.Match[str]) -> str:
    return values.get(found[1] or found[2], found[0])


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return []


# --- packages beside one another -------------------------------------------------------------------------------


def links(laid: Sequence[Laid], _: object) -> dict[str, str]:
    """Links that no package brings: to chosen alternatives, and to libraries in folders where the loader does not look."""
    best: dict[str, tuple[int, str]] = {}
    sonames, needed = dict[str, str](), set[str]()
    for one in laid:
        for link, target, priority in _rows(one, "alternatives"):
            best[link] = max(best.get(link, (priority, target)), (priority, target), key=lambda row: row[0])
        needed.update(_rows(one, "needed"))
        for name, where in sorted(_table(one, "sonames").items()):
            if name not in sonames or (_STANDARD.fullmatch(where) and not _STANDARD.fullmatch(sonames[name])):
                sonames[name] = where
    found = {link: target for link, (_, target) in best.items()}
    triplet = next((folder for where in sonames.values() if (folder := _triplet(where))), "")
    for name, where in sonames.items():
        if triplet and not _STANDARD.fullmatch(where) and (name in needed or _VERSIONED.fullmatch(name)):
            found.setdefault(f"usr/lib/{triplet}/{name}", where)
    return {f"{PLACE}/{link}": os.path.relpath(target, os.path.dirname(link)) for link, target in sorted(found.items())}


def _triplet(where: str) -> str:
    found = re.match(r"usr/lib/([a-z0-9_]+-linux-gnu)/", where)
    return found[1] if found else ""


def _rows(one: Laid, key: str) -> list[Any]:
    found = one.meta.get(key, [])
    return found if isinstance(found, list) else []


def _table(one: Laid, key: str) -> dict[str, str]:
    found = one.meta.get(key, {})
    return found if isinstance(found, dict) else {}


def check(plan: Plan, laid: Sequence[Laid]) -> None:
    """Raise NeedsBuild where packages need a newer glibc than the stack has, a library that is nowhere, or rights of root."""
    stack = stacks.load(plan.stack, plan.architecture)
    here = frozenset(name for one in laid for name in _table(one, "sonames")) | elf.GLIBC | stack.libraries
    wrong: list[tuple[str, str]] = []
    for one in laid:
        floor = tuple(_rows(one, "glibc"))
        if floor > stack.glibc:
            wrong.append((one.artifact.name, f"needs glibc {floor[0]}.{floor[1]}"))
        lacking = sorted({*_rows(one, "needed")} - here) if not stack.suite else []
        if lacking:
            wrong.append((one.artifact.name, f"needs {lacking[0]}"))
        if _rows(one, "privileged") and one.artifact.name.split("@")[0].rpartition("/")[2] in asked(plan):
            wrong.append((one.artifact.name, f"its {_rows(one, 'privileged')[0]} needs the rights of root"))
    if wrong:
        hint = f"On {plan.stack} they cannot run. Take them out of the app's list of packages, or choose another stack."
        raise NeedsBuild(wrong, hint)


def notes(plan: Plan, laid: Sequence[Laid], _: Collection[str]) -> list[str]:
    """That services are not started, and what only a maintainer script would have made."""
    found = []
    for one in laid:
        name = one.artifact.name.split("@")[0].rpartition("/")[2]
        if name in asked(plan) and (services := _rows(one, "services")):
            found.append(
                f"{name}: its service {services[0]} is not started; a process of the Procfile can start its program"
            )
        found += [f"{name}: {why}" for pattern, why in _UNMADE if re.fullmatch(pattern, name)]
    return found


_UNMADE = (
    (r"ca-certificates-java", "its key store is made when it is installed, so programs in Java know no authorities"),
    (
        r"libgdk-pixbuf-.+",
        "its list of loaders is made when it is installed: pictures other than PNG and JPEG stay unread",
    ),
)


def asked(plan: Plan) -> list[str]:
    """The names of the packages that the app asked for."""
    return dict(plan.facts).get(FACT, "").split()


def graph(plan: Plan) -> Graph:
    """What the plan itself says: which of the packages the app asked for; the others are there because these need them."""
    names = {one.name: tuple(one.name.split("@")) for one in plan.artifacts if one.layout == LAYOUT}
    roots = {key: "its list of Debian packages" for key in names if names[key][0].rpartition("/")[2] in asked(plan)}
    silence = "since packages that the app asks for need it"
    return Graph(
        "stager.lock", roots, names={key: (name, version) for key, (name, version) in names.items()}, silence=silence
    )


def needs(names: Mapping[str, int], texts: Mapping[str, bytes]) -> dict[Node, frozenset[Node]]:
    """Number of each package → the numbers of those that it depends on, as far as they are in the droplet, too."""
    fields = {name: _paragraph(texts.get(f"{STATUS}/{name}", b"")) for name in names}
    offered = {name: {name} for name in names}
    for name, one in fields.items():
        for group in relations(one.get("provides", "")):
            for provided in group:
                offered.setdefault(provided.name, set()).add(name)
    found: dict[Node, frozenset[Node]] = {}
    for name, one in fields.items():
        groups = relations(one.get("pre-depends", "")) + relations(one.get("depends", ""))
        others = {other for group in groups for wanted in group for other in offered.get(wanted.name, ())}
        found[names[name]] = frozenset(names[other] for other in others - {name})
    return found


def _paragraph(text: bytes) -> dict[str, str]:
    rows = (
        line.partition(":") for line in text.decode("utf-8", "replace").split("\n") if line[:1] not in ("", " ", "\t")
    )
    return {key.lower(): value.strip() for key, _, value in rows}


# --- whose files are whose -------------------------------------------------------------------------------------


def claims(
    artifacts: Sequence[tuple[int, Artifact]], lists: Mapping[str, bytes]
) -> Iterator[tuple[int, Iterable[str], str]]:
    """Number of each package that has a list, and what it lists."""
    for number, one in artifacts:
        name = one.name.split("@")[0].rpartition("/")[2]
        if (path := f"{STATUS}/{name}.md5sums") in lists:
            yield number, _listed(name, lists[path]), f"{PLACE}/usr/"


def unplanned(lists: Mapping[str, bytes]) -> Iterator[tuple[str, Iterable[str], str]]:
    """As `claims`, without a plan: the packages' names."""
    for path in sorted(lists):
        if not path.startswith(f"{STATUS}/"):
            continue
        name = path.rpartition("/")[2].removesuffix(".md5sums")
        yield name, _listed(name, lists[path]), f"{PLACE}/usr/"


def _listed(name: str, data: bytes) -> list[str]:
    rows = data.decode("utf-8", "surrogateescape").split("\n")
    own = [f"{STATUS}/{name}", f"{STATUS}/{name}.md5sums"]
    return own + [f"{PLACE}/{row[34:]}" for row in rows if len(row) > 34]
