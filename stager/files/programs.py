"""Where the machine's own programs are, and ending those that were started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are in every root that stager makes."""


def find(name: str, environ: Mapping[str, str] | None = None) -> str:
    """A program on the search path of an environment, or of this process; empty when it is not there.

    Only absolute folders are searched: `.` and the like mean the folder that stager happens to be in, which is often an app's.
    """
    folders = [folder for folder in os.get_exec_path(environ) if os.path.isabs(folder)]
    return (shutil.which(name, path=os.pathsep.join(folders)) or "") if folders else ""


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group that may be gone."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
