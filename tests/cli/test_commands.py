"""Situations: files and installed packages, and the exact commands they come to with reasons, or the error in full."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stager.errors import Ambiguous, BadManifest, NeedsBuild, StagerError, UsageError
from stager.planning import detection
from stager.planning.buildpacks import load_all
from stager.planning.detection import commands
from stager.planning.errors import NoProcess
from stager.tree import SourceTree

Files = dict[str, str]
BUILDPACKS = load_all()
NO_LOCK = '{"lockfileVersion": 3, "packages": {}}'


def choose(
    files: Files, names: str = "", overrides: dict[str, str] | None = None, only: str = ""
) -> commands.ChosenProcesses:
    tree = SourceTree.of(dict(files))
    found = detection.detect(tree, BUILDPACKS, only=tuple(only.split()))
    return commands.choose(tree, BUILDPACKS, found, frozenset(names.split()), overrides or {})


def manifest(**fields: Any) -> str:
    return json.dumps({"name": "shop", **fields}, indent=1)


def scripts(**named: str) -> str:
    return manifest(dependencies={"a": "1"}, scripts=named)


MANAGE = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")\n'
FLASK = "from flask import Flask\n\napp = Flask(__name__)\n"
DJANGO = {
    "manage.py": MANAGE,
    "site1/settings.py": 'WSGI_APPLICATION = "site1.wsgi.application"\n',
    "site1/wsgi.py": "",
}

WEB: dict[str, tuple[Files, str, str, str]] = {
    # Django
    "Django, gunicorn": (
        DJANGO,
        "django gunicorn uvicorn",
        'gunicorn --bind "0.0.0.0:$PORT" site1.wsgi:application',
        "Django's WSGI application site1.wsgi:application, served by gunicorn (site1/settings.py:1)",
    ),
    "Django, settings package": (
        {
            "manage.py": MANAGE,
            "site1/settings/base.py": "WSGI_APPLICATION = 'site1.wsgi.app'\n",
            "site1/settings/__init__.py": "",
        },
        "django gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" site1.wsgi:app',
        "Django's WSGI application site1.wsgi:app, served by gunicorn (site1/settings/base.py:1)",
    ),
    "Django, only wsgi.py": (
        {"manage.py": MANAGE, "site1/wsgi.py": "\napplication = get_wsgi_application()\n"},
        "django gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" site1.wsgi:application',
        "Django's WSGI application site1.wsgi:application, served by gunicorn (site1/wsgi.py:2)",
    ),
    "Django, uvicorn": (
        {"manage.py": MANAGE, "site1/asgi.py": "application = get_asgi_application()\n"},
        "django uvicorn",
        'uvicorn site1.asgi:application --host 0.0.0.0 --port "$PORT"',
        "Django's ASGI application site1.asgi:application, served by uvicorn (site1/asgi.py:1)",
    ),
    "Django, daphne": (
        {"manage.py": MANAGE, "site1/asgi.py": "application = get_asgi_application()\n"},
        "django daphne",
        'daphne -b 0.0.0.0 -p "$PORT" site1.asgi:application',
        "Django's ASGI application site1.asgi:application, served by daphne (site1/asgi.py:1)",
    ),
    "Django, waitress": (
        DJANGO,
        "django waitress",
        'waitress-serve --listen="0.0.0.0:$PORT" site1.wsgi:application',
        "Django's WSGI application site1.wsgi:application, served by waitress (site1/settings.py:1)",
    ),
    "Django, no server": (
        DJANGO,
        "django",
        'python manage.py runserver "0.0.0.0:$PORT"',
        "Django's manage.py, and no server such as gunicorn is installed (manage.py)",
    ),
    # Flask and other WSGI
    "Flask, gunicorn": (
        {"app.py": FLASK},
        "flask gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" app:app',
        "Flask application app:app, served by gunicorn (app.py:3)",
    ),
    "Flask, waitress": (
        {"main.py": "import flask\nserver: flask.Flask = flask.Flask('x')\n"},
        "flask waitress",
        'waitress-serve --listen="0.0.0.0:$PORT" main:server',
        "Flask application main:server, served by waitress (main.py:2)",
    ),
    "Flask, uwsgi": (
        {"app.py": FLASK},
        "flask pyuwsgi",
        'uwsgi --http-socket "0.0.0.0:$PORT" --master --die-on-term --module app:app',
        "Flask application app:app, served by uwsgi (app.py:3)",
    ),
    "Flask, granian": (
        {"app.py": FLASK},
        "flask granian",
        'granian --interface wsgi --host 0.0.0.0 --port "$PORT" app:app',
        "Flask application app:app, served by granian-wsgi (app.py:3)",
    ),
    "Flask, no server": (
        {"app.py": FLASK},
        "flask",
        'FLASK_APP=app flask run --host 0.0.0.0 --port "$PORT"',
        "Flask application app:app, and no server such as gunicorn is installed (app.py:3)",
    ),
    "Flask, factory in a package": (
        {"requirements.txt": "flask", "shop/__init__.py": "def create_app():\n    return Flask(__name__)\n"},
        "flask gunicorn",
        "gunicorn --bind \"0.0.0.0:$PORT\" 'shop:create_app()'",
        "Flask application shop:create_app, served by gunicorn (shop/__init__.py:1)",
    ),
    "Flask, factory called in wsgi.py": (
        {"wsgi.py": "from shop import create_app\napp = create_app()\n", "shop/__init__.py": "def create_app():\n"},
        "flask gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" wsgi:app',
        "Flask application wsgi:app, served by gunicorn (wsgi.py:2)",
    ),
    "Flask, factory and waitress": (
        {"requirements.txt": "", "src/shop/__init__.py": "def create_app():\n"},
        "flask waitress",
        'waitress-serve --listen="0.0.0.0:$PORT" --call shop:create_app',
        "Flask application shop:create_app, served by waitress (src/shop/__init__.py:1)",
    ),
    "Flask, src layout": (
        {"requirements.txt": "", "src/shop/app.py": FLASK},
        "flask gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" shop.app:app',
        "Flask application shop.app:app, served by gunicorn (src/shop/app.py:3)",
    ),
    "Flask, a file that is no module": (
        {"my-app.py": FLASK, "app.py": ""},
        "flask gunicorn",
        "python app.py",
        "app.py is the app's program (app.py)",
    ),
    "gunicorn.conf.py": (
        {"app.py": FLASK, "gunicorn.conf.py": 'wsgi_app = "app:app"\n'},
        "flask gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT"',
        "gunicorn.conf.py names the application (gunicorn.conf.py:1)",
    ),
    "Dash": (
        {"app.py": "app = Dash(__name__)\nserver = app.server\n"},
        "dash flask gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" app:server',
        "Dash application app:server, served by gunicorn (app.py:2)",
    ),
    "Bottle": (
        {"app.py": "app = bottle.Bottle()\n"},
        "bottle gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" app:app',
        "WSGI application app:app, served by gunicorn (app.py:1)",
    ),
    "plain WSGI": (
        {"wsgi.py": "application = make()\n"},
        "gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" wsgi:application',
        "WSGI application wsgi:application, served by gunicorn (wsgi.py:1)",
    ),
    # ASGI
    "FastAPI, uvicorn": (
        {"main.py": "api = FastAPI(\n    title='x')\n"},
        "fastapi starlette uvicorn",
        'uvicorn main:api --host 0.0.0.0 --port "$PORT"',
        "FastAPI application main:api, served by uvicorn (main.py:1)",
    ),
    "FastAPI, standard": (
        {"app/main.py": "app = FastAPI()\n", "requirements.txt": ""},
        "fastapi fastapi-cli starlette uvicorn",
        'fastapi run app/main.py --app app --host 0.0.0.0 --port "$PORT"',
        "FastAPI application app.main:app, served by fastapi (app/main.py:1)",
    ),
    "FastAPI, hypercorn": (
        {"main.py": "app = FastAPI()\n"},
        "fastapi hypercorn",
        'hypercorn --bind "0.0.0.0:$PORT" main:app',
        "FastAPI application main:app, served by hypercorn (main.py:1)",
    ),
    "FastAPI, factory": (
        {"main.py": "def create_app():\n    return FastAPI()\n"},
        "fastapi uvicorn",
        'uvicorn --factory main:create_app --host 0.0.0.0 --port "$PORT"',
        "FastAPI application main:create_app, served by uvicorn (main.py:1)",
    ),
    "Starlette": (
        {"app.py": "app = Starlette(routes=[])\n"},
        "starlette granian",
        'granian --interface asgi --host 0.0.0.0 --port "$PORT" app:app',
        "Starlette application app:app, served by granian (app.py:1)",
    ),
    "Litestar": (
        {"app.py": "app = Litestar([index])\n"},
        "litestar uvicorn",
        'uvicorn app:app --host 0.0.0.0 --port "$PORT"',
        "Litestar application app:app, served by uvicorn (app.py:1)",
    ),
    "Quart": (
        {"app.py": "app = Quart(__name__)\n"},
        "quart hypercorn",
        'hypercorn --bind "0.0.0.0:$PORT" app:app',
        "Quart application app:app, served by hypercorn (app.py:1)",
    ),
    "Sanic": (
        {"server.py": "app = Sanic('x')\n"},
        "sanic",
        'sanic server:app --host=0.0.0.0 --port="$PORT"',
        "Sanic application server:app, served by sanic (server.py:1)",
    ),
    "FastHTML": (
        {"main.py": "app, rt = fast_app()\n"},
        "python-fasthtml starlette uvicorn",
        'uvicorn main:app --host 0.0.0.0 --port "$PORT"',
        "FastHTML application main:app, served by uvicorn (main.py:1)",
    ),
    # programs of their own
    "Streamlit": (
        {"streamlit_app.py": "import streamlit as st\n"},
        "streamlit",
        'streamlit run streamlit_app.py --server.address 0.0.0.0 --server.port "$PORT" --server.headless true',
        "Streamlit page streamlit_app.py (streamlit_app.py:1)",
    ),
    "Streamlit, a name with a space": (
        {"requirements.txt": "", "my page.py": "import streamlit as st\n"},
        "streamlit",
        "streamlit run 'my page.py' --server.address 0.0.0.0 --server.port \"$PORT\" --server.headless true",
        "Streamlit page my page.py (my page.py:1)",
    ),
    "Gradio": (
        {"app.py": "import gradio as gr\n"},
        "gradio fastapi uvicorn",
        'GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT="$PORT" python app.py',
        "Gradio app app.py (app.py:1)",
    ),
    "Chainlit": (
        {"app.py": "import chainlit as cl\n"},
        "chainlit fastapi uvicorn",
        'chainlit run app.py --host 0.0.0.0 --port "$PORT" --headless',
        "Chainlit app app.py (app.py:1)",
    ),
    "marimo": (
        {"app.py": "import marimo\n\napp = marimo.App()\n"},
        "marimo starlette uvicorn",
        'marimo run app.py --host 0.0.0.0 --port "$PORT" --headless',
        "marimo notebook app.py (app.py:3)",
    ),
    "aiohttp": (
        {"main.py": "async def init_app(argv):\n    return web.Application()\n"},
        "aiohttp",
        'python -m aiohttp.web -H 0.0.0.0 -P "$PORT" main:init_app',
        "aiohttp application from main:init_app (main.py:1)",
    ),
    "aiohttp, gunicorn": (
        {"main.py": "app = web.Application()\n"},
        "aiohttp gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" --worker-class aiohttp.GunicornWebWorker main:app',
        "aiohttp application main:app, served by gunicorn-aiohttp (main.py:1)",
    ),
    "main.py": ({"main.py": "", "app.py": ""}, "", "python main.py", "main.py is the app's program (main.py)"),
    "bot.py": ({"bot.py": ""}, "", "python bot.py", "bot.py is the app's program (bot.py)"),
    "tornado": (
        {"server.py": "import tornado\n"},
        "tornado",
        "python server.py",
        "server.py is the app's program (server.py)",
    ),
    "project script": (
        {
            "pyproject.toml": '[project]\nname = "shop"\n[project.scripts]\nserve = "shop.cli:main"\n',
            "src/shop/cli.py": "",
        },
        "",
        "serve",
        "project script serve, the function main of shop.cli (src/shop/cli.py)",
    ),
    "project script of the project's name": (
        {
            "pyproject.toml": '[project]\nname = "shop"\n[project.scripts]\nadmin = "shop:a"\nshop = "shop:main"\n',
            "shop/__init__.py": "",
        },
        "",
        "shop",
        "project script shop, the function main of shop (shop/__init__.py)",
    ),
    "a package that can be run": (
        {"requirements.txt": "", "src/shop/__main__.py": ""},
        "",
        "python -m shop",
        "package shop can be run (src/shop/__main__.py)",
    ),
    # Node.js
    "npm start": (
        {"package.json": scripts(start="node server.js"), "server.js": "", "package-lock.json": NO_LOCK},
        "a",
        "npm start",
        "package.json's start script: node server.js (package.json:7)",
    ),
    "npm start with yarn": (
        {"package.json": scripts(start="NODE_ENV=x node ./server"), "server.js": "", "yarn.lock": ""},
        "a",
        "npm start",
        "package.json's start script: NODE_ENV=x node ./server (package.json:7)",
    ),
    "start that runs another script": (
        {"package.json": scripts(start="npm run serve", serve="node -r dotenv/config dist/main"), "dist/main.js": ""},
        "a",
        "npm start",
        "package.json's start script: npm run serve (package.json:7)",
    ),
    "start that runs itself": (
        {"package.json": scripts(start="npm start")},
        "a",
        "npm start",
        "package.json's start script: npm start (package.json:7)",
    ),
    "start in another folder": (
        {"package.json": scripts(start="cd api && node dist/x.js", build="tsc")},
        "a",
        "npm start",
        "package.json's start script: cd api && node dist/x.js (package.json:7)",
    ),
    "next with its output": (
        {"package.json": scripts(start="next start", build="next build"), ".next/BUILD_ID": "x"},
        "next",
        "npm start",
        "package.json's start script: next start (package.json:7)",
    ),
    "nest": (
        {"package.json": scripts(**{"start": "nest start", "start:prod": "node dist/main"}), "dist/main.js": ""},
        "a",
        "npm run start:prod",
        "package.json's start:prod script: node dist/main (package.json:8)",
    ),
    "bun": (
        {"package.json": scripts(start="bun run server.ts"), "server.ts": "", "bun.lock": '{"lockfileVersion": 1}'},
        "a",
        "bun run start",
        "package.json's start script: bun run server.ts (package.json:7)",
    ),
    "bun, TypeScript": (
        {"package.json": manifest(dependencies={"a": "1"}), "index.ts": "", "bun.lock": '{"lockfileVersion": 1}'},
        "a",
        "bun run index.ts",
        "index.ts is the app's program (index.ts)",
    ),
    "bun, module": (
        {"package.json": manifest(module="./src/app.ts"), "src/app.ts": "", "bun.lock": '{"lockfileVersion": 1}'},
        "",
        "bun run src/app.ts",
        "package.json names src/app.ts (src/app.ts)",
    ),
    "main": (
        {"package.json": manifest(main="./lib/index", dependencies={"a": "1"}), "lib/index.js": ""},
        "a",
        "node lib/index.js",
        "package.json names lib/index.js (lib/index.js)",
    ),
    "server.js": (
        {"package.json": manifest(dependencies={"a": "1"}), "server.js": "", "index.js": ""},
        "a",
        "node server.js",
        "server.js is the app's program (server.js)",
    ),
    "src/index.js": (
        {"package.json": manifest(dependencies={"a": "1"}), "src/index.js": ""},
        "a",
        "node src/index.js",
        "src/index.js is the app's program (src/index.js)",
    ),
    "TypeScript on a new Node.js": (
        {"package.json": manifest(dependencies={"a": "1"}), "index.ts": "", ".nvmrc": "24"},
        "a",
        "node index.ts",
        "index.ts is the app's program; Node.js 22.18 and newer run erasable TypeScript (index.ts)",
    ),
    # static
    "static": (
        {"index.html": ""},
        "",
        'sh "$HOME/.stager/nginx/serve"',
        "nginx serves the site",
    ),
    # two languages
    "Python serves, Node.js only builds": (
        {"requirements.txt": "", "app.py": FLASK, "package.json": manifest(dependencies={"htmx": "2"})},
        "flask gunicorn htmx",
        'gunicorn --bind "0.0.0.0:$PORT" app:app',
        "Flask application app:app, served by gunicorn (app.py:3)",
    ),
    "Python serves, the other is for development": (
        {"requirements.txt": "", "app.py": FLASK, "package.json": scripts(start="webpack --watch")},
        "flask gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" app:app',
        "Flask application app:app, served by gunicorn (app.py:3)",
    ),
    # what the author says
    "Procfile": (
        {"app.py": FLASK, "Procfile": "web: gunicorn app:app\n"},
        "flask gunicorn",
        "gunicorn app:app",
        "Procfile names it (Procfile:1)",
    ),
    "stager.yml before Procfile": (
        {"app.py": FLASK, "Procfile": "web: a\n", "stager.yml": "processes:\n  web: b\n"},
        "",
        "b",
        "stager.yml names it (stager.yml:2)",
    ),
}


@pytest.mark.parametrize("name", WEB)
def test_web(name: str) -> None:
    files, names, command, reason = WEB[name]
    (process,) = choose(files, names).processes
    assert (process.type, process.command, str(process.reason)) == ("web", command, reason)


def test_every_chosen_command_listens_on_the_port() -> None:
    """A command of stager's own either names $PORT or starts a program of the app, which finds PORT in its environment."""
    own = ("python ", "npm ", "node ", "bun ", "sh ", "serve", "shop")
    for files, names, command, _ in WEB.values():
        assert "$PORT" in command or command.startswith(own) or "Procfile" in files, command
        assert choose(files, names).processes[0].command == command


def test_types_are_merged_and_sorted() -> None:
    files = {
        "app.py": FLASK,
        "Procfile": "worker: python w.py\r\nrelease: python manage.py migrate\r\nCron_1: x\r\n",
        "stager.yml": "processes: {worker: python other.py}\n",
    }
    found = choose(files, "flask gunicorn").processes
    assert [(one.type, one.command, str(one.reason)) for one in found] == [
        ("web", 'gunicorn --bind "0.0.0.0:$PORT" app:app', "Flask application app:app, served by gunicorn (app.py:3)"),
        ("Cron_1", "x", "Procfile names it (Procfile:3)"),
        ("release", "python manage.py migrate", "Procfile names it (Procfile:2)"),
        ("worker", "python other.py", "stager.yml names it (stager.yml:1)"),
    ]


def test_workers_need_no_web() -> None:
    files = {"requirements.txt": "", "Procfile": "worker: python w.py\n", "w.py": ""}
    assert [one.type for one in choose(files).processes] == ["worker"]


def test_overrides_win() -> None:
    found = choose({"main.py": "", "Procfile": "web: a\n"}, overrides={"web": "python x.py", "clock": "b"}).processes
    assert [(one.type, one.command, str(one.reason)) for one in found] == [
        ("web", "python x.py", "asked for by the caller"),
        ("clock", "b", "asked for by the caller"),
    ]


def test_an_override_that_repeats_a_file_keeps_its_reason() -> None:
    found = choose({"main.py": "", "Procfile": "web: a\n"}, overrides={"web": "a"}).processes
    assert [str(one.reason) for one in found] == ["Procfile names it (Procfile:1)"]


@pytest.mark.parametrize("override", [{"we b": "a"}, {"web": " "}, {"web": "a\nb"}, {"": "a"}])
def test_bad_overrides(override: dict[str, str]) -> None:
    (kind, command) = next(iter(override.items()))
    with pytest.raises(UsageError) as caught:
        choose({"main.py": ""}, overrides=override)
    assert caught.value.message == f"{kind!r}: {command!r} is not a process type and a command of one line"


NOTES: dict[str, tuple[Files, str, list[str]]] = {
    "nothing to say": ({"app.py": FLASK}, "flask gunicorn", []),
    "Django's development server": (
        DJANGO,
        "django",
        ["Django runs with its development server: add gunicorn to the app's dependencies"],
    ),
    "Flask's development server": (
        {"app.py": FLASK},
        "flask",
        ["Flask runs with its development server: add gunicorn to the app's dependencies"],
    ),
    "a server that is not installed": (
        {"app.py": FLASK, "Procfile": "\nweb: gunicorn app:app\n"},
        "flask",
        ["web runs gunicorn, which is not among the app's packages (Procfile names it (Procfile:2))"],
    ),
    "a front end that cannot be built": (
        {
            "requirements.txt": "",
            "app.py": FLASK,
            "package.json": scripts(start="next start", build="npm ci && next build"),
        },
        "flask gunicorn next",
        [
            "not used as the start command: must be built first: shop (scripts.build writes .next/, which scripts.start needs)"
        ],
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_notes(name: str) -> None:
    files, names, expected = NOTES[name]
    assert list(choose(files, names).notes) == expected


NGINX = 'sh "$HOME/.stager/nginx/serve"'
FRONT = {"index.html": '<script type="module" src="/src/main.js"></script>'}
BUILT: dict[str, tuple[Files, str, str, tuple[str, ...]]] = {
    "next": (
        {"package.json": scripts(start="next start -p $PORT", build="next build")},
        "npm start", "package.json's start script: next start -p $PORT (package.json:7)", (".next",),
    ),
    "next without a start script": (
        {"package.json": scripts(build="next build")},
        "next start", "package.json's build script: next build (package.json:7)", (".next",),
    ),
    "next's development server": (
        {"package.json": scripts(start="next dev", build="next build")},
        "next start", "package.json's build script: next build (package.json:8)", (".next",),
    ),
    "nuxt": (
        {
            "package.json": scripts(start="node .output/server/index.mjs", build="nuxt build"),
            "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
        },
        "npm start", "package.json's start script: node .output/server/index.mjs (package.json:7)", (".output",),
    ),
    "nuxt without a start script": (
        {"package.json": scripts(build="nuxt build")},
        "HOST=0.0.0.0 node .output/server/index.mjs",
        ".output/server/index.mjs is the server that the build has left (package.json:7)", (".output",),
    ),
    "remix": (
        {"package.json": scripts(start="remix-serve ./build/server/index.js", build="remix vite:build")},
        "npm start", "package.json's start script: remix-serve ./build/server/index.js (package.json:7)", ("build",),
    ),
    "a preview of pages": (
        {"package.json": scripts(start="vite preview --port $PORT", build="vite build"), **FRONT},
        NGINX, "nginx serves the site", ("dist",),
    ),
    "a preview of what is no page": (
        {"package.json": scripts(start="vite preview --port $PORT", build="vite build")},
        "npm start", "package.json's start script: vite preview --port $PORT (package.json:7)", ("dist",),
    ),
    "a development server of pages": (
        {"package.json": scripts(start="vite", build="vite build"), **FRONT},
        NGINX, "nginx serves the site", ("dist",),
    ),
    "create-react-app": (
        {"package.json": scripts(start="react-scripts start", build="react-scripts build"), "public/index.html": ""},
        NGINX, "nginx serves the site", ("build",),
    ),
    "pages in a folder of their own": (
        {"package.json": scripts(build="vitepress build docs")},
        NGINX, "nginx serves the site", ("docs/.vitepress/dist",),
    ),
    "pages beside a server": (
        {"package.json": scripts(start="node server.js", build="vite build"), "server.js": "", **FRONT},
        "npm start", "package.json's start script: node server.js (package.json:7)", ("dist",),
    ),
    "pages beside a server in the Procfile": (
        {"package.json": scripts(build="vite build"), "server.js": "", "Procfile": "web: node server.js\n", **FRONT},
        "node server.js", "Procfile names it (Procfile:1)", ("dist",),
    ),
    "pages beside a program": (
        {"package.json": scripts(build="vite build"), "server.js": "app.listen(1)", **FRONT},
        "node server.js", "server.js is the app's program (server.js:1)", ("dist",),
    ),
    "pages that a Staticfile places": (
        {"package.json": scripts(build="vite build"), "Staticfile": "root: dist\n", **FRONT},
        NGINX, "nginx serves the site", ("dist",),
    ),
    "pages beside Python": (
        {"requirements.txt": "", "app.py": FLASK, "package.json": scripts(build="vite build"), **FRONT},
        'gunicorn --bind "0.0.0.0:$PORT" app:app', "Flask application app:app, served by gunicorn (app.py:3)", ("dist",),
    ),
    "a compiled program": (
        {"package.json": scripts(start="node --enable-source-maps dist/server.js", build="tsc"), "src/server.ts": ""},
        "npm start", "package.json's start script: node --enable-source-maps dist/server.js (package.json:7)", ("dist",),
    ),
    "a compiled program in a folder of a folder": (
        {
            "package.json": scripts(start="node dist/server/main.js", build="tsc"),
            "tsconfig.json": '{"compilerOptions": {"outDir": "dist/server"}}',
        },
        "npm start", "package.json's start script: node dist/server/main.js (package.json:7)", ("dist/server",),
    ),
    "a compiled program through another script": (
        {"package.json": scripts(start="npm run prod", prod="cross-env A=1 node build", build="tsc")},
        "npm start", "package.json's start script: npm run prod (package.json:7)", ("build",),
    ),
    "a compiled program in the Procfile": (
        {"package.json": scripts(build="tsc"), "Procfile": "web: node dist/main.js\n"},
        "node dist/main.js", "Procfile names it (Procfile:1)", ("dist",),
    ),
    "npm start in the Procfile": (
        {"package.json": scripts(start="node dist/main.js", build="tsc"), "Procfile": "web: npm start\n"},
        "npm start", "Procfile names it (Procfile:1)", ("dist",),
    ),
    "a program beside pages": (
        {"package.json": scripts(start="node lib/server.js", build="vite build && tsc"), **FRONT},
        "npm start", "package.json's start script: node lib/server.js (package.json:7)", ("dist", "lib"),
    ),
    "main that a build writes": (
        {"package.json": manifest(main="dist/index.js", scripts={"build": "tsc"}), "src/index.ts": ""},
        "node dist/index.js", "package.json names dist/index.js (package.json:3)", ("dist",),
    ),
    "what is there in part": (
        {"package.json": scripts(start="node dist/b.js", build="tsc --outDir dist"), "dist/a.js": ""},
        "npm start", "package.json's start script: node dist/b.js (package.json:7)", ("dist",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUILT)
def test_what_a_build_leaves_is_started(name: str) -> None:
    files, command, reason, outputs = BUILT[name]
    chosen = choose(files, "a flask gunicorn next vite")
    assert (chosen.processes[0].command, str(chosen.processes[0].reason)) == (command, reason)
    assert [one.outputs for one in chosen.builds] == [outputs]


def test_what_is_there_already_is_not_built() -> None:
    """An app that is complete as it is has no build, whatever its scripts could make."""
    for build, start, left in (
        ("next build", "next start", ".next/BUILD_ID"),
        ("tsc --outDir dist", "node dist/server.js", "dist/server.js"),
        ("tsc", "node dist/server.js", "dist/server.js"),
        ("vite build", "vite", "dist/index.html"),
        ("make", "node a.js", "a.js"),
    ):
        assert choose({"package.json": scripts(start=start, build=build), left: ""}, "next").builds == ()


def test_what_is_there_in_part_is_replaced_or_added_to() -> None:
    part = {"package.json": scripts(start="node dist/b.js", build="tsc --outDir dist"), "dist/a.js": ""}
    assert choose(part).notes == ("dist is in the app: what 'npm run build' leaves takes its place",)
    beside = choose({"package.json": scripts(start="node src/b.js", build="tsc"), "src/b.ts": ""})
    assert (beside.builds[0].outputs, beside.builds[0].inputs, beside.notes) == (("src",), ("**", "src/**"), ())


def test_the_author_s_own_builds_are_always_planned() -> None:
    files = {
        "requirements.txt": "",
        "app.py": FLASK,
        "stager.yml": "build: [{run: make css, outputs: [css]}]",
        "css/a": "",
    }
    assert [(one.name, one.outputs) for one in choose(files, "flask gunicorn").builds] == [("own", ("css",))]


def test_a_program_that_no_build_of_the_author_makes_is_missing() -> None:
    own = {"stager.yml": "build: [{run: make out, outputs: [out]}]"}
    assert choose({"package.json": scripts(start="node out/a.js"), **own}).builds[0].outputs == ("out",)
    with pytest.raises(BadManifest):
        choose({"package.json": scripts(start="node b.js"), **own})


ERRORS: dict[str, tuple[Files, str, type[StagerError], str, str, str]] = {
    "TypeScript on an old Node.js": (
        {"package.json": manifest(dependencies={"a": "1"}), "index.ts": "", ".nvmrc": "22.10.0"},
        "a",
        NeedsBuild,
        "must be built first: shop (TypeScript runs as it is only on Node.js 22.18 and newer)",
        "Ask for Node.js 22.18 or newer, for example by '24' in a file .nvmrc, or commit the program as JavaScript.",
        "",
    ),
    "a program that is not there": (
        {"package.json": scripts(start="node sever.js")},
        "a",
        BadManifest,
        "scripts.start runs sever.js, which is not in the app",
        "Correct the command, or see that .gitignore does not leave the file out.",
        "package.json:7",
    ),
    "a program that is not there, in the Procfile": (
        {"package.json": manifest(dependencies={"a": "1"}), "Procfile": "web: a\nworker: node jobs/run.js\n"},
        "a",
        BadManifest,
        "worker runs jobs/run.js, which is not in the app",
        "Correct the command, or see that .gitignore does not leave the file out.",
        "Procfile:2",
    ),
    "a development dependency": (
        {
            "package.json": manifest(
                devDependencies={"tsx": "4"}, dependencies={"a": "1"}, scripts={"start": "tsx index.ts"}
            ),
            "index.ts": "",
        },
        "a",
        BadManifest,
        "scripts.start runs tsx, which is only among devDependencies",
        "Move tsx to dependencies and make the lock file again.",
        "package.json:10",
    ),
    "two languages, both start": (
        {"requirements.txt": "", "app.py": FLASK, "package.json": scripts(start="node server.js"), "server.js": ""},
        "flask gunicorn",
        Ambiguous,
        'several start commands: gunicorn --bind "0.0.0.0:$PORT" app:app (Flask application app:app, served by gunicorn'
        " (app.py:3)), npm start (package.json's start script: node server.js (package.json:7))",
        "Add a file Procfile with the one to use, in a line such as 'web: gunicorn --bind \"0.0.0.0:$PORT\" app:app'.",
        "",
    ),
    "no start command": (
        {"package.json": manifest(dependencies={"a": "1"})},
        "a",
        NoProcess,
        "no start command found for nodejs",
        "Add a file Procfile with a line such as 'web: node server.js'. Looked for: a Procfile, "
        "scripts.start in package.json, a program such as server.js, index.js or src/index.js, a built server, bin/www, "
        "main in package.json, a built program, "
        "a TypeScript program such as index.ts, a front end with scripts.build",
        "",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    files, names, kind, message, hint, where = ERRORS[name]
    with pytest.raises(StagerError) as caught:
        choose(files, names)
    error = caught.value
    assert (type(error), error.message, error.hint, error.where) == (kind, message, hint, where)


def test_no_start_command_for_python() -> None:
    with pytest.raises(NoProcess) as caught:
        choose({"requirements.txt": "requests\n"}, "requests")
    assert caught.value.message == "no start command found for python"
    looked_for = caught.value.data["looked_for"]
    assert isinstance(looked_for, list)
    assert looked_for[:4] == ["a Procfile", "gunicorn.conf.py with wsgi_app", "Django", "Streamlit"]
    assert looked_for[-1] == "a package with __main__.py"


@pytest.mark.parametrize(
    "command",
    [
        "node node_modules/x/bin.js",
        "node $MAIN",
        "node -e 'x'",
        "node 'unclosed",
        "node",
        "node /usr/bin/x.js",
        "node ../x.js",
        "echo `node x.js`",
        "npx serve",
        "npm run nothing",
        "; && |",
    ],
)
def test_commands_that_cannot_be_judged_are_left_alone(command: str) -> None:
    files = {"package.json": scripts(start=command)}
    assert [one.command for one in choose(files, "a").processes] == ["npm start"]


DEV = {
    "a": "1",
    "cross-env": "7",
    "typescript": "5",
    "npm-run-all": "4",
    "dotenv": "16",
    "tsx": "4",
    "@swc-node/register": "1",
}
MOVE = "to dependencies and make the lock file again."
COMPILE = "Run it in the script 'build', which runs when the app is staged, and take tsc out of the start command."
DEVELOPMENT: dict[str, tuple[dict[str, str], str, str]] = {
    "cross-env A=1 node server.js": ({}, "scripts.start runs cross-env", f"Move cross-env {MOVE}"),
    "A=1 exec cross-env B=2 node server.js": ({}, "scripts.start runs cross-env", f"Move cross-env {MOVE}"),
    "cross-env-shell 'node server.js'": (
        {},
        "scripts.start runs cross-env-shell of cross-env",
        f"Move cross-env {MOVE}",
    ),
    "run-s migrate serve": ({}, "scripts.start runs run-s of npm-run-all", f"Move npm-run-all {MOVE}"),
    "tsc && node server.js": ({}, "scripts.start runs tsc of typescript", COMPILE),
    "npx tsc && node server.js": ({}, "scripts.start runs tsc of typescript", COMPILE),
    "npm exec -- tsx server.js": ({}, "scripts.start runs tsx", f"Move tsx {MOVE}"),
    "node server.js": ({"prestart": "tsc"}, "scripts.prestart runs tsc of typescript", COMPILE),
    "npm run --silent web": ({"web": "tsx server.js"}, "scripts.web runs tsx", f"Move tsx {MOVE}"),
    "npm run web -- --port 1": ({"web": "x", "prebuild": "tsc", "preweb": "npm run build", "build": "x"}, "", ""),
    "npm run b && node server.js": ({"b": "x", "preb": "tsc"}, "scripts.preb runs tsc of typescript", COMPILE),
    "npm run c && node server.js": ({"c": "x", "postc": "tsc"}, "scripts.postc runs tsc of typescript", COMPILE),
    "node -r dotenv/config server.js": ({}, "scripts.start loads dotenv", f"Move dotenv {MOVE}"),
    "node --require=dotenv/config server.js": ({}, "scripts.start loads dotenv", f"Move dotenv {MOVE}"),
    "node --import tsx server.js": ({}, "scripts.start loads tsx", f"Move tsx {MOVE}"),
    "node --import @swc-node/register/esm server.js": (
        {},
        "scripts.start loads @swc-node/register",
        f"Move @swc-node/register {MOVE}",
    ),
    "NODE_OPTIONS='--require dotenv/config' node server.js": ({}, "scripts.start loads dotenv", f"Move dotenv {MOVE}"),
    "node --require ./env.js --import=node:test -r x server.js": ({}, "", ""),
    "tsc || node server.js": ({}, "", ""),
}


@pytest.mark.parametrize("command", DEVELOPMENT)
def test_what_is_for_development_is_not_in_a_droplet(command: str) -> None:
    """Every simple command is looked at, with what runs before and after a script, and what Node.js loads first."""
    more, why, hint = DEVELOPMENT[command]
    manifest_ = manifest(devDependencies=DEV, dependencies={"x": "1"}, scripts={"start": command, **more})
    if "preweb" in more:
        why, hint = "scripts.prebuild runs tsc of typescript", COMPILE
    files = {"package.json": manifest_, "server.js": "", "env.js": ""}
    if not why:
        assert choose(files, "x").processes[0].command == "npm start"
        return
    with pytest.raises(BadManifest) as caught:
        choose(files, "x")
    assert (caught.value.message, caught.value.hint) == (f"{why}, which is only among devDependencies", hint)
    names = " ".join(["x", *DEV])
    assert choose(files, names).processes[0].command == "npm start"


def test_development_tools_of_a_procfile() -> None:
    files = {
        "package.json": manifest(devDependencies=DEV),
        "server.js": "",
        "Procfile": "web: npx cross-env A=1 node server.js",
    }
    with pytest.raises(BadManifest) as caught:
        choose(files)
    assert str(caught.value.where) == "Procfile:1"
    assert caught.value.message == "web runs cross-env, which is only among devDependencies"


@pytest.mark.parametrize(
    ("start", "loader"),
    [
        ("node -r ./.pnp.cjs server.js", ".pnp.cjs"),
        ("node --require=./.pnp.js server.js", ".pnp.js"),
        ("node -r ./.pnp.cjs --loader ./.pnp.loader.mjs server.js", ".pnp.cjs"),
        ("NODE_OPTIONS='--loader ./.pnp.loader.mjs' node server.js", ".pnp.loader.mjs"),
    ],
)
def test_loaders_of_plug_n_play_lead_nowhere(start: str, loader: str) -> None:
    files = {"server.js": "", ".pnp.cjs": "", ".pnp.js": "", ".pnp.loader.mjs": ""}
    what = f"loads {loader}, whose packages are in Yarn's cache, which is not in the droplet"
    hint = f"Take {loader} out of the command: Node.js finds the packages in node_modules, laid out from yarn.lock."
    for manifest_, procfile, where in (
        (scripts(start=start), {}, "package.json:7"),
        (scripts(test="x"), {"Procfile": f"web: {start}"}, "Procfile:1"),
    ):
        with pytest.raises(BadManifest) as caught:
            choose({**files, "package.json": manifest_, **procfile}, "a")
        assert (caught.value.where, caught.value.message, caught.value.hint) == (where, f"web {what}", hint)


PAGE = {"index.html": '<script type="module" src="/src/main.js"></script>'}
VUE = "import { createApp } from 'vue'\ncreateApp(App).mount('#app')\n"
NO_PROGRAM: dict[str, Files] = {
    "a Vue app": {**PAGE, "src/main.js": VUE, "package.json": scripts(build="npm ci && vite build")},
    "a React app": {
        "public/index.html": "",
        "src/index.js": "root.render(x)\n",
        "package.json": scripts(build="npm ci && webpack"),
    },
    "a Vue app without a build script": {**PAGE, "src/main.js": VUE, "package.json": scripts(dev="vite")},
    "bun with a page": {**PAGE, "src/index.ts": VUE, "package.json": scripts(build="bun build x"), "bun.lock": "{}"},
    "a library": {
        "lib/index.js": "module.exports = 1\n",
        "package.json": manifest(main="lib", dependencies={"a": "1"}),
    },
    "a library of modules": {"index.js": "export { a } from './a.js'\n", "package.json": scripts(test="jest")},
}


@pytest.mark.parametrize("name", NO_PROGRAM)
def test_code_of_browsers_and_libraries_is_no_program(name: str) -> None:
    with pytest.raises((NeedsBuild, NoProcess)):
        choose(NO_PROGRAM[name], "a")


LIBRARY = "no start command found for nodejs: index.js only exports, as a library does"
BROWSER = "no start command found for nodejs: {} is the code of a page, which browsers run"
KINDS: dict[str, tuple[Files, str, str]] = {
    "an extension of an editor": (
        {
            "package.json": manifest(engines={"vscode": "^1.90.0"}, main="./extension.js", dependencies={"a": "1"}),
            "extension.js": "const vscode = require('vscode')\nprocess.on('exit', stop)\n",
        },
        "no start command found for nodejs: package.json is an extension's of Visual Studio Code",
        "package.json:4",
    ),
    "a desktop's app": (
        {
            "package.json": manifest(main="main.js", dependencies={"ms": "2"}, devDependencies={"electron": "31"}),
            "main.js": "const { app } = require('electron')\napp.on('closed', () => process.exit())\n",
            "index.html": "",
        },
        "no start command found for nodejs: it is a desktop's app (electron)",
        "package.json:8",
    ),
    "a phone's app": (
        {
            "package.json": manifest(dependencies={"react-native": "0.74"}),
            "index.js": "import { AppRegistry } from 'react-native'\nAppRegistry.registerComponent('shop', () => App)\n",
        },
        "no start command found for nodejs: it is an app of phones (react-native)",
        "package.json:4",
    ),
    "a browser extension": (
        {"manifest.json": '{"manifest_version": 3}', "main.js": "chrome.runtime.onInstalled.addListener(go)\n"},
        "no start command found for nodejs: manifest.json is a browser extension's",
        "manifest.json",
    ),
    "a Worker": (
        {
            "package.json": manifest(dependencies={"itty-router": "5"}),
            "wrangler.toml": "",
            "src/index.js": "export default { fetch() {} }\n",
        },
        "no start command found for nodejs: wrangler.toml is a Cloudflare Worker's",
        "wrangler.toml",
    ),
    "another cloud's function": (
        {"package.json": manifest(dependencies={"a": "1"}), "index.js": "exports.handler = async (event) => 1\n"},
        "no start command found for nodejs: index.js is a function's, which another cloud calls",
        "index.js",
    ),
    "a library of one function": (
        {"package.json": manifest(exports="./index.js"), "index.js": "export default function left() {}\n"},
        LIBRARY,
        "index.js",
    ),
    "a library in TypeScript, with bun": (
        {"package.json": manifest(module="index.ts"), "index.ts": "export const a = 1\n", "bun.lock": "{}"},
        LIBRARY.replace("index.js", "index.ts"),
        "index.ts",
    ),
    "a plugin of jQuery": (
        {
            "package.json": manifest(main="tiny.js", dependencies={"jquery": "3"}),
            "tiny.js": "(function ($) { $.fn.tiny = 1; })(jQuery);\n",
        },
        BROWSER.format("tiny.js"),
        "tiny.js",
    ),
    "a page's code without a page": (
        {"package.json": manifest(dependencies={"vue": "3"}), "src/main.js": VUE},
        BROWSER.format("src/main.js"),
        "src/main.js",
    ),
    "modules of a page": (
        {
            "package.json": manifest(dependencies={"three": "1"}),
            "main.js": "import { Scene } from 'three'\ndocument.body.append(view)\n",
        },
        BROWSER.format("main.js"),
        "main.js",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_an_app_is_instead_of_a_server(name: str) -> None:
    files, message, where = KINDS[name]
    with pytest.raises(NoProcess) as caught:
        choose(files, "a")
    assert (caught.value.message, caught.value.where) == (message, where)


@pytest.mark.parametrize("table", ["dependencies", "devDependencies"])
@pytest.mark.parametrize(
    ("start", "tool", "what"),
    [
        ("electron .", "electron", "opens a window on a desktop"),
        ("NODE_ENV=x electron-forge start", "electron-forge", "opens a window on a desktop"),
        ("npx expo start --web", "expo", "is for developing an app of phones"),
        ("react-native start", "react-native", "is for developing an app of phones"),
        ("wrangler dev", "wrangler", "imitates another cloud's functions, for development"),
        ("storybook dev -p 6006", "storybook", "is for developing components"),
    ],
)
def test_start_scripts_that_show_or_run_the_app_elsewhere(start: str, tool: str, what: str, table: str) -> None:
    files = {"package.json": manifest(scripts={"start": start}, **{table: {tool: "1", "@x/a": "1"}})}
    with pytest.raises(BadManifest) as caught:
        choose(files, tool)
    assert caught.value.message == f"scripts.start runs {tool}, which {what}"
    assert caught.value.where == "package.json:4"
    assert "Procfile" in caught.value.hint or "Staticfile" in caught.value.hint


PROGRAM: dict[str, tuple[Files, str]] = {
    "a bot in modules": (
        {
            "package.json": manifest(dependencies={"a": "1"}),
            "index.js": "import { Client } from 'a'\nclient.login(x)\n",
        },
        "node index.js",
    ),
    "a scraper that has pages' code run": (
        {
            "package.json": manifest(main="main.js"),
            "main.js": "import p from 'puppeteer'\nawait page.evaluate(() => document.title)\n",
        },
        "node main.js",
    ),
    "a server that makes pages": (
        {
            "index.js": "res.send('<script>window.x = document.title</script>')\napp.listen(1)\n",
            "package.json": manifest(),
        },
        "node index.js",
    ),
    "bun's default export": (
        {
            "index.ts": "export default { port: 1, fetch() {} }\n",
            "package.json": manifest(module="index.ts"),
            "bun.lock": "{}",
        },
        "bun run index.ts",
    ),
    "a server beside its pages": (
        {"public/index.html": "", "index.js": "app.listen(process.env.PORT)\n", "package.json": scripts(dev="x")},
        "node index.js",
    ),
    "a program that is tested": (
        {
            "app.js": "module.exports = app\nif (require.main === module) run()\n",
            "package.json": manifest(main="app.js"),
        },
        "node app.js",
    ),
    "a program that reads its server": (
        {"index.js": "require('./server')\n", "package.json": scripts(dev="x")},
        "node index.js",
    ),
    "bun beside its pages": (
        {**PAGE, "index.ts": "Bun.serve({ port: 1 })\n", "package.json": scripts(dev="x"), "bun.lock": "{}"},
        "bun run index.ts",
    ),
}


@pytest.mark.parametrize("name", PROGRAM)
def test_programs_beside_pages_and_exports(name: str) -> None:
    files, command = PROGRAM[name]
    assert choose(files, "a").processes[0].command == command


SETTINGS = {
    "setdefault": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.conf.live')",
    "on several lines": "os.environ.setdefault(\n    'DJANGO_SETTINGS_MODULE',\n    'site1.conf.live',\n)",
    "an assignment": "os.environ['DJANGO_SETTINGS_MODULE'] = 'site1.conf.live'",
    "another variable": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', os.getenv('ENV', 'site1.conf.live'))",
    "another variable, with get": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", os.environ.get("ENV", "site1.conf.live"))',
    "a default": "os.environ['DJANGO_SETTINGS_MODULE'] = config('DJANGO_SETTINGS_MODULE', default='site1.conf.live')",
    "an f-string": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', f'site1.conf.{mode}')",
    "a choice": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.conf.test' if testing else 'site1.conf.live')",
    "a name": "settings = 'site1.conf.live'\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', settings)",
    "nothing": "from site1.run import main\nmain()",
}


@pytest.mark.parametrize("spelling", SETTINGS)
@pytest.mark.parametrize("kind", ["WSGI", "ASGI"])
def test_every_spelling_of_django_s_settings(spelling: str, kind: str) -> None:
    lower = kind.lower()
    files = {
        "manage.py": SETTINGS[spelling] + "\n",
        "site1/conf/base.py": f"{kind}_APPLICATION = 'site1.{lower}.application'\n",
        "site1/conf/live.py": "from .base import *\n",
        f"site1/{lower}.py": "import os\napplication = get()\n",
    }
    server = {"WSGI": "gunicorn", "ASGI": "uvicorn"}[kind]
    found = choose(files, f"django {server}").processes[0].command
    assert found.startswith(f"{server} ")
    assert f"site1.{lower}:application" in found


@pytest.mark.parametrize(
    ("files", "example"),
    [
        ({"package.json": manifest(dependencies={"a": "1"})}, "node server.js"),
        (
            {"package.json": manifest(dependencies={"a": "1"}), "bun.lock": '{"lockfileVersion": 1}'},
            "bun run server.ts",
        ),
        ({"requirements.txt": "requests\n"}, "python main.py"),
    ],
)
def test_the_example_of_a_start_command_is_in_the_app_s_language(files: Files, example: str) -> None:
    with pytest.raises(NoProcess) as caught:
        choose(files, "a requests")
    assert caught.value.hint.startswith(f"Add a file Procfile with a line such as 'web: {example}'. Looked for: ")
