"""What the app itself says of its packages, as its plan remembers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stager.model import Plan

DIRECT = "nodejs.direct"
"""The fact that names the packages the app itself cannot do without."""
UNBUILT = "nodejs.unbuilt"
"""The fact that names the packages that would have to be compiled, and that the app does not let be built."""


def direct(plan: Plan) -> list[str]:
    """The packages that the app and its workspaces cannot do without, as the plan remembers them."""
    return dict(plan.facts).get(DIRECT, "").split()


def unbuilt(plan: Plan) -> list[str]:
    """The packages that stay as they are though they would have to be compiled, since the app says so."""
    return dict(plan.facts).get(UNBUILT, "").split()
