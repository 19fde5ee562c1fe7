"""What to do when a resolver failed, by what it says: uv's and npm's own words for each cause."""

from __future__ import annotations

import re

from ..ecosystems import ecosystems

_USUAL = {
    "manifest": "the manifest",
    "command": "its own tool",
    "settings": "the index's URL",
    "cafile": "SSL_CERT_FILE",
    "listed": "its own tool",
}
"""What is said where an ecosystem has no words of its own (`Ecosystem.advice`)."""
_CAUSES = (
    (
        r"certificate|SELF_SIGNED_CERT|UNABLE_TO_(?:GET_ISSUER|VERIFY)|CERT_HAS_EXPIRED|UnknownIssuer",
        "The index shows a certificate that this machine does not trust: name its issuer's by {cafile}.",
    ),
    (
        r"\b(?:401|403|407)\b[^\n]*(?:Unauthorized|Forbidden|Proxy)|\bE40[13]\b|ENEEDAUTH|valid authentication credentials",
        "That index wants a login, or another one: give it to this machine's configuration, in {settings}.",
    ),
    (
        r"not found in the package registry|\bE404\b|404 Not Found",
        "Correct the package's name in {manifest}, or configure the index that has it.",
    ),
    (
        r"does not satisfy Python|requires-python|EBADENGINE",
        "Ask for a newer Python in requires-python of pyproject.toml, or by a line such as 3.13 in a file .python-version; or "
        "ask for a version of the package that takes the older one.",
    ),
    (
        r"ETARGET|No matching version|[Tt]here (?:is|are) no versions? of|only [^\n]{1,200}? (?:is|are) available",
        "Ask in {manifest} for a version that there is: '{listed}' shows them.",
    ),
    (
        r"ERESOLVE",
        "Change in {manifest} one of the versions that it names, until they fit; what works together all the same is said by "
        "'overrides'.",
    ),
    (
        r"workspace:|catalog:",
        "'workspace:' and 'catalog:' are pnpm's and Yarn's: name that manager in packageManager of {manifest} and make its "
        "lock with it, or write a version.",
    ),
    (
        r"EINVALIDPACKAGENAME|EINVALIDTAGNAME|Invalid (?:package|tag) name|EUNSUPPORTEDPROTOCOL|Failed to parse|EJSONPARSE",
        "Correct in {manifest} what it names.",
    ),
    (
        r"we can conclude",
        "Change in {manifest} one of the requirements that it names: they exclude one another.",
    ),
    (
        r"Failed to fetch|error sending request|[Cc]onnect(?:ion)? (?:error|refused|reset)|dns error|timed out|"
        r"ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|ERR_SOCKET_TIMEOUT|EHOSTUNREACH|\b(?:5\d\d|429)\b",
        "Check the network, the proxy and the index settings.",
    ),
    (r"No space left|ENOSPC", "Free some space, or set TMPDIR to another place."),
)
"""Expression → hint; the first that fits. Certificates and logins come before the network, which they are a part of."""


def hint(lock: str, said: str, kept_off: bool) -> str:
    """What to do; `kept_off` says that the resolver wanted to go where it may not."""
    again = "Then run 'stager lock' again."
    if kept_off:
        return f"Name that place in this machine's own configuration if it is to be asked, or remove what asks for it. {again}"
    words = {**_USUAL, **next((one.advice[lock] for one in ecosystems() if lock in one.advice), {})}
    text = next((text for pattern, text in _CAUSES if re.search(pattern, said)), "")
    if not text:
        return f"If that does not say what to change, make {lock} with '{words['command']}' and commit it."
    return f"{text.format(**words)} {again}"
