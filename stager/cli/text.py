"""How plans, detections, inspections and reports look to people, and as JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..model import Artifact, Build, Detections, LockedPlan, Plan, Reason, Runtime
from ..text.wording import size_text

if TYPE_CHECKING:
    from ..droplet.inspecting import Inspection


def _reason(reason: Reason) -> dict[str, Any]:
    return {"text": reason.text, "file": reason.file, "line": reason.line}


def detections_json(found: Detections) -> dict[str, Any]:
    """The document of `stager detect --json`."""
    return {
        "matched": [
            {
                "buildpack": one.buildpack,
                "reason": _reason(one.reason),
                "lock": one.lock,
                "versions": [
                    {"runtime": name, "wanted": wanted, "reason": _reason(why)} for name, wanted, why in one.versions
                ],
            }
            for one in found.matched
        ],
        "builds": [{"name": name, "command": command, "reason": _reason(why)} for name, command, why in found.builds],
        "rejected": [{"buildpack": name, "looked_for": looked_for} for name, looked_for in found.rejected],
        "notes": list(found.notes),
    }


def detections_text(found: Detections) -> str:
    """What `stager detect` prints."""
    lines = []
    for one in found.matched:
        lines.append(f"{one.buildpack}: {one.reason}")
        lines += [f"  lock: {one.lock}"] if one.lock else []
        lines += [f"  asks for {name} {wanted}: {why}" for name, wanted, why in one.versions]
    lines += [f"builds {name}: {command}: {why}" for name, command, why in found.builds]
    lines += [f"not {name}: it looks for {looked_for}" for name, looked_for in found.rejected]
    lines += [f"note: {note}" for note in found.notes]
    return "\n".join(lines)


def rules_text(plan: Plan) -> str:
    """Which rule decided each thing of a plan, for `--verbose`."""
    rows = [(f"buildpack {one.name}", one.reason) for one in plan.buildpacks]
    rows += [(f"{one.name} {one.version}", one.reason) for one in plan.runtimes]
    rows += [(f"process {one.type}", one.reason) for one in plan.processes]
    rows += [(f"variable {one.name}", one.reason) for one in plan.env]
    rows += [(f"build {one.name}", one.reason) for one in plan.builds]
    return "\n".join(f"{what}: {reason}" for what, reason in rows)


def plan_json(locked: LockedPlan) -> dict[str, Any]:
    """The document of `stager plan --json`."""
    plan = locked.plan
    return {
        "digest": str(locked.digest),
        "stack": plan.stack,
        "architecture": plan.architecture,
        "codec": plan.codec,
        "buildpacks": [{"name": p.name, "digest": str(p.digest), "reason": _reason(p.reason)} for p in plan.buildpacks],
        "inputs": {path: str(digest) for path, digest in plan.inputs},
        "runtimes": [_runtime(one) for one in plan.runtimes],
        "artifacts": [_artifact(one) for one in plan.artifacts],
        "links": dict(plan.links),
        "files": dict(plan.files),
        "processes": [{"type": p.type, "command": p.command, "reason": _reason(p.reason)} for p in plan.processes],
        "env": [{"name": v.name, "value": v.value, "reason": _reason(v.reason)} for v in plan.env],
        "builds": [_build(one) for one in plan.builds],
        "roots": [
            {"name": one.name, "stack": one.stack, "packages": len(one.packages), "wants": list(one.wants)}
            for one in plan.roots
        ],
        "notes": list(plan.notes),
    }


def _build(build: Build) -> dict[str, Any]:
    """A build, with what only it has around it."""
    return {
        "name": build.name,
        "kind": build.kind,
        "of": build.of,
        "root": build.root,
        "command": build.command,
        "folder": build.folder,
        "reason": _reason(build.reason),
        "inputs": list(build.inputs),
        "outputs": list(build.outputs),
        "env": dict(build.env),
        "recipes": list(build.recipes),
        "twice": build.twice,
        "on": build.on,
        "runtimes": [_runtime(one) for one in build.runtimes],
        "artifacts": [_artifact(one) for one in build.artifacts],
    }


def _runtime(runtime: Runtime) -> dict[str, Any]:
    return {
        "name": runtime.name,
        "version": runtime.version,
        "source": runtime.source,
        "glibc": f"{runtime.glibc[0]}.{runtime.glibc[1]}",
        "reason": _reason(runtime.reason),
    }


def _artifact(one: Artifact) -> dict[str, Any]:
    return {
        "purl": one.purl,
        "file": one.filename,
        "digest": str(one.digest),
        "size": one.size,
        "layout": one.layout,
        "paths": list(one.paths),
        "url": one.url,
    }


def inspection_text(found: Inspection) -> str:
    """What `stager inspect` prints."""
    said = found.launch
    runtimes = ", ".join(f"{name} {version}" for name, version in said.runtimes.items()) or "none"
    lines = [
        f"digest     {found.digest}",
        f"size       {size_text(found.size)} ({size_text(found.unpacked)} in {found.files} files unpacked)",
        f"plan       {said.plan}",
        f"stack      {said.stack}/{said.architecture}",
        f"buildpacks {', '.join(said.buildpacks)}",
        f"runtimes   {runtimes}",
    ]
    lines += [f"process    {kind}: {command}" for kind, command in said.processes.items()]
    lines += [f"env        {name}={value}" for name, value in said.env.items()]
    lines += [f"layer      {one.name}: {one.digest} {size_text(one.size)}" for one in found.layers]
    lines += [f"package    {one.name}: {size_text(one.unpacked)} unpacked" for one in found.packages[:20]]
    rest = len(found.packages) - 20
    lines += [f"           and {rest} smaller ones (--json lists them)"] if rest > 0 else []
    return "\n".join(lines)


def report_text(found: Mapping[str, Any]) -> str:
    """A flat report of the store's upkeep, a line a fact."""
    lines = []
    for name, value in found.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {item}" for key, item in value.items())
        elif isinstance(value, list):
            value = "\n  ".join([str(len(value)), *(str(item) for item in value)])
        lines.append(f"{name}: {value}")
    return "\n".join(lines)
