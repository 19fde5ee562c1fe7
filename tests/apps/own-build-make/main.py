"""Serves the folder static/."""

import http.server
import sys
from functools import partial

handler = partial(http.server.SimpleHTTPRequestHandler, directory="static")
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), handler).serve_forever()
