"""What an app says of how its packages are had and built: which files are chosen, and what builds are told."""

from __future__ import annotations

import json

import pytest

from stager.ecosystems.pypi import read_lock
from stager.ecosystems.pypi.building import EXTRA, SETTINGS
from stager.ecosystems.pypi.pins import DistributionFile
from stager.ecosystems.pypi.target import Target
from stager.ecosystems.pypi.wishes import Wishes, files, wishes
from stager.errors import BadManifest, NeedsBuild
from stager.facts import stacks
from stager.model import Locked
from stager.tree import SourceTree

HASH = f"sha256:{'a' * 64}"
WHEEL, SDIST = DistributionFile("a-1.0-py3-none-any.whl", HASH), DistributionFile("a-1.0.tar.gz", HASH)


def of(lock: str = "requirements.txt", **texts: str) -> Wishes:
    named = {name.replace("__", "."): text for name, text in texts.items()}
    return wishes(SourceTree.of({lock: "", **named}), lock)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", "both"),
        ("--no-binary a", "sdist"),
        ("--no-binary=A,b", "sdist"),
        ("--no-binary :all:", "sdist"),
        ("--no-binary :all:\n--only-binary a", "wheel"),
        ("--only-binary :all:\n--no-binary a", "sdist"),
        ("--only-binary :all:", "wheel"),
        ("--no-binary a\n--only-binary :all:", "wheel"),
        ("--no-binary a\n--no-binary :none:", "both"),
        ("--no-binary a\n--only-binary a", "wheel"),
        ("--no-binary b", "both"),
        ("-r more.txt", "sdist"),
    ],
)
def test_pips_options_as_pip_takes_them(text: str, kept: str) -> None:
    found = of(requirements__txt=text, more__txt="--no-binary a\n")
    expected = {"both": (WHEEL, SDIST), "sdist": (SDIST,), "wheel": (WHEEL,)}[kept]
    assert found.allowed("a", [WHEEL, SDIST]) == expected
    assert found.from_sources("a") == (kept == "sdist")


@pytest.mark.parametrize(
    ("lock", "name", "text", "kept"),
    [
        ("uv.lock", "pyproject.toml", "[tool.uv]\nno-binary = true\n", (SDIST,)),
        ("uv.lock", "pyproject.toml", "[tool.uv]\nno-binary-package = ['A']\n", (SDIST,)),
        ("uv.lock", "uv.toml", "no-build-package = ['a']\n", (WHEEL,)),
        ("pylock.toml", "pyproject.toml", "[tool.uv]\nno-build = true\nno-binary-package = ['a']\n", (SDIST,)),
        ("poetry.lock", "poetry.toml", "[installer]\nno-binary = ['a']\n", (SDIST,)),
        ("poetry.lock", "poetry.toml", "[installer]\nonly-binary = true\n", (WHEEL,)),
        ("poetry.lock", "poetry.toml", "[installer]\nno-binary = 'b,a'\n", (SDIST,)),
        ("poetry.lock", "poetry.toml", "[virtualenvs]\ncreate = false\n", (WHEEL, SDIST)),
        ("poetry.lock", "pyproject.toml", "[tool.uv]\nno-binary = true\n", (WHEEL, SDIST)),
        ("pylock.toml", "requirements.txt", "--no-binary a\n", (SDIST,)),
        ("uv.lock", "requirements.txt", "--no-binary a\n", (WHEEL, SDIST)),
    ],
)
def test_a_locks_own_tool_is_asked(lock: str, name: str, text: str, kept: tuple[DistributionFile, ...]) -> None:
    tree = SourceTree.of({lock: "", name: text})
    assert wishes(tree, lock).allowed("a", [WHEEL, SDIST]) == kept
    assert files(tree, lock) == ([name] if name in ("uv.toml", "poetry.toml") and len(kept) == 1 else [])


UV = """
[tool.uv]
config-settings = {debug = true, flags = ["x", "y"]}
no-build-isolation-package = ["a", "B"]
[tool.uv.config-settings-package]
A = {editable_mode = "compat", debug = "no"}
[tool.uv.extra-build-dependencies]
a = ["cython<3", {requirement = "Num_py", match-runtime = true}, {requirement = "torch", match-runtime = false}]
[tool.uv.extra-build-variables]
a = {JOBS = "2"}
"""


def test_what_uv_passes_to_builds() -> None:
    found = of("uv.lock", pyproject__toml=UV)
    env = found.env("a", {"num-py": "1.2", "torch": "9"})
    assert json.loads(env.pop(SETTINGS)) == {"debug": "no", "editable_mode": "compat", "flags": ["x", "y"]}
    assert json.loads(env.pop(EXTRA)) == ["cython<3", "Num_py==1.2", "torch"]
    assert env == {"JOBS": "2"}
    assert found.env("b", {}) == {SETTINGS: '{"debug": "true", "flags": ["x", "y"]}'}
    notes = [*found.notes(["a", "b", "c"])]  # what a needs besides is said
    assert len(notes) == 1
    assert "names them: b; " in notes[0]
    assert notes[0].endswith("[tool.uv.extra-build-dependencies]: b = [...]")


def test_variables_by_which_stager_tells_its_own_program_something_are_not_set() -> None:
    for name in (SETTINGS, EXTRA):
        with pytest.raises(BadManifest) as caught:
            of("uv.lock", pyproject__toml=f'[tool.uv]\n[tool.uv.extra-build-variables]\na = {{{name} = "junk"}}\n')
        assert caught.value.where == "pyproject.toml:3"
        assert caught.value.message.endswith(f"{name}: is stager's own, for what it runs in a build")


def test_what_a_requirement_passes_to_its_build() -> None:
    text = f'a==1.0 --hash={HASH} --config-settings "--build-option=-x y" --config-settings k=1 -C k=2\n'
    found = of(requirements__txt=text)
    assert json.loads(found.env("a", {})[SETTINGS]) == {"--build-option": "-x y", "k": ["1", "2"]}
    assert found.env("b", {}) == {}


def test_without_a_word_nothing_is_wished() -> None:
    for lock in ("uv.lock", "pylock.toml", "poetry.lock", "requirements.txt", "Pipfile.lock", "pdm.lock"):
        assert of(lock) == Wishes()
        assert of(lock, pyproject__toml="[project]\nname = 'x'\n[tool.uv]\nmanaged = true\n") == Wishes()


def test_a_malformed_setting_is_named() -> None:
    with pytest.raises(BadManifest) as caught:
        of("uv.lock", pyproject__toml="[tool.uv]\nno-binary-package = 'a'\n")
    assert caught.value.message == "tool.uv.no-binary-package: expected an array, found str"


PYLOCK = f"""lock-version = "1.0"
created-by = "test"
[[packages]]
name = "a"
version = "1.0"
{{}}
[packages.sdist]
url = "https://files.example/a-1.0.tar.gz"
hashes = {{{{sha256 = "{"a" * 64}"}}}}
"""
WHEELS = f"wheels = [{{url = 'https://files.example/a-1.0-py3-none-any.whl', hashes = {{sha256 = '{'a' * 64}'}}}}]\n"


def locked(settings: str, wheels: str = WHEELS) -> Locked:
    tree = SourceTree.of({"pylock.toml": PYLOCK.format(wheels), "pyproject.toml": settings})
    return read_lock(tree, "pylock.toml", Target(stacks.load("debian-12", "amd64"), (3, 11), "3.11.2"))


def test_sources_are_built_though_there_is_a_wheel() -> None:
    assert [one.filename for one in locked("").artifacts] == ["a-1.0-py3-none-any.whl"]
    found = locked("[tool.uv]\nno-binary-package = ['a']\nextra-build-variables = {a = {X = '1'}}\n")
    assert [one.filename for one in found.artifacts] == ["a-1.0.tar.gz"]
    (build,) = found.builds
    assert (build.reason.text, build.env) == ("the app asks for its sources", (("X", "1"),))
    assert found.notes == ()


def test_what_may_not_be_built_is_refused() -> None:
    with pytest.raises(NeedsBuild) as caught:
        locked("[tool.uv]\nno-build = true\n", "")
    why = "only an sdist, and the app's settings (only-binary, no-build) keep it from being built"
    assert caught.value.data["needs"] == {"a==1.0": why}
