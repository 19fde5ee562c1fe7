"""How registries are reached: proxies, certificates, logins, patience. One value for a whole session."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....model import Progress
from ....net.indexes import Indexes
from ....net.patience import Patience
from .credentials import Logins

CERTIFICATES = "/etc/docker/certs.d"
CHUNK = 32 << 20
"""Bytes of one request of an upload: small enough for proxies that limit a body, large enough to cost no time."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach registries, and whom to tell.

    `indexes` gives proxies and certificates only; `logins` None means nobody logs in. `chunk` is in bytes, `commit` the
    seconds a registry may take to answer the end of an upload: it may copy a whole blob before it does.
    """

    indexes: Indexes = field(default_factory=Indexes)
    logins: Logins | None = None
    plain_http: bool = False
    """Speak http with a registry that is not on this machine."""
    patience: Patience = field(default_factory=Patience)
    commit: float = 300.0
    chunk: int = CHUNK
    jobs: int = 4
    certificates: str = ""
    """The folder of Docker's own certificates for registries, one folder a host; empty for none."""
    progress: Progress | None = None
    cancel: threading.Event | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], home: str, **wishes: Any) -> Access:
        """What this user's configuration says; `wishes` are further fields. Raises BadSettings."""
        indexes = Indexes.from_environment(environ, home=home)
        return cls(indexes=indexes, logins=Logins(environ, home), certificates=CERTIFICATES, **wishes)

    def stopping(self) -> bool:
        """Whether the caller asked to stop."""
        return self.cancel is not None and self.cancel.is_set()
