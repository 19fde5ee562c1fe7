"""What to do when a machine gives no namespaces, from what was said. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_KNOWN = (
    (
        ("setting up uid map: Permission denied", "write to /proc/self/uid_map", "uid_map: Operation not permitted"),
        "AppArmor forbids user namespaces here: switch on the profile bwrap-userns-restrict (package apparmor-profiles), or "
        "set sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        ("max_*_namespaces exceeded", "No space left on device", "ENOSPC"),
        "there may be no more namespaces: set sysctl user.max_user_namespaces (and max_mnt_, max_pid_, max_net_namespaces) to "
        "more than 0, and be in fewer than 32 user namespaces within one another",
    ),
    (
        ("No permissions to create", "unprivileged_userns_clone", "kernel does not allow non-privileged"),
        "set sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        ("Operation not permitted", "Creating new namespace failed", "Can't mount proc"),
        "in a container, its seccomp profile or missing privileges forbid namespaces: start it with --privileged, or with "
        "--security-opt seccomp=unconfined --security-opt systempaths=unconfined --cap-add SYS_ADMIN",
    ),
)  # fmt: skip


def remedy(attempts: Sequence[tuple[str, str]]) -> str:
    """What to switch on, for what the system said to each attempt (how, what was said)."""
    found = [what for signs, what in _KNOWN if any(sign in said for _, said in attempts for sign in signs)]
    first = found[0] if found else "Allow user namespaces (sysctl user.max_user_namespaces), or run as root"
    return f"{first[0].upper()}{first[1:]}; or have a container engine that DOCKER_HOST names. 'stager doctor' tries it again."
