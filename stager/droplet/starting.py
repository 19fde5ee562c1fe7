"""Whether what a droplet's processes start is in it: the program of each command there, executable, with a clean `#!`.

The plan and the packages answer for most words once, when a base is made; what is left is asked of the app's files at every
staging. Where a line cannot be told without running it, nothing is refused. On the warm path: imports nothing heavy.
"""

from __future__ import annotations

import posixpath

from ..errors import BadManifest
from ..records import Unmet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..model import Process
    from ..text.shell import Simple
    from ..tree import SourceTree


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FOLDERS = (
    "node_modules/.bin",
    ".stager/pypi/bin",
    ".stager/system/usr/bin",
    ".stager/system/usr/sbin",
    ".stager/system/usr/games",
)
"""The droplet's folders, beside its runtimes', in which its profile scripts have programs looked for."""
_SYSTEM = ("/bin", "/usr/bin", "/sbin", "/usr/sbin")
_BARE = ("debian-12", "debian-13")
"""Stacks whose programs are these alone; on others only what is another language's is missed."""
_BUILTINS = _words(
    ". : alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown echo "
    "enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd "
    "printf pushd pwd read readarray readonly return set shift shopt source suspend test times trap true type typeset "
    "ulimit umask unalias unset wait [ "
)
_PROGRAMS = _words(
    # Debian's essential packages, util-linux, procps and passwd
    "[ arch awk b2sum base32 base64 basename basenc bash cat chgrp chmod choom chown chroot chrt cksum clear cmp comm "
    "cp csplit cut dash date dd deb-systemd-invoke df diff diff3 dir dircolors dirname dmesg dnsdomainname domainname "
    "dpkg dpkg-deb dpkg-query du echo egrep env expand expr factor fallocate false fgrep find findmnt flock fmt fold "
    "free fsck getconf getent getopt grep groups gunzip gzexe gzip hardlink head hostid hostname iconv id infocmp "
    "install ionice ipcmk ipcrm ipcs ischroot join kill last ldconfig ldd link linux32 linux64 ln locale localedef "
    "logger login logname ls lsblk lscpu lsipc lslocks lsns mawk mcookie md5sum mesg mkdir mkfifo mknod mktemp more "
    "mount mountpoint mv namei nawk newgrp nice nl nohup nproc nsenter numfmt od openssl partx passwd paste pathchk "
    "perl pgrep pidof pidwait pinky pkill pldd pmap pr printenv printf prlimit ps ptx pwd pwdx rbash readlink "
    "realpath rename.ul renice reset resizepart rev rgrep rm rmdir run-parts runcon savelog script scriptreplay sdiff "
    "sed seq setarch setpriv setsid sg sh sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep slabtop "
    "sort split start-stop-daemon stat stdbuf stty su sum sync sysctl tabs tac tail tar taskset tee test tic timeout "
    "tload toe top touch tput tr true truncate tset tsort tty tzselect umount uname unexpand uniq unlink unshare "
    "update-alternatives uptime users utmpdump vdir vmstat w wall watch wc wdctl whereis which who whoami xargs yes "
    "zcat zcmp zdiff zegrep zfgrep zforce zgrep zless zmore znew "
    # what people add to a stack or find on a machine
    "bc bzip2 convert crond cron curl dig dumb-init exiftool ffmpeg ffprobe file git gosu gs htpasswd inotifywait ip "
    "jq less locale-gen magick make man memcached mysql mysqldump nc ncat netcat nginx nslookup pdftotext pg_dump "
    "pg_isready ping psql redis-cli redis-server rsync scp screen socat sqlite3 ssh ssh-keygen sudo su-exec "
    "supervisord sysctl systemctl telnet tini tmux unzip vi vim wget xvfb-run xz zip zstd chromium google-chrome "
    "wkhtmltopdf tesseract libreoffice soffice "
)
_LANGUAGES = {
    "Ruby": "bundle bundler gem puma rackup rails rake ruby sidekiq thin unicorn",
    "PHP": "artisan composer heroku-php-apache2 heroku-php-nginx php php-fpm",
    "Java": "gradle java javac mvn",
    "Go": "go",
    "Rust": "cargo rustc",
    "Elixir": "elixir iex mix",
    ".NET": "dotnet",
    "Deno": "deno",
    "Swift": "swift",
    "Scala": "sbt scala",
    "Clojure": "clj clojure lein",
    "Dart": "dart",
    "Haskell": "cabal runghc stack",
    "Crystal": "crystal",
    "Erlang": "erl rebar3",
    "R": "R Rscript",
    "Julia": "julia",
}
LANGUAGE = {word: language for language, words in _LANGUAGES.items() for word in words.split()}
_TOOLS = _words("conda hatch mamba micromamba pdm pipenv pipx poetry rye uv uvx")
_SHELLS = _words("bash dash sh")
_READERS = frozenset({"perl", *_SHELLS})
"""Programs, beside runtimes', whose first plain word is a file that they read."""
_VALUES = {"-W", "-X", "-o", "-O", "--init-file", "--rcfile", "-I", "-M"}

Need = list[str]
"""[process type, file, line, kind, word, path]; the kind is `program`, `path` (to be started), `source` (for a
shell) or `read` (by another program)."""


def needs(processes: Iterable[Process]) -> list[Need]:
    """What the processes' commands start, as far as their lines tell."""
    from ..runtimes import kinds  # here and below, since only a new plan has lines to read
    from ..text.shell import simple

    readers = _READERS.union(*(one.readers for one in kinds()))
    found = []
    for process in processes:
        place = [process.type, process.reason.file, str(process.reason.line or "")]
        found += [[*place, *row] for one in simple(process.command) for row in _rows(one, readers)]
    return found


def _rows(one: Simple, readers: frozenset[str]) -> list[list[str]]:
    from ..text.shell import app_path

    word, rows = one.words[0], []
    if "/" not in word:
        known = one.own_path or any(sign in word for sign in "$*?~{=")
        rows += [] if known else [["program", word, ""]]
    elif posixpath.dirname(word) in _SYSTEM:
        rows.append(["program", word, ""])
    elif path := app_path(word, one.folder):
        rows.append(["path", word, path])
    if word in (".", "source") and (path := app_path(one.words[1], one.folder) if one.words[1:] else None):
        rows.append(["read", one.words[1], path])
    name = posixpath.basename(word)
    if name in readers and (file := _argument(one.words)) and (path := app_path(file, one.folder)):
        rows.append(["source" if name in _SHELLS else "read", file, path])
    return rows


def _argument(words: tuple[str, ...]) -> str:
    """The file that an interpreter is told to read; empty when it is given code or a module."""
    rest = iter(words[1:])
    for word in rest:
        if word in _VALUES:
            next(rest, "")
        elif word.startswith(("-", "+")):
            if word == "-" or any(sign in word for sign in "cmesV") or word.startswith("--"):
                return ""
        else:
            return word
    return ""


def unmet(wanted: Iterable[Need], paths: Collection[str], stack: str) -> Unmet:
    """What of it the plan's own files do not meet, with the programs that they bring; empty when nothing is left."""
    from ..runtimes import kinds

    folders = {f"{folder}/" for folder in (*FOLDERS, *(one.programs for one in kinds() if one.programs))}
    programs = tuple(sorted({path.rpartition("/")[2] for path in paths if path[: path.rfind("/") + 1] in folders}))
    left = tuple(row for row in wanted if not (row[5] in paths if row[5] else _found(row[4], programs, stack)))
    return Unmet(left, programs, stack) if left else Unmet()


def _found(word: str, programs: Collection[str], stack: str) -> bool:
    """Whether a shell finds a program, by its name on its search path or by its place in the system."""
    folder, _, name = word.rpartition("/")
    if (not folder and (name in programs or name in _BUILTINS)) or name in _PROGRAMS:
        return True
    return stack not in _BARE and name not in LANGUAGE


def check(tree: SourceTree, starts: Unmet) -> None:
    """Raise BadManifest when the app's files do not meet what is left, either. `starts` is what `unmet` gave."""
    profile = any(path == ".profile" or path.startswith(".profile.d/") for path in tree.files)
    for need in starts.needs:
        kind, path = need[3], tree.resolve(need[5])
        if kind == "program":
            if not profile:  # which may lead to others
                _refuse_program(need, starts.programs)
        elif path not in tree.files:
            if not profile and not any(one.startswith(path + "/") for one in tree.files):
                _refuse_path(need)
        else:
            _check_file(tree, need, path, starts)


def _refuse_program(need: Need, programs: Collection[str]) -> None:
    kind, file, line, _, word, _ = need
    name = posixpath.basename(word)
    why = f"{kind} starts {word}, which is not in the droplet"
    raise BadManifest(file or "the command", f"{why}{_whose(name)}", _advice(name, programs), int(line or 0) or None)


def _language(name: str) -> str:
    """The language that a program is of, when stager has none such; else empty."""
    from ..runtimes import kinds

    language = LANGUAGE.get(name, "")
    return "" if any(one.title == language for one in kinds()) else language


def _whose(name: str) -> str:
    language = _language(name)
    return f": it is {language}'s, and stager has no {language}" if language else ""


def _advice(name: str, programs: Collection[str]) -> str:
    from ..runtimes import kinds

    if _language(name):
        return (
            "Start a program that the app brings, built before staging, or stage the app where its language is known."
        )
    if name in _TOOLS:
        return (
            f"Write the command without '{name} run': the droplet has the app's packages, and its PATH leads to them."
        )
    told = [one for one in kinds() if name in one.commands]
    if there := [one.instead for one in told if one.instead and one.name in programs]:
        return there[0]
    if wishes := [one.wish for one in told if one.wish]:
        return wishes[0]
    return (
        f"Add the package that brings {name} to the app's dependencies and make the lock again, or correct the command."
    )


def _refuse_path(need: Need) -> None:
    kind, file, line, _, word, _ = need
    hint = "Have it in the app before staging, see that .gitignore does not leave it out, or correct the command."
    if word.endswith("bin/activate"):
        hint = "Write the command without it: the droplet has the app's packages, and its PATH leads to them."
    raise BadManifest(
        file or "the command", f"{kind} starts {word}, which is not in the app", hint, int(line or 0) or None
    )


def _check_file(tree: SourceTree, need: Need, path: str, starts: Unmet) -> None:
    type_, _, _, kind, word, _ = need
    if kind == "read":
        return
    if kind == "path" and not tree.files[path].executable:
        hint = f"Run 'chmod +x {path}', and 'git update-index --chmod=+x {path}' if it is in git."
        raise BadManifest(path, f"{type_} starts {word}, which is not executable", hint)
    with tree.open(path) as file:
        head = file.read(256).split(b"\n", 1)[0]
    if head.endswith(b"\r") and (kind == "source" or head.startswith(b"#!")):
        hint = f"Save it with line ends of LF alone, and add the line '{path} text eol=lf' to .gitattributes."
        raise BadManifest(path, f"its lines end with CR LF, and {type_} starts {word}: {_LOOKS}", hint, 1)
    if kind == "path" and head.startswith(b"#!"):
        _check_interpreter(head, need, path, starts)


_LOOKS = "the CR becomes part of a program's or a file's name"


def _check_interpreter(head: bytes, need: Need, path: str, starts: Unmet) -> None:
    words = head[2:].decode("utf-8", "replace").split()
    words = words[1:] if words and posixpath.basename(words[0]) == "env" else words[:1]
    words = [word for word in words if not word.startswith("-") and "=" not in word]
    name = words[0] if words else ""
    if not name or posixpath.dirname(name) not in ("", *_SYSTEM) or _found(name, starts.programs, starts.stack):
        return
    why = f"{need[0]} starts {need[4]}, and its first line asks for {name}, which is not in the droplet"
    base = posixpath.basename(name)
    inside = base in starts.programs
    hint = f"Write '#!/usr/bin/env {base}'." if inside else _advice(base, starts.programs)
    raise BadManifest(path, f"{why}{_whose(base)}", hint, 1)
