"""What of an app's folder is source, and what is a machine's clutter or somebody's secret.

Asked of every name, in this order: can it never be source (`always_out`), do the ignore files leave it out (`Rules`),
can a droplet hold it (`check_name`), does it look like a credential (`secret_name`, `secret_content`). `judge` gives
the answer as two letters that `walk` remembers. Imported only when names have to be decided anew.
"""

from __future__ import annotations

import os
import re

from .errors import UnsafePath
from .fingerprint import encoded
from .gitignore import Patterns
from .names import check_name

OWN_FILES = (".stagerignore", ".cfignore", ".slugignore")
"""Ignore files of the app's root; the first that exists is used."""
WITHOUT_NEGATION = ".slugignore"
"""Heroku's knows no line that takes a file in again."""


def own_file(root: str) -> str:
    """The ignore file of the app at `root` that is used; the first of them where the app has none."""
    return next((name for name in OWN_FILES if os.path.lexists(os.path.join(root, name))), OWN_FILES[0])


_OUT_AT_ROOT = frozenset({".stager", "droplet.tgz", "bundle.tar", ".gitignore", *OWN_FILES})
_LOCKS = re.compile(r"stager\.(?:.*\.)?lock", re.DOTALL)
"""`stager.lock`, and those of other stacks beside it: `stager.heroku-24.lock`, `stager.debian-12.arm64.lock`."""
_OUT = frozenset(
    {".git", ".DS_Store", ".AppleDouble", "Icon\r", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini"}
)
_OUT_FOLDERS = frozenset({
    ".hg", ".svn", ".bzr", "_darcs", "CVS",
    "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".hypothesis", ".ipynb_checkpoints",
    ".npm", ".pnpm-store", ".idea", ".vscode", ".vs", ".vagrant", ".terraform", ".direnv",
    ".Spotlight-V100", ".Trashes", ".fseventsd", "__MACOSX",
})  # fmt: skip
_OUT_IN_YARN = frozenset({"cache", "unplugged", "install-state.gz", "build-state.yml"})
_OUT_FILES = re.compile(r".*\.py[co]|.*\$py\.class|.*~|\..*\.sw[k-p]|\.#.*|#.*#|\._.*", re.DOTALL)
FILLED_BY_STAGING = ".stager", "node_modules"
"""Folders that are not source but will be there when the app runs, so links may lead into them."""

_SECRET_NAMES = frozenset({
    "id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk",
    ".env", ".envrc", ".netrc", "_netrc", ".pypirc", ".pgpass", ".dockercfg", ".git-credentials", "credentials.json",
    ".my.cnf", ".mylogin.cnf", ".boto", ".s3cfg", ".vault-token", ".databrickscfg", ".dockerconfigjson", "kubeconfig",
    "secring.gpg",
})  # fmt: skip
_SECRET_ENDS = (".key", ".p12", ".pfx", ".jks", ".keystore", ".ppk", ".kdbx", ".tfstate", ".tfstate.backup")
"""Terraform's state repeats every secret of the resources in it, in plain text."""
_SECRET_PLACES = (
    "/.aws/credentials", "/.docker/config.json", "/.kube/config", "/.gem/credentials", "/.cargo/credentials",
    "/.cargo/credentials.toml", "/.config/gh/hosts.yml", "/gcloud/application_default_credentials.json",
)  # fmt: skip
_SECRET_JSON = re.compile(r"(?:service[-_]account|client_secret).*\.json", re.DOTALL)
_ENV_TEMPLATES = (".example", ".sample", ".template", ".dist", ".defaults", ".vault")
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
_NPM_LOGIN = re.compile(
    rb"(?im)^[^#;\n]*(?:_auth|_password|_authToken|npmAuthToken|npmAuthIdent)[\"']?[ \t]*[=:][ \t]*[\"']?[^\s\"']"
)
_URL_LOGIN = re.compile(rb"://(?!:?@)[^/\s\"'@]+@")
_REFERENCE = re.compile(rb"\$\{[^}{$\n]{0,200}\}")
_CREDENTIAL = "it holds a credential"
_OTHER_LOGIN = re.compile(
    rb"\"(?:http-basic|(?:github|gitlab|bitbucket)-(?:oauth|token)|bearer)\"\s{0,99}:\s{0,99}\{\s{0,99}\""  # Composer
    rb"|(?m:^BUNDLE_\w{1,99}:[ ]?\"?(?!https?:)[^\s\":]{1,99}:[^\s\"])"  # Bundler
    rb"|aws_secret_access_key[ \t]{0,99}=[ \t]{0,99}\S|:rubygems_api_key:"
    rb"|(?m:^[ \t]{0,99}token[ \t]{0,99}=[ \t]{0,99}\"[^\"$])"
)
_KEEPS_CREDENTIALS = (
    ".npmrc", ".yarnrc.yml", ".yarnrc", "pip.conf", "pip.ini", "auth.json", "credentials", ".terraformrc", "terraform.rc",
    ".bowerrc",
)  # fmt: skip


def always_out(path: str, kind: str) -> bool:
    """Whether this can never be source: version control, caches, editors' and desktops' clutter, stager's own output.

    `kind` is `d` for a folder, `f` for a file, `l` for a symbolic link (which may stand for either), `o` for anything
    else. No ignore file overrides this.
    """
    parent, _, name = path.rpartition("/")
    if name in _OUT or (not parent and (name in _OUT_AT_ROOT or _LOCKS.fullmatch(name))):
        return True
    if parent.rpartition("/")[2] == ".yarn" and name in _OUT_IN_YARN:
        return True
    if name == "machine" and parent.rpartition("/")[2] == FILLED_BY_STAGING[0]:  # of an app in a folder of this one
        return True
    return (kind in "dl" and name in _OUT_FOLDERS) or (kind in "fl" and _OUT_FILES.fullmatch(name) is not None)


def secret_name(path: str) -> str:
    """Why a file of this name is likely a secret, or an empty string. Case does not matter."""
    lower = path.lower()
    name = lower.rpartition("/")[2]
    if name.startswith(".env.") and not name.endswith(_ENV_TEMPLATES):
        return "likely a secret: environment files hold passwords"
    if name in _SECRET_NAMES or name.endswith(_SECRET_ENDS) or ("/" + lower).endswith(_SECRET_PLACES):
        return "likely a secret, by its name"
    return "likely a secret, by its name" if _SECRET_JSON.fullmatch(name) else ""


def wants_look(path: str) -> bool:
    """Whether only the content tells if this file is a secret."""
    lower = path.lower()
    return lower.rpartition("/")[2] in _KEEPS_CREDENTIALS or lower.endswith((".pem", ".bundle/config"))


def secret_content(path: str, head: bytes) -> str:
    """Why the file's first bytes make it a secret, or an empty string. A reference such as `${TOKEN}` is none."""
    if path.lower().endswith(".pem"):
        return "likely a secret: it holds a private key" if _PRIVATE_KEY.search(head) else ""
    plain = _REFERENCE.sub(b"", head)
    patterns = (_NPM_LOGIN, _URL_LOGIN, _OTHER_LOGIN)
    return f"likely a secret: {_CREDENTIAL}" if any(pattern.search(plain) for pattern in patterns) else ""


class Rules:
    """The ignore files that apply in one folder.

    `nested` are the `.gitignore` files from the root down, each with its folder (`""`, `"a/"` …); `own` is the app's
    `.stagerignore`, `.cfignore` or `.slugignore`. The last word counts: deeper `.gitignore` files overrule those above,
    and the app's own file overrules them all. As in git, nothing below a folder that is left out can be taken in again.
    """

    __slots__ = ("_deepest_first", "own")

    def __init__(self, nested: list[tuple[str, Patterns]], own: Patterns | None) -> None:
        self._deepest_first = [(len(encoded(place)), patterns) for place, patterns in reversed(nested)]
        self.own = own

    def ignored(self, path: str, folder: bool) -> bool:
        """Whether the ignore files leave this path out, given that its folder is in."""
        raw = encoded(path)
        if self.own:
            verdict = self.own.verdict(raw, folder)
            if verdict is not None:
                return verdict
        for skip, patterns in self._deepest_first:
            verdict = patterns.verdict(raw[skip:], folder)
            if verdict is not None:
                return verdict
        return False

    def asked_for(self, path: str) -> bool:
        """Whether the app's own ignore file takes in this file by name, so that a likely secret is meant."""
        return self.own is not None and self.own.names(encoded(path))

    def asks_for(self, path: str) -> bool:
        """Whether the app's own ignore file takes in this path by name, or a folder above it: an output that is meant."""
        parts = path.split("/")
        above = ["/".join(parts[:count]) + "/" for count in range(1, len(parts) + 1)]
        return self.own is not None and any(self.own.names(encoded(place)) for place in [path, *above])

    def leads_out(self, path: str) -> bool:
        """Whether a link to this path, which is not among the source files, leads to something that was left out.

        It must not depend on whether the place exists: a fresh clone and a used folder give the same answer.
        """
        parts = path.split("/")
        if parts[0] == FILLED_BY_STAGING[0] or FILLED_BY_STAGING[1] in parts:
            return False
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        if any(always_out(place, "d") or self.ignored(place, True) for place in above):
            return True
        if always_out(path, "l") or self.ignored(path, True) or self.ignored(path, False):
            return True
        return bool(secret_name(path)) and not self.asked_for(path)


def judge(rules: Rules, path: str, kind: str) -> str:
    """The decision on one entry of a folder that is in: its kind, a letter, and for secrets told by name the reason.

    `+` it is source; `-` it is left out; `v` it holds installed packages that no ignore file mentions; `i` an ignore
    file that is left out itself; `!` a likely secret, left out; `k` a likely secret that the app asks for; `?` a file
    whose content tells. Raises UnsafePath for what no droplet can hold.
    """
    parent, _, name = path.rpartition("/")
    if kind in "dl" and name == "node_modules":
        return kind + ("-" if rules.ignored(path, kind == "d") else "v")
    is_rules = name == ".gitignore" or (not parent and name in OWN_FILES)
    if not parent and name in OWN_FILES and kind != "f":
        raise UnsafePath(path, "ignore rules are read from a regular file", f"Make {path} a regular file.")
    if always_out(path, kind) or rules.ignored(path, kind == "d"):
        return "fi" if is_rules and kind == "f" else kind + "-"
    check_name(path)
    if kind == "o":
        raise UnsafePath(path, "it is neither a file, a folder nor a symbolic link")
    return "d+" if kind == "d" else _judge_secret(rules, path, kind)


def _judge_secret(rules: Rules, path: str, kind: str) -> str:
    reason = secret_name(path)
    if reason:
        return kind + ("k" if rules.asked_for(path) else "!" + reason)
    return kind + ("?" if kind == "f" and wants_look(path) else "+")
