"""An image as values: config, manifest and index around a droplet's layers and a base's.

Pure: the same droplet on the same base gives the same bytes. Everything that comes from the droplet is in one `Recipe`,
which the image carries as a label, so that an image can be composed again on another base from itself alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...droplet.reader import DropletFile
from ...model import Layer
from .image import Blob, Image
from .labels import CREATED, HOME, PATH, Recipe, annotations_of, image_order, labels_of
from .registry.descriptors import INDEX, MANIFEST, canonical

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ENTRYPOINT = "/app/.stager/bin/launch"
USER = "2000:0"
"""Numeric, as OpenShift and `runAsNonRoot` demand; group 0 may write wherever the owner may."""


@dataclass(frozen=True, slots=True)
class ImageBase:
    """What lies below the droplet's layers. `name` is for people and never written; `digest` is its manifest's.

    All but `name` and `architecture` are empty for `scratch`; a plain root has no `digest`.
    """

    name: str
    architecture: str
    digest: str = ""
    layers: tuple[Blob, ...] = ()
    env: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    variant: str = ""
    published: str = ""
    """The name under which others pull it, as the exporter says."""

    @property
    def top(self) -> str:
        """The diffID of its last layer, empty without layers."""
        return self.layers[-1].diff_id if self.layers else ""


@dataclass(frozen=True, slots=True)
class Composed:
    """One architecture's image. Its layers are the base's, then the droplet's in the image's order; `recipe` names these."""

    recipe: Recipe
    image: Image
    variant: str = ""

    @property
    def own(self) -> tuple[str, ...]:
        """The diffIDs of the droplet's layers, in the droplet's order."""
        return tuple(diff_id for _, diff_id in self.recipe.layers)

    @property
    def platform(self) -> dict[str, str]:
        """The image's platform, as an index states it."""
        found = {"architecture": self.recipe.architecture, "os": "linux"}
        return {**found, "variant": self.variant} if self.variant else found


@dataclass(frozen=True, slots=True)
class Shipment:
    """What is exported as one: `image` is the one image, or the index with all of `images`."""

    images: tuple[Composed, ...]
    image: Image


def own_layers(droplet: DropletFile) -> tuple[Blob, ...]:
    """The droplet's layers as blobs: its very bytes."""
    return tuple(_own_layer(droplet, layer) for layer in droplet.layers)


def _own_layer(droplet: DropletFile, layer: Layer) -> Blob:
    return Blob(layer.digest, layer.size, LAYER + "+gzip", lambda: droplet.blob(layer), layer.diff_id)


def compose(recipe: Recipe, own: Sequence[Blob], base: ImageBase) -> Composed:
    """The image of the droplet's layers `own`, given in the droplet's order, on a base."""
    layers = (*base.layers, *(own[place] for place in image_order(recipe.names)))
    config = Blob.of(canonical(_config(recipe, layers, base)), CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor,
        "layers": [layer.descriptor for layer in layers],
        "annotations": annotations_of(recipe, base.digest),
    }
    return Composed(recipe, Image.of(canonical(manifest), (config, *layers)), base.variant)


def shipment(images: Sequence[Composed]) -> Shipment:
    """One image as it is; several below an index, in the order of their architectures' names."""
    if len(images) == 1:
        return Shipment(tuple(images), images[0].image)
    ordered = sorted(images, key=lambda image: (image.recipe.architecture, image.variant))
    rows = [{**image.image.manifest.descriptor, "platform": image.platform} for image in ordered]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}
    return Shipment(tuple(ordered), Image.of(canonical(index), (), INDEX, tuple(image.image for image in ordered)))


def _config(recipe: Recipe, layers: Sequence[Blob], base: ImageBase) -> dict[str, Any]:
    found = {
        "architecture": recipe.architecture,
        "os": "linux",
        "created": CREATED,
        "config": _settings(recipe, base),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [*base.history, *_history(recipe)],
    }
    return {**found, "variant": base.variant} if base.variant else found


def _settings(recipe: Recipe, base: ImageBase) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "User": USER,
        "WorkingDir": HOME,
        "Entrypoint": [ENTRYPOINT],
        "Cmd": [recipe.default] if recipe.default else [],
        "Env": _environment(recipe, base.env),
        "Labels": labels_of(recipe, base.digest, base.top, base.labels, base.published),
    }
    if recipe.default == "web":
        settings["ExposedPorts"] = {f"{recipe.port}/tcp": {}}
    return settings


def _environment(recipe: Recipe, base: Sequence[str]) -> list[str]:
    """The base's variables, and those every process needs. The plan's own are set by launch, where `$HOME` is known."""
    found = dict(entry.split("=", 1) for entry in base if "=" in entry)
    found.setdefault("PATH", PATH)
    found.setdefault("LANG", "C.UTF-8")
    found.update(HOME=HOME, PORT=str(recipe.port))
    if recipe.default not in ("", "web"):
        found["CNB_PROCESS_TYPE"] = recipe.default  # where readers of io.buildpacks labels look for the default process
    return [f"{name}={value}" for name, value in found.items()]


def _history(recipe: Recipe) -> Iterator[dict[str, str]]:
    for place in image_order(recipe.names):
        yield {"created": CREATED, "created_by": f"stager: layer {recipe.names[place]}"}
