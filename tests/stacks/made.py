"""What the tests of stacks share: a small definition, a made-up signed archive, a real root built once a run."""

from __future__ import annotations

import os
from pathlib import Path

from command import stager
from debian_archive import MIRRORS, Pages, keyring, publish, stanza
from filelock import FileLock

from stager.stacks import find, lock, root
from stager.stacks.definition import Definition
from stager.stacks.lock import StackLock
from stager.stacks.root import Root
from stager.store import Store

BOX = """\
summary: A test
distribution: debian
glibc: "2.36"
architectures: [amd64]
libraries: []
archive: {suite: bookworm, keyring: [key.gpg]}
root:
  packages: [shell]
  locale: C
  users:
    vcap: {uid: "2000", gid: "2000", home: /home/vcap, shell: /bin/sh}
vagrant:
  ssh: {packages: [server]}
"""
DATE = "Sat, 21 Nov 2026 02:10:46 UTC"
EPOCH = 1795227046


def folder(place: Path, text: str = BOX, name: str = "mine") -> Path:
    """A stack's folder with this `box.yml`, and the made-up archive's key."""
    made = place / name
    (made / "keyrings").mkdir(parents=True)
    (made / "keyrings" / "key.gpg").write_bytes(keyring("archive"))
    (made / "box.yml").write_text(text, "utf-8")
    return made


def definition(place: Path, text: str = BOX, name: str = "mine") -> Definition:
    """The definition in a new folder with this `box.yml`."""
    return find.load(str(folder(place, text, name)))


def archive(stanzas: dict[str, list[str]] | None = None, *, by: str = "archive", date: str = DATE) -> Pages:
    """Signed indexes of bookworm and its updates; suite → paragraphs."""
    web = Pages()
    usual = {
        "bookworm": [
            stanza("base", Essential="yes", Pre_Depends="libc (>= 2)"),
            stanza("libc", "2.36-1"),
            stanza("server", Depends="libc (>= 2.3), crypt | crypt-ng"),
            stanza("shell", Depends="libc, awk"),
            stanza("mawk", Provides="awk"),
            stanza("crypt", "3-1"),
        ]
    }
    found = usual if stanzas is None else stanzas
    for suite, mirror in (("", MIRRORS.archive), ("-updates", MIRRORS.archive), ("-security", MIRRORS.security)):
        name = f"bookworm{suite}"
        publish(web, mirror, name, found.get(name, []), by=by, Date=date)
    return web


def built(shared: Path, stack: str = "debian-12") -> tuple[Definition, StackLock, Root, Store]:
    """A shipped stack, locked afresh and built once for all tests of a run; and the store it is in."""
    place = shared / "stacks"
    place.mkdir(exist_ok=True)
    file = place / f"{stack}-{os.getppid() if 'PYTEST_XDIST_WORKER' in os.environ else os.getpid()}.lock"
    with FileLock(f"{file}.guard"):
        if not file.is_file():
            stager("box", "lock", stack, "-o", file, store=shared).good()
        stager("box", "build", stack, "--lock", file, "--quiet", store=shared).good()
    found, store = find.load(stack), Store(str(shared))
    pinned = lock.load(found, str(file))
    return found, pinned, root.find(found, pinned, "amd64", store), store
