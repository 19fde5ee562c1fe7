"""The nouns of a staging: frozen, compared by what they hold, and the same when a store has kept them."""

from __future__ import annotations

import json
import re
from dataclasses import FrozenInstanceError, dataclass

import pytest

from stager.digest import sha256
from stager.frozen import Value
from stager.records import Base, Before, Droplet, FolderMemo, Last, Layer, LayerRecord, Piece, Remarks, Stamp, Unmet

PIECE = Piece("ab", 1, 2, 3)
BASE = Base(
    plan="sha256:0", stack="debian-12", architecture="amd64", buildpacks=("python",), processes={"web": "x"}, env={"A": "b"},
    runtimes={"python": "3.11.2"}, inputs={"Procfile": "sha256:1"}, grounds=("serve",), files={"a": "b"}, folders=("c",),
    roots=("node_modules",), layers=(LayerRecord("skeleton", (PIECE, PIECE)),), crc=1, length=2, envelope=PIECE, end="00",
    linked="k", notes=("n",), starts=Unmet((["web", "", "", "program", "x", ""],), ("y",), "debian-12"),
)  # fmt: skip
LAST = Last("t", "p", Stamp("/x", 1, 2, 3, 4, 5), 6, "d", 7)
KEPT = [
    PIECE,
    BASE,
    BASE.replace(prefix="ff", starts=Unmet(), layers=()),
    LAST,
    LAST.replace(out=None),
    Remarks("t", "p", ("n",), {"a": ["sha256:0", [], []]}),
    FolderMemo(),
    FolderMemo({"root": "1 2"}, {"k": PIECE}, LAST, Remarks("t", "p"), Before("t", "p", "d", {"a": "came"})),
]


@pytest.mark.parametrize("value", KEPT, ids=lambda value: type(value).__name__)
def test_what_a_store_keeps_is_read_again_as_it_was(value: Value) -> None:
    assert type(value).from_json(json.loads(json.dumps(value.to_json()))) == value


def test_a_value_is_as_a_frozen_dataclass_is() -> None:
    """What one has to know of `Value` is what one knows of `dataclass(frozen=True)`."""

    @dataclass(frozen=True)
    class Pattern:
        one: int
        two: str = "x"

    class Own(Value):
        one: int
        two: str = "x"

    for kind in (Pattern, Own):
        assert kind(1) == kind(1, "x") == kind(one=1, two="x")
        assert kind(1) != kind(2)
        assert hash(kind(1)) == hash(kind(1))
        assert repr(kind(1)).endswith("(one=1, two='x')")
        for wrong in ((), (1, "x", 3)):
            with pytest.raises(TypeError):
                kind(*wrong)
        with pytest.raises(TypeError):
            kind(1, three=3)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            kind(1, one=1)  # type: ignore[misc]
        with pytest.raises(AttributeError):
            setattr(kind(1), "one", 2)  # noqa: B010 - as a type checker does not let one write it
        with pytest.raises(AttributeError):
            delattr(kind(1), "one")
    assert Pattern(1) != Own(1)
    assert issubclass(FrozenInstanceError, AttributeError)
    assert Own(1).replace(two="y") == Own(1, "y")
    with pytest.raises(TypeError, match=re.escape("Own(one, two)")):
        Own(1).replace(three=3)


def test_a_droplet_is_a_document() -> None:
    layer = Layer("app", sha256(b"a"), sha256(b"b"), 3)
    made = Droplet(
        sha256(b"d"), 1, "/d.tgz", sha256(b"p"), "debian-12", "amd64", ("python",), {"python": "3.11.2"}, {"web": "x"}, {},
        (layer,), ("note",), ((".env", "a likely secret"),), False,
    )  # fmt: skip
    assert json.loads(json.dumps(made.as_json())) == {
        "digest": sha256(b"d"), "size": 1, "path": "/d.tgz", "plan": sha256(b"p"), "stack": "debian-12",
        "architecture": "amd64", "buildpacks": ["python"], "runtimes": {"python": "3.11.2"}, "processes": {"web": "x"},
        "env": {}, "notes": ["note"],
        "layers": [{"name": "app", "digest": sha256(b"a"), "diff_id": sha256(b"b"), "size": 3}], "written": False,
        "left_out": [{"path": ".env", "reason": "a likely secret"}], "builds": [],
    }  # fmt: skip
