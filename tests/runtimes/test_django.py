"""What a Django site's settings say of its static files, read as text."""

from __future__ import annotations

import pytest

from stager.runtimes.django import static_files
from stager.runtimes.record import Told
from stager.tree import SourceTree

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
APPS = 'INSTALLED_APPS = ["django.contrib.admin", "django.contrib.staticfiles"]\n'
BASE = "from pathlib import Path\nBASE_DIR = Path(__file__).resolve().parent.parent\n"


def told(settings: str, more: dict[str, str] | None = None, env: dict[str, str] | None = None) -> Told | None:
    return static_files(SourceTree.of({"manage.py": MANAGE, "shop/settings.py": settings, **(more or {})}), env or {})


def outputs(settings: str) -> tuple[str, ...]:
    found = told(APPS + settings)
    assert found
    return found.outputs


@pytest.mark.parametrize(
    "settings",
    [
        BASE + 'STATIC_ROOT = BASE_DIR / "staticfiles"\n',
        BASE + "STATIC_ROOT = str(BASE_DIR / 'staticfiles')  # collected\n",
        BASE + 'STATIC_ROOT: Path = BASE_DIR.joinpath("staticfiles")\n',
        BASE + 'STATIC_ROOT = f"{BASE_DIR}/staticfiles/"\n',
        BASE + 'STATIC_ROOT = BASE_DIR.parent / "app" / "staticfiles"\n',
        BASE + 'STATIC_ROOT = os.environ.get("STATIC_ROOT", BASE_DIR / "staticfiles")\n',
        BASE + 'STATIC_ROOT = env("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))\n',
        BASE + 'STATIC_ROOT = os.environ.get("STATIC_ROOT") or BASE_DIR / "staticfiles"\n',
        BASE + 'STATIC_ROOT = "/app/staticfiles"\n',
        'STATIC_ROOT = "staticfiles"\n',
        "BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"
        "STATIC_ROOT = os.path.join(BASE_DIR, 'staticfiles')\n",
        "PROJECT_ROOT = os.path.dirname(os.path.abspath(__file__))\n"
        "STATIC_ROOT = os.path.join(\n    PROJECT_ROOT,\n    '..',\n    'staticfiles',\n)\n",
        "BASE_DIR = Path(__file__).resolve().parents[1]\nSTATIC_ROOT = Path(BASE_DIR, 'staticfiles')\n",
        "root = environ.Path(__file__) - 2\nSTATIC_ROOT = root('staticfiles')\n",
        "ROOT = environ.Path(__file__) - 2\nSTATIC_ROOT = str(ROOT.path('staticfiles'))\n",
        "HERE = os.path.dirname(__file__)\nHERE = os.path.dirname(HERE)\nSTATIC_ROOT = HERE + '/staticfiles'\n",
    ],
)
def test_plain_expressions(settings: str) -> None:
    assert outputs(settings) == ("staticfiles",)


@pytest.mark.parametrize(
    "settings",
    [
        'STATIC_ROOT = os.environ["STATIC_ROOT"]\n',
        "STATIC_ROOT = where()\n",
        BASE + "if DEBUG:\n    STATIC_ROOT = BASE_DIR / 'a'\nelse:\n    STATIC_ROOT = BASE_DIR / 'b'\n",
        "class Production(Base):\n    STATIC_ROOT = 'x'\n",
        "STATIC_ROOT = '/app/' + chr(120)\n",
        "STATIC_ROOT = " + "(" * 1500 + "\n",
        "STATIC_ROOT = 'a'" + " / 'a'" * 250 + "\n",
        "STATIC_ROOT = '\\x61'\n",
    ],
)
def test_what_only_running_it_could_tell(settings: str) -> None:
    assert outputs(settings) == ()


@pytest.mark.parametrize(
    "settings",
    [
        "INSTALLED_APPS = []\nSTATIC_ROOT = 'x'\n",
        "",
    ],
)
def test_nothing_to_collect(settings: str) -> None:
    assert told(settings) is None


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("", "STATIC_ROOT is not set"),
        ("# STATIC_ROOT = 'x'\n", "STATIC_ROOT is not set"),
        ("STATIC_ROOT = None\n", "STATIC_ROOT is empty"),
        ("STATIC_ROOT = ''\n", "STATIC_ROOT is empty"),
        ("STATIC_ROOT = '/var/www/shop'\n", "STATIC_ROOT is /var/www/shop, which is not in the app"),
        (
            "STATIC_ROOT = 'x'\nSTATICFILES_STORAGE = 'storages.backends.s3boto3.S3StaticStorage'\n",
            "they go to a storage service: run collectstatic where that is reached",
        ),
        (
            "STATIC_ROOT = 'x'\nSTORAGES = {'staticfiles': {'BACKEND': 'storages.backends.s3.S3Storage'}}\n",
            "they go to a storage service: run collectstatic where that is reached",
        ),
    ],
)
def test_what_is_not_collected(settings: str, why: str) -> None:
    found = told(APPS + settings)
    assert found
    assert (found.outputs, found.instead) == ((), f"Django's static files are not collected: {why}")


def test_no_site() -> None:
    assert static_files(SourceTree.of({"settings.py": APPS + "STATIC_ROOT = 'x'\n"}), {}) is None
    assert static_files(SourceTree.of({"manage.py": MANAGE}), {}) is None
    assert static_files(SourceTree.of({"tests/manage.py": MANAGE, "tests/shop/settings.py": APPS}), {}) is None


def test_place_is_that_of_the_setting() -> None:
    found = told(APPS + BASE + 'STATIC_ROOT = BASE_DIR / "out"\n')
    assert found == Told("", "shop/settings.py", 4, ("out",))


def test_a_package_of_settings_and_those_that_are_served() -> None:
    manage = MANAGE.replace("shop.settings", "config.settings.local")
    wsgi = MANAGE.replace("shop.settings", "config.settings.production")
    base = APPS + "BASE_DIR = Path(__file__).resolve(strict=True).parent.parent.parent\n"
    base = base.replace("strict=True", "") + "STATIC_ROOT = str(BASE_DIR / 'static')\n"
    files = {
        "manage.py": manage,
        "config/wsgi.py": wsgi,
        "config/settings/__init__.py": "",
        "config/settings/base.py": base,
        "config/settings/local.py": "from .base import *\n",
        "config/settings/production.py": "from .base import *  # noqa\nSTATIC_ROOT = BASE_DIR / 'collected'\n",
    }
    served = static_files(SourceTree.of(files), {})
    assert served == Told(
        "",
        "config/settings/production.py",
        2,
        ("collected",),
        env=(("DJANGO_SETTINGS_MODULE", "config.settings.production"),),
    )
    own = static_files(SourceTree.of(files), {"DJANGO_SETTINGS_MODULE": "config.settings.local"})
    assert own == Told("", "config/settings/base.py", 3, ("static",))


def test_a_site_in_a_folder() -> None:
    files = {"web/manage.py": MANAGE, "web/shop/settings.py": APPS + BASE + 'STATIC_ROOT = BASE_DIR / "out"\n'}
    assert static_files(SourceTree.of(files), {}) == Told("web", "web/shop/settings.py", 4, ("web/out",))
    files["web/shop/settings.py"] = APPS + "STATIC_ROOT = 'relative'\n"
    found = static_files(SourceTree.of(files), {})
    assert found
    assert found.outputs == ("web/relative",)


def test_settings_that_take_from_each_other_end() -> None:
    files = {
        "manage.py": MANAGE,
        "shop/settings.py": APPS + "from .other import *\nSTATIC_ROOT = 'x'\n",
        "shop/other.py": "from .settings import *\n",
    }
    found = static_files(SourceTree.of(files), {})
    assert found
    assert found.outputs == ("x",)


@pytest.mark.parametrize(
    ("line", "env"),
    [
        ('SECRET_KEY = os.environ["SECRET_KEY"]', {"SECRET_KEY": "build"}),
        ("SECRET_KEY = os.environ.get('DJANGO_SECRET_KEY')", {"DJANGO_SECRET_KEY": "build"}),
        ('SECRET_KEY = os.getenv("KEY", "")', {"KEY": "build"}),
        ('SECRET_KEY = os.environ.get("KEY", "not-secret")', {}),
        ('# SECRET_KEY = os.environ["SECRET_KEY"]', {}),
        ('os.environ["LANG"] = "C"', {}),
        ('TIMEOUT = int(os.environ["TIMEOUT"])', {"TIMEOUT": "1"}),
        ('SECRET_KEY = env("KEY")', {"KEY": "build"}),
        ('SECRET_KEY = env("KEY", default="a")', {}),
        ('SECRET_KEY = env(\n    "KEY",\n    default="a",\n)', {}),
        ('SECRET_KEY = config("KEY", "a")', {}),
        ('SECRET_KEY = get_env_variable("KEY")', {"KEY": "build"}),
        ("class Production(Base):\n    SECRET_KEY = values.SecretValue()", {"DJANGO_SECRET_KEY": "build"}),
        ("DATABASES = values.DatabaseURLValue()", {"DATABASE_URL": "sqlite:///:memory:"}),
        ('DEBUG = config("DEBUG", cast=bool)', {"DEBUG": "False"}),
        ('DEBUG = env.bool("APP_DEBUG")', {"APP_DEBUG": "False"}),
        ('WORKERS = env.int("WORKERS")', {"WORKERS": "1"}),
        ('ALLOWED_HOSTS = env.list("HOSTS")', {"HOSTS": "build"}),
        ('CACHES = {"default": env.cache("CACHE_URL")}', {"CACHE_URL": "locmemcache://"}),
        ('BROKER = os.environ["REDIS_URL"]', {"REDIS_URL": "redis://localhost/0"}),
        ('SITE = os.environ["SITE_URL"]', {"SITE_URL": "http://localhost"}),
        ('DATABASES = {"default": env.db()}', {"DATABASE_URL": "sqlite:///:memory:"}),
        ("DATABASES = {'default': dj_database_url.config()}", {"DATABASE_URL": "sqlite:///:memory:"}),
        ('DATABASES = {"default": {"PORT": os.environ["DB_PORT"]}}', {"DB_PORT": "1"}),
    ],
)
def test_stand_ins_for_variables(line: str, env: dict[str, str]) -> None:
    found = told(APPS + "STATIC_ROOT = 'x'\n" + line + "\n")
    assert found
    assert dict(found.env) == env


def test_what_the_app_sets_needs_no_stand_in() -> None:
    found = told(APPS + "STATIC_ROOT = 'x'\nSECRET_KEY = os.environ['KEY']\n", env={"KEY": "own"})
    assert found
    assert found.env == ()


@pytest.mark.parametrize(
    ("there", "inputs"),
    [
        ({}, ()),
        ({"out/own.css": ""}, ("**", "out/**")),
        ({"out/own.css": "", "out/staticfiles.json": "{}"}, ()),
        ({"out/admin/css/base.css": ""}, ()),
    ],
)
def test_files_of_the_apps_own_where_they_are_collected_stay(there: dict[str, str], inputs: tuple[str, ...]) -> None:
    found = told(APPS + "STATIC_ROOT = 'out'\n", there)
    assert found
    assert (found.outputs, found.inputs) == (("out",), inputs)


def test_a_class_of_settings_is_that_of_the_application_that_is_served() -> None:
    wsgi = MANAGE + 'os.environ.setdefault("DJANGO_CONFIGURATION", "Production")\n'
    classes = APPS + "class Production(Base):\n    STATIC_ROOT = BASE_DIR / 'out'\n"
    assert told(classes, {"shop/wsgi.py": wsgi}) == Told(
        "", "shop/settings.py", 3, env=(("DJANGO_CONFIGURATION", "Production"),)
    )
    assert told(classes, {"shop/wsgi.py": wsgi}, {"DJANGO_CONFIGURATION": "Local"}) == Told("", "shop/settings.py", 3)


@pytest.mark.parametrize("package", ["django_heroku", "django_on_heroku"])
def test_a_package_that_sets_the_place_is_asked_through_the_settings(package: str) -> None:
    assert told(APPS + f"import {package}\n{package}.settings(locals())\n") == Told("", "shop/settings.py", 3)
