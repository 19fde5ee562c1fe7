"""Large pages read piece by piece: the same answers as reading them whole, and a bound on what is held."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest

from stager.ecosystems.pypi import simple
from stager.ecosystems.pypi.simple import read_page
from stager.net import streaming
from stager.net.errors import Unreachable
from stager.net.streaming import entries

PAGE = "https://index.example/simple/app/"
VALUES: list[Any] = [
    {}, [], "", 0, -1.5e10, 12345678, True, None, "é\u2028\"\\/\n", {"a": {"b": [1, 2, {"c": "]}"}]}}, [[[]]], "x" * 5000,
]  # fmt: skip


def read(text: str | bytes, member: str = "files") -> list[tuple[str, Any]]:
    return list(entries(io.BytesIO(text.encode() if isinstance(text, str) else text), member))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1 << 18])
@pytest.mark.parametrize("indent", [None, 1])
def test_the_same_as_reading_it_whole(step: int, indent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "STEP", step)
    chosen = random.Random(step)
    for _ in range(20):
        values = chosen.choices(VALUES, k=chosen.randrange(6))
        table = {f"k{number}": value for number, value in enumerate(values)}
        page = {"meta": chosen.choice(VALUES), "files": values, "versions": table, "end": chosen.choice(VALUES)}
        for ascii_ in (True, False):
            text = json.dumps(page, indent=indent, ensure_ascii=ascii_)
            assert read(text) == [("", value) for value in values]
            assert read(text, "versions") == list(table.items())


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", "5", '{"a": 1}', '{"files"', '{"files": ', '{"files": [', '{"files": [1',
        '{"files": [1,]}', '{"files": [1 2]}',
        '{"files": 5}', '{"files": [1]', '{"files": [1]} x', '{"files": [1],}', '{"files": [] "a": 1}', '{5: 1, "files": []}',
        '{"files": ["\\ud800"]}', '{"files": [' + "[" * 100_000, '{"a": ' + "[" * 100_000, '{"files": [' + "1" * 10_000 + "]}",
        '{"files": ["' + "x" * (9 << 20) + '"]}', '{"files": [{"a": tru}]}', '{"files": {"a"}}', '{"files": {"a": 1,}}',
    ],
)  # fmt: skip
def test_what_is_no_such_document(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text)
    if text.startswith("{"):
        with pytest.raises(Unreachable, match="not what PEP 691 describes"):
            read_page(text.encode(), PAGE)


def test_only_what_is_wanted_is_held() -> None:
    rows = [{"filename": f"app-{n}.tar.gz", "url": f"x/{n}", "hashes": {"sha256": f"{n:064}"}} for n in range(2000)]
    data = json.dumps({"files": rows}).encode()
    asked = []

    def keep(file: Any) -> bool:
        asked.append(file.filename)
        return bool(file.hashes["sha256"].endswith("77"))

    found = [file.filename for file in read_page(io.BytesIO(data), PAGE, keep)]
    assert found == [f"app-{n}.tar.gz" for n in range(77, 2000, 100)]
    assert len(asked) == 2000


ENDLESS = [
    "<!DOCTYPE html><a href='" + "x" * (2 << 20),
    "<html><script>" + "x" * (2 << 20),
    "<html><!-- " + "-" * (2 << 20),
]


@pytest.mark.parametrize("text", ENDLESS)
def test_html_without_an_end_is_refused_and_not_searched_again_and_again(text: str) -> None:
    with pytest.raises(Unreachable, match="without an end"):
        read_page(text.encode(), PAGE)


def test_html_in_pieces_is_the_same_as_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    page = "<!DOCTYPE html><body>\n" + "".join(f'<a href="ü{n}.whl#sha256={n:064}">ü{n}.whl</a>\n' for n in range(50))
    whole = read_page(page.encode(), PAGE)
    assert len(whole) == 50
    for step in (1, 2, 17):
        monkeypatch.setattr(simple, "STEP", step)
        assert read_page(page.encode(), PAGE) == whole
