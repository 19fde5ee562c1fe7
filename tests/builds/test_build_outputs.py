"""What a build left: collected in one order, with what recipes leave out and write again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stager.builds import apps, outputs
from stager.builds.errors import BuildFailed, BuildTooBig
from stager.builds.outputs import Archive
from stager.builds.recipes import Recipe
from stager.errors import CannotWrite
from stager.files import below
from stager.records import AppBuild
from stager.store import Store
from stager.tree import Link, SourceTree

SORTING = Recipe(
    name="a/1",
    mends="order",
    drops=("out/cache/**",),
    rewrites={"out/*.list": lambda data: b"".join(sorted(data.split()))},
)


def lay(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def collected(folder: Path, *names: str, recipes: tuple[Recipe, ...] = ()) -> outputs.Left:
    return outputs.collect("own", str(folder), names or ("out",), "", recipes)


def test_files_links_and_executable_bits(tmp_path: Path) -> None:
    lay(tmp_path, out__b="b", out__a__c="c", other="no")
    (tmp_path / "out/a/c").chmod(0o700)
    (tmp_path / "out/link").symlink_to("a/c")
    left = collected(tmp_path)
    assert [(row[0], row[1]) for row in left.rows()] == [("out/a/c", True), ("out/b", False), ("out/link", "link")]
    assert b"".join(left.chunks("out/b")) == b"b"


def test_recipes_leave_out_and_write_again(tmp_path: Path) -> None:
    lay(tmp_path, out__cache__x="x", out__y="y")
    lay(tmp_path, **{"out__z.list": "b a"})
    left = collected(tmp_path, recipes=(SORTING,))
    assert [row[0] for row in left.rows()] == ["out/y", "out/z.list"]
    assert b"".join(left.chunks("out/z.list")) == b"ab"


def test_only_what_is_left_out_is_nothing(tmp_path: Path) -> None:
    lay(tmp_path, out__cache__x="x")
    with pytest.raises(BuildFailed, match="left nothing: there is no out or more"):
        collected(tmp_path, "out", "more", recipes=(SORTING,))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "a/../../../x", "../../app/x"])
def test_a_link_that_leads_outside(target: str, tmp_path: Path) -> None:
    lay(tmp_path, out__x="x")
    (tmp_path / "out/link").symlink_to(target)
    with pytest.raises(BuildFailed, match="which leads outside the app"):
        collected(tmp_path)


def test_stored_and_laid_over_a_tree(tmp_path: Path) -> None:
    lay(tmp_path / "a", out__x="xx", out__y="yyy", out__empty="")
    (tmp_path / "a/out/link").symlink_to("x")
    store = Store(str(tmp_path / "store"))
    built = outputs.stored(collected(tmp_path / "a"), "own", "k" * 64, True, store)
    before = SourceTree.of({"out/old": "old", "app.py": "app"})
    tree = before.with_built(["out"], built.files, built.links, store.path(built.blob))
    assert [*tree.files] == ["app.py", "out/empty", "out/x", "out/y"]
    assert tree.links == {"out/link": "x"}
    assert [tree.read_bytes(path) for path in tree.files] == [b"app", b"", b"xx", b"yyy"]
    assert tree.read_text("out/link") == "xx"
    assert b"".join(tree.chunks("out/y")) == b"yyy"
    assert "out/old" in before.files


def test_nothing_is_read_through_a_link_that_the_build_made(tmp_path: Path) -> None:
    lay(tmp_path / "host", etc__shadow="secret", etc__deep__er="secret")
    app = lay(tmp_path / "app", out__a="a")
    (app / "l").symlink_to(tmp_path / "host")
    (app / "out/deep").symlink_to("../../host/etc")
    with pytest.raises(BuildFailed, match="left nothing"):
        collected(app, "l/etc/shadow", "l/etc", "out/deep/deep")
    with pytest.raises(BuildFailed, match="leads outside the app"):
        collected(app, "out")
    (app / "out/deep").unlink()
    assert [*collected(app, "l/etc", "out").files] == ["out/a"]


def test_an_archive_is_not_taken_through_a_link(tmp_path: Path) -> None:
    lay(tmp_path / "host", **{"x.whl": "another's"})
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp/out").symlink_to(tmp_path / "host")
    with pytest.raises(BuildFailed, match="cannot be read"):
        outputs.archive("own", str(tmp_path / "tmp"), "out")
    (tmp_path / "tmp/out").unlink()
    lay(tmp_path / "tmp", **{"out__x.whl": "its own"})
    assert outputs.archive("own", str(tmp_path / "tmp"), "out") == Archive("x.whl", b"its own")


def test_an_archive_without_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, **{"out__x.whl": "0123456789"})
    monkeypatch.setattr(outputs, "_LARGEST", 9)
    with pytest.raises(BuildTooBig, match="an archive of more than 9 bytes"):
        outputs.archive("own", str(tmp_path), "out")


def test_files_are_not_laid_through_links_that_a_build_has_left(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "app").mkdir()
    below.link(str(tmp_path / "app"), "a", "../host")
    tree = SourceTree.of({"b/evil": Link("../tmp/x"), "a/evil": "text"})
    with pytest.raises(CannotWrite):
        apps.lay(tree, AppBuild("own", "p", ("**",), ("out",)), str(tmp_path / "app"), reverse=False)
    with pytest.raises(CannotWrite):
        apps.write(str(tmp_path / "app"), "a/previewinfo", b"key")
    assert not list((tmp_path / "host").iterdir())


def test_what_a_build_leaves_below_a_link_takes_its_place() -> None:
    tree = SourceTree.of({"a": Link("b"), "b/x": "x", "c": "a file"})
    built = tree.with_built(
        ["a/sub", "c/sub"], [["a/sub/y", False, "sha256:" + "0" * 64, 0, 0]], {"c/sub": "../b"}, "blob"
    )
    assert (sorted(built.files), built.links) == (["a/sub/y", "b/x"], {"c/sub": "../b"})
