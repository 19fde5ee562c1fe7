"""The command line: arguments, environment, exit codes, and what people see.

People read standard error; standard output carries results: one line, or with `--json` one document. The module imports
what a command needs inside that command, so that `--help` and a warm restage stay fast.
"""

from __future__ import annotations

import os
import sys

from .errors import Cancelled, StagerError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Any

    from .model import Plan
    from .restage import Folder
    from .staging import Settings
    from .store import Store

    Row = tuple[str, Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]
    """A command's help, what it does, and what declares its arguments."""

_EPILOG = (
    "Exit codes: 0 done, 2 usage, 20 the app, 30 a buildpack, 40 fetching, 50 integrity, 60 assembling, 70 writing."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status."""
    arguments = _parse(sys.argv[1:] if argv is None else list(argv))
    try:
        return int(arguments.run(arguments))
    except StagerError as error:
        return _fail(error, arguments)
    except KeyboardInterrupt:
        return _fail(Cancelled(), arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _fail(error: StagerError, arguments: argparse.Namespace) -> int:
    if getattr(arguments, "json", False):
        _print_json({"error": error.as_json()})
    print(f"stager: {error}", file=sys.stderr)
    return error.exit_code


def _print_json(document: object) -> None:
    import json

    print(json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


# --- arguments -------------------------------------------------------------------------------------------------


def _parse(argv: list[str]) -> argparse.Namespace:
    """The arguments. Only the parser of the command at hand is built; `--help` builds them all."""
    plain = _plain_stage(argv)
    if plain is not None:
        return plain
    import argparse

    commands = {**_COMMANDS, **{f"cache {name}": row for name, row in _CACHE.items()}}
    words = " ".join(argv[:2]) if argv[:1] == ["cache"] else "".join(argv[:1])
    if words in commands:
        help_, run, configure = commands[words]
        parser = argparse.ArgumentParser(prog=f"stager {words}", description=help_[0].upper() + help_[1:] + ".")
        configure(parser)
        parser.set_defaults(run=run)
        return parser.parse_args(argv[len(words.split()) :])
    return _overview().parse_args(argv)


class _Arguments:
    """Parsed arguments, without argparse."""

    json = quiet = offline = locked = False
    dir, output, stack, arch, cache_dir, jobs = ".", "droplet.tgz", "", "", None, 0
    buildpack: tuple[str, ...] = ()


_FLAGS = {"--json": "json", "--quiet": "quiet", "-q": "quiet", "--offline": "offline", "--locked": "locked"}
_OPTIONS = {"--output": "output", "-o": "output", "--stack": "stack", "--arch": "arch", "--cache-dir": "cache_dir"}


def _plain_stage(argv: list[str]) -> argparse.Namespace | None:
    """The arguments of a plainly written `stage`, or None for argparse to see to.

    Importing argparse and building a parser would take a quarter of a warm restage.
    """
    if argv[:1] != ["stage"]:
        return None
    found: Any = _Arguments()
    words, dirs = iter(argv[1:]), []
    for word in words:
        if word in _FLAGS:
            setattr(found, _FLAGS[word], True)
        elif word in _OPTIONS:
            value = next(words, "")
            if not value or value.startswith("-"):
                return None
            setattr(found, _OPTIONS[word], value)
        elif word.startswith("-"):
            return None
        else:
            dirs.append(word)
    found.dir = dirs[0] if dirs else "."
    found.run = _stage
    return found if len(dirs) <= 1 and found.arch in ("", "amd64", "arm64") else None


def _overview() -> argparse.ArgumentParser:
    import argparse

    from . import __version__
    from .codec import CODEC

    about = "Turns an app's folder into a byte-identical droplet and runs it."
    parser = argparse.ArgumentParser(prog="stager", description=about, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"stager {__version__} ({CODEC})")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="stager")
    for name, (help_, _, _) in _COMMANDS.items():
        verbs.add_parser(name, help=help_)
    cache = verbs.add_parser("cache", help="look at, check and clean the store", prog="stager cache")
    parts = cache.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="stager cache")
    for name, (help_, _, _) in _CACHE.items():
        parts.add_parser(name, help=help_)
    return parser


def _common(parser: argparse.ArgumentParser, default: str = ".") -> None:
    parser.add_argument("dir", nargs="?", default=default, metavar="DIR", help=f"the app's folder ({default})")
    _shared(parser)


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument(
        "--cache-dir", metavar="DIR", help="the store ($STAGER_CACHE_DIR, else the user's cache folder)"
    )


def _planning(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--stack", default="", metavar="NAME", help="the stack to stage for (debian-12)")
    parser.add_argument("--arch", default="", choices=["", "amd64", "arm64"], help="the architecture (amd64)")
    parser.add_argument(
        "--buildpack", action="append", default=[], metavar="NAME", help="use this buildpack; may be repeated"
    )
    parser.add_argument(
        "--offline", action="store_true", help="open no connection; what is not in the store is an error"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    parser.add_argument("--locked", action="store_true", help="fail when stager.lock is missing or stale")


def _lock_arguments(parser: argparse.ArgumentParser) -> None:
    _planning(parser)
    parser.add_argument("--upgrade", action="store_true", help="move pinned runtimes to the newest that fit")


def _stage_arguments(parser: argparse.ArgumentParser) -> None:
    _planning(parser)
    parser.add_argument("-o", "--output", default="droplet.tgz", metavar="FILE", help="the droplet file (droplet.tgz)")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="worker threads (one a processor)")


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _planning(parser)
    parser.add_argument("--process", default="web", metavar="TYPE", help="the process type (web)")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (a free one)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable for the process")


def _inspect_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser, "droplet.tgz")


def _gc_arguments(parser: argparse.ArgumentParser) -> None:
    _shared(parser)
    parser.add_argument(
        "--max-size", metavar="SIZE", help="keep at most this much, e.g. 5G; without it only leftovers go"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


# --- what commands share ---------------------------------------------------------------------------------------


def _store(arguments: argparse.Namespace) -> Store:
    from .store import Store

    return Store(arguments.cache_dir or cache_folder(os.environ, sys.platform))


def cache_folder(environ: Any, system: str) -> str:
    """Where the store is when nobody says otherwise: `$STAGER_CACHE_DIR`, else the user's cache folder."""
    if environ.get("STAGER_CACHE_DIR"):
        return os.path.abspath(str(environ["STAGER_CACHE_DIR"]))
    if system == "linux":  # what platformdirs would say, without its import
        cache = environ.get("XDG_CACHE_HOME", "")
        return os.path.join(cache if os.path.isabs(cache) else os.path.expanduser("~/.cache"), "stager")
    from platformdirs import user_cache_dir

    return str(user_cache_dir("stager", appauthor=False))


def _settings(arguments: argparse.Namespace, store: Store, *, save_lock: bool = True) -> Settings:
    from .indexes import Indexes
    from .staging import Settings

    return Settings(
        store=store,
        indexes=Indexes.from_environment(os.environ, home=os.path.expanduser("~")),
        stack=arguments.stack,
        architecture=arguments.arch,
        buildpacks=tuple(arguments.buildpack),
        locked=getattr(arguments, "locked", False),
        offline=arguments.offline,
        save_lock=save_lock,
        upgrade=getattr(arguments, "upgrade", False),
        jobs=getattr(arguments, "jobs", 0),
        progress=_progress(arguments),
    )


def _progress(arguments: argparse.Namespace) -> Any:
    if arguments.quiet:
        return None
    from .progress import reporter

    return reporter(sys.stderr)


def _folder(arguments: argparse.Namespace, store: Store) -> Folder:
    from .restage import Folder

    return Folder(arguments.dir, store, getattr(arguments, "output", ""))


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        _say(f"note: {note}")


# --- commands --------------------------------------------------------------------------------------------------


def _detect(arguments: argparse.Namespace) -> int:
    from .detection import detect
    from .report import detections_json, detections_text
    from .tree import SourceTree

    found = detect(SourceTree.read(arguments.dir))
    if arguments.json:
        _print_json(detections_json(found))
    else:
        print(detections_text(found))
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from .lockfile import dumps
    from .report import plan_json
    from .staging import current_plan

    store = _store(arguments)
    plan = current_plan(_folder(arguments, store), _settings(arguments, store, save_lock=False))
    if arguments.json:
        _print_json(plan_json(plan))
    else:
        sys.stdout.write(dumps(plan))
        _warn(plan.notes)
    return 0


def _lock(arguments: argparse.Namespace) -> int:
    from .locking import lock_app
    from .report import plan_json
    from .staging import make_plan, previous_plan, save_lock

    store = _store(arguments)
    settings = _settings(arguments, store)
    for made in lock_app(arguments.dir, settings, os.environ):
        _say(f"made {made}")
    folder = _folder(arguments, store)
    plan = make_plan(folder, previous_plan(folder, forgiving=True), settings)
    save_lock(folder, plan)
    if arguments.json:
        _print_json(plan_json(plan))
    else:
        _report_lock(plan)
    return 0


def _report_lock(plan: Plan) -> None:
    _warn(plan.notes)
    runtimes = ", ".join(f"{runtime.name} {runtime.version}" for runtime in plan.runtimes)
    _say(f"stager.lock: {plan.stack}/{plan.architecture}, {runtimes or 'no runtime'}, {len(plan.artifacts)} artifacts")


def _stage(arguments: argparse.Namespace) -> int:
    from . import restage

    store = _store(arguments)
    with store.lease():
        folder = _folder(arguments, store)
        result = None
        if not arguments.buildpack:
            result = restage.warm(folder, store, arguments.output, arguments.stack, arguments.arch)
        if result is None:
            from .staging import stage_folder

            result = stage_folder(folder, arguments.output, _settings(arguments, store))
        if arguments.json:
            _print_json(_stage_json(folder, result, store))
        else:
            _report_stage(folder, result)
    return 0


def _stage_json(folder: Folder, result: dict[str, Any], store: Store) -> dict[str, Any]:
    from .restage import layers_of

    base = result["base"]
    kept = ("plan", "stack", "architecture", "buildpacks", "processes", "env", "runtimes")
    return {
        **{key: base[key] for key in kept},
        **{key: result[key] for key in ("digest", "size", "path", "written")},
        "layers": layers_of(base, result["app"], store),
        "left_out": [{"path": path, "reason": why} for path, why in folder.tree.left_out],
        "notes": [*result.get("notes", ()), *base["notes"]],
    }


def _report_stage(folder: Folder, result: dict[str, Any]) -> None:
    base = result["base"]
    _warn([*result.get("notes", ()), *base["notes"]])
    for path, why in folder.tree.left_out:
        _say(f"left out: {path} ({why})")
    runtimes = ", ".join(f"{name} {version}" for name, version in base["runtimes"].items())
    _say(
        f"{', '.join(base['buildpacks'])} on {base['stack']}/{base['architecture']}"
        + (f" with {runtimes}" if runtimes else "")
    )
    for kind, command in base["processes"].items():
        _say(f"  {kind}: {command}")
    _say(f"{_size(result['size'])} in {os.path.relpath(result['path'])}" + ("" if result["written"] else ", unchanged"))
    print(result["digest"])


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def _run(arguments: argparse.Namespace) -> int:
    import tempfile

    if os.path.isfile(arguments.dir):
        return _launch(arguments.dir, arguments)
    with tempfile.TemporaryDirectory(prefix="stager-droplet-") as folder:
        arguments.output = os.path.join(folder, "droplet.tgz")
        as_json, arguments.json = arguments.json, False
        stdout, sys.stdout = sys.stdout, sys.stderr  # the digest is not this command's result
        try:
            _stage(arguments)
        finally:
            sys.stdout, arguments.json = stdout, as_json
        return _launch(arguments.output, arguments)


def _launch(droplet: str, arguments: argparse.Namespace) -> int:
    from .running import run

    pairs = [item.partition("=") for item in arguments.env]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise UsageError(f"--env {name!r} has no value", "Write --env NAME=VALUE.")

    def ready(port: int) -> None:
        if arguments.json:
            import json

            print(json.dumps({"process": arguments.process, "url": f"http://127.0.0.1:{port}"}), flush=True)
        _say(f"{arguments.process} listens on http://127.0.0.1:{port}")

    extra = {name: value for name, _, value in pairs}
    return run(droplet, arguments.process, port=arguments.port, extra=extra, ready=ready)


def _inspect(arguments: argparse.Namespace) -> int:
    from .inspecting import inspect
    from .report import inspection_text

    found = inspect(arguments.dir, _store(arguments))
    if arguments.json:
        _print_json(found)
    else:
        print(inspection_text(found))
    return 0


def _cache_info(arguments: argparse.Namespace) -> int:
    return _cache(arguments, lambda store: store.info())


def _cache_verify(arguments: argparse.Namespace) -> int:
    return _cache(arguments, lambda store: store.verify())


def _cache_gc(arguments: argparse.Namespace) -> int:
    limit = _bytes(arguments.max_size) if arguments.max_size else None
    return _cache(arguments, lambda store: store.gc(limit, dry_run=arguments.dry_run))


def _cache(arguments: argparse.Namespace, act: Callable[[Store], Any]) -> int:
    from .report import report_text

    found = act(_store(arguments))
    if arguments.json:
        _print_json(found)
    else:
        print(report_text(found))
    return 50 if found.get("damaged") else 0


def _bytes(text: str) -> int:
    factor = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}.get(text[-1:].upper(), 1)
    number = text[:-1] if factor > 1 else text
    if not number.isdigit():
        raise UsageError(f"{text!r} is no size", "Write bytes, or a number with K, M, G or T, such as 5G.")
    return int(number) * factor


# --- the tables ------------------------------------------------------------------------------------------------

_COMMANDS: dict[str, Row] = {
    "detect": ("say which buildpacks recognise the app, and why", _detect, _common),
    "plan": ("show what the app would be staged from", _plan, _planning),
    "lock": ("pin everything in stager.lock, and make the app's own lock if it has none", _lock, _lock_arguments),
    "stage": ("make the droplet", _stage, _stage_arguments),
    "run": ("launch the app, or a droplet file, on this host", _run, _run_arguments),
    "inspect": ("show what is inside a droplet file", _inspect, _inspect_arguments),
}
_CACHE: dict[str, Row] = {
    "info": ("say where the store is and what it holds", _cache_info, _shared),
    "verify": ("check every blob and set damaged ones aside", _cache_verify, _shared),
    "gc": ("remove what is unused, the least used first", _cache_gc, _gc_arguments),
}


if __name__ == "__main__":
    sys.exit(main())
