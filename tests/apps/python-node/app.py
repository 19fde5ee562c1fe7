"""A Python back end that serves a script from the Node front end's packages."""

from flask import Flask, Response, send_from_directory

app = Flask(__name__)


@app.get("/")
def index() -> Response:
    return send_from_directory("node_modules/htmx.org/dist", "htmx.min.js")
