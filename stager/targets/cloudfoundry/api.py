"""The calls of the v3 API that stager makes, one function each, with what they return as checked values.

Field names and states are the API documentation's. A GUID or link from an answer is used only after it has the form it
should have, and a link's host never decides where a token goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from ...digest import Digest
from ...errors import StagerError
from ...text.typed import Node
from ..errors import Rejected
from .login import PLATFORM
from .session import CfSession, details
from .wire import ApiAnswer

_GUID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_PAGES = 1000
_LATER = "The platform may still finish it: see 'cf events' and 'cf app', then run the same command again."


@dataclass(frozen=True, slots=True)
class App:
    """An app as the API describes it."""

    guid: str
    name: str
    started: bool
    lifecycle: str
    stack: str
    droplet: str
    """The current droplet's GUID, empty when there is none."""
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RemoteDroplet:
    """A droplet as the API describes it."""

    guid: str
    state: str
    error: str
    checksum: tuple[str, str]
    """(`sha256` or `sha1`, hex), empty strings before it is known."""
    process_types: Mapping[str, str]
    """Empty when the login may not see them, and in lists."""
    annotations: Mapping[str, str]
    created: str
    lifecycle: str

    @property
    def digest(self) -> Digest | None:
        """The SHA-256 that the platform computed of the file it holds, None when it says none."""
        kind, value = self.checksum
        try:
            return Digest(f"sha256:{value}") if kind == "sha256" else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a process: its state (RUNNING, STARTING, CRASHED, DOWN …) and why it is not placed."""

    process: str
    index: int
    state: str
    details: str


def _json(document: object) -> Callable[[], bytes]:
    body = json.dumps(document).encode()
    return lambda: body


class CloudController:
    """The calls, on one session."""

    def __init__(self, session: CfSession) -> None:
        self.session = session

    # --- the parts of a call -----------------------------------------------------------------------------------

    def get(self, path: str, what: str, **query: str) -> Node:
        """GET a document."""
        return self._node(self.session.call("GET", path + _query(query), what=what), what)

    def send(self, method: str, path: str, what: str, document: object = None, *, safe: bool = True) -> ApiAnswer:
        """Send a JSON document, or nothing."""
        body = None if document is None else _json(document)
        headers = {} if document is None else {"Content-Type": "application/json"}
        return self.session.call(method, path, what=what, body=body, headers=headers, safe=safe)

    def pages(self, path: str, what: str, **query: str) -> Iterator[Node]:
        """Every resource of a list, page after page. Only path and query of the link to the next page are used."""
        where = path + _query({"per_page": "200", **query})
        for _ in range(_PAGES):
            page = self._node(self.session.call("GET", where, what=what), what)
            yield from page.list("resources")
            after = page.at("pagination").get("next")
            if after is None or after.value is None:
                return
            where = self._path(after.str("href"), what)
        raise Rejected(what, PLATFORM, "its list has no end")

    def _path(self, link: str, what: str) -> str:
        """The path and query of a link, below the API's own address."""
        base = urlsplit(self.session.login.api).path
        try:
            parts = urlsplit(link)
        except ValueError:
            raise Rejected(what, PLATFORM, "it answered with a link that is no URL") from None
        if not parts.path.startswith(base + "/v3/"):
            raise Rejected(what, PLATFORM, "it answered with a link that leads elsewhere")
        path = parts.path[len(base) :]
        return f"{path}?{parts.query}" if parts.query else path

    def _node(self, answer: ApiAnswer, what: str) -> Node:
        def bad(_: str, why: str) -> StagerError:
            return Rejected(
                what, PLATFORM, f"its answer is not one of the v3 API: {why}", "Check CF_API.", answer.status
            )

        return Node(answer.document, PLATFORM, fail_with=bad)

    # --- places ------------------------------------------------------------------------------------------------

    def space(self, org: str, space: str) -> str:
        """The GUID of a space by the names of org and space. Raises Rejected when the login does not see it."""
        login = self.session.login
        if (org, space) == (login.org, login.space) and login.space_guid:
            return login.space_guid
        found = self._one("/v3/organizations", f"the org {org}", names=org)
        if found is None:
            raise Rejected(f"org {org}", PLATFORM, "there is none of that name, or you cannot see it", "See 'cf orgs'.")
        guid = _guid(found)
        found = self._one("/v3/spaces", f"the space {space}", names=space, organization_guids=guid)
        if found is None:
            raise Rejected(f"space {space}", PLATFORM, f"org {org} has none of that name", "See 'cf spaces'.")
        return _guid(found)

    def stacks(self) -> list[str]:
        """The names of the platform's stacks."""
        return [node.str("name") for node in self.pages("/v3/stacks", "the list of stacks")]

    def _one(self, path: str, what: str, **query: str) -> Node | None:
        escaped = {key: quote(value, safe="") if key == "names" else value for key, value in query.items()}
        return next(iter(self.pages(path, what, **escaped)), None)

    # --- apps --------------------------------------------------------------------------------------------------

    def app(self, name: str, space: str) -> App | None:
        """The app of a name in a space."""
        found = self._one("/v3/apps", f"the app {name}", names=name, space_guids=space)
        return None if found is None else _app(found)

    def app_by_guid(self, guid: str) -> App:
        """An app as it is now."""
        return _app(self.get(f"/v3/apps/{guid}", "the app"))

    def create_app(self, name: str, space: str, stack: str) -> App:
        """Create a stopped app with the buildpack lifecycle on a stack."""
        lifecycle = {"type": "buildpack", "data": {"stack": stack}}
        related = {"space": {"data": {"guid": space}}}
        body = {"name": name, "lifecycle": lifecycle, "relationships": related}
        return _app(self._node(self.send("POST", "/v3/apps", f"the app {name}", body, safe=False), name))

    def delete_app(self, app: App) -> None:
        """Delete an app, and wait until that is done."""
        what = f"the deletion of {app.name}"
        self.wait_for_job(self.send("DELETE", f"/v3/apps/{app.guid}", what), what)

    def apply_manifest(self, space: str, text: bytes) -> None:
        """Apply a manifest to a space, and wait until its job is done."""
        headers = {"Content-Type": "application/x-yaml"}
        path = f"/v3/spaces/{space}/actions/apply_manifest"
        answer = self.session.call("POST", path, what="the manifest", body=lambda: text, headers=headers)
        self.wait_for_job(answer, "the manifest")

    def act(self, app: App, action: str) -> None:
        """`start`, `stop` or `restart` an app."""
        self.send("POST", f"/v3/apps/{app.guid}/actions/{action}", f"the {action} of {app.name}")

    def describe(self, kind: str, guid: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        """Set labels and annotations of an app or droplet (`kind` is `apps` or `droplets`); others stay."""
        body = {"metadata": {"labels": dict(labels), "annotations": dict(annotations)}}
        self.send("PATCH", f"/v3/{kind}/{guid}", f"the labels of the {kind[:-1]}", body)

    def processes(self, app: App) -> dict[str, tuple[str, int]]:
        """Process type → (GUID, number of instances); the newest process of a type counts."""
        found = {}
        for node in self.pages(f"/v3/apps/{app.guid}/processes", f"the processes of {app.name}"):
            found[node.str("type")] = (_guid(node), node.int("instances"))
        return found

    def instances(self, process: str) -> list[Instance]:
        """The instances of a process."""
        page = self.get(f"/v3/processes/{process}/stats", "the state of the instances")
        hide = self.session.secrets.hide
        return [
            Instance(node.str("type"), node.int("index"), node.str("state"), hide(str(node.value.get("details") or "")))
            for node in page.list("resources")
        ]

    def crashes(self, app: App) -> list[tuple[str, str]]:
        """(GUID, description) of the app's crash events, the newest first."""
        query = {
            "types": "audit.app.process.crash",
            "target_guids": app.guid,
            "order_by": "-created_at",
            "per_page": "20",
        }
        page = self.get("/v3/audit_events", f"the events of {app.name}", **query)
        return [(_guid(node), self._crash(node)) for node in page.list("resources")]

    def _crash(self, node: Node) -> str:
        data = node.value.get("data") if isinstance(node.value.get("data"), dict) else {}
        known = {key: data[key] for key in ("index", "exit_status", "exit_description", "reason") if key in data}
        process = node.value.get("actor", {}).get("name", "") if isinstance(node.value.get("actor"), dict) else ""
        said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in known.items())
        return self.session.secrets.hide(f"{process} crashed: {said}" if said else f"{process} crashed")

    # --- droplets ----------------------------------------------------------------------------------------------

    def droplet(self, guid: str) -> RemoteDroplet:
        """A droplet as it is now."""
        return self._droplet(self.get(f"/v3/droplets/{guid}", "the droplet"))

    def droplets(self, app: App) -> list[RemoteDroplet]:
        """The app's staged droplets that the platform still holds, the newest first."""
        query = {"states": "STAGED", "order_by": "-created_at"}
        listed = self.pages(f"/v3/apps/{app.guid}/droplets", f"the droplets of {app.name}", **query)
        return [self._droplet(node) for node in listed]

    def create_droplet(self, app: App, process_types: Mapping[str, str]) -> RemoteDroplet:
        """A new droplet that awaits its upload, with all process types."""
        body = {"relationships": {"app": {"data": {"guid": app.guid}}}, "process_types": dict(process_types)}
        return self._droplet(self._node(self.send("POST", "/v3/droplets", "the droplet", body), "the droplet"))

    def copy_droplet(self, source: str, app: App) -> RemoteDroplet:
        """A copy of a droplet for another app; it is COPYING at first."""
        body = {"relationships": {"app": {"data": {"guid": app.guid}}}}
        answer = self.send("POST", f"/v3/droplets?source_guid={source}", "the copy of the droplet", body)
        return self._droplet(self._node(answer, "the copy of the droplet"))

    def settled(self, guid: str, what: str) -> RemoteDroplet:
        """Wait until a droplet is STAGED. Raises Rejected when it becomes FAILED or EXPIRED."""

        def look() -> RemoteDroplet | None:
            found = self.droplet(guid)
            return found if found.state in ("STAGED", "FAILED", "EXPIRED") else None

        found: RemoteDroplet = self.session.until(what, self.session.waiting.job, look, _LATER)
        if found.state != "STAGED":
            raise Rejected(what, PLATFORM, found.error or f"it is {found.state}", "Push again: a new droplet is made.")
        return found

    def _droplet(self, node: Node) -> RemoteDroplet:
        checksum = node.get("checksum")
        stated = checksum is not None and checksum.value is not None
        return RemoteDroplet(
            _guid(node),
            node.str("state"),
            self.session.secrets.hide(str(node.value.get("error") or "")),
            (checksum.str("type", ""), checksum.str("value", "")) if stated and checksum else ("", ""),
            {key: str(one.value) for key, one in node.table("process_types").items()} if _is_table(node) else {},
            _annotations(node),
            node.str("created_at", ""),
            node.at("lifecycle").str("type", ""),
        )

    def set_current(self, app: App, droplet: str) -> None:
        """Make a droplet the app's current one; missing processes are created from its process types."""
        path = f"/v3/apps/{app.guid}/relationships/current_droplet"
        self.send("PATCH", path, f"the droplet for {app.name}", {"data": {"guid": droplet}})

    # --- jobs --------------------------------------------------------------------------------------------------

    def wait_for_job(self, answer: ApiAnswer, what: str) -> None:
        """Wait for the job of an answer 202 (its Location). Raises Rejected with the job's errors."""
        if not answer.location:
            return
        path = self._path(answer.location, what)

        def look() -> Node | None:
            job = self.get(path, what)
            return job if job.str("state") in ("COMPLETE", "FAILED") else None

        job: Node = self.session.until(what, self.session.waiting.job, look, _LATER)
        if job.str("state") == "FAILED":
            why = self.session.secrets.hide(details(job.value)) or "its job failed and does not say why"
            raise Rejected(what, PLATFORM, why)


def _guid(node: Node) -> str:
    found = str(node.str("guid"))
    if not _GUID.fullmatch(found):
        node.at("guid").fail("it is no GUID")
    return found


def _app(node: Node) -> App:
    lifecycle, related = node.at("lifecycle"), node.table("relationships").get("current_droplet")
    data = related.get("data") if related is not None and related.value else None
    return App(
        _guid(node),
        node.str("name"),
        node.str("state") == "STARTED",
        lifecycle.str("type"),
        str((lifecycle.value.get("data") or {}).get("stack") or ""),
        str((data.value or {}).get("guid") or "") if data is not None else "",
        _annotations(node),
    )


def _is_table(node: Node) -> bool:
    """Whether the process types are shown: lists, and logins with little rights, get a message in their place."""
    found = node.value.get("process_types")
    return isinstance(found, dict) and "redacted_message" not in found


def _annotations(node: Node) -> dict[str, str]:
    metadata = node.get("metadata")
    if metadata is None or not isinstance(metadata.value, dict):
        return {}
    return {key: str(one.value) for key, one in metadata.table("annotations").items()}


def _query(query: Mapping[str, str]) -> str:
    return "?" + urlencode(query) if query else ""
