"""What people's repositories look like, and what a user of Heroku, Cloud Foundry or the framework expects of them."""

from __future__ import annotations

import json

import pytest

from stager.errors import BadManifest
from stager.planning import detection
from stager.planning.buildpacks import load_all
from stager.planning.detection import commands
from stager.planning.errors import NoProcess, NotDetected
from stager.tree import SourceTree

Files = dict[str, str]
BUILDPACKS = load_all()
STATIC = 'sh "$HOME/.stager/nginx/serve"'
MANAGE = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
WSGI = 'WSGI_APPLICATION = "shop.wsgi.application"\n'
FLASK = "from flask import Flask\n\napp = Flask(__name__)\n"


def package(start: str = "", **fields: object) -> str:
    scripts = {"scripts": {"start": start, "build": "x"}} if start else {}
    return json.dumps({"name": "shop", "dependencies": {"a": "1"}, **scripts, **fields}, indent=1)


def processes(files: Files, names: str = "") -> dict[str, str]:
    tree = SourceTree.of(dict(files))
    found = detection.detect(tree, BUILDPACKS)
    chosen = commands.choose(tree, BUILDPACKS, found, frozenset(names.split())).processes
    return {one.type: one.command for one in chosen}


def django(folder: str) -> Files:
    return {
        "requirements.txt": "django\n",
        f"{folder}/manage.py": MANAGE,
        f"{folder}/shop/settings.py": WSGI,
        f"{folder}/shop/wsgi.py": "application = get()\n",
    }


WEB: dict[str, tuple[Files, str, str]] = {
    "Django in a folder below its requirements": (
        django("backend"),
        "django gunicorn",
        'gunicorn --chdir backend --bind "0.0.0.0:$PORT" shop.wsgi:application',
    ),
    "Django in src": (
        django("src"),
        "django gunicorn",
        'gunicorn --chdir src --bind "0.0.0.0:$PORT" shop.wsgi:application',
    ),
    "Django in a folder, no server": (
        django("backend"),
        "django",
        'python backend/manage.py runserver "0.0.0.0:$PORT"',
    ),
    "Django at the top with another in a folder": (
        {**django("demo"), "manage.py": MANAGE, "shop/settings.py": WSGI},
        "django gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" shop.wsgi:application',
    ),
    "FastAPI from get_app": (
        {"requirements.txt": "", "app/main.py": "def get_app() -> FastAPI:\n    return FastAPI()\n\napp = get_app()\n"},
        "fastapi uvicorn",
        'uvicorn app.main:app --host 0.0.0.0 --port "$PORT"',
    ),
    "a factory with defaults": (
        {"requirements.txt": "", "shop/__init__.py": "def make_app(config: dict = None, *, debug=False) -> Flask:\n"},
        "flask gunicorn",
        "gunicorn --bind \"0.0.0.0:$PORT\" 'shop:make_app()'",
    ),
    "a factory that another module calls with its argument": (
        {
            "requirements.txt": "",
            "app/__init__.py": "def create_app(config_name):\n    app = Flask(__name__)\n",
            "shop.py": "from app import create_app\napp = create_app(os.getenv('CONFIG'))\n",
        },
        "flask gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" shop:app',
    ),
    "a function of another platform": (
        {"requirements.txt": "", "api/index.py": FLASK},
        "flask gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" api.index:app',
    ),
    "Flask-SocketIO with eventlet": (
        {"requirements.txt": "", "app.py": FLASK + "from flask_socketio import SocketIO\nsocketio = SocketIO(app)\n"},
        "flask flask-socketio eventlet gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" --workers 1 --worker-class eventlet app:app',
    ),
    "Flask-SocketIO with threads": (
        {"requirements.txt": "", "app.py": FLASK + "from flask_socketio import SocketIO\nsocketio = SocketIO(app)\n"},
        "flask flask-socketio gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" --workers 1 --threads 100 app:app',
    ),
    "Falcon's tutorial": (
        {"requirements.txt": "", "look/app.py": "import falcon\napp = application = falcon.App()\n"},
        "falcon gunicorn",
        'gunicorn --bind "0.0.0.0:$PORT" look.app:app',
    ),
    "a dashboard in src": (
        {"requirements.txt": "", "src/dashboard.py": "import streamlit as st\n"},
        "streamlit",
        'streamlit run src/dashboard.py --server.address 0.0.0.0 --server.port "$PORT" --server.headless true',
    ),
    "Panel": (
        {"requirements.txt": "", "app.py": "import panel as pn\npn.panel('x').servable()\n"},
        "panel bokeh",
        'panel serve app.py --address 0.0.0.0 --port "$PORT" --allow-websocket-origin "*"',
    ),
    "a script of Poetry's": (
        {
            "pyproject.toml": "[tool.poetry]\nname = 'shop'\n[tool.poetry.scripts]\nserve = 'shop.cli:main'\n",
            "shop/cli.py": "def main(): ...\n",
        },
        "",
        "serve",
    ),
    "FastAPI that runs its own server": (
        {"requirements.txt": "", "main.py": "app = FastAPI()\nif __name__ == '__main__':\n    serve(app)\n"},
        "fastapi",
        "python main.py",
    ),
    "the program of Express's generator, without a start script": (
        {"package.json": package(), "app.js": "module.exports = app\n", "bin/www": "server.listen(port)\n"},
        "a",
        "node bin/www",
    ),
    "SvelteKit, built for Node.js": (
        {
            "package.json": package(scripts={"build": "vite build"}),
            "build/index.js": "server.listen({ path, host, port })\n",
        },
        "a",
        "HOST=0.0.0.0 node build/index.js",
    ),
    "Nuxt, built": (
        {"package.json": package(scripts={"build": "nuxt build"}), ".output/server/index.mjs": "export {}\n"},
        "a",
        "HOST=0.0.0.0 node .output/server/index.mjs",
    ),
    "Astro with a server, built, and a start script that runs it": (
        {
            "package.json": package("node ./dist/server/entry.mjs", dependencies={"@astrojs/node": "9"}),
            "dist/server/entry.mjs": "import 'node:http'\n",
        },
        "a",
        "HOST=0.0.0.0 node ./dist/server/entry.mjs",
    ),
    "Astro with a server, built, and a start script for development": (
        {"package.json": package("astro dev"), "dist/server/entry.mjs": "", "dist/client/index.html": ""},
        "a",
        "HOST=0.0.0.0 node dist/server/entry.mjs",
    ),
    "Next.js, exported": ({"package.json": package("next start"), "out/index.html": ""}, "a", STATIC),
    "Next.js, built, beside an old export": (
        {"package.json": package("next start"), "out/index.html": "", ".next/BUILD_ID": "1"},
        "a",
        "npm start",
    ),
    "Angular, built": (
        {"package.json": package("ng serve"), "src/index.html": "", "dist/shop/browser/index.html": ""},
        "a",
        STATIC,
    ),
    "Eleventy, built": (
        {"package.json": package("eleventy --serve"), "index.njk": "", "_site/index.html": ""},
        "a",
        STATIC,
    ),
    "Jekyll, built": (
        {"Gemfile": "", "_config.yml": "", "index.html": "---\n---\n", "_site/index.html": ""},
        "",
        STATIC,
    ),
    "a Staticfile beside a package.json": (
        {"package.json": package("node server.js"), "Staticfile": "root: www\n", "www/index.html": ""},
        "a",
        STATIC,
    ),
    "a Staticfile beside a site generator's packages": (
        {"requirements.txt": "mkdocs\n", "mkdocs.yml": "", "Staticfile": "root: site\n", "site/index.html": ""},
        "mkdocs",
        STATIC,
    ),
    "a server in a folder, which is a workspace": (
        {
            "package.json": package("npm start --workspace server", workspaces=["server"]),
            "server/package.json": package("node index.js", name="server", dependencies={"b": "1"}),
            "server/index.js": "",
        },
        "a",
        "npm start",
    ),
    "a folder with a package.json of its own that asks for nothing more": (
        {
            "package.json": package("node esm/index.js"),
            "esm/package.json": '{"type": "module", "dependencies": {"a": "1"}}',
            "esm/index.js": "",
        },
        "a",
        "npm start",
    ),
    "a server that a function of its package starts": (
        {
            "package.json": package(main="index.js"),
            "index.js": "export const s = await startStandaloneServer(server)\n",
        },
        "a",
        "node index.js",
    ),
    "pm2 that stays": ({"package.json": package("pm2 start app.js --no-daemon"), "app.js": ""}, "a", "npm start"),
    "pm2 that is waited for": (
        {"package.json": package("pm2 start app.js && pm2 logs"), "app.js": ""},
        "a",
        "npm start",
    ),
}


@pytest.mark.parametrize("name", WEB)
def test_web(name: str) -> None:
    files, names, command = WEB[name]
    assert processes(files, names) == {"web": command}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"requirements.txt": "", "bot.py": "", "Procfile": "worker: python bot.py\n"}, "discord-py"),
        ({"requirements.txt": "", "bot.py": "", "Procfile": "worker: python3 -u bot.py\n"}, "discord-py"),
        ({"package.json": package("node bot.js"), "bot.js": "", "Procfile": "worker: npm start\n"}, "a"),
        ({"package.json": package("node bot.js"), "bot.js": "", "Procfile": "worker: node bot.js\n"}, "a"),
        ({"package.json": package(main="bot.js"), "bot.js": "", "stager.yml": "processes: {worker: node bot.js}"}, "a"),
    ],
)
def test_a_bot_runs_once(files: Files, names: str) -> None:
    """Who names it as a worker wants no second one that would be asked for answers over HTTP."""
    assert list(processes(files, names)) == ["worker"]


NO_PROCESS: dict[str, tuple[Files, str, str, str]] = {
    "FastAPI without a server": (
        {"requirements.txt": "fastapi\n", "main.py": "from fastapi import FastAPI\napp = FastAPI()\n"},
        "fastapi",
        "python: main.py has an application, and none of the packages serves it "
        "(fastapi-cli, uvicorn, hypercorn, granian, daphne)",
        "main.py:2",
    ),
    "a factory that needs an argument": (
        {"requirements.txt": "", "shop/__init__.py": "def create_app(config):\n    return Flask(__name__)\n"},
        "flask gunicorn",
        "python",
        "",
    ),
    "a main that is not there": (
        {"package.json": package(main="index.js"), "src/bot.js": ""},
        "a",
        "nodejs: package.json names index.js, which is not in the app",
        "package.json:6",
    ),
}


@pytest.mark.parametrize("name", NO_PROCESS)
def test_no_start_command(name: str) -> None:
    files, names, message, where = NO_PROCESS[name]
    with pytest.raises(NoProcess) as caught:
        processes(files, names)
    assert (caught.value.message, caught.value.where) == (f"no start command found for {message}", where)


SERVER = {"server/package.json": package("node index.js", dependencies={"express": "4"}), "server/index.js": ""}


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"package.json": package("cd server && npm start")}, "web"),
        ({"package.json": package("npm start --prefix server")}, "web"),
        ({"package.json": package("yarn --cwd ./server start")}, "web"),
        ({"package.json": package("NODE_ENV=production node --enable-source-maps server/index.js")}, "web"),
        ({"package.json": package("npm run api", scripts={"start": "npm run api", "api": "node ./server"})}, "web"),
        ({"package.json": package(), "Procfile": "api: cd server; exec node index.js\n"}, "api"),
    ],
)
def test_packages_of_another_folder_are_not_in_the_droplet(files: Files, kind: str) -> None:
    with pytest.raises(BadManifest) as caught:
        processes({**SERVER, **files}, "a")
    assert (caught.value.where, caught.value.message, caught.value.hint) == (
        "server/package.json:3",
        f"{kind} runs in server/, whose packages would not be in the droplet: express",
        """Write '"workspaces": ["server"]' in package.json and make its lock file again, or stage that folder by itself: """
        "'stager stage server'.",
    )


ENV_FILE = "node --env-file=.env server.js"


@pytest.mark.parametrize(
    ("command", "file"),
    [(ENV_FILE, ".env"), ("NODE_ENV=production tsx --env-file ./conf/live.env server.js", "./conf/live.env")],
)
def test_a_file_of_the_environment_that_never_comes_into_a_droplet(command: str, file: str) -> None:
    files = {"package.json": package(command), "server.js": ""}
    with pytest.raises(BadManifest) as caught:
        processes(files, "a")
    assert (caught.value.where, caught.value.message, caught.value.hint) == (
        "package.json:7",
        f"web reads {file}, which is not in the droplet",
        f"Write '--env-file-if-exists={file}', or take it out: a platform sets the environment itself.",
    )
    assert processes({**files, file.removeprefix("./"): ""}, "a") == {"web": "npm start"}
    assert processes({**files, "package.json": package(ENV_FILE.replace("file", "file-if-exists"))}, "a")


def notes(files: Files, names: str) -> tuple[str, ...]:
    tree = SourceTree.of(dict(files))
    return commands.choose(tree, BUILDPACKS, detection.detect(tree, BUILDPACKS), frozenset(names.split())).notes


@pytest.mark.parametrize("command", ["gunicorn {}", "gunicorn -w 2 {} --log-level info", "uvicorn {}:app --port $PORT"])
@pytest.mark.parametrize("module", ["myproject.wsgi", "srv.wsgi", "shop.wsgi", "wsgi", "big_store.wsgi"])
def test_a_module_that_is_not_there_is_told(command: str, module: str) -> None:
    files = {"requirements.txt": "", "srv/wsgi.py": "", "back/shop/wsgi.py": "", "web/wsgi.py": ""}
    line = command.format(f"{module}:app" if "." not in module and command.startswith("gunicorn") else module)
    said = f"web serves the module {module}, which is neither among the app's files nor its packages"
    found = notes({**files, "Procfile": f"web: {line}\n"}, "gunicorn uvicorn big-store")
    assert found == ((f"{said} (Procfile names it (Procfile:1))",) if module == "myproject.wsgi" else ())


def test_what_is_beside_the_app_is_not_the_app() -> None:
    files = {
        "requirements.txt": "",
        "tests/app.py": FLASK,
        "examples/main.py": FLASK,
        "docs/app.py": FLASK,
        "shop/web.py": FLASK,
    }
    assert processes(files, "flask gunicorn") == {"web": 'gunicorn --bind "0.0.0.0:$PORT" shop.web:app'}


def test_scripts_that_other_platforms_run_are_told() -> None:
    """Those that install packages want a network, and of the others it must be known what they write."""
    server = {"server.js": "app.use(express.static('dist'))\napp.listen(1)\n"}
    scripts = {"start": "node server.js", "build": "npm ci && vite build", "postinstall": "patch-package"}
    alone = {"package.json": package(scripts=scripts | {"heroku-postbuild": "npm ci --prefix web"}), **server}
    ran = (
        "scripts.heroku-postbuild is not run: what it makes has to be in the app",
        "scripts.postinstall is not run: what it makes has to be in the app",
    )
    assert notes(alone, "a") == (
        *ran,
        "scripts.build writes dist/, which is not in the app: "
        "where it is needed, run it before staging and keep that in the app",
    )
    assert notes({**alone, "dist/app.js": ""}, "a") == ran
    unknown = {"package.json": package(scripts=scripts | {"heroku-postbuild": "make web"}), **server}
    assert notes(unknown, "a") == (
        ran[1],
        "'npm run heroku-postbuild' is not run: what it writes is not known. "
        "Name that in stager.yml, by a line such as 'builds: {build: {outputs: [dist]}}'.",
    )
    told = {**unknown, "stager.yml": "builds: {build: {outputs: [web/dist]}}\n"}
    assert notes(told, "a") == ran[1:]


ELSEWHERE = {
    "manifest.yml": ("applications:\n- name: shop\n  command: gunicorn srv.web:app\n", 3),
    "heroku.yml": ("run:\n  web: gunicorn srv.web:app\n", 2),
    "render.yaml": ("services:\n  - type: web\n    startCommand: 'gunicorn srv.web:app'\n", 3),
    "railway.json": ('{"deploy": {\n "startCommand": "gunicorn srv.web:app"}}', 2),
    "railway.toml": ("[deploy]\nstartCommand = 'gunicorn srv.web:app'\n", 2),
    "nixpacks.toml": ("[start]\ncmd = 'gunicorn srv.web:app'\n", 2),
    "railpack.json": ('{"deploy": {"startCommand": "gunicorn srv.web:app"}}', 1),
    "fly.toml": ("[processes]\napp = 'gunicorn srv.web:app'\n", 2),
    "app.yaml": ("runtime: python312\nentrypoint: gunicorn srv.web:app\n", 2),
    "Procfile.dev": ("css: x\nweb: gunicorn srv.web:app\n", 2),
    "Dockerfile": ('FROM python\nCMD ["gunicorn", "srv.web:app"]\n', 2),
}


@pytest.mark.parametrize("file", ELSEWHERE)
def test_the_start_command_of_another_platform_is_named(file: str) -> None:
    text, line = ELSEWHERE[file]
    with pytest.raises(NoProcess) as caught:
        processes({"requirements.txt": "", "srv/web.py": "", file: text}, "gunicorn")
    example = f"Add a file Procfile with a line such as 'web: gunicorn srv.web:app', as {file}:{line} has it. "
    assert caught.value.hint.startswith(example)


@pytest.mark.parametrize("file", ELSEWHERE)
def test_a_file_of_another_platform_that_cannot_be_read_is_not_ours_to_correct(file: str) -> None:
    with pytest.raises(NoProcess) as caught:
        processes({"requirements.txt": "", file: "{\n"}, "gunicorn")
    assert caught.value.hint.startswith("Add a file Procfile with a line such as 'web: python main.py'. ")


@pytest.mark.parametrize(
    ("files", "where", "command"),
    [
        (
            {"Procfile": "web: pip install -r requirements.txt && python a.py\n"},
            "Procfile:1",
            "pip install -r requirements.txt",
        ),
        (
            {"Procfile": "web: python3 -m pip install flask; python a.py\n"},
            "Procfile:1",
            "python3 -m pip install flask",
        ),
        ({"Procfile": "web: uv sync && python a.py\n"}, "Procfile:1", "uv sync"),
        ({"package.json": package("npm ci && node a.js"), "a.js": ""}, "package.json:7", "npm ci"),
        (
            {"package.json": package(scripts={"prestart": "yarn", "start": "node a.js"}), "a.js": ""},
            "package.json:7",
            "yarn",
        ),
    ],
)
def test_packages_are_not_installed_at_the_start(files: Files, where: str, command: str) -> None:
    with pytest.raises(BadManifest) as caught:
        processes({"a.py": "", **({} if "package.json" in files else {"requirements.txt": ""}), **files}, "a")
    assert (caught.value.where, caught.value.message, caught.value.hint) == (
        where,
        f"web installs packages each time it starts: {command}",
        f"Take '{command}' out of it: the droplet has the packages that the lock names.",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("web: gunicorn \\\n  app:app", "the command of web ends with a backslash, and none goes on in the next line"),
        ("Web: gunicorn app:app", "Web is not web, the process that answers requests"),
        ("WEB: gunicorn app:app", "WEB is not web, the process that answers requests"),
    ],
)
def test_slips_of_a_procfile(line: str, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        processes({"requirements.txt": "", "app.py": FLASK, "Procfile": f"{line}\n"}, "flask gunicorn")
    assert (caught.value.where, caught.value.message) == ("Procfile:1", message)


@pytest.mark.parametrize(
    ("file", "language"),
    [
        ("main.go", "Go"), ("cmd/api/main.go", "Go"), ("src/main.rs", "Rust"), ("app.rb", "Ruby"), ("wp-config.php", "PHP"),
        ("www/index.php", "PHP"), ("Main.java", "Java"), ("mvnw", "Java"), ("main.kt", "Kotlin"), ("Program.cs", ".NET"),
        ("app.psgi", "Perl"), ("main.cpp", "C and C++"), ("app.R", "R"), ("notes.ipynb", "Jupyter"), ("Dockerfile", "Docker"),
    ],
)  # fmt: skip
def test_a_language_is_named_by_its_programs_alone(file: str, language: str) -> None:
    with pytest.raises(NotDetected) as caught:
        processes({file: "", "README.md": ""})
    assert caught.value.message == (
        f"no buildpack recognises this folder: {file} is for {language}, which stager has no buildpack for"
    )
    assert processes({file: "", "requirements.txt": "", "main.py": ""}) == {"web": "python main.py"}


def test_an_installation_of_uv_is_a_version() -> None:
    tree = SourceTree.of({"main.py": "", ".python-version": "cpython-3.12.4-linux-x86_64-gnu\n"})
    (match,) = detection.detect(tree, BUILDPACKS).matched
    assert [one[:2] for one in match.versions] == [("python", "3.12.4")]


def test_what_other_builders_would_do_is_told() -> None:
    files = {"requirements.txt": "", "main.py": "", "apt.txt": "ffmpeg\n"}
    assert detection.detect(SourceTree.of(dict(files)), BUILDPACKS).notes == (
        "apt.txt is not read: programs and libraries of the system are those of the stack",
    )


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (
            "pm2 start app.js -i max",
            "Start the program itself, such as 'node app.js', or write 'pm2-runtime' in place of 'pm2'.",
        ),
        (
            "NODE_ENV=x npx pm2 start app.js",
            "Start the program itself, such as 'node app.js', or write 'pm2-runtime' in place of 'pm2'.",
        ),
        ("forever start app.js", "Write 'node' in place of 'forever start': the platform starts it again."),
        ("gunicorn -w 2 -D app:app", "Take --daemon out of the command."),
        ("cd x && celery -A app multi start w1", "Write 'celery worker' in place of 'celery multi start'."),
    ],
)
def test_a_process_must_stay(command: str, hint: str) -> None:
    command = command.removeprefix("cd x && ")
    with pytest.raises(BadManifest) as caught:
        processes({"package.json": package(), "app.js": "", "Procfile": f"web: {command}\n"}, "a")
    assert caught.value.message == f"web puts its program into the background and ends: {command}"
    assert (caught.value.where, caught.value.hint) == ("Procfile:1", hint)


@pytest.mark.parametrize(
    ("files", "first"),
    [
        (
            {"backend/manage.py": "", "backend/requirements.txt": ""},
            "Is backend/ the app? Then run 'stager stage backend'.",
        ),
        (
            {"web/package.json": package(), "api/Pipfile": ""},
            "Are api/, web/ apps of their own? Then stage each by itself: run 'stager stage api'.",
        ),
        ({"services/api/package.json": package()}, "Is services/api/ the app? Then run 'stager stage services/api'."),
        ({"docs/index.html": "<h1>"}, "Is docs/ a site to be served? Then write 'root: docs' in a file Staticfile."),
        (
            {"hugo.toml": "", "layouts/index.html": "{{ .Content }}"},
            "hugo.toml is of a Hugo site: build it and keep public/ in the app.",
        ),
        (
            {"book.toml": "", "src/SUMMARY.md": ""},
            "book.toml is of a mdBook site: build it and keep book/ in the app, with 'root: book' in a file Staticfile.",
        ),
        ({"Gemfile": "", "_config.yml": ""}, "_config.yml is of a Jekyll site: build it and keep _site/ in the app."),
        ({"README.md": ""}, "python looks for requirements.txt,"),
    ],
)
def test_where_the_app_may_be(files: Files, first: str) -> None:
    with pytest.raises(NotDetected) as caught:
        processes(files)
    assert caught.value.hint.startswith(f"{first} ")


def test_pages_that_have_still_to_be_made_are_not_served() -> None:
    with pytest.raises(BadManifest) as caught:
        processes({"_config.yml": "", "index.html": "---\nlayout: home\n---\n{% for post in site.posts %}"})
    assert (caught.value.where, caught.value.message) == (
        "index.html:1",
        "it begins with '---', as a page does that a site generator such as Jekyll has still to make",
    )
