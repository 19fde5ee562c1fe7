"""Which addresses may be reached, decided on the address itself at the moment a connection is made.

A URL's spelling cannot tell: a name may resolve to a private address, today or at the second look. So a name is resolved
once, every answer is judged, and the connection goes to exactly an address that was judged. TLS still verifies the name.

Public addresses may be reached by whatever names them. All others (IANA's special-purpose registries, RFC 6890, and the IPv6
forms that hold an IPv4 address) only at an origin that the operator configured, or where the operator allows it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Cancelled

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Place = tuple[str, str, int]
"""Scheme, host and port: an `Origin`."""
Found = tuple[int, int, int, tuple[Any, ...]]
"""Family, type, protocol and socket address: what `getaddrinfo` says, without its second-last field."""

Stopping = Callable[[], bool]
"""Whether the caller has asked to stop."""

_LEAST = 3.0
"""Seconds that one of several addresses gets at least, as long as there are any left."""

_NOBODYS = tuple(
    ipaddress.ip_network(one)
    for one in ("192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")
)
"""For documentation and benchmarks (RFC 5737, 2544, 3849, 9637): no network has these hosts. A gateway that stands for the
whole internet may answer every name with one of them."""
_SPECIAL = tuple(
    ipaddress.ip_network(one)
    for one in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "224.0.0.0/3", "2001::/23", "168.63.129.16/32",
    )
)  # fmt: skip
"""Private, shared, local, multicast and reserved; Teredo and its neighbours; the last is a cloud's own service address."""
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def _never() -> bool:
    return False


class AddressRefused(Exception):
    """A URL, an address, or one it led to, that may not be reached; the text says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may reach addresses that are not public. Nothing else is allowed by default."""

    origins: frozenset[Place] = frozenset()
    """Origins that the operator configured: these may be anywhere."""
    allowed: tuple[str, ...] = ()
    """The operator's allowances: networks (`10.0.0.0/8`), addresses, hosts (`registry.internal`), `host:port`, and
    domains with all below them (`.internal`)."""
    gateways: Callable[[], Iterable[Place]] = tuple
    """The operator's indexes and the default ones. Where one of these is in a network that is nobody's, all names are: see
    `_NOBODYS`."""

    def knows(self, place: Place) -> bool:
        """Whether the operator named this origin or its host, as written: then its address is not judged."""
        return place in self.origins or any(_names(entry, place[1], place[2]) for entry in self.allowed)

    def permits(self, address: Address) -> bool:
        """Whether an address is public, or in an allowed network."""
        inner = _inner(address) or address
        return is_public(address) or any(one in net for one in (address, inner) for net in _networks(self.allowed))

    def is_gateway(self, address: Address) -> bool:
        """Whether an address is nobody's, and one of the indexes in use is there too."""
        nets = [net for net in _NOBODYS if address in net]
        return bool(nets) and any(_judged(one) in nets[0] for place in self.gateways() for one in _known(place))


def is_public(address: Address) -> bool:
    """Whether an address is a host of the public internet, for certain.

    IPv6 forms that lead to an IPv4 address (mapped, NAT64, 6to4, ISATAP) are judged by that one; an address with a zone,
    Teredo, and all forms outside the global unicast range are not public.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner, translated = _inner(address), address.ipv4_mapped or address in _NAT64
        if address.scope_id or not (translated or address in _UNICAST) or (inner and not is_public(inner)):
            return False
    return not any(address in net for net in (*_SPECIAL, *_NOBODYS))


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: RFC 4291 §2.5.5.2, 6052 §2.1, 3056, 5214 §6.1."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    last = ipaddress.IPv4Address(address.packed[-4:])
    isatap = address.packed[8:12] in (b"\0\0\x5e\xfe", b"\2\0\x5e\xfe")
    return address.ipv4_mapped or address.sixtofour or (last if address in _NAT64 or isatap else None)


def literal(host: str) -> Address | None:
    """The address that a host stands for by itself: IPv6, or any form that inet_aton(3) takes for IPv4, such as `127.1`,
    `0x7f.1` or `2130706433`; None for a name. `host` is without brackets."""
    bare = host.rstrip(".")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        number = _inet_aton(bare)
        return None if number is None else ipaddress.IPv4Address(number)


def _inet_aton(host: str) -> int | None:
    parts = host.lower().split(".")
    if len(parts) > 4 or not all(re.fullmatch(r"0x[0-9a-f]{0,20}|[0-9]{1,20}", part) for part in parts):
        return None
    values = []
    for part in parts:
        base = 16 if part.startswith("0x") else 8 if part.startswith("0") else 10
        digits = part.removeprefix("0x") or "0"
        values.append(int(digits, base) if base != 8 or not set(digits) & {"8", "9"} else int(digits))
    *leading, last = values
    number = sum((value & 255) << (24 - 8 * place) for place, value in enumerate(leading))
    return (number + last) & 0xFFFFFFFF


def is_plain(host: str) -> bool:
    """Whether a host, without brackets, is written in a way that no two parsers read differently: an IPv6 address without
    a zone, IPv4 with four decimal numbers, or labels of ASCII letters, digits, `-` and `_` of which the last is no number
    (RFC 1123 §2.1, URL Standard §3.5; IDNA's A-labels are such)."""
    bare = host.removesuffix(".").lower()
    numeric = ":" in host or re.fullmatch(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)", bare)
    if not numeric:
        return len(bare) < 254 and all(_LABEL.fullmatch(label) for label in bare.split("."))
    try:
        return "%" not in str(ipaddress.ip_address(bare))
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """Whether a host, as written, is this machine or on a private network."""
    bare = host.rstrip(".").lower()
    if bare == "localhost" or bare.endswith((".localhost", ".local", ".internal")):
        return True
    address = literal(bare)
    return address is not None and not is_public(address)


# --- the operator's allowances --------------------------------------------------------------------------------------


def allowances(text: str) -> tuple[str, ...]:
    """The entries of a list of allowances, separated by commas or spaces. Raises ValueError, naming one that is none."""
    entries = tuple(text.replace(",", " ").lower().split())
    for entry in entries:
        name, port = _ported(entry)
        if (
            not (_network(name) or ("/" not in name and is_plain(name.removeprefix("."))))
            or not (port + "0").isdecimal()
        ):
            raise ValueError(entry)
    return entries


def _network(entry: str) -> Network | None:
    if "%" in entry:
        return None
    try:
        return ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None


def _networks(entries: Iterable[str]) -> list[Network]:
    return [net for net in map(_network, entries) if net is not None]


def _names(entry: str, host: str, port: int) -> bool:
    """Whether an allowance is for a host as written."""
    name, wanted = _ported(entry)
    if wanted and wanted != str(port):
        return False
    net, address = _network(name), literal(host)
    if net is not None or address is not None:
        return net is not None and address is not None and address in net
    bare = host.rstrip(".").lower()
    return bare.endswith(name) if name[:1] == "." else bare == name


def _ported(entry: str) -> tuple[str, str]:
    """`host:port` in two; without a port, or for an IPv6 address, the second is empty."""
    host, _, port = entry.rpartition(":")
    return (host, port) if entry.count(":") == 1 else (entry, "")


# --- resolving and connecting ---------------------------------------------------------------------------------------


def judge(
    host: str, port: int, policy: Policy, *, scheme: str = "https", timeout: float = 10.0, stopping: Stopping = _never
) -> list[Found]:
    """Every address that a host has now, judged: connect to one of these and do not resolve again.

    One address that may not be reached makes all of them refused. Raises Refused, socket.gaierror, TimeoutError, Cancelled.
    """
    name = host.strip("[]")
    known = policy.knows((scheme, name.rstrip(".").lower(), port))
    if not known and not is_plain(name):
        raise AddressRefused("its host is written in a way that is not unmistakable")
    found = resolve(name, port, timeout, stopping)
    for one in found if not known else ():
        address = _judged(one)
        if not policy.permits(address) and not (literal(name) is None and policy.is_gateway(address)):
            raise AddressRefused(_why(name))
    return found


def _why(name: str) -> str:
    what = "it names a private address" if is_local(name) else f"{name} leads to an address that is not public"
    return f"{what}; whoever runs stager can allow it in STAGER_ALLOW_ADDRESSES"


def _judged(found: Found) -> Address:
    address = ipaddress.ip_address(str(found[3][0]))
    if isinstance(address, ipaddress.IPv6Address) and len(found[3]) > 3 and found[3][3] and not address.scope_id:
        return ipaddress.IPv6Address(f"{address}%{found[3][3]}")
    return address


def glance(host: str, port: int, policy: Policy, *, scheme: str, timeout: float = 2.0) -> None:
    """Judge what a proxy will be asked to reach. Only the proxy resolves for good: what this machine cannot resolve, or not
    soon, is judged as written. Raises Refused."""
    try:
        judge(host, port, policy, scheme=scheme, timeout=timeout)
    except OSError:
        if is_local(host) and not policy.knows((scheme, host, port)):
            raise AddressRefused(_why(host)) from None


def resolve(host: str, port: int, timeout: float, stopping: Stopping = _never) -> list[Found]:
    """The addresses of a host, in the resolver's order. The system's resolver cannot be interrupted, so it works in a thread
    that is left behind when it takes too long. Raises socket.gaierror, TimeoutError, Cancelled."""
    if literal(host) is not None and not host.endswith("."):
        return _look_up(host, port)
    results: list[list[Found] | Exception] = []

    def work() -> None:
        try:
            results.append(_look_up(host, port))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work, daemon=True, name="stager-resolve")
    thread.start()
    until = time.monotonic() + timeout
    while thread.is_alive() and (left := until - time.monotonic()) > 0:
        thread.join(min(left, 0.1))
        if stopping():
            raise Cancelled
    if not results:
        raise TimeoutError(f"the name {host} is not resolved in time")
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def _look_up(host: str, port: int) -> list[Found]:
    try:
        answers = socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except UnicodeError:  # what Python's own codec for names refuses, such as an empty label
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
    usable: list[Found] = [(family, kind, protocol, sockaddr) for family, kind, protocol, _, sockaddr in answers]
    if not usable:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return usable


def _known(place: Place) -> list[Found]:
    try:
        return resolve(place[1], place[2], 5.0)
    except (OSError, ValueError):
        return []


def open_connection(
    host: str,
    port: int,
    policy: Policy,
    *,
    scheme: str = "https",
    timeout: float = 10.0,
    options: Sequence[tuple[int, int, int | bytes]] = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
    opened: Callable[[socket.socket], None] = lambda _: None,
    stopping: Stopping = _never,
) -> socket.socket:
    """A TCP connection to a host, or to none of its addresses.

    The host is resolved once and every address judged by `policy`, with `scheme`, host and port as its origin; then they
    are tried in their order, all within `timeout` seconds, name lookup included. `opened` gets each socket before it is
    connected; the one returned has `timeout`. Raises Refused without any connect() to a forbidden address,
    socket.gaierror for an unknown name, TimeoutError, Cancelled, and OSError when no address accepts.
    """
    until = time.monotonic() + timeout
    found = judge(host, port, policy, scheme=scheme, timeout=timeout, stopping=stopping)
    problem: OSError = TimeoutError("timed out")
    for place, (family, kind, protocol, sockaddr) in enumerate(found):
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            made = socket.socket(family, kind, protocol)
        except OSError as error:  # a family that this machine does not have
            problem = error
            continue
        try:
            for option in options:
                made.setsockopt(*option)
            made.settimeout(max(left / (len(found) - place), min(left, _LEAST)))
            opened(made)
            made.connect(sockaddr)
            made.settimeout(timeout)
            return made
        except OSError as error:
            made.close()
            problem = error
        except BaseException:
            made.close()
            raise
    raise problem
