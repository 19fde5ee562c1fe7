"""From an app's files to its plan: buildpacks, detection, planning, and `stager.lock`."""
