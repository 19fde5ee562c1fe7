"""Where the machine's own programs are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping


def find(name: str, environ: Mapping[str, str] | None = None) -> str:
    """A program on the search path of an environment, or of this process; empty when it is not there.

    Only absolute folders are searched: `.` and the like mean the folder that stager happens to be in, which is often an app's.
    """
    folders = [folder for folder in os.get_exec_path(environ) if os.path.isabs(folder)]
    return (shutil.which(name, path=os.pathsep.join(folders)) or "") if folders else ""
