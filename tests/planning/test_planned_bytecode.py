"""How much bytecode a plan asks for: the app's word, else its lock's, else what is usual on the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stager.errors import BadLock, BadManifest
from stager.facts import stacks
from stager.formats.codec import CODEC
from stager.model import Plan, Reason, Runtime
from stager.planning import bytecode
from stager.planning.bytecode import ChosenBytecode
from stager.planning.detection import appconfig
from stager.tree import SourceTree

STACK = stacks.load("debian-12")
PYTHON = Runtime("python", "3.11.2", "debian", (2, 36), Reason("a test"))
NODE = Runtime("node", "22.1.0", "npm", (2, 28), Reason("a test"))


def config(text: str = "") -> appconfig.AppConfig:
    return appconfig.read(SourceTree.of({"stager.yml": text} if text else {}))


def plan(*runtimes: Runtime, **facts: str) -> Plan:
    pairs = tuple((name.replace("_", "."), value) for name, value in facts.items())
    return Plan("debian-12", "amd64", CODEC, (), (), runtimes, (), (), (), (), (), pairs)


def runtime_only(_: object) -> tuple[str, str]:
    return "runtime", ""


def none_here(_: object) -> tuple[str, str]:
    return "none", "no sandbox"


def test_what_is_usual_counts_where_nobody_says_more() -> None:
    chosen = ChosenBytecode((("python.bytecode", "runtime"),), ("stack",))
    assert bytecode.choose([PYTHON, NODE], config(), STACK, None, runtime_only) == chosen
    assert bytecode.choose([PYTHON], config(), STACK, None, none_here) == ChosenBytecode(notes=("no sandbox",))
    assert bytecode.choose([PYTHON], config(), STACK, None, None) == ChosenBytecode()


def test_a_runtime_without_bytecode_asks_nothing() -> None:
    assert bytecode.choose([NODE], config(), STACK, None, none_here) == ChosenBytecode()


@pytest.mark.parametrize("amount", ["runtime", "all"])
def test_the_app_s_word_wins(amount: str) -> None:
    found = bytecode.choose(
        [PYTHON], config(f"python: {{bytecode: {amount}}}\n"), STACK, plan(PYTHON, python_bytecode="all"), none_here
    )
    assert found == ChosenBytecode((("python.bytecode", amount),), ("stack",))


def test_the_app_can_have_none() -> None:
    known = plan(PYTHON, python_bytecode="all")
    assert (
        bytecode.choose([PYTHON], config("python: {bytecode: none}\n"), STACK, known, runtime_only) == ChosenBytecode()
    )


def test_a_lock_keeps_what_it_has_and_what_it_has_not() -> None:
    """So a machine with a sandbox does not change what one without has locked, nor the other way round."""
    kept = bytecode.choose([PYTHON], config(), STACK, plan(PYTHON, python_bytecode="all"), none_here)
    assert kept.facts == (("python.bytecode", "all"),)
    assert bytecode.choose([PYTHON], config(), STACK, plan(PYTHON), runtime_only) == ChosenBytecode()
    assert bytecode.choose([PYTHON], config(), STACK, plan(NODE), runtime_only).facts == (
        ("python.bytecode", "runtime"),
    )


def test_a_word_that_is_none() -> None:
    with pytest.raises(BadManifest) as caught:
        config("python:\n  bytecode: some\n")
    assert (
        f"{caught.value.where}: {caught.value.message}"
        == "stager.yml:2: python.bytecode: expected none, runtime or all"
    )


def test_what_a_plan_asks_for() -> None:
    ((made, amount),) = bytecode.asked(plan(PYTHON, NODE, python_bytecode="all"))
    assert (made.fact, amount) == ("python.bytecode", "all")
    assert bytecode.asked(plan(PYTHON)) == []
    assert bytecode.asked(plan(NODE, python_bytecode="all")) == []


@pytest.mark.parametrize("value", ["none", "", "every"])
def test_a_lock_that_asks_for_nothing_known_is_refused(value: str) -> None:
    with pytest.raises(BadLock, match=r"is no value of the fact python\.bytecode"):
        bytecode.asked(replace(plan(PYTHON), facts=(("python.bytecode", value),)))
