"""Reads a plainly written command line from what the command declares for argparse, without importing argparse.

Importing it and building a parser would take a quarter of a warm restage. What is not certain here is argparse's: another
spelling, a mistake, `--help`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class Arguments:
    """Parsed arguments, one attribute each."""


class FastParser:
    """Takes the calls by which a command declares its arguments, as far as commands make them."""

    def __init__(self, configure: Callable[[Any], None]) -> None:
        self._options: dict[str, tuple[str, dict[str, Any]]] = {}
        self._positionals: list[tuple[str, dict[str, Any]]] = []
        self._defaults: dict[str, Any] = {}
        configure(self)

    def add_argument_group(self, *_: str) -> FastParser:
        """Help's headings mean nothing here."""
        return self

    def add_argument(self, *names: str, **declared: Any) -> None:
        """As argparse's; actions `store`, `store_true` and `append`."""
        long = next((name for name in names if name.startswith("--")), names[0])
        place = declared.get("dest") or long.lstrip("-").replace("-", "_")
        flag = declared.get("action") == "store_true"
        self._defaults[place] = declared.get("default", False if flag else None)
        if names[0].startswith("-"):
            self._options.update(dict.fromkeys(names, (place, declared)))
        else:
            self._positionals.append((place, declared))

    def set_defaults(self, **values: Any) -> None:
        """As argparse's."""
        self._defaults.update(values)

    def read(self, words: Sequence[str]) -> Arguments | None:
        """The arguments, None for argparse to see to."""
        try:
            return self._read(words)
        except Exception:  # whatever a `type` raises: argparse tells it with the option's name
            return None

    def _read(self, words: Sequence[str]) -> Arguments | None:
        found, rest, given = dict(self._defaults), iter(words), []
        for word in rest:
            if word in self._options:
                place, declared = self._options[word]
                if declared.get("action") == "store_true":
                    found[place] = True
                    continue
                value = self._value(next(rest, ""), declared)
                found[place] = [*found[place], value] if declared.get("action") == "append" else value
            elif word.startswith("-"):
                return None
            else:
                given.append(word)
        if len(given) > len(self._positionals) or any(row.get("nargs") != "?" for _, row in self._positionals):
            return None
        for (place, declared), word in zip(self._positionals, given, strict=False):
            found[place] = self._value(word, declared)
        made = Arguments()
        made.__dict__.update(found)
        return made

    def _value(self, word: str, declared: dict[str, Any]) -> Any:
        """What a word stands for. Raises for one that argparse would refuse, or may read as an option."""
        if not word or word.startswith("-") or word not in declared.get("choices", (word,)):
            raise ValueError(word)
        return declared["type"](word) if "type" in declared else word
