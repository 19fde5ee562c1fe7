"""The site uses another member of the workspace."""

from flask import Flask
from greeting import greet

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return greet("the workspace")
