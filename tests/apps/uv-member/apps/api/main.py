from core import ANSWER
from flask import Flask

app = Flask(__name__)


@app.get("/")
def home() -> str:
    return f"core says {ANSWER}"
