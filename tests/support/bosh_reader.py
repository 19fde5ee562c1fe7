"""A reader of BOSH release archives written from the format's description alone: Python's tarfile, hashlib, and YAML.

It shares no code with stager and refuses what a director or an agent would stumble over.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Read:
    """A release: its manifest, the job's manifest and files, and the compiled package's archive."""

    manifest: dict[str, Any]
    job: dict[str, Any]
    files: dict[str, bytes]
    package: bytes


def read_release(data: bytes) -> Read:
    """Read and check a release. Asserts everything that the format demands of one job and one compiled package."""
    outer = _members(data)
    manifest = yaml.safe_load(outer["release.MF"])
    assert re.fullmatch(r"[0-9A-Za-z_.]+(-[0-9A-Za-z_.]+)?(\+[0-9A-Za-z_.]+)?", manifest["version"])
    assert re.fullmatch(r"[0-9a-f]{7,40}", manifest["commit_hash"])
    assert manifest["uncommitted_changes"] is False
    assert "packages" not in manifest, "a compiled release has no source packages"
    (job,), (package,) = manifest["jobs"], manifest["compiled_packages"]
    job_data, package_data = outer[f"jobs/{job['name']}.tgz"], outer[f"compiled_packages/{package['name']}.tgz"]
    assert len(outer) == 3
    for row, archive in ((job, job_data), (package, package_data)):
        assert row["sha1"] == "sha256:" + hashlib.sha256(archive).hexdigest()
        assert re.fullmatch(r"[0-9A-Za-z]+", row["fingerprint"])
        assert row["version"] == row["fingerprint"]
    assert re.fullmatch(r"[a-z-]+/[0-9.]+", package["stemcell"])
    assert package["dependencies"] == []
    assert job["packages"] == [package["name"]]
    files = _members(job_data)
    job_manifest = yaml.safe_load(files["job.MF"])
    _check_job(job, job_manifest, files)
    return Read(manifest, job_manifest, files, package_data)


def _check_job(row: dict[str, Any], manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    assert manifest["name"] == row["name"]
    assert manifest["packages"] == row["packages"]
    assert {f"templates/{source}" for source in manifest["templates"]} | {"job.MF", "monit"} == set(files)
    targets = list(manifest["templates"].values())
    assert len(set(targets)) == len(targets)
    assert all(re.fullmatch(r"(bin|config)/[a-z.-]+", target) for target in targets)
    assert all(set(entry) <= {"description", "default", "example"} for entry in manifest["properties"].values())
    assert row["fingerprint"] == job_fingerprint(files)


def job_fingerprint(files: dict[str, bytes]) -> str:
    """The fingerprint by the rules: v2, then path, digest and mode of each file by the order of the paths."""
    chunks = ["v2"]
    for path in sorted(files):
        chunks += [path, "sha256:" + hashlib.sha256(files[path]).hexdigest(), "100644"]
    return hashlib.sha256("".join(chunks).encode()).hexdigest()


def _members(data: bytes) -> dict[str, bytes]:
    """The files of a tar.gz by their names without `./`; every folder is there before what is in it."""
    found, folders = {}, {"."}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for info in archive:
            name = info.name.removeprefix("./")
            assert (name.rpartition("/")[0] or ".") in folders, f"{name} comes before its folder"
            assert info.isdir() or info.isfile()
            if info.isdir():
                folders.add(name)
                continue
            assert name not in found
            content = archive.extractfile(info)
            assert content is not None
            found[name] = content.read()
            assert not info.mode & 0o111, "no file of a release is executable by itself"
    return found


def read_file(path: Path) -> Read:
    """Read and check the release in a file."""
    return read_release(path.read_bytes())
