"""systemd units for a droplet installed below `/opt/<name>/current`: a service for each process type, and a target for all."""

from __future__ import annotations

from collections.abc import Iterable

from ...text.templates import fill

ONCE = "release"
"""A process type that runs once, before a release goes live (Heroku's word): its unit is started by hand."""


def units(name: str, processes: Iterable[str]) -> dict[str, str]:
    """The units by file name, for a droplet with these process types; `name` is the app's, its user's and its group's."""
    types = sorted(processes)
    services = {f"{name}-{kind}.service": service(name, kind) for kind in types}
    wanted = " ".join(f"{name}-{kind}.service" for kind in types if kind != ONCE)
    return {**services, f"{name}.target": fill(__file__, "target.j2", {"name": name, "wants": wanted})}


def service(name: str, kind: str) -> str:
    """The unit of one process type."""
    return fill(__file__, "service.j2", {"name": name, "type": kind, "once": ONCE})
