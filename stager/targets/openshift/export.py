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
from collections.abc import Mapping
from contextlib import ExitStack, suppress
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
from .. import Exported
from ..oci import export as oci
from ..oci.layout import write_layout
from .kubernetes import Wishes, manifests, named, yaml_text

_OTHERS = "something that 'stager export openshift' did not write is there"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\[\]-]*(/[a-z0-9]+([._-]+[a-z0-9]+)*)+|[a-z0-9]+([._-]+[a-z0-9]+)*")
_HOST = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUANTITY = re.compile(r"(?=[0-9.]*[1-9])[0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?")


def export(droplet: DropletFile, out: str, options: Mapping[str, Any]) -> Exported:
    """Write image and manifests to the folder `out`.

    Options: `image` (the repository the image will be pushed to, demanded), `app` (the app's name; the repository's last
    part), `env`, `secret`, `host`, `probe_path`, `replicas`, `cpu`, `memory`, `writable_root`, and those of `oci`.
    Raises UsageError, BadManifest for an app's `.s2i/environment`, a TargetError; nothing is written then.
    """
    with ExitStack() as keep:
        shipped, notes = oci.build((droplet, *options.get("more", ())), options, keep)
        wishes = wishes_of(droplet, shipped.top.digest, options)
        documents = dict(manifests(droplet.facts["processes"], wishes))
        with FolderOutput(out, os.path.join("image", "oci-layout"), _OTHERS) as part:
            name, stop = str(options.get("name") or ""), options.get("stop", never)
            write_layout(shipped, os.path.join(part, "image"), name, stop)
            _write(part, documents)
    notes = (f"image {wishes.image}", *notes)
    return Exported("openshift", out, Digest(shipped.top.digest), shipped.top.size, shipped.images[0].own, notes)


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


def wishes_of(droplet: DropletFile, digest: str, options: Mapping[str, Any]) -> Wishes:
    """The wishes in `options`, checked. Raises UsageError and BadManifest."""
    image = _repository(str(options.get("image") or ""))
    env = {**s2i_environment(droplet, options.get("store")), **_variables(options.get("env") or {})}
    replicas = int(options.get("replicas") or 1)
    path = str(options.get("probe_path") or "")
    if path and not path.startswith("/"):
        raise UsageError(f"the probe's path {path!r} does not begin with /", "Write --probe-path /healthz.")
    return Wishes(
        name=named(str(options.get("app") or image.rpartition("/")[2]), "app's name"),
        image=f"{image}@{digest}",
        port=oci.port_of(options),
        env=env,
        secret=named(str(options.get("secret") or ""), "secret", _HOST),
        host=named(str(options.get("host") or ""), "host", _HOST),
        probe_path=path,
        replicas=replicas,
        cpu=named(str(options.get("cpu") or ""), "amount of CPU", _QUANTITY),
        memory=named(str(options.get("memory") or ""), "amount of memory", _QUANTITY),
        writable_root=bool(options.get("writable_root")),
        annotations={
            "stager.droplet.digest": str(droplet.digest),
            "stager.plan.digest": str(droplet.facts["plan"]),
            "stager.stack": str(droplet.facts["stack"]),
        },
    )


def _repository(image: str) -> str:
    """The repository, without a tag or digest. Raises UsageError."""
    last = image.rpartition("/")[2]
    if not image or "@" in image or ":" in last or not _IMAGE.fullmatch(image):
        what = f"--image {image!r} is no repository" if image else "no repository is named"
        raise UsageError(what, "Write --image host/team/app, without a tag: manifests name the image by digest.")
    return image


def _variables(env: Mapping[str, str]) -> Mapping[str, str]:
    for name in env:
        if not _VARIABLE.fullmatch(name) or name == "PORT":
            raise UsageError(f"--env {name!r} cannot be set", "Names are letters, digits and _; PORT is set by --port.")
    return env


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
