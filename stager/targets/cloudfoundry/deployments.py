"""Making a droplet run: starting, restarting or rolling, and waiting until it does, with reasons when it does not.

A rolling deployment that never becomes healthy stays ACTIVE for ever on the platform's side. Here it ends: after too many
crashes of the new instances, or after the time allowed, it is cancelled, and the error repeats why they crashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import Cancelled, StagerError
from ...text.typed import Node
from ..errors import DeployFailed, PlatformUnavailable, Rejected, TookTooLong
from .api import App, CloudController, Instance

STRATEGIES = ("rolling", "restart")
_CRASHES = 3
"""New crashes of an app after which it is given up: the platform restarts at once only so often."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as the API describes it: `value` is ACTIVE or FINALIZED, `reason` DEPLOYING, DEPLOYED, CANCELED …"""

    guid: str
    value: str
    reason: str
    error: str
    droplet: str
    processes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """How to bring a droplet to run."""

    strategy: str = "rolling"
    start: bool = True
    max_in_flight: int | None = None
    """Instances that are replaced at a time; None for the platform's own (1), which needs no platform that knows options."""
    patience: float = 600.0
    """Seconds."""
    revision: str = ""
    """A revision's GUID to go back to, instead of a droplet."""
    known: frozenset[str] = field(default=frozenset())
    """Crash events that are older than this deployment."""


def run_droplet(api: CloudController, app: App, droplet: str, how: RolloutOptions) -> str:
    """Let the app run a droplet; what was done: `rolling`, `restart`, `start` or `no-start`.

    Raises DeployFailed, TookTooLong, Rejected, PlatformUnavailable, Cancelled.
    """
    how = _remembering(api, app, how)
    if how.start and app.started and how.strategy == "rolling":
        roll(api, app, droplet, how)
        return "rolling"
    api.session.tell("setting the droplet")
    api.set_current(app, droplet)
    if not how.start:
        if app.started:
            api.act(app, "stop")
        return "no-start"
    action = "restart" if app.started else "start"
    api.act(app, action)
    wait_until_running(api, app, how)
    return action


def _remembering(api: CloudController, app: App, how: RolloutOptions) -> RolloutOptions:
    from dataclasses import replace

    return replace(how, known=frozenset(guid for guid, _ in api.crashes(app)))


# --- rolling -----------------------------------------------------------------------------------------------------


def roll(api: CloudController, app: App, droplet: str, how: RolloutOptions) -> None:
    """Replace the app's instances one after the other, and wait for it."""
    made = _create(api, app, droplet, how)

    def look() -> Deployment | None:
        found = deployment(api, made.guid)
        _give_up_on_crashes(api, app, how)
        api.session.tell(f"deploying {app.name} ({found.reason.lower()})")
        return found if found.value == "FINALIZED" else None

    try:
        found = api.session.until(f"the deployment of {app.name}", how.patience, look, "")
    except KeyboardInterrupt:
        _cancelled(api, app, made.guid, how, Cancelled())
        raise
    except (TookTooLong, DeployFailed, Cancelled) as error:
        raise _cancelled(api, app, made.guid, how, error) from None
    if found.reason != "DEPLOYED":
        why = found.error or f"its deployment was {found.reason.lower()}"
        raise DeployFailed(app.name, _with_crashes(api, app, how, why), "The former droplet runs; see 'cf logs'.")


def _create(api: CloudController, app: App, droplet: str, how: RolloutOptions) -> Deployment:
    source: dict[str, Any] = {"revision": {"guid": how.revision}} if how.revision else {"droplet": {"guid": droplet}}
    body = {
        **source,
        "strategy": "rolling",
        **({"options": {"max_in_flight": how.max_in_flight}} if how.max_in_flight else {}),
        "relationships": {"app": {"data": {"guid": app.guid}}},
    }
    what = f"the deployment of {app.name}"
    try:
        answer = api.send("POST", "/v3/deployments", what, body, safe=False)
    except PlatformUnavailable:
        found = _active(api, app, droplet)
        if found is None or how.revision:
            raise
        return found
    return _deployment(api, api._node(answer, what))


def _active(api: CloudController, app: App, droplet: str) -> Deployment | None:
    """The app's active deployment of this very droplet: ours, whose answer was lost."""
    query = {"app_guids": app.guid, "status_values": "ACTIVE"}
    listed = (
        _deployment(api, node) for node in api.pages("/v3/deployments", f"the deployments of {app.name}", **query)
    )
    return next((one for one in listed if one.droplet == droplet), None)


def deployment(api: CloudController, guid: str) -> Deployment:
    """A deployment as it is now."""
    return _deployment(api, api.get(f"/v3/deployments/{guid}", "the deployment"))


def _deployment(api: CloudController, node: Node) -> Deployment:
    status = node.at("status")
    details = status.value.get("details") or {}
    droplet = node.value.get("droplet") or {}
    return Deployment(
        node.str("guid"),
        status.str("value"),
        status.str("reason", "") or "",
        api.session.secrets.hide(str(details.get("error") or "")),
        str(droplet.get("guid") or ""),
        tuple(one.str("guid") for one in node.list("new_processes")),
    )


def _cancelled(api: CloudController, app: App, guid: str, how: RolloutOptions, error: StagerError) -> StagerError:
    """Cancel a deployment, so that the former droplet serves again; the error to raise."""
    state = "The former droplet runs again."
    try:
        # A caller who asked to stop still wants the platform left in order.
        _without_cancel(api).send("POST", f"/v3/deployments/{guid}/actions/cancel", "the cancelling")
    except StagerError:
        state = f"It could not be cancelled; see 'cf cancel-deployment {app.name}'."
    if isinstance(error, Cancelled):
        return error
    return DeployFailed(
        app.name, _with_crashes(api, app, how, error.message), f"{state} See 'cf logs {app.name} --recent'."
    )


def _without_cancel(api: CloudController) -> CloudController:
    from dataclasses import replace

    from .session import CfSession

    session = CfSession(replace(api.session.settings, cancel=None))
    session.secrets, session._tokens = api.session.secrets, api.session._tokens
    return CloudController(session)


# --- running -----------------------------------------------------------------------------------------------------


def wait_until_running(api: CloudController, app: App, how: RolloutOptions) -> None:
    """Wait until every instance of every process runs. Raises DeployFailed with the crashes, and TookTooLong."""
    last: list[Instance] = []

    def look() -> bool | None:
        _give_up_on_crashes(api, app, how)
        last[:] = [one for guid, count in api.processes(app).values() if count for one in api.instances(guid)]
        up = sum(one.state == "RUNNING" for one in last)
        api.session.tell(f"starting {app.name}", up, len(last))
        return True if last and up == len(last) else None

    hint = f"See 'cf app {app.name}' and 'cf logs {app.name} --recent'; 'stager rollback cloudfoundry {app.name}' goes back."
    try:
        api.session.until(f"the start of {app.name}", how.patience, look, hint)
    except DeployFailed as error:
        raise DeployFailed(app.name, _with_crashes(api, app, how, error.message), hint) from None
    except TookTooLong as error:
        raise DeployFailed(app.name, _with_crashes(api, app, how, error.message + _states(last)), hint) from None


def _states(instances: list[Instance]) -> str:
    """What the instances that do not run say of themselves."""
    waiting = [one for one in instances if one.state != "RUNNING"]
    said = [f"{one.process}/{one.index} {one.state}{': ' + one.details if one.details else ''}" for one in waiting[:5]]
    return f" ({'; '.join(said)})" if said else ""


def _give_up_on_crashes(api: CloudController, app: App, how: RolloutOptions) -> None:
    found = _new_crashes(api, app, how)
    if len(found) >= _CRASHES:
        raise DeployFailed(app.name, f"it crashed {len(found)} times", "")


def _new_crashes(api: CloudController, app: App, how: RolloutOptions) -> list[str]:
    return [text for guid, text in api.crashes(app) if guid not in how.known]


def _with_crashes(api: CloudController, app: App, how: RolloutOptions, why: str) -> str:
    """The reason with what the new crashes say, each once."""
    try:
        said = list(dict.fromkeys(_new_crashes(_without_cancel(api), app, how)))
    except (Rejected, PlatformUnavailable):
        said = []
    bare = why.removeprefix(f"{app.name} was not deployed: ")
    return bare + "".join(f"; {text}" for text in said[:3])


def idle(api: CloudController, app: App) -> list[str]:
    """The process types that run no instance: the platform creates all but `web` with none."""
    found: Mapping[str, tuple[str, int]] = api.processes(app)
    return sorted(kind for kind, (_, count) in found.items() if not count)
