"""The telling lines of other tools, and what a resolver's failure is answered with."""

# ruff: noqa: E501  tools say what they say in long lines

from __future__ import annotations

import pytest

from stager.resolving.confined import ConfinedRun
from stager.text.telling import telling

TRACEBACK = """\
Collecting things
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/tool/main.py", line 12, in <module>
    run(
    ~~~^
  File "/usr/lib/python3/dist-packages/tool/run.py", line 88, in run
    raise ValueError(what)
ValueError: no such suite: trixy

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/tool/main.py", line 20, in <module>
    fail()
tool.Failed: the suite cannot be read
"""
SAID: dict[str, tuple[str, list[str]]] = {
    "a traceback": (TRACEBACK, ["ValueError: no such suite: trixy", "tool.Failed: the suite cannot be read"]),
    "a traceback without its beginning": (
        "\n".join(TRACEBACK.splitlines()[4:8]), ["ValueError: no such suite: trixy"],
    ),
    "node's": (
        "Error: Cannot find module 'x'\n    at Module._resolve (node:internal/modules/cjs/loader:1145:15)\n"
        "    at Object.<anonymous> (/app/a.js:1:7)\nNode.js v20.1.0\n",
        ["Error: Cannot find module 'x'", "Node.js v20.1.0"],
    ),
    "colours": ("\x1b[31merror\x1b[0m: it is red\n", ["error: it is red"]),
    "apt's": ("Reading lists\nE: Unable to locate package nosuch\n", ["E: Unable to locate package nosuch"]),
    "no error by name": ("\n".join(f"line {n}" for n in range(20)), [f"line {n}" for n in range(10, 20)]),
    "nothing": ("\n \n", []),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_the_lines_that_tell_are_kept(name: str) -> None:
    text, lines = SAID[name]
    assert telling(text.splitlines()) == lines


def test_the_beginning_is_kept_and_the_rest_counted() -> None:
    lines = ["warming up", "fatal: not a repository", *(f"hint: {n}" for n in range(30))]
    found = telling(lines)
    assert found[0] == "fatal: not a repository"
    assert found[-1] == "… and 21 more lines"
    assert len(found) == 11
    assert telling(["error: " + "x" * 5000]) == ["error: " + "x" * 293 + " … " + "x" * 300]


UV = "Using CPython 3.11.7 interpreter at: /usr/bin/python3\n"
AGAIN = " Then run 'stager lock' again."
FAILURES: dict[str, tuple[str, str, str, str]] = {
    "uv: no such package": (
        "uv.lock",
        UV + "error: No solution found when resolving dependencies\n  cause: Because nosuch was not found in the package registry "
        "and your project depends on nosuch, we can conclude that your project's requirements are unsatisfiable.\n",
        "No solution found when resolving dependencies; Because nosuch was not found in the package registry and your project "
        "depends on nosuch, we can conclude that your project's requirements are unsatisfiable.",
        "Correct the package's name in pyproject.toml, or configure the index that has it." + AGAIN,
    ),
    "uv: no such version": (
        "pylock.toml",
        "error: No solution found\n  cause: Because there is no version of flask==99 and you require flask==99, we can conclude …\n",
        "No solution found; Because there is no version of flask==99 and you require flask==99, we can conclude …",
        "Ask in requirements.txt for a version that there is: 'pip index versions NAME' shows them." + AGAIN,
    ),
    "uv: only older ones": (
        "uv.lock",
        "error: x\n  cause: Because only idna<=3.10 is available and your project depends on idna>=99, we can conclude that …\n",
        "x; Because only idna<=3.10 is available and your project depends on idna>=99, we can conclude that …",
        "Ask in pyproject.toml for a version that there is: 'pip index versions NAME' shows them." + AGAIN,
    ),
    "uv: an old Python": (
        "uv.lock",
        "error: x\n  cause: Because the requested Python version (>=3.8) does not satisfy Python>=3.10 and numpy==2.1.0 depends on "
        "Python>=3.10, we can conclude that numpy==2.1.0 cannot be used.\n",
        "x; Because the requested Python version (>=3.8) does not satisfy Python>=3.10 and numpy==2.1.0 depends on Python>=3.10, "
        "we can conclude that numpy==2.1.0 cannot be used.",
        "Ask for a newer Python in requires-python of pyproject.toml, or by a line such as 3.13 in a file .python-version; or ask "
        "for a version of the package that takes the older one."
        + AGAIN,
    ),
    "uv: a conflict": (
        "uv.lock",
        "error: x\n  cause: Because flask==3.1.0 depends on werkzeug>=3.1 and your project depends on werkzeug<3, we can conclude …\n",
        "x; Because flask==3.1.0 depends on werkzeug>=3.1 and your project depends on werkzeug<3, we can conclude …",
        "Change in pyproject.toml one of the requirements that it names: they exclude one another." + AGAIN,
    ),
    "uv: no network": (
        "uv.lock",
        "error: Request failed after 3 retries\n  Caused by: Failed to fetch: `https://index.example/simple/flask/`\n"
        "  Caused by: dns error\n",
        "Request failed after 3 retries; Caused by: Failed to fetch: `https://index.example/simple/flask/`; Caused by: dns error",
        "Check the network, the proxy and the index settings." + AGAIN,
    ),
    "uv: a certificate": (
        "uv.lock",
        "error: Failed to fetch: `https://index.example/`\n  Caused by: invalid peer certificate: UnknownIssuer\n",
        "Failed to fetch: `https://index.example/`; Caused by: invalid peer certificate: UnknownIssuer",
        "The index shows a certificate that this machine does not trust: name its issuer's by SSL_CERT_FILE." + AGAIN,
    ),
    "uv: a login": (
        "uv.lock",
        "error: x\n  hint: An index URL (https://index.example/simple) could not be queried due to a lack of valid authentication "
        "credentials (401 Unauthorized).\n",
        "x; hint: An index URL (https://index.example/simple) could not be queried due to a lack of valid authentication "
        "credentials (401 Unauthorized).",
        "That index wants a login, or another one: give it to this machine's configuration, in a netrc file or the index's URL in "
        "pip.conf or uv.toml." + AGAIN,
    ),
    "npm: no such package": (
        "package-lock.json",
        "npm error code E404\nnpm error 404 Not Found - GET https://registry.example/nosuch\nnpm error 404\n",
        "E404; 404 Not Found - GET https://registry.example/nosuch; 404",
        "Correct the package's name in package.json, or configure the index that has it." + AGAIN,
    ),
    "npm: no such version": (
        "package-lock.json",
        "npm error code ETARGET\nnpm error notarget No matching version found for express@99.\n"
        "npm error Log files were not written due to the config logs-max=0\n",
        "ETARGET; notarget No matching version found for express@99.",
        "Ask in package.json for a version that there is: 'npm view NAME versions' shows them." + AGAIN,
    ),
    "npm: a conflict": (
        "package-lock.json",
        "npm warn Could not write error message to x\nnpm error code ERESOLVE\nnpm error ERESOLVE unable to resolve dependency tree\n"
        "npm error\nnpm error Found: react@18.2.0\n",
        "ERESOLVE; ERESOLVE unable to resolve dependency tree; Found: react@18.2.0",
        "Change in package.json one of the versions that it names, until they fit; what works together all the same is said by "
        "'overrides'." + AGAIN,
    ),
    "npm: a login": (
        "package-lock.json",
        "npm error code E401\nnpm error Incorrect or missing password.\n",
        "E401; Incorrect or missing password.",
        "That index wants a login, or another one: give it to this machine's configuration, in .npmrc (//HOST/:_authToken=…)." + AGAIN,
    ),
    "npm: no network": (
        "package-lock.json",
        "npm error code ENOTFOUND\nnpm error network request to https://registry.example/x failed\n",
        "ENOTFOUND; network request to https://registry.example/x failed",
        "Check the network, the proxy and the index settings." + AGAIN,
    ),
    "npm: a workspace of another manager": (
        "package-lock.json",
        'npm error code EUNSUPPORTEDPROTOCOL\nnpm error Unsupported URL Type "workspace:": workspace:*\n',
        'EUNSUPPORTEDPROTOCOL; Unsupported URL Type "workspace:": workspace:*',
        "'workspace:' and 'catalog:' are pnpm's and Yarn's: name that manager in packageManager of package.json and make its lock "
        "with it, or write a version." + AGAIN,
    ),
    "npm: a name": (
        "package-lock.json",
        'npm error code EINVALIDPACKAGENAME\nnpm error Invalid package name "bad name"\n',
        'EINVALIDPACKAGENAME; Invalid package name "bad name"',
        "Correct in package.json what it names." + AGAIN,
    ),
    "a full disk": (
        "uv.lock",
        "error: No space left on device (os error 28)\n",
        "No space left on device (os error 28)",
        "Free some space, or set TMPDIR to another place." + AGAIN,
    ),
    "something else": (
        "package-lock.json",
        "npm error Cannot read properties of null\n",
        "Cannot read properties of null",
        "If that does not say what to change, make package-lock.json with 'npm install --package-lock-only' and commit it.",
    ),
    "nothing": (
        "uv.lock", "", "exit status 2", "If that does not say what to change, make uv.lock with 'uv lock' and commit it.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_of_a_resolver_has_its_own_hint(name: str) -> None:
    lock, said, message, hint = FAILURES[name]
    error = ConfinedRun(2, said, {}).failure(lock)
    assert (error.message, error.hint) == (f"{lock} could not be made: {message}", hint)


def test_where_the_resolver_was_kept_from_going_comes_first() -> None:
    error = ConfinedRun(1, "error: Failed to fetch: `https://10.0.0.1/`\n", {"10.0.0.1:443": "it is private"}).failure(
        "uv.lock"
    )
    assert error.message.startswith(
        "uv.lock could not be made: 10.0.0.1:443 may not be asked: it is private; Failed to fetch"
    )
    place = "Name that place in this machine's own configuration if it is to be asked, or remove what asks for it."
    assert error.hint == place + AGAIN
