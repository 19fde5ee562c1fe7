"""A Chef cookbook and a Capistrano task that deploy a droplet by its digest.

Both install as the install script of the target `plain` does: `/opt/<name>/droplets/<digest>/app` and a link `current` that is
switched by a rename. They hold no droplet, only its digest; what they fetch or upload must have it.
"""

from __future__ import annotations

import json
from typing import Any

from ...digest import Digest
from ...droplet.launch import LaunchInfo
from ...errors import UsageError
from ...text.templates import fill
from ..plain.systemd import ONCE, units


def cookbook(name: str, droplet: Digest, launch: LaunchInfo, url: str) -> dict[str, str]:
    """The files of a folder for `chef-client --local-mode`: `solo.rb`, `node.json`, and the cookbook below `cookbooks/`.

    `url` is where machines fetch the droplet. Raises UsageError when it cannot be one, or would store a password.
    """
    check_url(url)
    book = f"cookbooks/{name}"
    values = {
        "name": name,
        "droplet": droplet.hex,
        "url": _ruby(url),
        "version": "1.0.0",
        "units": _units(name, launch),
    }
    node = {"run_list": [f"recipe[{name}]"], name: {"url": url, "sha256": droplet.hex}}
    return {
        "node.json": json.dumps(node, indent=2, sort_keys=True) + "\n",
        "solo.rb": fill(__file__, "solo.rb.j2", {}),
        f"{book}/attributes/default.rb": fill(__file__, "attributes.rb.j2", values),
        f"{book}/metadata.rb": fill(__file__, "metadata.rb.j2", values),
        f"{book}/recipes/default.rb": fill(__file__, "recipe.rb.j2", values),
    }


def check_url(url: str) -> None:
    """Raise UsageError for what is no URL, and for one that would store a password."""
    if url.partition("://")[0] not in ("https", "http", "file") or not url.isascii() or not url.isprintable():
        raise UsageError("--url is no URL", "Give the https, http or file URL that machines fetch the droplet from.")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise UsageError("--url holds a user name or password", "Leave it out; give it to Chef in another way.")


def _ruby(text: str) -> str:
    """A Ruby string literal without interpolation."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _units(name: str, launch: LaunchInfo) -> list[dict[str, Any]]:
    rows = []
    for file, text in sorted(units(name, launch.processes).items()):
        once = file == f"{name}-{ONCE}.service"
        action = "[:create]" if once else "[:create, :enable, :start]"
        rows.append({"file": file, "text": text, "action": action, "restart": file.endswith(".service") and not once})
    return rows


def capistrano(name: str, droplet: Digest) -> str:
    """The text of `lib/capistrano/tasks/stager.rake`."""
    return fill(__file__, "stager.rake.j2", {"name": name, "droplet": droplet.hex})
