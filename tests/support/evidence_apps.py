"""Whole droplets from packages made by hand, staged for real and without an index; who owns each file is known beforehand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from builders import make_deb, make_npm_tarball, make_wheel

from stager import staging
from stager.digest import Digest
from stager.droplet.incremental import Folder
from stager.model import Artifact, Plan, Reason, Runtime
from stager.net.indexes import Indexes
from stager.planning import lockfile
from stager.settings import Settings
from stager.store import Store

SITE = ".stager/pypi/site-packages"


@dataclass
class Package:
    """A package with its archive, and the files of the droplet (in the app folder) that are its own."""

    artifact: Artifact
    data: bytes
    owns: set[str]


@dataclass
class Situation:
    """What to stage: the app's files, packages in any order, links of the plan."""

    packages: list[Package] = field(default_factory=list)
    files: Mapping[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """Links of the plan: path → target."""
    own_links: dict[str, str] = field(default_factory=dict)
    """Links of the app."""
    bundled: dict[str, str] = field(default_factory=dict)
    """Place → ref of npm packages inside others."""
    runtimes: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass
class Staged:
    """A droplet that was really staged."""

    situation: Situation
    app: Path
    path: Path
    store: Store
    plan: Plan
    digest: str

    def settings(self) -> Settings:
        """For staging it again, offline, against the same store."""
        return settings(self.path.parent, self.store)


def settings(place: Path, store: Store) -> Settings:
    """Settings that read nothing of this machine's configuration and open no connection."""
    nowhere = place / "no-configuration"
    indexes = Indexes.from_environment({}, home=str(nowhere), apt=str(nowhere), system=str(nowhere))
    return Settings(store, lambda: indexes, offline=True)


def stage(situation: Situation, place: Path) -> Staged:
    """Stage a situation in the folder `place`; the app gets the plan as its `stager.lock`."""
    app = place / "app"
    for name, text in {"Procfile": "web: ./serve\n", "serve": "#!/bin/sh\n", **situation.files}.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
        (app / name).chmod(0o755 if text.startswith("#!") else 0o644)
    for name, target in situation.own_links.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).symlink_to(target)
    wishes = settings(place, Store(str(place / "store")))
    folder = Folder.read(str(app), wishes.store)
    plan = replace(
        staging.make_plan(folder, None, wishes)[1].plan,
        artifacts=tuple(sorted((one.artifact for one in situation.packages), key=lambda a: (a.purl, str(a.digest)))),
        links=tuple(sorted(situation.links.items())),
        runtimes=tuple(Runtime(name, "3.11.2", "test", (2, 31), Reason("asked for")) for name in situation.runtimes),
        facts=situation.facts,
    )
    for one in situation.packages:
        wishes.store.remember("artifact", one.artifact.digest, wishes.store.put(one.data))
    staging.save_lock(folder, lockfile.locked(plan))
    assert lockfile.loads((app / "stager.lock").read_bytes()).plan == plan
    out = place / "droplet.tgz"
    made = staging.stage_plan(folder, lockfile.locked(plan), str(out), wishes)
    return Staged(situation, app, out, wishes.store, plan, made.digest)


# --- packages --------------------------------------------------------------------------------------------------


def wheel(name: str, version: str = "1.0", *, metadata: str = "", files: Mapping[str, bytes] | None = None) -> Package:
    """A wheel with one command, data and a header, so that it has files in every place there is."""
    base = name.replace("-", "_")
    contents = files if files is not None else {
        f"{base}/__init__.py": b"x = 1\n",
        f"{base}/data/big.bin": bytes(range(256)) * 80,
        f"{base}-{version}.data/data/share/{base}.txt": b"text\n",
        f"{base}-{version}.data/headers/{base}.h": b"int x;\n",
    }  # fmt: skip
    data = make_wheel(name, version, contents, console_scripts={f"run-{name}": f"{base}:x"}, metadata=metadata)
    info = f"{SITE}/{base}-{version}.dist-info"
    owns = {f"{info}/{part}" for part in ("METADATA", "WHEEL", "RECORD", "INSTALLER", "entry_points.txt")}
    owns |= {f".stager/pypi/bin/run-{name}"}
    for path in contents:
        kind, _, rest = path.partition(".data/")[2].partition("/")
        owns.add(
            {"data": f".stager/pypi/{rest}", "headers": f".stager/pypi/include/{name}/{rest}"}.get(
                kind, f"{SITE}/{path}"
            )
        )
    file = f"{base}-{version}-py3-none-any.whl"
    artifact = Artifact(f"pkg:pypi/{name}@{version}", file, _sha256(data), "wheel/1", (".stager/pypi",), len(data))
    return Package(artifact, data, owns)


def npm(
    name: str, *places: str, version: str = "1.0.0", files: Mapping[str, bytes] | None = None, **manifest: object
) -> Package:
    """An npm package, placed at `node_modules/<name>` unless told otherwise."""
    table = {"name": name, "version": version, "license": "MIT", **manifest}
    contents = {"index.js": b"module.exports = 1\n", **(files or {})}
    data = make_npm_tarball(table, contents)
    where = places or (f"node_modules/{name}",)
    digest = Digest("sha512:" + hashlib.sha512(data).hexdigest())
    purl = "pkg:npm/" + name.replace("@", "%40") + f"@{version}"
    owns = {f"{place}/{path}" for place in where for path in ("package.json", *contents)}
    file = f"{name.rpartition('/')[2]}-{version}.tgz"
    return Package(Artifact(purl, file, digest, "npm/1", tuple(sorted(where)), len(data)), data, owns)


def deb(name: str, files: Mapping[str, bytes], owns: set[str], links: Mapping[str, str] | None = None) -> Package:
    """A Debian package of the Python runtime; `owns` are the files of the droplet that come from it."""
    data = make_deb(files, links, package=name)
    purl = f"pkg:deb/debian/{name}@1.0-1?arch=amd64"
    file = f"pool/main/{name}_1.0-1_amd64.deb"
    artifact = Artifact(purl, file, _sha256(data), "deb-python/1", (".stager/python",), len(data))
    return Package(artifact, data, {f".stager/python/{path}" for path in owns})


def _sha256(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


# --- situations ------------------------------------------------------------------------------------------------

DEP5 = (
    b"Format: http://www.debian.org/doc/packaging-manuals/copyright-format/1.0\n\n"
    b"Files: *\nCopyright: 2020 X\nLicense: GPL-2+ or Artistic\n\nFiles: a\nCopyright: 2020 X\nLicense: Expat\n"
)


def _python() -> Situation:
    flask = wheel(
        "shop", metadata='License-Expression: MIT\nRequires-Dist: cart>=1\nRequires-Dist: gone; extra == "x"\n'
    )
    return Situation([flask, wheel("cart", metadata="License: BSD\n")])


def _extras() -> Situation:
    return Situation([
        wheel("web", metadata='Requires-Dist: Auth_Kit[jwt]\nRequires-Dist: win; sys_platform == "win32"\n'),
        wheel("auth-kit", metadata='Provides-Extra: jwt\nRequires-Dist: jose; extra == "jwt"\n'),
        wheel("jose", metadata="Classifier: License :: OSI Approved :: Apache Software License\n"),
        wheel("win", metadata="License: MIT OR Apache-2.0\n"),
    ])  # fmt: skip


def _collision() -> Situation:
    first = wheel("aa", files={"aa/__init__.py": b"", "tests/__init__.py": b"a"})
    second = wheel("bb", files={"bb/__init__.py": b"", "tests/__init__.py": b"b"})
    second.owns.discard(f"{SITE}/tests/__init__.py")  # the first in the plan's order keeps it
    return Situation([second, first])


def _nested() -> Situation:
    return Situation(
        [
            npm("top", dependencies={"low": "^2"}, bin={"top": "index.js"}),
            npm("low", version="1.0.0"),
            npm("low", "node_modules/top/node_modules/low", version="2.0.0", license={"type": "ISC"}),
        ],
        facts=(("nodejs.direct", "top low"),),
    )


def _bundled() -> Situation:
    inner = {"name": "inside", "version": "3.0.0", "licenses": [{"type": "MIT"}, {"type": "Apache-2.0"}]}
    carrier = npm(
        "carrier",
        files={
            "node_modules/inside/package.json": json.dumps(inner).encode(),
            "node_modules/inside/lib/x.js": b"1\n",
            "node_modules/nameless/package.json": b'{"type": "module"}',
        },
        dependencies={"inside": "3"},
        bundleDependencies=["inside"],
    )
    place = "node_modules/carrier/node_modules/inside"
    carrier.owns -= {f"{place}/package.json", f"{place}/lib/x.js"}
    return Situation([carrier], bundled={place: f"pkg:npm/inside@3.0.0#{place}"})


def _pnpm() -> Situation:
    one = npm("one", "node_modules/.pnpm/one@1.0.0/node_modules/one", dependencies={"@s/two": "1"})
    two = npm("@s/two", "node_modules/.pnpm/@s+two@1.0.0/node_modules/@s/two", license="SEE LICENSE IN x")
    links = {
        "node_modules/one": ".pnpm/one@1.0.0/node_modules/one",
        "node_modules/.pnpm/one@1.0.0/node_modules/@s/two": "../../../@s+two@1.0.0/node_modules/@s/two",
    }
    return Situation([one, two], links=links)


def _twice() -> Situation:
    dup = npm("dup", "node_modules/dup", "node_modules/host/node_modules/dup")
    return Situation([dup, npm("host", peerDependencies={"dup": "1"})])


def _debian() -> Situation:
    lib = "usr/lib/python3.11/"
    one = deb(
        "libone",
        {f"{lib}one.py": b"1", f"{lib}shared.py": b"s", "usr/share/doc/libone/copyright": DEP5},
        {"lib/python3.11/one.py", "lib/python3.11/shared.py"},
    )
    two = deb(
        "libtwo",
        {f"{lib}two.py": b"2", f"{lib}shared.py": b"s"},
        {"lib/python3.11/two.py", "lib/python3.11/alias.py"},
        {f"{lib}alias.py": "two.py", "usr/share/doc/libtwo": "libone"},
    )
    return Situation([one, two, wheel("shop")], runtimes=("python",))


def _mixed() -> Situation:
    return Situation([wheel("shop"), npm("front"), npm("@scope/ui", dependencies={"front": "1"})])


def _names() -> Situation:
    deep = "/".join(["a-long-folder-name"] * 8) + "/file.txt"
    files = {"with space.txt": "1", "ünï/cödé.txt": "2", deep: "3", "bin/run": "4"}
    return Situation(files=files, own_links={"link.txt": "with space.txt", "up/link": "../bin/run"})


SITUATIONS: dict[str, Callable[[], Situation]] = {
    "nothing but a Procfile": Situation,
    "two wheels": _python,
    "extras and markers": _extras,
    "wheels with one file of two contents": _collision,
    "nested npm packages": _nested,
    "an npm package inside another": _bundled,
    "pnpm's links": _pnpm,
    "one npm package at two places": _twice,
    "Debian packages": _debian,
    "Python and Node": _mixed,
    "unusual names and links": _names,
}
