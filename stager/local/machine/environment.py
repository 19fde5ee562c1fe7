"""What the app's processes see: the variables a platform sets, and the services bound the way the platforms bind them.

`cloudfoundry` sets what its cloud controller, cell and launcher set (`VCAP_APPLICATION`, `VCAP_SERVICES`, `CF_INSTANCE_*` …),
`heroku` sets `DYNO`, `plain` neither; all of them set `HOME`, `PORT`, and a URL for each service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

from ...digest import sha256
from ...errors import UsageError

LIKE = ("cloudfoundry", "heroku", "plain")
FIRST_PORT = 8080
"""Inside: what `web.1` listens on, and what is forwarded."""
_MANY = 100
"""Ports from one process type to the next; also the most processes of one type."""
PATH = "/usr/local/bin:/usr/bin:/bin"
_SERVICES: dict[str, tuple[str, str, int, tuple[str, ...], str]] = {
    "postgresql": ("postgres", "DATABASE_URL", 5432, ("postgresql", "postgres", "relational", "sql"), "/app"),
    "redis": ("redis", "REDIS_URL", 6379, ("redis", "cache"), "/0"),
}
"""Service → scheme of its URL, variable that platforms give it in, port, tags, the path of its URL."""


def processes(types: Sequence[str], scale: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """(name, port) of every process to run: each type once unless scaled, never `release`. Raises UsageError.

    `web.1` has the first port, another `web` the next; each further type begins a hundred later.
    """
    for kind, count in scale.items():
        if kind not in types:
            raise UsageError(f"there is no process type {kind!r} to scale", f"It has: {', '.join(sorted(types))}.")
        if not 0 <= count < _MANY:
            raise UsageError(f"--scale {kind}={count} is not possible", f"Choose 0 to {_MANY - 1}.")
    order = sorted({*types} - {"release"}, key=lambda kind: (kind != "web", kind))
    base = FIRST_PORT + (0 if "web" in order else _MANY)
    return tuple(
        (f"{kind}.{number + 1}", base + place * _MANY + number)
        for place, kind in enumerate(order)
        for number in range(scale.get(kind, 1))
    )


def variables(
    name: str, port: int, like: str, app: str, services: Mapping[str, str], extra: Mapping[str, str], droplet: str = ""
) -> dict[str, str]:
    """All variables of one process (`web.1`). `services` are their passwords by name; `app` is the app's name."""
    kind, _, number = name.rpartition(".")
    found = {
        "HOME": "/app",
        "LANG": "C.UTF-8",
        "PATH": PATH,
        "PORT": str(port),
        "USER": "vcap",
        "TMPDIR": "/home/vcap/tmp",
    }
    found.update({_SERVICES[each][1]: url(each, password) for each, password in services.items()})
    if like == "heroku":
        found["DYNO"] = name
    if like == "cloudfoundry":
        found.update(_cloudfoundry(kind, int(number) - 1, port, app, droplet))
        found["VCAP_SERVICES"] = compact(bindings(services))
    return {**found, **extra}


def url(service: str, password: str) -> str:
    """How the app reaches a service."""
    scheme, _, port, _, path = _SERVICES[service]
    user = "app" if service == "postgresql" else ""
    return f"{scheme}://{user}:{password}@127.0.0.1:{port}{path}"


def bindings(services: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """`VCAP_SERVICES`: label → bindings, as the cloud controller gives them."""
    return {name: [_binding(name, password)] for name, password in sorted(services.items())}


def _binding(name: str, password: str) -> dict[str, Any]:
    _, _, port, tags, path = _SERVICES[name]
    credentials: dict[str, Any] = {"host": "127.0.0.1", "hostname": "127.0.0.1", "port": port, "password": password}
    credentials["uri"] = url(name, password)
    if name == "postgresql":
        credentials.update({"username": "app", "name": path[1:], "dbname": path[1:], "database": path[1:]})
    return {
        "binding_guid": _guid("binding", name),
        "binding_name": None,
        "credentials": credentials,
        "instance_guid": _guid("instance", name),
        "instance_name": name,
        "label": name,
        "name": name,
        "plan": "box",
        "provider": None,
        "syslog_drain_url": None,
        "tags": list(tags),
        "volume_mounts": [],
    }


def _cloudfoundry(kind: str, index: int, port: int, app: str, droplet: str) -> dict[str, str]:
    guid, instance = _guid("app", app), _guid(f"{app} {kind}", str(index))
    version, address = _guid("version", droplet), f"127.0.0.1:{port}"
    about = {
        "application_id": guid,
        "application_name": app,
        "application_uris": [address],
        "application_version": version,
        "cf_api": "http://127.0.0.1",
        "host": "0.0.0.0",  # noqa: S104  what the platform's launcher says
        "instance_id": instance,
        "instance_index": index,
        "limits": {"disk": 1024, "fds": 16384, "mem": 1024},
        "name": app,
        "organization_id": _guid("organization", "stager"),
        "organization_name": "stager",
        "port": port,
        "process_id": _guid(app, kind),
        "process_type": kind,
        "space_id": _guid("space", "stager"),
        "space_name": "box",
        "uris": [address],
        "version": version,
    }
    return {
        "CF_INSTANCE_ADDR": address,
        "CF_INSTANCE_GUID": instance,
        "CF_INSTANCE_INDEX": str(index),
        "CF_INSTANCE_INTERNAL_IP": "127.0.0.1",
        "CF_INSTANCE_IP": "127.0.0.1",
        "CF_INSTANCE_PORT": str(port),
        "CF_INSTANCE_PORTS": compact([{"external": port, "internal": port}]),
        "INSTANCE_GUID": instance,
        "INSTANCE_INDEX": str(index),
        "MEMORY_LIMIT": "1024m",
        "VCAP_APPLICATION": compact(about),
        "VCAP_APP_HOST": "0.0.0.0",  # noqa: S104
        "VCAP_APP_PORT": str(port),
    }


def _guid(kind: str, name: str) -> str:
    """A GUID that is always the same for the same thing."""
    text = sha256(f"{kind}\0{name}".encode()).hex
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"


def compact(value: object) -> str:
    """JSON on one line."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def exports(found: Mapping[str, str]) -> str:
    """The variables as a file for a POSIX shell to source."""
    return "".join(f"export {name}={quote(value)}\n" for name, value in sorted(found.items()))


def drain(text: str) -> str:
    """A drain's address, checked. Raises UsageError."""
    if text and not re.fullmatch(r"(syslog|syslog\+tcp|gelf)://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):\d{1,5}", text):
        raise UsageError(
            f"--drain {text!r} is no address", "Write syslog://HOST:PORT, syslog+tcp://HOST:PORT or gelf://HOST:PORT."
        )
    return text
