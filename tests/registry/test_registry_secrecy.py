"""Secrets are found in whatever spelling they come back."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from stager.registry.secrecy import Secrets

CANARY = "kanarien+vogel/42="


@pytest.mark.parametrize(
    "spelling",
    [
        CANARY,
        CANARY.upper(),
        CANARY[::-1],
        CANARY.encode().hex(),
        CANARY.encode().hex().upper(),
        quote(CANARY, safe=""),
        b64encode(CANARY.encode()).decode(),
        b64encode(f"ada:{CANARY}".encode()).decode(),
        b64encode(f"lovelace:{CANARY}".encode()).decode(),
        b64encode(f"a:{CANARY} and more".encode()).decode(),
        urlsafe_b64encode(CANARY.encode()).decode().rstrip("="),
    ],
)
def test_a_text_with_a_secret_is_withheld(spelling: str) -> None:
    secrets = Secrets()
    secrets.add(CANARY)
    assert secrets.shown(f"the server says {spelling}!") == ""


def test_other_texts_are_shown_on_one_line_without_control_signs() -> None:
    secrets = Secrets()
    secrets.add(CANARY, "")
    assert secrets.shown("quota\x1b[31m of\n 5 GB\x07 exceeded") == "quota [31m of 5 GB exceeded"
    assert len(secrets.shown("x" * 5000)) == 300
