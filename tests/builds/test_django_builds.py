"""A Django site whose settings want what nobody gives: the error says which, and both ways out lead to a droplet."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from apps_fixture import APPS
from building import settings
from trees import lay_out

from stager import entry
from stager.builds.errors import BuildFailed
from stager.store import Store

pytestmark = [pytest.mark.tools, pytest.mark.network]
SITE = {
    "requirements.txt": (APPS / "django-with-front-end" / "requirements.txt").read_text(),
    "manage.py": (APPS / "django-with-front-end" / "manage.py").read_text(),
    "config/__init__.py": "",
    "config/wsgi.py": (APPS / "django-with-front-end" / "config" / "wsgi.py").read_text(),
    "config/settings.py": """
import os

SECRET_KEY = os.environ["SECRET_KEY"]
PLACES = dict(part.split("=") for part in os.environ["PLACES"].split())
INSTALLED_APPS = ["django.contrib.staticfiles"]
STATICFILES_DIRS = ["styles"]
STATIC_URL = "static/"
STATIC_ROOT = "collected"
WSGI_APPLICATION = "config.wsgi.application"
""",
    "styles/site.css": "h1 { color: red }\n",
}


def test_both_ways_out(tmp_path: Path, shared_store: Path) -> None:
    app, out, wanted = tmp_path / "app", tmp_path / "droplet.tgz", settings(Store(str(shared_store)))
    lay_out(app, SITE)
    with pytest.raises(BuildFailed) as caught:
        entry.stage(str(app), str(out), wanted)
    last = "ValueError: dictionary update sequence element #0 has length 1; 2 is required"
    assert caught.value.data["last"][-1] == last  # type: ignore[index]
    assert "'builds: {static: {env: {NAME: value}}}'" in caught.value.hint
    assert not out.exists()
    (app / "stager.yml").write_text("builds: {static: {env: {PLACES: shop=static}}}\n")
    entry.stage(str(app), str(out), wanted)
    with tarfile.open(out) as archive:
        collected = [name for name in archive.getnames() if name.startswith("./app/collected/")]
    assert collected == ["./app/collected/site.css"]
    (app / "stager.yml").write_text("builds: {static: no}\n")
    entry.stage(str(app), str(out), wanted)
    with tarfile.open(out) as archive:
        assert "./app/collected" not in archive.getnames()
