"""Fingerprints as the bosh client computes them (bosh-cli, `release/resource/fingerprint.go`, scheme `v2`).

The hex SHA-256 of `v2`, then for every file in the order of its path: the path, `sha256:` with the hex digest of its content,
and its mode; then the names of dependencies, sorted and joined by commas. A package's `packaging` counts without a mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...digest import Digest, sha256

PLAIN = "100644"


class Fingerprinted(NamedTuple):
    """A file as a fingerprint sees it: the digest of its content, and its mode (`100644`, `100755`, or empty)."""

    digest: Digest
    mode: str = PLAIN


def fingerprint(files: Mapping[str, Fingerprinted], dependencies: Iterable[str] = ()) -> str:
    """The fingerprint of a job or a package whose files are given by their relative paths."""
    state = hashlib.sha256(b"v2")
    for path in sorted(files, key=str.encode):
        state.update(f"{path}{files[path].digest}{files[path].mode}".encode())
    state.update(",".join(sorted(dependencies)).encode())
    return state.hexdigest()


def of_job(files: Mapping[str, str]) -> str:
    """The fingerprint of a job: `job.MF`, `monit`, and `templates/…`, none of them executable."""
    return fingerprint({path: Fingerprinted(sha256(text.encode())) for path, text in files.items()})


def of_package(packaging: str, files: Mapping[str, Digest], dependencies: Iterable[str] = ()) -> str:
    """The fingerprint of a package: its `packaging` script and its files."""
    rows = {path: Fingerprinted(digest) for path, digest in files.items()}
    rows["packaging"] = Fingerprinted(sha256(packaging.encode()), "")
    return fingerprint(rows, dependencies)
