"""What a droplet carries to be started: the launch script, its process files, and `launch.json`.

None of it depends on the app's code. The scripts are POSIX sh and refer to `$HOME`, which is the app folder wherever
the droplet is unpacked, so that the same bytes run on every platform.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..digest import Digest, canonical_json
from ..formats.errors import BadArchive
from ..model import LockedPlan, Plan
from ..names import fault
from ..planning.lock_rows import LAYERS as LAYERS
from ..text.typed import Node

LAUNCH = """\
#!/bin/sh
# Starts a process of this droplet in the foreground:
#   launch [TYPE]          a process type, 'web' when none is given
#   launch -- COMMAND ...  any command, in the same environment
# Cloud Foundry and Heroku source an app's profile scripts with bash; so does this, wherever there is one.
if [ "${BASH##*/}" != bash ] && command -v bash >/dev/null 2>&1; then exec bash "$0" "$@"; fi
here=$(dirname -- "$(readlink -f -- "$0")") || exit 126
HOME=${here%/.stager/bin}
PORT=${PORT:-8080}
export HOME PORT
cd -- "$HOME" || exit 126
if [ "${1-}" = "--" ]; then
  shift
else
  file=$HOME/.stager/processes/${1:-web}
  if [ ! -f "$file" ]; then
    echo "launch: no process type '${1:-web}' in this droplet; it has: $(ls "$HOME/.stager/processes" | tr '\\n' ' ')" >&2
    exit 64
  fi
  # bash puts a last command in its own place, so that signals reach it, and is what Cloud Foundry and Heroku use
  set -- "$(command -v bash || echo /bin/sh)" -c "$(cat "$file")"
fi
stager_run() {
  # a function has arguments of its own; the files are sourced in the order of the C locale, in this very shell
  if [ "${LC_ALL+set}" ]; then
    stager_all=$LC_ALL
    LC_ALL=C
    set -- "$HOME"/.profile.d/*.sh
    LC_ALL=$stager_all
    unset stager_all
  else
    LC_ALL=C
    set -- "$HOME"/.profile.d/*.sh
    unset LC_ALL
  fi
  for stager_file; do
    if [ -f "$stager_file" ]; then . "$stager_file"; fi
  done
  if [ -f "$HOME/.profile" ]; then . "$HOME/.profile"; fi
  unset stager_file
}
stager_run
unset -f stager_run
unset here file
exec "$@"
"""


_ESCAPED = re.compile("[<>&\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")
"""What Go's encoder escapes, and what may stand in JSON as it is and not in YAML, as which the launcher reads it."""


@dataclass(frozen=True, slots=True)
class LaunchInfo:
    """What a droplet's `launch.json` says: what it was made from, what it needs, and what it starts."""

    plan: Digest
    stack: str
    architecture: str
    glibc: tuple[int, int]
    """The lowest that its files run with; (0, 0) when none of them needs any."""
    buildpacks: tuple[str, ...]
    runtimes: Mapping[str, str]
    """Name → version."""
    processes: Mapping[str, str]
    env: Mapping[str, str]

    @classmethod
    def of(cls, locked: LockedPlan) -> LaunchInfo:
        """What the droplet of a plan says."""
        plan = locked.plan
        return cls(
            plan=locked.digest,
            stack=plan.stack,
            architecture=plan.architecture,
            glibc=max((runtime.glibc for runtime in plan.runtimes), default=(0, 0)),
            buildpacks=tuple(pin.name for pin in plan.buildpacks),
            runtimes={runtime.name: runtime.version for runtime in plan.runtimes},
            processes={process.type: process.command for process in plan.processes},
            env={variable.name: variable.value for variable in plan.env},
        )

    def to_json(self) -> dict[str, Any]:
        """The document."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**found, "buildpacks": list(self.buildpacks), "glibc": "{}.{}".format(*self.glibc)}

    @classmethod
    def from_json(cls, document: object, label: str) -> LaunchInfo:
        """What the `launch.json` of the droplet `label` says. Raises BadArchive for what stager does not write."""
        node = Node(document, "its launch.json", fail_with=lambda file, why: BadArchive(label, f"{file}: {why}"))
        words = {key: _word(node, key, pattern) for key, pattern in _WORDS.items()}
        major, _, minor = words["glibc"].partition(".")
        packs = tuple(node.strings("buildpacks"))
        if any(part in ("", ".", "..") or "/" in part or fault(part) for part in packs):
            node.at("buildpacks").fail(_FOREIGN)
        tables = {key: _table(node, key, pattern) for key, pattern in _TABLES.items()}
        return cls(
            plan=Digest(words["plan"]),
            stack=words["stack"],
            architecture=words["architecture"],
            glibc=(int(major), int(minor)),
            buildpacks=packs,
            runtimes=tables["runtimes"],
            processes=tables["processes"],
            env=tables["env"],
        )


_FOREIGN = "is not what stager writes"
_WORDS = {
    "architecture": "amd64|arm64", "glibc": r"[0-9]{1,4}\.[0-9]{1,4}", "plan": "sha256:[0-9a-f]{64}",
    "stack": r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}",
}  # fmt: skip
_TABLES = {
    "processes": "[A-Za-z0-9_-]{1,63}", "env": "[A-Za-z_][A-Za-z0-9_]{0,254}", "runtimes": "[A-Za-z0-9._+-]{1,64}",
}  # fmt: skip


def _word(node: Node, key: str, pattern: str) -> str:
    value: str = node.str(key)
    if not re.fullmatch(pattern, value):
        node.at(key).fail(_FOREIGN)
    return value


def _table(node: Node, key: str, pattern: str) -> dict[str, str]:
    found = {}
    for name, value in node.at(key).members():
        if not isinstance(value.value, str) or "\0" in value.value or not re.fullmatch(pattern, name):
            value.fail(_FOREIGN)
        found[name] = value.value
    return found


def launch_files(locked: LockedPlan) -> dict[str, str]:
    """Droplet path → text of everything launch needs, for the given plan."""
    plan = locked.plan
    files = {
        ".stager/bin/launch": LAUNCH,
        ".stager/launch.json": canonical_json(LaunchInfo.of(locked).to_json()).decode(),
        ".stager/stager.lock": locked.text,
    }
    for process in plan.processes:
        files[f".stager/processes/{process.type}"] = process.command + "\n"
    if plan.env:
        files[".profile.d/000-env.sh"] = _environment(plan)
    return files


def _environment(plan: Plan) -> str:
    lines = ["# The plan's environment; what is set already stays as it is."]
    for variable in plan.env:
        lines.append(f'if [ -z "${{{variable.name}+set}}" ]; then {variable.name}={_quoted(variable.value)}; fi')
        lines.append(f"export {variable.name}")
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """A value in double quotes in which only `$HOME` is expanded, as the rest of a droplet expects."""
    for sign in ("\\", '"', "`", "$"):
        value = value.replace(sign, "\\" + sign)
    return '"' + value.replace("\\$HOME", "$HOME") + '"'


def staging_info(plan: Plan) -> str:
    """Cloud Foundry's `staging_info.yml`: one line of JSON, with the escapes that Go's encoder writes."""
    web = next((process.command for process in plan.processes if process.type == "web"), "")
    facts = {"detected_buildpack": plan.buildpacks[-1].name if plan.buildpacks else "", "start_command": web}
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False)
    return _ESCAPED.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text) + "\n"
