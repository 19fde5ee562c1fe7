"""Answer with what a package says that was built from its sources."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

import docopt

FOUND = docopt.docopt("Usage: main [--x=N]", ["--x=3"])


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"docopt {docopt.__version__}, and x is {FOUND['--x']}".encode())


HTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
