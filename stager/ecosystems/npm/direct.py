"""What the app itself cannot do without, as its plan remembers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stager.model import Plan

DIRECT = "nodejs.direct"
"""The fact that names the packages the app itself cannot do without."""


def direct(plan: Plan) -> list[str]:
    """The packages that the app and its workspaces cannot do without, as the plan remembers them."""
    return dict(plan.facts).get(DIRECT, "").split()
