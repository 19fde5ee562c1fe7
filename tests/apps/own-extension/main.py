"""Answer with a sum that was made in C."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from shop import prices


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"all of it costs {prices.total([1, 20, 300])} cents".encode())


HTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
