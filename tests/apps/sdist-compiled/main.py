"""Answer with what the compiled part of a package says."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from markupsafe import _speedups


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(_speedups.__name__.encode())


HTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
