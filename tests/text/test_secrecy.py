"""Secrets are found in whatever spelling a server sends them back."""

from __future__ import annotations

import pytest
from spelled import encodings

from stager.text.redaction import Secrets

CANARY = 'cAn4ry/"pa+ss w=rd&\u00fc\\'
VALUES = [CANARY, "0ther-Canary-4711", "kanarien+vogel/42=", "x" * 300, "line one\nline two", "abcd"]


def spelled(value: str) -> dict[str, str]:
    """More than any server is known to make of a value; base64 of little may come to too few characters to be found."""
    more = {"capitals": value.upper(), "reversed": value[::-1], "reversed hex": value[::-1].encode().hex()}
    found = {**encodings(value), **more}
    return {name: text for name, text in found.items() if "base64 of" not in name or len(value) >= 8}


@pytest.mark.parametrize("value", VALUES)
def test_every_spelling_is_hidden(value: str) -> None:
    secrets = Secrets([value])
    for name, text in spelled(value).items():
        hidden = secrets.hide(f"before {text} after")
        assert "***" in hidden, name
        assert text.strip() not in hidden, name
        assert hidden.startswith("before "), name


@pytest.mark.parametrize("value", VALUES)
def test_a_text_with_a_secret_in_any_spelling_is_withheld(value: str) -> None:
    secrets = Secrets()
    secrets.add("", value)
    for name, text in spelled(value).items():
        assert secrets.withhold(f"the server says {text}!") == "", name
    assert secrets.withhold("no such thing") == "no such thing"


def test_what_is_too_short_to_be_hidden_is_still_withheld() -> None:
    secrets = Secrets(["abc"])
    assert secrets.hide("the abc of it") == "the abc of it"
    assert secrets.withhold("the ABC of it") == ""


@pytest.mark.parametrize("of", ["hide", "withhold"])
def test_what_is_shown_is_one_printable_line_of_bounded_length(of: str) -> None:
    show = getattr(Secrets([CANARY]), of)
    assert show("quota\x1b[31m of\r\n 5 GB\x07 \x00\u202eexceeded") == "quota [31m of 5 GB exceeded"
    assert show("x" * 5000) == "x" * 400 + " \u2026"
