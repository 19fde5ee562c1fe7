"""Package indexes on a loopback server: wheels on simple pages, npm tarballs in a registry, as real clients ask for them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from servers import Server, serve


def page(*files: tuple[str, bytes], base: str = "") -> bytes:
    """A simple index's page (PEP 503)."""
    rows = (f'<a href="{base}{name}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>' for name, data in files)
    return f"<!DOCTYPE html><html><body>{''.join(rows)}</body></html>".encode()


def put_files(server: Server, project: str, *files: tuple[str, bytes]) -> None:
    """Serve a project's files, and its page in the index at `/simple`."""
    server.routes[f"/simple/{project}/"] = serve(page(*files), "text/html")
    server.routes.update({f"/simple/{project}/{name}": serve(data) for name, data in files})


def put_tarballs(server: Server, package: str, tarballs: Mapping[str, bytes]) -> None:
    """Serve a package's tarballs by version, and its document in the registry at `/`."""
    versions = {}
    for version, data in tarballs.items():
        path = f"/{package}/-/{package.rpartition('/')[2]}-{version}.tgz"
        server.routes[path] = serve(data)
        dist = {"tarball": server.url + path, "integrity": integrity(data)}
        versions[version] = {"name": package, "version": version, "dist": dist}
    server.routes[f"/{package}"] = serve(
        json.dumps({"name": package, "versions": versions}).encode(), "application/json"
    )


def integrity(data: bytes) -> str:
    """The Subresource Integrity value that npm's locks and documents carry."""
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
