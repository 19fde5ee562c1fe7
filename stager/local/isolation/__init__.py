"""Running a droplet away from the host: in its stack's root filesystem, by namespaces alone or by a container engine.

`environment` says what a process finds wherever it runs, `roots` brings a root filesystem onto the disk, `sandbox` describes
the namespaces (bubblewrap), `memory` limits them, `root_choice` says which root a droplet gets, `stack` runs it in that by
namespaces, `engine` by a container engine. `docs/run.md` compares them.
"""
