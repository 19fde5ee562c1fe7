"""What runs apart from this machine: a root filesystem, namespaces over it, limits; for builds, and for `stager run`.

`roots` brings a root filesystem onto the disk, `namespaces` describes what is inside (for bubblewrap), `groups` limits memory
and processes, `entering` starts it as whom it should run.
"""
