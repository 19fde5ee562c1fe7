"""What the API accepts in a manifest, so that an error comes before anything is changed, and with its line.

Source: the v3 documentation's app manifest and metadata pages, and the Cloud Controller's own checks (its `app/messages`).
Whatever only the platform can know (whether a service or a domain exists) is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from ...errors import BadManifest
from .yamlvalues import YamlValue

_CHECKS = {
    "health-check-http-endpoint",
    "health-check-invocation-timeout",
    "health-check-interval",
    "health-check-type",
}
_SHARED = {"command", "memory", "disk_quota", "disk-quota", "instances", "timeout", "log-rate-limit-per-second"}
_SHARED |= {*_CHECKS, *(f"readiness-{name}" for name in _CHECKS), "health-check-timeout"}
_PROCESS = {*_SHARED, "type", "user"}
_APP = {*_SHARED, "name", "stack", "env", "metadata", "services", "routes", "no-route", "random-route", "default-route"}
_APP |= {"processes", "sidecars", "features", "lifecycle"}
_SIDECAR = {"name", "command", "process_types", "memory"}
_STAGING = {"buildpack", "buildpacks", "path", "cnb-credentials"}
_GONE = {
    "host": "routes", "hosts": "routes", "domain": "routes", "domains": "routes", "no-hostname": "no-route",
}  # fmt: skip
_INTEGERS = {
    "instances": 0, "timeout": 1, "health-check-timeout": 1, "health-check-invocation-timeout": 1, "health-check-interval": 1,
    "readiness-health-check-invocation-timeout": 1, "readiness-health-check-interval": 1,
}  # fmt: skip
_FLAGS = ("no-route", "random-route", "default-route")
_SIZES = ("memory", "disk_quota", "disk-quota")
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(B|[KMGT]I?B?)", re.IGNORECASE | re.ASCII)
_WHOLE = re.compile(r"\+?\d{1,9}", re.ASCII)
_ROUTE = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>[^/:?#\s@]+)(?P<port>:\d{1,5})?(?:/[^\s?#]*)?", re.IGNORECASE
)
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z)(?:{_PART}\.)+{_PART}")
_FEATURES = {"ssh", "revisions", "service-binding-k8s", "file-based-vcap-services", "gpu"}
_SERVICE = {"name", "parameters", "binding_name"}
_UNITS = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TYPES = {"health-check-type": ("port", "process", "http", "none"),
          "readiness-health-check-type": ("port", "process", "http", "none")}  # fmt: skip
_COMMAND = 4096
_KEY = re.compile(r"(?:(?P<prefix>[^/]*)/)?(?P<name>[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?|")


class _Rules:
    """One app's table under inspection."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.notes: list[str] = []

    def fail(self, line: int, why: str, hint: str = "") -> BadManifest:
        return BadManifest(self.file, why, hint, line=line)

    def note(self, line: int, text: str) -> None:
        self.notes.append(f"{self.file}:{line}: {text}")

    def unknown(self, table: Mapping[str, YamlValue], known: set[str], where: str) -> None:
        for key, value in table.items():
            if key not in known:
                close = get_close_matches(key, sorted(known), 1)
                meant = f"; is {close[0]} meant?" if close else ""
                self.note(value.line, f"the platform may not know the key {key!r} {where}{meant}")


def check_top(document: Mapping[str, YamlValue], file: str) -> list[str]:
    """Check the keys beside `applications`; remarks on what is not known."""
    rules = _Rules(file)
    version = document.get("version")
    if version is not None and version.raw != 1:
        raise rules.fail(version.line, "only version 1 of the manifest is supported", "Write 'version: 1'.")
    inherit = document.get("inherit")
    if inherit is not None:
        raise rules.fail(inherit.line, "'inherit' was removed from manifests", "Use YAML anchors or variables.")
    for key, value in document.items():
        if key in _APP - {"name"}:
            raise rules.fail(
                value.line, f"{key!r} stands outside of an app", "Move it into each app under 'applications'."
            )
    scalars = {key: value for key, value in document.items() if not isinstance(value.raw, (dict, list))}
    rules.unknown(scalars, {"applications", "version"}, "here")  # tables and lists may be there to be referred to
    return rules.notes


def check_app(app: YamlValue, file: str) -> tuple[dict[str, YamlValue], list[str]]:
    """The app's keys that are to be sent, and remarks. Raises BadManifest for what the platform would refuse."""
    rules, table = _Rules(file), dict(app.raw)
    name = table.get("name")
    if name is None or not isinstance(name.raw, (str, int)) or not str(name.raw).strip():
        raise rules.fail(app.line, "an app has no name", "Give it one: 'name: my-app'.")
    table["name"] = YamlValue(str(name.raw), name.line, name.written)
    _refuse(table, rules)
    for key in sorted(_STAGING & set(table)):
        rules.note(table[key].line, f"{key!r} is not used: what is pushed is staged already")
        del table[key]
    rules.unknown(table, _APP, f"of app {table['name'].raw}")
    _settings(table, rules, str(table["name"].raw))
    for key, check in _PARTS.items():
        if key in table:
            table[key] = check(table[key], rules)
    _routes(table, rules)
    return table, rules.notes


def _refuse(table: Mapping[str, YamlValue], rules: _Rules) -> None:
    if "docker" in table:
        hint = "Leave out 'docker', or push the image instead: stager push oci."
        raise rules.fail(table["docker"].line, "the app is a docker app, and a droplet is none", hint)
    lifecycle = table.get("lifecycle")
    if lifecycle is not None and lifecycle.raw != "buildpack":
        hint = "Leave out 'lifecycle', or write 'lifecycle: buildpack'."
        raise rules.fail(lifecycle.line, f"a droplet has the lifecycle buildpack, not {lifecycle.raw!r}", hint)
    for key, instead in _GONE.items():
        if key in table:
            raise rules.fail(table[key].line, f"{key!r} was removed from manifests", f"Use {instead!r}.")


def _settings(table: Mapping[str, YamlValue], rules: _Rules, owner: str) -> None:
    """The keys that an app and a process share."""
    for key, least in _INTEGERS.items():
        value = table.get(key)
        number = _whole(value.raw) if value is not None else None
        if value is not None and value.raw is not None and (number is None or number < least):
            raise rules.fail(value.line, f"{key!r} of {owner} must be a whole number, at least {least}")
    for key in _FLAGS:
        if key in table and table[key].raw is not None and not isinstance(table[key].raw, bool):
            raise rules.fail(table[key].line, f"{key!r} of {owner} must be true or false")
    for key in _SIZES:
        if key in table and table[key].raw not in (None, ""):
            _check_size(table[key], f"{key!r} of {owner}", rules, f"Write a number with a unit, such as '{key}: 512M'.")
    for key, known in _TYPES.items():
        if key in table and table[key].raw not in known:
            raise rules.fail(table[key].line, f"{key!r} of {owner} must be one of: {', '.join(known)}")
    command = table.get("command")
    if command is not None and command.raw is not None:
        if not isinstance(command.raw, str):
            raise rules.fail(command.line, f"'command' of {owner} must be a text", "Put it in quotes.")
        if not 1 <= len(command.raw) <= _COMMAND:
            raise rules.fail(command.line, f"'command' of {owner} must have 1 to {_COMMAND} characters")
    for kind in ("", "readiness-"):
        _endpoint(table, f"{kind}health-check-", rules, owner)
    if "disk_quota" in table and "disk-quota" in table:
        raise rules.fail(table["disk-quota"].line, f"{owner} has both 'disk_quota' and 'disk-quota'", "Leave one out.")


def _endpoint(table: Mapping[str, YamlValue], prefix: str, rules: _Rules, owner: str) -> None:
    """An endpoint is a path, and the platform takes one together with a type only when that is `http`."""
    endpoint, kind = table.get(f"{prefix}http-endpoint"), table.get(f"{prefix}type")
    if endpoint is None or endpoint.raw is None:
        return
    if not isinstance(endpoint.raw, str) or not endpoint.raw.startswith("/") or re.search(r"\s", endpoint.raw):
        raise rules.fail(endpoint.line, f"'{prefix}http-endpoint' of {owner} must be a path, such as '/health'")
    if kind is not None and kind.raw != "http":
        hint = f"Write '{prefix}type: http', or leave the endpoint out."
        raise rules.fail(kind.line, f"'{prefix}type' of {owner} must be http for an endpoint", hint)


def _whole(raw: Any) -> int | None:
    """A whole number, or a text that is one: the platform takes both."""
    if type(raw) is int:
        return raw
    return int(raw) if isinstance(raw, str) and _WHOLE.fullmatch(raw) else None


def _check_size(value: YamlValue, what: str, rules: _Rules, hint: str) -> None:
    count = size(value)
    if count is None:
        raise rules.fail(value.line, f"{what} needs a unit behind the number: B, K, M, G or T", hint)
    if count < _UNITS["M"]:
        raise rules.fail(value.line, f"{what} is less than 1M, and the platform counts in whole megabytes", hint)


def size(value: YamlValue) -> int | None:
    """A size such as `512M` or `0.5GiB` in bytes (binary units, as the platform counts); None for anything else."""
    found = _SIZE.fullmatch(str(value.raw).strip()) if value.raw is not None else None
    return int(float(found[1]) * _UNITS[found[2][0].upper()]) if found else None


def _env(value: YamlValue, rules: _Rules) -> YamlValue:
    """Every value as the text that stands in the file: `3.10` stays `3.10`."""
    if not isinstance(value.raw, dict):
        raise rules.fail(value.line, "'env' must be a table of names and values")
    kept = {}
    for key, one in value.raw.items():
        if isinstance(one.raw, (dict, list)):
            raise rules.fail(
                one.line, f"the variable {key} must be a plain value", "Write it as one text, e.g. as JSON."
            )
        if not key or key.upper().startswith(("VCAP_", "VMC")) or key.upper() == "PORT":
            hint = "The platform keeps PORT and names that begin with VCAP_ or VMC, in any case, for itself."
            raise rules.fail(one.line, f"the variable {key!r} cannot be set", hint)
        text = "" if one.raw is None else (one.written or str(one.raw))
        kept[key] = YamlValue(text, one.line, text)
    return YamlValue(kept, value.line)


def _rows(value: YamlValue, rules: _Rules, what: str) -> list[YamlValue]:
    if not isinstance(value.raw, list) or not all(isinstance(row.raw, dict) for row in value.raw):
        raise rules.fail(value.line, f"{what!r} must be a list of tables")
    return value.raw


def _processes(value: YamlValue, rules: _Rules) -> YamlValue:
    seen: set[str] = set()
    for row in _rows(value, rules, "processes"):
        kind = row.raw.get("type")
        if kind is None or not isinstance(kind.raw, str) or not kind.raw:
            raise rules.fail(row.line, "a process has no type", "Give it one: 'type: worker'.")
        if kind.raw in seen:
            raise rules.fail(kind.line, f"the process {kind.raw} is there twice")
        seen.add(kind.raw)
        rules.unknown(row.raw, _PROCESS, f"of process {kind.raw}")
        _settings(row.raw, rules, f"process {kind.raw}")
    return value


def _sidecars(value: YamlValue, rules: _Rules) -> YamlValue:
    for row in _rows(value, rules, "sidecars"):
        for key in ("name", "command"):
            one = row.raw.get(key)
            if one is None or not isinstance(one.raw, str) or not one.raw:
                raise rules.fail(row.line, f"a sidecar has no {key}")
        types = row.raw.get("process_types")
        if types is None or not isinstance(types.raw, list) or not types.raw:
            hint = "Name the processes it runs beside: 'process_types: [web]'."
            raise rules.fail(row.line, f"the sidecar {row.raw['name'].raw} has no process_types", hint)
        rules.unknown(row.raw, _SIDECAR, f"of sidecar {row.raw['name'].raw}")
        memory = row.raw.get("memory")
        if memory is not None and memory.raw is not None and not _whole(memory.raw):  # a bare number is megabytes here
            what = f"'memory' of sidecar {row.raw['name'].raw}"
            _check_size(memory, what, rules, "Write a number with a unit, such as 'memory: 64M'.")
    return value


def _services(value: YamlValue, rules: _Rules) -> YamlValue:
    if not isinstance(value.raw, list):
        raise rules.fail(value.line, "'services' must be a list")
    for one in value.raw:
        named = one.raw.get("name") if isinstance(one.raw, dict) else one
        if named is None or not isinstance(named.raw, str) or not named.raw:
            raise rules.fail(one.line, "a service is a name, or a table with a name")
        for key in sorted(set(one.raw) - _SERVICE) if isinstance(one.raw, dict) else ():
            known = ", ".join(sorted(_SERVICE))
            raise rules.fail(
                one.raw[key].line, f"{key!r} cannot be said of the service {named.raw}", f"Known: {known}."
            )
    return value


def _features(value: YamlValue, rules: _Rules) -> YamlValue:
    if not isinstance(value.raw, dict) or not value.raw:
        raise rules.fail(value.line, "'features' is a table of names with true or false")
    for key, one in value.raw.items():
        if key not in _FEATURES or not isinstance(one.raw, bool):
            hint = f"Write true or false for: {', '.join(sorted(_FEATURES))}."
            raise rules.fail(one.line, f"the platform does not take the feature {key!r} like this", hint)
    return value


def _metadata(value: YamlValue, rules: _Rules) -> YamlValue:
    """Labels and annotations with the limits of the documentation's page "Metadata"."""
    if value.raw is None:
        return value
    if not isinstance(value.raw, dict) or set(value.raw) - {"labels", "annotations"}:
        raise rules.fail(value.line, "'metadata' is a table with 'labels' and 'annotations'")
    kept: dict[str, YamlValue] = {}
    for part, table in value.raw.items():
        if table.raw is None:
            continue
        if not isinstance(table.raw, dict):
            raise rules.fail(table.line, f"'{part}' must be a table")
        kept[part] = YamlValue({key: _entry(key, one, part, rules) for key, one in table.raw.items()}, table.line)
    return YamlValue(kept, value.line)


def _entry(key: str, value: YamlValue, part: str, rules: _Rules) -> YamlValue:
    found = _KEY.fullmatch(key)
    prefix = found["prefix"] if found else None
    if (
        not found
        or (prefix is not None and not _DOMAIN.fullmatch(prefix))
        or (prefix or "").lower() == "cloudfoundry.org"
    ):
        hint = "Use up to 63 letters, digits, '-', '_' and '.'; before a '/' stands a domain, such as example.org."
        raise rules.fail(value.line, f"{key!r} cannot be a key of {part}", hint)
    if isinstance(value.raw, (dict, list)):
        raise rules.fail(value.line, f"{key!r} of {part} must be a text")
    text = None if value.raw is None else (value.written or str(value.raw))
    if text is not None and (not _LABEL.fullmatch(text) if part == "labels" else len(text) > 5000):
        limit = "63 letters, digits, '-', '_' and '.'" if part == "labels" else "5000 characters"
        raise rules.fail(value.line, f"the value of {key!r} in {part} is more than {limit}")
    return YamlValue(text, value.line, text or "")


def _routes(table: Mapping[str, YamlValue], rules: _Rules) -> None:
    value = table.get("routes")
    if value is not None:
        for row in _rows(value, rules, "routes"):
            route = row.raw.get("route")
            if route is None or not isinstance(route.raw, str) or not _is_route(route.raw):
                hint = "Write it like '- route: www.example.org/path' or '- route: tcp.example.org:1234'."
                raise rules.fail(row.line, "a route is a host name with an optional path or port", hint)
    if _is_on(table, "random-route") and _is_on(table, "default-route"):
        raise rules.fail(table["random-route"].line, "'random-route' and 'default-route' exclude each other")
    if _is_on(table, "no-route") and value is not None:
        rules.note(table["no-route"].line, "'no-route' removes all routes; those listed under 'routes' are not mapped")


def _is_route(text: str) -> bool:
    """As the platform reads it: a host of a domain; with a scheme, http or https without a port, or tcp with one."""
    found = _ROUTE.fullmatch(text.strip())
    if not found or "." not in found["host"].strip("."):
        return False
    return (found["scheme"] or "").lower() in (("", "tcp") if found["port"] else ("", "http", "https"))


def _is_on(table: Mapping[str, YamlValue], key: str) -> bool:
    return key in table and table[key].raw is True


_PARTS: dict[str, Callable[[YamlValue, _Rules], YamlValue]] = {
    "env": _env,
    "processes": _processes,
    "sidecars": _sidecars,
    "services": _services,
    "features": _features,
    "metadata": _metadata,
}


def wrong_process(manifest_types: Mapping[str, Any], droplet_types: Mapping[str, str]) -> str:
    """The first process type that would have no command of its own; empty when there is none.

    The launcher would start the `web` command for it (staging_info.yml), which nobody means.
    """
    for kind, row in manifest_types.items():
        command = row.get("command")
        if kind not in droplet_types and kind != "web" and (command is None or not command.raw):
            return kind
    return ""
