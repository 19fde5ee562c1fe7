"""A small Flask app: the least that shows its dependencies were found."""

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return "hello from flask-requirements"


@app.get("/home")
def home() -> str:
    return os.environ["HOME"]
