"""https through a proxy: certificates, Docker's own folder of them, and what must not be reached from there."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from registry_contract import ContractRegistry, on
from registry_images import QUICK, access, image

from stager.net.addresses import AddressRefused
from stager.net.indexes import Indexes
from stager.net.session import Request, Session
from stager.targets.oci.errors import RegistryDown, RegistryError
from stager.targets.oci.image import Blob
from stager.targets.oci.registry.client import Client, connect
from stager.targets.oci.registry.push import push
from stager.targets.oci.registry.reference import parse
from stager.targets.oci.registry.upload import upload

NAME = "registry.example"


def certificate(folder: Path) -> Path:
    """A certificate for NAME that signs itself, with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "both.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass
class Tunnel:
    """An HTTP proxy for CONNECT: whatever host is asked for, TLS ends here and the bytes go to `target`."""

    target: str
    pem: Path
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.pem)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        self.asked.append(head.split(b" ")[1].decode())
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        host, _, port = self.target.partition(":")
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host, int(port))) as inner,
            self._context.wrap_socket(connection, server_side=True) as outer,
        ):
            threading.Thread(target=_copy, args=(inner, outer), daemon=True).start()
            _copy(outer, inner)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def tunnel(tmp_path: Path) -> Iterator[tuple[ContractRegistry, Tunnel]]:
    with ContractRegistry() as registry, Tunnel(registry.host, certificate(tmp_path)) as made:
        yield registry, made


def test_dockers_folder_of_certificates_is_honoured(tunnel: tuple[ContractRegistry, Tunnel], tmp_path: Path) -> None:
    registry, proxy = tunnel
    folder = tmp_path / "certs.d" / NAME
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes((tmp_path / "ca.crt").read_bytes())
    how = access(indexes=Indexes(proxies={"https": proxy.url}), certificates=str(tmp_path / "certs.d"))
    made = image(b"layer")
    with connect(parse(f"{NAME}/team/app:1"), how) as client:
        assert push(client, parse(f"{NAME}/team/app:1"), made).digest == made.digest
    assert set(proxy.asked) == {f"{NAME}:443"}
    assert ("team/app", "1") in registry.manifests


def test_a_certificate_that_nobody_vouches_for(tunnel: tuple[ContractRegistry, Tunnel]) -> None:
    registry, proxy = tunnel
    how = access(indexes=Indexes(proxies={"https": proxy.url}))
    with pytest.raises(RegistryDown, match="no trusted TLS connection") as caught, Client(NAME, how) as client:
        client.manifest_digest("team/app", "1")
    assert not caught.value.retryable
    assert registry.asked == []


@pytest.mark.parametrize(
    "place", ["http://registry.example/u", "https://127.0.0.1/u", "https://10.0.0.7/u", "https://2130706433/u"]
)
def test_a_public_registry_leads_neither_out_of_https_nor_into_a_private_network(
    tunnel: tuple[ContractRegistry, Tunnel], tmp_path: Path, place: str
) -> None:
    registry, proxy = tunnel
    registry.spoilers.append(on("POST", "/uploads/", lambda request: request.say(202, Location=place)))
    how = access(indexes=Indexes(proxies={"https": proxy.url}, extra_ca_files=(str(tmp_path / "ca.crt"),)))
    with pytest.raises(RegistryError, match="refused"), Client(NAME, how) as client:
        upload(client, "team/app", Blob.of(b"x"))
    assert set(proxy.asked) == {f"{NAME}:443"}


def test_plain_http_is_for_this_machine_unless_it_is_asked_for() -> None:
    with ContractRegistry() as registry:
        how = access(indexes=Indexes(proxies={"http": f"http://{registry.host}"}), plain_http=True)
        with Client(NAME, how) as client:
            assert client.manifest_digest("team/app", "1") == ""
        assert registry.asked[0].headers["host"] == NAME


def test_no_proxy_for_this_machine() -> None:
    with ContractRegistry() as registry:
        with Client(registry.host, access(indexes=Indexes(proxies={"http": "http://127.0.0.1:1"}))) as client:
            assert client.manifest_digest("team/app", "1") == ""
        assert registry.methods() == ["HEAD"]


def test_tls_verifies_the_name_though_the_connection_goes_to_the_address_that_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolved once for each connection; the certificate is for the name, and no other name may use it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    told: list[str | None] = []
    context.sni_callback = lambda _, name, __: told.append(name)
    system, looks = socket.getaddrinfo, []

    def look_up(host: str, *rest: object, **named: object) -> object:
        looks.append(host)
        return system("127.0.0.1" if host.endswith(".example") else host, *rest, **named)  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        indexes = Indexes(allowed=("127.0.0.0/8",), extra_ca_files=(str(tmp_path / "ca.crt"),))
        session = Session(indexes, QUICK)
        with session.exchange(Request("GET", f"https://{NAME}:{server.server_port}/")) as response:
            assert response.status == 501
        with (
            pytest.raises(AddressRefused, match=r"no trusted TLS connection to other\.example: Hostname mismatch"),
            session.exchange(Request("GET", f"https://other.example:{server.server_port}/")),
        ):
            pass
        with (
            pytest.raises(AddressRefused, match="not public"),
            Session(Indexes(), QUICK).exchange(Request("GET", f"https://{NAME}:{server.server_port}/")),
        ):
            pass
        server.shutdown()
    assert told == [NAME, "other.example"]
    assert looks == [NAME, "other.example", NAME]
