"""Running a droplet away from the host: in its stack's root filesystem, by namespaces alone or by a container engine.

`environment` says what a process finds wherever it runs, `root_choice` which root a droplet gets; `stack` runs it in that by
namespaces (those of `stager.sandbox`), `engine` by a container engine. `docs/run.md` compares them.
"""
