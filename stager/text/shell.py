"""Reads a command line of a shell as far as that can be done without running it: which simple commands it comes to.

It knows the words of POSIX.1-2024, XCU 2 (Shell Command Language) and what bash adds to them. A line that may go several
ways (`if`, `||`, `$(…)`, a test before the command) comes to nothing: whoever asks must not refuse what may be right.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, replace


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LONGEST = 4096
"""Characters of a line that is read."""
_DEPTH = 4
_CLEVER = re.compile(r"`|\$\(|<\(|<<|\|\||\n|(?<!\\)#|[{}](?:\s|;|$)")
_UNSURE = _words(
    "if then else elif fi for while until do done case esac select function coproc [ [[ test which type hash eval "
    "trap alias unalias shopt pushd popd { } ( ) ! set "
)
"""Words after which nothing is certain."""
_WRAPPERS = _words("exec env nohup nice time timeout command stdbuf setsid builtin ionice")
_VALUES = frozenset({"-a", "-n", "-u", "-k", "-s", "-i", "-o", "-e", "-c", "-p"})
"""Options of the wrappers that may be followed by a value of their own."""
_ASSIGNED = re.compile(r"[A-Za-z_]\w*\+?=")
_SHELLS = frozenset({"sh", "bash", "dash"})
_HOMES = re.compile(r"(?:\$HOME|\$\{HOME\}|~|/app|/home/vcap/app)(?:/|\Z)")


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command without what stands before its program: assignments, and wrappers such as `exec` and `env`."""

    words: tuple[str, ...]
    folder: str | None = ""
    """Where it runs, relative to the app's folder; None when that cannot be told."""
    own_path: bool = False
    """Whether the line gives PATH another value, or reads a file that may."""


def simple(line: str, folder: str | None = "", depth: int = 0) -> list[Simple]:
    """The simple commands that are certain to run, in order; `sh -c` is looked into. None of a line that cannot be read."""
    if len(line) > LONGEST or depth > _DEPTH or _CLEVER.search(line):
        return []
    found: list[Simple] = []
    now = Simple((), folder)
    for words in _split(line):
        start, rest = _unwrapped(words, now)
        now = replace(now, own_path=start)
        if not rest:
            continue
        if rest[0] in _UNSURE:
            break
        now = _moved(now, rest)
        inner = _inner(rest)
        found += simple(inner, now.folder, depth + 1) if inner else [replace(now, words=tuple(rest))]
    return found


def _split(line: str) -> list[list[str]]:
    """The words between `;`, `&`, `&&` and `|`, without redirections; none when quotes or brackets are not closed."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[list[str]] = [[]]
    try:
        words = iter(list(lexer))
    except ValueError:
        return []
    for word in words:
        if word and not word.strip(";&|<>()"):
            if "(" in word or ")" in word:
                return []
            if "<" in word or ">" in word:
                next(words, "")
            else:
                found.append([])
        else:
            found[-1].append(word)
    return found


def _unwrapped(words: list[str], now: Simple) -> tuple[bool, list[str]]:
    """(whether PATH is another from here on, the words from the program on)."""
    rest, own = list(words), now.own_path
    while rest:
        if _ASSIGNED.match(rest[0]):
            own = own or rest[0].startswith("PATH")
            del rest[0]
        elif rest[0] in _WRAPPERS:
            wrapper = rest.pop(0)
            while rest and rest[0].startswith("-"):
                option = rest.pop(0)
                if option in ("-C", "-S", "-v", "-V") or option.startswith(("--chdir", "--split")):
                    return own, ["eval"]  # as uncertain
                if option in _VALUES and not (wrapper == "env" and option == "-i") and rest:
                    del rest[0]
            if wrapper == "timeout" and rest:
                del rest[0]
        else:
            break
    return own, rest


def _moved(now: Simple, words: list[str]) -> Simple:
    """Where the commands after this one run, and with which PATH."""
    if words[0] == "cd":
        to = app_path(words[1], now.folder) if len(words) == 2 else None
        return replace(now, folder=to)
    reads = words[0] in (".", "source")
    sets = words[0] in ("export", "declare", "typeset", "readonly") and any(word.startswith("PATH=") for word in words)
    return replace(now, own_path=now.own_path or reads or sets)


def _inner(words: list[str]) -> str:
    """The command line of `sh -c`, empty for anything else."""
    if posixpath.basename(words[0]) not in _SHELLS:
        return ""
    for index, word in enumerate(words[1:], 1):
        if not word.startswith("-"):
            return ""
        if "c" in word and not word.startswith("--"):
            return next(iter(words[index + 1 : index + 2]), "")
    return ""


def app_path(word: str, folder: str | None = "") -> str | None:
    """The path in the app that a word of a command means; None for one elsewhere, or that a shell makes another of."""
    home = _HOMES.match(word)
    plain = word[home.end() :] if home else word
    if any(sign in plain for sign in "$*?[~{") or plain.startswith("/") or (not home and folder is None):
        return None
    path = posixpath.normpath(posixpath.join("" if home else folder or "", plain))
    return None if path.startswith("..") else "" if path == "." else path
