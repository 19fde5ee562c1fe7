"""A droplet for a bare Debian machine.

The target `tar` writes the layers as one uncompressed tar, for whatever unpacks it; `systemd` a tar.gz of the droplet as it
is, a unit for each process type, and an install script that checks the digest before it unpacks and switches by a rename.
`plain` is their older name, with a `form`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...droplet.cutting import layer_ids
from ...droplet.reader import DropletFile
from ...errors import UsageError
from ...files import whole
from ...files.writing import never
from ...formats import tar
from ...formats.archive import content_chunks, read_tar
from ...formats.errors import BadArchive
from ...formats.gunzip import gunzipped
from ...text.templates import fill
from ..envelopes import DigestingFile, Gzip, NamedOptions, file_entry, folder_entry, publishing
from ..record import Exported, Options, Platform
from .systemd import ONCE, units

if TYPE_CHECKING:
    from ...store import Store

FORMS = ("tar", "systemd")
_DROPLET = "droplet.tgz"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainOptions(NamedOptions):
    """Which of the two is written."""

    form: str = FORMS[0]

    def __post_init__(self) -> None:
        NamedOptions.__post_init__(self)
        if self.form not in FORMS:
            raise UsageError(f"there is no form {self.form!r}", f"One of: {', '.join(FORMS)}.")


def export_tar(
    droplet: DropletFile,
    out: str,
    options: Options = Options(),  # noqa: ARG001,B008 - there are none
    *,
    store: Store | None = None,  # noqa: ARG001
    stop: Callable[[], bool] = never,
) -> Exported:
    """Write the layers as one tar. Raises BadArchive, CannotWrite."""
    with publishing(out, stop) as sink:
        for layer in droplet.layers:
            for part in droplet.tar(layer):
                sink.write(part)
        sink.write(tar.END)
    return _exported("tar", droplet, out, sink)


def export_systemd(
    droplet: DropletFile,
    out: str,
    options: NamedOptions = NamedOptions(),  # noqa: B008 - it is frozen
    *,
    store: Store | None = None,  # noqa: ARG001
    stop: Callable[[], bool] = never,
) -> Exported:
    """Write the installable archive. Raises CannotWrite."""
    with publishing(out, stop) as sink:
        _bundle(options.name, droplet, Gzip(sink.write))
    once = ONCE in droplet.launch.processes
    note = f"'{ONCE}' is started by hand: systemctl start {options.name}-{ONCE}.service"
    return _exported("systemd", droplet, out, sink, (note,) if once else ())


def export(
    droplet: DropletFile,
    out: str,
    options: PlainOptions = PlainOptions(),
    *,
    store: Store | None = None,
    stop: Callable[[], bool] = never,
) -> Exported:
    """Write what `options.form` names. Raises as that does."""
    if options.form == "tar":
        made = export_tar(droplet, out, store=store, stop=stop)
    else:
        made = export_systemd(droplet, out, NamedOptions(name=options.name), store=store, stop=stop)
    return replace(made, target="plain")


def _exported(
    target: str, droplet: DropletFile, out: str, sink: DigestingFile, notes: tuple[str, ...] = ()
) -> Exported:
    return Exported(target, out, sink.digest, sink.size, tuple(layer.diff_id for layer in droplet.layers), notes)


def _bundle(name: str, droplet: DropletFile, archive: Gzip) -> None:
    """A folder named for app and digest: the droplet in stored blocks, the units, the script."""
    folder = f"./{name}-{droplet.digest.hex[:12]}"
    archive.add(folder_entry(folder))
    script = fill(__file__, "install.j2", {"name": name, "droplet": droplet.digest.hex})
    archive.add(file_entry(f"{folder}/install", script.encode(), executable=True))
    for file, text in sorted(units(name, droplet.launch.processes).items()):
        archive.add(file_entry(f"{folder}/{file}", text.encode()))
    archive.add(tar.header(f"{folder}/{_DROPLET}".encode(), droplet.size, False))
    archive.stored(droplet.whole())
    archive.add(tar.padding(droplet.size) + tar.END)
    archive.finish()


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the droplet's layers in either form. Raises BadArchive, Unreadable."""
    first = next(iter(whole.parts(path)), b"")
    if not first.startswith(b"\x1f\x8b"):
        return layer_ids(whole.parts(path), path)
    with read_tar(path, path, "gz") as archive:
        found = [member for member in archive.members if member.name.endswith(f"/{_DROPLET}") and not member.is_link]
        if len(found) != 1:
            raise BadArchive(path, f"has {len(found)} files {_DROPLET}, not one")
        return layer_ids(gunzipped(content_chunks(found[0].content, label=path), path), path)


TAR = Platform("tar", "write the app's files as one plain tar", Options, export_tar, layers, "app.tar")
SYSTEMD = Platform(
    "systemd", "write an installable archive with systemd units", NamedOptions, export_systemd, layers, "systemd.tgz"
)
PLAIN = Platform("plain", "the older name of tar and systemd", PlainOptions, export, layers, "app.tar")
