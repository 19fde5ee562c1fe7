"""The texts that targets and hand-offs generate: Jinja2 templates kept as files beside this module."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .render import render


def fill(name: str, values: Mapping[str, object]) -> str:
    """The template `name` (`bosh/monit.j2`) with `values` filled in; the filters `sh` and `tojson` quote.

    Raises InvalidDefinition when the template uses a value that is not given.
    """
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), *name.split("/"))
    with open(path, encoding="utf-8") as file:
        return render(file.read(), values, name)
