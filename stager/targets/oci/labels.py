"""What an image says about itself: the `Recipe`, labels that `pack inspect` reads, and OCI's annotations.

Sources: Cloud Native Buildpacks platform specification ("Labels"), as the lifecycle encodes them and `pack` reads them;
OCI image-spec 1.1, annotations.md; OpenShift's guidelines for images (`io.openshift.*`, `io.k8s.*`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...digest import canonical_json
from ...droplet.reader import DropletFile
from ...errors import StagerError
from ...formats.tar import MTIME
from ...stacks.errors import BadImage
from ...text import parsing
from ...text.typed import Node

CREATED = "1980-01-01T00:00:01Z"
"""The time that Cloud Native Buildpacks and the droplet's own entries use (`tar.MTIME`)."""
assert MTIME == 315532801
HOME = "/app"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PORT = 8080
RECIPE = "stager.image"
"""The label that holds the recipe."""
SKELETON = "skeleton"
_KEPT = ("io.buildpacks.base.",)
"""Labels of a base that say what lies below, and so hold for every image on it."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything of an image that comes from its droplet and the export's options, none of it from the base.

    `layers` are (name, diffID) in the droplet's order (see `image_order`); `default` is the process type
    that starts, empty without processes.
    """

    architecture: str
    stack: str
    droplet: str
    plan: str
    buildpacks: tuple[tuple[str, str], ...]
    """(name, digest of its folder)."""
    processes: Mapping[str, str]
    layers: tuple[tuple[str, str], ...]
    port: int = PORT
    source: str = ""
    """Where the app's source is kept, as the exporter says."""
    revision: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def default(self) -> str:
        """`web`, or the first process type in the order of names."""
        return "web" if "web" in self.processes else min(self.processes, default="")

    @property
    def names(self) -> tuple[str, ...]:
        """The layers' names."""
        return tuple(name for name, _ in self.layers)


def image_order(names: Sequence[str]) -> list[int]:
    """The places of the droplet's layers with these names in an image, the lowest first: the skeleton above all others.

    Only the skeleton has an entry for each folder that layers share. Overlay engines (Docker, Podman) take a folder's owner
    and mode from the topmost layer that has the folder, and invent root's for those that only have files in it: were
    the skeleton not the last one, nobody but root could write into `/app`.
    """
    return sorted(range(len(names)), key=lambda place: names[place] == SKELETON)


def droplet_order(found: Sequence[str], names: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """The digests that an image names in the droplet's order, if they are its `own` in the image's; else as they are."""
    return tuple(own) if list(found) == [own[place] for place in image_order(names)] else tuple(found)


def recipe_of(droplet: DropletFile, **wishes: Any) -> Recipe:
    """The recipe of a droplet; `wishes` are `port`, `source`, `revision` and `labels`."""
    plan = droplet.plan
    return Recipe(
        architecture=plan.architecture,
        stack=plan.stack,
        droplet=droplet.digest,
        plan=str(droplet.launch.plan),
        buildpacks=tuple((pin.name, str(pin.digest)) for pin in plan.buildpacks),
        processes={process.type: process.command for process in plan.processes},
        layers=tuple((layer.name, str(layer.diff_id)) for layer in droplet.layers),
        **wishes,
    )


def labels_of(recipe: Recipe, base: str, top: str, inherited: Mapping[str, str], published: str = "") -> dict[str, str]:
    """All labels of an image on a base with the manifest digest `base` and the last diffID `top`.

    `published` is the base's own name in a registry, which a rebaser demands before it swaps the base without force.
    """
    return {
        **{name: value for name, value in inherited.items() if name.startswith(_KEPT)},
        **_buildpacks(recipe, base, top, published),
        **_openshift(recipe),
        **{f"org.opencontainers.image.{name}": value for name, value in _origin(recipe).items()},
        "stager.droplet.digest": recipe.droplet,
        "stager.plan.digest": recipe.plan,
        "stager.stack": recipe.stack,
        **recipe.labels,
        RECIPE: _text({"version": _VERSION, **asdict(recipe)}),
    }


def annotations_of(recipe: Recipe, base: str) -> dict[str, str]:
    """The annotations of an image's manifest."""
    found = {"created": CREATED, **_origin(recipe)}
    if base:
        found["base.digest"] = base
    return {
        **{f"org.opencontainers.image.{name}": value for name, value in found.items()},
        "stager.droplet.digest": recipe.droplet,
        "stager.plan.digest": recipe.plan,
        "stager.stack": recipe.stack,
    }


def read_recipe(found: Mapping[str, Any], where: str) -> Recipe:
    """The recipe in an image's labels. Raises BadImage when stager did not make the image."""
    text = found.get(RECIPE)
    try:
        value = parsing.json(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadImage(
            where, "was not made by stager: it has no recipe", "Export the droplet with 'stager export oci'."
        )
    node = Node(value, where, "", _bad)
    if node.int("version") != _VERSION:
        node.fail(f"its recipe has version {node.int('version')}, this stager knows {_VERSION}")
    return Recipe(
        **{key: node.str(key) for key in ("architecture", "stack", "droplet", "plan", "source", "revision")},
        buildpacks=_pairs(node, "buildpacks"),
        processes=_strings(node, "processes"),
        layers=_pairs(node, "layers"),
        port=node.int("port"),
        labels=_strings(node, "labels"),
    )


def _bad(where: str, why: str) -> StagerError:
    return BadImage(where, f"its recipe is damaged: {why}", "Export the droplet again with 'stager export oci'.")


def _pairs(node: Node, key: str) -> tuple[tuple[str, str], ...]:
    rows = []
    for row in node.list(key):
        pair = [item._as(str, "a string") for item in row]
        if len(pair) != 2:
            row.fail("expected two strings")
        rows.append((pair[0], pair[1]))
    return tuple(rows)


def _strings(node: Node, key: str) -> dict[str, str]:
    return {name: child._as(str, "a string") for name, child in node.table(key).items()}


# --- buildpacks ------------------------------------------------------------------------------------------------


def _buildpacks(recipe: Recipe, base: str, top: str, published: str) -> dict[str, str]:
    """The labels that `pack inspect` reads; none of them is needed to run the image.

    `CNB_PLATFORM_API` is not set on purpose: the image has no launcher of theirs below `/cnb`, and without it readers take
    the default process from `CNB_PROCESS_TYPE`, else `web`, not from the entry point.
    """
    return {
        "io.buildpacks.build.metadata": _text(_build(recipe)),
        "io.buildpacks.lifecycle.metadata": _text(_lifecycle(recipe, base, top, published)),
        "io.buildpacks.project.metadata": _text(_project(recipe)),
        "io.buildpacks.stack.id": recipe.stack,
    }


def _build(recipe: Recipe) -> dict[str, Any]:
    last = recipe.buildpacks[-1][0] if recipe.buildpacks else ""
    return {
        "bom": None,
        "buildpacks": [{"id": name, "version": _short(digest)} for name, digest in recipe.buildpacks],
        "launcher": {"version": "", "source": {"git": {"repository": "", "commit": ""}}},
        "processes": [
            {"type": name, "command": [command], "args": [], "direct": False, "buildpackID": last, "working-dir": HOME}
            for name, command in sorted(recipe.processes.items())
        ],
    }


def _lifecycle(recipe: Recipe, base: str, top: str, published: str) -> dict[str, Any]:
    """Which layers are whose: the last buildpack brought all but the app's own, for stager's layers belong to packages."""
    apps = [diff_id for name, diff_id in recipe.layers if name == "app"]
    others = {name: {"sha": diff_id, "launch": True} for name, diff_id in recipe.layers if name != "app"}
    rows = [{"key": name, "version": _short(digest), "layers": {}} for name, digest in recipe.buildpacks]
    if rows:
        rows[-1]["layers"] = others
    return {
        "app": [{"sha": diff_id} for diff_id in apps],
        "buildpacks": rows,
        "config": {"sha": ""},
        "launcher": {"sha": ""},
        "runImage": {"topLayer": top, "reference": base, **({"image": published} if published else {})},
    }


def _project(recipe: Recipe) -> dict[str, Any]:
    """Where the source is. The app layer's diffID is the source tree's own name: it depends on nothing else."""
    version = {name: diff_id for name, diff_id in recipe.layers if name == "app"}
    if recipe.revision:
        version["commit"] = recipe.revision
    metadata = {"repository": recipe.source} if recipe.source else {}
    return {"source": {"type": "git" if recipe.revision else "tree", "version": version, "metadata": metadata}}


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]


def _openshift(recipe: Recipe) -> dict[str, str]:
    found = {"io.k8s.description": f"A droplet for the stack {recipe.stack}, made by stager"}
    if recipe.default == "web":
        found["io.openshift.expose-services"] = f"{recipe.port}:http"
    return found


def _origin(recipe: Recipe) -> dict[str, str]:
    return {name: value for name, value in (("source", recipe.source), ("revision", recipe.revision)) if value}


def _text(value: object) -> str:
    return canonical_json(value).decode().rstrip("\n")
