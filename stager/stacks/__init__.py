"""Stacks: root filesystems made from data, pinned package by package, and equal byte for byte wherever they are built.

`definition` holds what a `box.yml` asks for, `reading` reads it, `find` finds a stack by name or folder, `lock` pins every
package from the signed index, `root` makes the root filesystem from exactly those packages, `image` wraps it as an OCI
base image. `docs/stacks.md` has the rules.
"""
