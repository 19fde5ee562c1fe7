"""Hosts that lead to forbidden addresses, in every spelling and through names; and a resolver that knows the names."""

from __future__ import annotations

import socket
from typing import Any

LITERALS = [
    # IPv4, plainly
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "10.0.0.1",
    "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "192.168.255.1", "169.254.169.254", "169.254.170.2", "100.64.0.1",
    "100.100.100.200", "0.0.0.0", "0.1.2.3", "192.0.0.1",
    "192.0.0.170", "192.0.0.192", "192.0.2.1", "198.51.100.7",
    "203.0.113.9", "198.18.0.1", "198.19.255.255", "192.88.99.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    # as inet_aton(3) reads it
    "127.1", "127.0.1", "10.1", "192.168.1", "0", "0.0",
    "1", "2130706433", "3232235521", "2852039166", "4294967295", "017700000001",
    "0177.0.0.1", "0177.1", "0x7f.0.0.1", "0x7f.1",
    "0x7f000001", "0X7F000001", "0x7F.0x0.0x0.0x1", "0x0a.0.0.1", "012.0.0.1",
    "0xa9fea9fe", "0xA9.254.0251.0xfe", "127.000.000.001",
    "0x7f.0.1", "127.0x1", "127.65535", "0300.0250.0.1",
    "127.0.0.1.", "2130706433.", "0x7f.1.", "10.0.0.1.",
    "6425673729", "18446744071545290753", "127.0.0.01", "0x00000007f000001",
    # percent-encoded, full-width, other digits and dots
    "127%2e0%2e0%2e1", "127%2E0.0.1", "%31%32%37.0.0.1",
    "127.0.0.%31", "%6c%6f%63%61%6c%68%6f%73%74", "127%252e0%252e0%252e1",
    "１２７.0.0.1", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1",
    "①②⑦.0.0.1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "١٢٧.0.0.1", "ｌｏｃａｌｈｏｓｔ", "loca\u00adlhost",
    "local\u200bhost",
    "127.0.0.1\u200b", "%E2%93%9B%E2%93%9E%E2%93%92%E2%93%90%E2%93%9B%E2%93%97%E2%93%9E%E2%93%A2%E2%93%A3",
    # white space, control signs, user names and backslashes
    " 127.0.0.1", "127.0.0.1 ", "127.0.0.1%20", "127.0.0.1%00",
    "127.0.0.1\t", "127\n.0.0.1", "127.0.0.1\r\n", "\x00127.0.0.1",
    "127.0.0.1%0a", "index.example@127.0.0.1", "index.example:pw@127.0.0.1", "@127.0.0.1", "index.example\\@127.0.0.1",
    "127.0.0.1\\@index.example", "127.0.0.1\\.index.example", "index.example%40127.0.0.1", "127.0.0.1#@index.example",
    "127.0.0.1?@index.example", "127.0.0.1;index.example", "127.0.0.1,index.example",
    "[127.0.0.1]", "[localhost]", "127..0.0.1",
    "127.0.0.1..", ".127.0.0.1", "127.0.0.1.%2e", "-127.0.0.1", "+127.0.0.1", "127.0.0.1/",
    # IPv6
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::0001]", "[0::1]", "[::127.0.0.1]",
    "[::7f00:1]", "[::ffff:127.0.0.1]", "[::FFFF:127.0.0.1]",
    "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]", "[::ffff:0:127.0.0.1]",
    "[::ffff:0:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[64:ff9b:1::10.0.0.1]", "[2002:7f00:1::]", "[2002:7f00:1::1]",
    "[2002:a00:1::1]", "[2002:a9fe:a9fe::1]",
    "[2001::1]", "[2001:0:7f00:1::]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[fe80::1]", "[fe80::1%25lo]", "[fe80::1%lo]", "[fe80::1%251]", "[::1%25lo]", "[::1%lo]", "[fe80::5efe:127.0.0.1]",
    "[2606:4700::5efe:127.0.0.1]", "[2606:4700::200:5efe:10.0.0.1]", "[fc00::1]",
    "[fd00:ec2::254]", "[fd12:3456::1]", "[fec0::1]",
    "[ff02::1]", "[ff05::2]", "[ff0e::1]", "[2001:db8::1]",
    "[2001:db8:ffff::1]", "[3fff::1]", "[100::1]", "[2001:2::1]",
    "[2001:10::1]", "[2001:20::1]", "[5f00::1]", "[4000::1]",
    "[::2]", "[::ffff:0.0.0.0]", "[::ffff:127.1]", "[v1.127.0.0.1]",
    "::1", "0:0:0:0:0:0:0:1", "[::1", "[::1]]", "[[::1]]", "[::1]x",
    # names that say it themselves
    "localhost", "LOCALHOST", "LocalHost", "localhost.",
    "localhost..", "app.localhost", "a.b.localhost.", "printer.local",
    "metadata.google.internal", "kubernetes.default.svc.cluster.local",
]  # fmt: skip

PUBLIC = "8.8.8.8"
ANSWERS: dict[str, list[list[str]]] = {
    **{
        f"n{place}.example": [[address]]
        for place, address in enumerate(
            (
                *(
                    "127.0.0.1",
                    "127.1.2.3",
                    "10.0.0.1",
                    "172.16.5.5",
                    "192.168.1.1",
                    "169.254.169.254",
                    "100.64.0.1",
                    "0.0.0.0",
                ),
                *("192.0.0.170", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1", "224.0.0.1"),
                *("240.0.0.1", "255.255.255.255", "168.63.129.16", "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1"),
                *(
                    "::ffff:10.0.0.1",
                    "::ffff:0:127.0.0.1",
                    "64:ff9b::7f00:1",
                    "64:ff9b:1::7f00:1",
                    "2002:7f00:1::",
                    "2001::1",
                ),
                *(
                    "fe80::1",
                    "fc00::1",
                    "fd00:ec2::254",
                    "fec0::1",
                    "ff02::1",
                    "2001:db8::1",
                    "3fff::1",
                    "100::1",
                    "5f00::1",
                ),
                *("fe80::5efe:127.0.0.1", "2606:4700::5efe:10.0.0.1"),
            )
        )
    },
    "both.example": [[PUBLIC, "127.0.0.1"]],
    "hidden.example": [[PUBLIC, "2606:4700::1111", "1.1.1.1", "::1"]],
    "rebinding.example": [[PUBLIC], ["127.0.0.1"]],
    "turning.example": [["127.0.0.1"], [PUBLIC]],
    "late.example": [[PUBLIC], [PUBLIC], ["::ffff:7f00:1"]],
    "localhost.localdomain": [["127.0.0.1"]],
    "ip6-localhost": [["::1"]],
    "box": [["127.0.1.1"]],
    "box.": [["127.0.1.1"]],
    "under_score.example": [["10.0.0.1"]],
    "xn--n3h.example": [["127.0.0.1"]],
    "UPPER.example": [["127.0.0.1"]],
    "dotted.example.": [["127.0.0.1"]],
    "127.0.0.1.nip.example": [["127.0.0.1"]],
    "0x7f.1.example": [["127.0.0.1"]],
}
"""Name → what it resolves to, look by look; the last answer repeats."""
HOSTS = [*LITERALS, *ANSWERS]


class Resolver:
    """`getaddrinfo` that knows these names, reads addresses as the system does, and asks nobody."""

    def __init__(self) -> None:
        self._system = socket.getaddrinfo
        self._looks: dict[str, int] = {}

    def forget(self) -> None:
        """Begin every name's answers again."""
        self._looks.clear()

    def __call__(self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
        known = {name.lower(): answers for name, answers in ANSWERS.items()}
        name = host.decode() if isinstance(host, bytes) else str(host)
        answers = known.get(name.lower()) or known.get(name.lower().rstrip("."))
        if answers is None:
            if name.rstrip(".").lower().endswith("localhost"):
                return self._system("127.0.0.1", port, family, type, proto)
            return self._system(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        look = self._looks[name] = self._looks.get(name, -1) + 1
        found = []
        for address in answers[min(look, len(answers) - 1)]:
            found += self._system(address, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        return found
