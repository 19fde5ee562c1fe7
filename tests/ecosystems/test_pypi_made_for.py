"""A lock made for other targets: what the manifest asks for on this one must be in the reading, in every format."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from stager.ecosystems.pypi import IndexFile, Target, read_lock, requires_python
from stager.ecosystems.pypi.lookup import Keep
from stager.errors import BadLock
from stager.model import Locked, Stack
from stager.tree import SourceTree

TARGET = Target(Stack("debian-12", "amd64", (2, 36), "debian"), (3, 11), "3.11.2")
ARM = Target(Stack("debian-12", "arm64", (2, 36), "debian"), (3, 11), "3.11.2")
A = "sha256:" + "a" * 64
HERE = "Python 3.11.2 on Linux x86_64"


class Pages:
    """Version 1.0 of every project: a wheel with the digest of all a."""

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        file = f"{name}-1.0-py3-none-any.whl"
        return [IndexFile(file, f"https://files.example/{file}", {"sha256": "a" * 64}, 9)]


def read(
    files: dict[str, str],
    groups: Sequence[str] = (),
    extras: Sequence[str] = (),
    target: Target = TARGET,
) -> Locked:
    """The reading of the first of the files, which is the lock."""
    return read_lock(SourceTree.of(files), next(iter(files)), target, groups=groups, extras=extras, lookup=Pages())


def names(found: Locked) -> set[str]:
    return {artifact.purl.removeprefix("pkg:pypi/").partition("@")[0] for artifact in found.artifacts}


def refused(files: dict[str, str], **how: Sequence[str]) -> tuple[str, str]:
    with pytest.raises(BadLock) as caught:
        read(files, **how)  # type: ignore[arg-type]
    assert caught.value.where.partition(":")[0] == next(iter(files))
    return caught.value.message, caught.value.hint


def project(*wanted: str, more: str = "") -> str:
    return f'[project]\nname = "rates"\nversion = "1"\ndependencies = {list(wanted)}\n{more}'


# --- the lock files of the tools: packages as (name, marker) ---------------------------------------------------

Rows = list[tuple[str, str]]


def pdm(rows: Rows, targets: str = "", groups: str = '"default"') -> str:
    head = f'[metadata]\ngroups = [{groups}]\nstrategy = ["inherit_metadata"]\nlock_version = "4.5.0"\n{targets}'
    return head + "".join(
        f'\n[[package]]\nname = "{name}"\nversion = "1.0"\ngroups = [{groups}]\nmarker = \'{marker}\'\n'
        f'files = [{{file = "{name}-1.0-py3-none-any.whl", hash = "{A}"}}]\n'
        for name, marker in rows
    )


def poetry(rows: Rows, group: str = "main", extras: str = "") -> str:
    packages = "".join(
        f'[[package]]\nname = "{name}"\nversion = "1.0"\ngroups = ["{group}"]\n'
        + (f"markers = '{marker}'\n" if marker else "")
        + f'files = [{{file = "{name}-1.0-py3-none-any.whl", hash = "{A}"}}]\n\n'
        for name, marker in rows
    )
    return f'{packages}{extras}[metadata]\nlock-version = "2.1"\npython-versions = ">=3.9"\n'


def pylock(rows: Rows, head: str = "") -> str:
    return f'lock-version = "1.0"\ncreated-by = "test"\n{head}' + "".join(
        f'[[packages]]\nname = "{name}"\nversion = "1.0"\n'
        + (f"marker = '{marker}'\n" if marker else "")
        + f'wheels = [{{ url = "https://files.example/{name}-1.0-py3-none-any.whl", hashes = {{ sha256 = "{"a" * 64}" }} }}]\n'
        for name, marker in rows
    )


def requirements(rows: Rows) -> str:
    return "".join(f"{name}==1.0{f' ; {marker}' if marker else ''} --hash={A}\n" for name, marker in rows)


def pipfile(rows: Rows) -> str:
    entries = ",".join(
        f'"{name}": {{"version": "==1.0", "hashes": ["{A}"]' + (f', "markers": "{marker}"' if marker else "") + "}"
        for name, marker in rows
    )
    return f'{{"_meta": {{"pipfile-spec": 6, "sources": []}}, "default": {{{entries}}}, "develop": {{}}}}'  # fmt: skip


MADE = 'python_full_version == "3.11.9"'
"""What a tool writes that was told to lock for one Python."""
MAC = 'sys_platform == "darwin"'


@pytest.mark.parametrize(
    "marker", [MADE, MAC, 'platform_machine == "arm64"', 'platform_python_implementation == "PyPy"']
)
@pytest.mark.parametrize("lock", ["pdm.lock", "poetry.lock", "pylock.toml", "requirements.txt", "Pipfile.lock"])
def test_what_the_manifest_asks_for_must_be_there(lock: str, marker: str) -> None:
    rows = [("flask", marker), ("click", marker), ("packaging", "")]
    if lock == "Pipfile.lock":
        marker = marker.replace('"', "'")
        files = {
            lock: pipfile([(name, mark.replace('"', "'")) for name, mark in rows]),
            "Pipfile": '[packages]\nflask = "*"\n',
        }
        manifest = "Pipfile"
    elif lock == "poetry.lock":
        files = {
            lock: poetry(rows),
            "pyproject.toml": '[tool.poetry]\nname="r"\n[tool.poetry.dependencies]\nflask = "^1"\n',
        }
        manifest = "pyproject.toml"
    else:
        writers: dict[str, Callable[[Rows], str]]
        writers = {"pdm.lock": pdm, "pylock.toml": pylock, "requirements.txt": requirements}
        files, manifest = {lock: writers[lock](rows), "pyproject.toml": project("flask")}, "pyproject.toml"
    message, hint = refused(files)
    assert message == f"was not made for {HERE}: flask is there for {marker} only, which {manifest} asks for"
    assert {
        "pdm.lock": "pdm lock --append", "poetry.lock": "poetry lock", "pylock.toml": "uv export",
        "requirements.txt": "uv pip compile pyproject.toml --generate-hashes --output-file requirements.txt --universal",
        "Pipfile.lock": "pipenv lock",
    }[lock] in hint  # fmt: skip
    assert ("Or stage for Python 3.11.9: write it into .python-version." in hint) == (marker.replace("'", '"') == MADE)


OWN = 'sys_platform == "win32"'
FAIR: dict[str, tuple[dict[str, str], set[str]]] = {
    "a condition of the manifest's own": (
        {
            "pdm.lock": pdm([("flask", ""), ("pywin32", OWN)]),
            "pyproject.toml": project("flask", "pywin32; sys_platform == 'win32'"),
        },
        {"flask"},
    ),
    "a backport": (
        {"poetry.lock": poetry([("flask", ""), ("tomli", 'python_version < "3.11"')]),
         "pyproject.toml": '[tool.poetry.dependencies]\nflask = "*"\ntomli = {version = "*", python = "<3.11"}\n'},
        {"flask"},
    ),
    "Poetry's platform": (
        {"poetry.lock": poetry([("flask", ""), ("pywin32", OWN)]),
         "pyproject.toml": '[tool.poetry.dependencies]\nflask = "*"\npywin32 = {version = "*", platform = "win32"}\n'},
        {"flask"},
    ),
    "Poetry's table adds the condition": (
        {"poetry.lock": poetry([("flask", ""), ("torch", MAC)]),
         "pyproject.toml": project("flask", "torch")
         + "[tool.poetry.dependencies]\ntorch = {version = \"*\", markers = \"sys_platform == 'darwin'\"}\n"},
        {"flask"},
    ),
    "one package for each platform": (
        {"poetry.lock": poetry([("flask", ""), ("torch", MAC), ("torch", 'sys_platform == "linux"')]),
         "pyproject.toml": '[tool.poetry.dependencies]\nflask = "*"\n[[tool.poetry.dependencies.torch]]\nversion = "*"\n'
         "markers = \"sys_platform == 'darwin'\"\n[[tool.poetry.dependencies.torch]]\nversion = \"*\"\n"
         "markers = \"sys_platform == 'linux'\"\n"},
        {"flask", "torch"},
    ),
    "an extra that nobody asked for": (
        {"pylock.toml": pylock([("flask", ""), ("redis", '"web" in extras')], 'extras = ["web"]\n'),
         "pyproject.toml": project("flask", more='[project.optional-dependencies]\nweb = ["redis"]\n')},
        {"flask"},
    ),
    "a group for development": (
        {"pdm.lock": pdm([("flask", "")]) + pdm([("pytest", MADE)], groups='"dev"').partition("\n\n")[2],
         "pyproject.toml": project("flask", more='[dependency-groups]\ndev = ["pytest"]\n')},
        {"flask"},
    ),
    "the project's own extra": (
        {"pylock.toml": pylock([("flask", "")]),
         "pyproject.toml": project("flask", more='[project.optional-dependencies]\nall = ["rates[web]"]\nweb = []\n')},
        {"flask"},
    ),
    "a package that uv is told to leave out": (
        {"pylock.toml": pylock([("flask", "")]),
         "pyproject.toml": project("flask", "gevent; sys_platform == 'linux'", more="[tool.uv]\n"
                                   "override-dependencies = [\"gevent; sys_platform == 'never'\"]\n")},
        {"flask"},
    ),
    "Pipfile's variables": (
        {"Pipfile.lock": pipfile([("flask", ""), ("pywin32", "sys_platform == 'win32'")]),
         "Pipfile": "[packages]\nflask = \"*\"\npywin32 = {version = \"*\", sys_platform = \"== 'win32'\"}\n"},
        {"flask"},
    ),
    "a Pipfile's own Python": (
        {"Pipfile.lock": pipfile([("flask", ""), ("audioop-lts", "python_version >= '3.13'")]),
         "Pipfile": "[packages]\nflask = \"*\"\naudioop-lts = {version = \"*\", markers = \"python_version >= '3.13'\"}\n"},
        {"flask"},
    ),
    "a backport in Pipfile.lock": (
        {"Pipfile.lock": pipfile([("flask", ""), ("tomli", "python_version < '3.11'")]),
         "Pipfile": '[packages]\nflask = "*"\n'},
        {"flask"},
    ),
    "no manifest, and some are left": (
        {"requirements.txt": requirements([("flask", ""), ("colorama", OWN)])},
        {"flask"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "there"), FAIR.values(), ids=list(FAIR))
def test_what_is_rightly_left_out_is_no_error(files: dict[str, str], there: set[str]) -> None:
    found = read(files)
    assert (names(found), found.notes) == (there, ())


def test_extras_and_groups_that_are_asked_for_count() -> None:
    manifest = project("flask", more='[project.optional-dependencies]\nweb = ["redis"]\n')
    lock = poetry([("flask", ""), ("redis", f'{MADE} and extra == "web"')], extras='[extras]\nweb = ["redis"]\n')
    assert names(read({"poetry.lock": lock, "pyproject.toml": manifest})) == {"flask"}
    assert refused({"poetry.lock": lock, "pyproject.toml": manifest}, extras=["web"])[0].startswith(
        f"was not made for {HERE}: redis is there for"
    )
    manifest = '[tool.poetry.dependencies]\nflask = "*"\n[tool.poetry.group.jobs.dependencies]\nrq = "*"\n'
    lock = poetry([("flask", "")]).partition("[metadata]")[0] + poetry([("rq", MADE)], "jobs")
    assert names(read({"poetry.lock": lock, "pyproject.toml": manifest})) == {"flask"}
    assert refused({"poetry.lock": lock, "pyproject.toml": manifest}, groups=["jobs"])[0] == (
        f"was not made for {HERE}: rq is there for {MADE} only, which pyproject.toml asks for"
    )


@pytest.mark.parametrize("lock", ["pylock.toml", "requirements.txt"])
def test_what_its_own_machine_did_not_need_may_be_missing_altogether(lock: str) -> None:
    text = pylock([("flask", "")]) if lock == "pylock.toml" else requirements([("flask", "")])
    message, hint = refused(
        {lock: text, "requirements.in": "flask\nuvloop; sys_platform == 'linux'\nwinloop; os_name == 'nt'\n"}
    )
    assert message == f"was not made for {HERE}: uvloop is missing, which requirements.in asks for"
    hashes = "" if lock == "pylock.toml" else "--generate-hashes "
    assert hint == f"Run 'uv pip compile requirements.in {hashes}--output-file {lock} --universal' and commit {lock}."


def test_a_lock_beside_no_manifest_of_which_nothing_is_left() -> None:
    narrow = {
        "requirements.txt": requirements([("flask", 'python_version == "3.9"'), ("click", 'python_version == "3.9"')])
    }
    message, hint = refused(narrow)
    assert message == f'was not made for {HERE}: click, flask are there for python_version == "3.9" only'.replace(
        "click, flask", "flask, click"
    )
    assert hint == (
        "Make requirements.txt for every platform and for Python 3.11: with the tool that wrote it, and commit it. "
        "Or stage for Python 3.9: write it into .python-version."
    )
    found = read({"requirements.txt": requirements([("pywin32", OWN)])})
    assert (names(found), found.notes) == (set(), ("requirements.txt: nothing in it is for Linux",))


def test_a_pipfile_lock_of_a_newer_python() -> None:
    rows = [("flask", "python_version >= '3.9'"), ("numpy", "python_version >= '3.12'")]
    message, hint = refused({"Pipfile.lock": pipfile(rows), "Pipfile": '[packages]\nflask = "*"\n'})
    assert (
        message == f"was not made for {HERE}: numpy is there for python_version >= '3.12' only, which Pipfile asks for"
    )
    assert hint == (
        "Write python_version = \"3.11\" under [requires] in Pipfile, run 'pipenv lock', and commit Pipfile.lock. "
        "Or stage for Python 3.12: write it into .python-version."
    )


# --- pdm's targets ---------------------------------------------------------------------------------------------


def targets(*rows: tuple[str, str]) -> str:
    return "".join(
        f'\n[[metadata.targets]]\nrequires_python = "{python}"\n' + (f'platform = "{platform}"\n' if platform else "")
        for python, platform in rows
    )


def test_pdm_made_for_a_mac() -> None:
    lock = pdm([("flask", MADE)], targets(("==3.11.9", "macos_14_0_arm64")))
    assert refused({"pdm.lock": lock, "pyproject.toml": project("flask")}) == (
        f"was made for Python ==3.11.9 on macOS (macos_14_0_arm64), not for {HERE}",
        "Run 'pdm lock --append --python \"==3.11.2\" --platform manylinux_2_36_x86_64' and commit pdm.lock.",
    )


@pytest.mark.parametrize(
    ("rows", "fits"),
    [
        ([(">=3.10", "")], True),
        ([(">=3.10", "manylinux_2_17_x86_64")], True),
        ([(">=3.10", "manylinux_2_41_x86_64")], True),  # pdm warns, and the choice of wheels decides
        ([("==3.11.9", "macos_14_0_arm64"), (">=3.11", "linux_x86_64")], True),
        ([("==3.12.*", "")], False),
        ([(">=3.10", "windows_amd64")], False),
        ([(">=3.10", "musllinux_1_2_x86_64")], False),
        ([(">=3.10", "manylinux_2_17_aarch64")], False),
    ],
)
def test_pdm_targets_by_pdms_own_rule(rows: list[tuple[str, str]], fits: bool) -> None:
    files = {"pdm.lock": pdm([("flask", "")], targets(*rows)), "pyproject.toml": project("flask")}
    if fits:
        assert names(read(files)) == {"flask"}
    else:
        assert refused(files)[0].endswith(f", not for {HERE}")


def test_pdm_for_another_processor() -> None:
    lock = pdm([("flask", "")], targets((">=3.10", "manylinux_2_17_aarch64")))
    assert names(read({"pdm.lock": lock, "pyproject.toml": project("flask")}, target=ARM)) == {"flask"}


@pytest.mark.parametrize(
    ("rows", "asks"),
    [
        ([("==3.11.9", "")], "==3.11.9"),
        ([("==3.12.*", "windows_amd64"), ("==3.11.*", "manylinux_2_17_x86_64")], "==3.11.*"),
        ([("==3.11.*", ""), ("==3.13.*", "linux_x86_64")], "==3.11.* || ==3.13.*"),
        ([("==3.11.9", "macos_14_0_arm64")], ">=3.10"),
    ],
)
def test_the_python_that_pdms_targets_ask_for(rows: list[tuple[str, str]], asks: str) -> None:
    manifest = project("flask", more='requires-python = ">=3.10"\n')
    found = requires_python(
        SourceTree.of({"pdm.lock": pdm([], targets(*rows)), "pyproject.toml": manifest}), "pdm.lock"
    )
    assert found is not None
    assert found[0] == asks


# --- what uv and pylock say of themselves ----------------------------------------------------------------------


def test_a_pylock_for_another_python() -> None:
    message, hint = refused({"pylock.toml": pylock([("flask", "")], 'requires-python = ">=3.12"\n')})
    assert message == f"was made for Python >=3.12, not for {HERE}"
    assert hint.startswith("Make it for this target as well; 'uv pip compile --universal'")


def test_uvs_record_of_the_manifest_and_its_graph_must_agree() -> None:
    lock = """\
version = 1
requires-python = ">=3.11"
{0}
[[package]]
name = "rates"
version = "0.1.0"
source = {{ virtual = "." }}

[package.metadata]
requires-dist = [
    {{ name = "jeepney", marker = "sys_platform == 'linux'" }},
    {{ name = "pywin32", marker = "sys_platform == 'win32'" }},
    {{ name = "redis", marker = "extra == 'cache'" }},
]
"""
    assert refused({"uv.lock": lock.format("")}) == (
        f"was not made for {HERE}: jeepney is missing, which rates asks for",
        "Extend tool.uv.environments in pyproject.toml if it is there, then run 'uv lock --upgrade'.",
    )
    left_out = lock.format('\n[manifest]\noverrides = [{ name = "jeepney", marker = "sys_platform == \'never\'" }]\n')
    assert names(read({"uv.lock": left_out})) == set()
