"""Texts that stager generates for others: Jinja2 templates and scripts, kept in a folder `templates` beside what uses them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .render import render


def fill(module: str, name: str, values: Mapping[str, object]) -> str:
    """The template `name` beside a module's file with `values` filled in; the filters `sh` and `tojson` quote.

    Raises InvalidDefinition when the template uses a value that is not given.
    """
    return render(read(module, name).decode(), values, name)


def read(module: str, name: str) -> bytes:
    """The file `name` as it is, from the folder of templates beside a module's file."""
    with open(os.path.join(folder(module), *name.split("/")), "rb") as file:
        return file.read()


def folder(module: str) -> str:
    """The folder of templates beside a module's file."""
    return os.path.join(os.path.dirname(os.path.abspath(module)), "templates")
