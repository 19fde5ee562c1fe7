import ctypes
import http.server
import subprocess
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = subprocess.run(["jq", "-n", "40 + 2"], capture_output=True, check=True).stdout.strip()
        onig = ctypes.CDLL("libonig.so.5")
        onig.onig_version.restype = ctypes.c_char_p
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"jq says " + said + b", oniguruma " + onig.onig_version())


http.server.HTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
