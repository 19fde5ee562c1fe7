"""Which health check is in force: the app's own, else what its platform manifest says."""

from __future__ import annotations

from pathlib import Path

import pytest

from stager.local.machine.checking import health_of
from stager.planning.detection.appconfig import Health

MANIFEST = """\
applications:
- name: shop
  processes:
  - type: worker
    health-check-type: process
  - type: web
    health-check-type: http
    health-check-http-endpoint: /up
    timeout: 90
"""


def test_a_manifest_says_it_where_the_app_does_not(tmp_path: Path) -> None:
    (tmp_path / "manifest.yml").write_text(MANIFEST)
    assert health_of(Health(), False, str(tmp_path)) == Health("/up", timeout=90)


def test_the_apps_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "manifest.yml").write_text(MANIFEST)
    assert health_of(Health("/own"), True, str(tmp_path)) == Health("/own")


@pytest.mark.parametrize("text", [None, "applications: []\n", "applications:\n- name: ((name))\n", "- broken\n"])
def test_a_manifest_that_says_nothing_leaves_the_port(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "manifest.yml").write_text(text)
    assert health_of(Health(), False, str(tmp_path)) == Health()
