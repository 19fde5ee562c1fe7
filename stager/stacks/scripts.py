"""A stack's own script, or Chef's run list, run in its finished root: as its root user, without a network.

The root is unpacked into memory in the same kind of namespaces that it was made in; bubblewrap then runs the step there with
an empty `/tmp` and `/run`, with what it brings along at `/run/stager`, and without the rights that would reach the
machine. What it leaves is read back and cleaned like any root.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import CannotWrite
from ..store.disk import why
from . import normalise, sandbox, tree
from .build_context import temporary
from .errors import StackFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..store import Store
    from .build_context import Making
    from .definition import Definition, StackStep
    from .tree import Tree

_RIGHTS = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "SETFCAP", "KILL", "SYS_CHROOT")
"""What installing needs (capabilities(7)); nothing that mounts, opens devices or changes the network."""
_RUN = """\
mount -t proc proc /proc
mkdir root
tar --extract --numeric-owner --same-owner --same-permissions --directory root
epoch=$1
shift
bwrap --bind root / --dev /dev --proc /proc --tmpfs /tmp --tmpfs /run --dir /run/lock --ro-bind in /run/stager \\
    --unshare-ipc --unshare-pid --unshare-net --unshare-uts --hostname localhost --new-session --die-with-parent \\
    --chdir / --cap-drop ALL RIGHTS --clearenv --setenv PATH "$PATH" --setenv HOME /root --setenv LC_ALL C.UTF-8 \\
    --setenv SOURCE_DATE_EPOCH "$epoch" --setenv DEBIAN_FRONTEND noninteractive -- "$@" </dev/null >&2
tar --create --format=posix --numeric-owner --sort=name --directory root .
""".replace("RIGHTS", " ".join(f"--cap-add CAP_{name}" for name in _RIGHTS))
_CHEF = ("opt/chef/bin/chef-solo", "usr/bin/chef-solo", "usr/local/bin/chef-solo", "opt/cinc/bin/chef-solo")
_CALLED = {"script": "its script", "chef": "its chef run list"}
_SPARE = 256 << 20


def run(definition: Definition, step: StackStep, root: Tree, epoch: int, making: Making, out: int) -> Tree:
    """The root after a step, as a tree over the tar in `out`. Raises StackFailed, and what `sandbox.run` raises."""
    sandbox.program("bwrap", "run a stack's own script")
    command = _command(definition, step, root)
    with temporary(making.store) as before, _brought(step, making.store) as folder:
        with open(before, "wb", closefd=False) as file:
            tree.write(root, epoch, file.write)
        room = 3 * os.fstat(before).st_size + _SPARE
        os.lseek(before, 0, os.SEEK_SET)
        sandbox.run(
            definition.name, _CALLED[step.kind], _RUN, [str(epoch), *command], folder=folder, out=out, source=before,
            room=room, cancel=making.cancel,
        )  # fmt: skip
    after = tree.read(out, f"the root filesystem of {definition.name}")
    normalise.clean(after)
    normalise.accounts(after, epoch)
    return after


def _command(definition: Definition, step: StackStep, root: Tree) -> list[str]:
    if step.kind == "script":
        return ["/bin/sh", "/run/stager/script"]
    program = next((path for path in _CHEF if root.bytes_of(root.resolve(path))), "")
    if not program:
        hint = "Have a package of the stack, or its tree, bring chef-solo; or run the recipes on another stack."
        raise StackFailed(
            definition.name, "its chef run list", "chef-solo is not installed in its root filesystem", hint
        )
    named = ["--json-attributes", "/run/stager/attributes.json"] if dict(step.files).get("attributes.json") else []
    runs = ["--override-runlist", ",".join(step.run_list)]
    return [f"/{program}", "--config", "/run/stager/solo.rb", "--no-color", *named, *runs]


@contextmanager
def _brought(step: StackStep, store: Store) -> Iterator[str]:
    """A folder with what the step brings along; gone afterwards."""
    folder = store.temp()
    files = dict(step.files)
    if step.kind == "chef":
        files["solo.rb"] = (
            b'cookbook_path "/run/stager/cookbooks"\nfile_cache_path "/tmp/chef"\nfile_backup_path "/tmp/chef"\n'
        )
    try:
        os.mkdir(folder, 0o700)
        for name, data in files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        yield folder
    except OSError as error:
        raise CannotWrite(store.root, why(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
