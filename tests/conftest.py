"""Fixtures that all tests share, and the rule that in CI nothing is skipped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

# Where bytecode may not be kept, each of some thousand starts of stager, and each worker, would compile all it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A plan made here has bytecode only where a test or its app says so: it must not depend on what this machine can build.
os.environ["STAGER_BYTECODE"] = "none"

# What runs in the background of a script is started with Ctrl-C ignored, and so is all it starts; tests press Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
pytest_plugins = ("all_built", "build_roots", "cf_fixtures", "machine_fixtures")


def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than processors: a test spends about half its time waiting for disks, servers and processes."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure when CI is set: there, every tool a test needs has been installed."""
    return unskipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself as a whole."""
    return unskipped((yield))


def unskipped(report: Report) -> Report:
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that this run's tests share, workers of pytest-xdist included, so that each artifact is fetched once.

    `STAGER_TEST_STORE` names one that outlives the run.
    """
    kept = os.environ.get("STAGER_TEST_STORE")
    base = tmp_path_factory.getbasetemp()
    store = Path(kept) if kept else (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared-store"
    store.mkdir(parents=True, exist_ok=True)
    return store
