"""The filter of calls, read by a machine as the kernel's: what each call gets."""

from __future__ import annotations

import errno
import struct

import pytest

from stager.sandbox import seccomp

X86, ARM = 0xC000003E, 0xC00000B7
ALLOWED = 0x7FFF0000


def answer(machine: str, architecture: int, number: int, first: int = 0) -> int:
    """Run the filter over one call: 0 when it is allowed, else the error's number (the classic BPF of seccomp(2))."""
    rows = [struct.unpack("=HBBI", part) for part in zip_rows(seccomp.program(machine))]
    data = struct.pack("=iIQQ", number, architecture, 0, first)
    at = value = 0
    while True:
        code, true, false, k = rows[at]
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, k)
            case 0x06:
                return 0 if k == ALLOWED else k & 0xFFFF
            case 0x15 | 0x35 | 0x45:
                holds = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code]
                at += true if holds else false
            case _:
                raise AssertionError(f"an instruction that the filter does not have: {code}")


def zip_rows(program: bytes) -> list[bytes]:
    assert len(program) % 8 == 0
    return [program[at : at + 8] for at in range(0, len(program), 8)]


@pytest.mark.parametrize(
    ("machine", "architecture", "socket", "clone", "unshare", "keyctl"),
    [("x86_64", X86, 41, 56, 272, 250), ("aarch64", ARM, 198, 220, 97, 219)],
)
def test_what_each_call_gets(
    machine: str, architecture: int, socket: int, clone: int, unshare: int, keyctl: int
) -> None:
    def told(number: int, first: int = 0) -> int:
        return answer(machine, architecture, number, first)

    families = {family: told(socket, family) for family in (1, 2, 10, 16, 17, 38, 40)}
    refused = errno.EAFNOSUPPORT
    assert families == {1: 0, 2: 0, 10: 0, 16: 0, 17: refused, 38: refused, 40: refused}
    new_user, thread = 0x10000000, 0x3D0F00
    assert [told(clone, new_user | 17), told(clone, thread), told(clone, 17)] == [errno.EPERM, 0, 0]
    assert [told(unshare, new_user), told(unshare, 0x200)] == [errno.EPERM, 0]
    assert told(keyctl) == errno.EPERM
    assert [told(number) for number in (435, 425, 426, 427)] == [errno.ENOSYS] * 4
    assert [told(number) for number in (0, 1, 59, 63, 64, 221, 300, 436)] == [0] * 8
    assert answer(machine, 0x40000003, 1) == errno.ENOSYS, "programs of another architecture"


def test_calls_of_the_x32_kind() -> None:
    assert answer("x86_64", X86, 0x40000000 | 41, 40) == errno.ENOSYS


def test_a_machine_that_is_not_known_has_no_filter() -> None:
    assert seccomp.program("riscv64") == b""
