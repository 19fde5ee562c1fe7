"""The blocks of a `stager.lock` that say what is built and in what: `[[root]]` and `[[build]]`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from posixpath import normpath

from ..model import APP, ARTIFACT, DROPLET, NOTHING, RUNTIMES, Artifact, Build, BuildRoot
from ..text.typed import Node
from .lock_rows import (
    DATE,
    DEB_NAME,
    VARIABLE,
    WORD,
    alone,
    artifact_blocks,
    block,
    buildpack_pairs,
    check_path,
    deb_row,
    free_text,
    paths_of,
    placed,
    read_artifact,
    read_buildpack,
    read_debs,
    read_purl,
    read_reason,
    read_runtime,
    reason_pairs,
    runtime_pairs,
    strings,
    table,
    target_of,
    text_of,
    word,
)

_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_RECIPE = r"[a-z][a-z0-9-]{0,40}/[0-9]{1,4}"
_LONGEST = 8000
"""Characters of a command."""


# --- writing ---------------------------------------------------------------------------------------------------


def root_block(root: BuildRoot) -> str:
    """A build root; it has a line for each of its packages."""
    named = [("name", root.name), ("stack", root.stack), ("epoch", root.epoch)]
    rows = "".join(f"    {deb_row(pin)},\n" for pin in root.packages)
    wants = strings("wants", root.wants) if root.wants else ""
    return f"{block('root', named)}{wants}packages = [\n{rows}]\n"


def build_block(build: Build) -> str:
    """A build, then what only it has around it. What is as usual is not written."""
    named = [("name", build.name), ("kind", build.kind), *([("of", build.of)] if build.of else [])]
    named += [("root", build.root), ("command", build.command), *([("folder", build.folder)] if build.folder else [])]
    named += [("on", build.on)] if build.on != DROPLET else []
    text = block("build", [*named, *reason_pairs(build.reason)])
    text += strings("inputs", build.inputs) if build.kind == APP else ""
    text += strings("outputs", build.outputs) if build.outputs else ""
    text += strings("recipes", build.recipes) if build.recipes else ""
    text += "" if build.twice else "twice = false\n"
    parts = [
        text,
        table("build.env", build.env),
        *(block("build.buildpack", buildpack_pairs(pin)) for pin in build.buildpacks),
        *(block("build.runtime", runtime_pairs(runtime)) for runtime in build.runtimes),
        table("build.links", build.links),
        table("build.files", build.files),
        artifact_blocks(build.artifacts, "build.artifact"),
    ]
    return "\n".join(part for part in parts if part)


# --- reading ---------------------------------------------------------------------------------------------------


def read_roots(document: Node) -> tuple[BuildRoot, ...]:
    """The roots of a lock. Raises BadLock."""
    return alone((_read_root(node) for node in document.list("root")), document, "name")


def _read_root(node: Node) -> BuildRoot:
    wants = tuple(_words(node, "wants", DEB_NAME))
    if list(wants) != sorted(set(wants)):
        node.at("wants").fail("expected each package once, sorted by name")
    root = BuildRoot(
        word(node, "name", _NAME), word(node, "stack", WORD), word(node, "epoch", DATE), read_debs(node), wants
    )
    if not root.packages:
        node.fail("has no packages")
    return root


def read_builds(document: Node, roots: Sequence[BuildRoot], artifacts: Sequence[Artifact]) -> tuple[Build, ...]:
    """The builds of a lock, each in one of its `roots` and, of an artifact, of one of `artifacts`. Raises BadLock."""
    builds, known = list[Build](), {root.name for root in roots}
    for node in document.list("build"):
        build = _read_build(node)
        if build.root not in known:
            node.at("root").fail(f"there is no root {build.root!r}")
        if build.kind == ARTIFACT and any(one.kind == APP for one in builds):
            node.fail("the builds of artifacts come before those of the app")
        builds.append(build)
    around = (one for build in builds if build.kind == APP for one in build.artifacts)
    purls = {one.purl for one in (*artifacts, *around)}
    for node, build in zip(document.list("build"), builds, strict=True):
        if build.kind == ARTIFACT and build.of not in purls:
            node.at("of").fail(f"there is no artifact {build.of[:200]!r}")
    if len({build.of for build in builds if build.of}) < sum(1 for build in builds if build.of):
        document.fail("an artifact is built twice")
    return alone(builds, document, "name")


def _read_build(node: Node) -> Build:
    kind = word(node, "kind", f"{APP}|{ARTIFACT}")
    command = free_text(node, "command")
    if not command.strip() or "\n" in command or "\r" in command or len(command) > _LONGEST:
        node.at("command").fail(f"a command is one line of at most {_LONGEST} characters")
    build = Build(
        name=word(node, "name", _NAME),
        kind=kind,
        root=word(node, "root", _NAME),
        command=command,
        reason=read_reason(node),
        folder=_folder(node),
        inputs=tuple(_patterns(node)) if kind == APP else ("**",),
        outputs=tuple(_outputs(node)),
        env=tuple(_variables(node)),
        of=read_purl(node, "of") if kind == ARTIFACT else "",
        recipes=tuple(_words(node, "recipes", _RECIPE)),
        twice=node.bool("twice", True),
        on=word(node, "on", f"{DROPLET}|{RUNTIMES}|{NOTHING}") if node.get("on") else DROPLET,
        runtimes=alone((read_runtime(child) for child in node.list("runtime")), node, "name"),
        buildpacks=alone((read_buildpack(child) for child in node.list("buildpack")), node, "name"),
        artifacts=placed([(child, read_artifact(child)) for child in node.list("artifact")]),
        links=tuple((path, target_of(path, value)) for path, value in paths_of(node, "links", own=False)),
        files=tuple((path, text_of(value)) for path, value in paths_of(node, "files", own=False)),
    )
    if kind == APP and not build.outputs:
        node.fail("leaves nothing: it has no outputs")
    return build


def _words(node: Node, key: str, pattern: str) -> Iterator[str]:
    for child in node.list(key):
        if not re.fullmatch(pattern, text_of(child)):
            child.fail(f"{child.value[:200]!r} is not allowed")
        yield child.value


def _variables(node: Node) -> Iterator[tuple[str, str]]:
    for name, value in node.table("env").items():
        if not re.fullmatch(VARIABLE, name):
            value.fail(f"{name[:200]!r} is not the name of a variable")
        yield name, text_of(value)


def _folder(node: Node) -> str:
    folder = str(node.str("folder", ""))
    if folder:
        check_path(folder, node.at("folder"))
    return folder


def _patterns(node: Node) -> Iterator[str]:
    for child in node.list("inputs"):
        pattern = text_of(child)
        plain = pattern.removeprefix("!")
        if not plain or plain.startswith("/") or normpath(plain) != plain or plain.split("/")[0] == "..":
            child.fail(f"the pattern {pattern[:200]!r} does not stay inside the app folder")
        yield pattern


def _outputs(node: Node) -> Iterator[str]:
    for child in node.list("outputs"):
        path = text_of(child)
        check_path(path, child)
        if path == ".stager" or path.startswith(".stager/"):
            child.fail(f"the path {path[:200]!r} is one that stager makes itself")
        yield path
