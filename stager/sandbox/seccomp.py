"""A second wall behind the namespaces: calls of the kernel that a build has no use for, as a filter that bubblewrap loads.

Keys and virtual sockets are no namespace's: what holds them apart is this alone. Other namespaces inside, programs in the
kernel and its rings are ways to its mistakes (seccomp(2), linux/filter.h, linux/seccomp.h, linux/audit.h).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _LEAST, _ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGE|BPF_K, BPF_JMP|BPF_JSET|BPF_K, BPF_RET|BPF_K."""
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16
"""Where seccomp_data has the call, the architecture, the lower half of the first argument."""
_NEW_USER = 0x10000000
"""CLONE_NEWUSER."""
_FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, which the network namespace confines."""
_X32 = 0x40000000


@dataclass(frozen=True, slots=True)
class _Numbers:
    """An architecture's own numbers; `refused` are add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd."""

    architecture: int
    clone: int
    unshare: int
    socket: int
    refused: tuple[int, ...]


_OF = {
    "x86_64": _Numbers(0xC000003E, 56, 272, 41, (248, 249, 250, 321, 298, 323)),
    "aarch64": _Numbers(0xC00000B7, 220, 97, 198, (217, 218, 219, 280, 241, 282)),
}
_ABSENT = (435, 425, 426, 427)
"""clone3, whose flags no filter can see, and io_uring's, by which others could be called; the same number everywhere."""


def program(machine: str) -> bytes:
    """The filter for a machine, as an array of `struct sock_filter`; empty for one that is not known."""
    if machine not in _OF:
        return b""
    own = _OF[machine]
    rows = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, own.architecture),
        _refuse(errno.ENOSYS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        rows += [(_LEAST, 0, 1, _X32), _refuse(errno.ENOSYS)]
    for number in _ABSENT:
        rows += [(_EQUAL, 0, 1, number), _refuse(errno.ENOSYS)]
    for number in own.refused:
        rows += [(_EQUAL, 0, 1, number), _refuse(errno.EPERM)]
    for number in (own.clone, own.unshare):
        rows += [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _FIRST),
            (_ANY, 0, 1, _NEW_USER),
            _refuse(errno.EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    rows += [(_EQUAL, 0, len(_FAMILIES) + 2, own.socket), (_LOAD, 0, 0, _FIRST)]
    rows += [(_EQUAL, len(_FAMILIES) - place, 0, family) for place, family in enumerate(_FAMILIES)]
    rows += [_refuse(errno.EAFNOSUPPORT), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def _refuse(number: int) -> tuple[int, int, int, int]:
    return _RETURN, 0, 0, _ERRNO | number
