"""What a build leaves is asked of the app's own code, in the sandbox, where nothing else tells it; and remembered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from building import build, planned, settings
from trees import lay_out

from stager.builds import asking
from stager.builds.errors import BuildFailed
from stager.droplet.incremental import Folder
from stager.model import BuildRoot, Plan
from stager.store import Store

pytestmark = [pytest.mark.tools, pytest.mark.network]


@pytest.fixture
def store(shared_store: Path) -> Store:
    return Store(str(shared_store))


def asked(app: Path, pins: BuildRoot, store: Store, question: str, told: list[str], **more: object) -> Plan:
    """The plan of an app with a build whose outputs are not known, once it was asked."""
    plan = planned(app, {"where": f"{app.name}\n", "web/where": "below\n"}, pins, store=store)
    unknown = replace(build("make", **more), outputs=())  # type: ignore[arg-type]
    plan = replace(plan, builds=(unknown,), roots=(pins,), asks=(("own", question),))
    return asking.answered(plan, Folder.read(str(app), store), settings(store, told))


def test_the_answer_is_the_output(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    told: list[str] = []
    app = tmp_path / tmp_path.name
    plan = asked(app, plain_pins, store, "echo /app/$(cat where)/", told)
    assert plan.builds[0].outputs == (tmp_path.name,)
    assert (plan.asks, told[0]) == ((), "own: asking what it leaves")
    told.clear()
    assert asked(app, plain_pins, store, "echo /app/$(cat where)/", told) == plan
    assert told == []
    lay_out(app, {"where": "elsewhere"})
    (app / "where").write_text("elsewhere")
    plan = replace(plan, builds=(replace(plan.builds[0], outputs=()),), asks=(("own", "echo /app/$(cat where)/"),))
    again = asking.answered(plan, Folder.read(str(app), store), settings(store, told))
    assert again.builds[0].outputs == ("elsewhere",)


def test_a_relative_answer_counts_from_where_it_runs(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    plan = asked(tmp_path / "app", plain_pins, store, "cat where", [], folder="web")
    assert plan.builds[0].outputs == ("web/below",)


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("echo /srv/static", "it would leave /srv/static, which is not in the app"),
        ("echo ..", "it would leave /, which is not in the app"),
        ("echo .", "it would leave /app, which is not in the app"),
        ("true", "nothing says where it would leave what it makes"),
    ],
)
def test_what_is_not_in_the_app_is_left_out(
    question: str, why: str, tmp_path: Path, store: Store, plain_pins: BuildRoot
) -> None:
    plan = asked(tmp_path / "app", plain_pins, store, question, [])
    assert (plan.builds, plan.roots) == ((), ())
    assert plan.notes[-1] == f"the build own is left out: {why} (a test)"


def test_a_question_that_fails_says_why(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    with pytest.raises(BuildFailed, match="the build own ended with exit status 2") as caught:
        asked(tmp_path / "app", plain_pins, store, "echo no settings >&2; exit 2", [])
    assert caught.value.data["last"] == ["no settings"]
    with pytest.raises(BuildFailed, match="says that it leaves"):
        asked(tmp_path / "app", plain_pins, store, "printf 'a\\001b'", [])
