"""Why: the decisions that made a droplet, each as a sentence with what it rests on.

Every topic is a function from a `Question` (the folder, its plan, the store's memory, perhaps a droplet) to `Answer`s. Topics
decide nothing: they read what detection, planning and the store say, and where nothing is known, they say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from ...errors import UsageError
from .answers import Answer, Question, as_json, as_text

TOPICS: Mapping[str, tuple[str, str]] = {
    "buildpack": ("buildpacks", "why these buildpacks take part, and the others do not"),
    "version": ("runtimes", "why these runtime versions: what was asked for, the candidates, and the rule"),
    "process": ("processes", "why these start commands"),
    "build": ("builds", "why builds run again or are remembered: which input changed"),
    "layer": ("layers", "which layers the next staging makes again, and which input changed"),
    "package": ("packages", "why a package is in the droplet: the path of dependencies to it"),
    "size": ("sizes", "what is big"),
}
"""Topic → (module of this package, what it answers), in the order that all of them are told."""


def explain(topic: str, question: Question) -> tuple[Answer, ...]:
    """The answers to a topic. Raises UsageError for an unknown topic, and what reading the app or a droplet raises."""
    if topic not in TOPICS:
        known = "; ".join(f"{name}: {about}" for name, (_, about) in TOPICS.items())
        raise UsageError(f"there is no topic {topic!r}", f"Topics are {known}.")
    module, _ = TOPICS[topic]
    answer: Callable[[Question], tuple[Answer, ...]] = import_module(f"{__name__}.{module}").answer
    return answer(question)


__all__ = ["TOPICS", "Answer", "Question", "as_json", "as_text", "explain"]
