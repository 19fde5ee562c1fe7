"""A library of this workspace."""

from markupsafe import escape


def greet(whom: str) -> str:
    return f"hello from {escape(whom)}"
