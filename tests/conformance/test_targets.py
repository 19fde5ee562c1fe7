"""One suite over the registry of targets: whatever is exported, its layers are the droplet's own, byte for byte.

A new target is tested here without new test code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import building
import pytest
from apps_fixture import materialise
from command import stager as stager_command

import stager
from stager import cli, targets
from stager.cli.commands import MODULES
from stager.cli.commands.arguments import parser_of
from stager.droplet.reader import DropletFile, open_droplet
from stager.errors import StagerError, UsageError
from stager.model import BuildRoot
from stager.store import Store

QUICK = "procfile-perl"
OPTIONS: dict[str, dict[str, Any]] = {"openshift": {"image": "registry.example/team/app"}}
"""What a target cannot do without."""
REAL = ("flask-requirements", "express-npm-v3", "static-plain")


def tree_digest(path: Path) -> str:
    """The digest of a file, or of every file of a folder with its mode."""
    state = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file()):
        state.update(str(file.relative_to(path)).encode() + bytes(str(file.stat().st_mode & 0o111), "ascii"))
        state.update(file.read_bytes())
    return state.hexdigest()


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropletFile]:
    folder = tmp_path_factory.mktemp("droplet")
    app = materialise(QUICK, folder)
    made = stager.stage(str(app), out=str(folder / "droplet.tgz"), store=Store(str(folder / "store")))
    with open_droplet(made.path) as opened:
        yield opened


def export(target: str, droplet: DropletFile, out: Path) -> targets.Exported:
    platform = targets.load(target)
    return platform.export(droplet, str(out), platform.options.read(OPTIONS.get(target, {}), target))


# --- records and options -----------------------------------------------------------------------------------------


def shown(target: str) -> list[dataclasses.Field[Any]]:
    """The options of a target that are arguments of its command."""
    return [field for field in dataclasses.fields(targets.load(target).options) if "help" in field.metadata]


@pytest.mark.parametrize("target", targets.TARGETS)
def test_a_record_is_its_command(target: str) -> None:
    """`plain` is an older name, which the command line never had."""
    platform = targets.load(target)
    assert platform.name == target
    if target == "plain":
        return
    assert MODULES[f"export {target}"][1] == platform.summary
    declared = {action.dest: action for action in parser_of(f"export {target}")._actions}
    assert declared["output"].help.endswith(f"({platform.output})")  # type: ignore[union-attr]
    for field in shown(target):
        action = declared[field.name]
        assert field.metadata["help"] in str(action.help)
        assert (action.default or None) == (None if field.default is dataclasses.MISSING else field.default or None)


@pytest.mark.parametrize("target", targets.TARGETS)
def test_an_option_that_is_none_is_refused_and_nothing_written(
    target: str, droplet: DropletFile, tmp_path: Path
) -> None:
    known = [field.name for field in dataclasses.fields(targets.load(target).options)]
    for name in ["nonsense", *(name[:-1] + name[-1] * 2 for name in known)]:
        with pytest.raises(UsageError) as caught:
            stager.export(droplet.path, target, tmp_path / "out", **{**OPTIONS.get(target, {}), name: "x"})
        assert caught.value.message == f"the target {target} has no option {name!r}"
        assert caught.value.hint.endswith(f"It takes {', '.join(known)}." if known else "It takes none.")
        assert name == "nonsense" or f"Did you mean {name[:-1]}? " in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", targets.TARGETS)
def test_a_value_of_another_kind_is_a_type_error(target: str, droplet: DropletFile, tmp_path: Path) -> None:
    for field in dataclasses.fields(targets.load(target).options):
        with pytest.raises(TypeError, match=f"{target}: {field.name} must be "):
            stager.export(droplet.path, target, tmp_path / "out", **{**OPTIONS.get(target, {}), field.name: object()})
    with pytest.raises(TypeError, match="options must be"):
        stager.export(droplet.path, target, tmp_path / "out", options=targets.Options(), name="x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", [target for target in targets.TARGETS if target != "plain"])
def test_the_command_and_the_library_write_the_same(
    target: str, droplet: DropletFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[type, Any] = {str: "a", int: 5000, bool: True}
    told, words = dict(OPTIONS.get(target, {})), list[str]()
    for field in shown(target):
        if field.name in ("port", "source", "revision", "replicas", "app", "writable_root") or field.name == "name":
            told[field.name] = values[type(field.default)]
    for field in shown(target):
        if field.name in told:
            option = field.metadata.get("name") or "--" + field.name.replace("_", "-")
            words += [option] if told[field.name] is True else [option, str(told[field.name])]
    by_library = stager.export(droplet.path, target, tmp_path / "library", **told)
    command = ["export", target, droplet.path, "-o", str(tmp_path / "command"), *words]
    assert cli.main([*command, "--cache-dir", str(tmp_path / "store")]) == 0
    assert tree_digest(tmp_path / "command") == tree_digest(Path(by_library.path))
    assert capsys.readouterr().out


# --- built layers ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, shared_store: Path, plain_pins: BuildRoot
) -> Iterator[tuple[DropletFile, Path]]:
    """A droplet whose app was built, and the store it is from."""
    folder, store = tmp_path_factory.mktemp("built"), Store(str(shared_store))
    command = "mkdir -p static/deep && cat src/*.txt > static/out.txt && ln -s ../out.txt static/deep/link"
    building.planned(folder / "app", {"src/a.txt": "made of this\n"}, plain_pins, building.build(command), store=store)
    with open_droplet(building.stage(folder / "app", store).path) as opened:
        yield opened, shared_store


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("target", targets.TARGETS)
def test_built_layers_go_everywhere(target: str, built: tuple[DropletFile, Path], tmp_path: Path) -> None:
    droplet, _ = built
    made, again = (export(target, droplet, tmp_path / name) for name in ("out", "again"))
    own = tuple(layer.diff_id for layer in droplet.layers)
    assert made.layers == targets.load(target).layers(made.path) == own
    assert made.digest == again.digest


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("where", ["host", "stack"])
def test_built_layers_run_here_and_as_in_the_box(where: str, built: tuple[DropletFile, Path]) -> None:
    droplet, store = built
    words = ["run", droplet.path, "--in", where, "--command", "cat static/deep/link"]
    assert stager_command(*words, store=store).good().out.endswith("made of this\n")


# --- what is written ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", targets.TARGETS)
def test_the_layers_read_back_are_the_droplets(target: str, droplet: DropletFile, tmp_path: Path) -> None:
    made = export(target, droplet, tmp_path / "out")
    own = tuple(layer.diff_id for layer in droplet.layers)
    assert made.layers == own
    assert targets.load(target).layers(made.path) == own


@pytest.mark.parametrize("target", targets.TARGETS)
def test_an_export_is_a_function_of_the_droplet(
    target: str, droplet: DropletFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = export(target, droplet, tmp_path / "out")
    elsewhere = tmp_path / "another" / "place"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    before = os.umask(0o077)
    try:
        second = export(target, droplet, elsewhere / "out")
    finally:
        os.umask(before)
    assert (second.digest, second.size) == (first.digest, first.size)
    assert tree_digest(Path(second.path)) == tree_digest(Path(first.path))


@pytest.mark.parametrize("target", targets.TARGETS)
def test_what_cannot_be_written_leaves_nothing(target: str, droplet: DropletFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StagerError):
        export(target, droplet, tmp_path / "file" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("target", targets.TARGETS)
def test_what_was_not_exported_is_refused(target: str, tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(b"garbage" * 500)
    (tmp_path / "folder").mkdir()
    for name in ("garbage", "folder", "missing"):
        with pytest.raises(StagerError):
            targets.load(target).layers(str(tmp_path / name))


@pytest.mark.parametrize("target", targets.TARGETS)
def test_a_changed_byte_is_not_read_back_as_the_same_layers(target: str, droplet: DropletFile, tmp_path: Path) -> None:
    made = export(target, droplet, tmp_path / "out")
    path = Path(made.path)
    file = (
        path
        if path.is_file()
        else max((one for one in path.rglob("*") if one.is_file()), key=lambda one: one.stat().st_size)
    )
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle] ^= 0x10
    file.write_bytes(data)
    try:
        found = targets.load(target).layers(made.path)
    except StagerError:
        return
    assert found != made.layers


def test_an_unknown_target_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there is no target 'nowhere'"):
        targets.load("nowhere")


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_three_real_apps_to_every_target(name: str, shared_store: Path, tmp_path: Path) -> None:
    app = materialise(name, tmp_path)
    made = stager.stage(str(app), out=str(tmp_path / "droplet.tgz"), store=Store(str(shared_store)))
    own = tuple(layer.diff_id for layer in made.layers)
    assert len(own) >= 3
    with open_droplet(made.path) as opened:
        for target in targets.TARGETS:
            exported = export(target, opened, tmp_path / f"out-{target}")
            assert targets.load(target).layers(exported.path) == own, target
