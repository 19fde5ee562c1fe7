"""The shop, importable only when `src` is on the import path."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return "hello from src/shop"
