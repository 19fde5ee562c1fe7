"""Which wheels and markers a target accepts, and that the host has no part in it."""

from __future__ import annotations

import platform
import sys

import pytest
from packaging.markers import default_environment
from packaging.tags import Tag

from stager.ecosystems.pypi import Target
from stager.ecosystems.pypi.pins import DistributionFile, best_wheel
from stager.ecosystems.pypi.target import Markers, marker_environment, platforms, tag_ranks, with_extras_set
from stager.errors import BadLock
from stager.model import Stack

DEBIAN = Stack("debian-12", "amd64", (2, 36), "debian")
ARM = Stack("debian-13", "arm64", (2, 41), "debian")
OLD = Stack("old", "amd64", (2, 5), "debian")


def target(stack: Stack = DEBIAN, python: tuple[int, int] = (3, 11), full: str = "3.11.2") -> Target:
    return Target(stack, python, full)


def best(names: list[str], where: Target) -> str | None:
    found = best_wheel([DistributionFile(name, "sha256:" + "0" * 64) for name in names], tag_ranks(where))
    return found.filename if found else None


def test_platforms_fall_from_the_stacks_glibc_with_legacy_names_at_their_places() -> None:
    names = platforms(DEBIAN)
    assert names[:2] == ["manylinux_2_36_x86_64", "manylinux_2_35_x86_64"]
    assert names[19:22] == ["manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_16_x86_64"]
    assert names[-3:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64"]


def test_arm_has_no_manylinux_older_than_2014() -> None:
    names = platforms(ARM)
    assert names[0] == "manylinux_2_41_aarch64"
    assert names[-3:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"]


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_tags_are_those_of_packaging_on_such_a_machine(
    python: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from packaging import _manylinux, tags

    monkeypatch.setattr(_manylinux, "_get_glibc_version", lambda: (2, 36))
    monkeypatch.setattr(_manylinux, "_have_compatible_abi", lambda *_: True)
    here = list(_manylinux.platform_tags(["x86_64"]))
    interpreter = f"cp{python[0]}{python[1]}"
    expected = [
        *tags.cpython_tags(python, abis=[interpreter], platforms=[*here, "linux_x86_64"]),
        *tags.compatible_tags(python, interpreter=interpreter, platforms=[*here, "linux_x86_64"]),
    ]
    assert list(tag_ranks(target(python=python))) == list(dict.fromkeys(map(str, expected)))


def test_tags_do_not_depend_on_how_the_host_python_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    import sysconfig

    before = tag_ranks(target(python=(3, 13)))
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: 1)
    assert tag_ranks(target(python=(3, 13))) == before
    assert str(Tag("cp313", "cp313", "manylinux_2_36_x86_64")) in before


@pytest.mark.parametrize(
    ("where", "names", "chosen"),
    [
        (target(), ["a-1-py3-none-any.whl", "a-1-cp311-cp311-manylinux_2_17_x86_64.whl"], 1),
        (target(), ["a-1-cp311-cp311-manylinux_2_17_x86_64.whl", "a-1-cp311-cp311-manylinux_2_28_x86_64.whl"], 1),
        (target(), ["a-1-cp310-abi3-manylinux2014_x86_64.whl", "a-1-cp311-abi3-manylinux2014_x86_64.whl"], 1),
        (target(), ["a-1-cp312-abi3-manylinux2014_x86_64.whl", "a-1-cp38-abi3-manylinux2014_x86_64.whl"], 1),
        (target(), ["a-1-py2.py3-none-any.whl", "a-1-py3-none-any.whl"], 0),
        (target(), ["a-1-1-py3-none-any.whl", "a-1-2-py3-none-any.whl", "a-1-10-py3-none-any.whl"], 2),
        (target(), ["a-1-py3-none-any.whl", "a-1-0-py3-none-any.whl"], 1),
        (target(), ["a-1-1-py3-none-any.whl", "a-1-1b-py3-none-any.whl", "a-1-1a-py3-none-any.whl"], 1),
        (target(), ["a-1-cp311-cp311-manylinux_2_37_x86_64.whl", "a-1-cp311-cp311-linux_x86_64.whl"], 1),
        (target(), ["a-1-cp311-cp311-musllinux_1_2_x86_64.whl", "a-1-py3-none-any.whl"], 1),
        (target(), ["a-1-cp311-cp311-manylinux1_x86_64.manylinux_2_28_x86_64.manylinux_2_5_x86_64.whl"], 0),
        (target(), ["a-1-cp311-cp311-manylinux_2_17_aarch64.whl"], None),
        (target(), ["a-1-cp311-cp311d-manylinux_2_17_x86_64.whl", "a-1-cp313-cp313t-manylinux_2_17_x86_64.whl"], None),
        (target(ARM, (3, 13)), ["a-1-cp313-cp313-manylinux_2_17_aarch64.whl"], 0),
        (target(OLD), ["a-1-cp311-cp311-manylinux2014_x86_64.whl", "a-1-cp311-cp311-manylinux1_x86_64.whl"], 1),
        (target(), ["a-1.tar.gz", "a-1.zip", "a-1-py3-none-any", "a-1-none-any.whl", "a-1-x1-py3-none-any.whl"], None),
        (target(), ["a-1-" + ".".join(["py3"] * 70) + "-" + ".".join(["none"] * 70) + "-any.whl"], None),
    ],
)  # fmt: skip
def test_the_best_wheel(where: Target, names: list[str], chosen: int | None) -> None:
    expected = None if chosen is None else names[chosen]
    assert best(names, where) == expected
    assert best(names[::-1], where) == expected, "the order in the lock does not matter"


def test_the_marker_environment_names_every_variable_and_nothing_of_the_host() -> None:
    environment = marker_environment(target(ARM, (3, 13), "3.13.5"))
    assert environment.keys() == default_environment().keys()
    assert environment == {
        "implementation_name": "cpython",
        "implementation_version": "3.13.5",
        "os_name": "posix",
        "platform_machine": "aarch64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": "3.13.5",
        "python_version": "3.13",
        "sys_platform": "linux",
    }


def test_an_unknown_patch_release_counts_as_the_first() -> None:
    assert marker_environment(Target(DEBIAN, (3, 12)))["python_full_version"] == "3.12.0"


def test_markers_ignore_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    holds = Markers(target(), "uv.lock")
    assert holds("sys_platform == 'linux' and platform_machine == 'x86_64' and python_full_version == '3.11.2'")
    assert not holds("platform_release != ''")


def test_extras_are_compared_as_a_set() -> None:
    holds = Markers(target(), "uv.lock")
    both = frozenset({"cpu", "a-b"})
    assert holds("extra == 'cpu' and extra == 'A_b'", both)
    assert not holds("extra == 'cpu' and extra != 'a-b'", both)
    assert holds("'gpu' != extra", both)
    assert not holds("extra == 'cpu'")
    assert holds("'dev' in dependency_groups", groups=frozenset({"dev"}))


def test_only_the_variable_extra_is_rewritten() -> None:
    assert with_extras_set("extra=='a' and 'b'  !=  extra") == "'a' in extras and 'b' not in extras"
    assert with_extras_set("'a' in extras and os_name == 'extra'") == "'a' in extras and os_name == 'extra'"


@pytest.mark.parametrize(
    "text", ["python_version >", "nonsense == '1'", "(" * 50_000, "extras == 'a'", "os_name ~= 'x'"]
)
def test_a_marker_that_cannot_be_evaluated_is_a_bad_lock(text: str) -> None:
    with pytest.raises(BadLock) as caught:
        Markers(target(), "uv.lock")(text, what="numpy")
    assert caught.value.message.startswith("numpy: marker ")
    assert caught.value.where == "uv.lock"
