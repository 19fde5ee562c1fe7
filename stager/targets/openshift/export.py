"""The OCI image, and manifests that run it on OpenShift and on plain Kubernetes.

    image/                     the image, an OCI layout
    openshift/*.yaml           a Deployment for each process type; Service and Route for `web`
    kubernetes/*.yaml          the same Deployments; Service and Ingress
    examples/job-release.yaml  the `release` process as a Job, when there is one

Every manifest names the image by digest and keeps to `restricted-v2` and to the Pod Security Standards' `restricted`:
any uid, no capabilities, no privileges, no writable root. Folders are whole arguments of `oc apply -f`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from ...digest import Digest, key_of
from ...droplet.reader import DropletFile
from ...errors import CannotWrite, UsageError
from ...files.filling import FolderOutput
from ...files.writing import never
from ...formats.tar import ROOT
from ...formats.tar_reader import read_entries
from ...planning.detection import s2i
from ...store import Store
from ..oci import export as oci
from ..oci.layout import write_layout
from ..record import Exported, Platform, option
from .kubernetes import ManifestOptions, manifests, named, yaml_text

_OTHERS = "something that 'stager export openshift' did not write is there"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\[\]-]*(/[a-z0-9]+([._-]+[a-z0-9]+)*)+|[a-z0-9]+([._-]+[a-z0-9]+)*")
_HOST = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUANTITY = re.compile(r"(?=[0-9.]*[1-9])[0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenShiftOptions(oci.ImageOptions):
    """What the manifests say."""

    image: str = option("", "where the image will be, such as host/team/app", "IMAGE")
    app: str = option("", "the app's name in manifests (the repository's last part)", "APP")
    env: Mapping[str, str] = option({}, "a variable, readable in the manifests", "NAME=VALUE", variables=True)
    secret: str = option("", "a Secret whose keys become variables", "NAME")
    host: str = option("", "the host name of Route and Ingress", "HOST")
    probe_path: str = option("", "what probes ask for (only whether the port is open)", "/PATH")
    replicas: int = option(1, "processes of each type (1)", "N", least=1, most=10**9)
    cpu: str = option("", "CPU to request, such as 250m", "AMOUNT")
    memory: str = option("", "memory to request and allow, such as 256Mi", "AMOUNT")
    writable_root: bool = option(False, "the app writes outside /tmp")
    name: str = ""
    """The image's name in its layout."""

    def __post_init__(self) -> None:
        oci.ImageOptions.__post_init__(self)
        _check_repository(self.image)
        _check_variables(self.env)
        if self.probe_path and not self.probe_path.startswith("/"):
            what = f"the probe's path {self.probe_path!r} does not begin with /"
            raise UsageError(what, "Write --probe-path /healthz.")
        named(self.called, "app's name")
        named(self.secret, "secret", _HOST)
        named(self.host, "host", _HOST)
        named(self.cpu, "amount of CPU", _QUANTITY)
        named(self.memory, "amount of memory", _QUANTITY)

    @property
    def called(self) -> str:
        """The app's name in manifests."""
        return self.app or self.image.rpartition("/")[2]


def export(
    droplet: DropletFile,
    out: str,
    options: OpenShiftOptions,
    *,
    more: Sequence[DropletFile] = (),
    store: Store | None = None,
    stop: Callable[[], bool] = never,
) -> Exported:
    """Write image and manifests to the folder `out`; `more` as for `oci.export`.

    Raises BadManifest for an app's `.s2i/environment`, a TargetError; nothing is written then.
    """
    with ExitStack() as keep:
        shipped, notes = oci.build((droplet, *more), options, keep, store)
        wishes = wishes_of(droplet, shipped.image.digest, options, store)
        documents = dict(manifests(droplet.launch.processes, wishes))
        with FolderOutput(out, os.path.join("image", "oci-layout"), _OTHERS) as part:
            write_layout(shipped, os.path.join(part, "image"), options.name, stop)
            _write(part, documents)
    notes = (f"image {wishes.image}", *notes)
    return Exported(
        "openshift", out, Digest(shipped.image.digest), shipped.image.manifest.size, shipped.images[0].own, notes
    )


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the droplet's layers in an exported folder. Raises BadImage."""
    return oci.layers(os.path.join(path, "image"))


def _write(folder: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
    for path, document in documents.items():
        place = os.path.join(folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "x", encoding="utf-8") as stream:
            stream.write(yaml_text(document))


# --- what is wished --------------------------------------------------------------------------------------------


def wishes_of(
    droplet: DropletFile, digest: str, options: OpenShiftOptions, store: Store | None = None
) -> ManifestOptions:
    """What decides the manifests. Raises BadManifest."""
    return ManifestOptions(
        name=options.called,
        image=f"{options.image}@{digest}",
        port=options.port,
        env={**s2i_environment(droplet, store), **options.env},
        secret=options.secret,
        host=options.host,
        probe_path=options.probe_path,
        replicas=options.replicas,
        cpu=options.cpu,
        memory=options.memory,
        writable_root=options.writable_root,
        annotations={
            "stager.droplet.digest": str(droplet.digest),
            "stager.plan.digest": str(droplet.launch.plan),
            "stager.stack": str(droplet.launch.stack),
        },
    )


def _check_repository(image: str) -> None:
    """Raise UsageError for what is no repository without a tag or digest."""
    last = image.rpartition("/")[2]
    if not image or "@" in image or ":" in last or not _IMAGE.fullmatch(image):
        what = f"--image {image!r} is no repository" if image else "no repository is named"
        raise UsageError(what, "Write --image host/team/app, without a tag: manifests name the image by digest.")


def _check_variables(env: Mapping[str, str]) -> None:
    for name in env:
        if not _VARIABLE.fullmatch(name) or name == "PORT":
            raise UsageError(f"--env {name!r} cannot be set", "Names are letters, digits and _; PORT is set by --port.")


def s2i_environment(droplet: DropletFile, store: Store | None = None) -> dict[str, str]:
    """The variables in the app's `.s2i/environment`, as source-to-image reads it: `NAME=VALUE` lines, `#` comments.

    A `store` remembers the file by its layer's diffID. Raises BadManifest for a line that is neither. `PORT` is left out:
    the manifests decide it.
    """
    found = s2i.parse(_s2i_text(droplet, store))
    return {name: setting.value for name, setting in found.items() if name != "PORT"}


def _s2i_text(droplet: DropletFile, store: Store | None) -> str:
    app = next((layer for layer in droplet.layers if layer.name == "app"), None)
    if app is None:
        return ""
    key = key_of("s2i/1", app.diff_id)
    memo = store.recall("s2i", key) if store else None
    if isinstance(memo, str):
        return memo
    kept: dict[str, list[bytes]] = {ROOT + s2i.NAME: []}
    for entry in read_entries(droplet.tar(app), droplet.name, contents=False, keep=kept):
        if entry.name == ROOT + s2i.NAME:
            break
    text = b"".join(kept[ROOT + s2i.NAME]).decode("utf-8", "replace")
    if store:
        with suppress(CannotWrite):  # a memo may always be missing
            store.remember("s2i", key, text)
    return text


OPENSHIFT = Platform(
    "openshift",
    "write the image with OpenShift and Kubernetes manifests",
    OpenShiftOptions,
    export,
    layers,
    "openshift",
)
