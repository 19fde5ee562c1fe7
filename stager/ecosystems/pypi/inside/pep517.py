"""Build a wheel (PEP 517) in the sandbox: `pep517.py (ask|build) SOURCE OUT FOLDER`, `pep517.py own SOURCE ROOT OUT`.

SOURCE is a source archive or a folder, FOLDER the project's in it; empty for all of it. The interpreter is the
droplet's, and the build requirements are where it finds them: nothing is isolated, since nothing else is here.
`ask` leaves `answer.json`: what the backend wants besides `requires`.
`build` leaves one wheel, whose members are in order and have one time, as not every backend heeds SOURCE_DATE_EPOCH.
`own` lays the wheel's files over the packages in the folder ROOT, and those of no package there below OUT.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import sysconfig
import tarfile
import zipfile
from typing import Any

WORK = "/tmp/source"  # noqa: S108  the sandbox's own
DEFAULT = "setuptools.build_meta:__legacy__"


def main(verb: str, source: str, first: str, second: str) -> None:
    """Do what the command line says."""
    out, folder = (second, "") if verb == "own" else (first, second)
    sys.path[:] = [path for path in sys.path if os.path.realpath(path or ".") != os.path.dirname(__file__)]
    prepare()
    os.chdir(os.path.join(unpack(source), folder))
    backend = load()
    sys.argv = ["setup.py"]  # what setup.py finds there under any tool
    if verb == "ask":
        hook = getattr(backend, "get_requires_for_build_wheel", None)
        wanted = list(hook(*settings())) if hook else []
        with open(os.path.join(out, "answer.json"), "w", encoding="utf-8") as file:
            json.dump(wanted, file)
    else:
        made = os.path.join(WORK, "wheel")
        os.mkdir(made)
        name = backend.build_wheel(made, *settings())
        if verb == "own":
            lay(os.path.join(made, name), first, out)
            return
        normalise(os.path.join(made, name), os.path.join(out, name))


def settings() -> list[Any]:
    """`config_settings` as an argument, where the app has some."""
    text = os.environ.get("BUILD_CONFIG_SETTINGS")
    return [json.loads(text)] if text else []


def prepare() -> None:
    """What compilers and programs that are started find: no debug information, which holds paths; the root's headers."""
    for name, program in (("CC", "gcc"), ("CXX", "g++"), ("AR", "ar"), ("LDSHARED", "gcc -shared")):
        os.environ.setdefault(name, program)
    for name in ("CFLAGS", "CXXFLAGS"):
        os.environ[name] = (os.environ.get(name, "") + " -g0").strip()
    # Debian's interpreter looks for headers beside itself, and the root has them where Debian puts them.
    own, usual = sysconfig.get_path("include"), f"/usr/include/python{sys.version_info[0]}.{sys.version_info[1]}"
    if not os.path.exists(own) and os.path.isdir(usual):
        os.makedirs(os.path.dirname(own), exist_ok=True)
        os.symlink(usual, own)


def unpack(source: str) -> str:
    """Lay the sources out; the project's folder."""
    os.mkdir(WORK)
    place = os.path.join(WORK, "tree")
    if os.path.isdir(source):
        shutil.copytree(source, place, symlinks=True, ignore=shutil.ignore_patterns(".stager"))
        return place
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            archive.extractall(place)  # noqa: S202  the sandbox holds it
    else:
        with tarfile.open(source) as archive:
            check(archive)
            kept = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
            archive.extractall(place, **kept)  # type: ignore[arg-type]  # noqa: S202  the sandbox holds it
    tops = [name for name in os.listdir(place) if os.path.isdir(os.path.join(place, name))]
    if len(tops) != 1:
        sys.exit(f"the archive holds {len(tops)} folders at its top, not one")
    return os.path.join(place, tops[0])


def check(archive: tarfile.TarFile) -> None:
    """Nothing of an archive goes elsewhere, also where this Python has no filters yet."""
    for member in archive:
        if member.name.startswith("/") or ".." in member.name.split("/") or member.isdev():
            sys.exit(f"the archive holds {member.name!r}, which leads out of it")


def load() -> Any:
    """The build backend (PEP 518): what `[build-system]` names, else setuptools as it was before there were any."""
    system: dict[str, Any] = {}
    if os.path.exists("pyproject.toml"):
        try:
            import tomllib
        except ImportError:  # before 3.11; stager asks for this one then
            import tomli as tomllib  # type: ignore[import-not-found,no-redef]
        with open("pyproject.toml", "rb") as file:
            system = tomllib.load(file).get("build-system", {})
    for path in reversed(system.get("backend-path", [])):
        sys.path.insert(0, os.path.abspath(path))
    module, _, path = system.get("build-backend", DEFAULT).partition(":")
    backend = importlib.import_module(module)
    for part in path.split(".") if path else []:
        backend = getattr(backend, part)
    return backend


def normalise(wheel: str, out: str) -> None:
    """Write a wheel again: members by name, those of `.dist-info` last, one time, and of the modes the executable bit."""
    with zipfile.ZipFile(wheel) as read, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        names = [name for name in read.namelist() if not name.endswith("/")]
        for name in sorted(names, key=lambda name: (".dist-info/" in name, name)):
            executable = read.getinfo(name).external_attr >> 16 & 0o111
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.external_attr = (0o100755 if executable else 0o100644) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            written.writestr(member, read.read(name))


def lay(wheel: str, root: str, out: str) -> None:
    """Lay a wheel's modules beside the sources that they belong to, else below `out`; what an installer reads stays away."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            first, _, rest = name.partition("/")
            kind, _, inner = rest.partition("/")
            if first.endswith(".data") and kind in ("purelib", "platlib"):
                path = inner
            elif first.endswith((".data", ".dist-info")):
                continue
            else:
                path = name
            if not path or path.endswith("/"):
                continue
            top = path.partition("/")[0]
            place = os.path.join(root if "/" in path and os.path.isdir(os.path.join(root, top)) else out, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            data = archive.read(name)
            with open(place, "wb") as file:
                file.write(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
