"""A root filesystem as an ext4 file system, whose every byte is a function of the tree: no mount, no loop device, no root.

`mke2fs -d` copies the times of a folder and the order of its entries from the machine (inode times, readdir(3)). So the file
system is made empty, with a fixed UUID, hash seed, feature list and time, and debugfs(8) then creates every entry by a script,
in the order of the paths' bytes. Both read E2FSPROGS_FAKE_TIME, which stands for the clock wherever they ask for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress

from . import tools
from .errors import StackFailed
from .tree import RootItem, Tree

FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,"
    "dir_nlink,extra_isize,metadata_csum"
)
"""Written out, so that no version's defaults and no /etc/mke2fs.conf take part; Linux 3.18 and GRUB 2.06 read them all."""
BLOCK = 4096
_PER_INODE = 16384
_JOURNAL = 64
"""MiB."""
_OPTIONS = "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1,nodiscard"
"""The image is a fresh sparse file: what is not written is zero, so tables need not be zeroed, here or in the guest."""


def write(
    tree: Tree, image: str, offset: int, size: int, uuid: str, epoch: int, folder: str, name: str,
    cancel: threading.Event | None = None,
) -> None:  # fmt: skip
    """Make the file system of `size` bytes at `offset` of the file `image`, working in the empty `folder`.

    Raises StackFailed, CannotWrite, ProgramMissing, Cancelled.
    """
    env = {"E2FSPROGS_FAKE_TIME": str(epoch), "SOURCE_DATE_EPOCH": str(epoch), "MKE2FS_CONFIG": "/dev/null"}
    settings = f"hash_seed={uuid},offset={offset},{_OPTIONS}"
    tools.run(
        name, "making the file system",
        ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-I", "256", "-i", str(_PER_INODE), "-m", "1",
         "-O", FEATURES, "-J", f"size={_JOURNAL}", "-U", uuid, "-L", "", "-M", "/", "-e", "remount-ro", "-E", settings,
         image, f"{size // BLOCK}"],
        folder, env=env, cancel=cancel,
    )  # fmt: skip
    script = os.path.join(folder, "script")
    with open(script, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _script(tree, folder, name))
    command = ["debugfs", "-w", "-f", script, f"{image}?offset={offset}"]
    tools.run(name, "filling the file system", command, folder, env=env, quiet=True, cancel=cancel)


def _script(tree: Tree, folder: str, name: str) -> Iterator[str]:
    """debugfs's commands, in the order of the paths' bytes; files' contents are laid into `folder` as they come up."""
    first: dict[str, str] = {}
    links: dict[str, int] = {}
    here, number = "", 0
    for path in sorted(tree.items, key=os.fsencode):
        item, place = tree.items[path], _quoted(f"/{path}", name)
        above, base = os.path.split(path)
        if above != here:  # debugfs looks up "/x" from where it is, so everything is made in its own folder
            yield f"cd {_quoted(f'/{above}', name)}"
            here = above
        base = _quoted(base, name)
        if item.inode and first.setdefault(item.inode, path) != path:
            yield f"ln {_quoted(f'/{first[item.inode]}', name)} {base}"
            links[item.inode] = links.get(item.inode, 1) + 1
            continue
        if item.kind == "link":
            yield f"symlink {base} {_quoted(item.target, name)}"
        elif item.kind == "folder":
            yield from [f"mkdir {base}"] if path else []
            yield f"sif {place} mode 04{item.mode:04o}"
        else:
            number += 1
            _content(tree, item, os.path.join(folder, f"f{number}"))
            yield f"write f{number} {base}"
            yield f"sif {place} mode 010{item.mode:04o}"
        yield from _owner(item, place)
    for inode, count in links.items():
        yield f"sif {_quoted(f'/{first[inode]}', name)} links_count {count}"


def _owner(item: RootItem, place: str) -> Iterator[str]:
    """The owner, where it is not root, whom debugfs gives everything to."""
    if item.uid:
        yield f"sif {place} uid {item.uid}"
    if item.gid:
        yield f"sif {place} gid {item.gid}"


def _quoted(path: str, name: str) -> str:
    """A path as debugfs reads it: in double quotes, a doubled one standing for itself; for a line's end there is nothing."""
    if "\n" in path or "\r" in path:
        raise StackFailed(name, "making the file system", f"{path!r} holds a line break", "Rename that file.")
    return '"' + path.replace('"', '""') + '"'


def _content(tree: Tree, item: RootItem, path: str) -> None:
    with open(path, "xb") as file:
        file.writelines(tree.chunks(item))


def forget_contents(folder: str) -> None:
    """Remove what `write` laid into its folder."""
    for entry in os.scandir(folder):
        if entry.name == "script" or (entry.name[0] == "f" and entry.name[1:].isdecimal()):
            with suppress(OSError):
                os.unlink(entry.path)
