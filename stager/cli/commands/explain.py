"""`stager explain [TOPIC]`: why a droplet is what it is, in sentences."""

from __future__ import annotations

from functools import cache

from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from ...droplet.incremental import Folder
    from ...evidence.explain import Answer, Question
    from ...model import Detections, LockedPlan
    from ...tree import SourceTree


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `explain`."""
    from ...evidence.explain import TOPICS

    topics = "; ".join(f"{name}: {about}" for name, (_, about) in TOPICS.items())
    parser.add_argument(
        "topic", nargs="?", default="", metavar="TOPIC", help=f"{topics}; without one, what is known of all"
    )
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="the package or build that it is about")
    parser.add_argument("-C", "--dir", default=".", metavar="DIR", help="the app's folder (.)")
    parser.add_argument("--droplet", default="", metavar="DROPLET", help="look into this droplet, or compare with it")
    shared.add_choices(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer one topic, or all that need no name."""
    from ...evidence.explain import TOPICS, as_json, explain

    question = _question(arguments)
    topics = [arguments.topic] if arguments.topic else [name for name in TOPICS if name not in ("package", "size")]
    found = {topic: explain(topic, question) for topic in topics}
    if arguments.json:
        shared.print_json({"topics": {topic: as_json(answers) for topic, answers in found.items()}})
    else:
        _print(found.items())
    return 0


def _question(arguments: argparse.Namespace) -> Question:
    from ...droplet.incremental import aim
    from ...evidence.explain import Question
    from ...planning.plan import detect
    from ...staging import buildpacks_of, current_plan

    store = shared.store(arguments)
    settings = shared.settings(arguments, store, save_lock=False)
    folder = aim(shared.folder(arguments, store), settings)

    @cache
    def detections(tree: SourceTree) -> Detections:
        return detect(tree, buildpacks_of(folder, settings))[0]

    @cache
    def planned() -> tuple[Folder, LockedPlan]:
        return current_plan(folder, settings)

    def from_lock() -> bool:
        lock = folder.lock_bytes()
        return lock is not None and lock.replace(b"\r\n", b"\n") == planned()[1].text.encode()

    return Question(folder, store, detections, planned, from_lock, arguments.name, arguments.droplet)


def _print(found: Iterable[tuple[str, tuple[Answer, ...]]]) -> None:
    from ...evidence.explain import as_text

    rows = list(found)
    for number, (topic, answers) in enumerate(rows):
        if len(rows) > 1:
            print(("\n" if number else "") + topic)
        print(as_text(answers))


COMMANDS: dict[str, shared.Row] = {"explain": (run, configure)}
