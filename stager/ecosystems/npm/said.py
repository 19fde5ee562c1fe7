"""What an npm package says of itself: unpacking reads it once, and vetting and the links of commands go by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .platform import Needs


@dataclass(frozen=True, slots=True)
class PackageSaid:
    """What later steps need to know of an unpacked package."""

    name: str
    version: str
    """As its package.json writes it; empty for none."""
    bin: Mapping[str, str]
    """Command → file in the package."""
    install: tuple[str, ...] = ()
    """Names of its install scripts."""
    native: str = ""
    """Why it must be compiled; empty for one that need not be."""
    prebuilt: tuple[str, ...] = ()
    """Its compiled add-ons."""
    needs: tuple[str, ...] = ()
    """Names that it depends on firmly."""
    wants: tuple[str, ...] = ()
    """Those that it goes on without."""
    runs_on: Needs = field(default_factory=Needs)
    bundled: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Folder → its `bin`, of the packages inside the tarball."""
    dropped: int = 0
    """How many links the tarball had, none of which is unpacked."""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name

    def to_json(self) -> dict[str, object]:
        """What `Unpacked.meta` holds of it."""
        limits = {key: list(words) for key in ("os", "cpu", "libc") if (words := getattr(self.runs_on, key))}
        return {
            "name": self.name,
            "version": self.version,
            "bin": self.bin,
            "install": list(self.install),
            "native": self.native,
            "prebuilt": list(self.prebuilt),
            "needs": list(self.needs),
            "wants": list(self.wants),
            **limits,
            "bundled": self.bundled,
            "dropped": self.dropped,
        }

    @classmethod
    def from_json(cls, meta: Mapping[str, Any]) -> PackageSaid:
        """What `to_json` gave; of a package that says nothing, nothing."""

        def words(key: str) -> tuple[str, ...]:
            return tuple(meta.get(key, ()))

        return cls(
            name=meta.get("name", ""),
            version=meta.get("version", ""),
            bin=meta.get("bin", {}),
            install=words("install"),
            native=meta.get("native", ""),
            prebuilt=words("prebuilt"),
            needs=words("needs"),
            wants=words("wants"),
            runs_on=Needs(words("os"), words("cpu"), words("libc")),
            bundled=meta.get("bundled", {}),
            dropped=meta.get("dropped", 0),
        )
