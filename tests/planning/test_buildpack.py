"""Buildpack definitions: the shipped ones, a user's own, their identity, what they generate, and every slip refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stager.builds import recipes
from stager.digest import sha256
from stager.ecosystems import ECOSYSTEMS, ecosystem
from stager.errors import InvalidDefinition
from stager.planning import layouts
from stager.planning.buildpacks import generated, load, load_all, load_folder
from stager.planning.detection import options
from stager.planning.detection.foreseen import foreseen
from stager.planning.detection.matching import fill
from stager.text import resources
from stager.tree import SourceTree

SHELLS = [shell for shell in ("dash", "bash", "sh") if shutil.which(shell)]
FACTS = {"facts": dict(options.read(SourceTree.of({}), load("static")))}


def test_the_shipped_ones_in_their_order() -> None:
    assert [one.name for one in load_all()] == ["python", "nodejs", "static", "procfile"]
    assert [(one.ecosystem, one.runtimes) for one in load_all()] == [
        ("pypi", ("python",)),
        ("npm", ("node", "npm")),
        ("", ("nginx",)),
        ("", ()),
    ]


def test_loading_twice_gives_equal_values() -> None:
    assert load_all() == load_all()


def test_an_unknown_name() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        load("ruby")
    assert caught.value.message == "no such buildpack is shipped; there are nodejs, procfile, python, static"


def test_patterns_compile_and_servers_are_there() -> None:
    for one in load_all():
        for rule in one.start:
            assert set(rule.serve) <= {server.name for server in one.servers}
        for server in one.servers:
            values = {"module": "m", "object": "o", "file": "f"}
            assert fill(server.run, values)
            assert "$PORT" in server.run


def test_recipes_that_builds_name_are_there() -> None:
    packs = load_all()
    named = {name for pack in packs for tool in pack.tools for name in tool.recipes}
    named |= {name for pack in packs for rule in pack.builds for name in rule.recipes}
    assert named
    assert [name for name in sorted(named) if recipes.tool(name) is None] == []


def test_every_file_a_version_or_lock_comes_from_is_an_input() -> None:
    """A file that decides something must make the lock stale: its name is among the inputs."""
    from stager.ecosystems import npm, pypi

    patterns = resources.input_patterns()
    read = {
        *pypi.LOCKS,
        *npm.LOCKS,
        "pyproject.toml",
        "Pipfile",
        "setup.cfg",
        "package.json",
        "Staticfile",
        "stager.yml",
    }
    read |= {".python-version", "runtime.txt", ".tool-versions", "mise.toml", ".mise.toml", ".nvmrc", ".node-version"}
    assert [path for path in sorted(read) if not resources.is_input(path, patterns)] == []


# --- identity --------------------------------------------------------------------------------------------------


def copy(name: str, folder: Path) -> Path:
    shutil.copytree(os.path.join(resources.folder("buildpacks"), name), folder / name)
    return folder / name


def test_the_digest_is_of_the_whole_folder(tmp_path: Path) -> None:
    own = copy("python", tmp_path)
    digest = load("python").digest
    assert load_folder(os.fspath(own)) == load("python")
    for path in (".DS_Store", "__pycache__/x.pyc"):
        (own / path).parent.mkdir(exist_ok=True)
        (own / path).write_text("x")
    assert load_folder(os.fspath(own)).digest == digest
    (own / "templates" / "profile.sh.j2").write_text("echo\n")
    changed = load_folder(os.fspath(own)).digest
    (own / "NOTES").write_text("")
    assert len({digest, changed, load_folder(os.fspath(own)).digest}) == 3


def test_the_digests_form() -> None:
    text = f'[["a","{sha256(b"1")}"],["b/c","{sha256(b"2")}"]]\n'
    assert resources.folder_digest({"b/c": b"2", "a": b"1"}) == sha256(text.encode())


# --- slips -----------------------------------------------------------------------------------------------------

GOOD = """\
name: mine
version: "1"
looks_for: app.pl
detect:
  - {file: app.pl, claim: code, why: "{file} is Perl"}
"""


def write(folder: Path, text: str, **templates: str) -> str:
    root = folder / "mine"
    (root / "templates").mkdir(parents=True)
    (root / "buildpack.yml").write_text(text)
    for name, content in templates.items():
        (root / "templates" / name).write_text(content)
    return os.fspath(root)


def test_a_small_definition(tmp_path: Path) -> None:
    own = load_folder(write(tmp_path, GOOD))
    assert (own.name, own.looks_for, own.inputs, own.runtimes) == ("mine", "app.pl", (), ())


SLIPS = {
    "unknown key": (GOOD + "runtime: [perl]\n", 6, "runtime: unknown key; did you mean 'runtimes'?"),
    "no name": ("version: '1'\n", 0, "document: has no 'name'"),
    "another name": (GOOD.replace("mine", "yours"), 1, "name: the folder is called 'mine'"),
    "a bad name": (
        GOOD.replace("mine", "Mine"),
        1,
        "name: a name has lower-case letters, digits and '-', and starts with a letter",
    ),
    "duplicate": (GOOD + "name: mine\n", 6, "'name' is given twice"),
    "alias": (GOOD + "runtimes: &a [b]\n", 6, "anchors (&name) are not allowed; write the value again"),
    "tag": (GOOD + "ecosystem: !!str x\n", 6, "tags (!name) are not allowed; every value is text"),
    "no YAML": (GOOD + "a: b: c\n", 6, "not valid YAML: mapping values are not allowed here"),
    "a list": ("- a\n", 0, "document: expected a table, found a list"),
    "a bad pattern": (
        GOOD.replace("claim", "content: '(', claim"),
        5,
        "detect[0].content: not a regular expression: missing ), unterminated subpattern at position 0",
    ),
    "unknown claim": (GOOD.replace("code", "cod"), 5, "detect[0].claim: unknown claim; did you mean 'code'?"),
    "unknown placeholder": (
        GOOD.replace("{file} is", "{fil} is"),
        5,
        "detect[0].why: {fil} is not a value that this rule's conditions find",
    ),
    "unknown group": (GOOD.replace("file: app.pl", 'file: "@x"'), 0, "groups: there is no group '@x'"),
    "unknown server": (
        GOOD + "start: [{for: x, when: [], serve: [nginx], why: y}]\n",
        6,
        "start[0].serve: no server 'nginx'; known here: ",
    ),
    "nothing to run": (
        GOOD + "start: [{for: x, when: [], why: y}]\n",
        6,
        "start[0]: must have exactly one of serve, run and needs_build",
    ),
    "no such template": (
        GOOD + "files: {a.j2: b}\n",
        6,
        "files.a.j2: there is no such file in templates/",
    ),
    "variable": (GOOD + "env: {A-B: {value: x, why: y}}\n", 6, "env.A-B: not the name of an environment variable"),
    "option": (
        GOOD + "options: {a: {kind: number}}\n",
        6,
        "options.a.kind: unknown kind; known here: switch, folder, files, text, table",
    ),
    "a build without a command": (
        GOOD + "builds: [{name: a, when: [], why: x}]\n",
        6,
        "builds[0]: has no run",
    ),
    "a build's bad name": (
        GOOD + "builds: [{name: A b, when: [], run: x, why: x}]\n",
        6,
        "builds[0].name: a name has at most 40 lower-case letters, digits and '-', and starts with a letter",
    ),
    "an output that nobody finds": (
        GOOD + "builds: [{name: a, when: [], run: x, why: x, outputs: [b, '{out}']}]\n",
        6,
        "builds[0].outputs: {out} is not a value that this rule's conditions find",
    ),
    "neither yes nor no": (
        GOOD + "builds: [{name: a, when: [], run: x, why: x, late: perhaps}]\n",
        6,
        "builds[0].late: expected yes or no",
    ),
    "a tool without a command": (
        GOOD + "tools: [{outputs: [a]}]\n",
        6,
        "tools[0]: has no 'command'",
    ),
    "a tool's page that nobody finds": (
        GOOD + "tools: [{command: a, pages: '{root}'}]\n",
        6,
        "tools[0].pages: {root} is not a value that this rule's conditions find",
    ),
    "a tool's unknown key": (
        GOOD + "tools: [{command: a, output: b}]\n",
        6,
        "tools[0].output: unknown key; did you mean 'outputs'?",
    ),
    "a manager's runtime that there is not": (
        GOOD + "building: {pnpm: [pnp]}\n",
        6,
        "building.pnpm: no runtime is called 'pnp'; did you mean 'pnpm'?",
    ),
    "text for a table": (GOOD + "env: text\n", 6, "env: expected a table, found str"),
    "table for a text": (GOOD + "ecosystem: {a: b}\n", 6, "ecosystem: expected a string, found dict"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_slips(name: str, tmp_path: Path) -> None:
    text, line, message = SLIPS[name]
    with pytest.raises(InvalidDefinition) as caught:
        load_folder(write(tmp_path, text))
    where = f"mine/buildpack.yml:{line}" if line else "mine/buildpack.yml"
    assert (caught.value.message, caught.value.where, caught.value.hint) == (message, where, f"Correct {where}.")


BUILDS = (
    GOOD
    + """\
builds:
  - name: styles
    when: [[{file: first.sh, set: {first: first.sh}}, {}], {file: styles.conf, content: '^theme (?P<theme>.+)'}]
    run: ["sh {first}", "npx mint build --theme {theme}"]
    outputs: [extra]
    packages: [make]
    why: "{file} says so"
tools:
  - command: mint build
    when: [[{file: mint.conf, content: 'out = (?P<out>.+)'}, {set: {out: dist}}]]
    options: [--output]
    outputs: ["{out}"]
    leaves: ["{out}/index.html"]
    pages: "{out}"
"""
)


def test_a_new_tool_is_a_few_lines(tmp_path: Path) -> None:
    pack = load_folder(write(tmp_path, BUILDS))

    def found(files: dict[str, str]) -> tuple[str, tuple[str, ...], tuple[str, ...], str]:
        (one,) = foreseen(SourceTree.of({"styles.conf": "theme light blue\n", **files}), [pack])
        assert (one.name, one.packages, str(one.reason)) == ("styles", ("make",), "styles.conf says so (styles.conf:1)")
        return one.command, one.outputs, one.leaves, one.pages

    mint = "npx mint build --theme 'light blue'"
    assert found({}) == (mint, ("extra", "dist"), ("dist/index.html",), "dist")
    assert found({"mint.conf": "out = site"}) == (mint, ("extra", "site"), ("site/index.html",), "site")
    assert found({"mint.conf": "out = ../site"}) == (mint, ("extra",), (), "")
    assert found({"first.sh": ""})[0] == f"sh first.sh && {mint}"
    assert foreseen(SourceTree.of({"other": ""}), [pack]) == ()


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../b", "a b", ""])
def test_files_stay_in_the_droplet(path: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        load_folder(write(tmp_path, f"{GOOD}files: {{a.j2: '{path}'}}\n", **{"a.j2": ""}))
    assert caught.value.message == "files.a.j2: not a path inside the droplet"


def test_a_folder_without_definition(tmp_path: Path) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        load_folder(os.fspath(tmp_path / "nothing"))
    assert (caught.value.message, caught.value.where) == (
        "there is no buildpack.yml in this folder",
        "nothing/buildpack.yml",
    )


def test_a_definition_that_is_not_text(tmp_path: Path) -> None:
    root = Path(write(tmp_path, GOOD))
    (root / "buildpack.yml").write_bytes(b"name: \xff")
    with pytest.raises(InvalidDefinition) as caught:
        load_folder(os.fspath(root))
    assert (caught.value.message, caught.value.where) == ("not UTF-8 at byte 6", "mine/buildpack.yml")


# --- registries ------------------------------------------------------------------------------------------------


def test_every_buildpacks_ecosystem_is_known() -> None:
    assert {one.ecosystem for one in load_all()} - {""} <= set(ECOSYSTEMS)
    for name in ECOSYSTEMS:
        assert callable(ecosystem(name).find_locks)


@pytest.mark.parametrize("name", sorted(layouts.names()))
def test_every_layout_is_a_function(name: str) -> None:
    assert callable(layouts.recipe(name))


# --- what is generated -----------------------------------------------------------------------------------------


def test_paths() -> None:
    assert {one.name: list(generated(one, FACTS)) for one in load_all()} == {
        "python": [".profile.d/000-stager-python.sh"],
        "nodejs": [".profile.d/000-stager-nodejs.sh"],
        "static": [".stager/nginx/nginx.conf", ".stager/nginx/serve"],
        "procfile": [],
    }


def test_a_missing_fact_is_an_error() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        generated(load("static"), {})
    assert caught.value.message == "cannot be rendered: 'facts' is undefined"
    assert caught.value.where == "static/nginx.conf.j2"


def test_no_generated_file_has_an_absolute_path_of_this_machine() -> None:
    for one in load_all():
        for text in generated(one, FACTS).values():
            assert resources.folder("buildpacks") not in text
            assert set(re.findall(r"(?<![\w$\"}])/(?:app|home|usr|opt|var)/\S*", text)) == set()


def shell_files() -> list[tuple[str, str]]:
    found = [item for one in load_all() for item in generated(one, FACTS).items()]
    return [(path, text) for path, text in found if not path.endswith(".conf")]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("path", "text"), shell_files())
def test_shell_syntax(shell: str, path: str, text: str) -> None:
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def source(shell: str, text: str, folder: Path, options: str = "-eu", **env: str) -> dict[str, str]:
    """Source `text` in a shell with the given options; all variables, options and functions before and after."""
    (folder / "profile").write_text(text)
    look = 'set; echo; echo "options=$-"'
    script = f'set {options}\n({look}) >"{folder}/before"\n. "{folder}/profile"\n({look}) >"{folder}/after"\nenv -0'
    done = subprocess.run(
        [shell, "-c", script], env={"HOME": os.fspath(folder), **env}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    names = [
        {line.partition("=")[0] for line in (folder / file).read_text().splitlines()} for file in ("before", "after")
    ]
    kept = {
        "PATH",
        "SSL_CERT_FILE",
        "WEB_CONCURRENCY",
        "FORWARDED_ALLOW_IPS",
        "BASH_ARGC",
        "BASH_ARGV",
        "PIPESTATUS",
        "_",
    }
    assert {name for name in names[1] - names[0] if name.isidentifier()} <= kept
    flags = [
        [line for line in (folder / file).read_text().splitlines() if line.startswith("options=")]
        for file in ("before", "after")
    ]
    assert flags[0] == flags[1]
    return dict(item.split("=", 1) for item in done.stdout.split("\0") if "=" in item)


def profile(name: str, cgroup: Path | None = None) -> str:
    (text,) = generated(load(name), FACTS).values()
    return text.replace("/sys/fs/cgroup", os.fspath(cgroup)) if cgroup else text


@pytest.mark.parametrize("shell", SHELLS)
def test_python_path(shell: str, tmp_path: Path) -> None:
    env = source(shell, profile("python", tmp_path / "none"), tmp_path, PATH="/usr/bin:/bin")
    assert env["PATH"] == f"{tmp_path}/.stager/pypi/bin:{tmp_path}/.stager/python/bin:/usr/bin:/bin"
    assert not {"SSL_CERT_FILE", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"} & set(env)


@pytest.mark.parametrize("shell", SHELLS)
def test_nodejs_path(shell: str, tmp_path: Path) -> None:
    env = source(shell, profile("nodejs"), tmp_path, PATH="/usr/bin:/bin")
    assert (
        env["PATH"]
        == f"{tmp_path}/node_modules/.bin:{tmp_path}/.stager/node/bin:{tmp_path}/.stager/bun/bin:/usr/bin:/bin"
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_certificates(shell: str, tmp_path: Path) -> None:
    file = tmp_path / ".stager" / "python" / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    file.parent.mkdir(parents=True)
    file.write_text("")
    text = profile("python", tmp_path / "none")
    assert source(shell, text, tmp_path, PATH="/usr/bin:/bin")["SSL_CERT_FILE"] == os.fspath(file)
    assert source(shell, text, tmp_path, PATH="/usr/bin:/bin", SSL_CERT_FILE="/x")["SSL_CERT_FILE"] == "/x"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"DYNO": "web.1"}, "*"),
        ({"VCAP_APPLICATION": "{}"}, "*"),
        ({"DYNO": "web.1", "FORWARDED_ALLOW_IPS": "10.0.0.1"}, "10.0.0.1"),
    ],
)
def test_who_may_say_where_a_request_comes_from(shell: str, env: dict[str, str], expected: str, tmp_path: Path) -> None:
    found = source(shell, profile("python", tmp_path / "none"), tmp_path, PATH="/usr/bin:/bin", **env)
    assert found["FORWARDED_ALLOW_IPS"] == expected


MIB = 1 << 20


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("memory", "processors", "expected"),
    [
        (str(512 * MIB), "200000 100000", "2"),  # memory for two
        (str(8192 * MIB), "100000 100000", "3"),  # one processor
        (str(8192 * MIB), "50000 100000", "3"),  # half a processor counts as one
        (str(64 * MIB), "100000 100000", "1"),  # never none
        ("max", "100000 100000", None),  # no limit known: the server's own default
        ("", "100000 100000", None),
        ("9" * 15, "nonsense", "all"),
    ],
)
def test_workers(shell: str, memory: str, processors: str, expected: str | None, tmp_path: Path) -> None:
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup" / "memory.max").write_text(memory + "\n" if memory else "")
    (tmp_path / "cgroup" / "cpu.max").write_text(processors + "\n")
    online = int(subprocess.run(["getconf", "_NPROCESSORS_ONLN"], capture_output=True, text=True, check=True).stdout)
    env = source(shell, profile("python", tmp_path / "cgroup"), tmp_path, PATH=os.environ["PATH"])
    assert env.get("WEB_CONCURRENCY") == (str(online * 2 + 1) if expected == "all" else expected)


@pytest.mark.parametrize("shell", SHELLS)
def test_workers_that_are_set_stay(shell: str, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{512 * MIB}\n")
    env = source(shell, profile("python", tmp_path), tmp_path, PATH="/usr/bin:/bin", WEB_CONCURRENCY="7")
    assert env["WEB_CONCURRENCY"] == "7"


# --- nginx -----------------------------------------------------------------------------------------------------


def serve(folder: Path, staticfile: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run the serve script with a stand-in that prints what nginx would be told instead of listening."""
    root = folder / "app"
    tree = SourceTree.of({"Staticfile": staticfile, "site/index.html": ""})
    facts = {"facts": dict(options.read(tree, load("static")))}
    for path, text in generated(load("static"), facts).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    program = root / ".stager" / "nginx" / "sbin" / "nginx"
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        '#!/bin/sh\ncd "$2"; : >access.log; readlink pages; cat listen.conf workers.conf; shift 2; shift 2; echo "$@"\n'
    )
    program.chmod(0o755)
    (folder / "tmp").mkdir(exist_ok=True)
    given = {"PATH": os.environ["PATH"], "HOME": os.fspath(root), "TMPDIR": os.fspath(folder / "tmp"), **env}
    return subprocess.run(
        ["sh", os.fspath(root / ".stager" / "nginx" / "serve")],
        env=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.mark.parametrize(
    ("files", "staticfile", "expected"),
    [
        (["index.html", "public/index.html"], "", "."),
        (["public/index.html"], "", "public"),
        (["dist/index.html", "build/index.html"], "", "dist"),
        (["package.json", "index.html", "dist/index.html"], "", "dist"),
        (["package.json", "index.html"], "", "."),
        ([], "", "."),
        (["index.html"], "root: site\n", "site"),
        (["public/index.html"], "root: ./\n", "."),
    ],
)
def test_the_folder_that_is_served(files: list[str], staticfile: str, expected: str, tmp_path: Path) -> None:
    for path in files:
        (tmp_path / "app" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / path).write_text("")
    done = serve(tmp_path, staticfile, PORT="8123")
    lines = [line for line in done.stdout.splitlines() if line != "user root root;"]
    assert lines == [f"{tmp_path}/app/{expected}", "listen 8123;", "worker_processes 1;", "-e stderr"]


def test_serve_refuses_a_port_that_is_none(tmp_path: Path) -> None:
    done = serve(tmp_path, PORT="80; rm -rf /")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "serve: PORT is not a number: 80; rm -rf /\n"


def test_workers_of_nginx(tmp_path: Path) -> None:
    assert "worker_processes 4;" in serve(tmp_path, WEB_CONCURRENCY="4").stdout
    assert "worker_processes 1;" in serve(tmp_path, WEB_CONCURRENCY="many").stdout


def conf(staticfile: str = "") -> str:
    tree = SourceTree.of({"Staticfile": staticfile, "site/index.html": ""})
    return generated(load("static"), {"facts": dict(options.read(tree, load("static")))})[".stager/nginx/nginx.conf"]


FULL = """\
pushstate: enabled
ssi: enabled
force_https: true
http_strict_transport_security: true
http_strict_transport_security_include_subdomains: true
http_strict_transport_security_preload: true
host_dot_files: true
status_codes: {404: /404.html, 500 503: /50x.html}
"""


def test_the_configuration_follows_the_staticfile() -> None:
    plain, full = conf(), conf(FULL)
    assert "try_files $uri $uri/ =404;" in plain
    assert "try_files $uri $uri/ /index.html;" in full
    assert "autoindex on;" in conf("directory: visible\n")
    added = [
        "ssi on;",
        'add_header Strict-Transport-Security "max-age=31536000; includeSubDomains; preload" always;',
        "error_page 404 /404.html;",
        "error_page 500 503 /50x.html;",
    ]
    assert [line for line in added if line in plain] == []
    assert [line for line in added if line not in full] == []
    dots = r"location ~ (?:^|/)\.(?!well-known(?:/|$))"
    assert dots in plain
    assert dots not in full


def hidden(text: str, path: str) -> bool:
    """Whether one of the configuration's refusing locations fits the path."""
    return any(
        re.search(rule, path, re.IGNORECASE) for rule in re.findall(r"location ~\*? (\S+) \{\n\s+return 404;", text)
    )


@pytest.mark.parametrize("staticfile", ["", FULL])
def test_stagers_own_files_are_never_served(staticfile: str) -> None:
    text = conf(staticfile)
    for path in (
        "/.stager/launch.json",
        "/.stager",
        "/.profile.d/x.sh",
        "/stager.lock",
        "/stager.yml",
        "/Staticfile",
        "/STATICFILE",
        "/Staticfile.auth",
        "/Staticfile.auth.gz",
        "/Staticfile/",
        "/Procfile",
        "/Procfile.dev",
        "/manifest.yml",
        "/manifest-prod.yaml",
        "/nginx.conf",
        "/mime.types",
        "/nginx/conf/includes/x.conf",
        "/buildpack.yml",
        "/stackato.yml",
    ):
        assert hidden(text, path), path
    for path in (
        "/index.html",
        "/a/Procfile.html",
        "/.well-known/acme",
        "/docs/stager.lock.html",
        "/manifest.json",
        "/manifest.webmanifest",
    ):
        assert not hidden(text, path), path
    assert hidden(text, "/.git/config") is not bool(staticfile)


@pytest.mark.tools
@pytest.mark.parametrize("staticfile", ["", FULL, "directory: visible\n"])
def test_nginx_accepts_the_configuration(staticfile: str, tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mime.types").write_text("types { text/html html; }\n")
    (tmp_path / "pages").mkdir()
    (tmp_path / "listen.conf").write_text("listen 127.0.0.1:8123;\n")
    (tmp_path / "workers.conf").write_text("worker_processes 1;\n")
    (tmp_path / "https.conf").write_text("")
    (tmp_path / "auth.conf").write_text("")
    (tmp_path / "nginx.conf").write_text(conf(staticfile))
    command = [nginx, "-t", "-p", f"{tmp_path}/", "-c", f"{tmp_path}/nginx.conf", "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
