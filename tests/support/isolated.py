"""What the tests of `stager run --in …` share: small root filesystems, an app that looks around, another user."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from command import PROGRAM, stager
from engine import Engine
from filelock import FileLock

from stager.stacks import find, lock, root
from stager.store import Store

PROGRAMS = (
    "sh",
    "bash",
    "perl",
    "cat",
    "ls",
    "id",
    "sleep",
    "sha256sum",
    "tar",
    "gzip",
    "readlink",
    "dirname",
    "touch",
    "mkdir",
    "chmod",
    "mv",
    "setpriv",
)
PERL = "/usr/lib/x86_64-linux-gnu/perl-base"
OTHER_USER = 65534
"""`nobody`, who owns nothing here."""


def need_bwrap() -> None:
    """Skip unless namespaces can be made here."""
    if sys.platform != "linux" or not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")


def small_root(place: Path) -> Path:
    """A root filesystem's tar of a few of this machine's programs with their libraries (about 15 MB), made in a moment."""
    files: set[str] = set()
    for name in PROGRAMS:
        path = shutil.which(name, path="/usr/bin:/bin")
        assert path, f"{name} is not here"
        files.add(path)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        files.update(re.findall(r"(/\S+) \(0x", listed))
    made = place / "root.tar"
    with tarfile.open(made, "w") as tar:
        for path in sorted(files):
            tar.add(os.path.realpath(path), path.removeprefix("/"))
        tar.add(PERL, PERL.removeprefix("/"))
        for name, target in (("bin", ""), ("etc", ""), ("etc/elsewhere", "/etc/hostname")):
            item = tarfile.TarInfo(name)
            item.type, item.linkname = (tarfile.SYMTYPE, target) if target else (tarfile.DIRTYPE, "")
            item.mode = 0o755
            tar.addfile(item)
        for path in ("bin/sh", "bin/bash"):
            if f"/{path}" not in files:
                item = tarfile.TarInfo(path)
                item.type, item.linkname = tarfile.SYMTYPE, f"/usr/{path}"
                tar.addfile(item)
    return made


def stack_in(store: Path, stack: str) -> str:
    """Have the root of a shipped stack in a store, locked afresh and built once a run: its digest.

    Where the index has replaced packages of the committed lock by now, it is filed under that one, too.
    """
    place = store / "stacks"
    place.mkdir(exist_ok=True)
    file = place / f"{stack}-{os.getppid() if 'PYTEST_XDIST_WORKER' in os.environ else os.getpid()}.lock"
    with FileLock(f"{file}.guard"):
        if not file.is_file():
            stager("box", "lock", stack, "-o", file, store=store).good()
        stager("box", "build", stack, "--lock", file, "--quiet", store=store).good()
        definition, kept = find.load(stack), Store(str(store))
        made = root.find(definition, lock.load(definition, str(file)), "amd64", kept)
        committed = root.stack_digest(definition, lock.load(definition), "amd64")
        if stager("box", "build", stack, "--quiet", store=store).code:
            facts = {"digest": made.digest, "size": made.size, "entries": made.entries, "packages": made.packages}
            kept.remember("stack-root", committed, facts)
    return str(made.digest)


@contextlib.contextmanager
def bridge(engine: Engine) -> Iterator[str]:
    """A network of an engine of the tests', which has none by itself: its name. Every test process has its own."""
    from docker.types import IPAMConfig, IPAMPool

    number = os.getpid() % 65536
    pool = IPAMConfig(
        pool_configs=[IPAMPool(subnet=f"10.{64 + number // 4096}.{number // 16 % 256}.{number % 16 * 16}/28")]
    )
    options = {"com.docker.network.bridge.name": f"stgr{number}"}
    network = engine.client.networks.create(f"run{number}", driver="bridge", options=options, ipam=pool)
    try:
        yield str(network.name)
    finally:
        network.remove()


def logged(log: Path, text: str, seconds: float = 10.0) -> None:
    """Wait until a running command has said something."""
    deadline = time.monotonic() + seconds
    while text not in log.read_text("utf-8", "replace"):
        assert time.monotonic() < deadline, f"it never said {text!r}"
        time.sleep(0.05)


def as_other_user(
    arguments: Sequence[object], *, folder: Path, before: Sequence[str] = (), program: Sequence[str] = PROGRAM
) -> list[str]:
    """The command that runs `stager ARGUMENTS` (behind `before`), or another program, as another user. Needs root.

    In a mount namespace of its own the interpreter, this checkout and `folder` are where that user can reach them,
    also when they are below a home folder that is closed to others.
    """
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    wanted = [path.resolve() for path in (Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[2], folder)]
    closed = [path for path in wanted if any(not up.stat().st_mode & 1 for up in [path, *path.parents])]
    tops = {path.parts[1] for path in closed}
    hidden = [path for path in wanted if path.parts[1] in tops]  # what lies beside a closed one goes with it
    lines = ["set -eu", "mount -t tmpfs tmpfs /mnt"]
    for number, path in enumerate(hidden):
        lines += [f"mkdir /mnt/{number}", f"mount --bind '{path}' /mnt/{number}"]
    for top in sorted(tops):
        lines += [f"mount -t tmpfs -o mode=0755 tmpfs /{top}"]
    for number, path in enumerate(hidden):
        lines += [f"mkdir -p '{path}'", f"mount --bind /mnt/{number} '{path}'"]
    user = ["setpriv", "--reuid", str(OTHER_USER), "--regid", str(OTHER_USER), "--clear-groups", "--inh-caps=-all"]
    script = "\n".join([*lines, 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh", *user, "--", *before, *program, *map(str, arguments)]


MISSES = "(trap 'exec sleep 30' TERM; echo up; while :; do sleep 0.05; done) & trap 'exit 5' TERM; wait"
"""A process hears the signal with its parent's handler and then is another program, as one that is forked at that moment."""
STAYS = "(trap '' TERM; echo up; sleep 60) & trap 'exit 5' TERM; wait"
"""The first process ends as it is told; what it leaves does not."""
LOOK = r"""#!/usr/bin/perl
use strict; use warnings; use Socket; use IO::Socket::INET;
my %told = (write => '', read => '', map { split /=/, $_, 2 } @ARGV);
sub says { print join("\t", @_), "\n" }
sub yes { $_[0] ? 'yes' : 'no' }
for my $path (split /,/, $told{write}) { says("write $path", yes(open my $file, '>>', $path)) }
for my $path (split /,/, $told{read}) { says("read $path", yes(open my $file, '<', $path)) }
opendir(my $proc, '/proc'); my @pids = grep { /^\d+$/ && $_ != $$ } readdir $proc;
sub line { open(my $file, '<', "/proc/$_[0]/cmdline") or return ''; return join '', <$file> }
my $seen = grep { line($_) =~ /time.sleep.*$told{marker}/ } @pids;
says('processes', scalar @pids); says('marked', $seen);
says('kill', yes(kill 0, $told{pid}));
open my $status, '<', '/proc/self/status';
while (<$status>) { says($1, join ' ', split ' ', $2) if /^(Cap\w+|NoNewPrivs|Uid|Gid):\s*(.*?)\s*$/ }
open my $name, '<', '/proc/sys/kernel/hostname'; chomp(my $host = <$name>); says('hostname', $host);
says('tcp', yes(IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $told{tcp})));
my $udp = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $told{udp}); print $udp 'ping' if $udp;
socket(my $unix, PF_UNIX, SOCK_STREAM, 0); says('abstract', yes(connect $unix, pack('S a*', AF_UNIX, "\0$told{abstract}")));
open my $dev, '<', '/proc/net/dev'; says('interfaces', join ',', sort map { /^\s*(\S+?):/ ? $1 : () } <$dev>);
my $own = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1);
says('loopback', yes(IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $own->sockport)));
if ($told{become}) { says('chroot', yes(chroot '/tmp')); $> = 0; says('setuid', yes($> == 0)) }
"""
"""An app that tells what it can do and see. Told by `name=value`: paths, a host's process, its ports and sockets."""
