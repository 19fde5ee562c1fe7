"""What runs apart from this machine: a root filesystem, namespaces over it, limits; for builds, and for `stager run`.

`job` says what runs and what it may use, `inside` what it finds, `running` runs it: this is what a build calls. `container`
does so by an engine (`engines`), where there are no namespaces. `roots` brings a root filesystem onto
the disk, `namespaces` describes what is inside (for bubblewrap), `seccomp` what may be asked of the kernel, `entering` starts
it as whom it should run, `groups` limits memory and processes, `saying` takes what is said, `leftovers` counts and tidies
what is written, `terminal` is for who wants to look around in one, `remedies` knows what a
machine lacks. `docs/builds.md` has the whole of it.
"""

from .job import FIXED, Ended, Job, Limits, Surroundings
from .running import run, shell

__all__ = ["FIXED", "Ended", "Job", "Limits", "Surroundings", "run", "shell"]
