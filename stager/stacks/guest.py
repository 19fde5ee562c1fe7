"""What a root filesystem gets on top to be a Vagrant box: keys, network, first-boot services, the boot loader's settings.

The files are data in `boxes/guest/`; its README says what each is. Nothing in them is of one machine: host keys, the machine's
id and random seeds are made by the guest at its first boot.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from ..digest import Digest
from ..text import render, resources
from .errors import StackFailed
from .normalise import tree_path
from .tree import RootItem, Tree

USER = "vagrant"
_UNITS = "etc/systemd/system"
_VENDOR = "/usr/lib/systemd/system"
_ENABLED = (
    ("multi-user.target.wants/systemd-networkd.service", f"{_VENDOR}/systemd-networkd.service"),
    ("sockets.target.wants/systemd-networkd.socket", f"{_VENDOR}/systemd-networkd.socket"),
    ("dbus-org.freedesktop.network1.service", f"{_VENDOR}/systemd-networkd.service"),
    (
        "network-online.target.wants/systemd-networkd-wait-online.service",
        f"{_VENDOR}/systemd-networkd-wait-online.service",
    ),
    ("ssh.service.wants/stager-keys.service", f"/{_UNITS}/stager-keys.service"),
    ("multi-user.target.wants/stager-resolve.service", f"/{_UNITS}/stager-resolve.service"),
    ("multi-user.target.wants/stager-resolve.path", f"/{_UNITS}/stager-resolve.path"),
    ("systemd-firstboot.service", "/dev/null"),
)
"""Links that `systemctl enable` and `mask` would make. systemd-firstboot(1) would ask questions at the console."""
_NEEDED = {
    "usr/sbin/sshd": "openssh-server",
    "usr/bin/sudo": "sudo",
    "usr/bin/rsync": "rsync",
}
_BOOTED = {"vmlinuz": "a kernel", "initrd.img": "a kernel's initrd", "usr/lib/systemd/systemd": "systemd"}


def contents() -> dict[str, bytes]:
    """The files of `boxes/guest` by their path in it."""
    return resources.contents(os.path.join(resources.folder("boxes"), "guest"))


def digest() -> Digest:
    """The identity of what `for_disk` and `for_container` lay over a root."""
    return resources.folder_digest(contents())


def boot(uuid: str) -> str:
    """The commands of GRUB's core image."""
    return _filled(contents()["boot.cfg"], uuid, "boot.cfg").decode()


def for_disk(tree: Tree, name: str, uuid: str) -> None:
    """Lay over a root what makes it boot from the file system `uuid`. Raises StackFailed when the root lacks what it needs."""
    _check(tree, name, {**_NEEDED, **_BOOTED})
    files = contents()
    _lay(tree, files, "disk/", uuid)
    for path, target in _ENABLED:
        tree.put(f"{_UNITS}/{path}", RootItem("link", 0o777, target=target))
    _keys(tree, name, files["authorized_keys"])


def for_container(tree: Tree, name: str) -> None:
    """Lay over a root what Vagrant needs of a container that it logs in to. Raises StackFailed likewise."""
    _check(tree, name, _NEEDED)
    files = contents()
    _lay(tree, files, "container/", "")
    _keys(tree, name, files["authorized_keys"])


def _check(tree: Tree, name: str, needed: Mapping[str, str]) -> None:
    missing = [what for path, what in needed.items() if tree.resolve(path) not in tree.items]
    if missing:
        hint = "Build it with the sets 'ssh' and 'machine' of a shipped stack ('extends' brings them along)."
        raise StackFailed(name, "making a box", f"its root filesystem lacks {', '.join(missing)}", hint)


def _lay(tree: Tree, files: Mapping[str, bytes], part: str, uuid: str) -> None:
    for path in sorted(files):
        if path.startswith(part):
            place = path.removeprefix(part)
            mode = 0o755 if place.startswith("usr/lib/stager-box/") else 0o644
            tree.put(tree_path(tree, place), RootItem("file", mode, data=_filled(files[path], uuid, path)))


def _filled(data: bytes, uuid: str, name: str) -> bytes:
    return render.render(data.decode(), {"uuid": uuid}, f"boxes/guest/{name}").encode()


def _keys(tree: Tree, name: str, keys: bytes) -> None:
    """Let Vagrant in, as vagrant: `.ssh` 0700, `authorized_keys` 0600 (sshd(8), StrictModes)."""
    account = next((row for row in _accounts(tree) if row[0] == USER), None)
    if account is None:
        raise StackFailed(name, "making a box", f"its root filesystem has no user {USER}", "Give its box.yml one.")
    uid, gid, home = int(account[2]), int(account[3]), account[5].strip("/")
    tree.put(f"{home}/.ssh", RootItem("folder", 0o700, uid, gid))
    tree.put(f"{home}/.ssh/authorized_keys", RootItem("file", 0o600, uid, gid, data=keys))
    tree.items[home] = replace(tree.items[home], uid=uid, gid=gid)


def _accounts(tree: Tree) -> list[list[str]]:
    rows = tree.bytes_of("etc/passwd").decode("utf-8", "surrogateescape").splitlines()
    return [row.split(":") for row in rows if row.count(":") == 6]
