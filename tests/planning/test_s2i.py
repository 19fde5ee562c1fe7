"""OpenShift's `.s2i/environment`: the web process that its builder images run, and what is said of the rest."""

from __future__ import annotations

import json

import pytest

from stager.errors import BadManifest
from stager.planning import detection
from stager.planning.buildpacks import load_all
from stager.planning.detection import commands
from stager.tree import Executable, SourceTree

BUILDPACKS = load_all()
PYTHONPATH = 'PYTHONPATH="$HOME${PYTHONPATH:+:$PYTHONPATH}"'
SHOP: dict[str, str | Executable] = {
    "requirements.txt": "flask\ngunicorn\n",
    "app.py": "from flask import Flask\napp = Flask(__name__)\n",
    "shop/__init__.py": "",
    "shop/run.py": "",
    "shop/gunicorn.py": "",
    "bin/start": Executable("#!/bin/sh\n"),
    "conf.py": "",
}
SITE = json.dumps(
    {"name": "a", "scripts": {"start": "node server.js", "serve": "node other.js", "a:b": "node other.js"}}
)
NODE: dict[str, str | Executable] = {"package.json": SITE, "server.js": "", "other.js": ""}


def choose(files: dict[str, str | Executable], text: str, names: str = "flask gunicorn") -> commands.ChosenProcesses:
    tree = SourceTree.of({**files, ".s2i/environment": text})
    return commands.choose(tree, BUILDPACKS, detection.detect(tree, BUILDPACKS), frozenset(names.split()))


@pytest.mark.parametrize(
    ("text", "command", "line"),
    [
        ("APP_MODULE=shop.wsgi:application\n", 'gunicorn --bind "0.0.0.0:$PORT" shop.wsgi:application', 1),
        ("# how it starts\n\nAPP_MODULE=shop.wsgi\n", 'gunicorn --bind "0.0.0.0:$PORT" shop.wsgi', 3),
        ("APP_MODULE=shop:make()\n", "gunicorn --bind \"0.0.0.0:$PORT\" 'shop:make()'", 1),
        (
            "APP_CONFIG=conf.py\nAPP_MODULE=shop:app\n",
            'gunicorn --bind "0.0.0.0:$PORT" --config conf.py shop:app',
            2,
        ),
        (
            "APP_CONFIG=python:conf\nAPP_MODULE=shop:app\n",
            'gunicorn --bind "0.0.0.0:$PORT" --config python:conf shop:app',
            2,
        ),
        ("APP_FILE=shop/run.py\r\n", "python shop/run.py", 1),
        ("APP_FILE=/opt/app-root/src/shop/run.py\n", "python shop/run.py", 1),
        ("APP_SCRIPT=bin/start\n", "./bin/start", 1),
        ("APP_MODULE=shop:app\nAPP_FILE=shop/run.py\n", "python shop/run.py", 2),  # the images' order
        ("APP_FILE=shop/run.py\nAPP_SCRIPT=bin/start\n", "./bin/start", 2),
        ("APP_HOME=shop\nAPP_FILE=run.py\n", f"cd shop && {PYTHONPATH} exec python run.py", 2),
        ("APP_HOME=./shop/\nAPP_SCRIPT=../bin/start\n", f"cd shop && {PYTHONPATH} exec ../bin/start", 2),
        (
            "APP_HOME=shop\nAPP_MODULE=run:app\nAPP_CONFIG=gunicorn.py\n",
            f'cd shop && {PYTHONPATH} exec gunicorn --bind "0.0.0.0:$PORT" --config gunicorn.py run:app',
            2,
        ),
        ("APP_HOME=.\nAPP_FILE=shop/run.py\n", "python shop/run.py", 2),
        ("APP_FILE=\nAPP_MODULE=a:b\nAPP_MODULE=shop:app\n", 'gunicorn --bind "0.0.0.0:$PORT" shop:app', 3),
    ],
)
def test_python(text: str, command: str, line: int) -> None:
    (process,) = choose(dict(SHOP), text).processes
    assert (process.command, process.reason.file, process.reason.line) == (command, ".s2i/environment", line)


@pytest.mark.parametrize(
    ("files", "names", "command"),
    [
        ({"site/app.sh": Executable("#!/bin/sh\n"), "site/app.py": ""}, "", "./app.sh"),
        ({"site/app.py": "", "site/wsgi.py": ""}, "gunicorn", "python app.py"),
        ({"site/wsgi.py": "", "site/manage.py": ""}, "gunicorn django", 'gunicorn --bind "0.0.0.0:$PORT" wsgi'),
        ({"site/wsgi.py": "", "site/manage.py": ""}, "django", 'python manage.py runserver "0.0.0.0:$PORT"'),
    ],
)
def test_a_folder_alone_has_the_images_usual_names(files: dict[str, str], names: str, command: str) -> None:
    (process,) = choose({"requirements.txt": "a\n", **files}, "APP_HOME=site\n", names).processes
    assert process.command == f"cd site && {PYTHONPATH} exec {command}"
    assert str(process.reason) == ".s2i/environment gives APP_HOME (.s2i/environment:1)"


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("NPM_RUN=serve\n", "npm run serve"),
        ("NPM_RUN=a:b -- --quiet\n", "npm run a:b -- --quiet"),
        ("NPM_RUN=start\n", "npm start"),
        ("NODE_CMD=node other.js\nNPM_RUN=serve\n", "node other.js"),
        ("NODE_ENV=development\n", "npm start"),
        ("APP_FILE=app.py\n", "npm start"),  # nothing for Node.js
    ],
)
def test_node(text: str, command: str) -> None:
    assert choose(dict(NODE), text, "").processes[0].command == command


@pytest.mark.parametrize(
    ("files", "text", "command"),
    [
        ({"Procfile": "web: python app.py\n"}, "APP_MODULE=shop:app\n", "python app.py"),
        ({"stager.yml": "processes: {web: python app.py}\n"}, "APP_MODULE=shop:app\n", "python app.py"),
        ({"Procfile": "worker: python app.py\n"}, "APP_FILE=shop/run.py\n", "python shop/run.py"),
        ({"gunicorn.conf.py": 'wsgi_app = "app:app"\n'}, "APP_FILE=shop/run.py\n", 'gunicorn --bind "0.0.0.0:$PORT"'),
        ({}, "WEB_CONCURRENCY=2\n", 'gunicorn --bind "0.0.0.0:$PORT" app:app'),
        ({}, "APP_CONFIG=conf.py\n", 'gunicorn --bind "0.0.0.0:$PORT" app:app'),
    ],
)
def test_what_comes_first(files: dict[str, str], text: str, command: str) -> None:
    assert choose({**SHOP, **files}, text).processes[0].command == command


def test_other_variables_are_named() -> None:
    text = "DATABASE=secret\nAPP_MODULE=shop:app\nPORT=80\nWEB_CONCURRENCY=2\n"
    (note,) = choose(dict(SHOP), text).notes
    assert note == (
        "not taken over from .s2i/environment: DATABASE, WEB_CONCURRENCY; 'stager export openshift' sets them; elsewhere "
        "set them on the platform, or under env in stager.yml"
    )
    assert choose(dict(SHOP), "APP_MODULE=shop:app\n").notes == ()


@pytest.mark.parametrize(
    ("files", "text", "names", "error"),
    [
        (SHOP, "APP_FILE=main.py\n", "", ".s2i/environment:1: APP_FILE is main.py, and the app has no file main.py"),
        (
            SHOP,
            "APP_HOME=shop\nAPP_FILE=app.py\n",
            "",
            ".s2i/environment:2: APP_FILE is app.py, and the app has no file shop/app.py",
        ),
        (SHOP, "\nAPP_SCRIPT=start\n", "", ".s2i/environment:2: APP_SCRIPT is start, and the app has no file start"),
        (
            SHOP,
            "APP_HOME=web\nAPP_MODULE=a\n",
            "",
            ".s2i/environment:1: APP_HOME is web, which is no folder of the app",
        ),
        (SHOP, "APP_HOME=../x\n", "", ".s2i/environment:1: APP_HOME is ../x, which is not in the app"),
        (SHOP, "APP_FILE=/etc/passwd\n", "", ".s2i/environment:1: APP_FILE is /etc/passwd, which is not in the app"),
        (
            SHOP,
            "APP_MODULE=shop/app.py\n",
            "gunicorn",
            ".s2i/environment:1: APP_MODULE is shop/app.py, which names no module",
        ),
        (
            SHOP,
            "APP_MODULE=shop:app\n",
            "flask",
            ".s2i/environment:1: APP_MODULE is for gunicorn, which is not among the app's packages",
        ),
        (
            SHOP,
            "APP_MODULE=shop:app\nAPP_CONFIG=none.py\n",
            "gunicorn",
            ".s2i/environment:2: APP_CONFIG is none.py, and the app has no file none.py",
        ),
        (SHOP, "APP_MODULE\n", "", ".s2i/environment:1: 'APP_MODULE' is not NAME=VALUE"),
        (NODE, "NPM_RUN=dev\n", "", ".s2i/environment:1: NPM_RUN is dev, and package.json has no such script"),
    ],
)
def test_what_cannot_be_started(files: dict[str, str | Executable], text: str, names: str, error: str) -> None:
    with pytest.raises(BadManifest) as problem:
        choose(dict(files), text, names)
    assert f"{problem.value.where}: {problem.value.message}" == error
