"""A greeting in large letters, where the package for them can be imported."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

try:
    from pyfiglet import figlet_format
except ModuleNotFoundError as error:
    LETTERS = f"plain, as there is no {error.name}"
else:
    LETTERS = f"large, {len(figlet_format('hello').splitlines())} lines"


class Greeting(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(LETTERS.encode())


HTTPServer(("0.0.0.0", int(sys.argv[1])), Greeting).serve_forever()
