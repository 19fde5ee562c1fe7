"""Ignore patterns beside git's own answers, and what is left out by its name or content."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from trees import Files, git, lay_out, read

from stager.errors import BadManifest
from stager.tree.errors import UnsafePath
from stager.tree.gitignore import LARGEST, Patterns
from stager.tree.ignore import Rules, always_out, judge, secret_content, secret_name, wants_look


def seen_by_git(root: Path) -> set[str]:
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return {name for name in listed.decode().split("\0") if name} - {".gitignore"}


PLACES = (
    "a", "b", "foo", "foo.txt", "foo.log", "keep.log", "build/x", "build/keep/y", "src/build/z", "src/foo",
    "src/foo.log", "src/deep/er/foo", "src/deep/er/a.c", "doc/a.c", "doc/frotz/b.c", "doc/frotz/x/b.c", "x y",
    "name/trail ", "é", "ab/é.c", "!bang", "#hash", "[set]", "a*b", "q/[x]/1", "back\\slash", "A", "B/C", "7up",
    "-dash", "ax/b", "ax/by/b", "abc/def/b", "logs/.gitkeep", "logs/1.log", "logs/sub/2.log", "target/debug/app",
    "lib/target", "dir.d/in", "src/.gitkeep",
)  # fmt: skip

CASES: dict[str, dict[str, str]] = {
    "name": {"": "foo\n"},
    "suffix": {"": "*.log\n"},
    "negation": {"": "*.log\n!keep.log\n"},
    "negation-then-again": {"": "*.log\n!keep.log\nkeep.*\n"},
    "below-excluded-folder": {"": "build/\n!build/keep/\n!build/keep/y\n"},
    "contents-then-negation": {"": "build/*\n!build/keep\n"},
    "anchored": {"": "/foo\n"},
    "anchored-by-inner-slash": {"": "doc/frotz\n"},
    "folder-only": {"": "target/\n"},
    "folder-only-anchored": {"": "/build/\n"},
    "leading-stars": {"": "**/foo\n"},
    "leading-stars-path": {"": "**/frotz/b.c\n"},
    "inner-stars": {"": "src/**/foo\n"},
    "inner-stars-zero": {"": "doc/**/b.c\n"},
    "trailing-stars": {"": "doc/**\n"},
    "trailing-stars-slash": {"": "src/**/\n"},
    "stars-in-word": {"": "s**c/foo\nsr**/foo.log\n"},
    "stars-after-literal": {"": "a**/b\n"},
    "stars-that-match-nothing": {"": "/foo**/*\nab**/**\nsrc/f**/*/\n"},
    "many-stars": {"": "***/foo\n****\n!src/\n"},
    "everything-but": {"": "/*\n!/src\n/src/*\n!/src/foo\n"},
    "everything-hidden-kept": {"": "*\n!*/\n!*.c\n"},
    "question": {"": "fo?\n?\n"},
    "question-is-a-byte": {"": "ab/?.c\n??\n"},
    "class": {"": "[ab]\nfoo.[lt]*\n"},
    "class-negated": {"": "[!a-z]*\n"},
    "class-caret": {"": "[^a-z]*\n"},
    "class-range-open": {"": "[a-]dash\n[-x]dash\n"},
    "class-bracket-first": {"": "[]x[]set]\n"},
    "class-posix": {"": "[[:digit:]]up\n[[:upper:]]\n"},
    "class-posix-unknown": {"": "[[:nothing:]]*\n"},
    "class-unclosed": {"": "[ab\n"},
    "class-escape": {"": "[\\[]set]\nq/[\\[]x[\\]]\n"},
    "class-no-slash": {"": "src[/]foo\nsrc[!x]foo\n"},
    "escaped-star": {"": "a\\*b\n"},
    "escaped-brackets": {"": "\\[set\\]\n"},
    "escaped-backslash": {"": "back\\\\slash\n"},
    "escaped-letter": {"": "f\\oo\n"},
    "trailing-backslash": {"": "foo\\\n"},
    "hash": {"": "#hash\n\\#hash\n"},
    "bang": {"": "\\!bang\n"},
    "bang-alone": {"": "!\n!!bang\nfoo\n"},
    "trailing-spaces": {"": "foo   \nx y\n"},
    "trailing-space-kept": {"": "trail\\ \n"},
    "trailing-space-kept-once": {"": "trail\\   \n"},
    "trailing-space-plain": {"": "trail \n"},
    "trailing-tab": {"": "foo\t\nb\n"},
    "crlf": {"": "foo\r\n*.log\r\n!keep.log\r\n"},
    "byte-order-mark": {"": "\ufefffoo\nb\n"},
    "no-final-newline": {"": "b\nfoo"},
    "blank-and-comment": {"": "\n   \n# foo\n\nb\n"},
    "slash-only": {"": "/\n//\n//foo\n"},
    "double-slash": {"": "src//foo\n"},
    "case": {"": "FOO\na\n"},
    "non-ascii": {"": "é\nab/é*\n"},
    "nested-adds": {"src": "foo\n"},
    "nested-anchored": {"src": "/foo\n"},
    "nested-path": {"src": "deep/er/foo\n"},
    "nested-overrules": {"": "*.log\n", "src": "!foo.log\n"},
    "nested-below-excluded": {"": "src/\n", "src": "!foo\n"},
    "nested-cannot-reach-up": {"src": "../foo\n!../foo\n"},
    "nested-deeper-wins": {"": "*.c\n", "src": "!*.c\n", "src/deep": "*.c\n", "src/deep/er": "!a.c\n"},
    "negated-folder-is-not-its-files": {"": "*.log\n!logs\n", "src": "!deep\n"},
    "folder-kept-by-its-ignore-file": {"logs": "*\n!.gitignore\n"},
    "ignore-file-ignored": {"": ".gitignore\n", "src": "foo\n"},
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = lay_out(tmp_path_factory.mktemp("repository"), dict.fromkeys(PLACES, ""))
    git(root, "init", "-q")
    return root


@pytest.mark.parametrize("case", CASES)
def test_tree_holds_what_git_would_commit(case: str, repository: Path) -> None:
    rules: Files = {f"{folder}/.gitignore" if folder else ".gitignore": text for folder, text in CASES[case].items()}
    lay_out(repository, rules)
    try:
        assert set(read(repository).files) == seen_by_git(repository)
    finally:
        for path in rules:
            (repository / path).unlink()


def verdicts(text: str | bytes, *paths: str) -> list[bool | None]:
    patterns = Patterns(text.encode() if isinstance(text, str) else text, ".gitignore")
    return [patterns.verdict(path.removesuffix("/").encode(), path.endswith("/")) for path in paths]


def test_a_pattern_speaks_only_of_the_path_it_matches_itself() -> None:
    assert verdicts("build\n", "build/", "build", "build/x", "src/build/", "rebuild") == [True, True, None, True, None]
    assert verdicts("build/**\n", "build/", "build/x/", "build/x/y") == [None, True, True]
    assert verdicts("*.log\n!a.log\n", "a.log", "b.log", "c") == [False, True, None]


@pytest.mark.parametrize(
    "pattern", ["*a" * 40 + "*b", "a*" * 40 + "b", "**/a*" * 20 + "b", "**/*a/" * 20 + "b", "?*" * 40 + "!"]
)
def test_a_hostile_pattern_costs_no_more_than_another(pattern: str) -> None:
    started = time.perf_counter()
    assert verdicts(pattern + "\n", "a" * 255, "/".join(["a" * 200] * 20)) == [None, None]
    assert time.perf_counter() - started < 2


def test_a_slugignore_has_no_negation() -> None:
    patterns = Patterns(b"*.log\n!keep.log\n", ".slugignore", negation=False)
    assert patterns.verdict(b"keep.log", False) is True


def test_an_ignore_file_without_measure_is_refused() -> None:
    Patterns(b"#" * LARGEST, ".gitignore")
    with pytest.raises(BadManifest) as caught:
        Patterns(b"#" * (LARGEST + 1), "a/.gitignore")
    error = caught.value
    assert (error.where, error.message) == ("a/.gitignore", "an ignore file of more than 262144 bytes")
    assert error.hint == "Ignore whole folders, or use wildcards."


def words(text: str) -> list[str]:
    return text.split()


OUT_FOLDERS = words("""
    .git .hg .svn .bzr _darcs CVS __pycache__ .mypy_cache .pytest_cache .ruff_cache .tox .nox .hypothesis
    .ipynb_checkpoints .npm .pnpm-store .idea .vscode .vs .vagrant .terraform .direnv __MACOSX .yarn/cache
    .yarn/unplugged a/.git a/b/__pycache__ x/.yarn/cache .stager a/.stager/machine
""")
OUT_FILES = words("""
    .git .DS_Store Thumbs.db desktop.ini a/.DS_Store a.pyc a.pyo lib/b.pyc A$py.class notes~ .a.txt.swp .b.swo
    .#lock #auto# ._icon .gitignore .stagerignore .cfignore .slugignore stager.lock droplet.tgz
    .yarn/install-state.gz
""")
IN_FOLDERS = words("""
    src .cache .github .well-known .next .yarn .yarn/releases .yarn/patches .yarn/plugins cache a/.stager
    .profile.d vendor build dist cvs
""")
IN_FILES = words("""
    main.py a.py .python-version .nvmrc .gitkeep a/.gitignore a/.cfignore a/stager.lock a/droplet.tgz .swp CVS
    manifest.yml .npmignore .terraform.lock.hcl .pnp.cjs .yarnrc.yml pyc #heading __pycache__
""")


def test_what_is_never_source() -> None:
    assert [path for path in OUT_FOLDERS if not always_out(path, "d")] == []
    assert [path for path in OUT_FILES if not always_out(path, "f")] == []
    assert always_out("Icon\r", "f")
    assert always_out(".#lock", "l")
    assert always_out("__pycache__", "l")


def test_what_may_be_source() -> None:
    assert [path for path in IN_FOLDERS if always_out(path, "d")] == []
    assert [path for path in IN_FILES if always_out(path, "f")] == []


SECRETS = words("""
    .env .env.local .env.production a/.env .ENV .envrc server.key a/b/TLS.KEY cert.p12 cert.pfx trust.jks id_rsa
    id_dsa id_ecdsa id_ed25519 .ssh/id_ed25519_sk .netrc _netrc .pypirc .git-credentials credentials.json
    service-account.json service-account-prod.json service_account.json client_secret_1.json .aws/credentials
    home/.aws/credentials .docker/config.json .kube/config .pgpass .my.cnf .s3cfg .boto .vault-token kubeconfig
    .gem/credentials .cargo/credentials .cargo/credentials.toml infra/terraform.tfstate terraform.tfstate.backup a.kdbx
    .config/gh/hosts.yml .config/gcloud/application_default_credentials.json
""")
NO_SECRETS = words("""
    .env.example .env.sample .env.template .env.dist .env.defaults .env.production.example .env.vault env
    .environment id_rsa.pub key keys.py a.pem cert.crt docker/config.json aws/credentials config.json service.json
    account.json my-credentials.json.md .npmrc pip.conf auth.json credentials src/credentials.py prod.tfvars hosts.yml
    .cargo/config.toml my.cnf boto .bundle/config
""")


def test_secrets_by_name() -> None:
    assert [path for path in SECRETS if not secret_name(path)] == []
    assert [path for path in NO_SECRETS if secret_name(path)] == []
    assert secret_name(".env.local") == "likely a secret: environment files hold passwords"
    assert secret_name("a/server.key") == "likely a secret, by its name"


KEY = b"Bag Attributes\n-----BEGIN RSA PRIVATE KEY-----\nMIIE"
CREDENTIAL = "likely a secret: it holds a credential"


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("a/key.pem", KEY, "likely a secret: it holds a private key"),
        ("key.PEM", b"-----BEGIN PRIVATE KEY-----", "likely a secret: it holds a private key"),
        ("key.pem", b"-----BEGIN ENCRYPTED PRIVATE KEY-----", "likely a secret: it holds a private key"),
        ("ca.pem", b"-----BEGIN CERTIFICATE-----\nMIID", ""),
        ("ca.pem", b"-----BEGIN PUBLIC KEY-----\nMIID", ""),
        (".npmrc", b"//index.example/:_authToken=npm_0123\n", CREDENTIAL),
        (".npmrc", b"_auth = dXNlcjpwYXNz\n", CREDENTIAL),
        (".npmrc", b"//index.example/:_password='cGFzcw=='\n", CREDENTIAL),
        (".npmrc", b"registry=https://user:pass@index.example/\n", CREDENTIAL),
        (".npmrc", b"//index.example/:_authToken=${NPM_TOKEN}\nengine-strict=true\n", ""),
        (".npmrc", b"# _authToken=gone\n; _auth=gone\nsave-exact=true\nregistry=https://index.example/\n", ""),
        ("sub/.npmrc", b"registry=https://${USER}:${PASS}@index.example/\n", ""),
        (".yarnrc.yml", b"npmAuthToken: 0123\n", CREDENTIAL),
        (".yarnrc.yml", b'npmAuthToken: "${TOKEN}"\nnodeLinker: node-modules\n', ""),
        ("pip.conf", b"[global]\nindex-url = https://user:pass@index.example/simple\n", CREDENTIAL),
        ("pip.conf", b"[global]\nindex-url = https://token@index.example/simple\n", CREDENTIAL),
        ("pip.ini", b"[global]\nindex-url = https://index.example/simple?x=a@b\n", ""),
        ("auth.json", b'{"http-basic": {"repo.example": {"username": "a", "password": "b"}}}', CREDENTIAL),
        ("auth.json", b'{"github-oauth": {"github.example": "0123"}}', CREDENTIAL),
        ("auth.json", b'{"routes": ["/login"]}', ""),
        (".bundle/config", b'---\nBUNDLE_GEMS__EXAMPLE__COM: "bob:hunter2"\n', CREDENTIAL),
        ("a/.bundle/config", b'---\nBUNDLE_PATH: "vendor/bundle"\nBUNDLE_MIRROR: "https://gems.example"\n', ""),
        ("credentials", b"[default]\naws_secret_access_key = 0123\n", CREDENTIAL),
        ("credentials", b"see the manual\n", ""),
        (".terraformrc", b'credentials "x" {\n  token = "0123"\n}\n', CREDENTIAL),
        (".bowerrc", b'{"registry": "https://bob:hunter2@bower.example"}', CREDENTIAL),
    ],
)
def test_secrets_by_content(path: str, content: bytes, reason: str) -> None:
    assert wants_look(path)
    assert secret_content(path, content) == reason


def rules(own: str = "", **nested: str) -> Rules:
    layers = [(place.replace("_", "/"), Patterns(text.encode(), "x")) for place, text in nested.items()]
    return Rules([("", Patterns(b"*.log\nnode_modules/\n", ".gitignore")), *layers], Patterns(own.encode(), "y"))


@pytest.mark.parametrize(
    ("own", "path", "kind", "record"),
    [
        ("", "a", "f", "f+"),
        ("", "a", "d", "d+"),
        ("", "a", "l", "l+"),
        ("", "a.log", "f", "f-"),
        ("!a.log\n", "a.log", "f", "f+"),
        ("", "node_modules", "d", "d-"),
        ("", "node_modules", "l", "lv"),
        ("!node_modules/\n", "x/node_modules", "d", "dv"),
        ("!.git\n!__pycache__/\n", ".git", "d", "d-"),
        ("!*.pyc\n", "a.pyc", "f", "f-"),
        ("", ".gitignore", "f", "fi"),
        ("", ".gitignore", "l", "l-"),
        ("", "a/.gitignore", "f", "f+"),
        (".gitignore\n", "a/.gitignore", "f", "fi"),
        ("", "server.key", "f", "f!likely a secret, by its name"),
        ("", "server.key", "d", "d+"),
        ("", "server.key", "l", "l!likely a secret, by its name"),
        ("!server.key\n", "server.key", "f", "fk"),
        ("!*.key\n", "a/server.key", "f", "fk"),
        ("!/a/*.key\n", "a/server.key", "f", "fk"),
        ("!a/**\n", "a/server.key", "f", "f!likely a secret, by its name"),
        ("!*\n", "server.key", "f", "f!likely a secret, by its name"),
        ("!server.key\n*.key\n", "server.key", "f", "f-"),
        ("", "a.pem", "f", "f?"),
        ("", "sub/.npmrc", "f", "f?"),
        ("*.sock\n", "a.sock", "o", "o-"),
        ("bad*\n", "bad\n", "f", "f-"),
    ],
)
def test_decisions(own: str, path: str, kind: str, record: str) -> None:
    assert judge(rules(own), path, kind) == record


@pytest.mark.parametrize(
    ("path", "kind", "where", "why"),
    [
        ("a/pipe", "o", "a/pipe", "it is neither a file, a folder nor a symbolic link"),
        ("a/b\nc", "f", "a/b\\nc", "its name has a control character"),
        ("a\x7f", "d", "a\\x7f", "its name has a control character"),
        ("a\x85", "f", "a\\x85", "its name has a control character"),
        ("d/caf\udce9", "f", "d/caf\\xe9", "its name is not valid UTF-8"),
        ("é" * 128, "f", "é" * 128, "its name is longer than 255 bytes"),
        ("a/" * 2048 + "b", "f", "a/" * 2048 + "b", "its path is longer than 4096 bytes"),
    ],
)
def test_names_that_no_droplet_can_hold(path: str, kind: str, where: str, why: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        judge(rules(), path, kind)
    error = caught.value
    assert (error.where, error.message) == (where, why)
    assert error.hint == "Rename or remove it, or add it to .stagerignore."


@pytest.mark.parametrize("kind", ["d", "l", "o"])
def test_the_apps_own_ignore_file_must_be_a_file(kind: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        judge(rules(), ".stagerignore", kind)
    assert str(caught.value) == (
        ".stagerignore: ignore rules are read from a regular file\n  Make .stagerignore a regular file."
    )


def test_where_links_may_lead() -> None:
    found = rules("out/\n!in.log\n", a_="hidden\n")
    leading_out = [
        "x.log",
        "out/x",
        "out",
        "a/hidden",
        "a/hidden/deep",
        ".git/config",
        "a/__pycache__/b",
        ".env",
        "b.pyc",
    ]
    assert [place for place in leading_out if not found.leads_out(place)] == []
    fine = ["in.log", "missing", "hidden", "b/c/d", "node_modules/.bin/x", "a/node_modules/y", ".stager/node/bin/node"]
    assert [place for place in fine if found.leads_out(place)] == []
