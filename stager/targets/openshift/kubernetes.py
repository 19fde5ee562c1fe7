"""Kubernetes objects that run a droplet's image: Deployments, Service, Route, Ingress and Job, as plain documents.

They keep to OpenShift's `restricted-v2` and to the Pod Security Standards' `restricted`: any uid, no capabilities, no
privileges, a root that cannot be written. Pure: documents are functions of the process types and the `ManifestOptions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1035, as Service names must be)."""


@dataclass(frozen=True, slots=True)
class ManifestOptions:
    """What decides the manifests besides the droplet."""

    name: str
    """The app's name: of Deployments (with the process type), Service and Route."""
    image: str
    """`host/team/app@sha256:…`"""
    port: int
    env: Mapping[str, str]
    secret: str = ""
    """A Secret whose keys become variables."""
    host: str = ""
    probe_path: str = ""
    """Asked by probes; empty: only whether the port is open."""
    replicas: int = 1
    cpu: str = ""
    memory: str = ""
    writable_root: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)


def named(text: str, what: str, shape: re.Pattern[str] = LABEL) -> str:
    """The text, which may be empty. Raises UsageError when Kubernetes would not take it."""
    if text and (len(text) > 253 or not shape.fullmatch(text)):
        raise UsageError(f"{text!r} is no {what} that Kubernetes takes", f"It must match {shape.pattern}.")
    return text


def yaml_text(document: Mapping[str, Any]) -> str:
    """A manifest as YAML: sorted keys, block style, every value where it stands and never as an alias."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, _: Any) -> bool:
            return True

    return yaml.dump(document, Dumper=Plain, sort_keys=True, default_flow_style=False, allow_unicode=True, width=120)


def manifests(processes: Mapping[str, str], wishes: ManifestOptions) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path in the folder, document) of every manifest."""
    names = component_names(processes)
    for process, component in names.items():
        if process == "release":
            yield "examples/job-release.yaml", _job(component, wishes)
            continue
        for folder in ("openshift", "kubernetes"):
            yield f"{folder}/deployment-{component}.yaml", _deployment(process, component, wishes)
    if "web" in processes:
        for folder in ("openshift", "kubernetes"):
            yield f"{folder}/service.yaml", _service(wishes)
        yield "openshift/route.yaml", _route(wishes)
        yield "kubernetes/ingress.yaml", _ingress(wishes)


def component_names(processes: Mapping[str, str]) -> dict[str, str]:
    """Process type → the name it has in manifests. Raises UsageError when two would have the same, or none fits."""
    found: dict[str, str] = {}
    for process in sorted(processes):
        name = re.sub(r"[^a-z0-9]+", "-", process.lower()).strip("-")
        if not name or name in found.values():
            why = f"the process type {process!r} cannot be told from another" if name else f"{process!r} has no letter"
            raise UsageError(f"{why} in names of Kubernetes", "Rename it in the Procfile.")
        found[process] = name
    return found


def _labels(component: str, wishes: ManifestOptions) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": wishes.name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": "stager",
    }


def _head(kind: str, version: str, name: str, component: str, wishes: ManifestOptions) -> dict[str, Any]:
    metadata = {"name": name, "labels": _labels(component, wishes), "annotations": dict(wishes.annotations)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _object_name(component: str, wishes: ManifestOptions) -> str:
    return named(f"{wishes.name}-{component}", "name")


def _deployment(process: str, component: str, wishes: ManifestOptions) -> dict[str, Any]:
    labels = _labels(component, wishes)
    selector = {key: labels[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/component")}
    template = {"metadata": {"labels": labels, "annotations": dict(wishes.annotations)}, "spec": _pod(process, wishes)}
    spec = {"replicas": wishes.replicas, "selector": {"matchLabels": selector}, "template": template}
    return {**_head("Deployment", "apps/v1", _object_name(component, wishes), component, wishes), "spec": spec}


def _pod(process: str, wishes: ManifestOptions) -> dict[str, Any]:
    """One container; no user is named, so that the platform may choose any. Group 0 owns the app's files."""
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "containers": [_container(process, wishes)],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    if not wishes.writable_root:
        pod["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    return pod


def _container(process: str, wishes: ManifestOptions) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": "app",
        "image": wishes.image,
        "args": [process],
        "env": _environment(process, wishes),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": not wishes.writable_root,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if not wishes.writable_root:
        found["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108  (the container's own)
    if wishes.secret:
        found["envFrom"] = [{"secretRef": {"name": wishes.secret}}]
    if resources := _resources(wishes):
        found["resources"] = resources
    return {**found, **(_listening(wishes) if process == "web" else {})}


def _environment(process: str, wishes: ManifestOptions) -> list[dict[str, str]]:
    rows = [{"name": name, "value": value} for name, value in sorted(wishes.env.items())]
    return [{"name": "PORT", "value": str(wishes.port)}, *rows] if process == "web" else rows


def _listening(wishes: ManifestOptions) -> dict[str, Any]:
    action: dict[str, Any] = {"tcpSocket": {"port": "http"}}
    if wishes.probe_path:
        action = {"httpGet": {"path": wishes.probe_path, "port": "http"}}
    return {
        "ports": [{"name": "http", "containerPort": wishes.port, "protocol": "TCP"}],
        "startupProbe": {**action, "periodSeconds": 2, "failureThreshold": 30},
        "readinessProbe": {**action, "periodSeconds": 10},
        "livenessProbe": {**action, "periodSeconds": 20, "failureThreshold": 3},
    }


def _resources(wishes: ManifestOptions) -> dict[str, Any]:
    """Requests as wished; only memory is limited, for CPU that is not used by others may as well be."""
    wanted = {key: value for key, value in (("cpu", wishes.cpu), ("memory", wishes.memory)) if value}
    if not wanted:
        return {}
    return {"requests": wanted, **({"limits": {"memory": wishes.memory}} if wishes.memory else {})}


def _service(wishes: ManifestOptions) -> dict[str, Any]:
    labels = _labels("web", wishes)
    selector = {key: labels[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/component")}
    ports = [{"name": "http", "port": wishes.port, "protocol": "TCP", "targetPort": "http"}]
    return {**_head("Service", "v1", wishes.name, "web", wishes), "spec": {"selector": selector, "ports": ports}}


def _route(wishes: ManifestOptions) -> dict[str, Any]:
    """Without a host OpenShift makes one up."""
    spec: dict[str, Any] = {
        "to": {"kind": "Service", "name": wishes.name, "weight": 100},
        "port": {"targetPort": "http"},
        "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"},
        "wildcardPolicy": "None",
    }
    if wishes.host:
        spec["host"] = wishes.host
    return {**_head("Route", "route.openshift.io/v1", wishes.name, "web", wishes), "spec": spec}


def _ingress(wishes: ManifestOptions) -> dict[str, Any]:
    backend = {"service": {"name": wishes.name, "port": {"name": "http"}}}
    rule: dict[str, Any] = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    if wishes.host:
        rule["host"] = wishes.host
    return {**_head("Ingress", "networking.k8s.io/v1", wishes.name, "web", wishes), "spec": {"rules": [rule]}}


def _job(component: str, wishes: ManifestOptions) -> dict[str, Any]:
    pod = {**_pod("release", wishes), "restartPolicy": "Never"}
    template = {"metadata": {"labels": _labels(component, wishes)}, "spec": pod}
    spec = {"backoffLimit": 0, "template": template}
    return {**_head("Job", "batch/v1", _object_name(component, wishes), component, wishes), "spec": spec}
