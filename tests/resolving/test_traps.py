"""No app and no package makes its resolver run code, reach a server that may not be asked, or read the caller's secrets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from booby_traps import NPM, REQUIREMENTS, SECRET, UV, Canary, Trap, index, registry
from servers import Server
from uv import find_uv_bin

from stager.cli import main
from stager.ecosystems.npm import resolver as npm
from stager.ecosystems.pypi import resolver as python
from stager.errors import StagerError
from stager.locking import install
from stager.net.indexes import Indexes
from stager.planning.plan import indexes_for
from stager.resolving import confined
from stager.settings import Settings
from stager.store import Store
from stager.tree import SourceTree

TRAPS = [(trap, "uv.lock") for trap in UV] + [(trap, "pylock.toml") for trap in REQUIREMENTS]
EACH = pytest.mark.parametrize(("trap", "lock"), TRAPS, ids=[f"{trap}-{lock[:2]}" for trap, lock in TRAPS])


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    with Server() as server:
        yield Canary(tmp_path / "canary", server)


@pytest.fixture
def operators(canary: Canary) -> Iterator[str]:
    """The index that the operator configured."""
    with Server() as server:
        yield index(server, canary)


@pytest.fixture(params=[pytest.param("sandbox", marks=pytest.mark.tools), "no-sandbox"])
def walls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """With bubblewrap where it is there; and as on a machine that has none."""
    if request.param == "no-sandbox":
        monkeypatch.setattr(confined, "PATH", str(tmp_path))
    return str(request.param)


def environment(app: Path, operators: str) -> dict[str, str]:
    """What a careless caller has set: secrets, and the app's own folder first of all that is looked through."""
    return {
        **os.environ,
        "CANARY_SECRET": SECRET,
        "UV_DEFAULT_INDEX": operators,
        "PATH": f"{app}:{app}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(app),
        "UV_HTTP_RETRIES": "0",
        "UV_CACHE_DIR": f"{app.parent}/cache",
    }


@EACH
def test_no_trap_springs(
    trap: Trap, lock: str, walls: str, tmp_path: Path, canary: Canary, operators: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = trap.lay(tmp_path / "app", canary)
    caller = environment(app, operators)
    for name, value in caller.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(app)
    indexes = Indexes.from_environment(caller, home=str(tmp_path), apt=str(tmp_path), system=str(tmp_path))
    said, kind = _locked(app, lock, indexes, caller)
    assert canary.sprung() == []
    assert SECRET not in said
    refused = "NoSandbox" if trap.asked and walls == "no-sandbox" else trap.refused
    assert kind == refused or (kind and refused == "*")


def _locked(app: Path, lock: str, indexes: Indexes, caller: Mapping[str, str]) -> tuple[str, str]:
    """The lock, or what an error says and its name."""
    try:
        with confined.scratch(indexes) as scratch:
            return python.resolve(SourceTree.read(str(app)), lock, lambda: "3.11", scratch, caller).decode(), ""
    except StagerError as error:
        return str(error), type(error).__name__


@pytest.mark.tools
@EACH
def test_the_resolver_itself_is_caught(trap: Trap, lock: str, tmp_path: Path, canary: Canary, operators: str) -> None:
    """So that a trap that cannot spring is no proof: this is how uv is run by hand."""
    app = trap.lay(tmp_path / "app", canary)
    command = (
        ["lock"] if lock == "uv.lock" else ["pip", "compile", "requirements.txt", "-o", lock, "--format", "pylock.toml"]
    )
    done = subprocess.run(
        [find_uv_bin(), *command, "--python", sys.executable, "--no-progress"], cwd=app, env=environment(app, operators),
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert bool(canary.sprung()) == trap.springs, done.stderr.decode()


# --- Node.js ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(shared_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Node and npm as `stager lock` lays them out."""
    settings = Settings(Store(str(shared_store)), lambda: Indexes.from_environment(os.environ, home=str(Path.home())))
    place = tmp_path_factory.mktemp("node")
    install(str(place), SourceTree.of({"package.json": "{}"}), {"node": (), "npm": ()}, settings)
    return place


@pytest.fixture
def operators_npm(canary: Canary, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables of a caller whose registry for `@trap` is on this machine."""
    with Server() as server:
        registry(server, canary)
        (tmp_path / "npmrc").write_text(f"@trap:registry={server.url}/\nregistry={server.url}/\n")
        yield {
            **os.environ,
            "CANARY_SECRET": SECRET,
            "NPM_CONFIG_USERCONFIG": str(tmp_path / "npmrc"),
            "NPM_CONFIG_CACHE": str(tmp_path / "cache"),
            "NPM_CONFIG_FETCH_RETRIES": "0",
            "NODE_OPTIONS": "",
        }


def _indexes(caller: Mapping[str, str], tmp_path: Path) -> Indexes:
    return Indexes.from_environment(caller, home=str(tmp_path), apt=str(tmp_path), system=str(tmp_path))


@pytest.mark.network
@pytest.mark.parametrize("trap", NPM, ids=str)
@pytest.mark.usefixtures("walls")
def test_no_trap_springs_in_npm(
    trap: Trap,
    tmp_path: Path,
    canary: Canary,
    node: Path,
    operators_npm: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = trap.lay(tmp_path / "app", canary)
    caller = {**operators_npm, "PATH": f"{app}:{app}/bin:{os.environ['PATH']}"}
    for name, value in caller.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(app)
    said, kind = _locked_npm(app, node, _indexes(caller, tmp_path))
    assert canary.sprung() == []
    assert SECRET not in said
    assert kind == trap.refused or trap.refused == "*", said


def _locked_npm(app: Path, node: Path, indexes: Indexes) -> tuple[str, str]:
    def install(place: str) -> str:
        shutil.copytree(node, place, copy_function=os.link)
        return f"{place}/.stager/node"

    tree = SourceTree.read(str(app))
    try:
        with confined.scratch(indexes_for(tree, indexes)) as scratch:
            return npm.resolve(tree, install, scratch).decode(), ""
    except StagerError as error:
        return str(error), type(error).__name__


@pytest.mark.network
@pytest.mark.parametrize("trap", NPM, ids=str)
def test_npm_itself_is_caught(
    trap: Trap, tmp_path: Path, canary: Canary, node: Path, operators_npm: dict[str, str]
) -> None:
    app = trap.lay(tmp_path / "app", canary)
    home = f"{node}/.stager/node"
    command = [f"{home}/bin/node", f"{home}/lib/node_modules/npm/bin/npm-cli.js", "install", "--package-lock-only"]
    done = subprocess.run(
        [*command, "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"], cwd=app,
        env={**operators_npm, "PATH": f"{app}:{app}/bin:{os.environ['PATH']}"}, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert bool(canary.sprung()) == trap.springs, done.stderr.decode()


# --- every command ---------------------------------------------------------------------------------------------

COMMANDS = ["detect", "plan", "lock", "stage", "verify", "up"]
INERT = [
    Trap(
        "settings-of-programs",
        lambda c: {
            "index.html": "<p>hello</p>",
            ".git/config": f"[core]\n\tfsmonitor = {c.folder.parent}/app/x.sh\n\thooksPath = .\n"
            + '[filter "x"]\n\tclean = ./x.sh\n',
            ".git/HEAD": "ref: refs/heads/main\n",
            ".gitattributes": "* filter=x\n",
            ".envrc": "./x.sh\n",
            "Makefile": "all:\n\t./x.sh\n",
            "Vagrantfile": f"Dir.mkdir({str(c.folder)!r})\n",
            ".profile": "./x.sh\n",
            "setup.py": c.code,
            "conftest.py": c.code,
            "sitecustomize.py": c.code,
            "node_modules/.bin/npm": c.shell,
            **dict.fromkeys(
                ("x.sh", "git", "uv", "node", "npm", "bwrap", "ssh", "vagrant", "docker", "sh", "python3"), c.shell
            ),
        },
    ),
    Trap(
        "own-buildpack",
        lambda c: {
            "stager.yml": "buildpacks: [./mine]\n",
            "mine/buildpack.yml": "name: mine\ndetect:\n  - files: [mine/buildpack.yml]\n    why: x\n",
            "mine/templates/x.j2": f"{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}{{% include '{c.folder}' %}}",
            "mine/__init__.py": c.code,
            "mine/hook.py": c.code,
        },
    ),
]
ALL = [*UV, *REQUIREMENTS, *NPM, *INERT]


@pytest.mark.tools
@pytest.mark.parametrize("trap", ALL, ids=str)
def test_no_command_springs_a_trap(
    trap: Trap, tmp_path: Path, canary: Canary, operators: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one process, whose environment and folder are a careless caller's; the index knows no runtimes."""
    app = trap.lay(tmp_path / "app", canary)
    mirrors = {"STAGER_DEBIAN_MIRROR": operators, "STAGER_DEBIAN_SECURITY_MIRROR": operators}
    registry_ = {
        "NPM_CONFIG_REGISTRY": operators,
        "STAGER_CACHE_DIR": str(tmp_path / "store"),
        "HOME": str(tmp_path / "home"),
    }
    for name, value in {**environment(app, operators), **mirrors, **registry_}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(app)
    for command in COMMANDS:
        code = main([command, "."])
        assert canary.sprung() == [], command
        assert code not in (1, 99), command
