"""`stager verify`: stage again under changed conditions and prove that the droplet is the same. Exit 0 equal, 80 different."""

from __future__ import annotations

import os

from ...droplet import mistaken
from ...errors import Unreadable, UsageError
from ...files import limits, regular, writing
from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import threading
    from collections.abc import Callable

    from ...evidence.verify.conditions import Here
    from ...evidence.verify.reference import Against
    from ...evidence.verify.results import Verdict
    from ...settings import Settings

_DROPLET = "droplet.tgz"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `verify`."""
    parser.add_argument("droplet", nargs="?", default="", metavar="DROPLET", help=f"the droplet file ({_DROPLET})")
    parser.add_argument("--source", default=".", metavar="DIR", help="the app's folder, with its stager.lock (.)")
    help_ = "compare with this instead: sha256:…, a URL, a file that was exported, image:NAME or app:NAME"
    parser.add_argument("--against", default="", metavar="WHAT", help=help_)
    parser.add_argument("--deployed", default="", metavar="APP", help="short for --against app:APP (Cloud Foundry)")
    help_ = "'list' shows which conditions this machine can change; else try these alone: NAME,NAME"
    parser.add_argument("--conditions", default="", metavar="NAMES", help=help_)
    parser.add_argument("--skip", action="append", default=[], metavar="NAME", help="leave a condition out; repeatable")
    help_ = "another Python with stager, to stage with; may be repeated"
    parser.add_argument("--python", action="append", default=[], metavar="FILE", help=help_)
    parser.add_argument(
        "--keep", type=shared.output, default="", metavar="FILE", help="keep what was staged again, if it differs"
    )
    parser.add_argument("--junit", type=shared.output, default="", metavar="FILE", help="write a JUnit report as well")
    shared.add_offline(parser)
    _attested(parser)


def _attested(parser: argparse.ArgumentParser) -> None:
    from .values import number

    parser.add_argument(
        "--k-of-n", type=number(), default=0, metavar="N", help="demand N agreeing signers (--attestation)"
    )
    help_ = "a signed attestation of an independent rebuild; may be repeated"
    parser.add_argument("--attestation", action="append", default=[], metavar="FILE", help=help_)
    help_ = "a public key whose signature counts; may be repeated"
    parser.add_argument("--trusted-key", action="append", default=[], metavar="FILE", help=help_)


def run(arguments: argparse.Namespace) -> int:
    """Verify, report, and say by the exit status whether the droplet is what its source says."""
    if arguments.conditions == "list":
        return _list(arguments)
    if arguments.attestation or arguments.k_of_n:
        return _signers(arguments)
    for out in filter(None, (arguments.keep, arguments.junit)):
        writing.keep_apart(out, arguments.droplet or _DROPLET)
    _check_named(arguments)
    verdict = _verified(arguments)
    if arguments.junit:
        _write_junit(verdict, arguments.junit)
    return _report(verdict, arguments)


def _check_named(arguments: argparse.Namespace) -> None:
    """Raise UsageError for conditions and Pythons that are none, before any work."""
    import shutil

    from ...evidence.verify.conditions import known

    known(name for row in (*arguments.skip, arguments.conditions) for name in row.split(",") if name)
    for path in arguments.python:
        if shutil.which(path) is None:
            raise UsageError(f"--python {path} is no program", "Name a Python that has stager installed.")


def _report(verdict: Verdict, arguments: argparse.Namespace) -> int:
    from ...errors import NotReproducible
    from ...evidence.verify.results import as_json, as_text

    if arguments.json:
        shared.print_json(as_json(verdict))
        return 0 if verdict.equal else NotReproducible.exit_code
    for line in as_text(verdict):
        shared.say(line)
    if not verdict.equal:
        raise verdict.error()
    shared.result(arguments, verdict.rebuilt)
    return 0


def _verified(arguments: argparse.Namespace) -> Verdict:
    import threading

    from ...evidence.verify.checking import verify

    cancel = threading.Event()
    restore = _on_terminate()
    try:
        return verify(
            _against(arguments),
            arguments.source,
            _settings(arguments, cancel),
            _here(arguments),
            skip=[name for row in arguments.skip for name in row.split(",")],
            only=[name for name in arguments.conditions.split(",") if name],
            keep=arguments.keep,
        )
    finally:
        restore()


def _on_terminate() -> Callable[[], None]:
    """Let SIGTERM, by which CI stops a job, clean up as Ctrl-C does; what it did before comes back afterwards."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    return lambda: (signal.signal(signal.SIGTERM, before), None)[1]


# --- what the arguments stand for ------------------------------------------------------------------------------


def _against(arguments: argparse.Namespace) -> Against:
    from ...evidence.verify.reference import Against, read

    others = [name for name in ("droplet", "against", "deployed") if getattr(arguments, name)]
    if len(others) > 1:
        message = "a droplet file, --against and --deployed each say what to compare with"
        raise UsageError(message, "Give one of them.")
    if arguments.deployed:
        return Against("app", arguments.deployed)
    if arguments.against:
        return read(arguments.against)
    path = arguments.droplet or _DROPLET
    if not arguments.droplet and not os.path.exists(path):
        path = os.path.join(arguments.source, _DROPLET)
    mistaken.check_droplet(path)
    return Against("droplet", path, path)


def _settings(arguments: argparse.Namespace, cancel: threading.Event) -> Settings:
    return shared.settings(arguments, shared.store(arguments), save_lock=False, locked=True, cancel=cancel)


def _here(arguments: argparse.Namespace) -> Here:
    import sys

    from ...evidence.verify.conditions import Here

    return Here(dict(shared.environ()), shared.home(), sys.executable, tuple(arguments.python))


# --- other things it does --------------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> int:
    """Say which conditions can be changed here."""
    from ...evidence.verify.conditions import CONDITIONS, choose
    from ...files import temporary

    with temporary.folder("verify") as scratch:
        chosen = choose(_here(arguments), scratch, arguments.skip)
    why = {one.name: one.why for one in chosen.not_tried}
    rows = [{"name": name, "about": about, "why_not": why.get(name, "")} for name, (about, _) in CONDITIONS.items()]
    if arguments.json:
        shared.print_json({"conditions": rows})
        return 0
    for row in rows:
        print(f"{row['name']:<12} {row['about']}" + (f" (not here: {row['why_not']})" if row["why_not"] else ""))
    return 0


def _signers(arguments: argparse.Namespace) -> int:
    """Demand that enough trusted signers say that this droplet is what they built."""
    try:
        from ...evidence.attesting import check
        from ...evidence.provenance.keys import read_public
    except ImportError:
        raise UsageError(
            "this stager cannot check attestations", "Install stager with its extra: stager[sign]."
        ) from None
    from ...files.whole import digest_of

    digest = str(digest_of(_against(arguments).path))
    attestations = [(path, _read(path)) for path in arguments.attestation]
    found = check(digest, attestations, [read_public(path) for path in arguments.trusted_key], arguments.k_of_n or 1)
    signers = [{"key": one.key, "file": one.file, "builder": one.builder} for one in found.signers]
    if arguments.json:
        rejected = [{"file": file, "why": why} for file, why in found.rejected]
        document = {"digest": digest, "source": found.source, "plan": found.plan}
        shared.print_json({**document, "signers": signers, "rejected": rejected})
        return 0
    for file, why in found.rejected:
        shared.say(f"note: {file} does not count: {why}")
    for one in found.signers:
        shared.say(f"signed by {one.key} ({one.builder})")
    print(digest)
    return 0


def _read(path: str) -> bytes:
    try:
        return regular.read(path, limits.EVIDENCE)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), "Check the name and its permissions.") from None


def _write_junit(verdict: Verdict, path: str) -> None:
    from ...evidence.verify.results import as_junit

    writing.write(path, as_junit(verdict).encode())


COMMANDS: dict[str, shared.Row] = {"verify": (run, configure)}
