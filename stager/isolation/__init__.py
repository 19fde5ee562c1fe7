"""Running a droplet away from the host: in its stack's root filesystem, by namespaces alone or by a container engine.

`surroundings` says what a process finds wherever it runs, `roots` brings a root filesystem onto the disk, `sandbox` describes
the namespaces (bubblewrap), `memory` limits them, `stack` runs a droplet in them, `base` and `engine` do so with a container
engine. `docs/run.md` compares them.
"""
