"""Fixtures for tests with machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import private_engine
from machine_bench import Bench, bridge, make_shop, need_vagrant


@pytest.fixture(scope="session")
def bench(shared_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    need_vagrant()
    with bridge() as (name, gateway), private_engine(f"--bridge={name}") as started:
        yield Bench(started, gateway, shared_store, tmp_path_factory.mktemp("vagrant-home"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A small Python app with PostgreSQL and Redis."""
    return make_shop(tmp_path / "shop")
