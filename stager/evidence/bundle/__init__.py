"""Bundles: everything a staging needs beside the app's own files, as one file for a machine without a network.

A bundle is a tar of `bundle.json`, `stager.lock` and one blob per artifact of the plan, runtimes included. It is a function of
the plan and of stager's version: equal plans give equal files (docs/bundle.md). `exporting` writes it, `importing` reads it.
"""

from __future__ import annotations

FORMAT = 1
"""Version of the bundle's format."""
INDEX, LOCK, BLOBS = "bundle.json", "stager.lock", "blobs/sha256/"
"""The names of the members; the last one is followed by the blob's hex SHA-256."""
