"""What to switch on, for what a machine said."""

from __future__ import annotations

import pytest

from stager.sandbox.remedies import remedy


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("bwrap: setting up uid map: Permission denied", "bwrap-userns-restrict"),
        ("bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)",
         "user.max_user_namespaces"),
        ("unshare: unshare failed: No space left on device", "user.max_user_namespaces"),
        ("bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged user "
         "namespaces. On e.g. debian this can be enabled with 'sysctl kernel.unprivileged_userns_clone=1'.",
         "kernel.unprivileged_userns_clone=1"),
        ("unshare: unshare failed: Operation not permitted", "--privileged"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths=unconfined"),
        ("something nobody knows", "user.max_user_namespaces"),
    ],
)  # fmt: skip
def test_each_sign_has_its_remedy(said: str, wanted: str) -> None:
    found = remedy([("with root", "nothing of note"), ("in a user namespace", said)])
    assert wanted in found
    assert found[0].isupper()
    assert found.endswith("'stager doctor' tries it again.")
