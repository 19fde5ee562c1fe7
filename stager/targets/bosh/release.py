"""The texts of a release: which job files there are, `release.MF`, and the version that follows from the contents.

**A compiled release.** The package of the release is the droplet file itself, byte for byte, so what an agent downloads has
the droplet's digest and nothing runs on a compilation VM. The price is that a compiled release names the stemcell line it is
for; a droplet needs no more of a stemcell than its glibc, so the oldest line that has it is taken unless one is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...digest import Digest
from ...droplet.launch import LaunchInfo
from ...errors import UsageError
from ...facts.platforms import STEMCELLS, command
from ...text.templates import fill
from ..errors import Unfit
from .fingerprint import of_job, of_package

ONCE = "release"
"""A process type that runs once before a release goes live (Heroku's word); nothing supervises it."""
TEMPLATES = {
    "bpm": {"bpm.yml.erb": "config/bpm.yml"},
    "monit": {"ctl": "bin/ctl"},
}
"""Who keeps the processes running, and the job's templates that only this supervisor needs."""
SHARED = {"env.sh.erb": "config/env.sh", "pre-start": "bin/pre-start", "start": "bin/start"}
"""Templates that every job has, and where below `/var/vcap/jobs/<job>` BOSH puts them."""
_STEMCELL = re.compile(r"[a-z][a-z0-9-]*/[0-9][0-9A-Za-z.]*")


@dataclass(frozen=True, slots=True)
class BoshRelease:
    """Everything of a release that does not depend on its inner archives' bytes.

    `job` is the job archive's files by name; `job_print` and `package_print` are the fingerprints; `stemcell` is
    `<os>/<version>`.
    """

    name: str
    version: str
    droplet: Digest
    stemcell: str
    job: Mapping[str, str]
    job_print: str
    package_print: str
    notes: tuple[str, ...]

    def manifest(self, job_archive: Digest) -> str:
        """The text of `release.MF`, given the digest of the job's archive; the package's is the droplet's."""
        return fill(
            __file__,
            "release.MF.j2",
            {
                "name": self.name,
                "version": self.version,
                "commit": self.droplet.hex[:12],
                "job_print": self.job_print,
                "job_digest": job_archive,
                "package_print": self.package_print,
                "package_digest": self.droplet,
                "stemcell": self.stemcell,
            },
        )


def make(name: str, droplet: Digest, launch: LaunchInfo, supervisor: str, stemcell: str) -> BoshRelease:
    """The release of a droplet with this digest and `launch.json`, for a stemcell or the one that fits.

    Raises UsageError for a droplet without processes, Unfit when the stemcell's glibc is too old.
    """
    stemcell = stemcell_for(launch.glibc, stemcell)
    job = job_files(name, droplet, supervised(launch.processes), supervisor)
    job_print = of_job(job)
    return BoshRelease(
        name=name,
        version=f"1.0.0+droplet.{droplet.hex[:12]}.job.{job_print[:8]}",
        droplet=droplet,
        stemcell=stemcell,
        job=job,
        job_print=job_print,
        package_print=of_package(fill(__file__, "packaging.j2", {}), {"droplet.tgz": droplet}),
        notes=_notes(name, launch, supervisor),
    )


def check_stemcell(asked: str) -> None:
    """Raise UsageError for what names no stemcell, `<os>/<version>`; nothing at all is right."""
    if asked and not _STEMCELL.fullmatch(asked):
        raise UsageError(f"{asked!r} names no stemcell", "Write its operating system and version: ubuntu-jammy/1.199.")


def stemcell_for(needed: tuple[int, int], asked: str) -> str:
    """The stemcell, `<os>/<version>`, for a droplet that needs this glibc: the one asked for, or the oldest that fits."""
    line = asked.partition("/")[0] or next((name for name, glibc in STEMCELLS.items() if glibc >= needed), "")
    if not line or STEMCELLS.get(line, needed) < needed:
        text = f"it needs glibc {needed[0]}.{needed[1]}"
        again = "stager stage --stack cflinuxfs4" if asked else command(["bosh"])
        hint = f"Name a newer stemcell with --stemcell, or run '{again}' in the app's folder."
        raise Unfit("the droplet", asked or "any stemcell line that stager knows", text, hint)
    return asked or f"{line}/1"


def supervised(processes: Iterable[str]) -> list[str]:
    """The process types that are kept running, `web` first. Raises UsageError when there are none."""
    types = sorted((kind for kind in processes if kind != ONCE), key=lambda kind: (kind != "web", kind))
    if not types:
        raise UsageError("the droplet has no process that could be kept running", "Add one to the app's Procfile.")
    return types


def job_files(name: str, droplet: Digest, types: list[str], supervisor: str) -> dict[str, str]:
    """The files of the job's archive by name: `job.MF`, `monit`, and the templates."""
    templates = {**SHARED, **TEMPLATES[supervisor]}
    values = {"name": name, "droplet": droplet.hex, "types": types, "templates": sorted(templates.items())}
    files = {source: fill(__file__, f"{source}.j2", values) for source in templates}
    return {
        "job.MF": fill(__file__, "job.MF.j2", values),
        "monit": fill(__file__, f"monit-{supervisor}.j2", values),
        **{f"templates/{source}": text for source, text in files.items()},
    }


def _notes(name: str, launch: LaunchInfo, supervisor: str) -> tuple[str, ...]:
    notes = []
    if supervisor == "bpm":
        notes.append("the instance group needs the job 'bpm' of the release 'bpm' besides")
    if ONCE in launch.processes:
        notes.append(f"process type '{ONCE}' is not supervised: run '/var/vcap/jobs/{name}/bin/start {ONCE}' by hand")
    if launch.architecture != "amd64":
        notes.append(f"the droplet is for {launch.architecture}; the usual stemcells are for amd64")
    return tuple(notes)
