"""What is read from the index of a tree is what the tree had."""

from __future__ import annotations

from pathlib import Path

from stager.tree import SourceTree
from stager.tree.index import changes, files

FILES = {
    "main.py": "print()\n",
    "lib/a.py": "A = 1\n",
    ".npmrc": "fund=false\n",
    ".gitignore": "*.log\n",
    ".stagerignore": "!config/kept.key\n",
    "noise.log": "left out\n",
    "config/kept.key": "asked for\n",
    "config/other.key": "a likely secret\n",
}


def write(root: Path, contents: dict[str, str]) -> SourceTree:
    for path, text in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return SourceTree.read(str(root))


def test_an_index_names_the_trees_files_and_no_others(tmp_path: Path) -> None:
    """Those too that were looked into for a login and held none, and those that the ignore file asks for."""
    (tmp_path / "link").symlink_to("main.py")
    tree = write(tmp_path, FILES)
    assert dict(files(tree.index)) == {path: file.digest for path, file in tree.files.items()}
    assert {".npmrc", "config/kept.key", "main.py"} < tree.files.keys()
    assert tree.index["folders"][""][".npmrc"].startswith("f?")


def test_what_happened_between_two_indexes(tmp_path: Path) -> None:
    (tmp_path / "old").symlink_to("main.py")
    before = write(tmp_path, FILES).index
    (tmp_path / "old").unlink()
    (tmp_path / "new").symlink_to("main.py")
    (tmp_path / "lib/a.py").unlink()
    after = write(tmp_path, {"main.py": "print(1)\n", ".npmrc": "fund=true\n", "noise.log": "x", "b/c.py": ""}).index
    expected = {
        "main.py": "changed",
        ".npmrc": "changed",
        "lib/a.py": "went",
        "b/c.py": "came",
        "old": "went",
        "new": "came",
    }
    assert changes(before, after) == expected
    assert changes(after, after) == {}
    assert changes({}, before).keys() == {*dict(files(before)), "old"}
