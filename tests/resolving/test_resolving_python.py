"""Locks that uv makes from what it is shown are those it makes from the app itself; what it is not shown is named."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from builders import TarEntry, compress, make_tar, make_wheel
from package_index import put_files
from servers import Server, guarded
from uv import find_uv_bin

from stager.ecosystems.errors import LockFailed
from stager.ecosystems.pypi import resolver as python
from stager.errors import BadManifest, NeedsBuild, StagerError
from stager.net.indexes import Indexes
from stager.resolving import confined
from stager.tree import SourceTree

PACKAGES = {
    ("plain", "1.0"): "",
    ("plain", "2.0"): "",
    ("plain", "3.0b1"): "",
    ("needs-old", "1.0"): "Requires-Dist: plain<2\n",
    ("marked", "1.0"): "Requires-Dist: plain; sys_platform == 'win32'\n",
    ("extra", "1.0"): "Provides-Extra: more\nRequires-Dist: plain; extra == 'more'\n",
}


@pytest.fixture
def operators() -> Iterator[Server]:
    """The operator's index, of wheels alone."""
    with Server() as server:
        for name in {name for name, _ in PACKAGES}:
            rows = [
                (f"{name.replace('-', '_')}-{version}-py3-none-any.whl", make_wheel(name, version, metadata=metadata))
                for (other, version), metadata in PACKAGES.items()
                if other == name
            ]
            put_files(server, name, *rows)
        yield server


def indexes(caller: Mapping[str, str], tmp_path: Path) -> Indexes:
    return Indexes.from_environment(caller, home=str(tmp_path), apt=str(tmp_path), system=str(tmp_path))


def locked(app: Path, caller: Mapping[str, str], lock: str = "uv.lock", version: str = "3.11.2") -> str:
    """The lock that stager's way gives."""
    with confined.scratch(indexes(caller, app.parent)) as scratch:
        return python.resolve(SourceTree.read(str(app)), lock, lambda: version, scratch, caller).decode()


def lay(app: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(content)
    return app


def uv(app: Path, server: Server, *words: str) -> str:
    """uv itself, as a developer runs it in a folder."""
    variables = {
        "UV_DEFAULT_INDEX": f"{server.url}/simple",
        "UV_CACHE_DIR": f"{app.parent}/cache",
        "UV_PYTHON": sys.executable,
    }
    done = subprocess.run(
        [find_uv_bin(), *words], cwd=app, env={**os.environ, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.tools
def test_a_package_with_wheels_for_other_systems_alone_is_locked_with_its_sources(tmp_path: Path) -> None:
    """uv locks for all systems at once: a wheel for Windows is one, and what it may not build it leaves out of the lock."""
    info = b"Metadata-Version: 2.1\nName: driver\nVersion: 1.0\n"
    sdist = compress(make_tar([TarEntry("driver-1.0/PKG-INFO", info)]), "gz")
    with Server() as server:
        put_files(
            server, "driver",
            ("driver-1.0-cp311-cp311-win_amd64.whl", make_wheel("driver", "1.0")), ("driver-1.0.tar.gz", sdist),
        )  # fmt: skip
        put_files(server, "only-there", ("only_there-1.0-cp311-cp311-win_amd64.whl", make_wheel("only-there", "1.0")))
        caller = {"PIP_INDEX_URL": f"{server.url}/simple"}
        app = lay(tmp_path / "app", {"requirements.txt": "driver\nonly-there; sys_platform == 'win32'\n"})
        packages = tomllib.loads(locked(app, caller, "pylock.toml"))["packages"]
    assert [(one["name"], "sdist" in one) for one in packages] == [("driver", True), ("only-there", False)]


def test_a_pipfile_without_its_lock_leaves_the_word_to_a_list_beside_it() -> None:
    """As Heroku's Python buildpack has it: Pipenv where there is a Pipfile.lock, else pip and requirements.txt."""
    assert python.lock_name(SourceTree.of({"Pipfile": "", "requirements.txt": "flask\n"})) == "pylock.toml"
    with pytest.raises(LockFailed, match="only Pipenv reads a Pipfile"):
        python.lock_name(SourceTree.of({"Pipfile": ""}))


BACKEND = """\
import os
def get_requires_for_build_wheel(settings=None): return []
get_requires_for_build_editable = get_requires_for_build_wheel
def prepare_metadata_for_build_wheel(folder, settings=None):
    here = os.path.basename(os.getcwd())
    os.mkdir(f"{folder}/{here}-3.dist-info")
    with open(f"{folder}/{here}-3.dist-info/METADATA", "w") as file:
        file.write(f"Metadata-Version: 2.2\\nName: {here}\\nVersion: 3\\nRequires-Python: >=3.11\\nRequires-Dist: plain\\n")
    return f"{here}-3.dist-info"
prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel
"""
SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
HEAD = '[project]\nname = "{}"\n{}\nrequires-python = ">=3.11"\ndependencies = [{}]\n'
APP = HEAD.format("app", 'version = "1"', '"{}"')
MEMBER = HEAD.format("member", 'dynamic = ["version", "readme"]', '"plain"') + SYSTEM
SHAPES = {
    "virtual": {"pyproject.toml": APP.format("needs-old")},
    "package": {"pyproject.toml": APP.format("needs-old") + SYSTEM, "backend.py": "raise SystemExit\n"},
    "package-by-setting": {"pyproject.toml": APP.format("plain") + "[tool.uv]\npackage = true\n"},
    "no-package-by-setting": {"pyproject.toml": APP.format("plain") + SYSTEM + "[tool.uv]\npackage = false\n"},
    "dynamic-version": {
        "pyproject.toml": HEAD.format("app", 'dynamic = ["version"]', '"plain"') + SYSTEM,
        "backend.py": BACKEND,
    },
    "extras-and-groups": {
        "pyproject.toml": APP.format("extra[more]")
        + '[project.optional-dependencies]\nold = ["plain<2"]\n'
        + '[dependency-groups]\ndev = ["marked", {include-group = "lint"}]\nlint = ["needs-old"]\n'
        + '[tool.uv]\ndev-dependencies = ["plain"]\ndefault-groups = ["lint"]\n'
        + 'conflicts = [[{extra = "old"}, {group = "dev"}]]\n',
    },
    "constraints": {
        "pyproject.toml": APP.format("needs-old")
        + '[tool.uv]\nbuild-constraint-dependencies = ["setuptools<80"]\n'
        + 'constraint-dependencies = ["plain<3"]\noverride-dependencies = ["plain>=2"]\n'
        + 'environments = ["sys_platform == \'linux\'"]\nprerelease = "allow"\nresolution = "lowest-direct"\n',
    },
    "settings-in-uv-toml": {
        "pyproject.toml": APP.format("plain") + '[tool.uv]\nprerelease = "disallow"\n',
        "uv.toml": 'prerelease = "allow"\n',
    },
    "workspace": {
        "pyproject.toml": APP.format("member")
        + '[tool.uv.workspace]\nmembers = ["p?rts/[a-n]*", "more/*/b"]\nexclude = ["parts/not"]\n'
        + "[tool.uv.sources]\nmember = {workspace = true}\n",
        "parts/member/pyproject.toml": MEMBER,
        "parts/member/backend.py": BACKEND,
        "parts/not/pyproject.toml": "[project]\nname = 'not'\ndynamic = ['dependencies']\n",
        "more/a/b/pyproject.toml": HEAD.format("deep", 'version = "2"', '"plain<3"'),
    },
    "workspace-without-project": {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["member"]\n[dependency-groups]\ndev = ["plain"]\n',
        "member/pyproject.toml": MEMBER,
        "member/backend.py": BACKEND,
    },
    "paths": {
        "pyproject.toml": APP.format("member")
        + '[tool.uv.sources]\nmember = [{path = "member", marker = "python_version > \'3.8\'"}]\n',
        "member/pyproject.toml": MEMBER.replace('"plain"]', '"other"]')
        + '[tool.uv.sources]\nother = {path = "../other", editable = true}\n',
        "member/backend.py": BACKEND.replace("plain", "other"),
        "other/pyproject.toml": HEAD.format("other", 'version = "2"', '"plain"') + SYSTEM,
        "other/backend.py": BACKEND,
    },
    "odd-texts": {
        "pyproject.toml": APP.format('plain ; python_version > \\"3.8\\"')
        + 'description = "a\\tb \\u00e9 \\"q\\" \\u007f"\n[tool.other]\nat = 2024-01-01T00:00:00Z\nx = nan\n',
    },
}


@pytest.mark.tools
@pytest.mark.parametrize("shape", SHAPES)
def test_the_lock_is_uvs_own(shape: str, tmp_path: Path, operators: Server) -> None:
    app = lay(tmp_path / "app", SHAPES[shape])
    lock = locked(app, {"UV_DEFAULT_INDEX": f"{operators.url}/simple"})
    uv(app, operators, "lock")
    assert lock == (app / "uv.lock").read_text()
    uv(app, operators, "lock", "--check")
    uv(app, operators, "sync", "--frozen", "--dry-run", "--all-groups")


def test_a_version_of_python_is_written_where_no_project_says_one(tmp_path: Path, operators: Server) -> None:
    app = lay(tmp_path / "app", {"pyproject.toml": APP.format("plain").replace('requires-python = ">=3.11"\n', "")})
    caller = {"UV_DEFAULT_INDEX": f"{operators.url}/simple"}
    assert locked(app, caller, version="3.10.4").splitlines()[2] == 'requires-python = ">=3.10"'


@pytest.mark.parametrize(("asked", "version"), [(">=3.97,<4", "3.98.1"), ("==3.8.*", "3.8.20"), (">3.98.0", "3.98.1")])
def test_a_lock_does_not_depend_on_the_python_of_this_host(
    asked: str, version: str, tmp_path: Path, operators: Server
) -> None:
    caller = {"UV_DEFAULT_INDEX": f"{operators.url}/simple"}
    here = locked(lay(tmp_path / "here", {"pyproject.toml": APP.format("needs-old")}), caller)
    text = APP.format("needs-old").replace(">=3.11", asked)
    there = locked(lay(tmp_path / "there", {"pyproject.toml": text}), caller, version=version)
    assert there.splitlines()[3:] == here.splitlines()[3:]
    assert there.splitlines()[2] != here.splitlines()[2]


def test_requirements_with_all_they_include_become_one_lock(tmp_path: Path, operators: Server) -> None:
    files = {
        "requirements.txt": "# what\n-r more/base.txt\n-c limits.txt\nextra[more] \\\n  >=1\n--pre\n",
        "more/base.txt": "plain; sys_platform == 'linux'\n./member\n",
        "limits.txt": "plain<3\n",
        "member/pyproject.toml": MEMBER,
        "member/backend.py": "raise SystemExit\n",
    }
    app = lay(tmp_path / "app", files)
    lock = locked(app, {"UV_DEFAULT_INDEX": f"{operators.url}/simple"}, "pylock.toml")
    names = [line for line in lock.splitlines() if line.startswith(("name", "version", "directory"))]
    assert names == [
        *('name = "extra"', 'version = "1.0"'),
        *('name = "member"', 'directory = { path = "member" }'),
        *('name = "plain"', 'version = "2.0"'),
    ]


@pytest.mark.parametrize(
    ("listed", "version"),
    [
        ("needs-tools", "80.9.0"),  # 82 has no pkg_resources, which packages of that time import
        ("needs-tools\nsetuptools", "82.0"),
        ("needs-tools\nneeds-new-tools", "82.0"),
    ],
)
def test_other_packages_get_setuptools_with_pkg_resources_where_they_can(
    listed: str, version: str, tmp_path: Path, operators: Server
) -> None:
    def put(name: str, *versions: str, needs: str = "") -> None:
        rows = [
            (f"{name.replace('-', '_')}-{one}-py3-none-any.whl", make_wheel(name, one, metadata=needs))
            for one in versions
        ]
        put_files(operators, name, *rows)

    put("setuptools", "80.9.0", "82.0")
    put("needs-tools", "1.0", needs="Requires-Dist: setuptools>=3\n")
    put("needs-new-tools", "1.0", needs="Requires-Dist: setuptools>=81\n")
    app = lay(tmp_path / "app", {"requirements.txt": listed + "\n"})
    lock = locked(app, {"UV_DEFAULT_INDEX": f"{operators.url}/simple"}, "pylock.toml")
    assert f'name = "setuptools"\nversion = "{version}"\n' in lock


ONLY_SDIST = [
    ({"pyproject.toml": APP.format("only-sdist")}, "uv.lock", "pyproject.toml:5"),
    ({"requirements.txt": "-r more.txt\n", "more.txt": "plain\nOnly_sdist\n"}, "pylock.toml", "more.txt:2"),
    ({"requirements.txt": "needs-sdist\n"}, "pylock.toml", "another package"),
]


@pytest.mark.parametrize(("files", "lock", "where"), ONLY_SDIST)
def test_a_package_without_a_wheel_is_named_with_who_asks(
    files: dict[str, str], lock: str, where: str, tmp_path: Path, operators: Server
) -> None:
    """Where its code may not be asked, since it could read a login."""
    lay_sdist(operators, b"sources")
    index = f"{operators.url}/simple".replace("://", "://user:password@")
    with pytest.raises(NeedsBuild) as caught:
        locked(lay(tmp_path / "app", files), {"UV_DEFAULT_INDEX": index}, lock)
    assert caught.value.data["needs"] == {"only-sdist": f"no version that fits has a wheel, asked for by {where}"}
    assert caught.value.hint.endswith(" Its code is not asked, as it could read the login of an index.")


def lay_sdist(operators: Server, data: bytes) -> None:
    """A package that is only sources, and one that needs it."""
    needing = make_wheel("needs-sdist", "1.0", metadata="Requires-Dist: only-sdist\n")
    put_files(operators, "only-sdist", ("only_sdist-1.0.tar.gz", data))
    put_files(operators, "needs-sdist", ("needs_sdist-1.0-py3-none-any.whl", needing))


@pytest.mark.tools
@pytest.mark.parametrize(("files", "lock", "where"), ONLY_SDIST)
def test_what_only_its_code_knows_is_asked_in_the_sandbox(
    files: dict[str, str], lock: str, where: str, tmp_path: Path, operators: Server
) -> None:
    said = BACKEND.replace("Name: {here}\\nVersion: 3", "Name: only-sdist\\nVersion: 1.0").replace("plain", "plain<2")
    sources = {
        "pyproject.toml": '[project]\nname = "only-sdist"\nversion = "1.0"\ndynamic = ["dependencies"]\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": said.replace("{here}-3.dist-info", "only_sdist-1.0.dist-info"),
        "PKG-INFO": "Metadata-Version: 2.1\nName: only-sdist\nVersion: 1.0\n",
    }
    rows = [TarEntry(f"only_sdist-1.0/{path}", text.encode()) for path, text in sources.items()]
    lay_sdist(operators, compress(make_tar(rows), "gz"))
    text = locked(lay(tmp_path / "app", files), {"UV_DEFAULT_INDEX": f"{operators.url}/simple"}, lock)
    packages = tomllib.loads(text)["package" if lock == "uv.lock" else "packages"]
    assert {"only-sdist": "1.0", "plain": "1.0"}.items() <= {one["name"]: one["version"] for one in packages}.items()


@pytest.mark.tools
def test_code_that_fails_is_told_in_the_resolver_s_words(tmp_path: Path, operators: Server) -> None:
    lay_sdist(operators, b"no archive")
    app = lay(tmp_path / "app", {"requirements.txt": "only-sdist\n"})
    with pytest.raises(LockFailed) as caught:
        locked(app, {"UV_DEFAULT_INDEX": f"{operators.url}/simple"}, "pylock.toml")
    assert "only-sdist" in caught.value.message
    assert caught.value.hint == python.PUBLISHED


def test_credentials_of_the_operator_reach_their_index_and_no_lock(tmp_path: Path, operators: Server) -> None:
    header = "Basic bWU6cEBzcw=="
    operators.routes.update({path: guarded(header, answer) for path, answer in operators.routes.items()})
    url = operators.url.replace("://", "://me:p%40ss@")
    caller = {"UV_DEFAULT_INDEX": f"{url}/simple"}
    app = lay(tmp_path / "app", {"pyproject.toml": APP.format("plain")})
    lock = locked(app, caller)
    assert f'source = {{ registry = "{operators.url}/simple" }}' in lock
    lay(app, {"requirements.txt": "plain\n"})
    lay(tmp_path / "other", {"pyproject.toml": APP.format("nobody-has-this")})
    with pytest.raises(StagerError) as caught:
        locked(tmp_path / "other", caller)
    assert "nobody-has-this" in caught.value.message
    assert not any(secret in str(caught.value) for secret in ("p%40ss", "p@ss", "bWU6cEBzcw"))
    for text in (lock, locked(app, caller, "pylock.toml")):
        assert "p%40ss" not in text
        assert "p@ss" not in text


def test_an_index_of_the_app_gets_no_credentials_of_another(tmp_path: Path, operators: Server) -> None:
    """Also not by giving its index the name of the operator's."""
    with Server() as other:
        other.routes.update(operators.routes)
        caller = {
            "UV_DEFAULT_INDEX": f"mine={operators.url}/simple",
            "UV_INDEX_MINE_USERNAME": "me",
            "UV_INDEX_MINE_PASSWORD": "secret",
            "STAGER_ALLOW_ADDRESSES": "127.0.0.0/8",
            "UV_INDEX": f"{other.url}/simple",  # so that the operator allows plain http to it
        }
        text = APP.format("plain") + f'[[tool.uv.index]]\nname = "mine"\nurl = "{other.url}/simple"\n'
        assert f'registry = "{other.url}/simple"' in locked(lay(tmp_path / "app", {"pyproject.toml": text}), caller)
        assert other.seen
        assert not [headers for _, headers in other.seen if "Authorization" in headers]


NEEDS = [
    (
        {"pyproject.toml": '[project]\nname = "app"\ndynamic = ["version", "dependencies"]\n'},
        {"app": "only its build backend knows its dependencies, pyproject.toml:3"},
    ),
    (
        {"pyproject.toml": APP.format("lib @ git+https://code.example/lib")},
        {"lib": "a repository, asked for by pyproject.toml:5"},
    ),
    (
        {"pyproject.toml": APP.format("lib @ https://files.example/lib-1.tar.gz")},
        {"lib": "an archive of sources, asked for by pyproject.toml:5"},
    ),
    (
        {"pyproject.toml": APP.format("lib") + '[tool.uv.sources]\nlib = { path = "lib" }\n', "lib/setup.py": ""},
        {"lib": "no lib/pyproject.toml with a [project] table, asked for by pyproject.toml:7"},
    ),
    (
        {
            "pyproject.toml": APP.format("a")
            + '[dependency-groups]\ndev = ["b @ git+ssh://git@code.example/b"]\n[tool.uv.sources.a]\ngit = "x"\n'
        },
        {"b": "a repository, asked for by pyproject.toml:7", "a": "a repository, asked for by pyproject.toml:8"},
    ),
    (
        {
            "pyproject.toml": APP.format("a") + '[tool.uv.workspace]\nmembers = ["m"]\n',
            "m/pyproject.toml": "[project]\nname = 'm'\nversion = '1'\ndynamic = [\n'optional-dependencies']\n",
        },
        {"m": "only its build backend knows its optional-dependencies, m/pyproject.toml:4"},
    ),
]


@pytest.mark.parametrize(("files", "needs"), NEEDS)
def test_what_must_be_built_is_named_with_its_line(files: dict[str, str], needs: dict[str, str]) -> None:
    with pytest.raises(NeedsBuild) as caught:
        python.projects(SourceTree.of(files), Indexes(), lambda: "3.11")
    assert caught.value.data["needs"] == needs
    hints = {"repository": python.LOCKED, "archive": python.PUBLISHED}
    told = next((hint for word, hint in hints.items() if any(word in why for why in needs.values())), python.STATIC)
    assert caught.value.hint == told


REFUSED = [
    ('dependencies = ["a @ https://10.0.0.1/a-1-py3-none-any.whl"]', "a is not fetched: it names a private address"),
    (
        'dependencies = ["a @ http://files.example/a-1-py3-none-any.whl"]',
        "a is not fetched: it is not encrypted (http)",
    ),
    ('dependencies = ["a @ file:///etc/a-1-py3-none-any.whl"]', "a is at '/etc/a-1-py3-none-any.whl', outside the app"),
    ('[tool.uv.sources]\na = {path = "../a"}', "a is at '../a', outside the app"),
    ('[tool.uv.sources]\na = {path = "/a"}', "a is at '/a', outside the app"),
    ('[tool.uv.sources]\na = {path = "~/a"}', "a is at '~/a', outside the app"),
    ('[tool.uv.sources]\na = {path = "x/../../a"}', "a is at 'x/../../a', outside the app"),
    (
        '[[tool.uv.index]]\nurl = "http://index.example/"',
        "the index http://index.example/ cannot be used: it is not encrypted",
    ),
    ('[[tool.uv.index]]\nurl = "./wheels"', "the index ./wheels cannot be used: it is not a URL"),
    (
        '[[tool.uv.index]]\nurl = "https://u:p@index.example/?t=1"',
        "the index index.example/ cannot be used: it holds a credential",
    ),
    (
        '[[tool.uv.index]]\nurl = "https://i.example/${HOME}"',
        "the index https://i.example/${HOME} cannot be used: it names a variable",
    ),
    ('[tool.uv]\nfind-links = ["/wheels"]', "the index /wheels cannot be used: it is not a URL"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_leads_out_is_refused(text: str, why: str) -> None:
    head = '[project]\nname = "app"\nversion = "1"\n'
    with pytest.raises(StagerError) as caught:
        python.projects(SourceTree.of({"pyproject.toml": head + text}), Indexes(), lambda: "3.11")
    assert isinstance(caught.value, BadManifest)
    assert why in caught.value.message
    assert caught.value.where.startswith("pyproject.toml:")


@pytest.mark.parametrize("option", ["--no-index", "-f ./wheels", "--find-links=http://x.example/"])
def test_options_that_cannot_be_kept_are_refused(option: str) -> None:
    tree = SourceTree.of({"requirements.txt": "-r more.txt\n", "more.txt": f"plain\n{option}\n"})
    with pytest.raises(BadManifest) as caught:
        python.requirements(tree, "requirements.txt", Indexes())
    assert caught.value.where == "more.txt:2"


def test_a_public_index_of_the_app_is_asked_after_the_operators() -> None:
    text = (
        '[project]\nname = "app"\nversion = "1"\n[[tool.uv.index]]\nname = "own"\nurl = "https://own.example/simple"\n'
    )
    mine = Indexes(pypi_default="https://mirror.example/simple", pypi_first=("https://first.example/simple",))
    shown = python.projects(SourceTree.of({"pyproject.toml": text}), mine, lambda: "3.11")
    assert b'"index" = [{"name" = "own", "url" = "https://own.example/simple"}]' in shown.files["pyproject.toml"]
    assert shown.variables == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://first.example/simple",
    }


def test_an_app_may_replace_the_default_index() -> None:
    tree = SourceTree.of({"requirements.txt": "-i https://own.example/simple\nplain\n"})
    shown = python.requirements(tree, "requirements.txt", Indexes(pypi_default="https://mirror.example/simple"))
    assert shown.options == ("-c", "constraints.txt", "--default-index", "https://own.example/simple")
    assert shown.variables == {}


def test_indexes_of_uvs_settings_count_for_requirements_too() -> None:
    files = {
        "requirements.txt": "plain\n--extra-index-url https://more.example/simple\n",
        "uv.toml": '[[index]]\nurl = "https://first.example/simple"\n[pip]\nindex-url = "https://own.example/simple"\n',
        "pyproject.toml": '[tool.uv]\nfind-links = ["https://flat.example/"]\n[[tool.uv.index]]\nname = "x"\nexplicit = true\n'
        'url = "https://explicit.example/"\n',
    }
    shown = python.requirements(
        SourceTree.of(files), "requirements.txt", Indexes(pypi_default="https://mirror.example")
    )
    assert shown.options[2:] == (
        *("--index", "https://first.example/simple"),
        *("--default-index", "https://own.example/simple"),
        *("--find-links", "https://flat.example/"),
        *("--index", "https://more.example/simple"),
    )
    assert shown.variables == {}
