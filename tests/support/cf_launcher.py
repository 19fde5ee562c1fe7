"""A container and launcher after Cloud Foundry's rules, to start real droplets in. It knows nothing of stager.

The rules, as the platform documents and implements them:

1. The droplet is unpacked in `/home/vcap` as user vcap (2000:2000); `/app` is a link to `/home/vcap/app`; the launcher's
   working folder is `/home/vcap`.
2. The command is the one it is given, else `start_command` of `staging_info.yml` (read as YAML; an absent file is fine, a
   malformed one is exit 1); without any it says so and exits with 1.
3. HOME is the app's folder, TMPDIR and DEPS_DIR are beside it. VCAP_APPLICATION gets host, instance_id, port and
   instance_index; VCAP_PLATFORM_OPTIONS is removed, and is exit 3 when it is no JSON.
4. DATABASE_URL is the first `uri` of a bound service's credentials with a scheme mysql, mysql2, postgres or postgresql
   (written mysql2 and postgres), and wins over a variable of that name.
5. One bash sources `../profile.d/*`, `.profile.d/*` and `.profile` in that order, saying "Invoking pre-start scripts." before
   and "Invoking start command." after, and then replaces itself by `bash -c COMMAND` (or by the entrypoint prefix of
   `staging_info.yml` with the command). The exit status is the command's.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

VCAP = 2000
HOME = "/home/vcap"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SCHEMES = {"mysql": "mysql2", "mysql2": "mysql2", "postgres": "postgres", "postgresql": "postgres"}
_SCRIPT = """\
cd "$1" || exit 1
command=$2
prefix=$3
echo 'Invoking pre-start scripts.'
for folder in ../profile.d .profile.d; do
  if [ -n "$(ls -A $folder 2>/dev/null)" ]; then
    for file in $folder/*; do . $file; done
  fi
done
if [ -f .profile ]; then . ./.profile; fi
echo 'Invoking start command.'
if [ -n "$prefix" ]; then exec $prefix "$command"; fi
exec bash -c "$command"
"""


class LauncherExit(Exception):
    """The launcher ended before it started anything."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Container:
    """A private `/home/vcap` on this machine's own system, read-only but for that and `/tmp`. Needs root and bubblewrap."""

    def __init__(self, folder: Path) -> None:
        self.vcap = folder / "vcap"
        self.vcap.mkdir(parents=True)
        os.chown(self.vcap, VCAP, VCAP)

    def unpack(self, droplet: Path) -> None:
        """As the cell does: the tar is streamed in as user vcap, with that user's umask."""
        with droplet.open("rb") as stream:
            command = [*self._inside({}), "/bin/sh", "-c", f"umask 022 && cd {HOME} && exec tar -xzf -"]
            subprocess.run(command, stdin=stream, check=True, timeout=120)

    def launch(
        self, command: str = "", variables: Mapping[str, str] | None = None, services: Mapping[str, Any] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the launcher with the platform's variables and `variables`; its output is one pipe.

        Raises LauncherExit when it would end at once.
        """
        command, prefix = self._start(command)
        environment = launcher_environment({**platform_variables(services), **(variables or {})})
        words = ["/bin/bash", "-c", _SCRIPT, "launcher", f"{HOME}/app", command, prefix]
        return subprocess.Popen(
            [*self._inside(environment), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, command: str = "", **more: Any) -> tuple[int, str]:
        """Launch, wait for the end; exit status and output."""
        process = self.launch(command, **more)
        out, _ = process.communicate(timeout=60)
        return process.returncode, out.decode("utf-8", "replace")

    def _start(self, command: str) -> tuple[str, str]:
        file = self.vcap / "staging_info.yml"
        info: Any = {}
        if file.exists():
            try:
                info = yaml.safe_load(file.read_text("utf-8")) or {}
                info.get("config")
            except (yaml.YAMLError, AttributeError) as error:
                raise LauncherExit(1, f"Invalid staging info - {error}") from None
        command = command or info.get("start_command") or ""
        if not command:
            raise LauncherExit(1, "launcher: no start command specified or detected in droplet")
        return command, str((info.get("config") or {}).get("entrypoint_prefix") or "")

    def _inside(self, environment: Mapping[str, str]) -> list[str]:
        words = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--perms", "0755", "--tmpfs", "/"]
        for name in ("usr", "etc", "bin", "sbin", "lib", "lib64"):
            place = Path("/") / name
            if place.is_symlink():
                words += ["--symlink", os.readlink(place), str(place)]
            elif place.exists():
                words += ["--ro-bind", str(place), str(place)]
        words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chmod", "1777", "/tmp"]
        words += [
            "--perms",
            "0755",
            "--dir",
            "/home",
            "--bind",
            str(self.vcap),
            HOME,
            "--symlink",
            f"{HOME}/app",
            "/app",
            "--remount-ro",
            "/",
        ]
        words += ["--chdir", HOME, "--clearenv"]
        for name, value in {"PATH": PATH, **environment}.items():
            words += ["--setenv", name, value]
        user = ["--reuid", str(VCAP), "--regid", str(VCAP), "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        return [*words, "setpriv", *user, "--inh-caps=-all", "--"]


def platform_variables(services: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What the Cloud Controller and the cell set for an instance."""
    application = {"application_name": "app", "limits": {"mem": 1024, "disk": 1024, "fds": 16384}, "version": "1"}
    return {
        "LANG": "en_US.UTF-8", "PORT": "8080", "VCAP_APP_PORT": "8080", "VCAP_APP_HOST": "0.0.0.0", "MEMORY_LIMIT": "1024m",
        "INSTANCE_GUID": "instance-1", "CF_INSTANCE_GUID": "instance-1", "INSTANCE_INDEX": "0", "CF_INSTANCE_INDEX": "0",
        "VCAP_APPLICATION": json.dumps(application), "VCAP_SERVICES": json.dumps(services or {}),
        "VCAP_PLATFORM_OPTIONS": "{}",
    }  # fmt: skip


def launcher_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Rules 3 and 4: what the launcher makes of the environment. Raises LauncherExit."""
    found = {**given, "HOME": f"{HOME}/app", "TMPDIR": f"{HOME}/tmp", "DEPS_DIR": f"{HOME}/deps"}
    application = _table(found.get("VCAP_APPLICATION", ""))
    if application is not None:
        application |= {"host": "0.0.0.0", "instance_id": found.get("INSTANCE_GUID", "")}
        for key, name in (("port", "PORT"), ("instance_index", "INSTANCE_INDEX")):
            if found.get(name, "").isdigit():
                application[key] = int(found[name])
        found["VCAP_APPLICATION"] = json.dumps(application, sort_keys=True, separators=(",", ":"))
    options = found.pop("VCAP_PLATFORM_OPTIONS", "")
    if options and _table(options) is None:
        raise LauncherExit(3, "Invalid platform options")
    url = _database_url(_table(found.get("VCAP_SERVICES", "")) or {})
    return {**found, **({"DATABASE_URL": url} if url else {})}


def _database_url(services: Mapping[str, Any]) -> str:
    for bindings in services.values():
        for binding in bindings:
            scheme, separator, rest = str((binding.get("credentials") or {}).get("uri", "")).partition("://")
            if separator and scheme in _SCHEMES:
                return f"{_SCHEMES[scheme]}://{rest}"
    return ""


def _table(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
