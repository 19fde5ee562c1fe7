"""A Cloud Controller's state, as the v3 API documentation describes it: what each call checks, changes and answers.

Written from the public documentation and the error texts it lists; it knows nothing of stager. `cf_server` puts it behind
HTTP with tokens and faults. Work that takes time on a real platform takes a number of looks here (`Pace`).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import yaml

Json = dict[str, Any]


class Refusal(Exception):
    """An error document with one error: HTTP status, code, name (its title is `CF-` and the name), detail."""

    def __init__(self, status: int, code: int, name: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.document = {"errors": [{"detail": detail, "title": f"CF-{name}", "code": code}]}


def unprocessable(detail: str) -> Refusal:
    """422 CF-UnprocessableEntity."""
    return Refusal(422, 10008, "UnprocessableEntity", detail)


def not_found(what: str) -> Refusal:
    """404 CF-ResourceNotFound."""
    return Refusal(404, 10010, "ResourceNotFound", f"{what} not found")


@dataclass
class Pace:
    """How many looks things take, and how they end."""

    jobs: int = 2
    deployments: int = 3
    copies: int = 2
    starts: int = 1
    crashing: bool = False
    """Instances started from now on crash, each look adding an event."""
    placement_error: str = ""
    stuck: bool = False
    """Deployments and starts never end."""
    expire_uploads: int = 0
    """So many uploaded droplets expire instead of being staged."""
    fail_upload: str = ""
    checksum: str = ""
    """What to claim as the SHA-256 of uploads."""
    old_checksums: bool = False
    """Only SHA-1, as older platforms do."""
    manifest_error: str = ""


@dataclass
class Process:
    """One process of an app."""

    guid: str
    type: str
    instances: int
    command: str | None = None
    looks: int = 0
    settings: Json = field(default_factory=dict)


class Controller:
    """Orgs, spaces, apps, droplets, jobs, deployments, revisions and events."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.pace = Pace()
        self._numbers = itertools.count(1)
        self.orgs: dict[str, Json] = {}
        self.spaces: dict[str, Json] = {}
        self.apps: dict[str, Json] = {}
        self.droplets: dict[str, Json] = {}
        self.jobs: dict[str, Json] = {}
        self.deployments: dict[str, Json] = {}
        self.revisions: dict[str, Json] = {}
        self.events: list[Json] = []
        self.stacks = ["cflinuxfs4"]
        self.services: set[str] = set()
        self.bits: dict[str, bytes] = {}
        self.uploads: dict[str, str] = {}
        self.manifests: list[Json] = []
        self.retained = 5

    # --- small parts -------------------------------------------------------------------------------------------

    def guid(self, kind: str) -> str:
        """A new GUID; the number makes the order visible."""
        return f"{next(self._numbers):08x}-0000-4000-8000-{hashlib.md5(kind.encode()).hexdigest()[:12]}"

    def stamp(self) -> str:
        """A time stamp that grows."""
        number = next(self._numbers)
        return f"2026-01-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"

    def link(self, path: str) -> Json:
        return {"href": f"{self.url}{path}"}

    def resource(self, kind: str, **more: Any) -> Json:
        now = self.stamp()
        guid = self.guid(kind)
        return {
            "guid": guid,
            "created_at": now,
            "updated_at": now,
            "links": {"self": self.link(f"/v3/{kind}/{guid}")},
            **more,
        }

    def page(self, path: str, found: list[Json], query: Json) -> Json:
        """A paginated list: `per_page` (50, at most 5000), `page`, `order_by`."""
        order = query.get("order_by", "created_at")
        found = sorted(found, key=lambda one: str(one.get(order.lstrip("-+"), "")), reverse=order.startswith("-"))
        size, number = int(query.get("per_page", 50)), int(query.get("page", 1))
        last = max(1, -(-len(found) // size))
        rest = "&".join(f"{key}={value}" for key, value in query.items() if key != "page")

        def href(page: int) -> Json:
            return self.link(f"{path}?{rest}&page={page}")

        pagination = {
            "total_results": len(found),
            "total_pages": last,
            "first": href(1),
            "last": href(last),
            "next": href(number + 1) if number < last else None,
            "previous": href(number - 1) if number > 1 else None,
        }
        return {"pagination": pagination, "resources": found[(number - 1) * size : number * size]}

    def add_space(self, org: str, space: str) -> str:
        """Make an org (unless it is there) and a space in it; the space's GUID."""
        held = next((one for one in self.orgs.values() if one["name"] == org), None)
        if held is None:
            held = self.resource("organizations", name=org, suspended=False)
            self.orgs[held["guid"]] = held
        related = {"organization": {"data": {"guid": held["guid"]}}}
        made = self.resource("spaces", name=space, relationships=related)
        self.spaces[made["guid"]] = made
        return str(made["guid"])

    def event(self, kind: str, app: Json, actor: str, **data: Any) -> None:
        """An audit event whose target is the app."""
        target = {"guid": app["guid"], "type": "app", "name": app["name"]}
        who = {"guid": "user-1", "type": "user", "name": actor}
        self.events.append(self.resource("audit_events", type=kind, actor=who, target=target, data=data))

    # --- apps --------------------------------------------------------------------------------------------------

    def named_app(self, name: str, space: str) -> Json | None:
        return next((a for a in self.apps.values() if a["name"] == name and space_of(a) == space), None)

    def create_app(self, body: Json) -> Json:
        space = body.get("relationships", {}).get("space", {}).get("data", {}).get("guid")
        if space not in self.spaces:
            raise unprocessable("Invalid space. Ensure that the space exists and you have access to it.")
        if self.named_app(body["name"], space):
            detail = f"App with the name '{body['name']}' already exists."
            raise Refusal(422, 10016, "UniquenessError", detail)
        lifecycle = body.get("lifecycle") or {"type": "buildpack", "data": {}}
        if lifecycle["type"] == "buildpack":
            self._check_stack(lifecycle["data"].get("stack") or self.stacks[0])
            lifecycle["data"] = {"buildpacks": [], "stack": self.stacks[0], **lifecycle["data"]}
        return self._new_app(body["name"], space, lifecycle)

    def _check_stack(self, stack: str) -> None:
        if stack not in self.stacks:
            raise unprocessable("Stack must be an existing stack")

    def _new_app(self, name: str, space: str, lifecycle: Json) -> Json:
        related = {"space": {"data": {"guid": space}}, "current_droplet": {"data": {"guid": None}}}
        app = self.resource(
            "apps", name=name, state="STOPPED", lifecycle=lifecycle, relationships=related, metadata=metadata()
        )
        guid = app["guid"]
        app["links"].update(
            {key: self.link(f"/v3/apps/{guid}/{key}") for key in ("processes", "droplets", "revisions")}
        )
        app["_"] = {"processes": [], "env": {}, "sidecars": [], "routes": [], "services": [], "revisions": True}
        self.apps[guid] = app
        self._process(app, "web")
        self.event("audit.app.create", app, "user")
        return app

    def _process(self, app: Json, kind: str) -> Process:
        for process in app["_"]["processes"]:
            if process.type == kind:
                return process  # type: ignore[no-any-return]
        made = Process(self.guid("processes"), kind, 1 if kind == "web" else 0)
        app["_"]["processes"].append(made)
        return made

    def shown_app(self, app: Json) -> Json:
        return {key: value for key, value in app.items() if key != "_"}

    def start(self, app: Json, action: str) -> Json:
        """start, restart."""
        if current(app) is None:
            raise unprocessable("Assign a droplet before starting this app.")
        app["state"] = "STARTED"
        for process in app["_"]["processes"]:
            process.looks = 0
        if app["_"]["revisions"]:
            self._revise(app, "New droplet deployed.")
        self.event(f"audit.app.{action}", app, "user")
        return app

    def stop(self, app: Json) -> Json:
        app["state"] = "STOPPED"
        self.event("audit.app.stop", app, "user")
        return app

    def shown_process(self, app: Json, process: Process) -> Json:
        droplet = self.droplets.get(current(app) or "", {})
        command = process.command or droplet.get("process_types", {}).get(process.type)
        return {
            "guid": process.guid, "type": process.type, "command": command, "instances": process.instances,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "memory_in_mb": 1024,
            "relationships": {"app": {"data": {"guid": app["guid"]}}}, "metadata": metadata(),
            "links": {"self": self.link(f"/v3/processes/{process.guid}")},
        }  # fmt: skip

    def stats(self, guid: str) -> Json:
        app, process = next((a, p) for a in self.apps.values() for p in a["_"]["processes"] if p.guid == guid)
        process.looks += 1
        pace = self.pace
        state = "DOWN" if app["state"] == "STOPPED" else "STARTING"
        if app["state"] == "STARTED" and process.looks > pace.starts and not pace.stuck:
            state = "CRASHED" if pace.crashing else "RUNNING"
        if state == "CRASHED":
            self.crash(app, process.type)
        details = pace.placement_error or None
        rows = [
            {"type": process.type, "index": index, "state": state, "uptime": 1, "details": details, "usage": {}}
            for index in range(process.instances)
        ]
        return {"resources": rows}

    def crash(self, app: Json, kind: str) -> None:
        """A crash event, whose actor is the process."""
        described = "APP/PROC/WEB: Exited with status 26"
        self.event(
            "audit.app.process.crash", app, kind, index=0, exit_status=26, exit_description=described, reason="CRASHED"
        )
        self.events[-1]["actor"] = {"guid": "process-1", "type": "process", "name": kind}

    # --- manifests ---------------------------------------------------------------------------------------------

    def apply_manifest(self, space: str, kind: str, text: bytes) -> str:
        """Check at once what the documentation says is checked at once; the rest is the job's."""
        if "yaml" not in kind:
            raise Refusal(400, 1004, "BadRequest", "Bad request: Content-Type must be yaml")
        if len(text) > 1 << 20:
            raise Refusal(
                400, 1004, "BadRequest", "Bad request: Manifest size is too large. The maximum supported size is 1MB."
            )
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise Refusal(400, 1004, "BadRequest", "Bad request: Manifest does not support Anchors and Aliases")
        document = yaml.safe_load(text)
        if not isinstance(document, dict):
            raise Refusal(400, 1001, "MessageParseError", "Request invalid due to parse error: invalid request body")
        if document.get("version") not in (None, 1):
            raise unprocessable("Unsupported manifest schema version. Currently supported versions: [1].")
        rows = document.get("applications")
        if not rows:
            raise unprocessable("Cannot parse manifest with no 'applications' field.")
        for index, row in enumerate(rows):
            self._check_row(row, index)
        self.manifests.append(document)
        apps = [self._found_or_made(row, space) for row in rows]

        def work() -> None:
            for app, row in zip(apps, rows, strict=True):
                self._apply(app, row)

        return self.job("space.apply_manifest", work)

    def _check_row(self, row: Json, index: int) -> None:
        name = row.get("name")
        if not name:
            raise unprocessable(f"For application at index {index}: Name must not be empty")
        prefix = f"For application '{name}': "
        for process in [row, *row.get("processes", [])]:
            kind = process.get("type", "web")
            for key, title in (("memory", "Memory"), ("disk_quota", "Disk quota")):
                value = process.get(key)
                if value is not None and not re.fullmatch(
                    r"\d+(\.\d+)?(B|[KMGT]i?B?)", str(value).strip(), re.IGNORECASE
                ):
                    units = f"{title} must use a supported unit: B, K, KB, M, MB, G, GB, T, or TB"
                    raise unprocessable(f'{prefix}Process "{kind}": {units}')
        for key, value in (row.get("env") or {}).items():
            if re.match(r"VCAP_", key, re.IGNORECASE):
                raise unprocessable(f"{prefix}Env cannot start with VCAP_ ({value})")
        if "docker" in row and ("buildpack" in row or "buildpacks" in row):
            raise unprocessable(f"{prefix}Cannot specify both buildpack(s) and docker keys")

    def _found_or_made(self, row: Json, space: str) -> Json:
        app = self.named_app(row["name"], space)
        if app is None:
            app = self._new_app(
                row["name"], space, {"type": "buildpack", "data": {"buildpacks": [], "stack": self.stacks[0]}}
            )
        if "docker" in row and app["lifecycle"]["type"] == "buildpack":
            raise unprocessable(
                f"For application '{app['name']}': Docker cannot be configured for a buildpack lifecycle app."
            )
        return app

    def _apply(self, app: Json, row: Json) -> None:
        prefix = f"For application '{app['name']}': "
        if self.pace.manifest_error:
            raise unprocessable(prefix + self.pace.manifest_error)
        if row.get("stack") and row["stack"] not in self.stacks:
            raise unprocessable(prefix + "Stack must be an existing stack")
        for service in row.get("services", []):
            name = service["name"] if isinstance(service, dict) else service
            if name not in self.services:
                raise Refusal(404, 10010, "ResourceNotFound", f"{prefix}Service instance '{name}' not found")
        if row.get("stack"):
            app["lifecycle"]["data"]["stack"] = row["stack"]
        web = {key: value for key, value in row.items() if key in ("command", "instances", "memory", "disk_quota")}
        listed = {process["type"]: process for process in row.get("processes", [])}
        for kind, settings in {**({"web": web} if web else {}), **listed}.items():
            process = self._process(app, kind)
            process.command = settings.get("command", process.command)
            process.instances = settings.get("instances", process.instances)
            process.settings.update(settings)
        app["_"]["env"].update({key: str(value) for key, value in (row.get("env") or {}).items()})
        app["_"]["sidecars"] = row.get("sidecars", app["_"]["sidecars"])
        app["_"]["routes"] = [one["route"] for one in row.get("routes", [])] or app["_"]["routes"]
        app["_"]["services"] += row.get("services", [])
        update_metadata(app, row.get("metadata") or {})

    # --- jobs --------------------------------------------------------------------------------------------------

    def job(self, operation: str, work: Any) -> str:
        """A job that does its work after some looks; its GUID."""
        made = self.resource("jobs", operation=operation, state="PROCESSING", errors=[], warnings=[])
        self.jobs[made["guid"]] = made
        made["_"] = [self.pace.jobs, work]
        return str(made["guid"])

    def looked_at_job(self, guid: str) -> Json:
        job = self.jobs.get(guid)
        if job is None:
            raise not_found("Job")
        if job["state"] == "PROCESSING":
            job["_"][0] -= 1
            if job["_"][0] <= 0:
                try:
                    job["_"][1]()
                    job["state"] = "COMPLETE"
                except Refusal as refused:
                    job["state"], job["errors"] = "FAILED", refused.document["errors"]
        return {key: value for key, value in job.items() if key != "_"}

    # --- droplets ----------------------------------------------------------------------------------------------

    def create_droplet(self, body: Json) -> Json:
        unknown = [key for key in body if key not in ("relationships", "process_types")]
        if unknown:
            raise unprocessable(f"Unknown field(s): {', '.join(repr(key) for key in unknown)}")
        guid = body.get("relationships", {}).get("app", {}).get("data", {}).get("guid")
        types = body.get("process_types")
        if types is not None and not isinstance(types, dict):
            raise unprocessable("Process types must be an object")
        if types and not all(isinstance(value, str) for value in types.values()):
            raise unprocessable("Process types value must be a string")
        if types and not all(types):
            raise unprocessable("Process types key must not be empty")
        app = self.apps.get(guid or "")
        if app is None:
            raise unprocessable(f'App with guid "{guid}" does not exist, or you do not have access to it.')
        if app["lifecycle"]["type"] != "buildpack":
            raise unprocessable("Droplet creation is not available for apps with docker lifecycles.")
        return self._new_droplet(app, "AWAITING_UPLOAD", types or {"web": ""})

    def _new_droplet(self, app: Json, state: str, types: Json) -> Json:
        droplet = self.resource(
            "droplets", state=state, error=None, lifecycle={"type": "buildpack", "data": {}}, checksum=None, buildpacks=[],
            stack=None, image=None, execution_metadata="", process_types=types, metadata=metadata(),
            relationships={"app": {"data": {"guid": app["guid"]}}},
        )  # fmt: skip
        self.droplets[droplet["guid"]] = droplet
        self.event("audit.app.droplet.create", app, "user")
        return droplet

    def shown_droplet(self, droplet: Json) -> Json:
        guid, app = droplet["guid"], app_of(droplet)
        links = {"self": self.link(f"/v3/droplets/{guid}"), "app": self.link(f"/v3/apps/{app}")}
        assign = self.link(f"/v3/apps/{app}/relationships/current_droplet")
        links["assign_current_droplet"] = {**assign, "method": "PATCH"}
        if droplet["state"] == "AWAITING_UPLOAD":
            links["upload"] = {**self.link(f"/v3/droplets/{guid}/upload"), "method": "POST"}
        if droplet["state"] == "STAGED":
            links["download"] = self.link(f"/v3/droplets/{guid}/download")
        return {**{key: value for key, value in droplet.items() if key != "_"}, "links": links}

    def upload(self, guid: str, name: str | None, bits: bytes | None) -> tuple[Json, str]:
        """The droplet and its job's GUID."""
        wrong = "Uploaded droplet file is invalid: "
        if name is None or bits is None:
            raise unprocessable(wrong + "A droplet tgz file must be uploaded as 'bits'")
        if not name.endswith((".tgz", ".tar.gz")):
            raise unprocessable(f"{wrong}{name} is not a tgz")
        if not bits:
            raise unprocessable(f"{wrong}{name} cannot be empty")
        droplet = self.found_droplet(guid)
        if droplet["state"] != "AWAITING_UPLOAD":
            raise unprocessable("Droplet may be uploaded only once. Create a new droplet to upload bits.")
        droplet["state"] = "PROCESSING_UPLOAD"
        job = self.job("droplet.upload", lambda: self._stage(droplet, bits))
        self.uploads[guid] = job
        return droplet, job

    def _stage(self, droplet: Json, bits: bytes) -> None:
        pace = self.pace
        if pace.fail_upload:
            droplet["state"], droplet["error"] = "FAILED", pace.fail_upload
            raise Refusal(500, 10001, "UnknownError", pace.fail_upload)
        if pace.expire_uploads:
            pace.expire_uploads -= 1
            droplet["state"] = "EXPIRED"
            return
        self.bits[droplet["guid"]] = bits
        sums = {"sha1": hashlib.sha1(bits).hexdigest(), "sha256": pace.checksum or hashlib.sha256(bits).hexdigest()}
        kind = "sha1" if pace.old_checksums else "sha256"
        droplet.update(state="STAGED", checksum={"type": kind, "value": sums[kind]})
        self._expire_old(app_of(droplet))

    def _expire_old(self, app: str) -> None:
        """The newest few staged droplets beside the current one stay; the rest lose their bits."""
        kept = current(self.apps[app])
        staged = [
            d for d in self.droplets.values() if app_of(d) == app and d["state"] == "STAGED" and d["guid"] != kept
        ]
        for droplet in sorted(staged, key=lambda one: one["created_at"], reverse=True)[self.retained :]:
            droplet["state"] = "EXPIRED"
            self.bits.pop(droplet["guid"], None)

    def found_droplet(self, guid: str) -> Json:
        if guid not in self.droplets:
            raise not_found("Droplet")
        droplet = self.droplets[guid]
        if droplet["state"] == "PROCESSING_UPLOAD":
            self.looked_at_job(self.uploads[guid])  # the job goes on by itself, whoever looks
        if droplet["state"] == "COPYING":
            droplet["_"][0] -= 1
            if droplet["_"][0] <= 0:
                source = droplet["_"][1]
                self.bits[guid] = self.bits[source["guid"]]
                droplet.update(state="STAGED", checksum=source["checksum"])
        return droplet

    def copy_droplet(self, source: str, body: Json) -> Json:
        held = self.found_droplet(source)
        app = self.apps.get(body.get("relationships", {}).get("app", {}).get("data", {}).get("guid", ""))
        if app is None:
            raise not_found("App")
        if held["state"] != "STAGED":
            raise unprocessable("source droplet is not staged")
        if app["lifecycle"]["type"] != held["lifecycle"]["type"]:
            raise unprocessable("source and destination lifecycle types do not match")
        made = self._new_droplet(app, "COPYING", dict(held["process_types"]))
        made["_"] = [self.pace.copies, held]
        return made

    def set_current(self, app: Json, guid: str | None) -> None:
        if any(one["status"]["value"] == "ACTIVE" and app_of(one) == app["guid"] for one in self.deployments.values()):
            raise unprocessable(
                "Unable to assign current droplet while the app has a deployment in progress."
                " Wait for the deployment to complete or cancel it."
            )
        self._assign(app, guid)

    def _assign(self, app: Json, guid: str | None) -> None:
        droplet = self.droplets.get(guid or "")
        if droplet is None or app_of(droplet) != app["guid"]:
            raise unprocessable("Unable to assign current droplet. Ensure the droplet exists and belongs to this app.")
        app["relationships"]["current_droplet"]["data"]["guid"] = guid
        for kind in droplet["process_types"]:
            self._process(app, kind)
        self.event("audit.app.droplet.mapped", app, "user")

    # --- deployments and revisions -----------------------------------------------------------------------------

    def _revise(self, app: Json, description: str) -> Json:
        held = [one for one in self.revisions.values() if app_of(one) == app["guid"]]
        last = max(held, key=lambda one: one["version"], default=None)
        if last and last["droplet"]["guid"] == current(app):
            return last
        made = self.resource(
            "revisions", version=len(held) + 1, droplet={"guid": current(app)}, description=description,
            processes={}, sidecars=[], relationships={"app": {"data": {"guid": app["guid"]}}}, metadata=metadata(),
        )  # fmt: skip
        self.revisions[made["guid"]] = made
        return made

    def shown_revision(self, revision: Json) -> Json:
        droplet = self.droplets.get(revision["droplet"]["guid"], {})
        return {**revision, "deployable": droplet.get("state") == "STAGED"}

    def create_deployment(self, body: Json) -> Json:
        app = self.apps.get(body.get("relationships", {}).get("app", {}).get("data", {}).get("guid", ""))
        if app is None:
            raise unprocessable("Unable to use app. Ensure that the app exists and you have access to it.")
        if body.get("strategy", "rolling") not in ("rolling", "canary"):
            raise unprocessable(f"Strategy '{body['strategy']}' is not a supported deployment strategy")
        revision, droplet = body.get("revision"), body.get("droplet")
        if revision and droplet:
            raise unprocessable("Droplet Cannot set both fields 'droplet' and 'revision'")
        if revision and not app["_"]["revisions"]:
            raise unprocessable("Cannot create deployment from a revision for an app without revisions enabled")
        wanted = droplet["guid"] if droplet else current(app)
        if revision:
            held = self.revisions.get(revision["guid"])
            if held is None:
                raise unprocessable("The revision does not exist")
            if self.droplets[held["droplet"]["guid"]]["state"] == "EXPIRED":
                raise unprocessable("Unable to deploy this revision, the droplet for this revision no longer exists.")
            wanted = held["droplet"]["guid"]
        if wanted is None:
            raise unprocessable(
                "Invalid droplet. Please specify a droplet in the request or set a current droplet for the app."
            )
        return self._deploy(app, wanted, body, bool(revision))

    def _deploy(self, app: Json, droplet: str, body: Json, back: bool) -> Json:
        before = current(app)
        self._assign(app, droplet)
        for other in self.deployments.values():
            if app_of(other) == app["guid"] and other["status"]["value"] == "ACTIVE":
                other["status"].update(value="FINALIZED", reason="SUPERSEDED")
        note = "Rolled back." if back else "New droplet deployed."
        revision = self._revise(app, note) if app["_"]["revisions"] else None
        made = self.resource(
            "deployments", strategy=body.get("strategy", "rolling"), options=body.get("options", {}),
            status={"value": "ACTIVE", "reason": "DEPLOYING", "details": {"last_status_change": self.stamp()}},
            droplet={"guid": droplet}, previous_droplet={"guid": before}, new_processes=[],
            revision={"guid": revision["guid"], "version": revision["version"]} if revision else None,
            relationships={"app": {"data": {"guid": app["guid"]}}}, metadata=metadata(),
        )  # fmt: skip
        made["_"] = self.pace.deployments
        if app["state"] == "STOPPED":
            self.start(app, "start")
            made["status"].update(value="FINALIZED", reason="DEPLOYED")
        self.deployments[made["guid"]] = made
        return made

    def looked_at_deployment(self, guid: str) -> Json:
        deployment = self.deployments.get(guid)
        if deployment is None:
            raise not_found("Deployment")
        app = self.apps[app_of(deployment)]
        if deployment["status"]["value"] == "ACTIVE":
            if deployment["status"]["reason"] == "CANCELING":
                deployment["status"].update(value="FINALIZED", reason="CANCELED")
            elif self.pace.crashing:
                self.crash(app, "web")
                deployment["status"]["details"]["error"] = self.pace.placement_error or "1 of 1 instances crashed"
            elif not self.pace.stuck:
                deployment["_"] -= 1
                if deployment["_"] <= 0:
                    deployment["status"].update(value="FINALIZED", reason="DEPLOYED")
        return {key: value for key, value in deployment.items() if key != "_"}

    def cancel(self, guid: str) -> None:
        deployment = self.deployments.get(guid)
        if deployment is None:
            raise not_found("Deployment")
        status = deployment["status"]
        if status["value"] != "ACTIVE":
            said = f"Cannot cancel a deployment with status: {status['value']} and reason: {status['reason']}"
            raise unprocessable(said)
        status["reason"] = "CANCELING"
        self._assign(self.apps[app_of(deployment)], deployment["previous_droplet"]["guid"])


def metadata() -> Json:
    """Empty metadata."""
    return {"labels": {}, "annotations": {}}


_KEY = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?")


def update_metadata(held: Json, given: Json) -> None:
    """PATCH semantics: null removes; the limits of the documentation."""
    for part in ("labels", "annotations"):
        for key, value in (given.get(part) or {}).items():
            if not _KEY.fullmatch(key):
                raise unprocessable(f"Metadata {part[:-1]} key error: '{key}' contains invalid characters")
            if part == "labels" and value and len(value) > 63:
                raise unprocessable(f"Metadata label value error: '{value[:8]}...' is greater than 63 characters")
            if part == "labels" and value and not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", value):
                raise unprocessable(f"Metadata label value error: '{value}' contains invalid characters")
            if value is None:
                held["metadata"][part].pop(key, None)
            else:
                held["metadata"][part][key] = value


def space_of(app: Json) -> str:
    """The GUID of an app's space."""
    return str(app["relationships"]["space"]["data"]["guid"])


def app_of(resource: Json) -> str:
    """The GUID of the app that something belongs to."""
    return str(resource["relationships"]["app"]["data"]["guid"])


def current(app: Json) -> str | None:
    """The GUID of the app's current droplet."""
    guid: str | None = app["relationships"]["current_droplet"]["data"]["guid"]
    return guid


def listed(value: str) -> list[str]:
    """A filter's values: separated by commas, each quoted by itself."""
    return [unquote(one) for one in value.split(",")]
