"""Deciding a folder anew: which of its names are source, and the digests of those that are. See `walk` for the records.

Imported only when a folder is new, its names changed, or an ignore file above it changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ..errors import ChangedWhileRead
from ..files.writing import never
from .fingerprint import DIGEST, digest_in, encoded, fingerprint
from .gitignore import LARGEST, Patterns
from .heads import HEAD
from .ignore import OWN_FILES, WITHOUT_NEGATION, Rules, judge, secret_content
from .outputs import PRINTED, SECRET, folder_mark, folder_output

Found = dict[str, tuple[str, os.stat_result]]
"""The names in a folder, sorted, each with its kind (`d`, `f`, `l`, `o`) and status."""
Records = dict[str, str]
Chain = tuple[tuple[str, str], ...]
"""The folders from the root down that have a `.gitignore`, each with its digest."""


class Decider:
    """Decides folders of one tree. Ignore files are read when first needed, and must have their expected digest."""

    def __init__(
        self,
        root: int,
        remembered: Callable[[os.stat_result], str],
        count: Callable[[str, int], None],
        stop: Callable[[], bool] = never,
        printed: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        """`root` is the open root folder; `remembered` gives the stamp to write down for a file; `count` is told of a
        source file's size before it is read through, and may refuse it; `stop` may end the reading."""
        self._root = root
        self._remembered = remembered
        self._count = count
        self._printed = printed
        self._stop = stop
        self._patterns: dict[str, Patterns] = {}

    def rules(self, chain: Chain, above: Records) -> Rules:
        """The rules below the folders of `chain`; `above` are the root folder's records."""
        nested = []
        for path, digest in chain:
            prefix = path + "/" if path else ""
            nested.append((prefix, self._load(prefix + ".gitignore", digest)))
        for name in OWN_FILES:
            if above.get(name, "").startswith("fi"):
                return Rules(nested, self._load(name, above[name][-DIGEST:]))
        return Rules(nested, None)

    def leads_out(self, place: str, chain: Chain, above: Records) -> bool:
        """Whether a link's place that is not in the tree was left out by a rule; `chain` are the folders above it."""
        return self.rules(chain, above).leads_out(place)

    def _load(self, path: str, digest: str) -> Patterns:
        if path not in self._patterns:
            _, found, text = fingerprint(self._root, encoded(path), path, LARGEST + 1)
            if found != digest:
                raise ChangedWhileRead(path)
            self._learn(path, text)
        return self._patterns[path]

    def _learn(self, path: str, text: bytes) -> None:
        self._patterns[path] = Patterns(text, path, negation=path != WITHOUT_NEGATION)

    def folder(
        self, fd: int, path: str, found: Found, old: Records, chain: Chain, above: Records
    ) -> tuple[Records, bool]:
        """Records for the names `found` in a folder, and whether its ignore files are as in `old`.

        The statuses in `found` are replaced by those that the hashed files had while they were read.
        """
        prefix = path + "/" if path else ""
        names = (".gitignore",) if path else (".gitignore", *OWN_FILES)
        own = {name: self._hash_rules(fd, prefix + name, found) for name in names if found.get(name, "o")[0] == "f"}
        if ".gitignore" in own:
            chain = (*chain, (path, own[".gitignore"][-DIGEST:]))
        same = all(digest_in(own.get(name, "")) == digest_in(old.get(name, "")) for name in names)
        rules = self.rules(chain, above if path else own)
        if path and found.get("pyvenv.cfg", "o")[0] == "f":
            return _environment(rules, prefix, found) | own, same
        written = self._written(fd, path, found, rules) if path else {}
        if written:
            return written | own, same
        records = {}
        for name in found:
            record = judge(rules, prefix + name, found[name][0])
            if name in own:
                record += own[name][2:]
            elif record[0] == "f" and _identity(found[name][1]) in self._printed:
                record = record if record == "f-" else f"f*={PRINTED}"
            elif record in ("f+", "f?", "fk"):
                record = self._hashed(fd, rules, prefix + name, record, found, old.get(name, ""))
            records[name] = record
        return records, same

    def _hash_rules(self, fd: int, path: str, found: Found) -> str:
        name = path.rpartition("/")[2]
        status, digest, text = fingerprint(fd, encoded(name), path, LARGEST + 1)
        found[name] = ("f", status)
        self._learn(path, text)
        return f"fi{self._remembered(status)}{digest}"

    def is_output(self, fd: int, path: str) -> bool:
        """Whether the open folder is one that stager wrote."""
        with os.scandir(fd) as entries:
            mark = folder_mark(path, {entry.name: _kind(entry) for entry in entries})
        return bool(mark and folder_output(fd, mark))

    def _written(self, fd: int, path: str, found: Found, rules: Rules) -> Records:
        """The records of a folder that stager wrote, such as an image layout: it is left out whole (`@`)."""
        mark = folder_mark(path, {name: kind for name, (kind, _) in found.items()})
        if not mark or rules.asks_for(path):
            return {}
        reason = folder_output(fd, mark)
        if not reason:
            return {}
        records = {name: kind + "-" for name, (kind, _) in found.items()}
        kind, status = found[mark]
        return records | {mark: f"{kind}@{self._remembered(status) if kind == 'f' else ''}={reason}"}

    def _hashed(self, fd: int, rules: Rules, path: str, code: str, found: Found, old: str) -> str:
        """Complete a kept file's record, or turn it into a secret's or an output's after a look at its content."""
        name = path.rpartition("/")[2]
        mark = self._remembered(found[name][1]) if old and code == "f+" else ""
        if mark and old.startswith(f"f+{mark}sha256:"):
            self._count(path, found[name][1].st_size)
            return old
        keep = HEAD if code == "f?" else 0
        status, digest, head = fingerprint(fd, encoded(name), path, keep, self._stop, self._count)
        if not digest and not rules.asks_for(path):
            found[name] = ("f", status)
            return f"f*{self._remembered(status)}={head.decode()}"
        if not digest:
            code = "fk" if head == SECRET.encode() else "fK" if code == "f+" else code
            self._count(path, status.st_size)
            status, digest, head = fingerprint(fd, encoded(name), path, keep, self._stop)
        found[name] = ("f", status)
        reason = secret_content(path, head) if code == "f?" else ""
        if reason and not rules.asked_for(path):
            return f"f#{self._remembered(status)}={reason}"
        return f"{'fk' if reason else code}{self._remembered(status)}{digest}"


def _environment(rules: Rules, prefix: str, found: Found) -> Records:
    """A virtual environment is left out whole; it is worth a word (`e`) when no ignore file leaves it out."""
    records = {name: kind + "-" for name, (kind, _) in found.items()}
    return records | {"pyvenv.cfg": "fE" if rules.ignored(prefix + "pyvenv.cfg", False) else "fe"}


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _kind(entry: os.DirEntry[str]) -> str:
    return "d" if entry.is_dir(follow_symlinks=False) else "f" if entry.is_file(follow_symlinks=False) else "o"
